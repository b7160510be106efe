
/*
 * The directive blockcast_cluster: where the engine is, and how to log in.
 */


#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_link.h"


#define NGX_HTTP_BLOCKCAST_CLUSTER_PORT   6379
#define NGX_HTTP_BLOCKCAST_CLUSTER_NAME   64


static const ngx_http_blockcast_link_tls_t  ngx_http_blockcast_cluster_tls = {
    "blockcast_cluster", "tls=on", "engine"
};


/* Adds the addresses of a redis:// or rediss:// URL, which sets *tls. */

static char *
ngx_http_blockcast_cluster_conf_url(ngx_conf_t *cf,
    ngx_http_blockcast_cluster_t *cluster, ngx_str_t *value, ngx_uint_t *tls)
{
    size_t                              len;
    ngx_url_t                           u;
    ngx_str_t                           text;
    ngx_uint_t                          i;
    ngx_http_blockcast_cluster_addr_t  *addr;

    text = *value;
    len = sizeof("redis://") - 1;

    if (ngx_strncmp(text.data, "rediss://", len + 1) == 0) {
        *tls = 1;
        len++;
    }

    text.data += len;
    text.len -= len;

    if (text.len != 0 && text.data[text.len - 1] == '/') {
        text.len--;
    }

    if (text.len == 0
        || ngx_strlchr(text.data, text.data + text.len, '@') != NULL
        || ngx_strlchr(text.data, text.data + text.len, '/') != NULL)
    {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" must be redis://HOST or redis://HOST:PORT: "
                           "user= and password_file= say who logs in, and the "
                           "log is in database 0", value);
        return NGX_CONF_ERROR;
    }

    ngx_memzero(&u, sizeof(ngx_url_t));

    u.url = text;
    u.default_port = NGX_HTTP_BLOCKCAST_CLUSTER_PORT;

    if (ngx_parse_url(cf->pool, &u) != NGX_OK) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in \"%V\" of blockcast_cluster",
                           u.err ? u.err : "no memory", value);
        return NGX_CONF_ERROR;
    }

    for (i = 0; i < u.naddrs; i++) {

        addr = ngx_array_push(&cluster->addrs);
        if (addr == NULL) {
            return NGX_CONF_ERROR;
        }

        addr->addr = u.addrs[i];
        addr->peer = u.addrs[i].name;

        addr->host.len = u.host.len;
        addr->host.data = ngx_pnalloc(cf->pool, u.host.len + 1);

        if (addr->host.data == NULL) {
            return NGX_CONF_ERROR;
        }

        *ngx_cpymem(addr->host.data, u.host.data, u.host.len) = '\0';
    }

    return NGX_CONF_OK;
}


/*
 * Sets the names of the two streams.  They share a hash tag, so that a Redis
 * Cluster keeps both in one slot.
 */

static char *
ngx_http_blockcast_cluster_conf_name(ngx_conf_t *cf,
    ngx_http_blockcast_cluster_t *cluster)
{
    size_t      len;
    ngx_uint_t  i;

    if (cluster->name.len == 0) {
        ngx_str_set(&cluster->name, "blockcast");
    }

    for (i = 0; i < cluster->name.len; i++) {
        if (!((cluster->name.data[i] >= 'a' && cluster->name.data[i] <= 'z')
              || (cluster->name.data[i] >= 'A' && cluster->name.data[i] <= 'Z')
              || (cluster->name.data[i] >= '0' && cluster->name.data[i] <= '9')
              || cluster->name.data[i] == '_' || cluster->name.data[i] == '-'
              || cluster->name.data[i] == '.'))
        {
            break;
        }
    }

    if (i != cluster->name.len || i > NGX_HTTP_BLOCKCAST_CLUSTER_NAME) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the name \"%V\" of blockcast_cluster must be up "
                           "to %d letters, digits, \"_\", \"-\" and \".\"",
                           &cluster->name, NGX_HTTP_BLOCKCAST_CLUSTER_NAME);
        return NGX_CONF_ERROR;
    }

    len = sizeof("{blockcast:}:want") + cluster->name.len;

    cluster->log.data = ngx_pnalloc(cf->pool, len);
    cluster->want.data = ngx_pnalloc(cf->pool, len);

    if (cluster->log.data == NULL || cluster->want.data == NULL) {
        return NGX_CONF_ERROR;
    }

    cluster->log.len = ngx_sprintf(cluster->log.data, "{blockcast:%V}:log",
                                   &cluster->name)
                       - cluster->log.data;
    cluster->want.len = ngx_sprintf(cluster->want.data, "{blockcast:%V}:want",
                                    &cluster->name)
                        - cluster->want.data;

    return NGX_CONF_OK;
}


