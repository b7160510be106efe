
/*
 * The zone: the newest state of every stream in shared memory.
 *
 * Everything in it has a fixed size, set by the configuration.  There are no
 * pointers into a process' memory and no locks but the slab pool's, which the
 * master unlocks when a worker dies with it.  A snapshot is written to the
 * buffer that nobody reads and becomes the newest by one increment of the
 * version word, so a writer killed at any moment leaves the last one valid.
 */


#ifndef _NGX_HTTP_BLOCKCAST_ZONE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_ZONE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * The frames of a snapshot that are made once per box, by the poller: ready
 * to be sent, with their header.  Those other than the text are only there
 * when they are worth it (len is 0 otherwise).
 */

#define NGX_HTTP_BLOCKCAST_TEXT     0
#define NGX_HTTP_BLOCKCAST_TEXT_Z   1       /* permessage-deflate */
#define NGX_HTTP_BLOCKCAST_DELTA    2       /* merge patch to the seq before */
#define NGX_HTTP_BLOCKCAST_DELTA_Z  3
#define NGX_HTTP_BLOCKCAST_VARIANTS    4

/* shorter messages are not worth compressing */
#define NGX_HTTP_BLOCKCAST_DEFLATE_MIN  128

/* of a histogram of times; the last one has no limit */
#define NGX_HTTP_BLOCKCAST_BUCKETS  12

/* calls of a stream that are counted apart */
#define NGX_HTTP_BLOCKCAST_CALLS    16

/* bytes of its own that a program may keep from poll to poll */
#define NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX  16384


typedef struct {
    uint32_t                      offset;       /* in the buffer */
    uint32_t                      len;          /* bytes of the frame */
    uint32_t                      payload;      /* length of its header */
    uint32_t                      plain;        /* payload before deflate */
} ngx_http_blockcast_variant_t;


typedef struct {
    uint64_t                      seq;
    uint64_t                      timestamp;    /* Unix seconds of the poll */
    ngx_http_blockcast_variant_t  variants[NGX_HTTP_BLOCKCAST_VARIANTS];
    uint32_t                      size;         /* of all that is in use */
    uint32_t                      data;         /* where "data" begins */
    uint32_t                      data_len;
    uint32_t                      memory;       /* the program's own state */
    uint32_t                      memory_len;
    uint32_t                      count;        /* log: entries of the batch */
    uint64_t                      published;    /* CLOCK_MONOTONIC, usec */
} ngx_http_blockcast_snapshot_t;


typedef struct {
    uint64_t                      since;        /* Unix seconds */
    int64_t                       code;
    uint16_t                      len;
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN + 1];
} ngx_http_blockcast_error_t;


struct ngx_http_blockcast_slot_s {
    u_char                        name[NGX_HTTP_BLOCKCAST_NAME_LEN + 1];
    uint64_t                      next;         /* offset from the pool, or 0 */
    uint32_t                      log;
    uint32_t                      pad;
    uint64_t                      max_size;
    uint64_t                      ring_size;
    uint64_t                      size;         /* of this slot, all in all */

    ngx_atomic_t                  touched;      /* a worker uses it (msec) */

    /* the snapshot: buffer number version & 1; 0 before the first */
    ngx_atomic_t                  version;
    ngx_atomic_t                  seq;
    uint64_t                      least;        /* seq of data too large */
    uint64_t                      passed;       /* seq of a slot of the same
                                                   name that was given back */
    uint64_t                      hole;         /* log: entries up to this seq
                                                   may be lost */
    uint64_t                      noted;        /* state file: polled, msec */
    ngx_atomic_t                  polled;       /* last good poll, msec, or 0 */
    ngx_atomic_t                  polled_sec;   /* the same, Unix seconds */
    ngx_atomic_t                  attempted;    /* last round's start, msec */
    ngx_atomic_t                  demanded;     /* last REST request, msec */
    ngx_atomic_t                  left;         /* last listener left, msec */
    ngx_atomic_t                  deflated;     /* last sent so, msec, or 0 */
    ngx_atomic_t                  patched;      /* someone takes patches, ... */

