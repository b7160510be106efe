
/*
 * Endpoints: the directives that turn a location into one.
 */


#include "ngx_http_blockcast_conf_endpoint.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_rpc_http.h"
#include "ngx_http_blockcast_sse.h"
#include "ngx_http_blockcast_turn_wait.h"
#include "ngx_http_blockcast_ws.h"
#include "ngx_http_blockcast_health.h"
#include "ngx_http_blockcast_metrics.h"
#include "ngx_http_blockcast_poke.h"
#include "ngx_http_blockcast_rest.h"


static void
ngx_http_blockcast_conf_endpoint_later(ngx_http_request_t *r)
{
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    ngx_http_finalize_request(r, blcf->kind->handler(r));
}


static ngx_int_t
ngx_http_blockcast_conf_endpoint_handle(ngx_http_request_t *r,
    ngx_http_blockcast_kind_t *kind)
{
    /*
     * nginx accepts one connection in a turn, so that there is never more than
     * one new WebSocket client; a POST of JSON-RPC waits when it has its body.
     */

    if (!kind->websocket && !kind->echo
        && ngx_http_blockcast_turn_wait(r,
                                      ngx_http_blockcast_conf_endpoint_later)
           == NGX_DONE)
    {
        r->main->count++;
        return NGX_DONE;
    }

    return kind->handler(r);
}


/*
 * Finds the block whose endpoint a request is for, and runs its handler.
 *
 * When two "if" blocks match, nginx takes the content handler from the first
 * and the configuration from the last.  The last may have no endpoint, or
 * another one.  In that case r->loc_conf is set to that of the only block with
 * an endpoint of this kind; if there are several, the request ends with 500.
 */

static ngx_int_t
ngx_http_blockcast_conf_endpoint_enter(ngx_http_request_t *r,
    ngx_http_blockcast_kind_t *kind)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_loc_conf_t   *blcf, *found, **inside;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    if (blcf->kind == kind) {
        return ngx_http_blockcast_conf_endpoint_handle(r, kind);
    }

    while (blcf->outer != NULL) {
        blcf = blcf->outer;
    }

    found = (blcf->kind == kind) ? blcf : NULL;

    if (blcf->inside != NULL) {
        inside = blcf->inside->elts;

        for (i = 0; i < blcf->inside->nelts; i++) {

            if (inside[i]->kind != kind) {
                continue;
            }

            if (found != NULL) {
                found = NULL;
                break;
            }

            found = inside[i];
        }
    }

    if (found == NULL) {
        ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                      "more than one \"if\" has matched, and it is not to be "
                      "told whose blockcast endpoint is meant: give each "
                      "a location of its own");
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->loc_conf = found->loc_conf;

    return ngx_http_blockcast_conf_endpoint_handle(r, kind);
}


/* nginx passes no argument to content handlers, so each kind has its own */

#define ngx_http_blockcast_conf_kind(name, hnd, ws, ec, se, co, rp)           \
                                                                              \
static ngx_int_t                                                              \
ngx_http_blockcast_conf_endpoint_enter_##name(ngx_http_request_t *r)          \
{                                                                             \
    return ngx_http_blockcast_conf_endpoint_enter(r,                          \
                                      &ngx_http_blockcast_kind_##name);       \
}                                                                             \
                                                                              \
ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_##name = {                 \
    ngx_http_blockcast_conf_endpoint_enter_##name, hnd, ws, ec, se, co, rp    \
}


ngx_http_blockcast_conf_kind(websocket, ngx_http_blockcast_ws_handler,
                             1, 0, 0, 0, 0);
ngx_http_blockcast_conf_kind(echo, ngx_http_blockcast_ws_handler,
                             0, 1, 0, 0, 0);
ngx_http_blockcast_conf_kind(sse, ngx_http_blockcast_sse_handler,
                             0, 0, 1, 1, 0);
ngx_http_blockcast_conf_kind(api, ngx_http_blockcast_rest_api_handler,
                             0, 0, 0, 1, 0);
ngx_http_blockcast_conf_kind(rest, ngx_http_blockcast_rest_handler,
                             0, 0, 0, 1, 0);
ngx_http_blockcast_conf_kind(health, ngx_http_blockcast_health_handler,
                             0, 0, 0, 1, 0);
ngx_http_blockcast_conf_kind(metrics, ngx_http_blockcast_metrics_handler,
                             0, 0, 0, 0, 0);
ngx_http_blockcast_conf_kind(poke, ngx_http_blockcast_poke_handler,
                             0, 0, 0, 0, 0);
ngx_http_blockcast_conf_kind(rpc, ngx_http_blockcast_rpc_http_handler,
                             1, 0, 0, 1, 1);


