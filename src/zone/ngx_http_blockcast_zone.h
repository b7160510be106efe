
/*
 * The zone: the newest data of every stream, in shared memory.
 *
 * Everything in it has a fixed size, set by the configuration.  It has no
 * pointers into a process' memory and no locks but the slab pool's, which the
 * master unlocks when a worker dies holding it.  A snapshot is written to the
 * buffer that nobody reads and becomes the newest by one increment of the
 * version word, so a writer killed at any moment leaves the last one valid.
 */


#ifndef _NGX_HTTP_BLOCKCAST_ZONE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_ZONE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_histogram.h"


/*
 * The frames of a snapshot that the poller makes once for all workers, ready
 * to be sent, with their header.  Frames other than the text have a len of 0
 * when they would not save enough.
 */

#define NGX_HTTP_BLOCKCAST_TEXT     0
#define NGX_HTTP_BLOCKCAST_TEXT_Z   1       /* permessage-deflate */
#define NGX_HTTP_BLOCKCAST_DELTA    2       /* merge patch to the last seq */
#define NGX_HTTP_BLOCKCAST_DELTA_Z  3
#define NGX_HTTP_BLOCKCAST_VARIANTS    4

/* shorter messages are not compressed (bytes) */
#define NGX_HTTP_BLOCKCAST_DEFLATE_MIN  128

/*
 * longer messages take milliseconds to compress, so the poller does not: the
 * workers whose clients take them do, in pieces (bytes)
 */
#define NGX_HTTP_BLOCKCAST_DEFLATE_AT_ONCE  65536

/* longer messages are converted to CBOR in pieces (bytes) */
#define NGX_HTTP_BLOCKCAST_CBOR_AT_ONCE  131072

/*
 * larger data gets no merge patches: comparing a megabyte takes 4 ms (bytes)
 */
#define NGX_HTTP_BLOCKCAST_PATCH_MAX  524288

/*
 * larger snapshots are published in pieces, over several turns of the event
 * loop: in one go it would take 1.4 ms per megabyte (bytes)
 */
#define NGX_HTTP_BLOCKCAST_STAGED  NGX_HTTP_BLOCKCAST_PATCH_MAX

/* how many messages stay uncompressed after one that saved nothing */
#define NGX_HTTP_BLOCKCAST_DEFLATE_PAUSE  16

/* how many calls of a stream have a counter of their own */
#define NGX_HTTP_BLOCKCAST_CALLS    16

/* bytes that a program may keep from poll to poll */
#define NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX  16384


