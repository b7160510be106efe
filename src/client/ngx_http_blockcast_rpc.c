
/*
 * The JSON-RPC endpoint: the requests of chain libraries, over WebSocket and
 * by POST.
 *
 * blockcast_rpc_subscription maps methods that subscribe to streams; the other
 * methods go to the node if blockcast_rpc_allow allows them.
 */


#include "ngx_http_blockcast_rpc.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_conf.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_hub_load.h"
#include "ngx_http_blockcast_notify.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast_key_form.h"
#include "ngx_http_blockcast_rpc_lane.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_log_filter.h"
#include "bc_rpc_request.h"
#include "bc_ws_frame.h"


/*
 * how long to wait for the first poll of a stream, and how often to check
 * (msec)
 */
#define NGX_HTTP_BLOCKCAST_RPC_PATIENCE  3000
#define NGX_HTTP_BLOCKCAST_RPC_LOOK      10


/*
 * A subscription to a stream that was not polled for a while.  It is answered
 * after the first poll, so that the client gets everything newer than that
 * poll and nothing older.
 */

typedef struct {
    ngx_queue_t                   queue;
    ngx_http_blockcast_conn_t    *conn;
    ngx_http_blockcast_hub_t     *hub;
    ngx_http_blockcast_rpc_group_t  *group;
    ngx_uint_t                    i;
    ngx_msec_t                    since;
    bc_span_t                     request;      /* its id */
    ngx_str_t                     id;           /* that of the subscription */
    ngx_http_blockcast_rpc_id_e   kind;
} ngx_http_blockcast_rpc_wait_t;


static ngx_http_blockcast_notify_session_t *ngx_http_blockcast_rpc_session(
    ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_rpc_wait_handler(ngx_event_t *ev);
static void ngx_http_blockcast_rpc_deliver(void *owner,
    ngx_http_blockcast_rpc_group_t *group);


static ngx_queue_t       ngx_http_blockcast_rpc_waits;
static ngx_event_t       ngx_http_blockcast_rpc_wait_event;
static ngx_connection_t  ngx_http_blockcast_rpc_dummy;

static const bc_span_t  ngx_http_blockcast_rpc_null = {
    (const uint8_t *) "null", 4
};


void
ngx_http_blockcast_rpc_message(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len)
{
    ngx_http_blockcast_notify_session_t  *session;

    session = ngx_http_blockcast_rpc_session(conn);

    if (session == NULL) {
        ngx_http_blockcast_client_close(conn, 1013, "no memory");
        return;
    }

    if (ngx_http_blockcast_rpc_execute(session->lane, conn, data, len)
        != NGX_OK)
    {
        ngx_http_blockcast_client_close(conn, 1013, "no memory");
    }
}


/* Returns the state of this endpoint in a connection, made on first use. */

static ngx_http_blockcast_notify_session_t *
ngx_http_blockcast_rpc_session(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_notify_session_t  *session;

    if (conn->session != NULL) {
        return conn->session;
    }

    session = ngx_calloc(sizeof(ngx_http_blockcast_notify_session_t),
                         ngx_cycle->log);
    if (session == NULL) {
        return NULL;
    }

    session->lane = ngx_http_blockcast_rpc_lane_create(conn->conf->rpc, conn,
                                              ngx_http_blockcast_rpc_deliver);
    if (session->lane == NULL) {
        ngx_free(session);
        return NULL;
    }

    conn->session = session;

    return session;
}


static void
ngx_http_blockcast_rpc_free_sub(ngx_http_blockcast_notify_sub_t *rsub)
{
    ngx_free(rsub->id.data);
}


/* Frees the subscriptions of a client that has left while they waited. */

static void
ngx_http_blockcast_rpc_wait_drop(ngx_http_blockcast_conn_t *conn)
{
    ngx_queue_t                     *q, *next;
    ngx_http_blockcast_rpc_wait_t   *w;
    ngx_http_blockcast_rpc_group_t  *group;

    if (ngx_http_blockcast_rpc_waits.next == NULL) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_blockcast_rpc_waits);
         q != ngx_queue_sentinel(&ngx_http_blockcast_rpc_waits);
         q = next)
    {
        next = ngx_queue_next(q);
        w = ngx_queue_data(q, ngx_http_blockcast_rpc_wait_t, queue);

        if (w->conn == conn) {
            group = w->group;

            ngx_queue_remove(q);
            ngx_free(w);

            ngx_http_blockcast_rpc_group_end(group);
        }
    }
}


