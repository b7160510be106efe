
/*
 * Hubs: a worker's copy of each stream, and its subscribers.
 */


#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_deflation.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_hub_load.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_key_hub.h"
#include "ngx_http_blockcast_notify.h"
#include "ngx_http_blockcast_page_cache.h"


/* how many numbers another gateway may be ahead of this one */
#define NGX_HTTP_BLOCKCAST_HUB_AHEAD  1000


static ngx_int_t ngx_http_blockcast_hub_sync_ring(
    ngx_http_blockcast_hub_t *hub);
static void ngx_http_blockcast_hub_demand_handler(ngx_event_t *ev);
static void ngx_http_blockcast_hub_move_listener(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t from, ngx_uint_t to);


ngx_http_blockcast_hub_t              *ngx_http_blockcast_hubs;
ngx_uint_t                              ngx_http_blockcast_nhubs;
ngx_http_blockcast_main_conf_t         *ngx_http_blockcast_hub_conf;

static ngx_http_blockcast_hub_demand_pt  ngx_http_blockcast_hub_poll;
static ngx_event_t                      ngx_http_blockcast_hub_demand_event;
static ngx_connection_t                 ngx_http_blockcast_hub_dummy;

/* ends all that belongs to a former epoch */
static void  (*ngx_http_blockcast_hub_epoch_handler)(void);


ngx_int_t
ngx_http_blockcast_hub_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     i;
    ngx_http_blockcast_hub_t      *hubs;
    ngx_http_blockcast_stream_t  **streams;

    hubs = ngx_pcalloc(cycle->pool, bmcf->streams.nelts
                                     * sizeof(ngx_http_blockcast_hub_t));
    if (hubs == NULL) {
        return NGX_ERROR;
    }

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        hubs[i].stream = streams[i];
        hubs[i].epoch = bmcf->zone->sh->epoch;
    }

    ngx_http_blockcast_hubs = hubs;
    ngx_http_blockcast_nhubs = bmcf->streams.nelts;
    ngx_http_blockcast_hub_conf = bmcf;

    /* debug logging reads the descriptor of an event's connection */

    ngx_http_blockcast_hub_dummy.fd = (ngx_socket_t) -1;

    ngx_http_blockcast_fanout_init(cycle);
    ngx_http_blockcast_deflation_init(cycle);
    ngx_http_blockcast_hub_load_init(cycle);
    ngx_http_blockcast_page_cache_init();

    if (ngx_http_blockcast_key_hub_init(cycle, bmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_hub_demand_event.handler =
                                         ngx_http_blockcast_hub_demand_handler;
    ngx_http_blockcast_hub_demand_event.log = cycle->log;
    ngx_http_blockcast_hub_demand_event.data = &ngx_http_blockcast_hub_dummy;

    for (i = 0; i < ngx_http_blockcast_nhubs; i++) {

        /* nobody waits yet: copy all at once */

        (void) ngx_http_blockcast_hub_sync(&hubs[i]);

        ngx_http_blockcast_hub_refresh(&hubs[i]);
        hubs[i].announced_freshness = hubs[i].freshness;
    }

    return NGX_OK;
}


void
ngx_http_blockcast_hub_done(void)
{
    ngx_uint_t                 i, n;
    ngx_http_blockcast_hub_t  *hub;

    ngx_http_blockcast_page_cache_done();
    ngx_http_blockcast_hub_load_done();
    ngx_http_blockcast_key_hub_done();

    for (i = 0; i < ngx_http_blockcast_nhubs; i++) {
        hub = &ngx_http_blockcast_hubs[i];

        for (n = 0; n < NGX_HTTP_BLOCKCAST_FRAMES; n++) {
            ngx_http_blockcast_deflation_cancel(hub->deflations[n]);
            ngx_http_blockcast_frame_free(hub->frames[n]);
        }

        ngx_http_blockcast_frame_free(hub->newest);
        ngx_http_blockcast_frame_free(hub->page);
        ngx_http_blockcast_frame_free(hub->former);

        if (hub->ring != NULL) {
            ngx_free(hub->ring);
            ngx_free(hub->entries);
        }

        if (hub->listeners != NULL) {
            ngx_free(hub->listeners);
        }

        ngx_http_blockcast_filtered_done(hub);
    }

    ngx_http_blockcast_nhubs = 0;
    ngx_http_blockcast_notify_done();
    ngx_http_blockcast_fanout_done();
}


ngx_uint_t
ngx_http_blockcast_hub_ahead(ngx_http_blockcast_hub_t *hub, uint64_t since)
{
    struct timeval                        tv;
    ngx_http_blockcast_cluster_record_t  *record;

    if (ngx_http_blockcast_hub_conf->cluster == NULL) {
        return 0;
    }

    if (since <= hub->stream->slot->seq + NGX_HTTP_BLOCKCAST_HUB_AHEAD) {
        return 1;
    }

    /* without the log, this gateway cannot know of a jump */

    record = &ngx_http_blockcast_hub_conf->zone->sh->cluster;
    ngx_gettimeofday(&tv);

    return record->status[record->version & 1].state
           < ngx_http_blockcast_is_following
           && since <= (uint64_t) tv.tv_sec * 1000000 + tv.tv_usec;
}


void
ngx_http_blockcast_hub_forget(void)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_blockcast_nhubs; i++) {
        ngx_http_blockcast_hub_forget_one(&ngx_http_blockcast_hubs[i]);
    }

    ngx_http_blockcast_key_hub_forget();
}


