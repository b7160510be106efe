
/*
 * The keys of a stream with blockcast_key in the zone.
 *
 * Places are taken and freed under the zone's lock, and read without it.  Each
 * list changes by the store of one word, so a killed process leaves at most a
 * place that is marked as dead, which _sweep() frees.
 */


#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_siphash.h"


/* how many places to compare for the one whose listeners left first */
#define NGX_HTTP_BLOCKCAST_KEY_LOOK  256

/* the longest time a key is polled after a request over HTTP (msec) */
#define NGX_HTTP_BLOCKCAST_KEY_DEMAND  15000


static void ngx_http_blockcast_key_table_unlink(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place);


static size_t
ngx_http_blockcast_key_table_place_size(ngx_http_blockcast_stream_t *st)
{
    return ngx_align(sizeof(ngx_http_blockcast_key_t) + 2 * st->max_size, 8);
}


static uint64_t
ngx_http_blockcast_key_table_buckets(ngx_http_blockcast_stream_t *st)
{
    uint64_t  n;

    for (n = 64; n < st->keys->max; n *= 2) { /* void */ }

    return n;
}


size_t
ngx_http_blockcast_key_table_size(ngx_http_blockcast_stream_t *st)
{
    if (st->keys == NULL) {
        return 0;
    }

    return sizeof(ngx_http_blockcast_key_table_t)
           + ngx_http_blockcast_key_table_buckets(st)
             * (sizeof(uint32_t) + 2 * sizeof(uint64_t))
           + st->keys->max * ngx_http_blockcast_key_table_place_size(st);
}


void
ngx_http_blockcast_key_table_init(ngx_http_blockcast_key_table_t *table,
    ngx_http_blockcast_stream_t *st, uint64_t *seed)
{
    table->max = st->keys->max;
    table->max_size = st->max_size;
    table->size = ngx_http_blockcast_key_table_place_size(st);
    table->mask = ngx_http_blockcast_key_table_buckets(st) - 1;
    table->seed[0] = seed[0];
    table->seed[1] = seed[1];
}


ngx_uint_t
ngx_http_blockcast_key_table_fits(ngx_http_blockcast_key_table_t *table,
    ngx_http_blockcast_stream_t *st)
{
    if (table == NULL || st->keys == NULL) {
        return table == NULL && st->keys == NULL;
    }

    return table->max == st->keys->max && table->max_size == st->max_size;
}


ngx_http_blockcast_key_table_t *
ngx_http_blockcast_key_table_of(ngx_http_blockcast_stream_t *st)
{
    return ngx_http_blockcast_slot_key_table(st->slot);
}


static uint32_t *
ngx_http_blockcast_key_table_heads(ngx_http_blockcast_key_table_t *table)
{
    return (uint32_t *) ((u_char *) (table + 1)
                         + 2 * (table->mask + 1) * sizeof(uint64_t));
}


static uint64_t *
ngx_http_blockcast_key_table_ring(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t n)
{
    return (uint64_t *) (table + 1) + n * (table->mask + 1);
}


ngx_http_blockcast_key_t *
ngx_http_blockcast_key_table_at(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place)
{
    return (ngx_http_blockcast_key_t *)
               ((u_char *) (ngx_http_blockcast_key_table_heads(table)
                            + table->mask + 1)
                + place * table->size);
}


static u_char *
ngx_http_blockcast_key_table_buffer(ngx_http_blockcast_key_table_t *table,
    ngx_http_blockcast_key_t *k, uint64_t n)
{
    return (u_char *) (k + 1) + (n & 1) * table->max_size;
}


static uint32_t
ngx_http_blockcast_key_table_hash(ngx_http_blockcast_key_table_t *table,
    ngx_str_t *key)
{
    return (uint32_t) bc_siphash(table->seed, key->data, key->len);
}


static ngx_uint_t
ngx_http_blockcast_key_table_is(ngx_http_blockcast_key_t *k, ngx_str_t *key)
{
    return k->state == ngx_http_blockcast_key_used
           && k->len == key->len
           && ngx_memcmp(k->key, key->data, key->len) == 0;
}


