
/*
 * The fan-out: sends what is new in a hub to its subscribers in this worker,
 * in slices, so that no other event has to wait for thousands of sends.
 */


#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_hub.h"


/* sends in one go, about a millisecond, before other events have their turn */
#define NGX_HTTP_BLOCKCAST_FANOUT_SLICE     128

/* how many clients ahead their memory is fetched */
#define NGX_HTTP_BLOCKCAST_FANOUT_AHEAD     3


/*
 * Fetches the first cache line of a client while the kernel sends to those
 * before it: a send() evicts most of a core's caches, and the clients are
 * spread over the memory.  A macro: gcc drops calls of a function that does
 * only this.
 */

#if (__GNUC__)

#define ngx_http_blockcast_fanout_prefetch(l)  __builtin_prefetch((l)->conn)

#else

#define ngx_http_blockcast_fanout_prefetch(l)

#endif


static ngx_uint_t ngx_http_blockcast_fanout_walk(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t n);
static void ngx_http_blockcast_fanout_walk_handler(ngx_event_t *ev);


ngx_uint_t  ngx_http_blockcast_fanout_nwalking;

/* posted while not all subscribers have it */
static ngx_event_t       ngx_http_blockcast_fanout_event;
static ngx_connection_t  ngx_http_blockcast_fanout_dummy;

/* by conn->kind */
static ngx_http_blockcast_sender_t
                   *ngx_http_blockcast_senders[NGX_HTTP_BLOCKCAST_KINDS];


void
ngx_http_blockcast_fanout_init(ngx_cycle_t *cycle)
{
    /* debug logging reads the descriptor of an event's connection */

    ngx_http_blockcast_fanout_dummy.fd = (ngx_socket_t) -1;

    ngx_http_blockcast_fanout_event.handler =
                                       ngx_http_blockcast_fanout_walk_handler;
    ngx_http_blockcast_fanout_event.log = cycle->log;
    ngx_http_blockcast_fanout_event.data = &ngx_http_blockcast_fanout_dummy;
}


void
ngx_http_blockcast_fanout_done(void)
{
    ngx_http_blockcast_fanout_nwalking = 0;
}


void
ngx_http_blockcast_fanout_register(ngx_uint_t kind,
    ngx_http_blockcast_sender_t *sender)
{
    ngx_http_blockcast_senders[kind] = sender;
}


/*
 * Returns true when the reason of the stream's state has changed, and has it
 * sent again to those that know the state.  A stream that was not polled is
 * stale without an error at first; when its poll fails then, they learn why.
 */

static ngx_uint_t
ngx_http_blockcast_fanout_reason(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_freshness_e state)
{
    uint32_t                     reason;
    ngx_uint_t                   i;
    ngx_http_blockcast_sub_t    *sub;
    ngx_http_blockcast_error_t   error;

    if (hub->error_version == hub->stream->slot->error_version) {
        return 0;
    }

    hub->error_version = hub->stream->slot->error_version;

    ngx_http_blockcast_stream_status_read_error(hub->stream->slot, &error);

    /* numbers further on in the text change with each poll */

    reason = (error.len != 0)
             ? (uint32_t) ngx_hash_key(error.text, ngx_min(error.len, 24)) : 0;

    if (reason == hub->reason) {
        return 0;
    }

    hub->reason = reason;

    if (reason == 0 || state == ngx_http_blockcast_freshness_live) {
        return 0;
    }

    for (i = 0; i < hub->nlisteners; i++) {
        sub = &hub->listeners[i].conn->subs[hub->listeners[i].sub];

        if (sub->last_status == state) {
            sub->last_status = ngx_http_blockcast_freshness_live;
        }
    }

    return 1;
}


void
ngx_http_blockcast_fanout_update(ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_hub_refresh(hub);

    /* others than this function refresh, too; only it tells the listeners */

    if (!ngx_http_blockcast_fanout_reason(hub, hub->freshness)
        && hub->announced == hub->version
        && hub->announced_freshness == hub->freshness)
    {
        return;
    }

    if (hub->filtered != NULL) {
        ngx_http_blockcast_filtered_publish(hub);

        if (hub->announced_freshness != hub->freshness) {
            ngx_http_blockcast_filtered_status(hub);
        }
    }

    hub->announced = hub->version;
    hub->announced_freshness = hub->freshness;

    if (hub->walking) {

        /* the rest of this walk get the newest, the others in another walk */

        hub->again = 1;
        return;
    }

    hub->cursor = 0;
    hub->walking = 1;
    ngx_http_blockcast_fanout_nwalking++;

    (void) ngx_http_blockcast_fanout_walk(hub,
                                          NGX_HTTP_BLOCKCAST_FANOUT_SLICE);
}


