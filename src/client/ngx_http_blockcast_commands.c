
/*
 * The JSON messages of a WebSocket client.
 */


#include "ngx_http_blockcast_session.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_node.h"
#include "ngx_http_blockcast_note.h"
#include "ngx_http_blockcast_protocol.h"
#include "bc_cbor.h"
#include "bc_json.h"
#include "bc_message.h"


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
} ngx_http_blockcast_ask_t;


static void ngx_http_blockcast_session_subscribe(ngx_http_blockcast_ask_t *ask,
    ngx_str_t *name, bc_message_t *message);
static void ngx_http_blockcast_session_unsubscribe(
    ngx_http_blockcast_ask_t *ask, ngx_str_t *name);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_session_hello(
    ngx_http_blockcast_conn_t *conn);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_session_finish(
    ngx_http_blockcast_ask_t *ask, ngx_http_blockcast_frame_t *frame,
    u_char *p);
static void ngx_http_blockcast_session_send(ngx_http_blockcast_ask_t *ask,
    ngx_http_blockcast_frame_t *frame, u_char *p);
static void ngx_http_blockcast_session_answer(ngx_http_blockcast_ask_t *ask,
    const char *type, ngx_str_t *stream);
static void ngx_http_blockcast_session_error(ngx_http_blockcast_ask_t *ask,
    const char *code, const char *text, ngx_str_t *name);


static const char  *ngx_http_blockcast_state_names[] = {
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
ngx_http_blockcast_session_welcome(ngx_http_blockcast_conn_t *conn)
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
        frame = ngx_http_blockcast_session_hello(conn);

        if (frame == NULL) {
            ngx_http_blockcast_ws_close(conn, 1013, "no memory");
            return;
        }

        ngx_http_blockcast_session_forget();

        ngx_http_blockcast_welcome.frame = frame;
        ngx_http_blockcast_welcome.offers = conn->conf->offers;
        ngx_http_blockcast_welcome.allowed = conn->allowed;
        ngx_http_blockcast_welcome.epoch = epoch;
        ngx_http_blockcast_welcome.protocol = conn->protocol;
        ngx_http_blockcast_welcome.time = ngx_time();
    }

    frame->refs++;
    ngx_http_blockcast_ws_queue(conn, frame);
}


void
ngx_http_blockcast_session_forget(void)
{
    ngx_http_blockcast_frame_free(ngx_http_blockcast_welcome.frame);
    ngx_http_blockcast_welcome.frame = NULL;
}


static ngx_http_blockcast_frame_t *
ngx_http_blockcast_session_hello(ngx_http_blockcast_conn_t *conn)
{
    u_char                          *p;
    ngx_uint_t                       n;
    ngx_http_blockcast_ask_t         ask;
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

    ask.conn = conn;
    ask.id.len = 0;

    return ngx_http_blockcast_session_finish(&ask, frame, p);
}


