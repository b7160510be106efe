
/*
 * The directives that are more than a value in a slot.
 */


#include "ngx_http_blockcast_directives.h"
#include "ngx_http_blockcast_metrics.h"
#include "ngx_http_blockcast_rest.h"
#include "ngx_http_blockcast_sse.h"
#include "ngx_http_blockcast_ws.h"
#include "ngx_http_blockcast_zone.h"


char *
ngx_http_blockcast_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char        *p = conf;

    ngx_int_t    msec;
    ngx_str_t   *value;
    ngx_msec_t  *field;

    field = (ngx_msec_t *) (p + cmd->offset);
    value = cf->args->elts;

    if (*field != NGX_CONF_UNSET_MSEC) {
        return "is duplicate";
    }

    msec = ngx_http_blockcast_parse_msec(&value[1]);

    if (msec == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" is not a time like 30s or 500ms",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    *field = msec;

    return NGX_CONF_OK;
}


/* the number behind a prefix; NGX_ERROR has been logged */

static ngx_int_t
ngx_http_blockcast_number(ngx_conf_t *cf, ngx_str_t *value, const char *prefix)
{
    size_t      len;
    ngx_int_t   n;
    ngx_str_t  *name;

    len = ngx_strlen(prefix);
    n = NGX_ERROR;

    if (value->len > len && ngx_strncmp(value->data, prefix, len) == 0) {
        n = ngx_atoi(value->data + len, value->len - len);
    }

    if (n <= 0 || n > 1000000000) {
        name = cf->args->elts;
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" must be %s%sa number from 1",
                           value, name, prefix, *prefix ? " and " : "");
        return NGX_ERROR;
    }

    return n;
}


char *
ngx_http_blockcast_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_int_t   n;
    ngx_str_t  *value;

    if (blcf->rate != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (cf->args->nelts == 2 && ngx_strcmp(value[1].data, "off") == 0) {
        blcf->rate = 0;
        blcf->burst = 0;
        return NGX_CONF_OK;
    }

    n = ngx_http_blockcast_number(cf, &value[1], "");
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    blcf->rate = n;
    blcf->burst = 4 * n;

    if (cf->args->nelts == 3) {
        n = ngx_http_blockcast_number(cf, &value[2], "burst=");
        if (n == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }

        blcf->burst = n;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    char             *p = conf;

    u_char           *last, choices[128];
    ngx_str_t        *value;
    ngx_uint_t       *field;
    ngx_conf_enum_t  *e;

    field = (ngx_uint_t *) (p + cmd->offset);

    if (*field != NGX_CONF_UNSET_UINT) {
        return "is duplicate";
    }

    value = cf->args->elts;
    last = choices;

    for (e = cmd->post; e->name.len != 0; e++) {

        if (e->name.len == value[1].len
            && ngx_strcasecmp(e->name.data, value[1].data) == 0)
        {
            *field = e->value;
            return NGX_CONF_OK;
        }

        last = ngx_slprintf(last, choices + sizeof(choices), "%s\"%V\"",
                            last == choices ? ""
                                            : e[1].name.len ? ", " : " or ",
                            &e->name);
    }

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "invalid value \"%V\" in \"%V\", it must be %*s",
                       &value[1], &value[0], last - choices, choices);

    return NGX_CONF_ERROR;
}


char *
ngx_http_blockcast_misplaced(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" belongs inside \"blockcast_stream NAME { }\"",
                       &cmd->name);

    return NGX_CONF_ERROR;
}