typedef struct {
    uint32_t                      offset;       /* in the buffer */
    uint32_t                      len;          /* of the frame, in bytes */
    uint32_t                      payload;      /* where it begins in it */
    uint32_t                      plain;        /* its length before deflate */
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
    uint64_t                      next;         /* its offset, or 0 */
    uint32_t                      log;
    uint32_t                      pad;
    uint64_t                      max_size;
    uint64_t                      ring_size;
    uint64_t                      history_size;  /* 0: no history is kept */
    uint64_t                      table_size;   /* of its keys; 0: none */
    uint64_t                      size;         /* of this slot, all in all */

    ngx_atomic_t                  touched;      /* last use, msec */

    /* the snapshot: buffer number version & 1; 0 before the first */
    ngx_atomic_t                  version;
    ngx_atomic_t                  seq;
    uint64_t                      claims;       /* how often a worker started
                                                   to fill the buffer that
                                                   nobody reads, or what is
                                                   behind the ring's head */
    uint64_t                      dataless_seq;  /* newest seq whose data is
                                                   not here: too large, lost */
    uint64_t                      freed_seq;    /* newest seq of a freed slot
                                                   of the same name */
    uint64_t                      jump_from;    /* in a cluster: no number was
                                                   used after this one */
    uint64_t                      jump_to;      /* ... up to this one, or 0 */
    uint64_t                      hole;         /* log: entries up to this seq
                                                   may be lost */
    uint64_t                      polled_recorded;  /* when `polled` was last
                                                   recorded, msec */
    ngx_atomic_t                  polled;       /* last good poll, msec or 0 */
    ngx_atomic_t                  polled_sec;   /* the same, Unix seconds */
    ngx_atomic_t                  attempted;    /* last poll's start, msec */
    ngx_atomic_t                  demanded;     /* last REST request, msec */
    ngx_atomic_t                  left;         /* last listener left, msec */
    ngx_atomic_t                  deflated;     /* last sent so, msec, or 0 */
    ngx_atomic_t                  patched;      /* the same for patches */

    /* the error: text number error_version & 1; with len 0 there is none */
    ngx_atomic_t                  error_version;
    ngx_http_blockcast_error_t    error[2];

    /* the note, what happened last: text number note_version & 1 */
    ngx_atomic_t                  note_version;
    ngx_http_blockcast_error_t    note[2];

    /* log: how many entries the source has that were not delivered yet, as the
       program counted at the last successful poll */
    ngx_atomic_t                  lag;

    /* counters */
    ngx_atomic_t                  polls;
    ngx_atomic_t                  polls_failed;
    ngx_atomic_t                  polls_overrun;
    ngx_atomic_t                  gaps;         /* that programs reported */
    ngx_atomic_t                  polls_extra;  /* caused by pokes */

    /*
     * Pokes: how many came, and how many of them the poller has seen.  The
     * poller is not woken again while an extra round is due.
     */
    ngx_atomic_t                  pokes;
    ngx_atomic_t                  pokes_taken;
    ngx_atomic_t                  pokes_folded; /* into another poke's round */
    ngx_atomic_t                  pokes_dropped;  /* node down or limited,
                                                   nobody listens */
    ngx_atomic_t                  poke_due;     /* msec, or 0 */
    ngx_atomic_t                  call_errors[NGX_HTTP_BLOCKCAST_CALLS];
    ngx_atomic_t                  poll_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  poll_msec;
    ngx_atomic_t                  jq_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  jq_usec;
    ngx_atomic_t                  jq_reused;    /* runs not needed */
    ngx_atomic_t                  latency;      /* of the last successful poll,
                                                   from its first call to its
                                                   data in here, usec, or 0 */
    ngx_atomic_t                  deliveries;   /* messages and responses with
                                                   its data */

    ngx_http_blockcast_snapshot_t  snap[2];

    /* log: byte positions that only grow; position % ring_size is the place */
    ngx_atomic_t                  head;
    ngx_atomic_t                  tail;
    ngx_atomic_t                  gone;         /* newest seq lacking entries */

    /* log: the hashes of the keys published last, including those in the ring;
       number n is at n % nkeys */
    uint64_t                      seed[2];
    uint64_t                      keys;         /* how many so far */
    uint64_t                      nkeys;
    uint64_t                      forgot;       /* hashes before were lost */

    ngx_atomic_t                  listeners[NGX_HTTP_BLOCKCAST_WORKERS];

    /* then: two buffers, the ring, the hashes, the history, the keys */
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


/* the status of a node, written by the poller (poll/breaker) */

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


/* the WebSocket to a node, written by the poller (poll/head) */

typedef enum {
    ngx_http_blockcast_head_is_connecting = 0,
    ngx_http_blockcast_head_is_connected,
    ngx_http_blockcast_head_is_lost
} ngx_http_blockcast_head_state_e;

#define NGX_HTTP_BLOCKCAST_HEAD_ERROR  89

typedef struct {
    uint64_t                      since;        /* Unix seconds */
    uint32_t                      state;
    uint16_t                      len;
    u_char                        text[NGX_HTTP_BLOCKCAST_HEAD_ERROR + 1];
} ngx_http_blockcast_head_status_t;


typedef struct {
    uint64_t                      node;         /* hash of its name */
    ngx_atomic_t                  owner;        /* pid of the worker that has
                                                   a connection, or 0 */
    ngx_atomic_t                  version;
    ngx_http_blockcast_head_status_t  status[2];  /* version & 1 is valid */

    ngx_atomic_t                  connects;
    ngx_atomic_t                  losses;
    ngx_atomic_t                  messages;
} ngx_http_blockcast_head_record_t;


/*
 * Counters.  Each worker adds to its own without a lock; when a worker is
 * gone, its counters are added to the zone's.
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
 * A worker's record.  Its process exists, or may, while pid is set.  The beat
 * shows that it runs: a stopped process does not keep it up, nor does another
 * process that got the same pid.
 */

typedef struct {
    ngx_atomic_t                  pid;          /* 0: free; or _CLEANING */
    ngx_atomic_t                  beat;         /* last tick (msec) */
    ngx_atomic_t                  started;      /* kernel's ticks, or 0 */
    ngx_atomic_t                  stuck;        /* no beat: this was logged */
    ngx_atomic_t                  generation;
    volatile uint32_t             nth;          /* of its configuration's
                                                   workers, from 0 */
    volatile uint32_t             exiting;
    ngx_atomic_t                  connections;
    ngx_atomic_t                  counters[ngx_http_blockcast_n_all];
} ngx_http_blockcast_worker_t;

/*
 * flag in pid: the worker is gone; the process with that pid frees its record
 */
#define NGX_HTTP_BLOCKCAST_CLEANING  0x40000000

#define ngx_http_blockcast_worker_there(w)                                    \
    ((w)->pid != 0 && !((w)->pid & NGX_HTTP_BLOCKCAST_CLEANING))


/* this worker's counters; in private memory when there is no record */
extern ngx_atomic_t  *ngx_http_blockcast_zone_counters;

#define ngx_http_blockcast_count(counter, n)                                  \
    (ngx_http_blockcast_zone_counters[counter] += (n))


/* the role of this nginx beside another one with the same state file */

typedef enum {
    ngx_http_blockcast_leader = 0,              /* it polls */
    ngx_http_blockcast_follower                 /* the other one does */
} ngx_http_blockcast_role_e;


/* the state of the worker with the lease in a cluster, see cluster/ */

typedef enum {
    ngx_http_blockcast_is_off = 0,
    ngx_http_blockcast_is_connecting,
    ngx_http_blockcast_is_syncing,
    ngx_http_blockcast_is_following,
    ngx_http_blockcast_is_electing,
    ngx_http_blockcast_is_leading
} ngx_http_blockcast_cluster_state_e;


typedef struct {
    uint64_t                      since;        /* Unix seconds */
    uint32_t                      state;
    uint16_t                      peer_len;
    uint16_t                      len;
    u_char                        peer[64];     /* the engine: host:port */
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN + 1];
} ngx_http_blockcast_cluster_status_t;