ngx_uint_t
ngx_http_blockcast_key_table_find(ngx_http_blockcast_key_table_t *table,
    ngx_str_t *key)
{
    uint32_t                   hash, next;
    ngx_uint_t                 n;
    ngx_http_blockcast_key_t  *k;

    hash = ngx_http_blockcast_key_table_hash(table, key);
    next = ngx_http_blockcast_key_table_heads(table)[hash & table->mask];

    /* another worker may be changing the list: count, so that the loop ends */

    for (n = 0; next != 0 && next <= table->max && n < table->max; n++) {
        k = ngx_http_blockcast_key_table_at(table, next - 1);

        if (k->hash == hash && ngx_http_blockcast_key_table_is(k, key)) {
            return next - 1;
        }

        next = k->next;
    }

    return NGX_HTTP_BLOCKCAST_KEY_NONE;
}


ngx_uint_t
ngx_http_blockcast_key_table_listened(ngx_http_blockcast_key_t *k)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_KEY_WORDS; i++) {
        if (k->listeners[i] != 0) {
            return 1;
        }
    }

    return 0;
}


/* Sets or clears the bit of a worker; returns whether it was set. */

static ngx_uint_t
ngx_http_blockcast_key_table_bit(ngx_http_blockcast_key_t *k,
    ngx_uint_t worker, ngx_uint_t set)
{
    ngx_atomic_t       *word;
    ngx_atomic_uint_t   old, bit;

    word = &k->listeners[worker / 64];
    bit = (ngx_atomic_uint_t) 1 << (worker % 64);

    for ( ;; ) {
        old = *word;

        if (ngx_atomic_cmp_set(word, old, set ? old | bit : old & ~bit)) {
            return (old & bit) != 0;
        }
    }
}


/*
 * Joins an existing place, which another worker may be freeing.  others: on
 * behalf of other gateways.
 */

static ngx_uint_t
ngx_http_blockcast_key_table_take(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_key_t *k, ngx_str_t *key, ngx_uint_t others)
{
    ngx_uint_t  had, worker;

    worker = others ? 0 : zone->worker;

    if (worker == 0 && !others) {

        /* this worker has no bit: mark the key as wanted, as REST does */

        k->demanded = ngx_current_msec;
        return ngx_http_blockcast_key_table_is(k, key);
    }

    had = ngx_http_blockcast_key_table_bit(k, worker, 1);
    ngx_memory_barrier();

    if (ngx_http_blockcast_key_table_is(k, key)) {
        return 1;
    }

    if (!had) {
        (void) ngx_http_blockcast_key_table_bit(k, worker, 0);
    }

    return 0;
}


/* Returns when a key was last in use: the oldest one makes room first. */

static ngx_msec_t
ngx_http_blockcast_key_table_last(ngx_http_blockcast_key_t *k)
{
    ngx_msec_t  left, demanded;

    left = k->left;
    demanded = k->demanded;

    return (demanded != 0 && (ngx_msec_int_t) (demanded - left) > 0) ? demanded
                                                                     : left;
}


/*
 * Frees a place; the lock is held.  Returns false if it has a listener by now.
 */

static ngx_uint_t
ngx_http_blockcast_key_table_drop(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place)
{
    ngx_http_blockcast_key_t       *k;
    ngx_http_blockcast_key_snap_t  *snap;

    k = ngx_http_blockcast_key_table_at(table, place);

    if (!ngx_atomic_cmp_set(&k->state, ngx_http_blockcast_key_used,
                            ngx_http_blockcast_key_dead))
    {
        return 0;
    }

    ngx_memory_barrier();

    if (ngx_http_blockcast_key_table_listened(k)) {
        k->state = ngx_http_blockcast_key_used;
        return 0;
    }

    snap = &k->snap[k->version & 1];

    if (k->version != 0 && snap->seq > table->high) {
        table->high = snap->seq;
    }

    ngx_http_blockcast_test_moment("key: dead");
    ngx_http_blockcast_key_table_unlink(table, place);

    return 1;
}


/* Takes a dead place out of its list, and frees it; the lock is held. */