char *
ngx_http_blockcast_max_message(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    if (*size == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_max_message must be larger than 0");
        return NGX_CONF_ERROR;
    }

    if (*size > 1024 * 1024 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_max_message must not be larger than "
                           "1024m");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_max_subscriptions(ngx_conf_t *cf, void *post, void *data)
{
    ngx_int_t *n = data;

    if (*n == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_max_subscriptions must be a number "
                           "from 1");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_max_queue(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    if (*size < 128 * 1024 || *size > 1024 * 1024 * 1024) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_max_queue must be from 128k to 1024m");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_max_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    ngx_int_t    n;
    ngx_str_t   *value;
    ngx_uint_t   i;

    if (bmcf->max_connections != 0 || bmcf->max_worker_connections != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "worker=", 7) == 0) {
            n = ngx_http_blockcast_number(cf, &value[i], "worker=");
            bmcf->max_worker_connections = n;

        } else {
            n = ngx_http_blockcast_number(cf, &value[i], "");
            bmcf->max_connections = n;
        }

        if (n == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    ssize_t                     size;
    ngx_str_t                  *value;
    ngx_http_blockcast_zone_t  *zone;

    value = cf->args->elts;

    if (bmcf->shm_zone != NULL) {
        return "is duplicate";
    }

    size = ngx_parse_size(&value[2]);

    if (size == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_zone \"%V\" has the invalid size \"%V\"",
                           &value[1], &value[2]);
        return NGX_CONF_ERROR;
    }

    if (size < (ssize_t) (8 * ngx_pagesize)) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_zone \"%V\" of %z bytes is too small, "
                           "the least is %ui",
                           &value[1], size, 8 * ngx_pagesize);
        return NGX_CONF_ERROR;
    }

    zone = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_zone_t));
    if (zone == NULL) {
        return NGX_CONF_ERROR;
    }

    bmcf->shm_zone = ngx_shared_memory_add(cf, &value[1], size,
                                           &ngx_http_blockcast_module);
    if (bmcf->shm_zone == NULL) {
        return NGX_CONF_ERROR;
    }

    zone->shm_zone = bmcf->shm_zone;
    zone->bmcf = bmcf;

    bmcf->shm_zone->init = ngx_http_blockcast_zone_init;
    bmcf->shm_zone->data = zone;
    bmcf->zone = zone;
    bmcf->zone_file = cf->conf_file->file.name.data;
    bmcf->zone_line = cf->conf_file->line;

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    ssize_t                         size;
    ngx_int_t                       msec;
    ngx_str_t                      *value, s;
    ngx_uint_t                      i;
    ngx_http_core_loc_conf_t       *clcf;
    ngx_http_blockcast_node_t      *node, **nodes;
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_blockcast_module);

    if (blcf->node != NULL) {
        return "is duplicate";
    }

    node = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_node_t));
    if (node == NULL) {
        return NGX_CONF_ERROR;
    }

    ngx_str_set(&node->name, "default");
    node->max_reply = 1024 * 1024;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "max_reply=", 10) == 0) {
            s.data = value[i].data + 10;
            s.len = value[i].len - 10;

            size = ngx_parse_size(&s);

            if (size < 1024 || size > 1024 * 1024 * 1024) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" must be a size from 1k to 1g",
                                   &value[i]);
                return NGX_CONF_ERROR;
            }

            node->max_reply = size;
            continue;
        }

        if (ngx_strncmp(value[i].data, "backoff=", 8) == 0) {
            s.data = value[i].data + 8;
            s.len = value[i].len - 8;

            msec = ngx_http_blockcast_parse_msec(&s);

            if (msec == NGX_ERROR || msec < 100 || msec > 600000) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" must be a time from 100ms to 10m",
                                   &value[i]);
                return NGX_CONF_ERROR;
            }

            node->backoff = msec;
            continue;
        }

        if (i > 1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &value[i]);
            return NGX_CONF_ERROR;
        }

        node->name = value[i];
    }

    if (node->name.len == 0
        || node->name.len > NGX_HTTP_BLOCKCAST_NAME_LEN
        || strpbrk((char *) node->name.data, "\"\\\n"))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" of a node must be 1 to %d "
                           "characters, without quotes",
                           &node->name, NGX_HTTP_BLOCKCAST_NAME_LEN);
        return NGX_CONF_ERROR;
    }

    nodes = bmcf->nodes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {
        if (nodes[i]->name.len == node->name.len
            && ngx_memcmp(nodes[i]->name.data, node->name.data,
                          node->name.len)
               == 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "duplicate blockcast_node \"%V\", the first "
                               "is in %s:%ui",
                               &node->name, nodes[i]->file, nodes[i]->line);
            return NGX_CONF_ERROR;
        }
    }

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (clcf->noname || clcf->named
#if (NGX_PCRE)
        || clcf->regex
#endif
       )
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_node \"%V\" must be in a prefix or "
                           "exact location", &node->name);
        return NGX_CONF_ERROR;
    }

    /* the world is not to talk to the node through it */

    clcf->internal = 1;

    node->clcf = clcf;
    node->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);
    node->file = cf->conf_file->file.name.data;
    node->line = cf->conf_file->line;

    if (bmcf->nodes.nelts == NGX_HTTP_BLOCKCAST_NODES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there are more than %d nodes",
                           NGX_HTTP_BLOCKCAST_NODES);
        return NGX_CONF_ERROR;
    }

    blcf->node = node;
    node->index = bmcf->nodes.nelts;

    nodes = ngx_array_push(&bmcf->nodes);
    if (nodes == NULL) {
        return NGX_CONF_ERROR;
    }

    *nodes = node;

    return NGX_CONF_OK;
}


