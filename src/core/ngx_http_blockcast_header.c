
/*
 * Searches nginx's lists of headers.
 */


#include "ngx_http_blockcast_header.h"


void
ngx_http_blockcast_header_walk(ngx_http_blockcast_header_walk_t *walk,
    ngx_list_t *headers)
{
    walk->part = &headers->part;
    walk->i = 0;
}


ngx_table_elt_t *
ngx_http_blockcast_header_next(ngx_http_blockcast_header_walk_t *walk,
    const char *name)
{
    size_t            len;
    ngx_table_elt_t  *h;

    len = (name != NULL) ? ngx_strlen(name) : 0;

    while (walk->part != NULL) {

        if (walk->i >= walk->part->nelts) {
            walk->part = walk->part->next;
            walk->i = 0;
            continue;
        }

        h = (ngx_table_elt_t *) walk->part->elts + walk->i++;

        if (h->hash != 0
            && (name == NULL
                || (h->key.len == len
                    && ngx_strncasecmp(h->key.data, (u_char *) name, len)
                       == 0)))
        {
            return h;
        }
    }

    return NULL;
}


ngx_table_elt_t *
ngx_http_blockcast_header_find(ngx_list_t *headers, const char *name)
{
    ngx_http_blockcast_header_walk_t  walk;

    ngx_http_blockcast_header_walk(&walk, headers);

    return ngx_http_blockcast_header_next(&walk, name);
}


ngx_str_t *
ngx_http_blockcast_header_value(ngx_http_request_t *r, const char *name)
{
    ngx_table_elt_t  *h;

    h = ngx_http_blockcast_header_find(&r->headers_in.headers, name);

    return (h != NULL) ? &h->value : NULL;
}