static void
ngx_http_blockcast_key_table_unlink(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place)
{
    uint32_t                  *link;
    ngx_uint_t                 n;
    ngx_http_blockcast_key_t  *k;

    k = ngx_http_blockcast_key_table_at(table, place);

    link = &ngx_http_blockcast_key_table_heads(table)[k->hash & table->mask];

    for (n = 0; *link != 0 && *link <= table->max && n < table->max; n++) {

        if (*link == place + 1) {
            *link = k->next;
            break;
        }

        link = &ngx_http_blockcast_key_table_at(table, *link - 1)->next;
    }

    ngx_memory_barrier();
    ngx_http_blockcast_test_moment("key: unlinked");

    k->uses++;
    ngx_memory_barrier();
    k->state = ngx_http_blockcast_key_free;
}


/*
 * Finds a place for another key: a free one, or that of the key whose
 * listeners left first among those that are compared; the lock is held.
 */

static ngx_uint_t
ngx_http_blockcast_key_table_room(ngx_http_blockcast_key_table_t *table)
{
    ngx_msec_t                 last, oldest;
    ngx_uint_t                 i, n, place, best;
    ngx_http_blockcast_key_t  *k;

    for ( ;; ) {
        best = NGX_HTTP_BLOCKCAST_KEY_NONE;
        oldest = 0;

        for (n = 0; n < table->max; n++) {

            if (n >= NGX_HTTP_BLOCKCAST_KEY_LOOK
                && best != NGX_HTTP_BLOCKCAST_KEY_NONE)
            {
                break;
            }

            place = (table->hand + n) % table->max;
            k = ngx_http_blockcast_key_table_at(table, place);

            if (k->state == ngx_http_blockcast_key_free) {
                table->hand = (place + 1) % table->max;
                return place;
            }

            if (k->state != ngx_http_blockcast_key_used
                || ngx_http_blockcast_key_table_listened(k))
            {
                continue;
            }

            last = ngx_http_blockcast_key_table_last(k);

            if (best == NGX_HTTP_BLOCKCAST_KEY_NONE
                || (ngx_msec_int_t) (last - oldest) < 0)
            {
                best = place;
                oldest = last;
            }
        }

        if (best == NGX_HTTP_BLOCKCAST_KEY_NONE) {
            table->full = 1;
            return best;
        }

        i = table->hand;

        if (ngx_http_blockcast_key_table_drop(table, best)) {
            table->evicted++;

            /* start elsewhere next time, unless all were compared */

            if (n < table->max) {
                table->hand = (i + n) % table->max;
            }

            return best;
        }
    }
}


/* Makes a place for a key; the lock is held. */

static ngx_uint_t
ngx_http_blockcast_key_table_add(ngx_http_blockcast_key_table_t *table,
    ngx_str_t *key)
{
    uint32_t                  *head;
    ngx_uint_t                 place, i;
    ngx_http_blockcast_key_t  *k;

    place = ngx_http_blockcast_key_table_room(table);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
        return place;
    }

    k = ngx_http_blockcast_key_table_at(table, place);

    k->version = 0;
    k->base = table->high;
    k->polled = 0;
    k->attempted = 0;
    k->ended = 0;
    k->demanded = 0;
    k->left = ngx_current_msec;
    k->after = 0;
    k->error_version = 0;
    k->error[0].len = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_KEY_WORDS; i++) {
        k->listeners[i] = 0;
    }

    k->hash = ngx_http_blockcast_key_table_hash(table, key);
    k->len = key->len;
    ngx_memcpy(k->key, key->data, key->len);

    head = &ngx_http_blockcast_key_table_heads(table)[k->hash & table->mask];
    k->next = *head;

    ngx_memory_barrier();
    k->state = ngx_http_blockcast_key_used;
    ngx_memory_barrier();
    ngx_http_blockcast_test_moment("key: made");
    *head = place + 1;

    return place;
}


