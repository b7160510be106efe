
/*
 * Feeds: a worker's copy of each stream, its subscribers and the fan-out.
 */


#include "ngx_http_blockcast_feed.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_protocol.h"
#include "ngx_http_blockcast_state.h"
#include "ngx_http_blockcast_ws.h"
#include "bc_ws_pmd.h"


/* sends in one go, about a millisecond, before other events have their turn */
#define NGX_HTTP_BLOCKCAST_SLICE     128

/* so many clients ahead is the memory of the next one fetched */
#define NGX_HTTP_BLOCKCAST_AHEAD     3

/* a client that is behind gets its entries in messages of about this size */
#define NGX_HTTP_BLOCKCAST_CATCH_UP  (256 * 1024)


static ngx_uint_t ngx_http_blockcast_feed_sync_ring(
    ngx_http_blockcast_feed_t *feed);
static ngx_uint_t ngx_http_blockcast_feed_walk(
    ngx_http_blockcast_feed_t *feed, ngx_uint_t n);
static void ngx_http_blockcast_feed_walk_handler(ngx_event_t *ev);
static void ngx_http_blockcast_feeds_tick(ngx_event_t *ev);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_feed_entries(
    ngx_http_blockcast_feed_t *feed, ngx_uint_t from, ngx_uint_t to,
    uint64_t seq, uint64_t since, ngx_uint_t gap);


/*
 * A send() throws most of a core's caches out, and the clients are spread over
 * the memory: the first 64 bytes of one are fetched while the kernel is at
 * work for those before it.  A macro, for gcc takes a function that does only
 * this for one that does nothing.
 */

#if (__GNUC__)

#define ngx_http_blockcast_feed_prefetch(l)                                   \
    __builtin_prefetch((l)->conn);                                            \
    __builtin_prefetch((u_char *) (l)->conn + 63)

#else

#define ngx_http_blockcast_feed_prefetch(l)

#endif


static ngx_http_blockcast_feed_t       *ngx_http_blockcast_feeds;
static ngx_uint_t                       ngx_http_blockcast_nfeeds;
static ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_feeds_conf;
static ngx_event_t                      ngx_http_blockcast_tick_event;
static ngx_event_t                      ngx_http_blockcast_walk_event;
static ngx_connection_t                 ngx_http_blockcast_dummy;


ngx_int_t
ngx_http_blockcast_feeds_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     i;
    ngx_http_blockcast_feed_t     *feeds;
    ngx_http_blockcast_stream_t  **streams;

    feeds = ngx_pcalloc(cycle->pool, bmcf->streams.nelts
                                     * sizeof(ngx_http_blockcast_feed_t));
    if (feeds == NULL) {
        return NGX_ERROR;
    }

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        feeds[i].stream = streams[i];
    }

    ngx_http_blockcast_feeds = feeds;
    ngx_http_blockcast_nfeeds = bmcf->streams.nelts;
    ngx_http_blockcast_feeds_conf = bmcf;

    /* debug logging reads the descriptor of an event's connection */

    ngx_http_blockcast_dummy.fd = (ngx_socket_t) -1;

    ngx_http_blockcast_walk_event.handler =
                                         ngx_http_blockcast_feed_walk_handler;
    ngx_http_blockcast_walk_event.log = cycle->log;
    ngx_http_blockcast_walk_event.data = &ngx_http_blockcast_dummy;

    ngx_http_blockcast_tick_event.handler = ngx_http_blockcast_feeds_tick;
    ngx_http_blockcast_tick_event.log = cycle->log;
    ngx_http_blockcast_tick_event.data = &ngx_http_blockcast_dummy;
    ngx_http_blockcast_tick_event.cancelable = 1;

    for (i = 0; i < ngx_http_blockcast_nfeeds; i++) {
        (void) ngx_http_blockcast_feed_sync(&feeds[i]);
        feeds[i].state = ngx_http_blockcast_state(feeds[i].stream, 1);
    }

    ngx_add_timer(&ngx_http_blockcast_tick_event, 1);

    return NGX_OK;
}


