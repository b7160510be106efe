
/*
 * A poll of a stream: its calls, side by side, and their results.
 */


#include "ngx_http_blockcast_poll.h"
#include "ngx_http_blockcast_histogram.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_rpc_call.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_breaker.h"
#include "ngx_http_blockcast_extra.h"
#include "ngx_http_blockcast_inflight.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "ngx_http_blockcast_key_poll.h"
#include "ngx_http_blockcast_poll_result.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_stream.h"
#include "bc_json.h"
#include "bc_span.h"


static void ngx_http_blockcast_poll_call_start(
    ngx_http_blockcast_poll_call_t *call);
static void ngx_http_blockcast_poll_call_given(
    ngx_http_blockcast_poll_call_t *call, ngx_str_t *result);
static void ngx_http_blockcast_poll_call_program(
    ngx_http_blockcast_poll_call_t *call);
static void ngx_http_blockcast_poll_call_programmed(
    ngx_http_blockcast_jq_job_t *job);
static void ngx_http_blockcast_poll_call_requests(
    ngx_http_blockcast_poll_call_t *call, ngx_str_t *params, ngx_uint_t n,
    ngx_str_t *error);
static ngx_uint_t ngx_http_blockcast_poll_call_params(ngx_str_t *params,
    ngx_uint_t n, ngx_str_t *error);
static ngx_uint_t ngx_http_blockcast_poll_call_paths(ngx_str_t *paths,
    ngx_uint_t n, ngx_str_t *error);
static void ngx_http_blockcast_poll_call_log(
    ngx_http_blockcast_poll_call_t *call);


