
/*
 * The fan-out: what is new in a feed goes to its subscribers in this worker,
 * in slices, so that nobody else has to wait for thousands of sends.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* _fanout: copies what is new and sends it to this worker's clients */
void ngx_http_blockcast_fanout_update(ngx_http_blockcast_hub_t *hub);

/* the same for all feeds */
void ngx_http_blockcast_fanout_update_all(void);


#endif /* _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_ */
