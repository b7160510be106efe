
/*
 * WebSocket clients of a gateway that does not have its cluster's epoch yet.
 *
 * A gateway that has just started makes an epoch, and replaces it with the
 * cluster's when it has read the log, a moment later.  A client that connects
 * before that would be greeted with the wrong epoch, and would take everything
 * it already has from another gateway for new; so its handshake waits.
 */


#include "ngx_http_blockcast_epoch_wait.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_cluster.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_held_request.h"


/* how often to check whether the log was read, and for how long (msec) */
#define NGX_HTTP_BLOCKCAST_EPOCH_WAIT_LOOK  20
#define NGX_HTTP_BLOCKCAST_EPOCH_WAIT_MAX   5000


typedef struct {
    ngx_http_blockcast_held_request_t  held;    /* must be first: it is cast */
    ngx_msec_t                         began;
} ngx_http_blockcast_epoch_wait_t;


static void ngx_http_blockcast_epoch_wait_event(ngx_event_t *ev);


ngx_int_t
ngx_http_blockcast_epoch_wait(ngx_http_request_t *r)
{
    ngx_http_blockcast_refusal_t      refusal;
    ngx_http_blockcast_epoch_wait_t  *wait;

    if (!ngx_http_blockcast_cluster_unread(
                 ngx_http_get_module_main_conf(r, ngx_http_blockcast_module))
        || r != r->main || r->post_action || ngx_exiting
        || ngx_http_get_module_ctx(r, ngx_http_blockcast_module) != NULL
        || ngx_http_blockcast_access_limits(r, &refusal) != NGX_OK)
    {
        return NGX_OK;
    }

    wait = ngx_http_blockcast_held_request_create(r,
                                      sizeof(ngx_http_blockcast_epoch_wait_t),
                                      NGX_HTTP_BLOCKCAST_LONGPOLL,
                                      ngx_http_blockcast_epoch_wait_event);
    if (wait == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    wait->began = ngx_current_msec;

    ngx_http_blockcast_held_request_hold(&wait->held,
                                         ngx_http_request_empty_handler);
    ngx_add_timer(&wait->held.event, NGX_HTTP_BLOCKCAST_EPOCH_WAIT_LOOK);

    return NGX_DONE;
}


static void
ngx_http_blockcast_epoch_wait_event(ngx_event_t *ev)
{
    ngx_int_t                         rc;
    ngx_connection_t                 *c;
    ngx_http_request_t               *r;
    ngx_http_blockcast_loc_conf_t    *blcf;
    ngx_http_blockcast_epoch_wait_t  *wait;

    wait = ev->data;
    r = wait->held.conn.request;
    c = r->connection;

    ev->timedout = 0;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    if (ngx_http_blockcast_cluster_unread(
                 ngx_http_get_module_main_conf(r, ngx_http_blockcast_module))
        && !ngx_exiting
        && ngx_current_msec - wait->began < NGX_HTTP_BLOCKCAST_EPOCH_WAIT_MAX)
    {
        ngx_add_timer(ev, NGX_HTTP_BLOCKCAST_EPOCH_WAIT_LOOK);
        return;
    }

    /* no longer a waiting client; its cleanup still runs at the end */

    wait->held.held = 0;
    wait->held.counted = 0;
    ngx_http_blockcast_client_count(-1);

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    rc = blcf->kind->handler(r);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
