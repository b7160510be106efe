
/*
 * Snapshots: how a slot's data is built, published by the poller, and read by
 * every worker.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_zone.h"


/* bytes around the data of a message, without the stream's name */
#define NGX_HTTP_BLOCKCAST_MESSAGE_AROUND                                     \
    (sizeof("{\"type\":\"\",\"data\":,\"timestamp\":,\"seq\":}")             \
     + 2 * NGX_INT64_LEN)


/*
 * Marks a moment of a publish at which a worker may die.  Does nothing except
 * in the module built for t/84-kill.t, where a preloaded library ends the
 * process there.
 */

#if (NGX_HTTP_BLOCKCAST_TEST_KILL)
void ngx_http_blockcast_test_moment(const char *name);
#else
#define ngx_http_blockcast_test_moment(name)
#endif


/*
 * One publication of a stream.  Everything it points to belongs to the caller
 * and is used during the call only.
 */

typedef enum {
    ngx_http_blockcast_publish_data = 0,    /* a snapshot */
    ngx_http_blockcast_publish_batch,       /* the new entries of a log */
    ngx_http_blockcast_publish_memory       /* only the program's memory */
} ngx_http_blockcast_publication_e;


typedef struct {
    ngx_http_blockcast_stream_t  *stream;
    ngx_str_t                     key;          /* or empty */
    ngx_http_blockcast_publication_e  type;
    uint64_t                      seq;          /* set by propose() */
    time_t                        timestamp;    /* Unix seconds of the poll */
    ngx_str_t                     data;         /* JSON, not of a batch */
    ngx_str_t                     previous;     /* data of the previous seq, to
                                                   make a delta; or empty */
    ngx_str_t                     memory;       /* of the program, or empty */
    ngx_http_blockcast_log_entry_t  *entries;   /* of a batch */
    ngx_uint_t                    count;        /* entries of the batch */
} ngx_http_blockcast_publication_t;


/*
 * Begins a write to the slots: locks the zone's mutex.  NGX_DECLINED, and
 * nothing is locked, when this worker does not hold the lease or another
 * nginx publishes.
 */
ngx_int_t ngx_http_blockcast_snapshot_begin(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);
void ngx_http_blockcast_snapshot_end(ngx_http_blockcast_zone_t *zone);

/* Do the same for a given recorder, which is asked first; NULL: for none. */
ngx_int_t ngx_http_blockcast_snapshot_begin_by(
    ngx_http_blockcast_zone_t *zone,
    const ngx_http_blockcast_recorder_t *recorder, ngx_log_t *log);
void ngx_http_blockcast_snapshot_end_by(ngx_http_blockcast_zone_t *zone,
    const ngx_http_blockcast_recorder_t *recorder);

/*
 * Builds the frames of a publication, with its seq, in memory of ngx_alloc(),
 * which the caller frees, and describes them in *snap.  NULL without memory.
 */
u_char *ngx_http_blockcast_snapshot_build(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_snapshot_t *snap, ngx_log_t *log);

/* Makes the built frames the newest snapshot; the mutex is locked. */
void ngx_http_blockcast_snapshot_commit(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf);

/* Writes the beginning of a batch, {"FIELD":[, and returns its end. */
u_char *ngx_http_blockcast_snapshot_batch_head(u_char *p,
    ngx_http_blockcast_stream_t *st);

/*
 * Sets the program's memory of number seq, as another nginx recorded it.  Does
 * nothing when it is the same, or seq is not the newest.
 */
void ngx_http_blockcast_snapshot_set_memory(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_str_t *memory, uint64_t seq);


/* a publication that is built and ready to be committed */

