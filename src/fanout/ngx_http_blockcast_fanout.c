
/*
 * The fan-out: sends what is new in a hub to its subscribers in this worker,
 * in slices, so that no other event has to wait for thousands of sends.
 */


#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_hub_load.h"
#include "ngx_http_blockcast_key_hub.h"


/* how long to send before other events get their turn (usec) */
#define NGX_HTTP_BLOCKCAST_FANOUT_SLICE     1000

/* the clock is checked after so many sends, or so many bytes */
#define NGX_HTTP_BLOCKCAST_FANOUT_SENDS     64
#define NGX_HTTP_BLOCKCAST_FANOUT_BYTES     65536

/* how many clients ahead memory is fetched */
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


static void ngx_http_blockcast_fanout_post(ngx_queue_t *queue);
static void ngx_http_blockcast_fanout_start(void);
static uint64_t ngx_http_blockcast_fanout_elapsed(void);
static ngx_uint_t ngx_http_blockcast_fanout_walk(
    ngx_http_blockcast_hub_t *hub);
static void ngx_http_blockcast_fanout_serve(ngx_queue_t *queue,
    uint64_t usec);
static void ngx_http_blockcast_fanout_walk_handler(ngx_event_t *ev);


ngx_uint_t  ngx_http_blockcast_fanout_nwalking;

/* posted while there is something left to send */
static ngx_event_t       ngx_http_blockcast_fanout_event;
static ngx_connection_t  ngx_http_blockcast_fanout_dummy;

/* clients' events that a turn had no time for: those that write, that read */
static ngx_queue_t       ngx_http_blockcast_fanout_queue;
static ngx_queue_t       ngx_http_blockcast_fanout_reads;

/* nginx's time in the current turn, and when sending began in it */
static ngx_msec_t        ngx_http_blockcast_fanout_turn;
static uint64_t          ngx_http_blockcast_fanout_began;

/* hubs of keys in a fan-out under way */
static ngx_queue_t       ngx_http_blockcast_fanout_keys;

/* by conn->kind */
static ngx_http_blockcast_sender_t
                   *ngx_http_blockcast_senders[NGX_HTTP_BLOCKCAST_KINDS];


void
ngx_http_blockcast_fanout_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_blockcast_fanout_queue);
    ngx_queue_init(&ngx_http_blockcast_fanout_reads);

    /* debug logging reads the descriptor of an event's connection */

    ngx_http_blockcast_fanout_dummy.fd = (ngx_socket_t) -1;
    ngx_queue_init(&ngx_http_blockcast_fanout_keys);

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
 * Returns true when the reason of the stream's state has changed, and makes
 * the state due again for those that know it.  A stream that was not polled is
 * at first stale without an error; when its poll then fails, they learn why.
 */

static ngx_uint_t
ngx_http_blockcast_fanout_reason(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_freshness_e state)
{
    uint32_t                     reason;
    ngx_uint_t                   i;
    ngx_http_blockcast_sub_t    *sub;
    ngx_http_blockcast_error_t   error;

    if (hub->error_version == ngx_http_blockcast_hub_error_version(hub)) {
        return 0;
    }

    hub->error_version = ngx_http_blockcast_hub_error_version(hub);

    ngx_http_blockcast_hub_read_error(hub, &error);

    /* only the beginning: numbers further on change with each poll */

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

    /* other functions refresh, too, but only this one tells the listeners */

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

    ngx_http_blockcast_fanout_again(hub);
}


void
ngx_http_blockcast_fanout_now(ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_fanout_start();

    if (hub->walking && ngx_http_blockcast_fanout_walk(hub)) {
        return;
    }

    if (hub->filtered != NULL) {
        (void) ngx_http_blockcast_filtered_walk(hub);
    }
}


void
ngx_http_blockcast_fanout_again(ngx_http_blockcast_hub_t *hub)
{
    if (hub->filtered != NULL) {
        ngx_http_blockcast_filtered_again(hub);
    }

    if (hub->walking) {

        /*
         * The rest of this walk gets the newest, the others get it in the next
         * walk.
         */

        hub->again = 1;
        return;
    }

    if (hub->nlisteners != 0) {
        hub->cursor = 0;
        hub->walking = 1;
        ngx_http_blockcast_fanout_nwalking++;

        if (hub->key != NULL) {
            ngx_queue_insert_tail(&ngx_http_blockcast_fanout_keys,
                                  &hub->key->walking);
        }

    } else if (ngx_http_blockcast_filtered_nhit == 0) {
        return;
    }

    /*
     * Do not send here: clients of several streams that change at the same
     * moment then get all with one write, and many streams together take no
     * more of this turn than one.  After a large message this turn has already
     * taken long.
     */

    ngx_http_blockcast_fanout_post(
                     (hub->newest != NULL
                      && hub->newest->len > NGX_HTTP_BLOCKCAST_FANOUT_BYTES)
                     ? &ngx_posted_next_events : &ngx_posted_events);
}