typedef struct {
    ngx_atomic_t                  version;
    ngx_http_blockcast_cluster_status_t  status[2];  /* version & 1 is valid */

    ngx_atomic_t                  leads;        /* this nginx leads */
    ngx_atomic_t                  term;         /* of the newest entry */
    uint64_t                      seen_term;    /* the greatest id whose */
    uint64_t                      seen_n;       /* entry is in here */
    ngx_atomic_t                  heard;        /* the newest entry, msec */
    ngx_atomic_t                  entries;      /* read or written */
    ngx_atomic_t                  appended;
    ngx_atomic_t                  append_usec;  /* until the log had them */
    ngx_atomic_t                  losses;       /* of the engine */
    ngx_atomic_t                  elections;    /* won */
    ngx_atomic_t                  fenced;
    ngx_atomic_t                  jumps;
    ngx_atomic_t                  breaks;       /* entries were missing */
    ngx_atomic_t                  memory;       /* of the engine, bytes */
    ngx_atomic_t                  since_image;  /* bytes of the log */

    /* the newest entry that is in the zone with all before it, or one before
       that: TERM-N */
    ngx_atomic_t                  taken_term;
    ngx_atomic_t                  taken_n;
} ngx_http_blockcast_cluster_record_t;


/* why a jq process ended while it ran a program */

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
    uint64_t                      seq;          /* newest of freed slots */
    ngx_atomic_t                  generations;  /* numbers given out */
    ngx_atomic_t                  generation;   /* newest one with workers */

    /* the worker that polls, generation << 32 | pid, and until when (msec) */
    ngx_atomic_t                  lease;
    ngx_atomic_t                  lease_until;
    ngx_atomic_t                  takeovers;
    ngx_atomic_t                  role;
    ngx_atomic_t                  jumped;       /* seqs are beyond the file */
    ngx_atomic_t                  read_error;   /* of the state file: errno
                                                   that was logged */

    /* how far the zone is known to have what is in the state file: its inode,
       the size of its image with the header, and a position; 0: not known */
    ngx_atomic_t                  file_inode;
    ngx_atomic_t                  file_image;
    ngx_atomic_t                  file_mark;

    ngx_http_blockcast_cluster_record_t  cluster;

    /* of all calls: the last bucket has no limit */
    ngx_atomic_t                  call_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  call_msec;
    ngx_atomic_t                  publish_times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_atomic_t                  publish_usec;
    ngx_atomic_t                  jq_ends[ngx_http_blockcast_n_jq_ends];

    /* of workers that are gone */
    ngx_atomic_t                  gone[ngx_http_blockcast_n_all];

    ngx_http_blockcast_node_record_t  nodes[NGX_HTTP_BLOCKCAST_NODES];
    ngx_http_blockcast_head_record_t  heads[NGX_HTTP_BLOCKCAST_NODES];

    ngx_http_blockcast_worker_t   workers[NGX_HTTP_BLOCKCAST_WORKERS];
} ngx_http_blockcast_zone_shctx_t;


