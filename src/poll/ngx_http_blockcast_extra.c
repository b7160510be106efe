
/*
 * Extra rounds: polls of a stream out of turn, because a hook (blockcast_poke)
 * or the node's head says that something has happened at the node.
 *
 * Pokes are counted in the zone: any worker increments the counter, and the
 * poller compares it with the last value it saw.  Pokes that come before the
 * round has started are folded into it.  Those that come during a round cause
 * another one, as the node may have answered already.
 */


#include "ngx_http_blockcast_extra.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_cluster.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_poll.h"
#include "ngx_http_blockcast_poller.h"


/*
 * When a round has brought nothing new it is repeated, so long after the poke
 * (msec): a node behind a balancer may lag.
 */
static const ngx_msec_t  ngx_http_blockcast_extra_again[] = { 100, 300 };

#define NGX_HTTP_BLOCKCAST_EXTRA_TRIES  2

/* how many results of a head may wait for their rounds, in a log */
#define NGX_HTTP_BLOCKCAST_EXTRA_GIVEN  64


typedef struct {
    ngx_queue_t                   queue;
    size_t                        len;
    u_char                        data[1];
} ngx_http_blockcast_extra_given_t;


static void ngx_http_blockcast_extra_ask(ngx_http_blockcast_poll_t *poll);
static void ngx_http_blockcast_extra_take_up(ngx_http_blockcast_poll_t *poll);
static ngx_uint_t ngx_http_blockcast_extra_each(
    ngx_http_blockcast_poll_t *poll);
static void ngx_http_blockcast_extra_forget(ngx_http_blockcast_poll_t *poll);


const char *
ngx_http_blockcast_extra_poke(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st, ngx_uint_t *wake)
{
    ngx_msec_t                           attempted;
    const char                          *why;
    ngx_http_blockcast_slot_t           *slot;
    ngx_http_blockcast_node_status_t     status;
    ngx_http_blockcast_node_counters_t  *counters;

    slot = st->slot;

    if (bmcf->zone->sh->role == ngx_http_blockcast_follower) {
        return "another nginx polls, with the same state file";
    }

    if (bmcf->cluster != NULL && !bmcf->zone->sh->cluster.leads) {

        /* pass it on to the leader, which knows whether there are listeners */

        why = ngx_http_blockcast_cluster_no_poke(bmcf);

        if (why == NULL) {
            (void) ngx_atomic_fetch_add(&slot->pokes, 1);
            *wake = 1;
        }

        return why;
    }

    /*
     * Only the poller knows whether another nginx follows, which wants every
     * stream, and which streams other gateways of a cluster want.
     */

    attempted = slot->attempted;

    if (!ngx_http_blockcast_poller_wanted(bmcf, st)
        && ((bmcf->journal == NULL && bmcf->cluster == NULL)
            || attempted == 0
            || ngx_current_msec - attempted > 2 * st->interval))
    {
        (void) ngx_atomic_fetch_add(&slot->pokes_dropped, 1);
        return "nobody listens";
    }

    if (ngx_http_blockcast_node_status_read(bmcf->zone, &st->node->name,
                                            &status, &counters)
        == NGX_OK
        && status.health != ngx_http_blockcast_node_ok)
    {
        (void) ngx_atomic_fetch_add(&slot->pokes_dropped, 1);

        return (status.health == ngx_http_blockcast_node_limited)
               ? "the node is limited" : "the node is down";
    }

    /* count first, then read poke_due: the poller does it in reverse */

    (void) ngx_atomic_fetch_add(&slot->pokes, 1);
    ngx_memory_barrier();

    if (slot->poke_due == 0) {
        *wake = 1;
    }

    return NULL;
}


void
ngx_http_blockcast_extra_reset(ngx_http_blockcast_poll_t *poll)
{
    ngx_http_blockcast_extra_forget(poll);

    ngx_memzero(&poll->extra, sizeof(ngx_http_blockcast_extra_t));
    ngx_queue_init(&poll->extra.given);

    poll->stream->slot->poke_due = 0;
}


/* Frees the results that wait. */

