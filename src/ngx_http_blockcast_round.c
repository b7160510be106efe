
/*
 * Rounds: the calls of a stream, side by side.
 */


#include "ngx_http_blockcast_round.h"


/* when the methods that a node lacked are tried again */
#define NGX_HTTP_BLOCKCAST_REPROBE      60000

/* a node that says "too many requests" is left alone for so long at first */
#define NGX_HTTP_BLOCKCAST_PAUSE        5000
#define NGX_HTTP_BLOCKCAST_PAUSE_MAX    120000

#define NGX_HTTP_BLOCKCAST_METHOD_NOT_FOUND  -32601


static void ngx_http_blockcast_round_step(ngx_http_blockcast_run_t *run);
static void ngx_http_blockcast_turn_start(ngx_http_blockcast_turn_t *turn);
static ngx_uint_t ngx_http_blockcast_turn_params(ngx_str_t *params,
    ngx_uint_t n, ngx_str_t *error);
static void ngx_http_blockcast_item_start(ngx_http_blockcast_item_t *item);
static void ngx_http_blockcast_item_done(ngx_http_blockcast_item_t *item);
static void ngx_http_blockcast_turn_log(ngx_http_blockcast_turn_t *turn);
static void ngx_http_blockcast_item_fail(ngx_http_blockcast_item_t *item,
    const char *fmt, ...);
static void ngx_http_blockcast_item_take(ngx_http_blockcast_item_t *item,
    ngx_http_blockcast_rpc_t *rpc);
static ngx_http_blockcast_rpc_t *ngx_http_blockcast_rpc_find(
    ngx_http_blockcast_node_t *node, ngx_str_t *method, ngx_str_t *params);
static void ngx_http_blockcast_rpc_done(ngx_http_blockcast_rpc_t *rpc);
static void ngx_http_blockcast_node_answer(ngx_http_blockcast_rpc_t *rpc);


static ngx_queue_t  ngx_http_blockcast_rpcs;


ngx_int_t
ngx_http_blockcast_round_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_run_t *run,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *calls;

    if (ngx_http_blockcast_rpcs.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_rpcs);
    }

    run->bmcf = bmcf;
    run->stream = st;
    run->nturns = st->calls.nelts;
    run->turns = ngx_pcalloc(cycle->pool, run->nturns
                                      * sizeof(ngx_http_blockcast_turn_t));
    if (run->turns == NULL) {
        return NGX_ERROR;
    }

    calls = st->calls.elts;

    for (i = 0; i < run->nturns; i++) {
        run->turns[i].run = run;
        run->turns[i].conf = &calls[i];
    }

    return NGX_OK;
}


void
ngx_http_blockcast_round_start(ngx_http_blockcast_run_t *run)
{
    ngx_uint_t                  i;
    ngx_http_blockcast_turn_t  *turn;

    run->pool = ngx_create_pool(4096, ngx_cycle->log);
    if (run->pool == NULL) {
        return;
    }

    run->active = 1;

    ngx_log_debug1(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: round of stream \"%V\"", &run->stream->name);

    run->stream->slot->attempted = ngx_current_msec;

    for (i = 0; i < run->nturns; i++) {
        turn = &run->turns[i];

        turn->items = NULL;
        turn->nitems = 0;
        turn->left = 0;
        turn->started = 0;
        turn->done = 0;
    }

    ngx_http_blockcast_round_step(run);
}


/* starts what can be started, and ends the round when all is there */

static void
ngx_http_blockcast_round_step(ngx_http_blockcast_run_t *run)
{
    ngx_uint_t                  i, before;
    ngx_http_blockcast_turn_t  *turn;

    if (run->stepping) {
        return;
    }

    run->stepping = 1;

    /* a call with a program for its params waits for those before it */

    before = 1;

    for (i = 0; i < run->nturns; i++) {
        turn = &run->turns[i];

        if (!turn->started && (turn->conf->jq == NULL || before)) {
            ngx_http_blockcast_turn_start(turn);
        }

        if (!turn->done) {
            before = 0;
        }
    }

    run->stepping = 0;

    if (!before) {
        return;
    }

    ngx_http_blockcast_round_finish(run);

    run->active = 0;
    ngx_destroy_pool(run->pool);
    run->pool = NULL;

    ngx_http_blockcast_poller_round_done();
}


