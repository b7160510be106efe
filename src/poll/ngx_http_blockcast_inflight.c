
/*
 * Calls in flight.  A request of a poll shares an equal call in flight, waits
 * while the node is down, or makes a call.
 */


#include "ngx_http_blockcast_inflight.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_breaker.h"
#include "ngx_http_blockcast_budget.h"
#include "ngx_http_blockcast_document.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_poll.h"
#include "ngx_http_blockcast_rpc_call.h"
#include "ngx_http_blockcast_stream_note.h"


/* after how long to try the methods again that a node lacked (msec) */
#define NGX_HTTP_BLOCKCAST_INFLIGHT_REPROBE  60000

/* the longest pause of a call that hangs or is limited (msec) */
#define NGX_HTTP_BLOCKCAST_INFLIGHT_APART    30000


static ngx_uint_t ngx_http_blockcast_inflight_readable(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_uint_t each);
static void ngx_http_blockcast_inflight_free(
    ngx_http_blockcast_rpc_call_t *rpc);
static void ngx_http_blockcast_inflight_take(
    ngx_http_blockcast_poll_request_t *request,
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_http_blockcast_rpc_call_t *ngx_http_blockcast_inflight_find(
    ngx_http_blockcast_node_t *node, ngx_str_t *method, ngx_str_t *params,
    ngx_uint_t get);
static void ngx_http_blockcast_inflight_done(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_uint_t ngx_http_blockcast_inflight_hangs(
    ngx_http_blockcast_poll_call_t *call, ngx_http_blockcast_rpc_call_t *rpc);
static void ngx_http_blockcast_inflight_limited(
    ngx_http_blockcast_poll_call_t *call, ngx_http_blockcast_rpc_call_t *rpc);


static ngx_queue_t  ngx_http_blockcast_inflight_calls;

#if (NGX_DEBUG)
static ngx_str_t  ngx_http_blockcast_inflight_good = ngx_string("a result");
#endif


void
ngx_http_blockcast_inflight_init(void)
{
    if (ngx_http_blockcast_inflight_calls.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_inflight_calls);
    }
}


void
ngx_http_blockcast_inflight_start(ngx_http_blockcast_poll_request_t *request)
{
    ngx_str_t                       *method, *params;
    ngx_uint_t                       quiet, get;
    ngx_http_blockcast_rpc_call_t   *rpc;
    ngx_http_blockcast_poll_call_t  *call;
    ngx_http_blockcast_node_t       *node;
    static ngx_str_t                 none = ngx_null_string;

    call = request->call;
    node = call->poll->stream->node;
    get = call->conf->get;
    method = (ngx_str_t *) call->conf->methods.elts + request->method;
    params = &request->params;

    if (get) {

        /* use the path that the program put out */

        if (params->len != 0) {
            method = params;
        }

        params = &none;
    }

    request->result.method = *method;

    rpc = ngx_http_blockcast_inflight_find(node, method, params, get);

    if (rpc != NULL && rpc->finished) {

        ngx_queue_remove(&rpc->queue);

        if (ngx_current_msec - rpc->started <= call->poll->stream->interval) {

            /* use the late answer to a call that was given up */

            ngx_http_blockcast_inflight_take(request, rpc);
            ngx_http_blockcast_inflight_free(rpc);
            return;
        }

        /* too old, and no poll has used it */

        ngx_http_blockcast_rpc_call_free(rpc);
        rpc = NULL;
    }

    if (rpc != NULL && rpc->overdue) {

        if (ngx_http_blockcast_inflight_hangs(call, rpc)) {
            ngx_http_blockcast_inflight_fail(request, "no reply for %M s",
                            (ngx_current_msec - call->hanging + 999) / 1000);
            return;
        }

        ngx_queue_remove(&rpc->queue);
        ngx_http_blockcast_rpc_call_free(rpc);
        rpc = NULL;
    }

    if (rpc == NULL) {

        if (call->limited != 0
            && (ngx_msec_int_t) (call->resume - ngx_current_msec) > 0)
        {
            ngx_http_blockcast_inflight_fail(
                                request, "%V (asked again in %M s)",
                                &call->limit,
                                (call->resume - ngx_current_msec) / 1000 + 1);
            return;
        }

        switch (ngx_http_blockcast_breaker_gate(node, call->failing)) {

        case NGX_DECLINED:
            ngx_http_blockcast_inflight_fail(
                                request, "%V (asked again in %M s)",
                                &node->reason,
                                (node->until - ngx_current_msec) / 1000 + 1);
            return;

        case NGX_AGAIN:
            request->held = 1;
            ngx_queue_insert_tail(&node->held, &request->waiting);
            return;

        default:
            break;
        }

        quiet = call->failing
                && ngx_time() - call->repeat.last
                   < ngx_http_blockcast_log_throttle_again(&call->repeat);

        rpc = ngx_http_blockcast_rpc_call_start(node, method, params, get,
                                            quiet,
                                            ngx_http_blockcast_inflight_done);
        if (rpc == NULL) {
            ngx_http_blockcast_inflight_fail(
                                request, get ? "nginx refuses the path"
                                             : "no memory for the call");
            return;
        }

        ngx_queue_insert_tail(&ngx_http_blockcast_inflight_calls, &rpc->queue);

        ngx_http_blockcast_budget_spend(node, call->poll->lane != NULL);
        ngx_http_blockcast_breaker_asked(node, rpc, call->failing);
    }

    request->rpc = rpc;
    ngx_queue_insert_tail(&rpc->waiters, &request->waiting);
}


void
ngx_http_blockcast_inflight_fail(ngx_http_blockcast_poll_request_t *request,
    const char *fmt, ...)
{
    u_char   *p, text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    va_list   args;

    p = ngx_pnalloc(request->call->poll->pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);

    if (p == NULL) {
        ngx_str_set(&request->result.message, "no memory");

    } else {
        request->result.message.data = text;

        va_start(args, fmt);
        request->result.message.len = ngx_vslprintf(text, text + sizeof(text),
                                                    fmt, args)
                                      - text;
        va_end(args);

        /* the message may quote a program's text, and that the node's data */

        ngx_http_blockcast_gate_printable(&request->result.message, p,
                                          NGX_HTTP_BLOCKCAST_ERROR_LEN);
    }

    ngx_http_blockcast_poll_request_done(request);
}


/*
 * Returns true when libjq can read the result of a call; with each=, inside an
 * array.
 */

static ngx_uint_t
ngx_http_blockcast_inflight_readable(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_uint_t each)
{
    if (rpc->checked) {
        return each ? !rpc->reply.deep_each : !rpc->reply.deep;
    }

    return ngx_http_blockcast_jq_reads(&rpc->result, each);
}


/* Frees a call, or leaves that to the last poll that uses its result. */

static void
ngx_http_blockcast_inflight_free(ngx_http_blockcast_rpc_call_t *rpc)
{
    if (rpc->users != 0) {
        rpc->spent = 1;
        return;
    }

    ngx_http_blockcast_rpc_call_free(rpc);
}


void
ngx_http_blockcast_inflight_leave(ngx_http_blockcast_poll_request_t *request)
{
    ngx_http_blockcast_rpc_call_t  *rpc;

    rpc = request->source;
    request->source = NULL;

    if (--rpc->users == 0 && rpc->spent) {
        ngx_http_blockcast_rpc_call_free(rpc);
    }
}


/* Takes a call's answer: a result, an error, or tries the next method. */

static void
ngx_http_blockcast_inflight_take(ngx_http_blockcast_poll_request_t *request,
    ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_str_t                       *src, *dst;
    ngx_http_blockcast_poll_call_t  *call;
    ngx_http_blockcast_call_conf_t  *conf;

    call = request->call;
    conf = call->conf;

    request->rpc = NULL;
    call->hanging = 0;

    ngx_http_blockcast_inflight_limited(call, rpc);

    if (rpc->missing) {

        if (request->method + 1 < conf->methods.nelts) {
            request->method++;

            if (call->method < request->method) {
                call->method = request->method;
                call->reprobe = ngx_current_msec
                                + NGX_HTTP_BLOCKCAST_INFLIGHT_REPROBE;
            }

            ngx_http_blockcast_inflight_start(request);
            return;
        }

        /* a mere HTTP status may come from another server than the node */

        if (!conf->get && rpc->fault == ngx_http_blockcast_fault_none) {
            call->missing = 1;
            call->reprobe = ngx_current_msec
                            + NGX_HTTP_BLOCKCAST_INFLIGHT_REPROBE;
        }
    }

    if (rpc->result.len != 0 && call->poll->stream->jq != NULL
        && !ngx_http_blockcast_inflight_readable(rpc, conf->each != 0))
    {
        ngx_http_blockcast_inflight_fail(request,
                                         "the result is nested too deeply "
                                         "for the jq program");
        return;
    }

    request->result.has_code = rpc->has_code;
    request->result.code = rpc->code;

    ngx_http_blockcast_stream_note_type(call, &rpc->result);

    if (rpc->checked) {
        request->result.result = rpc->result;
        request->source = rpc;
        rpc->users++;

        ngx_http_blockcast_poll_request_done(request);
        return;
    }

    src = rpc->result.len ? &rpc->result : &rpc->message;
    dst = rpc->result.len ? &request->result.result : &request->result.message;

    dst->data = ngx_pnalloc(call->poll->pool, src->len + 1);

    if (dst->data == NULL) {
        ngx_str_set(&request->result.message, "no memory for the reply");

    } else {
        ngx_memcpy(dst->data, src->data, src->len);
        dst->len = src->len;
    }

    ngx_http_blockcast_poll_request_done(request);
}


static ngx_http_blockcast_rpc_call_t *
ngx_http_blockcast_inflight_find(ngx_http_blockcast_node_t *node,
    ngx_str_t *method, ngx_str_t *params, ngx_uint_t get)
{
    ngx_queue_t                    *q;
    ngx_http_blockcast_rpc_call_t  *rpc;

    for (q = ngx_queue_head(&ngx_http_blockcast_inflight_calls);
         q != ngx_queue_sentinel(&ngx_http_blockcast_inflight_calls);
         q = ngx_queue_next(q))
    {
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, queue);

        if (rpc->node == node
            && rpc->get == get
            && rpc->method.len == method->len
            && rpc->params.len == params->len
            && ngx_memcmp(rpc->method.data, method->data, method->len) == 0
            && (params->len == 0
                || ngx_memcmp(rpc->params.data, params->data, params->len)
                   == 0))
        {
            return rpc;
        }
    }

    return NULL;
}


