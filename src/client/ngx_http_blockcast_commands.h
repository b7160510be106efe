
/*
 * What a client may ask for, whatever the subprotocol.
 */


#ifndef _NGX_HTTP_BLOCKCAST_COMMANDS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_COMMANDS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"


/* what is wrong with a request: both constant */

typedef struct {
    const char                   *code;
    const char                   *text;
} ngx_http_blockcast_reject_t;


typedef struct {
    uint64_t                      since;
    unsigned                      has_since:1;
    unsigned                      delta:1;
} ngx_http_blockcast_sub_options_t;


/* the stream, when it is there and this client may have it; or NULL */
ngx_http_blockcast_stream_t *ngx_http_blockcast_commands_find_stream(
    ngx_http_blockcast_conn_t *conn, ngx_str_t *name,
    ngx_http_blockcast_reject_t *reject);

/*
 * Subscribes: NGX_OK, NGX_DONE when it was subscribed before, or NGX_ERROR
 * with *wrong.  What the stream has goes out with the next flush: the caller
 * queues its answer and then calls ngx_http_blockcast_commands_start_delivery().
 */
ngx_int_t ngx_http_blockcast_commands_subscribe(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_sub_options_t *options,
    ngx_http_blockcast_reject_t *reject);
void ngx_http_blockcast_commands_start_delivery(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st);

/* NGX_OK, or NGX_DECLINED when it was not subscribed */
ngx_int_t ngx_http_blockcast_commands_unsubscribe(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st);


/* the messages of a client (_session) */
void ngx_http_blockcast_commands_welcome(ngx_http_blockcast_conn_t *conn);

/* gives the welcome back that is kept for those who come at once */
void ngx_http_blockcast_commands_forget_welcome(void);
void ngx_http_blockcast_commands_message(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t opcode, const u_char *data, size_t len);

/* {"type":"status",…} for a subscriber, or NULL without memory */
ngx_http_blockcast_frame_t *ngx_http_blockcast_commands_status(
    ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_COMMANDS_H_INCLUDED_ */