/* Queues a subscription to be answered later.  NGX_ERROR without memory. */

static ngx_int_t
ngx_http_blockcast_rpc_wait(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, ngx_http_blockcast_conn_t *conn, bc_rpc_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_notify_sub_t *rsub)
{
    u_char                         *p;
    ngx_event_t                    *ev;
    ngx_http_blockcast_rpc_wait_t  *w;

    w = ngx_alloc(sizeof(ngx_http_blockcast_rpc_wait_t) + r->id.len
                  + rsub->id.len, ngx_cycle->log);
    if (w == NULL) {
        return NGX_ERROR;
    }

    w->conn = conn;
    w->hub = hub;
    w->group = group;
    w->i = i;
    w->since = ngx_current_msec;
    w->kind = rsub->rule->id;

    p = (u_char *) w + sizeof(ngx_http_blockcast_rpc_wait_t);

    w->request.data = p;
    w->request.len = r->id.len;

    if (r->id.len != 0) {
        p = ngx_cpymem(p, r->id.data, r->id.len);
    }

    w->id.data = p;
    w->id.len = rsub->id.len;
    ngx_memcpy(p, rsub->id.data, rsub->id.len);

    group->left++;

    if (ngx_http_blockcast_rpc_waits.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_rpc_waits);
    }

    ngx_queue_insert_tail(&ngx_http_blockcast_rpc_waits, &w->queue);

    ev = &ngx_http_blockcast_rpc_wait_event;

    if (!ev->timer_set) {
        ngx_http_blockcast_rpc_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_blockcast_rpc_wait_handler;
        ev->data = &ngx_http_blockcast_rpc_dummy;
        ev->log = ngx_cycle->log;
        ev->cancelable = 1;

        ngx_add_timer(ev, NGX_HTTP_BLOCKCAST_RPC_LOOK);
    }

    return NGX_OK;
}


/* Takes the next subscription whose stream has been polled by now. */

static ngx_http_blockcast_rpc_wait_t *
ngx_http_blockcast_rpc_wait_next(void)
{
    ngx_int_t                       age;
    ngx_msec_t                      waited;
    ngx_queue_t                    *q;
    ngx_http_blockcast_rpc_wait_t  *w;

    for (q = ngx_queue_head(&ngx_http_blockcast_rpc_waits);
         q != ngx_queue_sentinel(&ngx_http_blockcast_rpc_waits);
         q = ngx_queue_next(q))
    {
        w = ngx_queue_data(q, ngx_http_blockcast_rpc_wait_t, queue);

        waited = ngx_current_msec - w->since;
        age = ngx_http_blockcast_hub_age(w->hub);

        if ((age != -1 && (ngx_msec_t) age < waited)
            || waited > NGX_HTTP_BLOCKCAST_RPC_PATIENCE)
        {
            ngx_queue_remove(q);
            return w;
        }
    }

    return NULL;
}


/*
 * Returns the seq of what is newest for a client that comes now, also while it
 * is being copied to this worker; 0: there is no data.
 */

static uint64_t
ngx_http_blockcast_rpc_seq(ngx_http_blockcast_hub_t *hub)
{
    uint64_t  seq;

    seq = ngx_http_blockcast_hub_load_seq(hub);

    if (seq != 0) {
        return seq;
    }

    return (hub->newest != NULL) ? hub->snap.seq : 0;
}