/*
 * nginx keeps the content handler of an "if" when another one matches after
 * it, and takes the configuration of the last.  That one may know nothing of
 * the endpoint, or be another: then the block that named it is looked for.
 */

static ngx_int_t
ngx_http_blockcast_enter(ngx_http_request_t *r,
    ngx_http_blockcast_kind_t *kind)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_loc_conf_t   *blcf, *found, **inside;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    if (blcf->kind == kind) {
        return kind->handler(r);
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

    return kind->handler(r);
}


#define ngx_http_blockcast_kind(name, hnd, ws, ec, se)                        \
                                                                              \
static ngx_int_t                                                              \
ngx_http_blockcast_enter_##name(ngx_http_request_t *r)                        \
{                                                                             \
    return ngx_http_blockcast_enter(r, &ngx_http_blockcast_kind_##name);      \
}                                                                             \
                                                                              \
ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_##name = {                 \
    ngx_http_blockcast_enter_##name, hnd, ws, ec, se                          \
}


ngx_http_blockcast_kind(websocket, ngx_http_blockcast_ws_handler, 1, 0, 0);
ngx_http_blockcast_kind(echo, ngx_http_blockcast_ws_handler, 0, 1, 0);
ngx_http_blockcast_kind(sse, ngx_http_blockcast_sse_handler, 0, 0, 1);
ngx_http_blockcast_kind(api, ngx_http_blockcast_api_handler, 0, 0, 0);
ngx_http_blockcast_kind(rest, ngx_http_blockcast_rest_handler, 0, 0, 0);
ngx_http_blockcast_kind(health, ngx_http_blockcast_health_handler, 0, 0, 0);
ngx_http_blockcast_kind(metrics, ngx_http_blockcast_metrics_handler, 0, 0, 0);


ngx_int_t
ngx_http_blockcast_inherit(ngx_conf_t *cf,
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

    /* an "if" keeps the handler of its location, a limit_except has none */

    if (clcf->lmt_excpt && clcf->handler == NULL) {
        clcf->handler = conf->kind->enter;
    }

    return NGX_OK;
}


/* every directive that makes a location one of ours; cmd->post: its kind */

char *
ngx_http_blockcast_endpoint(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_str_t                       *value, *name;
    ngx_uint_t                       i, n;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_blockcast_kind_t       *kind;
    ngx_http_blockcast_place_t      *place;
    ngx_http_blockcast_main_conf_t  *bmcf;

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

    /* filled in at the end; the blocks in this location share it */

    n = ngx_max(cf->args->nelts, NGX_HTTP_BLOCKCAST_STREAMS) + 1;

    blcf->offers = ngx_pcalloc(cf->pool,
                               n * sizeof(ngx_http_blockcast_stream_t *));
    if (blcf->offers == NULL) {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}
