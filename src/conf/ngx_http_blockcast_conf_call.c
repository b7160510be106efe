
/*
 * blockcast_call NAME METHOD ...: what the configuration says of one call.
 */


#include "ngx_http_blockcast_conf_call.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_jq.h"
#include "bc_json.h"
#include "bc_span.h"


#define NGX_HTTP_BLOCKCAST_MAX_EACH  256


char *
ngx_http_blockcast_conf_call(ngx_conf_t *cf, ngx_http_blockcast_stream_t *st)
{
    size_t                           offset;
    ngx_int_t                        n;
    ngx_str_t                       *value, *method, s, error, file;
    ngx_uint_t                       i;
    bc_span_t                        span;
    bc_json_iter_t                   it;
    ngx_http_blockcast_call_conf_t  *call;

    value = cf->args->elts;
    call = st->calls.elts;

    for (i = 0; i < st->calls.nelts; i++) {
        if (call[i].name.len == value[1].len
            && ngx_memcmp(call[i].name.data, value[1].data, value[1].len) == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate call \"%V\" in stream \"%V\"",
                               &value[1], &st->name);
            return NGX_CONF_ERROR;
        }
    }

    if (!ngx_http_blockcast_stream_name_valid(&value[1])) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_call name \"%V\" in stream \"%V\" "
                           "must be 1 to %d of the characters "
                           "a-z A-Z 0-9 _ - .",
                           &value[1], &st->name, NGX_HTTP_BLOCKCAST_NAME_LEN);
        return NGX_CONF_ERROR;
    }

    call = ngx_array_push(&st->calls);
    if (call == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_memzero(call, sizeof(ngx_http_blockcast_call_conf_t));

    if (ngx_array_init(&call->methods, cf->pool, 2, sizeof(ngx_str_t))
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    call->name = value[1];

    method = ngx_array_push(&call->methods);
    if (method == NULL) {
        return NGX_CONF_ERROR;
    }

    *method = value[2];

    for (i = 3; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "params=", 7) == 0) {
            call->params.data = value[i].data + 7;
            call->params.len = value[i].len - 7;

            if (bc_json_check(call->params.data, call->params.len, 64,
                              &offset)
                != 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "params of call \"%V\" in stream \"%V\" "
                                   "are not JSON, see byte %uz of %V",
                                   &call->name, &st->name, offset,
                                   &call->params);
                return NGX_CONF_ERROR;
            }

            span.data = call->params.data;
            span.len = call->params.len;

            if (bc_json_object(&it, span) != 0
                && bc_json_array(&it, span) != 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "params of call \"%V\" in stream \"%V\" "
                                   "must be a JSON object or array: %V",
                                   &call->name, &st->name, &call->params);
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "params_jq=", 10) == 0) {
            call->params_jq.data = value[i].data + 10;
            call->params_jq.len = value[i].len - 10;
            continue;
        }

        if (ngx_strncmp(value[i].data, "params_jq_file=", 15) == 0) {
            file.data = value[i].data + 15;
            file.len = value[i].len - 15;

            if (ngx_http_blockcast_read_file(cf, "stream", &st->name, &file,
                                             &call->params_jq)
                != NGX_OK)
            {
                return NGX_CONF_ERROR;
            }

            continue;
        }

        if (ngx_strncmp(value[i].data, "fallback=", 9) == 0
            && value[i].len > 9)
        {
            method = ngx_array_push(&call->methods);
            if (method == NULL) {
                return NGX_CONF_ERROR;
            }

            method->data = value[i].data + 9;
            method->len = value[i].len - 9;
            continue;
        }

        if (ngx_strncmp(value[i].data, "timeout=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;

            n = ngx_http_blockcast_parse_msec(&s);
            if (n == NGX_ERROR) {
                goto invalid;
            }

            call->timeout = n;
            continue;
        }

        if (ngx_strncmp(value[i].data, "each=", 5) == 0) {
            n = ngx_atoi(value[i].data + 5, value[i].len - 5);

            if (n < 1 || n > NGX_HTTP_BLOCKCAST_MAX_EACH) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" of call \"%V\" in stream \"%V\" "
                                   "must be a number from 1 to %d",
                                   &value[i], &call->name, &st->name,
                                   NGX_HTTP_BLOCKCAST_MAX_EACH);
                return NGX_CONF_ERROR;
            }

            call->each = n;
            continue;
        }

    invalid:

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "invalid parameter \"%V\" of call \"%V\" in "
                           "stream \"%V\"",
                           &value[i], &call->name, &st->name);
        return NGX_CONF_ERROR;
    }

    if (call->params.len != 0 && call->params_jq.len != 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "call \"%V\" in stream \"%V\" has both params and "
                           "params_jq", &call->name, &st->name);
        return NGX_CONF_ERROR;
    }

    if (call->each != 0 && call->params_jq.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "call \"%V\" in stream \"%V\" has each=%ui "
                           "but no params_jq",
                           &call->name, &st->name, call->each);
        return NGX_CONF_ERROR;
    }

    if (call->params_jq.len != 0
        && ngx_http_blockcast_jq_compile(cf->pool, &call->params_jq,
                                         &cf->cycle->conf_prefix, &call->jq,
                                         &error)
           != NGX_OK)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "params_jq of call \"%V\" in stream \"%V\": %V",
                           &call->name, &st->name, &error);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
