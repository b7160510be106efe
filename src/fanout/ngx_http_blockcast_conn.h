
/*
 * A client: its subscriptions, and what waits for its socket.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONN_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONN_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "bc_ws_parser.h"


/* nginx may have been built without TLS */

#if (NGX_SSL || NGX_COMPAT)
#define ngx_http_blockcast_tls(c)  ((c)->ssl != NULL)
#else
#define ngx_http_blockcast_tls(c)  0
#endif


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
 * uses comes first and lies together, and nothing is stored that can be
 * computed again.  192 bytes; clients of SSE and long-polling are part of
 * their request.
 */

struct ngx_http_blockcast_conn_s {
    ngx_http_blockcast_ws_out_t  *out;
    ngx_http_blockcast_sub_t     *subs;         /* &first, or allocated */

    unsigned                      kind:2;       /* selects its sender: */
#define NGX_HTTP_BLOCKCAST_WEBSOCKET  0
#define NGX_HTTP_BLOCKCAST_SSE    1
#define NGX_HTTP_BLOCKCAST_LONGPOLL   2
#define NGX_HTTP_BLOCKCAST_KINDS  3
    unsigned                      direct:1;     /* WebSocket without TLS */
    unsigned                      protocol:2;   /* subprotocol */
    unsigned                      deflate:1;    /* negotiated */
    unsigned                      bits:4;       /* window it can inflate */
    unsigned                      started:1;    /* its header was sent */
    unsigned                      echo:1;
    unsigned                      pinged:1;     /* a pong is due */
    unsigned                      pulse:2;      /* what the timer is for: */
#define NGX_HTTP_BLOCKCAST_QUIET   0            /* the next ping */
#define NGX_HTTP_BLOCKCAST_PINGED  1            /* the next ping, or the
                                                   pong */
#define NGX_HTTP_BLOCKCAST_LATE    2            /* closing it without a pong */
    unsigned                      leaving:1;    /* the timer will say
                                                   goodbye */
    unsigned                      closing:1;    /* a Close was queued */
    unsigned                      failed:1;     /* input is not parsed */
    unsigned                      lingering:1;  /* all is sent, and our side is
                                                   shut down */
    unsigned                      paused:1;     /* reads wait for the writes */
    unsigned                      unparsed:1;   /* bytes already read wait,
                                                   too */
    unsigned                      forming:1;    /* a message waits for the form
                                                   of its keys */
    unsigned                      dead:1;       /* nothing more may be done */
    unsigned                      busy:1;       /* a handler is at work */
    unsigned                      is_detached:1;  /* its request was freed */

    ngx_socket_t                  fd;
    uint16_t                      nsubs;
    uint16_t                      npending;
    uint32_t                      frames_out;
    off_t                         sent;         /* not yet added to
                                                   connection->sent */

    ngx_http_blockcast_sub_t      first;

    /* up to here 64 bytes */

    ngx_connection_t             *connection;
    uint16_t                      nalloc;
    uint16_t                      close_code;   /* sent or received first */
    uint32_t                      frames_in;
    uint32_t                      excess;       /* 1/1000 of a frame */
    uint32_t                      counted;      /* when `excess` was updated,
                                                   low bits of msec */

    ngx_http_blockcast_ws_out_t **last;
    uint32_t                      queued;       /* memory of out that is not
                                                   sent yet */
    uint32_t                      held;         /* ... of answers */

    uint64_t                      allowed;      /* streams, as bits by index */

    union {
        uint64_t                      joined;   /* streams it ever subscribed
                                                   to */
        void                         *session;  /* rpc: see _notify */
    };

    ngx_http_blockcast_loc_conf_t  *conf;

    union {
        ngx_http_request_t           *request;
        ngx_http_blockcast_detached_t  *detached;   /* is_detached */
    };

    bc_ws_parser_t                in;
};


#endif /* _NGX_HTTP_BLOCKCAST_CONN_H_INCLUDED_ */
