
/*
 * The directives of the JSON-RPC endpoint.
 */


#include "ngx_http_blockcast_conf_rpc.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_rpc_conf.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_rpc_cache.h"
#include "ngx_http_blockcast_conf_endpoint.h"
#include "bc_json.h"
#include "bc_rpc_request.h"


/* the least size of the cache of answers (bytes) */
#define NGX_HTTP_BLOCKCAST_CONF_RPC_CACHE  262144


/* the settings of a location, own and inherited */

typedef struct {
    ngx_http_blockcast_rpc_conf_t   rpc;        /* must be first */
    unsigned                        set:1;
} ngx_http_blockcast_conf_rpc_t;


static ngx_conf_enum_t  ngx_http_blockcast_conf_rpc_ids[] = {
    { ngx_string("hex"), ngx_http_blockcast_rpc_id_hex },
    { ngx_string("number"), ngx_http_blockcast_rpc_id_number },
    { ngx_string("string"), ngx_http_blockcast_rpc_id_string },
    { ngx_string("request"), ngx_http_blockcast_rpc_id_request },
    { ngx_null_string, 0 }
};


static ngx_conf_enum_t  ngx_http_blockcast_conf_rpc_policies[] = {
    { ngx_string("off"), ngx_http_blockcast_rpc_off },
    { ngx_string("head"), ngx_http_blockcast_rpc_head },
    { ngx_string("forever"), ngx_http_blockcast_rpc_forever },
    { ngx_string("clear"), ngx_http_blockcast_rpc_clear },
    { ngx_null_string, 0 }
};


void *
ngx_http_blockcast_conf_rpc_create(ngx_conf_t *cf)
{
    ngx_http_blockcast_rpc_limit_t  *limit;
    ngx_http_blockcast_conf_rpc_t   *c;

    c = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_conf_rpc_t));
    if (c == NULL) {
        return NULL;
    }

    limit = &c->rpc.limit;

    limit->rate = NGX_CONF_UNSET_UINT;
    limit->burst = NGX_CONF_UNSET_UINT;
    limit->bytes = NGX_CONF_UNSET_SIZE;
    limit->calls = NGX_CONF_UNSET_UINT;
    limit->waiting = NGX_CONF_UNSET_UINT;
    limit->total = NGX_CONF_UNSET_UINT;
    limit->node = NGX_CONF_UNSET_UINT;
    limit->batch = NGX_CONF_UNSET_UINT;
    limit->answer = NGX_CONF_UNSET_SIZE;
    limit->timeout = NGX_CONF_UNSET_MSEC;

    return c;
}


static void
ngx_http_blockcast_conf_rpc_inherit(ngx_http_blockcast_rpc_limit_t *limit,
    ngx_http_blockcast_rpc_limit_t *prev)
{
#define ngx_http_blockcast_conf_rpc_take(name, unset)                         \
    if (limit->name == unset) {                                               \
        limit->name = prev->name;                                             \
    }

    ngx_http_blockcast_conf_rpc_take(rate, NGX_CONF_UNSET_UINT);
    ngx_http_blockcast_conf_rpc_take(burst, NGX_CONF_UNSET_UINT);
    ngx_http_blockcast_conf_rpc_take(bytes, NGX_CONF_UNSET_SIZE);
    ngx_http_blockcast_conf_rpc_take(calls, NGX_CONF_UNSET_UINT);
    ngx_http_blockcast_conf_rpc_take(waiting, NGX_CONF_UNSET_UINT);
    ngx_http_blockcast_conf_rpc_take(total, NGX_CONF_UNSET_UINT);
    ngx_http_blockcast_conf_rpc_take(node, NGX_CONF_UNSET_UINT);
    ngx_http_blockcast_conf_rpc_take(batch, NGX_CONF_UNSET_UINT);
    ngx_http_blockcast_conf_rpc_take(answer, NGX_CONF_UNSET_SIZE);
    ngx_http_blockcast_conf_rpc_take(timeout, NGX_CONF_UNSET_MSEC);
}