static void
ngx_http_blockcast_turn_start(ngx_http_blockcast_turn_t *turn)
{
    ngx_str_t                       *params, *methods, error;
    ngx_uint_t                       i, n, max;
    ngx_http_blockcast_run_t        *run;
    ngx_http_blockcast_input_t       input;
    ngx_http_blockcast_item_t       *item;
    ngx_http_blockcast_call_conf_t  *conf;

    run = turn->run;
    conf = turn->conf;

    turn->started = 1;
    turn->deadline = ngx_current_msec + conf->timeout;

    max = conf->each ? conf->each : 1;
    n = 1;

    ngx_str_null(&error);

    params = ngx_pcalloc(run->pool, max * sizeof(ngx_str_t));
    if (params == NULL) {
        turn->done = 1;
        return;
    }

    if (conf->jq != NULL) {
        ngx_http_blockcast_round_input(run, &input);
        ngx_http_blockcast_lease_extend(run->bmcf->zone,
                                        run->stream->interval);

        if (ngx_http_blockcast_jq_run(conf->jq, &input, params, max, &n,
                                      &error, run->pool)
            != NGX_OK)
        {
            n = 1;

        } else {
            n = ngx_http_blockcast_turn_params(params, n, &error);
        }

    } else {
        params[0] = conf->params;
    }

    turn->items = ngx_pcalloc(run->pool,
                              n * sizeof(ngx_http_blockcast_item_t) + 1);
    if (turn->items == NULL) {
        turn->done = 1;
        return;
    }

    turn->nitems = n;
    turn->left = n;

    if (n == 0) {
        turn->done = 1;
        return;
    }

    if (turn->method != 0 || turn->missing) {

        /* a node that was replaced may have the method now */

        if ((ngx_msec_int_t) (turn->reprobe - ngx_current_msec) <= 0) {
            turn->method = 0;
            turn->missing = 0;
        }
    }

    for (i = 0; i < n; i++) {
        item = &turn->items[i];
        item->turn = turn;
        item->params = params[i];
        item->method = turn->method;
        item->result.name = conf->name;
    }

    for (i = 0; i < n; i++) {
        item = &turn->items[i];

        if (error.len != 0) {
            ngx_http_blockcast_item_fail(item, "params: %V", &error);
            continue;
        }

        if (turn->missing) {
            methods = conf->methods.elts;
            item->result.method = methods[conf->methods.nelts - 1];
            item->result.code = NGX_HTTP_BLOCKCAST_METHOD_NOT_FOUND;
            item->result.has_code = 1;
            ngx_str_set(&item->result.message, "method not found");
            ngx_http_blockcast_item_done(item);
            continue;
        }

        ngx_http_blockcast_item_start(item);
    }
}


/*
 * What a program for params has put out: null is not asked for, and JSON-RPC
 * knows no other params than objects and arrays.
 */

