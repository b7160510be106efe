
/*
 * Metrics for Prometheus, in its text format 0.0.4.
 */


#include "ngx_http_blockcast_metrics.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_health.h"
#include "ngx_http_blockcast_rest.h"


/* bytes of text: all that there is once, for each stream, for each call */
#define NGX_HTTP_BLOCKCAST_METRICS_SIZE    16384
#define NGX_HTTP_BLOCKCAST_METRICS_STREAM  10240
#define NGX_HTTP_BLOCKCAST_METRICS_NODE    4096
#define NGX_HTTP_BLOCKCAST_METRICS_CALL    512


static const char  *ngx_http_blockcast_metrics_encodings[] = {
    "text", "deflate", "delta", "delta_deflate", "other"
};


static u_char *
ngx_http_blockcast_metrics_head(u_char *p, const char *name, const char *type,
    const char *help)
{
    return ngx_sprintf(p, "# HELP blockcast_%s %s\n# TYPE blockcast_%s %s\n",
                       name, help, name, type);
}


static u_char *
ngx_http_blockcast_metrics_one(u_char *p, const char *name, const char *type,
    const char *help, uint64_t value)
{
    p = ngx_http_blockcast_metrics_head(p, name, type, help);

    return ngx_sprintf(p, "blockcast_%s %uL\n", name, value);
}


/*
 * counts are those of the buckets; limits in microseconds; stream: the one
 * they are of, or NULL
 */

static u_char *
ngx_http_blockcast_metrics_times(u_char *p, const char *name,
    ngx_str_t *stream, const uint64_t *counts, const ngx_uint_t *limits,
    uint64_t usec)
{
    u_char      label[NGX_HTTP_BLOCKCAST_NAME_LEN + sizeof("stream=\"\",")];
    uint64_t    sum;
    ngx_str_t   of, all;
    ngx_uint_t  i;

    of.data = label;
    of.len = 0;

    if (stream != NULL) {
        of.len = ngx_sprintf(label, "stream=\"%V\",", stream) - label;
    }

    /* the same without what separates it from the next one */

    all = of;
    all.len -= (of.len != 0);

    sum = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        sum += counts[i];
        p = ngx_sprintf(p, "blockcast_%s_bucket{%Vle=\"%ui.%06ui\"} %uL\n",
                        name, &of, limits[i] / 1000000, limits[i] % 1000000,
                        sum);
    }

    sum += counts[i];

    p = ngx_sprintf(p, "blockcast_%s_bucket{%Vle=\"+Inf\"} %uL\n", name, &of,
                    sum);
    p = ngx_sprintf(p, "blockcast_%s_sum%s%V%s %uL.%06uL\n", name,
                    of.len ? "{" : "", &all, of.len ? "}" : "",
                    usec / 1000000, usec % 1000000);

    return ngx_sprintf(p, "blockcast_%s_count%s%V%s %uL\n", name,
                       of.len ? "{" : "", &all, of.len ? "}" : "", sum);
}


static ngx_uint_t
ngx_http_blockcast_metrics_up(ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_freshness_e  state;

    state = ngx_http_blockcast_stream_status_freshness(st,
                           ngx_http_blockcast_zone_listeners(st->slot) != 0
                           || st->always);

    return state == ngx_http_blockcast_freshness_live
           || state == ngx_http_blockcast_freshness_idle;
}


