
/*
 * How many calls a second a node gets: rate= of blockcast_node.
 */


#ifndef _NGX_HTTP_BLOCKCAST_BUDGET_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_BUDGET_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Takes a call that is made, by a fixed stream or for keys, from the budget. */
void ngx_http_blockcast_budget_spend(ngx_http_blockcast_node_t *node,
    ngx_uint_t keys);

/*
 * Returns how long calls that can wait have to (msec); 0: there is something
 * left for them.
 */
ngx_msec_t ngx_http_blockcast_budget_wait(ngx_http_blockcast_node_t *node);


#endif /* _NGX_HTTP_BLOCKCAST_BUDGET_H_INCLUDED_ */