typedef struct {
    ngx_http_blockcast_snapshot_t  snap;
    u_char                       *buf;          /* of ngx_alloc(), or NULL */
    ngx_http_blockcast_slot_t    *slot;         /* where it was committed */
    uint64_t                      version;      /* ... and as which version */

    /* in pieces: the offset of the data in buf, and how many bytes were copied
       to buf, then from buf to the slot */
    size_t                        head;
    size_t                        copied;
    uint64_t                      claim;        /* see slot->claims; 0: none */
    ngx_http_blockcast_ring_place_t  place;     /* of a log's entry, and how
                                                   much of it was copied */
    size_t                        entered;
} ngx_http_blockcast_prepared_t;

/*
 * Prepares a publication that has got its number.  NGX_ERROR, with nothing to
 * free, when the data does not fit or there is no memory.
 */
ngx_int_t ngx_http_blockcast_snapshot_prepare(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, ngx_log_t *log);

/* Makes it the newest in its slot; the mutex is locked. */
void ngx_http_blockcast_snapshot_commit_prepared(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared);

/*
 * Do the same in pieces, for a snapshot, or a batch of one entry, that is
 * neither compressed nor sent as a patch.  _begin() allocates the buffer;
 * _prepare_piece() copies at most len bytes to it.  Then _stage_entry(), for a
 * batch, and _stage_piece(), called with the mutex locked while this worker
 * holds the lease, copy to the slot; NGX_DECLINED: another worker has written
 * there.  Last, commit it, with the mutex locked, if it still _is_staged().
 * NGX_AGAIN: there is more to copy.
 */
ngx_int_t ngx_http_blockcast_snapshot_prepare_begin(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, ngx_log_t *log);
ngx_int_t ngx_http_blockcast_snapshot_prepare_piece(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, size_t len);
ngx_int_t ngx_http_blockcast_snapshot_stage_entry(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, size_t len);
ngx_int_t ngx_http_blockcast_snapshot_stage_piece(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, size_t len);
ngx_uint_t ngx_http_blockcast_snapshot_is_staged(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared);
void ngx_http_blockcast_snapshot_commit_staged(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared);

void ngx_http_blockcast_snapshot_prepared_free(
    ngx_http_blockcast_prepared_t *prepared);

/*
 * Copies the newest snapshot, without a lock: *snap, and its buffer (the
 * frames, then the program's memory) to *buf, of ngx_alloc(), which the caller
 * frees.  NGX_DECLINED before the first snapshot; NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_snapshot_read(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char **buf, ngx_log_t *log);

/*
 * Do the same for a large snapshot, in pieces of len bytes.  _begin() sets all
 * but `copied`; NGX_DECLINED: use _read(), as the snapshot is not large, or
 * need not be copied.  _piece() copies one; NGX_AGAIN: there is more;
 * NGX_DECLINED: there is a newer snapshot, so start over.
 */
typedef struct {
    ngx_http_blockcast_snapshot_t  snap;
    uint64_t                      version;
    u_char                       *buf;          /* the caller's */
    size_t                        copied;
} ngx_http_blockcast_reading_t;

ngx_int_t ngx_http_blockcast_snapshot_read_begin(
    ngx_http_blockcast_slot_t *slot, ngx_http_blockcast_reading_t *reading,
    ngx_log_t *log);
ngx_int_t ngx_http_blockcast_snapshot_read_piece(
    ngx_http_blockcast_slot_t *slot, ngx_http_blockcast_reading_t *reading,
    size_t len);

/*
 * Write {"type":NAME,"data":DATA,"timestamp":SEC,"seq":SEQ}: _head() and
 * _tail() what comes before and after DATA, which the caller writes; both
 * return the end.  _len() returns the most bytes the whole takes.
 */
size_t ngx_http_blockcast_snapshot_message_len(ngx_http_blockcast_stream_t *st,
    size_t data_len);
u_char *ngx_http_blockcast_snapshot_message_head(u_char *p,
    ngx_http_blockcast_stream_t *st);
u_char *ngx_http_blockcast_snapshot_message_tail(u_char *p, uint64_t seq,
    time_t timestamp);


#endif /* _NGX_HTTP_BLOCKCAST_SNAPSHOT_H_INCLUDED_ */
