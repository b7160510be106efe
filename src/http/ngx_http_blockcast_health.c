
/*
 * The health of streams, nodes and workers, for humans and load balancers.
 */


#include "ngx_http_blockcast_health.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_head_status.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_key_hub.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast_cluster_status.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_rest.h"


/* a counter in shared memory, and its name in JSON */

typedef struct {
    const char  *name;
    size_t       offset;    /* of the ngx_atomic_t in its record */
} ngx_http_blockcast_health_counter_t;


static void ngx_http_blockcast_health_add_keys(
    ngx_http_blockcast_json_out_t *out, cJSON *parent,
    ngx_http_blockcast_stream_t *st);


const char  *ngx_http_blockcast_freshness_names[] = {
    "waiting", "live", "stale", "idle"
};


static const ngx_http_blockcast_health_counter_t
    ngx_http_blockcast_health_slot_counters[] =
{
    { "polls", offsetof(ngx_http_blockcast_slot_t, polls) },
    { "polls_failed", offsetof(ngx_http_blockcast_slot_t, polls_failed) },
    { "polls_overrun", offsetof(ngx_http_blockcast_slot_t, polls_overrun) },
    { "deliveries", offsetof(ngx_http_blockcast_slot_t, deliveries) },
    { NULL, 0 }
};

static const ngx_http_blockcast_health_counter_t
    ngx_http_blockcast_health_key_counters[] =
{
    { "polled", offsetof(ngx_http_blockcast_key_table_t, polls) },
    { "changes", offsetof(ngx_http_blockcast_key_table_t, changes) },
    { "evicted", offsetof(ngx_http_blockcast_key_table_t, evicted) },
    { "refused", offsetof(ngx_http_blockcast_key_table_t, refused) },
    { NULL, 0 }
};

static const ngx_http_blockcast_health_counter_t
    ngx_http_blockcast_health_head_counters[] =
{
    { "connects", offsetof(ngx_http_blockcast_head_record_t, connects) },
    { "losses", offsetof(ngx_http_blockcast_head_record_t, losses) },
    { "messages", offsetof(ngx_http_blockcast_head_record_t, messages) },
    { NULL, 0 }
};

static const ngx_http_blockcast_health_counter_t
    ngx_http_blockcast_health_node_counters[] =
{
    { "calls", offsetof(ngx_http_blockcast_node_counters_t, calls) },
    { "outages", offsetof(ngx_http_blockcast_node_counters_t, outages) },
    { NULL, 0 }
};


/* Adds the counters of a record, in the order of their table. */

static void
ngx_http_blockcast_health_add_counters(ngx_http_blockcast_json_out_t *out,
    cJSON *row, void *record,
    const ngx_http_blockcast_health_counter_t *counter)
{
    for ( /* void */ ; counter->name != NULL; counter++) {
        ngx_http_blockcast_json_out_value(out, row, counter->name, "%uA",
                        *(ngx_atomic_t *) ((u_char *) record
                                           + counter->offset));
    }
}


/* Adds the text of an error as "error", or null if it is empty. */

static void
ngx_http_blockcast_health_add_error(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, u_char *text, size_t len)
{
    if (len == 0) {
        ngx_http_blockcast_json_out_value(out, parent, "error", "null");
        return;
    }

    ngx_http_blockcast_json_out_text(out, parent, "error", text, len);
}


/* Adds the ranges and series of a stream's history, or null if it has none. */

static void
ngx_http_blockcast_health_add_history(ngx_http_blockcast_json_out_t *out,
    cJSON *row, ngx_http_blockcast_stream_t *st)
{
    cJSON                              *history, *list;
    ngx_uint_t                          i;
    ngx_http_blockcast_history_conf_t  *conf;

    conf = st->history;

    if (conf == NULL) {
        ngx_http_blockcast_json_out_value(out, row, "history", "null");
        return;
    }

    history = ngx_http_blockcast_json_out_object(out, row, "history");

    list = ngx_http_blockcast_json_out_array(out, history, "ranges");

    for (i = 0; i < conf->shape.nrings; i++) {
        ngx_http_blockcast_json_out_text(out, list, NULL, conf->rings[i].data,
                                         conf->rings[i].len);
    }

    list = ngx_http_blockcast_json_out_array(out, history, "series");

    for (i = 0; i < conf->shape.nmembers; i++) {
        ngx_http_blockcast_json_out_text(out, list, NULL,
                                         (u_char *) conf->shape.names[i],
                                         ngx_strlen(conf->shape.names[i]));
    }
}