static ngx_uint_t
ngx_http_blockcast_turn_params(ngx_str_t *params, ngx_uint_t n,
    ngx_str_t *error)
{
    ngx_uint_t  i, asked;

    asked = 0;

    for (i = 0; i < n; i++) {

        if (params[i].len == 4 && ngx_strncmp(params[i].data, "null", 4) == 0) {
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


static void
ngx_http_blockcast_item_start(ngx_http_blockcast_item_t *item)
{
    ngx_str_t                  *methods;
    ngx_http_blockcast_rpc_t   *rpc;
    ngx_http_blockcast_turn_t  *turn;
    ngx_http_blockcast_node_t  *node;

    node = item->turn->run->stream->node;
    methods = item->turn->conf->methods.elts;
    item->result.method = methods[item->method];

    if (node->paused_until != 0
        && (ngx_msec_int_t) (node->paused_until - ngx_current_msec) > 0)
    {
        ngx_http_blockcast_item_fail(item, "%V (asked again in %M s)",
                        &node->paused_for,
                        (node->paused_until - ngx_current_msec) / 1000 + 1);
        return;
    }

    rpc = ngx_http_blockcast_rpc_find(node, &methods[item->method],
                                      &item->params);

    if (rpc != NULL && rpc->finished) {

        ngx_queue_remove(&rpc->queue);

        if (ngx_current_msec - rpc->started
            <= item->turn->run->stream->interval)
        {
            /* it was given up, and its answer has come since */

            ngx_http_blockcast_item_take(item, rpc);
            ngx_http_blockcast_call_free(rpc);
            return;
        }

        /* nobody listened for a while, and it is old */

        ngx_http_blockcast_call_free(rpc);
        rpc = NULL;
    }

    if (rpc != NULL && rpc->overdue) {
        ngx_http_blockcast_item_fail(item, "no reply for %M s",
                               (ngx_current_msec - rpc->started) / 1000);
        return;
    }

    if (rpc == NULL) {
        turn = item->turn;

        rpc = ngx_http_blockcast_call(node, &methods[item->method],
                                      &item->params,
                                      turn->failing
                                      && ngx_time() - turn->logged_at
                                         < NGX_HTTP_BLOCKCAST_LOG_AGAIN,
                                      ngx_http_blockcast_rpc_done);
        if (rpc == NULL) {
            ngx_http_blockcast_item_fail(item, "no memory for the call");
            return;
        }

        ngx_queue_insert_tail(&ngx_http_blockcast_rpcs, &rpc->queue);
    }

    item->rpc = rpc;
    ngx_queue_insert_tail(&rpc->waiters, &item->waiting);
}


static void
ngx_http_blockcast_item_fail(ngx_http_blockcast_item_t *item, const char *fmt,
    ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(item->turn->run->pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);

    if (p == NULL) {
        ngx_str_set(&item->result.message, "no memory");

    } else {
        item->result.message.data = p;

        va_start(args, fmt);
        p = ngx_vslprintf(p, p + NGX_HTTP_BLOCKCAST_ERROR_LEN, fmt, args);
        va_end(args);

        item->result.message.len = p - item->result.message.data;
    }

    ngx_http_blockcast_item_done(item);
}


static void
ngx_http_blockcast_item_done(ngx_http_blockcast_item_t *item)
{
    item->done = 1;
    item->rpc = NULL;

    if (--item->turn->left == 0) {
        item->turn->done = 1;
        ngx_http_blockcast_turn_log(item->turn);
    }
}


/*
 * A call that fails is told of once, and again from time to time; of a stream
 * with a single call it is the poll that fails.
 */

static void
ngx_http_blockcast_turn_log(ngx_http_blockcast_turn_t *turn)
{
    ngx_str_t                    *name;
    ngx_uint_t                    i;
    ngx_http_blockcast_result_t  *r;

    name = &turn->run->stream->name;

    for (i = 0; i < turn->nitems; i++) {
        if (turn->items[i].result.message.len != 0) {
            break;
        }
    }

    if (i == turn->nitems) {

        if (turn->told && turn->run->nturns > 1) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: call \"%V\" of stream \"%V\" is "
                          "answered again", &turn->conf->name, name);
        }

        turn->failing = 0;
        turn->told = 0;

        return;
    }

    if (turn->logged_at == 0
        || ngx_time() - turn->logged_at >= (turn->failing
                                            ? NGX_HTTP_BLOCKCAST_LOG_AGAIN
                                            : NGX_HTTP_BLOCKCAST_LOG_SOON))
    {
        turn->logged_at = ngx_time();
        turn->told = 1;

        if (turn->run->nturns > 1) {
            r = &turn->items[i].result;

            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "blockcast: call \"%V\" of stream \"%V\" failed: "
                          "%V: %V", &turn->conf->name, name,
                          r->method.len ? &r->method : &turn->conf->name,
                          &r->message);
        }
    }

    turn->failing = 1;
}


/* the answer of a call: a result, an error, or the next method's turn */

