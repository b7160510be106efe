
/*
 * The JSON-RPC endpoint over HTTP: POST, and the refusal of other methods.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_HTTP_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_HTTP_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Handles a request's content; a WebSocket handshake goes to
 * ngx_http_blockcast_ws.
 */
ngx_int_t ngx_http_blockcast_rpc_http_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_HTTP_H_INCLUDED_ */
