
/*
 * blockcast_history [NAME=]PATH ... [SPAN/STEP ...] [idle=TIME|off];
 *
 * The form of a word tells what it is: a PATH begins with "." or "[", a ring
 * contains a slash.
 */


#include "ngx_http_blockcast_conf_history.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_stream.h"
#include "bc_history.h"
#include "bc_history_text.h"
#include "bc_span.h"


#define NGX_HTTP_BLOCKCAST_HISTORY_IDLE  30000


static ngx_http_blockcast_history_conf_t *
ngx_http_blockcast_conf_history_create(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    if (st->history == NULL) {
        st->history = ngx_pcalloc(cf->pool,
                                  sizeof(ngx_http_blockcast_history_conf_t));

        if (st->history != NULL) {
            st->history->idle = NGX_CONF_UNSET_MSEC;
        }
    }

    return st->history;
}


/* Adds a number: the path to it in the data, and its name. */

static char *
ngx_http_blockcast_conf_history_member(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *name, ngx_str_t *path)
{
    size_t                              good;
    bc_span_t                           text;
    ngx_str_t                           rest;
    ngx_uint_t                          i;
    bc_history_shape_t                 *shape;
    ngx_http_blockcast_history_conf_t  *history;

    history = st->history;
    shape = &history->shape;

    if (shape->nmembers == BC_HISTORY_MEMBERS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\" has more than "
                           "%d numbers", &st->name, BC_HISTORY_MEMBERS);
        return NGX_CONF_ERROR;
    }

    text.data = path->data;
    text.len = path->len;

    if (bc_history_path(&history->paths[shape->nmembers], text, &good) != 0) {
        rest.data = path->data + good;
        rest.len = path->len - good;

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\": the path "
                           "\"%V\" is wrong at \"%V\", steps are like .name, "
                           ".\"any name\", [0] or [-1]",
                           &st->name, path, &rest);
        return NGX_CONF_ERROR;
    }

    if (name->len == 0) {
        text = bc_history_path_name(text);
        name->data = (u_char *) text.data;
        name->len = text.len;
    }

    if (!ngx_http_blockcast_stream_name_valid(name)
        || name->len >= BC_HISTORY_NAME)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\": the name "
                           "\"%V\" of the number at \"%V\" must be 1 to %d of "
                           "the characters a-z A-Z 0-9 _ - ., as in "
                           "NAME=PATH", &st->name, name, path,
                           BC_HISTORY_NAME - 1);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < shape->nmembers; i++) {
        if (ngx_strlen(shape->names[i]) == name->len
            && ngx_memcmp(shape->names[i], name->data, name->len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "blockcast_history of stream \"%V\" has two "
                               "numbers \"%V\"", &st->name, name);
            return NGX_CONF_ERROR;
        }
    }

    ngx_memcpy(shape->names[shape->nmembers], name->data, name->len);
    shape->nmembers++;

    return NGX_CONF_OK;
}


/* Adds a ring, given as SPAN/STEP; it is named by its SPAN. */

static char *
ngx_http_blockcast_conf_history_ring(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *word)
{
    u_char                             *slash, *p;
    ngx_int_t                           span, step;
    ngx_str_t                           name, value;
    ngx_uint_t                          i;
    bc_history_shape_t                 *shape;
    ngx_http_blockcast_history_conf_t  *history;

    history = st->history;
    shape = &history->shape;

    slash = ngx_strlchr(word->data, word->data + word->len, '/');

    name.data = word->data;
    name.len = slash - word->data;
    value.data = slash + 1;
    value.len = word->data + word->len - value.data;

    span = ngx_parse_time(&name, 1);
    step = ngx_parse_time(&value, 1);

    for (p = name.data; p < slash; p++) {
        if (*p == ' ') {
            span = NGX_ERROR;
        }
    }

    if (span == NGX_ERROR || step == NGX_ERROR || step == 0
        || step > 86400 || name.len > 16
        || span % step != 0 || span / step < 2
        || span / step > BC_HISTORY_SLOTS)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\": \"%V\" must "
                           "be two times like 1h/5s, the second from 1s to "
                           "1d, the first 2 to %d times as long",
                           &st->name, word, BC_HISTORY_SLOTS);
        return NGX_CONF_ERROR;
    }

    if (shape->nrings == BC_HISTORY_RINGS) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\" has more than "
                           "%d ranges", &st->name, BC_HISTORY_RINGS);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < shape->nrings; i++) {
        if (history->rings[i].len == name.len
            && ngx_memcmp(history->rings[i].data, name.data, name.len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "blockcast_history of stream \"%V\" has two "
                               "ranges \"%V\"", &st->name, &name);
            return NGX_CONF_ERROR;
        }
    }

    history->rings[shape->nrings] = name;
    shape->rings[shape->nrings].step = step;
    shape->rings[shape->nrings].nslots = span / step;
    shape->nrings++;

    return NGX_CONF_OK;
}


