
/*
 * The keys of a stream with blockcast_key in the zone: a hash table of places
 * of one size.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_TABLE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_TABLE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_zone.h"


#define NGX_HTTP_BLOCKCAST_KEY_ERROR     77
#define NGX_HTTP_BLOCKCAST_KEY_WORDS                                         \
    ((NGX_HTTP_BLOCKCAST_WORKERS + 63) / 64)

/* no place: the end of a list, or a key that was not found */
#define NGX_HTTP_BLOCKCAST_KEY_NONE      ((ngx_uint_t) -1)


/* the state of a place */

typedef enum {
    ngx_http_blockcast_key_free = 0,
    ngx_http_blockcast_key_used,
    ngx_http_blockcast_key_dead                 /* it is being freed */
} ngx_http_blockcast_key_state_e;


typedef struct {
    uint64_t                      seq;
    uint64_t                      timestamp;    /* Unix seconds of the poll */
    uint64_t                      published;    /* CLOCK_MONOTONIC, usec */
    uint64_t                      len;          /* of the data, in bytes */
} ngx_http_blockcast_key_snap_t;


typedef struct {
    int64_t                       code;
    uint16_t                      len;          /* 0: there is none */
    u_char                        text[NGX_HTTP_BLOCKCAST_KEY_ERROR + 1];
} ngx_http_blockcast_key_error_t;


typedef struct {
    ngx_atomic_t                  state;
    ngx_atomic_t                  uses;         /* keys it has held so far */
    uint32_t                      next;         /* of its bucket: place + 1 */
    uint32_t                      hash;
    ngx_atomic_t                  listeners[NGX_HTTP_BLOCKCAST_KEY_WORDS];

    /* the data: buffer number version & 1; 0 before the first */
    ngx_atomic_t                  version;
    uint64_t                      base;         /* the next seq is greater than
                                                   this */

    ngx_atomic_t                  polled;       /* last good poll, msec or 0 */
    ngx_atomic_t                  attempted;    /* last poll's start, msec */
    ngx_atomic_t                  ended;        /* start of the last poll that
                                                   has ended, msec */
    ngx_atomic_t                  demanded;     /* last REST request, msec */
    ngx_atomic_t                  left;         /* last listener left, msec */
    ngx_atomic_t                  after;        /* seq of blockcast_after when
                                                   that poll started */

    /* the error: text number error_version & 1 */
    ngx_atomic_t                  error_version;
    ngx_http_blockcast_key_error_t  error[2];
    ngx_http_blockcast_key_snap_t  snap[2];

    uint64_t                      len;          /* of the key */
    u_char                        key[NGX_HTTP_BLOCKCAST_KEY_LEN];

    /* then: two buffers of max_size */
} ngx_http_blockcast_key_t;


typedef struct ngx_http_blockcast_key_table_s  ngx_http_blockcast_key_table_t;

struct ngx_http_blockcast_key_table_s {
    uint64_t                      max;
    uint64_t                      max_size;
    uint64_t                      size;         /* of a place */
    uint64_t                      mask;         /* of the buckets and rings */
    uint64_t                      seed[2];

    ngx_atomic_t                  high;         /* newest seq of dropped keys;
                                                   in a cluster, of all keys */
    ngx_atomic_t                  hand;         /* where to look for room */
    ngx_atomic_t                  full;         /* every key has listeners */
    ngx_atomic_t                  late;         /* how late keys are polled,
                                                   msec: see _key_poll */
    ngx_atomic_t                  lost;         /* dead places that were in no
                                                   list */
    ngx_atomic_t                  refused;      /* keys without a place */
    ngx_atomic_t                  evicted;      /* keys that made room */
    ngx_atomic_t                  polls;        /* answers, key by key */
    ngx_atomic_t                  changes;

    /* positions that only grow; position & mask is the place */
    ngx_atomic_t                  changed;
    ngx_atomic_t                  wanted;

    /* then: two rings (uint64_t), buckets (uint32_t), the places */
};


/* a copy of a key's data */

typedef struct {
    ngx_http_blockcast_key_snap_t  snap;
    uint64_t                      version;
    ngx_str_t                     data;         /* of ngx_alloc() */
} ngx_http_blockcast_key_data_t;


/* Returns the bytes that the keys of a stream need; 0 without keys. */
size_t ngx_http_blockcast_key_table_size(ngx_http_blockcast_stream_t *st);

/* Makes an empty table in zeroed memory. */
void ngx_http_blockcast_key_table_init(ngx_http_blockcast_key_table_t *table,
    ngx_http_blockcast_stream_t *st, uint64_t *seed);

ngx_uint_t ngx_http_blockcast_key_table_fits(
    ngx_http_blockcast_key_table_t *table, ngx_http_blockcast_stream_t *st);

/* Copies the keys of another table that have newer data than here. */
void ngx_http_blockcast_key_table_import(ngx_http_blockcast_key_table_t *dst,
    ngx_http_blockcast_key_table_t *src);

