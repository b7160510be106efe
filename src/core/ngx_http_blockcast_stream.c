
/*
 * Finds a stream by its name, and checks names and paths.
 */


#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast.h"


ngx_http_blockcast_stream_t *
ngx_http_blockcast_stream_find(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_str_t *name)
{
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **st;

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (st[i]->name.len == name->len
            && ngx_memcmp(st[i]->name.data, name->data, name->len) == 0)
        {
            return st[i];
        }
    }

    return NULL;
}


ngx_uint_t
ngx_http_blockcast_stream_name_valid(ngx_str_t *name)
{
    size_t  i;
    u_char  ch;

    if (name->len == 0 || name->len > NGX_HTTP_BLOCKCAST_NAME_LEN) {
        return 0;
    }

    for (i = 0; i < name->len; i++) {
        ch = name->data[i];

        if ((ch < 'a' || ch > 'z') && (ch < 'A' || ch > 'Z')
            && (ch < '0' || ch > '9') && ch != '_' && ch != '-' && ch != '.')
        {
            return 0;
        }
    }

    return 1;
}


ngx_uint_t
ngx_http_blockcast_stream_path_valid(ngx_str_t *path)
{
    size_t  i;
    u_char  ch;

    if (path->len == 0 || path->len > 2000 || path->data[0] != '/') {
        return 0;
    }

    for (i = 0; i < path->len; i++) {
        ch = path->data[i];

        if (ch <= ' ' || ch >= 0x7f || ch == '#' || ch == '"' || ch == '\\') {
            return 0;
        }
    }

    for (i = 0; i + 3 <= path->len && path->data[i] != '?'; i++) {

        if (ngx_strncmp(&path->data[i], "/..", 3) == 0
            && (i + 3 == path->len || path->data[i + 3] == '/'
                || path->data[i + 3] == '?'))
        {
            return 0;
        }
    }

    return 1;
}
