
/*
 * JSON-RPC 2.0 over the WebSocket: the requests of chain clients.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JSONRPC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JSONRPC_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Executes a JSON-RPC 2.0 request of a client; text may be any bytes. */
void ngx_http_blockcast_jsonrpc_message(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len);


#endif /* _NGX_HTTP_BLOCKCAST_JSONRPC_H_INCLUDED_ */