static void
ngx_http_blockcast_item_take(ngx_http_blockcast_item_t *item,
    ngx_http_blockcast_rpc_t *rpc)
{
    ngx_str_t                       *src, *dst;
    ngx_http_blockcast_turn_t       *turn;
    ngx_http_blockcast_call_conf_t  *conf;

    turn = item->turn;
    conf = turn->conf;

    item->rpc = NULL;

    if (rpc->has_code && rpc->code == NGX_HTTP_BLOCKCAST_METHOD_NOT_FOUND) {

        if (item->method + 1 < conf->methods.nelts) {
            item->method++;

            if (turn->method < item->method) {
                turn->method = item->method;
                turn->reprobe = ngx_current_msec + NGX_HTTP_BLOCKCAST_REPROBE;
            }

            ngx_http_blockcast_item_start(item);
            return;
        }

        turn->missing = 1;
        turn->reprobe = ngx_current_msec + NGX_HTTP_BLOCKCAST_REPROBE;
    }

    item->result.has_code = rpc->has_code;
    item->result.code = rpc->code;

    src = rpc->result.len ? &rpc->result : &rpc->message;
    dst = rpc->result.len ? &item->result.result : &item->result.message;

    dst->data = ngx_pnalloc(turn->run->pool, src->len + 1);

    if (dst->data == NULL) {
        ngx_str_set(&item->result.message, "no memory for the reply");

    } else {
        ngx_memcpy(dst->data, src->data, src->len);
        dst->len = src->len;
    }

    ngx_http_blockcast_item_done(item);
}


static ngx_http_blockcast_rpc_t *
ngx_http_blockcast_rpc_find(ngx_http_blockcast_node_t *node,
    ngx_str_t *method, ngx_str_t *params)
{
    ngx_queue_t               *q;
    ngx_http_blockcast_rpc_t  *rpc;

    for (q = ngx_queue_head(&ngx_http_blockcast_rpcs);
         q != ngx_queue_sentinel(&ngx_http_blockcast_rpcs);
         q = ngx_queue_next(q))
    {
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_t, queue);

        if (rpc->node == node
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
ngx_http_blockcast_rpc_timed(ngx_http_blockcast_rpc_t *rpc)
{
    ngx_uint_t                       i;
    ngx_msec_t                       msec;
    ngx_http_blockcast_shctx_t      *sh;
    ngx_http_blockcast_main_conf_t  *bmcf;
    static ngx_msec_t                limits[] = { 1, 2, 5, 10, 25, 50, 100,
                                                  250, 500, 1000, 2500 };

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);
    sh = bmcf->zone->sh;
    msec = ngx_current_msec - rpc->started;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        if (msec <= limits[i]) {
            break;
        }
    }

    sh->call_times[i]++;
    sh->call_msec += msec;
}


static void
ngx_http_blockcast_rpc_done(ngx_http_blockcast_rpc_t *rpc)
{
    ngx_queue_t                *q, waiters;
    ngx_http_blockcast_item_t  *item;

    ngx_http_blockcast_rpc_timed(rpc);
    ngx_http_blockcast_node_answer(rpc);

    if (ngx_queue_empty(&rpc->waiters)) {

        if (rpc->result.len == 0) {
            ngx_queue_remove(&rpc->queue);
            ngx_http_blockcast_call_free(rpc);
            return;
        }

        /* kept for the next round, which need not ask again */

        rpc->started = ngx_current_msec;
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

        item = ngx_queue_data(q, ngx_http_blockcast_item_t, waiting);

        ngx_http_blockcast_item_take(item, rpc);
        ngx_http_blockcast_round_step(item->turn->run);
    }

    ngx_http_blockcast_call_free(rpc);
}


/* a node that is asked too much is left alone for a while */

static void
ngx_http_blockcast_node_answer(ngx_http_blockcast_rpc_t *rpc)
{
    ngx_msec_t                  pause;
    ngx_http_blockcast_node_t  *node;

    node = rpc->node;

    if (rpc->status != 429 && !(rpc->status == 503 && rpc->retry_after)) {

        if (rpc->status == NGX_HTTP_OK && node->pause != 0) {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: node \"%V\" takes requests again",
                          &node->name);
            node->pause = 0;
        }

        return;
    }

    if (node->paused_until != 0
        && (ngx_msec_int_t) (node->paused_until - ngx_current_msec) > 0)
    {
        return;
    }

    node->pause = node->pause ? ngx_min(node->pause * 2,
                                        NGX_HTTP_BLOCKCAST_PAUSE_MAX)
                              : NGX_HTTP_BLOCKCAST_PAUSE;

    pause = rpc->retry_after
            ? ngx_min(rpc->retry_after * 1000, 10 * 60 * 1000)
            : node->pause / 2 + (ngx_msec_t) ngx_random()
                                % (node->pause / 2 + 1);

    node->paused_until = ngx_current_msec + pause;

    ngx_memcpy(node->paused_text, rpc->message.data, rpc->message.len);
    node->paused_for.data = node->paused_text;
    node->paused_for.len = rpc->message.len;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: node \"%V\" answers \"%V\", "
                  "it is not asked for %M ms",
                  &node->name, &rpc->message, pause);
}


