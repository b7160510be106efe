
/*
 * Clients that are HTTP requests, which stay open: server-sent events and long
 * polls.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HELD_REQUEST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HELD_REQUEST_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"


/* the beginning of the struct of each kind, in the request's pool */

typedef struct {
    ngx_http_blockcast_conn_t     conn;         /* first: it is one */
    ngx_queue_t                   queue;
    ngx_event_t                   event;        /* data: this struct */
    unsigned                      counted:1;    /* as a client */
    unsigned                      held:1;       /* nginx waits for its end */
} ngx_http_blockcast_held_request_t;


/*
 * Makes the client of a request, of size bytes, zeroed, and the request's
 * context.  handler is that of its event, which is what ends it: nothing is
 * finalized from within the fan-out.  It is undone with the request.  NULL
 * without memory.
 */
void *ngx_http_blockcast_held_request_create(ngx_http_request_t *r,
    size_t size, ngx_uint_t kind, ngx_event_handler_pt handler);

/*
 * Keeps the request open: the content handler returns NGX_DONE then, and the
 * event finalizes the request.  write: its write event handler.
 */
void ngx_http_blockcast_held_request_hold(
    ngx_http_blockcast_held_request_t *h, ngx_http_event_handler_pt write);

/* has its event handled by the event loop, soon */
void ngx_http_blockcast_held_request_post(
    ngx_http_blockcast_held_request_t *h);

/* the worker exits: fires the events of all within so many milliseconds */
void ngx_http_blockcast_held_request_drain(ngx_msec_t drain);


#endif /* _NGX_HTTP_BLOCKCAST_HELD_REQUEST_H_INCLUDED_ */
