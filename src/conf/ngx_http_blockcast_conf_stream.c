
/*
 * blockcast_stream NAME { ... } and the directives inside it.
 *
 * Each of these is a row of ngx_http_blockcast_conf_stream_directives; the
 * parameters of blockcast_log, blockcast_call and blockcast_get are rows of
 * one table each.  To add one, write its handler and its row.
 * _conf_stream_check() checks what depends on several directives, and sets the
 * defaults.
 */


#include "ngx_http_blockcast_conf_stream.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_history.h"
#include "ngx_http_blockcast_conf_key.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_extra.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_jq_steady.h"
#include "ngx_http_blockcast_conf_head.h"
#include "bc_json.h"
#include "bc_span.h"


/* the shortest interval (msec): a node takes about 100 requests per second */
#define NGX_HTTP_BLOCKCAST_MIN_INTERVAL  50

/* the most requests of one call with each= */
#define NGX_HTTP_BLOCKCAST_MAX_EACH      256

/*
 * the least limits of a jq program's run; hardly any program would finish with
 * less (msec, bytes)
 */
#define NGX_HTTP_BLOCKCAST_MIN_JQ_TIMEOUT  10
#define NGX_HTTP_BLOCKCAST_MIN_JQ_MEMORY   (8 * 1024 * 1024)


/* the deepest nesting of params= */
#define NGX_HTTP_BLOCKCAST_PARAMS_DEPTH  64


typedef struct ngx_http_blockcast_conf_directive_s
    ngx_http_blockcast_conf_directive_t;

/*
 * A directive in the block.  set() returns NGX_CONF_OK; NGX_CONF_ERROR after
 * it has logged the error; or a text for the message "directive <text> in
 * stream".
 */

struct ngx_http_blockcast_conf_directive_s {
    const char                   *name;
    ngx_uint_t                    min;      /* words, the name included */
    ngx_uint_t                    max;
    char                       *(*set)(ngx_conf_t *cf,
                                    ngx_http_blockcast_stream_t *st,
                                    ngx_http_blockcast_conf_directive_t *d);
    size_t                        offset;   /* of the field to set in the
                                               stream */
    ngx_msec_t                    least;    /* the shortest time allowed */
};


/*
 * A parameter NAME=VALUE of blockcast_log, blockcast_call or blockcast_get.
 * set() returns NGX_OK; NGX_ERROR after it has logged the error; or
 * NGX_DECLINED to have the parameter logged as invalid.  call is NULL for
 * blockcast_log.
 */

typedef struct {
    const char                   *prefix;
    ngx_int_t                   (*set)(ngx_conf_t *cf,
                                    ngx_http_blockcast_stream_t *st,
                                    ngx_http_blockcast_call_conf_t *call,
                                    ngx_str_t *param, ngx_str_t *value);
} ngx_http_blockcast_conf_param_t;


static char *ngx_http_blockcast_conf_stream_line(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
static char *ngx_http_blockcast_conf_stream_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);
static void ngx_http_blockcast_conf_stream_brace(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st);

