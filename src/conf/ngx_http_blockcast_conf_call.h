
/*
 * blockcast_call NAME METHOD ...: what the configuration says of one call.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_CALL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_CALL_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* blockcast_call in a stream's block, for NGX_CONF_* as directives return it */
char *ngx_http_blockcast_conf_call(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_CALL_H_INCLUDED_ */
