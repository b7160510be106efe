
/*
 * A filter for t/33-deferred-header.t: it keeps a response's header back until
 * there is some of its body, as nginx's own xslt and image filters do.
 *
 *   defer_header on;      until the first call of the body filter
 *   defer_header later;   for a moment, and what there is of the body with it
 *   defer_header last;    until the end of the body; what is before is dropped
 *
 * The test compiles it, and links it to nothing: what nginx's build would add
 * to a dynamic module is at the end of this file.
 */


#include <ngx_config.h>
#include <ngx_core.h>
#include <ngx_http.h>


#define DEFER_OFF   0
#define DEFER_ON    1
#define DEFER_LAST  2
#define DEFER_LATER 3


typedef struct {
    ngx_uint_t  defer;
} ngx_http_defer_loc_conf_t;


typedef struct {
    ngx_event_t          timer;
    ngx_chain_t         *kept;
    unsigned             sent:1;
    unsigned             due:1;
} ngx_http_defer_ctx_t;


static void *ngx_http_defer_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_defer_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_defer_init(ngx_conf_t *cf);


static ngx_conf_enum_t  ngx_http_defer_enum[] = {
    { ngx_string("off"), DEFER_OFF },
    { ngx_string("on"), DEFER_ON },
    { ngx_string("last"), DEFER_LAST },
    { ngx_string("later"), DEFER_LATER },
    { ngx_null_string, 0 }
};


static ngx_command_t  ngx_http_defer_commands[] = {

    { ngx_string("defer_header"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_defer_loc_conf_t, defer),
      &ngx_http_defer_enum },

      ngx_null_command
};


static ngx_http_module_t  ngx_http_defer_module_ctx = {
    NULL,                                  /* preconfiguration */
    ngx_http_defer_init,                   /* postconfiguration */
    NULL,                                  /* create main configuration */
    NULL,                                  /* init main configuration */
    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */
    ngx_http_defer_create_loc_conf,        /* create location configuration */
    ngx_http_defer_merge_loc_conf          /* merge location configuration */
};


ngx_module_t  ngx_http_defer_module = {
    NGX_MODULE_V1,
    &ngx_http_defer_module_ctx,            /* module context */
    ngx_http_defer_commands,               /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL, NULL, NULL, NULL, NULL, NULL, NULL,
    NGX_MODULE_V1_PADDING
};


static ngx_http_output_header_filter_pt  ngx_http_defer_next_header_filter;
static ngx_http_output_body_filter_pt    ngx_http_defer_next_body_filter;


static void
ngx_http_defer_timer(ngx_event_t *ev)
{
    ngx_http_request_t    *r;
    ngx_http_defer_ctx_t  *ctx;

    r = ev->data;
    ctx = ngx_http_get_module_ctx(r, ngx_http_defer_module);

    ctx->due = 1;
    ngx_post_event(r->connection->write, &ngx_posted_events);
}


static void
ngx_http_defer_cleanup(void *data)
{
    ngx_event_t *ev = data;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }
}


static ngx_int_t
ngx_http_defer_header_filter(ngx_http_request_t *r)
{
    ngx_pool_cleanup_t         *cln;
    ngx_http_defer_ctx_t       *ctx;
    ngx_http_defer_loc_conf_t  *dlcf;

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_defer_module);

    if (dlcf->defer == DEFER_OFF || r != r->main) {
        return ngx_http_defer_next_header_filter(r);
    }

    ctx = ngx_pcalloc(r->pool, sizeof(ngx_http_defer_ctx_t));
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (ctx == NULL || cln == NULL) {
        return NGX_ERROR;
    }

    ctx->timer.handler = ngx_http_defer_timer;
    ctx->timer.data = r;
    ctx->timer.log = r->connection->log;

    cln->handler = ngx_http_defer_cleanup;
    cln->data = &ctx->timer;

    ngx_http_set_ctx(r, ctx, ngx_http_defer_module);

    return NGX_OK;
}


static ngx_int_t
ngx_http_defer_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_int_t                   rc;
    ngx_uint_t                  last;
    ngx_chain_t                *cl;
    ngx_http_defer_ctx_t       *ctx;
    ngx_http_defer_loc_conf_t  *dlcf;

    ctx = ngx_http_get_module_ctx(r, ngx_http_defer_module);

    if (ctx == NULL || ctx->sent) {
        return ngx_http_defer_next_body_filter(r, in);
    }

    dlcf = ngx_http_get_module_loc_conf(r, ngx_http_defer_module);

    if (dlcf->defer == DEFER_LAST) {
        last = 0;

        for (cl = in; cl != NULL; cl = cl->next) {
            last |= cl->buf->last_buf;

            if (!cl->buf->last_buf) {
                cl->buf->pos = cl->buf->last;
            }
        }

        if (!last) {
            return NGX_OK;
        }
    }

    if (dlcf->defer == DEFER_LATER) {

        if (in != NULL
            && ngx_chain_add_copy(r->pool, &ctx->kept, in) != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (!ctx->due) {
            r->buffered |= NGX_HTTP_SUB_BUFFERED;

            if (!ctx->timer.timer_set) {
                ngx_add_timer(&ctx->timer, 50);
            }

            return NGX_OK;
        }

        r->buffered &= ~NGX_HTTP_SUB_BUFFERED;
        in = ctx->kept;
    }

    ctx->sent = 1;

    rc = ngx_http_defer_next_header_filter(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        return rc;
    }

    return ngx_http_defer_next_body_filter(r, in);
}


static void *
ngx_http_defer_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_defer_loc_conf_t  *conf;

    conf = ngx_pcalloc(cf->pool, sizeof(ngx_http_defer_loc_conf_t));
    if (conf != NULL) {
        conf->defer = NGX_CONF_UNSET_UINT;
    }

    return conf;
}


static char *
ngx_http_defer_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_defer_loc_conf_t *prev = parent;
    ngx_http_defer_loc_conf_t *conf = child;

    ngx_conf_merge_uint_value(conf->defer, prev->defer, DEFER_OFF);

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_defer_init(ngx_conf_t *cf)
{
    ngx_http_defer_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_defer_header_filter;

    ngx_http_defer_next_body_filter = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_defer_body_filter;

    return NGX_OK;
}


ngx_module_t  *ngx_modules[] = {
    &ngx_http_defer_module,
    NULL
};

char  *ngx_module_names[] = {
    "ngx_http_defer_module",
    NULL
};

char  *ngx_module_order[] = {
    NULL
};
