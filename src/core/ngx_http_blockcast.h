
/*
 * blockcast: a blockchain node's JSON-RPC as live feeds.
 *
 * Shared by all folders: the limits, a node and a stream as configured, the
 * configuration of the module.  src/README.md describes the layers, the path
 * of the data through them, and the rules for memory.
 */


#ifndef _NGX_HTTP_BLOCKCAST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <jv.h>
#include <jq.h>

#include "bc_history.h"
#include "bc_history_text.h"
#include "bc_json.h"
#include "ngx_http_blockcast_log_throttle.h"


#define NGX_HTTP_BLOCKCAST_VERSION     "0.2.0"

#define NGX_HTTP_BLOCKCAST_NAME_LEN    63
#define NGX_HTTP_BLOCKCAST_STREAMS     64
#define NGX_HTTP_BLOCKCAST_NODES       32
#ifndef NGX_HTTP_BLOCKCAST_WORKERS
#define NGX_HTTP_BLOCKCAST_WORKERS     256
#endif
#define NGX_HTTP_BLOCKCAST_ERROR_LEN   255

/* the largest buffer of a reply while it passes nginx's filters (bytes) */
#define NGX_HTTP_BLOCKCAST_REPLY_MORE  65536

/* the period of a worker's housekeeping; the length of a lease (msec) */
#define NGX_HTTP_BLOCKCAST_TICK        200
#define NGX_HTTP_BLOCKCAST_LEASE       1000

/*
 * How long a poller may show no sign of life before another worker replaces it
 * (msec): usually; while it runs a program; in any case.
 */
#define NGX_HTTP_BLOCKCAST_STUCK       1500
#define NGX_HTTP_BLOCKCAST_PATIENCE    10000
#define NGX_HTTP_BLOCKCAST_LONGEST     60000

/* the longest time between two polls while nobody listens (msec) */
#define NGX_HTTP_BLOCKCAST_IDLE_MAX    (12 * 3600 * 1000)


typedef struct ngx_http_blockcast_stream_s    ngx_http_blockcast_stream_t;
typedef struct ngx_http_blockcast_key_conf_s  ngx_http_blockcast_key_conf_t;
typedef struct ngx_http_blockcast_key_hub_s   ngx_http_blockcast_key_hub_t;
typedef struct ngx_http_blockcast_key_lane_s  ngx_http_blockcast_key_lane_t;
typedef struct ngx_http_blockcast_hub_s       ngx_http_blockcast_hub_t;
typedef struct ngx_http_blockcast_conn_s      ngx_http_blockcast_conn_t;
typedef struct ngx_http_blockcast_filtered_s  ngx_http_blockcast_filtered_t;
typedef struct ngx_http_blockcast_detached_s  ngx_http_blockcast_detached_t;
typedef struct ngx_http_blockcast_rpc_call_s  ngx_http_blockcast_rpc_call_t;
typedef struct ngx_http_blockcast_slot_s      ngx_http_blockcast_slot_t;
typedef struct ngx_http_blockcast_zone_s      ngx_http_blockcast_zone_t;
typedef struct ngx_http_blockcast_journal_s   ngx_http_blockcast_journal_t;
typedef struct ngx_http_blockcast_recorder_s  ngx_http_blockcast_recorder_t;
typedef struct ngx_http_blockcast_cluster_s   ngx_http_blockcast_cluster_t;
typedef struct ngx_http_blockcast_head_s      ngx_http_blockcast_head_t;
typedef struct ngx_http_blockcast_loc_conf_s  ngx_http_blockcast_loc_conf_t;


/* whether calls are sent to a node, see _breaker */

typedef enum {
    ngx_http_blockcast_node_ok = 0,
    ngx_http_blockcast_node_down,           /* it does not answer */
    ngx_http_blockcast_node_limited         /* it asks for fewer calls */
} ngx_http_blockcast_node_health_e;


/*
 * What went wrong with a call.  In all cases but the first, the node has not
 * given an answer.
 */

