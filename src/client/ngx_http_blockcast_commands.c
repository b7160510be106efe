
/*
 * The commands of a WebSocket client, in JSON or CBOR, and their answers;
 * subscribing, for clients of all kinds.
 */


#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_history_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_jsonrpc.h"
#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast_key_form.h"
#include "ngx_http_blockcast_key_hub.h"
#include "ngx_http_blockcast_rpc.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_cbor_decode.h"
#include "bc_cbor_encode.h"
#include "bc_client_msg.h"
#include "bc_rpc_request.h"
#include "bc_span.h"
#include "bc_ws_frame.h"


/* the longest JSON text of a client's message in CBOR (bytes) */
#define NGX_HTTP_BLOCKCAST_CBOR_MAX  65536


/*
 * How many messages of blockcast_rate it costs to resume a log that the client
 * has left before, as the entries are put together for that client alone.
 */
#define NGX_HTTP_BLOCKCAST_RESUMED  16


/*
 * the client to answer, and the "id" to send back byte for byte; len 0: none
 */

typedef struct {
    ngx_http_blockcast_conn_t  *conn;
    bc_span_t                   id;
    bc_span_t                   text;   /* the message, JSON */
} ngx_http_blockcast_reply_ctx_t;


static void ngx_http_blockcast_commands_on_subscribe(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_str_t *name,
    bc_client_msg_t *message);
static void ngx_http_blockcast_commands_on_unsubscribe(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_str_t *name);
static void ngx_http_blockcast_commands_keys(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_sub_options_t *options);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_commands_make_welcome(
    ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_commands_add_keyed(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_json_out_t *out,
    cJSON *root);
static void ngx_http_blockcast_commands_cbor(
    ngx_http_blockcast_reply_ctx_t *ctx, const u_char *data, size_t len);
static void ngx_http_blockcast_commands_execute(
    ngx_http_blockcast_reply_ctx_t *ctx, bc_client_msg_t *message);
static void ngx_http_blockcast_commands_each_stream(
    ngx_http_blockcast_reply_ctx_t *ctx, bc_client_msg_t *message);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_commands_finish(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_http_blockcast_json_out_t *out,
    cJSON *root);
static void ngx_http_blockcast_commands_send(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_http_blockcast_json_out_t *out,
    cJSON *root);
static void ngx_http_blockcast_commands_answer(
    ngx_http_blockcast_reply_ctx_t *ctx, const char *type, ngx_str_t *stream);
static void ngx_http_blockcast_commands_error(
    ngx_http_blockcast_reply_ctx_t *ctx, const char *code, const char *text,
    ngx_str_t *name);


/* the welcome of the clients that connect within one second */

static struct {
    ngx_http_blockcast_frame_t     *frame;
    ngx_http_blockcast_stream_t   **offers;
    uint64_t                        allowed;
    uint64_t                        epoch;      /* a state file may set it */
    ngx_uint_t                      protocol;
    time_t                          time;
} ngx_http_blockcast_welcome;


void
ngx_http_blockcast_commands_welcome(ngx_http_blockcast_conn_t *conn)
{
    uint64_t                     epoch;
    ngx_http_blockcast_frame_t  *frame;

    if (conn->protocol == ngx_http_blockcast_jsonrpc
        || conn->protocol == ngx_http_blockcast_rpc)
    {
        /* in JSON-RPC the client speaks first */
        return;
    }

    epoch = ngx_http_blockcast_hub_epoch();
    frame = ngx_http_blockcast_welcome.frame;

    if (frame == NULL
        || ngx_http_blockcast_welcome.offers != conn->conf->offers
        || ngx_http_blockcast_welcome.allowed != conn->allowed
        || ngx_http_blockcast_welcome.epoch != epoch
        || ngx_http_blockcast_welcome.protocol != conn->protocol
        || ngx_http_blockcast_welcome.time != ngx_time())
    {
        frame = ngx_http_blockcast_commands_make_welcome(conn);

        if (frame == NULL) {
            ngx_http_blockcast_client_close(conn, 1013, "no memory");
            return;
        }

        ngx_http_blockcast_commands_forget_welcome();

        ngx_http_blockcast_welcome.frame = frame;
        ngx_http_blockcast_welcome.offers = conn->conf->offers;
        ngx_http_blockcast_welcome.allowed = conn->allowed;
        ngx_http_blockcast_welcome.epoch = epoch;
        ngx_http_blockcast_welcome.protocol = conn->protocol;
        ngx_http_blockcast_welcome.time = ngx_time();
    }

    frame->refs++;
    ngx_http_blockcast_ws_send_queue(conn, frame);
}


void
ngx_http_blockcast_commands_forget_welcome(void)
{
    ngx_http_blockcast_frame_free(ngx_http_blockcast_welcome.frame);
    ngx_http_blockcast_welcome.frame = NULL;
}


static ngx_http_blockcast_frame_t *
ngx_http_blockcast_commands_make_welcome(ngx_http_blockcast_conn_t *conn)
{
    cJSON                           *root;
    ngx_http_blockcast_json_out_t    out;
    ngx_http_blockcast_reply_ctx_t   ctx;

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", "welcome");
    ngx_http_blockcast_json_out_string(&out, root, "message",
                                    "blockcast " NGX_HTTP_BLOCKCAST_VERSION);
    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());
    ngx_http_blockcast_commands_add_streams(conn, &out,
                ngx_http_blockcast_json_out_array(&out, root,
                                                  "available_streams"));
    ngx_http_blockcast_commands_add_keyed(conn, &out, root);
    ngx_http_blockcast_json_out_value(&out, root, "epoch", "%uL",
                                      ngx_http_blockcast_hub_epoch());
    ngx_http_blockcast_json_out_value(&out, root, "protocol", "1");

    ctx.conn = conn;
    ctx.id.len = 0;

    return ngx_http_blockcast_commands_finish(&ctx, &out, root);
}


