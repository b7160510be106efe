
/*
 * The JSON-RPC endpoint: the requests of chain libraries, over WebSocket and
 * by POST.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_lane.h"


/*
 * Executes a WebSocket client's message, any bytes; len 0: a binary message.
 */
void ngx_http_blockcast_rpc_message(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len);

/*
 * Executes a message for a lane; conn is NULL for HTTP, which takes no
 * notifications.  NGX_ERROR: there is no memory; nothing will be delivered.
 */
ngx_int_t ngx_http_blockcast_rpc_execute(ngx_http_blockcast_rpc_lane_t *lane,
    ngx_http_blockcast_conn_t *conn, const u_char *data, size_t len);

/* Frees a WebSocket client's state here, after it has left its streams. */
void ngx_http_blockcast_rpc_leave(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_H_INCLUDED_ */
