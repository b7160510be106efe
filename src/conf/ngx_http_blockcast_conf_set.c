
/*
 * Handlers of directives for which nginx has no setter.
 */


#include "ngx_http_blockcast_conf_set.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_zone.h"


static ngx_int_t ngx_http_blockcast_conf_set_number(ngx_conf_t *cf,
    ngx_str_t *value, const char *prefix);
static ngx_int_t ngx_http_blockcast_conf_set_node_params(ngx_conf_t *cf,
    ngx_http_blockcast_node_t *node);
static ngx_int_t ngx_http_blockcast_conf_set_node_name(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_node_t *node);
static ngx_int_t ngx_http_blockcast_conf_set_node_location(ngx_conf_t *cf,
    ngx_http_blockcast_node_t *node);


char *
ngx_http_blockcast_conf_set_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
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

    msec = ngx_http_blockcast_conf_read_msec(&value[1]);

    if (msec == NGX_ERROR) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V %V\" is not a time like 30s or 500ms",
                           &value[0], &value[1]);
        return NGX_CONF_ERROR;
    }

    *field = msec;

    return NGX_CONF_OK;
}


/*
 * Reads a number from 1 that follows prefix.  Logs why it returns NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_set_number(ngx_conf_t *cf, ngx_str_t *value,
    const char *prefix)
{
    ngx_int_t   n;
    ngx_str_t  *name, number;

    n = NGX_ERROR;

    if (ngx_http_blockcast_conf_read_param(value, prefix, &number)) {
        n = ngx_atoi(number.data, number.len);
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
ngx_http_blockcast_conf_set_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
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

    n = ngx_http_blockcast_conf_set_number(cf, &value[1], "");
    if (n == NGX_ERROR) {
        return NGX_CONF_ERROR;
    }

    blcf->rate = n;
    blcf->burst = 4 * n;

    if (cf->args->nelts == 3) {
        n = ngx_http_blockcast_conf_set_number(cf, &value[2], "burst=");
        if (n == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }

        blcf->burst = n;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_set_enum(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
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
ngx_http_blockcast_conf_set_misplaced(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "\"%V\" belongs inside \"blockcast_stream NAME { }\"",
                       &cmd->name);

    return NGX_CONF_ERROR;
}


/* Logs an error unless the value is from least to most. */

static char *
ngx_http_blockcast_conf_set_within(ngx_conf_t *cf, size_t value, size_t least,
    size_t most, const char *sentence)
{
    if (value < least || value > most) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "%s", sentence);
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_set_max_message(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    char  *rv;

    rv = ngx_http_blockcast_conf_set_within(cf, *size, 1, NGX_MAX_SIZE_T_VALUE,
                            "blockcast_max_message must be larger than 0");
    if (rv != NGX_CONF_OK) {
        return rv;
    }

    return ngx_http_blockcast_conf_set_within(cf, *size, 1, 1024 * 1024 * 1024,
                            "blockcast_max_message must not be larger than "
                            "1024m");
}


char *
ngx_http_blockcast_conf_set_max_subscriptions(ngx_conf_t *cf, void *post,
    void *data)
{
    ngx_int_t *n = data;

    return ngx_http_blockcast_conf_set_within(cf, *n, 1, NGX_MAX_SIZE_T_VALUE,
                            "blockcast_max_subscriptions must be a number "
                            "from 1");
}


char *
ngx_http_blockcast_conf_set_max_keys(ngx_conf_t *cf, void *post, void *data)
{
    ngx_int_t *n = data;

    if (*n > 10000) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "blockcast_max_keys must be a number from 0 to "
                           "10000");
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_set_max_queue(ngx_conf_t *cf, void *post, void *data)
{
    size_t *size = data;

    return ngx_http_blockcast_conf_set_within(cf, *size, 128 * 1024,
                            1024 * 1024 * 1024,
                            "blockcast_max_queue must be from 128k to 1024m");
}


char *
ngx_http_blockcast_conf_set_max_connections(ngx_conf_t *cf, ngx_command_t *cmd,
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
            n = ngx_http_blockcast_conf_set_number(cf, &value[i], "worker=");
            bmcf->max_worker_connections = n;

        } else {
            n = ngx_http_blockcast_conf_set_number(cf, &value[i], "");
            bmcf->max_connections = n;
        }

        if (n == NGX_ERROR) {
            return NGX_CONF_ERROR;
        }
    }

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_conf_set_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
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
ngx_http_blockcast_conf_set_node(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    ngx_http_blockcast_node_t      *node, **slot;
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
    node->file = cf->conf_file->file.name.data;
    node->line = cf->conf_file->line;

    if (ngx_http_blockcast_conf_set_node_params(cf, node) != NGX_OK
        || ngx_http_blockcast_conf_set_node_name(cf, bmcf, node) != NGX_OK
        || ngx_http_blockcast_conf_set_node_location(cf, node) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    if (bmcf->nodes.nelts == NGX_HTTP_BLOCKCAST_NODES) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "there are more than %d nodes",
                           NGX_HTTP_BLOCKCAST_NODES);
        return NGX_CONF_ERROR;
    }

    blcf->node = node;
    node->index = bmcf->nodes.nelts;

    slot = ngx_array_push(&bmcf->nodes);
    if (slot == NULL) {
        return NGX_CONF_ERROR;
    }

    *slot = node;

    return NGX_CONF_OK;
}