static void
ngx_http_blockcast_rpc_wait_handler(ngx_event_t *ev)
{
    ngx_str_t                             result;
    ngx_uint_t                            n;
    ngx_http_blockcast_conn_t            *conn;
    ngx_http_blockcast_rpc_wait_t        *w;
    ngx_http_blockcast_rpc_group_t       *group;
    ngx_http_blockcast_notify_session_t  *session;

    while ((w = ngx_http_blockcast_rpc_wait_next()) != NULL) {

        conn = w->conn;
        session = conn->session;
        group = w->group;

        ngx_http_blockcast_hub_refresh(w->hub);

        for (n = 0; n < conn->nsubs; n++) {

            if (conn->subs[n].hub == w->hub && session->subs[n].held
                && session->subs[n].id.len == w->id.len
                && ngx_memcmp(session->subs[n].id.data, w->id.data, w->id.len)
                   == 0)
            {
                conn->subs[n].seq = ngx_http_blockcast_rpc_seq(w->hub);
            }
        }

        if (w->kind == ngx_http_blockcast_rpc_id_request) {
            ngx_str_set(&result, "{}");

        } else {
            result = w->id;
        }

        ngx_http_blockcast_rpc_group_result(group, w->i, w->request, &result);
        ngx_free(w);

        ngx_http_blockcast_rpc_group_end(group);
    }

    if (!ngx_queue_empty(&ngx_http_blockcast_rpc_waits)) {
        ngx_add_timer(ev, NGX_HTTP_BLOCKCAST_RPC_LOOK);
    }
}


void
ngx_http_blockcast_rpc_leave(ngx_http_blockcast_conn_t *conn)
{
    ngx_uint_t                            i;
    ngx_http_blockcast_notify_session_t  *session;

    session = conn->session;

    if (session == NULL) {
        return;
    }

    for (i = 0; i < conn->nsubs; i++) {
        ngx_http_blockcast_notify_end(&conn->subs[i]);
        ngx_http_blockcast_rpc_free_sub(&session->subs[i]);
    }

    conn->session = NULL;

    ngx_http_blockcast_rpc_lane_leave(session->lane);
    ngx_http_blockcast_rpc_wait_drop(conn);

    if (session->subs != NULL) {
        ngx_free(session->subs);
    }

    ngx_free(session);
}


/*
 * Sends the answers to a message, then the notifications held back for them.
 */

static void
ngx_http_blockcast_rpc_deliver(void *owner,
    ngx_http_blockcast_rpc_group_t *group)
{
    u_char                               *p;
    size_t                                len;
    ngx_uint_t                            i;
    ngx_http_blockcast_conn_t            *conn;
    ngx_http_blockcast_frame_t           *frame;
    ngx_http_blockcast_notify_session_t  *session;

    conn = owner;

    if (conn->dead || conn->closing) {
        return;
    }

    len = ngx_http_blockcast_rpc_group_len(group);

    if (len != 0) {
        frame = ngx_http_blockcast_frame_alloc(len);

        if (frame == NULL) {
            ngx_http_blockcast_client_close(conn, 1013, "no memory");
            return;
        }

        p = frame->data + frame->payload;

        ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                         ngx_http_blockcast_rpc_group_text(group, p) - p);

        ngx_http_blockcast_ws_send_queue(conn, frame);
    }

    if (!group->held) {
        return;
    }

    for (i = 0; !conn->dead && !conn->closing && i < conn->nsubs; i++) {
        session = conn->session;

        if (session->subs[i].held) {
            session->subs[i].held = 0;
            ngx_http_blockcast_ws_send_mark_pending(conn, &conn->subs[i]);
        }
    }
}


/* Makes room for one more subscription. */

static ngx_int_t
ngx_http_blockcast_rpc_grow(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_notify_session_t *session)
{
    ngx_uint_t                        n;
    ngx_http_blockcast_notify_sub_t  *rsubs;

    if (session->nalloc == conn->nsubs) {
        n = session->nalloc ? session->nalloc * 2 : 1;

        rsubs = ngx_alloc(n * sizeof(ngx_http_blockcast_notify_sub_t),
                          ngx_cycle->log);
        if (rsubs == NULL) {
            return NGX_ERROR;
        }

        if (session->subs != NULL) {
            ngx_memcpy(rsubs, session->subs,
                       conn->nsubs * sizeof(ngx_http_blockcast_notify_sub_t));
            ngx_free(session->subs);
        }

        session->subs = rsubs;
        session->nalloc = n;
    }

    return ngx_http_blockcast_client_reserve(conn);
}


