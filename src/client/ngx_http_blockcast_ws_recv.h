
/*
 * What a WebSocket connection receives: frames, and what is done with each.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* _ws_in: reads what has come, for a while, and does what it says */
void ngx_http_blockcast_ws_recv(ngx_http_blockcast_conn_t *conn);

/* the same with input that is there; NGX_DONE: the rest is not wanted */
ngx_int_t ngx_http_blockcast_ws_recv_input(ngx_http_blockcast_conn_t *conn,
    u_char *pos, u_char *last);


#endif /* _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_ */