static ngx_uint_t
ngx_http_blockcast_key_table_join_as(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t *busy,
    ngx_uint_t others)
{
    ngx_uint_t                       place;
    ngx_http_blockcast_key_table_t  *table;

    table = ngx_http_blockcast_key_table_of(st);
    *busy = 0;

    place = ngx_http_blockcast_key_table_find(table, key);

    if (place != NGX_HTTP_BLOCKCAST_KEY_NONE
        && ngx_http_blockcast_key_table_take(zone,
                          ngx_http_blockcast_key_table_at(table, place), key,
                          others))
    {
        return place;
    }

    if (table->full && place == NGX_HTTP_BLOCKCAST_KEY_NONE) {

        /* no listener has left since all places were found in use */

        (void) ngx_atomic_fetch_add(&table->refused, 1);
        return place;
    }

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
        *busy = 1;
        return NGX_HTTP_BLOCKCAST_KEY_NONE;
    }

    place = ngx_http_blockcast_key_table_find(table, key);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
        place = ngx_http_blockcast_key_table_add(table, key);
    }

    if (place != NGX_HTTP_BLOCKCAST_KEY_NONE) {
        (void) ngx_http_blockcast_key_table_take(zone,
                          ngx_http_blockcast_key_table_at(table, place), key,
                          others);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
        (void) ngx_atomic_fetch_add(&table->refused, 1);
    }

    return place;
}


ngx_uint_t
ngx_http_blockcast_key_table_join(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t *busy)
{
    return ngx_http_blockcast_key_table_join_as(zone, st, key, busy, 0);
}


ngx_uint_t
ngx_http_blockcast_key_table_want(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t *busy)
{
    return ngx_http_blockcast_key_table_join_as(zone, st, key, busy, 1);
}


void
ngx_http_blockcast_key_table_unwant(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place)
{
    ngx_http_blockcast_key_t  *k;

    k = ngx_http_blockcast_key_table_at(table, place);
    k->left = ngx_current_msec;

    (void) ngx_http_blockcast_key_table_bit(k, 0, 0);

    table->full = 0;
}


ngx_uint_t
ngx_http_blockcast_key_table_wanted(ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_key_t *k)
{
    ngx_msec_t  window;

    if (k->state != ngx_http_blockcast_key_used) {
        return 0;
    }

    if (ngx_http_blockcast_key_table_listened(k)) {
        return 1;
    }

    if (st->linger != 0
        && (ngx_msec_int_t) (ngx_current_msec - k->left - st->linger) < 0)
    {
        return 1;
    }

    window = ngx_min(2 * st->interval + 2000,
                     NGX_HTTP_BLOCKCAST_KEY_DEMAND);

    return k->demanded != 0
           && (ngx_msec_int_t) (ngx_current_msec - k->demanded - window) < 0;
}


void
ngx_http_blockcast_key_table_attach(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place)
{
    ngx_http_blockcast_key_t  *k;

    k = ngx_http_blockcast_key_table_at(table, place);

    if (zone->worker == 0) {
        k->demanded = ngx_current_msec;
        return;
    }

    (void) ngx_http_blockcast_key_table_bit(k, zone->worker, 1);
}


void
ngx_http_blockcast_key_table_leave(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place)
{
    ngx_http_blockcast_key_t  *k;

    k = ngx_http_blockcast_key_table_at(table, place);
    k->left = ngx_current_msec;

    if (zone->worker != 0) {
        (void) ngx_http_blockcast_key_table_bit(k, zone->worker, 0);
    }

    table->full = 0;
}


void
ngx_http_blockcast_key_table_clean(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t worker)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_key_t  *k;

    for (i = 0; i < table->max; i++) {
        k = ngx_http_blockcast_key_table_at(table, i);

        if (k->listeners[worker / 64]
            & ((ngx_atomic_uint_t) 1 << (worker % 64)))
        {
            k->left = ngx_current_msec;
            (void) ngx_http_blockcast_key_table_bit(k, worker, 0);
        }
    }

    table->full = 0;
}


void
ngx_http_blockcast_key_table_count(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t *used, ngx_uint_t *listened)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_key_t  *k;

    *used = 0;
    *listened = 0;

    for (i = 0; i < table->max; i++) {
        k = ngx_http_blockcast_key_table_at(table, i);

        if (k->state == ngx_http_blockcast_key_used) {
            (*used)++;
            *listened += ngx_http_blockcast_key_table_listened(k);
        }
    }
}


