
/*
 * blockcast_stream NAME { ...
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_STREAM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_STREAM_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* _stream_conf */
char *ngx_http_blockcast_conf_stream_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
ngx_int_t ngx_http_blockcast_conf_stream_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_STREAM_H_INCLUDED_ */
