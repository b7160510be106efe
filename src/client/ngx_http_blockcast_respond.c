
/*
 * Whole HTTP responses of the endpoints, and the headers they add.
 */


#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_header.h"
#include "ngx_http_blockcast_access.h"
#include "bc_http.h"


ngx_int_t
ngx_http_blockcast_respond_header(ngx_http_request_t *r, const char *name,
    const char *value, size_t len)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value.data = (u_char *) value;
    h->value.len = len;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_respond_vary(ngx_http_request_t *r, const char *name)
{
    u_char           *p;
    size_t            len;
    ngx_table_elt_t  *h;

    len = ngx_strlen(name);
    h = ngx_http_blockcast_header_find(&r->headers_out.headers, "Vary");

    if (h == NULL) {
        return ngx_http_blockcast_respond_header(r, "Vary", name, len);
    }

    if ((h->value.len == 1 && h->value.data[0] == '*')
        || bc_http_has_token(h->value.data, h->value.len, name))
    {
        return NGX_OK;
    }

    p = ngx_pnalloc(r->pool, h->value.len + 2 + len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    h->value.len = ngx_sprintf(p, "%V, %s", &h->value, name) - p;
    h->value.data = p;

    return NGX_OK;
}


/*
 * Returns true if an error_page must replace our response.  A JSON response
 * (REST, health) is data, like that of a proxied server: only an error_page of
 * its own location replaces it, not one inherited from the server.
 */

static ngx_uint_t
ngx_http_blockcast_respond_error_page(ngx_http_request_t *r,
    ngx_uint_t status, const char *type)
{
    ngx_uint_t                 i;
    ngx_http_err_page_t       *page;
    ngx_http_core_loc_conf_t  *clcf, *server;
    ngx_http_core_srv_conf_t  *cscf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    if (status < NGX_HTTP_BAD_REQUEST
        || clcf->error_pages == NULL
        || (r->error_page && !clcf->recursive_error_pages))
    {
        return 0;
    }

    if (ngx_strcmp(type, "application/json") == 0) {
        cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
        server = cscf->ctx->loc_conf[ngx_http_core_module.ctx_index];

        if (clcf->error_pages == server->error_pages) {
            return 0;
        }
    }

    page = clcf->error_pages->elts;

    for (i = 0; i < clcf->error_pages->nelts; i++) {
        if (page[i].status == (ngx_int_t) status) {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_blockcast_respond(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *text)
{
    ngx_str_t  none;

    ngx_str_null(&none);

    return ngx_http_blockcast_respond_parts(r, status, type, text, &none);
}


ngx_int_t
ngx_http_blockcast_respond_parts(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *text, ngx_str_t *tail)
{
    ngx_int_t     rc;
    ngx_buf_t    *b;
    ngx_chain_t   out, more;

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (ngx_http_blockcast_respond_error_page(r, status, type)) {
        r->headers_out.status_line.len = 0;
        return status;
    }

    r->headers_out.status = status;
    r->headers_out.content_length_n = text->len + tail->len;
    r->headers_out.content_type.data = (u_char *) type;
    r->headers_out.content_type.len = ngx_strlen(type);
    r->headers_out.content_type_len = r->headers_out.content_type.len;

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    b = ngx_calloc_buf(r->pool);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->pos = text->data;
    b->last = text->data + text->len;
    b->memory = (text->len != 0);

    out.buf = b;
    out.next = NULL;

    if (tail->len != 0) {
        b = ngx_calloc_buf(r->pool);
        if (b == NULL) {
            return NGX_ERROR;
        }

        b->pos = tail->data;
        b->last = tail->data + tail->len;
        b->memory = 1;

        more.buf = b;
        more.next = NULL;
        out.next = &more;
    }

    /* the end of a subrequest is not the end of the response */

    b->last_buf = (r == r->main);
    b->sync = (text->len == 0 && !b->last_buf);
    b->last_in_chain = 1;

    return ngx_http_output_filter(r, &out);
}


ngx_int_t
ngx_http_blockcast_respond_refuse(ngx_http_request_t *r, ngx_uint_t status,
    const char *sentence)
{
    ngx_str_t  text;

    ngx_http_blockcast_count(ngx_http_blockcast_n_refused, 1);

    ngx_log_error(NGX_LOG_INFO, r->connection->log, 0,
                  "WebSocket handshake refused with %ui: %s", status,
                  sentence);

    if (status == 426) {
        if (ngx_http_blockcast_respond_header(r, "Sec-WebSocket-Version", "13",
                                              2)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        /* nginx has no reason phrase for 426, and HTTP/2 has no Upgrade */

        if (r->http_version < NGX_HTTP_VERSION_20) {
            ngx_str_set(&r->headers_out.status_line, "426 Upgrade Required");

            if (ngx_http_blockcast_respond_header(r, "Upgrade", "websocket", 9)
                != NGX_OK
                || ngx_http_blockcast_respond_header(r, "Connection",
                                                     "Upgrade", 7)
                   != NGX_OK)
            {
                return NGX_HTTP_INTERNAL_SERVER_ERROR;
            }
        }
    }

    if (status == NGX_HTTP_UNAUTHORIZED
        && ngx_http_blockcast_respond_header(r, "WWW-Authenticate", "Bearer",
                                             6)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (status == NGX_HTTP_NOT_ALLOWED
        && ngx_http_blockcast_respond_header(r, "Allow", "GET", 3) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    text.len = ngx_strlen(sentence) + 1;
    text.data = ngx_pnalloc(r->pool, text.len + 1);
    if (text.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    (void) ngx_sprintf(text.data, "%s\n", sentence);

    return ngx_http_blockcast_respond(r, status, "text/plain", &text);
}


ngx_int_t
ngx_http_blockcast_respond_refusal(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal)
{
    u_char  *p;

    if (refusal->retry_after != 0) {

        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);

        if (p == NULL
            || ngx_http_blockcast_respond_header(r, "Retry-After", (char *) p,
                           ngx_sprintf(p, "%ui", refusal->retry_after) - p)
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }
    }

    return ngx_http_blockcast_respond_refuse(r, refusal->status,
                                             refusal->sentence);
}