static void
ngx_http_blockcast_fanout_post(ngx_queue_t *queue)
{
    if (!ngx_http_blockcast_fanout_event.posted) {
        ngx_post_event(&ngx_http_blockcast_fanout_event, queue);
    }
}


/* Starts to measure the time spent on sending in this turn. */

static void
ngx_http_blockcast_fanout_start(void)
{
    ngx_http_blockcast_fanout_turn = ngx_current_msec;
    ngx_http_blockcast_fanout_began = ngx_http_blockcast_zone_usec();
}


/* Returns the time since then (usec). */

static uint64_t
ngx_http_blockcast_fanout_elapsed(void)
{
    return ngx_http_blockcast_zone_usec() - ngx_http_blockcast_fanout_began;
}


ngx_uint_t
ngx_http_blockcast_fanout_spent(void)
{
    if (ngx_http_blockcast_fanout_turn != ngx_current_msec) {
        ngx_http_blockcast_fanout_start();
        return 0;
    }

    return ngx_http_blockcast_fanout_elapsed()
           >= NGX_HTTP_BLOCKCAST_FANOUT_SLICE;
}


void
ngx_http_blockcast_fanout_later(ngx_event_t *ev)
{
    ngx_queue_t  *queue;

    queue = ev->write ? &ngx_http_blockcast_fanout_queue
                      : &ngx_http_blockcast_fanout_reads;

    ngx_post_event(ev, queue);

    ngx_http_blockcast_fanout_post(&ngx_posted_next_events);
}


