
/*
 * WebSocket connections.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handles the requests of blockcast_websocket and blockcast_echo locations. */
ngx_int_t ngx_http_blockcast_ws_handler(ngx_http_request_t *r);

/* Closes all WebSockets of this worker; reason: a constant, or NULL. */
void ngx_http_blockcast_ws_close_all(ngx_uint_t code, const char *reason);


#endif /* _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_ */
