
/*
 * A worker's life with this module: its tick, its wake-ups, its exit.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WORKER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WORKER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Start and end what the module does in a worker. */
ngx_int_t ngx_http_blockcast_worker_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_worker_exit(ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_WORKER_H_INCLUDED_ */
