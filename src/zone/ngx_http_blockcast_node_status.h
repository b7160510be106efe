
/*
 * What every worker can read of a node, as the polling worker wrote it.
 */


#ifndef _NGX_HTTP_BLOCKCAST_NODE_STATUS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_NODE_STATUS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* what every worker can read of a node in the zone; NGX_DECLINED: nothing */
ngx_int_t ngx_http_blockcast_node_status_read(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *name, ngx_http_blockcast_node_status_t *told,
    ngx_http_blockcast_node_counters_t **counters);

/* msec until the next try, 0 when that is due */
ngx_msec_t ngx_http_blockcast_node_status_retry_in(
    ngx_http_blockcast_node_status_t *told);
extern const char  *ngx_http_blockcast_node_health_names[];
extern const char  *ngx_http_blockcast_fault_names[];


#endif /* _NGX_HTTP_BLOCKCAST_NODE_STATUS_H_INCLUDED_ */