/* Restores a key from the state file; the zone's mutex is locked. */
void ngx_http_blockcast_key_table_restore(
    ngx_http_blockcast_key_table_t *table, ngx_str_t *key, ngx_str_t *data,
    uint64_t seq, uint64_t timestamp, ngx_msec_t polled);

/* Returns the table of a stream, or NULL. */
ngx_http_blockcast_key_table_t *ngx_http_blockcast_key_table_of(
    ngx_http_blockcast_stream_t *st);

ngx_http_blockcast_key_t *ngx_http_blockcast_key_table_at(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place);


/*
 * Counts this worker as a listener of a key, which gets a place if it has none
 * and keeps it until _leave().  Returns the place; _NONE: all places have
 * listeners or, with *busy set, the zone is locked by a process that hangs.
 */
ngx_uint_t ngx_http_blockcast_key_table_join(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t *busy);
void ngx_http_blockcast_key_table_leave(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place);

/* Sets this worker's bit again after it got another record in the zone. */
void ngx_http_blockcast_key_table_attach(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place);

/* Clears all bits of a worker that is gone. */
void ngx_http_blockcast_key_table_clean(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t worker);

/*
 * Do the same for the other gateways of the cluster: they count as worker 0,
 * which no worker is.
 */
ngx_uint_t ngx_http_blockcast_key_table_want(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t *busy);
void ngx_http_blockcast_key_table_unwant(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place);

/*
 * Returns true when a key is to be polled: it has listeners, the last one has
 * just left, or a request has asked for it.
 */
ngx_uint_t ngx_http_blockcast_key_table_wanted(
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_key_t *k);

/* Finds a key's place without counting a listener; _NONE: there is none. */
ngx_uint_t ngx_http_blockcast_key_table_find(
    ngx_http_blockcast_key_table_t *table, ngx_str_t *key);

/* Returns true when any worker has listeners to the key. */
ngx_uint_t ngx_http_blockcast_key_table_listened(
    ngx_http_blockcast_key_t *k);

/* Counts the keys in the table, and those with listeners. */
void ngx_http_blockcast_key_table_count(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t *used, ngx_uint_t *listened);


/*
 * Copies the newest data of a key.  NGX_OK, NGX_DECLINED before there is any,
 * NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_key_table_read(
    ngx_http_blockcast_key_table_t *table, ngx_http_blockcast_key_t *k,
    ngx_http_blockcast_key_data_t *data);
void ngx_http_blockcast_key_table_read_error(ngx_http_blockcast_key_t *k,
    ngx_http_blockcast_error_t *error);

/*
 * Returns the seq that data will get; 0 if it equals the newest data, unless
 * numbers were given out that are not known here.
 */
uint64_t ngx_http_blockcast_key_table_next(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place, ngx_str_t *data);

/*
 * Called by the poller between _snapshot_begin() and _end().  _publish() makes
 * data the next seq and returns that; 0 if the data has not changed.  _fail()
 * sets an error, or clears it with len 0.
 */
uint64_t ngx_http_blockcast_key_table_publish(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place, ngx_str_t *data,
    time_t timestamp);
void ngx_http_blockcast_key_table_fail(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place, int64_t code, ngx_str_t *text);

/* Publishes data under a seq that the caller has chosen. */
void ngx_http_blockcast_key_table_put(ngx_http_blockcast_key_table_t *table,
    ngx_uint_t place, ngx_str_t *data, uint64_t seq, time_t timestamp);

/*
 * Makes all keys, present and future, continue after seq.  For the worker with
 * the lease.
 */
void ngx_http_blockcast_key_table_raise(ngx_http_blockcast_key_table_t *table,
    uint64_t seq);

/* Drops the data and numbers of all keys; the zone's mutex is locked. */
void ngx_http_blockcast_key_table_forget(
    ngx_http_blockcast_key_table_t *table);

/*
 * Frees, of the n places from `from` on, those without listeners for idle msec
 * and those that a killed worker was freeing.  Called by the poller now and
 * then.
 */
void ngx_http_blockcast_key_table_sweep(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_key_table_t *table, ngx_uint_t from, ngx_uint_t n,
    ngx_msec_t idle);


/*
 * The rings.  _say_changed() and _say_wanted() add a key; the others read the
 * next one from *pos on: NGX_OK with *place, NGX_DECLINED at the end,
 * NGX_AGAIN when some were missed, so that all places have to be checked.
 */
void ngx_http_blockcast_key_table_say_changed(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place);
void ngx_http_blockcast_key_table_say_wanted(
    ngx_http_blockcast_key_table_t *table, ngx_uint_t place);
ngx_int_t ngx_http_blockcast_key_table_next_changed(
    ngx_http_blockcast_key_table_t *table, uint64_t *pos, ngx_uint_t *place);
ngx_int_t ngx_http_blockcast_key_table_next_wanted(
    ngx_http_blockcast_key_table_t *table, uint64_t *pos, ngx_uint_t *place);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_TABLE_H_INCLUDED_ */
