
/*
 * Heads: the WebSocket that the polling worker holds to a node.
 *
 * It sends the messages of blockcast_head; each notification for one of them
 * pokes the streams that name it.  A lost connection is opened again after a
 * pause that grows with each failure; until then the streams are polled at
 * their intervals.
 *
 * Only the worker that polls has a connection.  The next poller waits until it
 * is closed, but not for a worker that is stuck.
 */


#include "ngx_http_blockcast_head.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_head_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_head_link.h"
#include "ngx_http_blockcast_poller.h"
#include "bc_head_msg.h"


/* the shortest and longest time between two tries to connect (msec) */
#define NGX_HTTP_BLOCKCAST_HEAD_LEAST    500
#define NGX_HTTP_BLOCKCAST_HEAD_MOST     30000

/* a connection that lasted longer counts as a success (msec) */
#define NGX_HTTP_BLOCKCAST_HEAD_GOOD     10000

/*
 * how long to wait for another worker to disconnect, and how often to check
 * (msec)
 */
#define NGX_HTTP_BLOCKCAST_HEAD_OTHER    3000
#define NGX_HTTP_BLOCKCAST_HEAD_LOOK     20

/* the longest subscription id (bytes) */
#define NGX_HTTP_BLOCKCAST_HEAD_ID       128


/* the subscription that a message of the head has made on this connection */

typedef struct {
    size_t                        len;      /* of the subscription's id */
    u_char                        id[NGX_HTTP_BLOCKCAST_HEAD_ID];
    unsigned                      answered:1;
} ngx_http_blockcast_head_subscription_t;


/* a head in the polling worker */

typedef struct {
    ngx_http_blockcast_head_link_t  link;
    ngx_http_blockcast_head_t    *head;
    ngx_http_blockcast_main_conf_t  *bmcf;
    ngx_http_blockcast_head_subscription_t  *subscriptions;

    ngx_event_t                   timer;        /* of the next try */
    ngx_msec_t                    begun;        /* first try of this worker */
    ngx_msec_t                    connected;
    ngx_uint_t                    failures;     /* in a row */
    ngx_uint_t                    unanswered;   /* messages */
    ngx_http_blockcast_log_throttle_t  repeat;
    unsigned                      live:1;       /* all messages are answered */
    unsigned                      told:1;       /* ... for the first time */
} ngx_http_blockcast_head_run_t;


static ngx_http_blockcast_head_run_t *ngx_http_blockcast_head_create(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_head_t *head);
static void ngx_http_blockcast_head_try(ngx_event_t *ev);
static void ngx_http_blockcast_head_later(ngx_http_blockcast_head_run_t *run,
    ngx_msec_t msec);
static void ngx_http_blockcast_head_open(
    ngx_http_blockcast_head_link_t *link);
static void ngx_http_blockcast_head_live(ngx_http_blockcast_head_run_t *run);
static void ngx_http_blockcast_head_message(
    ngx_http_blockcast_head_link_t *link, ngx_uint_t type, ngx_str_t *text);
static ngx_int_t ngx_http_blockcast_head_of(
    ngx_http_blockcast_head_run_t *run, bc_head_msg_t *msg);
static void ngx_http_blockcast_head_answered(
    ngx_http_blockcast_head_run_t *run, ngx_uint_t n, bc_head_msg_t *msg);
static void ngx_http_blockcast_head_poke(ngx_http_blockcast_head_run_t *run,
    ngx_int_t message, bc_span_t *result);
static void ngx_http_blockcast_head_lost(
    ngx_http_blockcast_head_link_t *link, ngx_str_t *reason);


void
ngx_http_blockcast_head_start(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_head_t     **heads;
    ngx_http_blockcast_head_run_t  *run;

    heads = bmcf->heads.elts;

    for (i = 0; i < bmcf->heads.nelts; i++) {

        if (heads[i]->link == NULL) {
            heads[i]->link = ngx_http_blockcast_head_create(bmcf, heads[i]);

            if (heads[i]->link == NULL) {
                continue;
            }
        }

        run = heads[i]->link;

        run->begun = ngx_current_msec;
        run->failures = 0;

        ngx_http_blockcast_head_status_begin(bmcf->zone, heads[i]);
        ngx_http_blockcast_head_status_write(bmcf->zone, heads[i],
                                        ngx_http_blockcast_head_is_connecting,
                                        NULL);

        ngx_http_blockcast_head_later(run, 1);
    }
}


