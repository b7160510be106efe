
/*
 * The zone: layout, the lease of the poller, publishing and reading.
 */


#include "ngx_http_blockcast_zone.h"
#include "bc_json_patch.h"
#include "bc_ws.h"
#include "bc_ws_pmd.h"


/* to be changed with the layout: a reload with another module finds it */
#define NGX_HTTP_BLOCKCAST_MAGIC      0x626c6b6361737435ULL

/* how long a lock is waited for: it is held for the copying of a message */
#define NGX_HTTP_BLOCKCAST_LOCK_TIME  20

/* slots of a former configuration are reused when untouched for so long */
#define NGX_HTTP_BLOCKCAST_UNUSED     60000

/* text around the data of a message, the stream's name twice not counted */
#define NGX_HTTP_BLOCKCAST_AROUND                                             \
    (sizeof("{\"type\":\"\",\"data\":,\"timestamp\":,\"seq\":}")             \
     + 2 * NGX_INT64_LEN)


static ngx_http_blockcast_slot_t *ngx_http_blockcast_slot_find(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st,
    ngx_uint_t exact);
static ngx_http_blockcast_slot_t *ngx_http_blockcast_slot_alloc(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st);
static void ngx_http_blockcast_slots_clean(ngx_http_blockcast_zone_t *zone);
static void ngx_http_blockcast_slot_number(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_slot_t *dst);
static ngx_int_t ngx_http_blockcast_zone_lock(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);
static void ngx_http_blockcast_slot_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from);
static ngx_http_blockcast_zone_t *ngx_http_blockcast_zone_former(
    ngx_shm_zone_t *shm_zone);
static void ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth);


static ngx_atomic_t  ngx_http_blockcast_no_counters[ngx_http_blockcast_n_all];

ngx_atomic_t  *ngx_http_blockcast_counters = ngx_http_blockcast_no_counters;


#define ngx_http_blockcast_at(zone, offset)                                   \
    ((void *) ((u_char *) (zone)->shpool + (offset)))
#define ngx_http_blockcast_offset(zone, p)                                    \
    ((uint64_t) ((u_char *) (p) - (u_char *) (zone)->shpool))


/* a text frame, in the worst case */

static size_t
ngx_http_blockcast_frame_size(size_t max_size)
{
    return BC_WS_HEADER_LEN + NGX_HTTP_BLOCKCAST_AROUND
           + NGX_HTTP_BLOCKCAST_NAME_LEN + max_size;
}


/* the text, then half of that for each of the others: they are left out when
   they do not save as much */

static size_t
ngx_http_blockcast_buffer_size(size_t max_size, ngx_uint_t log)
{
    size_t  frame;

    frame = ngx_http_blockcast_frame_size(max_size);

    return ngx_align(frame + (log ? 1 : 3) * (frame / 2)
                     + NGX_HTTP_BLOCKCAST_STATE_MAX, 64);
}


size_t
ngx_http_blockcast_slot_size(ngx_http_blockcast_stream_t *st)
{
    return ngx_align(sizeof(ngx_http_blockcast_slot_t)
                     + 2 * ngx_http_blockcast_buffer_size(st->max_size,
                                                        st->field.len != 0)
                     + st->ring_size, 4096);
}


u_char *
ngx_http_blockcast_slot_buffer(ngx_http_blockcast_slot_t *slot, ngx_uint_t n)
{
    return (u_char *) slot + ngx_align(sizeof(ngx_http_blockcast_slot_t), 64)
           + (n & 1) * ngx_http_blockcast_buffer_size(slot->max_size,
                                                      slot->log);
}


u_char *
ngx_http_blockcast_slot_ring(ngx_http_blockcast_slot_t *slot)
{
    return ngx_http_blockcast_slot_buffer(slot, 0)
           + 2 * ngx_http_blockcast_buffer_size(slot->max_size, slot->log);
}


