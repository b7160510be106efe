
/*
 * The commands of clients, whatever the subprotocol.
 */


#ifndef _NGX_HTTP_BLOCKCAST_COMMANDS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_COMMANDS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"
#include "bc_client_msg.h"
#include "bc_log_filter.h"


/* the longest sentence of an error (bytes) */
#define NGX_HTTP_BLOCKCAST_SENTENCE  256


/* what is wrong with a request: both constant */

typedef struct {
    const char                   *code;
    const char                   *text;
} ngx_http_blockcast_reject_t;


typedef struct {
    uint64_t                      since;
    bc_log_filter_t              *filter;       /* NULL: all entries */
    ngx_http_blockcast_hub_t     *hub;          /* of a key, or NULL */
    time_t                        until;        /* of the key's signature */
    unsigned                      has_since:1;
    unsigned                      other_epoch:1;  /* since is of another one */
    unsigned                      delta:1;
} ngx_http_blockcast_sub_options_t;


/*
 * Returns the stream of a name, or NULL with *reject when there is none, or
 * none that is open to this client.
 */
ngx_http_blockcast_stream_t *ngx_http_blockcast_commands_find_stream(
    ngx_http_blockcast_conn_t *conn, ngx_str_t *name,
    ngx_http_blockcast_reject_t *reject);

/*
 * Reads "since", "epoch" and "delta" of a message.  NGX_ERROR sets *reject.
 */
ngx_int_t ngx_http_blockcast_commands_options(
    ngx_http_blockcast_sub_options_t *options, bc_client_msg_t *message,
    ngx_http_blockcast_reject_t *reject);

/*
 * Makes the filter that an object has, if any, and ends the subscription whose
 * filter differs.  NGX_ERROR sets *reject.
 */
ngx_int_t ngx_http_blockcast_commands_filter(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, bc_span_t object,
    ngx_http_blockcast_sub_options_t *options,
    ngx_http_blockcast_reject_t *reject);

/*
 * Subscribes.  NGX_DONE: the client was subscribed already; NGX_ERROR sets
 * *reject.  The caller queues its answer and then calls
 * ngx_http_blockcast_commands_start_delivery() to have the data sent.  With
 * NGX_OK the subscription owns options->filter, which is set to NULL;
 * otherwise the caller frees it.
 */
ngx_int_t ngx_http_blockcast_commands_subscribe(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_sub_options_t *options,
    ngx_http_blockcast_reject_t *reject);
void ngx_http_blockcast_commands_start_delivery(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_hub_t *hub);

/* Unsubscribes.  NGX_DECLINED: the client was not subscribed. */
ngx_int_t ngx_http_blockcast_commands_unsubscribe(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_hub_t *hub);

/* Queues the first message for a client. */
void ngx_http_blockcast_commands_welcome(ngx_http_blockcast_conn_t *conn);

/* Frees the welcome that is kept for the next clients. */
void ngx_http_blockcast_commands_forget_welcome(void);

/* Executes a client's message, of opcode BC_WS_TEXT or BC_WS_BINARY. */
void ngx_http_blockcast_commands_message(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t opcode, const u_char *data, size_t len);

/* Adds the names of the streams that are open to the client to an array. */
void ngx_http_blockcast_commands_add_streams(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_json_out_t *out, cJSON *names);

/*
 * Writes the sentence of an error to buf, of NGX_HTTP_BLOCKCAST_SENTENCE
 * bytes: a text, then the name that it is about, which may be any bytes, or
 * NULL.
 */
void ngx_http_blockcast_commands_sentence(ngx_str_t *message, u_char *buf,
    const char *text, ngx_str_t *name);

#endif /* _NGX_HTTP_BLOCKCAST_COMMANDS_H_INCLUDED_ */
