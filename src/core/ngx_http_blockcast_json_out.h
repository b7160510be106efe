
/*
 * JSON that is not the data of streams: answers, errors, status, health.
 *
 * Built with cJSON.  When there is no memory for a value, that is remembered,
 * so that a caller has to look only once, at the end.  cJSON's allocator may
 * be another module's: a tree is freed in the function that began it.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JSON_OUT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JSON_OUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>


typedef struct {
    cJSON     *root;
    size_t     bound;       /* bytes that the text needs at most */
    unsigned   failed:1;    /* no memory */
} ngx_http_blockcast_json_out_t;


/*
 * Begins an object.  Returns it, for the functions below; they take NULL for
 * a parent that could not be made.
 */
cJSON *ngx_http_blockcast_json_out_begin(ngx_http_blockcast_json_out_t *out);

/*
 * Append a member to an object, or an element to an array (name is NULL), as
 * all of the following do.  The name must be a constant: it is not copied.
 */

cJSON *ngx_http_blockcast_json_out_object(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name);
cJSON *ngx_http_blockcast_json_out_array(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name);

/* Adds a value that is JSON text already, without a NUL byte in it. */
void ngx_http_blockcast_json_out_raw(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const u_char *text, size_t len);

/*
 * Adds a number, true, false or null, as ngx_sprintf() writes it, 64 bytes at
 * most: the numbers of cJSON are doubles, which lose digits of a seq.
 */
void ngx_http_blockcast_json_out_value(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const char *fmt, ...);

/* Adds milliseconds as seconds with three decimals; below 0, null. */
void ngx_http_blockcast_json_out_seconds(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, ngx_msec_int_t msec);

/* Adds a string of any bytes, escaped as by bc_json_escape(). */
void ngx_http_blockcast_json_out_text(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const u_char *text, size_t len);

/* Adds a string that is a constant or a name, printable ASCII. */
void ngx_http_blockcast_json_out_string(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const char *text);

/*
 * Tells how many bytes the text may have: the caller allocates as many and
 * calls _print(), or gives up with _drop().  Returns 0 without memory; then
 * the tree is freed.
 */
size_t ngx_http_blockcast_json_out_bound(ngx_http_blockcast_json_out_t *out);

/* Writes the text to p, of _bound() bytes, frees the tree, returns the end. */
u_char *ngx_http_blockcast_json_out_print(ngx_http_blockcast_json_out_t *out,
    u_char *p);

/* Frees the tree without writing it. */
void ngx_http_blockcast_json_out_drop(ngx_http_blockcast_json_out_t *out);

/* Writes the text to memory of the pool.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_blockcast_json_out_pool(ngx_http_blockcast_json_out_t *out,
    ngx_pool_t *pool, ngx_str_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_JSON_OUT_H_INCLUDED_ */