/* Makes a subscription's id in memory of ngx_alloc(), the caller's. */

static ngx_int_t
ngx_http_blockcast_rpc_make_id(ngx_http_blockcast_notify_session_t *session,
    ngx_http_blockcast_rpc_rule_t *rule, bc_span_t request, ngx_str_t *id)
{
    size_t  size;

    size = ngx_max(request.len, NGX_INT64_LEN + sizeof("\"0x\""));

    id->data = ngx_alloc(size, ngx_cycle->log);
    if (id->data == NULL) {
        return NGX_ERROR;
    }

    session->next_id++;

    switch (rule->id) {

    case ngx_http_blockcast_rpc_id_number:
        id->len = ngx_sprintf(id->data, "%uL", session->next_id) - id->data;
        break;

    case ngx_http_blockcast_rpc_id_string:
        id->len = ngx_sprintf(id->data, "\"%uL\"", session->next_id)
                  - id->data;
        break;

    case ngx_http_blockcast_rpc_id_request:
        id->len = ngx_cpymem(id->data, request.data, request.len) - id->data;
        break;

    default:
        id->len = ngx_sprintf(id->data, "\"0x%xL\"", session->next_id)
                  - id->data;
    }

    return NGX_OK;
}


/* Reads the second param as a filter.  NGX_DECLINED: an error was sent. */

static ngx_int_t
ngx_http_blockcast_rpc_filter(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_rpc_request_t *r, bc_log_filter_t **filter)
{
    bc_span_t        key, value;
    const char      *why;
    bc_json_iter_t   it;

    *filter = NULL;

    if (bc_json_array(&it, r->params) != 0
        || !bc_json_next(&it, &key, &value)
        || !bc_json_next(&it, &key, &value)
        || value.data[0] == 'n')
    {
        return NGX_OK;
    }

    *filter = bc_log_filter_logs(value, &why);

    if (*filter == NULL) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id,
                                    why ? BC_RPC_BAD_PARAMS : BC_RPC_FAILED,
                                    "%s", why ? why : "no memory");
        return NGX_DECLINED;
    }

    if (bc_log_filter_place(*filter) == NULL) {

        /* a filter that matches everything */

        bc_log_filter_free(*filter);
        *filter = NULL;
    }

    return NGX_OK;
}


/*
 * Reads the key among the params into buf, of NGX_HTTP_BLOCKCAST_KEY_LEN + 64
 * bytes.  False: there is none.
 */

static ngx_uint_t
ngx_http_blockcast_rpc_key(bc_rpc_request_t *r,
    ngx_http_blockcast_rpc_rule_t *rule, u_char *buf, ngx_str_t *key)
{
    size_t          len;
    bc_span_t       name, value;
    ngx_uint_t      n;
    bc_json_iter_t  it;

    ngx_memzero(&value, sizeof(bc_span_t));

    if (bc_json_array(&it, r->params) == 0) {

        for (n = 0; bc_json_next(&it, &name, &value); n++) {
            if (n == rule->key) {
                break;
            }

            value.data = NULL;
        }

    } else if (bc_json_object(&it, r->params) == 0) {

        while (bc_json_next(&it, &name, &value)) {

            if (rule->key_name.len == 0
                || (name.len == rule->key_name.len
                    && ngx_memcmp(name.data, rule->key_name.data, name.len)
                       == 0))
            {
                break;
            }

            value.data = NULL;
        }
    }

    if (value.data == NULL
        || bc_json_string(value, buf, NGX_HTTP_BLOCKCAST_KEY_LEN + 64, &len)
           == -1)
    {
        return 0;
    }

    key->data = buf;
    key->len = len;

    return 1;
}


/*
 * Returns the hub that a subscription is to: in a stream with keys, that of
 * the key among the params.  NULL: an error was sent.
 */

