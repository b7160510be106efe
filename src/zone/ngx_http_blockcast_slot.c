
/*
 * Slots: the streams' places in the zone, and how they outlive a
 * configuration.
 *
 * A slot has a fixed size: its struct, two buffers for snapshots, and for a
 * log the ring of its entries and the hashes of their keys; or the history of
 * its numbers.  A reload with other sizes makes another slot, which imports
 * what the old one has.
 */


#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_history.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_siphash.h"
#include "bc_ws_frame.h"

#include <sys/random.h>


/* the least number of keys of published entries to remember beside a ring */
#define NGX_HTTP_BLOCKCAST_KEYS       1024

/*
 * slots of previous configurations are reused after so long without a touch
 * (msec)
 */
#define NGX_HTTP_BLOCKCAST_UNUSED     60000


static void ngx_http_blockcast_slot_empty(ngx_http_blockcast_slot_t *slot);


size_t
ngx_http_blockcast_slot_frame_size(size_t max_size)
{
    return BC_WS_HEADER_LEN + NGX_HTTP_BLOCKCAST_MESSAGE_AROUND
           + NGX_HTTP_BLOCKCAST_NAME_LEN + max_size;
}


/*
 * Counts the text and half of it for each of the other frames, which are left
 * out when they do not save that much.
 */

size_t
ngx_http_blockcast_slot_buffer_size(size_t max_size, ngx_uint_t log)
{
    size_t  frame;

    frame = ngx_http_blockcast_slot_frame_size(max_size);

    return ngx_align(frame + (log ? 1 : 3) * (frame / 2)
                     + NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX, 64);
}


/* Returns how many hashes of keys are kept beside a ring of that size. */

static uint64_t
ngx_http_blockcast_slot_nkeys(size_t ring_size)
{
    return (ring_size == 0) ? 0
           : ngx_min(ngx_max(ring_size / 256, NGX_HTTP_BLOCKCAST_KEYS),
                     64 * NGX_HTTP_BLOCKCAST_KEYS);
}


size_t
ngx_http_blockcast_slot_size(ngx_http_blockcast_stream_t *st)
{
    return ngx_align(ngx_align(sizeof(ngx_http_blockcast_slot_t), 64)
                     + 2 * ngx_http_blockcast_slot_buffer_size(st->max_size,
                                                        st->field.len != 0)
                     + st->ring_size
                     + ngx_http_blockcast_slot_nkeys(st->ring_size)
                       * sizeof(uint64_t)
                     + (st->history ? st->history->size : 0)
                     + ngx_http_blockcast_key_table_size(st), 4096);
}


u_char *
ngx_http_blockcast_slot_buffer(ngx_http_blockcast_slot_t *slot,
    ngx_uint_t n)
{
    return (u_char *) slot + ngx_align(sizeof(ngx_http_blockcast_slot_t), 64)
           + (n & 1) * ngx_http_blockcast_slot_buffer_size(slot->max_size,
                                                           slot->log);
}


u_char *
ngx_http_blockcast_slot_ring(ngx_http_blockcast_slot_t *slot)
{
    return ngx_http_blockcast_slot_buffer(slot, 0)
           + 2 * ngx_http_blockcast_slot_buffer_size(slot->max_size,
                                                     slot->log);
}


uint64_t *
ngx_http_blockcast_slot_keys(ngx_http_blockcast_slot_t *slot)
{
    return (uint64_t *) (ngx_http_blockcast_slot_ring(slot)
                         + slot->ring_size);
}


bc_history_t *
ngx_http_blockcast_slot_history(ngx_http_blockcast_slot_t *slot)
{
    return (slot->history_size == 0)
           ? NULL
           : (bc_history_t *) (ngx_http_blockcast_slot_keys(slot)
                               + slot->nkeys);
}


ngx_http_blockcast_key_table_t *
ngx_http_blockcast_slot_key_table(ngx_http_blockcast_slot_t *slot)
{
    return (slot->table_size == 0)
           ? NULL
           : (ngx_http_blockcast_key_table_t *)
                 ((u_char *) (ngx_http_blockcast_slot_keys(slot) + slot->nkeys)
                  + slot->history_size);
}


