
/*
 * Requests that wait for a turn of the event loop with time for them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_TURN_WAIT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_TURN_WAIT_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Returns NGX_OK when the request can be handled now.  Otherwise this turn has
 * taken long enough: NGX_DONE, and the handler is called in one of the next
 * turns.  Until then the caller has to hold a reference to the request.
 */
ngx_int_t ngx_http_blockcast_turn_wait(ngx_http_request_t *r,
    ngx_http_event_handler_pt handler);


#endif /* _NGX_HTTP_BLOCKCAST_TURN_WAIT_H_INCLUDED_ */