void
ngx_http_blockcast_hub_forget_one(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t  n;

    for (n = 0; n < NGX_HTTP_BLOCKCAST_FRAMES; n++) {
        ngx_http_blockcast_frame_free(hub->frames[n]);
        hub->frames[n] = NULL;

        /* a conversion to CBOR would otherwise go on */

        ngx_http_blockcast_deflation_cancel(hub->deflations[n]);
        hub->deflations[n] = NULL;
    }

    ngx_http_blockcast_frame_free(hub->newest);
    ngx_http_blockcast_frame_free(hub->page);
    ngx_http_blockcast_frame_free(hub->former);

    ngx_memzero(&hub->snap, sizeof(ngx_http_blockcast_snapshot_t));

    hub->newest = NULL;
    hub->page = NULL;
    hub->former = NULL;
    hub->buf = NULL;
    hub->tried = 0;
    hub->version = 0;
    hub->announced = 0;
    hub->head = 0;
    hub->ahead = 0;
    hub->first = 0;
    hub->count = 0;
    hub->evicted = 0;
    hub->timed = 0;
    hub->epoch = ngx_http_blockcast_hub_conf->zone->sh->epoch;
}


uint64_t
ngx_http_blockcast_hub_epoch(void)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_blockcast_hub_conf;

    return (bmcf->cluster != NULL && ngx_http_blockcast_nhubs != 0)
           ? ngx_http_blockcast_hubs[0].epoch : bmcf->zone->sh->epoch;
}


void
ngx_http_blockcast_hub_on_epoch(void (*handler)(void))
{
    ngx_http_blockcast_hub_epoch_handler = handler;
}


void
ngx_http_blockcast_hub_notice_epoch(void)
{
    if (ngx_http_blockcast_hub_epoch()
        != ngx_http_blockcast_hub_conf->zone->sh->epoch
        && ngx_http_blockcast_hub_epoch_handler != NULL)
    {
        ngx_http_blockcast_hub_epoch_handler();
    }
}


ngx_http_blockcast_hub_t *
ngx_http_blockcast_hub_of(ngx_http_blockcast_stream_t *st)
{
    return &ngx_http_blockcast_hubs[st->index];
}


void
ngx_http_blockcast_hub_tick(ngx_uint_t attached)
{
    ngx_uint_t                  i, n;
    ngx_http_blockcast_hub_t   *hub;
    ngx_http_blockcast_slot_t  *slot;
    ngx_http_blockcast_zone_t  *zone;

    zone = ngx_http_blockcast_hub_conf->zone;

    ngx_http_blockcast_page_cache_tick();

    for (i = 0; i < ngx_http_blockcast_nhubs; i++) {
        hub = &ngx_http_blockcast_hubs[i];
        slot = hub->stream->slot;
        slot->touched = ngx_current_msec;

        if (hub->npatched != 0) {
            slot->patched = ngx_current_msec;
        }

        if (hub->delivered != hub->reported) {
            (void) ngx_atomic_fetch_add(&slot->deliveries,
                                        hub->delivered - hub->reported);
            hub->reported = hub->delivered;
        }

        n = hub->nlisteners + ngx_http_blockcast_filtered_count(hub);

        if (n != 0 && (attached || zone->worker == 0)) {
            ngx_http_blockcast_slot_add_listeners(zone, slot, n);
        }
    }

    ngx_http_blockcast_key_hub_tick(attached);
}


