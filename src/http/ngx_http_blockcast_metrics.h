
/*
 * Metrics for Prometheus.
 */


#ifndef _NGX_HTTP_BLOCKCAST_METRICS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_METRICS_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handles the requests of a blockcast_metrics location. */
ngx_int_t ngx_http_blockcast_metrics_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_METRICS_H_INCLUDED_ */