void
ngx_http_blockcast_fanout_due(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_sender_t  *sender;

    sender = ngx_http_blockcast_senders[conn->kind];

    sender->mark_pending(conn, sub);
    sender->flush(conn);
}


/* Counts the time from the publish to the last of this worker's sockets. */

static void
ngx_http_blockcast_fanout_time(ngx_http_blockcast_hub_t *hub)
{
    uint64_t  usec, now;

    now = ngx_http_blockcast_zone_usec();

    if (now < hub->snap.published) {
        return;
    }

    usec = now - hub->snap.published;

    ngx_http_blockcast_histogram_add(
                                    &ngx_http_blockcast_zone_counters[
                                                ngx_http_blockcast_n_fanout],
                                    ngx_http_blockcast_histogram_publish,
                                    usec);
    ngx_http_blockcast_count(ngx_http_blockcast_n_fanout_usec, usec);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: seq %uL of stream \"%V\" went to %ui clients "
                   "within %uL us", hub->snap.seq, &hub->stream->name,
                   hub->nlisteners, usec);
}


/*
 * Sends to n subscribers at most; returns how many of the n are left when all
 * have it.  They have their turn in the order in which they came: that is
 * mostly the order of their sockets in the kernel's memory, and of their
 * records here, and a processor fetches ahead what is read upwards.  The other
 * way round a send() to one of 1,000 takes about 2 % longer.
 */

static ngx_uint_t
ngx_http_blockcast_fanout_walk(ngx_http_blockcast_hub_t *hub, ngx_uint_t n)
{
    uint64_t                       seq;
    ngx_http_blockcast_sub_t      *sub;
    ngx_http_blockcast_sender_t   *sender;
    ngx_http_blockcast_listener_t *l;

    seq = (hub->newest != NULL) ? hub->snap.seq : 0;

    for ( /* void */ ; n != 0; n--) {

        if (hub->cursor >= hub->nlisteners) {

            if (hub->again) {

                /* not before, or the last ones would never have their turn */

                hub->again = 0;
                hub->cursor = 0;
                continue;
            }

            hub->walking = 0;
            ngx_http_blockcast_fanout_nwalking--;

            if (hub->nlisteners != 0 && hub->timed != seq) {
                hub->timed = seq;
                ngx_http_blockcast_fanout_time(hub);
            }

            return n;
        }

        l = &hub->listeners[hub->cursor++];

        if (hub->cursor + NGX_HTTP_BLOCKCAST_FANOUT_AHEAD <= hub->nlisteners) {
            ngx_http_blockcast_fanout_prefetch(
                                        l + NGX_HTTP_BLOCKCAST_FANOUT_AHEAD);
        }

        sub = &l->conn->subs[l->sub];

        if (ngx_http_blockcast_hub_follows(sub, seq)) {
            ngx_http_blockcast_senders[l->conn->kind]->push(l->conn, sub, seq);

        } else if (sub->seq != seq || sub->first
                   || sub->last_status != hub->freshness)
        {
            sender = ngx_http_blockcast_senders[l->conn->kind];

            sender->mark_pending(l->conn, sub);
            sender->flush(l->conn);
        }
    }

    if (!ngx_http_blockcast_fanout_event.posted) {
        ngx_post_event(&ngx_http_blockcast_fanout_event,
                       &ngx_posted_next_events);
    }

    return 0;
}


/* Sends one slice for all hubs together; each time another one is first. */

static void
ngx_http_blockcast_fanout_walk_handler(ngx_event_t *ev)
{
    ngx_uint_t                 i, n;
    ngx_http_blockcast_hub_t  *hub;
    static ngx_uint_t          first;

    n = NGX_HTTP_BLOCKCAST_FANOUT_SLICE;
    first++;

    for (i = 0; i < ngx_http_blockcast_nhubs && n != 0; i++) {
        hub = &ngx_http_blockcast_hubs[(first + i)
                                         % ngx_http_blockcast_nhubs];

        if (hub->walking) {
            n = ngx_http_blockcast_fanout_walk(hub, n);
        }
    }
}


void
ngx_http_blockcast_fanout_update_all(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_blockcast_nhubs; i++) {
        ngx_http_blockcast_fanout_update(&ngx_http_blockcast_hubs[i]);
    }
}
