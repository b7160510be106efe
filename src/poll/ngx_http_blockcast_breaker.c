
/*
 * A circuit breaker for each node: whether to call it, and when to try a node
 * again that failed.
 *
 * A node is down when a few calls in a row have failed, and limited when it
 * says that we call too often.  Then only a single call is made from time to
 * time, as a probe; the others wait for it, and are made as soon as it is
 * answered.
 *
 * A node that is down may come back at any moment, and one connection costs it
 * nothing, so it is tried within the shortest interval of its streams, at a
 * random moment.  A node that limits us is tried the less often the longer it
 * has done so.
 */


#include "ngx_http_blockcast_breaker.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_rpc_call.h"


/* how many failures in a row mean that a node is down */
#define NGX_HTTP_BLOCKCAST_NODE_FAILS   3

/* the shortest and longest pause of a node that limits us (msec) */
#define NGX_HTTP_BLOCKCAST_PAUSE        1000
#define NGX_HTTP_BLOCKCAST_PAUSE_MAX    30000

/* the longest Retry-After to honour (msec) */
#define NGX_HTTP_BLOCKCAST_RETRY_MAX    600000


static ngx_int_t ngx_http_blockcast_breaker_success(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_int_t ngx_http_blockcast_breaker_failure(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_msec_t ngx_http_blockcast_breaker_delay(
    ngx_http_blockcast_node_t *node, ngx_uint_t retry_after);
static void ngx_http_blockcast_breaker_log(ngx_http_blockcast_node_t *node,
    ngx_uint_t first);
static void ngx_http_blockcast_breaker_publish(
    ngx_http_blockcast_node_t *node);


static ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_breaker_conf;



void
ngx_http_blockcast_breaker_init(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                   i;
    ngx_http_blockcast_node_t  **nodes;

    ngx_http_blockcast_breaker_conf = bmcf;
    nodes = bmcf->nodes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {
        ngx_queue_init(&nodes[i]->held);
    }
}


void
ngx_http_blockcast_breaker_start(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                            i;
    ngx_http_blockcast_node_t            *node, **nodes;
    ngx_http_blockcast_node_status_t      status;
    ngx_http_blockcast_node_counters_t   *counters;

    nodes = bmcf->nodes.elts;

    for (i = bmcf->nodes.nelts; i < NGX_HTTP_BLOCKCAST_NODES; i++) {

        /* nodes of the previous configuration */

        if (bmcf->zone->sh->nodes[i].version != 0) {
            ngx_memzero(&bmcf->zone->sh->nodes[i],
                        sizeof(ngx_http_blockcast_node_record_t));
        }
    }

    for (i = 0; i < bmcf->nodes.nelts; i++) {
        node = nodes[i];

        node->health = ngx_http_blockcast_node_ok;
        node->failures = 0;
        node->tries = 0;
        node->probe = NULL;

        if (ngx_http_blockcast_node_status_read(bmcf->zone, &node->name,
                                                &status, &counters)
            == NGX_OK
            && status.health == ngx_http_blockcast_node_limited
            && (ngx_msec_int_t) (status.until - ngx_current_msec) > 0
            && status.until - ngx_current_msec <= NGX_HTTP_BLOCKCAST_RETRY_MAX)
        {
            /* take over what the previous poller knew of the node */

            node->health = status.health;
            node->failures = status.failures;
            node->since = status.since;
            node->since_sec = status.since_sec;
            node->until = status.until;

            node->reason.len = status.len;
            node->reason.data = node->text;
            ngx_memcpy(node->text, status.text, status.len);

            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: node \"%V\" answered \"%V\" to the "
                          "worker that polled before, it is not asked for "
                          "%M ms", &node->name, &node->reason,
                          node->until - ngx_current_msec);
        }

        ngx_http_blockcast_breaker_publish(node);
    }
}


void
ngx_http_blockcast_breaker_stop(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                   i;
    ngx_http_blockcast_node_t  **nodes;

    nodes = bmcf->nodes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {
        nodes[i]->probe = NULL;
        ngx_queue_init(&nodes[i]->held);
    }
}


ngx_int_t
ngx_http_blockcast_breaker_gate(ngx_http_blockcast_node_t *node,
    ngx_uint_t failed)
{
    if (node->health == ngx_http_blockcast_node_ok) {
        return NGX_OK;
    }

    if (node->health == ngx_http_blockcast_node_down && !failed) {

        /* a call that has never failed is tried once */
        return NGX_OK;
    }

    if ((ngx_msec_int_t) (ngx_http_blockcast_breaker_due(
                                        node) - ngx_current_msec)
        <= 0)
    {
        node->probe = NULL;
        return NGX_OK;
    }

    return (node->probe != NULL) ? NGX_AGAIN : NGX_DECLINED;
}


ngx_msec_t
ngx_http_blockcast_breaker_due(ngx_http_blockcast_node_t *node)
{
    ngx_msec_t  due;

    if (node->probe == NULL) {
        return node->until;
    }

    due = node->probe->started + ngx_http_blockcast_poller_least(node);

    return ((ngx_msec_int_t) (due - node->until) > 0) ? due : node->until;
}


/* Returns the node's counters in the zone. */

static ngx_http_blockcast_node_counters_t *
ngx_http_blockcast_breaker_counters(ngx_http_blockcast_node_t *node)
{
    ngx_http_blockcast_zone_shctx_t  *sh;

    sh = ngx_http_blockcast_breaker_conf->zone->sh;

    return &sh->nodes[node->index].counters;
}


void
ngx_http_blockcast_breaker_asked(ngx_http_blockcast_node_t *node,
    ngx_http_blockcast_rpc_call_t *rpc, ngx_uint_t failed)
{
    ngx_http_blockcast_node_counters_t  *counters;

    counters = ngx_http_blockcast_breaker_counters(node);
    counters->calls++;

    if (node->health == ngx_http_blockcast_node_ok
        || node->probe != NULL
        || (node->health == ngx_http_blockcast_node_down && !failed))
    {
        return;
    }

    node->probe = rpc;
    rpc->tried = 1;
    node->tries++;
    counters->probes++;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: node \"%V\" is tried with \"%V\", try %ui",
                   &node->name, &rpc->method, node->tries);
}


