
/*
 * Notes: events of a stream that are not errors, such as a shorter chain.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_


#include "ngx_http_blockcast_poll.h"


/*
 * Logs an event and keeps it in the zone as the stream's newest note, cut to
 * ERROR_LEN bytes.
 */
void ngx_http_blockcast_stream_note(ngx_http_blockcast_poll_t *poll,
    const char *fmt, ...);

/* Does the same with n events at once, which a program has reported. */
void ngx_http_blockcast_stream_note_texts(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *texts, ngx_uint_t n);

/* Notes that a call's result is of another JSON type than before. */
void ngx_http_blockcast_stream_note_type(ngx_http_blockcast_poll_call_t *call,
    ngx_str_t *result);


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_NOTE_H_INCLUDED_ */
