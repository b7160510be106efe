
/*
 * Pages of logs: the messages with entries for clients that connect or
 * reconnect, made once for all that need the same.
 */


#ifndef _NGX_HTTP_BLOCKCAST_PAGE_CACHE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_PAGE_CACHE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


/* the key of a page: its entries and its form */

typedef struct {
    ngx_http_blockcast_hub_t     *hub;
    uint64_t                      from;         /* position of its first entry
                                                   in the zone's ring */
    uint64_t                      to;           /* ... and of the one after
                                                   it */
    uint64_t                      seq;
    uint64_t                      since;        /* of its gap */
    uint64_t                      which;        /* with a filter: a hash that
                                                   identifies its entries */
    uint32_t                      kind;         /* of encoding_cache.c */
    uint16_t                      protocol;
    uint16_t                      bits;         /* window it may be compressed
                                                   for, or 0 */
} ngx_http_blockcast_page_key_t;


void ngx_http_blockcast_page_cache_init(void);
void ngx_http_blockcast_page_cache_done(void);

/*
 * Looks a page up.  Returns NGX_OK with *frame, which has a reference for the
 * caller; NGX_AGAIN while it is being compressed, after which the hub's
 * fan-out starts again; NGX_DECLINED: make the page and call _add().
 */
ngx_int_t ngx_http_blockcast_page_cache_find(
    ngx_http_blockcast_page_key_t *key, ngx_http_blockcast_frame_t **frame);

/*
 * Compresses a page, which is in its key's subprotocol, if the key says so,
 * and keeps it if it was expensive to make.  Takes over the caller's
 * reference; returns what _find() does, but never NGX_DECLINED.
 */
ngx_int_t ngx_http_blockcast_page_cache_add(
    ngx_http_blockcast_page_key_t *key, ngx_http_blockcast_frame_t **frame);

/* Drops the pages not used recently; called on each tick of a worker. */
void ngx_http_blockcast_page_cache_tick(void);


#endif /* _NGX_HTTP_BLOCKCAST_PAGE_CACHE_H_INCLUDED_ */
