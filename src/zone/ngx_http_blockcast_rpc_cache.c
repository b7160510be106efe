
/*
 * A cache for answers of nodes, in shared memory of its own.
 */


#include "ngx_http_blockcast_rpc_cache.h"
#include "ngx_http_blockcast.h"
#include "bc_siphash.h"


/* adjacent places in the table where a key may be */
#define NGX_HTTP_BLOCKCAST_RPC_CACHE_WAYS   4

/* bytes of the ring for each place in the table */
#define NGX_HTTP_BLOCKCAST_RPC_CACHE_SHARE  512

/* the largest answer, as a fraction of the ring */
#define NGX_HTTP_BLOCKCAST_RPC_CACHE_PART   16


typedef struct {
    uint64_t                      secret[2];    /* of the hashes */
    ngx_atomic_t                  head;         /* of the ring, ever growing */
    ngx_atomic_t                  era;
    uint64_t                      size;         /* of the ring */
    uint64_t                      places;       /* a power of two */
    uint64_t                      version;      /* of this layout */
} ngx_http_blockcast_rpc_cache_t;


/* a record of the ring, at a multiple of 8 bytes; key and value follow */

typedef struct {
    uint64_t                      position;
    uint64_t                      checksum;     /* of what follows */
    uint64_t                      version;
    uint32_t                      key_len;
    uint32_t                      value_len;
} ngx_http_blockcast_rpc_record_t;


#define NGX_HTTP_BLOCKCAST_RPC_CACHE_LAYOUT  1

#define ngx_http_blockcast_rpc_cache_places(c)                                \
    ((ngx_atomic_t *) ((u_char *) (c)                                         \
                       + ngx_align(sizeof(ngx_http_blockcast_rpc_cache_t),    \
                                   64)))

#define ngx_http_blockcast_rpc_cache_ring(c)                                  \
    ((u_char *) (ngx_http_blockcast_rpc_cache_places(c) + (c)->places))


static ngx_int_t ngx_http_blockcast_rpc_cache_init_zone(
    ngx_shm_zone_t *shm_zone, void *data);


/* NULL when there is no cache */
static ngx_http_blockcast_rpc_cache_t  *ngx_http_blockcast_rpc_cache;


ngx_int_t
ngx_http_blockcast_rpc_cache_init(ngx_conf_t *cf, size_t size)
{
    ngx_shm_zone_t    *shm_zone;
    static ngx_str_t   name = ngx_string("blockcast_rpc_cache");

    shm_zone = ngx_shared_memory_add(cf, &name, size,
                                     &ngx_http_blockcast_module);
    if (shm_zone == NULL) {
        return NGX_ERROR;
    }

    shm_zone->init = ngx_http_blockcast_rpc_cache_init_zone;

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_rpc_cache_init_zone(ngx_shm_zone_t *shm_zone, void *data)
{
    size_t                           rest;
    uint64_t                         places;
    ngx_slab_pool_t                 *pool;
    ngx_http_blockcast_rpc_cache_t  *c;

    pool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data != NULL || shm_zone->shm.exists) {
        c = pool->data;

        if (c == NULL || c->version != NGX_HTTP_BLOCKCAST_RPC_CACHE_LAYOUT) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "shared memory \"%V\" is of another version of the "
                          "blockcast module, nginx has to be restarted",
                          &shm_zone->shm.name);
            return NGX_ERROR;
        }

        shm_zone->data = c;
        ngx_http_blockcast_rpc_cache = c;

        return NGX_OK;
    }

    /* all in one piece, except what the slab pool needs for itself */

    rest = (size_t) (pool->end - pool->start) - 2 * ngx_pagesize;
    c = ngx_slab_alloc(pool, rest);

    if (c == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(c, rest);

    rest -= ngx_align(sizeof(ngx_http_blockcast_rpc_cache_t), 64);

    for (places = 64;
         places * 2 * (NGX_HTTP_BLOCKCAST_RPC_CACHE_SHARE
                       + sizeof(ngx_atomic_t))
         <= rest;
         places *= 2)
    {
        /* void */
    }

    c->places = places;
    c->size = (rest - places * sizeof(ngx_atomic_t)) & ~(uint64_t) 7;
    c->head = 8;
    c->version = NGX_HTTP_BLOCKCAST_RPC_CACHE_LAYOUT;

    c->secret[0] = ((uint64_t) ngx_random() << 32) ^ (uint64_t) ngx_random()
                   ^ (uint64_t) (uintptr_t) c;
    c->secret[1] = ((uint64_t) ngx_random() << 32) ^ (uint64_t) ngx_random()
                   ^ (uint64_t) ngx_pid << 16 ^ (uint64_t) ngx_time();

    pool->data = c;
    pool->log_nomem = 0;

    shm_zone->data = c;
    ngx_http_blockcast_rpc_cache = c;

    return NGX_OK;
}


