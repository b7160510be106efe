
/*
 * Reads the arguments of directives: times, NAME=VALUE, files.
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
 * rest, possibly empty: it points into param and is followed by a NUL.
 */
ngx_uint_t ngx_http_blockcast_conf_read_param(ngx_str_t *param,
    const char *prefix, ngx_str_t *value);

/* Returns the msec of "2s", "500ms" or "1m"; NGX_ERROR if invalid or 0. */
ngx_int_t ngx_http_blockcast_conf_read_msec(ngx_str_t *value);

/*
 * Returns a number, the bytes of "16k" or the msec of "2s" if it is from least
 * to most, otherwise NGX_ERROR.
 */
ngx_int_t ngx_http_blockcast_conf_read_within(ngx_str_t *value,
    ngx_http_blockcast_conf_unit_e unit, ngx_int_t least, ngx_int_t most);

/*
 * Turns the name of a file into a full path.  A relative name is searched for
 * in the folder of the configuration file being read (a preset, say), then in
 * the folder above; otherwise it is relative to the folder of nginx.conf.
 * Returns NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_conf_read_name(ngx_conf_t *cf, ngx_str_t *name);

/*
 * Sets *dir to the folder of a file, including the "/"; or to "" without one.
 */
void ngx_http_blockcast_conf_read_dir(ngx_str_t *name, ngx_str_t *dir);

/*
 * Reads a whole file into cf->pool.  *name becomes its full path, as with
 * ngx_http_blockcast_conf_read_name().  Logs why it returns NGX_ERROR; kind
 * and owner tell in the message whose file it is: stream "blocks".
 */
ngx_int_t ngx_http_blockcast_conf_read_file(ngx_conf_t *cf, const char *kind,
    ngx_str_t *owner, ngx_str_t *name, ngx_str_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_READ_H_INCLUDED_ */