ngx_int_t
ngx_http_blockcast_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    uint64_t                         seed;
    ngx_uint_t                       i;
    ngx_http_blockcast_zone_t       *zone, *former, from;
    ngx_http_blockcast_slot_t       *slot, *old;
    ngx_http_blockcast_shctx_t      *sh;
    ngx_http_blockcast_stream_t    **streams;
    ngx_http_blockcast_main_conf_t  *bmcf;

    zone = shm_zone->data;
    bmcf = zone->bmcf;
    former = NULL;

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data != NULL || shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;

        if (zone->sh->magic != NGX_HTTP_BLOCKCAST_MAGIC) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "blockcast_zone \"%V\" was made by another version "
                          "of the module, restart nginx instead of reloading",
                          &shm_zone->shm.name);
            return NGX_ERROR;
        }

    } else {
        sh = ngx_slab_calloc(zone->shpool, sizeof(ngx_http_blockcast_shctx_t));
        if (sh == NULL) {
            return NGX_ERROR;
        }

        /* an integer that JavaScript holds exactly, other for each start */

        seed = (uint64_t) ngx_random() ^ ((uint64_t) ngx_pid << 7)
               ^ (uint64_t) ngx_current_msec;

        sh->magic = NGX_HTTP_BLOCKCAST_MAGIC;
        sh->epoch = ((uint64_t) ngx_time() << 20) | (seed & 0xfffff);

        zone->shpool->data = sh;
        zone->shpool->log_nomem = 0;
        zone->sh = sh;

        /* a zone of another size: what the running one knows goes on here */

        former = ngx_http_blockcast_zone_former(shm_zone);
        if (former != NULL) {
            zone->former = former;
            sh->epoch = former->sh->epoch;
            sh->generations = former->sh->generations;
            sh->seq = former->sh->seq;
        }
    }

    bmcf->generation = ngx_atomic_fetch_add(&zone->sh->generations, 1) + 1;

    ngx_http_blockcast_slots_clean(zone);

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        slot = ngx_http_blockcast_slot_find(zone, streams[i], 1);

        if (slot == NULL) {
            if (former != NULL) {
                from = *former;
                old = ngx_http_blockcast_slot_find(&from, streams[i], 0);

            } else {
                old = ngx_http_blockcast_slot_find(zone, streams[i], 0);
            }

            slot = ngx_http_blockcast_slot_alloc(zone, streams[i]);

            if (slot == NULL) {
                ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                              "blockcast_zone \"%V\" of %uz bytes has no room "
                              "for %uz bytes of stream \"%V\" beside the "
                              "streams of the running configuration, "
                              "make it larger",
                              &shm_zone->shm.name, shm_zone->shm.size,
                              ngx_http_blockcast_slot_size(streams[i]),
                              &streams[i]->name);
                return NGX_ERROR;
            }

            if (old != NULL) {
                ngx_http_blockcast_slot_import(slot, old,
                                               former ? former : zone);
            }

            ngx_http_blockcast_slot_number(former ? former : zone, streams[i],
                                           slot);
        }

        slot->touched = ngx_current_msec;
        streams[i]->slot = slot;
    }

    return NGX_OK;
}


/*
 * The new configuration is in force.  Nobody publishes in a zone of another
 * size any longer, and what was published there since is taken over.
 */

void
ngx_http_blockcast_zone_settle(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_zone_t       from;
    ngx_http_blockcast_slot_t      *old;
    ngx_http_blockcast_stream_t   **streams;

    if (zone->former == NULL) {
        return;
    }

    from = *zone->former;
    zone->former = NULL;

    from.sh->generation = (ngx_atomic_uint_t) -1;
    ngx_memory_barrier();
    from.sh->lease = 0;

    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        old = ngx_http_blockcast_slot_find(&from, streams[i], 0);

        if (old != NULL) {
            ngx_http_blockcast_slot_import(streams[i]->slot, old, &from);
        }

        ngx_http_blockcast_slot_number(&from, streams[i], streams[i]->slot);
    }
}


static ngx_http_blockcast_zone_t *
ngx_http_blockcast_zone_former(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *zones;

    if (ngx_cycle == NULL || ngx_cycle->shared_memory.part.elts == NULL) {
        return NULL;
    }

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    zones = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            zones = part->elts;
            i = 0;
        }

        if (&zones[i] != shm_zone
            && zones[i].tag == shm_zone->tag
            && zones[i].shm.addr != NULL
            && zones[i].shm.name.len == shm_zone->shm.name.len
            && ngx_strncmp(zones[i].shm.name.data, shm_zone->shm.name.data,
                           shm_zone->shm.name.len)
               == 0
            && zones[i].data != NULL)
        {
            return zones[i].data;
        }
    }
}


static ngx_http_blockcast_slot_t *
ngx_http_blockcast_slot_find(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_uint_t exact)
{
    uint64_t                    offset, best;
    ngx_http_blockcast_slot_t  *slot, *found;

    found = NULL;
    best = 0;

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_at(zone, offset);

        if (ngx_strlen(slot->name) != st->name.len
            || ngx_memcmp(slot->name, st->name.data, st->name.len) != 0
            || slot->log != (st->field.len != 0))
        {
            continue;
        }

        if (exact
            && (slot->max_size != st->max_size
                || slot->ring_size != st->ring_size))
        {
            continue;
        }

        /* several sizes of one stream may be left of several reloads */

        if (found == NULL || slot->seq > best) {
            found = slot;
            best = slot->seq;
        }
    }

    if (exact && found != NULL) {
        slot = ngx_http_blockcast_slot_find(zone, st, 0);

        if (slot != found) {
            ngx_http_blockcast_slot_import(found, slot, zone);
        }
    }

    return found;
}


static ngx_http_blockcast_slot_t *
ngx_http_blockcast_slot_alloc(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st)
{
    size_t                      size;
    ngx_http_blockcast_slot_t  *slot;

    size = ngx_http_blockcast_slot_size(st);

    slot = ngx_slab_alloc(zone->shpool, size);
    if (slot == NULL) {
        return NULL;
    }

    ngx_memzero(slot, size);
    ngx_memcpy(slot->name, st->name.data, st->name.len);

    slot->log = (st->field.len != 0);
    slot->max_size = st->max_size;
    slot->ring_size = st->ring_size;
    slot->size = size;
    slot->next = zone->sh->slots;

    zone->sh->slots = ngx_http_blockcast_offset(zone, slot);

    return slot;
}


