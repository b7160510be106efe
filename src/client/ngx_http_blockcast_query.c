
/*
 * The arguments of a request's query.
 */


#include "ngx_http_blockcast_query.h"


ngx_uint_t
ngx_http_blockcast_query_next(u_char **p, u_char *last, ngx_str_t *name,
    ngx_str_t *value)
{
    u_char  *start, *end, *equal;

    while (*p < last) {

        start = *p;
        end = ngx_strlchr(start, last, '&');

        if (end == NULL) {
            end = last;
        }

        *p = end + 1;
        equal = ngx_strlchr(start, end, '=');

        if (equal == NULL) {
            continue;
        }

        name->data = start;
        name->len = equal - start;
        value->data = equal + 1;
        value->len = end - value->data;

        return 1;
    }

    return 0;
}


ngx_int_t
ngx_http_blockcast_query_decode(ngx_http_request_t *r, ngx_str_t *written,
    ngx_str_t *text)
{
    u_char  *src, *dst;

    dst = ngx_pnalloc(r->pool, written->len + 1);

    if (dst == NULL) {
        return NGX_ERROR;
    }

    src = written->data;
    text->data = dst;

    ngx_unescape_uri(&dst, &src, written->len, 0);
    *dst = '\0';

    text->len = dst - text->data;

    return NGX_OK;
}


size_t
ngx_http_blockcast_query_list_name(ngx_str_t *name)
{
    size_t  n;

    n = name->len;

    if (n < 2 || name->data[n - 1] != ']') {
        return name->len;
    }

    for (n -= 2; n > 0 && name->data[n] >= '0' && name->data[n] <= '9'; n--) {
        /* void */
    }

    return (name->data[n] == '[') ? n : name->len;
}


/* Returns true if a name (ended by NUL) is empty or one of our arguments. */

static ngx_uint_t
ngx_http_blockcast_query_is_ours(ngx_str_t *name)
{
    ngx_uint_t  i;

    static const char *const  ours[] = {
        "limit", "offset", "wait", "after", "token", "streams"
    };

    for (i = 0; i < sizeof(ours) / sizeof(ours[0]); i++) {
        if (ngx_strcmp(name->data, ours[i]) == 0) {
            return 1;
        }
    }

    return name->len == 0;
}


ngx_int_t
ngx_http_blockcast_query_member(ngx_http_request_t *r, ngx_str_t *written,
    ngx_str_t *name)
{
    if (ngx_http_blockcast_query_decode(r, written, name) != NGX_OK) {
        return NGX_ERROR;
    }

    name->len = ngx_http_blockcast_query_list_name(name);
    name->data[name->len] = '\0';

    return ngx_http_blockcast_query_is_ours(name) ? NGX_DECLINED : NGX_OK;
}
