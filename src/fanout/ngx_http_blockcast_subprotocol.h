
/*
 * Subprotocols: the same messages as JSON, as CBOR, or as JSON-RPC.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SUBPROTOCOL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SUBPROTOCOL_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"


typedef enum {
    ngx_http_blockcast_json = 0,
    ngx_http_blockcast_jsonrpc,
    ngx_http_blockcast_cbor,
    ngx_http_blockcast_rpc          /* of blockcast_rpc: no subprotocol */
} ngx_http_blockcast_subprotocol_e;


/*
 * Chooses among the client's subprotocols (the value of all its
 * Sec-WebSocket-Protocol lines, joined) in the client's order.  Returns the
 * name to answer with, a constant, or NULL when none of them is known:
 * *protocol is left as it was then.
 */
const char *ngx_http_blockcast_subprotocol_choose(const u_char *value,
    size_t len, ngx_http_blockcast_subprotocol_e *protocol);

/* Returns the number of a subscription in JSON-RPC, one for all clients. */
ngx_uint_t ngx_http_blockcast_subprotocol_id(ngx_http_blockcast_hub_t *hub);

/*
 * Makes a frame in another subprotocol of a stream's text frame.  Returns a
 * new frame, or NULL without memory (which has been logged).
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_subprotocol_frame(
    ngx_http_blockcast_subprotocol_e protocol, ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text);

/*
 * Makes the error that is sent in place of a message that CBOR cannot
 * represent, so that the client knows that there was one, and which.  NULL
 * without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_subprotocol_not_representable(
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_frame_t *text);

/*
 * Makes what one client gets of a short text frame: in its subprotocol, not
 * compressed.  Takes over the reference to the text and returns one to the
 * result, or NULL without memory.  hub is NULL for a message that belongs to
 * no stream.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_subprotocol_convert(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_SUBPROTOCOL_H_INCLUDED_ */
