
/*
 * The arguments of a request's query.
 */


#ifndef _NGX_HTTP_BLOCKCAST_QUERY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_QUERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Finds the next NAME=VALUE at or after *p, and moves *p past it.  name and
 * value point into the query and are not decoded; arguments without "=" are
 * skipped.  Returns 0 at the end.
 */
ngx_uint_t ngx_http_blockcast_query_next(u_char **p, u_char *last,
    ngx_str_t *name, ngx_str_t *value);

/*
 * Decodes %XX into the request's pool.  The text ends with a NUL, which its
 * length does not count.  Returns NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_query_decode(ngx_http_request_t *r,
    ngx_str_t *written, ngx_str_t *text);

/*
 * Decodes the name of an argument that may be a member of a log's entries,
 * without the brackets of a list: "market" for "market", "market[]" and
 * "market[0]".  Returns NGX_DECLINED when it is empty or an argument of the
 * module, such as "limit"; NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_query_member(ngx_http_request_t *r,
    ngx_str_t *written, ngx_str_t *name);

/*
 * Returns the length of an argument's name without the brackets of a list:
 * that of "a" for "a", "a[]" and "a[0]".
 */
size_t ngx_http_blockcast_query_list_name(ngx_str_t *name);


#endif /* _NGX_HTTP_BLOCKCAST_QUERY_H_INCLUDED_ */
