
/*
 * The JSON-RPC endpoint: what a chain library asks, over WebSocket and by
 * POST.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_lane.h"


/* Executes a message of a WebSocket client, any bytes; len 0: a binary one. */
void ngx_http_blockcast_rpc_message(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len);

/*
 * Executes a message for a lane; conn is NULL where none can be notified.
 * NGX_ERROR: no memory, and nothing will be delivered.
 */
ngx_int_t ngx_http_blockcast_rpc_execute(ngx_http_blockcast_rpc_lane_t *lane,
    ngx_http_blockcast_conn_t *conn, const u_char *data, size_t len);

/* Frees what a WebSocket client owns here, once it has left its streams. */
void ngx_http_blockcast_rpc_leave(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_H_INCLUDED_ */
