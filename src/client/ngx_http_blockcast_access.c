
/*
 * Access checks: connection limits, Origins, tokens and allowed streams.
 */


#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conf_read.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_header.h"
#include "ngx_http_blockcast_query.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_worker_record.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_span.h"
#include "bc_tokens.h"
#include "bc_http.h"


static ngx_uint_t ngx_http_blockcast_access_origin_ok(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf, ngx_str_t *origin, ngx_uint_t *any);
static ngx_str_t ngx_http_blockcast_access_own_host(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf);
static void ngx_http_blockcast_access_free(void *data);


ngx_int_t
ngx_http_blockcast_access_limits(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal)
{
    ngx_uint_t                       limit;
    ngx_http_blockcast_zone_t       *zone;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);

    zone = bmcf->zone;

    refusal->status = 0;
    refusal->retry_after = 0;

    if (zone != NULL) {

        /* keep a sixteenth of the worker's connections for other requests */

        limit = bmcf->max_worker_connections
                ? bmcf->max_worker_connections
                : ngx_cycle->connection_n - ngx_cycle->connection_n / 16;

        if (zone->own->connections >= limit) {
            refusal->status = NGX_HTTP_SERVICE_UNAVAILABLE;
            refusal->sentence = "This server has as many WebSocket "
                                "connections as it takes, try again later.";
            goto later;
        }

        if (bmcf->max_connections != 0
            && ngx_http_blockcast_worker_record_connections(zone)
               >= bmcf->max_connections)
        {
            refusal->status = NGX_HTTP_SERVICE_UNAVAILABLE;
            refusal->sentence = "This gateway has as many WebSocket "
                                "connections as it takes, try again "
                                "later.";
            goto later;
        }
    }

    return NGX_OK;

later:

    /* spread the retries, so that they do not all come at the same moment */

    refusal->retry_after = 1 + (ngx_uint_t) ngx_random() % 10;

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_blockcast_access_connect(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal)
{
    if (ngx_http_blockcast_access_limits(r, refusal) != NGX_OK) {
        return NGX_DECLINED;
    }

    return ngx_http_blockcast_access_page(r, refusal);
}


ngx_int_t
ngx_http_blockcast_access_page(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal)
{
    ngx_str_t   *origin;
    ngx_uint_t   any;

    if (ngx_http_blockcast_access_origin_of(r, &origin, &any) == NGX_OK) {
        return NGX_OK;
    }

    ngx_http_blockcast_access_log_origin(r, origin);

    refusal->status = NGX_HTTP_FORBIDDEN;
    refusal->retry_after = 0;
    refusal->sentence = "Pages of this Origin may not connect here "
                        "(blockcast_origin).";

    return NGX_DECLINED;
}


ngx_int_t
ngx_http_blockcast_access_origin_of(ngx_http_request_t *r, ngx_str_t **origin,
    ngx_uint_t *any)
{
    ngx_table_elt_t                   *h;
    ngx_http_blockcast_loc_conf_t     *blcf;
    ngx_http_blockcast_header_walk_t   walk;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    *origin = NULL;
    *any = 0;

    ngx_http_blockcast_header_walk(&walk, &r->headers_in.headers);

    /* check each Origin: browsers send one, a second one must not slip by */

    for ( ;; ) {
        h = ngx_http_blockcast_header_next(&walk, "Origin");

        if (h == NULL) {
            return NGX_OK;
        }

        *origin = &h->value;

        if (!ngx_http_blockcast_access_origin_ok(r, blcf, *origin, any)) {
            return NGX_DECLINED;
        }
    }
}


void
ngx_http_blockcast_access_log_origin(ngx_http_request_t *r,
    ngx_str_t *origin)
{
    u_char                          one[128], two[128];
    ngx_str_t                       page, host;
    ngx_uint_t                      level;
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    /* warn once a minute: a refused page retries every few seconds */

    if (blcf->told == 0 || ngx_time() - blcf->told >= 60) {
        blcf->told = ngx_time();
        level = NGX_LOG_WARN;

    } else {
        level = NGX_LOG_INFO;
    }

    host = ngx_http_blockcast_access_own_host(r, blcf);
    page = *origin;

    /* replace control characters: a header may hold any byte but CR and LF */

    ngx_http_blockcast_gate_printable(&page, one, sizeof(one));
    ngx_http_blockcast_gate_printable(&host, two, sizeof(two));

    ngx_log_error(level, r->connection->log, 0,
                  "a page of the Origin \"%V\" is not allowed here, the Host "
                  "it was compared with is \"%V\" (blockcast_origin; a proxy "
                  "in front has to pass the Host on)", &page, &host);
}