static u_char *
ngx_http_blockcast_metrics_streams(u_char *p,
    ngx_http_blockcast_stream_t **st, ngx_uint_t n)
{
    uint64_t                          times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_int_t                         age;
    ngx_uint_t                        i;
    ngx_http_blockcast_slot_t        *slot;
    ngx_http_blockcast_call_conf_t   *call;

    static const ngx_uint_t  polls[] = { 5000, 10000, 25000, 50000, 100000,
                                         250000, 500000, 1000000, 2500000,
                                         5000000, 10000000 };
    static const ngx_uint_t  programs[] = { 100, 250, 500, 1000, 2500, 5000,
                                            10000, 50000, 100000, 500000,
                                            1000000 };

#define ngx_http_blockcast_comma  ,

#define ngx_http_blockcast_metrics_each(metric, type, help, fmt, value)       \
    p = ngx_http_blockcast_metrics_head(p, metric, type, help);               \
                                                                              \
    for (i = 0; i < n; i++) {                                                 \
        slot = st[i]->slot;                                                   \
        p = ngx_sprintf(p, "blockcast_" metric "{stream=\"%V\"} " fmt "\n",   \
                        &st[i]->name, value);                                 \
    }

    ngx_http_blockcast_metrics_each("subscribers", "gauge",
        "Listeners of a stream, in all workers.",
        "%ui", ngx_http_blockcast_zone_listeners(slot))

    ngx_http_blockcast_metrics_each("seq", "gauge",
        "Number of the newest snapshot.", "%uA", slot->seq)

    ngx_http_blockcast_metrics_each("updates_total", "counter",
        "Changes of the data, batches of a log: the same number, to be rated.",
        "%uA", slot->seq)

    ngx_http_blockcast_metrics_each("polls_total", "counter",
        "Rounds of calls that were finished.", "%uA", slot->polls)

    ngx_http_blockcast_metrics_each("polls_failed_total", "counter",
        "Rounds that brought no data.", "%uA", slot->polls_failed)

    ngx_http_blockcast_metrics_each("polls_overrun_total", "counter",
        "Rounds left out because the one before took longer than the interval.",
        "%uA", slot->polls_overrun)

    ngx_http_blockcast_metrics_each("stream_up", "gauge",
        "1 when the data is fresh, or nobody wants it.", "%ui",
        ngx_http_blockcast_metrics_up(st[i]))

    ngx_http_blockcast_metrics_each("interval_seconds", "gauge",
        "How often a stream is polled when somebody wants it.", "%M.%03M",
        st[i]->interval / 1000 ngx_http_blockcast_comma
        st[i]->interval % 1000)

    ngx_http_blockcast_metrics_each("data_bytes", "gauge",
        "Size of the newest data.", "%uD",
        slot->snap[slot->version & 1].data_len)

    ngx_http_blockcast_metrics_each("data_max_bytes", "gauge",
        "The largest data that is taken (blockcast_max_size).", "%uz",
        st[i]->max_size)

    ngx_http_blockcast_metrics_each("stream_zone_bytes", "gauge",
        "Room of a stream in the zone.", "%uL", slot->size)

    p = ngx_http_blockcast_metrics_head(p, "log_bytes", "gauge",
                                  "Bytes of a log's size= that are in use.");

    for (i = 0; i < n; i++) {
        if (st[i]->field.len != 0) {
            p = ngx_sprintf(p, "blockcast_log_bytes{stream=\"%V\"} %uA\n",
                            &st[i]->name,
                            st[i]->slot->head - st[i]->slot->tail);
        }
    }

    p = ngx_http_blockcast_metrics_head(p, "poll_seconds", "histogram",
            "From the first call of a poll to the last answer.");

    for (i = 0; i < n; i++) {
        for (age = 0; age < NGX_HTTP_BLOCKCAST_BUCKETS; age++) {
            times[age] = st[i]->slot->poll_times[age];
        }

        p = ngx_http_blockcast_metrics_times(p, "poll_seconds", &st[i]->name,
                              times, polls,
                              (uint64_t) st[i]->slot->poll_msec * 1000);
    }

    p = ngx_http_blockcast_metrics_head(p, "jq_seconds", "histogram",
            "What a stream's jq programs took, those of its params, too.");

    for (i = 0; i < n; i++) {

        if (st[i]->jq == NULL) {
            continue;
        }

        for (age = 0; age < NGX_HTTP_BLOCKCAST_BUCKETS; age++) {
            times[age] = st[i]->slot->jq_times[age];
        }

        p = ngx_http_blockcast_metrics_times(p, "jq_seconds", &st[i]->name,
                                             times, programs,
                                             st[i]->slot->jq_usec);
    }

    p = ngx_http_blockcast_metrics_head(p, "age_seconds", "gauge",
                                  "Time since the last good poll.");

    for (i = 0; i < n; i++) {
        age = ngx_http_blockcast_stream_status_age(st[i]->slot);

        if (age >= 0) {
            p = ngx_sprintf(p, "blockcast_age_seconds{stream=\"%V\"} "
                            "%i.%03i\n", &st[i]->name, age / 1000, age % 1000);
        }
    }

    p = ngx_http_blockcast_metrics_head(p, "call_errors_total", "counter",
                                  "Calls of a round that failed.");

    for (i = 0; i < n; i++) {
        call = st[i]->calls.elts;

        for (age = 0;
             age < (ngx_int_t) st[i]->calls.nelts
             && age < NGX_HTTP_BLOCKCAST_CALLS;
             age++)
        {
            p = ngx_sprintf(p, "blockcast_call_errors_total{stream=\"%V\","
                            "call=\"%V\"} %uA\n", &st[i]->name,
                            &call[age].name, st[i]->slot->call_errors[age]);
        }
    }

    return p;
}


