
/*
 * A poll of a stream: its calls, side by side, and their results.
 */


#ifndef _NGX_HTTP_BLOCKCAST_POLL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_POLL_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_jq_queue.h"


#define NGX_HTTP_BLOCKCAST_METHOD_NOT_FOUND  -32601

typedef struct ngx_http_blockcast_poll_s       ngx_http_blockcast_poll_t;
typedef struct ngx_http_blockcast_poll_call_s  ngx_http_blockcast_poll_call_t;
typedef struct ngx_http_blockcast_poll_request_s
    ngx_http_blockcast_poll_request_t;


/* one request of a call; a call with each= has several */

struct ngx_http_blockcast_poll_request_s {
    ngx_queue_t                   waiting;      /* in rpc->waiters */
    ngx_http_blockcast_poll_call_t  *call;
    ngx_http_blockcast_rpc_call_t  *rpc;        /* NULL: not in flight */
    ngx_str_t                     params;
    ngx_uint_t                    method;       /* index of conf->methods */
    ngx_http_blockcast_call_result_t  result;
    ngx_http_blockcast_rpc_call_t  *source;     /* which has the result, when
                                                   it is large; or NULL */
    unsigned                      done:1;
    unsigned                      held:1;       /* in node->held instead */
};


/* a call of a poll */

struct ngx_http_blockcast_poll_call_s {
    ngx_http_blockcast_poll_t       *poll;
    ngx_http_blockcast_call_conf_t  *conf;

    ngx_http_blockcast_poll_request_t  *requests;
    ngx_uint_t                    nrequests;
    ngx_uint_t                    left;
    ngx_msec_t                    deadline;
    unsigned                      started:1;
    unsigned                      waiting:1;    /* for its params' program */
    unsigned                      done:1;

    /* kept from poll to poll: what its params' program put out */
    ngx_http_blockcast_jq_memo_t  memo;

    /* kept, too: the method that the node knows */
    ngx_uint_t                    method;
    ngx_msec_t                    reprobe;
    unsigned                      missing:1;    /* the node knows none */

    /* kept, too: since when the call hangs, or is limited */
    ngx_msec_t                    hanging;      /* 0: it does not */
    ngx_msec_t                    limited;
    ngx_msec_t                    resume;
    ngx_str_t                     limit;
    unsigned                      type:3;       /* of its result */
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN];

    /* keeps messages from being logged again and again */
    ngx_http_blockcast_log_throttle_t  repeat;
    unsigned                      failing:1;
};


/* the extra rounds of a stream, see _extra */

typedef struct {
    ngx_msec_t                    due;
    ngx_msec_t                    last;         /* the last extra round began */
    ngx_msec_t                    poked;        /* the first poke of a round */
    uint64_t                      seq;          /* ... and the data then */
    ngx_uint_t                    tries;        /* rounds without news since */
    ngx_uint_t                    rounds;
    ngx_queue_t                   given;        /* results of the head */
    ngx_uint_t                    ngiven;
    ngx_str_t                     result;       /* ... of the round under way,
                                                   or len 0 */
    ngx_http_blockcast_log_throttle_t  repeat;
    unsigned                      wanted:1;     /* a round at `due` */
    unsigned                      running:1;
} ngx_http_blockcast_extra_t;


struct ngx_http_blockcast_poll_s {
    ngx_http_blockcast_main_conf_t  *bmcf;
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_key_lane_t  *lane;       /* of some keys, or NULL */
    ngx_msec_t                    due;
    uint64_t                      after;        /* seq of stream->after */

    ngx_http_blockcast_poll_call_t  *calls;     /* one for each call */
    ngx_uint_t                    ncalls;

    ngx_http_blockcast_extra_t    extra;
    ngx_http_blockcast_jq_memo_t  memo;         /* of the stream's program */

    /* of the poll under way */
    ngx_pool_t                   *pool;
    ngx_msec_t                    started;
    ngx_http_blockcast_jq_job_t   job;          /* the program that runs */
    ngx_http_blockcast_poll_call_t  *asking;    /* ... for its params */
    ngx_http_blockcast_proposal_t  *proposal;   /* that the log has, or NULL */
    uint64_t                      asked;        /* time of the first call */
    uint64_t                      answered;     /* time of the last answer */
    uint64_t                      took;         /* between them, all in usec */
    uint64_t                      lag;          /* see slot->lag */
    unsigned                      progress:1;   /* it brought something new */
    unsigned                      follow:1;     /* stream->after is newer */
    unsigned                      active:1;
    unsigned                      stepping:1;
    unsigned                      shaping:1;    /* the stream's own runs, or
                                                   its proposal waits */

    /* a gap that waits for the next entry of the log; len 0: none */
    size_t                        gap_len;
    u_char                        gap[NGX_HTTP_BLOCKCAST_RING_GAP];

    /* keep messages and notes from being logged again and again */
    ngx_http_blockcast_log_throttle_t  repeat;
    ngx_http_blockcast_log_throttle_t  notes;
    time_t                        noted;        /* the last of these */
    unsigned                      failing:1;
};


/* Prepares the polls of a stream; NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_poll_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_stream_t *st);


/* _start() starts a poll; _abort() aborts it, its calls and its program. */
void ngx_http_blockcast_poll_start(ngx_http_blockcast_poll_t *poll);
void ngx_http_blockcast_poll_abort(ngx_http_blockcast_poll_t *poll);

/* Ends the calls whose timeout has passed. */
void ngx_http_blockcast_poll_expire(ngx_http_blockcast_poll_t *poll);

/* Returns when the next of its calls times out, a minute from now at most. */
ngx_msec_t ngx_http_blockcast_poll_deadline(ngx_http_blockcast_poll_t *poll);

/* Starts the calls that can start; finishes the poll when all are done. */
void ngx_http_blockcast_poll_step(ngx_http_blockcast_poll_t *poll);

/* Ends the poll after its data was published or its error was logged. */
void ngx_http_blockcast_poll_end(ngx_http_blockcast_poll_t *poll);

/* Counts the time of a program that has run, whether it failed or not. */
void ngx_http_blockcast_poll_time_program(ngx_http_blockcast_poll_t *poll);

void ngx_http_blockcast_poll_request_done(
    ngx_http_blockcast_poll_request_t *request);


#endif /* _NGX_HTTP_BLOCKCAST_POLL_H_INCLUDED_ */
