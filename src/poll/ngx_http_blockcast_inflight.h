
/*
 * Calls in flight.  A request of a poll shares an equal call in flight, waits
 * while the node is down, or makes a call.
 */


#ifndef _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"


/*
 * _start() starts a request, which ends with its own call or a shared one;
 * _fail() ends it with a sentence.  Either way _poll_request_done() is called,
 * at once or later.
 */
void ngx_http_blockcast_inflight_start(
    ngx_http_blockcast_poll_request_t *request);
void ngx_http_blockcast_inflight_fail(
    ngx_http_blockcast_poll_request_t *request, const char *fmt, ...);

/* Starts the requests that wait for a node, when its health has changed. */
void ngx_http_blockcast_inflight_release(ngx_http_blockcast_node_t *node);

/*
 * Manage the calls of all streams: _init() makes their list; _expire() frees
 * late answers that no poll has used; _abort() ends all calls when this worker
 * stops polling.
 */
void ngx_http_blockcast_inflight_init(void);
void ngx_http_blockcast_inflight_expire(void);
void ngx_http_blockcast_inflight_abort(void);


/* Releases a result that a poll has used in place, when the poll has ended. */
void ngx_http_blockcast_inflight_leave(
    ngx_http_blockcast_poll_request_t *request);


#endif /* _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_ */
