
/*
 * How the streams, the nodes and the workers are, for people and balancers.
 */


#include "ngx_http_blockcast_health.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_breaker.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_rest.h"
#include "bc_json.h"


const char  *ngx_http_blockcast_freshness_names[] = {
    "waiting", "live", "stale", "idle"
};


u_char *
ngx_http_blockcast_health_row(u_char *p, ngx_http_blockcast_stream_t *st,
    ngx_uint_t *healthy)
{
    ngx_int_t                        age;
    ngx_uint_t                       subscribers;
    ngx_http_blockcast_error_t       error;
    ngx_http_blockcast_slot_t       *slot;
    ngx_http_blockcast_freshness_e   state;

    slot = st->slot;
    subscribers = ngx_http_blockcast_slot_listeners(slot);
    state = ngx_http_blockcast_stream_status_freshness(
                                        st, subscribers != 0 || st->always);
    age = ngx_http_blockcast_stream_status_age(slot);

    ngx_http_blockcast_stream_status_read_error(slot, &error);

    if (state == ngx_http_blockcast_freshness_waiting
        || state == ngx_http_blockcast_freshness_stale)
    {
        *healthy = 0;
    }

    p = ngx_sprintf(p, "{\"name\":\"%V\",\"kind\":\"%s\","
                    "\"interval\":%M.%03M,\"seq\":%uA,\"age\":",
                    &st->name, st->field.len ? "log" : "snapshot",
                    st->interval / 1000, st->interval % 1000, slot->seq);

    if (age < 0) {
        p = ngx_cpymem(p, "null", 4);

    } else {
        p = ngx_sprintf(p, "%i.%03i", age / 1000, age % 1000);
    }

    p = ngx_sprintf(p, ",\"state\":\"%s\",\"subscribers\":%ui,"
                    "\"polls\":%uA,\"polls_failed\":%uA,"
                    "\"polls_overrun\":%uA,\"error\":",
                    ngx_http_blockcast_freshness_names[state], subscribers,
                    slot->polls, slot->polls_failed, slot->polls_overrun);

    if (error.len != 0) {
        *p++ = '"';
        p = bc_json_escape(p, error.text, error.len);
        *p++ = '"';

    } else {
        p = ngx_cpymem(p, "null", 4);
    }

    ngx_http_blockcast_stream_status_read_note(slot, &error);

    if (error.len != 0) {
        p = ngx_sprintf(p, ",\"note\":{\"since\":%uL,\"text\":\"",
                        error.since);
        p = bc_json_escape(p, error.text, error.len);
        *p++ = '"';
        *p++ = '}';
    }

    *p++ = '}';

    return p;
}


ngx_uint_t
ngx_http_blockcast_health_visible(ngx_http_blockcast_stream_t **st,
    uint64_t allowed)
{
    uint64_t    bit;
    ngx_uint_t  n;

    for (n = 0; *st != NULL; st++) {
        bit = (uint64_t) 1 << (*st)->index;

        if (allowed & bit) {
            n++;

            /* a location may name a stream twice */
            allowed &= ~bit;
        }
    }

    return n;
}


ngx_uint_t
ngx_http_blockcast_health_node_visible(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_node_t *node, ngx_http_blockcast_stream_t **st,
    uint64_t allowed)
{
    /* whoever sees all streams sees a node without any */

    if (ngx_http_blockcast_health_visible(st,
                                          allowed) >= bmcf->streams.nelts) {
        return 1;
    }

    for ( /* void */ ; *st != NULL; st++) {
        if ((*st)->node == node
            && allowed & ((uint64_t) 1 << (*st)->index))
        {
            return 1;
        }
    }

    return 0;
}


