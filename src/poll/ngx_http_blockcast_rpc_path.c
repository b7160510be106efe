
/*
 * The path of a call through nginx to the node and back.
 *
 * What an operator writes at the level of a server or of http {} is meant
 * for clients: those without a User-Agent are refused, those without TLS are
 * redirected, all are limited.  A call is not a client, so it starts in the
 * location of its node.  From the levels above it takes:
 *
 *  - "set", as its values may be used in the location;
 *  - what is merged into the location and is about proxying.
 *
 * It skips the rest of the server's rewrite phase, the choice of a location
 * (a regex might match the node's), client_max_body_size, limit_req and
 * limit_conn that are not the location's own, inherited error pages, and the
 * filters of other modules (header_filter_by_lua).  nginx itself skips the
 * access phase, as for every subrequest.  Directives in the location itself
 * apply; if one of them ends a call, the error names it.
 */


#define _GNU_SOURCE
#include <dlfcn.h>

#include "ngx_http_blockcast_rpc_path.h"
#include "ngx_http_blockcast_rpc_call.h"


/* as in ngx_http_rewrite_module.c; _init() checks it */

typedef struct {
    ngx_array_t  *codes;
    ngx_uint_t    stack_size;
    ngx_flag_t    log;
    ngx_flag_t    uninitialized_variable_warn;
} ngx_http_blockcast_rpc_path_rewrite_t;


static void ngx_http_blockcast_rpc_path_set(ngx_http_request_t *r);
static ngx_uint_t ngx_http_blockcast_rpc_path_limited(
    ngx_http_blockcast_node_t *node, ngx_module_t *module);
static ngx_module_t *ngx_http_blockcast_rpc_path_module(ngx_conf_t *cf,
    const char *name, const char *directive, size_t offset);
