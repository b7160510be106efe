
/*
 * Server-sent events.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* content handler of blockcast_sse */
ngx_int_t ngx_http_blockcast_sse_handler(ngx_http_request_t *r);

/* registers the kind with the fan-out, in each worker */
void ngx_http_blockcast_sse_init(void);


#endif /* _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_ */