ngx_int_t
ngx_http_blockcast_health_handler(ngx_http_request_t *r)
{
    u_char                           *p, *rows;
    uint64_t                          lease, allowed;
    ngx_int_t                         rc;
    ngx_str_t                         body;
    ngx_uint_t                        i, n, healthy, first, leading, brief;
    ngx_http_blockcast_error_t        error, newest;
    ngx_http_blockcast_zone_shctx_t  *sh;
    ngx_http_blockcast_node_t       **nodes;
    ngx_http_blockcast_worker_t      *w;
    ngx_http_blockcast_stream_t     **st;
    ngx_http_blockcast_loc_conf_t    *blcf;
    ngx_http_blockcast_main_conf_t   *bmcf;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    /* a balancer that asks for it has no token, and needs no more than 200 */

    brief = (blcf->tokens != NULL
             && ngx_http_blockcast_access_token(r, &body) != NGX_OK);
    allowed = 0;

    if (ngx_http_blockcast_rest_begin(r, brief ? NULL : &allowed, &rc)
        != NGX_OK)
    {
        return rc;
    }

    sh = bmcf->zone->sh;
    st = blcf->offers;

    for (n = 0; st[n] != NULL; n++) { /* void */ }

    if (n != 0 && !brief && !ngx_http_blockcast_health_visible(st, allowed)) {
        brief = 1;
    }

    rows = ngx_pnalloc(r->pool, 1 + n * (NGX_HTTP_BLOCKCAST_HEALTH_ROW
                                     + 12 * NGX_HTTP_BLOCKCAST_ERROR_LEN));
    if (rows == NULL
        || ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    healthy = 1;
    newest.len = 0;
    newest.since = 0;

    p = rows;

    for (i = 0; i < n; i++) {

        if (brief) {
            (void) ngx_http_blockcast_health_row(p, st[i], &healthy);
            continue;
        }

        if (!(allowed & ((uint64_t) 1 << st[i]->index))) {
            continue;
        }

        if (p != rows) {
            *p++ = ',';
        }

        p = ngx_http_blockcast_health_row(p, st[i], &healthy);

        ngx_http_blockcast_stream_status_read_error(st[i]->slot, &error);

        if (error.len != 0 && error.since >= newest.since) {
            newest = error;
        }
    }

    body.len = p - rows;

    p = ngx_pnalloc(r->pool, body.len + 512 + 6 * NGX_HTTP_BLOCKCAST_ERROR_LEN
                             + NGX_HTTP_BLOCKCAST_WORKERS * 96
                             + bmcf->nodes.nelts
                               * (NGX_HTTP_BLOCKCAST_NODE_ROW
                                  + 6 * NGX_HTTP_BLOCKCAST_ERROR_LEN));
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    if (brief) {
        p = ngx_sprintf(p, "{\"status\":\"%s\",\"timestamp\":%T}",
                        healthy ? "ok" : "failing", ngx_time());
        goto respond;
    }

    lease = sh->lease;
    leading = (lease != 0
               && (ngx_msec_int_t) (sh->lease_until - ngx_current_msec) > 0);

    p = ngx_sprintf(p, "{\"status\":\"%s\",\"version\":\""
                    NGX_HTTP_BLOCKCAST_VERSION "\",\"timestamp\":%T,"
                    "\"epoch\":%uL,\"node\":{\"error\":",
                    healthy ? "ok" : "failing", ngx_time(), sh->epoch);

    if (newest.len != 0) {
        *p++ = '"';
        p = bc_json_escape(p, newest.text, newest.len);
        p = ngx_sprintf(p, "\",\"since\":%uL}", newest.since);

    } else {
        p = ngx_cpymem(p, "null}", 5);
    }

    p = ngx_cpymem(p, ",\"nodes\":[", sizeof(",\"nodes\":[") - 1);

    nodes = bmcf->nodes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {

        if (!ngx_http_blockcast_health_node_visible(bmcf, nodes[i], st,
                                                    allowed)) {
            continue;
        }

        if (p[-1] != '[') {
            *p++ = ',';
        }

        p = ngx_http_blockcast_node_status_row(p, bmcf->zone, nodes[i]);
    }

    p = ngx_sprintf(p, "],\"poller\":{\"pid\":%uL,\"generation\":%uL,"
                    "\"active\":%s,\"role\":\"%s\",\"takeovers\":%uA},"
                    "\"workers\":[",
                    lease & 0xffffffff, lease >> 32,
                    leading ? "true" : "false",
                    (sh->role == ngx_http_blockcast_leader) ? "leader"
                                                            : "follower",
                    sh->takeovers);

    first = 1;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &sh->workers[i];

        if (!ngx_http_blockcast_worker_there(w)) {
            continue;
        }

        p = ngx_sprintf(p, "%s{\"pid\":%uA,\"connections\":%uA}",
                        first ? "" : ",", w->pid, w->connections);
        first = 0;
    }

    p = ngx_cpymem(p, "],\"streams\":[", sizeof("],\"streams\":[") - 1);
    p = ngx_cpymem(p, rows, body.len);
    p = ngx_cpymem(p, "]}", 2);

respond:

    body.len = p - body.data;

    return ngx_http_blockcast_respond(r, healthy ? NGX_HTTP_OK
                                          : NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "application/json", &body);
}