ngx_uint_t
ngx_http_blockcast_hub_sync(ngx_http_blockcast_hub_t *hub)
{
    u_char                        *buf;
    uint64_t                       version;
    ngx_http_blockcast_snapshot_t  snap;

    if (hub->key != NULL) {
        return ngx_http_blockcast_key_hub_sync(hub);
    }

    version = hub->stream->slot->version;

    if (version == hub->version) {
        return 0;
    }

    if (hub->epoch != ngx_http_blockcast_hub_conf->zone->sh->epoch) {

        /* the clients of the former epoch have to leave first */

        if (ngx_http_blockcast_hub_conf->cluster != NULL) {
            return 0;
        }

        hub->epoch = ngx_http_blockcast_hub_conf->zone->sh->epoch;
    }

    if (ngx_http_blockcast_snapshot_read(hub->stream->slot, &snap, &buf,
                                         ngx_cycle->log)
        != NGX_OK)
    {
        return 0;
    }

    ngx_memory_barrier();

    if (ngx_http_blockcast_hub_conf->cluster != NULL
        && hub->epoch != ngx_http_blockcast_hub_conf->zone->sh->epoch)
    {
        /* the epoch changed before this data was written */

        ngx_free(buf);
        return 0;
    }

    return ngx_http_blockcast_hub_take(hub, &snap, buf, version);
}


ngx_uint_t
ngx_http_blockcast_hub_take(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf, uint64_t version)
{
    ngx_uint_t                   i;
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_frame_of(NULL, buf,
                                    &snap->variants[NGX_HTTP_BLOCKCAST_TEXT]);
    if (frame == NULL) {
        ngx_free(buf);
        return 0;
    }

    hub->late = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_FRAMES; i++) {

        if (i == NGX_HTTP_BLOCKCAST_FRAME_CBOR) {

            /*
             * Clients of a snapshot still get it: see
             * _encoding_cache_former().
             */

            if (hub->stream->field.len != 0) {
                ngx_http_blockcast_deflation_cancel(hub->deflations[i]);
                hub->deflations[i] = NULL;
            }

        } else if (hub->deflations[i] != NULL) {

            /*
             * Send the new one uncompressed: no client waits for two in a row.
             */

            ngx_http_blockcast_deflation_cancel(hub->deflations[i]);
            hub->deflations[i] = NULL;
            hub->late |= (ngx_uint_t) 1 << i;
        }

        ngx_http_blockcast_frame_free(hub->frames[i]);
        hub->frames[i] = NULL;
    }

    ngx_http_blockcast_frame_free(hub->newest);
    ngx_http_blockcast_frame_free(hub->page);

    frame->size = snap->size;

    hub->tried = 0;
    hub->newest = frame;
    hub->page = NULL;
    hub->buf = buf;
    hub->snap = *snap;
    hub->version = version;

    if (hub->stream->field.len != 0
        && ngx_http_blockcast_hub_sync_ring(hub) != NGX_OK)
    {
        hub->version = 0;
    }

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: seq %uL of stream \"%V\" is copied, %uD bytes",
                   snap->seq, &hub->stream->name, snap->size);

    return 1;
}


void
ngx_http_blockcast_hub_refresh(ngx_http_blockcast_hub_t *hub)
{
    /*
     * Include what another nginx has published: a client that comes from there
     * must not get less than it has.
     */

    ngx_http_blockcast_journal_follow(ngx_http_blockcast_hub_conf);

    /* whoever asks for a log has all that others have been told of */

    if (hub->stream->field.len != 0 || !ngx_http_blockcast_hub_load(hub)) {
        (void) ngx_http_blockcast_hub_sync(hub);
    }

    if (hub->key != NULL) {
        hub->freshness = ngx_http_blockcast_key_hub_freshness(hub);

        if (hub->freshness == ngx_http_blockcast_freshness_idle) {
            hub->freshness = ngx_http_blockcast_freshness_stale;
        }

        return;
    }

    hub->freshness = ngx_http_blockcast_stream_status_freshness(hub->stream,
                                                                1);
}


