
/*
 * Feeds: a worker's copy of each stream, and the list of its subscribers.
 */


#include "ngx_http_blockcast_feed.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_store.h"
#include "ngx_http_blockcast_ws.h"


static ngx_uint_t ngx_http_blockcast_feed_sync_ring(
    ngx_http_blockcast_feed_t *feed);
static void ngx_http_blockcast_feeds_tick(ngx_event_t *ev);
static void ngx_http_blockcast_feeds_wanted(ngx_event_t *ev);
static void ngx_http_blockcast_feed_move(ngx_http_blockcast_feed_t *feed,
    ngx_uint_t from, ngx_uint_t to);


ngx_http_blockcast_feed_t              *ngx_http_blockcast_feeds;
ngx_uint_t                              ngx_http_blockcast_nfeeds;
ngx_http_blockcast_main_conf_t         *ngx_http_blockcast_feeds_conf;
ngx_event_t                             ngx_http_blockcast_walk_event;

static ngx_event_t                      ngx_http_blockcast_tick_event;
static ngx_event_t                      ngx_http_blockcast_wanted_event;
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

    ngx_http_blockcast_wanted_event.handler = ngx_http_blockcast_feeds_wanted;
    ngx_http_blockcast_wanted_event.log = cycle->log;
    ngx_http_blockcast_wanted_event.data = &ngx_http_blockcast_dummy;

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
    ngx_http_blockcast_nwalking = 0;
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
    ngx_uint_t                  i, attached;
    ngx_http_blockcast_feed_t  *feed;
    ngx_http_blockcast_slot_t  *slot;
    ngx_http_blockcast_zone_t  *zone;

    zone = ngx_http_blockcast_feeds_conf->zone;
    attached = ngx_http_blockcast_zone_beat(zone);

    for (i = 0; i < ngx_http_blockcast_nfeeds; i++) {
        feed = &ngx_http_blockcast_feeds[i];
        slot = feed->stream->slot;
        slot->touched = ngx_current_msec;

        if (feed->npatched != 0) {
            slot->patched = ngx_current_msec;
        }

        if (feed->nlisteners != 0 && (attached || zone->worker == 0)) {
            ngx_http_blockcast_listened(zone, slot, feed->nlisteners);
        }
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

    frame->size = snap.size;

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
    uint64_t                      pos, head, tail, from, gone;
    ngx_uint_t                    fresh;
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
    ngx_memory_barrier();
    gone = slot->gone;

    /* what the writer reached meanwhile is not to be trusted */

    from = ngx_max(from, tail);
    fresh = (from != feed->head);

    if (fresh) {
        feed->count = 0;
        feed->evicted = gone;
    }

    pos = from;

    while ((rec = ngx_http_blockcast_ring_next(feed->ring, size, &pos, head))
           != NULL)
    {
        if (rec->seq > feed->snap.seq) {

            /* not announced yet */
            break;
        }

        if (fresh) {

            /* the writer may have gone further since, but we have this one */

            fresh = 0;
            feed->evicted = ngx_min(feed->evicted,
                                    rec->nth ? rec->seq : rec->seq - 1);
        }

        if (feed->count == st->keep) {
            feed->evicted = ngx_http_blockcast_feed_entry(feed, 0)->seq;
            feed->first = (feed->first + 1) % st->keep;
            feed->count--;
        }

        feed->entries[(feed->first + feed->count) % st->keep] = pos;
        feed->count++;

        pos += rec->size;
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


/*
 * Streams have got their first listener in this worker.  The others are woken
 * once for all of them: a client that comes and goes would have them do
 * nothing else.
 */

static void
ngx_http_blockcast_feeds_wanted(ngx_event_t *ev)
{
    ngx_http_blockcast_poller_kick();
    ngx_http_blockcast_wake_others(ngx_http_blockcast_feeds_conf);
}


ngx_int_t
ngx_http_blockcast_feed_join(ngx_http_blockcast_feed_t *feed,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub)
{
    ngx_uint_t                      n;
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

    ngx_http_blockcast_listened(ngx_http_blockcast_feeds_conf->zone,
                                feed->stream->slot, 1);

    if (feed->nlisteners == 1 && !ngx_http_blockcast_wanted_event.posted) {
        ngx_post_event(&ngx_http_blockcast_wanted_event, &ngx_posted_events);
    }

    return NGX_OK;
}


void
ngx_http_blockcast_feed_patches(ngx_http_blockcast_sub_t *sub)
{
    sub->delta = 1;
    sub->feed->npatched++;

    /* the poller makes them from its next publish on */

    sub->feed->stream->slot->patched = ngx_current_msec;
}


/* a listener gets another place in the list */

static void
ngx_http_blockcast_feed_move(ngx_http_blockcast_feed_t *feed, ngx_uint_t from,
    ngx_uint_t to)
{
    ngx_http_blockcast_listener_t  *l;

    if (from == to) {
        return;
    }

    l = &feed->listeners[to];
    *l = feed->listeners[from];
    l->conn->subs[l->sub].place = to;
}


void
ngx_http_blockcast_feed_leave(ngx_http_blockcast_feed_t *feed,
    ngx_uint_t place)
{
    ngx_http_blockcast_listener_t  *l;

    l = &feed->listeners[place];

    if (l->conn->subs[l->sub].delta) {
        feed->npatched--;
    }

    /* those who had their turn in a fan-out under way stay before the rest */

    if (feed->walking && place < feed->cursor) {
        feed->cursor--;
        ngx_http_blockcast_feed_move(feed, feed->cursor, place);
        place = feed->cursor;
    }

    feed->nlisteners--;
    ngx_http_blockcast_feed_move(feed, feed->nlisteners, place);

    feed->stream->slot->left = ngx_current_msec;

    ngx_http_blockcast_listened(ngx_http_blockcast_feeds_conf->zone,
                                feed->stream->slot, -1);
}