ngx_int_t
ngx_http_blockcast_key_table_read(ngx_http_blockcast_key_table_t *table,
    ngx_http_blockcast_key_t *k, ngx_http_blockcast_key_data_t *data)
{
    uint64_t    version;
    ngx_uint_t  i;

    data->data.data = NULL;

    for (i = 0; i < 100; i++) {
        version = k->version;

        if (version == 0) {
            return NGX_DECLINED;
        }

        if (data->data.data == NULL) {
            data->data.data = ngx_alloc(table->max_size + 1, ngx_cycle->log);

            if (data->data.data == NULL) {
                return NGX_ERROR;
            }
        }

        ngx_memory_barrier();

        data->snap = k->snap[version & 1];
        data->version = version;
        data->data.len = ngx_min(data->snap.len, table->max_size);

        ngx_memcpy(data->data.data,
                   ngx_http_blockcast_key_table_buffer(table, k, version),
                   data->data.len);

        ngx_memory_barrier();

        if (k->version == version) {
            return NGX_OK;
        }
    }

    ngx_free(data->data.data);
    data->data.data = NULL;

    return NGX_ERROR;
}


void
ngx_http_blockcast_key_table_read_error(ngx_http_blockcast_key_t *k,
    ngx_http_blockcast_error_t *error)
{
    uint64_t                         version;
    ngx_uint_t                       i;
    ngx_http_blockcast_key_error_t   copy;

    for (i = 0; i < 100; i++) {
        version = k->error_version;
        ngx_memory_barrier();
        copy = k->error[version & 1];
        ngx_memory_barrier();

        if (k->error_version == version) {
            break;
        }
    }

    error->since = 0;
    error->code = copy.code;
    error->len = ngx_min(copy.len, NGX_HTTP_BLOCKCAST_KEY_ERROR);
    ngx_memcpy(error->text, copy.text, error->len);
}


uint64_t
ngx_http_blockcast_key_table_publish(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place, ngx_str_t *data, time_t timestamp)
{
    uint64_t  seq;

    seq = ngx_http_blockcast_key_table_next(table, place, data);

    if (seq != 0) {
        ngx_http_blockcast_key_table_put(table, place, data, seq, timestamp);
    }

    return seq;
}


void
ngx_http_blockcast_key_table_put(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place, ngx_str_t *data, uint64_t seq, time_t timestamp)
{
    ngx_uint_t                      n;
    ngx_http_blockcast_key_t       *k;
    ngx_http_blockcast_key_snap_t  *snap;

    k = ngx_http_blockcast_key_table_at(table, place);
    n = (k->version + 1) & 1;

    ngx_memcpy(ngx_http_blockcast_key_table_buffer(table, k, n), data->data,
               data->len);

    snap = &k->snap[n];
    snap->seq = seq;
    snap->timestamp = timestamp;
    snap->published = ngx_http_blockcast_zone_usec();
    snap->len = data->len;

    ngx_http_blockcast_test_moment("key: copied");
    ngx_memory_barrier();
    k->version++;
    ngx_http_blockcast_test_moment("key: published");
}


void
ngx_http_blockcast_key_table_raise(ngx_http_blockcast_key_table_t *table,
    uint64_t seq)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_key_t  *k;

    /* a key that is added now starts from the old or the new number */

    table->high = ngx_max(table->high, seq);
    ngx_memory_barrier();

    for (i = 0; i < table->max; i++) {
        k = ngx_http_blockcast_key_table_at(table, i);
        k->base = ngx_max(k->base, table->high);
    }
}


void
ngx_http_blockcast_key_table_forget(ngx_http_blockcast_key_table_t *table)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_key_t  *k;

    table->high = 0;

    for (i = 0; i < table->max; i++) {
        k = ngx_http_blockcast_key_table_at(table, i);

        /* whoever remembers the place takes it for one with another key */

        k->uses++;
        ngx_memory_barrier();
        k->version = 0;
        k->base = 0;
        k->polled = 0;
        k->attempted = 0;
        k->after = 0;
        k->error_version = 0;
        k->error[0].len = 0;
    }
}


