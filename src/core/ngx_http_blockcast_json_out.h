
/*
 * JSON other than the data of streams: answers, errors, status, health.
 *
 * Built with cJSON.  A lack of memory is recorded in `failed`, so that a
 * caller has to check only once, at the end.  Another module may change
 * cJSON's allocator, so a tree must be freed by the same function that began
 * it.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JSON_OUT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JSON_OUT_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>

#include <cjson/cJSON.h>


typedef struct {
    cJSON     *root;
    size_t     bound;       /* the maximum size of the text (bytes) */
    unsigned   failed:1;    /* there was no memory */
} ngx_http_blockcast_json_out_t;


/*
 * Begins an object.  Returns it as a parent for the functions below, which
 * accept NULL for a parent that could not be created.
 */
cJSON *ngx_http_blockcast_json_out_begin(ngx_http_blockcast_json_out_t *out);

/*
 * Append a member to an object, or an element to an array (name is NULL), as
 * do all of the following.  The name must be a constant: it is not copied.
 */

cJSON *ngx_http_blockcast_json_out_object(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name);
cJSON *ngx_http_blockcast_json_out_array(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name);

/* Adds a value that is JSON text; it must not contain a NUL byte. */
void ngx_http_blockcast_json_out_raw(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const u_char *text, size_t len);

/*
 * Adds a number, true, false or null, formatted as by ngx_sprintf(), at most
 * 64 bytes.  cJSON's own numbers are doubles, which cannot hold every seq.
 */
void ngx_http_blockcast_json_out_value(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const char *fmt, ...);

/* Adds milliseconds as seconds with three decimals, or null if negative. */
void ngx_http_blockcast_json_out_seconds(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, ngx_msec_int_t msec);

/* Adds a string of arbitrary bytes, escaped as by bc_json_escape(). */
void ngx_http_blockcast_json_out_text(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const u_char *text, size_t len);

/* Adds a string of printable ASCII; it is not copied. */
void ngx_http_blockcast_json_out_string(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, const char *name, const char *text);

/*
 * Returns the maximum size of the text.  The caller allocates that many bytes
 * and calls _print(), or gives up with _drop().  Returns 0 after a lack of
 * memory; the tree is freed then.
 */
size_t ngx_http_blockcast_json_out_bound(ngx_http_blockcast_json_out_t *out);

/*
 * Writes the text to p, of _bound() bytes, and frees the tree.  Returns the
 * end.
 */
u_char *ngx_http_blockcast_json_out_print(ngx_http_blockcast_json_out_t *out,
    u_char *p);

/* Frees the tree without writing it. */
void ngx_http_blockcast_json_out_drop(ngx_http_blockcast_json_out_t *out);

/* Writes the text to memory of the pool.  Returns NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_json_out_pool(ngx_http_blockcast_json_out_t *out,
    ngx_pool_t *pool, ngx_str_t *text);


#endif /* _NGX_HTTP_BLOCKCAST_JSON_OUT_H_INCLUDED_ */
