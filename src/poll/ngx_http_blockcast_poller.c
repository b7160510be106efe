
/*
 * The poller: the one worker that polls the nodes, on behalf of all.
 *
 * The calls of a poll run side by side.  A call that hangs is given up after
 * its timeout, but stays in flight: it is not repeated until it ends.  The
 * results go through the stream's program and are published.
 */


#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_snapshot_recover.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_worker_record.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_replay.h"
#include "ngx_http_blockcast_cluster.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_breaker.h"
#include "ngx_http_blockcast_extra.h"
#include "ngx_http_blockcast_head.h"
#include "ngx_http_blockcast_inflight.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "ngx_http_blockcast_key_poll.h"
#include "ngx_http_blockcast_poll.h"


/* the shortest pause between two polls of a log that lags (msec) */
#define NGX_HTTP_BLOCKCAST_POLLER_REST  10


static void ngx_http_blockcast_poller_handler(ngx_event_t *ev);
static void ngx_http_blockcast_poller_start(void);
static void ngx_http_blockcast_poller_switch(void);
static void ngx_http_blockcast_poller_halt(void);
static void ngx_http_blockcast_poller_applied(void);
static ngx_uint_t ngx_http_blockcast_poller_wanted_here(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st);
static void ngx_http_blockcast_poller_poked(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st);
static void ngx_http_blockcast_poller_schedule(void);
static ngx_http_blockcast_poll_t *ngx_http_blockcast_poller_trial(
    ngx_http_blockcast_node_t *node);
static ngx_uint_t ngx_http_blockcast_poller_slowly(
    ngx_http_blockcast_stream_t *st, ngx_msec_t *when);
static ngx_msec_t ngx_http_blockcast_poller_next(ngx_msec_t interval);


static ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_poller_conf;
static ngx_http_blockcast_poll_t        *ngx_http_blockcast_poller_polls;
static ngx_uint_t                       ngx_http_blockcast_poller_npolls;
static ngx_uint_t                       ngx_http_blockcast_poller_active;

/* active and, in a cluster, this nginx leads */
static ngx_uint_t                       ngx_http_blockcast_poller_polling;
static ngx_msec_t                       ngx_http_blockcast_poller_reaped;
static ngx_event_t                      ngx_http_blockcast_poller_event;
static ngx_connection_t                 ngx_http_blockcast_poller_dummy;

static const ngx_http_blockcast_cluster_hooks_t
    ngx_http_blockcast_poller_hooks =
{
    ngx_http_blockcast_poller_switch,
    ngx_http_blockcast_poller_applied,
    ngx_http_blockcast_poller_wanted_here,
    ngx_http_blockcast_poller_poked
};


