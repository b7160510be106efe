
/*
 * blockcast: a blockchain node's JSON-RPC as live feeds.
 *
 * The path of the data, file by file:
 *
 *   _stream_conf  what the configuration says of a stream
 *   _poller       one worker holds the lease and starts the rounds
 *   _round        the calls of a stream, side by side
 *   _ask          a request is shared, held back or made
 *   _call         one JSON-RPC call as a background subrequest
 *   _node         whether a node is asked at all, and when it is tried again
 *   _repeat       how often an error that stays is logged
 *   _publish      what the results of a round become
 *   _note         what happened to a stream, and is no error
 *   _shape        libjq makes the stream's data of the calls' results
 *   _zone         the newest state in shared memory: slots, workers, lease
 *   _lease        which worker is the poller
 *   _store        what is in a slot, written by one, read by every worker
 *   _recover      what a former poller left in it
 *   _wake         an eventfd for each worker, so that none has to wait
 *   _state        the file that a restarted nginx goes on with, and who leads
 *   _image        between the slots and the records of that file
 *   _feed         a worker's copy of a stream, and its subscribers
 *   _fanout       what is new goes to all of them, in slices
 *   _frame        what each of them gets, made once for all that take the same
 *   _session      the JSON messages of a client
 *   _ws           the WebSocket connection: its beginning, timers and end
 *   _ws_in        what it receives
 *   _ws_out       what it sends, and what waits for the socket
 *   _conn         its memory
 *   _request      the request it began with, which is not kept open
 *   _rest         the same state over plain HTTP
 *   _cors         which pages may read that, and what else they may reach
 *   _health       how all of that is
 */


#ifndef _NGX_HTTP_BLOCKCAST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_event.h>
#include <ngx_http.h>

#include <jv.h>
#include <jq.h>

#include "bc_json.h"
#include "ngx_http_blockcast_log_throttle.h"


#define NGX_HTTP_BLOCKCAST_VERSION     "0.1.0"

#define NGX_HTTP_BLOCKCAST_NAME_LEN    63
#define NGX_HTTP_BLOCKCAST_STREAMS     64
#define NGX_HTTP_BLOCKCAST_NODES       32
#ifndef NGX_HTTP_BLOCKCAST_WORKERS
#define NGX_HTTP_BLOCKCAST_WORKERS     256
#endif
#define NGX_HTTP_BLOCKCAST_ERROR_LEN   255

/* no buffer of a reply on its way through nginx's filters is larger (bytes) */
#define NGX_HTTP_BLOCKCAST_REPLY_MORE  65536

/* the housekeeping tick of every worker, and how long a silent poller leads */
#define NGX_HTTP_BLOCKCAST_TICK        200
#define NGX_HTTP_BLOCKCAST_LEASE       1000

/* a worker without a sign of life for so long cannot be counted on (msec); one
   that is about to run a program may need so long, and no longer than that */
#define NGX_HTTP_BLOCKCAST_STUCK       1500
#define NGX_HTTP_BLOCKCAST_PATIENCE    10000
#define NGX_HTTP_BLOCKCAST_LONGEST     60000


typedef struct ngx_http_blockcast_stream_s   ngx_http_blockcast_stream_t;
typedef struct ngx_http_blockcast_hub_s     ngx_http_blockcast_hub_t;
typedef struct ngx_http_blockcast_conn_s     ngx_http_blockcast_conn_t;
typedef struct ngx_http_blockcast_detached_s  ngx_http_blockcast_detached_t;
typedef struct ngx_http_blockcast_rpc_call_s      ngx_http_blockcast_rpc_call_t;
typedef struct ngx_http_blockcast_slot_s     ngx_http_blockcast_slot_t;
typedef struct ngx_http_blockcast_zone_s     ngx_http_blockcast_zone_t;
typedef struct ngx_http_blockcast_journal_s    ngx_http_blockcast_journal_t;


/* what a worker knows of a node, see _node */

typedef enum {
    ngx_http_blockcast_node_ok = 0,
    ngx_http_blockcast_node_down,           /* it does not answer */
    ngx_http_blockcast_node_limited         /* it does not want to be asked */
} ngx_http_blockcast_node_health_e;


/* what may be wrong with a call; the node has not answered but for the first */

typedef enum {
    ngx_http_blockcast_fault_none = 0,      /* a result, or the node's error */
    ngx_http_blockcast_fault_unreachable,
    ngx_http_blockcast_fault_timeout,
    ngx_http_blockcast_fault_closed,        /* no reply, or half of one */
    ngx_http_blockcast_fault_http,          /* another status than 200 */
    ngx_http_blockcast_fault_limited,       /* 429, or 503 with Retry-After */
    ngx_http_blockcast_fault_invalid,       /* not JSON-RPC */

    ngx_http_blockcast_n_faults
} ngx_http_blockcast_fault_e;


/* a node: the internal location with proxy_pass through which it is asked */

typedef struct {
    ngx_str_t                     name;
    ngx_http_core_srv_conf_t     *cscf;
    ngx_http_core_loc_conf_t     *clcf;
    size_t                        max_reply;
    ngx_msec_t                    backoff;      /* at most; 0: by itself */
    ngx_uint_t                    index;
    u_char                       *file;
    ngx_uint_t                    line;

    /* of the polling worker */
    ngx_http_blockcast_node_health_e  health;
    ngx_uint_t                    failures;     /* calls in a row */
    ngx_msec_t                    since;        /* of the first of them */
    time_t                        since_sec;
    ngx_msec_t                    until;        /* not asked, unless ok */
    ngx_uint_t                    tries;        /* calls made since */
    ngx_http_blockcast_rpc_call_t     *probe;        /* the one that tries it now */
    ngx_queue_t                   held;         /* what waits for that */
    ngx_http_blockcast_log_throttle_t   repeat;
    ngx_uint_t                    next_stream;         /* stream to try it with */
    ngx_str_t                     reason;
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
} ngx_http_blockcast_node_t;