/* Makes the state of a head in this process; it is never freed. */

static ngx_http_blockcast_head_run_t *
ngx_http_blockcast_head_create(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_head_t *head)
{
    ngx_http_blockcast_head_run_t  *run;
    static ngx_connection_t         dummy;

    run = ngx_pcalloc(ngx_cycle->pool, sizeof(ngx_http_blockcast_head_run_t));
    if (run == NULL) {
        return NULL;
    }

    run->subscriptions = ngx_pcalloc(ngx_cycle->pool,
                              (head->messages.nelts + 1)
                              * sizeof(ngx_http_blockcast_head_subscription_t));
    if (run->subscriptions == NULL) {
        return NULL;
    }

    run->head = head;
    run->bmcf = bmcf;

    run->link.head = head;
    run->link.data = run;
    run->link.open = ngx_http_blockcast_head_open;
    run->link.message = ngx_http_blockcast_head_message;
    run->link.lost = ngx_http_blockcast_head_lost;

    ngx_http_blockcast_head_link_init(&run->link);

    /* debug logging reads the descriptor of an event's connection */

    dummy.fd = (ngx_socket_t) -1;

    run->timer.handler = ngx_http_blockcast_head_try;
    run->timer.data = &dummy;
    run->timer.log = ngx_cycle->log;
    run->timer.cancelable = 1;

    return run;
}


void
ngx_http_blockcast_head_stop(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_head_t     **heads;
    ngx_http_blockcast_head_run_t  *run;

    heads = bmcf->heads.elts;

    for (i = 0; i < bmcf->heads.nelts; i++) {
        run = heads[i]->link;

        if (run == NULL) {
            continue;
        }

        if (run->timer.timer_set) {
            ngx_del_timer(&run->timer);
        }

        run->live = 0;

        ngx_http_blockcast_head_link_close(&run->link, 1001);
        ngx_http_blockcast_head_status_disown(bmcf->zone, heads[i]);
    }
}


void
ngx_http_blockcast_head_hurry(ngx_http_blockcast_node_t *node)
{
    ngx_http_blockcast_head_run_t  *run;

    if (node->head == NULL || node->head->link == NULL) {
        return;
    }

    run = node->head->link;

    if (run->timer.timer_set && run->link.base.peer.connection == NULL) {
        ngx_http_blockcast_head_later(run, 1);
    }
}


static void
ngx_http_blockcast_head_later(ngx_http_blockcast_head_run_t *run,
    ngx_msec_t msec)
{
    if (run->timer.timer_set) {
        ngx_del_timer(&run->timer);
    }

    ngx_add_timer(&run->timer, msec);
}


/*
 * Connects as soon as no other worker has a connection.  If this worker is
 * connected, closes: the node has not answered the messages in time.
 */

static void
ngx_http_blockcast_head_try(ngx_event_t *ev)
{
    ngx_http_blockcast_head_run_t  *run;

    run = (ngx_http_blockcast_head_run_t *)
              ((u_char *) ev - offsetof(ngx_http_blockcast_head_run_t, timer));

    if (ngx_terminate || ngx_exiting) {
        return;
    }

    if (run->link.base.peer.connection != NULL) {
        ngx_http_blockcast_head_link_close(&run->link, 1000);
        ngx_http_blockcast_link_fail(&run->link.base,
                                     "no answer to the message within %M ms",
                                     run->head->timeout);
        return;
    }

    if (ngx_current_msec - run->begun < NGX_HTTP_BLOCKCAST_HEAD_OTHER
        && ngx_http_blockcast_head_status_others(run->bmcf->zone))
    {
        ngx_http_blockcast_head_later(run, NGX_HTTP_BLOCKCAST_HEAD_LOOK);
        return;
    }

    run->live = 0;

    ngx_http_blockcast_head_status_own(run->bmcf->zone, run->head);
    ngx_http_blockcast_head_link_open(&run->link);
}


/* Sends the messages when the handshake is done. */