static char *ngx_http_blockcast_conf_stream_msec(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_node(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_always(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_max_size(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_jq(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_jq_file(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_jq_memory(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_log(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_call(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_get(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_key(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_after(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_history(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);
static char *ngx_http_blockcast_conf_stream_head(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d);

static ngx_int_t ngx_http_blockcast_conf_stream_log_key(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_log_keep(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_log_page(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_log_size(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_call_params_json(
    ngx_conf_t *cf, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_call_conf_t *call, ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_call_params_jq(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_call_params_jq_file(
    ngx_conf_t *cf, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_call_conf_t *call, ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_call_fallback(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_get_fallback(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_call_timeout(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_conf_stream_call_each(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value);


static ngx_http_blockcast_conf_directive_t
    ngx_http_blockcast_conf_stream_directives[] =
{
    { "blockcast_node", 2, 2, ngx_http_blockcast_conf_stream_node, 0, 0 },

    { "blockcast_key", 3, 10, ngx_http_blockcast_conf_stream_key, 0, 0 },
    { "blockcast_after", 2, 2, ngx_http_blockcast_conf_stream_after, 0, 0 },
    { "blockcast_interval", 2, 2, ngx_http_blockcast_conf_stream_msec,
      offsetof(ngx_http_blockcast_stream_t, interval),
      NGX_HTTP_BLOCKCAST_MIN_INTERVAL },

    { "blockcast_call", 3, 64, ngx_http_blockcast_conf_stream_call, 0, 0 },

    { "blockcast_get", 3, 64, ngx_http_blockcast_conf_stream_get, 0, 0 },

    { "blockcast_head", 1, 4, ngx_http_blockcast_conf_stream_head, 0, 0 },

    { "blockcast_jq", 2, 2, ngx_http_blockcast_conf_stream_jq, 0, 0 },

    { "blockcast_jq_file", 2, 2, ngx_http_blockcast_conf_stream_jq_file,
      0, 0 },

    { "blockcast_jq_timeout", 2, 2, ngx_http_blockcast_conf_stream_msec,
      offsetof(ngx_http_blockcast_stream_t, jq_timeout),
      NGX_HTTP_BLOCKCAST_MIN_JQ_TIMEOUT },

    { "blockcast_jq_memory", 2, 2, ngx_http_blockcast_conf_stream_jq_memory,
      0, 0 },

    { "blockcast_log", 3, 8, ngx_http_blockcast_conf_stream_log, 0, 0 },

    { "blockcast_history", 2, 64, ngx_http_blockcast_conf_stream_history,
      0, 0 },

    { "blockcast_stale", 2, 2, ngx_http_blockcast_conf_stream_msec,
      offsetof(ngx_http_blockcast_stream_t, stale), 1 },

    { "blockcast_always", 2, 2, ngx_http_blockcast_conf_stream_always, 0, 0 },

    { "blockcast_linger", 2, 2, ngx_http_blockcast_conf_stream_msec,
      offsetof(ngx_http_blockcast_stream_t, linger), 0 },

    { "blockcast_max_size", 2, 2, ngx_http_blockcast_conf_stream_max_size,
      0, 0 },

    { NULL, 0, 0, NULL, 0, 0 }
};


static ngx_http_blockcast_conf_param_t
    ngx_http_blockcast_conf_stream_log_params[] =
{
    { "key=", ngx_http_blockcast_conf_stream_log_key },
    { "keep=", ngx_http_blockcast_conf_stream_log_keep },
    { "page=", ngx_http_blockcast_conf_stream_log_page },
    { "size=", ngx_http_blockcast_conf_stream_log_size },
    { NULL, NULL }
};


static ngx_http_blockcast_conf_param_t
    ngx_http_blockcast_conf_stream_call_params[] =
{
    { "params=", ngx_http_blockcast_conf_stream_call_params_json },
    { "params_jq=", ngx_http_blockcast_conf_stream_call_params_jq },
    { "params_jq_file=", ngx_http_blockcast_conf_stream_call_params_jq_file },
    { "fallback=", ngx_http_blockcast_conf_stream_call_fallback },
    { "timeout=", ngx_http_blockcast_conf_stream_call_timeout },
    { "each=", ngx_http_blockcast_conf_stream_call_each },
    { NULL, NULL }
};


static ngx_http_blockcast_conf_param_t
    ngx_http_blockcast_conf_stream_get_params[] =
{
    { "path_jq=", ngx_http_blockcast_conf_stream_call_params_jq },
    { "path_jq_file=", ngx_http_blockcast_conf_stream_call_params_jq_file },
    { "fallback=", ngx_http_blockcast_conf_stream_get_fallback },
    { "timeout=", ngx_http_blockcast_conf_stream_call_timeout },
    { "each=", ngx_http_blockcast_conf_stream_call_each },
    { NULL, NULL }
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
    st->head = NGX_CONF_UNSET;
    st->apart = NGX_CONF_UNSET_MSEC;
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
        ngx_http_blockcast_conf_stream_brace(cf, st);
        return rv;
    }

    return ngx_http_blockcast_conf_stream_check(cf, st);
}


/*
 * Names the word after which an unexpected "{" was found, and explains how to
 * fix it; nginx's own message only says that "{" is unexpected.
 */

static void
ngx_http_blockcast_conf_stream_brace(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_str_t                            *value;
    ngx_http_blockcast_conf_directive_t  *d;

    if (cf->conf_file->buffer->pos[-1] != '{' || cf->args->nelts == 0) {
        return;
    }

    value = cf->args->elts;

    for (d = ngx_http_blockcast_conf_stream_directives; d->name != NULL; d++) {
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


/*
 * Handles a line inside the block.  nginx has no context bit for it, so the
 * block has its own handler, like those of "map" and "types".
 */

static char *
ngx_http_blockcast_conf_stream_line(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_stream_t *st = conf;

    char                                 *rv;
    ngx_str_t                            *value;
    ngx_http_blockcast_conf_directive_t  *d;

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

    rv = d->set(cf, st, d);

    if (rv != NGX_CONF_OK && rv != NGX_CONF_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" directive %s in stream \"%V\"",
                           &value[0], rv, &st->name);
        return NGX_CONF_ERROR;
    }

    return rv;
}


/* Sets the parameters of a directive, from word number i to the last one. */

static char *
ngx_http_blockcast_conf_stream_params(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_http_blockcast_conf_param_t *params, ngx_uint_t i)
{
    ngx_int_t                         rc;
    ngx_str_t                        *word, value;
    ngx_http_blockcast_conf_param_t  *param;

    word = cf->args->elts;

    for ( /* void */ ; i < cf->args->nelts; i++) {
        rc = NGX_DECLINED;

        for (param = params; param->prefix != NULL; param++) {
            if (ngx_http_blockcast_conf_read_param(&word[i], param->prefix,
                                                   &value))
            {
                rc = param->set(cf, st, call, &word[i], &value);
                break;
            }
        }

        if (rc == NGX_OK) {
            continue;
        }

        if (rc == NGX_DECLINED && call != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of call \"%V\" in "
                               "stream \"%V\"",
                               &word[i], &call->name, &st->name);

        } else if (rc == NGX_DECLINED) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\" of log stream "
                               "\"%V\"", &word[i], &st->name);
        }

        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/* Sets the time at d->offset in the stream; the least is d->least (msec). */

static char *
ngx_http_blockcast_conf_stream_msec(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_int_t    msec;
    ngx_str_t   *value;
    ngx_msec_t  *field;

    field = (ngx_msec_t *) ((char *) st + d->offset);
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

    if ((ngx_msec_t) msec < d->least) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" of stream \"%V\" is shorter than "
                           "%M ms", &value[0], &value[1], &st->name, d->least);
        return NGX_CONF_ERROR;
    }

    *field = msec;

    return NGX_CONF_OK;
}


static char *
ngx_http_blockcast_conf_stream_node(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_str_t  *value;

    if (st->node_name.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;
    st->node_name = value[1];

    return NGX_CONF_OK;
}


static char *
ngx_http_blockcast_conf_stream_always(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_int_t   msec;
    ngx_str_t  *value;

    if (st->always != NGX_CONF_UNSET) {
        return "is duplicate";
    }

    value = cf->args->elts;
    msec = ngx_http_blockcast_conf_read_msec(&value[1]);

    if (ngx_strcmp(value[1].data, "on") == 0) {
        st->always = 1;

    } else if (ngx_strcmp(value[1].data, "off") == 0) {
        st->always = 0;

    } else if (msec != NGX_ERROR && msec >= 1000
               && msec <= NGX_HTTP_BLOCKCAST_IDLE_MAX)
    {
        /* polled slowly while nobody listens */

        st->always = 0;
        st->idle = msec;

    } else {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid value \"%V\" in \"%V\" of stream "
                           "\"%V\", it must be \"on\", \"off\" or a time "
                           "from 1s to 12h",
                           &value[1], &value[0], &st->name);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


static char *
ngx_http_blockcast_conf_stream_max_size(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ssize_t     size;
    ngx_str_t  *value;

    if (st->max_size != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    value = cf->args->elts;
    size = ngx_http_blockcast_conf_read_within(&value[1],
                                          ngx_http_blockcast_conf_size, 256,
                                          64 * 1024 * 1024);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" of stream \"%V\" must be a size "
                           "from 256 to 64m",
                           &value[0], &value[1], &st->name);
        return NGX_CONF_ERROR;
    }

    st->max_size = size;

    return NGX_CONF_OK;
}


static char *
ngx_http_blockcast_conf_stream_jq_memory(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ssize_t     size;
    ngx_str_t  *value;

    value = cf->args->elts;

    if (st->jq_memory != NGX_CONF_UNSET_SIZE) {
        return "is duplicate";
    }

    size = ngx_parse_size(&value[1]);

    if (size < NGX_HTTP_BLOCKCAST_MIN_JQ_MEMORY) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" of stream \"%V\" must be a size of at "
                           "least 8m", &value[0], &value[1], &st->name);
        return NGX_CONF_ERROR;
    }

    st->jq_memory = size;

    return NGX_CONF_OK;
}


/* Compiles st->program, the stream's only program. */

static char *
ngx_http_blockcast_conf_stream_compile(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_str_t  error, beside;

    ngx_http_blockcast_conf_read_dir(st->program_file.len != 0
                                     ? &st->program_file
                                     : &cf->conf_file->file.name, &beside);

    if (ngx_http_blockcast_jq_compile(cf->pool, &st->program, &beside,
                                      &cf->cycle->conf_prefix, &st->jq, &error)
        == NGX_OK)
    {
        st->jq_steady = ngx_http_blockcast_jq_steady(cf->pool, &st->program,
                                                     &beside,
                                                     &cf->cycle->conf_prefix);
        return NGX_CONF_OK;
    }

    if (st->program_file.len != 0) {
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
ngx_http_blockcast_conf_stream_jq(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_str_t  *value;

    if (st->jq != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" has a second jq program", &st->name);
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    st->program = value[1];

    return ngx_http_blockcast_conf_stream_compile(cf, st);
}


static char *
ngx_http_blockcast_conf_stream_jq_file(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_str_t  *value;

    if (st->jq != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" has a second jq program", &st->name);
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;
    st->program_file = value[1];

    if (ngx_http_blockcast_conf_read_file(cf, "stream", &st->name,
                                          &st->program_file, &st->program)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_blockcast_conf_stream_compile(cf, st);
}


/* Handles blockcast_log FIELD key=NAME ..., which makes a stream a log. */

static char *
ngx_http_blockcast_conf_stream_log(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_str_t  *value;

    if (st->field.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

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

    if (ngx_http_blockcast_conf_stream_params(cf, st, NULL,
                            ngx_http_blockcast_conf_stream_log_params, 2)
        != NGX_CONF_OK)
    {
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
ngx_http_blockcast_conf_stream_key(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    return ngx_http_blockcast_conf_key_set(cf, st);
}


static char *
ngx_http_blockcast_conf_stream_after(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    return ngx_http_blockcast_conf_key_after(cf, st);
}


static char *
ngx_http_blockcast_conf_stream_history(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    return ngx_http_blockcast_conf_history_set(cf, st);
}


static ngx_int_t
ngx_http_blockcast_conf_stream_log_key(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    if (value->len == 0) {
        return NGX_DECLINED;
    }

    st->key = *value;

    return NGX_OK;
}


/*
 * Reads a number from 1 to `most`.  Returns NGX_DECLINED when it is invalid.
 */

static ngx_int_t
ngx_http_blockcast_conf_stream_number(ngx_str_t *value, ngx_int_t most,
    ngx_uint_t *number)
{
    ngx_int_t  n;

    n = ngx_http_blockcast_conf_read_within(value,
                                            ngx_http_blockcast_conf_number, 1,
                                            most);
    if (n == NGX_ERROR) {
        return NGX_DECLINED;
    }

    *number = n;

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_conf_stream_log_keep(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    return ngx_http_blockcast_conf_stream_number(value, 1000000, &st->keep);
}


static ngx_int_t
ngx_http_blockcast_conf_stream_log_page(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    return ngx_http_blockcast_conf_stream_number(value, 10000, &st->page);
}


static ngx_int_t
ngx_http_blockcast_conf_stream_log_size(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    ssize_t  size;

    size = ngx_http_blockcast_conf_read_within(value,
                                         ngx_http_blockcast_conf_size, 4096,
                                         1024 * 1024 * 1024);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of log stream \"%V\" must be a size from "
                           "4k to 1g", param, &st->name);
        return NGX_ERROR;
    }

    st->ring_size = ngx_align((size_t) size, 64);

    return NGX_OK;
}


/* Adds a method to a call: the first one is used, the others are fallbacks. */

static ngx_int_t
ngx_http_blockcast_conf_stream_call_method(
    ngx_http_blockcast_call_conf_t *call, ngx_str_t *name)
{
    ngx_str_t  *method;

    method = ngx_array_push(&call->methods);
    if (method == NULL) {
        return NGX_ERROR;
    }

    *method = *name;

    return NGX_OK;
}


/*
 * Adds a call to the stream.  Returns NULL without memory, or after it has
 * logged that the name is a duplicate or invalid.
 */

static ngx_http_blockcast_call_conf_t *
ngx_http_blockcast_conf_stream_call_add(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *name)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *call;

    call = st->calls.elts;

    for (i = 0; i < st->calls.nelts; i++) {
        if (call[i].name.len == name->len
            && ngx_memcmp(call[i].name.data, name->data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate call \"%V\" in stream \"%V\"",
                               name, &st->name);
            return NULL;
        }
    }

    if (!ngx_http_blockcast_stream_name_valid(name)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_call name \"%V\" in stream \"%V\" "
                           "must be 1 to %d of the characters "
                           "a-z A-Z 0-9 _ - .",
                           name, &st->name, NGX_HTTP_BLOCKCAST_NAME_LEN);
        return NULL;
    }

    call = ngx_array_push(&st->calls);
    if (call == NULL) {
        return NULL;
    }

    ngx_memzero(call, sizeof(ngx_http_blockcast_call_conf_t));

    if (ngx_array_init(&call->methods, cf->pool, 2, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NULL;
    }

    call->name = *name;

    return call;
}


/* Checks a call's parameters against each other, and compiles params_jq. */

static char *
ngx_http_blockcast_conf_stream_call_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call)
{
    ngx_str_t  error, beside;

    if (call->params.len != 0 && call->params_jq.len != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "call \"%V\" in stream \"%V\" has both params and "
                           "params_jq", &call->name, &st->name);
        return NGX_CONF_ERROR;
    }

    if (call->each != 0 && call->params_jq.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "call \"%V\" in stream \"%V\" has each=%ui "
                           "but no %s", &call->name, &st->name, call->each,
                           call->get ? "path_jq" : "params_jq");
        return NGX_CONF_ERROR;
    }

    ngx_http_blockcast_conf_read_dir(call->params_file.len != 0
                                     ? &call->params_file
                                     : &cf->conf_file->file.name, &beside);

    if (call->params_jq.len != 0
        && ngx_http_blockcast_jq_compile(cf->pool, &call->params_jq, &beside,
                                         &cf->cycle->conf_prefix, &call->jq,
                                         &error)
           != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s of call \"%V\" in stream \"%V\": %V",
                           call->get ? "path_jq" : "params_jq",
                           &call->name, &st->name, &error);
        return NGX_CONF_ERROR;
    }

    if (call->params_jq.len != 0) {
        call->jq_steady = ngx_http_blockcast_jq_steady(cf->pool,
                                                       &call->params_jq,
                                                       &beside,
                                                       &cf->cycle->conf_prefix);
    }

    return NGX_CONF_OK;
}


/* Handles blockcast_call NAME METHOD [PARAMETER ...]. */

static char *
ngx_http_blockcast_conf_stream_call(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_str_t                       *value;
    ngx_http_blockcast_call_conf_t  *call;

    value = cf->args->elts;

    call = ngx_http_blockcast_conf_stream_call_add(cf, st, &value[1]);
    if (call == NULL) {
        return NGX_CONF_ERROR;
    }

    if (ngx_http_blockcast_conf_stream_call_method(call, &value[2]) != NGX_OK
        || ngx_http_blockcast_conf_stream_params(cf, st, call,
                            ngx_http_blockcast_conf_stream_call_params, 3)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    return ngx_http_blockcast_conf_stream_call_check(cf, st, call);
}


/* Handles blockcast_get NAME [PATH] [PARAMETER ...]. */

static char *
ngx_http_blockcast_conf_stream_get(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    ngx_str_t                       *value, *path;
    ngx_uint_t                       given;
    ngx_http_blockcast_call_conf_t  *call;
    static ngx_str_t                 none = ngx_string("/");

    value = cf->args->elts;

    call = ngx_http_blockcast_conf_stream_call_add(cf, st, &value[1]);
    if (call == NULL) {
        return NGX_CONF_ERROR;
    }

    call->get = 1;

    given = (ngx_strncmp(value[2].data, "path_jq", 7) != 0);
    path = given ? &value[2] : &none;

    if (!ngx_http_blockcast_stream_path_valid(path)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of blockcast_get \"%V\" in stream \"%V\" "
                           "must be a path that begins with \"/\"",
                           path, &call->name, &st->name);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_blockcast_conf_stream_call_method(call, path) != NGX_OK
        || ngx_http_blockcast_conf_stream_params(cf, st, call,
                            ngx_http_blockcast_conf_stream_get_params,
                            given ? 3 : 2)
           != NGX_CONF_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (call->params_jq.len != 0 && (given || call->methods.nelts > 1)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_get \"%V\" in stream \"%V\" has "
                           "path_jq, and a path or fallback= beside it",
                           &call->name, &st->name);
        return NGX_CONF_ERROR;
    }

    return ngx_http_blockcast_conf_stream_call_check(cf, st, call);
}


/*
 * Handles blockcast_head [PARAMETER ...], which makes the node's head start
 * polls.
 */

static char *
ngx_http_blockcast_conf_stream_head(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_conf_directive_t *d)
{
    return ngx_http_blockcast_conf_head_stream(cf, st);
}


static ngx_int_t
ngx_http_blockcast_conf_stream_call_params_json(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    size_t          offset;
    bc_span_t       span;
    bc_json_iter_t  it;

    call->params = *value;

    if (bc_json_check(value->data, value->len, NGX_HTTP_BLOCKCAST_PARAMS_DEPTH,
                      &offset)
        != 0)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "params of call \"%V\" in stream \"%V\" are not "
                           "JSON, see byte %uz of %V",
                           &call->name, &st->name, offset, value);
        return NGX_ERROR;
    }

    span.data = value->data;
    span.len = value->len;

    if (bc_json_object(&it, span) != 0 && bc_json_array(&it, span) != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "params of call \"%V\" in stream \"%V\" must be a "
                           "JSON object or array: %V",
                           &call->name, &st->name, value);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_conf_stream_call_params_jq(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    call->params_jq = *value;

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_conf_stream_call_params_jq_file(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    call->params_file = *value;

    return ngx_http_blockcast_conf_read_file(cf, "stream", &st->name,
                                             &call->params_file,
                                             &call->params_jq);
}


static ngx_int_t
ngx_http_blockcast_conf_stream_call_fallback(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    if (value->len == 0) {
        return NGX_DECLINED;
    }

    return ngx_http_blockcast_conf_stream_call_method(call, value);
}


static ngx_int_t
ngx_http_blockcast_conf_stream_get_fallback(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    if (!ngx_http_blockcast_stream_path_valid(value)) {
        return NGX_DECLINED;
    }

    return ngx_http_blockcast_conf_stream_call_method(call, value);
}


static ngx_int_t
ngx_http_blockcast_conf_stream_call_timeout(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    ngx_int_t  msec;

    msec = ngx_http_blockcast_conf_read_msec(value);

    if (msec == NGX_ERROR) {
        return NGX_DECLINED;
    }

    call->timeout = msec;

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_conf_stream_call_each(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_call_conf_t *call,
    ngx_str_t *param, ngx_str_t *value)
{
    ngx_int_t  n;

    n = ngx_http_blockcast_conf_read_within(value,
                                            ngx_http_blockcast_conf_number, 1,
                                            NGX_HTTP_BLOCKCAST_MAX_EACH);

    if (n == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of call \"%V\" in stream \"%V\" must be a "
                           "number from 1 to %d",
                           param, &call->name, &st->name,
                           NGX_HTTP_BLOCKCAST_MAX_EACH);
        return NGX_ERROR;
    }

    call->each = n;

    return NGX_OK;
}


/*
 * Checks a stream's directives against each other, and sets the defaults of
 * missing ones.
 */

static char *
ngx_http_blockcast_conf_stream_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *call;

    if (st->calls.nelts == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" has no blockcast_call and no "
                           "blockcast_get", &st->name);
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

    if (ngx_http_blockcast_conf_key_check(cf, st) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_conf_init_msec_value(st->interval, 5000);
    ngx_conf_init_msec_value(st->stale, 2 * st->interval + 1000);
    ngx_conf_init_msec_value(st->linger, st->field.len ? 10000 : 0);
    ngx_conf_init_value(st->always, 0);
    ngx_conf_init_msec_value(st->apart, NGX_HTTP_BLOCKCAST_EXTRA_APART);
    ngx_conf_init_size_value(st->max_size, 64 * 1024);

    if (st->stale < st->interval) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" would be stale between two polls: "
                           "blockcast_stale is %M ms, blockcast_interval "
                           "%M ms", &st->name, st->stale, st->interval);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_blockcast_conf_head_check(cf, st) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    if (st->field.len != 0 && st->ring_size == 0) {

        /* the default of size= depends on the size of messages */

        st->ring_size = ngx_max(512 * 1024, ngx_align(2 * st->max_size, 64));
    }

    for (i = 0; i < st->calls.nelts; i++) {

        if (call[i].timeout == 0) {

            /* a call that hangs delays the results of all calls */

            call[i].timeout = ngx_max(ngx_min(st->interval, 10000), 500);
        }
    }

    return (st->history != NULL) ? ngx_http_blockcast_conf_history_check(cf, st)
                                 : NGX_CONF_OK;
}


/*
 * Checks that the node's location can serve the stream's GETs: with their
 * paths appended, the URI must still match it, so it must not be an exact one.
 * Logs why it returns NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_stream_link_gets(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *call;

    call = st->calls.elts;

    for (i = 0; i < st->calls.nelts; i++) {

        if (call[i].get && st->node->clcf->exact_match) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "stream \"%V\" in %s:%ui has a blockcast_get, for "
                          "which node \"%V\" in %s:%ui needs a location like "
                          "\"location %V/\", not \"location = %V\"",
                          &st->name, st->file, st->line, &st->node->name,
                          st->node->file, st->node->line,
                          &st->node->clcf->name, &st->node->clcf->name);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
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

        if (ngx_http_blockcast_conf_stream_link_gets(cf, st[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return ngx_http_blockcast_conf_key_link(cf, bmcf);
}
