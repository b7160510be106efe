
/*
 * The filter of a subscriber over HTTP: MEMBER=VALUE in its query.
 */


#ifndef _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_log_filter.h"


/*
 * Makes the filter of a log from the request's query.  As with REST, the
 * module's own arguments are left out, and so are those that no entry of the
 * log has as a member.  *filter is NULL when none is left; else the caller
 * frees it.
 * NGX_DECLINED: *why says what there is too much of.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_blockcast_query_filter(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, bc_log_filter_t **filter,
    const char **why);


#endif /* _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_ */
