
/*
 * What all kinds of clients share: subscriptions and closing.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLIENT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLIENT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


/* Adds n, 1 or -1, to the number of this worker's clients. */
void ngx_http_blockcast_client_count(ngx_int_t n);

/* Marks a subscription as pending: its stream has something to send. */
void ngx_http_blockcast_client_set_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/*
 * Returns the next frame of the pending subscriptions, with a reference for
 * the caller, and sets *sub to its subscription.  Returns NULL when there is
 * none left, or when a subscription must continue in a later turn: it stays
 * pending then.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_client_next_frame(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t **sub);

/*
 * Makes room for one more subscription in conn->subs, which may move.  Returns
 * NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_client_reserve(ngx_http_blockcast_conn_t *conn);

/* Unsubscribes from all streams. */
void ngx_http_blockcast_client_leave_all(ngx_http_blockcast_conn_t *conn);

/*
 * Sends a Close frame to a WebSocket and waits a bounded time for the peer's
 * Close.  code: 0 for a Close without a code; reason: a constant, or NULL.
 */
void ngx_http_blockcast_client_close(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t code, const char *reason);

/*
 * Marks a WebSocket as dead: nothing more is read or sent.  It is closed from
 * the event loop, never from within a send.
 */
void ngx_http_blockcast_client_dead(ngx_http_blockcast_conn_t *conn);


/*
 * Bounds the unsent data that the kernel buffers for a client that does not
 * read.  Otherwise it grows with the connection's speed, to megabytes, and all
 * of it is outdated when the client reads again.
 */
void ngx_http_blockcast_client_bound(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_CLIENT_H_INCLUDED_ */