typedef enum {
    ngx_http_blockcast_fault_none = 0,      /* a result, or the node's error */
    ngx_http_blockcast_fault_unreachable,
    ngx_http_blockcast_fault_timeout,
    ngx_http_blockcast_fault_closed,        /* no reply, or only part of it */
    ngx_http_blockcast_fault_http,          /* a status other than 200 */
    ngx_http_blockcast_fault_limited,       /* 429, or 503 with Retry-After */
    ngx_http_blockcast_fault_invalid,       /* not JSON-RPC */

    ngx_http_blockcast_n_faults
} ngx_http_blockcast_fault_e;


/* a node's credentials, from a file that may change; see _authorization */

typedef struct {
    ngx_str_t                     file;         /* NUL-terminated */
    struct timespec               mtime;        /* of the version read */
    ngx_file_uniq_t               uniq;
    off_t                         size;
    ngx_http_blockcast_log_throttle_t  repeat;
    size_t                        len;          /* 0: there are none */
    unsigned                      known:1;
    u_char                        text[1024];
} ngx_http_blockcast_authorization_t;


/* a node: an internal location with proxy_pass, through which it is called */

typedef struct {
    ngx_str_t                     name;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_core_loc_conf_t     *clcf;
    size_t                        max_reply;
    ngx_msec_t                    backoff;      /* the maximum; 0: default */
    ngx_uint_t                    batch;        /* the most calls in a POST */
    ngx_flag_t                    strict;       /* accept only JSON-RPC 2.0 */
    ngx_uint_t                    rate;         /* calls/s, 0: no limit; see
                                                   _budget */
    ngx_http_blockcast_authorization_t  *authorization;     /* or NULL */
    ngx_uint_t                    index;
    u_char                       *file;
    ngx_uint_t                    line;

    /* used by the polling worker */
    ngx_http_blockcast_node_health_e  health;
    ngx_uint_t                    failures;     /* failed calls in a row */
    ngx_msec_t                    since;        /* when the first one failed */
    time_t                        since_sec;
    ngx_msec_t                    until;        /* send no calls until then,
                                                   unless ok */
    ngx_uint_t                    tries;        /* calls made since */
    ngx_http_blockcast_rpc_call_t  *probe;      /* the call that tests it */
    ngx_queue_t                   held;         /* calls waiting for probe */
    ngx_queue_t                   gathered;     /* calls for the next batch */
    ngx_event_t                   gather;
    ngx_msec_t                    single;       /* no batches until then ... */
    unsigned                      alone:1;      /* ... the node refused one */
    ngx_http_blockcast_log_throttle_t  repeat;
    ngx_uint_t                    next_stream;  /* to test the node with */
    int64_t                       credit;       /* 1/1000 of a call */
    int64_t                       spare;        /* the same, for keys only */
    ngx_msec_t                    credited;
    ngx_http_blockcast_head_t    *head;         /* its WebSocket, or NULL */
    ngx_str_t                     reason;
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
} ngx_http_blockcast_node_t;


/* a message that a head sends when it is connected */

typedef struct {
    ngx_str_t                     text;
    ngx_str_t                     id;           /* JSON text, len 0: none */
} ngx_http_blockcast_head_message_t;


/* a WebSocket to a node whose messages start polls, see poll/head */

struct ngx_http_blockcast_head_s {
    ngx_http_blockcast_node_t    *node;
    ngx_str_t                     peer;         /* host:port, for the log */
    ngx_str_t                     host;         /* the header's value */
    ngx_str_t                     name;         /* expected in certificate */
    ngx_str_t                     uri;          /* may contain an API key */
    ngx_str_t                     authorization;  /* header value, or len 0 */
    ngx_addr_t                   *addrs;
    ngx_uint_t                    naddrs;
    ngx_msec_t                    ping;
    ngx_msec_t                    timeout;
    ngx_array_t                   messages;     /* _head_message_t */
    void                         *ssl;          /* ngx_ssl_t, or NULL */
    ngx_http_blockcast_loc_conf_t  *place;
    u_char                       *file;
    ngx_uint_t                    line;
    void                         *link;         /* of the polling worker */
};


/* one call of a stream, as configured: JSON-RPC, or a GET */

