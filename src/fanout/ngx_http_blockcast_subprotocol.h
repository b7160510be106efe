
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
    ngx_http_blockcast_rpc          /* for blockcast_rpc: no subprotocol */
} ngx_http_blockcast_subprotocol_e;


/*
 * Chooses one of the client's subprotocols, in the client's order (RFC 6455,
 * 4.2.2); value has all its Sec-WebSocket-Protocol lines, joined.  Returns the
 * name to answer with, a constant, or NULL when none of them is known: then
 * *protocol does not change.
 */
const char *ngx_http_blockcast_subprotocol_choose(const u_char *value,
    size_t len, ngx_http_blockcast_subprotocol_e *protocol);

/* Returns the id of a subscription in JSON-RPC, the same for all clients. */
ngx_uint_t ngx_http_blockcast_subprotocol_id(ngx_http_blockcast_hub_t *hub);

/*
 * Writes what precedes the text of a frame in its notification; "}}" follows.
 * Returns the end.  It needs less than this many bytes, with that.
 */
#define NGX_HTTP_BLOCKCAST_SUBPROTOCOL_HEAD  128

u_char *ngx_http_blockcast_subprotocol_rpc_head(ngx_http_blockcast_hub_t *hub,
    u_char *p);

/*
 * Converts a stream's text frame to another subprotocol.  Returns a new frame,
 * or NULL without memory, which is logged.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_subprotocol_frame(
    ngx_http_blockcast_subprotocol_e protocol, ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text);

/*
 * Makes the error that replaces a message that CBOR cannot represent, so that
 * the client knows which message it lacks.  Returns NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_subprotocol_not_representable(
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_frame_t *text);

/*
 * Converts a short text frame to the subprotocol of a client, uncompressed.
 * Takes over the reference to the text and returns one to the result, or NULL
 * without memory.  hub is NULL for a message that belongs to no stream.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_subprotocol_convert(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_SUBPROTOCOL_H_INCLUDED_ */
