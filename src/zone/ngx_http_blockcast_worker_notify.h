
/*
 * How workers wake each other: an eventfd for each, made before they are
 * forked.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * In the master: makes a descriptor for each worker, closed with the cycle's
 * pool.
 */
ngx_int_t ngx_http_blockcast_worker_notify_create(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * In a worker: calls handler when another one notifies it, and, with c->close
 * set, when it begins to exit; c->data is bmcf.
 */
ngx_int_t ngx_http_blockcast_worker_notify_open(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_event_handler_pt handler);

/* For that handler: takes the notifications that have come. */
void ngx_http_blockcast_worker_notify_read(ngx_event_t *ev);

/* For that handler, with c->close: closes this worker's descriptor. */
void ngx_http_blockcast_worker_notify_close(ngx_connection_t *c);

/*
 * Wake all other workers; those that have listeners of a stream, which was
 * written to the zone before; or the one that polls.
 */
void ngx_http_blockcast_worker_notify_others(
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_worker_notify_listeners(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_slot_t *slot);
void ngx_http_blockcast_worker_notify_poller(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_ */
