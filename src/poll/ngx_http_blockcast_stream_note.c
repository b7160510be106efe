
/*
 * Notes: events of a stream that are not errors.
 *
 * A node that was restarted may have a shorter chain, another one, or
 * results of another type.  The stream continues, and the event is shown in
 * the log, in /api/health and, for a minute, in status messages.
 */


#include "ngx_http_blockcast_stream_note.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_poll.h"


static void ngx_http_blockcast_stream_note_log(
    ngx_http_blockcast_poll_t *poll, ngx_str_t *message);
static void ngx_http_blockcast_stream_note_keep(
    ngx_http_blockcast_poll_t *poll, ngx_str_t *message);


void
ngx_http_blockcast_stream_note(ngx_http_blockcast_poll_t *poll,
    const char *fmt, ...)
{
    u_char     *p, text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    va_list     args;
    ngx_str_t   message;

    va_start(args, fmt);
    p = ngx_vslprintf(text, text + NGX_HTTP_BLOCKCAST_ERROR_LEN, fmt, args);
    va_end(args);

    message.data = text;
    message.len = p - text;

    ngx_http_blockcast_stream_note_texts(poll, &message, 1);
}


void
ngx_http_blockcast_stream_note_texts(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *texts, ngx_uint_t n)
{
    size_t      len;
    u_char      all[NGX_HTTP_BLOCKCAST_ERROR_LEN], *p;
    u_char      printable[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t   message;
    ngx_uint_t  i;

    if (n == 0) {
        return;
    }

    p = all;

    for (i = 0; i < n; i++) {
        message = texts[i];

        /* log one line, whatever the node has sent */

        ngx_http_blockcast_gate_printable(&message, printable,
                                          sizeof(printable));
        ngx_http_blockcast_stream_note_log(poll, &message);

        if (i != 0) {
            p = ngx_slprintf(p, all + sizeof(all), "; ");
        }

        len = ngx_min(message.len, (size_t) (all + sizeof(all) - p));
        p = ngx_cpymem(p, message.data, len);
    }

    message.data = all;
    message.len = p - all;

    /* the text may have been cut inside a character */

    ngx_http_blockcast_gate_printable(&message, printable, sizeof(printable));
    ngx_http_blockcast_stream_note_keep(poll, &message);
}


static void
ngx_http_blockcast_stream_note_log(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *message)
{
    ngx_uint_t  suppressed;

    /* log the same text again only after a while */

    if (ngx_time() - poll->noted
        > NGX_HTTP_BLOCKCAST_LOG_THROTTLE_AGAIN
          + (time_t) (2 * poll->stream->interval / 1000))
    {
        poll->notes.began = ngx_time();
    }

    poll->noted = ngx_time();

    if (ngx_http_blockcast_log_throttle(&poll->notes, message, &suppressed)) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: stream \"%V\": %V", &poll->stream->name,
                      message);
    }
}


static void
ngx_http_blockcast_stream_note_keep(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *message)
{
    ngx_http_blockcast_slot_t   *slot;
    ngx_http_blockcast_error_t  *note;

    if (!ngx_http_blockcast_lease_held(poll->bmcf->zone)) {
        return;
    }

    slot = poll->stream->slot;
    note = &slot->note[(slot->note_version + 1) & 1];

    note->since = ngx_time();
    note->code = 0;
    note->len = message->len;
    ngx_memcpy(note->text, message->data, message->len);

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
        /* null may stand for a value of any type */
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