void
ngx_http_blockcast_health_add_stream(ngx_http_blockcast_json_out_t *out,
    cJSON *rows, ngx_http_blockcast_stream_t *st)
{
    cJSON                           *row, *note;
    ngx_uint_t                       subscribers;
    ngx_http_blockcast_slot_t       *slot;
    ngx_http_blockcast_error_t       error;
    ngx_http_blockcast_freshness_e   freshness;

    slot = st->slot;
    subscribers = ngx_http_blockcast_slot_listeners(slot);
    freshness = ngx_http_blockcast_stream_status_freshness(
                                        st, subscribers != 0 || st->always);

    row = ngx_http_blockcast_json_out_object(out, rows, NULL);

    ngx_http_blockcast_json_out_text(out, row, "name", st->name.data,
                                     st->name.len);
    ngx_http_blockcast_json_out_string(out, row, "kind",
                                       st->field.len ? "log" : "snapshot");
    ngx_http_blockcast_json_out_seconds(out, row, "interval", st->interval);
    ngx_http_blockcast_json_out_value(out, row, "seq", "%uA", slot->seq);
    ngx_http_blockcast_json_out_seconds(out, row, "age",
                                ngx_http_blockcast_stream_status_age(slot));
    ngx_http_blockcast_json_out_string(out, row, "state",
                              ngx_http_blockcast_freshness_names[freshness]);
    ngx_http_blockcast_json_out_value(out, row, "subscribers", "%ui",
                                      subscribers);
    ngx_http_blockcast_health_add_counters(out, row, slot,
                                    ngx_http_blockcast_health_slot_counters);

    if (slot->latency != 0) {
        ngx_http_blockcast_json_out_value(out, row, "latency", "%uL.%06uL",
                                     (uint64_t) slot->latency / 1000000,
                                     (uint64_t) slot->latency % 1000000);

    } else {
        ngx_http_blockcast_json_out_value(out, row, "latency", "null");
    }

    ngx_http_blockcast_health_add_history(out, row, st);

    if (st->keys != NULL) {
        ngx_http_blockcast_health_add_keys(out, row, st);
    }

    if (st->field.len != 0) {
        ngx_http_blockcast_json_out_value(out, row, "gaps", "%uA",
                                          slot->gaps);
    }

    ngx_http_blockcast_json_out_value(out, row, "polls_extra", "%uA",
                                      slot->polls_extra);
    ngx_http_blockcast_json_out_value(out, row, "pokes", "%uA", slot->pokes);

    if (st->field.len != 0) {
        ngx_http_blockcast_json_out_value(out, row, "lag", "%uA", slot->lag);
    }

    ngx_http_blockcast_stream_status_read_error(slot, &error);
    ngx_http_blockcast_health_add_error(out, row, error.text, error.len);

    ngx_http_blockcast_stream_status_read_note(slot, &error);

    if (error.len != 0) {
        note = ngx_http_blockcast_json_out_object(out, row, "note");

        ngx_http_blockcast_json_out_value(out, note, "since", "%uL",
                                          error.since);
        ngx_http_blockcast_json_out_text(out, note, "text", error.text,
                                         error.len);
    }
}


/* Adds the keys of a stream: how many there are, and their counters. */

static void
ngx_http_blockcast_health_add_keys(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, ngx_http_blockcast_stream_t *st)
{
    cJSON                           *row;
    ngx_uint_t                       used, listened;
    ngx_http_blockcast_key_table_t  *table;

    table = ngx_http_blockcast_key_table_of(st);
    ngx_http_blockcast_key_table_count(table, &used, &listened);

    row = ngx_http_blockcast_json_out_object(out, parent, "keys");

    ngx_http_blockcast_json_out_text(out, row, "name", st->keys->name.data,
                                     st->keys->name.len);
    ngx_http_blockcast_json_out_value(out, row, "max", "%uL", table->max);
    ngx_http_blockcast_json_out_value(out, row, "kept", "%ui", used);
    ngx_http_blockcast_json_out_value(out, row, "listened", "%ui", listened);
    ngx_http_blockcast_json_out_seconds(out, row, "interval",
                              st->interval
                              + ngx_http_blockcast_key_hub_late(st));
    ngx_http_blockcast_health_add_counters(out, row, table,
                                    ngx_http_blockcast_health_key_counters);
}


/* Adds a node's head, the WebSocket to it, or null if none is configured. */

