
/*
 * Finds a stream by its name, and checks names and paths.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Returns the stream of the configuration with that name, or NULL. */
ngx_http_blockcast_stream_t *ngx_http_blockcast_stream_find(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *name);

/*
 * Tells whether a stream, a call or the field of a log may have that name: 1
 * to NGX_HTTP_BLOCKCAST_NAME_LEN of the characters a-z A-Z 0-9 _ - .
 */
ngx_uint_t ngx_http_blockcast_stream_name_valid(ngx_str_t *name);

/*
 * Tells whether that can be asked for with GET: a path of printable ASCII that
 * begins with "/", with a query or not, without "/../", of at most 2000 bytes.
 */
ngx_uint_t ngx_http_blockcast_stream_path_valid(ngx_str_t *path);


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_ */