/* one JSON-RPC call of a stream, as configured */

typedef struct {
    ngx_str_t                     name;
    ngx_array_t                   methods;      /* ngx_str_t; [0], fallbacks */
    ngx_str_t                     params;       /* JSON text, or len 0 */
    ngx_str_t                     params_jq;
    jq_state                     *jq;
    ngx_msec_t                    timeout;
    ngx_uint_t                    each;         /* 0: a single call */
} ngx_http_blockcast_call_conf_t;


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
    size_t                        max_size;

    ngx_array_t                   calls;    /* ngx_http_blockcast_call_conf_t */
    ngx_str_t                     program;
    ngx_str_t                     program_file;
    jq_state                     *jq;
    ngx_msec_t                    jq_timeout;   /* bounds of a run */
    size_t                        jq_memory;

    /* log streams: field.len != 0 */
    ngx_str_t                     field;
    ngx_str_t                     key;
    ngx_uint_t                    keep;
    ngx_uint_t                    page;     /* entries of a first snapshot */
    size_t                        ring_size;

    ngx_http_blockcast_slot_t    *slot;
};


typedef struct {
    ngx_shm_zone_t               *shm_zone;
    ngx_http_blockcast_zone_t    *zone;

    ngx_array_t                   streams;  /* ngx_http_blockcast_stream_t * */
    ngx_array_t                   nodes;    /* ngx_http_blockcast_node_t * */
    ngx_array_t                   places;   /* endpoints, to be linked */
    ngx_uint_t                    guards;   /* blockcast_guard on */
    ngx_array_t                   passes;   /* void **: where calls may pass */

    ngx_http_blockcast_journal_t   *journal;    /* the state file, or NULL */

    ngx_msec_t                    drain;
    ngx_uint_t                    log_at_start;     /* or at the end */
    ngx_uint_t                    max_connections;          /* 0: no limit */
    ngx_uint_t                    max_worker_connections;   /* 0: nearly all */

    /* bounds of a jq program's run, for streams that set none */
    ngx_msec_t                    jq_timeout;
    size_t                        jq_memory;

    /* this configuration's number in the zone: the newest one polls */
    uint64_t                      generation;

    ngx_uint_t                    neventfds;
    int                          *eventfds;
} ngx_http_blockcast_main_conf_t;


/* what a directive like blockcast_sse makes of a location */

typedef struct {
    ngx_http_handler_pt           enter;    /* nginx's content handler */
    ngx_http_handler_pt           handler;  /* what that calls, once sure */
    unsigned                      websocket:1;
    unsigned                      echo:1;
    unsigned                      sse:1;
} ngx_http_blockcast_kind_t;


typedef struct ngx_http_blockcast_loc_conf_s  ngx_http_blockcast_loc_conf_t;

struct ngx_http_blockcast_loc_conf_s {
    size_t                        max_message;
    ngx_msec_t                    ping_interval;
    ngx_msec_t                    pong_timeout;
    ngx_msec_t                    send_timeout;

    ngx_flag_t                    deflate;
    ngx_uint_t                    protocol;     /* when the client names none */
    size_t                        max_frame;
    size_t                        max_queue;    /* of answers to a client */
    ngx_uint_t                    max_fragments;
    ngx_uint_t                    max_subscriptions;
    ngx_uint_t                    rate;         /* frames/s, 0: any */
    ngx_uint_t                    burst;
    ngx_array_t                  *origins;      /* ngx_str_t */
    time_t                        told;         /* of one that was refused */
    ngx_flag_t                    guard;
    void                         *tokens;       /* bc_tokens_t */
    ngx_http_complex_value_t     *allow_streams;
    void                         *limits;       /* bc_ws_limits_t */

    unsigned                      endpoint:1;
    unsigned                      websocket:1;
    unsigned                      echo:1;
    unsigned                      sse:1;
    unsigned                      forwarded:1;  /* is among the origins */
    unsigned                      usual_rate:1;     /* no directive said so */
    unsigned                      usual_origins:1;

    /* an endpoint, or an "if" or limit_except that is one by its location */
    ngx_http_blockcast_kind_t    *kind;
    ngx_http_blockcast_loc_conf_t  *outer;      /* the location of an "if" */
    ngx_array_t                  *inside;       /* endpoints in its "if"s */
    void                        **loc_conf;     /* what r->loc_conf is in it */

    ngx_array_t                  *names;        /* ngx_str_t, until linked */
    ngx_http_blockcast_stream_t **offers;       /* up to a NULL */
    ngx_str_t                     location;
    ngx_http_blockcast_node_t    *node;
    size_t                        max_reply;    /* of it, or 0 */
};


/* what a worker tells of a stream */

typedef enum {
    ngx_http_blockcast_freshness_waiting = 0,         /* nothing was polled yet */
    ngx_http_blockcast_freshness_live,
    ngx_http_blockcast_freshness_stale,
    ngx_http_blockcast_freshness_idle                 /* old, for nobody listens */
} ngx_http_blockcast_freshness_e;


extern ngx_module_t  ngx_http_blockcast_module;


/* the time over which an exiting worker spreads its goodbyes (msec) */
ngx_msec_t ngx_http_blockcast_drain(void);


#endif /* _NGX_HTTP_BLOCKCAST_H_INCLUDED_ */
