
/*
 * Server-sent events.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"


/* Handles the content of blockcast_sse. */
ngx_int_t ngx_http_blockcast_sse_handler(ngx_http_request_t *r);

/* Registers the kind with the fan-out, in each worker. */
void ngx_http_blockcast_sse_init(void);

/* ends the response: a key may no longer be had, as the next request is told */
void ngx_http_blockcast_sse_expire(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_ */