static ngx_http_blockcast_hub_t *
ngx_http_blockcast_rpc_hub(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, ngx_http_blockcast_conn_t *conn, bc_rpc_request_t *r,
    ngx_http_blockcast_rpc_rule_t *rule)
{
    u_char                           text[NGX_HTTP_BLOCKCAST_KEY_LEN + 64];
    ngx_http_blockcast_hub_t        *hub;
    ngx_http_blockcast_reject_t      reject;
    ngx_http_blockcast_key_claim_t   claim;

    if (!rule->keyed) {
        return ngx_http_blockcast_hub_of(rule->stream);
    }

    ngx_memzero(&claim, sizeof(ngx_http_blockcast_key_claim_t));

    if (!ngx_http_blockcast_rpc_key(r, rule, text, &claim.text)) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_BAD_PARAMS,
                                    "the params must have the %V, a string",
                                    &rule->stream->keys->name);
        return NULL;
    }

    hub = ngx_http_blockcast_key_access_conn(conn, rule->stream, &claim,
                                             &reject);

    if (hub == NULL) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id,
                                    ngx_strcmp(reject.code, "bad_key") == 0
                                    ? BC_RPC_BAD_PARAMS : BC_RPC_FAILED,
                                    "%s", reject.text);
    }

    return hub;
}


static void
ngx_http_blockcast_rpc_subscribe(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, ngx_http_blockcast_conn_t *conn, bc_rpc_request_t *r,
    ngx_http_blockcast_rpc_rule_t *rule)
{
    ngx_str_t                             id, result;
    ngx_int_t                             age;
    ngx_uint_t                            idle;
    bc_log_filter_t                      *filter;
    ngx_http_blockcast_hub_t             *hub;
    ngx_http_blockcast_sub_t             *sub;
    ngx_http_blockcast_stream_t          *st;
    ngx_http_blockcast_notify_sub_t      *rsub;
    ngx_http_blockcast_notify_session_t  *session;

    st = rule->stream;
    session = conn->session;

    if (!(conn->allowed & ((uint64_t) 1 << st->index))) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_FAILED,
                                    "this subscription is not open to you");
        return;
    }

    hub = ngx_http_blockcast_rpc_hub(group, i, conn, r, rule);

    if (hub == NULL) {
        return;
    }

    /* keys have their own limit, but a key may have several subscriptions */

    if (conn->nsubs >= conn->conf->max_subscriptions
        && (conn->nsubs - ngx_http_blockcast_key_access_count(conn)
            >= conn->conf->max_subscriptions
            || conn->nsubs >= conn->conf->max_subscriptions
                              + conn->conf->max_keys))
    {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_LIMITED,
                                    "no more than %ui subscriptions on one "
                                    "connection",
                                    conn->conf->max_subscriptions);
        return;
    }

    filter = NULL;

    if (rule->logs
        && ngx_http_blockcast_rpc_filter(group, i, r, &filter) != NGX_OK)
    {
        return;
    }

    if (ngx_http_blockcast_rpc_grow(conn, session) != NGX_OK
        || ngx_http_blockcast_rpc_make_id(session, rule, r->id, &id) != NGX_OK)
    {
        bc_log_filter_free(filter);
        goto no_memory;
    }

    age = ngx_http_blockcast_hub_age(hub);
    idle = (age == -1 || age > (ngx_int_t) (2 * st->interval));

    sub = &conn->subs[conn->nsubs];
    rsub = &session->subs[conn->nsubs];

    ngx_memzero(sub, sizeof(ngx_http_blockcast_sub_t));
    ngx_memzero(rsub, sizeof(ngx_http_blockcast_notify_sub_t));

    rsub->rule = rule;
    rsub->id = id;
    rsub->filter = filter;

    if ((filter != NULL
         ? ngx_http_blockcast_filtered_subscribe(hub, conn, conn->nsubs,
                                                 filter, &rule->result)
         : ngx_http_blockcast_hub_subscribe(hub, conn, conn->nsubs))
        != NGX_OK)
    {
        ngx_http_blockcast_rpc_free_sub(rsub);
        bc_log_filter_free(filter);
        goto no_memory;
    }

    conn->nsubs++;

    /* deliver newer data only, unless the client asks for the newest, too */

    sub->seq = ngx_http_blockcast_rpc_seq(hub);
    sub->last_status = hub->freshness;

    rsub->held = 1;
    rsub->first = rule->first;
    group->held = 1;

    ngx_http_blockcast_notify_begin(sub, rsub);

    if (rule->first && sub->seq != 0) {
        sub->seq--;

    } else {
        rsub->first = 0;
    }

    if (idle && !rule->first
        && ngx_http_blockcast_rpc_wait(group, i, conn, r, hub, rsub) == NGX_OK)
    {
        return;
    }

    if (rule->id == ngx_http_blockcast_rpc_id_request) {
        ngx_str_set(&result, "{}");
        ngx_http_blockcast_rpc_group_result(group, i, r->id, &result);
        return;
    }

    ngx_http_blockcast_rpc_group_result(group, i, r->id, &id);
    return;