ngx_int_t
ngx_http_blockcast_breaker_answer(ngx_http_blockcast_rpc_call_t *rpc)
{
    if (rpc->fault == ngx_http_blockcast_fault_none) {
        return ngx_http_blockcast_breaker_success(rpc);
    }

    if (rpc->overdue) {

        /* it was counted already */

        return NGX_OK;
    }

    return ngx_http_blockcast_breaker_failure(rpc);
}


ngx_int_t
ngx_http_blockcast_breaker_overdue(ngx_http_blockcast_rpc_call_t *rpc)
{
    rpc->overdue = 1;

    if (rpc->finished) {
        return NGX_OK;
    }

    rpc->fault = ngx_http_blockcast_fault_timeout;

    rpc->message.data = rpc->text;
    rpc->message.len = ngx_snprintf(rpc->text, NGX_HTTP_BLOCKCAST_ERROR_LEN,
                                    "no reply within %M ms",
                                    ngx_current_msec - rpc->started)
                       - rpc->text;

    return ngx_http_blockcast_breaker_failure(rpc);
}


static ngx_int_t
ngx_http_blockcast_breaker_success(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_uint_t                  n;
    ngx_msec_t                  lasted, status;
    ngx_http_blockcast_node_t  *node;

    node = rpc->node;

    if (node->health == ngx_http_blockcast_node_limited && !rpc->tried) {

        /* ignore the answer to a call made before the limit */

        return NGX_OK;
    }

    if (node->health == ngx_http_blockcast_node_ok) {

        if (node->failures != 0) {
            node->failures = 0;
            ngx_http_blockcast_breaker_publish(node);
        }

        return NGX_OK;
    }

    lasted = ngx_current_msec - node->since;

    if (ngx_http_blockcast_log_throttle_end(&node->repeat, &n, &status)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: node \"%V\" %s again, after %M.%03M s and "
                      "%ui tries", &node->name,
                      node->health == ngx_http_blockcast_node_limited
                      ? "takes requests" : "answers",
                      lasted / 1000, lasted % 1000, node->tries);
    }

    node->health = ngx_http_blockcast_node_ok;
    node->failures = 0;
    node->probe = NULL;

    ngx_http_blockcast_breaker_publish(node);

    /* poll now what had to wait */

    ngx_http_blockcast_poller_hurry(node);

    return NGX_DONE;
}


static ngx_int_t
ngx_http_blockcast_breaker_failure(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_uint_t                           limited, was;
    ngx_http_blockcast_node_t           *node;
    ngx_http_blockcast_node_counters_t  *counters;

    node = rpc->node;

    counters = ngx_http_blockcast_breaker_counters(node);
    counters->faults[rpc->fault]++;

    if (node->failures++ == 0) {
        node->since = ngx_current_msec;
        node->since_sec = ngx_time();
        node->tries = 0;
    }

    limited = (rpc->fault == ngx_http_blockcast_fault_limited);

    if (node->health == ngx_http_blockcast_node_ok
        && !limited && node->failures < NGX_HTTP_BLOCKCAST_NODE_FAILS)
    {
        return NGX_OK;
    }

    if (node->health != ngx_http_blockcast_node_ok
        && node->probe != rpc
        && (!limited || node->health == ngx_http_blockcast_node_limited))
    {
        /* ignore it: it was sent before the node failed */

        return NGX_OK;
    }

    was = node->health;

    if (node->probe == rpc || limited) {
        node->probe = NULL;
    }

    /* treat a node that forbids everything as one that limits us */

    node->health = (limited || rpc->status == NGX_HTTP_FORBIDDEN)
                   ? ngx_http_blockcast_node_limited
                   : ngx_http_blockcast_node_down;

    node->until = ngx_current_msec
                  + ngx_http_blockcast_breaker_delay(node, rpc->retry_after);

    node->reason.data = node->text;
    node->reason.len = rpc->message.len;
    ngx_memcpy(node->text, rpc->message.data, rpc->message.len);

    if (was == ngx_http_blockcast_node_ok) {
        counters->outages++;
    }

    ngx_http_blockcast_breaker_log(node, node->health != was);
    ngx_http_blockcast_breaker_publish(node);

    return NGX_DONE;
}


