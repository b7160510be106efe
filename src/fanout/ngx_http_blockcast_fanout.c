
/*
 * The fan-out: what is new in a feed goes to its subscribers in this worker,
 * in slices, so that nobody else has to wait for thousands of sends.
 */


#include "ngx_http_blockcast_feed.h"
#include "ngx_http_blockcast_state.h"
#include "ngx_http_blockcast_ws.h"


/* sends in one go, about a millisecond, before other events have their turn */
#define NGX_HTTP_BLOCKCAST_SLICE     128

/* so many clients ahead is the memory of the next one fetched */
#define NGX_HTTP_BLOCKCAST_AHEAD     3


/*
 * A send() throws most of a core's caches out, and the clients are spread over
 * the memory: the first line of one is fetched while the kernel is at work for
 * those before it.  A macro, for gcc takes a function that does only
 * this for one that does nothing.
 */

#if (__GNUC__)

#define ngx_http_blockcast_feed_prefetch(l)  __builtin_prefetch((l)->conn)

#else

#define ngx_http_blockcast_feed_prefetch(l)

#endif


static ngx_uint_t ngx_http_blockcast_feed_walk(
    ngx_http_blockcast_feed_t *feed, ngx_uint_t n);


ngx_uint_t  ngx_http_blockcast_nwalking;


/*
 * A stream that nobody wanted is stale without an error at first.  When its
 * poll fails then, those who were told "stale" are told why.
 */

static ngx_uint_t
ngx_http_blockcast_feed_reason(ngx_http_blockcast_feed_t *feed,
    ngx_http_blockcast_state_e state)
{
    uint32_t                     reason;
    ngx_uint_t                   i;
    ngx_http_blockcast_sub_t    *sub;
    ngx_http_blockcast_error_t   error;

    if (feed->error_version == feed->stream->slot->error_version) {
        return 0;
    }

    feed->error_version = feed->stream->slot->error_version;

    ngx_http_blockcast_read_error(feed->stream->slot, &error);

    /* seconds and bytes further on in it change, the reason does not */

    reason = (error.len != 0)
             ? (uint32_t) ngx_hash_key(error.text, ngx_min(error.len, 24)) : 0;

    if (reason == feed->reason) {
        return 0;
    }

    feed->reason = reason;

    if (reason == 0 || state == ngx_http_blockcast_live) {
        return 0;
    }

    for (i = 0; i < feed->nlisteners; i++) {
        sub = &feed->listeners[i].conn->subs[feed->listeners[i].sub];

        if (sub->told == state) {
            sub->told = ngx_http_blockcast_live;
        }
    }

    return 1;
}


void
ngx_http_blockcast_feed_update(ngx_http_blockcast_feed_t *feed)
{
    ngx_http_blockcast_state_e  state;

    ngx_http_blockcast_state_follow(ngx_http_blockcast_feeds_conf);

    (void) ngx_http_blockcast_feed_sync(feed);
    state = ngx_http_blockcast_state(feed->stream, 1);

    /* others than this function copy, too, but only it tells the listeners */

    if (!ngx_http_blockcast_feed_reason(feed, state)
        && feed->told == feed->version && feed->state == state)
    {
        return;
    }

    feed->told = feed->version;
    feed->state = state;

    if (feed->walking) {

        /* who is still to come gets the newest; the others the next time */

        feed->again = 1;
        return;
    }

    feed->cursor = 0;
    feed->walking = 1;
    ngx_http_blockcast_nwalking++;

    (void) ngx_http_blockcast_feed_walk(feed, NGX_HTTP_BLOCKCAST_SLICE);
}


/* the time from the publish to the last of this worker's sockets */

static void
ngx_http_blockcast_feed_timed(ngx_http_blockcast_feed_t *feed)
{
    uint64_t          usec, now;
    ngx_uint_t        i;
    static ngx_uint_t limits[] = { 50, 100, 250, 500, 1000, 2500, 5000, 10000,
                                   25000, 50000, 100000 };

    now = ngx_http_blockcast_usec();

    if (now < feed->snap.published) {
        return;
    }

    usec = now - feed->snap.published;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        if (usec <= limits[i]) {
            break;
        }
    }

    ngx_http_blockcast_add(ngx_http_blockcast_n_fanout + i, 1);
    ngx_http_blockcast_add(ngx_http_blockcast_n_fanout_usec, usec);

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: seq %uL of stream \"%V\" went to %ui clients "
                   "within %uL us", feed->snap.seq, &feed->stream->name,
                   feed->nlisteners, usec);
}


/*
 * In the order in which the clients came: that is mostly the order of their
 * sockets and descriptors in the kernel's memory, and of their records here,
 * and a processor fetches ahead what is read upwards.  The other way round a
 * send() of one of 1,000 takes about 2 % longer.
 */

static ngx_uint_t
ngx_http_blockcast_feed_walk(ngx_http_blockcast_feed_t *feed, ngx_uint_t n)
{
    uint64_t                       seq;
    ngx_http_blockcast_sub_t      *sub;
    ngx_http_blockcast_listener_t *l;

    seq = (feed->newest != NULL) ? feed->snap.seq : 0;

    for ( /* void */ ; n != 0; n--) {

        if (feed->cursor >= feed->nlisteners) {

            if (feed->again) {

                /* only now, or the first ones would never have their turn */

                feed->again = 0;
                feed->cursor = 0;
                continue;
            }

            feed->walking = 0;
            ngx_http_blockcast_nwalking--;

            if (feed->nlisteners != 0 && feed->timed != seq) {
                feed->timed = seq;
                ngx_http_blockcast_feed_timed(feed);
            }

            return n;
        }

        l = &feed->listeners[feed->cursor++];

        if (feed->cursor + NGX_HTTP_BLOCKCAST_AHEAD <= feed->nlisteners) {
            ngx_http_blockcast_feed_prefetch(l + NGX_HTTP_BLOCKCAST_AHEAD);
        }

        sub = &l->conn->subs[l->sub];

        if (ngx_http_blockcast_feed_follows(sub, seq)) {
            ngx_http_blockcast_ws_push(l->conn, sub, seq);

        } else if (sub->seq != seq || sub->told != feed->state) {
            ngx_http_blockcast_ws_dirty(l->conn, sub);
            ngx_http_blockcast_ws_flush(l->conn);
        }
    }

    if (!ngx_http_blockcast_walk_event.posted) {
        ngx_post_event(&ngx_http_blockcast_walk_event,
                       &ngx_posted_next_events);
    }

    return 0;
}


/* a slice for all of them together, each time another one begins */

void
ngx_http_blockcast_feed_walk_handler(ngx_event_t *ev)
{
    ngx_uint_t                  i, n;
    ngx_http_blockcast_feed_t  *feed;
    static ngx_uint_t           first;

    n = NGX_HTTP_BLOCKCAST_SLICE;
    first++;

    for (i = 0; i < ngx_http_blockcast_nfeeds && n != 0; i++) {
        feed = &ngx_http_blockcast_feeds[(first + i)
                                         % ngx_http_blockcast_nfeeds];

        if (feed->walking) {
            n = ngx_http_blockcast_feed_walk(feed, n);
        }
    }
}
