
/*
 * The history of a stream over plain HTTP, in JSON and CSV.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HISTORY_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HISTORY_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Responds to a request for streams/NAME/history; the caller has checked that
 * this client may have the stream.  Returns what the content handler returns.
 */
ngx_int_t ngx_http_blockcast_history_rest(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st);


#endif /* _NGX_HTTP_BLOCKCAST_HISTORY_REST_H_INCLUDED_ */