ngx_msec_t
ngx_http_blockcast_round_deadline(ngx_http_blockcast_run_t *run)
{
    ngx_uint_t                  i, any;
    ngx_msec_t                  deadline;
    ngx_http_blockcast_turn_t  *turn;

    deadline = ngx_current_msec + 60000;
    any = 0;

    for (i = 0; i < run->nturns; i++) {
        turn = &run->turns[i];

        if (!turn->started || turn->done) {
            continue;
        }

        if (!any
            || (ngx_msec_int_t) (turn->deadline - deadline) < 0)
        {
            deadline = turn->deadline;
            any = 1;
        }
    }

    return deadline;
}


void
ngx_http_blockcast_round_expire(ngx_http_blockcast_run_t *run)
{
    ngx_uint_t                  i, n, any;
    ngx_http_blockcast_turn_t  *turn;
    ngx_http_blockcast_item_t  *item;

    any = 0;

    for (i = 0; i < run->nturns; i++) {
        turn = &run->turns[i];

        if (!turn->started || turn->done
            || (ngx_msec_int_t) (turn->deadline - ngx_current_msec) > 0)
        {
            continue;
        }

        for (n = 0; n < turn->nitems; n++) {
            item = &turn->items[n];

            if (item->done) {
                continue;
            }

            if (item->rpc != NULL) {
                ngx_queue_remove(&item->waiting);

                if (ngx_queue_empty(&item->rpc->waiters)) {
                    item->rpc->overdue = 1;
                }
            }

            ngx_http_blockcast_item_fail(item, "no reply within %M ms",
                                         turn->conf->timeout);
            any = 1;
        }
    }

    if (any) {
        ngx_http_blockcast_round_step(run);
    }
}


void
ngx_http_blockcast_round_abort(ngx_http_blockcast_run_t *run)
{
    ngx_uint_t                  i, n;
    ngx_http_blockcast_item_t  *item;

    if (!run->active) {
        return;
    }

    for (i = 0; i < run->nturns; i++) {
        for (n = 0; n < run->turns[i].nitems; n++) {
            item = &run->turns[i].items[n];

            if (!item->done && item->rpc != NULL) {
                ngx_queue_remove(&item->waiting);
            }
        }

        run->turns[i].items = NULL;
        run->turns[i].nitems = 0;
    }

    run->active = 0;

    ngx_destroy_pool(run->pool);
    run->pool = NULL;
}


/* late answers that no round has asked for since */

void
ngx_http_blockcast_rpcs_expire(void)
{
    ngx_queue_t               *q, *next;
    ngx_http_blockcast_rpc_t  *rpc;

    for (q = ngx_queue_head(&ngx_http_blockcast_rpcs);
         q != ngx_queue_sentinel(&ngx_http_blockcast_rpcs);
         q = next)
    {
        next = ngx_queue_next(q);
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_t, queue);

        if (rpc->finished && ngx_current_msec - rpc->started > 30000) {
            ngx_queue_remove(&rpc->queue);
            ngx_http_blockcast_call_free(rpc);
        }
    }
}


void
ngx_http_blockcast_rpcs_abort(void)
{
    ngx_queue_t               *q;
    ngx_http_blockcast_rpc_t  *rpc;

    while (!ngx_queue_empty(&ngx_http_blockcast_rpcs)) {
        q = ngx_queue_head(&ngx_http_blockcast_rpcs);
        ngx_queue_remove(q);

        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_t, queue);
        ngx_http_blockcast_call_free(rpc);
    }
}
