
/*
 * JSON-RPC 2.0 over the WebSocket: the requests of chain clients.
 *
 * subscribe (also eth_subscribe and blockcast_subscribe) takes a stream, as
 * ["network_metrics"] or ["receipts", {"since": 17}] or {"stream": …}, and
 * returns an id; the stream's messages follow as eth_subscription.
 */


#include "ngx_http_blockcast_jsonrpc.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast_key_form.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_client_msg.h"
#include "bc_span.h"


#define NGX_HTTP_BLOCKCAST_RPC_PARSE     -32700
#define NGX_HTTP_BLOCKCAST_RPC_REQUEST   -32600
#define NGX_HTTP_BLOCKCAST_RPC_METHOD    -32601
#define NGX_HTTP_BLOCKCAST_RPC_PARAMS    -32602
#define NGX_HTTP_BLOCKCAST_RPC_REFUSED   -32000


typedef struct {
    ngx_http_blockcast_conn_t   *conn;
    bc_span_t                    id;        /* len 0: a notification */
    bc_span_t                    text;      /* the whole message */
    bc_client_msg_t              message;
} ngx_http_blockcast_jsonrpc_request_t;


static void ngx_http_blockcast_jsonrpc_execute(
    ngx_http_blockcast_jsonrpc_request_t *rq);
static void ngx_http_blockcast_jsonrpc_subscribe(
    ngx_http_blockcast_jsonrpc_request_t *rq);
static void ngx_http_blockcast_jsonrpc_unsubscribe(
    ngx_http_blockcast_jsonrpc_request_t *rq);
static void ngx_http_blockcast_jsonrpc_streams(
    ngx_http_blockcast_jsonrpc_request_t *rq);
static cJSON *ngx_http_blockcast_jsonrpc_begin(
    ngx_http_blockcast_json_out_t *out);
static void ngx_http_blockcast_jsonrpc_send(
    ngx_http_blockcast_jsonrpc_request_t *rq,
    ngx_http_blockcast_json_out_t *out, cJSON *root);
static void ngx_http_blockcast_jsonrpc_result_string(
    ngx_http_blockcast_jsonrpc_request_t *rq, const char *result);
static void ngx_http_blockcast_jsonrpc_error(
    ngx_http_blockcast_jsonrpc_request_t *rq, ngx_int_t code, const char *text,
    ngx_str_t *name);


void
ngx_http_blockcast_jsonrpc_message(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len)
{
    ngx_http_blockcast_jsonrpc_request_t  rq;

    rq.conn = conn;
    rq.text.data = data;
    rq.text.len = len;

    bc_client_msg_request(&rq.message, data, len);

    rq.id = rq.message.id;

    ngx_http_blockcast_jsonrpc_execute(&rq);

    bc_client_msg_free(&rq.message);
}


static void
ngx_http_blockcast_jsonrpc_execute(ngx_http_blockcast_jsonrpc_request_t *rq)
{
    ngx_str_t  name;

    if (rq->id.len == 0 && rq->message.what <= BC_CLIENT_MSG_BATCH) {

        /* answer with the id null, as it may not be a notification (5.1) */

        rq->id.data = (const uint8_t *) "null";
        rq->id.len = 4;
    }

    switch (rq->message.what) {

    case BC_CLIENT_MSG_INVALID:
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARSE,
                                         "the message is not valid JSON",
                                         NULL);
        break;

    case BC_CLIENT_MSG_BATCH:
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_REQUEST,
                                    "batches are not supported, send requests "
                                    "one by one", NULL);
        break;

    case BC_CLIENT_MSG_WRONG:
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_REQUEST,
                                    "the message is not a JSON-RPC 2.0 "
                                    "request", NULL);
        break;

    case BC_CLIENT_MSG_LONG_ID:
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_REQUEST,
                                    "\"id\" is longer than 128 bytes of JSON",
                                    NULL);
        break;

    case BC_CLIENT_MSG_LARGE:
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_REQUEST,
                                    "the request has more than 1024 values",
                                    NULL);
        break;

    case BC_CLIENT_MSG_NO_MEMORY:
        ngx_http_blockcast_client_close(rq->conn, 1013, "no memory");
        break;

    case BC_CLIENT_MSG_SUBSCRIBE:
        ngx_http_blockcast_jsonrpc_subscribe(rq);
        break;

    case BC_CLIENT_MSG_UNSUBSCRIBE:
        ngx_http_blockcast_jsonrpc_unsubscribe(rq);
        break;

    case BC_CLIENT_MSG_PING:
        ngx_http_blockcast_jsonrpc_result_string(rq, "pong");
        break;

    case BC_CLIENT_MSG_STREAMS:
        ngx_http_blockcast_jsonrpc_streams(rq);
        break;

    case BC_CLIENT_MSG_VERSION:
        ngx_http_blockcast_jsonrpc_result_string(rq,
                                   "blockcast/" NGX_HTTP_BLOCKCAST_VERSION);
        break;

    default:
        name.data = rq->message.name;
        name.len = rq->message.name_len;

        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_METHOD,
                                         "method not found", &name);
    }
}


