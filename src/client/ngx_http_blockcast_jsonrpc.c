
/*
 * JSON-RPC 2.0 over the WebSocket: the requests of chain clients.
 *
 * subscribe (also eth_subscribe and blockcast_subscribe) takes a stream, as
 * ["network_metrics"] or ["receipts", {"since": 17}] or {"stream": …}, and
 * returns an id; the stream's messages follow as eth_subscription.
 */


#include "ngx_http_blockcast_jsonrpc.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_ws.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_client_msg.h"
#include "bc_json.h"
#include "bc_span.h"
#include "bc_ws_frame.h"


#define NGX_HTTP_BLOCKCAST_RPC_PARSE     -32700
#define NGX_HTTP_BLOCKCAST_RPC_REQUEST   -32600
#define NGX_HTTP_BLOCKCAST_RPC_METHOD    -32601
#define NGX_HTTP_BLOCKCAST_RPC_PARAMS    -32602
#define NGX_HTTP_BLOCKCAST_RPC_REFUSED   -32000


typedef struct {
    ngx_http_blockcast_conn_t   *conn;
    bc_span_t                    id;        /* len 0: a notification */
    bc_client_msg_t              message;
} ngx_http_blockcast_jsonrpc_request_t;


static void ngx_http_blockcast_jsonrpc_subscribe(
    ngx_http_blockcast_jsonrpc_request_t *rq);
static void ngx_http_blockcast_jsonrpc_unsubscribe(
    ngx_http_blockcast_jsonrpc_request_t *rq);
static void ngx_http_blockcast_jsonrpc_streams(
    ngx_http_blockcast_jsonrpc_request_t *rq);
static void ngx_http_blockcast_jsonrpc_result(
    ngx_http_blockcast_jsonrpc_request_t *rq, ngx_str_t *result);
static void ngx_http_blockcast_jsonrpc_error(
    ngx_http_blockcast_jsonrpc_request_t *rq, ngx_int_t code, const char *text,
    ngx_str_t *name);


void
ngx_http_blockcast_jsonrpc_message(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len)
{
    ngx_str_t                             text, name;
    ngx_http_blockcast_jsonrpc_request_t  rq;

    rq.conn = conn;

    bc_client_msg_request(&rq.message, data, len);

    rq.id = rq.message.id;

    if (rq.id.len == 0 && rq.message.what <= BC_CLIENT_MSG_BATCH) {

        /* whether it was a notification cannot be said */

        rq.id.data = (const uint8_t *) "null";
        rq.id.len = 4;
    }

    switch (rq.message.what) {

    case BC_CLIENT_MSG_INVALID:
        ngx_http_blockcast_jsonrpc_error(&rq, NGX_HTTP_BLOCKCAST_RPC_PARSE,
                                         "the message is not valid JSON",
                                         NULL);
        break;

    case BC_CLIENT_MSG_BATCH:
        ngx_http_blockcast_jsonrpc_error(&rq, NGX_HTTP_BLOCKCAST_RPC_REQUEST,
                                    "batches are not taken, send the requests "
                                    "one by one", NULL);
        break;

    case BC_CLIENT_MSG_WRONG:
        ngx_http_blockcast_jsonrpc_error(&rq, NGX_HTTP_BLOCKCAST_RPC_REQUEST,
                                    "the message is not a JSON-RPC 2.0 "
                                    "request", NULL);
        break;

    case BC_CLIENT_MSG_LONG_ID:
        ngx_http_blockcast_jsonrpc_error(&rq, NGX_HTTP_BLOCKCAST_RPC_REQUEST,
                                    "\"id\" is longer than 128 bytes of JSON",
                                    NULL);
        break;

    case BC_CLIENT_MSG_SUBSCRIBE:
        ngx_http_blockcast_jsonrpc_subscribe(&rq);
        break;

    case BC_CLIENT_MSG_UNSUBSCRIBE:
        ngx_http_blockcast_jsonrpc_unsubscribe(&rq);
        break;

    case BC_CLIENT_MSG_PING:
        ngx_str_set(&text, "\"pong\"");
        ngx_http_blockcast_jsonrpc_result(&rq, &text);
        break;

    case BC_CLIENT_MSG_STREAMS:
        ngx_http_blockcast_jsonrpc_streams(&rq);
        break;

    case BC_CLIENT_MSG_VERSION:
        ngx_str_set(&text, "\"blockcast/" NGX_HTTP_BLOCKCAST_VERSION "\"");
        ngx_http_blockcast_jsonrpc_result(&rq, &text);
        break;

    default:
        name.data = rq.message.name;
        name.len = rq.message.name_len;

        ngx_http_blockcast_jsonrpc_error(&rq, NGX_HTTP_BLOCKCAST_RPC_METHOD,
                                         "method not found", &name);
    }
}