static void
ngx_http_blockcast_health_add_head(ngx_http_blockcast_json_out_t *out,
    cJSON *parent, ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head)
{
    cJSON                             *row;
    ngx_http_blockcast_head_record_t  *record;
    ngx_http_blockcast_head_status_t   status;

    if (head == NULL) {
        ngx_http_blockcast_json_out_value(out, parent, "head", "null");
        return;
    }

    ngx_http_blockcast_head_status_read(zone, head, &status);
    record = ngx_http_blockcast_head_status_record(zone, head);

    row = ngx_http_blockcast_json_out_object(out, parent, "head");

    ngx_http_blockcast_json_out_string(out, row, "state",
                          ngx_http_blockcast_head_state_names[status.state]);

    if (status.since != 0) {
        ngx_http_blockcast_json_out_value(out, row, "since", "%uL",
                                          status.since);
    } else {
        ngx_http_blockcast_json_out_value(out, row, "since", "null");
    }

    ngx_http_blockcast_health_add_counters(out, row, record,
                                    ngx_http_blockcast_health_head_counters);
    ngx_http_blockcast_health_add_error(out, row, status.text, status.len);
}


/* Adds a node, as the polling worker sees it. */

static void
ngx_http_blockcast_health_add_node(ngx_http_blockcast_json_out_t *out,
    cJSON *rows, ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_node_t *node)
{
    cJSON                               *row;
    ngx_http_blockcast_node_status_t     status;
    ngx_http_blockcast_node_counters_t  *counters, none;

    if (ngx_http_blockcast_node_status_read(zone, &node->name, &status,
                                            &counters)
        != NGX_OK)
    {
        /* it has not been polled yet: all counters are 0 */

        ngx_memzero(&status, sizeof(ngx_http_blockcast_node_status_t));
        ngx_memzero(&none, sizeof(ngx_http_blockcast_node_counters_t));
        counters = &none;
    }

    row = ngx_http_blockcast_json_out_object(out, rows, NULL);

    ngx_http_blockcast_json_out_text(out, row, "name", node->name.data,
                                     node->name.len);
    ngx_http_blockcast_json_out_string(out, row, "state",
                        ngx_http_blockcast_node_health_names[status.health]);
    ngx_http_blockcast_json_out_value(out, row, "failures", "%uD",
                                      status.failures);
    ngx_http_blockcast_health_add_counters(out, row, counters,
                                    ngx_http_blockcast_health_node_counters);
    ngx_http_blockcast_health_add_head(out, row, zone, node->head);

    if (status.health == ngx_http_blockcast_node_ok) {
        ngx_http_blockcast_json_out_value(out, row, "since", "null");
        ngx_http_blockcast_json_out_value(out, row, "retry_in", "null");
        ngx_http_blockcast_json_out_value(out, row, "error", "null");
        return;
    }

    ngx_http_blockcast_json_out_value(out, row, "since", "%uL",
                                      status.since_sec);
    ngx_http_blockcast_json_out_seconds(out, row, "retry_in",
                          ngx_http_blockcast_node_status_retry_in(&status));
    ngx_http_blockcast_json_out_text(out, row, "error", status.text,
                                     status.len);
}


/* Returns true if a stream is healthy: it is neither waiting nor stale. */

static ngx_uint_t
ngx_http_blockcast_health_is_fresh(ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_freshness_e  freshness;

    freshness = ngx_http_blockcast_stream_status_freshness(st,
                          ngx_http_blockcast_slot_listeners(st->slot) != 0
                          || st->always);

    return freshness != ngx_http_blockcast_freshness_waiting
           && freshness != ngx_http_blockcast_freshness_stale;
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
    /* a client that may see all streams also sees a node without any */

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


void
ngx_http_blockcast_health_add_totals(ngx_http_blockcast_json_out_t *out,
    cJSON *root, ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t **st, uint64_t allowed)
{
    cJSON                               *totals;
    uint64_t                             left, bit, requests, deliveries;
    ngx_uint_t                           i, connections;
    ngx_http_blockcast_node_t          **nodes;
    ngx_http_blockcast_stream_t        **stream;
    ngx_http_blockcast_worker_t         *w;
    ngx_http_blockcast_node_status_t     status;
    ngx_http_blockcast_node_counters_t  *counters;

    requests = 0;
    deliveries = 0;
    connections = 0;

    nodes = bmcf->nodes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {
        if (ngx_http_blockcast_health_node_visible(bmcf, nodes[i], st, allowed)
            && ngx_http_blockcast_node_status_read(bmcf->zone, &nodes[i]->name,
                                                   &status, &counters)
               == NGX_OK)
        {
            requests += counters->calls;
        }
    }

    left = allowed;

    for (stream = st; *stream != NULL; stream++) {
        bit = (uint64_t) 1 << (*stream)->index;

        if (left & bit) {
            deliveries += (*stream)->slot->deliveries;

            /* a location may name a stream twice */
            left &= ~bit;
        }
    }

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &bmcf->zone->sh->workers[i];

        if (ngx_http_blockcast_worker_there(w)) {
            connections += w->connections;
        }
    }

    totals = ngx_http_blockcast_json_out_object(out, root, "totals");

    ngx_http_blockcast_json_out_value(out, totals, "requests", "%uL",
                                      requests);
    ngx_http_blockcast_json_out_value(out, totals, "deliveries", "%uL",
                                      deliveries);
    ngx_http_blockcast_json_out_value(out, totals, "saved", "%uL",
                                      deliveries - ngx_min(deliveries,
                                                           requests));
    ngx_http_blockcast_json_out_value(out, totals, "connections", "%ui",
                                      connections);
}


