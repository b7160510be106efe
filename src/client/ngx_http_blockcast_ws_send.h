
/*
 * What a WebSocket connection sends: the fan-out's frames at once, where the
 * socket takes them, else what waits, in one write.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_SEND_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_SEND_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


/* registers these functions with the fan-out, in each worker */
void ngx_http_blockcast_ws_send_init(void);

/*
 * Queues a frame that is of no stream (takes over the caller's reference) and
 * tries to send it; while a handler is at work (busy), what it queues leaves
 * in one write with the flush at its end.  A client for which more waits than
 * blockcast_max_queue is closed.
 */
void ngx_http_blockcast_ws_send_queue(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_frame_t *frame);

/* sends what waits: answers first, then the streams that are pending */
void ngx_http_blockcast_ws_send_flush(ngx_http_blockcast_conn_t *conn);

/* sends the hub's newest frame, or marks the subscription as pending */
void ngx_http_blockcast_ws_send_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq);

/* marks a subscription as pending and sends it, unless others wait already */
void ngx_http_blockcast_ws_send_mark_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);


#endif /* _NGX_HTTP_BLOCKCAST_WS_SEND_H_INCLUDED_ */