/*
 * Gives back the slots that no configuration has used for a minute.  Workers
 * touch theirs on every tick, so those that are being drained keep theirs.
 */

static void
ngx_http_blockcast_slots_clean(ngx_http_blockcast_zone_t *zone)
{
    uint64_t                   *link;
    ngx_http_blockcast_slot_t  *slot;

    link = &zone->sh->slots;

    while (*link != 0) {
        slot = ngx_http_blockcast_at(zone, *link);

        if ((ngx_msec_int_t) (ngx_current_msec - slot->touched)
            > NGX_HTTP_BLOCKCAST_UNUSED)
        {
            zone->sh->seq = ngx_max(zone->sh->seq, (uint64_t) slot->seq);

            *link = slot->next;
            ngx_slab_free(zone->shpool, slot);
            continue;
        }

        link = &slot->next;
    }
}


/*
 * The numbers of a stream go on when it was of another kind before, and when
 * it comes back after a time: clients may remember them.
 */

static void
ngx_http_blockcast_slot_number(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_slot_t *dst)
{
    uint64_t                    offset, seq;
    ngx_http_blockcast_slot_t  *slot;

    if (dst->version != 0) {
        return;
    }

    seq = zone->sh->seq;

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_at(zone, offset);

        if (slot != dst
            && slot->seq > seq
            && ngx_strlen(slot->name) == st->name.len
            && ngx_memcmp(slot->name, st->name.data, st->name.len) == 0)
        {
            seq = slot->seq;
        }
    }

    if (seq > dst->seq) {
        dst->seq = seq;
    }
}


/*
 * The mutex of the slab pool.  NGX_DECLINED: a process that was stopped holds
 * it.  The others must not stop with it, so nobody waits for long.
 */

static ngx_int_t
ngx_http_blockcast_zone_lock(ngx_http_blockcast_zone_t *zone, ngx_log_t *log)
{
    ngx_uint_t     i;
    static time_t  logged;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_LOCK_TIME; i++) {

        if (ngx_shmtx_trylock(&zone->shpool->mutex)) {
            return NGX_OK;
        }

        ngx_msleep(1);
    }

    if (ngx_time() - logged >= 10) {
        logged = ngx_time();

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "blockcast_zone \"%V\" is locked by process %uA, which "
                      "does not go on; nothing is published meanwhile",
                      &zone->shm_zone->shm.name, *zone->shpool->mutex.lock);
    }

    return NGX_DECLINED;
}


/*
 * The same stream with other sizes: takes over what is newer in src, which is
 * in the zone from.
 */

static void
ngx_http_blockcast_slot_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from)
{
    u_char                       *buf, *ring, *to;
    uint64_t                      pos, head;
    ngx_uint_t                    joined, n;
    ngx_http_blockcast_snap_t     snap;
    ngx_http_blockcast_entry_t    entry;
    ngx_http_blockcast_record_t  *rec;

    if (src->seq <= dst->seq) {
        return;
    }

    if (ngx_http_blockcast_read_snap(src, &snap, &buf, ngx_cycle->log)
        != NGX_OK)
    {
        return;
    }

    /* the one who publishes in src may be doing so now */

    if (ngx_http_blockcast_zone_lock(from, ngx_cycle->log) != NGX_OK) {
        ngx_free(buf);
        return;
    }

    if (src->log) {
        ring = ngx_http_blockcast_slot_ring(src);
        head = src->head;
        joined = 0;
        n = 0;

        for (pos = src->tail; pos < head; pos += rec->size) {
            rec = (ngx_http_blockcast_record_t *)
                      (ring + pos % src->ring_size);

            if (rec->size < sizeof(uint32_t) * 2) {
                break;
            }

            if (rec->size < sizeof(ngx_http_blockcast_record_t)
                || rec->key_len + rec->len == 0
                || rec->seq > snap.seq)
            {
                continue;
            }

            if (rec->seq <= dst->seq) {
                joined = 1;
                continue;
            }

            if (n++ == 0 && !joined
                && (rec->seq > dst->seq + 1 || rec->nth != 0))
            {
                /*
                 * some between are lost: those before them go, too, so that
                 * a client is told of the gap; the place is the same one
                 */

                dst->head += dst->ring_size;
                dst->tail = dst->head;
            }

            if (ngx_align(rec->size, 8) * 2 > dst->ring_size) {
                continue;
            }

            entry.key.data = ngx_http_blockcast_record_key(rec);
            entry.key.len = rec->key_len;
            entry.data.data = ngx_http_blockcast_record_data(rec);
            entry.data.len = rec->len;

            ngx_http_blockcast_ring_append(dst, &entry, rec->seq,
                                           rec->timestamp, rec->nth);
        }
    }

    if (snap.size <= ngx_http_blockcast_buffer_size(dst->max_size, dst->log)) {
        to = ngx_http_blockcast_slot_buffer(dst, dst->version + 1);
        ngx_memcpy(to, buf, snap.size);

    } else {

        /* the data is too large for the new slot, but its number goes on */

        dst->least = snap.seq;
        snap.size = 0;
    }

    dst->snap[(dst->version + 1) & 1] = snap;
    dst->polled = src->polled;
    dst->polled_sec = src->polled_sec;
    dst->attempted = src->attempted;
    dst->seq = snap.seq;

    ngx_memory_barrier();

    if (snap.size != 0) {
        dst->version++;
    }

    ngx_shmtx_unlock(&from->shpool->mutex);

    ngx_free(buf);
}