static u_char *
ngx_http_blockcast_metrics_nodes(u_char *p,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_node_t **nodes,
    ngx_uint_t n)
{
    ngx_uint_t                           i, k;
    ngx_msec_t                           left;
    ngx_http_blockcast_node_status_t    *status;
    ngx_http_blockcast_node_counters_t **counters;

    status = ngx_alloc(n * (sizeof(ngx_http_blockcast_node_status_t)
                            + sizeof(ngx_http_blockcast_node_counters_t *)) + 1,
                       ngx_cycle->log);
    if (status == NULL) {
        return p;
    }

    counters = (ngx_http_blockcast_node_counters_t **) (status + n);

    /* before the first poll nothing is known of them */

    for (i = 0; i < n; i++) {
        if (ngx_http_blockcast_node_status_read(bmcf->zone, &nodes[i]->name,
                                                &status[i], &counters[i])
            != NGX_OK)
        {
            ngx_memzero(&status[i], sizeof(ngx_http_blockcast_node_status_t));
            counters[i] = &bmcf->zone->sh->nodes[nodes[i]->index].counters;
        }
    }

    p = ngx_http_blockcast_metrics_head(p, "node_state", "gauge",
            "1 for the state the node is in: ok, down, or limited (429).");

    for (i = 0; i < n; i++) {
        for (k = 0; k <= ngx_http_blockcast_node_limited; k++) {
            p = ngx_sprintf(p,
                            "blockcast_node_state{node=\"%V\",state=\"%s\"} "
                            "%d\n", &nodes[i]->name,
                            ngx_http_blockcast_node_health_names[k],
                            status[i].health == k);
        }
    }

    p = ngx_http_blockcast_metrics_head(p, "node_retry_seconds", "gauge",
            "Time until a node that is not ok is tried again.");

    for (i = 0; i < n; i++) {
        left = (status[i].health == ngx_http_blockcast_node_ok)
               ? 0 : ngx_http_blockcast_node_status_retry_in(&status[i]);

        p = ngx_sprintf(p, "blockcast_node_retry_seconds{node=\"%V\"} "
                        "%M.%03M\n", &nodes[i]->name, left / 1000,
                        left % 1000);
    }

    p = ngx_http_blockcast_metrics_head(p, "node_calls_total", "counter",
            "Calls made to a node.");

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "blockcast_node_calls_total{node=\"%V\"} %uA\n",
                        &nodes[i]->name, counters[i]->calls);
    }

    p = ngx_http_blockcast_metrics_head(p, "node_tries_total", "counter",
            "Single calls made to a node that was not ok.");

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "blockcast_node_tries_total{node=\"%V\"} %uA\n",
                        &nodes[i]->name, counters[i]->probes);
    }

    p = ngx_http_blockcast_metrics_head(p, "node_outages_total", "counter",
            "Times that a node became down or limited.");

    for (i = 0; i < n; i++) {
        p = ngx_sprintf(p, "blockcast_node_outages_total{node=\"%V\"} %uA\n",
                        &nodes[i]->name, counters[i]->outages);
    }

    p = ngx_http_blockcast_metrics_head(p, "node_failures_total", "counter",
            "Calls that a node did not answer, by what was wrong.");

    for (i = 0; i < n; i++) {
        for (k = 1; k < ngx_http_blockcast_n_faults; k++) {
            p = ngx_sprintf(p, "blockcast_node_failures_total{node=\"%V\","
                            "fault=\"%s\"} %uA\n", &nodes[i]->name,
                            ngx_http_blockcast_fault_names[k],
                            counters[i]->faults[k]);
        }
    }

    ngx_free(status);

    return p;
}