char *
ngx_http_blockcast_conf_endpoint_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_str_t                        *value, *name;
    ngx_uint_t                        i, n;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_blockcast_kind_t        *kind;
    ngx_http_blockcast_conf_place_t  *place;
    ngx_http_blockcast_main_conf_t   *bmcf;

    value = cf->args->elts;
    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (blcf->endpoint) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in location \"%V\", which has another "
                           "blockcast endpoint", &value[0], &clcf->name);
        return NGX_CONF_ERROR;
    }

    blcf->endpoint = 1;
    blcf->location = clcf->name;

    kind = cmd->post;

    blcf->kind = kind;
    blcf->websocket = kind->websocket;
    blcf->echo = kind->echo;
    blcf->sse = kind->sse;

    if (clcf->handler != NULL) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in location \"%V\", which another "
                           "directive answers already, as proxy_pass does",
                           &value[0], &clcf->name);
        return NGX_CONF_ERROR;
    }

    clcf->handler = kind->enter;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_blockcast_module);

    place = ngx_array_push(&bmcf->places);
    if (place == NULL) {
        return NGX_CONF_ERROR;
    }

    place->blcf = blcf;
    place->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    place->directive = value[0];
    place->file = cf->conf_file->file.name.data;
    place->line = cf->conf_file->line;

    if (blcf->echo) {
        return NGX_CONF_OK;
    }

    blcf->names = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (blcf->names == NULL) {
        return NGX_CONF_ERROR;
    }

    for (i = 1; i < cf->args->nelts; i++) {
        name = ngx_array_push(blcf->names);
        if (name == NULL) {
            return NGX_CONF_ERROR;
        }

        *name = value[i];
    }

    /* filled by _link(), and shared by the "if" blocks in this location */

    n = ngx_max(cf->args->nelts, NGX_HTTP_BLOCKCAST_STREAMS) + 1;

    blcf->offers = ngx_pcalloc(cf->pool,
                               n * sizeof(ngx_http_blockcast_stream_t *));
    if (blcf->offers == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


ngx_int_t
ngx_http_blockcast_conf_endpoint_inherit(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *prev, ngx_http_blockcast_loc_conf_t *conf)
{
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_blockcast_loc_conf_t  *outer, **inside;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    conf->loc_conf = clcf->loc_conf;

    if (!clcf->noname) {
        return NGX_OK;
    }

    conf->outer = prev;

    if (conf->endpoint) {

        for (outer = prev; outer->outer != NULL; outer = outer->outer) {
            /* void */
        }

        if (outer->inside == NULL) {
            outer->inside = ngx_array_create(cf->pool, 4,
                                    sizeof(ngx_http_blockcast_loc_conf_t *));
            if (outer->inside == NULL) {
                return NGX_ERROR;
            }
        }

        inside = ngx_array_push(outer->inside);
        if (inside == NULL) {
            return NGX_ERROR;
        }

        *inside = conf;

        return NGX_OK;
    }

    if (!prev->endpoint) {
        return NGX_OK;
    }

    conf->endpoint = 1;
    conf->websocket = prev->websocket;
    conf->echo = prev->echo;
    conf->sse = prev->sse;
    conf->kind = prev->kind;
    conf->location = prev->location;
    conf->names = prev->names;
    conf->offers = prev->offers;

    /* an "if" inherits the handler of its location, a limit_except does not */

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = conf->kind->enter;
    }

    return NGX_OK;
}


/*
 * Fills the list of streams that an endpoint offers.  Logs why it returns
 * NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_endpoint_link_one(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_conf_place_t *place)
{
    ngx_str_t                      *name;
    ngx_uint_t                      i, n;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_blockcast_stream_t    *st, **all;
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = place->blcf;
    clcf = blcf->loc_conf[ngx_http_core_module.ctx_index];

    if (blcf->node != NULL || clcf->handler != blcf->kind->enter) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in %s:%ui shares its location with %s: give "
                      "each a location of its own",
                      &place->directive, place->file, place->line,
                      blcf->node != NULL ? "blockcast_node"
                      : "another directive that answers, as proxy_pass does");
        return NGX_ERROR;
    }

    if (blcf->echo) {
        return NGX_OK;
    }

    if (bmcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in %s:%ui needs a blockcast_zone, "
                      "and none is declared",
                      &place->directive, place->file, place->line);
        return NGX_ERROR;
    }

    name = blcf->names->elts;
    n = blcf->names->nelts;

    if (n == 0) {
        all = bmcf->streams.elts;

        for (i = 0; i < bmcf->streams.nelts; i++) {
            blcf->offers[i] = all[i];
        }

        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        st = ngx_http_blockcast_stream_find(bmcf, &name[i]);

        if (st == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%V\" in %s:%ui names stream \"%V\", "
                          "which is not declared",
                          &place->directive, place->file, place->line,
                          &name[i]);
            return NGX_ERROR;
        }

        blcf->offers[i] = st;
    }

    return NGX_OK;
}


/*
 * Remembers an address with long-lived connections whose listen has no
 * reuseport.  All workers then accept from one queue, and the kernel wakes one
 * of them more often than the others.
 */

static void
ngx_http_blockcast_conf_endpoint_listen(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_conf_place_t *place)
{
    ngx_uint_t                   p, a, s;
    ngx_http_conf_port_t        *port;
    ngx_http_conf_addr_t        *addr;
    ngx_http_core_srv_conf_t   **server;
    ngx_http_core_main_conf_t   *cmcf;

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    if (cmcf->ports == NULL) {
        return;
    }

    port = cmcf->ports->elts;

    for (p = 0; p < cmcf->ports->nelts; p++) {
        addr = port[p].addrs.elts;

        if (port[p].family != AF_INET
#if (NGX_HAVE_INET6)
            && port[p].family != AF_INET6
#endif
           )
        {
            continue;
        }

        for (a = 0; a < port[p].addrs.nelts; a++) {
            server = addr[a].servers.elts;

            for (s = 0; s < addr[a].servers.nelts; s++) {

                if (server[s] == place->cscf && !addr[a].opt.reuseport) {
                    bmcf->one_queue = addr[a].opt.addr_text;
                    return;
                }
            }
        }
    }
}


ngx_int_t
ngx_http_blockcast_conf_endpoint_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                        i;
    ngx_http_blockcast_conf_place_t  *places;

    places = bmcf->places.elts;

    for (i = 0; i < bmcf->places.nelts; i++) {
        if (ngx_http_blockcast_conf_endpoint_link_one(cf, bmcf, &places[i])
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        if (bmcf->one_queue.len == 0
            && (places[i].blcf->websocket || places[i].blcf->sse))
        {
            ngx_http_blockcast_conf_endpoint_listen(cf, bmcf, &places[i]);
        }
    }

    return NGX_OK;
}
