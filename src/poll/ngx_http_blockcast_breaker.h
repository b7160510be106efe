
/*
 * A circuit breaker for each node: whether it is called at all, and when a
 * node that failed is tried again.
 */


#ifndef _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Prepares the nodes, at the start of each worker. */
void ngx_http_blockcast_breaker_init(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Begin and end with this worker's polling.  _start() does not ask a node as
 * long as it has limited the poller before; _stop() forgets the calls in flight
 * and those that wait.
 */
void ngx_http_blockcast_breaker_start(ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_breaker_stop(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Decides whether a call may be made; failed: the last one like it failed.
 * NGX_OK: yes, then ngx_http_blockcast_breaker_asked() has to be called.
 * NGX_AGAIN: not before the call is back that probes the node (the caller
 * queues its request in node->held).  NGX_DECLINED: not before node->until.
 */
ngx_int_t ngx_http_blockcast_breaker_gate(ngx_http_blockcast_node_t *node,
    ngx_uint_t failed);
void ngx_http_blockcast_breaker_asked(ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_rpc_call_t *rpc, ngx_uint_t failed);

/*
 * Counts the end of a call, once for each.  NGX_DONE: the node's health has
 * changed, and the caller starts what waits in node->held.
 */
ngx_int_t ngx_http_blockcast_breaker_answer(
    ngx_http_blockcast_rpc_call_t *rpc);

/* Counts a call that nobody waits for any longer; the same return codes. */
ngx_int_t ngx_http_blockcast_breaker_overdue(
    ngx_http_blockcast_rpc_call_t *rpc);

/*
 * Returns when a node that is not ok may be tried next (msec).  A probe that
 * takes longer than the shortest interval is not waited for.
 */
ngx_msec_t ngx_http_blockcast_breaker_due(ngx_http_blockcast_node_t *node);

/* Postpones the next probe: no stream had a call to probe the node with. */
void ngx_http_blockcast_breaker_postpone(ngx_http_blockcast_node_t *node);

/*
 * Returns how long to wait with the next try of what has failed for lasted
 * msec: half of that, within the two bounds.
 */
ngx_msec_t ngx_http_blockcast_breaker_backoff(ngx_msec_t lasted,
    ngx_msec_t least, ngx_msec_t most);


#endif /* _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_ */
