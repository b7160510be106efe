
/*
 * blockcast_head: the WebSocket to a node, and the streams it is for.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* blockcast_head URL [PARAMETER ...] in the location of a node */
char *ngx_http_blockcast_conf_head_location(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/*
 * _stream() sets blockcast_head [PARAMETER ...] of a stream.  _check() checks
 * it at the end of the stream's block, when the calls are known.  An error of
 * either has been logged.
 */
char *ngx_http_blockcast_conf_head_stream(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
ngx_int_t ngx_http_blockcast_conf_head_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/*
 * Called at the end of the configuration, when the streams know their nodes:
 * gives each node its head, and each head its messages.  NGX_ERROR has been
 * logged.
 */
ngx_int_t ngx_http_blockcast_conf_head_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_ */
