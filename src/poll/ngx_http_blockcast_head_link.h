
/*
 * A head's connection: TCP, TLS, the handshake, and frames both ways.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEAD_LINK_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEAD_LINK_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_ws_client.h"
#include "bc_ws_parser.h"


typedef struct ngx_http_blockcast_head_link_s  ngx_http_blockcast_head_link_t;


/* a connection that is opened again and again; see _head_link_open() */

struct ngx_http_blockcast_head_link_s {
    ngx_http_blockcast_head_t    *head;
    void                         *data;         /* of the callbacks */

    /*
     * The handshake is done; a message; the connection is over, and all that
     * belongs to it is freed already.  Each may close the link.
     */
    void                        (*open)(ngx_http_blockcast_head_link_t *link);
    void                        (*message)(
                                    ngx_http_blockcast_head_link_t *link,
                                    ngx_uint_t type, ngx_str_t *text);
    void                        (*lost)(ngx_http_blockcast_head_link_t *link,
                                    ngx_str_t *reason);

    ngx_peer_connection_t         peer;         /* peer.connection: NULL when
                                                   there is none */
    ngx_log_t                     log;
    ngx_event_t                   timer;
    ngx_uint_t                    address;      /* the next one to try */
    uint64_t                      number;       /* of the connection */

    bc_ws_limits_t                limits;
    bc_ws_parser_t                in;
    u_char                       *answer;       /* to the handshake */
    size_t                        answered;
    u_char                        accept[BC_WS_CLIENT_ACCEPT];

    u_char                       *out;          /* to be sent: from pos on */
    size_t                        pos;
    size_t                        last;
    size_t                        size;

    unsigned                      handshaken:1;
    unsigned                      pinged:1;     /* nothing came since */
    unsigned                      closing:1;    /* our Close is queued */
};


/* Prepares a link; its head, data and callbacks are set by the caller. */
void ngx_http_blockcast_head_link_init(ngx_http_blockcast_head_link_t *link);

/* Connects; lost() is called when that fails, but never from in here. */
void ngx_http_blockcast_head_link_open(ngx_http_blockcast_head_link_t *link);

/*
 * Closes without calling lost(), saying goodbye with a Close of that code (0:
 * with none).  It may be closed already.
 */
void ngx_http_blockcast_head_link_close(ngx_http_blockcast_head_link_t *link,
    ngx_uint_t code);

/* Closes as failed: lost() is called with that reason. */
void ngx_http_blockcast_head_link_fail(ngx_http_blockcast_head_link_t *link,
    const char *fmt, ...);

/* Sends a text message.  NGX_ERROR: it failed, and lost() was called. */
ngx_int_t ngx_http_blockcast_head_link_send(
    ngx_http_blockcast_head_link_t *link, ngx_str_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_HEAD_LINK_H_INCLUDED_ */
