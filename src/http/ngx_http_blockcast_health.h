
/*
 * How the streams, the nodes and the workers are, for people and balancers.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_


#include "ngx_http_blockcast.h"


ngx_int_t ngx_http_blockcast_health_handler(ngx_http_request_t *r);

/* how many of a location's streams this client may see */
ngx_uint_t ngx_http_blockcast_health_visible(ngx_http_blockcast_stream_t **st,
    uint64_t allowed);

/* whether a node is one of these streams' */
ngx_uint_t ngx_http_blockcast_health_node_visible(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_stream_t **st, uint64_t allowed);

/* the words for ngx_http_blockcast_freshness_e */
extern const char  *ngx_http_blockcast_freshness_names[];

/* writes it, and clears *healthy when its data is not what it should be */
u_char *ngx_http_blockcast_health_row(u_char *p,
    ngx_http_blockcast_stream_t *st, ngx_uint_t *healthy);


#endif /* _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_ */
