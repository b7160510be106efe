
/*
 * The budget of calls per second of a node: rate= of blockcast_node.
 */


#ifndef _NGX_HTTP_BLOCKCAST_BUDGET_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_BUDGET_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Takes a call from the budget; keys: it is for keys, not a fixed stream. */
void ngx_http_blockcast_budget_spend(ngx_http_blockcast_node_t *node,
    ngx_uint_t keys);

/*
 * Returns how long calls for keys have to wait (msec); 0: the budget has a
 * call left for them.
 */
ngx_msec_t ngx_http_blockcast_budget_wait(ngx_http_blockcast_node_t *node);


#endif /* _NGX_HTTP_BLOCKCAST_BUDGET_H_INCLUDED_ */