void
ngx_http_blockcast_feeds_done(void)
{
    ngx_uint_t                  i, n;
    ngx_http_blockcast_feed_t  *feed;

    for (i = 0; i < ngx_http_blockcast_nfeeds; i++) {
        feed = &ngx_http_blockcast_feeds[i];

        for (n = 0; n < NGX_HTTP_BLOCKCAST_FRAMES; n++) {
            ngx_http_blockcast_frame_free(feed->frames[n]);
        }

        ngx_http_blockcast_frame_free(feed->newest);
        ngx_http_blockcast_frame_free(feed->page);

        if (feed->ring != NULL) {
            ngx_free(feed->ring);
            ngx_free(feed->entries);
        }

        if (feed->listeners != NULL) {
            ngx_free(feed->listeners);
        }
    }

    ngx_http_blockcast_nfeeds = 0;
}


ngx_http_blockcast_feed_t *
ngx_http_blockcast_feed(ngx_http_blockcast_stream_t *st)
{
    return &ngx_http_blockcast_feeds[st->index];
}


/*
 * The slow safety net under the wake-ups, and what only time brings about:
 * the lease, and data becoming stale.
 */

static void
ngx_http_blockcast_feeds_tick(ngx_event_t *ev)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_blockcast_nfeeds; i++) {
        ngx_http_blockcast_feeds[i].stream->slot->touched = ngx_current_msec;
    }

    ngx_http_blockcast_feeds_update();

    if (!ngx_terminate && !ngx_exiting) {
        ngx_http_blockcast_poller_tick();
    }

    /* the clients of a worker that exits are served until they have left */

    ngx_add_timer(ev, NGX_HTTP_BLOCKCAST_TICK);
}


void
ngx_http_blockcast_feeds_update(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_blockcast_nfeeds; i++) {
        ngx_http_blockcast_feed_update(&ngx_http_blockcast_feeds[i]);
    }
}


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

    feed->cursor = feed->nlisteners;
    feed->walking = 1;

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
 * From the end to the beginning: leaving moves the last listener to the free
 * place, which the walk has then either behind it or still before it.  One
 * that is met twice is up to date the second time.
 */

