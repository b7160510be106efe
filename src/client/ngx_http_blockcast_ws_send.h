
/*
 * The sending side of a WebSocket connection: frames of the fan-out are sent
 * at once if the socket takes them.  Otherwise, what waits is sent later in
 * one write.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_SEND_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_SEND_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


/* Registers these functions with the fan-out; called in each worker. */
void ngx_http_blockcast_ws_send_init(void);

/*
 * Sends a frame that belongs to no stream, or queues it; takes over the
 * caller's reference.  While a handler is running (conn->busy), frames stay
 * queued until the flush at its end sends them in one write.  Closes a client
 * when more than blockcast_max_queue bytes of such frames wait.
 */
void ngx_http_blockcast_ws_send_queue(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_frame_t *frame);

/* Sends what waits: answers first, then the pending streams. */
void ngx_http_blockcast_ws_send_flush(ngx_http_blockcast_conn_t *conn);

/* Sends the hub's newest frame, or marks the subscription as pending. */
void ngx_http_blockcast_ws_send_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq);

/* Marks a subscription as pending and sends it, unless others wait already. */
void ngx_http_blockcast_ws_send_mark_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);


#endif /* _NGX_HTTP_BLOCKCAST_WS_SEND_H_INCLUDED_ */