    /* what is wrong: text number error_version & 1; 0 or len 0: nothing */
    ngx_atomic_t                  error_version;
    ngx_http_blockcast_error_t    error[2];

    /* what happened last, in the same way */
    ngx_atomic_t                  note_version;
    ngx_http_blockcast_error_t    note[2];

    /* counters */
    ngx_atomic_t                  polls;
    ngx_atomic_t                  polls_failed;
    ngx_atomic_t                  polls_overrun;
    ngx_atomic_t                  call_errors[NGX_HTTP_BLOCKCAST_CALLS];
    ngx_atomic_t                  poll_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  poll_msec;
    ngx_atomic_t                  jq_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  jq_usec;

    ngx_http_blockcast_snapshot_t  snap[2];

    /* log: byte positions that only grow; position % ring_size is the place */
    ngx_atomic_t                  head;
    ngx_atomic_t                  tail;
    ngx_atomic_t                  gone;         /* newest seq not all kept */

    /* ... and the hashes of the keys published last, those in the ring, too:
       number n is at n % nkeys */
    uint64_t                      seed[2];
    uint64_t                      keys;         /* how many there were */
    uint64_t                      nkeys;
    uint64_t                      forgot;       /* there were others before */

    ngx_atomic_t                  listeners[NGX_HTTP_BLOCKCAST_WORKERS];

    /* then: two buffers, the ring, the hashes */
};


/* an entry of a log in the ring; 8-byte aligned, never split at the end */

typedef struct {
    uint32_t                      size;         /* of the record, all in all */
    uint32_t                      hash;         /* of the key */
    uint32_t                      key_len;      /* 0 with len 0: padding */
    uint32_t                      len;
    uint64_t                      seq;          /* of its batch */
    uint64_t                      timestamp;
    uint32_t                      nth;          /* of its batch, from 0 */
    uint32_t                      pad;
    /* then: key, entry */
} ngx_http_blockcast_ring_record_t;

#define ngx_http_blockcast_ring_record_key(rec)                               \
    ((u_char *) (rec) + sizeof(ngx_http_blockcast_ring_record_t))
#define ngx_http_blockcast_ring_record_data(rec)                              \
    (ngx_http_blockcast_ring_record_key(rec) + (rec)->key_len)


/* what the poller tells of a node, see _node */

typedef struct {
    u_char                        name[NGX_HTTP_BLOCKCAST_NAME_LEN + 1];
    uint64_t                      since_sec;    /* Unix seconds */
    uint64_t                      since;        /* msec */
    uint64_t                      until;        /* msec: the next try */
    uint32_t                      health;
    uint32_t                      failures;
    uint16_t                      len;
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN + 1];
} ngx_http_blockcast_node_status_t;


typedef struct {
    ngx_atomic_t                  calls;
    ngx_atomic_t                  probes;
    ngx_atomic_t                  outages;
    ngx_atomic_t                  faults[ngx_http_blockcast_n_faults];
} ngx_http_blockcast_node_counters_t;


typedef struct {
    ngx_atomic_t                  version;
    ngx_http_blockcast_node_status_t  status[2];  /* version & 1 is valid */
    ngx_http_blockcast_node_counters_t  counters;
} ngx_http_blockcast_node_record_t;


/*
 * Counters.  Each worker has its own and adds to them without a lock; those of
 * one that has gone are added to the zone's.
 */