static void
ngx_http_blockcast_head_open(ngx_http_blockcast_head_link_t *link)
{
    uint64_t                             number;
    ngx_uint_t                           i;
    ngx_http_blockcast_head_run_t       *run;
    ngx_http_blockcast_head_message_t   *message;

    run = link->data;
    number = link->base.number;

    run->connected = ngx_current_msec;
    run->unanswered = 0;

    message = run->head->messages.elts;

    for (i = 0; i < run->head->messages.nelts; i++) {
        run->subscriptions[i].len = 0;
        run->subscriptions[i].answered = 0;

        if (message[i].id.len != 0) {
            run->unanswered++;
        }
    }

    for (i = 0; i < run->head->messages.nelts; i++) {
        if (ngx_http_blockcast_head_link_send(link, &message[i].text)
            != NGX_OK
            || link->base.number != number)
        {
            return;
        }
    }

    if (run->unanswered == 0) {
        ngx_http_blockcast_head_live(run);
        return;
    }

    ngx_http_blockcast_head_later(run, run->head->timeout);
}


/* Notes that the node has accepted all messages, so that it will notify us. */

static void
ngx_http_blockcast_head_live(ngx_http_blockcast_head_run_t *run)
{
    ngx_uint_t                         n;
    ngx_msec_t                         lasted;
    ngx_http_blockcast_head_t         *head;
    ngx_http_blockcast_head_record_t  *record;

    head = run->head;
    run->live = 1;

    if (run->timer.timer_set) {
        ngx_del_timer(&run->timer);
    }

    record = ngx_http_blockcast_head_status_record(run->bmcf->zone, head);
    (void) ngx_atomic_fetch_add(&record->connects, 1);

    ngx_http_blockcast_head_status_write(run->bmcf->zone, head,
                                         ngx_http_blockcast_head_is_connected,
                                         NULL);

    if (ngx_http_blockcast_log_throttle_end(&run->repeat, &n, &lasted)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: the head of node \"%V\" at %V is connected "
                      "again, after %M.%03M s and %ui tries",
                      &head->node->name, &head->peer, lasted / 1000,
                      lasted % 1000, n);

    } else if (!run->told) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: the head of node \"%V\" at %V is connected",
                      &head->node->name, &head->peer);
    }

    run->told = 1;

    /* events since the last connection were missed: poll everything once */

    ngx_http_blockcast_head_poke(run, -1, NULL);
}


static void
ngx_http_blockcast_head_message(ngx_http_blockcast_head_link_t *link,
    ngx_uint_t type, ngx_str_t *text)
{
    char                               error[128];
    ngx_int_t                          n;
    bc_head_msg_t                      msg;
    ngx_http_blockcast_head_run_t     *run;
    ngx_http_blockcast_head_record_t  *record;

    run = link->data;

    ngx_memzero(&msg, sizeof(bc_head_msg_t));

    if (type == BC_WS_TEXT) {
        (void) bc_head_msg_read(text->data, text->len, &msg);
    }

    if (msg.error.data != NULL) {
        bc_head_msg_error(msg.error, error, sizeof(error));

        ngx_http_blockcast_head_link_close(link, 1000);
        ngx_http_blockcast_link_fail(&link->base,
                                     "the node refuses the message: %s",
                                     error);
        return;
    }

    n = ngx_http_blockcast_head_of(run, &msg);

    if (msg.kind == BC_HEAD_MSG_REPLY && n != -1
        && !run->subscriptions[n].answered)
    {
        ngx_http_blockcast_head_answered(run, n, &msg);
        return;
    }

    record = ngx_http_blockcast_head_status_record(run->bmcf->zone, run->head);
    (void) ngx_atomic_fetch_add(&record->messages, 1);

    ngx_http_blockcast_head_poke(run, n,
                                 msg.result.data != NULL ? &msg.result : NULL);
}


/* Returns the index of our message that a node's message refers to, or -1. */

static ngx_int_t
ngx_http_blockcast_head_of(ngx_http_blockcast_head_run_t *run,
    bc_head_msg_t *msg)
{
    bc_span_t                                id;
    ngx_uint_t                               i;
    ngx_http_blockcast_head_message_t       *message;
    ngx_http_blockcast_head_subscription_t  *sub;

    message = run->head->messages.elts;

    for (i = 0; i < run->head->messages.nelts; i++) {
        sub = &run->subscriptions[i];

        if (msg->kind == BC_HEAD_MSG_REPLY) {
            id.data = message[i].id.len ? message[i].id.data : NULL;
            id.len = message[i].id.len;

            if (bc_head_msg_same(id, msg->id)) {
                return i;
            }

        } else {
            id.data = sub->len ? sub->id : NULL;
            id.len = sub->len;

            if (bc_head_msg_same(id, msg->subscription)) {
                return i;
            }
        }
    }

    /* it names no subscription, or comes before the answer that names ours */

    if (run->head->messages.nelts == 1
        && msg->kind != BC_HEAD_MSG_REPLY
        && (msg->subscription.data == NULL || run->subscriptions[0].len == 0))
    {
        return 0;
    }

    return -1;
}


