
/*
 * Finds the entries of a log that were published before, by key.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LOG_DEDUP_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LOG_DEDUP_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_poll.h"
#include "bc_span.h"


typedef struct {
    ngx_http_blockcast_log_entry_t  entry;
    uint32_t                      hash;
} ngx_http_blockcast_log_dedup_entry_t;


/* the keys published last, by hash; the table is made on first use */

typedef struct {
    uint64_t                     *keys;         /* of the slot */
    uint64_t                      nkeys;
    uint64_t                      first;        /* numbers of those known */
    uint64_t                      last;
    uint32_t                     *table;
    uint64_t                      mask;
} ngx_http_blockcast_log_dedup_past_t;


/* Prepares the lookup of keys that the slot remembers. */
void ngx_http_blockcast_log_dedup_past_init(
    ngx_http_blockcast_log_dedup_past_t *past, ngx_http_blockcast_slot_t *slot);

/*
 * Finds a key whose entry was published and is no longer kept: *number is that
 * of the entry, counted from 1, or 0.  NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_log_dedup_past(
    ngx_http_blockcast_log_dedup_past_t *past, uint64_t hash, ngx_pool_t *pool,
    uint64_t *number);

/*
 * Makes the text by which entries are compared from a JSON value: the same for
 * all ways to write that value.  NGX_ERROR without memory of the poll's pool.
 */
ngx_int_t ngx_http_blockcast_log_dedup_key(ngx_http_blockcast_poll_t *poll,
    bc_span_t *value, ngx_str_t *key);

/*
 * Returns the number of the entry with this key among the kept ones and the
 * new ones after them, counted from 1, or 0.
 */
ngx_uint_t ngx_http_blockcast_log_dedup_find(ngx_http_blockcast_hub_t *hub,
    uint32_t *table, ngx_uint_t mask,
    ngx_http_blockcast_log_dedup_entry_t *new, ngx_str_t *key, uint32_t hash);

/* Adds entry number n, counted from 0, to the table of hashes. */
void ngx_http_blockcast_log_dedup_add(uint32_t *table, ngx_uint_t mask,
    uint32_t hash, uint32_t n);


#endif /* _NGX_HTTP_BLOCKCAST_LOG_DEDUP_H_INCLUDED_ */