static ngx_atomic_t *
ngx_http_blockcast_rpc_cache_place(ngx_http_blockcast_rpc_cache_t *c,
    uint64_t hash, ngx_uint_t way)
{
    return &ngx_http_blockcast_rpc_cache_places(c)[(hash + way)
                                                   & (c->places - 1)];
}


/* Copies from the ring, wrapping around at its end. */

static void
ngx_http_blockcast_rpc_cache_read(ngx_http_blockcast_rpc_cache_t *c,
    uint64_t position, void *dst, size_t len)
{
    size_t   from, n;
    u_char  *ring;

    ring = ngx_http_blockcast_rpc_cache_ring(c);
    from = position % c->size;
    n = ngx_min(len, c->size - from);

    ngx_memcpy(dst, ring + from, n);

    if (n != len) {
        ngx_memcpy((u_char *) dst + n, ring, len - n);
    }
}


static void
ngx_http_blockcast_rpc_cache_write(ngx_http_blockcast_rpc_cache_t *c,
    uint64_t position, const void *src, size_t len)
{
    size_t   from, n;
    u_char  *ring;

    ring = ngx_http_blockcast_rpc_cache_ring(c);
    from = position % c->size;
    n = ngx_min(len, c->size - from);

    ngx_memcpy(ring + from, src, n);

    if (n != len) {
        ngx_memcpy(ring, (u_char *) src + n, len - n);
    }
}


/* Returns a record's checksum: of its head and the hashes of its parts. */

static uint64_t
ngx_http_blockcast_rpc_cache_sum(ngx_http_blockcast_rpc_cache_t *c,
    ngx_http_blockcast_rpc_record_t *rec, const u_char *key,
    const u_char *value)
{
    uint64_t  part[5];

    part[0] = rec->position;
    part[1] = rec->version;
    part[2] = (uint64_t) rec->key_len << 32 | rec->value_len;
    part[3] = bc_siphash(c->secret, key, rec->key_len);
    part[4] = bc_siphash(c->secret, value, rec->value_len);

    return bc_siphash(c->secret, (u_char *) part, sizeof(part));
}