void
ngx_http_blockcast_slot_import_keyed(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src)
{
    ngx_http_blockcast_key_table_t  *table;

    table = ngx_http_blockcast_slot_key_table(dst);

    if (table == NULL) {
        return;
    }

    if (src != NULL) {
        ngx_http_blockcast_key_table_import(table,
                                      ngx_http_blockcast_slot_key_table(src));
        dst->seq = ngx_max((uint64_t) dst->seq, (uint64_t) src->seq);
    }

    if (dst->seq > table->high) {
        table->high = dst->seq;
    }
}


/* Returns true when a slot keeps the history that a stream is to have. */

static ngx_uint_t
ngx_http_blockcast_slot_history_fits(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_stream_t *st)
{
    if (st->history == NULL || slot->history_size == 0) {
        return st->history == NULL && slot->history_size == 0;
    }

    return ngx_memcmp(&ngx_http_blockcast_slot_history(slot)->shape,
                      &st->history->shape, sizeof(bc_history_shape_t))
           == 0;
}


/* Makes the secret seed of a hash: with it, anyone could make keys collide. */

static void
ngx_http_blockcast_slot_seed(uint64_t *seed)
{
    size_t  i;

    if (getrandom(seed, 2 * sizeof(uint64_t), GRND_NONBLOCK)
        == (ssize_t) (2 * sizeof(uint64_t)))
    {
        return;
    }

    /* early during boot, or on a kernel without getrandom() */

    for (i = 0; i < 2; i++) {
        seed[i] = ((uint64_t) ngx_random() << 33)
                  ^ ((uint64_t) ngx_random() << 11)
                  ^ ngx_http_blockcast_zone_usec()
                  ^ ((uint64_t) ngx_pid << 44);
    }
}


ngx_http_blockcast_slot_t *
ngx_http_blockcast_slot_find(ngx_http_blockcast_zone_t *zone,
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
            && (!ngx_http_blockcast_key_table_fits(
                                     ngx_http_blockcast_slot_key_table(slot),
                                     st)
                || slot->max_size != st->max_size
                || slot->ring_size != st->ring_size
                || !ngx_http_blockcast_slot_history_fits(slot, st)))
        {
            continue;
        }

        /* several reloads may have left slots of several sizes */

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


ngx_http_blockcast_slot_t *
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
    slot->nkeys = ngx_http_blockcast_slot_nkeys(st->ring_size);
    slot->size = size;

    if (st->history != NULL) {
        slot->history_size = st->history->size;
        bc_history_init(ngx_http_blockcast_slot_history(slot),
                        &st->history->shape);
    }

    ngx_http_blockcast_slot_seed(slot->seed);

    if (st->keys != NULL) {
        slot->table_size = ngx_http_blockcast_key_table_size(st);
        ngx_http_blockcast_key_table_init(
                        ngx_http_blockcast_slot_key_table(slot), st,
                        slot->seed);
    }

    slot->next = zone->sh->slots;

    zone->sh->slots = ngx_http_blockcast_zone_offset(zone, slot);

    return slot;
}


/*
 * Workers touch the slots of their configuration on every tick, so draining
 * workers keep theirs.
 */

void
ngx_http_blockcast_slot_free_unused(ngx_http_blockcast_zone_t *zone)
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
                    other->freed_seq = ngx_max(other->freed_seq,
                                            ngx_max((uint64_t) slot->seq,
                                                    slot->freed_seq));
                    left = 1;
                }
            }

            if (!left) {
                zone->sh->seq = ngx_max(zone->sh->seq,
                                        ngx_max((uint64_t) slot->seq,
                                                slot->freed_seq));
            }

            ngx_slab_free(zone->shpool, slot);
            continue;
        }

        link = &slot->next;
    }
}


