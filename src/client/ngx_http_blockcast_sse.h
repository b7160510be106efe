
/*
 * Clients without WebSocket: server-sent events, and long-polling REST.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* sends the response; over: the time is up, nothing new has come.  Returns
   what a content handler returns */
typedef ngx_int_t (*ngx_http_blockcast_longpoll_pt)(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st, ngx_uint_t over);


/* content handler of blockcast_sse */
ngx_int_t ngx_http_blockcast_sse_handler(ngx_http_request_t *r);

/* the fan-out has something for a subscriber of either kind */
void ngx_http_blockcast_sse_flush(ngx_http_blockcast_conn_t *conn);

/* the worker exits: all of them end within so many milliseconds */
void ngx_http_blockcast_sse_drain(ngx_msec_t drain);

/*
 * Holds a request until the stream's seq is larger than after, at most wait
 * milliseconds, and then calls answer.  Returns what the content handler has
 * to return.
 */
ngx_int_t ngx_http_blockcast_longpoll_wait(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st, uint64_t after, ngx_msec_t wait,
    ngx_http_blockcast_longpoll_pt answer);


#endif /* _NGX_HTTP_BLOCKCAST_SSE_H_INCLUDED_ */
