
/*
 * Long polls: REST requests that wait for the next seq of a stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LONGPOLL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LONGPOLL_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Sends the response when the wait ends.  over: it ended without a new seq,
 * because the time is up or the worker exits.  Returns what a content handler
 * returns.
 */
typedef ngx_int_t (*ngx_http_blockcast_longpoll_pt)(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t over);


/*
 * Holds a request until the hub's seq is larger than `after`, for at most
 * `wait` msec, and then calls answer() from the event loop.  Returns what the
 * content handler has to return.
 */
ngx_int_t ngx_http_blockcast_longpoll_wait(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, uint64_t after, ngx_msec_t wait,
    ngx_http_blockcast_longpoll_pt answer);

/* Registers this kind of client with the fan-out; called in each worker. */
void ngx_http_blockcast_longpoll_init(void);


#endif /* _NGX_HTTP_BLOCKCAST_LONGPOLL_H_INCLUDED_ */