void
ngx_http_blockcast_zone_enter(ngx_http_blockcast_zone_t *zone)
{
    uint64_t                         generation, ours;
    ngx_uint_t                       i;
    ngx_http_blockcast_worker_t     *w;

    ours = zone->bmcf->generation;

    for ( ;; ) {
        generation = zone->sh->generation;

        if (generation >= ours
            || ngx_atomic_cmp_set(&zone->sh->generation, generation, ours))
        {
            break;
        }
    }

    ngx_http_blockcast_zone_reap(zone, ngx_cycle->log);

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];

        if (w->pid == 0 && ngx_atomic_cmp_set(&w->pid, 0, ngx_pid)) {
            w->generation = ours;
            zone->worker = i;
            ngx_http_blockcast_counters = w->counters;
            return;
        }
    }

    /* record 0 is shared by those that found no other, and never zeroed */

    zone->worker = 0;
    ngx_http_blockcast_counters = zone->sh->workers[0].counters;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: more than %d workers at once, "
                  "the counters of some are shared",
                  NGX_HTTP_BLOCKCAST_WORKERS - 1);
}


static void
ngx_http_blockcast_worker_clean(ngx_http_blockcast_zone_t *zone, ngx_uint_t n)
{
    uint64_t                    offset;
    ngx_uint_t                  i;
    ngx_http_blockcast_slot_t  *slot;

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_at(zone, offset);

        if (slot->listeners[n] != 0) {
            slot->left = ngx_current_msec;
            slot->listeners[n] = 0;
        }
    }

    for (i = 0; i < ngx_http_blockcast_n_all; i++) {
        (void) ngx_atomic_fetch_add(&zone->sh->gone[i],
                                    zone->sh->workers[n].counters[i]);
        zone->sh->workers[n].counters[i] = 0;
    }

    zone->sh->workers[n].connections = 0;
    zone->sh->workers[n].generation = 0;

    ngx_memory_barrier();

    zone->sh->workers[n].pid = 0;
}


void
ngx_http_blockcast_zone_leave(ngx_http_blockcast_zone_t *zone)
{
    ngx_http_blockcast_counters = ngx_http_blockcast_no_counters;

    if (zone->worker != 0) {
        ngx_http_blockcast_worker_clean(zone, zone->worker);
        zone->worker = 0;
    }
}


static ngx_uint_t
ngx_http_blockcast_alive(ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


void
ngx_http_blockcast_zone_reap(ngx_http_blockcast_zone_t *zone, ngx_log_t *log)
{
    ngx_uint_t                    i;
    ngx_pid_t                     pid;
    ngx_http_blockcast_worker_t  *w;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];
        pid = (ngx_pid_t) w->pid;

        if (pid == 0 || ngx_http_blockcast_alive(pid)) {
            continue;
        }

        /* only one worker cleans up: the one that puts its own pid there */

        if (ngx_atomic_cmp_set(&w->pid, pid, ngx_pid)) {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "blockcast: worker %P is gone, its %uA connections "
                          "are no longer counted", pid, w->connections);

            ngx_http_blockcast_worker_clean(zone, i);
        }
    }
}


ngx_int_t
ngx_http_blockcast_lease_hold(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t *taken)
{
    uint64_t                     me, old;
    ngx_http_blockcast_shctx_t  *sh;

    sh = zone->sh;
    *taken = 0;

    if (sh->generation > zone->bmcf->generation) {
        ngx_http_blockcast_lease_drop(zone);
        return NGX_DECLINED;
    }

    me = zone->bmcf->generation << 32 | (uint64_t) ngx_pid;
    old = sh->lease;

    if (old == me) {
        sh->lease_until = ngx_current_msec + NGX_HTTP_BLOCKCAST_LEASE;
        ngx_memory_barrier();

        return (sh->lease == me) ? NGX_OK : NGX_DECLINED;
    }

    if (old != 0
        && (old >> 32) >= zone->bmcf->generation
        && (ngx_msec_int_t) (sh->lease_until - ngx_current_msec) > 0
        && ngx_http_blockcast_alive((ngx_pid_t) (old & 0xffffffff)))
    {
        return NGX_DECLINED;
    }

    if (!ngx_atomic_cmp_set(&sh->lease, old, me)) {
        return NGX_DECLINED;
    }

    sh->lease_until = ngx_current_msec + NGX_HTTP_BLOCKCAST_LEASE;
    (void) ngx_atomic_fetch_add(&sh->takeovers, 1);

    *taken = 1;

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_lease_held(ngx_http_blockcast_zone_t *zone)
{
    return zone->sh->lease
           == (zone->bmcf->generation << 32 | (uint64_t) ngx_pid);
}


void
ngx_http_blockcast_lease_drop(ngx_http_blockcast_zone_t *zone)
{
    (void) ngx_atomic_cmp_set(&zone->sh->lease,
                              zone->bmcf->generation << 32
                              | (uint64_t) ngx_pid, 0);
}


ngx_uint_t
ngx_http_blockcast_listeners(ngx_http_blockcast_slot_t *slot)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        n += slot->listeners[i];
    }

    return n;
}


