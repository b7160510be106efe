
/*
 * Subprotocols: the same messages as JSON, as CBOR, or as JSON-RPC.
 */


#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_key_hub.h"
#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "bc_span.h"
#include "bc_ws_frame.h"
#include "bc_http.h"


typedef struct {
    const char                       *name;
    ngx_http_blockcast_subprotocol_e  protocol;
} ngx_http_blockcast_subprotocol_t;


static ngx_http_blockcast_subprotocol_t  ngx_http_blockcast_subprotocols[] = {
    { "blockcast.v1.json", ngx_http_blockcast_json },
    { "blockcast.v1.cbor", ngx_http_blockcast_cbor },
    { "jsonrpc", ngx_http_blockcast_jsonrpc },
    { NULL, ngx_http_blockcast_json }
};


const char *
ngx_http_blockcast_subprotocol_choose(const u_char *value, size_t len,
    ngx_http_blockcast_subprotocol_e *protocol)
{
    bc_span_t                          item;
    const uint8_t                     *pos, *last;
    ngx_http_blockcast_subprotocol_t  *p;

    pos = value;
    last = value + len;

    while (bc_http_list_next(&pos, last, &item)) {

        for (p = ngx_http_blockcast_subprotocols; p->name != NULL; p++) {

            if (ngx_strlen(p->name) == item.len
                && ngx_memcmp(p->name, item.data, item.len) == 0)
            {
                *protocol = p->protocol;
                return p->name;
            }
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_blockcast_subprotocol_id(ngx_http_blockcast_hub_t *hub)
{
    return (hub->key != NULL) ? hub->key->id : hub->stream->index + 1;
}


u_char *
ngx_http_blockcast_subprotocol_rpc_head(ngx_http_blockcast_hub_t *hub,
    u_char *p)
{
    return ngx_sprintf(p, "{\"jsonrpc\":\"2.0\","
                       "\"method\":\"eth_subscription\","
                       "\"params\":{\"subscription\":\"0x%xi\",\"result\":",
                       ngx_http_blockcast_subprotocol_id(hub));
}


/*
 * Makes an eth_subscription notification from a text frame.  Returns NULL
 * without memory.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_rpc(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text)
{
    u_char                      *p;
    size_t                       len;
    ngx_http_blockcast_frame_t  *frame;

    len = text->len - text->payload;

    frame = ngx_http_blockcast_frame_alloc(
                                    len + NGX_HTTP_BLOCKCAST_SUBPROTOCOL_HEAD);
    if (frame == NULL) {
        return NULL;
    }

    p = ngx_http_blockcast_subprotocol_rpc_head(hub,
                                                frame->data + frame->payload);
    p = ngx_cpymem(p, text->data + text->payload, len);
    p = ngx_cpymem(p, "}}", 2);

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return frame;
}


/*
 * Makes a CBOR frame from a text frame.  Returns NULL when it cannot, and sets
 * *rc to what bc_cbor_encode() returned, or 0 without memory.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_encode(ngx_http_blockcast_frame_t *text,
    int *rc)
{
    size_t                       len;
    bc_span_t                    json;
    ngx_http_blockcast_frame_t  *frame;

    *rc = 0;

    json.data = text->data + text->payload;
    json.len = text->len - text->payload;

    frame = ngx_http_blockcast_frame_alloc(bc_cbor_encode_bound(json.len));
    if (frame == NULL) {
        return NULL;
    }

    *rc = bc_cbor_encode(json, frame->data + frame->payload,
                         bc_cbor_encode_bound(json.len), &len);

    if (*rc != 0) {
        ngx_http_blockcast_frame_free(frame);
        return NULL;
    }

    ngx_http_blockcast_frame_finish(frame, BC_WS_BINARY, len);

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_not_representable(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text)
{
    int                             rc;
    cJSON                          *root;
    bc_span_t                       json, seq;
    ngx_str_t                       message;
    ngx_uint_t                      suppressed;
    ngx_http_blockcast_frame_t     *error, *frame;
    ngx_http_blockcast_json_out_t   out;

    ngx_str_set(&message, "CBOR");

    if (ngx_http_blockcast_log_throttle(&hub->suppressed, &message,
                                        &suppressed))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "blockcast: a message of stream \"%V\" holds a number "
                      "that CBOR cannot represent, its clients get an error "
                      "instead (%ui more since it was last logged)",
                      &hub->stream->name, suppressed);
    }

    json.data = text->data + text->payload;
    json.len = text->len - text->payload;

    if (!bc_json_member(json, "seq", &seq) || seq.len > NGX_INT64_LEN) {
        seq.data = (const uint8_t *) "null";
        seq.len = 4;
    }

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", "error");
    ngx_http_blockcast_json_out_string(&out, root, "message",
                                       "This message holds a number that CBOR "
                                       "cannot represent, take it as JSON");
    ngx_http_blockcast_json_out_string(&out, root, "code",
                                       "not_representable");
    ngx_http_blockcast_json_out_text(&out, root, "stream",
                                     hub->stream->name.data,
                                     hub->stream->name.len);

    if (hub->key != NULL) {
        ngx_http_blockcast_json_out_text(&out, root, "key",
                                         hub->key->text.data,
                                         hub->key->text.len);
    }

    ngx_http_blockcast_json_out_raw(&out, root, "seq", seq.data, seq.len);
    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    error = ngx_http_blockcast_frame_json(&out);
    if (error == NULL) {
        return NULL;
    }

    frame = ngx_http_blockcast_subprotocol_encode(error, &rc);

    ngx_http_blockcast_frame_free(error);

    return frame;
}


static ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_cbor(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text)
{
    int                          rc;
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_subprotocol_encode(text, &rc);

    if (frame == NULL && rc == -2) {

        if (hub != NULL) {
            return ngx_http_blockcast_subprotocol_not_representable(hub, text);
        }

        /* an answer that repeats numbers sent by the client */

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "blockcast: an answer of %uz bytes cannot be "
                      "represented in CBOR", text->len);
    }

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_frame(ngx_http_blockcast_subprotocol_e protocol,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_frame_t *text)
{
    return (protocol == ngx_http_blockcast_cbor)
           ? ngx_http_blockcast_subprotocol_cbor(hub, text)
           : ngx_http_blockcast_subprotocol_rpc(hub, text);
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_convert(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_frame_t *text)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = text;

    if (conn->protocol == ngx_http_blockcast_cbor
        || (conn->protocol == ngx_http_blockcast_jsonrpc && hub != NULL))
    {
        frame = ngx_http_blockcast_subprotocol_frame(conn->protocol, hub,
                                                     text);
        ngx_http_blockcast_frame_free(text);

        if (frame == NULL) {
            return NULL;
        }
    }

    return frame;
}
