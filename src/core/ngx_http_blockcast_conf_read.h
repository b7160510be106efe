
/*
 * Reads what directives have as arguments: times, NAME=VALUE, files.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_READ_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_READ_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


typedef enum {
    ngx_http_blockcast_conf_number,
    ngx_http_blockcast_conf_size,
    ngx_http_blockcast_conf_time
} ngx_http_blockcast_conf_unit_e;


/*
 * Tells whether param begins with prefix ("timeout=").  If so, *value is the
 * rest of it, which may be empty: it points into param, and a NUL follows it.
 */
ngx_uint_t ngx_http_blockcast_conf_read_param(ngx_str_t *param,
    const char *prefix, ngx_str_t *value);

/*
 * Returns the msec of "2s", "500ms" or "1m"; NGX_ERROR if it is no time >
 * 0.
 */
ngx_int_t ngx_http_blockcast_conf_read_msec(ngx_str_t *value);

/*
 * Returns a whole number, the bytes of "16k" or the msec of "2s" when that is
 * from least to most; NGX_ERROR otherwise.
 */
ngx_int_t ngx_http_blockcast_conf_read_within(ngx_str_t *value,
    ngx_http_blockcast_conf_unit_e unit, ngx_int_t least, ngx_int_t most);

/*
 * Makes the name of a file its full path.  A relative one is looked for beside
 * the file that is being read (a preset, say), then in the folder above that,
 * else it is taken relative to the folder of nginx.conf.  NGX_ERROR without
 * memory.
 */
ngx_int_t ngx_http_blockcast_conf_read_name(ngx_conf_t *cf, ngx_str_t *name);

/* Sets *dir to the folder in the path of a file, up to its "/"; or to "". */
void ngx_http_blockcast_conf_read_dir(ngx_str_t *name, ngx_str_t *dir);

/*
 * Reads a whole file to cf->pool.  *name becomes its full path, as with
 * ngx_http_blockcast_conf_read_name().  NGX_ERROR has been logged, with kind
 * and owner to say whose file it is: stream "blocks".
 */
ngx_int_t ngx_http_blockcast_conf_read_file(ngx_conf_t *cf, const char *kind,
    ngx_str_t *owner, ngx_str_t *name, ngx_str_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_READ_H_INCLUDED_ */
