
/*
 * A cache for answers of nodes, in shared memory of its own.
 *
 * All workers append records to a ring of bytes without a lock; a table says
 * where a record is.  A record has its key and a checksum, so one that was
 * overwritten, or half written by a killed worker, is not found.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_CACHE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* the key of an answer: len bytes; with version 0 it never expires */

typedef struct {
    u_char                       *data;
    size_t                        len;
    uint64_t                      version;
} ngx_http_blockcast_rpc_key_t;


/* Declares size bytes of shared memory; logs why it returns NGX_ERROR. */
ngx_int_t ngx_http_blockcast_rpc_cache_init(ngx_conf_t *cf, size_t size);

/*
 * Finds an answer and copies it to memory of ngx_alloc(), which the caller
 * frees, with room for `before` bytes in front and `after` bytes behind.
 * NGX_DECLINED: there is none.
 */
ngx_int_t ngx_http_blockcast_rpc_cache_get(ngx_http_blockcast_rpc_key_t *key,
    size_t before, size_t after, ngx_str_t *value);

/* Stores an answer, unless it is too large for the ring. */
void ngx_http_blockcast_rpc_cache_put(ngx_http_blockcast_rpc_key_t *key,
    ngx_str_t *value);

/*
 * _era() returns a number for the version of answers that hold until the next
 * head; _clear() increases it, so that they are not found any more.
 */
uint64_t ngx_http_blockcast_rpc_cache_era(void);
void ngx_http_blockcast_rpc_cache_clear(void);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_CACHE_H_INCLUDED_ */
