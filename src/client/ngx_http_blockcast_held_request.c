
/*
 * Clients whose HTTP request stays open: server-sent events and long polls.
 */


#include "ngx_http_blockcast_held_request.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_client.h"


static void ngx_http_blockcast_held_request_cleanup(void *data);


static ngx_queue_t  ngx_http_blockcast_held_requests;


void *
ngx_http_blockcast_held_request_create(ngx_http_request_t *r, size_t size,
    ngx_uint_t kind, ngx_event_handler_pt handler)
{
    ngx_http_cleanup_t                 *cln;
    ngx_http_blockcast_held_request_t  *h;

    h = ngx_pcalloc(r->pool, size);
    cln = ngx_http_cleanup_add(r, 0);

    if (h == NULL || cln == NULL) {
        return NULL;
    }

    if (ngx_http_blockcast_held_requests.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_held_requests);
    }

    cln->handler = ngx_http_blockcast_held_request_cleanup;
    cln->data = h;

    h->conn.kind = kind;
    h->conn.connection = r->connection;
    h->conn.request = r;
    h->conn.conf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);
    h->conn.last = &h->conn.out;
    h->conn.subs = &h->conn.first;
    h->conn.nalloc = 1;

    h->event.write = 1;
    h->event.handler = handler;
    h->event.data = h;
    h->event.log = r->connection->log;

    ngx_queue_insert_tail(&ngx_http_blockcast_held_requests, &h->queue);

    ngx_http_set_ctx(r, h, ngx_http_blockcast_module);

    return h;
}


static void
ngx_http_blockcast_held_request_cleanup(void *data)
{
    ngx_http_blockcast_held_request_t  *h = data;

    ngx_http_blockcast_client_leave_all(&h->conn);

    ngx_queue_remove(&h->queue);

    if (h->event.timer_set) {
        ngx_del_timer(&h->event);
    }

    if (h->event.posted) {
        ngx_delete_posted_event((&h->event));
    }

    if (h->counted) {
        h->counted = 0;
        ngx_http_blockcast_client_count(-1);
    }
}


void
ngx_http_blockcast_held_request_hold(ngx_http_blockcast_held_request_t *h,
    ngx_http_event_handler_pt write)
{
    ngx_http_request_t  *r;

    r = h->conn.request;

    r->main->count++;
    r->write_event_handler = write;

    if (!r->discard_body) {
        r->read_event_handler = ngx_http_test_reading;
    }

    h->held = 1;
    h->counted = 1;

    ngx_http_blockcast_client_count(1);
}


void
ngx_http_blockcast_held_request_post(ngx_http_blockcast_held_request_t *h)
{
    if (!h->event.posted) {
        ngx_post_event(&h->event, &ngx_posted_events);
    }
}


void
ngx_http_blockcast_held_request_post_all(ngx_event_handler_pt handler)
{
    ngx_queue_t                        *q;
    ngx_http_blockcast_held_request_t  *h;

    if (ngx_http_blockcast_held_requests.next == NULL) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_blockcast_held_requests);
         q != ngx_queue_sentinel(&ngx_http_blockcast_held_requests);
         q = ngx_queue_next(q))
    {
        h = ngx_queue_data(q, ngx_http_blockcast_held_request_t, queue);

        if (h->held && h->event.handler == handler) {
            ngx_http_blockcast_held_request_post(h);
        }
    }
}


ngx_int_t
ngx_http_blockcast_held_request_again(ngx_http_blockcast_held_request_t *h)
{
    ngx_http_request_t             *r;
    ngx_http_blockcast_loc_conf_t  *blcf;

    r = h->conn.request;

    h->held = 0;
    h->event.timedout = 0;

    if (h->event.timer_set) {
        ngx_del_timer(&h->event);
    }

    /* the handler counts the client that it makes, within the same limits */

    if (h->counted) {
        h->counted = 0;
        ngx_http_blockcast_client_count(-1);
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    return blcf->kind->handler(r);
}


void
ngx_http_blockcast_held_request_drain(ngx_msec_t drain)
{
    ngx_queue_t                        *q;
    ngx_http_blockcast_held_request_t  *h;

    if (ngx_http_blockcast_held_requests.next == NULL) {
        return;
    }

    for (q = ngx_queue_head(&ngx_http_blockcast_held_requests);
         q != ngx_queue_sentinel(&ngx_http_blockcast_held_requests);
         q = ngx_queue_next(q))
    {
        h = ngx_queue_data(q, ngx_http_blockcast_held_request_t, queue);

        if (!h->held) {

            /* it has been answered, though not all may be sent yet */
            continue;
        }

        ngx_add_timer(&h->event, 1 + (ngx_msec_t) ngx_random() % (drain + 1));
    }
}


void
ngx_http_blockcast_held_request_end_all(void)
{
    ngx_queue_t                        *q;
    ngx_connection_t                   *c;
    ngx_http_request_t                 *r;
    ngx_http_blockcast_held_request_t  *h;

    if (ngx_http_blockcast_held_requests.next == NULL) {
        return;
    }

    q = ngx_queue_head(&ngx_http_blockcast_held_requests);

    while (q != ngx_queue_sentinel(&ngx_http_blockcast_held_requests)) {

        h = ngx_queue_data(q, ngx_http_blockcast_held_request_t, queue);

        /* ending a request removes it from the list */

        q = ngx_queue_next(q);

        if (!h->held) {
            continue;
        }

        if (h->conn.kind != NGX_HTTP_BLOCKCAST_SSE) {

            /* any data is newer than seq 0, so it ends the wait */

            h->conn.subs[0].seq = 0;
            ngx_http_blockcast_held_request_post(h);
            continue;
        }

        r = h->conn.request;
        c = r->connection;
        h->held = 0;

        ngx_http_blockcast_client_leave_all(&h->conn);

        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
    }
}
