
/*
 * The streams over plain HTTP.
 */


#ifndef _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handle the content of blockcast_api and blockcast_rest. */
ngx_int_t ngx_http_blockcast_rest_api_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_blockcast_rest_handler(ngx_http_request_t *r);


/*
 * Begins a GET or HEAD: refuses other methods, and, unless allowed is NULL,
 * clients without the token that is needed; *allowed is then the streams that
 * this client may have, as bits by index.  NGX_OK, or NGX_DECLINED when it was
 * refused: *rc is what the content handler returns.
 */
ngx_int_t ngx_http_blockcast_rest_begin(ngx_http_request_t *r,
    uint64_t *allowed, ngx_int_t *rc);

/* The part of it that is about the streams, for other methods. */
ngx_int_t ngx_http_blockcast_rest_allowed(ngx_http_request_t *r,
    uint64_t *allowed, ngx_int_t *rc);


/* Returns the stream of a name, or NULL when this client may have none. */
ngx_http_blockcast_stream_t *ngx_http_blockcast_rest_find(
    ngx_http_request_t *r, ngx_str_t *name, uint64_t allowed);

/*
 * Answers {"error":CODE,"message":...}; the arguments of fmt may be any bytes
 * that the client sent.
 */
ngx_int_t ngx_http_blockcast_rest_error(ngx_http_request_t *r,
    ngx_uint_t status, const char *code, const char *fmt, ...);

/*
 * Reads a number from the query.  NGX_OK, NGX_DECLINED when there is none, or
 * NGX_DONE when the request was refused: *rc is what the content handler
 * returns.
 */
ngx_int_t ngx_http_blockcast_rest_number(ngx_http_request_t *r,
    const char *name, ngx_uint_t max, ngx_uint_t *number, ngx_int_t *rc);

/*
 * Adds the headers of what is fresh for now: how long it is, the stream's
 * state, and the ETag unless it is NULL.
 */
ngx_int_t ngx_http_blockcast_rest_fresh_headers(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_str_t *etag);


#endif /* _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_ */