void
ngx_http_blockcast_commands_add_streams(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_json_out_t *out, cJSON *names)
{
    ngx_http_blockcast_stream_t  **st;

    for (st = conn->conf->offers; *st != NULL; st++) {
        if (conn->allowed & ((uint64_t) 1 << (*st)->index)) {
            ngx_http_blockcast_json_out_text(out, names, NULL,
                                             (*st)->name.data,
                                             (*st)->name.len);
        }
    }
}


/* Adds the names of the keys of the streams that have one, if any. */

static void
ngx_http_blockcast_commands_add_keyed(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_json_out_t *out, cJSON *root)
{
    cJSON                         *keyed;
    ngx_http_blockcast_stream_t  **st;

    keyed = NULL;

    for (st = conn->conf->offers; *st != NULL; st++) {

        if ((*st)->keys == NULL
            || !(conn->allowed & ((uint64_t) 1 << (*st)->index)))
        {
            continue;
        }

        if (keyed == NULL) {
            keyed = ngx_http_blockcast_json_out_object(out, root, "keyed");
        }

        /* words of the configuration end with a NUL and outlive the text */

        ngx_http_blockcast_json_out_text(out, keyed, (char *) (*st)->name.data,
                                         (*st)->keys->name.data,
                                         (*st)->keys->name.len);
    }
}


void
ngx_http_blockcast_commands_message(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t opcode, const u_char *data, size_t len)
{
    bc_client_msg_t                 message;
    ngx_http_blockcast_reply_ctx_t  ctx;

    if (conn->protocol == ngx_http_blockcast_rpc) {
        ngx_http_blockcast_rpc_message(conn, data,
                                       opcode == BC_WS_TEXT ? len : 0);
        return;
    }

    if (conn->protocol == ngx_http_blockcast_jsonrpc) {

        /* treat a binary frame as an empty text, which is not JSON */

        ngx_http_blockcast_jsonrpc_message(conn, data,
                                           opcode == BC_WS_TEXT ? len : 0);
        return;
    }

    ctx.conn = conn;
    ctx.id.len = 0;

    if (opcode != BC_WS_TEXT) {

        if (conn->protocol != ngx_http_blockcast_cbor) {
            ngx_http_blockcast_commands_error(&ctx, "invalid_json",
                            "messages must be JSON in text frames", NULL);
            return;
        }

        ngx_http_blockcast_commands_cbor(&ctx, data, len);
        return;
    }

    bc_client_msg_parse(&message, data, len);

    ctx.id = message.id;
    ctx.text.data = data;
    ctx.text.len = len;

    ngx_http_blockcast_commands_execute(&ctx, &message);

    bc_client_msg_free(&message);
}


/* Executes a message in CBOR, after converting it to JSON. */

static void
ngx_http_blockcast_commands_cbor(ngx_http_blockcast_reply_ctx_t *ctx,
    const u_char *data, size_t len)
{
    u_char      *json;
    size_t       n;
    const char  *why;

    json = ngx_alloc(NGX_HTTP_BLOCKCAST_CBOR_MAX, ngx_cycle->log);

    if (json == NULL) {
        ngx_http_blockcast_client_close(ctx->conn, 1013, "no memory");
        return;
    }

    if (bc_cbor_decode(data, len, json, NGX_HTTP_BLOCKCAST_CBOR_MAX, &n,
                        &why)
        == 0)
    {
        ngx_http_blockcast_commands_message(ctx->conn, BC_WS_TEXT, json, n);

    } else {
        ngx_http_blockcast_commands_error(ctx, "invalid_cbor", why, NULL);
    }

    ngx_free(json);
}


/*
 * Tells a chain library that has come to the wrong address where JSON-RPC is
 * spoken, as a JSON-RPC error.  Returns false when the message is not a
 * request of JSON-RPC.
 */

