
/*
 * The path of a call through nginx to the node and back: its own location, and
 * nothing else.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_PATH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_PATH_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Enters the node's location: the write_event_handler of a call's subrequest,
 * in place of nginx's own ngx_http_handler().
 */
void ngx_http_blockcast_rpc_path_enter(ngx_http_request_t *r);

/*
 * Notes where nginx itself has ended a call, which may be led to an error_page
 * after that.
 */
void ngx_http_blockcast_rpc_path_ended(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_http_request_t *r);

/*
 * Writes what has ended a call, as noted by _ended(), as the end of a
 * sentence: "by a directive of its rewrite phase (return, rewrite, if)".
 */
u_char *ngx_http_blockcast_rpc_path_culprit(ngx_http_blockcast_rpc_call_t *rpc,
    u_char *p, u_char *last);

/*
 * Removes the server's error pages from the locations of nodes, at the end of
 * the configuration, when the filter of replies' headers is in place.
 */
void ngx_http_blockcast_rpc_path_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Makes nodes' replies bypass the filters of other modules; called in a
 * worker, when all filters are in place.
 */
void ngx_http_blockcast_rpc_path_bypass(void);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_PATH_H_INCLUDED_ */