/* Sets the password to the first line of a file. */

static char *
ngx_http_blockcast_cluster_conf_password(ngx_conf_t *cf,
    ngx_http_blockcast_cluster_t *cluster, ngx_str_t *file)
{
    u_char     *p;
    ngx_str_t   text, owner;

    owner = cluster->name;

    if (ngx_http_blockcast_conf_read_file(cf, "blockcast_cluster", &owner,
                                          file, &text)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    p = ngx_strlchr(text.data, text.data + text.len, '\n');

    if (p != NULL) {
        text.len = p - text.data;
    }

    if (text.len != 0 && text.data[text.len - 1] == '\r') {
        text.len--;
    }

    if (text.len == 0) {
        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "the first line of password_file=%V of "
                           "blockcast_cluster has no password", file);
        return NGX_CONF_ERROR;
    }

    cluster->password = text;

    return NGX_CONF_OK;
}


char *
ngx_http_blockcast_cluster_conf(ngx_conf_t *cf, ngx_command_t *cmd, void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    char                          *rc;
    ngx_str_t                     *value, text, ca, password;
    ngx_uint_t                     i, tls;
    ngx_http_blockcast_cluster_t  *cluster;

    if (bmcf->cluster != NULL) {
        return "is duplicate";
    }

    cluster = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_cluster_t));

    if (cluster == NULL
        || ngx_array_init(&cluster->addrs, cf->pool, 4,
                          sizeof(ngx_http_blockcast_cluster_addr_t))
           != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cluster->file = cf->conf_file->file.name.data;
    cluster->line = cf->conf_file->line;

    ngx_str_null(&ca);
    ngx_str_null(&password);
    tls = 0;
    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        if (ngx_strncmp(value[i].data, "redis://", 8) == 0
            || ngx_strncmp(value[i].data, "rediss://", 9) == 0)
        {
            rc = ngx_http_blockcast_cluster_conf_url(cf, cluster, &value[i],
                                                     &tls);
            if (rc != NGX_CONF_OK) {
                return rc;
            }

            continue;
        }

        if (ngx_http_blockcast_conf_read_param(&value[i], "name=",
                                               &cluster->name)
            || ngx_http_blockcast_conf_read_param(&value[i], "user=",
                                                  &cluster->user)
            || ngx_http_blockcast_conf_read_param(&value[i], "password_file=",
                                                  &password)
            || ngx_http_blockcast_conf_read_param(&value[i], "ca=", &ca))
        {
            continue;
        }

        if (ngx_http_blockcast_conf_read_param(&value[i], "tls=", &text)
            && ((text.len == 2 && ngx_strncmp(text.data, "on", 2) == 0)
                || (text.len == 3 && ngx_strncmp(text.data, "off", 3) == 0)))
        {
            tls |= (text.len == 2);
            continue;
        }

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "\"%V\" of blockcast_cluster must be redis:// and "
                           "the address of a Redis or Valkey, name=, user=, "
                           "password_file=, tls=on or ca=; with Sentinel or "
                           "replicas, name each server: who is not the "
                           "primary is passed over", &value[i]);
        return NGX_CONF_ERROR;
    }

    if (cluster->addrs.nelts == 0) {
        return "needs the address of a Redis or Valkey: redis://HOST";
    }

    if (cluster->user.len != 0 && password.len == 0) {
        return "has a user= and no password_file=";
    }

    if (ca.len != 0 && !tls) {
        return "has a ca= without tls=on";
    }

    rc = ngx_http_blockcast_cluster_conf_name(cf, cluster);

    if (rc == NGX_CONF_OK && password.len != 0) {
        rc = ngx_http_blockcast_cluster_conf_password(cf, cluster, &password);
    }

    if (rc == NGX_CONF_OK && tls) {
        cluster->ssl = ngx_http_blockcast_link_tls(
                                    cf, &ngx_http_blockcast_cluster_tls, &ca);

        if (cluster->ssl == NULL) {
            return NGX_CONF_ERROR;
        }
    }

    if (rc == NGX_CONF_OK) {
        bmcf->cluster = cluster;
    }

    return rc;
}