void
ngx_http_blockcast_key_table_fail(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place, int64_t code, ngx_str_t *text)
{
    size_t                           len;
    ngx_http_blockcast_key_t        *k;
    ngx_http_blockcast_key_error_t  *error;

    k = ngx_http_blockcast_key_table_at(table, place);
    error = &k->error[k->error_version & 1];
    len = ngx_min(text->len, NGX_HTTP_BLOCKCAST_KEY_ERROR);

    if (error->len == len
        && (len == 0 || ngx_memcmp(error->text, text->data, len) == 0))
    {
        return;
    }

    error = &k->error[(k->error_version + 1) & 1];

    error->code = code;
    error->len = len;

    if (len != 0) {
        ngx_memcpy(error->text, text->data, len);
    }

    ngx_memory_barrier();
    k->error_version++;
}


void
ngx_http_blockcast_key_table_sweep(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_key_table_t *table, ngx_uint_t from, ngx_uint_t n,
    ngx_msec_t idle)
{
    ngx_uint_t                 i, locked;
    ngx_http_blockcast_key_t  *k;

    locked = 0;

    for (i = from; i < from + n && i < table->max; i++) {
        k = ngx_http_blockcast_key_table_at(table, i);

        if (k->state == ngx_http_blockcast_key_free
            || (k->state == ngx_http_blockcast_key_used
                && (ngx_http_blockcast_key_table_listened(k)
                    || (ngx_msec_int_t)
                           (ngx_current_msec - idle
                            - ngx_http_blockcast_key_table_last(k)) < 0)))
        {
            continue;
        }

        if (!locked) {
            if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log)
                != NGX_OK)
            {
                return;
            }

            locked = 1;
        }

        if (k->state == ngx_http_blockcast_key_dead) {
            ngx_http_blockcast_key_table_unlink(table, i);
            continue;
        }

        (void) ngx_http_blockcast_key_table_drop(table, i);
    }

    if (locked) {
        ngx_shmtx_unlock(&zone->shpool->mutex);
    }
}


/*
 * Copies a key of another table or of a file, unless it is newer here; `from`
 * has the times of its polls, or is NULL.
 */

static void
ngx_http_blockcast_key_table_import_one(ngx_http_blockcast_key_table_t *dst,
    ngx_str_t *key, ngx_http_blockcast_key_data_t *data,
    ngx_http_blockcast_key_t *from)
{
    ngx_uint_t                      place;
    ngx_http_blockcast_key_t       *k;
    ngx_http_blockcast_key_snap_t  *snap;

    if (data->data.len > dst->max_size) {
        goto dropped;
    }

    place = ngx_http_blockcast_key_table_find(dst, key);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {

        /* no key has listeners yet, so take free places only: otherwise the
           imported keys would displace each other */

        for (place = 0; place < dst->max; place++) {
            k = ngx_http_blockcast_key_table_at(dst,
                                      (dst->hand + place) % dst->max);

            if (k->state == ngx_http_blockcast_key_free) {
                break;
            }
        }

        if (place == dst->max) {
            goto dropped;
        }

        place = ngx_http_blockcast_key_table_add(dst, key);
    }

    k = ngx_http_blockcast_key_table_at(dst, place);
    snap = &k->snap[k->version & 1];

    if (k->version != 0 && snap->seq >= data->snap.seq) {
        return;
    }

    snap = &k->snap[(k->version + 1) & 1];
    *snap = data->snap;
    ngx_memcpy(ngx_http_blockcast_key_table_buffer(dst, k, k->version + 1),
               data->data.data, data->data.len);

    ngx_memory_barrier();
    k->version++;

    k->base = from->base;
    k->polled = from->polled;
    k->attempted = from->attempted;
    k->ended = from->ended;
    k->after = from->after;
    k->left = ngx_current_msec;

    return;

dropped:

    if (data->snap.seq > dst->high) {
        dst->high = data->snap.seq;
    }
}


void
ngx_http_blockcast_key_table_import(ngx_http_blockcast_key_table_t *dst,
    ngx_http_blockcast_key_table_t *src)
{
    ngx_str_t                       key;
    ngx_uint_t                      i;
    ngx_http_blockcast_key_t       *k;
    ngx_http_blockcast_key_data_t   data;

    if (dst == NULL || src == NULL || dst == src) {
        return;
    }

    if (src->high > dst->high) {
        dst->high = src->high;
    }

    for (i = 0; i < src->max; i++) {
        k = ngx_http_blockcast_key_table_at(src, i);

        if (k->state != ngx_http_blockcast_key_used
            || ngx_http_blockcast_key_table_read(src, k, &data) != NGX_OK)
        {
            continue;
        }

        key.data = k->key;
        key.len = ngx_min(k->len, NGX_HTTP_BLOCKCAST_KEY_LEN);

        ngx_http_blockcast_key_table_import_one(dst, &key, &data, k);
        ngx_free(data.data.data);
    }
}


