
/*
 * The fan-out: what is new in a feed goes to its subscribers in this worker,
 * in slices, so that nobody else has to wait for thousands of sends.
 */


#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_hub.h"


/* sends in one go, about a millisecond, before other events have their turn */
#define NGX_HTTP_BLOCKCAST_FANOUT_SLICE     128

/* so many clients ahead is the memory of the next one fetched */
#define NGX_HTTP_BLOCKCAST_FANOUT_AHEAD     3


/*
 * A send() throws most of a core's caches out, and the clients are spread over
 * the memory: the first line of one is fetched while the kernel is at work for
 * those before it.  A macro, for gcc takes a function that does only
 * this for one that does nothing.
 */

#if (__GNUC__)

#define ngx_http_blockcast_fanout_prefetch(l)  __builtin_prefetch((l)->conn)

#else

#define ngx_http_blockcast_fanout_prefetch(l)

#endif


static ngx_uint_t ngx_http_blockcast_fanout_walk(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t n);


ngx_uint_t  ngx_http_blockcast_fanout_nwalking;

static ngx_http_blockcast_sender_t
                   *ngx_http_blockcast_senders[NGX_HTTP_BLOCKCAST_KINDS];


void
ngx_http_blockcast_fanout_register(ngx_uint_t kind,
    ngx_http_blockcast_sender_t *sender)
{
    ngx_http_blockcast_senders[kind] = sender;
}


/*
 * A stream that nobody wanted is stale without an error at first.  When its
 * poll fails then, those who were told "stale" are told why.
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

    /* seconds and bytes further on in it change, the reason does not */

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
    ngx_http_blockcast_journal_follow(ngx_http_blockcast_hub_conf);

    ngx_http_blockcast_hub_refresh(hub);

    /* others than this function refresh, too; only it tells the listeners */

    if (!ngx_http_blockcast_fanout_reason(hub, hub->freshness)
        && hub->announced == hub->version
        && hub->announced_freshness == hub->freshness)
    {
        return;
    }

    hub->announced = hub->version;
    hub->announced_freshness = hub->freshness;

    if (hub->walking) {

        /* who is still to come gets the newest; the others the next time */

        hub->again = 1;
        return;
    }

    hub->cursor = 0;
    hub->walking = 1;
    ngx_http_blockcast_fanout_nwalking++;

    (void) ngx_http_blockcast_fanout_walk(hub,
                                          NGX_HTTP_BLOCKCAST_FANOUT_SLICE);
}


/* the time from the publish to the last of this worker's sockets */

static void
ngx_http_blockcast_fanout_time(ngx_http_blockcast_hub_t *hub)
{
    uint64_t          usec, now;
    ngx_uint_t        i;
    static ngx_uint_t limits[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000,
                                   25000, 50000, 100000 };

    now = ngx_http_blockcast_zone_usec();

    if (now < hub->snap.published) {
        return;
    }

    usec = now - hub->snap.published;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        if (usec <= limits[i]) {
            break;
        }
    }

    ngx_http_blockcast_count(ngx_http_blockcast_n_fanout + i, 1);
    ngx_http_blockcast_count(ngx_http_blockcast_n_fanout_usec, usec);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: seq %uL of stream \"%V\" went to %ui clients "
                   "within %uL us", hub->snap.seq, &hub->stream->name,
                   hub->nlisteners, usec);
}


/*
 * In the order in which the clients came: that is mostly the order of their
 * sockets and descriptors in the kernel's memory, and of their records here,
 * and a processor fetches ahead what is read upwards.  The other way round a
 * send() of one of 1,000 takes about 2 % longer.
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

                /* only now, or the first ones would never have their turn */

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

        } else if (sub->seq != seq || sub->last_status != hub->freshness) {
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


/* a slice for all of them together, each time another one begins */

void
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