/* Reads the answer to message n: the id of the subscription. */

static void
ngx_http_blockcast_head_answered(ngx_http_blockcast_head_run_t *run,
    ngx_uint_t n, bc_head_msg_t *msg)
{
    ngx_http_blockcast_head_subscription_t  *sub;

    sub = &run->subscriptions[n];
    sub->answered = 1;

    if (msg->result.data != NULL && msg->result.len <= sizeof(sub->id)) {
        sub->len = msg->result.len;
        ngx_memcpy(sub->id, msg->result.data, sub->len);
    }

    if (--run->unanswered == 0) {
        ngx_http_blockcast_head_live(run);
    }
}


/* Polls the streams that depend on this message; -1: on any message. */

static void
ngx_http_blockcast_head_poke(ngx_http_blockcast_head_run_t *run,
    ngx_int_t message, bc_span_t *result)
{
    ngx_str_t                      text;
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **st;

    ngx_str_null(&text);

    if (result != NULL) {
        text.data = (u_char *) result->data;
        text.len = result->len;
    }

    st = run->bmcf->streams.elts;

    for (i = 0; i < run->bmcf->streams.nelts; i++) {

        if (st[i]->node != run->head->node || !st[i]->head
            || (message != -1 && st[i]->head_message != -1
                && st[i]->head_message != message))
        {
            continue;
        }

        /* use the result only if it is of the stream's own message */

        ngx_http_blockcast_poller_head(st[i],
                        (st[i]->head_call != -1 && text.len != 0
                         && (message == st[i]->head_message
                             || st[i]->head_message == -1))
                        ? &text : NULL);
    }

    ngx_http_blockcast_poller_kick();
}


/* Handles a connection that is over, or was not made: tries again later. */

static void
ngx_http_blockcast_head_lost(ngx_http_blockcast_head_link_t *link,
    ngx_str_t *reason)
{
    u_char                             text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    u_char                             cut[NGX_HTTP_BLOCKCAST_HEAD_ERROR];
    ngx_str_t                          shown, brief;
    ngx_uint_t                         n;
    ngx_msec_t                         delay;
    ngx_http_blockcast_head_t         *head;
    ngx_http_blockcast_head_run_t     *run;
    ngx_http_blockcast_head_record_t  *record;

    run = link->data;
    head = run->head;

    ngx_http_blockcast_head_status_disown(run->bmcf->zone, head);

    record = ngx_http_blockcast_head_status_record(run->bmcf->zone, head);
    (void) ngx_atomic_fetch_add(&record->losses, 1);

    if (run->live
        && ngx_current_msec - run->connected >= NGX_HTTP_BLOCKCAST_HEAD_GOOD)
    {
        run->failures = 0;
    }

    run->live = 0;

    /* spread the tries of many gateways after the node is back */

    delay = NGX_HTTP_BLOCKCAST_HEAD_LEAST << ngx_min(run->failures, 6);
    delay = ngx_min(delay, NGX_HTTP_BLOCKCAST_HEAD_MOST);

    delay = NGX_HTTP_BLOCKCAST_HEAD_LEAST
            + (ngx_msec_t) ngx_random()
              % (delay - NGX_HTTP_BLOCKCAST_HEAD_LEAST / 2);
    delay = ngx_min(delay, NGX_HTTP_BLOCKCAST_HEAD_MOST);

    run->failures++;

    /* the reason may quote the node: make it one printable line */

    shown = *reason;
    ngx_http_blockcast_gate_printable(&shown, text, sizeof(text));

    brief = *reason;
    ngx_http_blockcast_gate_printable(&brief, cut, sizeof(cut));

    ngx_http_blockcast_head_status_write(run->bmcf->zone, head,
                                         ngx_http_blockcast_head_is_lost,
                                         &brief);

    if (ngx_http_blockcast_log_throttle(&run->repeat, &shown, &n)) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: the head of node \"%V\" at %V is lost: %V; "
                      "its streams are polled as before, and it is tried "
                      "again in %M ms", &head->node->name, &head->peer, &shown,
                      delay);
    }

    ngx_http_blockcast_head_later(run, delay);
}
