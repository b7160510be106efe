
/*
 * Waking the workers: an eventfd for each, made before they are forked.
 *
 * The same descriptor tells a worker that it is to exit: nginx closes idle
 * connections first of all, and this one is marked as idle.
 */


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_feed.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_sse.h"
#include "ngx_http_blockcast_state.h"

#include <sys/eventfd.h>


static void ngx_http_blockcast_wake_cleanup(void *data);
static void ngx_http_blockcast_wake_handler(ngx_event_t *ev);


static ngx_connection_t  *ngx_http_blockcast_wake_connection;


ngx_int_t
ngx_http_blockcast_wake_create(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t           i;
    ngx_core_conf_t     *ccf;
    ngx_pool_cleanup_t  *cln;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    bmcf->wakes = ngx_palloc(cycle->pool,
                             ccf->worker_processes * sizeof(int));
    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    if (bmcf->wakes == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_blockcast_wake_cleanup;
    cln->data = bmcf;

    for (i = 0; i < (ngx_uint_t) ccf->worker_processes; i++) {
        bmcf->wakes[i] = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (bmcf->wakes[i] == -1) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "eventfd() failed");
            return NGX_ERROR;
        }

        bmcf->nwakes++;
    }

    return NGX_OK;
}


static void
ngx_http_blockcast_wake_cleanup(void *data)
{
    ngx_http_blockcast_main_conf_t *bmcf = data;

    ngx_uint_t  i;

    for (i = 0; i < bmcf->nwakes; i++) {
        if (bmcf->wakes[i] != -1) {
            (void) close(bmcf->wakes[i]);
        }
    }
}


ngx_int_t
ngx_http_blockcast_wake_open(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_connection_t  *c;

    if (ngx_worker >= bmcf->nwakes) {
        return NGX_OK;
    }

    c = ngx_get_connection(bmcf->wakes[ngx_worker], cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = bmcf;
    c->idle = 1;
    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = ngx_http_blockcast_wake_handler;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    ngx_http_blockcast_wake_connection = c;

    return NGX_OK;
}


static void
ngx_http_blockcast_wake_handler(ngx_event_t *ev)
{
    ssize_t            n;
    uint64_t           count;
    ngx_connection_t  *c;

    ngx_http_blockcast_main_conf_t  *bmcf;

    c = ev->data;

    if (c->close) {

        /* the worker begins to exit */

        ngx_http_blockcast_wake_connection = NULL;

        ngx_http_blockcast_state_leave(c->data);
        ngx_http_blockcast_poller_stop(1);
        ngx_http_blockcast_sse_drain(ngx_http_blockcast_drain());

        /* the number is in the configuration of the master too: not closed
           there, and in this worker only once */

        bmcf = c->data;
        bmcf->wakes[ngx_worker] = -1;

        ngx_close_connection(c);
        return;
    }

    do {
        n = read(c->fd, &count, sizeof(uint64_t));
    } while (n == -1 && ngx_errno == NGX_EINTR);

    ev->ready = 0;

    if (n == -1 && ngx_errno != NGX_EAGAIN) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, ngx_errno,
                      "blockcast: read() of the wake-up descriptor failed");
    }

    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_log_error(NGX_LOG_ALERT, ev->log, 0,
                      "blockcast: no wake-ups, the timer has to do");
    }

    ngx_http_blockcast_feeds_update();
    ngx_http_blockcast_poller_kick();
}


void
ngx_http_blockcast_wake_others(ngx_http_blockcast_main_conf_t *bmcf)
{
    uint64_t    one;
    ngx_uint_t  i;

    one = 1;

    for (i = 0; i < bmcf->nwakes; i++) {

        if (i == ngx_worker) {
            continue;
        }

        /* EAGAIN: it has 2^64 wake-ups pending and needs no other */

        if (write(bmcf->wakes[i], &one, sizeof(uint64_t)) == -1
            && ngx_errno != NGX_EAGAIN)
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                          "blockcast: wake-up of worker %ui failed", i);
        }
    }
}
