
/*
 * blockcast_head: the WebSocket to a node, and the streams it is for.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handles blockcast_head URL [PARAMETER ...] in the location of a node. */
char *ngx_http_blockcast_conf_head_location(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/*
 * Handle blockcast_head [PARAMETER ...] of a stream: _stream() reads it, and
 * _check() checks it at the end of the stream's block, when the calls are
 * known.  Each logs its errors.
 */
char *ngx_http_blockcast_conf_head_stream(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
ngx_int_t ngx_http_blockcast_conf_head_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/*
 * Gives each node its head, and each head its messages, at the end of the
 * configuration, when the streams know their nodes.  NGX_ERROR was logged.
 */
ngx_int_t ngx_http_blockcast_conf_head_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_HEAD_H_INCLUDED_ */
