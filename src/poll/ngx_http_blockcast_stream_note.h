
/*
 * Notes: what happened to a stream, and is no error.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_


#include "ngx_http_blockcast_poll.h"


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


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_ */
