
/*
 * The zone: its layout and what outlives a configuration, and the workers'
 * records.
 */


#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_journal_own.h"
#include "bc_siphash.h"
#include "bc_ws_frame.h"

#include <fcntl.h>
#include <sys/random.h>


/* to be changed with the layout: a reload with another module finds it */
#define NGX_HTTP_BLOCKCAST_MAGIC      0x626c6b6361737454ULL

/* how long a lock is waited for: it is held for the copying of a message */
#define NGX_HTTP_BLOCKCAST_LOCK_TIME  20

/* keys of published entries that are remembered beside a ring, at least */
#define NGX_HTTP_BLOCKCAST_KEYS       1024

/* slots of a former configuration are reused when untouched for so long */
#define NGX_HTTP_BLOCKCAST_UNUSED     60000


static ngx_http_blockcast_slot_t *ngx_http_blockcast_zone_slot_find(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st,
    ngx_uint_t exact);
static ngx_http_blockcast_slot_t *ngx_http_blockcast_zone_slot_alloc(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st);
static void ngx_http_blockcast_zone_slots_clean(
    ngx_http_blockcast_zone_t *zone);
static uint64_t ngx_http_blockcast_zone_slots_gone(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_main_conf_t *bmcf);
static void ngx_http_blockcast_zone_slot_number(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_slot_t *dst);
static void ngx_http_blockcast_zone_slot_empty(
    ngx_http_blockcast_slot_t *slot);
static void ngx_http_blockcast_zone_slot_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from);
static ngx_http_blockcast_zone_t *ngx_http_blockcast_zone_former(
    ngx_shm_zone_t *shm_zone);
static void ngx_http_blockcast_zone_worker_clean(
    ngx_http_blockcast_zone_t *zone, ngx_uint_t n);
static ngx_uint_t ngx_http_blockcast_zone_attach(
    ngx_http_blockcast_zone_t *zone);
static ngx_atomic_uint_t ngx_http_blockcast_zone_worker_started(ngx_pid_t pid);
static ngx_uint_t ngx_http_blockcast_zone_worker_stuck(
    ngx_http_blockcast_worker_t *w);


/* the record of a worker that has none in the zone, which only it sees */

static ngx_http_blockcast_worker_t  ngx_http_blockcast_private;

ngx_atomic_t  *ngx_http_blockcast_zone_counters =
                                          ngx_http_blockcast_private.counters;


#define ngx_http_blockcast_zone_at(zone, offset)                              \
    ((void *) ((u_char *) (zone)->shpool + (offset)))
#define ngx_http_blockcast_zone_offset(zone, p)                               \
    ((uint64_t) ((u_char *) (p) - (u_char *) (zone)->shpool))


/* a text frame, in the worst case */

size_t
ngx_http_blockcast_zone_frame_size(size_t max_size)
{
    return BC_WS_HEADER_LEN + NGX_HTTP_BLOCKCAST_MESSAGE_AROUND
           + NGX_HTTP_BLOCKCAST_NAME_LEN + max_size;
}


/* the text, then half of that for each of the others: they are left out when
   they do not save as much */

size_t
ngx_http_blockcast_zone_buffer_size(size_t max_size, ngx_uint_t log)
{
    size_t  frame;

    frame = ngx_http_blockcast_zone_frame_size(max_size);

    return ngx_align(frame + (log ? 1 : 3) * (frame / 2)
                     + NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX, 64);
}


/* how many hashes of keys are kept beside a ring of that size */

static uint64_t
ngx_http_blockcast_zone_ring_nkeys(size_t ring_size)
{
    return (ring_size == 0) ? 0
           : ngx_min(ngx_max(ring_size / 256, NGX_HTTP_BLOCKCAST_KEYS),
                     64 * NGX_HTTP_BLOCKCAST_KEYS);
}


size_t
ngx_http_blockcast_zone_slot_size(ngx_http_blockcast_stream_t *st)
{
    return ngx_align(sizeof(ngx_http_blockcast_slot_t)
                     + 2 * ngx_http_blockcast_zone_buffer_size(st->max_size,
                                                        st->field.len != 0)
                     + st->ring_size
                     + ngx_http_blockcast_zone_ring_nkeys(st->ring_size)
                       * sizeof(uint64_t), 4096);
}


