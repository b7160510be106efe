
/*
 * The streams over plain HTTP.
 */


#ifndef _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* content handlers of blockcast_api and blockcast_rest */
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


#endif /* _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_ */