void
ngx_http_blockcast_conf_rpc_merge(ngx_http_blockcast_loc_conf_t *prev,
    ngx_http_blockcast_loc_conf_t *conf)
{
    ngx_http_blockcast_conf_rpc_t  *p, *c;

    p = prev->rpc;
    c = conf->rpc;

    /* JSON-RPC messages are larger than those of our own protocol */

    if (conf->kind != NULL && conf->kind->rpc) {

        if (conf->max_message == NGX_CONF_UNSET_SIZE
            && (prev->max_message == NGX_CONF_UNSET_SIZE
                || prev->max_message == 65536))
        {
            conf->max_message = 1048576;
        }

        if (conf->max_queue == NGX_CONF_UNSET_SIZE
            && (prev->max_queue == NGX_CONF_UNSET_SIZE
                || prev->max_queue == 262144))
        {
            conf->max_queue = 4194304;
        }
    }

    if (!c->set) {
        conf->rpc = p;
        return;
    }

    if (c->rpc.rules == NULL) {
        c->rpc.rules = p->rpc.rules;
    }

    if (c->rpc.allow == NULL) {
        c->rpc.allow = p->rpc.allow;
    }

    if (c->rpc.cache == NULL) {
        c->rpc.cache = p->rpc.cache;
    }

    if (c->rpc.costs == NULL) {
        c->rpc.costs = p->rpc.costs;
    }

    if (c->rpc.head_name.len == 0) {
        c->rpc.head_name = p->rpc.head_name;
        c->rpc.head_file = p->rpc.head_file;
        c->rpc.head_line = p->rpc.head_line;
    }

    ngx_http_blockcast_conf_rpc_inherit(&c->rpc.limit, &p->rpc.limit);
}


char *
ngx_http_blockcast_conf_rpc_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    char                            *rv;
    ngx_str_t                       *value, text;
    ngx_uint_t                       i, nelts;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_blockcast_conf_rpc_t   *c;
    ngx_http_blockcast_main_conf_t  *bmcf;

    c = blcf->rpc;
    c->set = 1;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_http_blockcast_conf_read_param(&value[i], "node=", &text)) {
            c->rpc.node_name = text;
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" must be node=NAME",
                           &value[i], &value[0]);
        return NGX_CONF_ERROR;
    }

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_blockcast_module);
    bmcf->rpcs++;

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);

    if (bmcf->rpc_location.len == 0 && !clcf->named && !clcf->noname
#if (NGX_PCRE)
        && clcf->regex == NULL
#endif
       )
    {
        bmcf->rpc_location = clcf->name;
    }

    nelts = cf->args->nelts;
    cf->args->nelts = 1;

    rv = ngx_http_blockcast_conf_endpoint_set(cf, cmd, conf);

    cf->args->nelts = nelts;

    return rv;
}


char *
ngx_http_blockcast_conf_rpc_head(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_str_t                      *value;
    ngx_http_blockcast_conf_rpc_t  *c;

    c = blcf->rpc;

    if (c->rpc.head_name.len != 0) {
        return "is duplicate";
    }

    value = cf->args->elts;

    c->set = 1;
    c->rpc.head_name = value[1];
    c->rpc.head_file = cf->conf_file->file.name.data;
    c->rpc.head_line = cf->conf_file->line;

    return NGX_CONF_OK;
}


/* Appends an element to a list, and creates the list if it is NULL. */

static void *
ngx_http_blockcast_conf_rpc_push(ngx_conf_t *cf, ngx_array_t **list,
    size_t size)
{
    if (*list == NULL) {
        *list = ngx_array_create(cf->pool, 8, size);

        if (*list == NULL) {
            return NULL;
        }
    }

    return ngx_array_push(*list);
}


/* Returns the value of one of several words; logs why it returns NGX_ERROR. */

static ngx_int_t
ngx_http_blockcast_conf_rpc_word(ngx_conf_t *cf, ngx_str_t *text,
    ngx_conf_enum_t *words, const char *what)
{
    ngx_str_t   *value;
    ngx_uint_t   i;

    for (i = 0; words[i].name.len != 0; i++) {
        if (words[i].name.len == text->len
            && ngx_strncmp(words[i].name.data, text->data, text->len) == 0)
        {
            return words[i].value;
        }
    }

    value = cf->args->elts;

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" in \"%V\" must be %s", text, &value[0], what);

    return NGX_ERROR;
}


