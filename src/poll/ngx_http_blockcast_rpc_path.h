
/*
 * What of nginx a call passes through on its way to the node and back: its own
 * location, and no more.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_PATH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_PATH_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Begins in the node's location, as the write_event_handler of a call's
 * subrequest in place of nginx's own ngx_http_handler().
 */
void ngx_http_blockcast_rpc_path_enter(ngx_http_request_t *r);

/*
 * Notes, in a call that nginx itself ends, where that is.  Later it may have
 * been led to an error_page.
 */
void ngx_http_blockcast_rpc_path_ended(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_http_request_t *r);

/*
 * Writes what has ended the call that _ended() has noted, as the end of a
 * sentence: "by a directive of its rewrite phase (return, rewrite, if)".
 */
u_char *ngx_http_blockcast_rpc_path_culprit(ngx_http_blockcast_rpc_call_t *rpc,
    u_char *p, u_char *last);

/*
 * Takes the error pages of the server away from the locations of nodes, at the
 * end of the configuration, when the filter of replies' headers is in its
 * place.
 */
void ngx_http_blockcast_rpc_path_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Makes replies of nodes pass by the filters of other modules; called in a
 * worker, when all of these are in place.
 */
void ngx_http_blockcast_rpc_path_bypass(void);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_PATH_H_INCLUDED_ */