static ngx_int_t ngx_http_blockcast_rpc_path_header_filter(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_blockcast_rpc_path_body_filter(ngx_http_request_t *r,
    ngx_chain_t *in);


/* NULL: the module is missing, or is not as expected */
static ngx_module_t  *ngx_http_blockcast_rpc_path_rewrite_module;
static ngx_module_t  *ngx_http_blockcast_rpc_path_limit_req_module;
static ngx_module_t  *ngx_http_blockcast_rpc_path_limit_conn_module;

/* the filters for a node's reply: ours, and those of nginx after it */
static ngx_http_output_header_filter_pt  ngx_http_blockcast_rpc_path_header;
static ngx_http_output_body_filter_pt    ngx_http_blockcast_rpc_path_body;

/* the filters for all other responses */
static ngx_http_output_header_filter_pt
    ngx_http_blockcast_rpc_path_all_header;
static ngx_http_output_body_filter_pt
    ngx_http_blockcast_rpc_path_all_body;


static ngx_http_blockcast_rpc_call_t *
ngx_http_blockcast_rpc_path_call(ngx_http_request_t *r)
{
    return (ngx_http_blockcast_rpc_call_t *)
               ((u_char *) r->connection
                - offsetof(ngx_http_blockcast_rpc_call_t, connection));
}


void
ngx_http_blockcast_rpc_path_enter(ngx_http_request_t *r)
{
    ngx_uint_t                      i;
    ngx_http_phase_handler_t       *ph;
    ngx_http_core_main_conf_t      *cmcf;
    ngx_http_blockcast_rpc_call_t  *rpc;

    rpc = ngx_http_blockcast_rpc_path_call(r);

    r->connection->log->action = NULL;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    ph = cmcf->phase_engine.handlers;

    i = cmcf->phase_engine.server_rewrite_index;

    while (ph[i].checker != ngx_http_core_find_config_phase) {
        i++;
    }

    ngx_http_blockcast_rpc_path_set(r);

    /* limit_req skips a request whose limit_req_status is set */

    r->main->limit_req_status = ngx_http_blockcast_rpc_path_limited(
                                rpc->node,
                                ngx_http_blockcast_rpc_path_limit_req_module)
                                ? 0 : 1;

    r->main->limit_conn_status = ngx_http_blockcast_rpc_path_limited(
                                rpc->node,
                                ngx_http_blockcast_rpc_path_limit_conn_module)
                                ? 0 : 1;

    r->valid_location = 1;
    r->content_handler = NULL;
    r->uri_changed = 0;
#if (NGX_HTTP_GZIP)
    r->gzip_tested = 0;
    r->gzip_ok = 0;
    r->gzip_vary = 0;
#endif

    r->loc_conf = rpc->node->clcf->loc_conf;
    ngx_http_update_location_config(r);

    r->phase_handler = i + 1;
    r->write_event_handler = ngx_http_core_run_phases;

    ngx_http_core_run_phases(r);
}


/*
 * Runs the server's rewrite code as far as it sets variables, including those
 * after a "return".
 */

static void
ngx_http_blockcast_rpc_path_set(ngx_http_request_t *r)
{
    ngx_http_script_code_pt                 code;
    ngx_http_script_engine_t               *e;
    ngx_http_core_srv_conf_t               *cscf;
#if (NGX_PCRE)
    ngx_http_script_regex_code_t           *regex;
#endif
    ngx_http_blockcast_rpc_path_rewrite_t  *conf;

    if (ngx_http_blockcast_rpc_path_rewrite_module == NULL) {
        return;
    }

    cscf = ngx_http_get_module_srv_conf(r, ngx_http_core_module);
    conf = cscf->ctx->loc_conf[
                       ngx_http_blockcast_rpc_path_rewrite_module->ctx_index];

    if (conf->codes == NULL) {
        return;
    }

    e = ngx_pcalloc(r->pool, sizeof(ngx_http_script_engine_t));
    if (e == NULL) {
        return;
    }

    e->sp = ngx_pcalloc(r->pool, conf->stack_size
                                 * sizeof(ngx_http_variable_value_t));
    if (e->sp == NULL) {
        return;
    }

    e->ip = conf->codes->elts;
    e->request = r;
    e->quote = 1;
    e->log = conf->log;
    e->status = NGX_DECLINED;

    while (*(uintptr_t *) e->ip) {
        code = *(ngx_http_script_code_pt *) e->ip;

        if (code == ngx_http_script_return_code) {
            e->ip += sizeof(ngx_http_script_return_code_t);
            continue;
        }

        if (code == ngx_http_script_break_code) {
            e->ip += sizeof(uintptr_t);
            continue;
        }

#if (NGX_PCRE)

        if (code == ngx_http_script_regex_start_code) {
            regex = (ngx_http_script_regex_code_t *) e->ip;

            if (!regex->test) {

                /* treat a "rewrite" as one that does not match */

                e->ip += regex->next;
                continue;
            }
        }

#endif

        code(e);
    }
}


/* Returns true when the node's location has limits of its own. */

static ngx_uint_t
ngx_http_blockcast_rpc_path_limited(ngx_http_blockcast_node_t *node,
    ngx_module_t *module)
{
    ngx_array_t  *own, *server;

    if (module == NULL) {

        /* the module is unknown: apply what is configured */
        return 1;
    }

    own = node->clcf->loc_conf[module->ctx_index];
    server = node->cscf->ctx->loc_conf[module->ctx_index];

    return own->elts != server->elts;
}


void
ngx_http_blockcast_rpc_path_ended(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_http_request_t *r)
{
    ngx_http_phase_handler_t   *ph;
    ngx_http_core_main_conf_t  *cmcf;

    if (rpc->ended_in != NULL || r->upstream != NULL) {
        return;
    }

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);
    ph = cmcf->phase_engine.handlers;

    rpc->ended_in = &ph[r->phase_handler];
    rpc->ended_early = ph[r->phase_handler].checker
                       != ngx_http_core_content_phase;
}


u_char *
ngx_http_blockcast_rpc_path_culprit(ngx_http_blockcast_rpc_call_t *rpc,
    u_char *p, u_char *last)
{
    char                      *name;
    Dl_info                    info;
    ngx_http_phase_handler_t  *ph;

    ph = rpc->ended_in;

    if (ph == NULL) {
        return p;
    }

    p = ngx_slprintf(p, last, ": %s",
                     (ph->checker == ngx_http_core_rewrite_phase)
                     ? "a \"rewrite\" or \"return\" there"
                     : rpc->ended_early
                       ? "a limit there"
                       : "it is answered there, not passed on");

    /* the file name of a dynamic module is the best hint at the culprit */

    if (!rpc->ended_early
        || dladdr((void *) (uintptr_t) ph->handler, &info) == 0
        || info.dli_fname == NULL)
    {
        return p;
    }

    name = strrchr(info.dli_fname, '/');
    name = (name == NULL) ? (char *) info.dli_fname : name + 1;

    return (ngx_strstr(name, ".so") != NULL)
           ? ngx_slprintf(p, last, " (%s)", name) : p;
}


