
/*
 * Requests that wait for a turn of the event loop with time for them.
 *
 * nginx takes up to 512 events in a turn.  When hundreds of clients ask for
 * the metrics or a page of a log at the same moment, each response is soon
 * made, but all of them together would keep everybody else waiting.
 */


#include "ngx_http_blockcast_turn_wait.h"
#include "ngx_http_blockcast_fanout.h"


/* a worker that is told to quit does so when it has no timer (msec) */
#define NGX_HTTP_BLOCKCAST_TURN_WAIT_MAX  60000


typedef struct {
    ngx_event_t                 event;      /* data: this struct */
    ngx_http_request_t         *request;
    ngx_http_event_handler_pt   handler;
} ngx_http_blockcast_turn_wait_t;


static void ngx_http_blockcast_turn_wait_event(ngx_event_t *ev);
static void ngx_http_blockcast_turn_wait_cleanup(void *data);


ngx_int_t
ngx_http_blockcast_turn_wait(ngx_http_request_t *r,
    ngx_http_event_handler_pt handler)
{
    ngx_http_cleanup_t              *cln;
    ngx_http_blockcast_turn_wait_t  *wait;

    if (!ngx_http_blockcast_fanout_spent()
        || r != r->main || r->post_action)
    {
        return NGX_OK;
    }

    wait = ngx_pcalloc(r->pool, sizeof(ngx_http_blockcast_turn_wait_t));
    cln = ngx_http_cleanup_add(r, 0);

    if (wait == NULL || cln == NULL) {
        return NGX_OK;
    }

    cln->handler = ngx_http_blockcast_turn_wait_cleanup;
    cln->data = wait;

    wait->request = r;
    wait->handler = handler;
    wait->event.write = 1;
    wait->event.handler = ngx_http_blockcast_turn_wait_event;
    wait->event.data = wait;
    wait->event.log = r->connection->log;

    /* a writable socket would run the phases again */

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_add_timer(&wait->event, NGX_HTTP_BLOCKCAST_TURN_WAIT_MAX);
    ngx_http_blockcast_fanout_later(&wait->event);

    return NGX_DONE;
}


static void
ngx_http_blockcast_turn_wait_event(ngx_event_t *ev)
{
    ngx_connection_t                *c;
    ngx_http_blockcast_turn_wait_t  *wait;

    wait = ev->data;
    c = wait->request->connection;

    ngx_http_blockcast_turn_wait_cleanup(wait);

    wait->handler(wait->request);

    ngx_http_run_posted_requests(c);
}


static void
ngx_http_blockcast_turn_wait_cleanup(void *data)
{
    ngx_http_blockcast_turn_wait_t  *wait = data;

    if (wait->event.timer_set) {
        ngx_del_timer(&wait->event);
    }

    if (wait->event.posted) {
        ngx_delete_posted_event((&wait->event));
    }
}
