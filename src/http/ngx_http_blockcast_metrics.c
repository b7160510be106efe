
/*
 * Metrics for Prometheus, in its text format 0.0.4.
 *
 * To add a metric: a counter of clients is a line in
 * ngx_http_blockcast_metrics_clients(), a number per stream is a row of
 * ngx_http_blockcast_metrics_stream_rows, and a counter per node is a row of
 * ngx_http_blockcast_metrics_node_rows.
 */


#include "ngx_http_blockcast_metrics.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_head_status.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_histogram.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast_cluster_status.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_health.h"
#include "ngx_http_blockcast_rest.h"


/* initial room for the text, which doubles when it is full (bytes) */
#define NGX_HTTP_BLOCKCAST_METRICS_SIZE  16384


/* the response's body while it is written; start is NULL without memory */

typedef struct {
    ngx_pool_t                   *pool;
    u_char                       *start;
    u_char                       *last;
    u_char                       *end;
} ngx_http_blockcast_metrics_text_t;


/*
 * A number per stream: the result of value(), or if that is NULL the
 * ngx_atomic_t at `offset` in the stream's slot.  A negative result means that
 * the stream has no such number.
 */

typedef struct {
    const char                   *name;
    const char                   *type;
    const char                   *help;
    size_t                        offset;
    int64_t                     (*value)(ngx_http_blockcast_stream_t *st);
    ngx_uint_t                    msec;     /* in msec, shown in seconds */
} ngx_http_blockcast_metrics_stream_row_t;


/* a counter per node */

typedef struct {
    const char                   *name;
    const char                   *help;
    size_t                        offset;   /* in its counters */
} ngx_http_blockcast_metrics_node_row_t;


typedef struct {
    ngx_str_t                           *name;
    ngx_http_blockcast_node_status_t     status;
    ngx_http_blockcast_node_counters_t  *counters;
    ngx_http_blockcast_head_t           *head;
    ngx_http_blockcast_head_record_t    *record;    /* if there is a head */
    ngx_http_blockcast_head_status_t     head_status;
} ngx_http_blockcast_metrics_node_t;


/* a counter per head */

typedef struct {
    const char                   *name;
    const char                   *help;
    size_t                        offset;   /* in its record */
} ngx_http_blockcast_metrics_head_row_t;


