
/*
 * Polls of keys: when each is due, and which keys share a poll.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_POLL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_POLL_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_poll.h"


/* A poll of some keys, which stands in for the stream's own. */

struct ngx_http_blockcast_key_lane_s {
    ngx_http_blockcast_poll_t     poll;         /* its `lane` is this */
    ngx_queue_t                   queue;
    void                         *family;
    uint64_t                      head;         /* seq of stream->after ... */
    ngx_uint_t                    pokes;        /* ... and pokes, as it began */
    ngx_msec_t                    began;
    unsigned                      lost:1;       /* nothing came of it */
    ngx_uint_t                    n;
    ngx_uint_t                   *places;       /* of the keys ... */
    uint64_t                     *uses;         /* ... as it began */
};


/* Prepares the polls of the keys, master: those of the streams. */
ngx_int_t ngx_http_blockcast_key_poll_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_poll_t *master);

/* Called when this worker starts to poll, and when it stops. */
void ngx_http_blockcast_key_poll_start(void);
void ngx_http_blockcast_key_poll_stop(void);

/* Called on each tick: finds keys that were missed, and frees unused ones. */
void ngx_http_blockcast_key_poll_tick(void);

/* Takes up changes of other streams and requests of other workers. */
void ngx_http_blockcast_key_poll_follow(void);

/* Makes all keys of a stream due, after a poke. */
void ngx_http_blockcast_key_poll_poke(ngx_http_blockcast_stream_t *st);

/* Makes keys due that failed, as the node answers again. */
void ngx_http_blockcast_key_poll_hurry(ngx_http_blockcast_node_t *node);

/* _run() starts the polls that are due; _expire() gives up late ones. */
void ngx_http_blockcast_key_poll_run(void);
void ngx_http_blockcast_key_poll_expire(void);

/* Returns true if there is anything to do, with the time to it in *left. */
ngx_uint_t ngx_http_blockcast_key_poll_next(ngx_msec_int_t *left);

/* _can_try() returns true if a key can probe a failed node; _try() does it. */
ngx_uint_t ngx_http_blockcast_key_poll_can_try(
    ngx_http_blockcast_stream_t *st);
void ngx_http_blockcast_key_poll_try(ngx_http_blockcast_stream_t *st);

/*
 * For _poll_result: the keys of a poll, and its outcome.  _publish() returns
 * NGX_AGAIN when the poll ends later, as a cluster's log has to answer first.
 */
void ngx_http_blockcast_key_poll_input(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_jq_input_t *input);
ngx_int_t ngx_http_blockcast_key_poll_publish(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *output, ngx_uint_t n);
void ngx_http_blockcast_key_poll_failed(ngx_http_blockcast_poll_t *poll,
    int64_t code, ngx_str_t *message);
void ngx_http_blockcast_key_poll_done(ngx_http_blockcast_poll_t *poll);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_POLL_H_INCLUDED_ */
