
/*
 * Whole HTTP responses of the endpoints, and the headers they add.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RESPOND_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RESPOND_H_INCLUDED_


#include "ngx_http_blockcast_access.h"


/*
 * Sends a refusal of ngx_http_blockcast_access_*(), with Retry-After where it
 * has one.  Returns what a content handler returns.
 */
ngx_int_t ngx_http_blockcast_respond_refusal(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/*
 * Sends a whole response.  The text is not copied: it must live as long as the
 * request.  "type" is the Content-Type.
 */
ngx_int_t ngx_http_blockcast_respond(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *text);

/* Sends a response of two texts; both must live as long as the request. */
ngx_int_t ngx_http_blockcast_respond_parts(ngx_http_request_t *r,
    ngx_uint_t status, const char *type, ngx_str_t *text, ngx_str_t *tail);

/*
 * Adds the name of a request header to Vary, which may be there already.  A
 * response has one Vary: caches and proxies exist that read the first alone.
 */
ngx_int_t ngx_http_blockcast_respond_vary(ngx_http_request_t *r,
    const char *name);

/* Adds a response header; the value is not copied. */
ngx_int_t ngx_http_blockcast_respond_header(ngx_http_request_t *r,
    const char *name, const char *value, size_t len);

/*
 * Sends a refusal, a status and a sentence, with the headers that belong to
 * the status.  Returns what a content handler returns.
 */
ngx_int_t ngx_http_blockcast_respond_refuse(ngx_http_request_t *r,
    ngx_uint_t status, const char *sentence);


#endif /* _NGX_HTTP_BLOCKCAST_RESPOND_H_INCLUDED_ */
