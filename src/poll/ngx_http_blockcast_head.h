
/*
 * Heads: the WebSocket that the polling worker holds to a node.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEAD_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Connect when this worker starts to poll, and close when it stops. */
void ngx_http_blockcast_head_start(ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_head_stop(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Makes a node's head connect at once instead of waiting for the next try, as
 * the node answers again.
 */
void ngx_http_blockcast_head_hurry(ngx_http_blockcast_node_t *node);


#endif /* _NGX_HTTP_BLOCKCAST_HEAD_H_INCLUDED_ */