u_char *
ngx_http_blockcast_zone_slot_buffer(ngx_http_blockcast_slot_t *slot,
    ngx_uint_t n)
{
    return (u_char *) slot + ngx_align(sizeof(ngx_http_blockcast_slot_t), 64)
           + (n & 1) * ngx_http_blockcast_zone_buffer_size(slot->max_size,
                                                           slot->log);
}


u_char *
ngx_http_blockcast_zone_slot_ring(ngx_http_blockcast_slot_t *slot)
{
    return ngx_http_blockcast_zone_slot_buffer(slot, 0)
           + 2 * ngx_http_blockcast_zone_buffer_size(slot->max_size,
                                                     slot->log);
}


uint64_t *
ngx_http_blockcast_zone_slot_keys(ngx_http_blockcast_slot_t *slot)
{
    return (uint64_t *) (ngx_http_blockcast_zone_slot_ring(slot)
                         + slot->ring_size);
}


/* a key for a hash: who can guess it can make keys that collide */

static void
ngx_http_blockcast_zone_seed(uint64_t *seed)
{
    size_t  i;

    if (getrandom(seed, 2 * sizeof(uint64_t), GRND_NONBLOCK)
        == (ssize_t) (2 * sizeof(uint64_t)))
    {
        return;
    }

    /* an early boot, or a kernel without it */

    for (i = 0; i < 2; i++) {
        seed[i] = ((uint64_t) ngx_random() << 33)
                  ^ ((uint64_t) ngx_random() << 11)
                  ^ ngx_http_blockcast_zone_usec(
                                        ) ^ ((uint64_t) ngx_pid << 44);
    }
}


ngx_int_t
ngx_http_blockcast_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    uint64_t                          seed;
    ngx_uint_t                        i;
    ngx_http_blockcast_zone_t        *zone, *former, from;
    ngx_http_blockcast_slot_t        *slot, *old;
    ngx_http_blockcast_zone_shctx_t  *sh;
    ngx_http_blockcast_stream_t     **streams;
    ngx_http_blockcast_main_conf_t   *bmcf;

    zone = shm_zone->data;
    zone->own = &ngx_http_blockcast_private;
    bmcf = zone->bmcf;
    former = NULL;

    if (bmcf->journal != NULL
        && ngx_http_blockcast_journal_own_check(bmcf->journal,
                                                shm_zone->shm.log)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

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
        sh = ngx_slab_calloc(zone->shpool,
                             sizeof(ngx_http_blockcast_zone_shctx_t));
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
            sh->seq = ngx_http_blockcast_zone_slots_gone(former, bmcf);
            sh->role = former->sh->role;

        } else {
            zone->fresh = 1;
        }
    }

    bmcf->generation = ngx_atomic_fetch_add(&zone->sh->generations, 1) + 1;

    ngx_http_blockcast_zone_slots_clean(zone);

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        slot = ngx_http_blockcast_zone_slot_find(zone, streams[i], 1);

        if (slot == NULL) {
            if (former != NULL) {
                from = *former;
                old = ngx_http_blockcast_zone_slot_find(&from, streams[i], 0);

            } else {
                old = ngx_http_blockcast_zone_slot_find(zone, streams[i], 0);
            }

            slot = ngx_http_blockcast_zone_slot_alloc(zone, streams[i]);

            if (slot == NULL) {
                ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                              "blockcast_zone \"%V\" of %uz bytes has no room "
                              "for %uz bytes of stream \"%V\" beside the "
                              "streams of the running configuration, "
                              "make it larger",
                              &shm_zone->shm.name, shm_zone->shm.size,
                              ngx_http_blockcast_zone_slot_size(streams[i]),
                              &streams[i]->name);
                return NGX_ERROR;
            }

            if (old != NULL) {
                ngx_http_blockcast_zone_slot_import(slot, old,
                                                    former ? former : zone);
            }

            ngx_http_blockcast_zone_slot_number(former ? former : zone,
                                                streams[i], slot);

        } else if (slot->version != 0) {

            /* the stream may have been of another kind in between */

            ngx_http_blockcast_zone_slot_number(zone, streams[i], slot);
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

    /* with a state file its workers, while they are drained, follow ours */

    if (from.bmcf->journal != NULL) {
        from.sh->role = ngx_http_blockcast_follower;
    }

    /* who was publishing there has done so when the lock is free */

    if (ngx_http_blockcast_zone_lock(&from, ngx_cycle->log) == NGX_OK) {
        ngx_shmtx_unlock(&from.shpool->mutex);
    }

    zone->sh->seq = ngx_max(zone->sh->seq,
                            ngx_http_blockcast_zone_slots_gone(&from,
                                                               zone->bmcf));

    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        old = ngx_http_blockcast_zone_slot_find(&from, streams[i], 0);

        if (old != NULL) {
            ngx_http_blockcast_zone_slot_import(streams[i]->slot, old, &from);
        }

        ngx_http_blockcast_zone_slot_number(&from, streams[i],
                                            streams[i]->slot);
    }
}


