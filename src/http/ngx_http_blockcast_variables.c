
/*
 * Variables, mostly for access_log, where they describe the whole connection.
 */


#include "ngx_http_blockcast_variables.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "bc_span.h"
#include "bc_tokens.h"


#define NGX_HTTP_BLOCKCAST_VAR_IN        0
#define NGX_HTTP_BLOCKCAST_VAR_OUT       1
#define NGX_HTTP_BLOCKCAST_VAR_CODE      2


static ngx_int_t ngx_http_blockcast_variables_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_blockcast_variables_streams(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_blockcast_variables_protocol(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_blockcast_variables_token(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);
static ngx_int_t ngx_http_blockcast_variables_token_name(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data);


static ngx_http_variable_t  ngx_http_blockcast_variables[] = {

    { ngx_string("blockcast_frames_in"), NULL,
      ngx_http_blockcast_variables_number, NGX_HTTP_BLOCKCAST_VAR_IN,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("blockcast_frames_out"), NULL,
      ngx_http_blockcast_variables_number, NGX_HTTP_BLOCKCAST_VAR_OUT,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("blockcast_close_code"), NULL,
      ngx_http_blockcast_variables_number, NGX_HTTP_BLOCKCAST_VAR_CODE,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("blockcast_streams"), NULL,
      ngx_http_blockcast_variables_streams, 0,
      NGX_HTTP_VAR_NOCACHEABLE, 0 },

    { ngx_string("blockcast_protocol"), NULL,
      ngx_http_blockcast_variables_protocol, 0, 0, 0 },

    { ngx_string("blockcast_token"), NULL,
      ngx_http_blockcast_variables_token, 0, 0, 0 },

    { ngx_string("blockcast_token_name"), NULL,
      ngx_http_blockcast_variables_token_name, 0, 0, 0 },

      ngx_http_null_variable
};


ngx_int_t
ngx_http_blockcast_variables_add(ngx_conf_t *cf)
{
    ngx_http_variable_t  *var, *v;

    for (v = ngx_http_blockcast_variables; v->name.len; v++) {

        var = ngx_http_add_variable(cf, &v->name, v->flags);
        if (var == NULL) {
            return NGX_ERROR;
        }

        var->get_handler = v->get_handler;
        var->data = v->data;
    }

    return NGX_OK;
}


static void
ngx_http_blockcast_variables_set(ngx_http_variable_value_t *v,
    const void *data, size_t len)
{
    v->len = len;
    v->valid = 1;
    v->no_cacheable = 0;
    v->not_found = 0;
    v->data = (u_char *) data;
}


static ngx_int_t
ngx_http_blockcast_variables_number(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                     *p;
    ngx_uint_t                  n;
    ngx_http_blockcast_conn_t  *conn;

    conn = ngx_http_get_module_ctx(r->main, ngx_http_blockcast_module);

    if (conn == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    n = (data == NGX_HTTP_BLOCKCAST_VAR_IN) ? conn->frames_in
        : (data == NGX_HTTP_BLOCKCAST_VAR_OUT) ? conn->frames_out
        : conn->close_code;

    if (data == NGX_HTTP_BLOCKCAST_VAR_CODE && n == 0) {

        /* no Close was received (RFC 6455, section 7.1.5) */

        n = 1006;
    }

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_variables_set(v, p, ngx_sprintf(p, "%ui", n) - p);

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_variables_streams(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    u_char                          *p, *start;
    ngx_uint_t                       i;
    ngx_http_blockcast_conn_t       *conn;
    ngx_http_blockcast_stream_t    **st;
    ngx_http_blockcast_main_conf_t  *bmcf;

    conn = ngx_http_get_module_ctx(r->main, ngx_http_blockcast_module);

    if (conn == NULL || conn->joined == 0) {
        v->not_found = 1;
        return NGX_OK;
    }

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);

    start = ngx_pnalloc(r->pool, bmcf->streams.nelts
                                 * (NGX_HTTP_BLOCKCAST_NAME_LEN + 1));
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start;
    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {

        if (conn->joined & ((uint64_t) 1 << i)) {
            if (p != start) {
                *p++ = ',';
            }

            p = ngx_cpymem(p, st[i]->name.data, st[i]->name.len);
        }
    }

    ngx_http_blockcast_variables_set(v, start, p - start);

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_variables_protocol(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    const char                 *name;
    ngx_http_blockcast_conn_t  *conn;

    conn = ngx_http_get_module_ctx(r->main, ngx_http_blockcast_module);

    if (conn == NULL) {
        v->not_found = 1;
        return NGX_OK;
    }

    name = (conn->kind == NGX_HTTP_BLOCKCAST_SSE) ? "sse"
           : (conn->kind == NGX_HTTP_BLOCKCAST_LONGPOLL) ? "long-poll"
           : (conn->protocol == ngx_http_blockcast_cbor) ? "cbor"
           : (conn->protocol == ngx_http_blockcast_jsonrpc
              || conn->protocol == ngx_http_blockcast_rpc) ? "jsonrpc"
           : "json";

    ngx_http_blockcast_variables_set(v, name, ngx_strlen(name));

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_variables_token(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    ngx_str_t  token;

    if (ngx_http_blockcast_access_token(r, &token) != NGX_OK) {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_blockcast_variables_set(v, token.data, token.len);

    return NGX_OK;
}


/* Sets v to a token's owner: the second word of its blockcast_tokens line. */

static ngx_int_t
ngx_http_blockcast_variables_token_name(ngx_http_request_t *r,
    ngx_http_variable_value_t *v, uintptr_t data)
{
    bc_span_t                       name, streams;
    ngx_str_t                       token;
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    if (blcf->tokens == NULL
        || ngx_http_blockcast_access_token(r, &token) != NGX_OK
        || !bc_tokens_check(blcf->tokens, token.data, token.len, &name,
                            &streams)
        || name.len == 0)
    {
        v->not_found = 1;
        return NGX_OK;
    }

    ngx_http_blockcast_variables_set(v, name.data, name.len);

    return NGX_OK;
}
