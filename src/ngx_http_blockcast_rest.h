
/*
 * The streams over plain HTTP.
 */


#ifndef _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* content handlers of blockcast_api, blockcast_rest and blockcast_health */
ngx_int_t ngx_http_blockcast_api_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_blockcast_rest_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_blockcast_health_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_ */