static char *
ngx_http_blockcast_conf_history_idle(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *value)
{
    ngx_int_t  msec;

    if (st->history->idle != NGX_CONF_UNSET_MSEC) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\" has a second "
                           "idle=", &st->name);
        return NGX_CONF_ERROR;
    }

    if (value->len == 3 && ngx_strncmp(value->data, "off", 3) == 0) {
        st->history->idle = 0;
        return NGX_CONF_OK;
    }

    msec = ngx_http_blockcast_conf_read_within(value,
                                  ngx_http_blockcast_conf_time, 1000,
                                  (ngx_int_t) BC_HISTORY_HOLD * 1000 / 2);

    if (msec == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\": \"idle=%V\" "
                           "must be \"off\" or a time from 1s to 12h",
                           &st->name, value);
        return NGX_CONF_ERROR;
    }

    st->history->idle = msec;

    return NGX_CONF_OK;
}


/* Handles one word of the directive. */

static char *
ngx_http_blockcast_conf_history_word(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st, ngx_str_t *word)
{
    u_char     *p, *last;
    ngx_str_t   name, value;

    last = word->data + word->len;

    ngx_str_null(&name);

    if (word->len != 0 && (word->data[0] == '.' || word->data[0] == '[')) {
        return ngx_http_blockcast_conf_history_member(cf, st, &name, word);
    }

    p = ngx_strlchr(word->data, last, '=');

    if (p != NULL) {
        name.data = word->data;
        name.len = p - word->data;
        value.data = p + 1;
        value.len = last - value.data;

        if (name.len != 0 && value.len != 0
            && (value.data[0] == '.' || value.data[0] == '['))
        {
            return ngx_http_blockcast_conf_history_member(cf, st, &name,
                                                          &value);
        }

        if (name.len == 4 && ngx_strncmp(name.data, "idle", 4) == 0) {
            return ngx_http_blockcast_conf_history_idle(cf, st, &value);
        }

    } else if (ngx_strlchr(word->data, last, '/') != NULL) {
        return ngx_http_blockcast_conf_history_ring(cf, st, word);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "blockcast_history of stream \"%V\": \"%V\" is neither "
                       "a number like height=.block.height, nor a range like "
                       "1h/5s, nor idle=30s", &st->name, word);

    return NGX_CONF_ERROR;
}


char *
ngx_http_blockcast_conf_history_set(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (ngx_http_blockcast_conf_history_create(cf, st) == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {
        if (ngx_http_blockcast_conf_history_word(cf, st, &value[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_history_check(ngx_conf_t *cf,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                          i;
    static ngx_str_t                    usual[] = {
        ngx_string("1h/5s"), ngx_string("24h/2m")
    };
    ngx_http_blockcast_history_conf_t  *history;

    history = st->history;

    if (st->field.len != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "stream \"%V\" is a log, blockcast_history keeps "
                           "the numbers of snapshots", &st->name);
        return NGX_CONF_ERROR;
    }

    if (history->shape.nmembers == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_history of stream \"%V\" has no number "
                           "to keep, like height=.block.height", &st->name);
        return NGX_CONF_ERROR;
    }

    for (i = (history->shape.nrings != 0) ? 2 : 0; i < 2; i++) {
        if (ngx_http_blockcast_conf_history_ring(cf, st, &usual[i])
            != NGX_CONF_OK)
        {
            return NGX_CONF_ERROR;
        }
    }

    ngx_conf_init_msec_value(history->idle, NGX_HTTP_BLOCKCAST_HISTORY_IDLE);

    bc_history_paths(history->paths, history->shape.nmembers);
    history->size = ngx_align(bc_history_size(&history->shape), 8);

    return NGX_CONF_OK;
}
