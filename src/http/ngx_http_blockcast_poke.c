
/*
 * blockcast_poke: a hook of the node reports that there is new data.
 *
 * A poke can name streams, but carries no data: the gateway asks the node for
 * it.  So nobody who reaches this location can change any data.
 */


#include "ngx_http_blockcast_poke.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_extra.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_rest.h"


static ngx_int_t ngx_http_blockcast_poke_allowed(ngx_http_request_t *r,
    uint64_t *allowed, ngx_int_t *rc);
static ngx_int_t ngx_http_blockcast_poke_named(ngx_http_request_t *r,
    uint64_t allowed, uint64_t *named, ngx_int_t *rc);
static ngx_int_t ngx_http_blockcast_poke_answer(ngx_http_request_t *r,
    ngx_uint_t status, ngx_http_blockcast_json_out_t *out);


ngx_int_t
ngx_http_blockcast_poke_handler(ngx_http_request_t *r)
{
    cJSON                           *root, *rows, *row;
    uint64_t                         allowed, named, bit;
    ngx_int_t                        rc;
    ngx_uint_t                       wake, poked;
    const char                      *why;
    ngx_http_blockcast_stream_t    **st;
    ngx_http_blockcast_json_out_t    out;
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (ngx_http_blockcast_poke_allowed(r, &allowed, &rc) != NGX_OK
        || ngx_http_blockcast_poke_named(r, allowed, &named, &rc) != NGX_OK)
    {
        return rc;
    }

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    wake = 0;
    poked = 0;

    root = ngx_http_blockcast_json_out_begin(&out);
    rows = ngx_http_blockcast_json_out_array(&out, root, "streams");

    for (st = blcf->offers; *st != NULL; st++) {
        bit = (uint64_t) 1 << (*st)->index;

        if (!(named & bit)) {
            continue;
        }

        /* a location may name a stream twice */
        named &= ~bit;

        why = ngx_http_blockcast_extra_poke(bmcf, *st, &wake);
        poked += (why == NULL);

        row = ngx_http_blockcast_json_out_object(&out, rows, NULL);

        ngx_http_blockcast_json_out_text(&out, row, "name", (*st)->name.data,
                                         (*st)->name.len);
        ngx_http_blockcast_json_out_value(&out, row, "poked",
                                          (why == NULL) ? "true" : "false");

        if (why != NULL) {
            ngx_http_blockcast_json_out_string(&out, row, "reason", why);
        }
    }

    ngx_http_blockcast_json_out_value(&out, root, "poked", "%ui", poked);

    if (wake) {

        /* wake the worker that polls, which may be this one */

        ngx_http_blockcast_worker_notify_poller(bmcf);
        ngx_http_blockcast_poller_kick();
    }

    return ngx_http_blockcast_poke_answer(r, NGX_HTTP_ACCEPTED, &out);
}


/*
 * Checks the method, the Origin and the token, and sets *allowed to the
 * streams that the client may have.  Returns NGX_DECLINED when the request was
 * refused: *rc is what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_poke_allowed(ngx_http_request_t *r, uint64_t *allowed,
    ngx_int_t *rc)
{
    ngx_http_blockcast_refusal_t  refusal;

    *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_blockcast_respond_header(r, "Allow", "POST", 4)
            == NGX_OK)
        {
            *rc = ngx_http_blockcast_rest_error(r, NGX_HTTP_NOT_ALLOWED,
                                  "method_not_allowed", "%V is not allowed "
                                  "here, POST is", &r->method_name);
        }

        return NGX_DECLINED;
    }

    /* any page can make its visitors' browsers send a POST */

    if (ngx_http_blockcast_access_page(r, &refusal) != NGX_OK) {
        *rc = ngx_http_blockcast_rest_error(r, refusal.status, "forbidden",
                                            "%s", refusal.sentence);
        return NGX_DECLINED;
    }

    return ngx_http_blockcast_rest_allowed(r, allowed, rc);
}


/*
 * Sets *named to the streams that the arguments stream= name, or to all
 * allowed ones when there is no such argument.  Returns NGX_DECLINED when one
 * is unknown, or without memory: *rc is what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_poke_named(ngx_http_request_t *r, uint64_t allowed,
    uint64_t *named, ngx_int_t *rc)
{
    u_char                       *p, *end, *last, *src, *dst;
    ngx_str_t                     name;
    ngx_uint_t                    any;
    ngx_http_blockcast_stream_t  *st;

    *named = 0;
    any = 0;
    p = r->args.data;
    last = p + r->args.len;

    while (p < last) {
        end = ngx_strlchr(p, last, '&');
        end = (end != NULL) ? end : last;

        if (end - p < (ssize_t) (sizeof("stream=") - 1)
            || ngx_strncmp(p, "stream=", sizeof("stream=") - 1) != 0)
        {
            p = end + 1;
            continue;
        }

        src = p + sizeof("stream=") - 1;
        p = end + 1;
        any = 1;

        name.data = ngx_pnalloc(r->pool, end - src + 1);
        if (name.data == NULL) {
            *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;
            return NGX_DECLINED;
        }

        dst = name.data;
        ngx_unescape_uri(&dst, &src, end - src, 0);
        name.len = dst - name.data;

        st = ngx_http_blockcast_rest_find(r, &name, allowed);

        if (st == NULL) {
            *rc = ngx_http_blockcast_rest_error(r, NGX_HTTP_NOT_FOUND,
                                                "unknown_stream",
                                                "unknown stream: %V", &name);
            return NGX_DECLINED;
        }

        *named |= (uint64_t) 1 << st->index;
    }

    if (!any) {
        *named = allowed;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_poke_answer(ngx_http_request_t *r, ngx_uint_t status,
    ngx_http_blockcast_json_out_t *out)
{
    ngx_str_t  body;

    if (ngx_http_blockcast_json_out_pool(out, r->pool, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* overwrite the NUL that ends the printed text */

    body.data[body.len++] = '\n';

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_blockcast_respond(r, status, "application/json", &body);
}