void
ngx_http_blockcast_session_message(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t opcode, const u_char *data, size_t len)
{
    int                        rc;
    u_char                    *json;
    size_t                     offset;
    uint8_t                    cbor[3 * BC_MESSAGE_ID];
    const char                *why;
    ngx_str_t                  name;
    ngx_uint_t                 n;
    bc_message_t               message;
    ngx_http_blockcast_ask_t   ask;

    ask.conn = conn;
    ask.id.len = 0;

    if (conn->protocol == ngx_http_blockcast_jsonrpc) {

        /* a binary frame is as good as an empty one: no JSON */

        ngx_http_blockcast_jsonrpc_message(conn, data,
                                           opcode == BC_WS_TEXT ? len : 0);
        return;
    }

    if (opcode != BC_WS_TEXT) {

        if (conn->protocol != ngx_http_blockcast_cbor) {
            ngx_http_blockcast_session_error(&ask, "invalid_json",
                            "messages must be JSON in text frames", NULL);
            return;
        }

        /* the same message as JSON, which is what is read below */

        json = ngx_alloc(NGX_HTTP_BLOCKCAST_CBOR_MAX, ngx_cycle->log);
        if (json == NULL) {
            ngx_http_blockcast_ws_close(conn, 1013, "no memory");
            return;
        }

        if (bc_cbor_to_json(data, len, json, NGX_HTTP_BLOCKCAST_CBOR_MAX,
                            &offset, &why)
            == 0)
        {
            ngx_http_blockcast_session_message(conn, BC_WS_TEXT, json, offset);

        } else {
            ngx_http_blockcast_session_error(&ask, "invalid_cbor", why, NULL);
        }

        ngx_free(json);
        return;
    }

    bc_message_parse(&message, data, len);

    ask.id = message.id;

    /* a JSON text is taken here, too, and may have a number such as 1e999 */

    if (conn->protocol == ngx_http_blockcast_cbor
        && ask.id.len != 0
        && bc_cbor_from_json(ask.id, cbor, sizeof(cbor), &offset) != 0)
    {
        ask.id.len = 0;
        ngx_http_blockcast_session_error(&ask, "bad_request",
                             "\"id\" has a number that CBOR cannot say", NULL);
        return;
    }

    name.data = message.name;
    name.len = message.name_len;

    switch (message.what) {

    case BC_MESSAGE_INVALID:
        ngx_http_blockcast_session_error(&ask, "invalid_json",
                                         "the message is not valid JSON",
                                         NULL);
        return;

    case BC_MESSAGE_WRONG:
        ngx_http_blockcast_session_error(&ask, "invalid_json",
                                   "the message must be a JSON object", NULL);
        return;

    case BC_MESSAGE_LONG_ID:
        ngx_http_blockcast_session_error(&ask, "bad_request",
                       "\"id\" is longer than 128 bytes of JSON", NULL);
        return;

    case BC_MESSAGE_UNTYPED:
        ngx_http_blockcast_session_error(&ask, "unknown_type",
                                      "the message has no \"type\"", NULL);
        return;

    case BC_MESSAGE_PING:
        ngx_http_blockcast_session_answer(&ask, "pong", NULL);
        return;

    case BC_MESSAGE_SUBSCRIBE:
    case BC_MESSAGE_UNSUBSCRIBE:
        break;

    default:
        ngx_http_blockcast_session_error(&ask, "unknown_type",
                                         "unknown message type", &name);
        return;
    }

    for (n = 0; (rc = bc_message_stream(&message)) != 0; n++) {

        if (n == NGX_HTTP_BLOCKCAST_STREAMS) {
            ngx_http_blockcast_session_error(&ask, "bad_request",
                                       "too many streams in a message", NULL);
            return;
        }

        if (conn->closing || conn->dead) {

            /* its answers are too many already */
            return;
        }

        name.len = message.name_len;

        if (rc == -1) {
            ngx_http_blockcast_session_error(&ask, "unknown_stream",
                                  "a stream's name must be a string", NULL);

        } else if (message.what == BC_MESSAGE_SUBSCRIBE) {
            ngx_http_blockcast_session_subscribe(&ask, &name, &message);

        } else {
            ngx_http_blockcast_session_unsubscribe(&ask, &name);
        }
    }

    if (n == 0) {
        ngx_http_blockcast_session_error(&ask, "unknown_stream",
                          "the message has no \"stream\" or \"streams\"",
                          NULL);
    }
}


ngx_http_blockcast_stream_t *
ngx_http_blockcast_session_find(ngx_http_blockcast_conn_t *conn,
    ngx_str_t *name, ngx_http_blockcast_wrong_t *wrong)
{
    ngx_http_blockcast_stream_t     *st;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    st = ngx_http_blockcast_stream_find(bmcf, name);

    /* what a client may not have is not there for it */

    if (st == NULL || !(conn->allowed & ((uint64_t) 1 << st->index))) {
        wrong->code = "unknown_stream";
        wrong->text = "unknown stream";
        return NULL;
    }

    return st;
}