uint64_t
ngx_http_blockcast_slot_seq_unconfigured(ngx_http_blockcast_zone_t *zone,
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

        if (ngx_max((uint64_t) slot->seq, slot->freed_seq) > seq
            && ngx_http_blockcast_stream_find(bmcf, &name) == NULL)
        {
            seq = ngx_max((uint64_t) slot->seq, slot->freed_seq);
        }
    }

    return seq;
}


/*
 * The stream may have been of another kind (data or log) before, or have been
 * away for some time, and clients may remember its numbers.  A snapshot in the
 * slot with an older number is dropped.
 */

void
ngx_http_blockcast_slot_continue_seq(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_slot_t *dst)
{
    uint64_t                    offset, seq;
    ngx_http_blockcast_slot_t  *slot;

    seq = (dst->version != 0) ? dst->freed_seq
                              : ngx_max(dst->freed_seq, zone->sh->seq);

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_zone_at(zone, offset);

        if (slot != dst
            && ngx_strlen(slot->name) == st->name.len
            && ngx_memcmp(slot->name, st->name.data, st->name.len) == 0)
        {
            seq = ngx_max(seq, ngx_max((uint64_t) slot->seq, slot->freed_seq));
        }
    }

    if (seq > dst->seq) {
        ngx_http_blockcast_slot_empty(dst);
        dst->seq = seq;
        dst->hole = seq;
    }
}


/* Drops the snapshot and entries of a slot to which nobody publishes. */

static void
ngx_http_blockcast_slot_empty(ngx_http_blockcast_slot_t *slot)
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


/* Sets another seed, and hashes the entries' keys again with it. */

