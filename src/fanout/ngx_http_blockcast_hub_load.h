
/*
 * Loads: a worker copies large snapshots that another one has published in
 * pieces, between which other events get their turn.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HUB_LOAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HUB_LOAD_H_INCLUDED_


#include "ngx_http_blockcast_hub.h"


/* Prepare a new worker, and free the copies under way. */
void ngx_http_blockcast_hub_load_init(ngx_cycle_t *cycle);
void ngx_http_blockcast_hub_load_done(void);

/*
 * Returns true when the newest snapshot, or what is new of a log, is large and
 * is being copied: the fan-out begins when that is done.  False: call
 * hub_sync().  A caller that needs the newest at once may call hub_sync() in
 * any case.
 */
ngx_uint_t ngx_http_blockcast_hub_load(ngx_http_blockcast_hub_t *hub);

/*
 * Returns the seq of the snapshot that is being copied, or 0 when none is.  A
 * client that comes meanwhile must get nothing older: it may have this one
 * already, from another worker.  So it is subscribed as if it had the one
 * before, and the fan-out after the copy sends it this one, or what has
 * replaced it by then.
 */
uint64_t ngx_http_blockcast_hub_load_seq(ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_HUB_LOAD_H_INCLUDED_ */