ngx_int_t
ngx_http_blockcast_metrics_handler(ngx_http_request_t *r)
{
    u_char                            *p;
    size_t                             size;
    uint64_t                           allowed;
    uint64_t                           all[ngx_http_blockcast_n_all];
    uint64_t                           times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_int_t                          rc;
    ngx_str_t                          body;
    ngx_uint_t                         i, n, connections, workers;
    ngx_uint_t                         nstreams, nnodes;
    ngx_http_blockcast_node_t        **node, **nodes;
    ngx_http_blockcast_zone_shctx_t   *sh;
    ngx_http_blockcast_stream_t      **st, **streams;
    ngx_http_blockcast_loc_conf_t     *blcf;
    ngx_http_blockcast_main_conf_t    *bmcf;

    static const ngx_uint_t  fanout[] = { 50, 100, 250, 500, 1000, 2500, 5000,
                                          10000, 25000, 50000, 100000 };
    static const ngx_uint_t  calls[] = { 1000, 2000, 5000, 10000, 25000, 50000,
                                         100000, 250000, 500000, 1000000,
                                         2500000 };

    static const char *const  jq_ends[] = { "time", "memory", "crash",
                                            "killed" };

    if (ngx_http_blockcast_rest_begin(r, &allowed, &rc) != NGX_OK) {
        return rc;
    }

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);
    sh = bmcf->zone->sh;

    /* the streams that may be seen, and their nodes */

    streams = ngx_palloc(r->pool, (bmcf->streams.nelts + 1) * sizeof(void *));
    nodes = ngx_palloc(r->pool, (bmcf->nodes.nelts + 1) * sizeof(void *));

    if (streams == NULL || nodes == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    size = NGX_HTTP_BLOCKCAST_METRICS_SIZE;
    nstreams = 0;
    nnodes = 0;

    for (st = blcf->offers; *st != NULL; st++) {

        if (!(allowed & ((uint64_t) 1 << (*st)->index))) {
            continue;
        }

        size += NGX_HTTP_BLOCKCAST_METRICS_STREAM
                + (*st)->calls.nelts * NGX_HTTP_BLOCKCAST_METRICS_CALL;
        streams[nstreams++] = *st;
    }

    node = bmcf->nodes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {

        if (ngx_http_blockcast_health_node_visible(bmcf, node[i], blcf->offers,
                                                   allowed))
        {
            nodes[nnodes++] = node[i];
        }
    }

    size += nnodes * NGX_HTTP_BLOCKCAST_METRICS_NODE;

    p = ngx_pnalloc(r->pool, size);

    if (p == NULL
        || ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    for (i = 0; i < ngx_http_blockcast_n_all; i++) {
        all[i] = sh->gone[i];
    }

    connections = 0;
    workers = 0;

    for (n = 1; n < NGX_HTTP_BLOCKCAST_WORKERS; n++) {

        workers += ngx_http_blockcast_worker_there(&sh->workers[n]);
        connections += sh->workers[n].connections;

        for (i = 0; i < ngx_http_blockcast_n_all; i++) {
            all[i] += sh->workers[n].counters[i];
        }
    }

    p = ngx_http_blockcast_metrics_head(p, "info", "gauge",
            "The version that runs, and the epoch of its data.");
    p = ngx_sprintf(p, "blockcast_info{version=\"" NGX_HTTP_BLOCKCAST_VERSION
                    "\",epoch=\"%uL\"} 1\n", sh->epoch);

    p = ngx_http_blockcast_metrics_one(p, "connections", "gauge",
            "Open WebSockets, event streams and long polls.", connections);
    p = ngx_http_blockcast_metrics_one(p, "workers", "gauge",
            "Workers of all configurations that are alive.", workers);
    p = ngx_http_blockcast_metrics_one(p, "accepted_total", "counter",
            "Handshakes accepted.", all[ngx_http_blockcast_n_accepted]);
    p = ngx_http_blockcast_metrics_one(p, "refused_total", "counter",
            "Handshakes refused.", all[ngx_http_blockcast_n_refused]);
    p = ngx_http_blockcast_metrics_one(p, "frames_in_total", "counter",
            "Messages and control frames of clients.",
            all[ngx_http_blockcast_n_frames_in]);

    p = ngx_http_blockcast_metrics_head(p, "frames_out_total", "counter",
                                  "Frames sent, by encoding.");

    for (i = 0; i <= NGX_HTTP_BLOCKCAST_VARIANTS; i++) {
        p = ngx_sprintf(p, "blockcast_frames_out_total{encoding=\"%s\"} %uL\n",
                        ngx_http_blockcast_metrics_encodings[i],
                        all[ngx_http_blockcast_n_frames + i]);
    }

    p = ngx_http_blockcast_metrics_head(p, "bytes_out_total", "counter",
                                  "Bytes of the frames sent, by encoding.");

    for (i = 0; i <= NGX_HTTP_BLOCKCAST_VARIANTS; i++) {
        p = ngx_sprintf(p, "blockcast_bytes_out_total{encoding=\"%s\"} %uL\n",
                        ngx_http_blockcast_metrics_encodings[i],
                        all[ngx_http_blockcast_n_bytes + i]);
    }

    p = ngx_http_blockcast_metrics_one(p, "conflated_total", "counter",
            "Snapshots that a slow client skipped.",
            all[ngx_http_blockcast_n_conflated]);
    p = ngx_http_blockcast_metrics_one(p, "gaps_total", "counter",
            "Resumes of a log after which not all was kept.",
            all[ngx_http_blockcast_n_gaps]);
    p = ngx_http_blockcast_metrics_one(p, "slow_closed_total", "counter",
            "Clients closed because they took nothing for too long.",
            all[ngx_http_blockcast_n_slow]);
    p = ngx_http_blockcast_metrics_one(p, "overflow_closed_total", "counter",
            "Clients closed because they did not read their answers.",
            all[ngx_http_blockcast_n_overflows]);
    p = ngx_http_blockcast_metrics_one(p, "no_pong_total", "counter",
            "Clients closed because they answered no ping.",
            all[ngx_http_blockcast_n_no_pong]);

    p = ngx_http_blockcast_metrics_head(
                p, "closes_total", "counter",
                "Connections ended, by Close code (1006: there was none).");

    for (i = 0; i < 15; i++) {

        if (i == 14) {
            p = ngx_sprintf(p, "blockcast_closes_total{code=\"other\"} %uL\n",
                            all[ngx_http_blockcast_n_closes + i]);

        } else {
            p = ngx_sprintf(p, "blockcast_closes_total{code=\"%ui\"} %uL\n",
                            1000 + i, all[ngx_http_blockcast_n_closes + i]);
        }
    }

    p = ngx_http_blockcast_metrics_head(p, "fanout_seconds", "histogram",
            "From a publish to the last socket of a worker.");
    p = ngx_http_blockcast_metrics_times(p, "fanout_seconds", NULL,
            &all[ngx_http_blockcast_n_fanout], fanout,
            all[ngx_http_blockcast_n_fanout_usec]);

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS; i++) {
        times[i] = sh->publish_times[i];
    }

    p = ngx_http_blockcast_metrics_head(p, "publish_seconds", "histogram",
            "From the last answer of a poll to its data in the zone.");
    p = ngx_http_blockcast_metrics_times(p, "publish_seconds", NULL, times,
            fanout, sh->publish_usec);

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS; i++) {
        times[i] = sh->call_times[i];
    }

    p = ngx_http_blockcast_metrics_head(p, "call_seconds", "histogram",
            "From a call to the node's answer.");
    p = ngx_http_blockcast_metrics_times(p, "call_seconds", NULL, times, calls,
            (uint64_t) sh->call_msec * 1000);

    p = ngx_http_blockcast_metrics_head(p, "jq_restarts_total", "counter",
            "Processes that ended while they ran a jq program, by cause.");

    for (i = 0; i < ngx_http_blockcast_n_jq_ends; i++) {
        p = ngx_sprintf(p, "blockcast_jq_restarts_total{cause=\"%s\"} %uA\n",
                        jq_ends[i], sh->jq_ends[i]);
    }

    p = ngx_http_blockcast_metrics_one(p, "poller_pid", "gauge",
            "Process that polls.", sh->lease & 0xffffffff);
    p = ngx_http_blockcast_metrics_one(p, "leader", "gauge",
            "1: this nginx polls; 0: it follows another with its state file.",
            sh->role == ngx_http_blockcast_leader);
    p = ngx_http_blockcast_metrics_one(p, "poller_active", "gauge",
            "1 when a worker holds the lease to poll.",
            sh->lease != 0
            && (ngx_msec_int_t) (sh->lease_until - ngx_current_msec) > 0);
    p = ngx_http_blockcast_metrics_one(p, "poller_takeovers_total", "counter",
            "Times that a worker became the poller.", sh->takeovers);
    p = ngx_http_blockcast_metrics_one(p, "configurations_total", "counter",
            "Configurations loaded: the start and each reload.",
            sh->generations);
    p = ngx_http_blockcast_metrics_one(p, "zone_size_bytes", "gauge",
            "Size of the zone.", bmcf->shm_zone->shm.size);
    p = ngx_http_blockcast_metrics_one(p, "zone_free_bytes", "gauge",
            "Free pages of the zone, for streams to be added.",
            (uint64_t) bmcf->zone->shpool->pfree * ngx_pagesize);

    p = ngx_http_blockcast_metrics_nodes(p, bmcf, nodes, nnodes);
    p = ngx_http_blockcast_metrics_streams(p, streams, nstreams);

    body.len = p - body.data;

    return ngx_http_blockcast_respond(r, NGX_HTTP_OK,
                                      "text/plain; version=0.0.4", &body);
}
