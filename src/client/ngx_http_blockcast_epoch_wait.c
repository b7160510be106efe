
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


/* how long a client waits at most (msec) */
#define NGX_HTTP_BLOCKCAST_EPOCH_WAIT_MAX   5000


static void ngx_http_blockcast_epoch_wait_event(ngx_event_t *ev);


/* clients of this worker may be waiting */
static ngx_uint_t  ngx_http_blockcast_epoch_waiting;


ngx_int_t
ngx_http_blockcast_epoch_wait(ngx_http_request_t *r)
{
    ngx_http_blockcast_refusal_t        refusal;
    ngx_http_blockcast_held_request_t  *held;

    if (!ngx_http_blockcast_cluster_unread(
                 ngx_http_get_module_main_conf(r, ngx_http_blockcast_module))
        || r != r->main || r->post_action || ngx_exiting
        || ngx_http_get_module_ctx(r, ngx_http_blockcast_module) != NULL
        || ngx_http_blockcast_access_limits(r, &refusal) != NGX_OK)
    {
        return NGX_OK;
    }

    held = ngx_http_blockcast_held_request_create(r,
                                     sizeof(ngx_http_blockcast_held_request_t),
                                     NGX_HTTP_BLOCKCAST_LONGPOLL,
                                     ngx_http_blockcast_epoch_wait_event);
    if (held == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_blockcast_held_request_hold(held, ngx_http_request_empty_handler);
    ngx_add_timer(&held->event, NGX_HTTP_BLOCKCAST_EPOCH_WAIT_MAX);

    ngx_http_blockcast_epoch_waiting = 1;

    return NGX_DONE;
}


void
ngx_http_blockcast_epoch_wait_check(ngx_http_blockcast_main_conf_t *bmcf)
{
    if (!ngx_http_blockcast_epoch_waiting
        || ngx_http_blockcast_cluster_unread(bmcf))
    {
        return;
    }

    ngx_http_blockcast_epoch_waiting = 0;

    ngx_http_blockcast_held_request_post_all(
                                         ngx_http_blockcast_epoch_wait_event);
}


static void
ngx_http_blockcast_epoch_wait_event(ngx_event_t *ev)
{
    ngx_int_t                           rc;
    ngx_connection_t                   *c;
    ngx_http_request_t                 *r;
    ngx_http_blockcast_held_request_t  *held;

    held = ev->data;
    r = held->conn.request;
    c = r->connection;

    if (!ev->timedout && !ngx_exiting
        && ngx_http_blockcast_cluster_unread(
                 ngx_http_get_module_main_conf(r, ngx_http_blockcast_module)))
    {
        /* the epoch has changed, but the log is not read to its end */
        return;
    }

    /* the request's context stays, so that it does not wait once more */

    rc = ngx_http_blockcast_held_request_again(held);

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}