static void
ngx_http_blockcast_extra_forget(ngx_http_blockcast_poll_t *poll)
{
    ngx_queue_t                       *q;
    ngx_http_blockcast_extra_given_t  *given;

    if (poll->extra.given.next == NULL) {
        return;
    }

    while (!ngx_queue_empty(&poll->extra.given)) {
        q = ngx_queue_head(&poll->extra.given);
        ngx_queue_remove(q);

        given = ngx_queue_data(q, ngx_http_blockcast_extra_given_t, queue);
        ngx_free(given);
    }

    poll->extra.ngiven = 0;
}


/*
 * Returns true when each result of the head gets a round of its own, which
 * makes no call.
 */

static ngx_uint_t
ngx_http_blockcast_extra_each(ngx_http_blockcast_poll_t *poll)
{
    return poll->stream->field.len != 0 && poll->ncalls == 1;
}


void
ngx_http_blockcast_extra_head(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *result)
{
    ngx_uint_t                         most, n;
    ngx_str_t                          text;
    ngx_http_blockcast_slot_t         *slot;
    ngx_http_blockcast_extra_t        *extra;
    ngx_http_blockcast_extra_given_t  *given;

    slot = poll->stream->slot;
    extra = &poll->extra;

    if (result != NULL && result->len != 0
        && (poll->stream->jq == NULL
            || ngx_http_blockcast_jq_reads(result, 0))
        && ngx_http_blockcast_poller_wanted(poll->bmcf, poll->stream))
    {
        /* a snapshot needs the newest result only */

        most = ngx_http_blockcast_extra_each(poll)
               ? NGX_HTTP_BLOCKCAST_EXTRA_GIVEN : 1;

        if (extra->ngiven == most) {
            given = ngx_queue_data(ngx_queue_head(&extra->given),
                                   ngx_http_blockcast_extra_given_t, queue);
            ngx_queue_remove(&given->queue);
            ngx_free(given);
            extra->ngiven--;

            ngx_str_set(&text, "too many results of the head at once");

            if (most != 1
                && ngx_http_blockcast_log_throttle(&extra->repeat, &text, &n))
            {
                ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                              "blockcast: stream \"%V\" leaves out results of "
                              "its node's head: more than %ui wait",
                              &poll->stream->name, most);
            }
        }

        given = ngx_alloc(sizeof(ngx_http_blockcast_extra_given_t)
                          + result->len, ngx_cycle->log);

        /* without memory, call the node */

        if (given != NULL) {
            given->len = result->len;
            ngx_memcpy(given->data, result->data, result->len);

            ngx_queue_insert_tail(&extra->given, &given->queue);
            extra->ngiven++;
        }
    }

    if (extra->wanted && extra->tries == 0) {
        (void) ngx_atomic_fetch_add(&slot->pokes_folded, 1);
    }

    ngx_http_blockcast_extra_ask(poll);
}


/* Schedules a round: now, or when the last extra one is long enough ago. */

static void
ngx_http_blockcast_extra_ask(ngx_http_blockcast_poll_t *poll)
{
    ngx_msec_t                   now, apart;
    ngx_http_blockcast_extra_t  *extra;

    extra = &poll->extra;
    now = ngx_current_msec;

    apart = (extra->ngiven != 0 && ngx_http_blockcast_extra_each(poll))
            ? 0 : poll->stream->apart;

    if (!extra->wanted || extra->tries != 0) {
        extra->seq = poll->stream->slot->seq;
        extra->poked = now;
        extra->tries = 0;
        extra->wanted = 1;
    }

    extra->due = (extra->rounds != 0 && now - extra->last < apart)
                 ? extra->last + apart : now;

    /* nonzero: no other poke wakes this worker before the round starts */

    poll->stream->slot->poke_due = extra->due | 1;
}


/* Counts the pokes that have come since the last look. */

static void
ngx_http_blockcast_extra_take_up(ngx_http_blockcast_poll_t *poll)
{
    ngx_atomic_uint_t            n, pokes;
    ngx_http_blockcast_slot_t   *slot;
    ngx_http_blockcast_extra_t  *extra;

    slot = poll->stream->slot;
    extra = &poll->extra;

    pokes = slot->pokes;
    n = pokes - slot->pokes_taken;

    if (n == 0) {
        return;
    }

    slot->pokes_taken = pokes;

    if (!extra->wanted || extra->tries != 0) {
        n--;
        ngx_http_blockcast_extra_ask(poll);
    }

    if (n != 0) {
        (void) ngx_atomic_fetch_add(&slot->pokes_folded, n);
    }
}