static ngx_uint_t
ngx_http_blockcast_commands_elsewhere(ngx_http_blockcast_reply_ctx_t *ctx)
{
    cJSON                           *root, *error;
    bc_span_t                        method;
    ngx_str_t                        text;
    ngx_uint_t                       n;
    u_char                           buf[NGX_HTTP_BLOCKCAST_SENTENCE];
    bc_rpc_message_t                 message;
    bc_rpc_request_t                 request;
    ngx_http_blockcast_json_out_t    out;
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (ctx->conn->protocol != ngx_http_blockcast_json) {
        return 0;
    }

    bc_rpc_message(&message, ctx->text.data, ctx->text.len);

    if (message.what == BC_RPC_SINGLE
        && !bc_json_member(ctx->text, "method", &method))
    {
        return 0;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    text.data = buf;
    text.len = (bmcf->rpc_location.len != 0)
               ? ngx_snprintf(buf, sizeof(buf), "this address speaks "
                              "blockcast's own protocol, JSON-RPC is spoken "
                              "at %V", &bmcf->rpc_location)
                 - buf
               : ngx_snprintf(buf, sizeof(buf), "this address speaks "
                              "blockcast's own protocol, and JSON-RPC is "
                              "not configured here (blockcast_rpc)")
                 - buf;

    for (n = 0; bc_rpc_next(&message, &request); n++) {

        if (n != 0 && request.method_len == 0) {
            continue;
        }

        if (n == 0 && request.method_len == 0) {
            return 0;
        }

        if (n == 100 || ctx->conn->closing || ctx->conn->dead) {
            break;
        }

        if (request.id.len == 0) {
            continue;
        }

        root = ngx_http_blockcast_json_out_begin(&out);

        ngx_http_blockcast_json_out_string(&out, root, "jsonrpc", "2.0");
        error = ngx_http_blockcast_json_out_object(&out, root, "error");
        ngx_http_blockcast_json_out_value(&out, error, "code", "%i",
                                          (ngx_int_t) BC_RPC_NO_METHOD);
        ngx_http_blockcast_json_out_text(&out, error, "message", text.data,
                                         text.len);

        ctx->id = request.id;
        ngx_http_blockcast_commands_send(ctx, &out, root);
    }

    return n != 0;
}


static void
ngx_http_blockcast_commands_execute(ngx_http_blockcast_reply_ctx_t *ctx,
    bc_client_msg_t *message)
{
    size_t     len;
    uint8_t    cbor[3 * BC_CLIENT_MSG_ID];
    ngx_str_t  name;

    /* the message may be JSON text with a number such as 1e999 */

    if (ctx->conn->protocol == ngx_http_blockcast_cbor
        && ctx->id.len != 0
        && bc_cbor_encode(ctx->id, cbor, sizeof(cbor), &len) != 0)
    {
        ctx->id.len = 0;
        ngx_http_blockcast_commands_error(ctx, "bad_request",
                             "\"id\" has a number that CBOR cannot represent",
                             NULL);
        return;
    }

    switch (message->what) {

    case BC_CLIENT_MSG_INVALID:
        ngx_http_blockcast_commands_error(ctx, "invalid_json",
                                   "the message is not valid JSON", NULL);
        break;

    case BC_CLIENT_MSG_WRONG:

        if (ngx_http_blockcast_commands_elsewhere(ctx)) {
            break;
        }

        ngx_http_blockcast_commands_error(ctx, "invalid_json",
                                   "the message must be a JSON object", NULL);
        break;

    case BC_CLIENT_MSG_LONG_ID:
        ngx_http_blockcast_commands_error(ctx, "bad_request",
                       "\"id\" is longer than 128 bytes of JSON", NULL);
        break;

    case BC_CLIENT_MSG_LARGE:
        ngx_http_blockcast_commands_error(ctx, "bad_request",
                       "the message has more than 1024 values", NULL);
        break;

    case BC_CLIENT_MSG_NO_MEMORY:
        ngx_http_blockcast_client_close(ctx->conn, 1013, "no memory");
        break;

    case BC_CLIENT_MSG_UNTYPED:

        if (ngx_http_blockcast_commands_elsewhere(ctx)) {
            break;
        }

        ngx_http_blockcast_commands_error(ctx, "unknown_type",
                                      "the message has no \"type\"", NULL);
        break;

    case BC_CLIENT_MSG_PING:
        ngx_http_blockcast_commands_answer(ctx, "pong", NULL);
        break;

    case BC_CLIENT_MSG_SUBSCRIBE:
    case BC_CLIENT_MSG_UNSUBSCRIBE:
        ngx_http_blockcast_commands_each_stream(ctx, message);
        break;

    default:
        name.data = message->name;
        name.len = message->name_len;

        ngx_http_blockcast_commands_error(ctx, "unknown_type",
                                          "unknown message type", &name);
    }
}


/* Subscribes to, or unsubscribes from, each stream that a message names. */

static void
ngx_http_blockcast_commands_each_stream(ngx_http_blockcast_reply_ctx_t *ctx,
    bc_client_msg_t *message)
{
    int         rc;
    ngx_str_t   name;
    ngx_uint_t  n;

    for (n = 0; (rc = bc_client_msg_stream(message)) != 0; n++) {

        if (n == NGX_HTTP_BLOCKCAST_STREAMS) {
            ngx_http_blockcast_commands_error(ctx, "bad_request",
                                       "too many streams in a message", NULL);
            return;
        }

        if (ctx->conn->closing || ctx->conn->dead) {

            /* too many answers are queued: stop here */
            return;
        }

        name.data = message->name;
        name.len = message->name_len;

        if (rc == -1) {
            ngx_http_blockcast_commands_error(ctx, "unknown_stream",
                                  "a stream's name must be a string", NULL);

        } else if (message->what == BC_CLIENT_MSG_SUBSCRIBE) {
            ngx_http_blockcast_commands_on_subscribe(ctx, &name, message);

        } else {
            ngx_http_blockcast_commands_on_unsubscribe(ctx, &name);
        }
    }

    if (n == 0) {
        ngx_http_blockcast_commands_error(ctx, "unknown_stream",
                          "the message has no \"stream\" or \"streams\"",
                          NULL);
    }
}


ngx_http_blockcast_stream_t *
ngx_http_blockcast_commands_find_stream(ngx_http_blockcast_conn_t *conn,
    ngx_str_t *name, ngx_http_blockcast_reject_t *reject)
{
    ngx_http_blockcast_stream_t     *st;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    st = ngx_http_blockcast_stream_find(bmcf, name);

    /* a stream that is closed to the client does not exist for it */

    if (st == NULL || !(conn->allowed & ((uint64_t) 1 << st->index))) {
        reject->code = "unknown_stream";
        reject->text = "unknown stream";
        return NULL;
    }

    return st;
}


static ngx_http_blockcast_sub_t *
ngx_http_blockcast_commands_find_sub(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t  i;

    for (i = 0; i < conn->nsubs; i++) {
        if (conn->subs[i].hub == hub) {
            return &conn->subs[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_blockcast_commands_options(ngx_http_blockcast_sub_options_t *options,
    bc_client_msg_t *message, ngx_http_blockcast_reject_t *reject)
{
    ngx_memzero(options, sizeof(ngx_http_blockcast_sub_options_t));

    reject->code = "bad_request";

    if (message->bad_since) {
        reject->text = "\"since\" must be a seq, an integer from 0";
        return NGX_ERROR;
    }

    if (message->bad_epoch) {
        reject->text = "\"epoch\" must be one that a welcome has had, an "
                       "integer";
        return NGX_ERROR;
    }

    options->since = message->since;
    options->has_since = message->has_since;
    options->delta = message->delta;
    options->other_epoch = !bc_client_msg_is_epoch(
                                   message, ngx_http_blockcast_hub_epoch());

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_commands_filter(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, bc_span_t object,
    ngx_http_blockcast_sub_options_t *options,
    ngx_http_blockcast_reject_t *reject)
{
    bc_span_t                  text;
    const char                *why;
    ngx_http_blockcast_hub_t  *hub;
    ngx_http_blockcast_sub_t  *sub;

    if (bc_json_member(object, "filter", &text) && text.data[0] != 'n') {

        if (st->field.len == 0) {
            reject->code = "bad_request";
            reject->text = "only a log can have a \"filter\"";
            return NGX_ERROR;
        }

        options->filter = bc_log_filter_members(text, &why);

        if (options->filter == NULL) {
            reject->code = why ? "bad_request" : "no_memory";
            reject->text = why ? why : "no memory, try later";
            return NGX_ERROR;
        }
    }

    /* another filter takes the place of the first */

    hub = ngx_http_blockcast_hub_of(st);
    sub = ngx_http_blockcast_commands_find_sub(conn, hub);

    if (sub != NULL && (options->filter != NULL || sub->filtered)) {
        (void) ngx_http_blockcast_commands_unsubscribe(conn, hub);
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_commands_subscribe(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_sub_options_t *options,
    ngx_http_blockcast_reject_t *reject)
{
    ngx_http_blockcast_sub_t  *sub;
    ngx_http_blockcast_hub_t  *hub;
    static ngx_str_t           none = ngx_null_string;

    hub = (options->hub != NULL) ? options->hub
                                 : ngx_http_blockcast_hub_of(st);

    if (st->keys != NULL && hub->key == NULL) {
        reject->code = "bad_request";
        reject->text = "the stream needs a \"key\"";
        return NGX_ERROR;
    }

    sub = ngx_http_blockcast_commands_find_sub(conn, hub);

    if (sub != NULL) {

        if (hub->key != NULL) {

            /* a newer signature extends the subscription */

            hub->listeners[sub->place].until =
                       ngx_http_blockcast_key_access_until(options->until);
        }

        return NGX_DONE;
    }

    /* keys have a limit of their own, see _key_access */

    if (hub->key == NULL
        && conn->nsubs >= conn->conf->max_subscriptions
        && conn->nsubs - ngx_http_blockcast_key_access_count(conn)
           >= conn->conf->max_subscriptions)
    {
        reject->code = "too_many_subscriptions";
        reject->text = "no more subscriptions on this connection";
        return NGX_ERROR;
    }

    reject->code = "no_memory";
    reject->text = "no memory, try later";

    if (ngx_http_blockcast_client_reserve(conn) != NGX_OK) {
        return NGX_ERROR;
    }

    sub = &conn->subs[conn->nsubs];

    ngx_memzero(sub, sizeof(ngx_http_blockcast_sub_t));

    if ((options->filter != NULL
         ? ngx_http_blockcast_filtered_subscribe(hub, conn, conn->nsubs,
                                                 options->filter, &none)
         : ngx_http_blockcast_hub_subscribe(hub, conn, conn->nsubs))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    options->filter = NULL;

    if (hub->key != NULL) {
        hub->listeners[sub->place].until =
                       ngx_http_blockcast_key_access_until(options->until);
    }

    /* the missed entries may be put together for this client alone */

    if (options->has_since && st->field.len != 0 && conn->conf->rate != 0
        && (conn->joined & ((uint64_t) 1 << st->index)))
    {
        conn->excess += NGX_HTTP_BLOCKCAST_RESUMED * 1000;
    }

    conn->nsubs++;
    conn->joined |= (uint64_t) 1 << st->index;

    /* a client assumes that a stream is live until a status says otherwise */

    sub->last_status = ngx_http_blockcast_freshness_live;

    if (st->field.len == 0) {

        if (options->delta) {
            ngx_http_blockcast_hub_take_deltas(sub);
        }

    } else if (options->has_since && !options->other_epoch
               && (options->since <= (hub->newest != NULL ? hub->snap.seq : 0)
                   || options->since <= st->slot->hole
                   || ngx_http_blockcast_hub_ahead(hub, options->since)))
    {
        sub->seq = options->since;

    } else if (sub->filtered) {
        sub->lost = options->has_since;
        ngx_http_blockcast_filtered_page(sub, options->since);

    } else {
        sub->first = 1;

        /* a seq that does not exist yet must be of another epoch */

        if (options->has_since) {
            sub->lost = 1;
            sub->seq = options->since;
        }
    }

    return NGX_OK;
}


void
ngx_http_blockcast_commands_start_delivery(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_sub_t  *sub;

    sub = ngx_http_blockcast_commands_find_sub(conn, hub);

    if (sub != NULL) {
        ngx_http_blockcast_ws_send_mark_pending(conn, sub);
    }
}


ngx_int_t
ngx_http_blockcast_commands_unsubscribe(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_sub_t  *sub;

    sub = ngx_http_blockcast_commands_find_sub(conn, hub);

    if (sub == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_blockcast_hub_leave(sub);

    if (sub->pending) {
        conn->npending--;
    }

    i = sub - conn->subs;
    conn->nsubs--;

    if (i != conn->nsubs) {
        *sub = conn->subs[conn->nsubs];
        ngx_http_blockcast_hub_moved(sub, i);
    }

    return NGX_OK;
}


/*
 * Finds the range of a history that a subscribe asks for.  Returns the number
 * of its ring; NGX_DECLINED when none is asked for, or the stream keeps none;
 * NGX_ERROR when there is no such range and an error was sent.
 */

static ngx_int_t
ngx_http_blockcast_commands_history(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_stream_t *st, bc_client_msg_t *message)
{
    u_char     *p, *last, text[NGX_HTTP_BLOCKCAST_SENTENCE];
    ngx_int_t   ring;
    ngx_str_t   range;
    ngx_uint_t  i;

    if (!message->has_history
        || (st->history == NULL && !message->bad_history))
    {
        return NGX_DECLINED;
    }

    range.data = message->range;
    range.len = message->range_len;

    if (!message->bad_history) {
        ring = ngx_http_blockcast_history_ring(st, &range);

        if (ring != NGX_ERROR) {
            return ring;
        }
    }

    last = text + sizeof(text) - 1;
    p = ngx_slprintf(text, last, "\"history\" must be true or a range");

    for (i = 0; st->history != NULL && i < st->history->shape.nrings; i++) {
        p = ngx_slprintf(p, last, "%s%V", (i == 0) ? " of the stream, " : ", ",
                         &st->history->rings[i]);
    }

    *p = '\0';

    ngx_http_blockcast_commands_error(ctx, "bad_request", (char *) text, NULL);

    return NGX_ERROR;
}


/* Answers a subscribe; if it asks for a history, says which one follows. */

static void
ngx_http_blockcast_commands_subscribed(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_stream_t *st, bc_client_msg_t *message, ngx_int_t ring)
{
    cJSON                          *root;
    ngx_http_blockcast_json_out_t   out;

    if (!message->has_history) {
        ngx_http_blockcast_commands_answer(ctx, "subscribed", &st->name);
        return;
    }

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", "subscribed");
    ngx_http_blockcast_json_out_text(&out, root, "stream", st->name.data,
                                     st->name.len);
    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    if (ring >= 0) {
        ngx_http_blockcast_json_out_text(&out, root, "history",
                                         st->history->rings[ring].data,
                                         st->history->rings[ring].len);

    } else {
        ngx_http_blockcast_json_out_value(&out, root, "history", "null");
    }

    ngx_http_blockcast_commands_send(ctx, &out, root);
}


static void
ngx_http_blockcast_commands_on_subscribe(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_str_t *name, bc_client_msg_t *message)
{
    ngx_int_t                         rc, ring;
    ngx_http_blockcast_hub_t         *hub;
    ngx_http_blockcast_sub_t         *sub;
    ngx_http_blockcast_sub_options_t  options;
    ngx_http_blockcast_reject_t       reject;
    ngx_http_blockcast_stream_t      *st;

    st = ngx_http_blockcast_commands_find_stream(ctx->conn, name, &reject);

    if (st == NULL) {
        ngx_http_blockcast_commands_error(ctx, reject.code, reject.text, name);
        return;
    }

    if (ngx_http_blockcast_commands_options(&options, message, &reject)
        != NGX_OK)
    {
        ngx_http_blockcast_commands_error(ctx, reject.code, reject.text, name);
        return;
    }

    if (st->keys != NULL) {
        ngx_http_blockcast_commands_keys(ctx, st, &options);
        return;
    }

    ring = ngx_http_blockcast_commands_history(ctx, st, message);

    if (ring == NGX_ERROR) {
        return;
    }

    if (ngx_http_blockcast_commands_filter(ctx->conn, st, ctx->text, &options,
                                           &reject)
        != NGX_OK)
    {
        ngx_http_blockcast_commands_error(ctx, reject.code, reject.text, name);
        return;
    }

    hub = ngx_http_blockcast_hub_of(st);

    rc = ngx_http_blockcast_commands_subscribe(ctx->conn, st, &options,
                                               &reject);

    /* free the filter, unless the subscription owns it now */

    bc_log_filter_free(options.filter);

    if (rc == NGX_ERROR) {
        ngx_http_blockcast_commands_error(ctx, reject.code, reject.text, name);
        return;
    }

    /* a repeated subscribe is answered, too, but changes nothing */

    ngx_http_blockcast_commands_subscribed(ctx, st, message, ring);

    sub = ngx_http_blockcast_commands_find_sub(ctx->conn, hub);

    if (sub != NULL && ring >= 0) {
        sub->history = ring + 1;
        sub->waited = 0;
    }

    ngx_http_blockcast_commands_start_delivery(ctx->conn, hub);
}


/* Answers a command for a key; with a code the answer is an error. */

static void
ngx_http_blockcast_commands_key_answer(ngx_http_blockcast_reply_ctx_t *ctx,
    const char *type, ngx_http_blockcast_stream_t *st, ngx_str_t *key,
    ngx_http_blockcast_reject_t *reject)
{
    cJSON                          *root;
    ngx_http_blockcast_json_out_t   out;

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", type);

    if (reject != NULL) {
        ngx_http_blockcast_json_out_text(&out, root, "message",
                                         (u_char *) reject->text,
                                         ngx_strlen(reject->text));
        ngx_http_blockcast_json_out_string(&out, root, "code", reject->code);
    }

    ngx_http_blockcast_json_out_text(&out, root, "stream", st->name.data,
                                     st->name.len);

    if (key != NULL) {
        ngx_http_blockcast_json_out_text(&out, root, "key", key->data,
                                         key->len);
    }

    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    ngx_http_blockcast_commands_send(ctx, &out, root);
}


/* Reads a member that is a string or a number, as text; len 0: neither. */

static void
ngx_http_blockcast_commands_member(bc_span_t object, const char *name,
    u_char *buf, size_t size, ngx_str_t *text)
{
    size_t     len;
    bc_span_t  value;

    text->data = buf;
    text->len = 0;

    if (!bc_json_member(object, name, &value)) {
        return;
    }

    if (bc_json_string(value, buf, size, &len) == 0) {
        text->len = len;

    } else if (value.data[0] >= '0' && value.data[0] <= '9'
               && value.len <= size)
    {
        text->len = ngx_cpymem(buf, value.data, value.len) - buf;
    }
}


/* Subscribes to a key, or unsubscribes from it (options is NULL). */

static void
ngx_http_blockcast_commands_key(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_key_claim_t *claim,
    ngx_http_blockcast_sub_options_t *options)
{
    ngx_http_blockcast_hub_t     *hub;
    ngx_http_blockcast_reject_t   reject;

    if (options == NULL) {
        hub = ngx_http_blockcast_key_access_find(ctx->conn, st, &claim->text,
                                                 &reject);

        if (hub == NULL && reject.text != NULL) {
            ngx_http_blockcast_commands_key_answer(ctx, "error", st,
                                                   &claim->text, &reject);
            return;
        }

        ngx_http_blockcast_commands_key_answer(ctx, "unsubscribed", st,
                                               hub ? &hub->key->text
                                                   : &claim->text, NULL);

        if (hub != NULL) {
            (void) ngx_http_blockcast_commands_unsubscribe(ctx->conn, hub);
        }

        return;
    }

    hub = ngx_http_blockcast_key_access_conn(ctx->conn, st, claim, &reject);
    options->hub = hub;
    options->until = claim->until;

    if (hub == NULL
        || ngx_http_blockcast_commands_subscribe(ctx->conn, st, options,
                                                 &reject)
           == NGX_ERROR)
    {
        ngx_http_blockcast_commands_key_answer(ctx, "error", st, &claim->text,
                                               &reject);
        return;
    }

    ngx_http_blockcast_commands_key_answer(ctx, "subscribed", st,
                                           &hub->key->text, NULL);
    ngx_http_blockcast_commands_start_delivery(ctx->conn, hub);
}


/* Unsubscribes from all keys of a stream, when the message names none. */

static void
ngx_http_blockcast_commands_no_keys(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t  i;

    for (i = ctx->conn->nsubs; i-- != 0; /* void */ ) {
        if (ctx->conn->subs[i].hub->stream == st) {
            (void) ngx_http_blockcast_commands_unsubscribe(ctx->conn,
                                                   ctx->conn->subs[i].hub);
        }
    }

    ngx_http_blockcast_commands_key_answer(ctx, "unsubscribed", st, NULL,
                                           NULL);
}


/* Notes the keys of a message whose form has to be asked for. */

static void
ngx_http_blockcast_commands_want(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_stream_t *st)
{
    u_char          text[NGX_HTTP_BLOCKCAST_KEY_LEN + 64];
    size_t          len;
    bc_span_t       item, key;
    ngx_str_t       name;
    ngx_uint_t      more;
    bc_json_iter_t  it;

    if (st->keys->form == NULL) {
        return;
    }

    if (!bc_json_member(ctx->text, "keys", &item)
        || bc_json_array(&it, item) != 0)
    {
        it.pos = NULL;
    }

    more = bc_json_member(ctx->text, "key", &item);

    while (more || (it.pos != NULL && bc_json_next(&it, &key, &item))) {
        more = 0;

        if (item.data[0] == '{' && bc_json_member(item, "key", &key)) {
            item = key;
        }

        if (bc_json_string(item, text, sizeof(text), &len) == 0) {
            name.data = text;
            name.len = len;
            ngx_http_blockcast_key_form_want(st, &name);
        }
    }
}


/*
 * Executes a command for the keys that a message names: "key", with "expires"
 * and "signature" beside it if the stream needs them, then those of "keys",
 * strings or objects with these members.  options is NULL for an unsubscribe.
 */

static void
ngx_http_blockcast_commands_keys(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_sub_options_t *options)
{
    int                              rc;
    u_char                           text[NGX_HTTP_BLOCKCAST_KEY_LEN + 64];
    u_char                           expires[NGX_INT64_LEN], signature[128];
    size_t                           len;
    bc_span_t                        member, key, item, of;
    ngx_uint_t                       n, single;
    bc_json_iter_t                   it;
    ngx_http_blockcast_reject_t      reject;
    ngx_http_blockcast_key_claim_t   claim;

    reject.code = "bad_request";

    single = bc_json_member(ctx->text, "key", &member);
    n = single;

    if (bc_json_member(ctx->text, "keys", &key)
        && bc_json_array(&it, key) == 0)
    {
        n++;

    } else {
        it.pos = NULL;
    }

    if (n == 0) {

        if (options == NULL) {
            ngx_http_blockcast_commands_no_keys(ctx, st);
            return;
        }

        reject.text = "this stream needs a \"key\", or \"keys\"";
        ngx_http_blockcast_commands_key_answer(ctx, "error", st, NULL,
                                               &reject);
        return;
    }

    ngx_http_blockcast_commands_want(ctx, st);

    if (ngx_http_blockcast_key_form_wanted() != 0) {

        /* the message comes again */
        return;
    }

    of = ctx->text;

    for ( ;; ) {

        if (single) {
            single = 0;
            item = member;

        } else if (it.pos != NULL && bc_json_next(&it, &key, &item)) {
            of = item;

        } else {
            return;
        }

        if (ctx->conn->closing || ctx->conn->dead) {
            return;
        }

        if (item.data[0] == '{' && bc_json_member(item, "key", &key)) {
            item = key;
        }

        ngx_memzero(&claim, sizeof(ngx_http_blockcast_key_claim_t));

        rc = bc_json_string(item, text, sizeof(text), &len);

        claim.text.data = text;
        claim.text.len = len;

        if (rc == -1) {
            reject.text = "a key must be a string";
            ngx_http_blockcast_commands_key_answer(ctx, "error", st, NULL,
                                                   &reject);
            continue;
        }

        ngx_http_blockcast_commands_member(of, "expires", expires,
                                           sizeof(expires), &claim.expires);
        ngx_http_blockcast_commands_member(of, "signature", signature,
                                           sizeof(signature),
                                           &claim.signature);

        ngx_http_blockcast_commands_key(ctx, st, &claim, options);
    }
}


static void
ngx_http_blockcast_commands_on_unsubscribe(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_str_t *name)
{
    ngx_http_blockcast_reject_t   reject;
    ngx_http_blockcast_stream_t  *st;

    st = ngx_http_blockcast_commands_find_stream(ctx->conn, name, &reject);

    if (st == NULL) {
        ngx_http_blockcast_commands_error(ctx, reject.code, reject.text, name);
        return;
    }

    if (st->keys != NULL) {
        ngx_http_blockcast_commands_keys(ctx, st, NULL);
        return;
    }

    (void) ngx_http_blockcast_commands_unsubscribe(ctx->conn,
                                              ngx_http_blockcast_hub_of(st));

    ngx_http_blockcast_commands_answer(ctx, "unsubscribed", name);
}


/*
 * Adds the client's "id" and makes the frame, in the client's subprotocol.
 * Frees the tree.  Returns NULL without memory.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_commands_finish(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_json_out_t *out, cJSON *root)
{
    ngx_http_blockcast_frame_t  *frame;

    if (ctx->id.len != 0) {
        ngx_http_blockcast_json_out_raw(out, root, "id", ctx->id.data,
                                        ctx->id.len);
    }

    frame = ngx_http_blockcast_frame_json(out);

    if (frame == NULL) {
        return NULL;
    }

    return ngx_http_blockcast_subprotocol_convert(ctx->conn, NULL, frame);
}


/* Finishes an answer and queues it; without memory, closes the client. */

static void
ngx_http_blockcast_commands_send(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_json_out_t *out, cJSON *root)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_commands_finish(ctx, out, root);

    if (frame == NULL) {
        ngx_http_blockcast_client_close(ctx->conn, 1013, "no memory");
        return;
    }

    ngx_http_blockcast_ws_send_queue(ctx->conn, frame);
}


static void
ngx_http_blockcast_commands_answer(ngx_http_blockcast_reply_ctx_t *ctx,
    const char *type, ngx_str_t *stream)
{
    cJSON                          *root;
    ngx_http_blockcast_json_out_t   out;

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", type);

    if (stream != NULL) {
        ngx_http_blockcast_json_out_text(&out, root, "stream", stream->data,
                                         stream->len);
    }

    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    ngx_http_blockcast_commands_send(ctx, &out, root);
}


/*
 * Sends an error.  name, if not NULL, is quoted after the text; it may be any
 * bytes.
 */

static void
ngx_http_blockcast_commands_error(ngx_http_blockcast_reply_ctx_t *ctx,
    const char *code, const char *text, ngx_str_t *name)
{
    u_char                          buf[NGX_HTTP_BLOCKCAST_SENTENCE];
    cJSON                          *root;
    ngx_str_t                       message;
    ngx_http_blockcast_json_out_t   out;

    ngx_http_blockcast_commands_sentence(&message, buf, text, name);

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", "error");
    ngx_http_blockcast_json_out_text(&out, root, "message", message.data,
                                     message.len);
    ngx_http_blockcast_json_out_string(&out, root, "code", code);
    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    ngx_http_blockcast_commands_send(ctx, &out, root);
}


void
ngx_http_blockcast_commands_sentence(ngx_str_t *message, u_char *buf,
    const char *text, ngx_str_t *name)
{
    u_char     *last, shown[64];
    ngx_str_t   said;

    last = buf + NGX_HTTP_BLOCKCAST_SENTENCE;

    message->data = buf;

    if (name == NULL) {
        message->len = ngx_slprintf(buf, last, "%s", text) - buf;
        return;
    }

    said = *name;
    ngx_http_blockcast_gate_printable(&said, shown, sizeof(shown));

    message->len = ngx_slprintf(buf, last, "%s: %V", text, &said) - buf;
}