/* Prepares the constant texts of a rule's notifications. */

static ngx_int_t
ngx_http_blockcast_conf_rpc_texts(ngx_conf_t *cf,
    ngx_http_blockcast_rpc_rule_t *rule)
{
    u_char  *p;

    if (rule->id == ngx_http_blockcast_rpc_id_request) {
        ngx_str_set(&rule->head, "{\"jsonrpc\":\"2.0\",\"id\":");
        ngx_str_set(&rule->middle, ",\"result\":");
        ngx_str_set(&rule->tail, "}");
        return NGX_OK;
    }

    p = ngx_pnalloc(cf->pool, rule->notify.len * 6 + 96);
    if (p == NULL) {
        return NGX_ERROR;
    }

    rule->head.data = p;
    p = ngx_sprintf(p, "{\"jsonrpc\":\"2.0\",\"method\":\"");
    p = bc_json_escape(p, rule->notify.data, rule->notify.len);
    p = ngx_sprintf(p, "\",\"params\":{\"subscription\":");
    rule->head.len = p - rule->head.data;

    ngx_str_set(&rule->middle, ",\"result\":");
    ngx_str_set(&rule->tail, "}}");

    return NGX_OK;
}


char *
ngx_http_blockcast_conf_rpc_subscription(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_int_t                        n;
    ngx_str_t                       *value, text;
    ngx_uint_t                       i, k;
    ngx_http_blockcast_conf_rpc_t   *c;
    ngx_http_blockcast_rpc_rule_t   *rule, **slot;

    static const struct {
        const char                  *name;
        size_t                       offset;
    } texts[] = {
        { "stream=", offsetof(ngx_http_blockcast_rpc_rule_t, stream_name) },
        { "notify=", offsetof(ngx_http_blockcast_rpc_rule_t, notify) },
        { "unsubscribe=",
          offsetof(ngx_http_blockcast_rpc_rule_t, unsubscribe) },
        { "member=", offsetof(ngx_http_blockcast_rpc_rule_t, member) },
        { "result=", offsetof(ngx_http_blockcast_rpc_rule_t, result) }
    };

    c = blcf->rpc;
    c->set = 1;

    value = cf->args->elts;

    rule = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_rpc_rule_t));
    if (rule == NULL) {
        return NGX_CONF_ERROR;
    }

    rule->subscribe = value[1];
    rule->file = cf->conf_file->file.name.data;
    rule->line = cf->conf_file->line;

    for (i = 2; i < cf->args->nelts; i++) {

        for (k = 0; k < sizeof(texts) / sizeof(texts[0]); k++) {
            if (ngx_http_blockcast_conf_read_param(&value[i], texts[k].name,
                                                   &text))
            {
                break;
            }
        }

        if (k < sizeof(texts) / sizeof(texts[0])) {
            *(ngx_str_t *) ((u_char *) rule + texts[k].offset) = text;

        } else if (ngx_http_blockcast_conf_read_param(&value[i], "id=",
                                                      &text))
        {
            n = ngx_http_blockcast_conf_rpc_word(cf, &text,
                                        ngx_http_blockcast_conf_rpc_ids,
                                        "hex, number, string or request");
            if (n == NGX_ERROR) {
                return NGX_CONF_ERROR;
            }

            rule->id = n;

        } else if (ngx_http_blockcast_conf_read_param(&value[i], "key=",
                                                      &text))
        {
            n = ngx_atoi(text.data, text.len);

            rule->keyed = 1;
            rule->key = (n == NGX_ERROR) ? 0 : n;

            if (n == NGX_ERROR) {
                rule->key_name = text;
            }

        } else if (ngx_strcmp(value[i].data, "filter=logs") == 0) {
            rule->logs = 1;

        } else if (ngx_strcmp(value[i].data, "first=on") == 0) {
            rule->first = 1;

        } else if (rule->param.len == 0) {
            rule->param = value[i];

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" is not known: METHOD [PARAM] "
                               "stream=, notify=, unsubscribe=, id=, member=, "
                               "result=, key=, filter=logs, first=on",
                               &value[i], &value[0]);
            return NGX_CONF_ERROR;
        }
    }

    if (rule->stream_name.len == 0 || rule->unsubscribe.len == 0
        || (rule->notify.len == 0
            && rule->id != ngx_http_blockcast_rpc_id_request))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" needs stream=, unsubscribe= and "
                           "notify= (which id=request does not have)",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    if (rule->subscribe.len > BC_RPC_METHOD
        || rule->param.len > BC_RPC_METHOD
        || rule->unsubscribe.len > BC_RPC_METHOD)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the names in \"%V %V\" may have up to 128 bytes",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    if (ngx_http_blockcast_conf_rpc_texts(cf, rule) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    slot = ngx_http_blockcast_conf_rpc_push(cf, &c->rpc.rules,
                                    sizeof(ngx_http_blockcast_rpc_rule_t *));
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = rule;

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_rpc_allow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_str_t                      *value, *pattern;
    ngx_uint_t                      i;
    ngx_http_blockcast_conf_rpc_t  *c;

    c = blcf->rpc;
    c->set = 1;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        pattern = ngx_http_blockcast_conf_rpc_push(cf, &c->rpc.allow,
                                                   sizeof(ngx_str_t));
        if (pattern == NULL) {
            return NGX_CONF_ERROR;
        }

        *pattern = value[i];

        if (ngx_strcmp(value[i].data, "any") == 0) {
            ngx_str_set(pattern, "*");
        }
    }

    return NGX_CONF_OK;
}


