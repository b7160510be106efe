
/*
 * Frames: what a feed has for a subscriber, made once for all that take the
 * same.
 */


#ifndef _NGX_HTTP_BLOCKCAST_ENCODING_CACHE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_ENCODING_CACHE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


/*
 * Returns the next frame for a subscriber that is behind, with a reference for
 * the caller; sub->seq is set to what it brings.  NULL when there is none, no
 * memory, or it is being compressed: then the fan-out begins again with it.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_next(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/*
 * Returns the newest snapshot as the subscriber gets it: its subprotocol,
 * compressed or not, a delta when that is enough.  Not referenced; NULL: no
 * memory, or it is being compressed, and the fan-out begins again with it.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_frame(
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/*
 * Tells whether a subscriber waits for CBOR while _next() has that of a former
 * snapshot for it.
 */
ngx_uint_t ngx_http_blockcast_encoding_cache_former(
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/* Returns the page of a log, or a snapshot's newest frame; not referenced. */
ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_snapshot(
    ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_ENCODING_CACHE_H_INCLUDED_ */