static ngx_uint_t
ngx_http_blockcast_feed_walk(ngx_http_blockcast_feed_t *feed, ngx_uint_t n)
{
    uint64_t                       seq;
    ngx_http_blockcast_sub_t      *sub;
    ngx_http_blockcast_listener_t *l;

    seq = (feed->newest != NULL) ? feed->snap.seq : 0;

    for ( /* void */ ; n != 0; n--) {

        if (feed->cursor > feed->nlisteners) {
            feed->cursor = feed->nlisteners;
        }

        if (feed->cursor == 0) {

            if (feed->again) {

                /* only now, or the first ones would never have their turn */

                feed->again = 0;
                feed->cursor = feed->nlisteners;
                continue;
            }

            feed->walking = 0;

            if (feed->nlisteners != 0 && feed->timed != seq) {
                feed->timed = seq;
                ngx_http_blockcast_feed_timed(feed);
            }

            return n;
        }

        l = &feed->listeners[--feed->cursor];

        if (feed->cursor >= NGX_HTTP_BLOCKCAST_AHEAD) {
            ngx_http_blockcast_feed_prefetch(l - NGX_HTTP_BLOCKCAST_AHEAD);
        }

        sub = &l->conn->subs[l->sub];

        if (sub->seq < seq
            && (feed->stream->field.len == 0
                || (sub->seq + 1 == seq && !sub->first)))
        {
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

static void
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


/* a frame that is part of a snapshot's buffer; the first one owns it */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_of(ngx_http_blockcast_frame_t *parent, u_char *buf,
    ngx_http_blockcast_form_t *form)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_alloc(sizeof(ngx_http_blockcast_frame_t), ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    frame->refs = 1;
    frame->len = form->len;
    frame->payload = form->payload;
    frame->plain = form->plain;
    frame->data = buf + form->offset;
    frame->parent = parent;
    frame->kind = NGX_HTTP_BLOCKCAST_TEXT;

    if (parent != NULL) {
        parent->refs++;
    }

    return frame;
}


ngx_uint_t
ngx_http_blockcast_feed_sync(ngx_http_blockcast_feed_t *feed)
{
    u_char                      *buf;
    uint64_t                     version;
    ngx_uint_t                   i;
    ngx_http_blockcast_snap_t    snap;
    ngx_http_blockcast_frame_t  *frame;

    version = feed->stream->slot->version;

    if (version == feed->version) {
        return 0;
    }

    if (ngx_http_blockcast_read_snap(feed->stream->slot, &snap, &buf,
                                     ngx_cycle->log)
        != NGX_OK)
    {
        /* no memory now: the next tick tries again */
        return 0;
    }

    frame = ngx_http_blockcast_frame_of(NULL, buf,
                                    &snap.forms[NGX_HTTP_BLOCKCAST_TEXT]);
    if (frame == NULL) {
        ngx_free(buf);
        return 0;
    }

    for (i = 0; i < NGX_HTTP_BLOCKCAST_FRAMES; i++) {
        ngx_http_blockcast_frame_free(feed->frames[i]);
        feed->frames[i] = NULL;
    }

    ngx_http_blockcast_frame_free(feed->newest);
    ngx_http_blockcast_frame_free(feed->page);

    feed->tried = 0;
    feed->newest = frame;
    feed->page = NULL;
    feed->buf = buf;
    feed->snap = snap;
    feed->version = version;

    if (feed->stream->field.len != 0
        && ngx_http_blockcast_feed_sync_ring(feed) != NGX_OK)
    {
        feed->version = 0;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: seq %uL of stream \"%V\" is copied, %uD bytes",
                   snap.seq, &feed->stream->name, snap.size);

    return 1;
}


static ngx_uint_t
ngx_http_blockcast_feed_sync_ring(ngx_http_blockcast_feed_t *feed)
{
    size_t                        size, n, place;
    u_char                       *src;
    uint64_t                      pos, head, tail, from;
    ngx_http_blockcast_slot_t    *slot;
    ngx_http_blockcast_record_t  *rec;
    ngx_http_blockcast_stream_t  *st;

    st = feed->stream;
    slot = st->slot;
    size = st->ring_size;

    if (feed->ring == NULL) {
        feed->entries = ngx_alloc(st->keep * sizeof(uint64_t), ngx_cycle->log);
        if (feed->entries == NULL) {
            return NGX_ERROR;
        }

        feed->ring = ngx_alloc(size, ngx_cycle->log);
        if (feed->ring == NULL) {
            ngx_free(feed->entries);
            return NGX_ERROR;
        }
    }

    src = ngx_http_blockcast_slot_ring(slot);

    head = slot->head;
    ngx_memory_barrier();
    from = ngx_max(feed->head, (uint64_t) slot->tail);

    /* the entries whose place is about to be taken */

    while (feed->count != 0 && feed->entries[feed->first] + size < head) {
        rec = ngx_http_blockcast_feed_entry(feed, 0);
        feed->evicted = rec->seq;
        feed->first = (feed->first + 1) % st->keep;
        feed->count--;
    }

    for (pos = from; pos < head; pos += n) {
        place = pos % size;
        n = ngx_min(head - pos, size - place);
        ngx_memcpy(feed->ring + place, src + place, n);
    }

    ngx_memory_barrier();
    tail = slot->tail;

    /* what the writer reached meanwhile is not to be trusted */

    from = ngx_max(from, tail);

    if (from != feed->head) {
        feed->count = 0;
        feed->evicted = 0;
    }

    for (pos = from; pos < head; pos += rec->size) {
        rec = (ngx_http_blockcast_record_t *) (feed->ring + pos % size);

        if (rec->size < sizeof(ngx_http_blockcast_record_t)
            || rec->key_len + rec->len == 0)
        {
            /* padding at the end of the ring */

            if (rec->size == 0) {
                break;
            }

            continue;
        }

        if (rec->seq > feed->snap.seq) {

            /* not announced yet */
            break;
        }

        if (feed->count == 0 && feed->evicted == 0) {
            feed->evicted = rec->nth ? rec->seq : rec->seq - 1;
        }

        if (feed->count == st->keep) {
            feed->evicted = ngx_http_blockcast_feed_entry(feed, 0)->seq;
            feed->first = (feed->first + 1) % st->keep;
            feed->count--;
        }

        feed->entries[(feed->first + feed->count) % st->keep] = pos;
        feed->count++;
    }

    feed->head = pos;

    return NGX_OK;
}


ngx_http_blockcast_record_t *
ngx_http_blockcast_feed_entry(ngx_http_blockcast_feed_t *feed, ngx_uint_t n)
{
    uint64_t  pos;

    pos = feed->entries[(feed->first + n) % feed->stream->keep];

    return (ngx_http_blockcast_record_t *)
               (feed->ring + pos % feed->stream->ring_size);
}


void
ngx_http_blockcast_feed_demand(ngx_http_blockcast_feed_t *feed)
{
    ngx_msec_int_t              since;
    ngx_http_blockcast_slot_t  *slot;

    slot = feed->stream->slot;
    since = (ngx_msec_int_t) (ngx_current_msec - slot->demanded);

    if (slot->demanded != 0 && since >= 0 && since < 500) {
        return;
    }

    slot->demanded = ngx_current_msec;

    ngx_http_blockcast_poller_kick();
    ngx_http_blockcast_wake_others(ngx_http_blockcast_feeds_conf);
}


ngx_int_t
ngx_http_blockcast_feed_join(ngx_http_blockcast_feed_t *feed,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub)
{
    ngx_uint_t                      n;
    ngx_http_blockcast_slot_t      *slot;
    ngx_http_blockcast_zone_t      *zone;
    ngx_http_blockcast_listener_t  *listeners;

    /* what is new comes to those who are here already, too */

    ngx_http_blockcast_feed_update(feed);

    if (feed->nlisteners == feed->nalloc) {
        n = ngx_max(64, feed->nalloc * 2);

        listeners = ngx_alloc(n * sizeof(ngx_http_blockcast_listener_t),
                              ngx_cycle->log);
        if (listeners == NULL) {
            return NGX_ERROR;
        }

        if (feed->nlisteners != 0) {
            ngx_memcpy(listeners, feed->listeners,
                       feed->nlisteners
                       * sizeof(ngx_http_blockcast_listener_t));
            ngx_free(feed->listeners);
        }

        feed->listeners = listeners;
        feed->nalloc = n;
    }

    conn->subs[sub].feed = feed;
    conn->subs[sub].place = feed->nlisteners;

    feed->listeners[feed->nlisteners].conn = conn;
    feed->listeners[feed->nlisteners].sub = sub;
    feed->nlisteners++;

    zone = ngx_http_blockcast_feeds_conf->zone;
    slot = feed->stream->slot;

    (void) ngx_atomic_fetch_add(&slot->listeners[zone->worker], 1);

    if (feed->nlisteners == 1) {
        ngx_http_blockcast_poller_kick();
        ngx_http_blockcast_wake_others(ngx_http_blockcast_feeds_conf);
    }

    return NGX_OK;
}


void
ngx_http_blockcast_feed_leave(ngx_http_blockcast_feed_t *feed,
    ngx_uint_t place)
{
    ngx_http_blockcast_zone_t      *zone;
    ngx_http_blockcast_listener_t  *l, *last;

    l = &feed->listeners[place];
    last = &feed->listeners[--feed->nlisteners];

    if (l != last) {
        *l = *last;
        l->conn->subs[l->sub].place = place;
    }

    zone = ngx_http_blockcast_feeds_conf->zone;

    feed->stream->slot->left = ngx_current_msec;

    (void) ngx_atomic_fetch_add(&feed->stream->slot->listeners[zone->worker],
                                -1);
}


static ngx_http_blockcast_frame_t *
ngx_http_blockcast_feed_kind(ngx_http_blockcast_feed_t *feed, ngx_uint_t kind)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = feed->frames[kind];

    if (frame != NULL || feed->newest == NULL
        || (feed->tried & ((ngx_uint_t) 1 << kind)))
    {
        return frame;
    }

    if (kind == NGX_HTTP_BLOCKCAST_TEXT) {
        return feed->newest;
    }

    if (kind & 1) {
        feed->tried |= (ngx_uint_t) 1 << kind;
    }

    if (kind < NGX_HTTP_BLOCKCAST_FORMS && feed->snap.forms[kind].len != 0) {
        frame = ngx_http_blockcast_frame_of(feed->newest, feed->buf,
                                            &feed->snap.forms[kind]);
        if (frame != NULL) {
            frame->kind = kind;
        }

    } else if (kind & 1) {

        /* the deflated form of the one before, where that is smaller */

        frame = ngx_http_blockcast_feed_kind(feed, kind - 1);

        if (frame != NULL) {
            frame = ngx_http_blockcast_frame_deflate(frame);
        }

        if (frame != NULL && kind < NGX_HTTP_BLOCKCAST_FORMS) {
            frame->kind = kind;
        }

    } else if (kind >= NGX_HTTP_BLOCKCAST_RPC) {
        frame = ngx_http_blockcast_protocol_frame(
                                    kind == NGX_HTTP_BLOCKCAST_CBOR
                                    ? ngx_http_blockcast_cbor
                                    : ngx_http_blockcast_jsonrpc,
                                    feed, feed->newest);
    }

    if (kind == NGX_HTTP_BLOCKCAST_TEXT_Z
        || kind == NGX_HTTP_BLOCKCAST_DELTA_Z)
    {
        /* the next one is compressed once for all workers */

        feed->stream->slot->deflated = ngx_current_msec;
    }

    feed->frames[kind] = frame;

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_feed_frame(ngx_http_blockcast_feed_t *feed,
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub)
{
    ngx_uint_t                   kind;
    ngx_http_blockcast_frame_t  *frame;

    switch (conn->protocol) {

    case ngx_http_blockcast_jsonrpc:
        kind = NGX_HTTP_BLOCKCAST_RPC;
        break;

    case ngx_http_blockcast_cbor:
        kind = NGX_HTTP_BLOCKCAST_CBOR;
        break;

    default:
        kind = NGX_HTTP_BLOCKCAST_TEXT;

        if (sub->delta
            && sub->seq != 0
            && sub->seq + 1 == feed->snap.seq
            && feed->snap.forms[NGX_HTTP_BLOCKCAST_DELTA].len != 0)
        {
            kind = NGX_HTTP_BLOCKCAST_DELTA;
        }
    }

    if (conn->deflate) {
        frame = ngx_http_blockcast_feed_kind(feed, kind + 1);

        if (frame != NULL
            && bc_ws_deflate_suits(15, frame->plain, conn->bits))
        {
            return frame;
        }
    }

    return ngx_http_blockcast_feed_kind(feed, kind);
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_feed_next(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    uint64_t                      seq;
    ngx_uint_t                    lo, hi, mid, to;
    size_t                        size;
    ngx_http_blockcast_feed_t    *feed;
    ngx_http_blockcast_frame_t   *frame;
    ngx_http_blockcast_record_t  *rec;

    feed = sub->feed;
    frame = NULL;
    seq = (feed->newest != NULL) ? feed->snap.seq : 0;

    if (sub->seq < seq) {

        if (feed->stream->field.len == 0) {
            frame = ngx_http_blockcast_feed_frame(feed, conn, sub);

            if (frame != NULL) {
                frame->refs++;
                sub->seq = seq;
            }

            return frame;
        }

        if (sub->first) {
            frame = ngx_http_blockcast_feed_snapshot(feed);

            if (frame != NULL) {
                frame->refs++;
                sub->seq = seq;
                sub->first = 0;
            }

        } else {

            /* the first entry it does not have */

            lo = 0;
            hi = feed->count;

            while (lo < hi) {
                mid = (lo + hi) / 2;

                if (ngx_http_blockcast_feed_entry(feed, mid)->seq > sub->seq) {
                    hi = mid;

                } else {
                    lo = mid + 1;
                }
            }

            /* as many whole batches as fit into one message */

            size = 0;
            rec = NULL;

            for (to = lo; to < feed->count; to++) {
                rec = ngx_http_blockcast_feed_entry(feed, to);

                if (size + rec->len > NGX_HTTP_BLOCKCAST_CATCH_UP
                    && to > lo
                    && rec->seq
                       != ngx_http_blockcast_feed_entry(feed, to - 1)->seq)
                {
                    seq = ngx_http_blockcast_feed_entry(feed, to - 1)->seq;
                    break;
                }

                size += rec->len + 1;
            }

            frame = ngx_http_blockcast_feed_entries(feed, lo, to, seq,
                                                    sub->seq,
                                                    sub->seq < feed->evicted);
            if (frame != NULL) {
                sub->seq = seq;
            }
        }

    } else if (sub->told != feed->state) {
        frame = ngx_http_blockcast_session_status(feed);

        if (frame != NULL) {
            sub->told = feed->state;
        }
    }

    return (frame != NULL) ? ngx_http_blockcast_protocol_convert(conn, feed,
                                                                 frame)
                           : NULL;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_feed_snapshot(ngx_http_blockcast_feed_t *feed)
{
    ngx_uint_t  n;

    if (feed->newest == NULL || feed->stream->field.len == 0) {
        return feed->newest;
    }

    if (feed->page == NULL) {
        n = ngx_min(feed->count, feed->stream->page);

        feed->page = ngx_http_blockcast_feed_entries(feed, feed->count - n,
                                                     feed->count,
                                                     feed->snap.seq, 0, 0);
    }

    return feed->page;
}


/* a message with the entries from .. to - 1, and the gap before them */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_feed_entries(ngx_http_blockcast_feed_t *feed,
    ngx_uint_t from, ngx_uint_t to, uint64_t seq, uint64_t since,
    ngx_uint_t gap)
{
    u_char                       *p;
    size_t                        size;
    uint64_t                      timestamp, oldest;
    ngx_uint_t                    i;
    ngx_http_blockcast_frame_t   *frame;
    ngx_http_blockcast_record_t  *rec;
    ngx_http_blockcast_stream_t  *st;

    st = feed->stream;
    size = st->field.len + sizeof("{\"\":[],\"count\":}") + NGX_INT_T_LEN
           + sizeof(",\"gap\":{\"since\":,\"oldest\":}") + 2 * NGX_INT64_LEN;

    for (i = from; i < to; i++) {
        size += ngx_http_blockcast_feed_entry(feed, i)->len + 1;
    }

    frame = ngx_http_blockcast_frame_alloc(
                                    ngx_http_blockcast_message_len(st, size));
    if (frame == NULL) {
        return NULL;
    }

    timestamp = feed->snap.timestamp;
    oldest = seq;

    p = frame->data + frame->payload;
    p = ngx_http_blockcast_message_head(p, st);

    *p++ = '{';
    *p++ = '"';
    p = ngx_cpymem(p, st->field.data, st->field.len);
    p = ngx_cpymem(p, "\":[", 3);

    for (i = from; i < to; i++) {
        rec = ngx_http_blockcast_feed_entry(feed, i);

        if (i == from) {
            oldest = rec->seq;

        } else {
            *p++ = ',';
        }

        p = ngx_cpymem(p, ngx_http_blockcast_record_data(rec), rec->len);
        timestamp = rec->timestamp;
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", to - from);
    p = ngx_http_blockcast_message_tail(p, seq, timestamp);

    if (gap) {
        ngx_http_blockcast_add(ngx_http_blockcast_n_gaps, 1);

        p = ngx_sprintf(p - 1, ",\"gap\":{\"since\":%uL,\"oldest\":%uL}}",
                        since, oldest);
    }

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_alloc(size_t size)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_alloc(sizeof(ngx_http_blockcast_frame_t), ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    frame->data = ngx_alloc(BC_WS_HEADER_LEN + size, ngx_cycle->log);
    if (frame->data == NULL) {
        ngx_free(frame);
        return NULL;
    }

    frame->refs = 1;
    frame->len = 0;
    frame->payload = BC_WS_HEADER_LEN;
    frame->plain = 0;
    frame->kind = NGX_HTTP_BLOCKCAST_FORMS;
    frame->parent = NULL;

    return frame;
}


void
ngx_http_blockcast_frame_finish(ngx_http_blockcast_frame_t *frame,
    ngx_uint_t opcode, size_t len)
{
    size_t  header;

    header = (len < 126) ? 2 : (len < 65536) ? 4 : 10;

    if (header != frame->payload) {
        ngx_memmove(frame->data + header, frame->data + frame->payload, len);
        frame->payload = header;
    }

    (void) bc_ws_header(frame->data, opcode, 1, 0, len);

    frame->len = header + len;
    frame->plain = len;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_deflate(ngx_http_blockcast_frame_t *frame)
{
    size_t                       len, plain;
    ngx_http_blockcast_frame_t  *z;

    plain = frame->len - frame->payload;

    if (plain < NGX_HTTP_BLOCKCAST_DEFLATE_MIN) {
        return NULL;
    }

    z = ngx_http_blockcast_frame_alloc(plain);
    if (z == NULL) {
        return NULL;
    }

    if (bc_ws_deflate(frame->data + frame->payload, plain, 15, 6,
                      z->data + z->payload, plain * 9 / 10, &len)
        != 0)
    {
        ngx_http_blockcast_frame_free(z);
        return NULL;
    }

    ngx_http_blockcast_frame_finish(z, frame->data[0] & 0x0f, len);
    z->data[0] |= 0x40;
    z->plain = plain;

    return z;
}


void
ngx_http_blockcast_frame_free(ngx_http_blockcast_frame_t *frame)
{
    if (frame == NULL || --frame->refs != 0) {
        return;
    }

    if (frame->parent != NULL) {
        ngx_http_blockcast_frame_free(frame->parent);

    } else {
        ngx_free(frame->data);
    }

    ngx_free(frame);
}