static void
ngx_http_blockcast_inflight_time(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_msec_t                        msec;
    ngx_http_blockcast_zone_shctx_t  *sh;
    ngx_http_blockcast_main_conf_t   *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);
    sh = bmcf->zone->sh;
    msec = ngx_current_msec - rpc->started;

    ngx_http_blockcast_histogram_add(sh->call_times,
                                     ngx_http_blockcast_histogram_call,
                                     (uint64_t) msec * 1000);
    sh->call_msec += msec;
}


static void
ngx_http_blockcast_inflight_done(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_int_t                           rc;
    ngx_queue_t                        *q, waiters;
    ngx_http_blockcast_poll_request_t  *request;
    ngx_http_blockcast_node_t          *node;

    node = rpc->node;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: call %uL \"%V\" done after %M ms: %V",
                   rpc->id, &rpc->method, ngx_current_msec - rpc->started,
                   rpc->message.len ? &rpc->message
                                    : &ngx_http_blockcast_inflight_good);

    ngx_http_blockcast_inflight_time(rpc);
    rc = ngx_http_blockcast_breaker_answer(rpc);

    if (ngx_queue_empty(&rpc->waiters)) {

        if (rpc->result.len == 0) {
            ngx_queue_remove(&rpc->queue);
            ngx_http_blockcast_rpc_call_free(rpc);

        } else {

            /* keep the answer for the next poll, which need not call again */

            rpc->started = ngx_current_msec;
        }

        if (rc == NGX_DONE) {
            ngx_http_blockcast_inflight_release(node);
        }

        return;
    }

    ngx_queue_remove(&rpc->queue);
    ngx_queue_init(&rpc->queue);

    ngx_queue_init(&waiters);
    ngx_queue_add(&waiters, &rpc->waiters);
    ngx_queue_init(&rpc->waiters);

    while (!ngx_queue_empty(&waiters)) {
        q = ngx_queue_head(&waiters);
        ngx_queue_remove(q);

        request = ngx_queue_data(q, ngx_http_blockcast_poll_request_t,
                                 waiting);

        ngx_http_blockcast_inflight_take(request, rpc);
        ngx_http_blockcast_poll_step(request->call->poll);
    }

    ngx_http_blockcast_inflight_free(rpc);

    if (rc == NGX_DONE) {
        ngx_http_blockcast_inflight_release(node);
    }
}