static ngx_http_blockcast_sub_t *
ngx_http_blockcast_session_sub(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t  i;

    for (i = 0; i < conn->nsubs; i++) {
        if (conn->subs[i].feed->stream == st) {
            return &conn->subs[i];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_blockcast_session_join(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_wish_t *wish,
    ngx_http_blockcast_wrong_t *wrong)
{
    ngx_uint_t                  n;
    ngx_http_blockcast_sub_t   *sub, *subs;
    ngx_http_blockcast_feed_t  *feed;

    if (ngx_http_blockcast_session_sub(conn, st) != NULL) {
        return NGX_DONE;
    }

    if (conn->nsubs >= conn->conf->max_subscriptions) {
        wrong->code = "too_many_subscriptions";
        wrong->text = "no more subscriptions on this connection";
        return NGX_ERROR;
    }

    wrong->code = "no_memory";
    wrong->text = "no memory, try later";

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

    feed = ngx_http_blockcast_feed(st);
    sub = &conn->subs[conn->nsubs];

    ngx_memzero(sub, sizeof(ngx_http_blockcast_sub_t));

    if (ngx_http_blockcast_feed_join(feed, conn, conn->nsubs) != NGX_OK) {
        return NGX_ERROR;
    }

    /* what it missed is put together, and compressed, for it alone */

    if (wish->has_since && st->field.len != 0 && conn->conf->rate != 0
        && (conn->joined & ((uint64_t) 1 << st->index)))
    {
        conn->excess += NGX_HTTP_BLOCKCAST_RESUMED * 1000;
    }

    conn->nsubs++;
    conn->joined |= (uint64_t) 1 << st->index;

    /* a client takes the stream for live until it is told otherwise */

    sub->told = ngx_http_blockcast_live;

    if (st->field.len == 0) {

        if (wish->delta) {
            ngx_http_blockcast_feed_patches(sub);
        }

    } else if (wish->has_since
               && (wish->since <= (feed->newest != NULL ? feed->snap.seq : 0)
                   || wish->since <= st->slot->hole))
    {
        sub->seq = wish->since;

    } else {

        /* a seq that is not reached yet is of another epoch */

        sub->first = 1;
    }

    return NGX_OK;
}


void
ngx_http_blockcast_session_begin(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_sub_t  *sub;

    sub = ngx_http_blockcast_session_sub(conn, st);

    if (sub != NULL) {
        ngx_http_blockcast_ws_dirty(conn, sub);
    }
}


ngx_int_t
ngx_http_blockcast_session_part(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_sub_t  *sub;

    sub = ngx_http_blockcast_session_sub(conn, st);

    if (sub == NULL) {
        return NGX_DECLINED;
    }

    ngx_http_blockcast_feed_leave(sub->feed, sub->place);

    if (sub->dirty) {
        conn->ndirty--;
    }

    i = sub - conn->subs;
    conn->nsubs--;

    if (i != conn->nsubs) {
        *sub = conn->subs[conn->nsubs];
        sub->feed->listeners[sub->place].sub = i;
    }

    return NGX_OK;
}


static void
ngx_http_blockcast_session_subscribe(ngx_http_blockcast_ask_t *ask,
    ngx_str_t *name, bc_message_t *message)
{
    ngx_http_blockcast_wish_t     wish;
    ngx_http_blockcast_wrong_t    wrong;
    ngx_http_blockcast_stream_t  *st;

    ngx_memzero(&wish, sizeof(ngx_http_blockcast_wish_t));

    st = ngx_http_blockcast_session_find(ask->conn, name, &wrong);

    if (st == NULL) {
        ngx_http_blockcast_session_error(ask, wrong.code, wrong.text, name);
        return;
    }

    if (message->bad_since) {
        ngx_http_blockcast_session_error(ask, "bad_request",
                          "\"since\" must be a seq, an integer from 0", name);
        return;
    }

    wish.since = message->since;
    wish.has_since = message->has_since;
    wish.delta = message->delta;

    if (ngx_http_blockcast_session_join(ask->conn, st, &wish, &wrong)
        == NGX_ERROR)
    {
        ngx_http_blockcast_session_error(ask, wrong.code, wrong.text, name);
        return;
    }

    /* a second time it is answered again, and delivered once */

    ngx_http_blockcast_session_answer(ask, "subscribed", name);
    ngx_http_blockcast_session_begin(ask->conn, st);
}


static void
ngx_http_blockcast_session_unsubscribe(ngx_http_blockcast_ask_t *ask,
    ngx_str_t *name)
{
    ngx_http_blockcast_wrong_t    wrong;
    ngx_http_blockcast_stream_t  *st;

    st = ngx_http_blockcast_session_find(ask->conn, name, &wrong);

    if (st == NULL) {
        ngx_http_blockcast_session_error(ask, wrong.code, wrong.text, name);
        return;
    }

    (void) ngx_http_blockcast_session_part(ask->conn, st);

    ngx_http_blockcast_session_answer(ask, "unsubscribed", name);
}


/* the end of a message, and its form in the client's protocol; or NULL */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_session_finish(ngx_http_blockcast_ask_t *ask,
    ngx_http_blockcast_frame_t *frame, u_char *p)
{
    if (ask->id.len != 0) {
        p = ngx_cpymem(p, ",\"id\":", sizeof(",\"id\":") - 1);
        p = ngx_cpymem(p, ask->id.data, ask->id.len);
    }

    *p++ = '}';

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return ngx_http_blockcast_protocol_convert(ask->conn, NULL, frame);
}


static void
ngx_http_blockcast_session_send(ngx_http_blockcast_ask_t *ask,
    ngx_http_blockcast_frame_t *frame, u_char *p)
{
    frame = ngx_http_blockcast_session_finish(ask, frame, p);

    if (frame == NULL) {
        ngx_http_blockcast_ws_close(ask->conn, 1013, "no memory");
        return;
    }

    ngx_http_blockcast_ws_queue(ask->conn, frame);
}


static void
ngx_http_blockcast_session_answer(ngx_http_blockcast_ask_t *ask,
    const char *type, ngx_str_t *stream)
{
    u_char                      *p;
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_frame_alloc(128 + NGX_HTTP_BLOCKCAST_NAME_LEN
                                           + ask->id.len);
    if (frame == NULL) {
        ngx_http_blockcast_ws_close(ask->conn, 1013, "no memory");
        return;
    }

    p = frame->data + frame->payload;
    p = ngx_sprintf(p, "{\"type\":\"%s\"", type);

    if (stream != NULL) {
        p = ngx_sprintf(p, ",\"stream\":\"%V\"", stream);
    }

    p = ngx_sprintf(p, ",\"timestamp\":%T", ngx_time());

    ngx_http_blockcast_session_send(ask, frame, p);
}


/* name, when there is one, is quoted behind the text; it may be anything */

static void
ngx_http_blockcast_session_error(ngx_http_blockcast_ask_t *ask,
    const char *code, const char *text, ngx_str_t *name)
{
    u_char                      *p, shown[64];
    size_t                       len;
    ngx_str_t                    said;
    ngx_http_blockcast_frame_t  *frame;

    len = 0;

    if (name != NULL) {
        said = *name;
        ngx_http_blockcast_printable(&said, shown, sizeof(shown));
        name = &said;
        len = said.len;
    }

    frame = ngx_http_blockcast_frame_alloc(256 + ngx_strlen(text)
                       + (len ? bc_json_escape_len(name->data, len) : 0)
                       + ask->id.len);
    if (frame == NULL) {
        ngx_http_blockcast_ws_close(ask->conn, 1013, "no memory");
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

    ngx_http_blockcast_session_send(ask, frame, p);
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_session_status(ngx_http_blockcast_feed_t *feed)
{
    u_char                          *p;
    ngx_int_t                        age;
    ngx_msec_t                       left;
    ngx_http_blockcast_told_t        told;
    ngx_http_blockcast_error_t       error, note;
    ngx_http_blockcast_frame_t      *frame;
    ngx_http_blockcast_tally_t      *tally;
    ngx_http_blockcast_main_conf_t  *bmcf;

    ngx_http_blockcast_read_error(feed->stream->slot, &error);
    ngx_http_blockcast_read_note(feed->stream->slot, &note);

    frame = ngx_http_blockcast_frame_alloc(320 + NGX_HTTP_BLOCKCAST_NAME_LEN
                             + bc_json_escape_len(error.text, error.len)
                             + bc_json_escape_len(note.text, note.len));
    if (frame == NULL) {
        return NULL;
    }

    age = ngx_http_blockcast_age(feed->stream->slot);

    p = frame->data + frame->payload;
    p = ngx_sprintf(p, "{\"type\":\"status\",\"stream\":\"%V\","
                    "\"state\":\"%s\",\"age\":", &feed->stream->name,
                    ngx_http_blockcast_state_names[feed->state]);

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

    if (ngx_http_blockcast_read_node(bmcf->zone, &feed->stream->node->name,
                                     &told, &tally)
        == NGX_OK
        && told.state != ngx_http_blockcast_node_ok)
    {
        left = ngx_http_blockcast_node_left(&told);

        p = ngx_sprintf(p, ",\"node\":\"%s\",\"retry_in\":%M.%03M",
                        ngx_http_blockcast_node_states[told.state],
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
