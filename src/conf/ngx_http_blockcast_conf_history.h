
/*
 * blockcast_history inside blockcast_stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_HISTORY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_HISTORY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Reads a blockcast_history line; a stream may have several. */
char *ngx_http_blockcast_conf_history_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/*
 * Checks all blockcast_history lines of a stream together, and sets defaults.
 */
char *ngx_http_blockcast_conf_history_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_HISTORY_H_INCLUDED_ */
