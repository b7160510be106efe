
/*
 * Freshness of a stream: its age, its error, its note.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_STATUS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_STATUS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* the newest note, or one with len 0 */
void ngx_http_blockcast_stream_status_read_note(
    ngx_http_blockcast_slot_t *slot, ngx_http_blockcast_error_t *note);
void ngx_http_blockcast_stream_status_set(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text,
    time_t since);

/* a good poll without a change; refreshes the age and clears the error */
void ngx_http_blockcast_stream_status_refresh(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot);

/* a failed poll; text is cut to ERROR_LEN bytes at a character */
void ngx_http_blockcast_stream_status_fail(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text);

/* the newest error, or one with len 0 */
void ngx_http_blockcast_stream_status_read_error(
    ngx_http_blockcast_slot_t *slot, ngx_http_blockcast_error_t *error);
ngx_http_blockcast_freshness_e ngx_http_blockcast_stream_status_freshness(
    ngx_http_blockcast_stream_t *st, ngx_uint_t listened);

/* milliseconds since the last good poll, or -1 */
ngx_int_t ngx_http_blockcast_stream_status_age(
    ngx_http_blockcast_slot_t *slot);


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_STATUS_H_INCLUDED_ */
