
/*
 * The streams over plain HTTP.
 */


#ifndef _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* content handlers of blockcast_api, blockcast_rest and blockcast_health */
ngx_int_t ngx_http_blockcast_rest_api_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_blockcast_rest_handler(ngx_http_request_t *r);
ngx_int_t ngx_http_blockcast_health_handler(ngx_http_request_t *r);


/*
 * What each of them begins with: the method, and when allowed is not NULL, the
 * streams that this client may have (bits by index).  NGX_DECLINED: it was
 * refused, and *rc is for nginx, from the content handler.
 */
ngx_int_t ngx_http_blockcast_rest_begin(ngx_http_request_t *r,
    uint64_t *allowed, ngx_int_t *rc);

/* how many of a location's streams this client may see */
ngx_uint_t ngx_http_blockcast_health_visible(ngx_http_blockcast_stream_t **st,
    uint64_t allowed);

/* whether a node is one of these streams' */
ngx_uint_t ngx_http_blockcast_health_node_visible(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_stream_t **st, uint64_t allowed);

/* the words for ngx_http_blockcast_freshness_e */
extern const char  *ngx_http_blockcast_freshness_names[];

/* of a stream's row in a list, its error and its note not counted */
#define NGX_HTTP_BLOCKCAST_HEALTH_ROW  768

/* writes it, and clears *healthy when its data is not what it should be */
u_char *ngx_http_blockcast_health_row(u_char *p,
    ngx_http_blockcast_stream_t *st, ngx_uint_t *healthy);


#endif /* _NGX_HTTP_BLOCKCAST_REST_H_INCLUDED_ */