ngx_int_t
ngx_http_blockcast_poller_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     i;
    ngx_http_blockcast_poll_t     *polls;
    ngx_http_blockcast_stream_t  **st;

    polls = ngx_pcalloc(cycle->pool, bmcf->streams.nelts
                                    * sizeof(ngx_http_blockcast_poll_t));
    if (polls == NULL) {
        return NGX_ERROR;
    }

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (ngx_http_blockcast_poll_init(cycle, bmcf, &polls[i], st[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    ngx_http_blockcast_poller_conf = bmcf;
    ngx_http_blockcast_poller_polls = polls;
    ngx_http_blockcast_poller_npolls = bmcf->streams.nelts;

    if (ngx_http_blockcast_key_poll_init(cycle, bmcf, polls) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_hub_on_demand(ngx_http_blockcast_poller_kick);
    ngx_http_blockcast_breaker_init(bmcf);

    ngx_http_blockcast_poller_dummy.fd = (ngx_socket_t) -1;

    ngx_http_blockcast_poller_event.handler = ngx_http_blockcast_poller_handler;
    ngx_http_blockcast_poller_event.data = &ngx_http_blockcast_poller_dummy;
    ngx_http_blockcast_poller_event.log = cycle->log;
    ngx_http_blockcast_poller_event.cancelable = 1;

    return ngx_http_blockcast_cluster_init(cycle, bmcf,
                                           &ngx_http_blockcast_poller_hooks);
}


void
ngx_http_blockcast_poller_tick(void)
{
    ngx_int_t   rc;
    ngx_uint_t  taken;

    if (ngx_http_blockcast_poller_npolls == 0) {
        return;
    }

    rc = ngx_http_blockcast_lease_hold(ngx_http_blockcast_poller_conf->zone,
                                       &taken);

    if (rc != NGX_OK) {

        if (ngx_http_blockcast_poller_active) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: another worker polls now");

            ngx_http_blockcast_poller_stop(0);
        }

        return;
    }

    if (!ngx_http_blockcast_journal_lead(ngx_http_blockcast_poller_conf)) {
        ngx_http_blockcast_poller_stop(0);
        return;
    }

    if (!ngx_http_blockcast_poller_active) {
        ngx_http_blockcast_poller_active = 1;

        if (ngx_http_blockcast_poller_conf->cluster != NULL) {

            /* a worker may have died while it replayed entries */

            ngx_http_blockcast_journal_replay_forget(
                                        ngx_http_blockcast_poller_conf->zone);
        }

        ngx_http_blockcast_poller_switch();
        ngx_http_blockcast_journal_begin(ngx_http_blockcast_poller_conf);
    }

    ngx_http_blockcast_cluster_tick(ngx_http_blockcast_poller_conf);
    ngx_http_blockcast_journal_tick(ngx_http_blockcast_poller_conf);

    if (ngx_current_msec - ngx_http_blockcast_poller_reaped > 1000) {
        ngx_http_blockcast_poller_reaped = ngx_current_msec;

        ngx_http_blockcast_worker_record_reap(
                                        ngx_http_blockcast_poller_conf->zone,
                                        ngx_cycle->log);
    }

    ngx_http_blockcast_key_poll_tick();

    /* look for streams that are wanted by now, or no longer */

    ngx_http_blockcast_poller_switch();
}


/* Starts, continues or stops polling, depending on the cluster. */

static void
ngx_http_blockcast_poller_switch(void)
{
    if (!ngx_http_blockcast_poller_active) {
        return;
    }

    if (!ngx_http_blockcast_cluster_leads(ngx_http_blockcast_poller_conf)) {
        ngx_http_blockcast_poller_halt();
        ngx_http_blockcast_cluster_demand(ngx_http_blockcast_poller_conf);
        return;
    }

    if (!ngx_http_blockcast_poller_polling) {
        ngx_http_blockcast_poller_polling = 1;

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: this worker polls now");

        ngx_http_blockcast_poller_start();
    }

    ngx_http_blockcast_poller_schedule();
}


/*
 * Sends new data, which the cluster's log has brought into the zone, to all
 * clients.
 */

static void
ngx_http_blockcast_poller_applied(void)
{
    /*
     * Now rather than on the next tick: a poll before that would leave out
     * entries that are known from the previous epoch.
     */

    ngx_http_blockcast_hub_notice_epoch();

    ngx_http_blockcast_worker_notify_others(ngx_http_blockcast_poller_conf);
    ngx_http_blockcast_fanout_update_all();
}


/* Continues the previous poller's schedule. */

static void
ngx_http_blockcast_poller_start(void)
{
    ngx_msec_t                    since;
    ngx_uint_t                    i;
    ngx_http_blockcast_poll_t    *poll;
    ngx_http_blockcast_stream_t  *st;

    ngx_http_blockcast_breaker_start(ngx_http_blockcast_poller_conf);

    for (i = 0; i < ngx_http_blockcast_poller_npolls; i++) {
        poll = &ngx_http_blockcast_poller_polls[i];
        st = poll->stream;

        ngx_http_blockcast_extra_reset(poll);
        ngx_http_blockcast_snapshot_recover(
                                        ngx_http_blockcast_poller_conf->zone,
                                        st, ngx_cycle->log);

        since = ngx_current_msec - st->slot->attempted;

        poll->due = (st->slot->attempted != 0 && since < st->interval)
                    ? ngx_current_msec + st->interval - since
                    : ngx_current_msec;
    }

    ngx_http_blockcast_key_poll_start();
    ngx_http_blockcast_head_start(ngx_http_blockcast_poller_conf);
}


/* Aborts all polls and stops everything that starts them. */

static void
ngx_http_blockcast_poller_halt(void)
{
    ngx_uint_t  i;

    if (!ngx_http_blockcast_poller_polling) {
        return;
    }

    ngx_http_blockcast_poller_polling = 0;

    if (ngx_http_blockcast_poller_event.timer_set) {
        ngx_del_timer(&ngx_http_blockcast_poller_event);
    }

    if (ngx_http_blockcast_poller_event.posted) {
        ngx_delete_posted_event(&ngx_http_blockcast_poller_event);
    }

    ngx_http_blockcast_head_stop(ngx_http_blockcast_poller_conf);
    ngx_http_blockcast_key_poll_stop();

    for (i = 0; i < ngx_http_blockcast_poller_npolls; i++) {
        ngx_http_blockcast_poll_abort(&ngx_http_blockcast_poller_polls[i]);
        ngx_http_blockcast_extra_reset(&ngx_http_blockcast_poller_polls[i]);
    }

    ngx_http_blockcast_inflight_abort();
    ngx_http_blockcast_jq_queue_stop();
    ngx_http_blockcast_breaker_stop(ngx_http_blockcast_poller_conf);
}


void
ngx_http_blockcast_poller_stop(ngx_uint_t notify)
{
    if (!ngx_http_blockcast_poller_active) {
        return;
    }

    ngx_http_blockcast_poller_active = 0;

    ngx_http_blockcast_cluster_stop(ngx_http_blockcast_poller_conf);
    ngx_http_blockcast_poller_halt();
    ngx_http_blockcast_journal_stop(ngx_http_blockcast_poller_conf);

    if (notify) {
        ngx_http_blockcast_lease_drop(ngx_http_blockcast_poller_conf->zone);
        ngx_http_blockcast_worker_notify_others(
                                        ngx_http_blockcast_poller_conf);
    }
}


void
ngx_http_blockcast_poller_kick(void)
{
    ngx_uint_t                   taken;
    ngx_http_blockcast_zone_t   *zone;

    if (ngx_http_blockcast_poller_npolls == 0 || ngx_terminate || ngx_exiting) {
        return;
    }

    if (!ngx_http_blockcast_poller_active) {
        zone = ngx_http_blockcast_poller_conf->zone;

        /* take over at once when the previous poller has just left */

        if (zone->sh->lease != 0
            || ngx_http_blockcast_lease_hold(zone, &taken) != NGX_OK)
        {
            return;
        }

        ngx_http_blockcast_poller_tick();
        return;
    }

    ngx_http_blockcast_poller_switch();
}


/* Handles a poke that another gateway of the cluster has passed on to us. */

static void
ngx_http_blockcast_poller_poked(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t  wake;

    wake = 0;

    (void) ngx_http_blockcast_extra_poke(bmcf, st, &wake);
}


ngx_uint_t
ngx_http_blockcast_poller_wanted(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st)
{
    return ngx_http_blockcast_poller_wanted_here(bmcf, st)
           || ngx_http_blockcast_cluster_wanted(bmcf, st);
}


/* Returns true when clients of this nginx want a stream. */

static ngx_uint_t
ngx_http_blockcast_poller_wanted_here(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_msec_t                     now;
    ngx_uint_t                     i;
    ngx_http_blockcast_slot_t     *slot;
    ngx_http_blockcast_stream_t  **other;

    slot = st->slot;
    now = ngx_current_msec;

    /*
     * a stream that is named in another one's blockcast_after is wanted, too
     */

    other = bmcf->streams.elts;

    for (i = 0; bmcf->followers != 0 && i < bmcf->streams.nelts; i++) {
        if (other[i]->after == st
            && ngx_http_blockcast_poller_wanted(bmcf, other[i]))
        {
            return 1;
        }
    }

    if (st->always || ngx_http_blockcast_slot_listeners(slot) != 0
        || ngx_http_blockcast_journal_followed(bmcf))
    {
        return 1;
    }

    if (slot->left != 0 && st->linger != 0
        && (ngx_msec_int_t) (now - slot->left - st->linger) < 0)
    {
        return 1;
    }

    /* keep polling for a while after a request over HTTP: more may follow */

    return slot->demanded != 0
           && (ngx_msec_int_t) (now - slot->demanded
                                - (2 * st->interval + 2000)) < 0;
}


/*
 * Returns true when a stream without listeners is polled now and then, for its
 * history or to have data for the next client; *when is the time of the next
 * poll.
 */

static ngx_uint_t
ngx_http_blockcast_poller_slowly(ngx_http_blockcast_stream_t *st,
    ngx_msec_t *when)
{
    ngx_msec_t  idle;

    idle = st->idle;

    if (st->history != NULL && st->history->idle != 0
        && (idle == 0 || st->history->idle < idle))
    {
        idle = st->history->idle;
    }

    if (idle == 0) {
        return 0;
    }

    *when = (st->slot->attempted == 0)
            ? ngx_current_msec
            : st->slot->attempted + ngx_max(idle, st->interval);

    return 1;
}


/*
 * Returns the next point of a grid that all streams of an interval share, so
 * that they can share calls.
 */

static ngx_msec_t
ngx_http_blockcast_poller_next(ngx_msec_t interval)
{
    ngx_msec_t  now, next;

    now = ngx_current_msec;
    next = now - now % interval + interval;

    if (next - now < interval / 2) {
        next += interval;
    }

    return next;
}


ngx_msec_t
ngx_http_blockcast_poller_least(ngx_http_blockcast_node_t *node)
{
    ngx_msec_t                    least, all;
    ngx_uint_t                    i;
    ngx_http_blockcast_stream_t  *st;

    least = 0;
    all = 0;

    for (i = 0; i < ngx_http_blockcast_poller_npolls; i++) {
        st = ngx_http_blockcast_poller_polls[i].stream;

        if (st->node != node) {
            continue;
        }

        if (all == 0 || st->interval < all) {
            all = st->interval;
        }

        if ((least == 0 || st->interval < least)
            && ngx_http_blockcast_poller_wanted(ngx_http_blockcast_poller_conf,
                                                st))
        {
            least = st->interval;
        }
    }

    return least ? least : all ? all : 1000;
}


void
ngx_http_blockcast_poller_head(ngx_http_blockcast_stream_t *st,
    ngx_str_t *result)
{
    ngx_http_blockcast_extra_head(&ngx_http_blockcast_poller_polls[st->index],
                                  result);
}


void
ngx_http_blockcast_poller_hurry(ngx_http_blockcast_node_t *node)
{
    ngx_uint_t                  i;
    ngx_http_blockcast_poll_t  *poll;

    ngx_http_blockcast_head_hurry(node);
    ngx_http_blockcast_key_poll_hurry(node);

    for (i = 0; i < ngx_http_blockcast_poller_npolls; i++) {
        poll = &ngx_http_blockcast_poller_polls[i];

        if (poll->stream->node == node && poll->failing && !poll->active) {
            poll->due = ngx_current_msec;
        }
    }

    if (ngx_http_blockcast_poller_polling) {
        ngx_http_blockcast_poller_schedule();
    }
}


/* Returns the stream whose turn it is to probe a node that failed, or NULL. */

static ngx_http_blockcast_poll_t *
ngx_http_blockcast_poller_trial(ngx_http_blockcast_node_t *node)
{
    ngx_uint_t                  i;
    ngx_msec_t                  when;
    ngx_http_blockcast_poll_t  *poll;

    if (node->health == ngx_http_blockcast_node_ok) {
        return NULL;
    }

    for (i = 1; i <= ngx_http_blockcast_poller_npolls; i++) {
        poll = &ngx_http_blockcast_poller_polls[(node->next_stream + i)
                                       % ngx_http_blockcast_poller_npolls];

        if (poll->stream->node != node || poll->active) {
            continue;
        }

        if (poll->stream->keys != NULL) {

            if (ngx_http_blockcast_key_poll_can_try(poll->stream)) {
                return poll;
            }

            continue;
        }

        /* probe for a history no more often than it is polled */

        if (ngx_http_blockcast_poller_wanted(poll->bmcf, poll->stream)
            || (ngx_http_blockcast_poller_slowly(poll->stream, &when)
                && (ngx_msec_int_t) (when - ngx_current_msec) <= 0))
        {
            return poll;
        }
    }

    return NULL;
}


/* Notes which streams have to be polled because another one has changed. */

static void
ngx_http_blockcast_poller_follow(void)
{
    ngx_uint_t                  i;
    ngx_http_blockcast_poll_t  *poll;

    for (i = 0;
         ngx_http_blockcast_poller_conf->followers != 0
         && i < ngx_http_blockcast_poller_npolls;
         i++)
    {
        poll = &ngx_http_blockcast_poller_polls[i];

        if (poll->stream->after != NULL
            && poll->stream->after->slot->seq != poll->after)
        {
            poll->after = poll->stream->after->slot->seq;
            poll->follow = 1;
        }
    }

    ngx_http_blockcast_key_poll_follow();
}


static void
ngx_http_blockcast_poller_schedule(void)
{
    ngx_uint_t                  i, any, extra, hurry;
    ngx_msec_t                  when, now, sooner;
    ngx_msec_int_t              left, least;
    ngx_http_blockcast_poll_t  *poll;
    ngx_http_blockcast_node_t **nodes;

    now = ngx_current_msec;
    hurry = 0;

    ngx_http_blockcast_poller_follow();

    any = ngx_http_blockcast_key_poll_next(&least);

    if (any && least <= 0) {
        hurry = 1;
    }

    for (i = 0; i < ngx_http_blockcast_poller_npolls; i++) {
        poll = &ngx_http_blockcast_poller_polls[i];
        extra = ngx_http_blockcast_extra_pending(poll, &sooner);

        if (poll->stream->keys != NULL) {

            if (extra) {
                ngx_http_blockcast_key_poll_poke(poll->stream);
                ngx_http_blockcast_extra_drop(poll);
                hurry = 1;
                least = any ? least : 0;
                any = 1;
            }

            continue;
        }

        if (poll->active) {
            when = ngx_http_blockcast_poll_deadline(poll);
            left = (ngx_msec_int_t) (poll->due - when);
            when = (left < 0) ? poll->due : when;

        } else if (ngx_http_blockcast_poller_wanted(poll->bmcf,
                                                    poll->stream))
        {
            when = poll->due;

            if (extra && (ngx_msec_int_t) (sooner - when) < 0) {
                when = sooner;
                hurry |= ((ngx_msec_int_t) (sooner - now) <= 0);
            }

            if (poll->follow) {
                when = now;
                hurry = 1;
            }

        } else if (poll->stream->node->health == ngx_http_blockcast_node_ok
                   && ngx_http_blockcast_poller_slowly(poll->stream, &when))
        {
            left = (ngx_msec_int_t) (poll->due - when);
            when = (left > 0) ? poll->due : when;

            if (extra) {
                ngx_http_blockcast_extra_drop(poll);
            }

        } else {

            if (extra) {
                ngx_http_blockcast_extra_drop(poll);
            }

            continue;
        }

        left = (ngx_msec_int_t) (when - now);

        if (!any || left < least) {
            least = left;
            any = 1;
        }
    }

    nodes = ngx_http_blockcast_poller_conf->nodes.elts;

    for (i = 0; i < ngx_http_blockcast_poller_conf->nodes.nelts; i++) {

        if (ngx_http_blockcast_poller_trial(nodes[i]) == NULL) {
            continue;
        }

        left = (ngx_msec_int_t) (ngx_http_blockcast_breaker_due(
                                        nodes[i]) - now);

        if (!any || left < least) {
            least = left;
            any = 1;
        }
    }

    if (!any) {
        if (ngx_http_blockcast_poller_event.timer_set) {
            ngx_del_timer(&ngx_http_blockcast_poller_event);
        }

        return;
    }

    if (hurry) {

        /* post it: a timer would take a millisecond at least */

        ngx_post_event(&ngx_http_blockcast_poller_event, &ngx_posted_events);
    }

    /* delete it first: nginx does not move a timer by less than 300 ms */

    if (ngx_http_blockcast_poller_event.timer_set) {
        ngx_del_timer(&ngx_http_blockcast_poller_event);
    }

    ngx_add_timer(&ngx_http_blockcast_poller_event,
                  (least > 0) ? (ngx_msec_t) least : 1);
}


/* Starts a poll of a fixed stream if its time or an extra round has come. */

static void
ngx_http_blockcast_poller_turn(ngx_http_blockcast_poll_t *poll)
{
    ngx_msec_t                    when;
    ngx_uint_t                    n, extra;
    ngx_http_blockcast_stream_t  *st;

    st = poll->stream;

    if (poll->follow && !poll->active) {
        poll->follow = 0;

        if (ngx_http_blockcast_poller_wanted(poll->bmcf, st)) {
            poll->due = ngx_current_msec;
        }
    }

    extra = ngx_http_blockcast_extra_pending(poll, &when)
            && !poll->active
            && (ngx_msec_int_t) (when - ngx_current_msec) <= 0;

    if ((ngx_msec_int_t) (poll->due - ngx_current_msec) > 0) {

        if (!extra) {
            return;
        }

        n = poll->extra.rounds;

        if (ngx_http_blockcast_poller_wanted(poll->bmcf, st)) {
            ngx_http_blockcast_poll_start(poll);
        }

        if (poll->extra.rounds == n) {

            /* drop it: it has no listeners any more, or memory was short */

            ngx_http_blockcast_extra_drop(poll);
        }

        return;
    }

    if (poll->active) {

        /* skip this one: the last poll takes longer than the interval */

        poll->due = ngx_http_blockcast_poller_next(st->interval);
        (void) ngx_atomic_fetch_add(&st->slot->polls_overrun, 1);
        return;
    }

    if (!ngx_http_blockcast_poller_wanted(poll->bmcf, st)) {

        if (extra) {
            ngx_http_blockcast_extra_drop(poll);
        }

        /* poll slowly, but not a node that fails */

        if (st->node->health != ngx_http_blockcast_node_ok
            || !ngx_http_blockcast_poller_slowly(st, &when)
            || (ngx_msec_int_t) (when - ngx_current_msec) > 0)
        {
            return;
        }
    }

    poll->due = ngx_http_blockcast_poller_next(st->interval);

    ngx_http_blockcast_poll_start(poll);
}


/* Probes a node that failed, with a call of the stream whose turn it is. */

static void
ngx_http_blockcast_poller_probe(ngx_http_blockcast_node_t *node)
{
    ngx_uint_t                  n;
    ngx_http_blockcast_poll_t  *poll;

    for (n = 0; n <= ngx_http_blockcast_poller_npolls; n++) {

        poll = ngx_http_blockcast_poller_trial(node);

        if (poll == NULL
            || (ngx_msec_int_t) (ngx_http_blockcast_breaker_due(node)
                                 - ngx_current_msec) > 0)
        {
            return;
        }

        if (n == ngx_http_blockcast_poller_npolls) {

            /* none of the streams has a call to make: probe later */

            ngx_http_blockcast_breaker_postpone(node);
            return;
        }

        node->next_stream = poll - ngx_http_blockcast_poller_polls;

        if (poll->stream->keys != NULL) {
            ngx_http_blockcast_key_poll_try(poll->stream);

        } else {
            ngx_http_blockcast_poll_start(poll);
        }
    }
}


static void
ngx_http_blockcast_poller_handler(ngx_event_t *ev)
{
    ngx_uint_t                   i, taken;
    ngx_http_blockcast_node_t  **nodes;

    if (ngx_terminate || ngx_exiting) {
        return;
    }

    /* check the lease: this process may have been stopped for a while */

    if (ngx_http_blockcast_lease_hold(ngx_http_blockcast_poller_conf->zone,
                                      &taken)
        != NGX_OK
        || !ngx_http_blockcast_journal_held(ngx_http_blockcast_poller_conf))
    {
        ngx_http_blockcast_poller_tick();
        return;
    }

    if (!ngx_http_blockcast_cluster_leads(ngx_http_blockcast_poller_conf)) {
        ngx_http_blockcast_poller_switch();
        return;
    }

    if (ngx_http_blockcast_journal_waits(ngx_http_blockcast_poller_conf)) {

        /* the next tick tries again */
        return;
    }

    ngx_http_blockcast_inflight_expire();
    ngx_http_blockcast_key_poll_expire();

    for (i = 0; i < ngx_http_blockcast_poller_npolls; i++) {
        if (ngx_http_blockcast_poller_polls[i].active) {
            ngx_http_blockcast_poll_expire(
                                        &ngx_http_blockcast_poller_polls[i]);
        }
    }

    for (i = 0; i < ngx_http_blockcast_poller_npolls; i++) {
        if (ngx_http_blockcast_poller_polls[i].stream->keys == NULL) {
            ngx_http_blockcast_poller_turn(
                                        &ngx_http_blockcast_poller_polls[i]);
        }
    }

    /* probe failed nodes by their own timetable, not by the streams' */

    nodes = ngx_http_blockcast_poller_conf->nodes.elts;

    for (i = 0; i < ngx_http_blockcast_poller_conf->nodes.nelts; i++) {
        ngx_http_blockcast_poller_probe(nodes[i]);
    }

    /* after the fixed streams, which take from the budget first */

    ngx_http_blockcast_key_poll_run();
    ngx_http_blockcast_poller_schedule();
}


void
ngx_http_blockcast_poller_poll_done(ngx_http_blockcast_poll_t *poll)
{
    ngx_msec_t  rest;

    if (poll->lag != 0 && poll->progress) {

        /*
         * Poll the rest without waiting for the interval, but give the node a
         * pause of a quarter of the time that this poll took.
         */

        rest = (ngx_current_msec - poll->started) / 4;
        rest = ngx_max(rest, NGX_HTTP_BLOCKCAST_POLLER_REST);

        if ((ngx_msec_int_t) (poll->due - ngx_current_msec - rest) > 0) {
            poll->due = ngx_current_msec + rest;
        }
    }

    if (ngx_http_blockcast_poller_polling) {
        ngx_http_blockcast_poller_schedule();
    }
}
