
/*
 * How the streams, the nodes and the workers are, for people and balancers.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"


/* Handles the content of blockcast_health. */
ngx_int_t ngx_http_blockcast_health_handler(ngx_http_request_t *r);

/* Counts the streams of a location that this client may see. */
ngx_uint_t ngx_http_blockcast_health_visible(ngx_http_blockcast_stream_t **st,
    uint64_t allowed);

/* Tells whether a node is that of a stream which this client may see. */
ngx_uint_t ngx_http_blockcast_health_node_visible(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_stream_t **st, uint64_t allowed);

/* the words for ngx_http_blockcast_freshness_e */
extern const char  *ngx_http_blockcast_freshness_names[];

/* Adds a stream's row to an array. */
void ngx_http_blockcast_health_add_stream(ngx_http_blockcast_json_out_t *out,
    cJSON *rows, ngx_http_blockcast_stream_t *st);


/*
 * Adds what the gateway has saved its nodes, as "totals": the requests to the
 * nodes that a client may see, what was delivered of its streams, the
 * connections of all.
 */
void ngx_http_blockcast_health_add_totals(ngx_http_blockcast_json_out_t *out,
    cJSON *root, ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t **st, uint64_t allowed);


#endif /* _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_ */