typedef struct {
    ngx_str_t                     name;
    ngx_array_t                   methods;      /* ngx_str_t; [0], fallbacks */
    ngx_str_t                     params;       /* JSON text, or len 0 */
    ngx_str_t                     params_jq;    /* for a GET: path_jq */
    ngx_str_t                     params_file;
    jq_state                     *jq;
    ngx_msec_t                    timeout;
    ngx_uint_t                    each;         /* 0: a single call */
    unsigned                      get:1;        /* methods are paths */
    unsigned                      jq_steady:1;  /* see poll/jq_steady */
} ngx_http_blockcast_call_conf_t;


/* the numbers of a stream that have a history, see blockcast_history */

typedef struct {
    bc_history_shape_t            shape;
    bc_history_path_t             paths[BC_HISTORY_MEMBERS];
    ngx_str_t                     rings[BC_HISTORY_RINGS];  /* their names */
    ngx_msec_t                    idle;     /* period of polls while nobody
                                               listens; 0: no polls */
    size_t                        size;     /* in the slot */
} ngx_http_blockcast_history_conf_t;


/* how long the poller skips compression after it saved nothing */

typedef struct {
    uint8_t                       left;         /* messages still to skip */
    uint8_t                       useless;      /* tells workers to skip it,
                                                   too */
} ngx_http_blockcast_pause_t;


struct ngx_http_blockcast_stream_s {
    ngx_str_t                     name;
    ngx_uint_t                    index;
    u_char                       *file;
    ngx_uint_t                    line;

    ngx_str_t                     node_name;
    ngx_http_blockcast_node_t    *node;

    ngx_msec_t                    interval;
    ngx_msec_t                    stale;
    ngx_msec_t                    linger;
    ngx_flag_t                    always;
    ngx_msec_t                    idle;     /* period of polls while nobody
                                               listens; 0: no polls */
    size_t                        max_size;

    ngx_array_t                   calls;    /* _call_conf_t */
    ngx_str_t                     program;
    ngx_str_t                     program_file;
    jq_state                     *jq;
    ngx_msec_t                    jq_timeout;   /* bounds of a run */
    size_t                        jq_memory;
    unsigned                      jq_steady:1;  /* see poll/jq_steady */

    /* log streams only (field.len != 0) */
    ngx_str_t                     field;
    ngx_str_t                     key;
    ngx_uint_t                    keep;
    ngx_uint_t                    page;     /* entries in a first snapshot */
    size_t                        ring_size;

    ngx_http_blockcast_history_conf_t  *history;    /* or NULL */
    ngx_http_blockcast_key_conf_t  *keys;           /* NULL: it has none */

    /* blockcast_after: a change of that stream starts a poll; or NULL */
    ngx_str_t                     after_name;
    ngx_http_blockcast_stream_t  *after;

    /* blockcast_head: which messages of the node's head start a poll */
    ngx_flag_t                    head;
    ngx_str_t                     head_text;
    ngx_str_t                     head_result;  /* name of a call */
    ngx_int_t                     head_message; /* index, or -1: any */
    ngx_int_t                     head_call;    /* index, or -1: none */
    ngx_msec_t                    apart;        /* the least time between extra
                                                   rounds */

    ngx_http_blockcast_slot_t    *slot;

    /* of the polling worker: for the text and for the delta */
    ngx_http_blockcast_pause_t    pauses[2];
};


typedef struct {
    ngx_shm_zone_t               *shm_zone;
    ngx_http_blockcast_zone_t    *zone;
    u_char                       *zone_file;
    ngx_uint_t                    zone_line;

    ngx_array_t                   streams;  /* ngx_http_blockcast_stream_t * */
    ngx_array_t                   nodes;    /* ngx_http_blockcast_node_t * */
    ngx_array_t                   heads;    /* ngx_http_blockcast_head_t * */
    ngx_array_t                   places;   /* endpoints, to be linked */
    ngx_str_t                     one_queue;  /* a listen without reuseport */
    ngx_uint_t                    guards;   /* blockcast_guard on */
    ngx_uint_t                    followers;  /* with blockcast_after */
    ngx_array_t                   passes;   /* void **: where calls may pass */

    ngx_http_blockcast_journal_t *journal;  /* of the state file, or NULL */
    const ngx_http_blockcast_recorder_t  *recorder;  /* its hooks, or NULL */
    ngx_http_blockcast_cluster_t *cluster;  /* blockcast_cluster, or NULL */

    size_t                        rpc_cache;    /* bytes; UNSET: no cache */
    ngx_uint_t                    rpcs;         /* blockcast_rpc endpoints */
    ngx_str_t                     rpc_location;  /* the first; for messages */
    ngx_msec_t                    drain;
    ngx_uint_t                    log_at_start;     /* 0: at the end */
    ngx_uint_t                    max_connections;          /* 0: no limit */
    ngx_uint_t                    max_worker_connections;   /* 0: nearly all */

    /* limits of a run of a jq program, for streams that set none */
    ngx_msec_t                    jq_timeout;
    size_t                        jq_memory;

    /* the number of this configuration: only workers of the newest one poll */
    uint64_t                      generation;

    ngx_uint_t                    neventfds;
    int                          *eventfds;
    u_char                       *quiet;        /* by worker: do not wake it */
} ngx_http_blockcast_main_conf_t;


