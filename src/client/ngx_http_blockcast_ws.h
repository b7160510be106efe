
/*
 * WebSocket connections.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* content handlers */
ngx_int_t ngx_http_blockcast_ws_handler(ngx_http_request_t *r);


/* unsubscribes from everything */
void ngx_http_blockcast_ws_leave_all(ngx_http_blockcast_conn_t *conn);
/* nothing more may be done with it: it is closed from the event loop */
void ngx_http_blockcast_ws_dead(ngx_http_blockcast_conn_t *conn);
/* counts this worker's connections */
void ngx_http_blockcast_ws_count(ngx_int_t n);

/* sends Close and waits a bounded time for the peer's */
void ngx_http_blockcast_ws_close(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t code, const char *reason);


#endif /* _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_ */