static void
ngx_http_blockcast_slot_reseed(ngx_http_blockcast_slot_t *slot,
    uint64_t *seed)
{
    u_char                            *ring;
    uint64_t                           pos;
    ngx_http_blockcast_ring_record_t  *rec;

    ring = ngx_http_blockcast_slot_ring(slot);

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
 * Copies the hashes of the keys that src remembers, except the last `hidden`
 * ones, whose entries were never announced.
 */

static void
ngx_http_blockcast_slot_import_keys(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_uint_t hidden)
{
    uint64_t  i, n, first, *from, *to;

    first = src->keys - ngx_min(src->keys, src->nkeys);
    n = src->keys - ngx_min(src->keys, hidden);

    /* copy as many of the newest as there is room for */

    if (n - ngx_min(n, first) > dst->nkeys) {
        first = n - dst->nkeys;
    }

    from = ngx_http_blockcast_slot_keys(src);
    to = ngx_http_blockcast_slot_keys(dst);

    for (i = first; i < n; i++) {
        to[i - first] = from[i % src->nkeys];
    }

    dst->keys = (n > first) ? n - first : 0;
    dst->forgot = (src->forgot || first != 0);
}


/*
 * Copies the entries up to number `last` that dst lacks; the mutex of src's
 * zone is locked.
 */

static void
ngx_http_blockcast_slot_import_log(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, uint64_t last)
{
    u_char                            *ring;
    uint64_t                           pos, head;
    ngx_uint_t                         hidden;
    ngx_http_blockcast_log_entry_t     entry;
    ngx_http_blockcast_ring_record_t  *rec;

    /* hashes are copied as they are, so both need the same seed */

    if (dst->seed[0] != src->seed[0] || dst->seed[1] != src->seed[1]) {
        ngx_http_blockcast_slot_reseed(dst, src->seed);
    }

    ring = ngx_http_blockcast_slot_ring(src);
    head = src->head;
    hidden = 0;

    if (src->gone > dst->seq) {

        /*
         * entries in between are lost: drop those before them, too, so that
         * clients are told of the gap
         */

        ngx_http_blockcast_ring_clear(dst, src->gone);
    }

    dst->gone = ngx_max(dst->gone, src->gone);

    for (pos = src->tail;
         (rec = ngx_http_blockcast_ring_next(ring, src->ring_size, &pos, head))
         != NULL;
         pos += rec->size)
    {
        if (rec->seq > last) {

            /* never announced: the poller will publish it as new */

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

        ngx_http_blockcast_ring_append(dst, &entry, rec->seq, rec->timestamp,
                                       rec->nth);
    }

    ngx_http_blockcast_slot_import_keys(dst, src, hidden);
}


void
ngx_http_blockcast_slot_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from)
{
    u_char                         *buf, *to;
    ngx_http_blockcast_snapshot_t   snap;

    ngx_http_blockcast_history_import(dst, src, from);

    if (src->seq <= dst->seq) {
        return;
    }

    if (ngx_http_blockcast_snapshot_read(src, &snap, &buf, ngx_cycle->log)
        != NGX_OK)
    {
        return;
    }

    /* keep out a poller that may be publishing to src */

    if (ngx_http_blockcast_zone_lock(from, ngx_cycle->log) != NGX_OK) {
        ngx_free(buf);
        return;
    }

    if (src->log) {
        ngx_http_blockcast_slot_import_log(dst, src, snap.seq);
    }

    if (snap.size <= ngx_http_blockcast_slot_buffer_size(dst->max_size,
                                                         dst->log))
    {
        to = ngx_http_blockcast_slot_buffer(dst, dst->version + 1);
        ngx_memcpy(to, buf, snap.size);

    } else {

        /*
         * the data is too large for the new slot: keep its number, and drop
         * what the slot has, which is older
         */

        dst->version = 0;
        dst->dataless_seq = snap.seq;
        snap.size = 0;
    }

    dst->hole = ngx_max(dst->hole, src->hole);
    dst->snap[(dst->version + 1) & 1] = snap;
    dst->polled = src->polled;
    dst->polled_sec = src->polled_sec;
    dst->attempted = src->attempted;
    dst->seq = snap.seq;
    dst->jump_from = src->jump_from;
    dst->jump_to = src->jump_to;

    if (dst->jump_to > snap.seq) {

        /* numbers that were skipped: keep showing the newest data */

        dst->dataless_seq = ngx_max(dst->dataless_seq, dst->jump_to);
        dst->seq = dst->jump_to;
    }

    ngx_memory_barrier();

    if (snap.size != 0) {
        dst->version++;
    }

    ngx_shmtx_unlock(&from->shpool->mutex);

    ngx_free(buf);
}


void
ngx_http_blockcast_slot_take_over(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st)
{
    uint64_t                    offset;
    ngx_http_blockcast_slot_t  *slot;

    slot = ngx_http_blockcast_slot_find(zone, st, 0);

    if (slot != NULL && slot != st->slot) {
        ngx_http_blockcast_slot_import(st->slot, slot, zone);

        if (st->keys != NULL
            && ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) == NGX_OK)
        {
            ngx_http_blockcast_slot_import_keyed(st->slot, slot);
            ngx_shmtx_unlock(&zone->shpool->mutex);
        }
    }

    /* a history grows while the data does not change, so import it anyway */

    for (offset = zone->sh->slots;
         st->history != NULL && offset != 0;
         offset = slot->next)
    {
        slot = ngx_http_blockcast_zone_at(zone, offset);

        if (slot != st->slot
            && ngx_strlen(slot->name) == st->name.len
            && ngx_memcmp(slot->name, st->name.data, st->name.len) == 0)
        {
            ngx_http_blockcast_history_import(st->slot, slot, zone);
        }
    }

    ngx_http_blockcast_slot_continue_seq(zone, st, st->slot);
}


ngx_uint_t
ngx_http_blockcast_slot_listeners(ngx_http_blockcast_slot_t *slot)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        n += slot->listeners[i];
    }

    return n;
}


void
ngx_http_blockcast_slot_add_listeners(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_int_t n)
{
    if (zone->worker != 0) {
        (void) ngx_atomic_fetch_add(&slot->listeners[zone->worker], n);

    } else if (n > 0) {

        /* without a record to count in: mark it as demanded, as REST does */

        slot->demanded = ngx_current_msec;
    }
}
