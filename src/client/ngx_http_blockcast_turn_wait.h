
/*
 * Requests that wait for a turn of the event loop with time for them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_TURN_WAIT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_TURN_WAIT_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Returns NGX_OK when the request can be handled now.  Otherwise this turn has
 * taken long enough: NGX_DONE, to be returned to nginx; the handler of the
 * request's location runs in one of the next turns.
 */
ngx_int_t ngx_http_blockcast_turn_wait(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_TURN_WAIT_H_INCLUDED_ */
