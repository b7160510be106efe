
/*
 * The JSON messages of a WebSocket client.
 */


#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_jsonrpc.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_ws.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_cbor_decode.h"
#include "bc_cbor_encode.h"
#include "bc_client_msg.h"
#include "bc_json.h"
#include "bc_span.h"
#include "bc_ws_frame.h"


/* a CBOR message of a client, as JSON */
#define NGX_HTTP_BLOCKCAST_CBOR_MAX  65536


/* how long a status message tells of what happened to a stream (seconds) */
#define NGX_HTTP_BLOCKCAST_NOTED  60

/* messages as which a log counts that the client had, left, and resumes */
#define NGX_HTTP_BLOCKCAST_RESUMED  16


/* what comes back in the answer to a message: its "id", byte for byte */

typedef struct {
    ngx_http_blockcast_conn_t  *conn;
    bc_span_t                   id;
} ngx_http_blockcast_reply_ctx_t;


static void ngx_http_blockcast_commands_on_subscribe(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_str_t *name,
    bc_client_msg_t *message);
static void ngx_http_blockcast_commands_on_unsubscribe(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_str_t *name);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_commands_make_welcome(
    ngx_http_blockcast_conn_t *conn);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_commands_finish(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_http_blockcast_frame_t *frame,
    u_char *p);
static void ngx_http_blockcast_commands_send(
    ngx_http_blockcast_reply_ctx_t *ctx, ngx_http_blockcast_frame_t *frame,
    u_char *p);
static void ngx_http_blockcast_commands_answer(
    ngx_http_blockcast_reply_ctx_t *ctx, const char *type, ngx_str_t *stream);
static void ngx_http_blockcast_commands_error(
    ngx_http_blockcast_reply_ctx_t *ctx, const char *code, const char *text,
    ngx_str_t *name);


static const char  *ngx_http_blockcast_freshness_words[] = {
    "waiting", "live", "stale", "stale"
};


/* clients that come together are welcomed with the same frame */

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
    uint64_t                         epoch;
    ngx_http_blockcast_frame_t      *frame;
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (conn->protocol == ngx_http_blockcast_jsonrpc) {

        /* there, the client speaks first */
        return;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    epoch = bmcf->zone->sh->epoch;
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
            ngx_http_blockcast_ws_close(conn, 1013, "no memory");
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
    u_char                          *p;
    ngx_uint_t                       n;
    ngx_http_blockcast_reply_ctx_t   ctx;
    ngx_http_blockcast_frame_t      *frame;
    ngx_http_blockcast_stream_t    **st;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    frame = ngx_http_blockcast_frame_alloc(256
            + bmcf->streams.nelts * (NGX_HTTP_BLOCKCAST_NAME_LEN + 3));
    if (frame == NULL) {
        return NULL;
    }

    p = frame->data + frame->payload;

    p = ngx_sprintf(p, "{\"type\":\"welcome\",\"message\":\"blockcast "
                    NGX_HTTP_BLOCKCAST_VERSION "\",\"timestamp\":%T,"
                    "\"available_streams\":[", ngx_time());

    n = 0;

    for (st = conn->conf->offers; *st != NULL; st++) {
        if (conn->allowed & ((uint64_t) 1 << (*st)->index)) {
            p = ngx_sprintf(p, "%s\"%V\"", n++ ? "," : "", &(*st)->name);
        }
    }

    p = ngx_sprintf(p, "],\"epoch\":%uL,\"protocol\":1",
                    bmcf->zone->sh->epoch);

    ctx.conn = conn;
    ctx.id.len = 0;

    return ngx_http_blockcast_commands_finish(&ctx, frame, p);
}