/* the zone of the running configuration, of another size or name */

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
            && zones[i].data != NULL)
        {
            return zones[i].data;
        }
    }
}


static ngx_http_blockcast_slot_t *
ngx_http_blockcast_zone_slot_find(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_uint_t exact)
{
    uint64_t                    offset, best;
    ngx_http_blockcast_slot_t  *slot, *found;

    found = NULL;
    best = 0;

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_zone_at(zone, offset);

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
        slot = ngx_http_blockcast_zone_slot_find(zone, st, 0);

        if (slot != found) {
            ngx_http_blockcast_zone_slot_import(found, slot, zone);
        }
    }

    return found;
}


static ngx_http_blockcast_slot_t *
ngx_http_blockcast_zone_slot_alloc(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st)
{
    size_t                      size;
    ngx_http_blockcast_slot_t  *slot;

    size = ngx_http_blockcast_zone_slot_size(st);

    slot = ngx_slab_alloc(zone->shpool, size);
    if (slot == NULL) {
        return NULL;
    }

    ngx_memzero(slot, size);
    ngx_memcpy(slot->name, st->name.data, st->name.len);

    slot->log = (st->field.len != 0);
    slot->max_size = st->max_size;
    slot->ring_size = st->ring_size;
    slot->nkeys = ngx_http_blockcast_zone_ring_nkeys(st->ring_size);
    slot->size = size;

    ngx_http_blockcast_zone_seed(slot->seed);

    slot->next = zone->sh->slots;

    zone->sh->slots = ngx_http_blockcast_zone_offset(zone, slot);

    return slot;
}


/*
 * Gives back the slots that no configuration has used for a minute.  Workers
 * touch theirs on every tick, so those that are being drained keep theirs.
 */

static void
ngx_http_blockcast_zone_slots_clean(ngx_http_blockcast_zone_t *zone)
{
    uint64_t                   *link, offset;
    ngx_uint_t                  left;
    ngx_http_blockcast_slot_t  *slot, *other;

    link = &zone->sh->slots;

    while (*link != 0) {
        slot = ngx_http_blockcast_zone_at(zone, *link);

        if ((ngx_msec_int_t) (ngx_current_msec - slot->touched)
            > NGX_HTTP_BLOCKCAST_UNUSED)
        {
            *link = slot->next;
            left = 0;

            for (offset = zone->sh->slots; offset != 0; offset = other->next) {
                other = ngx_http_blockcast_zone_at(zone, offset);

                if (ngx_strcmp(other->name, slot->name) == 0) {
                    other->passed = ngx_max(other->passed,
                                            ngx_max((uint64_t) slot->seq,
                                                    slot->passed));
                    left = 1;
                }
            }

            if (!left) {
                zone->sh->seq = ngx_max(zone->sh->seq,
                                        ngx_max((uint64_t) slot->seq,
                                                slot->passed));
            }

            ngx_slab_free(zone->shpool, slot);
            continue;
        }

        link = &slot->next;
    }
}


/* the newest number that a stream had which bmcf does not have */

