
/*
 * Helpers that streams and directives share: names, times, files.
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


ngx_int_t
ngx_http_blockcast_parse_msec(ngx_str_t *value)
{
    ngx_int_t  msec;

    msec = ngx_parse_time(value, 0);

    return (msec == NGX_ERROR || msec == 0) ? NGX_ERROR : msec;
}


ngx_int_t
ngx_http_blockcast_read_file(ngx_conf_t *cf, const char *kind,
    ngx_str_t *owner, ngx_str_t *name, ngx_str_t *text)
{
    ssize_t      n;
    ngx_fd_t     fd;
    ngx_file_t   file;

    if (ngx_conf_full_name(cf->cycle, name, 1) != NGX_OK) {
        return NGX_ERROR;
    }

    fd = ngx_open_file(name->data, NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);

    if (fd == NGX_INVALID_FILE) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_open_file_n " \"%V\" of %s \"%V\" failed",
                           name, kind, owner);
        return NGX_ERROR;
    }

    ngx_memzero(&file, sizeof(ngx_file_t));

    file.fd = fd;
    file.name = *name;
    file.log = cf->log;

    if (ngx_fd_info(fd, &file.info) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, ngx_errno,
                           ngx_fd_info_n " \"%V\" of %s \"%V\" failed",
                           name, kind, owner);
        goto failed;
    }

    if (!ngx_is_file(&file.info)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of %s \"%V\" is not a file",
                           name, kind, owner);
        goto failed;
    }

    text->len = ngx_file_size(&file.info);
    text->data = ngx_pnalloc(cf->pool, text->len + 1);

    if (text->data == NULL) {
        goto failed;
    }

    n = ngx_read_file(&file, text->data, text->len, 0);

    if (n != (ssize_t) text->len) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of %s \"%V\" was read to byte %z "
                           "of %uz", name, kind, owner, n, text->len);
        goto failed;
    }

    if (ngx_close_file(fd) == NGX_FILE_ERROR) {
        ngx_conf_log_error(NGX_LOG_ALERT, cf, ngx_errno,
                           ngx_close_file_n " \"%V\" failed", name);
    }

    return NGX_OK;

failed:

    (void) ngx_close_file(fd);

    return NGX_ERROR;
}
