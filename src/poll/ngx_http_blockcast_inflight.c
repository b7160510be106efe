
/*
 * Asking: a request of a round is shared with those that are the same, held
 * back while the node is ill, or made.
 */


#include "ngx_http_blockcast_round.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_node.h"
#include "ngx_http_blockcast_note.h"


/* when the methods that a node lacked are tried again */
#define NGX_HTTP_BLOCKCAST_REPROBE  60000

/* of what hangs, or is limited, the longest time between two calls */
#define NGX_HTTP_BLOCKCAST_APART    30000

/* "rate limited" and "banned" of The Block, "limit exceeded" of Ethereum */
#define ngx_http_blockcast_limits(code)                                       \
    ((code) == -32001 || (code) == -32002 || (code) == -32005)


static void ngx_http_blockcast_item_take(ngx_http_blockcast_item_t *item,
    ngx_http_blockcast_rpc_t *rpc);
static ngx_http_blockcast_rpc_t *ngx_http_blockcast_rpc_find(
    ngx_http_blockcast_node_t *node, ngx_str_t *method, ngx_str_t *params);
static void ngx_http_blockcast_rpc_done(ngx_http_blockcast_rpc_t *rpc);
static ngx_uint_t ngx_http_blockcast_turn_hangs(
    ngx_http_blockcast_turn_t *turn, ngx_http_blockcast_rpc_t *rpc);
static void ngx_http_blockcast_turn_limited(ngx_http_blockcast_turn_t *turn,
    ngx_http_blockcast_rpc_t *rpc);


static ngx_queue_t  ngx_http_blockcast_rpcs;

#if (NGX_DEBUG)
static ngx_str_t  ngx_http_blockcast_good = ngx_string("a result");
#endif


void
ngx_http_blockcast_rpcs_init(void)
{
    if (ngx_http_blockcast_rpcs.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_rpcs);
    }
}


