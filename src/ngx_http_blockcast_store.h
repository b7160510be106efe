
/*
 * Between the zone's two halves: _zone (slots, workers, lease) and _store
 * (what is in a slot).
 */


#ifndef _NGX_HTTP_BLOCKCAST_STORE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STORE_H_INCLUDED_


#include "ngx_http_blockcast_zone.h"


/* text around the data of a message, the stream's name twice not counted */
#define NGX_HTTP_BLOCKCAST_AROUND                                             \
    (sizeof("{\"type\":\"\",\"data\":,\"timestamp\":,\"seq\":}")             \
     + 2 * NGX_INT64_LEN)


/*
 * Moments of a publish at which a worker may die.  In a module built for that
 * test only, the test's library ends the process at one of them.
 */

#if (NGX_HTTP_BLOCKCAST_TEST_KILL)
void ngx_http_blockcast_moment(const char *name);
#else
#define ngx_http_blockcast_moment(name)
#endif


/* bytes of a text frame, and of all a snapshot may consist of, at most */
size_t ngx_http_blockcast_frame_size(size_t max_size);
size_t ngx_http_blockcast_buffer_size(size_t max_size, ngx_uint_t log);

/* the slab pool's mutex; NGX_ERROR: somebody else does not give it back */
ngx_int_t ngx_http_blockcast_zone_lock(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);

void ngx_http_blockcast_slot_takeover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st);

/* writes an entry behind the others, over the oldest ones; locked, or alone */
void ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth);


#endif /* _NGX_HTTP_BLOCKCAST_STORE_H_INCLUDED_ */
