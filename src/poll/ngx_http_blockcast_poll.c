
/*
 * Rounds: the calls of a stream, side by side.
 */


#include "ngx_http_blockcast_round.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_node.h"


static void ngx_http_blockcast_turn_start(ngx_http_blockcast_turn_t *turn);
static ngx_uint_t ngx_http_blockcast_turn_params(ngx_str_t *params,
    ngx_uint_t n, ngx_str_t *error);
static void ngx_http_blockcast_turn_log(ngx_http_blockcast_turn_t *turn);


ngx_int_t
ngx_http_blockcast_round_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_run_t *run,
    ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_call_conf_t  *calls;

    ngx_http_blockcast_rpcs_init();

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
    run->started = ngx_current_msec;

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: poll of stream \"%V\", %ui calls",
                   &run->stream->name, run->nturns);

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

void
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
    u_char                           text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_int_t                        rc;
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
                                        ngx_max(run->stream->interval,
                                                NGX_HTTP_BLOCKCAST_PATIENCE));

        rc = ngx_http_blockcast_jq_run(conf->jq, &input, params, max, &n,
                                       &error, run->pool);

        ngx_http_blockcast_lease_extend(run->bmcf->zone, 0);

        if (rc != NGX_OK)
        {
            n = 1;

        } else {
            n = ngx_http_blockcast_turn_params(params, n, &error);

            for (i = 0; i < n && error.len == 0; i++) {
                (void) ngx_http_blockcast_gate(&params[i], "what the program "
                                               "made", text, sizeof(text),
                                               &error);
            }
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


void
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
    u_char                       *p, text[64 + NGX_INT_T_LEN];
    ngx_str_t                    *name;
    ngx_uint_t                    i, n;
    ngx_msec_t                    lasted;
    ngx_http_blockcast_result_t  *r;

    name = &turn->run->stream->name;

    for (i = 0; i < turn->nitems; i++) {
        if (turn->items[i].result.message.len != 0) {
            break;
        }
    }

    if (i == turn->nitems) {

        if (turn->nitems == 0) {
            return;
        }

        if (turn->failing
            && ngx_http_blockcast_repeat_over(&turn->repeat, &n, &lasted)
            && turn->run->nturns > 1)
        {
            ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                          "blockcast: call \"%V\" of stream \"%V\" is "
                          "answered again, after %M.%03M s",
                          &turn->conf->name, name, lasted / 1000,
                          lasted % 1000);
        }

        turn->failing = 0;

        return;
    }

    r = &turn->items[i].result;

    if ((turn->run->stream->node->state == ngx_http_blockcast_node_ok
         || !turn->failing)
        && ngx_http_blockcast_repeated(&turn->repeat, &r->message, &n)
        && turn->run->nturns > 1)
    {
        p = text;

        if (n != 0) {
            p = ngx_sprintf(text, " (and %ui times since it was last logged)",
                            n);
        }

        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: call \"%V\" of stream \"%V\" failed: "
                      "%V: %V%*s", &turn->conf->name, name,
                      r->method.len ? &r->method : &turn->conf->name,
                      &r->message, (size_t) (p - text), text);
    }

    turn->failing = 1;
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
    ngx_uint_t                  i, n, any, changed;
    ngx_http_blockcast_node_t  *node;
    ngx_http_blockcast_turn_t  *turn;
    ngx_http_blockcast_item_t  *item;

    any = 0;
    changed = 0;
    node = run->stream->node;

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

            any = 1;

            if (item->held) {

                /* the call that tries the node has a longer timeout */

                ngx_queue_remove(&item->waiting);
                item->held = 0;

                ngx_http_blockcast_item_fail(item, "%V", &node->reason);
                continue;
            }

            if (item->rpc != NULL) {
                ngx_queue_remove(&item->waiting);

                if (turn->hanging == 0) {
                    turn->hanging = item->rpc->started;
                }

                if (ngx_queue_empty(&item->rpc->waiters)
                    && ngx_http_blockcast_node_overdue(item->rpc) == NGX_DONE)
                {
                    changed = 1;
                }
            }

            ngx_http_blockcast_item_fail(item, "no reply within %M ms",
                                         turn->conf->timeout);
        }
    }

    if (any) {
        ngx_http_blockcast_round_step(run);
    }

    if (changed) {
        ngx_http_blockcast_release(node);
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

            if (!item->done && (item->rpc != NULL || item->held)) {
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
