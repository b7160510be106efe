
/*
 * The poller: the one worker that asks the nodes, on behalf of all.
 */


#ifndef _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"


/* Prepares polling, at the start of each worker; NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_poller_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Gives up the lease and aborts the calls in flight; with notify set the other
 * workers are woken, so that one of them goes on at once.
 */
void ngx_http_blockcast_poller_stop(ngx_uint_t notify);

/* Takes or renews the lease, on every tick. */
void ngx_http_blockcast_poller_tick(void);

/* Starts polling if the lease is free; otherwise sets the timer again. */
void ngx_http_blockcast_poller_kick(void);


/* Returns the shortest interval of a node's streams that are polled (msec). */
ngx_msec_t ngx_http_blockcast_poller_least(ngx_http_blockcast_node_t *node);

/*
 * Tells whether a stream is to be polled: somebody listens, or it is polled
 * always.  For any worker; only the polling one knows of followers of the
 * state file.
 */
ngx_uint_t ngx_http_blockcast_poller_wanted(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st);

/*
 * Has a stream polled because its node's head has told something, with the
 * result that came or NULL; then _poller_kick() has to be called.
 */
void ngx_http_blockcast_poller_head(ngx_http_blockcast_stream_t *st,
    ngx_str_t *result);

/* Polls the node's failed streams at once: the node answers again. */
void ngx_http_blockcast_poller_hurry(ngx_http_blockcast_node_t *node);


/*
 * Sets the timer of the next poll, after one has ended: of a log that lags and
 * had something new, that comes before the interval is over.
 */
void ngx_http_blockcast_poller_poll_done(ngx_http_blockcast_poll_t *poll);


#endif /* _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_ */
