
/*
 * Finds a stream by its name, and checks names and paths.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Returns the configured stream with that name, or NULL. */
ngx_http_blockcast_stream_t *ngx_http_blockcast_stream_find(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *name);

/*
 * Tells whether this is a valid name for a stream, a call or the field of a
 * log: 1 to NGX_HTTP_BLOCKCAST_NAME_LEN of the characters a-z A-Z 0-9 _ - .
 */
ngx_uint_t ngx_http_blockcast_stream_name_valid(ngx_str_t *name);

/*
 * Tells whether a path is valid for a GET: printable ASCII, at most 2000
 * bytes, beginning with "/", without "/../", optionally with a query.
 */
ngx_uint_t ngx_http_blockcast_stream_path_valid(ngx_str_t *path);


#endif /* _NGX_HTTP_BLOCKCAST_STREAM_H_INCLUDED_ */
