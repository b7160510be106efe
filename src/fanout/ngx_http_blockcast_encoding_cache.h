
/*
 * The frames of a hub in the forms that its subscribers need, each made once
 * for all that need the same.
 */


#ifndef _NGX_HTTP_BLOCKCAST_ENCODING_CACHE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_ENCODING_CACHE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


/*
 * Returns the next frame for a subscriber that is behind, with a reference for
 * the caller, and sets sub->seq to its number.  NULL when there is none, or no
 * memory, or while it is being compressed: then the fan-out starts again when
 * it is ready.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_next(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/*
 * Returns the newest snapshot in the form for a subscriber: in its
 * subprotocol, compressed or not, a delta if that is enough.  Without a
 * reference for the caller.  NULL without memory, or while it is being
 * compressed: then the fan-out starts again when it is ready.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_frame(
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/*
 * Returns true when a subscriber waits for CBOR while _next() has that of an
 * earlier snapshot for it.
 */
ngx_uint_t ngx_http_blockcast_encoding_cache_former(
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/*
 * Returns the page of a log or the newest frame of a snapshot, without a
 * reference for the caller.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_snapshot(
    ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_ENCODING_CACHE_H_INCLUDED_ */