ngx_int_t
ngx_http_blockcast_rpc_cache_get(ngx_http_blockcast_rpc_key_t *key,
    size_t before, size_t after, ngx_str_t *value)
{
    u_char                           *p;
    uint64_t                          hash, position;
    ngx_uint_t                        way;
    ngx_http_blockcast_rpc_cache_t   *c;
    ngx_http_blockcast_rpc_record_t   rec;

    c = ngx_http_blockcast_rpc_cache;

    if (c == NULL) {
        return NGX_DECLINED;
    }

    hash = bc_siphash(c->secret, key->data, key->len);

    for (way = 0; way < NGX_HTTP_BLOCKCAST_RPC_CACHE_WAYS; way++) {

        position = *ngx_http_blockcast_rpc_cache_place(c, hash, way);

        if (position == 0 || position + c->size < c->head) {
            continue;
        }

        ngx_http_blockcast_rpc_cache_read(c, position, &rec, sizeof(rec));

        if (rec.position != position
            || rec.version != key->version
            || rec.key_len != key->len
            || rec.value_len > c->size / NGX_HTTP_BLOCKCAST_RPC_CACHE_PART)
        {
            continue;
        }

        /* read the key into the same buffer, after the room for the value */

        p = ngx_alloc(before + rec.value_len + after + rec.key_len,
                      ngx_cycle->log);
        if (p == NULL) {
            return NGX_DECLINED;
        }

        position += sizeof(rec);
        ngx_http_blockcast_rpc_cache_read(c, position,
                                          p + before + rec.value_len + after,
                                          rec.key_len);
        ngx_http_blockcast_rpc_cache_read(c, position + rec.key_len,
                                          p + before, rec.value_len);

        if (ngx_memcmp(p + before + rec.value_len + after, key->data, key->len)
            == 0
            && ngx_http_blockcast_rpc_cache_sum(c, &rec, key->data, p + before)
               == rec.checksum)
        {
            value->data = p;
            value->len = rec.value_len;
            return NGX_OK;
        }

        ngx_free(p);
    }

    return NGX_DECLINED;
}


void
ngx_http_blockcast_rpc_cache_put(ngx_http_blockcast_rpc_key_t *key,
    ngx_str_t *value)
{
    size_t                            size;
    uint64_t                          hash, position, old, oldest;
    ngx_uint_t                        way;
    ngx_atomic_t                     *place, *best;
    ngx_http_blockcast_rpc_cache_t   *c;
    ngx_http_blockcast_rpc_record_t   rec, was;

    c = ngx_http_blockcast_rpc_cache;

    if (c == NULL) {
        return;
    }

    size = ngx_align(sizeof(rec) + key->len + value->len, 8);

    if (size > c->size / NGX_HTTP_BLOCKCAST_RPC_CACHE_PART) {
        return;
    }

    position = ngx_atomic_fetch_add(&c->head, size);

    rec.position = position;
    rec.version = key->version;
    rec.key_len = (uint32_t) key->len;
    rec.value_len = (uint32_t) value->len;
    rec.checksum = ngx_http_blockcast_rpc_cache_sum(c, &rec, key->data,
                                                    value->data);

    ngx_http_blockcast_rpc_cache_write(c, position, &rec, sizeof(rec));
    ngx_http_blockcast_rpc_cache_write(c, position + sizeof(rec), key->data,
                                       key->len);
    ngx_http_blockcast_rpc_cache_write(c,
                                       position + sizeof(rec) + key->len,
                                       value->data, value->len);
    ngx_memory_barrier();

    /* take the place of the same key, a free one, or the oldest record's */

    hash = bc_siphash(c->secret, key->data, key->len);
    best = NULL;
    oldest = position;

    for (way = 0; way < NGX_HTTP_BLOCKCAST_RPC_CACHE_WAYS; way++) {

        place = ngx_http_blockcast_rpc_cache_place(c, hash, way);
        old = *place;

        if (old != 0 && old + c->size >= c->head) {
            ngx_http_blockcast_rpc_cache_read(c, old, &was, sizeof(was));

            if (was.position == old && was.key_len == rec.key_len
                && was.version != 0 && was.version < rec.version)
            {
                /* most likely an older answer to the same key */

                old = 1;
            }
        }

        if (old < oldest) {
            oldest = old;
            best = place;
        }
    }

    if (best != NULL) {
        *best = position;
    }
}


uint64_t
ngx_http_blockcast_rpc_cache_era(void)
{
    return ngx_http_blockcast_rpc_cache ? ngx_http_blockcast_rpc_cache->era
                                        : 0;
}


void
ngx_http_blockcast_rpc_cache_clear(void)
{
    if (ngx_http_blockcast_rpc_cache != NULL) {
        (void) ngx_atomic_fetch_add(&ngx_http_blockcast_rpc_cache->era, 1);
    }
}