void
ngx_http_blockcast_commands_message(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t opcode, const u_char *data, size_t len)
{
    int                              rc;
    u_char                          *json;
    size_t                           offset;
    uint8_t                          cbor[3 * BC_CLIENT_MSG_ID];
    const char                      *why;
    ngx_str_t                        name;
    ngx_uint_t                       n;
    bc_client_msg_t                  message;
    ngx_http_blockcast_reply_ctx_t   ctx;

    ctx.conn = conn;
    ctx.id.len = 0;

    if (conn->protocol == ngx_http_blockcast_jsonrpc) {

        /* a binary frame is as good as an empty one: no JSON */

        ngx_http_blockcast_jsonrpc_message(conn, data,
                                           opcode == BC_WS_TEXT ? len : 0);
        return;
    }

    if (opcode != BC_WS_TEXT) {

        if (conn->protocol != ngx_http_blockcast_cbor) {
            ngx_http_blockcast_commands_error(&ctx, "invalid_json",
                            "messages must be JSON in text frames", NULL);
            return;
        }

        /* the same message as JSON, which is what is read below */

        json = ngx_alloc(NGX_HTTP_BLOCKCAST_CBOR_MAX, ngx_cycle->log);
        if (json == NULL) {
            ngx_http_blockcast_ws_close(conn, 1013, "no memory");
            return;
        }

        if (bc_cbor_decode(data, len, json, NGX_HTTP_BLOCKCAST_CBOR_MAX,
                           &offset, &why)
            == 0)
        {
            ngx_http_blockcast_commands_message(conn, BC_WS_TEXT, json,
                                                offset);

        } else {
            ngx_http_blockcast_commands_error(&ctx, "invalid_cbor", why, NULL);
        }

        ngx_free(json);
        return;
    }

    bc_client_msg_parse(&message, data, len);

    ctx.id = message.id;

    /* a JSON text is taken here, too, and may have a number such as 1e999 */

    if (conn->protocol == ngx_http_blockcast_cbor
        && ctx.id.len != 0
        && bc_cbor_encode(ctx.id, cbor, sizeof(cbor), &offset) != 0)
    {
        ctx.id.len = 0;
        ngx_http_blockcast_commands_error(&ctx, "bad_request",
                             "\"id\" has a number that CBOR cannot say", NULL);
        return;
    }

    name.data = message.name;
    name.len = message.name_len;

    switch (message.what) {

    case BC_CLIENT_MSG_INVALID:
        ngx_http_blockcast_commands_error(&ctx, "invalid_json",
                                          "the message is not valid JSON",
                                          NULL);
        return;

    case BC_CLIENT_MSG_WRONG:
        ngx_http_blockcast_commands_error(&ctx, "invalid_json",
                                   "the message must be a JSON object", NULL);
        return;

    case BC_CLIENT_MSG_LONG_ID:
        ngx_http_blockcast_commands_error(&ctx, "bad_request",
                       "\"id\" is longer than 128 bytes of JSON", NULL);
        return;

    case BC_CLIENT_MSG_UNTYPED:
        ngx_http_blockcast_commands_error(&ctx, "unknown_type",
                                      "the message has no \"type\"", NULL);
        return;

    case BC_CLIENT_MSG_PING:
        ngx_http_blockcast_commands_answer(&ctx, "pong", NULL);
        return;

    case BC_CLIENT_MSG_SUBSCRIBE:
    case BC_CLIENT_MSG_UNSUBSCRIBE:
        break;

    default:
        ngx_http_blockcast_commands_error(&ctx, "unknown_type",
                                          "unknown message type", &name);
        return;
    }

    for (n = 0; (rc = bc_client_msg_stream(&message)) != 0; n++) {

        if (n == NGX_HTTP_BLOCKCAST_STREAMS) {
            ngx_http_blockcast_commands_error(&ctx, "bad_request",
                                       "too many streams in a message", NULL);
            return;
        }

        if (conn->closing || conn->dead) {

            /* its answers are too many already */
            return;
        }

        name.len = message.name_len;

        if (rc == -1) {
            ngx_http_blockcast_commands_error(&ctx, "unknown_stream",
                                  "a stream's name must be a string", NULL);

        } else if (message.what == BC_CLIENT_MSG_SUBSCRIBE) {
            ngx_http_blockcast_commands_on_subscribe(&ctx, &name, &message);

        } else {
            ngx_http_blockcast_commands_on_unsubscribe(&ctx, &name);
        }
    }

    if (n == 0) {
        ngx_http_blockcast_commands_error(&ctx, "unknown_stream",
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

    /* what a client may not have is not there for it */

    if (st == NULL || !(conn->allowed & ((uint64_t) 1 << st->index))) {
        reject->code = "unknown_stream";
        reject->text = "unknown stream";
        return NULL;
    }

    return st;
}


static ngx_http_blockcast_sub_t *
ngx_http_blockcast_commands_find_sub(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t  i;

    for (i = 0; i < conn->nsubs; i++) {
        if (conn->subs[i].hub->stream == st) {
            return &conn->subs[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_blockcast_commands_subscribe(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_sub_options_t *options,
    ngx_http_blockcast_reject_t *reject)
{
    ngx_uint_t                 n;
    ngx_http_blockcast_sub_t  *sub, *subs;
    ngx_http_blockcast_hub_t  *hub;

    if (ngx_http_blockcast_commands_find_sub(conn, st) != NULL) {
        return NGX_DONE;
    }

    if (conn->nsubs >= conn->conf->max_subscriptions) {
        reject->code = "too_many_subscriptions";
        reject->text = "no more subscriptions on this connection";
        return NGX_ERROR;
    }

    reject->code = "no_memory";
    reject->text = "no memory, try later";

    if (conn->nsubs == conn->nalloc) {
        n = conn->nalloc * 2;

        subs = ngx_alloc(n * sizeof(ngx_http_blockcast_sub_t), ngx_cycle->log);
        if (subs == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(subs, conn->subs,
                   conn->nsubs * sizeof(ngx_http_blockcast_sub_t));

        if (conn->subs != &conn->first) {
            ngx_free(conn->subs);
        }

        conn->subs = subs;
        conn->nalloc = n;
    }

    hub = ngx_http_blockcast_hub_of(st);
    sub = &conn->subs[conn->nsubs];

    ngx_memzero(sub, sizeof(ngx_http_blockcast_sub_t));

    if (ngx_http_blockcast_hub_subscribe(hub, conn, conn->nsubs) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what it missed is put together, and compressed, for it alone */

    if (options->has_since && st->field.len != 0 && conn->conf->rate != 0
        && (conn->joined & ((uint64_t) 1 << st->index)))
    {
        conn->excess += NGX_HTTP_BLOCKCAST_RESUMED * 1000;
    }

    conn->nsubs++;
    conn->joined |= (uint64_t) 1 << st->index;

    /* a client takes the stream for live until it is told otherwise */

    sub->last_status = ngx_http_blockcast_freshness_live;

    if (st->field.len == 0) {

        if (options->delta) {
            ngx_http_blockcast_hub_take_deltas(sub);
        }

    } else if (options->has_since
               && (options->since <= (hub->newest != NULL ? hub->snap.seq : 0)
                   || options->since <= st->slot->hole))
    {
        sub->seq = options->since;

    } else {

        /* a seq that is not reached yet is of another epoch */

        sub->first = 1;
    }

    return NGX_OK;
}


void
ngx_http_blockcast_commands_start_delivery(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_sub_t  *sub;

    sub = ngx_http_blockcast_commands_find_sub(conn, st);

    if (sub != NULL) {
        ngx_http_blockcast_ws_send_mark_pending(conn, sub);
    }
}


ngx_int_t
ngx_http_blockcast_commands_unsubscribe(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_sub_t  *sub;

    sub = ngx_http_blockcast_commands_find_sub(conn, st);

    if (sub == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_blockcast_hub_unsubscribe(sub->hub, sub->place);

    if (sub->pending) {
        conn->npending--;
    }

    i = sub - conn->subs;
    conn->nsubs--;

    if (i != conn->nsubs) {
        *sub = conn->subs[conn->nsubs];
        sub->hub->listeners[sub->place].sub = i;
    }

    return NGX_OK;
}


static void
ngx_http_blockcast_commands_on_subscribe(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_str_t *name, bc_client_msg_t *message)
{
    ngx_http_blockcast_sub_options_t  options;
    ngx_http_blockcast_reject_t       reject;
    ngx_http_blockcast_stream_t      *st;

    ngx_memzero(&options, sizeof(ngx_http_blockcast_sub_options_t));

    st = ngx_http_blockcast_commands_find_stream(ctx->conn, name, &reject);

    if (st == NULL) {
        ngx_http_blockcast_commands_error(ctx, reject.code, reject.text, name);
        return;
    }

    if (message->bad_since) {
        ngx_http_blockcast_commands_error(ctx, "bad_request",
                          "\"since\" must be a seq, an integer from 0", name);
        return;
    }

    options.since = message->since;
    options.has_since = message->has_since;
    options.delta = message->delta;

    if (ngx_http_blockcast_commands_subscribe(ctx->conn, st, &options, &reject)
        == NGX_ERROR)
    {
        ngx_http_blockcast_commands_error(ctx, reject.code, reject.text, name);
        return;
    }

    /* a second time it is answered again, and delivered once */

    ngx_http_blockcast_commands_answer(ctx, "subscribed", name);
    ngx_http_blockcast_commands_start_delivery(ctx->conn, st);
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

    (void) ngx_http_blockcast_commands_unsubscribe(ctx->conn, st);

    ngx_http_blockcast_commands_answer(ctx, "unsubscribed", name);
}


/* the end of a message, and its form in the client's protocol; or NULL */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_commands_finish(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_frame_t *frame, u_char *p)
{
    if (ctx->id.len != 0) {
        p = ngx_cpymem(p, ",\"id\":", sizeof(",\"id\":") - 1);
        p = ngx_cpymem(p, ctx->id.data, ctx->id.len);
    }

    *p++ = '}';

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return ngx_http_blockcast_subprotocol_convert(ctx->conn, NULL, frame);
}


static void
ngx_http_blockcast_commands_send(ngx_http_blockcast_reply_ctx_t *ctx,
    ngx_http_blockcast_frame_t *frame, u_char *p)
{
    frame = ngx_http_blockcast_commands_finish(ctx, frame, p);

    if (frame == NULL) {
        ngx_http_blockcast_ws_close(ctx->conn, 1013, "no memory");
        return;
    }

    ngx_http_blockcast_ws_send_queue(ctx->conn, frame);
}


static void
ngx_http_blockcast_commands_answer(ngx_http_blockcast_reply_ctx_t *ctx,
    const char *type, ngx_str_t *stream)
{
    u_char                      *p;
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_frame_alloc(128 + NGX_HTTP_BLOCKCAST_NAME_LEN
                                           + ctx->id.len);
    if (frame == NULL) {
        ngx_http_blockcast_ws_close(ctx->conn, 1013, "no memory");
        return;
    }

    p = frame->data + frame->payload;
    p = ngx_sprintf(p, "{\"type\":\"%s\"", type);

    if (stream != NULL) {
        p = ngx_sprintf(p, ",\"stream\":\"%V\"", stream);
    }

    p = ngx_sprintf(p, ",\"timestamp\":%T", ngx_time());

    ngx_http_blockcast_commands_send(ctx, frame, p);
}


/* name, when there is one, is quoted behind the text; it may be anything */

static void
ngx_http_blockcast_commands_error(ngx_http_blockcast_reply_ctx_t *ctx,
    const char *code, const char *text, ngx_str_t *name)
{
    u_char                      *p, shown[64];
    size_t                       len;
    ngx_str_t                    said;
    ngx_http_blockcast_frame_t  *frame;

    len = 0;

    if (name != NULL) {
        said = *name;
        ngx_http_blockcast_gate_printable(&said, shown, sizeof(shown));
        name = &said;
        len = said.len;
    }

    frame = ngx_http_blockcast_frame_alloc(256 + ngx_strlen(text)
                       + (len ? bc_json_escape_len(name->data, len) : 0)
                       + ctx->id.len);
    if (frame == NULL) {
        ngx_http_blockcast_ws_close(ctx->conn, 1013, "no memory");
        return;
    }

    p = frame->data + frame->payload;
    p = ngx_cpymem(p, "{\"type\":\"error\",\"message\":\"",
                   sizeof("{\"type\":\"error\",\"message\":\"") - 1);
    p = bc_json_escape(p, (const u_char *) text, ngx_strlen(text));

    if (name != NULL) {
        p = ngx_cpymem(p, ": ", 2);
        p = bc_json_escape(p, name->data, len);
    }

    p = ngx_sprintf(p, "\",\"code\":\"%s\",\"timestamp\":%T", code,
                    ngx_time());

    ngx_http_blockcast_commands_send(ctx, frame, p);
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_commands_status(ngx_http_blockcast_hub_t *hub)
{
    u_char                              *p;
    ngx_int_t                            age;
    ngx_msec_t                           left;
    ngx_http_blockcast_node_status_t     status;
    ngx_http_blockcast_error_t           error, note;
    ngx_http_blockcast_frame_t          *frame;
    ngx_http_blockcast_node_counters_t  *counters;
    ngx_http_blockcast_main_conf_t      *bmcf;

    ngx_http_blockcast_stream_status_read_error(hub->stream->slot, &error);
    ngx_http_blockcast_stream_status_read_note(hub->stream->slot, &note);

    frame = ngx_http_blockcast_frame_alloc(320 + NGX_HTTP_BLOCKCAST_NAME_LEN
                             + bc_json_escape_len(error.text, error.len)
                             + bc_json_escape_len(note.text, note.len));
    if (frame == NULL) {
        return NULL;
    }

    age = ngx_http_blockcast_stream_status_age(hub->stream->slot);

    p = frame->data + frame->payload;
    p = ngx_sprintf(p, "{\"type\":\"status\",\"stream\":\"%V\","
                    "\"state\":\"%s\",\"age\":", &hub->stream->name,
                    ngx_http_blockcast_freshness_words[hub->freshness]);

    if (age < 0) {
        p = ngx_cpymem(p, "null", 4);

    } else {
        p = ngx_sprintf(p, "%i.%03i", age / 1000, age % 1000);
    }

    p = ngx_cpymem(p, ",\"error\":", sizeof(",\"error\":") - 1);

    if (error.len != 0) {
        *p++ = '"';
        p = bc_json_escape(p, error.text, error.len);
        *p++ = '"';

    } else {
        p = ngx_cpymem(p, "null", 4);
    }

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    if (ngx_http_blockcast_node_status_read(bmcf->zone,
                                            &hub->stream->node->name, &status,
                                            &counters)
        == NGX_OK
        && status.health != ngx_http_blockcast_node_ok)
    {
        left = ngx_http_blockcast_node_status_retry_in(&status);

        p = ngx_sprintf(p, ",\"node\":\"%s\",\"retry_in\":%M.%03M",
                        ngx_http_blockcast_node_health_names[status.health],
                        left / 1000, left % 1000);
    }

    if (note.len != 0
        && ngx_time() - (time_t) note.since < NGX_HTTP_BLOCKCAST_NOTED)
    {
        p = ngx_cpymem(p, ",\"note\":\"", sizeof(",\"note\":\"") - 1);
        p = bc_json_escape(p, note.text, note.len);
        *p++ = '"';
    }

    p = ngx_sprintf(p, ",\"timestamp\":%T}", ngx_time());

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return frame;
}
