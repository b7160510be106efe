
/*
 * Notes: what happened to a stream, and is no error.
 *
 * A node that was restarted may have a shorter chain, another one, or results
 * of another type.  The stream goes on; that it happened is in the log, in
 * /api/health and in the status messages of the minute after it.
 */


#include "ngx_http_blockcast_stream_note.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_poll.h"
#include "bc_json.h"
#include "bc_span.h"


static void ngx_http_blockcast_stream_note_text(
    ngx_http_blockcast_poll_t *poll, u_char *text, size_t len);


void
ngx_http_blockcast_stream_note(ngx_http_blockcast_poll_t *poll,
    const char *fmt, ...)
{
    u_char   *p, text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    va_list   args;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + NGX_HTTP_BLOCKCAST_ERROR_LEN, fmt, args);
    va_end(args);

    ngx_http_blockcast_stream_note_text(poll, text, p - text);
}


void
ngx_http_blockcast_stream_note_output(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *json)
{
    u_char    *p, text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    size_t     len;
    bc_span_t  span;
    ngx_str_t  error;

    if (json->len < 2 || json->data[0] != '"') {
        return;
    }

    if (ngx_http_blockcast_gate_check(json, "the program's note", text,
                                      sizeof(text), &error)
        != NGX_OK)
    {
        ngx_http_blockcast_stream_note_text(poll, error.data, error.len);
        return;
    }

    p = ngx_pnalloc(poll->pool, json->len);
    if (p == NULL) {
        return;
    }

    span.data = json->data;
    span.len = json->len;

    if (bc_json_string(span, p, json->len, &len) != 0 || len == 0) {
        return;
    }

    ngx_http_blockcast_stream_note_text(poll, p, len);
}


static void
ngx_http_blockcast_stream_note_text(ngx_http_blockcast_poll_t *poll,
    u_char *text, size_t len)
{
    u_char                       printable[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t                    message;
    ngx_uint_t                   suppressed;
    ngx_http_blockcast_slot_t   *slot;
    ngx_http_blockcast_error_t  *note;

    message.data = text;
    message.len = len;

    /* one line of the log, whatever the node has sent */

    ngx_http_blockcast_gate_printable(&message, printable, sizeof(printable));

    if (ngx_http_blockcast_log_throttle(&poll->notes, &message, &suppressed)) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: stream \"%V\": %V", &poll->stream->name,
                      &message);
    }

    if (!ngx_http_blockcast_lease_held(poll->bmcf->zone)) {
        return;
    }

    slot = poll->stream->slot;
    note = &slot->note[(slot->note_version + 1) & 1];

    note->since = ngx_time();
    note->code = 0;
    note->len = message.len;
    ngx_memcpy(note->text, message.data, message.len);

    ngx_memory_barrier();

    slot->note_version++;
}


void
ngx_http_blockcast_stream_note_type(ngx_http_blockcast_poll_call_t *call,
    ngx_str_t *result)
{
    u_char              type;
    static const char  *names[] = { "an object", "an array", "a string",
                                    "a boolean", "a number" };

    if (call->conf->each != 0 || result->len == 0) {
        return;
    }

    switch (result->data[0]) {

    case 'n':
        /* null is in place of any of them */
        return;

    case '{':
        type = 1;
        break;

    case '[':
        type = 2;
        break;

    case '"':
        type = 3;
        break;

    case 't':
    case 'f':
        type = 4;
        break;

    default:
        type = 5;
    }

    if (call->type != 0 && call->type != type) {
        ngx_http_blockcast_stream_note(call->poll,
                                       "the result of call \"%V\" is %s, "
                                       "it was %s", &call->conf->name,
                                       names[type - 1], names[call->type - 1]);
    }

    call->type = type;
}