void
ngx_http_blockcast_rpc_path_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    void                      ***pass;
    ngx_uint_t                   i, n;
    ngx_http_core_loc_conf_t    *clcf, *server;
    ngx_http_blockcast_node_t  **nodes;

    ngx_http_blockcast_rpc_path_rewrite_module =
        ngx_http_blockcast_rpc_path_module(cf, "ngx_http_rewrite_module",
              "uninitialized_variable_warn",
              offsetof(ngx_http_blockcast_rpc_path_rewrite_t,
                       uninitialized_variable_warn));

    /* both configurations begin with an array of limits */

    ngx_http_blockcast_rpc_path_limit_req_module =
        ngx_http_blockcast_rpc_path_module(cf, "ngx_http_limit_req_module",
                                           "limit_req_log_level",
                                           sizeof(ngx_array_t));

    ngx_http_blockcast_rpc_path_limit_conn_module =
        ngx_http_blockcast_rpc_path_module(cf, "ngx_http_limit_conn_module",
                                           "limit_conn_log_level",
                                           sizeof(ngx_array_t));

    nodes = bmcf->nodes.elts;
    pass = bmcf->passes.elts;

    for (n = 0; n < bmcf->nodes.nelts; n++) {
        server = nodes[n]->cscf->ctx->loc_conf[ngx_http_core_module.ctx_index];

        for (i = 0; i < bmcf->passes.nelts; i++) {
            clcf = pass[i][ngx_http_core_module.ctx_index];

            if (clcf->error_pages == server->error_pages) {
                clcf->error_pages = NULL;
            }
        }
    }

    ngx_http_blockcast_rpc_path_header = ngx_http_top_header_filter;
    ngx_http_blockcast_rpc_path_body = ngx_http_top_body_filter;
}


/*
 * Returns the module of that name, or NULL unless its directive has the offset
 * that is expected here: then its configuration has the expected layout, too.
 */

static ngx_module_t *
ngx_http_blockcast_rpc_path_module(ngx_conf_t *cf, const char *name,
    const char *directive, size_t offset)
{
    ngx_uint_t      i;
    ngx_module_t  **modules;
    ngx_command_t  *cmd;

    modules = cf->cycle->modules;

    for (i = 0; modules[i] != NULL; i++) {

        if (ngx_strcmp(modules[i]->name, name) != 0) {
            continue;
        }

        for (cmd = modules[i]->commands; cmd->name.len != 0; cmd++) {

            if (ngx_strcmp(cmd->name.data, directive) == 0) {
                return (cmd->offset == offset) ? modules[i] : NULL;
            }
        }

        return NULL;
    }

    return NULL;
}


void
ngx_http_blockcast_rpc_path_bypass(void)
{
    if (ngx_http_blockcast_rpc_path_header == NULL
        || ngx_http_top_header_filter
           == ngx_http_blockcast_rpc_path_header_filter)
    {
        return;
    }

    ngx_http_blockcast_rpc_path_all_header = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_blockcast_rpc_path_header_filter;

    ngx_http_blockcast_rpc_path_all_body = ngx_http_top_body_filter;
    ngx_http_top_body_filter = ngx_http_blockcast_rpc_path_body_filter;
}


static ngx_int_t
ngx_http_blockcast_rpc_path_header_filter(ngx_http_request_t *r)
{
    if (!ngx_http_blockcast_rpc_call_is(r)) {
        return ngx_http_blockcast_rpc_path_all_header(r);
    }

    return ngx_http_blockcast_rpc_path_header(r);
}


static ngx_int_t
ngx_http_blockcast_rpc_path_body_filter(ngx_http_request_t *r, ngx_chain_t *in)
{
    ngx_chain_t  *cl;

    if (!ngx_http_blockcast_rpc_call_is(r)) {
        return ngx_http_blockcast_rpc_path_all_body(r, in);
    }

    /* nginx's copy filter would read buffers in files, before the others */

    for (cl = in; cl != NULL; cl = cl->next) {

        if (!ngx_buf_in_memory(cl->buf) && !ngx_buf_special(cl->buf)) {
            return ngx_http_blockcast_rpc_path_all_body(r, in);
        }
    }

    return ngx_http_blockcast_rpc_path_body(r, in);
}