struct ngx_http_blockcast_zone_s {
    ngx_shm_zone_t               *shm_zone;
    ngx_slab_pool_t              *shpool;
    ngx_http_blockcast_zone_shctx_t  *sh;
    ngx_uint_t                    worker;       /* our record in sh->workers,
                                                   or 0: there was none left */
    ngx_http_blockcast_worker_t  *own;          /* that one, or one that no
                                                   other worker sees */
    ngx_http_blockcast_main_conf_t  *bmcf;
    ngx_http_blockcast_zone_t    *former;       /* of another size, until in
                                                   force */
    ngx_uint_t                    fresh;        /* made by this start: empty */
    ngx_uint_t                    refused;      /* times that _lock() gave up */
};


/* the address in this process of an offset in the zone, and back */

#define ngx_http_blockcast_zone_at(zone, offset)                              \
    ((void *) ((u_char *) (zone)->shpool + (offset)))
#define ngx_http_blockcast_zone_offset(zone, p)                               \
    ((uint64_t) ((u_char *) (p) - (u_char *) (zone)->shpool))


/* an entry of a log, in a process' own memory */

typedef struct {
    ngx_str_t                     key;
    ngx_str_t                     data;
} ngx_http_blockcast_log_entry_t;


/*
 * Makes, as shm_zone->init, the zone and the streams' slots, or finds those of
 * the running configuration.
 */
ngx_int_t ngx_http_blockcast_zone_init(ngx_shm_zone_t *shm_zone, void *data);

/* Finishes _init() in the master, once the configuration cannot fail. */
void ngx_http_blockcast_zone_settle(ngx_http_blockcast_zone_t *zone);

/*
 * Locks the slab pool's mutex.  NGX_DECLINED: a process that hangs holds it,
 * which is logged.
 */
ngx_int_t ngx_http_blockcast_zone_lock(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);

/* Returns the time in microseconds, on the clock of snap.published. */
uint64_t ngx_http_blockcast_zone_usec(void);


#endif /* _NGX_HTTP_BLOCKCAST_ZONE_H_INCLUDED_ */
