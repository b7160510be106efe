
/*
 * What a WebSocket connection receives: frames, and what is done with each.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* reads from the socket, a bounded number of times, and handles the frames */
void ngx_http_blockcast_ws_recv(ngx_http_blockcast_conn_t *conn);

/*
 * Handles the frames of input that was read already.  NGX_OK, or NGX_DONE when
 * the connection ends: what comes after is not handled.  What comes after many
 * answers is kept until these are sent.
 */
ngx_int_t ngx_http_blockcast_ws_recv_input(ngx_http_blockcast_conn_t *conn,
    u_char *pos, u_char *last);

/* Frees what is needed for input. */
void ngx_http_blockcast_ws_recv_end(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_ */
