
/*
 * blockcast_stream NAME { ... }: what the configuration says of a stream.
 */


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_shape.h"


/* the shortest interval: a node takes about 100 requests per second */
#define NGX_HTTP_BLOCKCAST_MIN_INTERVAL  50


typedef struct {
    const char                   *name;
    ngx_uint_t                    min;      /* words, the name included */
    ngx_uint_t                    max;
} ngx_http_blockcast_directive_t;


static char *ngx_http_blockcast_stream_line(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
static char *ngx_http_blockcast_stream_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
static char *ngx_http_blockcast_conf_log(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
static char *ngx_http_blockcast_conf_program(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_uint_t file);
static char *ngx_http_blockcast_stream_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
static void ngx_http_blockcast_stream_brace(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);


static ngx_http_blockcast_directive_t  ngx_http_blockcast_directives[] = {
    { "blockcast_node", 2, 2 },
    { "blockcast_interval", 2, 2 },
    { "blockcast_call", 3, 64 },
    { "blockcast_jq", 2, 2 },
    { "blockcast_jq_file", 2, 2 },
    { "blockcast_log", 3, 8 },
    { "blockcast_stale", 2, 2 },
    { "blockcast_always", 2, 2 },
    { "blockcast_linger", 2, 2 },
    { "blockcast_max_size", 2, 2 },
    { NULL, 0, 0 }
};


ngx_uint_t
ngx_http_blockcast_name_valid(ngx_str_t *name)
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


char *
ngx_http_blockcast_stream_block(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    char                          *rv;
    ngx_str_t                     *value;
    ngx_conf_t                     save;
    ngx_http_blockcast_stream_t   *st, **pst;

    value = cf->args->elts;

    if (!ngx_http_blockcast_name_valid(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_stream name \"%V\" must be 1 to %d of "
                           "the characters a-z A-Z 0-9 _ - .",
                           &value[1], NGX_HTTP_BLOCKCAST_NAME_LEN);
        return NGX_CONF_ERROR;
    }

    st = ngx_http_blockcast_stream_find(bmcf, &value[1]);

    if (st != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "duplicate blockcast_stream \"%V\", the first is "
                           "in %s:%ui", &value[1], st->file, st->line);
        return NGX_CONF_ERROR;
    }

    if (bmcf->streams.nelts == NGX_HTTP_BLOCKCAST_STREAMS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_stream \"%V\" is one more than the %d "
                           "streams there can be",
                           &value[1], NGX_HTTP_BLOCKCAST_STREAMS);
        return NGX_CONF_ERROR;
    }

    st = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_stream_t));
    pst = ngx_array_push(&bmcf->streams);

    if (st == NULL || pst == NULL) {
        return NGX_CONF_ERROR;
    }

    *pst = st;

    st->name = value[1];
    st->index = bmcf->streams.nelts - 1;
    st->file = cf->conf_file->file.name.data;
    st->line = cf->conf_file->line;
    st->interval = NGX_CONF_UNSET_MSEC;
    st->stale = NGX_CONF_UNSET_MSEC;
    st->linger = NGX_CONF_UNSET_MSEC;
    st->always = NGX_CONF_UNSET;
    st->max_size = NGX_CONF_UNSET_SIZE;

    if (ngx_array_init(&st->calls, cf->pool, 4,
                       sizeof(ngx_http_blockcast_call_conf_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    save = *cf;
    cf->handler = ngx_http_blockcast_stream_line;
    cf->handler_conf = (char *) st;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        ngx_http_blockcast_stream_brace(cf, st);
        return rv;
    }

    return ngx_http_blockcast_stream_check(cf, st);
}


/*
 * nginx ends a word at "{" and has said no more than that it is unexpected:
 * says which word that was, and what helps.
 */

static void
ngx_http_blockcast_stream_brace(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_str_t                       *value;
    ngx_http_blockcast_directive_t  *d;

    if (cf->conf_file->buffer->pos[-1] != '{' || cf->args->nelts == 0) {
        return;
    }

    value = cf->args->elts;

    for (d = ngx_http_blockcast_directives; d->name != NULL; d++) {
        if (ngx_strcmp(value[0].data, d->name) == 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" of stream \"%V\" was cut at \"{\" "
                               "behind \"%V\": a value with \"{\" needs "
                               "quotes, like 'params={\"limit\":100}'",
                               &value[0], &st->name,
                               &value[cf->args->nelts - 1]);
            return;
        }
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" inside of stream \"%V\", which begins in "
                       "%s:%ui: the \"}\" that ends it is missing",
                       &value[0], &st->name, st->file, st->line);
}


ngx_int_t
ngx_http_blockcast_parse_msec(ngx_str_t *value)
{
    ngx_int_t  msec;

    msec = ngx_parse_time(value, 0);

    return (msec == NGX_ERROR || msec == 0) ? NGX_ERROR : msec;
}


