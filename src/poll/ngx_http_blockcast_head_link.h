
/*
 * A head's connection: the WebSocket handshake, and frames both ways.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEAD_LINK_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEAD_LINK_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_link.h"
#include "bc_ws_client.h"
#include "bc_ws_parser.h"


typedef struct ngx_http_blockcast_head_link_s  ngx_http_blockcast_head_link_t;


/* a connection that may be opened repeatedly; see _head_link_open() */

struct ngx_http_blockcast_head_link_s {
    ngx_http_blockcast_link_t     base;
    ngx_http_blockcast_head_t    *head;
    void                         *data;         /* of the callbacks */

    /*
     * open():     the handshake is done
     * message():  a message of a type BC_WS_*; text is valid until it returns
     * lost():     the connection is closed, and its memory is freed
     *
     * Each may close the link.
     */
    void                        (*open)(ngx_http_blockcast_head_link_t *link);
    void                        (*message)(
                                    ngx_http_blockcast_head_link_t *link,
                                    ngx_uint_t type, ngx_str_t *text);
    void                        (*lost)(ngx_http_blockcast_head_link_t *link,
                                    ngx_str_t *reason);

    ngx_uint_t                    address;      /* the next one to try */

    bc_ws_limits_t                limits;
    bc_ws_parser_t                in;
    u_char                       *answer;       /* response to the handshake */
    size_t                        answered;
    u_char                        accept[BC_WS_CLIENT_ACCEPT];

    unsigned                      handshaken:1;
    unsigned                      pinged:1;     /* nothing came since then */
    unsigned                      closing:1;    /* our Close is queued */
};


/* Prepares a link; its head, data and callbacks are set by the caller. */
void ngx_http_blockcast_head_link_init(ngx_http_blockcast_head_link_t *link);

/*
 * Connects; a failure is reported by lost(), but never from within this call.
 */
void ngx_http_blockcast_head_link_open(ngx_http_blockcast_head_link_t *link);

/*
 * Sends a Close with that code, if the connection is open, and closes it.
 * lost() is not called.
 */
void ngx_http_blockcast_head_link_close(ngx_http_blockcast_head_link_t *link,
    ngx_uint_t code);

/* Sends a text message.  NGX_ERROR: it failed, and lost() was called. */
ngx_int_t ngx_http_blockcast_head_link_send(
    ngx_http_blockcast_head_link_t *link, ngx_str_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_HEAD_LINK_H_INCLUDED_ */