void
ngx_http_blockcast_item_start(ngx_http_blockcast_item_t *item)
{
    ngx_str_t                  *methods;
    ngx_http_blockcast_rpc_t   *rpc;
    ngx_http_blockcast_turn_t  *turn;
    ngx_http_blockcast_node_t  *node;

    turn = item->turn;
    node = turn->run->stream->node;
    methods = turn->conf->methods.elts;
    item->result.method = methods[item->method];

    rpc = ngx_http_blockcast_rpc_find(node, &methods[item->method],
                                      &item->params);

    if (rpc != NULL && rpc->finished) {

        ngx_queue_remove(&rpc->queue);

        if (ngx_current_msec - rpc->started <= turn->run->stream->interval) {

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

        if (ngx_http_blockcast_turn_hangs(turn, rpc)) {
            ngx_http_blockcast_item_fail(item, "no reply for %M s",
                                  (ngx_current_msec - turn->hanging) / 1000);
            return;
        }

        ngx_queue_remove(&rpc->queue);
        ngx_http_blockcast_call_free(rpc);
        rpc = NULL;
    }

    if (rpc == NULL) {

        if (turn->limited != 0
            && (ngx_msec_int_t) (turn->resume - ngx_current_msec) > 0)
        {
            ngx_http_blockcast_item_fail(item, "%V (asked again in %M s)",
                            &turn->limit,
                            (turn->resume - ngx_current_msec) / 1000 + 1);
            return;
        }

        switch (ngx_http_blockcast_node_gate(node, turn->failing)) {

        case NGX_DECLINED:
            ngx_http_blockcast_item_fail(item, "%V (asked again in %M s)",
                            &node->reason,
                            (node->until - ngx_current_msec) / 1000 + 1);
            return;

        case NGX_AGAIN:
            item->held = 1;
            ngx_queue_insert_tail(&node->held, &item->waiting);
            return;

        default:
            break;
        }

        rpc = ngx_http_blockcast_call(node, &methods[item->method],
                                      &item->params,
                                      turn->failing
                                      && ngx_time() - turn->repeat.last
                                         < NGX_HTTP_BLOCKCAST_LOG_AGAIN,
                                      ngx_http_blockcast_rpc_done);
        if (rpc == NULL) {
            ngx_http_blockcast_item_fail(item, "no memory for the call");
            return;
        }

        ngx_queue_insert_tail(&ngx_http_blockcast_rpcs, &rpc->queue);

        ngx_http_blockcast_node_asked(node, rpc, turn->failing);
    }

    item->rpc = rpc;
    ngx_queue_insert_tail(&rpc->waiters, &item->waiting);
}


void
ngx_http_blockcast_item_fail(ngx_http_blockcast_item_t *item, const char *fmt,
    ...)
{
    u_char   *p, text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    va_list   args;

    p = ngx_pnalloc(item->turn->run->pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);

    if (p == NULL) {
        ngx_str_set(&item->result.message, "no memory");

    } else {
        item->result.message.data = text;

        va_start(args, fmt);
        item->result.message.len = ngx_vslprintf(text, text + sizeof(text),
                                                 fmt, args)
                                   - text;
        va_end(args);

        /* it may quote what a program says, and that the node's data */

        ngx_http_blockcast_printable(&item->result.message, p,
                                     NGX_HTTP_BLOCKCAST_ERROR_LEN);
    }

    ngx_http_blockcast_item_done(item);
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
    turn->hanging = 0;

    ngx_http_blockcast_turn_limited(turn, rpc);

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

    if (rpc->result.len != 0 && turn->run->stream->jq != NULL
        && !ngx_http_blockcast_jq_reads(&rpc->result, conf->each != 0))
    {
        ngx_http_blockcast_item_fail(item, "the result is nested too deeply "
                                     "for the jq program");
        return;
    }

    item->result.has_code = rpc->has_code;
    item->result.code = rpc->code;

    ngx_http_blockcast_note_type(turn, &rpc->result);

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
    ngx_int_t                   rc;
    ngx_queue_t                *q, waiters;
    ngx_http_blockcast_item_t  *item;
    ngx_http_blockcast_node_t  *node;

    node = rpc->node;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: call %uL \"%V\" done after %M ms: %V",
                   rpc->id, &rpc->method, ngx_current_msec - rpc->started,
                   rpc->message.len ? &rpc->message : &ngx_http_blockcast_good);

    ngx_http_blockcast_rpc_timed(rpc);
    rc = ngx_http_blockcast_node_answer(rpc);

    if (ngx_queue_empty(&rpc->waiters)) {

        if (rpc->result.len == 0) {
            ngx_queue_remove(&rpc->queue);
            ngx_http_blockcast_call_free(rpc);

        } else {

            /* kept for the next round, which need not ask again */

            rpc->started = ngx_current_msec;
        }

        if (rc == NGX_DONE) {
            ngx_http_blockcast_release(node);
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

        item = ngx_queue_data(q, ngx_http_blockcast_item_t, waiting);

        ngx_http_blockcast_item_take(item, rpc);
        ngx_http_blockcast_round_step(item->turn->run);
    }

    ngx_http_blockcast_call_free(rpc);

    if (rc == NGX_DONE) {
        ngx_http_blockcast_release(node);
    }
}


/* what is known of the node has changed: the calls that waited for that */

void
ngx_http_blockcast_release(ngx_http_blockcast_node_t *node)
{
    ngx_queue_t                *q, *next, held;
    ngx_http_blockcast_rpc_t   *rpc;
    ngx_http_blockcast_item_t  *item;

    if (node->state == ngx_http_blockcast_node_ok) {

        /* it is back: what hung before may be lost, and is asked anew */

        for (q = ngx_queue_head(&ngx_http_blockcast_rpcs);
             q != ngx_queue_sentinel(&ngx_http_blockcast_rpcs);
             q = next)
        {
            next = ngx_queue_next(q);
            rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_t, queue);

            if (rpc->node == node && rpc->overdue && !rpc->finished
                && ngx_queue_empty(&rpc->waiters))
            {
                ngx_queue_remove(&rpc->queue);
                ngx_http_blockcast_call_free(rpc);
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

        item = ngx_queue_data(q, ngx_http_blockcast_item_t, waiting);
        item->held = 0;

        ngx_http_blockcast_item_start(item);
        ngx_http_blockcast_round_step(item->turn->run);
    }
}


/*
 * A call that was given up is not made again while it hangs: a node may work
 * on it although nobody waits.  Nor is it believed in for ever: after two
 * intervals it is aborted and made anew, and the longer it lasts, the rarer.
 */

static ngx_uint_t
ngx_http_blockcast_turn_hangs(ngx_http_blockcast_turn_t *turn,
    ngx_http_blockcast_rpc_t *rpc)
{
    ngx_msec_t  now, least;

    now = ngx_current_msec;

    if (turn->hanging == 0) {
        turn->hanging = rpc->started;
    }

    /* a poll is on time when it is half an interval early */

    least = ngx_max(2 * turn->run->stream->interval, 2 * turn->conf->timeout)
            - turn->run->stream->interval / 2;

    return now - rpc->started
           < ngx_http_blockcast_backoff((now - turn->hanging) / 2, least,
                                        NGX_HTTP_BLOCKCAST_APART);
}


/* a node may limit some of its methods by themselves */

static void
ngx_http_blockcast_turn_limited(ngx_http_blockcast_turn_t *turn,
    ngx_http_blockcast_rpc_t *rpc)
{
    ngx_msec_t  pause, least;

    if (rpc->status != NGX_HTTP_OK || !rpc->has_code
        || !ngx_http_blockcast_limits(rpc->code))
    {
        turn->limited = 0;
        return;
    }

    if (turn->limited == 0) {
        turn->limited = ngx_current_msec;
    }

    /* the next poll comes an interval later anyway */

    least = turn->run->stream->interval / 2;

    pause = ngx_http_blockcast_backoff(ngx_current_msec - turn->limited, least,
                                       NGX_HTTP_BLOCKCAST_APART);

    turn->resume = ngx_current_msec + pause / 2
                   + (ngx_msec_t) ngx_random() % (pause / 2 + 1);

    turn->limit.data = turn->text;
    turn->limit.len = rpc->message.len;
    ngx_memcpy(turn->text, rpc->message.data, rpc->message.len);
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
