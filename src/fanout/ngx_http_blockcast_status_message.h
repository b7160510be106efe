
/*
 * The message that tells a subscriber the status of a stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STATUS_MESSAGE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STATUS_MESSAGE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


/*
 * Makes {"type":"status",...} from hub->freshness and what the zone knows
 * about the stream and its node.  Returns a new text frame, or NULL without
 * memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_status_message(
    ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_STATUS_MESSAGE_H_INCLUDED_ */