ngx_int_t
ngx_http_blockcast_access_arg(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    u_char     *src, *dst;
    ngx_str_t   raw;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &raw) != NGX_OK) {
        return NGX_DECLINED;
    }

    dst = ngx_pnalloc(r->pool, raw.len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    value->data = dst;
    src = raw.data;

    ngx_unescape_uri(&dst, &src, raw.len, 0);

    value->len = dst - value->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_access_list(ngx_http_request_t *r, const char *name,
    ngx_str_t *list)
{
    u_char     *p, *last, *src, *dst, *start;
    size_t      len;
    ngx_str_t   key, written, value;

    /* a decoded value is never longer than the encoded one */

    dst = ngx_pnalloc(r->pool, r->args.len + 1);
    if (dst == NULL) {
        return NGX_ERROR;
    }

    len = ngx_strlen(name);
    list->data = dst;
    list->len = 0;

    p = r->args.data;
    last = p + r->args.len;

    while (ngx_http_blockcast_query_next(&p, last, &written, &value)) {

        /* decode the name at dst, where the next value overwrites it */

        start = dst;
        src = written.data;
        ngx_unescape_uri(&dst, &src, written.len, 0);

        key.data = start;
        key.len = dst - start;
        dst = start;

        if (ngx_http_blockcast_query_list_name(&key) != len
            || ngx_strncasecmp(key.data, (u_char *) name, len) != 0)
        {
            continue;
        }

        if (list->len != 0) {
            *dst++ = ',';
        }

        src = value.data;
        ngx_unescape_uri(&dst, &src, value.len, 0);

        list->len = dst - list->data;
    }

    return (list->len != 0) ? NGX_OK : NGX_DECLINED;
}


/*
 * Returns the host of "host:port", without the port and without the dot that
 * may end a name.  Returns an empty string when anything else follows.
 */

static ngx_str_t
ngx_http_blockcast_access_host(u_char *p, u_char *last)
{
    ngx_str_t  host;

    host.data = p;
    host.len = 0;

    if (p < last && *p == '[') {
        p = ngx_strlchr(p, last, ']');

        if (p == NULL) {
            return host;
        }

        p++;

    } else {
        while (p < last && *p != ':') {
            if (*p == '/' || *p == '@' || *p == '?' || *p == '#') {
                return host;
            }

            p++;
        }
    }

    host.len = p - host.data;

    if (p < last) {

        if (*p != ':') {
            host.len = 0;
            return host;
        }

        while (++p < last) {
            if (*p < '0' || *p > '9') {
                host.len = 0;
                return host;
            }
        }
    }

    /* drop the dot that ends an absolute name, as nginx does with the Host */

    if (host.len > 1 && host.data[host.len - 1] == '.') {
        host.len--;
    }

    return host;
}


/* Returns true if the host of an Origin is `own`, with any scheme and port. */

static ngx_uint_t
ngx_http_blockcast_access_same(ngx_str_t *origin, ngx_str_t *own)
{
    u_char     *p, *last;
    ngx_str_t   host;

    last = origin->data + origin->len;
    p = ngx_strlcasestrn(origin->data, last, (u_char *) "://", 3 - 1);

    if (p == NULL) {
        return 0;
    }

    host = ngx_http_blockcast_access_host(p + 3, last);

    return host.len != 0
           && host.len == own->len
           && ngx_strncasecmp(host.data, own->data, host.len) == 0;
}


/*
 * Returns the host that an Origin is compared with: that of the Host header,
 * or with "blockcast_origin forwarded" that of X-Forwarded-Host, which a proxy
 * in front sets when it changes the Host.  A page cannot set that header
 * itself: browsers do not send it with a WebSocket, and no preflight allows
 * it.
 */

static ngx_str_t
ngx_http_blockcast_access_own_host(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf)
{
    u_char      *p, *last;
    ngx_str_t   *value;

    value = blcf->forwarded
            ? ngx_http_blockcast_header_value(r, "X-Forwarded-Host") : NULL;

    if (value == NULL || value->len == 0) {
        return r->headers_in.server;
    }

    /* take the first of a list: it is the host that the client asked for */

    last = ngx_strlchr(value->data, value->data + value->len, ',');
    last = (last != NULL) ? last : value->data + value->len;

    for (p = value->data; p < last && *p == ' '; p++) { /* void */ }

    while (last > p && last[-1] == ' ') {
        last--;
    }

    return ngx_http_blockcast_access_host(p, last);
}


/* Returns true if a value of blockcast_origin allows this Origin. */

static ngx_uint_t
ngx_http_blockcast_access_origin_ok(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf, ngx_str_t *origin, ngx_uint_t *any)
{
    u_char      *star;
    size_t       before, after;
    ngx_str_t   *item, host;
    ngx_uint_t   i;

    if (blcf->origins == NULL) {

        /* an echo alone has no default: any page may use it, it has no data */

        return blcf->echo;
    }

    item = blcf->origins->elts;

    for (i = 0; i < blcf->origins->nelts; i++) {

        if (ngx_strcmp(item[i].data, "any") == 0) {
            *any = 1;
            return 1;
        }

        if (ngx_strcmp(item[i].data, "same") == 0) {

            if (ngx_http_blockcast_access_same(origin, &r->headers_in.server))
            {
                return 1;
            }

            continue;
        }

        if (ngx_strcmp(item[i].data, "forwarded") == 0) {
            host = ngx_http_blockcast_access_own_host(r, blcf);

            if (ngx_http_blockcast_access_same(origin, &host)) {
                return 1;
            }

            continue;
        }

        star = (u_char *) ngx_strchr(item[i].data, '*');

        if (star == NULL) {
            if (item[i].len == origin->len
                && ngx_strncasecmp(item[i].data, origin->data, origin->len)
                   == 0)
            {
                return 1;
            }

            continue;
        }

        /* let the star stand for any name, as in *.example.com */

        before = star - item[i].data;
        after = item[i].len - before - 1;

        if (origin->len > before + after
            && ngx_strncasecmp(origin->data, item[i].data, before) == 0
            && ngx_strncasecmp(origin->data + origin->len - after, star + 1,
                               after)
               == 0
            && ngx_strlchr(origin->data + before,
                           origin->data + origin->len - after, '/')
               == NULL)
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_blockcast_access_token(ngx_http_request_t *r, ngx_str_t *token)
{
    u_char          *p;
    bc_span_t        item;
    ngx_str_t       *value;
    const uint8_t   *pos;

    value = ngx_http_blockcast_header_value(r, "Authorization");

    if (value != NULL
        && value->len > 7
        && ngx_strncasecmp(value->data, (u_char *) "Bearer ", 7) == 0)
    {
        for (p = value->data + 7; *p == ' '; p++) { /* void */ }

        token->data = p;
        token->len = value->data + value->len - p;

        return NGX_OK;
    }

    /* look among the subprotocols: a browser cannot send Authorization */

    value = ngx_http_blockcast_header_value(r, "Sec-WebSocket-Protocol");

    if (value != NULL) {
        pos = value->data;

        while (bc_http_list_next(&pos, value->data + value->len, &item)) {

            if (item.len > 7 && ngx_memcmp(item.data, "bearer.", 7) == 0) {
                token->data = (u_char *) item.data + 7;
                token->len = item.len - 7;
                return NGX_OK;
            }
        }
    }

    if (ngx_http_blockcast_access_arg(r, "token", token) == NGX_OK
        && token->len != 0)
    {
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/*
 * Returns a bit for each stream named in a list, separated by commas or
 * blanks; "*" stands for all streams.  Unknown names are ignored.
 */

static uint64_t
ngx_http_blockcast_access_bits(ngx_http_blockcast_main_conf_t *bmcf,
    const u_char *p, size_t len)
{
    uint64_t                      bits;
    ngx_str_t                     name;
    const u_char                 *last;
    ngx_http_blockcast_stream_t  *st;

    bits = 0;
    last = p + len;

    while (p < last) {

        if (*p == ' ' || *p == ',' || *p == '\t') {
            p++;
            continue;
        }

        name.data = (u_char *) p;

        while (p < last && *p != ' ' && *p != ',' && *p != '\t') {
            p++;
        }

        name.len = p - name.data;

        if (name.len == 1 && name.data[0] == '*') {
            return (uint64_t) -1;
        }

        st = ngx_http_blockcast_stream_find(bmcf, &name);

        if (st != NULL) {
            bits |= (uint64_t) 1 << st->index;
        }
    }

    return bits;
}


ngx_int_t
ngx_http_blockcast_access_streams(ngx_http_request_t *r, uint64_t *allowed,
    ngx_http_blockcast_refusal_t *refusal)
{
    bc_span_t                        name, streams;
    ngx_str_t                        value;
    ngx_http_blockcast_stream_t    **st;
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    refusal->status = 0;
    refusal->retry_after = 0;

    *allowed = 0;

    if (blcf->offers != NULL) {
        for (st = blcf->offers; *st != NULL; st++) {
            *allowed |= (uint64_t) 1 << (*st)->index;
        }
    }

    if (blcf->tokens != NULL) {

        refusal->status = NGX_HTTP_UNAUTHORIZED;

        if (ngx_http_blockcast_access_token(r, &value) != NGX_OK) {
            refusal->sentence = "A bearer token is needed here.";
            return NGX_DECLINED;
        }

        if (!bc_tokens_check(blcf->tokens, value.data, value.len, &name,
                             &streams))
        {
            refusal->sentence = "The bearer token is not known here.";
            return NGX_DECLINED;
        }

        refusal->status = 0;

        if (streams.len != 0) {
            *allowed &= ngx_http_blockcast_access_bits(bmcf, streams.data,
                                                       streams.len);
        }
    }

    if (blcf->allow_streams != NULL) {

        if (ngx_http_complex_value(r, blcf->allow_streams, &value) != NGX_OK) {
            return NGX_ERROR;
        }

        *allowed &= ngx_http_blockcast_access_bits(bmcf, value.data,
                                                   value.len);
    }

    return NGX_OK;
}


char *
ngx_http_blockcast_access_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    u_char      *p;
    ngx_str_t   *value, *item;
    ngx_uint_t   i;

    if (blcf->origins != NULL) {
        return "is duplicate";
    }

    blcf->origins = ngx_array_create(cf->pool, 4, sizeof(ngx_str_t));
    if (blcf->origins == NULL) {
        return NGX_CONF_ERROR;
    }

    value = cf->args->elts;

    for (i = 1; i < cf->args->nelts; i++) {

        p = (u_char *) ngx_strstr(value[i].data, "://");

        if (ngx_strcmp(value[i].data, "forwarded") == 0) {
            blcf->forwarded = 1;

        } else if (p == NULL
                   && ngx_strcmp(value[i].data, "any") != 0
                   && ngx_strcmp(value[i].data, "same") != 0
                   && ngx_strcmp(value[i].data, "null") != 0)
        {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "blockcast_origin \"%V\" must be \"same\", "
                               "\"any\" or like https://www.example.com "
                               "(\"forwarded\" and \"null\" there are, too)",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        if (p != NULL && ngx_strchr(p + 3, '/') != NULL) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "blockcast_origin \"%V\" has a path, which no "
                               "Origin has: it ends with host or port",
                               &value[i]);
            return NGX_CONF_ERROR;
        }

        item = ngx_array_push(blcf->origins);
        if (item == NULL) {
            return NGX_CONF_ERROR;
        }

        *item = value[i];
    }

    return NGX_CONF_OK;
}


static void
ngx_http_blockcast_access_free(void *data)
{
    bc_tokens_free(data);
}


char *
ngx_http_blockcast_access_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf)
{
    ngx_http_blockcast_loc_conf_t *blcf = conf;

    size_t               line;
    ngx_str_t           *value, text;
    const char          *why;
    bc_tokens_t         *tokens;
    ngx_pool_cleanup_t  *cln;

    if (blcf->tokens != NULL) {
        return "is duplicate";
    }

    value = cf->args->elts;

    if (ngx_http_blockcast_conf_read_file(cf, "directive", &value[0],
                                          &value[1], &text)
        != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    cln = ngx_pool_cleanup_add(cf->pool, 0);
    if (cln == NULL) {
        return NGX_CONF_ERROR;
    }

    tokens = bc_tokens_parse((char *) text.data, text.len, &line, &why);

    ngx_explicit_memzero(text.data, text.len);

    if (tokens == NULL) {

        /* do not quote the line: it may hold a token */

        ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                           "%s in line %uz of blockcast_tokens \"%V\"",
                           why, line, &value[1]);
        return NGX_CONF_ERROR;
    }

    if (bc_tokens_count(tokens) == 0) {

        /* warn only: an empty file is how an operator revokes all tokens */

        ngx_conf_log_error(NGX_LOG_WARN, cf, 0,
                           "blockcast_tokens \"%V\" has no token: every "
                           "client will be refused", &value[1]);
    }

    cln->handler = ngx_http_blockcast_access_free;
    cln->data = tokens;

    blcf->tokens = tokens;

    return NGX_CONF_OK;
}
