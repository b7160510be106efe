
/*
 * Helpers that streams and directives share: names, times, files.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* reads a whole file to pool; its name is taken relative to nginx.conf.  The
   messages say whose it is: kind "owner" */
ngx_int_t ngx_http_blockcast_read_file(ngx_conf_t *cf, const char *kind,
    ngx_str_t *owner, ngx_str_t *name, ngx_str_t *text);
ngx_http_blockcast_stream_t *ngx_http_blockcast_stream_find(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *name);

/* milliseconds of "2s", "500ms" or "1m"; NGX_ERROR when it is no time > 0 */
ngx_int_t ngx_http_blockcast_parse_msec(ngx_str_t *value);

/* a name of a stream or of a call: 1 to 63 of a-z A-Z 0-9 _ - . */
ngx_uint_t ngx_http_blockcast_stream_name_valid(ngx_str_t *name);


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_ */
