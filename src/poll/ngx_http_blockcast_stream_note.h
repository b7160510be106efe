
/*
 * Notes: what happened to a stream, and is no error.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Tells of something in the log, and keeps it in the zone as the stream's
 * newest note.  The text is cut to ERROR_LEN bytes.
 */
void ngx_http_blockcast_stream_note(ngx_http_blockcast_poll_t *poll,
    const char *fmt, ...);

/* the same for what a program has put out: JSON; only a string is a note */
void ngx_http_blockcast_stream_note_output(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *json);

/* a call has answered: a note when its result is of another type than before */
void ngx_http_blockcast_stream_note_type(ngx_http_blockcast_poll_call_t *call,
    ngx_str_t *result);

/* the newest note, or one with len 0 */
void ngx_http_blockcast_stream_status_read_note(
    ngx_http_blockcast_slot_t *slot, ngx_http_blockcast_error_t *note);


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_ */
