
/*
 * Between the zone's parts: _zone (slots, workers), _lease, _store and _ring
 * (what is in a slot), _recover (what a former poller left in it).
 */


#ifndef _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_


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


/* bytes of a text frame, and of all a snapshot may consist of, at most */
size_t ngx_http_blockcast_zone_frame_size(size_t max_size);
size_t ngx_http_blockcast_zone_buffer_size(size_t max_size, ngx_uint_t log);

/* the slab pool's mutex; NGX_ERROR: somebody else does not give it back */
ngx_int_t ngx_http_blockcast_zone_lock(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);

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
void ngx_http_blockcast_stream_status_set(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text,
    time_t since);

/* a process that is there, or may be */
ngx_uint_t ngx_http_blockcast_zone_alive(ngx_pid_t pid);

void ngx_http_blockcast_zone_slot_takeover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st);

/*
 * The first entry of a ring of `size` bytes at *pos or after the padding that
 * is there; *pos is moved to it, and the caller moves it on by rec->size.
 * NULL at `head`, or where the ring makes no sense.
 */
ngx_http_blockcast_ring_record_t *ngx_http_blockcast_ring_next(u_char *ring,
    size_t size, uint64_t *pos, uint64_t head);

/* writes an entry behind the others, over the oldest ones; locked, or alone */
void ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_log_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth);

/* all entries up to a seq are gone, and some of them may never have come */
void ngx_http_blockcast_ring_clear(ngx_http_blockcast_slot_t *slot,
    uint64_t gone);

/*
 * Takes over the hashes of keys of another slot or the state file, the last n
 * of which are at p; they were made with this seed.  more: there were others
 * before, which nobody remembers.
 */
void ngx_http_blockcast_ring_keys(ngx_http_blockcast_slot_t *slot,
    const uint64_t *seed, const uint64_t *p, uint64_t n, ngx_uint_t more);


#endif /* _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_ */
