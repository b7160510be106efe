
/*
 * Long polls: REST requests that wait for the next seq of a stream.
 */


#include "ngx_http_blockcast_longpoll.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_held_request.h"


typedef struct {
    ngx_http_blockcast_held_request_t  held;    /* must be first: it is cast */
    ngx_http_blockcast_longpoll_pt     answer;
} ngx_http_blockcast_longpoll_t;


static void ngx_http_blockcast_longpoll_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq);
static void ngx_http_blockcast_longpoll_mark_pending(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);
static void ngx_http_blockcast_longpoll_flush(
    ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_longpoll_event(ngx_event_t *ev);


static ngx_http_blockcast_sender_t  ngx_http_blockcast_longpoll_sender = {
    ngx_http_blockcast_longpoll_push,
    ngx_http_blockcast_longpoll_mark_pending,
    ngx_http_blockcast_longpoll_flush
};


void
ngx_http_blockcast_longpoll_init(void)
{
    ngx_http_blockcast_fanout_register(NGX_HTTP_BLOCKCAST_LONGPOLL,
                                       &ngx_http_blockcast_longpoll_sender);
}


ngx_int_t
ngx_http_blockcast_longpoll_wait(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, uint64_t after, ngx_msec_t wait,
    ngx_http_blockcast_longpoll_pt answer)
{
    ngx_http_blockcast_conn_t         *conn;
    ngx_http_blockcast_reject_t        reject;
    ngx_http_blockcast_longpoll_t     *lp;
    ngx_http_blockcast_sub_options_t   options;

    lp = ngx_http_blockcast_held_request_create(r,
                                        sizeof(ngx_http_blockcast_longpoll_t),
                                        NGX_HTTP_BLOCKCAST_LONGPOLL,
                                        ngx_http_blockcast_longpoll_event);
    if (lp == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    lp->answer = answer;
    conn = &lp->held.conn;

    ngx_memzero(&options, sizeof(ngx_http_blockcast_sub_options_t));
    options.hub = hub;

    if (ngx_http_blockcast_commands_subscribe(conn, hub->stream, &options,
                                              &reject)
        == NGX_ERROR)
    {
        return NGX_HTTP_SERVICE_UNAVAILABLE;
    }

    conn->subs[0].seq = after;
    conn->subs[0].first = 0;
    conn->started = 1;

    ngx_http_blockcast_held_request_hold(&lp->held,
                                         ngx_http_request_empty_handler);

    ngx_add_timer(&lp->held.event, wait);

    return NGX_DONE;
}


static void
ngx_http_blockcast_longpoll_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq)
{
    ngx_http_blockcast_longpoll_mark_pending(conn, sub);
}


static void
ngx_http_blockcast_longpoll_mark_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_client_set_pending(conn, sub);
    ngx_http_blockcast_longpoll_flush(conn);
}


/*
 * Has the event loop check whether the awaited seq has come.  Many requests
 * may wait for it: each turn answers some of them.
 */

static void
ngx_http_blockcast_longpoll_flush(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_held_request_t  *h;

    h = (ngx_http_blockcast_held_request_t *) conn;

    ngx_http_blockcast_fanout_later(&h->event);
}


static void
ngx_http_blockcast_longpoll_event(ngx_event_t *ev)
{
    ngx_uint_t                      over;
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_blockcast_sub_t       *sub;
    ngx_http_blockcast_conn_t      *conn;
    ngx_http_blockcast_hub_t       *hub;
    ngx_http_blockcast_longpoll_t  *lp;

    lp = ev->data;
    conn = &lp->held.conn;
    r = conn->request;
    c = r->connection;

    over = ev->timedout || ngx_exiting || ngx_terminate;
    ev->timedout = 0;

    sub = &conn->subs[0];
    hub = sub->hub;

    if (sub->pending) {
        sub->pending = 0;
        conn->npending--;
    }

    if (!over
        && (sub->hub->newest == NULL || sub->hub->snap.seq <= sub->seq))
    {
        /* only the freshness has changed, there is no new seq */

        sub->last_status = sub->hub->freshness;
        return;
    }

    lp->held.held = 0;

    ngx_http_blockcast_client_leave_all(conn);

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_http_finalize_request(r, lp->answer(r, hub, over));
    ngx_http_run_posted_requests(c);
}
