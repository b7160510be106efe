
/*
 * Between the zone's parts: _zone (slots, workers), _lease, _store and _ring
 * (what is in a slot), _recover (what a former poller left in it).
 */


#ifndef _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* text around the data of a message, the stream's name twice not counted */
#define NGX_HTTP_BLOCKCAST_MESSAGE_AROUND                                     \
    (sizeof("{\"type\":\"\",\"data\":,\"timestamp\":,\"seq\":}")             \
     + 2 * NGX_INT64_LEN)


/*
 * Moments of a publish at which a worker may die.  In a module built for that
 * test only, the test's library ends the process at one of them.
 */

#if (NGX_HTTP_BLOCKCAST_TEST_KILL)
void ngx_http_blockcast_test_moment(const char *name);
#else
#define ngx_http_blockcast_test_moment(name)
#endif


/* NGX_OK with the mutex locked, for who has the lease, and the lead, which
   nobody takes before the end; else NGX_DECLINED */
ngx_int_t ngx_http_blockcast_snapshot_begin(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);
void ngx_http_blockcast_snapshot_end(ngx_http_blockcast_zone_t *zone);

/*
 * Builds all that a message consists of, in memory of ngx_alloc(); and makes
 * it the newest, with the mutex locked.
 */
u_char *ngx_http_blockcast_snapshot_build(ngx_http_blockcast_stream_t *st,
    ngx_str_t *data, ngx_str_t *previous, ngx_str_t *memory, uint64_t seq,
    time_t timestamp, ngx_uint_t count, ngx_http_blockcast_snapshot_t *snap,
    ngx_log_t *log);
void ngx_http_blockcast_snapshot_commit(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf);
/* the beginning of a batch: {"FIELD":[ */
u_char *ngx_http_blockcast_snapshot_batch_head(u_char *p,
    ngx_http_blockcast_stream_t *st);

/*
 * What another nginx tells of a slot: the program's state that belongs to a
 * seq, and the error.  Nothing happens when it is known already.
 */
void ngx_http_blockcast_snapshot_set_memory(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_str_t *memory, uint64_t seq);


ngx_int_t ngx_http_blockcast_snapshot_publish(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *data, ngx_str_t *previous,
    ngx_str_t *memory, time_t timestamp, ngx_log_t *log);
ngx_int_t ngx_http_blockcast_snapshot_publish_log(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_log_entry_t *entries, ngx_uint_t n, ngx_str_t *memory,
    time_t timestamp, ngx_log_t *log);

/* the same data, another state of the program: not a new seq */
ngx_int_t ngx_http_blockcast_snapshot_publish_memory(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st,
    ngx_str_t *memory, ngx_log_t *log);

/*
 * The newest snapshot: *snap and its buffer (the frames, then the program's
 * state) copied to memory of ngx_alloc(), which the caller frees.  NGX_OK,
 * NGX_DECLINED before the first snapshot, NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_snapshot_read(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char **buf, ngx_log_t *log);

/* writes {"type":…,"data":DATA,"timestamp":…,"seq":…}; returns its end */
size_t ngx_http_blockcast_snapshot_message_len(ngx_http_blockcast_stream_t *st,
    size_t data_len);
u_char *ngx_http_blockcast_snapshot_message_head(u_char *p,
    ngx_http_blockcast_stream_t *st);
u_char *ngx_http_blockcast_snapshot_message_tail(u_char *p, uint64_t seq,
    time_t timestamp);

/* to the state file; the mutex is locked, so nobody else comes between */
void ngx_http_blockcast_snapshot_journal(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *record);
void ngx_http_blockcast_snapshot_record_free(ngx_str_t *record);


#endif /* _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_ */
