
/*
 * Extra rounds: polls of a stream out of turn, because a hook (blockcast_poke)
 * or the node's head says that something has happened at the node.
 */


#ifndef _NGX_HTTP_BLOCKCAST_EXTRA_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_EXTRA_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"


/* the default time between two extra rounds of a stream (msec) */
#define NGX_HTTP_BLOCKCAST_EXTRA_APART   50


/*
 * Requests an extra round from the worker that polls.  Returns NULL, or a
 * constant phrase saying why the stream will not be polled.  If *wake was set,
 * the caller has to wake the poller, once for all streams.
 */
const char *ngx_http_blockcast_extra_poke(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    ngx_uint_t *wake);

/*
 * Requests an extra round in this worker, which polls.  With a result (which
 * is copied) the round uses that for the stream's head_call instead of calling
 * the node.
 */
void ngx_http_blockcast_extra_head(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *result);

/* Forgets all pokes; called when this worker starts or stops to poll. */
void ngx_http_blockcast_extra_reset(ngx_http_blockcast_poll_t *poll);

/*
 * Collects the pokes of all workers.  Returns true when an extra round is due,
 * with its time in *when.
 */
ngx_uint_t ngx_http_blockcast_extra_pending(ngx_http_blockcast_poll_t *poll,
    ngx_msec_t *when);

/* Drops the pokes of a stream that is not polled now. */
void ngx_http_blockcast_extra_drop(ngx_http_blockcast_poll_t *poll);

/* Called at the start and the end of each round of the stream. */
void ngx_http_blockcast_extra_begin(ngx_http_blockcast_poll_t *poll);
void ngx_http_blockcast_extra_end(ngx_http_blockcast_poll_t *poll);


#endif /* _NGX_HTTP_BLOCKCAST_EXTRA_H_INCLUDED_ */
