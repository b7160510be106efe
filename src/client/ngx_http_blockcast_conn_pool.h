
/*
 * Allocates WebSocket connections side by side.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONN_POOL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONN_POOL_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Allocate a zeroed connection (NULL without memory), and free one. */
ngx_http_blockcast_conn_t *ngx_http_blockcast_conn_pool_alloc(ngx_log_t *log);
void ngx_http_blockcast_conn_pool_free(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_CONN_POOL_H_INCLUDED_ */
