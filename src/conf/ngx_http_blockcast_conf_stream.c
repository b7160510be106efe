
/*
 * blockcast_stream NAME { ... }: what the configuration says of a stream.
 */


#include "ngx_http_blockcast_conf_stream.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_conf_call.h"


/* the shortest interval: a node takes about 100 requests per second */
#define NGX_HTTP_BLOCKCAST_MIN_INTERVAL  50

/* bounds of a jq program's run below which hardly any could end (msec, bytes) */
#define NGX_HTTP_BLOCKCAST_MIN_JQ_TIMEOUT  10
#define NGX_HTTP_BLOCKCAST_MIN_JQ_MEMORY   (8 * 1024 * 1024)


typedef struct {
    const char                   *name;
    ngx_uint_t                    min;      /* words, the name included */
    ngx_uint_t                    max;
} ngx_http_blockcast_conf_stream_directive_t;


static char *ngx_http_blockcast_conf_stream_line(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_blockcast_conf_stream_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
static char *ngx_http_blockcast_conf_stream_log(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
static char *ngx_http_blockcast_conf_stream_program(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_uint_t file);
static char *ngx_http_blockcast_conf_stream_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);


static ngx_http_blockcast_conf_stream_directive_t  ngx_http_blockcast_conf_stream_directives[] = {
    { "blockcast_node", 2, 2 },
    { "blockcast_interval", 2, 2 },
    { "blockcast_call", 3, 64 },
    { "blockcast_jq", 2, 2 },
    { "blockcast_jq_file", 2, 2 },
    { "blockcast_jq_timeout", 2, 2 },
    { "blockcast_jq_memory", 2, 2 },
    { "blockcast_log", 3, 8 },
    { "blockcast_stale", 2, 2 },
    { "blockcast_always", 2, 2 },
    { "blockcast_linger", 2, 2 },
    { "blockcast_max_size", 2, 2 },
    { NULL, 0, 0 }
};


char *
ngx_http_blockcast_conf_stream_block(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    char                          *rv;
    ngx_str_t                     *value;
    ngx_conf_t                     save;
    ngx_http_blockcast_stream_t   *st, **pst;

    value = cf->args->elts;

    if (!ngx_http_blockcast_stream_name_valid(&value[1])) {
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
    st->jq_timeout = NGX_CONF_UNSET_MSEC;
    st->jq_memory = NGX_CONF_UNSET_SIZE;

    if (ngx_array_init(&st->calls, cf->pool, 4,
                       sizeof(ngx_http_blockcast_call_conf_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    save = *cf;
    cf->handler = ngx_http_blockcast_conf_stream_line;
    cf->handler_conf = (char *) st;

    rv = ngx_conf_parse(cf, NULL);

    *cf = save;

    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_blockcast_conf_stream_check(cf, st);
}


static char *
ngx_http_blockcast_conf_stream_msec(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_msec_t *field, ngx_msec_t min)
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
ngx_http_blockcast_conf_stream_line(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_stream_t *st = conf;

    char                                        *rv;
    ngx_str_t                                   *value;
    ngx_http_blockcast_conf_stream_directive_t  *d;

    value = cf->args->elts;

    if (ngx_strcmp(value[0].data, "include") == 0) {
        return ngx_conf_include(cf, NULL, NULL);
    }

    for (d = ngx_http_blockcast_conf_stream_directives; d->name != NULL; d++) {
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

    rv = ngx_http_blockcast_conf_stream_set(cf, st);

    if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive %s in stream \"%V\"",
                           &value[0], rv, &st->name);
        return NGX_CONF_ERROR;
    }

    return rv;
}


static char *
ngx_http_blockcast_conf_stream_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    char       *name, *rv;
    ssize_t     size;
    ngx_str_t  *value;

    value = cf->args->elts;
    name = (char *) value[0].data + sizeof("blockcast_") - 1;

    if (ngx_strcmp(name, "interval") == 0) {
        rv = ngx_http_blockcast_conf_stream_msec(
                                        cf, st, &st->interval,
                                        NGX_HTTP_BLOCKCAST_MIN_INTERVAL);

    } else if (ngx_strcmp(name, "stale") == 0) {
        rv = ngx_http_blockcast_conf_stream_msec(cf, st, &st->stale, 1);

    } else if (ngx_strcmp(name, "linger") == 0) {
        rv = ngx_http_blockcast_conf_stream_msec(cf, st, &st->linger, 0);

    } else if (ngx_strcmp(name, "call") == 0) {
        rv = ngx_http_blockcast_conf_call(cf, st);

    } else if (ngx_strcmp(name, "jq") == 0) {
        rv = ngx_http_blockcast_conf_stream_program(cf, st, 0);

    } else if (ngx_strcmp(name, "jq_file") == 0) {
        rv = ngx_http_blockcast_conf_stream_program(cf, st, 1);

    } else if (ngx_strcmp(name, "jq_timeout") == 0) {
        rv = ngx_http_blockcast_conf_stream_msec(
                                        cf, st, &st->jq_timeout,
                                        NGX_HTTP_BLOCKCAST_MIN_JQ_TIMEOUT);

    } else if (ngx_strcmp(name, "jq_memory") == 0) {

        if (st->jq_memory != NGX_CONF_UNSET_SIZE) {
            return "is duplicate";
        }

        size = ngx_parse_size(&value[1]);

        if (size < NGX_HTTP_BLOCKCAST_MIN_JQ_MEMORY) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V %V\" of stream \"%V\" must be a size "
                               "of at least 8m", &value[0], &value[1],
                               &st->name);
            return NGX_CONF_ERROR;
        }

        st->jq_memory = size;
        rv = NGX_CONF_OK;

    } else if (ngx_strcmp(name, "log") == 0) {
        rv = ngx_http_blockcast_conf_stream_log(cf, st);

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


static char *
ngx_http_blockcast_conf_stream_program(ngx_conf_t *cf,
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

        if (ngx_http_blockcast_read_file(cf, "stream", &st->name,
                                         &st->program_file, &st->program)
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
ngx_http_blockcast_conf_stream_log(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ssize_t     size;
    ngx_int_t   n;
    ngx_str_t  *value, s;
    ngx_uint_t  i;

    value = cf->args->elts;

    if (st->field.len != 0) {
        return "is duplicate";
    }

    if (!ngx_http_blockcast_stream_name_valid(&value[1])) {
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
ngx_http_blockcast_conf_stream_check(ngx_conf_t *cf,
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
ngx_http_blockcast_conf_stream_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_str_t                     *name;
    ngx_uint_t                     i, n;
    ngx_http_blockcast_node_t    **nodes;
    ngx_http_blockcast_stream_t  **st;
    static ngx_str_t               by_default = ngx_string("default");

    if (bmcf->jq_timeout < NGX_HTTP_BLOCKCAST_MIN_JQ_TIMEOUT) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "blockcast_jq_timeout is shorter than %d ms",
                      NGX_HTTP_BLOCKCAST_MIN_JQ_TIMEOUT);
        return NGX_ERROR;
    }

    if (bmcf->jq_memory < NGX_HTTP_BLOCKCAST_MIN_JQ_MEMORY) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "blockcast_jq_memory must be a size of at least 8m");
        return NGX_ERROR;
    }

    st = bmcf->streams.elts;
    nodes = bmcf->nodes.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        ngx_conf_init_msec_value(st[i]->jq_timeout, bmcf->jq_timeout);
        ngx_conf_init_size_value(st[i]->jq_memory, bmcf->jq_memory);

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