static uint64_t
ngx_http_blockcast_zone_slots_gone(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    uint64_t                    offset, seq;
    ngx_str_t                   name;
    ngx_http_blockcast_slot_t  *slot;

    seq = zone->sh->seq;

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_zone_at(zone, offset);

        name.data = slot->name;
        name.len = ngx_strlen(slot->name);

        if (ngx_max((uint64_t) slot->seq, slot->passed) > seq
            && ngx_http_blockcast_stream_find(bmcf, &name) == NULL)
        {
            seq = ngx_max((uint64_t) slot->seq, slot->passed);
        }
    }

    return seq;
}


/*
 * The numbers of a stream go on when it was of another kind before, and when
 * it comes back after a time: clients may remember them.  What the slot shows
 * since then is of an older number, and is shown no more.
 */

static void
ngx_http_blockcast_zone_slot_number(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_slot_t *dst)
{
    uint64_t                    offset, seq;
    ngx_http_blockcast_slot_t  *slot;

    seq = (dst->version != 0) ? dst->passed
                              : ngx_max(dst->passed, zone->sh->seq);

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_zone_at(zone, offset);

        if (slot != dst
            && ngx_strlen(slot->name) == st->name.len
            && ngx_memcmp(slot->name, st->name.data, st->name.len) == 0)
        {
            seq = ngx_max(seq, ngx_max((uint64_t) slot->seq, slot->passed));
        }
    }

    if (seq > dst->seq) {
        ngx_http_blockcast_zone_slot_empty(dst);
        dst->seq = seq;
        dst->hole = seq;
    }
}


/* nobody who publishes uses the slot */

static void
ngx_http_blockcast_zone_slot_empty(ngx_http_blockcast_slot_t *slot)
{
    if (slot->version == 0) {
        return;
    }

    slot->version = 0;
    slot->polled = 0;
    slot->attempted = 0;

    if (slot->log) {
        slot->head += slot->ring_size;
        slot->tail = slot->head;
    }
}


/*
 * The mutex of the slab pool.  NGX_DECLINED: a process that was stopped holds
 * it.  The others must not stop with it, so nobody waits for long.
 */

ngx_int_t
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


/* the entries in the ring get the hashes of another seed */

static void
ngx_http_blockcast_zone_slot_reseed(ngx_http_blockcast_slot_t *slot,
    uint64_t *seed)
{
    u_char                            *ring;
    uint64_t                           pos;
    ngx_http_blockcast_ring_record_t  *rec;

    ring = ngx_http_blockcast_zone_slot_ring(slot);

    slot->seed[0] = seed[0];
    slot->seed[1] = seed[1];

    for (pos = slot->tail;
         (rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &pos,
                                             slot->head))
         != NULL;
         pos += rec->size)
    {
        rec->hash = (uint32_t) bc_siphash(
                                    seed,
                                    ngx_http_blockcast_ring_record_key(rec),
                                    rec->key_len);
    }
}


/*
 * The keys that src remembers, but the last ones of them: the entries that dst
 * got from it are among these.
 */

static void
ngx_http_blockcast_zone_slot_import_keys(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_uint_t hidden)
{
    uint64_t  i, n, first, *from, *to;

    first = src->keys - ngx_min(src->keys, src->nkeys);
    n = src->keys - ngx_min(src->keys, hidden);

    /* the newest that there is room for */

    if (n - ngx_min(n, first) > dst->nkeys) {
        first = n - dst->nkeys;
    }

    from = ngx_http_blockcast_zone_slot_keys(src);
    to = ngx_http_blockcast_zone_slot_keys(dst);

    for (i = first; i < n; i++) {
        to[i - first] = from[i % src->nkeys];
    }

    dst->keys = (n > first) ? n - first : 0;
    dst->forgot = (src->forgot || first != 0);
}


/*
 * The same stream with other sizes: takes over what is newer in src, which is
 * in the zone from.
 */

