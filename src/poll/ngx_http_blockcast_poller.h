
/*
 * The poller: one worker asks the node on behalf of all.
 */


#ifndef _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* starts and ends with the worker */
ngx_int_t ngx_http_blockcast_poller_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/* gives up the lease and aborts the calls in flight; said: the others are
   woken so that one of them goes on at once */
void ngx_http_blockcast_poller_stop(ngx_uint_t said);

/* on every tick: takes or keeps the lease */
void ngx_http_blockcast_poller_tick(void);

/* somebody may want a stream that was idle */
void ngx_http_blockcast_poller_kick(void);


/* msec: the shortest interval of the streams of the node that are polled */
ngx_msec_t ngx_http_blockcast_poller_least(ngx_http_blockcast_node_t *node);

/* the node answers again: its streams that failed are polled at once */
void ngx_http_blockcast_poller_hurry(ngx_http_blockcast_node_t *node);


/* tells the poller to set its timer again */
void ngx_http_blockcast_poller_poll_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_POLLER_H_INCLUDED_ */