no_memory:

    ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_FAILED,
                                       "no memory, try again later");
}


/* Returns true when a request to unsubscribe refers to this subscription. */

static ngx_uint_t
ngx_http_blockcast_rpc_means(ngx_http_blockcast_notify_sub_t *rsub,
    bc_rpc_request_t *r, bc_span_t param)
{
    size_t     len;
    u_char     text[BC_RPC_METHOD];
    ngx_str_t  said;

    if (rsub->rule->unsubscribe.len != r->method_len
        || ngx_memcmp(rsub->rule->unsubscribe.data, r->method, r->method_len)
           != 0)
    {
        return 0;
    }

    if (rsub->rule->id == ngx_http_blockcast_rpc_id_request) {

        /*
         * the param is the id of one subscription; without it, all are meant
         */

        return param.len == 0
               || (bc_json_string(param, text, sizeof(text), &len) == 0
                   && len == rsub->rule->param.len
                   && ngx_memcmp(text, rsub->rule->param.data, len) == 0);
    }

    if (param.len == rsub->id.len
        && ngx_memcmp(param.data, rsub->id.data, param.len) == 0)
    {
        return 1;
    }

    /* accept the id quoted in another way: 1 for "1" and "1" for 1 */

    said = rsub->id;

    if (said.data[0] == '"') {
        said.data++;
        said.len -= 2;
    }

    if (bc_json_string(param, text, sizeof(text), &len) == -1) {
        return param.len == said.len
               && ngx_memcmp(param.data, said.data, said.len) == 0;
    }

    return len == said.len && ngx_memcmp(text, said.data, len) == 0;
}


static void
ngx_http_blockcast_rpc_unsubscribe(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, ngx_http_blockcast_conn_t *conn, bc_rpc_request_t *r,
    ngx_http_blockcast_rpc_rule_t *rule)
{
    bc_span_t                             param;
    ngx_str_t                             result;
    ngx_uint_t                            n, left;
    ngx_http_blockcast_sub_t             *sub;
    ngx_http_blockcast_notify_session_t  *session;

    session = conn->session;
    left = 0;
    n = 0;

    ngx_memzero(&param, sizeof(bc_span_t));

    if (!bc_rpc_param(r->params, rule->member.len
                                 ? (char *) rule->member.data : NULL, &param)
        && rule->id != ngx_http_blockcast_rpc_id_request)
    {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_BAD_PARAMS,
                                    "params must be [SUBSCRIPTION]");
        return;
    }

    while (n < conn->nsubs) {

        if (!ngx_http_blockcast_rpc_means(&session->subs[n], r, param)) {
            n++;
            continue;
        }

        sub = &conn->subs[n];
        left++;

        ngx_http_blockcast_hub_leave(sub);

        if (sub->pending) {
            conn->npending--;
        }

        ngx_http_blockcast_notify_end(sub);
        ngx_http_blockcast_rpc_free_sub(&session->subs[n]);
        conn->nsubs--;

        if (n != conn->nsubs) {
            *sub = conn->subs[conn->nsubs];
            session->subs[n] = session->subs[conn->nsubs];
            ngx_http_blockcast_hub_moved(sub, n);
        }
    }

    if (rule->id == ngx_http_blockcast_rpc_id_request) {

        if (left == 0) {
            ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_FAILED,
                                               "there is no such subscription");
            return;
        }

        ngx_str_set(&result, "{}");

    } else if (left != 0) {
        ngx_str_set(&result, "true");

    } else {
        ngx_str_set(&result, "false");
    }

    ngx_http_blockcast_rpc_group_result(group, i, r->id, &result);
}


