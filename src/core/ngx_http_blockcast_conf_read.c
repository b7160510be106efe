
/*
 * Reads the arguments of directives: times, NAME=VALUE, files.
 */


#include "ngx_http_blockcast_conf_read.h"


ngx_uint_t
ngx_http_blockcast_conf_read_param(ngx_str_t *param, const char *prefix,
    ngx_str_t *value)
{
    size_t  len;

    len = ngx_strlen(prefix);

    if (param->len < len || ngx_memcmp(param->data, prefix, len) != 0) {
        return 0;
    }

    value->data = param->data + len;
    value->len = param->len - len;

    return 1;
}


ngx_int_t
ngx_http_blockcast_conf_read_msec(ngx_str_t *value)
{
    ngx_int_t  msec;

    msec = ngx_parse_time(value, 0);

    return (msec == NGX_ERROR || msec == 0) ? NGX_ERROR : msec;
}


ngx_int_t
ngx_http_blockcast_conf_read_within(ngx_str_t *value,
    ngx_http_blockcast_conf_unit_e unit, ngx_int_t least, ngx_int_t most)
{
    ngx_int_t  n;

    switch (unit) {

    case ngx_http_blockcast_conf_size:
        n = ngx_parse_size(value);
        break;

    case ngx_http_blockcast_conf_time:
        n = ngx_http_blockcast_conf_read_msec(value);
        break;

    default: /* ngx_http_blockcast_conf_number */
        n = ngx_atoi(value->data, value->len);
        break;
    }

    return (n < least || n > most) ? NGX_ERROR : n;
}


ngx_int_t
ngx_http_blockcast_conf_read_name(ngx_conf_t *cf, ngx_str_t *name)
{
    u_char           *p;
    ngx_str_t         dir, path;
    ngx_uint_t        up;
    ngx_file_info_t   fi;

    if (name->len != 0 && name->data[0] == '/') {
        return ngx_conf_full_name(cf->cycle, name, 1);
    }

    ngx_http_blockcast_conf_read_dir(&cf->conf_file->file.name, &dir);

    for (up = 0; dir.len != 0 && up < 2; up++) {

        path.len = dir.len + (up ? 3 : 0) + name->len;
        path.data = ngx_pnalloc(cf->pool, path.len + 1);

        if (path.data == NULL) {
            return NGX_ERROR;
        }

        p = ngx_cpymem(path.data, dir.data, dir.len);

        if (up) {
            p = ngx_cpymem(p, "../", 3);
        }

        p = ngx_cpymem(p, name->data, name->len);
        *p = '\0';

        if (ngx_file_info(path.data, &fi) != NGX_FILE_ERROR) {
            *name = path;
            return NGX_OK;
        }
    }

    return ngx_conf_full_name(cf->cycle, name, 1);
}


void
ngx_http_blockcast_conf_read_dir(ngx_str_t *name, ngx_str_t *dir)
{
    *dir = *name;

    while (dir->len != 0 && dir->data[dir->len - 1] != '/') {
        dir->len--;
    }
}


ngx_int_t
ngx_http_blockcast_conf_read_file(ngx_conf_t *cf, const char *kind,
    ngx_str_t *owner, ngx_str_t *name, ngx_str_t *text)
{
    ssize_t      n;
    ngx_fd_t     fd;
    ngx_file_t   file;

    if (ngx_http_blockcast_conf_read_name(cf, name) != NGX_OK) {
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