/* Adds the newest error of the streams that a client may see, as "node". */

static void
ngx_http_blockcast_health_add_newest_error(ngx_http_blockcast_json_out_t *out,
    cJSON *root, ngx_http_blockcast_stream_t **st, uint64_t allowed)
{
    cJSON                       *row;
    ngx_http_blockcast_error_t   error, newest;

    newest.len = 0;
    newest.since = 0;

    for ( /* void */ ; *st != NULL; st++) {

        if (!(allowed & ((uint64_t) 1 << (*st)->index))) {
            continue;
        }

        ngx_http_blockcast_stream_status_read_error((*st)->slot, &error);

        if (error.len != 0 && error.since >= newest.since) {
            newest = error;
        }
    }

    row = ngx_http_blockcast_json_out_object(out, root, "node");

    ngx_http_blockcast_health_add_error(out, row, newest.text, newest.len);

    if (newest.len != 0) {
        ngx_http_blockcast_json_out_value(out, row, "since", "%uL",
                                          newest.since);
    }
}


/* Adds the worker that polls, and all workers that are alive. */

static void
ngx_http_blockcast_health_add_workers(ngx_http_blockcast_json_out_t *out,
    cJSON *root, ngx_http_blockcast_zone_shctx_t *sh,
    ngx_http_blockcast_cluster_t *cluster)
{
    cJSON                        *poller, *rows, *row;
    uint64_t                      lease;
    ngx_uint_t                    i, leading;
    ngx_http_blockcast_worker_t  *w;

    lease = sh->lease;
    leading = (lease != 0
               && (ngx_msec_int_t) (sh->lease_until - ngx_current_msec) > 0);

    poller = ngx_http_blockcast_json_out_object(out, root, "poller");

    ngx_http_blockcast_json_out_value(out, poller, "pid", "%uL",
                                      lease & 0xffffffff);
    ngx_http_blockcast_json_out_value(out, poller, "generation", "%uL",
                                      lease >> 32);
    ngx_http_blockcast_json_out_value(out, poller, "active",
                                      leading ? "true" : "false");
    ngx_http_blockcast_json_out_string(out, poller, "role",
                                (sh->role == ngx_http_blockcast_leader
                                 && (cluster == NULL || sh->cluster.leads))
                                ? "leader" : "follower");
    ngx_http_blockcast_json_out_value(out, poller, "takeovers", "%uA",
                                      sh->takeovers);

    rows = ngx_http_blockcast_json_out_array(out, root, "workers");

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &sh->workers[i];

        if (!ngx_http_blockcast_worker_there(w)) {
            continue;
        }

        row = ngx_http_blockcast_json_out_object(out, rows, NULL);

        ngx_http_blockcast_json_out_value(out, row, "pid", "%uA", w->pid);
        ngx_http_blockcast_json_out_value(out, row, "connections", "%uA",
                                          w->connections);
    }
}


/*
 * Copies a text to the request's pool, with a NUL after it; the JSON points to
 * the copy.  Returns "" without memory.
 */

static char *
ngx_http_blockcast_health_text(ngx_http_request_t *r, u_char *p, size_t len)
{
    u_char  *copy;

    copy = ngx_pnalloc(r->pool, len + 1);
    if (copy == NULL) {
        return "";
    }

    *ngx_cpymem(copy, p, len) = '\0';

    return (char *) copy;
}


