
/*
 * Finishes what a previous poller left in a slot.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SNAPSHOT_RECOVER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SNAPSHOT_RECOVER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Finishes what the previous poller of a stream began.  For the worker that
 * has just become the poller, before its first poll.
 */
void ngx_http_blockcast_snapshot_recover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_log_t *log);


#endif /* _NGX_HTTP_BLOCKCAST_SNAPSHOT_RECOVER_H_INCLUDED_ */
