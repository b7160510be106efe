
/*
 * Requests that wait for a turn of the event loop with time for them.
 *
 * nginx takes up to 512 events in a turn.  When hundreds of clients ask for
 * the metrics or a page of a log at the same moment, each response is soon
 * made, but all of them together would keep everybody else waiting.
 */


#include "ngx_http_blockcast_turn_wait.h"
#include "ngx_http_blockcast_fanout.h"


typedef struct {
    ngx_event_t          event;             /* data: this struct */
    ngx_http_request_t  *request;
} ngx_http_blockcast_turn_wait_t;


static void ngx_http_blockcast_turn_wait_event(ngx_event_t *ev);
static void ngx_http_blockcast_turn_wait_cleanup(void *data);


ngx_int_t
ngx_http_blockcast_turn_wait(ngx_http_request_t *r)
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
    wait->event.write = 1;
    wait->event.handler = ngx_http_blockcast_turn_wait_event;
    wait->event.data = wait;
    wait->event.log = r->connection->log;

    r->main->count++;

    /* a writable socket would run the phases again */

    r->write_event_handler = ngx_http_request_empty_handler;

    ngx_http_blockcast_fanout_later(&wait->event);

    return NGX_DONE;
}


static void
ngx_http_blockcast_turn_wait_event(ngx_event_t *ev)
{
    ngx_connection_t                *c;
    ngx_http_request_t              *r;
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_http_blockcast_turn_wait_t  *wait;

    wait = ev->data;
    r = wait->request;
    c = r->connection;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    ngx_http_finalize_request(r, blcf->kind->handler(r));
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_blockcast_turn_wait_cleanup(void *data)
{
    ngx_http_blockcast_turn_wait_t  *wait = data;

    if (wait->event.posted) {
        ngx_delete_posted_event((&wait->event));
    }
}
