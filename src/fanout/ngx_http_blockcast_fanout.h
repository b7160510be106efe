
/*
 * The fan-out: sends what is new in a hub to its subscribers in this worker,
 * in slices, so that no other event has to wait for thousands of sends.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Prepares the fan-out, in hub_init(). */
void ngx_http_blockcast_fanout_init(ngx_cycle_t *cycle);

/* Ends it, when the connections are gone. */
void ngx_http_blockcast_fanout_done(void);

/*
 * Copies what is new in the zone, and begins to send it, or the stream's other
 * status, to this worker's clients.
 */
void ngx_http_blockcast_fanout_update(ngx_http_blockcast_hub_t *hub);

/* Does so for all streams. */
void ngx_http_blockcast_fanout_update_all(void);

/* the hubs whose fan-out is under way */
extern ngx_uint_t  ngx_http_blockcast_fanout_nwalking;


#endif /* _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_ */
