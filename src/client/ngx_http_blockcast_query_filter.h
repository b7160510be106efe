
/*
 * The filter of a subscriber over HTTP: MEMBER=VALUE in its query.
 */


#ifndef _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_log_filter.h"


/*
 * Makes the filter of a log.  As with REST, a member that no entry of the log
 * has is somebody else's argument, and the arguments that are ours are none.
 * *filter is NULL where nothing is asked for; the caller frees it.
 * NGX_DECLINED: too many members or values, or too long ones, with a sentence.
 * NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_blockcast_query_filter(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, bc_log_filter_t **filter,
    const char **why);


#endif /* _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_ */
