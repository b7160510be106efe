
/*
 * blockcast_head: the WebSocket to a node, and the streams that use it.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handles blockcast_head URL [PARAMETER ...] in the location of a node. */
char *ngx_http_blockcast_conf_head_location(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/*
 * Handle blockcast_head [PARAMETER ...] of a stream: _stream() reads it;
 * _check() is called at the end of the stream's block, when the calls are
 * known.  Both log their errors.
 */
char *ngx_http_blockcast_conf_head_stream(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
ngx_int_t ngx_http_blockcast_conf_head_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/*
 * Links nodes, heads and messages, once the whole configuration is read and
 * the streams know their nodes.  Logs why it returns NGX_ERROR.
 */
ngx_int_t ngx_http_blockcast_conf_head_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_ */