static char *
ngx_http_blockcast_conf_msec(ngx_conf_t *cf, ngx_http_blockcast_stream_t *st,
    ngx_msec_t *field, ngx_msec_t min)
{
    ngx_int_t   msec;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (*field != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    msec = ngx_parse_time(&value[1], 0);

    if (msec == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" of stream \"%V\" is not a time like "
                           "2s or 500ms", &value[0], &value[1], &st->name);
        return NGX_CONF_ERROR;
    }

    if ((ngx_msec_t) msec < min) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" of stream \"%V\" is shorter than "
                           "%M ms", &value[0], &value[1], &st->name, min);
        return NGX_CONF_ERROR;
    }

    *field = msec;

    return NGX_CONF_OK;
}


/*
 * A line inside the block.  All bits of nginx's directive contexts are taken,
 * so the block has a handler of its own, as those of "map" and "types" have.
 */

static char *
ngx_http_blockcast_stream_line(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_blockcast_stream_t *st = conf;

    char                            *rv;
    ngx_str_t                       *value;
    ngx_http_blockcast_directive_t  *d;

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "include") == 0) {
        return ngx_conf_include(cf, NULL, NULL);
    }

    for (d = ngx_http_blockcast_directives; d->name != NULL; d++) {
        if (ngx_strcmp(value[0].data, d->name) == 0) {
            break;
        }
    }

    if (d->name == NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "unknown directive \"%V\" in stream \"%V\"",
                           &value[0], &st->name);
        return NGX_CONF_ERROR;
    }

    if (cf->args->nelts < d->min || cf->args->nelts > d->max) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid number of arguments in \"%V\" of "
                           "stream \"%V\"", &value[0], &st->name);
        return NGX_CONF_ERROR;
    }

    rv = ngx_http_blockcast_stream_set(cf, st);

    if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive %s in stream \"%V\"",
                           &value[0], rv, &st->name);
        return NGX_CONF_ERROR;
    }

    return rv;
}


static char *
ngx_http_blockcast_stream_set(ngx_conf_t *cf, ngx_http_blockcast_stream_t *st)
{
    char       *name, *rv;
    ssize_t     size;
    ngx_str_t  *value;

    value = cf->args->elts;
    name = (char *) value[0].data + sizeof("blockcast_") - 1;

    if (ngx_strcmp(name, "interval") == 0) {
        rv = ngx_http_blockcast_conf_msec(cf, st, &st->interval,
                                          NGX_HTTP_BLOCKCAST_MIN_INTERVAL);

    } else if (ngx_strcmp(name, "stale") == 0) {
        rv = ngx_http_blockcast_conf_msec(cf, st, &st->stale, 1);

    } else if (ngx_strcmp(name, "linger") == 0) {
        rv = ngx_http_blockcast_conf_msec(cf, st, &st->linger, 0);

    } else if (ngx_strcmp(name, "call") == 0) {
        rv = ngx_http_blockcast_conf_call(cf, st);

    } else if (ngx_strcmp(name, "jq") == 0) {
        rv = ngx_http_blockcast_conf_program(cf, st, 0);

    } else if (ngx_strcmp(name, "jq_file") == 0) {
        rv = ngx_http_blockcast_conf_program(cf, st, 1);

    } else if (ngx_strcmp(name, "log") == 0) {
        rv = ngx_http_blockcast_conf_log(cf, st);

    } else if (ngx_strcmp(name, "node") == 0) {

        if (st->node_name.len != 0) {
            return "is duplicate";
        }

        st->node_name = value[1];
        rv = NGX_CONF_OK;

    } else if (ngx_strcmp(name, "always") == 0) {

        if (st->always != NGX_CONF_UNSET) {
            return "is duplicate";
        }

        rv = NGX_CONF_OK;

        if (ngx_strcmp(value[1].data, "on") == 0) {
            st->always = 1;

        } else if (ngx_strcmp(value[1].data, "off") == 0) {
            st->always = 0;

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid value \"%V\" in \"%V\" of stream "
                               "\"%V\", it must be \"on\" or \"off\"",
                               &value[1], &value[0], &st->name);
            rv = NGX_CONF_ERROR;
        }

    } else { /* max_size */

        if (st->max_size != NGX_CONF_UNSET_SIZE) {
            return "is duplicate";
        }

        size = ngx_parse_size(&value[1]);
        rv = NGX_CONF_OK;

        if (size < 256 || size > 64 * 1024 * 1024) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V %V\" of stream \"%V\" must be a size "
                               "from 256 to 64m",
                               &value[0], &value[1], &st->name);
            rv = NGX_CONF_ERROR;

        } else {
            st->max_size = size;
        }
    }

    return rv;
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