ngx_int_t
ngx_http_blockcast_poll_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *calls;

    ngx_http_blockcast_inflight_init();

    poll->bmcf = bmcf;
    poll->stream = st;
    poll->ncalls = st->calls.nelts;
    poll->calls = ngx_pcalloc(cycle->pool, poll->ncalls
                                      * sizeof(ngx_http_blockcast_poll_call_t));
    if (poll->calls == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_blockcast_jq_memo_init(cycle->pool, &poll->memo) != NGX_OK) {
        return NGX_ERROR;
    }

    calls = st->calls.elts;

    for (i = 0; i < poll->ncalls; i++) {
        poll->calls[i].poll = poll;
        poll->calls[i].conf = &calls[i];

        if (calls[i].jq != NULL
            && ngx_http_blockcast_jq_memo_init(cycle->pool,
                                               &poll->calls[i].memo)
               != NGX_OK)
        {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


void
ngx_http_blockcast_poll_start(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_poll_call_t  *call;

    poll->pool = ngx_create_pool(4096, ngx_cycle->log);
    if (poll->pool == NULL) {
        return;
    }

    poll->active = 1;
    poll->started = ngx_current_msec;
    poll->asked = ngx_http_blockcast_zone_usec();

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: poll of stream \"%V\", %ui calls",
                   &poll->stream->name, poll->ncalls);

    poll->stream->slot->attempted = ngx_current_msec;

    for (i = 0; i < poll->ncalls; i++) {
        call = &poll->calls[i];

        call->requests = NULL;
        call->nrequests = 0;
        call->left = 0;
        call->started = 0;
        call->waiting = 0;
        call->done = 0;
    }

    poll->shaping = 0;
    poll->asking = NULL;
    poll->proposal = NULL;
    poll->lag = 0;
    poll->progress = 0;

    if (poll->lane == NULL) {
        ngx_http_blockcast_extra_begin(poll);
    }

    ngx_http_blockcast_poll_step(poll);
}


void
ngx_http_blockcast_poll_step(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                       i, before;
    ngx_http_blockcast_poll_call_t  *call;

    if (poll->stepping || poll->shaping) {
        return;
    }

    poll->stepping = 1;

    /* a call with a program for its params waits for the calls before it */

    before = 1;

    for (i = 0; i < poll->ncalls; i++) {
        call = &poll->calls[i];

        if (!call->started && (call->conf->jq == NULL || before)) {
            ngx_http_blockcast_poll_call_start(call);
        }

        if (!call->done) {
            before = 0;
        }
    }

    poll->stepping = 0;

    if (!before) {
        return;
    }

    ngx_http_blockcast_poll_result_finish(poll);
}


void
ngx_http_blockcast_poll_end(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                          i, n;
    ngx_http_blockcast_poll_request_t  *request;

    for (i = 0; i < poll->ncalls; i++) {
        for (n = 0; n < poll->calls[i].nrequests; n++) {
            request = &poll->calls[i].requests[n];

            if (request->source != NULL) {
                ngx_http_blockcast_inflight_leave(request);
            }
        }
    }

    poll->active = 0;
    poll->shaping = 0;
    poll->proposal = NULL;
    ngx_destroy_pool(poll->pool);
    poll->pool = NULL;

    if (poll->lane != NULL) {
        ngx_http_blockcast_key_poll_done(poll);

    } else {
        ngx_http_blockcast_extra_end(poll);
    }

    ngx_http_blockcast_poller_poll_done(poll);
}


static void
ngx_http_blockcast_poll_call_start(ngx_http_blockcast_poll_call_t *call)
{
    ngx_str_t                        error;
    ngx_http_blockcast_poll_t       *poll;
    ngx_http_blockcast_call_conf_t  *conf;

    poll = call->poll;
    conf = call->conf;

    call->started = 1;

    ngx_str_null(&error);

    if (poll->extra.result.len != 0
        && poll->stream->head_call == call - poll->calls)
    {
        ngx_http_blockcast_poll_call_given(call, &poll->extra.result);
        return;
    }

    if (conf->jq == NULL) {
        ngx_http_blockcast_poll_call_requests(call, &conf->params, 1, &error);
        return;
    }

    ngx_http_blockcast_poll_call_program(call);
}


/* Runs the program for the params of a call, unless that is not needed. */

static void
ngx_http_blockcast_poll_call_program(ngx_http_blockcast_poll_call_t *call)
{
    ngx_int_t                        rc;
    ngx_str_t                        error;
    ngx_http_blockcast_poll_t       *poll;
    ngx_http_blockcast_jq_input_t    input;
    ngx_http_blockcast_call_conf_t  *conf;

    poll = call->poll;
    conf = call->conf;

    ngx_http_blockcast_poll_result_input(poll, &input);

    call->waiting = 1;
    poll->asking = call;
    poll->job.handler = ngx_http_blockcast_poll_call_programmed;
    poll->job.data = poll;
    poll->job.memo = (conf->jq_steady && poll->lane == NULL)
                     ? &call->memo : NULL;

    rc = ngx_http_blockcast_jq_queue_run(&poll->job, poll->stream,
                                         call - poll->calls, &input,
                                         conf->each ? conf->each : 1,
                                         poll->pool);

    if (rc == NGX_DONE) {
        (void) ngx_atomic_fetch_add(&poll->stream->slot->jq_reused, 1);
        ngx_http_blockcast_poll_call_programmed(&poll->job);
        return;
    }

    if (rc != NGX_OK) {
        call->waiting = 0;
        ngx_str_set(&error, "no memory");
        ngx_http_blockcast_poll_call_requests(call, NULL, 1, &error);
    }
}


/* Ends a call whose result the node's head has pushed. */

static void
ngx_http_blockcast_poll_call_given(ngx_http_blockcast_poll_call_t *call,
    ngx_str_t *result)
{
    ngx_str_t                          *methods;
    ngx_http_blockcast_poll_request_t  *request;

    request = ngx_pcalloc(call->poll->pool,
                          sizeof(ngx_http_blockcast_poll_request_t));
    if (request == NULL) {
        call->done = 1;
        return;
    }

    methods = call->conf->methods.elts;

    call->requests = request;
    call->nrequests = 1;
    call->left = 1;

    request->call = call;
    request->result.name = call->conf->name;
    request->result.method = methods[0];
    request->result.result = *result;

    ngx_http_blockcast_poll_request_done(request);
}


/* Continues when the program for a call's params has ended or failed. */

static void
ngx_http_blockcast_poll_call_programmed(ngx_http_blockcast_jq_job_t *job)
{
    ngx_uint_t                       n;
    ngx_http_blockcast_poll_t       *poll;
    ngx_http_blockcast_poll_call_t  *call;

    poll = job->data;
    call = poll->asking;

    poll->asking = NULL;
    call->waiting = 0;

    ngx_http_blockcast_poll_time_program(poll);

    if (ngx_http_blockcast_jq_queue_keep(job) == NGX_DECLINED) {
        ngx_http_blockcast_poll_call_program(call);
        return;
    }

    n = 1;

    if (job->rc == NGX_OK) {
        n = call->conf->get
            ? ngx_http_blockcast_poll_call_paths(job->out, job->n, &job->error)
            : ngx_http_blockcast_poll_call_params(job->out, job->n,
                                                  &job->error);
    }

    ngx_http_blockcast_poll_call_requests(call, job->out, n, &job->error);
    ngx_http_blockcast_poll_step(poll);
}


void
ngx_http_blockcast_poll_time_program(ngx_http_blockcast_poll_t *poll)
{
    ngx_http_blockcast_slot_t  *slot;

    if (poll->job.usec == 0) {
        return;
    }

    slot = poll->stream->slot;
    ngx_http_blockcast_histogram_add(slot->jq_times,
                                     ngx_http_blockcast_histogram_jq,
                                     poll->job.usec);
    slot->jq_usec += poll->job.usec;
}


/* Makes the requests of a call, which fail at once if error->len != 0. */

static void
ngx_http_blockcast_poll_call_requests(ngx_http_blockcast_poll_call_t *call,
    ngx_str_t *params, ngx_uint_t n, ngx_str_t *error)
{
    ngx_str_t                          *methods;
    ngx_uint_t                          i;
    ngx_http_blockcast_poll_t          *poll;
    ngx_http_blockcast_call_conf_t     *conf;
    ngx_http_blockcast_poll_request_t  *request;

    poll = call->poll;
    conf = call->conf;

    call->deadline = ngx_current_msec + conf->timeout;

    call->requests = ngx_pcalloc(
                         poll->pool,
                         n * sizeof(ngx_http_blockcast_poll_request_t) + 1);
    if (call->requests == NULL) {
        call->done = 1;
        return;
    }

    call->nrequests = n;
    call->left = n;

    if (n == 0) {
        call->done = 1;
        return;
    }

    if (call->method != 0 || call->missing) {

        /* try again: a node that was replaced may have the method now */

        if ((ngx_msec_int_t) (call->reprobe - ngx_current_msec) <= 0) {
            call->method = 0;
            call->missing = 0;
        }
    }

    for (i = 0; i < n; i++) {
        request = &call->requests[i];
        request->call = call;
        request->method = call->method;
        request->result.name = conf->name;

        if (error->len == 0) {
            request->params = params[i];
        }
    }

    for (i = 0; i < n; i++) {
        request = &call->requests[i];

        if (error->len != 0) {
            ngx_http_blockcast_inflight_fail(request, "params: %V", error);
            continue;
        }

        if (call->missing) {
            methods = conf->methods.elts;
            request->result.method = methods[conf->methods.nelts - 1];
            request->result.code = NGX_HTTP_BLOCKCAST_METHOD_NOT_FOUND;
            request->result.has_code = 1;
            ngx_str_set(&request->result.message, "method not found");
            ngx_http_blockcast_poll_request_done(request);
            continue;
        }

        ngx_http_blockcast_inflight_start(request);
    }
}


/*
 * Checks the output of a program for params: null means no call; JSON-RPC
 * allows objects and arrays only (4.2).
 */

static ngx_uint_t
ngx_http_blockcast_poll_call_params(ngx_str_t *params, ngx_uint_t n,
    ngx_str_t *error)
{
    ngx_uint_t  i, asked;

    asked = 0;

    for (i = 0; i < n; i++) {

        if (params[i].len == 4 && ngx_strncmp(params[i].data, "null",
                                              4) == 0) {
            continue;
        }

        if (params[i].data[0] != '{' && params[i].data[0] != '[') {
            ngx_str_set(error, "the program must put out objects or arrays");
            return 1;
        }

        params[asked++] = params[i];
    }

    return asked;
}


/*
 * Checks and decodes the output of a program for paths: strings; null means no
 * call.
 */

static ngx_uint_t
ngx_http_blockcast_poll_call_paths(ngx_str_t *paths, ngx_uint_t n,
    ngx_str_t *error)
{
    size_t      len;
    bc_span_t   span;
    ngx_uint_t  i, asked;

    asked = 0;

    for (i = 0; i < n; i++) {

        if (paths[i].len == 4 && ngx_strncmp(paths[i].data, "null", 4) == 0) {
            continue;
        }

        span.data = paths[i].data;
        span.len = paths[i].len;

        /* decode in place: the result is never longer */

        if (bc_json_string(span, paths[i].data, paths[i].len, &len) != 0) {
            ngx_str_set(error, "the program must put out paths: strings");
            return 1;
        }

        paths[asked].data = paths[i].data;
        paths[asked].len = len;

        if (!ngx_http_blockcast_stream_path_valid(&paths[asked])) {
            ngx_str_set(error, "the program must put out paths that begin "
                        "with \"/\", have neither spaces nor \"..\", and are "
                        "not longer than 2000 bytes");
            return 1;
        }

        asked++;
    }

    return asked;
}


void
ngx_http_blockcast_poll_request_done(
    ngx_http_blockcast_poll_request_t *request)
{
    request->done = 1;
    request->rpc = NULL;

    if (--request->call->left == 0) {
        request->call->done = 1;
        ngx_http_blockcast_poll_call_log(request->call);
    }
}


/*
 * Logs a call that fails, once and then from time to time.  In a stream with a
 * single call, the failed poll is logged instead.
 */

static void
ngx_http_blockcast_poll_call_log(ngx_http_blockcast_poll_call_t *call)
{
    u_char                            *p, text[64 + NGX_INT_T_LEN];
    ngx_str_t                         *name;
    ngx_uint_t                         i, n;
    ngx_msec_t                         lasted;
    ngx_http_blockcast_call_result_t  *r;

    name = &call->poll->stream->name;

    for (i = 0; i < call->nrequests; i++) {
        if (call->requests[i].result.message.len != 0) {
            break;
        }
    }

    if (call->poll->lane != NULL) {

        /* polls of other keys may succeed: leave it to the stream's message */

        call->failing = (i != call->nrequests);
        return;
    }

    if (i == call->nrequests) {

        if (call->nrequests == 0) {
            return;
        }

        if (call->failing
            && ngx_http_blockcast_log_throttle_end(&call->repeat, &n, &lasted)
            && call->poll->ncalls > 1)
        {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: call \"%V\" of stream \"%V\" is "
                          "answered again, after %M.%03M s",
                          &call->conf->name, name, lasted / 1000,
                          lasted % 1000);
        }

        call->failing = 0;

        return;
    }

    r = &call->requests[i].result;

    if ((call->poll->stream->node->health == ngx_http_blockcast_node_ok
         || !call->failing)
        && ngx_http_blockcast_log_throttle(&call->repeat, &r->message, &n)
        && call->poll->ncalls > 1)
    {
        p = text;

        if (n != 0) {
            p = ngx_sprintf(text, " (and %ui times since it was last logged)",
                            n);
        }

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: call \"%V\" of stream \"%V\" failed: "
                      "%V: %V%*s", &call->conf->name, name,
                      r->method.len ? &r->method : &call->conf->name,
                      &r->message, (size_t) (p - text), text);
    }

    call->failing = 1;
}


