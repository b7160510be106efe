
/*
 * Clients whose HTTP request stays open: server-sent events and long polls.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HELD_REQUEST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HELD_REQUEST_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"


/* the first member of each kind's struct, in the request's pool */

typedef struct {
    ngx_http_blockcast_conn_t     conn;         /* must be first: it is cast */
    ngx_queue_t                   queue;
    ngx_event_t                   event;        /* data: this struct */
    unsigned                      counted:1;    /* as a client */
    unsigned                      held:1;       /* not finished yet */
} ngx_http_blockcast_held_request_t;


/*
 * Allocates a client of `size` bytes, zeroed, from the request's pool, and
 * makes it the request's context.  `handler` handles its event and finalizes
 * the request: the fan-out must not do that, it posts the event instead.  The
 * client is freed with the request.  Returns NULL without memory.
 */
void *ngx_http_blockcast_held_request_create(ngx_http_request_t *r,
    size_t size, ngx_uint_t kind, ngx_event_handler_pt handler);

/*
 * Keeps the request open: the content handler then returns NGX_DONE, and the
 * event finalizes the request.  write becomes its write event handler.
 */
void ngx_http_blockcast_held_request_hold(
    ngx_http_blockcast_held_request_t *h, ngx_http_event_handler_pt write);

/* Posts the client's event: its handler runs when the current one returns. */
void ngx_http_blockcast_held_request_post(
    ngx_http_blockcast_held_request_t *h);

/* Posts the events of all clients whose event has this handler. */
void ngx_http_blockcast_held_request_post_all(ngx_event_handler_pt handler);

/*
 * Ends a wait that came before the client's own work: runs the handler of the
 * request's location again, which may hold the request once more, and returns
 * what it returned, for the caller to finalize the request with.  `h` is no
 * client then; its cleanup still runs with the request's.
 */
ngx_int_t ngx_http_blockcast_held_request_again(
    ngx_http_blockcast_held_request_t *h);

/*
 * Ends all event streams of this worker, and makes long polls look at the
 * current data, because the epoch has changed.
 */
void ngx_http_blockcast_held_request_end_all(void);

/* Ends all clients when the worker exits, spread over `drain` msec. */
void ngx_http_blockcast_held_request_drain(ngx_msec_t drain);


#endif /* _NGX_HTTP_BLOCKCAST_HELD_REQUEST_H_INCLUDED_ */
