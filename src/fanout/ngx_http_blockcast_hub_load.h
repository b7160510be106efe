
/*
 * Loads: a worker's copies of large snapshots that another one has published,
 * made in pieces, between which other events have their turn.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HUB_LOAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HUB_LOAD_H_INCLUDED_


#include "ngx_http_blockcast_hub.h"


/* Prepares a new worker; frees what is under way. */
void ngx_http_blockcast_hub_load_init(ngx_cycle_t *cycle);
void ngx_http_blockcast_hub_load_done(void);

/*
 * Returns true when the newest snapshot is large and is being copied: the
 * fan-out begins when it is here.  False: hub_sync() is the way.  Who needs
 * the newest at once calls that one meanwhile, too.
 */
ngx_uint_t ngx_http_blockcast_hub_load(ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_HUB_LOAD_H_INCLUDED_ */
