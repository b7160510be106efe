
/*
 * The status of a node in the zone, as the polling worker wrote it.
 */


#ifndef _NGX_HTTP_BLOCKCAST_NODE_STATUS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_NODE_STATUS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Copies a node's status and points *counters to its counters in the zone.
 * NGX_DECLINED: the node was not polled yet.
 */
ngx_int_t ngx_http_blockcast_node_status_read(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *name, ngx_http_blockcast_node_status_t *status,
    ngx_http_blockcast_node_counters_t **counters);

/* Returns the milliseconds until the node is tried again; 0: it is due. */
ngx_msec_t ngx_http_blockcast_node_status_retry_in(
    ngx_http_blockcast_node_status_t *status);

/* the words for ngx_http_blockcast_node_health_e and _fault_e */
extern const char  *ngx_http_blockcast_node_health_names[];
extern const char  *ngx_http_blockcast_fault_names[];


#endif /* _NGX_HTTP_BLOCKCAST_NODE_STATUS_H_INCLUDED_ */
