
/*
 * Filters of subscribers over HTTP: MEMBER=VALUE in the query.
 */


#ifndef _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_log_filter.h"


/*
 * Makes the filter of a log from the request's query.  As with REST, it
 * ignores the module's own arguments and those that no entry of the log has as
 * a member.  *filter is NULL when no argument is left; otherwise the caller
 * frees it.
 *
 * Returns NGX_DECLINED when there are too many arguments, with a sentence in
 * *why; NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_query_filter(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, bc_log_filter_t **filter,
    const char **why);


#endif /* _NGX_HTTP_BLOCKCAST_QUERY_FILTER_H_INCLUDED_ */
