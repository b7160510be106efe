
/*
 * The history of a stream over plain HTTP, in JSON and CSV.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HISTORY_REST_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HISTORY_REST_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Answers a request for streams/NAME/history of a stream that this client may
 * have.
 */
ngx_int_t ngx_http_blockcast_history_rest(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st);


#endif /* _NGX_HTTP_BLOCKCAST_HISTORY_REST_H_INCLUDED_ */