size_t
ngx_http_blockcast_message_len(ngx_http_blockcast_stream_t *st,
    size_t data_len)
{
    return NGX_HTTP_BLOCKCAST_AROUND + st->name.len + data_len;
}


u_char *
ngx_http_blockcast_message_head(u_char *p, ngx_http_blockcast_stream_t *st)
{
    p = ngx_cpymem(p, "{\"type\":\"", sizeof("{\"type\":\"") - 1);
    p = ngx_cpymem(p, st->name.data, st->name.len);
    return ngx_cpymem(p, "\",\"data\":", sizeof("\",\"data\":") - 1);
}


u_char *
ngx_http_blockcast_message_tail(u_char *p, uint64_t seq, time_t timestamp)
{
    return ngx_sprintf(p, ",\"timestamp\":%T,\"seq\":%uL}", timestamp, seq);
}


/* NGX_OK with the mutex locked */

static ngx_int_t
ngx_http_blockcast_publish_begin(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log)
{
    /*
     * The mutex keeps out a former poller that was stopped in the middle of
     * this and goes on after another took the lease.
     */

    if (ngx_http_blockcast_zone_lock(zone, log) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!ngx_http_blockcast_lease_held(zone)) {
        ngx_shmtx_unlock(&zone->shpool->mutex);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/* a payload at buf + offset + BC_WS_HEADER_LEN gets its header before it */

static void
ngx_http_blockcast_form_finish(ngx_http_blockcast_form_t *form, u_char *buf,
    size_t offset, size_t len, ngx_uint_t deflated)
{
    form->offset = offset;
    form->payload = (len < 126) ? 2 : (len < 65536) ? 4 : BC_WS_HEADER_LEN;
    form->len = form->payload + len;
    form->plain = len;

    if (form->payload != BC_WS_HEADER_LEN) {
        ngx_memmove(buf + offset + form->payload,
                    buf + offset + BC_WS_HEADER_LEN, len);
    }

    (void) bc_ws_header(buf + offset, BC_WS_TEXT, 1, deflated, len);
}


/* the deflated form of another, at *end, when it is worth it */

static void
ngx_http_blockcast_form_deflate(ngx_http_blockcast_snap_t *snap,
    ngx_uint_t from, u_char *buf, size_t max)
{
    size_t                      len, plain;
    ngx_http_blockcast_form_t  *text, *form;

    text = &snap->forms[from];
    form = &snap->forms[from + 1];

    plain = text->len - text->payload;

    if (plain < NGX_HTTP_BLOCKCAST_DEFLATE_MIN) {
        return;
    }

    max = ngx_min(max, plain * 9 / 10);

    if (bc_ws_deflate(buf + text->offset + text->payload, plain, 15, 6,
                      buf + snap->size + BC_WS_HEADER_LEN, max, &len)
        != 0)
    {
        return;
    }

    ngx_http_blockcast_form_finish(form, buf, snap->size, len, 1);
    form->plain = plain;

    snap->size += form->len;
}


/*
 * Builds all that a snapshot consists of in memory of this worker: the time
 * under the lock is that of a memcpy().
 */

static u_char *
ngx_http_blockcast_build(ngx_http_blockcast_stream_t *st, ngx_str_t *data,
    ngx_str_t *previous, ngx_str_t *state, uint64_t seq, time_t timestamp,
    ngx_uint_t count, ngx_http_blockcast_snap_t *snap, ngx_log_t *log)
{
    u_char                     *buf, *p, *payload;
    size_t                      max, len;
    bc_span_t                   from, to;
    ngx_http_blockcast_form_t  *text;

    /* room for what deflate writes beyond its limit before it gives up */

    buf = ngx_alloc(ngx_http_blockcast_buffer_size(st->max_size,
                                                   st->field.len != 0)
                    + 64, log);
    if (buf == NULL) {
        return NULL;
    }

    ngx_memzero(snap, sizeof(ngx_http_blockcast_snap_t));

    snap->seq = seq;
    snap->timestamp = timestamp;
    snap->count = count;

    text = &snap->forms[NGX_HTTP_BLOCKCAST_TEXT];
    payload = buf + BC_WS_HEADER_LEN;

    p = ngx_http_blockcast_message_head(payload, st);
    snap->data = p - payload;
    p = ngx_cpymem(p, data->data, data->len);
    p = ngx_http_blockcast_message_tail(p, seq, timestamp);

    ngx_http_blockcast_form_finish(text, buf, 0, p - payload, 0);

    snap->data += text->payload;
    snap->data_len = data->len;
    snap->size = text->len;

    max = ngx_http_blockcast_frame_size(st->max_size) / 2 - BC_WS_HEADER_LEN;

    ngx_http_blockcast_form_deflate(snap, NGX_HTTP_BLOCKCAST_TEXT, buf, max);

    if (previous != NULL) {
        payload = buf + snap->size + BC_WS_HEADER_LEN;

        p = ngx_sprintf(payload, "{\"type\":\"%V\",\"delta\":", &st->name);

        from.data = previous->data;
        from.len = previous->len;
        to.data = data->data;
        to.len = data->len;

        /* never sent when it is not smaller than the data itself */

        if ((size_t) (p - payload) + NGX_HTTP_BLOCKCAST_AROUND < max
            && bc_json_merge_diff(from, to, p,
                                  ngx_min(max - (p - payload)
                                          - NGX_HTTP_BLOCKCAST_AROUND,
                                          data->len), &len)
               == 1
            && len + sizeof(",\"base\":") + NGX_INT64_LEN < data->len)
        {
            p += len;
            p = ngx_sprintf(p, ",\"base\":%uL", seq - 1);
            p = ngx_http_blockcast_message_tail(p, seq, timestamp);

            ngx_http_blockcast_form_finish(
                                   &snap->forms[NGX_HTTP_BLOCKCAST_DELTA],
                                   buf, snap->size, p - payload, 0);

            snap->size += snap->forms[NGX_HTTP_BLOCKCAST_DELTA].len;

            ngx_http_blockcast_form_deflate(snap, NGX_HTTP_BLOCKCAST_DELTA,
                                            buf, max);
        }
    }

    snap->state = snap->size;

    if (state != NULL && state->len != 0) {
        ngx_memcpy(buf + snap->size, state->data, state->len);
        snap->state_len = state->len;
        snap->size += state->len;
    }

    return buf;
}


uint64_t
ngx_http_blockcast_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}


/* the mutex is locked */

static void
ngx_http_blockcast_commit(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snap_t *snap, u_char *buf)
{
    ngx_uint_t  n;

    n = (slot->version + 1) & 1;

    ngx_memcpy(ngx_http_blockcast_slot_buffer(slot, n), buf, snap->size);
    slot->snap[n] = *snap;
    slot->snap[n].published = ngx_http_blockcast_usec();

    ngx_memory_barrier();

    slot->seq = snap->seq;
    slot->version++;
}


ngx_int_t
ngx_http_blockcast_publish(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *data, ngx_str_t *previous,
    ngx_str_t *state, time_t timestamp, ngx_log_t *log)
{
    u_char                     *buf;
    ngx_int_t                   rc;
    ngx_http_blockcast_snap_t   snap;

    if (data->len > st->max_size) {
        return NGX_ERROR;
    }

    buf = ngx_http_blockcast_build(st, data, previous, state,
                                   st->slot->seq + 1, timestamp, 0, &snap,
                                   log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_blockcast_publish_begin(zone, log);

    if (rc == NGX_OK) {
        ngx_http_blockcast_commit(st->slot, &snap, buf);
        ngx_shmtx_unlock(&zone->shpool->mutex);
    }

    ngx_free(buf);

    return rc;
}


ngx_int_t
ngx_http_blockcast_publish_state(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *state, ngx_log_t *log)
{
    u_char                     *from, *to;
    ngx_int_t                   rc;
    ngx_uint_t                  n;
    ngx_http_blockcast_slot_t  *slot;
    ngx_http_blockcast_snap_t  *snap;

    slot = st->slot;

    rc = ngx_http_blockcast_publish_begin(zone, log);
    if (rc != NGX_OK) {
        return rc;
    }

    n = slot->version & 1;

    from = ngx_http_blockcast_slot_buffer(slot, n);
    to = ngx_http_blockcast_slot_buffer(slot, n ^ 1);

    snap = &slot->snap[n ^ 1];
    *snap = slot->snap[n];

    ngx_memcpy(to, from, snap->state);

    if (state->len != 0) {
        ngx_memcpy(to + snap->state, state->data, state->len);
    }

    snap->state_len = state->len;
    snap->size = snap->state + state->len;

    ngx_memory_barrier();

    slot->version++;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return NGX_OK;
}


static void
ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth)
{
    u_char                       *ring;
    size_t                        size, pad, room;
    uint64_t                      head, tail;
    ngx_http_blockcast_record_t  *rec;

    ring = ngx_http_blockcast_slot_ring(slot);

    size = ngx_align(sizeof(ngx_http_blockcast_record_t)
                     + entry->key.len + entry->data.len, 8);

    head = slot->head;
    tail = slot->tail;

    room = slot->ring_size - head % slot->ring_size;
    pad = (room < size) ? room : 0;

    /* what will be overwritten is no longer valid before it is written */

    while (head + pad + size - tail > slot->ring_size) {
        rec = (ngx_http_blockcast_record_t *) (ring + tail % slot->ring_size);
        tail += rec->size;
    }

    slot->tail = tail;
    ngx_memory_barrier();

    if (pad != 0) {
        rec = (ngx_http_blockcast_record_t *) (ring + head % slot->ring_size);

        /* the rest may be as small as 8 bytes: only these two are written */
        rec->size = pad;
        rec->hash = 0;

        if (pad >= sizeof(ngx_http_blockcast_record_t)) {
            rec->key_len = 0;
            rec->len = 0;
        }

        head += pad;
    }

    rec = (ngx_http_blockcast_record_t *) (ring + head % slot->ring_size);

    rec->size = size;
    rec->hash = ngx_murmur_hash2(entry->key.data, entry->key.len);
    rec->key_len = entry->key.len;
    rec->len = entry->data.len;
    rec->seq = seq;
    rec->timestamp = timestamp;
    rec->nth = nth;
    rec->pad = 0;

    ngx_memcpy(ngx_http_blockcast_record_key(rec), entry->key.data,
               entry->key.len);
    ngx_memcpy(ngx_http_blockcast_record_data(rec), entry->data.data,
               entry->data.len);

    ngx_memory_barrier();

    slot->head = head + size;
}


static u_char *
ngx_http_blockcast_batch_head(u_char *p, ngx_http_blockcast_stream_t *st)
{
    *p++ = '{';
    *p++ = '"';
    p = ngx_cpymem(p, st->field.data, st->field.len);
    return ngx_cpymem(p, "\":[", 3);
}


ngx_int_t
ngx_http_blockcast_publish_log(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_entry_t *entries,
    ngx_uint_t n, ngx_str_t *state, time_t timestamp, ngx_log_t *log)
{
    u_char                     *p, *text, *buf;
    uint64_t                    seq;
    ngx_int_t                   rc;
    ngx_str_t                   data;
    ngx_uint_t                  i;
    ngx_http_blockcast_snap_t   snap;

    text = ngx_alloc(st->max_size, log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_blockcast_batch_head(text, st);

    for (i = 0; i < n; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, entries[i].data.data, entries[i].data.len);
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", n);

    data.data = text;
    data.len = p - text;

    seq = st->slot->seq + 1;

    buf = ngx_http_blockcast_build(st, &data, NULL, state, seq, timestamp, n,
                                   &snap, log);
    ngx_free(text);

    if (buf == NULL) {
        return NGX_ERROR;
    }

    rc = ngx_http_blockcast_publish_begin(zone, log);

    if (rc == NGX_OK) {

        for (i = 0; i < n; i++) {
            ngx_http_blockcast_ring_append(st->slot, &entries[i], seq,
                                           timestamp, i);
        }

        ngx_http_blockcast_commit(st->slot, &snap, buf);
        ngx_shmtx_unlock(&zone->shpool->mutex);
    }

    ngx_free(buf);

    return rc;
}


/*
 * What the poller before left behind.  In a configuration with other sizes it
 * has published until it lost the lease, after the master made our slot.  One
 * that was killed may have counted a message that nobody has seen; and, between
 * the ring and the version word, it leaves entries that nobody was told of,
 * which become a batch of their own.
 */

void
ngx_http_blockcast_recover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_log_t *log)
{
    u_char                       *p, *text, *last, *ring, *old, *buf;
    uint64_t                      pos, timestamp;
    ngx_str_t                     data, state;
    ngx_uint_t                    n;
    ngx_http_blockcast_slot_t    *slot;
    ngx_http_blockcast_snap_t     snap;
    ngx_http_blockcast_record_t  *rec;

    slot = ngx_http_blockcast_slot_find(zone, st, 0);

    if (slot != NULL && slot != st->slot) {
        ngx_http_blockcast_slot_import(st->slot, slot, zone);
    }

    ngx_http_blockcast_slot_number(zone, st, st->slot);

    slot = st->slot;

    if (slot->version != 0
        && ngx_http_blockcast_publish_begin(zone, log) == NGX_OK)
    {
        slot->seq = ngx_max(slot->snap[slot->version & 1].seq, slot->least);

        ngx_shmtx_unlock(&zone->shpool->mutex);
    }

    if (slot->log == 0 || slot->head == slot->tail) {
        return;
    }

    text = ngx_alloc(st->max_size, log);
    if (text == NULL) {
        return;
    }

    last = text + st->max_size - sizeof("],\"count\":}") - NGX_INT_T_LEN;
    p = ngx_http_blockcast_batch_head(text, st);

    ring = ngx_http_blockcast_slot_ring(slot);
    n = 0;
    timestamp = 0;

    for (pos = slot->tail; pos < slot->head; pos += rec->size) {
        rec = (ngx_http_blockcast_record_t *) (ring + pos % slot->ring_size);

        if (rec->size < sizeof(ngx_http_blockcast_record_t)
            || rec->key_len + rec->len == 0
            || rec->seq <= slot->seq)
        {
            if (rec->size == 0) {
                break;
            }

            continue;
        }

        if (p + rec->len + 1 > last) {
            break;
        }

        if (n++ == 0) {
            timestamp = rec->timestamp;

        } else {
            *p++ = ',';
        }

        p = ngx_cpymem(p, ngx_http_blockcast_record_data(rec), rec->len);
    }

    if (n == 0) {
        ngx_free(text);
        return;
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", n);
    data.data = text;
    data.len = p - text;

    old = NULL;
    ngx_str_null(&state);

    if (ngx_http_blockcast_read_snap(slot, &snap, &old, log) == NGX_OK) {
        state.data = old + snap.state;
        state.len = snap.state_len;
    }

    buf = ngx_http_blockcast_build(st, &data, NULL, &state, slot->seq + 1,
                                   timestamp, n, &snap, log);

    if (buf != NULL && ngx_http_blockcast_publish_begin(zone, log) == NGX_OK) {
        ngx_http_blockcast_commit(slot, &snap, buf);
        ngx_shmtx_unlock(&zone->shpool->mutex);

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "blockcast: %ui entries of stream \"%V\" that a former "
                      "poller left unannounced are published", n, &st->name);
    }

    ngx_free(text);

    if (buf != NULL) {
        ngx_free(buf);
    }

    if (old != NULL) {
        ngx_free(old);
    }
}


void
ngx_http_blockcast_refresh(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot)
{
    static ngx_str_t  none = ngx_string("");

    if (!ngx_http_blockcast_lease_held(zone)) {
        return;
    }

    slot->polled_sec = ngx_time();
    slot->polled = ngx_current_msec;

    if (slot->error[slot->error_version & 1].len != 0) {
        ngx_http_blockcast_fail(zone, slot, 0, &none);
    }
}


void
ngx_http_blockcast_fail(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text)
{
    size_t                       len;
    ngx_http_blockcast_error_t  *error;

    len = ngx_min(text->len, NGX_HTTP_BLOCKCAST_ERROR_LEN);

    if (len < text->len) {
        while (len > 0 && (text->data[len] & 0xc0) == 0x80) {
            len--;
        }
    }

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
        return;
    }

    if (ngx_http_blockcast_lease_held(zone)) {
        error = &slot->error[(slot->error_version + 1) & 1];

        error->since = ngx_time();
        error->code = code;
        error->len = len;
        ngx_memcpy(error->text, text->data, len);

        ngx_memory_barrier();

        slot->error_version++;
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


void
ngx_http_blockcast_read_error(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_error_t *error)
{
    ngx_uint_t  i;
    uint64_t    version;

    for (i = 0; i < 100; i++) {
        version = slot->error_version;
        ngx_memory_barrier();

        *error = slot->error[version & 1];

        ngx_memory_barrier();

        if (slot->error_version == version) {
            break;
        }
    }

    if (error->len > NGX_HTTP_BLOCKCAST_ERROR_LEN) {
        error->len = 0;
    }
}


ngx_int_t
ngx_http_blockcast_read_snap(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snap_t *snap, u_char **buf, ngx_log_t *log)
{
    size_t      size, max;
    u_char     *p;
    uint64_t    version;
    ngx_uint_t  i;

    max = ngx_http_blockcast_buffer_size(slot->max_size, slot->log);

    for (i = 0; i < 100; i++) {
        version = slot->version;

        if (version == 0) {
            return NGX_DECLINED;
        }

        ngx_memory_barrier();

        *snap = slot->snap[version & 1];
        size = snap->size;

        ngx_memory_barrier();

        if (size > max || slot->version != version) {
            continue;
        }

        p = ngx_alloc(size + 1, log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, ngx_http_blockcast_slot_buffer(slot, version), size);

        ngx_memory_barrier();

        if (slot->version == version) {
            *buf = p;
            return NGX_OK;
        }

        /* the writer came by meanwhile and may have been in this buffer */

        ngx_free(p);
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_http_blockcast_age(ngx_http_blockcast_slot_t *slot)
{
    ngx_msec_int_t  age;

    if (slot->polled == 0) {
        return -1;
    }

    age = (ngx_msec_int_t) (ngx_current_msec - slot->polled);

    /* another worker's clock may be a tick ahead of ours */

    return (age < 0) ? 0 : age;
}


ngx_http_blockcast_state_e
ngx_http_blockcast_state(ngx_http_blockcast_stream_t *st, ngx_uint_t listened)
{
    ngx_int_t                   age;
    ngx_http_blockcast_slot_t  *slot;

    slot = st->slot;

    if (slot->version != 0) {
        age = ngx_http_blockcast_age(slot);

        if (age >= 0 && (ngx_msec_t) age <= st->stale) {
            return ngx_http_blockcast_live;
        }
    }

    if (!listened && slot->error[slot->error_version & 1].len == 0) {
        return ngx_http_blockcast_idle;
    }

    if (slot->version == 0) {
        return ngx_http_blockcast_waiting;
    }

    return ngx_http_blockcast_stale;
}
