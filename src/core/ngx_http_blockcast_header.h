
/*
 * Headers in nginx's lists.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEADER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEADER_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Returns the first header of that name, in any case of its letters, or NULL.
 * Those that nginx has taken back, with a hash of 0, are not there.
 */
ngx_table_elt_t *ngx_http_blockcast_header_find(ngx_list_t *headers,
    const char *name);


#endif /* _NGX_HTTP_BLOCKCAST_HEADER_H_INCLUDED_ */
