
/*
 * Asking: a request of a round is shared with those that are the same, held
 * back while the node is ill, or made.
 */


#ifndef _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"


/* a request of a turn: started, failed for a reason, done (_ask, _round) */
void ngx_http_blockcast_inflight_start(
    ngx_http_blockcast_poll_request_t *request);
void ngx_http_blockcast_inflight_fail(
    ngx_http_blockcast_poll_request_t *request, const char *fmt, ...);

/* what is known of the node has changed: starts what was held for that */
void ngx_http_blockcast_inflight_release(ngx_http_blockcast_node_t *node);

/* the calls in flight, of all streams (they share those that are the same) */
void ngx_http_blockcast_inflight_init(void);
void ngx_http_blockcast_inflight_expire(void);
void ngx_http_blockcast_inflight_abort(void);


/* Gives back a result that was not copied: its poll has ended. */
void ngx_http_blockcast_inflight_leave(
    ngx_http_blockcast_poll_request_t *request);


#endif /* _NGX_HTTP_BLOCKCAST_INFLIGHT_H_INCLUDED_ */