void
ngx_http_blockcast_breaker_postpone(ngx_http_blockcast_node_t *node)
{
    node->probe = NULL;
    node->until = ngx_current_msec + ngx_http_blockcast_breaker_delay(node, 0);

    ngx_http_blockcast_breaker_publish(node);
}


ngx_msec_t
ngx_http_blockcast_breaker_backoff(ngx_msec_t lasted, ngx_msec_t least,
    ngx_msec_t most)
{
    return ngx_max(least, ngx_min(lasted / 2, most));
}


/* Returns the time from now to the next try (msec). */

static ngx_msec_t
ngx_http_blockcast_breaker_delay(ngx_http_blockcast_node_t *node,
    ngx_uint_t retry_after)
{
    ngx_msec_t  delay, least, lasted;

    least = ngx_http_blockcast_poller_least(node);
    lasted = ngx_current_msec - node->since;

    if (node->health == ngx_http_blockcast_node_down) {
        delay = node->backoff ? ngx_http_blockcast_breaker_backoff(
                                        lasted, least, node->backoff)
                              : least;

        return 1 + (ngx_msec_t) ngx_random() % delay;
    }

    least = ngx_max(least, NGX_HTTP_BLOCKCAST_PAUSE);

    if (retry_after != 0) {
        delay = ngx_min(retry_after * 1000, NGX_HTTP_BLOCKCAST_RETRY_MAX);

        return delay + (ngx_msec_t) ngx_random() % (least / 4);
    }

    delay = ngx_http_blockcast_breaker_backoff(lasted, least, node->backoff
                                               ? node->backoff
                                               : NGX_HTTP_BLOCKCAST_PAUSE_MAX);

    return delay / 2 + (ngx_msec_t) ngx_random() % (delay / 2 + 1);
}


static void
ngx_http_blockcast_breaker_log(ngx_http_blockcast_node_t *node,
    ngx_uint_t first)
{
    ngx_uint_t  suppressed;

    if (!ngx_http_blockcast_log_throttle(&node->repeat, &node->reason,
                                         &suppressed)) {
        return;
    }

    if (!first || suppressed != 0) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: node \"%V\" is %s since %M s, %ui tries: %V",
                      &node->name,
                      ngx_http_blockcast_node_health_names[node->health],
                      (ngx_current_msec - node->since) / 1000, node->tries,
                      &node->reason);

    } else if (node->health == ngx_http_blockcast_node_limited) {
        ngx_log_error(
                  NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: node \"%V\" answers \"%V\", "
                  "it is not asked for %M ms, then with one call at a time",
                  &node->name, &node->reason, node->until - ngx_current_msec);

    } else {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: node \"%V\" is down, %ui calls have failed: "
                      "%V; it is tried with one call at a time",
                      &node->name, node->failures, &node->reason);
    }
}


/*
 * Writes the status to one of two texts in turn: no reader sees half of one.
 */

static void
ngx_http_blockcast_breaker_publish(ngx_http_blockcast_node_t *node)
{
    size_t                             len;
    ngx_http_blockcast_node_status_t  *status;
    ngx_http_blockcast_zone_t         *zone;
    ngx_http_blockcast_node_record_t  *record;

    zone = ngx_http_blockcast_breaker_conf->zone;

    if (!ngx_http_blockcast_lease_held(zone)) {
        return;
    }

    record = &zone->sh->nodes[node->index];
    status = &record->status[(record->version + 1) & 1];

    ngx_memzero(status->name, sizeof(status->name));
    ngx_memcpy(status->name, node->name.data, node->name.len);

    status->health = node->health;
    status->failures = node->failures;
    status->since = node->since;
    status->since_sec = node->since_sec;
    status->until = node->until;

    len = (node->health == ngx_http_blockcast_node_ok) ? 0 : node->reason.len;

    status->len = len;
    ngx_memcpy(status->text, node->text, len);

    ngx_memory_barrier();

    record->version++;
}
