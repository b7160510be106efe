
/*
 * Cross-origin requests (CORS), and blockcast_guard.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CORS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CORS_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Installs the handler and the header filter, if the configuration has an
 * endpoint or a guard.  Called after the configuration was read.  Returns
 * NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_cors_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CORS_H_INCLUDED_ */