typedef enum {
    ngx_http_blockcast_n_accepted = 0,
    ngx_http_blockcast_n_refused,
    ngx_http_blockcast_n_frames_in,

    /* by encoding: text, deflate, delta, delta+deflate, other */
    ngx_http_blockcast_n_frames,
    ngx_http_blockcast_n_bytes = ngx_http_blockcast_n_frames
                                 + NGX_HTTP_BLOCKCAST_VARIANTS + 1,

    ngx_http_blockcast_n_conflated = ngx_http_blockcast_n_bytes
                                     + NGX_HTTP_BLOCKCAST_VARIANTS + 1,
    ngx_http_blockcast_n_slow,
    ngx_http_blockcast_n_no_pong,
    ngx_http_blockcast_n_gaps,
    ngx_http_blockcast_n_overflows,

    /* of the Close code: 1000 to 1013, then all others */
    ngx_http_blockcast_n_closes,

    /* the time from a publish to the last client's socket */
    ngx_http_blockcast_n_fanout = ngx_http_blockcast_n_closes + 15,
    ngx_http_blockcast_n_fanout_usec = ngx_http_blockcast_n_fanout + 12,

    ngx_http_blockcast_n_all
} ngx_http_blockcast_counter_e;


/*
 * The process is there, or may be, while pid is set.  What tells whether it
 * goes on is beat: a process that is stopped, or another one with its number,
 * cannot keep that up.
 */

typedef struct {
    ngx_atomic_t                  pid;          /* 0: free; or _CLEANING */
    ngx_atomic_t                  beat;         /* last tick (msec) */
    ngx_atomic_t                  started;      /* kernel's time, or 0 */
    ngx_atomic_t                  stuck;        /* that was said */
    ngx_atomic_t                  generation;
    ngx_atomic_t                  exiting;
    ngx_atomic_t                  connections;
    ngx_atomic_t                  counters[ngx_http_blockcast_n_all];
} ngx_http_blockcast_worker_t;

/* in pid: its worker is gone, and the process with that pid clears it */
#define NGX_HTTP_BLOCKCAST_CLEANING  0x40000000

#define ngx_http_blockcast_worker_there(w)                                    \
    ((w)->pid != 0 && !((w)->pid & NGX_HTTP_BLOCKCAST_CLEANING))


/* this worker's counters; of no use when there is no zone */
extern ngx_atomic_t  *ngx_http_blockcast_zone_counters;

#define ngx_http_blockcast_count(counter, n)                                  \
    (ngx_http_blockcast_zone_counters[counter] += (n))


/* of this nginx, beside another one with the same state file */

typedef enum {
    ngx_http_blockcast_leader = 0,              /* it polls */
    ngx_http_blockcast_follower                 /* the other one does */
} ngx_http_blockcast_role_e;


/* why a jq process was ended while it ran a program */

typedef enum {
    ngx_http_blockcast_jq_end_time = 0,         /* blockcast_jq_timeout */
    ngx_http_blockcast_jq_end_memory,           /* blockcast_jq_memory */
    ngx_http_blockcast_jq_end_crash,            /* a failed assertion, ... */
    ngx_http_blockcast_jq_end_killed,           /* by somebody else */

    ngx_http_blockcast_n_jq_ends
} ngx_http_blockcast_jq_end_e;


typedef struct {
    uint64_t                      magic;
    uint64_t                      epoch;
    uint64_t                      slots;        /* offset of the first slot */
    uint64_t                      seq;          /* newest of slots given back */
    ngx_atomic_t                  generations;  /* numbers given out */
    ngx_atomic_t                  generation;   /* newest one with workers */

    /* who polls: generation << 32 | pid, and until when (msec) */
    ngx_atomic_t                  lease;
    ngx_atomic_t                  lease_until;
    ngx_atomic_t                  takeovers;
    ngx_atomic_t                  role;
    ngx_atomic_t                  jumped;       /* seqs are beyond the file */
    ngx_atomic_t                  unread;       /* errno that was logged */

    /* of all calls: the last bucket has no limit */
    ngx_atomic_t                  call_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  call_msec;
    ngx_atomic_t                  publish_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  publish_usec;
    ngx_atomic_t                  jq_ends[ngx_http_blockcast_n_jq_ends];

    ngx_atomic_t                  gone[ngx_http_blockcast_n_all];

    ngx_http_blockcast_node_record_t  nodes[NGX_HTTP_BLOCKCAST_NODES];

    ngx_http_blockcast_worker_t   workers[NGX_HTTP_BLOCKCAST_WORKERS];
} ngx_http_blockcast_zone_shctx_t;


