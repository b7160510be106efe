
/*
 * Metrics for Prometheus, in its text format 0.0.4.
 */


#include "ngx_http_blockcast_metrics.h"
#include "ngx_http_blockcast_feed.h"
#include "ngx_http_blockcast_handshake.h"
#include "ngx_http_blockcast_zone.h"


/* bytes of text: all that there is once, for each stream, for each call */
#define NGX_HTTP_BLOCKCAST_METRICS_SIZE    16384
#define NGX_HTTP_BLOCKCAST_METRICS_STREAM  4096
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


/* counts are those of the buckets; limits in microseconds */

static u_char *
ngx_http_blockcast_metrics_times(u_char *p, const char *name, const char *help,
    uint64_t *counts, const ngx_uint_t *limits, uint64_t usec)
{
    uint64_t    sum;
    ngx_uint_t  i;

    p = ngx_http_blockcast_metrics_head(p, name, "histogram", help);
    sum = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        sum += counts[i];
        p = ngx_sprintf(p, "blockcast_%s_bucket{le=\"%ui.%06ui\"} %uL\n",
                        name, limits[i] / 1000000, limits[i] % 1000000, sum);
    }

    sum += counts[i];

    p = ngx_sprintf(p, "blockcast_%s_bucket{le=\"+Inf\"} %uL\n", name, sum);
    p = ngx_sprintf(p, "blockcast_%s_sum %uL.%06uL\n", name, usec / 1000000,
                    usec % 1000000);

    return ngx_sprintf(p, "blockcast_%s_count %uL\n", name, sum);
}


static ngx_uint_t
ngx_http_blockcast_metrics_up(ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_state_e  state;

    state = ngx_http_blockcast_state(st,
                           ngx_http_blockcast_listeners(st->slot) != 0
                           || st->always);

    return state == ngx_http_blockcast_live
           || state == ngx_http_blockcast_idle;
}


