
/*
 * WebSocket connections.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_detach.h"
#include "bc_ws.h"


/* frames that wait for the socket */

typedef struct ngx_http_blockcast_ws_out_s  ngx_http_blockcast_ws_out_t;

struct ngx_http_blockcast_ws_out_s {
    ngx_http_blockcast_ws_out_t  *next;
    ngx_http_blockcast_frame_t   *frame;
    uint32_t                      sent;
    uint32_t                      held;         /* in conn->held */
};


/*
 * A client.  There may be very many, nearly all of them idle: what the fan-out
 * touches comes first and lies together, and nothing is kept that can be had
 * again.  192 bytes; those of SSE and long-polling are in their request.
 */

struct ngx_http_blockcast_conn_s {
    ngx_http_blockcast_ws_out_t  *out;
    ngx_http_blockcast_sub_t     *subs;         /* &first, or allocated */

    unsigned                      kind:2;       /* WebSocket, or: */
#define NGX_HTTP_BLOCKCAST_SSE    1
#define NGX_HTTP_BLOCKCAST_LONGPOLL   2
    unsigned                      direct:1;     /* WebSocket without TLS */
    unsigned                      protocol:2;   /* subprotocol */
    unsigned                      deflate:1;    /* negotiated */
    unsigned                      bits:4;       /* window it can inflate */
    unsigned                      started:1;    /* its header was sent */
    unsigned                      echo:1;
    unsigned                      pinged:1;     /* a pong is due */
    unsigned                      pulse:2;      /* what the timer is for: */
#define NGX_HTTP_BLOCKCAST_QUIET   0            /* the next ping */
#define NGX_HTTP_BLOCKCAST_PINGED  1            /* that, or the pong */
#define NGX_HTTP_BLOCKCAST_LATE    2            /* the end without a pong */
    unsigned                      leaving:1;    /* goodbye is on the timer */
    unsigned                      closing:1;    /* a Close was queued */
    unsigned                      failed:1;     /* input is not parsed */
    unsigned                      lingering:1;  /* we have said all */
    unsigned                      paused:1;     /* reads wait for the writes */
    unsigned                      dead:1;       /* nothing more may be done */
    unsigned                      busy:1;       /* a handler is at work */
    unsigned                      is_detached:1;  /* its request was freed */

    ngx_socket_t                  fd;
    uint16_t                      nsubs;
    uint16_t                      npending;
    uint32_t                      frames_out;
    off_t                         sent;         /* not yet in connection's */

    ngx_http_blockcast_sub_t      first;

    /* up to here 64 bytes */

    ngx_connection_t             *connection;
    uint16_t                      nalloc;
    uint16_t                      close_code;   /* sent or received first */
    uint32_t                      frames_in;
    uint32_t                      excess;       /* 1/1000 of a frame */
    uint32_t                      counted;      /* when, low bits of msec */

    ngx_http_blockcast_ws_out_t **last;
    uint32_t                      queued;       /* memory of out, not sent */
    uint32_t                      held;         /* of the answers among it */

    uint64_t                      allowed;      /* streams, as bits by index */
    uint64_t                      joined;       /* those it ever subscribed */

    ngx_http_blockcast_loc_conf_t  *conf;

    union {
        ngx_http_request_t           *request;
        ngx_http_blockcast_detached_t  *detached;   /* with is_parked */
    };

    bc_ws_parser_t                in;
};


/* _conn: zeroed memory for a connection, or NULL */
ngx_http_blockcast_conn_t *ngx_http_blockcast_conn_pool_alloc(ngx_log_t *log);
void ngx_http_blockcast_conn_pool_free(ngx_http_blockcast_conn_t *conn);


/* content handlers */
ngx_int_t ngx_http_blockcast_ws_handler(ngx_http_request_t *r);

/* _ws_in: reads what has come, for a while, and does what it says */
void ngx_http_blockcast_ws_recv(ngx_http_blockcast_conn_t *conn);
/* the same with input that is there; NGX_DONE: the rest is not wanted */
ngx_int_t ngx_http_blockcast_ws_recv_input(ngx_http_blockcast_conn_t *conn,
    u_char *pos, u_char *last);

/*
 * Queues a frame that is of no stream (takes over the caller's reference) and
 * tries to send it; while a handler is at work (busy), what it queues leaves
 * in one write with the flush at its end.  A client for which more waits than
 * blockcast_max_queue is closed.
 */
void ngx_http_blockcast_ws_send_queue(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_frame_t *frame);

/* sends what waits: replies first, then the streams marked as dirty */
void ngx_http_blockcast_ws_send_flush(ngx_http_blockcast_conn_t *conn);

/* the fan-out: sends now, or marks the stream as dirty when it cannot */
void ngx_http_blockcast_ws_send_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq);
/*
 * The next frame of the streams that are marked as dirty, with a reference for
 * the caller, and whose it is; the mark goes when there is no more.  NULL:
 * nothing is due.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_ws_send_next_frame(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t **sub);
/* unsubscribes from everything */
void ngx_http_blockcast_ws_leave_all(ngx_http_blockcast_conn_t *conn);
/* nothing more may be done with it: it is closed from the event loop */
void ngx_http_blockcast_ws_dead(ngx_http_blockcast_conn_t *conn);
/* counts this worker's connections */
void ngx_http_blockcast_ws_count(ngx_int_t n);
void ngx_http_blockcast_ws_send_mark_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/* sends Close and waits a bounded time for the peer's */
void ngx_http_blockcast_ws_close(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t code, const char *reason);


/* the messages of a client (_session) */
void ngx_http_blockcast_commands_welcome(ngx_http_blockcast_conn_t *conn);
/* gives the welcome back that is kept for those who come at once */
void ngx_http_blockcast_commands_forget_welcome(void);
void ngx_http_blockcast_commands_message(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t opcode, const u_char *data, size_t len);
/* {"type":"status",…} for a subscriber, or NULL without memory */
ngx_http_blockcast_frame_t *ngx_http_blockcast_commands_status(
    ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_WS_H_INCLUDED_ */
