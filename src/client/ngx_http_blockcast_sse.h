
/*
 * Server-sent events.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"


/* Handles the requests of a blockcast_sse location. */
ngx_int_t ngx_http_blockcast_sse_handler(ngx_http_request_t *r);

/* Registers this kind of client with the fan-out; called in each worker. */
void ngx_http_blockcast_sse_init(void);

/*
 * Ends the response, because the signature of a key has expired.  The
 * browser's next request is told so.
 */
void ngx_http_blockcast_sse_expire(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_ */