static void
ngx_http_blockcast_zone_slot_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from)
{
    u_char                            *buf, *ring, *to;
    uint64_t                           pos, head;
    ngx_uint_t                         hidden;
    ngx_http_blockcast_snapshot_t      snap;
    ngx_http_blockcast_log_entry_t     entry;
    ngx_http_blockcast_ring_record_t  *rec;

    if (src->seq <= dst->seq) {
        return;
    }

    if (ngx_http_blockcast_snapshot_read(src, &snap, &buf, ngx_cycle->log)
        != NGX_OK)
    {
        return;
    }

    /* the one who publishes in src may be doing so now */

    if (ngx_http_blockcast_zone_lock(from, ngx_cycle->log) != NGX_OK) {
        ngx_free(buf);
        return;
    }

    /* hashes of keys go on, and with them what they were made with */

    if (src->log
        && (dst->seed[0] != src->seed[0] || dst->seed[1] != src->seed[1]))
    {
        ngx_http_blockcast_zone_slot_reseed(dst, src->seed);
    }

    if (src->log) {
        ring = ngx_http_blockcast_zone_slot_ring(src);
        head = src->head;
        hidden = 0;

        if (src->gone > dst->seq) {

            /*
             * some between are lost: those before them go, too, so that a
             * client is told of the gap
             */

            ngx_http_blockcast_ring_clear(dst, src->gone);
        }

        dst->gone = ngx_max(dst->gone, src->gone);

        for (pos = src->tail;
             (rec = ngx_http_blockcast_ring_next(ring, src->ring_size, &pos,
                                                 head))
             != NULL;
             pos += rec->size)
        {
            if (rec->seq > snap.seq) {

                /* nobody was told of it: it will come as new */

                hidden++;
                continue;
            }

            if (rec->seq <= dst->seq) {
                continue;
            }

            if (ngx_align(rec->size, 8) * 2 > dst->ring_size) {
                ngx_http_blockcast_ring_clear(dst, rec->seq);
                continue;
            }

            entry.key.data = ngx_http_blockcast_ring_record_key(rec);
            entry.key.len = rec->key_len;
            entry.data.data = ngx_http_blockcast_ring_record_data(rec);
            entry.data.len = rec->len;

            ngx_http_blockcast_ring_append(dst, &entry, rec->seq,
                                           rec->timestamp, rec->nth);
        }

        ngx_http_blockcast_zone_slot_import_keys(dst, src, hidden);
    }

    if (snap.size <= ngx_http_blockcast_zone_buffer_size(dst->max_size,
                                                         dst->log)) {
        to = ngx_http_blockcast_zone_slot_buffer(dst, dst->version + 1);
        ngx_memcpy(to, buf, snap.size);

    } else {

        /*
         * the data is too large for the new slot, but its number goes on, and
         * what the slot showed is of an older one
         */

        dst->version = 0;
        dst->least = snap.seq;
        snap.size = 0;
    }

    dst->hole = ngx_max(dst->hole, src->hole);
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
    uint64_t                      generation, ours, lease;
    ngx_uint_t                    i;
    ngx_http_blockcast_worker_t  *w;

    ours = zone->bmcf->generation;

    for ( ;; ) {
        generation = zone->sh->generation;

        if (generation >= ours
            || ngx_atomic_cmp_set(&zone->sh->generation, generation, ours))
        {
            break;
        }
    }

    /* a record with our pid is that of one before us, whom nobody missed */

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];

        if ((w->pid & ~NGX_HTTP_BLOCKCAST_CLEANING)
            == (ngx_atomic_uint_t) ngx_pid)
        {
            ngx_http_blockcast_zone_worker_clean(zone, i);
        }
    }

    lease = zone->sh->lease;

    if ((lease & 0xffffffff) == (uint64_t) ngx_pid) {
        (void) ngx_atomic_cmp_set(&zone->sh->lease, lease, 0);
    }

    ngx_http_blockcast_zone_reap(zone, ngx_cycle->log);

    ngx_memzero(&ngx_http_blockcast_private,
                sizeof(ngx_http_blockcast_worker_t));

    if (ngx_http_blockcast_zone_attach(zone)) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: more than %d workers at once, this one is not "
                  "counted until another has left",
                  NGX_HTTP_BLOCKCAST_WORKERS - 1);
}


/* takes a free record, and to it what has been counted without one */