static void
ngx_http_blockcast_jsonrpc_subscribe(ngx_http_blockcast_jsonrpc_request_t *rq)
{
    u_char                            buf[NGX_INT64_LEN + 8];
    ngx_int_t                         rc;
    ngx_str_t                         name, text;
    ngx_http_blockcast_sub_options_t  options;
    ngx_http_blockcast_reject_t       reject;
    ngx_http_blockcast_stream_t      *st;

    if (bc_client_msg_stream(&rq->message) != 1) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                    "params must be [\"STREAM\"] or "
                                    "{\"stream\":\"STREAM\"}", NULL);
        return;
    }

    name.data = rq->message.name;
    name.len = rq->message.name_len;

    if (rq->message.bad_since) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                    "\"since\" must be a seq, an integer "
                                    "from 0", &name);
        return;
    }

    ngx_memzero(&options, sizeof(ngx_http_blockcast_sub_options_t));

    options.since = rq->message.since;
    options.has_since = rq->message.has_since;

    st = ngx_http_blockcast_commands_find_stream(rq->conn, &name, &reject);

    if (st == NULL) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                         reject.text, &name);
        return;
    }

    rc = ngx_http_blockcast_commands_subscribe(rq->conn, st, &options,
                                               &reject);

    if (rc == NGX_ERROR) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_REFUSED,
                                         reject.text, &name);
        return;
    }

    /* one id for a stream: all its clients are sent the same bytes */

    text.data = buf;
    text.len = ngx_sprintf(buf, "\"0x%xi\"", st->index + 1) - buf;

    ngx_http_blockcast_jsonrpc_result(rq, &text);
    ngx_http_blockcast_commands_start_delivery(rq->conn, st);
}


static void
ngx_http_blockcast_jsonrpc_unsubscribe(
    ngx_http_blockcast_jsonrpc_request_t *rq)
{
    uint64_t                          n;
    ngx_str_t                         text;
    ngx_http_blockcast_stream_t     **st;
    ngx_http_blockcast_main_conf_t   *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    if (bc_client_msg_subscription(&rq->message, &n) != 0) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                    "params must be [\"SUBSCRIPTION\"]", NULL);
        return;
    }

    ngx_str_set(&text, "false");

    st = bmcf->streams.elts;

    if (n >= 1 && n <= bmcf->streams.nelts
        && ngx_http_blockcast_commands_unsubscribe(rq->conn,
                                                   st[n - 1]) == NGX_OK)
    {
        ngx_str_set(&text, "true");
    }

    ngx_http_blockcast_jsonrpc_result(rq, &text);
}


static void
ngx_http_blockcast_jsonrpc_streams(ngx_http_blockcast_jsonrpc_request_t *rq)
{
    u_char                        *p;
    ngx_str_t                      text;
    ngx_uint_t                     n;
    ngx_http_blockcast_stream_t  **st;

    text.data = ngx_alloc(NGX_HTTP_BLOCKCAST_STREAMS
                          * (NGX_HTTP_BLOCKCAST_NAME_LEN + 3) + 2,
                          ngx_cycle->log);
    if (text.data == NULL) {
        ngx_http_blockcast_ws_close(rq->conn, 1013, "no memory");
        return;
    }

    p = text.data;
    *p++ = '[';
    n = 0;

    for (st = rq->conn->conf->offers; *st != NULL; st++) {
        if (rq->conn->allowed & ((uint64_t) 1 << (*st)->index)) {
            p = ngx_sprintf(p, "%s\"%V\"", n++ ? "," : "", &(*st)->name);
        }
    }

    *p++ = ']';
    text.len = p - text.data;

    ngx_http_blockcast_jsonrpc_result(rq, &text);

    ngx_free(text.data);
}


static void
ngx_http_blockcast_jsonrpc_queue(ngx_http_blockcast_jsonrpc_request_t *rq,
    ngx_http_blockcast_frame_t *frame, u_char *p)
{
    p = ngx_cpymem(p, ",\"id\":", sizeof(",\"id\":") - 1);
    p = ngx_cpymem(p, rq->id.data, rq->id.len);
    *p++ = '}';

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);
    ngx_http_blockcast_ws_send_queue(rq->conn, frame);
}


static void
ngx_http_blockcast_jsonrpc_result(ngx_http_blockcast_jsonrpc_request_t *rq,
    ngx_str_t *result)
{
    u_char                      *p;
    ngx_http_blockcast_frame_t  *frame;

    if (rq->id.len == 0) {
        return;
    }

    frame = ngx_http_blockcast_frame_alloc(64 + result->len + rq->id.len);
    if (frame == NULL) {
        ngx_http_blockcast_ws_close(rq->conn, 1013, "no memory");
        return;
    }

    p = ngx_sprintf(frame->data + frame->payload,
                    "{\"jsonrpc\":\"2.0\",\"result\":%V", result);

    ngx_http_blockcast_jsonrpc_queue(rq, frame, p);
}


static void
ngx_http_blockcast_jsonrpc_error(ngx_http_blockcast_jsonrpc_request_t *rq,
    ngx_int_t code, const char *text, ngx_str_t *name)
{
    u_char                      *p, shown[64];
    size_t                       len;
    ngx_str_t                    said;
    ngx_http_blockcast_frame_t  *frame;

    if (rq->id.len == 0) {
        return;
    }

    len = 0;

    if (name != NULL) {
        said = *name;
        ngx_http_blockcast_gate_printable(&said, shown, sizeof(shown));
        name = &said;
        len = said.len;
    }

    frame = ngx_http_blockcast_frame_alloc(128
                      + bc_json_escape_len((u_char *) text, ngx_strlen(text))
                      + (len ? bc_json_escape_len(name->data, len) : 0)
                      + rq->id.len);
    if (frame == NULL) {
        ngx_http_blockcast_ws_close(rq->conn, 1013, "no memory");
        return;
    }

    p = ngx_sprintf(frame->data + frame->payload,
                    "{\"jsonrpc\":\"2.0\",\"error\":{\"code\":%i,"
                    "\"message\":\"", code);
    p = bc_json_escape(p, (u_char *) text, ngx_strlen(text));

    if (name != NULL) {
        p = ngx_cpymem(p, ": ", 2);
        p = bc_json_escape(p, name->data, len);
    }

    p = ngx_cpymem(p, "\"}", 2);

    ngx_http_blockcast_jsonrpc_queue(rq, frame, p);
}
