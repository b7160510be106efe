
/*
 * Filters of subscribers over HTTP: MEMBER=VALUE in the query.
 */


#include "ngx_http_blockcast_query_filter.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_query.h"
#include "bc_json.h"
#include "bc_span.h"


typedef struct {
    ngx_str_t    name;
    ngx_str_t    value;
    unsigned     known:1;       /* an entry has the member */
    unsigned     taken:1;
} ngx_http_blockcast_query_arg_t;


/* Returns true if an entry that the log still holds has the member. */

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


/*
 * Sets `known` and `taken` of the last of n arguments.  For the first argument
 * of a member it searches the log and counts the member; later arguments of
 * the same member copy the result.
 */

static void
ngx_http_blockcast_query_filter_look(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_query_arg_t *args, ngx_uint_t n, ngx_uint_t *members)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_query_arg_t  *arg;

    arg = &args[n - 1];

    for (i = 0; i < n - 1; i++) {
        if (args[i].name.len == arg->name.len
            && ngx_strcmp(args[i].name.data, arg->name.data) == 0)
        {
            arg->known = args[i].known;
            arg->taken = !arg->known;
            return;
        }
    }

    (*members)++;

    arg->known = ngx_http_blockcast_query_filter_known(hub, &arg->name);
    arg->taken = !arg->known;
}


static u_char *
ngx_http_blockcast_query_filter_string(u_char *p, ngx_str_t *text)
{
    *p++ = '"';
    p = bc_json_escape(p, text->data, text->len);
    *p++ = '"';

    return p;
}


/*
 * Writes {"MEMBER":[VALUE,...],...} and returns the end.  A value that is a
 * number, true, false or null is written twice: as a string and as it is.
 */

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
    ngx_str_t                        name, value, member;
    ngx_uint_t                       n, members, known;
    ngx_http_blockcast_query_arg_t  *args, *arg;

    *filter = NULL;

    if (r->args.len == 0 || hub->stream->field.len == 0) {
        return NGX_OK;
    }

    args = ngx_palloc(r->pool, BC_LOG_FILTER_VALUES
                               * sizeof(ngx_http_blockcast_query_arg_t));
    if (args == NULL) {
        return NGX_ERROR;
    }

    n = 0;
    members = 0;
    known = 0;
    size = 2;

    p = r->args.data;
    last = p + r->args.len;

    while (ngx_http_blockcast_query_next(&p, last, &name, &value)) {

        if (value.len == 0) {
            continue;
        }

        rc = ngx_http_blockcast_query_member(r, &name, &member);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            continue;
        }

        if (n == BC_LOG_FILTER_VALUES) {
            *why = BC_LOG_FILTER_MANY;
            return NGX_DECLINED;
        }

        arg = &args[n++];
        arg->name = member;

        if (ngx_http_blockcast_query_decode(r, &value, &arg->value)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        ngx_http_blockcast_query_filter_look(hub, args, n, &members);

        if (members > BC_LOG_FILTER_MEMBERS) {
            *why = BC_LOG_FILTER_MANY;
            return NGX_DECLINED;
        }

        if (!arg->known) {
            continue;
        }

        known++;
        size += bc_json_escape_len(arg->name.data, arg->name.len)
                + bc_json_escape_len(arg->value.data, arg->value.len)
                + arg->value.len + 16;
    }

    if (known == 0) {
        return NGX_OK;
    }

    text = ngx_pnalloc(r->pool, size);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_blockcast_query_filter_write(text, args, n);

    *filter = bc_log_filter_query((bc_span_t) { text, p - text }, why);

    return (*filter != NULL) ? NGX_OK
           : (*why != NULL) ? NGX_DECLINED : NGX_ERROR;
}
