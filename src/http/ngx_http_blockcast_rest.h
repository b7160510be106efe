
/*
 * The streams over plain HTTP.
 */


#ifndef _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handle the requests of blockcast_api and blockcast_rest locations. */
ngx_int_t ngx_http_blockcast_rest_api_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_blockcast_rest_handler(ngx_http_request_t *r);


/*
 * Begins a GET or HEAD request: refuses other methods and, unless allowed is
 * NULL, clients without a required token.  Sets *allowed to the streams that
 * this client may have, as bits by index.  Returns NGX_OK, or NGX_DECLINED
 * when the request was refused: *rc is what the content handler returns.
 */
ngx_int_t ngx_http_blockcast_rest_begin(ngx_http_request_t *r,
    uint64_t *allowed, ngx_int_t *rc);

/*
 * Checks the token and sets *allowed, like ngx_http_blockcast_rest_begin(),
 * for a request with any method.
 */
ngx_int_t ngx_http_blockcast_rest_allowed(ngx_http_request_t *r,
    uint64_t *allowed, ngx_int_t *rc);


/*
 * Returns the stream with a name, or NULL when the location does not offer it
 * or this client may not have it.
 */
ngx_http_blockcast_stream_t *ngx_http_blockcast_rest_find(
    ngx_http_request_t *r, ngx_str_t *name, uint64_t allowed);

/*
 * Responds with {"error":CODE,"message":...}.  The arguments of fmt may hold
 * any bytes that the client sent: unprintable ones are replaced.  Returns what
 * the content handler returns.
 */
ngx_int_t ngx_http_blockcast_rest_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *fmt, ...);

/*
 * Reads a number from the query.  Returns NGX_OK; NGX_DECLINED when there is
 * none; NGX_DONE when the request was refused: *rc is what the content handler
 * returns.
 */
ngx_int_t ngx_http_blockcast_rest_number(ngx_http_request_t *r,
    const char *name, ngx_uint_t max, ngx_uint_t *number, ngx_int_t *rc);

/*
 * Adds the headers of a response with current data: Cache-Control, the
 * stream's state, and the ETag unless it is NULL.  Returns NGX_ERROR without
 * memory.
 */
ngx_int_t ngx_http_blockcast_rest_fresh_headers(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_str_t *etag);


#endif /* _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_ */