/*
 * Finds the object that says more of a subscription: {"stream":...} itself, or
 * what stands behind the name in an array.  False: there is none.
 */

static ngx_uint_t
ngx_http_blockcast_jsonrpc_more(ngx_http_blockcast_jsonrpc_request_t *rq,
    bc_span_t *params)
{
    bc_span_t       key, item;
    bc_json_iter_t  it;

    if (!bc_json_member(rq->text, "params", params)) {
        return 0;
    }

    if (bc_json_array(&it, *params) == 0) {
        while (bc_json_next(&it, &key, &item)) {
            *params = item;
        }
    }

    return 1;
}


/*
 * Returns the hub of the key in the params, ["STREAM",{"key":"KEY"}] or
 * {"stream":"STREAM","key":"KEY"}; or NULL with *reject.
 */

static ngx_http_blockcast_hub_t *
ngx_http_blockcast_jsonrpc_key(ngx_http_blockcast_jsonrpc_request_t *rq,
    ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_sub_options_t *options,
    ngx_http_blockcast_reject_t *reject)
{
    size_t                           len;
    u_char                           text[NGX_HTTP_BLOCKCAST_KEY_LEN + 64];
    u_char                           expires[NGX_INT64_LEN], signature[128];
    bc_span_t                        params, member;
    ngx_http_blockcast_key_claim_t   claim;

    reject->text = "this stream needs a \"key\"";

    if (!ngx_http_blockcast_jsonrpc_more(rq, &params)) {
        return NULL;
    }

    ngx_memzero(&claim, sizeof(ngx_http_blockcast_key_claim_t));

    if (!bc_json_member(params, "key", &member)
        || bc_json_string(member, text, sizeof(text), &len) == -1)
    {
        return NULL;
    }

    claim.text.data = text;
    claim.text.len = len;

    ngx_http_blockcast_key_form_want(st, &claim.text);

    if (ngx_http_blockcast_key_form_wanted() != 0) {
        return NULL;
    }

    if (bc_json_member(params, "expires", &member)) {

        if (bc_json_string(member, expires, sizeof(expires), &len) != 0
            && member.len <= sizeof(expires))
        {
            len = member.len;
            ngx_memcpy(expires, member.data, len);
        }

        claim.expires.data = expires;
        claim.expires.len = len;
    }

    if (bc_json_member(params, "signature", &member)
        && bc_json_string(member, signature, sizeof(signature), &len) == 0)
    {
        claim.signature.data = signature;
        claim.signature.len = len;
    }

    options->hub = ngx_http_blockcast_key_access_conn(rq->conn, st, &claim,
                                                      reject);
    options->until = claim.until;

    return options->hub;
}


static void
ngx_http_blockcast_jsonrpc_subscribe(ngx_http_blockcast_jsonrpc_request_t *rq)
{
    u_char                            buf[NGX_INT64_LEN + 8];
    ngx_int_t                         rc;
    bc_span_t                         params;
    ngx_str_t                         name;
    ngx_http_blockcast_hub_t         *hub;
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

    if (ngx_http_blockcast_commands_options(&options, &rq->message, &reject)
        != NGX_OK)
    {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                         reject.text, &name);
        return;
    }

    options.delta = 0;

    st = ngx_http_blockcast_commands_find_stream(rq->conn, &name, &reject);

    if (st == NULL) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                         reject.text, &name);
        return;
    }

    hub = ngx_http_blockcast_hub_of(st);

    if (st->keys != NULL) {
        hub = ngx_http_blockcast_jsonrpc_key(rq, st, &options, &reject);

        if (ngx_http_blockcast_key_form_wanted() != 0) {

            /* the message comes again */
            return;
        }

        if (hub == NULL) {
            ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                             reject.text, NULL);
            return;
        }

    } else if (ngx_http_blockcast_jsonrpc_more(rq, &params)
               && ngx_http_blockcast_commands_filter(rq->conn, st, params,
                                                     &options, &reject)
                  != NGX_OK)
    {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                         reject.text, &name);
        return;
    }

    rc = ngx_http_blockcast_commands_subscribe(rq->conn, st, &options,
                                               &reject);

    /* NULL if the subscription has taken it over */

    bc_log_filter_free(options.filter);

    if (rc == NGX_ERROR) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_REFUSED,
                                         reject.text, &name);
        return;
    }

    /* one id for all clients of a stream, which get the same bytes */

    (void) ngx_sprintf(buf, "0x%xi%Z",
                       ngx_http_blockcast_subprotocol_id(hub));

    ngx_http_blockcast_jsonrpc_result_string(rq, (char *) buf);
    ngx_http_blockcast_commands_start_delivery(rq->conn, hub);
}


