
/*
 * How workers wake each other: with one eventfd each, made before the fork.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Makes a descriptor for each worker, in the master; they are closed with the
 * cycle's pool.
 */
ngx_int_t ngx_http_blockcast_worker_notify_create(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Makes handler be called in this worker when another one notifies it and,
 * with c->close set, when it starts to exit; c->data is bmcf.
 */
ngx_int_t ngx_http_blockcast_worker_notify_open(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_event_handler_pt handler);

/* Consumes the notifications so far; for that handler. */
void ngx_http_blockcast_worker_notify_read(ngx_event_t *ev);

/* Closes this worker's descriptor; for that handler, with c->close set. */
void ngx_http_blockcast_worker_notify_close(ngx_connection_t *c);

/*
 * Wake all other workers; those with listeners of a stream, whose news must be
 * in the zone already; or the worker that polls.
 */
void ngx_http_blockcast_worker_notify_others(
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_worker_notify_listeners(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_slot_t *slot);
void ngx_http_blockcast_worker_notify_poller(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_WORKER_NOTIFY_H_INCLUDED_ */
