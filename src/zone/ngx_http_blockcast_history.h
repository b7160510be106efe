
/*
 * The history of a stream's numbers, see blockcast_history: what the poller
 * adds to it, and how it outlives a configuration.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HISTORY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HISTORY_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Called by the poller: _feed() adds the numbers in a stream's data after a
 * successful poll; _break() ends their validity after a failed one.
 */
void ngx_http_blockcast_history_feed(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *data);
void ngx_http_blockcast_history_break(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st);

/* Adds to dst what src, in the zone from, has beyond it. */
void ngx_http_blockcast_history_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from);

/*
 * Adds what a state file has.  NGX_OK; NGX_ERROR: it is damaged; NGX_DECLINED:
 * the stream keeps no history, or the zone is locked.
 */
ngx_int_t ngx_http_blockcast_history_merge(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, const u_char *p, size_t len);


#endif /* _NGX_HTTP_BLOCKCAST_HISTORY_H_INCLUDED_ */