static char *
ngx_http_blockcast_conf_program(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_uint_t file)
{
    ngx_str_t  *value, error;

    value = cf->args->elts;

    if (st->jq != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" has a second jq program", &st->name);
        return NGX_CONF_ERROR;
    }

    if (file) {
        st->program_file = value[1];

        if (ngx_http_blockcast_read_file(cf, "stream", &st->name, &st->program_file,
                                         &st->program)
            != NGX_OK)
        {
            return NGX_CONF_ERROR;
        }

    } else {
        st->program = value[1];
    }

    if (ngx_http_blockcast_jq_compile(cf->pool, &st->program,
                                      &cf->cycle->conf_prefix, &st->jq, &error)
        == NGX_OK)
    {
        return NGX_CONF_OK;
    }

    if (file) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "jq program \"%V\" of stream \"%V\": %V",
                           &st->program_file, &st->name, &error);

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "jq program of stream \"%V\": %V",
                           &st->name, &error);
    }

    return NGX_CONF_ERROR;
}


static char *
ngx_http_blockcast_conf_log(ngx_conf_t *cf, ngx_http_blockcast_stream_t *st)
{
    ssize_t     size;
    ngx_int_t   n;
    ngx_str_t  *value, s;
    ngx_uint_t  i;

    value = cf->args->elts;

    if (st->field.len != 0) {
        return "is duplicate";
    }

    if (!ngx_http_blockcast_name_valid(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the field \"%V\" of log stream \"%V\" must be 1 "
                           "to %d of the characters a-z A-Z 0-9 _ - .",
                           &value[1], &st->name, NGX_HTTP_BLOCKCAST_NAME_LEN);
        return NGX_CONF_ERROR;
    }

    st->field = value[1];
    st->keep = 1000;
    st->page = 20;

    for (i = 2; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "key=", 4) == 0 && value[i].len > 4) {
            st->key.data = value[i].data + 4;
            st->key.len = value[i].len - 4;
            continue;
        }

        if (ngx_strncmp(value[i].data, "keep=", 5) == 0) {
            n = ngx_atoi(value[i].data + 5, value[i].len - 5);

            if (n < 1 || n > 1000000) {
                goto invalid;
            }

            st->keep = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "page=", 5) == 0) {
            n = ngx_atoi(value[i].data + 5, value[i].len - 5);

            if (n < 1 || n > 10000) {
                goto invalid;
            }

            st->page = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "size=", 5) == 0) {
            s.data = value[i].data + 5;
            s.len = value[i].len - 5;

            size = ngx_parse_size(&s);

            if (size < 4096 || size > 1024 * 1024 * 1024) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" of log stream \"%V\" must be a "
                                   "size from 4k to 1g",
                                   &value[i], &st->name);
                return NGX_CONF_ERROR;
            }

            st->ring_size = ngx_align((size_t) size, 64);
            continue;
        }

    invalid:

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of log stream \"%V\"",
                           &value[i], &st->name);
        return NGX_CONF_ERROR;
    }

    if (st->key.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "log stream \"%V\" needs key=NAME, the member that "
                           "tells one entry from another", &st->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_blockcast_stream_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *call;

    if (st->calls.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" has no blockcast_call", &st->name);
        return NGX_CONF_ERROR;
    }

    call = st->calls.elts;

    if (st->jq == NULL) {

        if (st->calls.nelts > 1 || call->each != 0) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "stream \"%V\" has several calls, it needs "
                               "blockcast_jq or blockcast_jq_file to make "
                               "its data of them", &st->name);
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_init_msec_value(st->interval, 5000);
    ngx_conf_init_msec_value(st->stale, 2 * st->interval + 1000);
    ngx_conf_init_msec_value(st->linger, st->field.len ? 10000 : 0);
    ngx_conf_init_value(st->always, 0);
    ngx_conf_init_size_value(st->max_size, 64 * 1024);

    if (st->stale < st->interval) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" would be stale between two polls: "
                           "blockcast_stale is %M ms, blockcast_interval "
                           "%M ms", &st->name, st->stale, st->interval);
        return NGX_CONF_ERROR;
    }

    if (st->field.len != 0 && st->ring_size == 0) {

        /* what size= says holds, its default grows with the messages */

        st->ring_size = ngx_max(512 * 1024, ngx_align(2 * st->max_size, 64));
    }

    for (i = 0; i < st->calls.nelts; i++) {

        if (call[i].timeout == 0) {

            /* a call that hangs should not hide the others' results long */

            call[i].timeout = ngx_max(ngx_min(st->interval, 10000), 500);
        }
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_blockcast_stream_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_str_t                     *name;
    ngx_uint_t                     i, n;
    ngx_http_blockcast_node_t    **nodes;
    ngx_http_blockcast_stream_t  **st;
    static ngx_str_t               by_default = ngx_string("default");

    st = bmcf->streams.elts;
    nodes = bmcf->nodes.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        name = st[i]->node_name.len ? &st[i]->node_name : &by_default;

        for (n = 0; n < bmcf->nodes.nelts; n++) {
            if (nodes[n]->name.len == name->len
                && ngx_memcmp(nodes[n]->name.data, name->data, name->len) == 0)
            {
                st[i]->node = nodes[n];
                break;
            }
        }

        if (st[i]->node == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "stream \"%V\" in %s:%ui asks node \"%V\", but no "
                          "location has \"blockcast_node %V;\"",
                          &st[i]->name, st[i]->file, st[i]->line, name, name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}
