
/*
 * The filter of a subscriber over HTTP: MEMBER=VALUE in its query.
 */


#include "ngx_http_blockcast_query_filter.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_query.h"
#include "bc_json.h"
#include "bc_span.h"


/* members and values of a query; a filter has fewer */
#define NGX_HTTP_BLOCKCAST_QUERY_ARGS  64


typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;
    ngx_uint_t   taken;
} ngx_http_blockcast_query_arg_t;


/* Returns whether an entry that the log keeps has a member. */

static ngx_uint_t
ngx_http_blockcast_query_filter_known(ngx_http_blockcast_hub_t *hub,
    ngx_str_t *name)
{
    bc_span_t                          entry, value;
    ngx_uint_t                         i;
    ngx_http_blockcast_ring_record_t  *rec;

    for (i = hub->count; i > 0; i--) {
        rec = ngx_http_blockcast_hub_entry(hub, i - 1);

        entry.data = ngx_http_blockcast_ring_record_data(rec);
        entry.len = rec->len;

        if (bc_json_member(entry, (char *) name->data, &value)) {
            return 1;
        }
    }

    return 0;
}


static u_char *
ngx_http_blockcast_query_filter_string(u_char *p, ngx_str_t *text)
{
    *p++ = '"';
    p = bc_json_escape(p, text->data, text->len);
    *p++ = '"';

    return p;
}


/* Writes {"MEMBER":[VALUE,...],...}; a value that is a number is both. */

static u_char *
ngx_http_blockcast_query_filter_write(u_char *p,
    ngx_http_blockcast_query_arg_t *args, ngx_uint_t n)
{
    ngx_str_t   *value;
    ngx_uint_t   i, k;

    *p++ = '{';

    for (i = 0; i < n; i++) {

        if (args[i].taken) {
            continue;
        }

        if (p[-1] == ']') {
            *p++ = ',';
        }

        p = ngx_http_blockcast_query_filter_string(p, &args[i].name);
        *p++ = ':';
        *p++ = '[';

        for (k = i; k < n; k++) {

            if (args[k].taken || args[k].name.len != args[i].name.len
                || ngx_strcmp(args[k].name.data, args[i].name.data) != 0)
            {
                continue;
            }

            value = &args[k].value;
            args[k].taken = (k != i);

            if (p[-1] != '[') {
                *p++ = ',';
            }

            p = ngx_http_blockcast_query_filter_string(p, value);

            if (value->data[0] != '"'
                && bc_json_check(value->data, value->len, 0, NULL) == 0)
            {
                *p++ = ',';
                p = ngx_cpymem(p, value->data, value->len);
            }
        }

        *p++ = ']';
    }

    *p++ = '}';

    return p;
}


ngx_int_t
ngx_http_blockcast_query_filter(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, bc_log_filter_t **filter, const char **why)
{
    u_char                          *p, *last, *text;
    size_t                           size;
    ngx_int_t                        rc;
    ngx_str_t                        name, value;
    ngx_uint_t                       n;
    ngx_http_blockcast_query_arg_t  *args, *arg;

    *filter = NULL;

    if (r->args.len == 0 || hub->stream->field.len == 0) {
        return NGX_OK;
    }

    args = ngx_palloc(r->pool, NGX_HTTP_BLOCKCAST_QUERY_ARGS
                               * sizeof(ngx_http_blockcast_query_arg_t));
    if (args == NULL) {
        return NGX_ERROR;
    }

    n = 0;
    size = 2;

    p = r->args.data;
    last = p + r->args.len;

    while (ngx_http_blockcast_query_next(&p, last, &name, &value)) {

        if (value.len == 0) {
            continue;
        }

        if (n == NGX_HTTP_BLOCKCAST_QUERY_ARGS) {
            *why = "the query has too many members and values";
            return NGX_DECLINED;
        }

        arg = &args[n];
        arg->taken = 0;

        rc = ngx_http_blockcast_query_member(r, &name, &arg->name);

        if (rc == NGX_ERROR
            || ngx_http_blockcast_query_decode(r, &value, &arg->value)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED
            || !ngx_http_blockcast_query_filter_known(hub, &arg->name))
        {
            continue;
        }

        size += bc_json_escape_len(arg->name.data, arg->name.len)
                + bc_json_escape_len(arg->value.data, arg->value.len)
                + arg->value.len + 16;
        n++;
    }

    if (n == 0) {
        return NGX_OK;
    }

    text = ngx_pnalloc(r->pool, size);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_blockcast_query_filter_write(text, args, n);

    *filter = bc_log_filter_members((bc_span_t) { text, p - text }, why);

    return (*filter != NULL) ? NGX_OK
           : (*why != NULL) ? NGX_DECLINED : NGX_ERROR;
}
