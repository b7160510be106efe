
/*
 * Extra rounds: a stream is polled at once because something has happened at
 * the node, as a hook (blockcast_poke) or the node's head says.
 */


#ifndef _NGX_HTTP_BLOCKCAST_EXTRA_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_EXTRA_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_poll.h"


/* between two extra rounds of a stream, unless it says otherwise (msec) */
#define NGX_HTTP_BLOCKCAST_EXTRA_APART   50


/*
 * Has the stream polled, by whichever worker polls.  Returns NULL, or a
 * constant phrase that says why it is not.  The caller wakes the poller, once
 * for all streams, when *wake was set.
 */
const char *ngx_http_blockcast_extra_poke(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    ngx_uint_t *wake);

/*
 * Has the stream polled by this worker, which polls.  With a result (its bytes
 * are copied) the next round takes that for the stream's head_call instead of
 * asking for it.
 */
void ngx_http_blockcast_extra_head(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *result);

/* Forgets all pokes: called when this worker begins or stops to poll. */
void ngx_http_blockcast_extra_reset(ngx_http_blockcast_poll_t *poll);

/*
 * Collects the pokes of all workers.  Returns true when an extra round is due,
 * with its time in *when.
 */
ngx_uint_t ngx_http_blockcast_extra_pending(ngx_http_blockcast_poll_t *poll,
    ngx_msec_t *when);

/* Drops the pokes of a stream that is not polled now. */
void ngx_http_blockcast_extra_drop(ngx_http_blockcast_poll_t *poll);

/* Note that any round of the stream begins, and that it ends. */
void ngx_http_blockcast_extra_begin(ngx_http_blockcast_poll_t *poll);
void ngx_http_blockcast_extra_end(ngx_http_blockcast_poll_t *poll);


#endif /* _NGX_HTTP_BLOCKCAST_EXTRA_H_INCLUDED_ */
