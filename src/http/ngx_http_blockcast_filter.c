
/*
 * The filter of a REST request for a log: it selects entries whose members
 * have the values given in the query.
 */


#include "ngx_http_blockcast_filter.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_query.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_span.h"


ngx_int_t
ngx_http_blockcast_filter_parse(ngx_http_request_t *r,
    ngx_http_blockcast_filter_t *filter)
{
    u_char                             *p, *last;
    ngx_int_t                           rc;
    ngx_str_t                           name, written, text;
    ngx_uint_t                          member;
    ngx_http_blockcast_filter_value_t  *value;

    filter->nmembers = 0;
    filter->known = 0;
    filter->nvalues = 0;

    p = r->args.data;
    last = p + r->args.len;

    while (ngx_http_blockcast_query_next(&p, last, &written, &text)) {

        if (text.len == 0) {
            continue;
        }

        rc = ngx_http_blockcast_query_member(r, &written, &name);

        if (rc == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (rc == NGX_DECLINED) {
            continue;
        }

        for (member = 0; member < filter->nmembers; member++) {
            if (ngx_strcmp(name.data, filter->members[member]) == 0) {
                break;
            }
        }

        if (member == NGX_HTTP_BLOCKCAST_FILTER_MEMBERS
            || filter->nvalues == NGX_HTTP_BLOCKCAST_FILTER_VALUES)
        {
            return NGX_DECLINED;
        }

        if (member == filter->nmembers) {
            filter->members[filter->nmembers++] = (const char *) name.data;
        }

        value = &filter->values[filter->nvalues++];
        value->member = member;

        if (ngx_http_blockcast_query_decode(r, &text, &value->text)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        value->key.len = 0;

        /* 7 stands for the number 7 and for the string "7" */

        if (value->text.len <= NGX_HTTP_BLOCKCAST_FILTER_NUMBER
            && value->text.data[0] != '"'
            && bc_json_check(value->text.data, value->text.len, 0, NULL) == 0)
        {
            value->key.data = ngx_pnalloc(r->pool,
                                         BC_JSON_KEY_BOUND(value->text.len));
            if (value->key.data == NULL) {
                return NGX_ERROR;
            }

            value->key.len = bc_json_key((bc_span_t) { value->text.data,
                                                      value->text.len },
                                        value->key.data);
        }
    }

    return NGX_OK;
}
