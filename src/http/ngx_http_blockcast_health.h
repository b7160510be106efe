
/*
 * The health of streams, nodes and workers, for humans and load balancers.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"


/* Handles the requests of a blockcast_health location. */
ngx_int_t ngx_http_blockcast_health_handler(ngx_http_request_t *r);

/* Returns how many streams of a location this client may see. */
ngx_uint_t ngx_http_blockcast_health_visible(ngx_http_blockcast_stream_t **st,
    uint64_t allowed);

/* Returns true if this client may see a stream of the node, or all streams. */
ngx_uint_t ngx_http_blockcast_health_node_visible(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_stream_t **st, uint64_t allowed);

/* the names of ngx_http_blockcast_freshness_e */
extern const char  *ngx_http_blockcast_freshness_names[];

/* Adds a stream's row to an array. */
void ngx_http_blockcast_health_add_stream(ngx_http_blockcast_json_out_t *out,
    cJSON *rows, ngx_http_blockcast_stream_t *st);


/*
 * Adds, as "totals", how much the gateway saves its nodes: the requests to the
 * nodes that the client may see, the deliveries of its streams, the
 * difference, and the connections of all clients.
 */
void ngx_http_blockcast_health_add_totals(ngx_http_blockcast_json_out_t *out,
    cJSON *root, ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t **st, uint64_t allowed);


#endif /* _NGX_HTTP_BLOCKCAST_HEALTH_H_INCLUDED_ */