/*
 * Reads [NAME] [max_reply=SIZE] [backoff=TIME] [batch=N] [rate=N] [strict=on]
 * [authorization_file=FILE].  Logs why it returns NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_set_node_params(ngx_conf_t *cf,
    ngx_http_blockcast_node_t *node)
{
    ngx_int_t    n;
    ngx_str_t   *word, value;
    ngx_uint_t   i, k;

    static const struct {
        const char                      *name;
        ngx_http_blockcast_conf_unit_e   unit;
        ngx_int_t                        least;
        ngx_int_t                        most;
        size_t                           offset;
        const char                      *what;
    } bounded[] = {
        { "batch=", ngx_http_blockcast_conf_number, 1, 256,
          offsetof(ngx_http_blockcast_node_t, batch),
          "a number of calls from 1 to 256" },

        { "max_reply=", ngx_http_blockcast_conf_size, 1024, 1024 * 1024 * 1024,
          offsetof(ngx_http_blockcast_node_t, max_reply),
          "a size from 1k to 1g" },

        { "backoff=", ngx_http_blockcast_conf_time, 100, 600000,
          offsetof(ngx_http_blockcast_node_t, backoff),
          "a time from 100ms to 10m" }
    };

    word = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        for (k = 0; k < sizeof(bounded) / sizeof(bounded[0]); k++) {
            if (ngx_http_blockcast_conf_read_param(&word[i], bounded[k].name,
                                                   &value))
            {
                break;
            }
        }

        if (k < sizeof(bounded) / sizeof(bounded[0])) {

            n = ngx_http_blockcast_conf_read_within(&value, bounded[k].unit,
                                                    bounded[k].least,
                                                    bounded[k].most);
            if (n == NGX_ERROR) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0, "\"%V\" must be %s",
                                   &word[i], bounded[k].what);
                return NGX_ERROR;
            }

            /* all these fields have the size of ngx_uint_t */

            *(ngx_uint_t *) ((u_char *) node + bounded[k].offset) = n;

        } else if (ngx_http_blockcast_conf_read_param(&word[i], "strict=",
                                                      &value))
        {
            if (ngx_strcmp(value.data, "on") != 0
                && ngx_strcmp(value.data, "off") != 0)
            {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" must be strict=on or strict=off",
                                   &word[i]);
                return NGX_ERROR;
            }

            node->strict = (value.len == 2);

        } else if (ngx_http_blockcast_conf_read_param(&word[i], "rate=",
                                                      &value))
        {
            n = ngx_atoi(value.data, value.len);

            if (n < 1 || n > 1000000) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" must be a number of calls a second "
                                   "from 1 to 1000000", &word[i]);
                return NGX_ERROR;
            }

            node->rate = n;

        } else if (ngx_http_blockcast_conf_read_param(
                                    &word[i], "authorization_file=", &value))
        {
            node->authorization = ngx_pcalloc(
                                    cf->pool,
                                    sizeof(ngx_http_blockcast_authorization_t));
            if (node->authorization == NULL) {
                return NGX_ERROR;
            }

            if (value.len == 0) {
                ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                                   "\"%V\" must name a file", &word[i]);
                return NGX_ERROR;
            }

            node->authorization->file = value;

            if (ngx_http_blockcast_conf_read_name(
                                        cf, &node->authorization->file)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

        } else if (i == 1) {
            node->name = word[i];

        } else {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "invalid parameter \"%V\"", &word[i]);
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/* Checks that the name is valid and new.  Logs why it returns NGX_ERROR. */

static ngx_int_t
ngx_http_blockcast_conf_set_node_name(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_node_t *node)
{
    ngx_uint_t                   i;
    ngx_http_blockcast_node_t  **nodes;

    if (node->name.len == 0
        || node->name.len > NGX_HTTP_BLOCKCAST_NAME_LEN
        || strpbrk((char *) node->name.data, "\"\\\n"))
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" of a node must be 1 to %d "
                           "characters, without quotes",
                           &node->name, NGX_HTTP_BLOCKCAST_NAME_LEN);
        return NGX_ERROR;
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
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Makes the surrounding location the node's.  It becomes internal, so that no
 * client reaches the node through it.  Logs why it returns NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_conf_set_node_location(ngx_conf_t *cf,
    ngx_http_blockcast_node_t *node)
{
    ngx_http_core_loc_conf_t  *clcf;

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
        return NGX_ERROR;
    }

    clcf->internal = 1;

    node->clcf = clcf;
    node->cscf = ngx_http_conf_get_module_srv_conf(cf, ngx_http_core_module);

    return NGX_OK;
}