/* Adds a directive's patterns, words 1 to n - 1, with common settings. */

static char *
ngx_http_blockcast_conf_rpc_methods(ngx_conf_t *cf, ngx_array_t **list,
    ngx_uint_t n, ngx_http_blockcast_rpc_method_t *common)
{
    ngx_str_t                        *value;
    ngx_uint_t                        i;
    ngx_http_blockcast_rpc_method_t  *m;

    value = cf->args->elts;

    for (i = 1; i < n; i++) {
        m = ngx_http_blockcast_conf_rpc_push(cf, list,
                                    sizeof(ngx_http_blockcast_rpc_method_t));
        if (m == NULL) {
            return NGX_CONF_ERROR;
        }

        *m = *common;
        m->pattern = value[i];
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_rpc_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_int_t                         rc;
    ngx_str_t                        *value, text;
    ngx_uint_t                        n;
    ngx_http_blockcast_conf_rpc_t    *c;
    ngx_http_blockcast_rpc_method_t   common;

    c = blcf->rpc;
    c->set = 1;

    ngx_memzero(&common, sizeof(ngx_http_blockcast_rpc_method_t));

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    if (ngx_http_blockcast_conf_read_param(&value[n], "unless=", &text)) {

        /* in quotes, as in the params */

        common.unless.data = ngx_pnalloc(cf->pool, text.len + 3);
        if (common.unless.data == NULL) {
            return NGX_CONF_ERROR;
        }

        common.unless.len = ngx_sprintf(common.unless.data, "\"%V\"%Z", &text)
                            - common.unless.data - 1;
        n--;
    }

    rc = ngx_http_blockcast_conf_rpc_word(cf, &value[n],
                                      ngx_http_blockcast_conf_rpc_policies,
                                      "METHOD... and head, forever, off or "
                                      "clear, and perhaps unless=TEXT");
    if (rc == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    common.policy = rc;

    return ngx_http_blockcast_conf_rpc_methods(cf, &c->rpc.cache, n, &common);
}


char *
ngx_http_blockcast_conf_rpc_cost(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_int_t                         cost;
    ngx_str_t                        *value;
    ngx_uint_t                        n;
    ngx_http_blockcast_conf_rpc_t    *c;
    ngx_http_blockcast_rpc_method_t   common;

    c = blcf->rpc;
    c->set = 1;

    ngx_memzero(&common, sizeof(ngx_http_blockcast_rpc_method_t));

    value = cf->args->elts;
    n = cf->args->nelts - 1;

    cost = ngx_http_blockcast_conf_read_within(&value[n],
                                             ngx_http_blockcast_conf_number,
                                             0, 1000000);

    if (cost == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" in \"%V\" must be METHOD... and a number "
                           "from 0 to 1000000", &value[n], &value[0]);
        return NGX_CONF_ERROR;
    }

    common.cost = cost;

    return ngx_http_blockcast_conf_rpc_methods(cf, &c->rpc.costs, n, &common);
}


char *
ngx_http_blockcast_conf_rpc_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    ngx_int_t                        n;
    ngx_str_t                       *value, text;
    ngx_uint_t                       i, k;
    ngx_http_blockcast_conf_rpc_t   *c;
    ngx_http_blockcast_rpc_limit_t  *limit;

    static const struct {
        const char                      *name;
        size_t                           offset;
        ngx_http_blockcast_conf_unit_e   unit;
        ngx_int_t                        least;
    } words[] = {
#define ngx_http_blockcast_conf_rpc_number(name, unit, least)                 \
        { #name "=", offsetof(ngx_http_blockcast_rpc_limit_t, name),          \
          ngx_http_blockcast_conf_##unit, least }

        ngx_http_blockcast_conf_rpc_number(rate, number, 0),
        ngx_http_blockcast_conf_rpc_number(burst, number, 0),
        ngx_http_blockcast_conf_rpc_number(bytes, size, 0),
        ngx_http_blockcast_conf_rpc_number(calls, number, 1),
        ngx_http_blockcast_conf_rpc_number(waiting, number, 0),
        ngx_http_blockcast_conf_rpc_number(total, number, 1),
        ngx_http_blockcast_conf_rpc_number(node, number, 0),
        ngx_http_blockcast_conf_rpc_number(batch, number, 1),
        ngx_http_blockcast_conf_rpc_number(answer, size, 1),
        ngx_http_blockcast_conf_rpc_number(timeout, time, 1)
    };

    c = blcf->rpc;
    c->set = 1;
    limit = &c->rpc.limit;

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        n = NGX_ERROR;

        for (k = 0; k < sizeof(words) / sizeof(words[0]); k++) {

            if (!ngx_http_blockcast_conf_read_param(&value[i], words[k].name,
                                                    &text))
            {
                continue;
            }

            n = ngx_http_blockcast_conf_read_within(&text, words[k].unit,
                                                    words[k].least,
                                                    2000000000);
            if (n == NGX_ERROR) {
                break;
            }

            /* all limits have the size of ngx_uint_t */

            *(ngx_uint_t *) ((u_char *) limit + words[k].offset) = n;
            break;
        }

        if (n == NGX_ERROR) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "\"%V\" in \"%V\" is none of rate=N burst=N "
                               "bytes=SIZE calls=N waiting=N total=N node=N "
                               "batch=N answer=SIZE timeout=TIME", &value[i],
                               &value[0]);
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


/* Returns the node of an endpoint; logs why it returns NULL. */

static ngx_http_blockcast_node_t *
ngx_http_blockcast_conf_rpc_node(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_conf_place_t *place, ngx_str_t *name)
{
    ngx_uint_t                   i;
    ngx_str_t                    wanted;
    ngx_http_blockcast_node_t  **nodes;

    nodes = bmcf->nodes.elts;

    if (name->len == 0 && bmcf->nodes.nelts == 1) {
        return nodes[0];
    }

    ngx_str_set(&wanted, "default");

    if (name->len != 0) {
        wanted = *name;
    }

    for (i = 0; i < bmcf->nodes.nelts; i++) {
        if (nodes[i]->name.len == wanted.len
            && ngx_strncmp(nodes[i]->name.data, wanted.data, wanted.len) == 0)
        {
            return nodes[i];
        }
    }

    ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                  "\"%V\" in %s:%ui asks node \"%V\", and there is no "
                  "blockcast_node of that name",
                  &place->directive, place->file, place->line, &wanted);

    return NULL;
}


