
/*
 * WebSocket clients of a gateway that does not have its cluster's epoch yet.
 */


#ifndef _NGX_HTTP_BLOCKCAST_EPOCH_WAIT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_EPOCH_WAIT_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Holds a request while ngx_http_blockcast_cluster_unread(), for 5 s at most.
 * Returns NGX_OK when there is nothing to wait for.  Otherwise the content
 * handler returns the value to nginx; with NGX_DONE, it is called again later.
 */
ngx_int_t ngx_http_blockcast_epoch_wait(ngx_http_request_t *r);

/*
 * Lets the requests that this worker holds go on when the log has been read.
 * Called when it may have been, and on each tick.
 */
void ngx_http_blockcast_epoch_wait_check(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_EPOCH_WAIT_H_INCLUDED_ */