void
ngx_http_blockcast_key_table_restore(ngx_http_blockcast_key_table_t *table,
    ngx_str_t *key, ngx_str_t *data, uint64_t seq, uint64_t timestamp,
    ngx_msec_t polled)
{
    ngx_http_blockcast_key_t       from;
    ngx_http_blockcast_key_data_t  copy;

    if (key->len == 0 || key->len > NGX_HTTP_BLOCKCAST_KEY_LEN) {
        return;
    }

    ngx_memzero(&from, sizeof(ngx_http_blockcast_key_t));
    ngx_memzero(&copy, sizeof(ngx_http_blockcast_key_data_t));

    from.polled = polled;

    copy.data = *data;
    copy.snap.seq = seq;
    copy.snap.timestamp = timestamp;
    copy.snap.published = ngx_http_blockcast_zone_usec();
    copy.snap.len = data->len;

    ngx_http_blockcast_key_table_import_one(table, key, &copy, &from);
}


uint64_t
ngx_http_blockcast_key_table_next(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place, ngx_str_t *data)
{
    ngx_http_blockcast_key_t       *k;
    ngx_http_blockcast_key_snap_t  *snap;

    k = ngx_http_blockcast_key_table_at(table, place);

    if (k->version == 0) {
        return k->base + 1;
    }

    snap = &k->snap[k->version & 1];

    if (snap->seq < k->base) {
        return k->base + 1;
    }

    return (snap->len == data->len
            && ngx_memcmp(ngx_http_blockcast_key_table_buffer(table, k,
                                                              k->version),
                          data->data, data->len)
               == 0)
           ? 0 : snap->seq + 1;
}


/*
 * Adds a place to a ring; the entry holds its position, as readers may find
 * one of an earlier round.
 */

static void
ngx_http_blockcast_key_table_say(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t ring, ngx_atomic_t *head, ngx_uint_t place)
{
    uint64_t  pos;

    pos = ngx_atomic_fetch_add(head, 1);
    ngx_http_blockcast_test_moment("key: numbered");

    ngx_http_blockcast_key_table_ring(table, ring)[pos & table->mask] =
                                     (pos + 1) << 32 | (uint32_t) place;
}


static ngx_int_t
ngx_http_blockcast_key_table_heard(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t ring, uint64_t head, uint64_t *pos, ngx_uint_t *place)
{
    uint64_t  entry;

    if (*pos == head) {
        return NGX_DECLINED;
    }

    if (head - *pos > table->mask + 1) {
        *pos = head;
        return NGX_AGAIN;
    }

    ngx_memory_barrier();
    entry = ngx_http_blockcast_key_table_ring(table, ring)[*pos & table->mask];
    (*pos)++;

    if (entry >> 32 != (uint32_t) *pos || (uint32_t) entry >= table->max) {

        /* not written yet, left by a killed writer, or overwritten by now */

        *pos = head;
        return NGX_AGAIN;
    }

    *place = (uint32_t) entry;

    return NGX_OK;
}


void
ngx_http_blockcast_key_table_say_changed(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place)
{
    ngx_http_blockcast_key_table_say(table, 0, &table->changed, place);
}


void
ngx_http_blockcast_key_table_say_wanted(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place)
{
    ngx_http_blockcast_key_table_say(table, 1, &table->wanted, place);
}


ngx_int_t
ngx_http_blockcast_key_table_next_changed(
    ngx_http_blockcast_key_table_t *table, uint64_t *pos, ngx_uint_t *place)
{
    return ngx_http_blockcast_key_table_heard(table, 0, table->changed, pos,
                                              place);
}


ngx_int_t
ngx_http_blockcast_key_table_next_wanted(
    ngx_http_blockcast_key_table_t *table, uint64_t *pos, ngx_uint_t *place)
{
    return ngx_http_blockcast_key_table_heard(table, 1, table->wanted, pos,
                                              place);
}
