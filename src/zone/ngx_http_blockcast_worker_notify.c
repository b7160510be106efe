
/*
 * How workers wake each other: with one eventfd each, made before the fork.
 *
 * The same descriptor tells a worker that it has to exit: the first thing
 * nginx does then is to close idle connections, and this one is marked as
 * idle.
 */


#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"

#include <sys/eventfd.h>


static void ngx_http_blockcast_worker_notify_cleanup(void *data);
static void ngx_http_blockcast_worker_notify(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_uint_t n);


ngx_int_t
ngx_http_blockcast_worker_notify_create(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t           i;
    ngx_core_conf_t     *ccf;
    ngx_pool_cleanup_t  *cln;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    bmcf->eventfds = ngx_palloc(cycle->pool,
                                ccf->worker_processes * sizeof(int));
    cln = ngx_pool_cleanup_add(cycle->pool, 0);

    bmcf->quiet = ngx_pcalloc(cycle->pool, ccf->worker_processes);

    if (bmcf->eventfds == NULL || bmcf->quiet == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    cln->handler = ngx_http_blockcast_worker_notify_cleanup;
    cln->data = bmcf;

    for (i = 0; i < (ngx_uint_t) ccf->worker_processes; i++) {
        bmcf->eventfds[i] = eventfd(0, EFD_NONBLOCK|EFD_CLOEXEC);

        if (bmcf->eventfds[i] == -1) {
            ngx_log_error(NGX_LOG_EMERG, cycle->log, ngx_errno,
                          "eventfd() failed");
            return NGX_ERROR;
        }

        bmcf->neventfds++;
    }

    return NGX_OK;
}


static void
ngx_http_blockcast_worker_notify_cleanup(void *data)
{
    ngx_http_blockcast_main_conf_t *bmcf = data;

    ngx_uint_t  i;

    for (i = 0; i < bmcf->neventfds; i++) {
        if (bmcf->eventfds[i] != -1) {
            (void) close(bmcf->eventfds[i]);
        }
    }
}


ngx_int_t
ngx_http_blockcast_worker_notify_open(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_event_handler_pt handler)
{
    ngx_connection_t  *c;

    if (ngx_worker >= bmcf->neventfds) {
        return NGX_OK;
    }

    c = ngx_get_connection(bmcf->eventfds[ngx_worker], cycle->log);
    if (c == NULL) {
        return NGX_ERROR;
    }

    c->data = bmcf;
    c->idle = 1;
    c->log = cycle->log;
    c->read->log = cycle->log;
    c->write->log = cycle->log;
    c->read->handler = handler;

    if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
        ngx_free_connection(c);
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_blockcast_worker_notify_read(ngx_event_t *ev)
{
    ssize_t            n;
    uint64_t           count;
    ngx_connection_t  *c;

    c = ev->data;

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
                      "blockcast: no wake-ups, falling back to the timer");
    }
}


void
ngx_http_blockcast_worker_notify_close(ngx_connection_t *c)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    /*
     * Keep this worker from closing the number again with the pool; the master
     * has its own copy of the array.
     */

    bmcf = c->data;
    bmcf->eventfds[ngx_worker] = -1;

    ngx_close_connection(c);
}


static void
ngx_http_blockcast_worker_notify(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_uint_t n)
{
    uint64_t  one;

    one = 1;

    /* EAGAIN: the counter is full, so the worker will wake up anyway */

    if (write(bmcf->eventfds[n], &one, sizeof(uint64_t)) == -1
        && ngx_errno != NGX_EAGAIN)
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "blockcast: wake-up of worker %ui failed", n);
    }
}


void
ngx_http_blockcast_worker_notify_others(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t  i;

    for (i = 0; i < bmcf->neventfds; i++) {
        if (i != ngx_worker) {
            ngx_http_blockcast_worker_notify(bmcf, i);
        }
    }
}


void
ngx_http_blockcast_worker_notify_listeners(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_slot_t *slot)
{
    ngx_uint_t                    i, found;
    ngx_http_blockcast_worker_t  *w;

    if (bmcf->neventfds < 2) {
        return;
    }

    /*
     * A worker counts a listener before it reads the newest data; here data
     * was stored before the listeners are read.  A store followed by a load
     * needs a full barrier.
     */

    (void) ngx_atomic_fetch_add(&slot->listeners[0], 0);

    ngx_memzero(bmcf->quiet, bmcf->neventfds);

    found = 1;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS && found < bmcf->neventfds; i++)
    {
        w = &bmcf->zone->sh->workers[i];

        if (ngx_http_blockcast_worker_there(w)
            && w->generation == bmcf->generation
            && w->nth < bmcf->neventfds
            && w->nth != ngx_worker)
        {
            found++;
            bmcf->quiet[w->nth] = (slot->listeners[i] == 0);
        }
    }

    /* a worker without a record may have listeners of any stream */

    for (i = 0; i < bmcf->neventfds; i++) {
        if (i != ngx_worker && !bmcf->quiet[i]) {
            ngx_http_blockcast_worker_notify(bmcf, i);
        }
    }
}


void
ngx_http_blockcast_worker_notify_poller(ngx_http_blockcast_main_conf_t *bmcf)
{
    uint64_t                      lease;
    ngx_uint_t                    i;
    ngx_http_blockcast_worker_t  *w;

    lease = bmcf->zone->sh->lease;

    if (lease == (bmcf->generation << 32 | (uint64_t) ngx_pid)) {
        return;
    }

    if (lease >> 32 == bmcf->generation) {

        for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
            w = &bmcf->zone->sh->workers[i];

            if (w->pid == (lease & 0xffffffff)
                && w->generation == bmcf->generation
                && w->nth < bmcf->neventfds)
            {
                ngx_http_blockcast_worker_notify(bmcf, w->nth);
                return;
            }
        }
    }

    /* no worker polls, or the poller is unknown: wake all */

    ngx_http_blockcast_worker_notify_others(bmcf);
}
