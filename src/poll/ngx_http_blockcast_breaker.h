
/*
 * A circuit breaker for each node: whether to call it, and when to try a node
 * again that failed.
 */


#ifndef _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Prepares the nodes, at the start of each worker. */
void ngx_http_blockcast_breaker_init(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Called when this worker starts and stops to poll.  _start() honours a limit
 * that a node set for the previous poller; _stop() forgets the calls in flight
 * and those that wait.
 */
void ngx_http_blockcast_breaker_start(ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_breaker_stop(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Decides whether a call may be made; failed: the last such call failed.
 * NGX_OK: yes; then call ngx_http_blockcast_breaker_asked().  NGX_AGAIN: not
 * before the call that probes the node has ended; the caller queues its
 * request in node->held.  NGX_DECLINED: not before node->until.
 */
ngx_int_t ngx_http_blockcast_breaker_gate(ngx_http_blockcast_node_t *node,
    ngx_uint_t failed);
void ngx_http_blockcast_breaker_asked(ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_rpc_call_t *rpc, ngx_uint_t failed);

/*
 * Counts the end of a call, once for each.  NGX_DONE: the node's health has
 * changed, so the caller starts the requests in node->held.
 */
ngx_int_t ngx_http_blockcast_breaker_answer(
    ngx_http_blockcast_rpc_call_t *rpc);

/* Counts a call that is no longer waited for; returns what _answer() does. */
ngx_int_t ngx_http_blockcast_breaker_overdue(
    ngx_http_blockcast_rpc_call_t *rpc);

/*
 * Returns when a node that is not ok may be tried next (msec), even if the
 * last probe has not ended within the shortest interval.
 */
ngx_msec_t ngx_http_blockcast_breaker_due(ngx_http_blockcast_node_t *node);

/* Postpones the next probe, when no stream has a call for it. */
void ngx_http_blockcast_breaker_postpone(ngx_http_blockcast_node_t *node);

/*
 * Returns how long to wait before the next try of what has failed for `lasted`
 * msec: half of that, within the two bounds.
 */
ngx_msec_t ngx_http_blockcast_breaker_backoff(ngx_msec_t lasted,
    ngx_msec_t least, ngx_msec_t most);


#endif /* _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_ */