/* Starts the calls that waited for the node's health to change. */

void
ngx_http_blockcast_inflight_release(ngx_http_blockcast_node_t *node)
{
    ngx_queue_t                        *q, *next, held;
    ngx_http_blockcast_rpc_call_t      *rpc;
    ngx_http_blockcast_poll_request_t  *request;

    if (node->health == ngx_http_blockcast_node_ok) {

        /*
         * repeat calls that hung before the node came back: they may be lost
         */

        for (q = ngx_queue_head(&ngx_http_blockcast_inflight_calls);
             q != ngx_queue_sentinel(&ngx_http_blockcast_inflight_calls);
             q = next)
        {
            next = ngx_queue_next(q);
            rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, queue);

            if (rpc->node == node && rpc->overdue && !rpc->finished
                && ngx_queue_empty(&rpc->waiters))
            {
                ngx_queue_remove(&rpc->queue);
                ngx_http_blockcast_rpc_call_free(rpc);
            }
        }
    }

    if (ngx_queue_empty(&node->held)) {
        return;
    }

    ngx_queue_init(&held);
    ngx_queue_add(&held, &node->held);
    ngx_queue_init(&node->held);

    while (!ngx_queue_empty(&held)) {
        q = ngx_queue_head(&held);
        ngx_queue_remove(q);

        request = ngx_queue_data(q, ngx_http_blockcast_poll_request_t,
                                 waiting);
        request->held = 0;

        ngx_http_blockcast_inflight_start(request);
        ngx_http_blockcast_poll_step(request->call->poll);
    }
}