static ngx_int_t
ngx_http_blockcast_conf_rpc_link_one(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_conf_place_t *place)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_conf_rpc_t   *c;
    ngx_http_blockcast_rpc_rule_t  **rules;
    ngx_http_blockcast_rpc_limit_t   usual;

    c = place->blcf->rpc;

    usual.rate = 200;
    usual.burst = 2000;
    usual.bytes = 8 * 1024 * 1024;
    usual.calls = 16;
    usual.waiting = 500;
    usual.total = 64;
    usual.node = 0;
    usual.batch = 100;
    usual.answer = 16 * 1024 * 1024;
    usual.timeout = 10000;

    ngx_http_blockcast_conf_rpc_inherit(&c->rpc.limit, &usual);

    c->rpc.node = ngx_http_blockcast_conf_rpc_node(cf, bmcf, place,
                                                   &c->rpc.node_name);
    if (c->rpc.node == NULL) {
        return NGX_ERROR;
    }

    rules = (c->rpc.rules != NULL) ? c->rpc.rules->elts : NULL;

    for (i = 0; rules != NULL && i < c->rpc.rules->nelts; i++) {

        rules[i]->stream = ngx_http_blockcast_stream_find(bmcf,
                                                     &rules[i]->stream_name);

        if (rules[i]->stream == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"blockcast_rpc_subscription\" in %s:%ui names "
                          "stream \"%V\", which is not declared",
                          rules[i]->file, rules[i]->line,
                          &rules[i]->stream_name);
            return NGX_ERROR;
        }

        if (rules[i]->keyed != (rules[i]->stream->keys != NULL)) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"blockcast_rpc_subscription\" in %s:%ui %s, and "
                          "stream \"%V\" has %s",
                          rules[i]->file, rules[i]->line,
                          rules[i]->keyed
                          ? "says which param is a key (key=)"
                          : "does not say which param is the key (key=)",
                          &rules[i]->stream_name,
                          rules[i]->keyed ? "none" : "one");
            return NGX_ERROR;
        }

        if (rules[i]->logs && rules[i]->stream->field.len == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"blockcast_rpc_subscription\" in %s:%ui has a "
                          "filter, and stream \"%V\" is no blockcast_log",
                          rules[i]->file, rules[i]->line,
                          &rules[i]->stream_name);
            return NGX_ERROR;
        }

        if (c->rpc.head == NULL && c->rpc.head_name.len == 0
            && !rules[i]->logs && !rules[i]->keyed
            && rules[i]->result.len == 0)
        {
            /*
             * by default the heads come from the first subscription's stream
             */

            c->rpc.head = rules[i]->stream;
        }
    }

    if (c->rpc.head_name.len == 0) {
        return NGX_OK;
    }

    c->rpc.head = ngx_http_blockcast_stream_find(bmcf, &c->rpc.head_name);

    if (c->rpc.head == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"blockcast_rpc_head\" in %s:%ui names stream \"%V\", "
                      "which is not declared", c->rpc.head_file,
                      c->rpc.head_line, &c->rpc.head_name);
        return NGX_ERROR;
    }

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_conf_rpc_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                        i;
    ngx_http_blockcast_conf_place_t  *places;

    if (bmcf->rpcs == 0) {
        return NGX_OK;
    }

    places = bmcf->places.elts;

    for (i = 0; i < bmcf->places.nelts; i++) {

        if (places[i].blcf->kind != NULL && places[i].blcf->kind->rpc
            && ngx_http_blockcast_conf_rpc_link_one(cf, bmcf, &places[i])
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    if (bmcf->rpc_cache == NGX_CONF_UNSET_SIZE) {
        bmcf->rpc_cache = 4 * 1024 * 1024;
    }

    if (bmcf->rpc_cache == 0) {
        return NGX_OK;
    }

    if (bmcf->rpc_cache < NGX_HTTP_BLOCKCAST_CONF_RPC_CACHE) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"blockcast_rpc_cache_size\" must be 0 or at least "
                      "256k");
        return NGX_ERROR;
    }

    return ngx_http_blockcast_rpc_cache_init(cf, bmcf->rpc_cache);
}
