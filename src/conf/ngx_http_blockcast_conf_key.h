
/*
 * blockcast_key and blockcast_after of a stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_KEY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_KEY_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Handle the directives of a key; they return what those of conf_stream do. */
char *ngx_http_blockcast_conf_key_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
char *ngx_http_blockcast_conf_key_after(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/*
 * Checks them against the stream's other directives, and sets the defaults
 * that are others with them.  NGX_ERROR has been logged.
 */
ngx_int_t ngx_http_blockcast_conf_key_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

/* Finds the streams of blockcast_after, when all are read. */
ngx_int_t ngx_http_blockcast_conf_key_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_KEY_H_INCLUDED_ */
