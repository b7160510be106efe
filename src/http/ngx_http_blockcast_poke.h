
/*
 * blockcast_poke: a hook of the node reports that there is new data.
 */


#ifndef _NGX_HTTP_BLOCKCAST_POKE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_POKE_H_INCLUDED_


#include "ngx_http_blockcast.h"


ngx_int_t ngx_http_blockcast_poke_handler(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_POKE_H_INCLUDED_ */
