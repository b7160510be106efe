
/*
 * Credentials of a node that are in a file, such as Bitcoin Core's cookie.
 *
 * The polling worker reads the file: a node that restarts writes other
 * credentials, and nginx need not be reloaded for that.  They never appear in
 * a configuration, a message or a log.
 */


#include "ngx_http_blockcast_authorization.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_log_throttle.h"


static ngx_int_t ngx_http_blockcast_authorization_read(
    ngx_http_blockcast_authorization_t *auth, ngx_str_t *text);
static ngx_uint_t ngx_http_blockcast_authorization_is(ngx_str_t *text,
    const char *scheme);
static void ngx_http_blockcast_authorization_failed(
    ngx_http_blockcast_node_t *node, ngx_err_t err, const char *what);


ngx_int_t
ngx_http_blockcast_authorization_get(ngx_http_blockcast_node_t *node,
    ngx_pool_t *pool, ngx_str_t *value)
{
    u_char                              *p;
    ngx_str_t                            text, encoded;
    ngx_file_info_t                      fi;
    ngx_http_blockcast_authorization_t  *auth;

    ngx_str_null(value);

    auth = node->authorization;

    if (auth == NULL) {
        return NGX_OK;
    }

    if (ngx_file_info(auth->file.data, &fi) == NGX_FILE_ERROR) {
        ngx_http_blockcast_authorization_failed(node, ngx_errno,
                                                "cannot be found");
        auth->len = 0;
        auth->known = 0;
        return NGX_OK;
    }

    if (!auth->known || auth->mtime.tv_sec != fi.st_mtim.tv_sec
        || auth->mtime.tv_nsec != fi.st_mtim.tv_nsec
        || auth->uniq != ngx_file_uniq(&fi)
        || auth->size != ngx_file_size(&fi))
    {
        auth->mtime = fi.st_mtim;
        auth->uniq = ngx_file_uniq(&fi);
        auth->size = ngx_file_size(&fi);
        auth->known = 1;

        if (ngx_http_blockcast_authorization_read(auth, &text) != NGX_OK) {
            ngx_http_blockcast_authorization_failed(
                                        node, text.len ? 0 : ngx_errno,
                                        text.len ? (char *) text.data
                                                 : "cannot be read");
            auth->len = 0;
            auth->known = 0;
            return NGX_OK;
        }

        auth->len = text.len;
        auth->repeat.count = 0;
    }

    text.data = auth->text;
    text.len = auth->len;

    if (ngx_http_blockcast_authorization_is(&text, "Basic ")
        || ngx_http_blockcast_authorization_is(&text, "Bearer "))
    {
        value->data = ngx_pnalloc(pool, text.len);
        if (value->data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(value->data, text.data, text.len);
        value->len = text.len;
        return NGX_OK;
    }

    p = ngx_pnalloc(pool, sizeof("Bearer ") + ngx_base64_encoded_length(
                                                                text.len));
    if (p == NULL) {
        return NGX_ERROR;
    }

    value->data = p;

    if (ngx_strlchr(text.data, text.data + text.len, ':') == NULL) {
        p = ngx_cpymem(p, "Bearer ", sizeof("Bearer ") - 1);
        p = ngx_cpymem(p, text.data, text.len);

    } else {
        p = ngx_cpymem(p, "Basic ", sizeof("Basic ") - 1);
        encoded.data = p;
        ngx_encode_base64(&encoded, &text);
        p += encoded.len;
    }

    value->len = p - value->data;

    return NGX_OK;
}


void
ngx_http_blockcast_authorization_refused(ngx_http_blockcast_node_t *node)
{
    if (node->authorization != NULL) {
        node->authorization->known = 0;
    }
}


/*
 * Reads the first line of the file to auth->text.  NGX_ERROR: *text says why
 * or, if it is empty, ngx_errno.
 */

static ngx_int_t
ngx_http_blockcast_authorization_read(
    ngx_http_blockcast_authorization_t *auth, ngx_str_t *text)
{
    ssize_t     n;
    ngx_fd_t    fd;
    ngx_err_t   err;
    ngx_uint_t  i;

    ngx_str_null(text);

    /* do not block on a FIFO */

    fd = ngx_open_file(auth->file.data, NGX_FILE_RDONLY|NGX_FILE_NONBLOCK,
                       NGX_FILE_OPEN, 0);
    if (fd == NGX_INVALID_FILE) {
        return NGX_ERROR;
    }

    n = ngx_read_fd(fd, auth->text, sizeof(auth->text));
    err = (n == -1) ? ngx_errno : 0;

    (void) ngx_close_file(fd);

    if (n == -1) {
        ngx_set_errno(err);
        return NGX_ERROR;
    }

    for (i = 0; i < (ngx_uint_t) n; i++) {
        if (auth->text[i] == '\n' || auth->text[i] == '\r') {
            break;
        }

        if (auth->text[i] < ' ' || auth->text[i] == 0x7f) {
            ngx_str_set(text, "has characters that are not text");
            return NGX_ERROR;
        }
    }

    if (i == sizeof(auth->text)) {
        ngx_str_set(text, "has a line that is too long");
        return NGX_ERROR;
    }

    if (i == 0) {
        ngx_str_set(text, "is empty");
        return NGX_ERROR;
    }

    text->data = auth->text;
    text->len = i;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_blockcast_authorization_is(ngx_str_t *text, const char *scheme)
{
    size_t  len;

    len = ngx_strlen(scheme);

    return text->len > len
           && ngx_strncasecmp(text->data, (u_char *) scheme, len) == 0;
}


static void
ngx_http_blockcast_authorization_failed(ngx_http_blockcast_node_t *node,
    ngx_err_t err, const char *what)
{
    ngx_str_t                            message;
    ngx_uint_t                           suppressed;
    ngx_http_blockcast_authorization_t  *auth;

    auth = node->authorization;

    message.data = (u_char *) what;
    message.len = ngx_strlen(what);

    if (ngx_http_blockcast_log_throttle(&auth->repeat, &message, &suppressed))
    {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, err,
                      "blockcast: authorization_file \"%V\" of node \"%V\" "
                      "%V: the node is asked without credentials",
                      &auth->file, &node->name, &message);
    }
}
