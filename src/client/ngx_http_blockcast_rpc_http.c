
/*
 * The JSON-RPC endpoint over HTTP: POST, and the refusal of other methods.
 *
 * Each request is a client with its own lane, which ends with the request;
 * what it spends is counted for its connection.
 */


#include "ngx_http_blockcast_rpc_http.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_rpc.h"
#include "ngx_http_blockcast_rpc_lane.h"
#include "ngx_http_blockcast_turn_wait.h"
#include "ngx_http_blockcast_ws.h"


typedef struct {
    ngx_http_request_t             *request;
    ngx_http_blockcast_rpc_lane_t  *lane;
    ngx_str_t                       text;
    unsigned                        answered:1;
    unsigned                        waits:1;    /* in the event loop */
} ngx_http_blockcast_rpc_http_t;


static void ngx_http_blockcast_rpc_http_body(ngx_http_request_t *r);
static void ngx_http_blockcast_rpc_http_deliver(void *owner,
    ngx_http_blockcast_rpc_group_t *group);
static void ngx_http_blockcast_rpc_http_cleanup(void *data);


ngx_int_t
ngx_http_blockcast_rpc_http_handler(ngx_http_request_t *r)
{
    uint64_t                        allowed;
    ngx_int_t                       rc;
    ngx_http_blockcast_refusal_t    refusal;
    ngx_http_blockcast_loc_conf_t  *blcf;

    if (r->method == NGX_HTTP_GET || r->method == NGX_HTTP_HEAD
        || r != r->main || r->post_action)
    {
        return ngx_http_blockcast_ws_handler(r);
    }

    if (r->method != NGX_HTTP_POST) {

        if (ngx_http_blockcast_respond_header(r, "Allow", "GET, POST", 9)
            != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        return ngx_http_blockcast_respond_refuse(r, NGX_HTTP_NOT_ALLOWED,
                              "Send JSON-RPC by POST or over WebSocket.");
    }

    if (ngx_http_blockcast_access_page(r, &refusal) != NGX_OK) {
        return ngx_http_blockcast_respond_refusal(r, &refusal);
    }

    rc = ngx_http_blockcast_access_streams(r, &allowed, &refusal);

    if (rc == NGX_DECLINED) {
        return ngx_http_blockcast_respond_refusal(r, &refusal);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    if (r->headers_in.content_length_n > (off_t) blcf->max_message) {
        return ngx_http_blockcast_respond_refuse(r,
                              NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "The request is larger than "
                              "blockcast_max_message.");
    }

    r->request_body_in_single_buf = 1;

    rc = ngx_http_read_client_request_body(r, ngx_http_blockcast_rpc_http_body);

    return (rc >= NGX_HTTP_SPECIAL_RESPONSE) ? rc : NGX_DONE;
}


/* Tags the cleanup that holds what a connection has spent. */

static void
ngx_http_blockcast_rpc_http_spent(void *data)
{
    /* the memory is the connection's pool */
}


static ngx_http_blockcast_rpc_purse_t *
ngx_http_blockcast_rpc_http_purse(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t              *cln;
    ngx_http_blockcast_rpc_purse_t  *purse;

    for (cln = r->connection->pool->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler == ngx_http_blockcast_rpc_http_spent) {
            return cln->data;
        }
    }

    cln = ngx_pool_cleanup_add(r->connection->pool,
                               sizeof(ngx_http_blockcast_rpc_purse_t));
    if (cln == NULL) {
        return NULL;
    }

    cln->handler = ngx_http_blockcast_rpc_http_spent;
    purse = cln->data;

    ngx_memzero(purse, sizeof(ngx_http_blockcast_rpc_purse_t));
    purse->counted = ngx_current_msec;

    return purse;
}


/* Reads the whole body; logs why it returns NULL. */

static u_char *
ngx_http_blockcast_rpc_http_read(ngx_http_request_t *r, size_t most,
    size_t *len)
{
    u_char       *p, *text;
    size_t        size;
    ssize_t       n;
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    size = 0;

    for (cl = r->request_body ? r->request_body->bufs : NULL;
         cl != NULL;
         cl = cl->next)
    {
        size += ngx_buf_size(cl->buf);
    }

    *len = size;

    if (size > most) {
        return (u_char *) "";
    }

    text = ngx_pnalloc(r->pool, size + 1);
    if (text == NULL) {
        return NULL;
    }

    p = text;

    for (cl = r->request_body ? r->request_body->bufs : NULL;
         cl != NULL;
         cl = cl->next)
    {
        b = cl->buf;
        size = ngx_buf_size(b);

        if (!b->in_file) {
            p = ngx_cpymem(p, b->pos, size);
            continue;
        }

        n = ngx_read_file(b->file, p, size, b->file_pos);

        if (n != (ssize_t) size) {
            return NULL;
        }

        p += size;
    }

    return text;
}


/* Answers a request; returns what a content handler returns. */

static ngx_int_t
ngx_http_blockcast_rpc_http_answer(ngx_http_blockcast_rpc_http_t *ctx)
{
    ngx_http_request_t  *r;

    r = ctx->request;

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* notifications only: there is no answer */

    return ngx_http_blockcast_respond(r, ctx->text.len ? NGX_HTTP_OK
                                                       : NGX_HTTP_NO_CONTENT,
                                      "application/json", &ctx->text);
}


static void
ngx_http_blockcast_rpc_http_body(ngx_http_request_t *r)
{
    size_t                          len;
    u_char                         *body;
    ngx_pool_cleanup_t             *cln;
    ngx_http_blockcast_rpc_http_t  *ctx;
    ngx_http_blockcast_loc_conf_t  *blcf;

    if (ngx_http_blockcast_turn_wait(r, ngx_http_blockcast_rpc_http_body)
        == NGX_DONE)
    {
        return;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    body = ngx_http_blockcast_rpc_http_read(r, blcf->max_message, &len);

    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_blockcast_rpc_http_t));

    if (body == NULL || cln == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (len > blcf->max_message) {
        ngx_http_finalize_request(r, ngx_http_blockcast_respond_refuse(r,
                              NGX_HTTP_REQUEST_ENTITY_TOO_LARGE,
                              "The request is larger than "
                              "blockcast_max_message."));
        return;
    }

    ctx = cln->data;

    ngx_memzero(ctx, sizeof(ngx_http_blockcast_rpc_http_t));

    ctx->request = r;
    ctx->lane = ngx_http_blockcast_rpc_lane_create(blcf->rpc, ctx,
                                         ngx_http_blockcast_rpc_http_deliver);
    if (ctx->lane == NULL) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    cln->handler = ngx_http_blockcast_rpc_http_cleanup;

    ctx->lane->purse = ngx_http_blockcast_rpc_http_purse(r);

    if (ctx->lane->purse == NULL) {
        ctx->lane->purse = &ctx->lane->own;
    }

    if (ngx_http_blockcast_rpc_execute(ctx->lane, NULL, body, len) != NGX_OK) {
        ngx_http_finalize_request(r, NGX_HTTP_INTERNAL_SERVER_ERROR);
        return;
    }

    if (ctx->answered) {
        ngx_http_finalize_request(r, ngx_http_blockcast_rpc_http_answer(ctx));
        return;
    }

    /* a client that goes away while it waits ends the request */

    ctx->waits = 1;
    r->read_event_handler = ngx_http_test_reading;
    r->write_event_handler = ngx_http_request_empty_handler;
}


static void
ngx_http_blockcast_rpc_http_deliver(void *owner,
    ngx_http_blockcast_rpc_group_t *group)
{
    u_char                         *p;
    size_t                          len;
    ngx_int_t                       rc;
    ngx_connection_t               *c;
    ngx_http_request_t             *r;
    ngx_http_blockcast_rpc_http_t  *ctx;

    ctx = owner;
    r = ctx->request;
    c = r->connection;
    rc = NGX_OK;

    len = ngx_http_blockcast_rpc_group_len(group);

    if (len != 0) {
        p = ngx_pnalloc(r->pool, len);

        if (p == NULL) {
            rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

        } else {
            ctx->text.data = p;
            ctx->text.len = ngx_http_blockcast_rpc_group_text(group, p) - p;
        }
    }

    ctx->answered = 1;

    if (!ctx->waits) {

        /*
         * called from within ngx_http_blockcast_rpc_http_body(), which answers
         */
        return;
    }

    if (rc == NGX_OK) {
        rc = ngx_http_blockcast_rpc_http_answer(ctx);
    }

    ngx_http_finalize_request(r, rc);
    ngx_http_run_posted_requests(c);
}


static void
ngx_http_blockcast_rpc_http_cleanup(void *data)
{
    ngx_http_blockcast_rpc_http_t *ctx = data;

    ngx_http_blockcast_rpc_lane_leave(ctx->lane);
}
