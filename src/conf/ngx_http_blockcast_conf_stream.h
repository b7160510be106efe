
/*
 * blockcast_stream NAME { ... } and the directives inside it.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_STREAM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_STREAM_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Handles blockcast_stream: reads its block and adds a stream to
 * conf->streams.
 */
char *ngx_http_blockcast_conf_stream_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Finds the node of each stream, once the whole configuration is read.  Logs
 * why it returns NGX_ERROR: for example, a stream names an unknown node.
 */
ngx_int_t ngx_http_blockcast_conf_stream_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_STREAM_H_INCLUDED_ */
