
/*
 * Nodes: whether one is asked at all, and when it is tried again.
 */


#ifndef _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* in each worker, at its start */
void ngx_http_blockcast_breaker_init(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * This worker begins to poll: a node that limited the former poller goes on
 * being left alone.  And it ends: nothing is in flight or held any longer.
 */
void ngx_http_blockcast_breaker_start(ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_breaker_stop(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * May a call be made?  failed: its last one failed.  NGX_OK: yes, and
 * ngx_http_blockcast_breaker_asked() is told of it.  NGX_AGAIN: not before the
 * call is back that tries whether the node is well (queue it in node->held).
 * NGX_DECLINED: no, until node->until.
 */
ngx_int_t ngx_http_blockcast_breaker_gate(ngx_http_blockcast_node_t *node,
    ngx_uint_t failed);
void ngx_http_blockcast_breaker_asked(ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_rpc_call_t *rpc, ngx_uint_t failed);

/*
 * A call has ended (once for each).  NGX_DONE: what was known of the node has
 * changed, node->held is to be looked at.
 */
ngx_int_t ngx_http_blockcast_breaker_answer(
    ngx_http_blockcast_rpc_call_t *rpc);

/* nobody waits for the call any longer; the same return codes */
ngx_int_t ngx_http_blockcast_breaker_overdue(
    ngx_http_blockcast_rpc_call_t *rpc);

/*
 * When a node that is not ok may be tried next (msec).  A call that tries it
 * and takes longer than the shortest interval is not waited for.
 */
ngx_msec_t ngx_http_blockcast_breaker_due(ngx_http_blockcast_node_t *node);

/* the time has come, and there was nothing to try it with */
void ngx_http_blockcast_breaker_postpone(ngx_http_blockcast_node_t *node);

/*
 * How long to wait with the next try of what has failed for lasted msec: half
 * of that, within the two bounds.
 */
ngx_msec_t ngx_http_blockcast_breaker_backoff(ngx_msec_t lasted,
    ngx_msec_t least, ngx_msec_t most);


#endif /* _NGX_HTTP_BLOCKCAST_BREAKER_H_INCLUDED_ */