struct ngx_http_blockcast_zone_s {
    ngx_shm_zone_t               *shm_zone;
    ngx_slab_pool_t              *shpool;
    ngx_http_blockcast_zone_shctx_t  *sh;
    ngx_uint_t                    worker;       /* our record in sh->workers,
                                                   or 0: there was none left */
    ngx_http_blockcast_worker_t  *own;          /* that one, or of no use to
                                                   others */
    ngx_http_blockcast_main_conf_t  *bmcf;
    ngx_http_blockcast_zone_t    *former;       /* of another size, until in
                                                   force */
    ngx_uint_t                    fresh;        /* nothing was known before */
};


/* bytes a stream needs in the zone */
size_t ngx_http_blockcast_zone_slot_size(ngx_http_blockcast_stream_t *st);

/* shm_zone->init: makes the slots, or finds those of the running cycle */
ngx_int_t ngx_http_blockcast_zone_init(ngx_shm_zone_t *shm_zone, void *data);
/* in the master, when the configuration cannot fail any more */
void ngx_http_blockcast_zone_settle(ngx_http_blockcast_zone_t *zone);

/* takes a record for this worker; it is given back when the worker leaves */
void ngx_http_blockcast_zone_enter(ngx_http_blockcast_zone_t *zone);
/* on each tick: a sign of life; true when a record was had only now, and what
   it is to hold of the slots is not there yet */
ngx_uint_t ngx_http_blockcast_zone_beat(ngx_http_blockcast_zone_t *zone);
void ngx_http_blockcast_zone_leave(ngx_http_blockcast_zone_t *zone);

/* connections of all workers, as far as they are known */
ngx_uint_t ngx_http_blockcast_zone_connections(
    ngx_http_blockcast_zone_t *zone);

/* this worker begins to exit; true when no other is left that could poll */
ngx_uint_t ngx_http_blockcast_zone_last(ngx_http_blockcast_zone_t *zone);

/* the newest number of all streams that are not configured (any more) */
uint64_t ngx_http_blockcast_zone_seq(ngx_http_blockcast_zone_t *zone);

/* the clock of snap.published, in microseconds */
uint64_t ngx_http_blockcast_zone_usec(void);

/* frees the records of dead workers; called by the poller */
void ngx_http_blockcast_zone_reap(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);


ngx_uint_t ngx_http_blockcast_zone_listeners(ngx_http_blockcast_slot_t *slot);
/* n of this worker's come, or go */
void ngx_http_blockcast_zone_listened(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_int_t n);

/* the buffers of a slot, and its ring */
u_char *ngx_http_blockcast_zone_slot_buffer(ngx_http_blockcast_slot_t *slot,
    ngx_uint_t n);
u_char *ngx_http_blockcast_zone_slot_ring(ngx_http_blockcast_slot_t *slot);
uint64_t *ngx_http_blockcast_zone_slot_keys(ngx_http_blockcast_slot_t *slot);

/*
 * Publishes new data (or a log's batch) as the next seq.  Only the poller
 * calls it; NGX_DECLINED when this worker lost the lease meanwhile, and
 * nothing is written then; NGX_ERROR when it does not fit.  previous is the
 * data of the seq before, for a delta (when somebody takes those), or NULL.
 */

typedef struct {
    ngx_str_t                     key;
    ngx_str_t                     data;
} ngx_http_blockcast_log_entry_t;


/* bytes of a text frame, and of all a snapshot may consist of, at most */
size_t ngx_http_blockcast_zone_frame_size(size_t max_size);
size_t ngx_http_blockcast_zone_buffer_size(size_t max_size, ngx_uint_t log);

/* the slab pool's mutex; NGX_ERROR: somebody else does not give it back */
ngx_int_t ngx_http_blockcast_zone_lock(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);

/* a process that is there, or may be */
ngx_uint_t ngx_http_blockcast_zone_alive(ngx_pid_t pid);
void ngx_http_blockcast_zone_slot_takeover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st);


#endif /* _NGX_HTTP_BLOCKCAST_ZONE_H_INCLUDED_ */
