
/*
 * The arguments of a request's query.
 */


#ifndef _NGX_HTTP_BLOCKCAST_QUERY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_QUERY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/*
 * Finds the next NAME=VALUE from *p on, and moves *p behind it.  name and
 * value are as they were written, and lie in the query; arguments without "="
 * are passed over.  Returns 0 at the end.
 */
ngx_uint_t ngx_http_blockcast_query_next(u_char **p, u_char *last,
    ngx_str_t *name, ngx_str_t *value);

/*
 * Decodes %XX into memory of the request; the text is ended by a NUL that its
 * length does not count.
 */
ngx_int_t ngx_http_blockcast_query_decode(ngx_http_request_t *r,
    ngx_str_t *written, ngx_str_t *text);

/*
 * Decodes a name that may be a log's member: "market", and "market" of
 * "market[]" and "market[0]", as some write a list.  NGX_DECLINED: it is an
 * argument of the module, as "limit" is, or empty.  NGX_ERROR: no memory.
 */
ngx_int_t ngx_http_blockcast_query_member(ngx_http_request_t *r,
    ngx_str_t *written, ngx_str_t *name);

/*
 * Returns the length of an argument's name without the brackets of a list:
 * that of "a" for "a", "a[]" and "a[0]".
 */
size_t ngx_http_blockcast_query_list_name(ngx_str_t *name);


#endif /* _NGX_HTTP_BLOCKCAST_QUERY_H_INCLUDED_ */