/*
 * Returns true while a call that was given up still hangs: it is not repeated,
 * as the node may still be working on it.  After two intervals it is aborted
 * and repeated, with pauses that grow the longer this lasts.
 */

static ngx_uint_t
ngx_http_blockcast_inflight_hangs(ngx_http_blockcast_poll_call_t *call,
    ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_msec_t  now, least;

    now = ngx_current_msec;

    if (call->hanging == 0) {
        call->hanging = rpc->started;
    }

    /* allow for half an interval: a poll may be that early */

    least = ngx_max(2 * call->poll->stream->interval, 2 * call->conf->timeout)
            - call->poll->stream->interval / 2;

    return now - rpc->started
           < ngx_http_blockcast_breaker_backoff(
                                        (now - call->hanging) / 2, least,
                                        NGX_HTTP_BLOCKCAST_INFLIGHT_APART);
}


/* Postpones a method that has a rate limit of its own at the node. */

static void
ngx_http_blockcast_inflight_limited(ngx_http_blockcast_poll_call_t *call,
    ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_msec_t  pause, least;

    if (rpc->fault != ngx_http_blockcast_fault_none || !rpc->limited) {
        call->limited = 0;
        return;
    }

    if (call->limited == 0) {
        call->limited = ngx_current_msec;
    }

    /* the next poll comes an interval later anyway */

    least = call->poll->stream->interval / 2;

    pause = ngx_http_blockcast_breaker_backoff(
                                        ngx_current_msec - call->limited,
                                        least,
                                        NGX_HTTP_BLOCKCAST_INFLIGHT_APART);

    call->resume = ngx_current_msec + pause / 2
                   + (ngx_msec_t) ngx_random() % (pause / 2 + 1);

    call->limit.data = call->text;
    call->limit.len = rpc->message.len;
    ngx_memcpy(call->text, rpc->message.data, rpc->message.len);
}


/* Frees late answers that no poll has used. */

void
ngx_http_blockcast_inflight_expire(void)
{
    ngx_queue_t                    *q, *next;
    ngx_http_blockcast_rpc_call_t  *rpc;

    for (q = ngx_queue_head(&ngx_http_blockcast_inflight_calls);
         q != ngx_queue_sentinel(&ngx_http_blockcast_inflight_calls);
         q = next)
    {
        next = ngx_queue_next(q);
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, queue);

        if (rpc->finished && ngx_current_msec - rpc->started > 30000) {
            ngx_queue_remove(&rpc->queue);
            ngx_http_blockcast_rpc_call_free(rpc);
        }
    }
}


void
ngx_http_blockcast_inflight_abort(void)
{
    ngx_queue_t                    *q;
    ngx_http_blockcast_rpc_call_t  *rpc;

    ngx_http_blockcast_document_free();

    while (!ngx_queue_empty(&ngx_http_blockcast_inflight_calls)) {
        q = ngx_queue_head(&ngx_http_blockcast_inflight_calls);
        ngx_queue_remove(q);

        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, queue);
        ngx_http_blockcast_rpc_call_free(rpc);
    }
}
