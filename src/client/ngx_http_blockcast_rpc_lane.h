
/*
 * Lanes: each client of the JSON-RPC endpoint has one for its calls to the
 * node.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_LANE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_LANE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_conf.h"
#include "bc_rpc_request.h"


typedef struct ngx_http_blockcast_rpc_lane_s   ngx_http_blockcast_rpc_lane_t;
typedef struct ngx_http_blockcast_rpc_group_s  ngx_http_blockcast_rpc_group_t;


/* Called when a group has all its answers; _rpc_group_text() writes them. */
typedef void (*ngx_http_blockcast_rpc_deliver_pt)(void *owner,
    ngx_http_blockcast_rpc_group_t *group);


/* what a client has spent: a leaky bucket for calls and one for bytes */

typedef struct {
    ngx_msec_t                    counted;
    uint64_t                      cost;         /* 1/1000 */
    uint64_t                      bytes;        /* 1/1000 */
} ngx_http_blockcast_rpc_purse_t;


struct ngx_http_blockcast_rpc_lane_s {
    ngx_http_blockcast_rpc_conf_t  *conf;
    void                         *owner;        /* NULL: it has left */
    ngx_http_blockcast_rpc_deliver_pt  deliver;
    ngx_http_blockcast_rpc_purse_t  *purse;
    ngx_http_blockcast_rpc_purse_t  own;        /* purse may point to it */
    ngx_uint_t                    refs;         /* by the owner and groups */
    ngx_queue_t                   ready;        /* in its node's queue */
    ngx_queue_t                   asks;         /* all requests */
    ngx_queue_t                   waiting;      /* requests without a call */
    ngx_uint_t                    nwaiting;
    size_t                        waiting_size;
    ngx_uint_t                    calls;        /* in flight, made for it */
    unsigned                      is_ready:1;
};


/* the requests of one message, and their answers */

struct ngx_http_blockcast_rpc_group_s {
    ngx_http_blockcast_rpc_lane_t  *lane;
    ngx_uint_t                    n;
    ngx_uint_t                    left;         /* answers still to come */
    size_t                        size;         /* of the answers, bytes */
    unsigned                      batch:1;
    unsigned                      held:1;       /* notifications wait for it */
    ngx_str_t                     answers[1];   /* of ngx_alloc(); len 0 */
};


/* Makes the lane of a client; NULL without memory. */
ngx_http_blockcast_rpc_lane_t *ngx_http_blockcast_rpc_lane_create(
    ngx_http_blockcast_rpc_conf_t *conf, void *owner,
    ngx_http_blockcast_rpc_deliver_pt deliver);

/* Ends the calls of a client that has left; nothing is delivered any more. */
void ngx_http_blockcast_rpc_lane_leave(ngx_http_blockcast_rpc_lane_t *lane);

/*
 * _begin() makes a group of n requests, or returns NULL without memory.  After
 * _end() the group is delivered and freed once it has all answers, which may
 * be at once.
 */
ngx_http_blockcast_rpc_group_t *ngx_http_blockcast_rpc_group_begin(
    ngx_http_blockcast_rpc_lane_t *lane, ngx_uint_t n, ngx_uint_t batch);
void ngx_http_blockcast_rpc_group_end(ngx_http_blockcast_rpc_group_t *group);

/* Answer request i of a group; a notification (id.len 0) gets no answer. */
void ngx_http_blockcast_rpc_group_result(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_span_t id, ngx_str_t *result);
void ngx_http_blockcast_rpc_group_error(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_span_t id, ngx_int_t code, const char *fmt, ...);

/*
 * _len() returns the length of the answers' text in bytes, 0 when there is no
 * answer; _text() writes it to p and returns its end.
 */
size_t ngx_http_blockcast_rpc_group_len(ngx_http_blockcast_rpc_group_t *group);
u_char *ngx_http_blockcast_rpc_group_text(
    ngx_http_blockcast_rpc_group_t *group, u_char *p);

/*
 * Takes the cost of a call from what the client may spend.  NGX_DECLINED: it
 * is used up, and request i has been answered with an error.
 */
ngx_int_t ngx_http_blockcast_rpc_lane_pay(
    ngx_http_blockcast_rpc_group_t *group, ngx_uint_t i, bc_rpc_request_t *r);

/*
 * Gets request i answered: from the cache, by a call in flight or a new one.
 */
void ngx_http_blockcast_rpc_lane_ask(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_rpc_request_t *r);

/* Ends all calls, when the worker exits. */
void ngx_http_blockcast_rpc_lane_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_LANE_H_INCLUDED_ */