ngx_msec_t
ngx_http_blockcast_poll_deadline(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                       i, any;
    ngx_msec_t                       deadline;
    ngx_http_blockcast_poll_call_t  *call;

    deadline = ngx_current_msec + 60000;
    any = 0;

    for (i = 0; i < poll->ncalls; i++) {
        call = &poll->calls[i];

        if (!call->started || call->done || call->waiting) {
            continue;
        }

        if (!any
            || (ngx_msec_int_t) (call->deadline - deadline) < 0)
        {
            deadline = call->deadline;
            any = 1;
        }
    }

    return deadline;
}


void
ngx_http_blockcast_poll_expire(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                          i, n, any, changed;
    ngx_http_blockcast_node_t          *node;
    ngx_http_blockcast_poll_call_t     *call;
    ngx_http_blockcast_poll_request_t  *request;

    any = 0;
    changed = 0;
    node = poll->stream->node;

    for (i = 0; i < poll->ncalls; i++) {
        call = &poll->calls[i];

        if (!call->started || call->done || call->waiting
            || (ngx_msec_int_t) (call->deadline - ngx_current_msec) > 0)
        {
            continue;
        }

        for (n = 0; n < call->nrequests; n++) {
            request = &call->requests[n];

            if (request->done) {
                continue;
            }

            any = 1;

            if (request->held) {

                /* stop waiting: the probe of the node has a longer timeout */

                ngx_queue_remove(&request->waiting);
                request->held = 0;

                ngx_http_blockcast_inflight_fail(request, "%V", &node->reason);
                continue;
            }

            if (request->rpc != NULL) {
                ngx_queue_remove(&request->waiting);

                if (call->hanging == 0) {
                    call->hanging = request->rpc->started;
                }

                if (ngx_queue_empty(&request->rpc->waiters)
                    && ngx_http_blockcast_breaker_overdue(
                                        request->rpc) == NGX_DONE)
                {
                    changed = 1;
                }
            }

            ngx_http_blockcast_inflight_fail(request, "no reply within %M ms",
                                             call->conf->timeout);
        }
    }

    if (any) {
        ngx_http_blockcast_poll_step(poll);
    }

    if (changed) {
        ngx_http_blockcast_inflight_release(node);
    }
}


void
ngx_http_blockcast_poll_abort(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                          i, n;
    ngx_http_blockcast_poll_request_t  *request;

    if (!poll->active) {
        return;
    }

    ngx_http_blockcast_jq_queue_cancel(&poll->job);
    poll->shaping = 0;

    if (poll->proposal != NULL) {
        ngx_http_blockcast_proposal_withdraw(poll->bmcf->zone, poll->proposal);
        poll->proposal = NULL;
    }

    for (i = 0; i < poll->ncalls; i++) {
        for (n = 0; n < poll->calls[i].nrequests; n++) {
            request = &poll->calls[i].requests[n];

            if (!request->done && (request->rpc != NULL || request->held)) {
                ngx_queue_remove(&request->waiting);
            }

            if (request->source != NULL) {
                ngx_http_blockcast_inflight_leave(request);
            }
        }

        poll->calls[i].requests = NULL;
        poll->calls[i].nrequests = 0;
    }

    poll->active = 0;

    ngx_destroy_pool(poll->pool);
    poll->pool = NULL;
}