static ngx_uint_t
ngx_http_blockcast_zone_attach(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                    i, n;
    ngx_http_blockcast_worker_t  *w;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];

        if (w->pid != 0 || !ngx_atomic_cmp_set(&w->pid, 0, ngx_pid)) {
            continue;
        }

        w->beat = ngx_current_msec;
        w->started = ngx_http_blockcast_zone_worker_started(ngx_pid);
        w->stuck = 0;
        w->generation = zone->bmcf->generation;
        w->exiting = ngx_http_blockcast_private.exiting;
        w->connections = ngx_http_blockcast_private.connections;

        for (n = 0; n < ngx_http_blockcast_n_all; n++) {
            w->counters[n] = ngx_http_blockcast_private.counters[n];
        }

        zone->worker = i;
        zone->own = w;
        ngx_http_blockcast_zone_counters = w->counters;

        return 1;
    }

    return 0;
}


ngx_uint_t
ngx_http_blockcast_zone_beat(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t  attached;

    attached = (zone->worker == 0 && ngx_http_blockcast_zone_attach(zone));

    zone->own->beat = ngx_current_msec;

    return attached;
}


ngx_uint_t
ngx_http_blockcast_zone_connections(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t  i, n;

    n = (zone->worker == 0) ? zone->own->connections : 0;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        n += zone->sh->workers[i].connections;
    }

    return n;
}


/* what a worker counted; whoever else does the same, it is added once */

static void
ngx_http_blockcast_zone_worker_fold(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_worker_t *w)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  n;

    for (i = 0; i < ngx_http_blockcast_n_all; i++) {
        n = w->counters[i];

        if (n != 0 && ngx_atomic_cmp_set(&w->counters[i], n, 0)) {
            (void) ngx_atomic_fetch_add(&zone->sh->gone[i], n);
        }
    }

    w->connections = 0;
}


static void
ngx_http_blockcast_zone_worker_clean(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t n)
{
    uint64_t                      offset;
    ngx_http_blockcast_slot_t    *slot;
    ngx_http_blockcast_worker_t  *w;

    w = &zone->sh->workers[n];

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_zone_at(zone, offset);

        if (slot->listeners[n] != 0) {
            slot->left = ngx_current_msec;
            slot->listeners[n] = 0;
        }
    }

    ngx_http_blockcast_zone_worker_fold(zone, w);

    w->generation = 0;
    w->exiting = 0;
    w->started = 0;
    w->beat = 0;

    ngx_memory_barrier();

    w->pid = 0;
}


void
ngx_http_blockcast_zone_leave(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                    n;
    ngx_http_blockcast_worker_t  *w;

    n = zone->worker;
    w = zone->own;

    zone->worker = 0;
    zone->own = &ngx_http_blockcast_private;
    ngx_http_blockcast_zone_counters = ngx_http_blockcast_private.counters;

    if (n != 0) {
        ngx_http_blockcast_zone_worker_clean(zone, n);

    } else {
        ngx_http_blockcast_zone_worker_fold(zone, w);
    }
}