static int64_t ngx_http_blockcast_metrics_listeners(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_up(ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_interval(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_data(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_max(ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_zone(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_log(ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_age(ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_keys(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_keys_listened(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_keys_late(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_key_polls(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_key_changes(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_keys_evicted(
    ngx_http_blockcast_stream_t *st);
static int64_t ngx_http_blockcast_metrics_keys_refused(
    ngx_http_blockcast_stream_t *st);


static const char  *ngx_http_blockcast_metrics_encodings[] = {
    "text", "deflate", "delta", "delta_deflate", "other"
};


static ngx_http_blockcast_metrics_stream_row_t
    ngx_http_blockcast_metrics_stream_rows[] =
{
    { "subscribers", "gauge", "Listeners of a stream, in all workers.",
      0, ngx_http_blockcast_metrics_listeners, 0 },

    { "seq", "gauge", "Number of the newest snapshot.",
      offsetof(ngx_http_blockcast_slot_t, seq), NULL, 0 },

    { "updates_total", "counter",
      "Changes of the data, batches of a log: the same number, to be rated.",
      offsetof(ngx_http_blockcast_slot_t, seq), NULL, 0 },

    { "polls_total", "counter", "Rounds of calls that were finished.",
      offsetof(ngx_http_blockcast_slot_t, polls), NULL, 0 },

    { "polls_failed_total", "counter", "Rounds that brought no data.",
      offsetof(ngx_http_blockcast_slot_t, polls_failed), NULL, 0 },

    { "polls_overrun_total", "counter",
      "Rounds left out because the one before took longer than the interval.",
      offsetof(ngx_http_blockcast_slot_t, polls_overrun), NULL, 0 },

    { "stream_gaps_total", "counter",
      "Gaps of a log that its program has told: entries not delivered.",
      offsetof(ngx_http_blockcast_slot_t, gaps), NULL, 0 },

    { "polls_extra_total", "counter",
      "Rounds made because of a poke or of the node's head.",
      offsetof(ngx_http_blockcast_slot_t, polls_extra), NULL, 0 },

    { "pokes_total", "counter", "Pokes of blockcast_poke that were accepted.",
      offsetof(ngx_http_blockcast_slot_t, pokes), NULL, 0 },

    { "pokes_folded_total", "counter",
      "Pokes, of the node's head too, that a round for another one answers.",
      offsetof(ngx_http_blockcast_slot_t, pokes_folded), NULL, 0 },

    { "pokes_dropped_total", "counter",
      "Pokes without effect: nobody listens, the node is down or limited.",
      offsetof(ngx_http_blockcast_slot_t, pokes_dropped), NULL, 0 },

    { "lag", "gauge", "What a log's source has and was not delivered yet.",
      offsetof(ngx_http_blockcast_slot_t, lag), NULL, 0 },

    { "stream_up", "gauge", "1 when the data is fresh, or nobody wants it.",
      0, ngx_http_blockcast_metrics_up, 0 },

    { "interval_seconds", "gauge",
      "How often a stream is polled when somebody wants it.",
      0, ngx_http_blockcast_metrics_interval, 1 },

    { "data_bytes", "gauge", "Size of the newest data.",
      0, ngx_http_blockcast_metrics_data, 0 },

    { "data_max_bytes", "gauge",
      "The largest data that is taken (blockcast_max_size).",
      0, ngx_http_blockcast_metrics_max, 0 },

    { "stream_zone_bytes", "gauge", "Room of a stream in the zone.",
      0, ngx_http_blockcast_metrics_zone, 0 },

    { "log_bytes", "gauge", "Bytes of a log's size= that are in use.",
      0, ngx_http_blockcast_metrics_log, 0 },

    { "age_seconds", "gauge", "Time since the last good poll.",
      0, ngx_http_blockcast_metrics_age, 1 },

    { "keys", "gauge", "Keys of a stream that the zone keeps.",
      0, ngx_http_blockcast_metrics_keys, 0 },

    { "keys_listened", "gauge", "Keys that somebody listens to.",
      0, ngx_http_blockcast_metrics_keys_listened, 0 },

    { "keys_late_seconds", "gauge",
      "By how much the interval of the keys is stretched (rate=).",
      0, ngx_http_blockcast_metrics_keys_late, 1 },

    { "key_polls_total", "counter", "Answers of the node, key by key.",
      0, ngx_http_blockcast_metrics_key_polls, 0 },

    { "key_changes_total", "counter", "Changes of the data of keys.",
      0, ngx_http_blockcast_metrics_key_changes, 0 },

    { "keys_evicted_total", "counter",
      "Keys nobody listened to that made room for others.",
      0, ngx_http_blockcast_metrics_keys_evicted, 0 },

    { "keys_refused_total", "counter",
      "Keys that were refused: all places were listened to.",
      0, ngx_http_blockcast_metrics_keys_refused, 0 },

    { NULL, NULL, NULL, 0, NULL, 0 }
};


static ngx_http_blockcast_metrics_node_row_t
    ngx_http_blockcast_metrics_node_rows[] =
{
    { "node_calls_total", "Calls made to a node.",
      offsetof(ngx_http_blockcast_node_counters_t, calls) },

    { "node_tries_total", "Single calls made to a node that was not ok.",
      offsetof(ngx_http_blockcast_node_counters_t, probes) },

    { "node_outages_total", "Times that a node became down or limited.",
      offsetof(ngx_http_blockcast_node_counters_t, outages) },

    { NULL, NULL, 0 }
};


static ngx_http_blockcast_metrics_head_row_t
    ngx_http_blockcast_metrics_head_rows[] =
{
    { "head_connects_total", "Times that the WebSocket to a node was made.",
      offsetof(ngx_http_blockcast_head_record_t, connects) },

    { "head_losses_total", "Times that it was lost, or could not be made.",
      offsetof(ngx_http_blockcast_head_record_t, losses) },

    { "head_messages_total", "Notifications that came over it.",
      offsetof(ngx_http_blockcast_head_record_t, messages) },

    { NULL, NULL, 0 }
};


/*
 * Appends to the text, which grows as needed.  Without memory, text->start
 * becomes NULL and stays so.
 */

static void
ngx_http_blockcast_metrics_print(ngx_http_blockcast_metrics_text_t *text,
    const char *fmt, ...)
{
    u_char   *p;
    size_t    size, used;
    va_list   args;

    while (text->start != NULL) {
        va_start(args, fmt);
        p = ngx_vslprintf(text->last, text->end, fmt, args);
        va_end(args);

        if (p < text->end) {
            text->last = p;
            return;
        }

        /* it was cut, or fits exactly: try again with twice the room */

        used = text->last - text->start;
        size = 2 * (text->end - text->start);

        p = ngx_pnalloc(text->pool, size);
        if (p == NULL) {
            text->start = NULL;
            return;
        }

        ngx_memcpy(p, text->start, used);
        (void) ngx_pfree(text->pool, text->start);

        text->start = p;
        text->last = p + used;
        text->end = p + size;
    }
}


static void
ngx_http_blockcast_metrics_head(ngx_http_blockcast_metrics_text_t *text,
    const char *name, const char *type, const char *help)
{
    ngx_http_blockcast_metrics_print(text,
                       "# HELP blockcast_%s %s\n# TYPE blockcast_%s %s\n",
                       name, help, name, type);
}


static void
ngx_http_blockcast_metrics_one(ngx_http_blockcast_metrics_text_t *text,
    const char *name, const char *type, const char *help, uint64_t value)
{
    ngx_http_blockcast_metrics_head(text, name, type, help);
    ngx_http_blockcast_metrics_print(text, "blockcast_%s %uL\n", name, value);
}


/* Appends a counter by encoding; counts: one value per encoding. */

static void
ngx_http_blockcast_metrics_by_encoding(ngx_http_blockcast_metrics_text_t *text,
    const char *name, const char *help, const uint64_t *counts)
{
    ngx_uint_t  i;

    ngx_http_blockcast_metrics_head(text, name, "counter", help);

    for (i = 0; i <= NGX_HTTP_BLOCKCAST_VARIANTS; i++) {
        ngx_http_blockcast_metrics_print(text,
                       "blockcast_%s{encoding=\"%s\"} %uL\n", name,
                       ngx_http_blockcast_metrics_encodings[i], counts[i]);
    }
}


/*
 * Appends a histogram.  counts: one per bucket; limits: the upper bounds of
 * all buckets but the last (usec); usec: the sum of all times; stream: its
 * name, or NULL for a histogram of no stream.
 */

static void
ngx_http_blockcast_metrics_times(ngx_http_blockcast_metrics_text_t *text,
    const char *name, ngx_str_t *stream, const uint64_t *counts,
    const ngx_uint_t *limits, uint64_t usec)
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

    /* without the comma before the next label */

    all = of;
    all.len -= (of.len != 0);

    sum = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        sum += counts[i];
        ngx_http_blockcast_metrics_print(text,
                        "blockcast_%s_bucket{%Vle=\"%ui.%06ui\"} %uL\n",
                        name, &of, limits[i] / 1000000, limits[i] % 1000000,
                        sum);
    }

    sum += counts[i];

    ngx_http_blockcast_metrics_print(text,
                        "blockcast_%s_bucket{%Vle=\"+Inf\"} %uL\n",
                        name, &of, sum);
    ngx_http_blockcast_metrics_print(text,
                        "blockcast_%s_sum%s%V%s %uL.%06uL\n", name,
                        of.len ? "{" : "", &all, of.len ? "}" : "",
                        usec / 1000000, usec % 1000000);
    ngx_http_blockcast_metrics_print(text, "blockcast_%s_count%s%V%s %uL\n",
                        name, of.len ? "{" : "", &all, of.len ? "}" : "", sum);
}


static int64_t
ngx_http_blockcast_metrics_listeners(ngx_http_blockcast_stream_t *st)
{
    return ngx_http_blockcast_slot_listeners(st->slot);
}


static int64_t
ngx_http_blockcast_metrics_up(ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_freshness_e  freshness;

    freshness = ngx_http_blockcast_stream_status_freshness(st,
                           ngx_http_blockcast_slot_listeners(st->slot) != 0
                           || st->always);

    return freshness == ngx_http_blockcast_freshness_live
           || freshness == ngx_http_blockcast_freshness_idle;
}


static int64_t
ngx_http_blockcast_metrics_interval(ngx_http_blockcast_stream_t *st)
{
    return st->interval;
}


static int64_t
ngx_http_blockcast_metrics_data(ngx_http_blockcast_stream_t *st)
{
    return st->slot->snap[st->slot->version & 1].data_len;
}


static int64_t
ngx_http_blockcast_metrics_max(ngx_http_blockcast_stream_t *st)
{
    return st->max_size;
}


static int64_t
ngx_http_blockcast_metrics_zone(ngx_http_blockcast_stream_t *st)
{
    return st->slot->size;
}


static int64_t
ngx_http_blockcast_metrics_log(ngx_http_blockcast_stream_t *st)
{
    if (st->field.len == 0) {
        return -1;
    }

    return st->slot->head - st->slot->tail;
}


static int64_t
ngx_http_blockcast_metrics_age(ngx_http_blockcast_stream_t *st)
{
    return ngx_http_blockcast_stream_status_age(st->slot);
}


#define ngx_http_blockcast_metrics_of_keys(name, field)                       \
                                                                              \
static int64_t                                                                \
name(ngx_http_blockcast_stream_t *st)                                         \
{                                                                             \
    return (st->keys != NULL)                                                 \
           ? (int64_t) ngx_http_blockcast_key_table_of(st)->field : -1;       \
}


ngx_http_blockcast_metrics_of_keys(ngx_http_blockcast_metrics_keys_late, late)
ngx_http_blockcast_metrics_of_keys(ngx_http_blockcast_metrics_key_polls, polls)
ngx_http_blockcast_metrics_of_keys(ngx_http_blockcast_metrics_key_changes,
                                   changes)
ngx_http_blockcast_metrics_of_keys(ngx_http_blockcast_metrics_keys_evicted,
                                   evicted)
ngx_http_blockcast_metrics_of_keys(ngx_http_blockcast_metrics_keys_refused,
                                   refused)


static int64_t
ngx_http_blockcast_metrics_keys(ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t  used, listened;

    if (st->keys == NULL) {
        return -1;
    }

    ngx_http_blockcast_key_table_count(ngx_http_blockcast_key_table_of(st),
                                       &used, &listened);
    return used;
}


static int64_t
ngx_http_blockcast_metrics_keys_listened(ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t  used, listened;

    if (st->keys == NULL) {
        return -1;
    }

    ngx_http_blockcast_key_table_count(ngx_http_blockcast_key_table_of(st),
                                       &used, &listened);
    return listened;
}


/* Appends the samples of one row for n streams. */

static void
ngx_http_blockcast_metrics_stream_row(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_metrics_stream_row_t *row,
    ngx_http_blockcast_stream_t **st, ngx_uint_t n)
{
    int64_t     value;
    ngx_uint_t  i;

    ngx_http_blockcast_metrics_head(text, row->name, row->type, row->help);

    for (i = 0; i < n; i++) {

        value = (row->value != NULL)
                ? row->value(st[i])
                : (int64_t) *(ngx_atomic_t *)
                                       ((char *) st[i]->slot + row->offset);

        if (value < 0) {
            continue;
        }

        if (row->msec) {
            ngx_http_blockcast_metrics_print(text,
                               "blockcast_%s{stream=\"%V\"} %L.%03L\n",
                               row->name, &st[i]->name, value / 1000,
                               value % 1000);

        } else {
            ngx_http_blockcast_metrics_print(text,
                               "blockcast_%s{stream=\"%V\"} %L\n",
                               row->name, &st[i]->name, value);
        }
    }
}


static void
ngx_http_blockcast_metrics_streams(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_stream_t **st, ngx_uint_t n)
{
    uint64_t                         times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_uint_t                       i, k;
    ngx_http_blockcast_call_conf_t  *call;

    ngx_http_blockcast_metrics_stream_row_t  *row;

    for (row = ngx_http_blockcast_metrics_stream_rows;
         row->name != NULL;
         row++)
    {
        ngx_http_blockcast_metrics_stream_row(text, row, st, n);
    }

    ngx_http_blockcast_metrics_head(text, "poll_seconds", "histogram",
            "From the first call of a poll to the last answer.");

    for (i = 0; i < n; i++) {
        for (k = 0; k < NGX_HTTP_BLOCKCAST_BUCKETS; k++) {
            times[k] = st[i]->slot->poll_times[k];
        }

        ngx_http_blockcast_metrics_times(text, "poll_seconds", &st[i]->name,
                              times, ngx_http_blockcast_histogram_poll,
                              (uint64_t) st[i]->slot->poll_msec * 1000);
    }

    ngx_http_blockcast_metrics_head(text, "jq_seconds", "histogram",
            "What a stream's jq programs took, those of its params, too.");

    for (i = 0; i < n; i++) {

        if (st[i]->jq == NULL) {
            continue;
        }

        for (k = 0; k < NGX_HTTP_BLOCKCAST_BUCKETS; k++) {
            times[k] = st[i]->slot->jq_times[k];
        }

        ngx_http_blockcast_metrics_times(text, "jq_seconds", &st[i]->name,
                              times, ngx_http_blockcast_histogram_jq,
                              st[i]->slot->jq_usec);
    }

    ngx_http_blockcast_metrics_head(text, "jq_reused_total", "counter",
            "Runs of jq programs not needed: the input was the last one's.");

    for (i = 0; i < n; i++) {

        if (st[i]->jq == NULL) {
            continue;
        }

        ngx_http_blockcast_metrics_print(text,
                            "blockcast_jq_reused_total{stream=\"%V\"} %uA\n",
                            &st[i]->name, st[i]->slot->jq_reused);
    }

    ngx_http_blockcast_metrics_head(text, "call_errors_total", "counter",
                                    "Calls of a round that failed.");

    for (i = 0; i < n; i++) {
        call = st[i]->calls.elts;

        for (k = 0;
             k < st[i]->calls.nelts && k < NGX_HTTP_BLOCKCAST_CALLS;
             k++)
        {
            ngx_http_blockcast_metrics_print(text,
                            "blockcast_call_errors_total{stream=\"%V\","
                            "call=\"%V\"} %uA\n", &st[i]->name,
                            &call[k].name, st[i]->slot->call_errors[k]);
        }
    }
}


static void
ngx_http_blockcast_metrics_node_health(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_metrics_node_t *node, ngx_uint_t n)
{
    ngx_uint_t  i, k;
    ngx_msec_t  left;

    ngx_http_blockcast_metrics_head(text, "node_state", "gauge",
            "1 for the state the node is in: ok, down, or limited (429).");

    for (i = 0; i < n; i++) {
        for (k = 0; k <= ngx_http_blockcast_node_limited; k++) {
            ngx_http_blockcast_metrics_print(text,
                            "blockcast_node_state{node=\"%V\",state=\"%s\"} "
                            "%d\n", node[i].name,
                            ngx_http_blockcast_node_health_names[k],
                            node[i].status.health == k);
        }
    }

    ngx_http_blockcast_metrics_head(text, "node_retry_seconds", "gauge",
            "Time until a node that is not ok is tried again.");

    for (i = 0; i < n; i++) {
        left = (node[i].status.health == ngx_http_blockcast_node_ok)
               ? 0
               : ngx_http_blockcast_node_status_retry_in(&node[i].status);

        ngx_http_blockcast_metrics_print(text,
                        "blockcast_node_retry_seconds{node=\"%V\"} "
                        "%M.%03M\n", node[i].name, left / 1000, left % 1000);
    }
}


/* Appends the metrics of the heads, the WebSockets to nodes that have one. */

static void
ngx_http_blockcast_metrics_heads(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_metrics_node_t *node, ngx_uint_t n)
{
    ngx_uint_t                              i;
    ngx_http_blockcast_metrics_head_row_t  *row;

    ngx_http_blockcast_metrics_head(text, "head_up", "gauge",
            "1 while the WebSocket to a node is connected.");

    for (i = 0; i < n; i++) {
        if (node[i].head != NULL) {
            ngx_http_blockcast_metrics_print(text,
                            "blockcast_head_up{node=\"%V\"} %d\n",
                            node[i].name, node[i].head_status.state
                            == ngx_http_blockcast_head_is_connected);
        }
    }

    for (row = ngx_http_blockcast_metrics_head_rows;
         row->name != NULL;
         row++)
    {
        ngx_http_blockcast_metrics_head(text, row->name, "counter", row->help);

        for (i = 0; i < n; i++) {
            if (node[i].head != NULL) {
                ngx_http_blockcast_metrics_print(text,
                            "blockcast_%s{node=\"%V\"} %uA\n",
                            row->name, node[i].name,
                            *(ngx_atomic_t *)
                                ((char *) node[i].record + row->offset));
            }
        }
    }
}


static void
ngx_http_blockcast_metrics_nodes(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_metrics_node_t *node, ngx_uint_t n)
{
    ngx_uint_t                              i, k;
    ngx_http_blockcast_metrics_node_row_t  *row;

    ngx_http_blockcast_metrics_node_health(text, node, n);

    for (row = ngx_http_blockcast_metrics_node_rows;
         row->name != NULL;
         row++)
    {
        ngx_http_blockcast_metrics_head(text, row->name, "counter", row->help);

        for (i = 0; i < n; i++) {
            ngx_http_blockcast_metrics_print(text,
                            "blockcast_%s{node=\"%V\"} %uA\n",
                            row->name, node[i].name,
                            *(ngx_atomic_t *)
                                ((char *) node[i].counters + row->offset));
        }
    }

    ngx_http_blockcast_metrics_head(text, "node_failures_total", "counter",
            "Calls that a node did not answer, by what was wrong.");

    for (i = 0; i < n; i++) {
        for (k = 1; k < ngx_http_blockcast_n_faults; k++) {
            ngx_http_blockcast_metrics_print(text,
                            "blockcast_node_failures_total{node=\"%V\","
                            "fault=\"%s\"} %uA\n", node[i].name,
                            ngx_http_blockcast_fault_names[k],
                            node[i].counters->faults[k]);
        }
    }
}


/* Appends the counters of clients; all: the sums over all workers. */

static void
ngx_http_blockcast_metrics_clients(ngx_http_blockcast_metrics_text_t *text,
    const uint64_t *all)
{
    ngx_uint_t  i;

    ngx_http_blockcast_metrics_one(text, "accepted_total", "counter",
            "Handshakes accepted.", all[ngx_http_blockcast_n_accepted]);
    ngx_http_blockcast_metrics_one(text, "refused_total", "counter",
            "Handshakes refused.", all[ngx_http_blockcast_n_refused]);
    ngx_http_blockcast_metrics_one(text, "frames_in_total", "counter",
            "Messages and control frames of clients.",
            all[ngx_http_blockcast_n_frames_in]);

    ngx_http_blockcast_metrics_by_encoding(text, "frames_out_total",
            "Frames sent, by encoding.", &all[ngx_http_blockcast_n_frames]);
    ngx_http_blockcast_metrics_by_encoding(text, "bytes_out_total",
            "Bytes of the frames sent, by encoding.",
            &all[ngx_http_blockcast_n_bytes]);

    ngx_http_blockcast_metrics_one(text, "conflated_total", "counter",
            "Snapshots that a slow client skipped.",
            all[ngx_http_blockcast_n_conflated]);
    ngx_http_blockcast_metrics_one(text, "gaps_total", "counter",
            "Resumes of a log after which not all was kept.",
            all[ngx_http_blockcast_n_gaps]);
    ngx_http_blockcast_metrics_one(text, "slow_closed_total", "counter",
            "Clients closed because they took nothing for too long.",
            all[ngx_http_blockcast_n_slow]);
    ngx_http_blockcast_metrics_one(text, "overflow_closed_total", "counter",
            "Clients closed because they did not read their answers.",
            all[ngx_http_blockcast_n_overflows]);
    ngx_http_blockcast_metrics_one(text, "no_pong_total", "counter",
            "Clients closed because they answered no ping.",
            all[ngx_http_blockcast_n_no_pong]);

    ngx_http_blockcast_metrics_head(text, "closes_total", "counter",
            "Connections ended, by Close code (1006: there was none).");

    for (i = 0; i < 14; i++) {
        ngx_http_blockcast_metrics_print(text,
                            "blockcast_closes_total{code=\"%ui\"} %uL\n",
                            1000 + i, all[ngx_http_blockcast_n_closes + i]);
    }

    ngx_http_blockcast_metrics_print(text,
                            "blockcast_closes_total{code=\"other\"} %uL\n",
                            all[ngx_http_blockcast_n_closes + i]);
}


static void
ngx_http_blockcast_metrics_latency(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_zone_shctx_t *sh, const uint64_t *all)
{
    uint64_t    times[NGX_HTTP_BLOCKCAST_BUCKETS];
    ngx_uint_t  i;

    ngx_http_blockcast_metrics_head(text, "fanout_seconds", "histogram",
            "From a publish to the last socket of a worker.");
    ngx_http_blockcast_metrics_times(text, "fanout_seconds", NULL,
            &all[ngx_http_blockcast_n_fanout],
            ngx_http_blockcast_histogram_publish,
            all[ngx_http_blockcast_n_fanout_usec]);

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS; i++) {
        times[i] = sh->publish_times[i];
    }

    ngx_http_blockcast_metrics_head(text, "publish_seconds", "histogram",
            "From the last answer of a poll to its data in the zone.");
    ngx_http_blockcast_metrics_times(text, "publish_seconds", NULL, times,
            ngx_http_blockcast_histogram_publish, sh->publish_usec);

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS; i++) {
        times[i] = sh->call_times[i];
    }

    ngx_http_blockcast_metrics_head(text, "call_seconds", "histogram",
            "From a call to the node's answer.");
    ngx_http_blockcast_metrics_times(text, "call_seconds", NULL, times,
            ngx_http_blockcast_histogram_call, (uint64_t) sh->call_msec * 1000);
}


static void
ngx_http_blockcast_metrics_poller(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                        i;
    ngx_http_blockcast_zone_shctx_t  *sh;

    static const char *const  jq_ends[] = { "time", "memory", "crash",
                                            "killed" };

    sh = bmcf->zone->sh;

    ngx_http_blockcast_metrics_head(text, "jq_restarts_total", "counter",
            "Processes that ended while they ran a jq program, by cause.");

    for (i = 0; i < ngx_http_blockcast_n_jq_ends; i++) {
        ngx_http_blockcast_metrics_print(text,
                            "blockcast_jq_restarts_total{cause=\"%s\"} %uA\n",
                            jq_ends[i], sh->jq_ends[i]);
    }

    ngx_http_blockcast_metrics_one(text, "poller_pid", "gauge",
            "Process that polls.", sh->lease & 0xffffffff);
    ngx_http_blockcast_metrics_one(text, "leader", "gauge",
            "1: this nginx polls; 0: it follows another one.",
            sh->role == ngx_http_blockcast_leader
            && (bmcf->cluster == NULL || sh->cluster.leads));
    ngx_http_blockcast_metrics_one(text, "poller_active", "gauge",
            "1 when a worker holds the lease to poll.",
            sh->lease != 0
            && (ngx_msec_int_t) (sh->lease_until - ngx_current_msec) > 0);
    ngx_http_blockcast_metrics_one(text, "poller_takeovers_total", "counter",
            "Times that a worker became the poller.", sh->takeovers);
    ngx_http_blockcast_metrics_one(text, "configurations_total", "counter",
            "Configurations loaded: the start and each reload.",
            sh->generations);
    ngx_http_blockcast_metrics_one(text, "zone_size_bytes", "gauge",
            "Size of the zone.", bmcf->shm_zone->shm.size);
    ngx_http_blockcast_metrics_one(text, "zone_free_bytes", "gauge",
            "Free pages of the zone, for streams to be added.",
            (uint64_t) bmcf->zone->shpool->pfree * ngx_pagesize);
}


/* Appends what this gateway knows of the cluster and its engine. */

static void
ngx_http_blockcast_metrics_cluster(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_cluster_record_t *record)
{
    ngx_uint_t  connected;

    connected = (record->status[record->version & 1].state
                 >= ngx_http_blockcast_is_syncing);

    ngx_http_blockcast_metrics_one(text, "cluster_engine_up", "gauge",
            "1: the cluster's engine is connected.", connected);
    ngx_http_blockcast_metrics_one(text, "cluster_leader", "gauge",
            "1: this gateway leads the cluster.", record->leads);
    ngx_http_blockcast_metrics_one(text, "cluster_term", "gauge",
            "Term of the newest entry of the cluster's log.", record->term);
    ngx_http_blockcast_metrics_one(text, "cluster_entries_total", "counter",
            "Entries of the log that were read or written.", record->entries);
    ngx_http_blockcast_metrics_one(text, "cluster_appends_total", "counter",
            "Entries that the log took from here.", record->appended);
    ngx_http_blockcast_metrics_one(text, "cluster_append_usec_total",
            "counter", "Microseconds until it had them, all in all.",
            record->append_usec);
    ngx_http_blockcast_metrics_one(text, "cluster_engine_losses_total",
            "counter", "Times that the engine was lost.", record->losses);
    ngx_http_blockcast_metrics_one(text, "cluster_elections_total", "counter",
            "Times that this gateway began to lead.", record->elections);
    ngx_http_blockcast_metrics_one(text, "cluster_fenced_total", "counter",
            "Entries that were refused since another gateway leads.",
            record->fenced);
    ngx_http_blockcast_metrics_one(text, "cluster_jumps_total", "counter",
            "Times that this gateway skipped numbers: the engine had changed.",
            record->jumps);
    ngx_http_blockcast_metrics_one(text, "cluster_breaks_total", "counter",
            "Times that entries of the log were missing.", record->breaks);
    ngx_http_blockcast_metrics_one(text, "cluster_engine_memory_bytes",
            "gauge", "Memory that the engine uses.", record->memory);
    ngx_http_blockcast_metrics_one(text, "cluster_log_bytes", "gauge",
            "Bytes of the log behind its newest image.", record->since_image);
}


/* Appends metrics of the whole nginx, which belong to no stream or node. */

static void
ngx_http_blockcast_metrics_server(ngx_http_blockcast_metrics_text_t *text,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    uint64_t                          all[ngx_http_blockcast_n_all];
    ngx_uint_t                        i, n, connections, workers;
    ngx_http_blockcast_zone_shctx_t  *sh;

    sh = bmcf->zone->sh;

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

    ngx_http_blockcast_metrics_head(text, "info", "gauge",
            "The version that runs, and the epoch of its data.");
    ngx_http_blockcast_metrics_print(text,
            "blockcast_info{version=\"" NGX_HTTP_BLOCKCAST_VERSION
            "\",epoch=\"%uL\"} 1\n", sh->epoch);

    ngx_http_blockcast_metrics_one(text, "connections", "gauge",
            "Open WebSockets, event streams and long polls.", connections);
    ngx_http_blockcast_metrics_one(text, "workers", "gauge",
            "Workers of all configurations that are alive.", workers);

    ngx_http_blockcast_metrics_clients(text, all);
    ngx_http_blockcast_metrics_latency(text, sh, all);
    ngx_http_blockcast_metrics_poller(text, bmcf);

    if (bmcf->cluster != NULL) {
        ngx_http_blockcast_metrics_cluster(text, &sh->cluster);
    }
}


/*
 * Collects the nodes of the streams that the client may see.  Returns an array
 * of r->pool with *n of them, or NULL without memory.
 */

static ngx_http_blockcast_metrics_node_t *
ngx_http_blockcast_metrics_visible_nodes(ngx_http_request_t *r,
    uint64_t allowed, ngx_uint_t *n)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_node_t         **nodes;
    ngx_http_blockcast_loc_conf_t      *blcf;
    ngx_http_blockcast_main_conf_t     *bmcf;
    ngx_http_blockcast_metrics_node_t  *visible, *node;

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    visible = ngx_pcalloc(r->pool,
                          (bmcf->nodes.nelts + 1)
                          * sizeof(ngx_http_blockcast_metrics_node_t));
    if (visible == NULL) {
        return NULL;
    }

    nodes = bmcf->nodes.elts;
    *n = 0;

    for (i = 0; i < bmcf->nodes.nelts; i++) {

        if (!ngx_http_blockcast_health_node_visible(bmcf, nodes[i],
                                                    blcf->offers, allowed))
        {
            continue;
        }

        node = &visible[(*n)++];
        node->name = &nodes[i]->name;
        node->head = nodes[i]->head;

        if (node->head != NULL) {
            node->record = ngx_http_blockcast_head_status_record(bmcf->zone,
                                                                 node->head);
            ngx_http_blockcast_head_status_read(bmcf->zone, node->head,
                                                &node->head_status);
        }

        if (ngx_http_blockcast_node_status_read(bmcf->zone, node->name,
                                                &node->status, &node->counters)
            != NGX_OK)
        {
            /* before the first poll: it counts as ok, with all counters 0 */

            ngx_memzero(&node->status,
                        sizeof(ngx_http_blockcast_node_status_t));
            node->counters = &bmcf->zone->sh->nodes[nodes[i]->index].counters;
        }
    }

    return visible;
}


ngx_int_t
ngx_http_blockcast_metrics_handler(ngx_http_request_t *r)
{
    uint64_t                             allowed;
    ngx_int_t                            rc;
    ngx_str_t                            body;
    ngx_uint_t                           nstreams, nnodes;
    ngx_http_blockcast_stream_t        **st, **streams;
    ngx_http_blockcast_loc_conf_t       *blcf;
    ngx_http_blockcast_main_conf_t      *bmcf;
    ngx_http_blockcast_metrics_node_t   *nodes;
    ngx_http_blockcast_metrics_text_t    text;

    if (ngx_http_blockcast_rest_begin(r, &allowed, &rc) != NGX_OK) {
        return rc;
    }

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);
    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    streams = ngx_palloc(r->pool, (bmcf->streams.nelts + 1) * sizeof(void *));
    nodes = ngx_http_blockcast_metrics_visible_nodes(r, allowed, &nnodes);

    text.pool = r->pool;
    text.start = ngx_pnalloc(r->pool, NGX_HTTP_BLOCKCAST_METRICS_SIZE);
    text.last = text.start;
    text.end = text.start + NGX_HTTP_BLOCKCAST_METRICS_SIZE;

    if (streams == NULL || nodes == NULL || text.start == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    nstreams = 0;

    for (st = blcf->offers; *st != NULL; st++) {
        if (allowed & ((uint64_t) 1 << (*st)->index)) {
            streams[nstreams++] = *st;
        }
    }

    ngx_http_blockcast_metrics_server(&text, bmcf);
    ngx_http_blockcast_metrics_nodes(&text, nodes, nnodes);
    ngx_http_blockcast_metrics_heads(&text, nodes, nnodes);
    ngx_http_blockcast_metrics_streams(&text, streams, nstreams);

    if (text.start == NULL
        || ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = text.start;
    body.len = text.last - text.start;

    return ngx_http_blockcast_respond(r, NGX_HTTP_OK,
                                      "text/plain; version=0.0.4", &body);
}