static ngx_uint_t
ngx_http_blockcast_rpc_is(ngx_str_t *name, bc_rpc_request_t *r)
{
    return name->len == r->method_len
           && ngx_memcmp(name->data, r->method, r->method_len) == 0;
}


/* Returns true when the first param is the one that a rule is for. */

static ngx_uint_t
ngx_http_blockcast_rpc_for(ngx_http_blockcast_rpc_rule_t *rule,
    bc_rpc_request_t *r)
{
    size_t     len;
    u_char     text[BC_RPC_METHOD];
    bc_span_t  param;

    if (rule->param.len == 0) {
        return 1;
    }

    return bc_rpc_param(r->params, rule->member.len
                                   ? (char *) rule->member.data : NULL, &param)
           && bc_json_string(param, text, sizeof(text), &len) == 0
           && len == rule->param.len
           && ngx_memcmp(text, rule->param.data, len) == 0;
}


static ngx_uint_t
ngx_http_blockcast_rpc_allowed(ngx_http_blockcast_rpc_conf_t *conf,
    bc_rpc_request_t *r)
{
    ngx_str_t   *pattern;
    ngx_uint_t   i;

    if (conf->allow == NULL) {
        return 0;
    }

    pattern = conf->allow->elts;

    for (i = 0; i < conf->allow->nelts; i++) {

        /* methods for the node's operator must be named in full */

        if (bc_rpc_match(pattern[i].data, pattern[i].len, r->method,
                         r->method_len)
            && (!bc_rpc_private(r->method, r->method_len)
                || bc_rpc_private(pattern[i].data, pattern[i].len)))
        {
            return 1;
        }
    }

    return 0;
}


/* Answers one request, or passes it on to the node. */

static void
ngx_http_blockcast_rpc_request(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, ngx_http_blockcast_conn_t *conn, bc_rpc_request_t *r)
{
    ngx_str_t                        name;
    ngx_uint_t                       n, known;
    ngx_http_blockcast_rpc_conf_t   *conf;
    ngx_http_blockcast_rpc_rule_t  **rules, *leave;

    if (r->wrong != NULL) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id,
                                           BC_RPC_INVALID_REQUEST, "%s",
                                           r->wrong);
        return;
    }

    if (ngx_http_blockcast_rpc_lane_pay(group, i, r) != NGX_OK) {
        return;
    }

    conf = group->lane->conf;
    known = 0;
    leave = NULL;

    name.data = r->method;
    name.len = r->method_len;

    rules = (conf->rules != NULL) ? conf->rules->elts : NULL;

    for (n = 0; conf->rules != NULL && n < conf->rules->nelts; n++) {

        if (ngx_http_blockcast_rpc_is(&rules[n]->unsubscribe, r)) {
            leave = rules[n];
        }

        if (!ngx_http_blockcast_rpc_is(&rules[n]->subscribe, r)) {
            continue;
        }

        known = 1;

        if (conn == NULL) {
            break;
        }

        if (ngx_http_blockcast_rpc_for(rules[n], r)) {
            ngx_http_blockcast_rpc_subscribe(group, i, conn, r, rules[n]);
            return;
        }
    }

    if ((known || leave != NULL) && conn == NULL) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_NO_METHOD,
                                    "notifications not supported: subscribe "
                                    "over WebSocket, at the same address");
        return;
    }

    if (leave != NULL) {
        ngx_http_blockcast_rpc_unsubscribe(group, i, conn, r, leave);
        return;
    }

    if (known) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_BAD_PARAMS,
                                    "there is no such subscription here: %V",
                                    &name);
        return;
    }

    if (!ngx_http_blockcast_rpc_allowed(conf, r)) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_NO_METHOD,
                                    "the method %V does not exist/is not "
                                    "available", &name);
        return;
    }

    ngx_http_blockcast_rpc_lane_ask(group, i, r);
}