/* Adds this gateway's role in the cluster, and the state of its engine. */

static void
ngx_http_blockcast_health_add_cluster(ngx_http_blockcast_json_out_t *out,
    cJSON *root, ngx_http_request_t *r, ngx_http_blockcast_main_conf_t *bmcf)
{
    cJSON                                *row, *engine;
    ngx_http_blockcast_cluster_record_t  *record;
    ngx_http_blockcast_cluster_status_t   status;

    record = &bmcf->zone->sh->cluster;
    ngx_http_blockcast_cluster_status_read(bmcf->zone, &status);

    row = ngx_http_blockcast_json_out_object(out, root, "cluster");

    ngx_http_blockcast_json_out_string(out, row, "name",
                       ngx_http_blockcast_health_text(
                                          r, bmcf->cluster->name.data,
                                          bmcf->cluster->name.len));
    ngx_http_blockcast_json_out_string(out, row, "role",
                       ngx_http_blockcast_cluster_status_name(status.state));
    ngx_http_blockcast_json_out_value(out, row, "since", "%uL", status.since);
    ngx_http_blockcast_json_out_value(out, row, "term", "%uA", record->term);

    engine = ngx_http_blockcast_json_out_object(out, row, "engine");

    ngx_http_blockcast_json_out_string(out, engine, "address",
                       ngx_http_blockcast_health_text(r, status.peer,
                                                      status.peer_len));
    ngx_http_blockcast_json_out_value(out, engine, "connected",
                       (status.state >= ngx_http_blockcast_is_syncing)
                       ? "true" : "false");

    if (status.len != 0) {
        ngx_http_blockcast_json_out_string(out, engine, "error",
                       ngx_http_blockcast_health_text(r, status.text,
                                                      status.len));
    }
}


ngx_int_t
ngx_http_blockcast_health_handler(ngx_http_request_t *r)
{
    cJSON                            *root, *rows;
    uint64_t                          allowed;
    ngx_int_t                         rc;
    ngx_str_t                         body;
    ngx_uint_t                        i, n, healthy, brief;
    ngx_http_blockcast_node_t       **nodes;
    ngx_http_blockcast_stream_t     **st;
    ngx_http_blockcast_json_out_t     out;
    ngx_http_blockcast_loc_conf_t    *blcf;
    ngx_http_blockcast_main_conf_t   *bmcf;
    ngx_http_blockcast_zone_shctx_t  *sh;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    /* a load balancer has no token, and needs only the status */

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

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    healthy = 1;

    for (i = 0; i < n; i++) {
        if (brief || allowed & ((uint64_t) 1 << st[i]->index)) {
            healthy &= ngx_http_blockcast_health_is_fresh(st[i]);
        }
    }

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "status",
                                       healthy ? "ok" : "failing");

    if (!brief) {
        ngx_http_blockcast_json_out_string(&out, root, "version",
                                           NGX_HTTP_BLOCKCAST_VERSION);
    }

    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    if (!brief) {
        ngx_http_blockcast_json_out_value(&out, root, "epoch", "%uL",
                                          sh->epoch);
        ngx_http_blockcast_health_add_newest_error(&out, root, st, allowed);

        rows = ngx_http_blockcast_json_out_array(&out, root, "nodes");
        nodes = bmcf->nodes.elts;

        for (i = 0; i < bmcf->nodes.nelts; i++) {
            if (ngx_http_blockcast_health_node_visible(bmcf, nodes[i], st,
                                                       allowed))
            {
                ngx_http_blockcast_health_add_node(&out, rows, bmcf->zone,
                                                   nodes[i]);
            }
        }

        ngx_http_blockcast_health_add_workers(&out, root, sh, bmcf->cluster);

        if (bmcf->cluster != NULL) {
            ngx_http_blockcast_health_add_cluster(&out, root, r, bmcf);
        }

        ngx_http_blockcast_health_add_totals(&out, root, bmcf, st, allowed);

        rows = ngx_http_blockcast_json_out_array(&out, root, "streams");

        for (i = 0; i < n; i++) {
            if (allowed & ((uint64_t) 1 << st[i]->index)) {
                ngx_http_blockcast_health_add_stream(&out, rows, st[i]);
            }
        }
    }

    if (ngx_http_blockcast_json_out_pool(&out, r->pool, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_blockcast_respond(r, healthy ? NGX_HTTP_OK
                                          : NGX_HTTP_SERVICE_UNAVAILABLE,
                                      "application/json", &body);
}
