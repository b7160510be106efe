
/*
 * The state of the cluster that all workers can read, for health and metrics.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_STATUS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_STATUS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Writes the state; only for the worker with the lease.  text: an error, or
 * empty; NULL keeps the current one.
 */
void ngx_http_blockcast_cluster_status_write(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t state, ngx_str_t *peer, ngx_str_t *text);

/* Copies the state to *status. */
void ngx_http_blockcast_cluster_status_read(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_cluster_status_t *status);

/* Returns the state's name: "connecting", "leader", ... */
const char *ngx_http_blockcast_cluster_status_name(ngx_uint_t state);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_STATUS_H_INCLUDED_ */