ngx_uint_t
ngx_http_blockcast_extra_pending(ngx_http_blockcast_poll_t *poll,
    ngx_msec_t *when)
{
    ngx_uint_t                  i;
    ngx_http_blockcast_poll_call_t  *call;

    ngx_http_blockcast_extra_take_up(poll);

    if (!poll->extra.wanted) {
        return 0;
    }

    if (poll->stream->node->health != ngx_http_blockcast_node_ok) {
        ngx_http_blockcast_extra_drop(poll);
        return 0;
    }

    for (i = 0; i < poll->ncalls; i++) {
        call = &poll->calls[i];

        if (call->limited != 0
            && (ngx_msec_int_t) (call->resume - ngx_current_msec) > 0)
        {
            /* the node limits this call */

            ngx_http_blockcast_extra_drop(poll);
            return 0;
        }
    }

    *when = poll->extra.due;

    return 1;
}


void
ngx_http_blockcast_extra_drop(ngx_http_blockcast_poll_t *poll)
{
    ngx_http_blockcast_slot_t   *slot;
    ngx_http_blockcast_extra_t  *extra;

    slot = poll->stream->slot;
    extra = &poll->extra;

    if (extra->wanted && extra->tries == 0) {
        (void) ngx_atomic_fetch_add(&slot->pokes_dropped, 1);
    }

    extra->wanted = 0;
    slot->poke_due = 0;

    ngx_http_blockcast_extra_forget(poll);
}


void
ngx_http_blockcast_extra_begin(ngx_http_blockcast_poll_t *poll)
{
    u_char                            *p;
    ngx_http_blockcast_slot_t         *slot;
    ngx_http_blockcast_extra_t        *extra;
    ngx_http_blockcast_extra_given_t  *given;

    slot = poll->stream->slot;
    extra = &poll->extra;

    ngx_str_null(&extra->result);

    if (!extra->wanted && slot->pokes == slot->pokes_taken) {
        return;
    }

    slot->poke_due = 0;
    ngx_memory_barrier();

    /* this round serves all pokes so far */

    ngx_http_blockcast_extra_take_up(poll);

    slot->poke_due = 0;

    extra->wanted = 0;
    extra->running = 1;
    extra->last = ngx_current_msec;
    extra->rounds++;

    (void) ngx_atomic_fetch_add(&slot->polls_extra, 1);

    if (extra->ngiven == 0) {
        return;
    }

    given = ngx_queue_data(ngx_queue_head(&extra->given),
                           ngx_http_blockcast_extra_given_t, queue);

    p = ngx_pnalloc(poll->pool, given->len);

    if (p != NULL) {
        ngx_memcpy(p, given->data, given->len);

        extra->result.data = p;
        extra->result.len = given->len;
    }

    ngx_queue_remove(&given->queue);
    ngx_free(given);
    extra->ngiven--;
}


void
ngx_http_blockcast_extra_end(ngx_http_blockcast_poll_t *poll)
{
    ngx_msec_t                   due;
    ngx_uint_t                   given;
    ngx_http_blockcast_extra_t  *extra;

    extra = &poll->extra;

    given = (extra->result.len != 0);
    ngx_str_null(&extra->result);

    if (!extra->running) {
        return;
    }

    extra->running = 0;

    if (extra->ngiven != 0 && !extra->wanted) {
        ngx_http_blockcast_extra_ask(poll);
        return;
    }

    if (extra->wanted || given
        || poll->stream->slot->seq != extra->seq
        || extra->tries == NGX_HTTP_BLOCKCAST_EXTRA_TRIES)
    {
        return;
    }

    due = extra->poked + ngx_http_blockcast_extra_again[extra->tries];

    if ((ngx_msec_int_t) (due - extra->last - poll->stream->apart) < 0) {
        due = extra->last + poll->stream->apart;
    }

    extra->tries++;
    extra->due = due;
    extra->wanted = 1;
}