static void
ngx_http_blockcast_jsonrpc_unsubscribe(
    ngx_http_blockcast_jsonrpc_request_t *rq)
{
    cJSON                            *root;
    uint64_t                          n;
    ngx_uint_t                        i, left;
    ngx_http_blockcast_hub_t         *hub;
    ngx_http_blockcast_json_out_t     out;
    ngx_http_blockcast_stream_t     **st;
    ngx_http_blockcast_main_conf_t   *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    if (bc_client_msg_subscription(&rq->message, &n) != 0) {
        ngx_http_blockcast_jsonrpc_error(rq, NGX_HTTP_BLOCKCAST_RPC_PARAMS,
                                    "params must be [\"SUBSCRIPTION\"]", NULL);
        return;
    }

    st = bmcf->streams.elts;

    hub = (n >= 1 && n <= bmcf->streams.nelts)
          ? ngx_http_blockcast_hub_of(st[n - 1]) : NULL;

    for (i = 0; hub == NULL && i < rq->conn->nsubs; i++) {
        if (ngx_http_blockcast_subprotocol_id(rq->conn->subs[i].hub) == n) {
            hub = rq->conn->subs[i].hub;
        }
    }

    left = (hub != NULL
            && ngx_http_blockcast_commands_unsubscribe(rq->conn, hub)
               == NGX_OK);

    root = ngx_http_blockcast_jsonrpc_begin(&out);

    ngx_http_blockcast_json_out_value(&out, root, "result",
                                      left ? "true" : "false");

    ngx_http_blockcast_jsonrpc_send(rq, &out, root);
}


static void
ngx_http_blockcast_jsonrpc_streams(ngx_http_blockcast_jsonrpc_request_t *rq)
{
    cJSON                          *root;
    ngx_http_blockcast_json_out_t   out;

    root = ngx_http_blockcast_jsonrpc_begin(&out);

    ngx_http_blockcast_commands_add_streams(rq->conn, &out,
                   ngx_http_blockcast_json_out_array(&out, root, "result"));

    ngx_http_blockcast_jsonrpc_send(rq, &out, root);
}


/* Begins a response object. */

static cJSON *
ngx_http_blockcast_jsonrpc_begin(ngx_http_blockcast_json_out_t *out)
{
    cJSON  *root;

    root = ngx_http_blockcast_json_out_begin(out);

    ngx_http_blockcast_json_out_string(out, root, "jsonrpc", "2.0");

    return root;
}


/*
 * Adds the id and queues the response, unless to a notification.  Frees the
 * tree.
 */

static void
ngx_http_blockcast_jsonrpc_send(ngx_http_blockcast_jsonrpc_request_t *rq,
    ngx_http_blockcast_json_out_t *out, cJSON *root)
{
    ngx_http_blockcast_frame_t  *frame;

    if (rq->id.len == 0) {
        ngx_http_blockcast_json_out_drop(out);
        return;
    }

    ngx_http_blockcast_json_out_raw(out, root, "id", rq->id.data, rq->id.len);

    frame = ngx_http_blockcast_frame_json(out);

    if (frame == NULL) {
        ngx_http_blockcast_client_close(rq->conn, 1013, "no memory");
        return;
    }

    ngx_http_blockcast_ws_send_queue(rq->conn, frame);
}


/* Sends a response whose result is a string of printable ASCII. */

static void
ngx_http_blockcast_jsonrpc_result_string(
    ngx_http_blockcast_jsonrpc_request_t *rq, const char *result)
{
    cJSON                          *root;
    ngx_http_blockcast_json_out_t   out;

    root = ngx_http_blockcast_jsonrpc_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "result", result);

    ngx_http_blockcast_jsonrpc_send(rq, &out, root);
}


/* Sends an error; name: see ngx_http_blockcast_commands_sentence(). */

static void
ngx_http_blockcast_jsonrpc_error(ngx_http_blockcast_jsonrpc_request_t *rq,
    ngx_int_t code, const char *text, ngx_str_t *name)
{
    u_char                          buf[NGX_HTTP_BLOCKCAST_SENTENCE];
    cJSON                          *root, *error;
    ngx_str_t                       message;
    ngx_http_blockcast_json_out_t   out;

    ngx_http_blockcast_commands_sentence(&message, buf, text, name);

    root = ngx_http_blockcast_jsonrpc_begin(&out);
    error = ngx_http_blockcast_json_out_object(&out, root, "error");

    ngx_http_blockcast_json_out_value(&out, error, "code", "%i", code);
    ngx_http_blockcast_json_out_text(&out, error, "message", message.data,
                                     message.len);

    ngx_http_blockcast_jsonrpc_send(rq, &out, root);
}
