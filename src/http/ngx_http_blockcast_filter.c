
/*
 * Which entries of a log a REST request wants: those whose members have the
 * values of the query.
 */


#include "ngx_http_blockcast_filter.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_query.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_span.h"


/* a longer number of an entry is compared with nothing (bytes) */
#define NGX_HTTP_BLOCKCAST_FILTER_NUMBER  128


static ngx_uint_t ngx_http_blockcast_filter_equal(
    ngx_http_blockcast_filter_t *filter,
    ngx_http_blockcast_filter_value_t *value, bc_span_t member);


ngx_int_t
ngx_http_blockcast_filter_parse(ngx_http_request_t *r,
    ngx_http_blockcast_filter_t *filter)
{
    u_char                             *p, *last;
    size_t                              longest;
    ngx_str_t                           name, written, text;
    ngx_uint_t                          member;
    ngx_http_blockcast_filter_value_t  *value;

    filter->nmembers = 0;
    filter->known = 0;
    filter->nvalues = 0;
    filter->buf = NULL;
    longest = 0;

    p = r->args.data;
    last = p + r->args.len;

    while (ngx_http_blockcast_query_next(&p, last, &written, &text)) {

        if (text.len == 0) {
            continue;
        }

        if (ngx_http_blockcast_query_decode(r, &written, &name) != NGX_OK) {
            return NGX_ERROR;
        }

        /* market[]=ads is how some write a list: market=ads */

        name.len = ngx_http_blockcast_access_list_name(&name);
        name.data[name.len] = '\0';

        if (ngx_http_blockcast_query_is_ours(&name)) {
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

        longest = ngx_max(longest, value->text.len);
        value->key.len = 0;

        /* 7 is the number 7, and the string "7" */

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

    if (longest != 0) {
        filter->buf = ngx_pnalloc(r->pool, longest);

        if (filter->buf == NULL) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_filter_learn(ngx_http_blockcast_filter_t *filter,
    bc_span_t entry)
{
    bc_span_t   members[NGX_HTTP_BLOCKCAST_FILTER_MEMBERS];
    ngx_uint_t  i;

    bc_json_members(entry, filter->members, members, filter->nmembers);

    for (i = 0; i < filter->nmembers; i++) {
        if (members[i].data != NULL) {
            filter->known |= (ngx_uint_t) 1 << i;
        }
    }

    return filter->known == ((ngx_uint_t) 1 << filter->nmembers) - 1;
}


ngx_uint_t
ngx_http_blockcast_filter_matches(ngx_http_blockcast_filter_t *filter,
    bc_span_t entry)
{
    bc_span_t                           members[
                                          NGX_HTTP_BLOCKCAST_FILTER_MEMBERS];
    ngx_uint_t                          i, matched;
    ngx_http_blockcast_filter_value_t  *value;

    bc_json_members(entry, filter->members, members, filter->nmembers);

    matched = 0;

    for (i = 0; i < filter->nvalues; i++) {
        value = &filter->values[i];

        if (members[value->member].data != NULL
            && ngx_http_blockcast_filter_equal(filter, value,
                                               members[value->member]))
        {
            matched |= (ngx_uint_t) 1 << value->member;
        }
    }

    return (matched & filter->known) == filter->known;
}


static ngx_uint_t
ngx_http_blockcast_filter_equal(ngx_http_blockcast_filter_t *filter,
    ngx_http_blockcast_filter_value_t *value, bc_span_t member)
{
    size_t  len;
    u_char  key[BC_JSON_KEY_BOUND(NGX_HTTP_BLOCKCAST_FILTER_NUMBER)];

    switch (member.data[0]) {

    case '"':
        return bc_json_string(member, filter->buf, value->text.len, &len) == 0
               && len == value->text.len
               && ngx_memcmp(filter->buf, value->text.data, len) == 0;

    case '{':
    case '[':
        return 0;

    default:

        if (value->key.len == 0
            || member.len > NGX_HTTP_BLOCKCAST_FILTER_NUMBER)
        {
            return 0;
        }

        len = bc_json_key(member, key);

        return len == value->key.len
               && ngx_memcmp(key, value->key.data, len) == 0;
    }
}
