
/*
 * The streams over plain HTTP.
 */


#ifndef _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* content handlers of blockcast_api, blockcast_rest and blockcast_health */
ngx_int_t ngx_http_blockcast_rest_api_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_blockcast_rest_handler(ngx_http_request_t *r);


/*
 * What each of them begins with: the method, and when allowed is not NULL, the
 * streams that this client may have (bits by index).  NGX_DECLINED: it was
 * refused, and *rc is for nginx, from the content handler.
 */
ngx_int_t ngx_http_blockcast_rest_begin(ngx_http_request_t *r,
    uint64_t *allowed, ngx_int_t *rc);


#endif /* _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_ */
