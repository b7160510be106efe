
/*
 * Cross-origin requests (CORS), and blockcast_guard.
 *
 * A header filter adds the headers, so that nginx's own responses have them,
 * too: a 401 of auth_basic, a 503 of limit_req, a 404, a 304.  Preflights and
 * the guard are handled before the access phase: there, "satisfy any" would
 * let a request pass that another check has allowed.
 */


#include "ngx_http_blockcast_cors.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_header.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_respond.h"


/*
 * Request headers that a page may set in addition to those that are always
 * allowed.  The list is fixed and does not echo what the preflight asks for:
 * only proxies may send X-Forwarded-Host.
 */
#define NGX_HTTP_BLOCKCAST_CORS_ALLOWED                                       \
    "Authorization, Cache-Control, Content-Type, If-None-Match, Last-Event-ID"

/* response headers that a page may read */
#define NGX_HTTP_BLOCKCAST_CORS_EXPOSED  "Blockcast-State, ETag, Retry-After"


static ngx_int_t ngx_http_blockcast_cors_handler(ngx_http_request_t *r);
static ngx_int_t ngx_http_blockcast_cors_filter(ngx_http_request_t *r);


static ngx_http_output_header_filter_pt  ngx_http_next_header_filter;


ngx_int_t
ngx_http_blockcast_cors_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    if (bmcf->places.nelts == 0 && !bmcf->guards) {
        return NGX_OK;
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_PREACCESS_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_blockcast_cors_handler;

    ngx_http_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_blockcast_cors_filter;

    return NGX_OK;
}


/*
 * Returns the endpoint that answers the request, or NULL when something else
 * does ("return", an error page).
 */

static ngx_http_blockcast_kind_t *
ngx_http_blockcast_cors_endpoint(ngx_http_request_t *r)
{
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    return (blcf->kind != NULL && r->content_handler == blcf->kind->enter)
           ? blcf->kind : NULL;
}


/* Returns true if other pages may read the endpoint's answer to a GET. */

static ngx_uint_t
ngx_http_blockcast_cors_readable(ngx_http_request_t *r)
{
    ngx_http_blockcast_kind_t  *kind;

    kind = ngx_http_blockcast_cors_endpoint(r);

    return kind != NULL && kind->cors;
}


static ngx_uint_t
ngx_http_blockcast_cors_preflight(ngx_http_request_t *r)
{
    return r->method == NGX_HTTP_OPTIONS
           && ngx_http_blockcast_header_value(r,
                                              "Access-Control-Request-Method")
              != NULL;
}


static ngx_int_t
ngx_http_blockcast_cors_handler(ngx_http_request_t *r)
{
    ngx_str_t                      *origin;
    ngx_uint_t                      any;
    ngx_http_blockcast_refusal_t    refusal;
    ngx_http_blockcast_loc_conf_t  *blcf;

    if (r != r->main) {
        return NGX_DECLINED;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    if (blcf->guard
        && ngx_http_blockcast_access_page(r, &refusal) != NGX_OK)
    {
        ngx_http_finalize_request(
                              r,
                              ngx_http_blockcast_respond_refusal(r, &refusal));
        return NGX_DONE;
    }

    if (!ngx_http_blockcast_cors_readable(r)
        || !ngx_http_blockcast_cors_preflight(r))
    {
        return NGX_DECLINED;
    }

    /* treat a page that is not allowed like a request without an Origin */

    if (ngx_http_blockcast_access_origin_of(r, &origin, &any) != NGX_OK) {
        ngx_http_blockcast_access_log_origin(r, origin);
        return NGX_DECLINED;
    }

    /* answer now: a preflight has no credentials, and would get a 401 later */

    return (origin != NULL) ? NGX_HTTP_NO_CONTENT : NGX_DECLINED;
}


/* Returns true if add_header sets Access-Control-Allow-Origin already. */

static ngx_uint_t
ngx_http_blockcast_cors_said(ngx_http_request_t *r)
{
    return ngx_http_blockcast_header_find(&r->headers_out.headers,
                                          "Access-Control-Allow-Origin")
           != NULL;
}


#define ngx_http_blockcast_cors_add(r, name, value)                           \
    ngx_http_blockcast_respond_header(r, name, value, sizeof(value) - 1)


static ngx_int_t
ngx_http_blockcast_cors_filter(ngx_http_request_t *r)
{
    ngx_str_t                  *origin;
    ngx_uint_t                  any;
    ngx_http_blockcast_kind_t  *kind;

    kind = ngx_http_blockcast_cors_endpoint(r);

    /* include WebSocket endpoints: a page may read why it was refused */

    if (r != r->main
        || r->headers_out.status == NGX_HTTP_SWITCHING_PROTOCOLS
        || kind == NULL
        || !(kind->cors || kind->websocket || kind->echo)
        || ngx_http_blockcast_cors_said(r))
    {
        return ngx_http_next_header_filter(r);
    }

    /* keep caches from giving one page the answer for another */

    if (ngx_http_blockcast_respond_vary(r, "Origin") != NGX_OK) {
        return NGX_ERROR;
    }

    if (ngx_http_blockcast_access_origin_of(r, &origin, &any) != NGX_OK
        || origin == NULL)
    {
        return ngx_http_next_header_filter(r);
    }

    if (any) {
        if (ngx_http_blockcast_cors_add(r, "Access-Control-Allow-Origin", "*")
            != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else {

        /* let a page that is named send the visitor's cookies and password */

        if (ngx_http_blockcast_respond_header(r, "Access-Control-Allow-Origin",
                                              (char *) origin->data,
                                              origin->len)
            != NGX_OK
            || ngx_http_blockcast_cors_add(r,
                                           "Access-Control-Allow-Credentials",
                                           "true")
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (ngx_http_blockcast_cors_preflight(r)) {

        if ((kind->rpc
             ? ngx_http_blockcast_cors_add(r, "Access-Control-Allow-Methods",
                                           "GET, HEAD, POST")
             : ngx_http_blockcast_cors_add(r, "Access-Control-Allow-Methods",
                                           "GET, HEAD"))
            != NGX_OK
            || ngx_http_blockcast_cors_add(r, "Access-Control-Allow-Headers",
                                           NGX_HTTP_BLOCKCAST_CORS_ALLOWED)
               != NGX_OK
            || ngx_http_blockcast_cors_add(r, "Access-Control-Max-Age", "600")
               != NGX_OK)
        {
            return NGX_ERROR;
        }

    } else if (ngx_http_blockcast_cors_add(r, "Access-Control-Expose-Headers",
                                           NGX_HTTP_BLOCKCAST_CORS_EXPOSED)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    return ngx_http_next_header_filter(r);
}