void
ngx_http_blockcast_fanout_filtered(void)
{
    ngx_http_blockcast_fanout_post(&ngx_posted_next_events);
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


void
ngx_http_blockcast_fanout_drop(ngx_http_blockcast_hub_t *hub)
{
    hub->walking = 0;
    ngx_http_blockcast_fanout_nwalking--;

    if (hub->key != NULL) {
        ngx_queue_remove(&hub->key->walking);
    }
}


/* Counts the time from the publication to the last send of this worker. */

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
 * Sends to the subscribers; returns 1 when the slice is used up, or 0 when all
 * have been served.  They are served in the order in which they came: that is
 * mostly the order of their sockets in the kernel's memory and of their
 * records here, and a processor prefetches memory that is read upwards.  In
 * the opposite order a send() to one of 1,000 takes about 2 % longer.
 */

static ngx_uint_t
ngx_http_blockcast_fanout_walk(ngx_http_blockcast_hub_t *hub)
{
    uint64_t                       seq;
    ngx_uint_t                     n, sends;
    ngx_http_blockcast_sub_t      *sub;
    ngx_http_blockcast_sender_t   *sender;
    ngx_http_blockcast_listener_t *l;

    seq = 0;
    sends = NGX_HTTP_BLOCKCAST_FANOUT_SENDS;

    if (hub->newest != NULL) {
        seq = hub->snap.seq;
        sends = ngx_min(sends,
                        1 + NGX_HTTP_BLOCKCAST_FANOUT_BYTES
                            / (hub->newest->len + 1));
    }

    for (n = 1; /* void */ ; n++) {

        if (hub->cursor >= hub->nlisteners) {

            if (hub->again) {

                /* not earlier, or the last ones might never be served */

                hub->again = 0;
                hub->cursor = 0;

                if (hub->nlisteners != 0) {
                    continue;
                }
            }

            ngx_http_blockcast_fanout_drop(hub);

            if (hub->nlisteners != 0 && hub->timed != seq) {
                hub->timed = seq;
                ngx_http_blockcast_fanout_time(hub);
            }

            return 0;
        }

        l = &hub->listeners[hub->cursor++];

        if (hub->cursor + NGX_HTTP_BLOCKCAST_FANOUT_AHEAD <= hub->nlisteners) {
            ngx_http_blockcast_fanout_prefetch(
                                        l + NGX_HTTP_BLOCKCAST_FANOUT_AHEAD);
        }

        sub = &l->conn->subs[l->sub];

        if (ngx_http_blockcast_hub_follows(sub, seq)) {
            ngx_http_blockcast_senders[l->conn->kind]->push(l->conn, sub, seq);

        } else if (sub->seq != seq || sub->first || sub->history
                   || sub->last_status != hub->freshness)
        {
            sender = ngx_http_blockcast_senders[l->conn->kind];

            sender->mark_pending(l->conn, sub);
            sender->flush(l->conn);
        }

        if (n >= sends) {

            if (ngx_http_blockcast_fanout_elapsed()
                >= NGX_HTTP_BLOCKCAST_FANOUT_SLICE)
            {
                return 1;
            }

            n = 0;
        }
    }
}


/* Serves postponed clients until usec have passed since the start. */

static void
ngx_http_blockcast_fanout_serve(ngx_queue_t *queue, uint64_t usec)
{
    ngx_event_t  *ev;

    while (!ngx_queue_empty(queue)
           && ngx_http_blockcast_fanout_elapsed() < usec)
    {
        ev = ngx_queue_data(ngx_queue_head(queue), ngx_event_t, queue);

        ngx_delete_posted_event(ev);

        ev->handler(ev);
    }
}


/*
 * Sends one slice for all hubs together, each time starting with another hub.
 * Postponed clients get half of the slice first, and at the end what is left.
 */

static void
ngx_http_blockcast_fanout_walk_handler(ngx_event_t *ev)
{
    ngx_uint_t                     i, n, over;
    ngx_queue_t                   *q;
    ngx_http_blockcast_hub_t      *hub;
    ngx_http_blockcast_key_hub_t  *key;
    static ngx_uint_t              first;

    ngx_http_blockcast_fanout_start();

    ngx_http_blockcast_fanout_serve(&ngx_http_blockcast_fanout_reads,
                                    NGX_HTTP_BLOCKCAST_FANOUT_SLICE / 2);
    ngx_http_blockcast_fanout_serve(&ngx_http_blockcast_fanout_queue,
                                    NGX_HTTP_BLOCKCAST_FANOUT_SLICE / 2);

    over = 0;
    first++;

    for (i = 0;
         i < ngx_http_blockcast_nhubs && !over
         && (ngx_http_blockcast_fanout_nwalking != 0
             || ngx_http_blockcast_filtered_nhit != 0);
         i++)
    {
        hub = &ngx_http_blockcast_hubs[(first + i)
                                         % ngx_http_blockcast_nhubs];

        if (hub->walking) {
            over = ngx_http_blockcast_fanout_walk(hub);
        }

        if (!over && hub->filtered != NULL) {
            over = ngx_http_blockcast_filtered_walk(hub);
        }
    }

    for (n = 1;
         !over && !ngx_queue_empty(&ngx_http_blockcast_fanout_keys);
         n++)
    {
        q = ngx_queue_head(&ngx_http_blockcast_fanout_keys);
        key = ngx_queue_data(q, ngx_http_blockcast_key_hub_t, walking);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_http_blockcast_fanout_keys, q);

        over = ngx_http_blockcast_fanout_walk(&key->hub);

        /* most of them have few listeners, and never look at the clock */

        if (n % NGX_HTTP_BLOCKCAST_FANOUT_SENDS == 0) {
            over |= (ngx_http_blockcast_fanout_elapsed()
                     >= NGX_HTTP_BLOCKCAST_FANOUT_SLICE);
        }
    }

    if (!over) {
        ngx_http_blockcast_fanout_serve(&ngx_http_blockcast_fanout_reads,
                                        NGX_HTTP_BLOCKCAST_FANOUT_SLICE);
        ngx_http_blockcast_fanout_serve(&ngx_http_blockcast_fanout_queue,
                                        NGX_HTTP_BLOCKCAST_FANOUT_SLICE);
    }

    if (ngx_http_blockcast_fanout_nwalking != 0
        || ngx_http_blockcast_filtered_nhit != 0
        || !ngx_queue_empty(&ngx_http_blockcast_fanout_reads)
        || !ngx_queue_empty(&ngx_http_blockcast_fanout_queue))
    {
        ngx_http_blockcast_fanout_post(&ngx_posted_next_events);
    }
}


void
ngx_http_blockcast_fanout_update_all(void)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_hub_t  *hub;

    /* another nginx may also publish streams without listeners here */

    ngx_http_blockcast_journal_follow(ngx_http_blockcast_hub_conf);

    for (i = 0; i < ngx_http_blockcast_nhubs; i++) {
        hub = &ngx_http_blockcast_hubs[i];

        if ((hub->nlisteners != 0 || hub->stream->field.len != 0)
            && ngx_http_blockcast_hub_load(hub))
        {
            continue;
        }

        /*
         * A stream without listeners is copied when somebody subscribes to it
         * or requests it.  For a log that might be too much for one turn, so
         * copy it now.
         */

        if (hub->nlisteners != 0 || hub->filtered != NULL
            || hub->stream->field.len != 0)
        {
            ngx_http_blockcast_fanout_update(hub);

        } else {
            (void) ngx_http_blockcast_fanout_reason(hub, hub->freshness);
        }
    }

    ngx_http_blockcast_key_hub_update_all();
}