ngx_uint_t
ngx_http_blockcast_zone_alive(ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


/* when the process began: another one with its number began later */

static ngx_atomic_uint_t
ngx_http_blockcast_zone_worker_started(ngx_pid_t pid)
{
    int          fd;
    char        *p;
    u_char       name[sizeof("/proc//stat") + NGX_INT64_LEN];
    ssize_t      n;
    char         text[1024];
    ngx_uint_t   field;

    *ngx_snprintf(name, sizeof(name) - 1, "/proc/%P/stat", pid) = '\0';

    fd = open((char *) name, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, sizeof(text) - 1);
    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    text[n] = '\0';

    /* field 22; the second one, the name, ends with the last parenthesis */

    p = strrchr(text, ')');

    for (field = 2; p != NULL && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }

    return (p != NULL) ? (ngx_atomic_uint_t) strtoull(p, NULL, 10) : 0;
}


/* one that is taking its record has no beat yet */

static ngx_uint_t
ngx_http_blockcast_zone_worker_stuck(ngx_http_blockcast_worker_t *w)
{
    ngx_msec_t  beat;

    beat = w->beat;

    return beat != 0
           && (ngx_msec_int_t) (ngx_current_msec - beat)
              > NGX_HTTP_BLOCKCAST_STUCK;
}


/* not the process any more whose record it is */

static ngx_uint_t
ngx_http_blockcast_zone_worker_gone(ngx_http_blockcast_worker_t *w,
    ngx_pid_t pid)
{
    ngx_atomic_uint_t  started, now;

    if (!ngx_http_blockcast_zone_alive(pid)) {
        return 1;
    }

    started = w->started;

    if (started == 0 || !ngx_http_blockcast_zone_worker_stuck(w)) {
        return 0;
    }

    now = ngx_http_blockcast_zone_worker_started(pid);

    return now != 0 && now != started;
}


void
ngx_http_blockcast_zone_reap(ngx_http_blockcast_zone_t *zone, ngx_log_t *log)
{
    ngx_uint_t                    i;
    ngx_pid_t                     pid;
    ngx_atomic_uint_t             old;
    ngx_http_blockcast_worker_t  *w;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];
        old = w->pid;
        pid = (ngx_pid_t) (old & ~NGX_HTTP_BLOCKCAST_CLEANING);

        if (old == 0 || pid == ngx_pid) {
            continue;
        }

        if (old & NGX_HTTP_BLOCKCAST_CLEANING) {

            /* one that cleaned up died over it */

            if (ngx_http_blockcast_zone_alive(pid)) {
                continue;
            }

        } else if (!ngx_http_blockcast_zone_worker_gone(w, pid)) {

            if (!ngx_http_blockcast_zone_worker_stuck(w)) {
                w->stuck = 0;

            } else if (ngx_atomic_cmp_set(&w->stuck, 0, 1)) {
                ngx_log_error(NGX_LOG_WARN, log, 0,
                              "blockcast: worker %P gives no sign of life, "
                              "the others do not wait for it", pid);
            }

            continue;
        }

        /* only one worker cleans up: the one that puts its own pid there */

        if (ngx_atomic_cmp_set(&w->pid, old,
                               ngx_pid | NGX_HTTP_BLOCKCAST_CLEANING))
        {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "blockcast: worker %P is gone, its %uA connections "
                          "are no longer counted", pid, w->connections);

            ngx_http_blockcast_zone_worker_clean(zone, i);
        }
    }
}


ngx_uint_t
ngx_http_blockcast_zone_last(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                    i;
    ngx_http_blockcast_worker_t  *w;

    zone->own->exiting = 1;

    /* of two that exit at once, at least one sees it of the other */

    ngx_memory_barrier();

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];

        if (i != zone->worker
            && ngx_http_blockcast_worker_there(w)
            && !w->exiting
            && w->generation >= zone->bmcf->generation
            && !ngx_http_blockcast_zone_worker_stuck(w)
            && ngx_http_blockcast_zone_alive((ngx_pid_t) w->pid))
        {
            return 0;
        }
    }

    return 1;
}


uint64_t
ngx_http_blockcast_zone_seq(ngx_http_blockcast_zone_t *zone)
{
    return ngx_http_blockcast_zone_slots_gone(zone, zone->bmcf);
}


ngx_uint_t
ngx_http_blockcast_zone_listeners(ngx_http_blockcast_slot_t *slot)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        n += slot->listeners[i];
    }

    return n;
}


void
ngx_http_blockcast_zone_listened(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_int_t n)
{
    if (zone->worker != 0) {
        (void) ngx_atomic_fetch_add(&slot->listeners[zone->worker], n);

    } else if (n > 0) {

        /* as who reads over HTTP does, and again with each tick */

        slot->demanded = ngx_current_msec;
    }
}


/* what slots of former configurations know of the stream that its own does not */

void
ngx_http_blockcast_zone_slot_takeover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_slot_t  *slot;

    slot = ngx_http_blockcast_zone_slot_find(zone, st, 0);

    if (slot != NULL && slot != st->slot) {
        ngx_http_blockcast_zone_slot_import(st->slot, slot, zone);
    }

    ngx_http_blockcast_zone_slot_number(zone, st, st->slot);
}


uint64_t
ngx_http_blockcast_zone_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
