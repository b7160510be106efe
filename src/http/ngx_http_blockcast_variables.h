
/*
 * The module's variables.
 */


#ifndef _NGX_HTTP_BLOCKCAST_VARIABLES_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_VARIABLES_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Adds the variables; called before the configuration is read. */
ngx_int_t ngx_http_blockcast_variables_add(ngx_conf_t *cf);


#endif /* _NGX_HTTP_BLOCKCAST_VARIABLES_H_INCLUDED_ */