/*
 * a kind of endpoint: what a directive like blockcast_sse makes of a location
 */

typedef struct {
    ngx_http_handler_pt           enter;    /* nginx's content handler */
    ngx_http_handler_pt           handler;  /* called by enter */
    unsigned                      websocket:1;
    unsigned                      echo:1;
    unsigned                      sse:1;
    unsigned                      cors:1;   /* other sites' pages may read its
                                               responses */
    unsigned                      rpc:1;    /* JSON-RPC, also by POST */
} ngx_http_blockcast_kind_t;


struct ngx_http_blockcast_loc_conf_s {
    size_t                        max_message;
    ngx_msec_t                    ping_interval;
    ngx_msec_t                    pong_timeout;
    ngx_msec_t                    send_timeout;

    ngx_flag_t                    deflate;
    ngx_uint_t                    protocol;     /* if the client names none */
    size_t                        max_frame;
    size_t                        max_queue;    /* of responses to a client */
    ngx_uint_t                    max_fragments;
    ngx_uint_t                    max_subscriptions;
    ngx_uint_t                    rate;         /* frames/s, 0: no limit */
    ngx_uint_t                    burst;
    ngx_array_t                  *origins;      /* ngx_str_t */
    time_t                        told;         /* last logged refusal */
    ngx_flag_t                    guard;
    void                         *tokens;       /* bc_tokens_t */
    ngx_http_complex_value_t     *allow_streams;
    ngx_http_complex_value_t     *allow_keys;
    ngx_uint_t                    max_keys;     /* the most keys of a client */
    void                         *limits;       /* bc_ws_limits_t */

    unsigned                      endpoint:1;
    unsigned                      websocket:1;
    unsigned                      echo:1;
    unsigned                      sse:1;
    unsigned                      forwarded:1;  /* among the origins */
    unsigned                      usual_rate:1;     /* rate is the default */
    unsigned                      usual_origins:1;

    /* set for an endpoint, and for an "if" or limit_except in it */
    ngx_http_blockcast_kind_t    *kind;
    ngx_http_blockcast_loc_conf_t  *outer;      /* the location of an "if" */
    ngx_array_t                  *inside;       /* endpoints in its "if"s */
    void                        **loc_conf;     /* r->loc_conf inside it */

    ngx_array_t                  *names;        /* ngx_str_t, until linked */
    ngx_http_blockcast_stream_t **offers;       /* NULL-terminated */
    ngx_str_t                     location;
    ngx_http_blockcast_node_t    *node;
    ngx_http_blockcast_head_t    *head;
    size_t                        max_reply;    /* of the node, or 0 */
    void                         *rpc;          /* _rpc_conf_t */
};


/* how fresh the data of a stream is */

typedef enum {
    ngx_http_blockcast_freshness_waiting = 0,   /* no data yet */
    ngx_http_blockcast_freshness_live,
    ngx_http_blockcast_freshness_stale,
    ngx_http_blockcast_freshness_idle           /* old: nobody listens */
} ngx_http_blockcast_freshness_e;


extern ngx_module_t  ngx_http_blockcast_module;


/* Returns the time over which an exiting worker closes its clients (msec). */
ngx_msec_t ngx_http_blockcast_drain(void);


#endif /* _NGX_HTTP_BLOCKCAST_H_INCLUDED_ */
