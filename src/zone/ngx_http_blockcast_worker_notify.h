
/*
 * Waking the workers: an eventfd for each, made before they are forked.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* wakes every other worker of this configuration (_wake) */
ngx_int_t ngx_http_blockcast_worker_notify_create(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);
ngx_int_t ngx_http_blockcast_worker_notify_open(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_worker_notify_others(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_ */
