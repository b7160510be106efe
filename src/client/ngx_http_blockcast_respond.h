
/*
 * Whole HTTP responses of the endpoints, and the headers they add.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RESPOND_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RESPOND_H_INCLUDED_


#include "ngx_http_blockcast_access.h"


/*
 * Sends a refusal made by ngx_http_blockcast_access_*(), with Retry-After if
 * it has one.  Returns what a content handler returns.
 */
ngx_int_t ngx_http_blockcast_respond_refusal(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/*
 * Sends a whole response.  The text is not copied: it must live as long as the
 * request.  "type" is the Content-Type.
 */
ngx_int_t ngx_http_blockcast_respond(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *text);

/* Sends a response of two texts, which must live as long as the request. */
ngx_int_t ngx_http_blockcast_respond_parts(ngx_http_request_t *r,
    ngx_uint_t status, const char *type, ngx_str_t *text, ngx_str_t *tail);

/*
 * Adds the name of a request header to the response's Vary.  There is only one
 * Vary, because some caches and proxies read only the first one.  Returns
 * NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_respond_vary(ngx_http_request_t *r,
    const char *name);

/* Adds a response header; name and value are not copied. */
ngx_int_t ngx_http_blockcast_respond_header(ngx_http_request_t *r,
    const char *name, const char *value, size_t len);

/*
 * Sends a refusal: a status, a sentence, and the headers that belong to the
 * status.  Returns what a content handler returns.
 */
ngx_int_t ngx_http_blockcast_respond_refuse(ngx_http_request_t *r,
    ngx_uint_t status, const char *sentence);


#endif /* _NGX_HTTP_BLOCKCAST_RESPOND_H_INCLUDED_ */
