
/*
 * Calls in flight.  A request of a poll shares the call of another one that
 * asks the same, waits while the node is down, or makes a call.
 */


#ifndef _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"


/*
 * Starts a request; its call, or another's, ends it.  Or fails it, with a
 * sentence: either way _poll_request_done() is called, at once or later.
 */
void ngx_http_blockcast_inflight_start(
    ngx_http_blockcast_poll_request_t *request);
void ngx_http_blockcast_inflight_fail(
    ngx_http_blockcast_poll_request_t *request, const char *fmt, ...);

/* Starts the requests that wait for a node: its health has changed. */
void ngx_http_blockcast_inflight_release(ngx_http_blockcast_node_t *node);

/*
 * Manage the calls of all streams: _init() makes their list; _expire() frees
 * late answers for which no poll has come; _abort() ends all calls, when this
 * worker stops polling.
 */
void ngx_http_blockcast_inflight_init(void);
void ngx_http_blockcast_inflight_expire(void);
void ngx_http_blockcast_inflight_abort(void);


/* Releases a result that the poll has used in place: the poll has ended. */
void ngx_http_blockcast_inflight_leave(
    ngx_http_blockcast_poll_request_t *request);


#endif /* _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_ */