ngx_http_blockcast_freshness_e
ngx_http_blockcast_hub_freshness(ngx_http_blockcast_hub_t *hub)
{
    if (hub->key != NULL) {
        return ngx_http_blockcast_key_hub_freshness(hub);
    }

    return ngx_http_blockcast_stream_status_freshness(hub->stream,
                          ngx_http_blockcast_slot_listeners(
                                                    hub->stream->slot));
}


ngx_int_t
ngx_http_blockcast_hub_age(ngx_http_blockcast_hub_t *hub)
{
    return (hub->key != NULL)
           ? ngx_http_blockcast_key_hub_age(hub)
           : ngx_http_blockcast_stream_status_age(hub->stream->slot);
}


uint64_t
ngx_http_blockcast_hub_error_version(ngx_http_blockcast_hub_t *hub)
{
    return (hub->key != NULL)
           ? ngx_http_blockcast_key_hub_error_version(hub)
           : hub->stream->slot->error_version;
}


void
ngx_http_blockcast_hub_read_error(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_error_t *error)
{
    if (hub->key != NULL) {
        ngx_http_blockcast_key_hub_read_error(hub, error);
        return;
    }

    ngx_http_blockcast_stream_status_read_error(hub->stream->slot, error);
}


static ngx_int_t
ngx_http_blockcast_hub_alloc_ring(ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_stream_t  *st;

    st = hub->stream;

    hub->entries = ngx_alloc(st->keep * sizeof(uint64_t), ngx_cycle->log);
    if (hub->entries == NULL) {
        return NGX_ERROR;
    }

    hub->ring = ngx_alloc(st->ring_size, ngx_cycle->log);
    if (hub->ring == NULL) {
        ngx_free(hub->entries);
        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Drops the oldest entry of the copy. */

static void
ngx_http_blockcast_hub_evict(ngx_http_blockcast_hub_t *hub)
{
    hub->evicted = ngx_http_blockcast_hub_entry(hub, 0)->seq;
    hub->first = (hub->first + 1) % hub->stream->keep;
    hub->count--;
}


/* Copies a part of the slot's ring, between two positions. */

static void
ngx_http_blockcast_hub_copy_part(ngx_http_blockcast_hub_t *hub, uint64_t from,
    uint64_t to)
{
    size_t     size, n, place;
    u_char    *src;
    uint64_t   pos;

    size = hub->stream->ring_size;
    src = ngx_http_blockcast_slot_ring(hub->stream->slot);

    /* drop the entries that are about to be overwritten */

    while (hub->count != 0 && hub->entries[hub->first] + size < to) {
        ngx_http_blockcast_hub_evict(hub);
    }

    for (pos = from; pos < to; pos += n) {
        place = pos % size;
        n = ngx_min(to - pos, size - place);
        ngx_memcpy(hub->ring + place, src + place, n);
    }
}


/* Returns the position of what is to be copied next. */

static uint64_t
ngx_http_blockcast_hub_ring_next(ngx_http_blockcast_hub_t *hub)
{
    uint64_t  from;

    from = ngx_max(hub->head, (uint64_t) hub->stream->slot->tail);

    return ngx_max(from, hub->ahead);
}


size_t
ngx_http_blockcast_hub_ring_left(ngx_http_blockcast_hub_t *hub)
{
    uint64_t  from, head;

    head = hub->stream->slot->head;
    from = ngx_http_blockcast_hub_ring_next(hub);

    return (hub->ring != NULL && from < head) ? head - from : 0;
}


void
ngx_http_blockcast_hub_ring_piece(ngx_http_blockcast_hub_t *hub, size_t len)
{
    uint64_t  from, head;

    head = hub->stream->slot->head;
    ngx_memory_barrier();

    from = ngx_http_blockcast_hub_ring_next(hub);

    if (from < head) {
        head = ngx_min(head, from + len);

        ngx_http_blockcast_hub_copy_part(hub, from, head);
        hub->ahead = head;
    }
}


/*
 * Copies the slot's ring up to position head, but for what was copied ahead.
 * Returns the position from which the copy is valid, and sets *gone to the
 * newest seq with an entry before that.
 */

static uint64_t
ngx_http_blockcast_hub_copy_ring(ngx_http_blockcast_hub_t *hub, uint64_t head,
    uint64_t *gone)
{
    uint64_t                    tail, from;
    ngx_http_blockcast_slot_t  *slot;

    slot = hub->stream->slot;
    from = ngx_max(hub->head, (uint64_t) slot->tail);

    ngx_http_blockcast_hub_copy_part(hub, ngx_max(from, hub->ahead), head);
    hub->ahead = head;

    ngx_memory_barrier();
    tail = slot->tail;
    ngx_memory_barrier();
    *gone = slot->gone;

    /*
     * What was overwritten during the copy is not valid, nor during those
     * before: the tail goes on before anything is overwritten.
     */

    return ngx_max(from, tail);
}


/* Copies what is new in the ring.  Returns NGX_ERROR without memory. */

static ngx_int_t
ngx_http_blockcast_hub_sync_ring(ngx_http_blockcast_hub_t *hub)
{
    uint64_t                           pos, head, gone;
    ngx_uint_t                         fresh;
    ngx_http_blockcast_stream_t       *st;
    ngx_http_blockcast_ring_record_t  *rec;

    st = hub->stream;

    if (hub->ring == NULL
        && ngx_http_blockcast_hub_alloc_ring(hub) != NGX_OK)
    {
        return NGX_ERROR;
    }

    head = st->slot->head;
    ngx_memory_barrier();

    pos = ngx_http_blockcast_hub_copy_ring(hub, head, &gone);

    fresh = (pos != hub->head);

    if (fresh) {
        hub->count = 0;
        hub->evicted = gone;
    }

    while ((rec = ngx_http_blockcast_ring_next(hub->ring, st->ring_size, &pos,
                                               head))
           != NULL)
    {
        if (rec->seq > hub->snap.seq) {

            /* not announced yet */
            break;
        }

        if (fresh) {

            /* slot->gone may already be newer than the entries copied */

            fresh = 0;
            hub->evicted = ngx_min(hub->evicted,
                                   rec->nth ? rec->seq : rec->seq - 1);
        }

        if (hub->count == st->keep) {
            ngx_http_blockcast_hub_evict(hub);
        }

        hub->entries[(hub->first + hub->count) % st->keep] = pos;
        hub->count++;
        hub->added++;

        pos += rec->size;
    }

    hub->head = pos;

    return NGX_OK;
}


ngx_http_blockcast_ring_record_t *
ngx_http_blockcast_hub_entry(ngx_http_blockcast_hub_t *hub, ngx_uint_t n)
{
    uint64_t  pos;

    pos = hub->entries[(hub->first + n) % hub->stream->keep];

    return (ngx_http_blockcast_ring_record_t *)
               (hub->ring + pos % hub->stream->ring_size);
}


ngx_uint_t
ngx_http_blockcast_hub_after(ngx_http_blockcast_hub_t *hub, uint64_t seq)
{
    ngx_uint_t  lo, hi, mid;

    lo = 0;
    hi = hub->count;

    while (lo < hi) {
        mid = (lo + hi) / 2;

        if (ngx_http_blockcast_hub_entry(hub, mid)->seq > seq) {
            hi = mid;

        } else {
            lo = mid + 1;
        }
    }

    return lo;
}


void
ngx_http_blockcast_hub_demand(ngx_http_blockcast_hub_t *hub)
{
    ngx_msec_int_t              since;
    ngx_http_blockcast_slot_t  *slot;

    slot = hub->stream->slot;

    if (hub->key != NULL && !ngx_http_blockcast_key_hub_demand(hub)) {
        return;
    }

    since = (ngx_msec_int_t) (ngx_current_msec - slot->demanded);

    if (slot->demanded != 0 && since >= 0 && since < 500
        && hub->key == NULL)
    {
        return;
    }

    slot->demanded = ngx_current_msec;

    ngx_http_blockcast_hub_poll();
    ngx_http_blockcast_worker_notify_poller(ngx_http_blockcast_hub_conf);
}


void
ngx_http_blockcast_hub_on_demand(ngx_http_blockcast_hub_demand_pt handler)
{
    ngx_http_blockcast_hub_poll = handler;
}


/*
 * Runs once after one or more streams have got their first listener: waking
 * the poller for each of them would let clients that come and go keep it busy.
 */

static void
ngx_http_blockcast_hub_demand_handler(ngx_event_t *ev)
{
    ngx_http_blockcast_hub_poll();
    ngx_http_blockcast_worker_notify_poller(ngx_http_blockcast_hub_conf);
}


ngx_int_t
ngx_http_blockcast_hub_subscribe(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub)
{
    uint64_t                        seq;
    ngx_uint_t                      n;
    ngx_http_blockcast_listener_t  *listeners;

    if (hub->nlisteners == hub->nalloc) {
        n = (hub->nalloc != 0) ? hub->nalloc * 2
                               : (hub->key != NULL) ? 1 : 64;

        listeners = ngx_alloc(n * sizeof(ngx_http_blockcast_listener_t),
                              ngx_cycle->log);
        if (listeners == NULL) {
            return NGX_ERROR;
        }

        if (hub->nlisteners != 0) {
            ngx_memcpy(listeners, hub->listeners,
                       hub->nlisteners
                       * sizeof(ngx_http_blockcast_listener_t));
            ngx_free(hub->listeners);
        }

        hub->listeners = listeners;
        hub->nalloc = n;
    }

    ngx_http_blockcast_hub_join(hub);

    conn->subs[sub].hub = hub;
    conn->subs[sub].place = hub->nlisteners;

    seq = ngx_http_blockcast_hub_load_seq(hub);

    if (seq != 0) {
        conn->subs[sub].seq = seq - 1;
    }

    hub->listeners[hub->nlisteners].conn = conn;
    hub->listeners[hub->nlisteners].sub = sub;
    hub->listeners[hub->nlisteners].until = 0;
    hub->nlisteners++;

    return NGX_OK;
}


void
ngx_http_blockcast_hub_join(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t                  first;
    ngx_http_blockcast_slot_t  *slot;

    slot = hub->stream->slot;

    /* the slot of a key counts the listeners of all keys */

    first = (hub->nlisteners + ngx_http_blockcast_filtered_count(hub) == 0
             && (hub->key != NULL
                 || ngx_http_blockcast_slot_listeners(slot) == 0));

    /* count first: a publication from now on wakes this worker */

    ngx_http_blockcast_slot_add_listeners(ngx_http_blockcast_hub_conf->zone,
                                          slot, 1);

    ngx_http_blockcast_hub_refresh(hub);

    if (first && hub->key != NULL) {
        ngx_http_blockcast_key_hub_join(hub);
    }

    if (first && !ngx_http_blockcast_hub_demand_event.posted) {
        ngx_post_event(&ngx_http_blockcast_hub_demand_event,
                       &ngx_posted_events);
    }
}


void
ngx_http_blockcast_hub_part(ngx_http_blockcast_hub_t *hub)
{
    hub->stream->slot->left = ngx_current_msec;

    ngx_http_blockcast_slot_add_listeners(ngx_http_blockcast_hub_conf->zone,
                                          hub->stream->slot, -1);
}


void
ngx_http_blockcast_hub_leave(ngx_http_blockcast_sub_t *sub)
{
    if (sub->filtered) {
        ngx_http_blockcast_filtered_unsubscribe(sub);

    } else {
        ngx_http_blockcast_hub_unsubscribe(sub->hub, sub->place);
    }
}


void
ngx_http_blockcast_hub_moved(ngx_http_blockcast_sub_t *sub, ngx_uint_t to)
{
    if (sub->filtered) {
        ngx_http_blockcast_filtered_move(sub, to);

    } else {
        sub->hub->listeners[sub->place].sub = (uint32_t) to;
    }
}


void
ngx_http_blockcast_hub_take_deltas(ngx_http_blockcast_sub_t *sub)
{
    sub->delta = 1;
    sub->hub->npatched++;

    /* the poller makes patches from its next publication on */

    sub->hub->stream->slot->patched = ngx_current_msec;
}


/* Moves a listener to another place in the list. */

static void
ngx_http_blockcast_hub_move_listener(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_blockcast_listener_t  *l;

    if (from == to) {
        return;
    }

    l = &hub->listeners[to];
    *l = hub->listeners[from];
    l->conn->subs[l->sub].place = to;
}


void
ngx_http_blockcast_hub_unsubscribe(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t place)
{
    ngx_http_blockcast_listener_t  *l;

    l = &hub->listeners[place];

    if (l->conn->subs[l->sub].delta) {
        hub->npatched--;
    }

    /* during a fan-out, listeners already served stay before the cursor */

    if (hub->walking && place < hub->cursor) {
        hub->cursor--;
        ngx_http_blockcast_hub_move_listener(hub, hub->cursor, place);
        place = hub->cursor;
    }

    hub->nlisteners--;
    ngx_http_blockcast_hub_move_listener(hub, hub->nlisteners, place);

    ngx_http_blockcast_hub_part(hub);
}