/* Notes the keys of a message whose form has to be asked for. */

static void
ngx_http_blockcast_rpc_want(ngx_http_blockcast_rpc_conf_t *conf,
    const u_char *data, size_t len)
{
    u_char                            text[NGX_HTTP_BLOCKCAST_KEY_LEN + 64];
    ngx_str_t                         key;
    ngx_uint_t                        n;
    bc_rpc_message_t                  message;
    bc_rpc_request_t                  request;
    ngx_http_blockcast_rpc_rule_t   **rules;

    if (conf->rules == NULL) {
        return;
    }

    rules = conf->rules->elts;

    for (n = 0; n < conf->rules->nelts; n++) {
        if (rules[n]->keyed && rules[n]->stream->keys->form != NULL) {
            break;
        }
    }

    if (n == conf->rules->nelts) {
        return;
    }

    bc_rpc_message(&message, data, len);

    if (message.what == BC_RPC_NO_JSON || message.what == BC_RPC_EMPTY
        || (message.what == BC_RPC_BATCH && message.n > conf->limit.batch))
    {
        return;
    }

    while (bc_rpc_next(&message, &request)) {

        for (n = 0; request.wrong == NULL && n < conf->rules->nelts; n++) {

            if (ngx_http_blockcast_rpc_is(&rules[n]->subscribe, &request)
                && ngx_http_blockcast_rpc_for(rules[n], &request))
            {
                if (rules[n]->keyed
                    && ngx_http_blockcast_rpc_key(&request, rules[n], text,
                                                  &key))
                {
                    ngx_http_blockcast_key_form_want(rules[n]->stream, &key);
                }

                break;
            }
        }
    }
}


ngx_int_t
ngx_http_blockcast_rpc_execute(ngx_http_blockcast_rpc_lane_t *lane,
    ngx_http_blockcast_conn_t *conn, const u_char *data, size_t len)
{
    ngx_uint_t                       i, n, batch;
    bc_rpc_message_t                 message;
    bc_rpc_request_t                 request;
    ngx_http_blockcast_rpc_group_t  *group;

    if (conn != NULL) {
        ngx_http_blockcast_rpc_want(lane->conf, data, len);

        if (ngx_http_blockcast_key_form_wanted() != 0) {

            /* the message comes again */
            return NGX_OK;
        }
    }

    bc_rpc_message(&message, data, len);

    n = message.n;
    batch = (message.what == BC_RPC_BATCH && n <= lane->conf->limit.batch);

    if (!batch) {
        n = 1;
    }

    group = ngx_http_blockcast_rpc_group_begin(lane, n, batch);

    if (group == NULL) {
        return NGX_ERROR;
    }

    switch (message.what) {

    case BC_RPC_NO_JSON:
        ngx_http_blockcast_rpc_group_error(group, 0,
                                    ngx_http_blockcast_rpc_null, BC_RPC_PARSE,
                                    "the message is not valid JSON");
        break;

    case BC_RPC_EMPTY:
        ngx_http_blockcast_rpc_group_error(group, 0,
                                    ngx_http_blockcast_rpc_null,
                                    BC_RPC_INVALID_REQUEST,
                                    "the batch is empty");
        break;

    default:

        if (message.what == BC_RPC_BATCH && !batch) {
            ngx_http_blockcast_rpc_group_error(group, 0,
                                    ngx_http_blockcast_rpc_null,
                                    BC_RPC_INVALID_REQUEST,
                                    "the batch is larger than %ui requests",
                                    lane->conf->limit.batch);
            break;
        }

        for (i = 0; bc_rpc_next(&message, &request); i++) {

            if (lane->owner == NULL) {

                /* the client has left or was closed by the previous request */
                break;
            }

            ngx_http_blockcast_rpc_request(group, i, conn, &request);
        }
    }

    ngx_http_blockcast_rpc_group_end(group);

    return NGX_OK;
}
