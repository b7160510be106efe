
/*
 * blockcast_key and blockcast_after of a stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_KEY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_KEY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handle these directives; they return the same as those of _conf_stream. */
char *ngx_http_blockcast_conf_key_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
char *ngx_http_blockcast_conf_key_after(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/*
 * Checks them against the stream's other directives, and sets the defaults
 * that differ for streams with keys.  Logs why it returns NGX_ERROR.
 */
ngx_int_t ngx_http_blockcast_conf_key_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/* Finds the streams named by blockcast_after, once all are read. */
ngx_int_t ngx_http_blockcast_conf_key_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_KEY_H_INCLUDED_ */