static u_char *
ngx_http_blockcast_metrics_streams(u_char *p,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_int_t                         age;
    ngx_uint_t                        i, n;
    ngx_http_blockcast_slot_t        *slot;
    ngx_http_blockcast_stream_t     **st;
    ngx_http_blockcast_call_conf_t   *call;

#define ngx_http_blockcast_metrics_each(metric, type, help, fmt, value)       \
    p = ngx_http_blockcast_metrics_head(p, metric, type, help);               \
                                                                              \
    for (i = 0; i < n; i++) {                                                 \
        slot = st[i]->slot;                                                   \
        p = ngx_sprintf(p, "blockcast_" metric "{stream=\"%V\"} " fmt "\n",   \
                        &st[i]->name, value);                                 \
    }

    st = bmcf->streams.elts;
    n = bmcf->streams.nelts;

    ngx_http_blockcast_metrics_each("subscribers", "gauge",
        "Listeners of a stream, in all workers.",
        "%ui", ngx_http_blockcast_listeners(slot))

    ngx_http_blockcast_metrics_each("seq", "counter",
        "Number of the newest snapshot.", "%uA", slot->seq)

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

    p = ngx_http_blockcast_metrics_head(p, "age_seconds", "gauge",
                                  "Time since the last good poll.");

    for (i = 0; i < n; i++) {
        age = ngx_http_blockcast_age(st[i]->slot);

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


ngx_int_t
ngx_http_blockcast_metrics_handler(ngx_http_request_t *r)
{
    u_char                           *p;
    size_t                            size;
    uint64_t                          all[ngx_http_blockcast_n_all];
    uint64_t                          times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_str_t                         body;
    ngx_uint_t                        i, n, connections, workers;
    ngx_http_blockcast_shctx_t       *sh;
    ngx_http_blockcast_stream_t     **st;
    ngx_http_blockcast_main_conf_t   *bmcf;

    static const ngx_uint_t  fanout[] = { 50, 100, 250, 500, 1000, 2500, 5000,
                                          10000, 25000, 50000, 100000 };
    static const ngx_uint_t  calls[] = { 1000, 2000, 5000, 10000, 25000, 50000,
                                         100000, 250000, 500000, 1000000,
                                         2500000 };

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {
        return NGX_HTTP_NOT_ALLOWED;
    }

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    sh = bmcf->zone->sh;
    st = bmcf->streams.elts;

    size = NGX_HTTP_BLOCKCAST_METRICS_SIZE;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        size += NGX_HTTP_BLOCKCAST_METRICS_STREAM
                + st[i]->calls.nelts * NGX_HTTP_BLOCKCAST_METRICS_CALL;
    }

    p = ngx_pnalloc(r->pool, size);

    if (p == NULL
        || ngx_http_blockcast_header(r, "Cache-Control", "no-store", 8)
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

    for (n = 0; n < NGX_HTTP_BLOCKCAST_WORKERS; n++) {

        if (n != 0 && sh->workers[n].pid == 0) {
            continue;
        }

        workers += (n != 0);
        connections += sh->workers[n].connections;

        for (i = 0; i < ngx_http_blockcast_n_all; i++) {
            all[i] += sh->workers[n].counters[i];
        }
    }

    p = ngx_http_blockcast_metrics_one(p, "connections", "gauge",
            "Open WebSocket and event stream connections.", connections);
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

    for (i = 0; i <= NGX_HTTP_BLOCKCAST_FORMS; i++) {
        p = ngx_sprintf(p, "blockcast_frames_out_total{encoding=\"%s\"} %uL\n",
                        ngx_http_blockcast_metrics_encodings[i],
                        all[ngx_http_blockcast_n_frames + i]);
    }

    p = ngx_http_blockcast_metrics_head(p, "bytes_out_total", "counter",
                                  "Bytes of the frames sent, by encoding.");

    for (i = 0; i <= NGX_HTTP_BLOCKCAST_FORMS; i++) {
        p = ngx_sprintf(p, "blockcast_bytes_out_total{encoding=\"%s\"} %uL\n",
                        ngx_http_blockcast_metrics_encodings[i],
                        all[ngx_http_blockcast_n_bytes + i]);
    }

    p = ngx_http_blockcast_metrics_one(p, "conflated_total", "counter",
            "Snapshots that a slow client skipped.",
            all[ngx_http_blockcast_n_conflated]);
    p = ngx_http_blockcast_metrics_one(p, "slow_closed_total", "counter",
            "Clients closed because they took nothing for too long.",
            all[ngx_http_blockcast_n_slow]);
    p = ngx_http_blockcast_metrics_one(p, "no_pong_total", "counter",
            "Clients closed because they answered no ping.",
            all[ngx_http_blockcast_n_no_pong]);

    p = ngx_http_blockcast_metrics_head(p, "closes_total", "counter",
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

    p = ngx_http_blockcast_metrics_times(p, "fanout_seconds",
            "From a publish to the last socket of a worker.",
            &all[ngx_http_blockcast_n_fanout], fanout,
            all[ngx_http_blockcast_n_fanout_usec]);

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS; i++) {
        times[i] = sh->call_times[i];
    }

    p = ngx_http_blockcast_metrics_times(p, "call_seconds",
            "From a call to the node's answer.", times, calls,
            (uint64_t) sh->call_msec * 1000);

    p = ngx_http_blockcast_metrics_one(p, "poller_pid", "gauge",
            "Process that polls.", sh->lease & 0xffffffff);
    p = ngx_http_blockcast_metrics_one(p, "leader", "gauge",
            "1: this nginx polls; 0: it follows another with its state file.",
            sh->role == ngx_http_blockcast_leader);
    p = ngx_http_blockcast_metrics_one(p, "poller_takeovers_total", "counter",
            "Times that a worker became the poller.", sh->takeovers);
    p = ngx_http_blockcast_metrics_one(p, "configurations_total", "counter",
            "Configurations loaded: the start and each reload.",
            sh->generations);
    p = ngx_http_blockcast_metrics_one(p, "zone_size_bytes", "gauge",
            "Size of the zone.", bmcf->shm_zone->shm.size);
    p = ngx_http_blockcast_metrics_one(p, "zone_free_bytes", "gauge",
            "Free pages of the zone.",
            (uint64_t) bmcf->zone->shpool->pfree * ngx_pagesize);

    p = ngx_http_blockcast_metrics_streams(p, bmcf);

    body.len = p - body.data;

    return ngx_http_blockcast_respond(r, NGX_HTTP_OK,
                                      "text/plain; version=0.0.4", &body);
}
