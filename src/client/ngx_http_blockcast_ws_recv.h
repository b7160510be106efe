
/*
 * The receiving side of a WebSocket connection: reads frames and handles them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Reads from the socket, a bounded number of times, and handles the frames. */
void ngx_http_blockcast_ws_recv(ngx_http_blockcast_conn_t *conn);

/*
 * Handles the frames of input that was already read.  Returns NGX_OK, or
 * NGX_DONE when the connection ends: the rest of the input is ignored.  When
 * too many answers wait, the rest is copied and handled after they are sent.
 */
ngx_int_t ngx_http_blockcast_ws_recv_input(ngx_http_blockcast_conn_t *conn,
    u_char *pos, u_char *last);

/* Frees the parser, and input or a message that was kept. */
void ngx_http_blockcast_ws_recv_end(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_WS_RECV_H_INCLUDED_ */
