
/*
 * The status of a stream: its age, freshness, error and note.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_STATUS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_STATUS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Sets a slot's error, or clears it with an empty text, as another nginx
 * recorded it; since is in Unix seconds.  Does nothing if the text is the
 * same.
 */
void ngx_http_blockcast_stream_status_set(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text,
    time_t since);

/* Marks the data as fresh and clears the error, after a successful poll. */
void ngx_http_blockcast_stream_status_refresh(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot);

/*
 * Sets the error and records it, after a failed poll.  text is cut to
 * ERROR_LEN bytes at a character boundary.
 */
void ngx_http_blockcast_stream_status_fail(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text);

/* Clears the error and records that. */
void ngx_http_blockcast_stream_status_clear(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot);

/* Copy the newest error or note; its len is 0 when there is none. */
void ngx_http_blockcast_stream_status_read_error(
    ngx_http_blockcast_slot_t *slot, ngx_http_blockcast_error_t *error);
void ngx_http_blockcast_stream_status_read_note(
    ngx_http_blockcast_slot_t *slot, ngx_http_blockcast_error_t *note);

/* Returns how fresh the data is; listened: the stream has listeners. */
ngx_http_blockcast_freshness_e ngx_http_blockcast_stream_status_freshness(
    ngx_http_blockcast_stream_t *st, ngx_uint_t listened);

/* Returns the milliseconds since the last successful poll, -1 if none yet. */
ngx_int_t ngx_http_blockcast_stream_status_age(
    ngx_http_blockcast_slot_t *slot);


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_STATUS_H_INCLUDED_ */
