
/*
 * The poller: the one worker that polls the nodes, on behalf of all.
 */


#ifndef _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"


/* Prepares polling, at the start of each worker; NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_poller_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Gives up the lease and aborts the calls in flight; notify: also wakes the
 * other workers, so that one of them takes over at once.
 */
void ngx_http_blockcast_poller_stop(ngx_uint_t notify);

/* Takes or renews the lease, on every tick. */
void ngx_http_blockcast_poller_tick(void);

/* Starts polling if the lease is free; otherwise sets the timer again. */
void ngx_http_blockcast_poller_kick(void);


/* Returns the shortest interval of a node's streams that are polled (msec). */
ngx_msec_t ngx_http_blockcast_poller_least(ngx_http_blockcast_node_t *node);

/*
 * Returns true when a stream is to be polled: it has listeners, or
 * blockcast_always.  For any worker, but only the polling one knows whether
 * another nginx follows the state file.
 */
ngx_uint_t ngx_http_blockcast_poller_wanted(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st);

/*
 * Requests a poll of a stream because of a message of its node's head, with
 * the result in it or NULL; the caller then calls _poller_kick().
 */
void ngx_http_blockcast_poller_head(ngx_http_blockcast_stream_t *st,
    ngx_str_t *result);

/* Polls the node's failed streams at once, as the node answers again. */
void ngx_http_blockcast_poller_hurry(ngx_http_blockcast_node_t *node);


/*
 * Sets the timer of the next poll after one has ended.  A log that lags and
 * got something new is polled before its interval is over.
 */
void ngx_http_blockcast_poller_poll_done(ngx_http_blockcast_poll_t *poll);


#endif /* _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_ */
