
/*
 * Rounds: the calls of a stream, and what is made of their results.
 */


#ifndef _NGX_HTTP_BLOCKCAST_ROUND_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_ROUND_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_call.h"
#include "ngx_http_blockcast_shape.h"
#include "ngx_http_blockcast_zone.h"


#define NGX_HTTP_BLOCKCAST_METHOD_NOT_FOUND  -32601

typedef struct ngx_http_blockcast_run_s    ngx_http_blockcast_run_t;
typedef struct ngx_http_blockcast_item_s   ngx_http_blockcast_item_t;
typedef struct ngx_http_blockcast_turn_s   ngx_http_blockcast_turn_t;


/* a single request of a call; more than one with each= */

struct ngx_http_blockcast_item_s {
    ngx_queue_t                   waiting;      /* in rpc->waiters */
    ngx_http_blockcast_turn_t    *turn;
    ngx_http_blockcast_rpc_t     *rpc;          /* NULL: not in flight */
    ngx_str_t                     params;
    ngx_uint_t                    method;       /* index of conf->methods */
    ngx_http_blockcast_result_t   result;
    unsigned                      done:1;
    unsigned                      held:1;       /* in node->held instead */
};


/* a call in its round */

struct ngx_http_blockcast_turn_s {
    ngx_http_blockcast_run_t        *run;
    ngx_http_blockcast_call_conf_t  *conf;

    ngx_http_blockcast_item_t    *items;
    ngx_uint_t                    nitems;
    ngx_uint_t                    left;
    ngx_msec_t                    deadline;
    unsigned                      started:1;
    unsigned                      done:1;

    /* outlives the round: which of the methods answers */
    ngx_uint_t                    method;
    ngx_msec_t                    reprobe;
    unsigned                      missing:1;    /* none of them does */

    /* ... and since when it hangs, or is limited by itself */
    ngx_msec_t                    hanging;      /* 0: it does not */
    ngx_msec_t                    limited;
    ngx_msec_t                    resume;
    ngx_str_t                     limit;
    unsigned                      type:3;       /* of its result, see _note */
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN];

    /* what was logged, so that it is not repeated */
    ngx_http_blockcast_repeat_t   repeat;
    unsigned                      failing:1;
};


struct ngx_http_blockcast_run_s {
    ngx_http_blockcast_main_conf_t  *bmcf;
    ngx_http_blockcast_stream_t  *stream;
    ngx_msec_t                    due;

    ngx_http_blockcast_turn_t    *turns;        /* one for each call */
    ngx_uint_t                    nturns;

    /* of the round */
    ngx_pool_t                   *pool;
    ngx_msec_t                    started;
    unsigned                      active:1;
    unsigned                      stepping:1;

    /* what was logged last, so that it is not repeated */
    ngx_http_blockcast_repeat_t   repeat;
    ngx_http_blockcast_repeat_t   notes;
    unsigned                      failing:1;
};


ngx_int_t ngx_http_blockcast_round_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_run_t *run,
    ngx_http_blockcast_stream_t *st);

void ngx_http_blockcast_round_start(ngx_http_blockcast_run_t *run);
void ngx_http_blockcast_round_abort(ngx_http_blockcast_run_t *run);

/* gives up the calls whose time is over */
void ngx_http_blockcast_round_expire(ngx_http_blockcast_run_t *run);
ngx_msec_t ngx_http_blockcast_round_deadline(ngx_http_blockcast_run_t *run);

/* starts what can be started, and ends the round when all is there */
void ngx_http_blockcast_round_step(ngx_http_blockcast_run_t *run);

/* a request of a turn: started, failed for a reason, done (_ask, _round) */
void ngx_http_blockcast_item_start(ngx_http_blockcast_item_t *item);
void ngx_http_blockcast_item_fail(ngx_http_blockcast_item_t *item,
    const char *fmt, ...);
void ngx_http_blockcast_item_done(ngx_http_blockcast_item_t *item);

/* what is known of the node has changed: starts what was held for that */
void ngx_http_blockcast_release(ngx_http_blockcast_node_t *node);

/* the calls in flight, of all streams (they share those that are the same) */
void ngx_http_blockcast_rpcs_init(void);
void ngx_http_blockcast_rpcs_expire(void);
void ngx_http_blockcast_rpcs_abort(void);

/* what the programs of a stream are given (_publish) */
void ngx_http_blockcast_round_input(ngx_http_blockcast_run_t *run,
    ngx_http_blockcast_input_t *input);

/* makes data of the results and publishes it (_publish) */
void ngx_http_blockcast_round_finish(ngx_http_blockcast_run_t *run);

/* tells the poller to set its timer again */
void ngx_http_blockcast_poller_round_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_ROUND_H_INCLUDED_ */
