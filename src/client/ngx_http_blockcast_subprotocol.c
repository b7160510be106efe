
/*
 * Subprotocols: the same messages as JSON, as CBOR, or as JSON-RPC.
 */


#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "bc_span.h"
#include "bc_ws_frame.h"
#include "bc_ws_deflate.h"
#include "bc_http.h"


typedef struct {
    const char                     *name;
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


static ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_rpc(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text)
{
    u_char                      *p;
    size_t                       len;
    ngx_http_blockcast_frame_t  *frame;

    len = text->len - text->payload;

    frame = ngx_http_blockcast_frame_alloc(len + 128);
    if (frame == NULL) {
        return NULL;
    }

    p = frame->data + frame->payload;

    p = ngx_sprintf(p, "{\"jsonrpc\":\"2.0\",\"method\":\"eth_subscription\","
                    "\"params\":{\"subscription\":\"0x%xi\",\"result\":",
                    hub->stream->index + 1);
    p = ngx_cpymem(p, text->data + text->payload, len);
    p = ngx_cpymem(p, "}}", 2);

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return frame;
}


/* *rc is that of bc_cbor_encode(); NULL also without memory */

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


/*
 * What is sent in place of a message that CBOR has no words for: the client
 * knows that there was one, and which.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_subprotocol_not_representable(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_frame_t *text)
{
    int                          rc;
    u_char                      *p;
    bc_span_t                    json, value;
    ngx_str_t                    seq, message;
    ngx_uint_t                   suppressed;
    ngx_http_blockcast_frame_t  *error, *frame;

    ngx_str_set(&message, "CBOR");

    if (ngx_http_blockcast_log_throttle(&hub->suppressed, &message,
                                        &suppressed)) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "blockcast: a message of stream \"%V\" holds a number "
                      "that CBOR cannot say, its clients get an error instead "
                      "(%ui more since it was last logged)",
                      &hub->stream->name, suppressed);
    }

    json.data = text->data + text->payload;
    json.len = text->len - text->payload;

    ngx_str_set(&seq, "null");

    if (bc_json_member(json, "seq", &value) && value.len <= NGX_INT64_LEN) {
        seq.data = (u_char *) value.data;
        seq.len = value.len;
    }

    error = ngx_http_blockcast_frame_alloc(320 + NGX_INT64_LEN
                                           + hub->stream->name.len);
    if (error == NULL) {
        return NULL;
    }

    p = error->data + error->payload;
    p = ngx_sprintf(p,
                    "{\"type\":\"error\",\"message\":\"This message holds a "
                    "number that CBOR cannot say, take it as JSON\","
                    "\"code\":\"not_representable\",\"stream\":\"%V\","
                    "\"seq\":%V,\"timestamp\":%T}", &hub->stream->name, &seq,
                    ngx_time());

    ngx_http_blockcast_frame_finish(error, BC_WS_TEXT,
                                    p - error->data - error->payload);

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

        /* an answer: no number in it is ours */

        ngx_log_error(NGX_LOG_INFO, ngx_cycle->log, 0,
                      "blockcast: an answer of %uz bytes cannot be said in "
                      "CBOR", text->len);
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
    ngx_http_blockcast_frame_t  *frame, *z;

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

    /* the answers are short; a page or what was missed is not */

    if (conn->deflate
        && hub != NULL
        && bc_ws_deflate_suits(15, frame->len - frame->payload, conn->bits))
    {
        z = ngx_http_blockcast_frame_deflate(frame);

        if (z != NULL) {
            ngx_http_blockcast_frame_free(frame);
            return z;
        }
    }

    return frame;
}
