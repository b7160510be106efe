
/*
 * Searches nginx's lists of headers.  Headers that nginx or a module has
 * deleted by a hash of 0 are skipped.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEADER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEADER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


/* a position in a list */

typedef struct {
    ngx_list_part_t  *part;
    ngx_uint_t        i;
} ngx_http_blockcast_header_walk_t;


/* Starts at the first header of a list. */
void ngx_http_blockcast_header_walk(ngx_http_blockcast_header_walk_t *walk,
    ngx_list_t *headers);

/* Returns the next header with that name (NULL: any), or NULL at the end. */
ngx_table_elt_t *ngx_http_blockcast_header_next(
    ngx_http_blockcast_header_walk_t *walk, const char *name);

/* Returns the first header with that name, ignoring case, or NULL. */
ngx_table_elt_t *ngx_http_blockcast_header_find(ngx_list_t *headers,
    const char *name);

/* Returns the value of the request's first header with that name, or NULL. */
ngx_str_t *ngx_http_blockcast_header_value(ngx_http_request_t *r,
    const char *name);


#endif /* _NGX_HTTP_BLOCKCAST_HEADER_H_INCLUDED_ */
