
/*
 * Answers of nodes that hold for a while, in shared memory of their own.
 *
 * A ring of bytes, into which every worker writes one record after the other
 * without a lock, and a table that says where a record is.  A record carries
 * its key and a checksum: one that was overwritten, or that a killed worker
 * has written half, is not found.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_CACHE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_CACHE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/* what an answer belongs to: len bytes; version 0: it holds for ever */

typedef struct {
    u_char                       *data;
    size_t                        len;
    uint64_t                      version;
} ngx_http_blockcast_rpc_key_t;


/* Declares the memory, size bytes of it.  NGX_ERROR has been logged. */
ngx_int_t ngx_http_blockcast_rpc_cache_init(ngx_conf_t *cf, size_t size);

/*
 * Finds an answer.  It is copied to memory of ngx_alloc(), which the caller
 * frees, behind `before` bytes of room and before `after` more.  NGX_DECLINED:
 * there is none.
 */
ngx_int_t ngx_http_blockcast_rpc_cache_get(ngx_http_blockcast_rpc_key_t *key,
    size_t before, size_t after, ngx_str_t *value);

/* Keeps an answer, if it is not too large for the memory there is. */
void ngx_http_blockcast_rpc_cache_put(ngx_http_blockcast_rpc_key_t *key,
    ngx_str_t *value);

/*
 * Ends what holds until the next head: a number that is part of its version,
 * and that the second function increases.
 */
uint64_t ngx_http_blockcast_rpc_cache_era(void);
void ngx_http_blockcast_rpc_cache_clear(void);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_CACHE_H_INCLUDED_ */
