
/*
 * Lanes: each client of the JSON-RPC endpoint has one for its calls to the
 * node.
 *
 * A worker makes a bounded number of calls at a time.  Further requests
 * wait, and the clients take turns, so that a client with a thousand requests
 * gets no more calls than a client with one.  Requests that equal a call in
 * flight share it; answers that hold until the next head, or for ever, are
 * cached for all workers (zone/rpc_cache).
 *
 * A client may leave at any time, even while its own request is processed,
 * so its calls are ended from the event loop.
 */


#include "ngx_http_blockcast_rpc_lane.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_rpc_cache.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_rpc_call.h"
#include "bc_json.h"


/* bytes of one client's requests that may wait */
#define NGX_HTTP_BLOCKCAST_RPC_WAITING    1048576

/* the burst of bytes, as seconds at the allowed rate */
#define NGX_HTTP_BLOCKCAST_RPC_BURST      8

/* how long not to call a node that was unreachable (msec) */
#define NGX_HTTP_BLOCKCAST_RPC_PAUSE      1000

/* the longest sentence of an error (bytes) */
#define NGX_HTTP_BLOCKCAST_RPC_SENTENCE   384


/* a call to the node */

typedef struct {
    ngx_queue_t                   queue;
    ngx_queue_t                   asks;         /* requests that wait for it */
    ngx_http_blockcast_rpc_call_t  *rpc;
    ngx_http_blockcast_rpc_lane_t  *lane;       /* for whom it was made */
    ngx_http_blockcast_node_t    *node;
    ngx_http_blockcast_rpc_policy_e  policy;
    uint64_t                      version;
    ngx_msec_t                    began;
    ngx_event_t                   timer;
    uint32_t                      hash;
    ngx_str_t                     key;
    unsigned                      probe:1;
} ngx_http_blockcast_rpc_lane_call_t;


/* a request that has no answer yet */

typedef struct {
    ngx_queue_t                   queue;        /* lane->waiting, call->asks */
    ngx_queue_t                   all;          /* lane->asks */
    ngx_http_blockcast_rpc_group_t  *group;
    ngx_uint_t                    i;
    ngx_http_blockcast_rpc_lane_call_t  *call;  /* NULL: it waits */
    ngx_http_blockcast_rpc_policy_e  policy;
    uint64_t                      version;
    bc_span_t                     id;
    ngx_str_t                     method;
    ngx_str_t                     params;
    ngx_str_t                     key;          /* with both at its end */
    uint32_t                      hash;
    size_t                        size;
} ngx_http_blockcast_rpc_ask_t;


/* the state of a node in this worker */

typedef struct {
    ngx_queue_t                   calls;
    ngx_queue_t                   ready;        /* lanes that take turns */
    ngx_uint_t                    ncalls;
    ngx_msec_t                    last_good;
    ngx_msec_t                    until;        /* not asked before that */
    ngx_msec_t                    counted;      /* a bucket of its calls */
    uint64_t                      spent;
    unsigned                      failing:1;
    unsigned                      probing:1;
    ngx_int_t                     code;
    ngx_str_t                     reason;
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN + 1];
} ngx_http_blockcast_rpc_node_t;


static ngx_int_t ngx_http_blockcast_rpc_lane_known(
    ngx_http_blockcast_rpc_ask_t *ask);
static void ngx_http_blockcast_rpc_lane_start(
    ngx_http_blockcast_rpc_ask_t *ask);
static void ngx_http_blockcast_rpc_lane_run(
    ngx_http_blockcast_node_t *node);
static void ngx_http_blockcast_rpc_lane_done_handler(
    ngx_http_blockcast_rpc_call_t *rpc);
static void ngx_http_blockcast_rpc_lane_timeout(ngx_event_t *ev);
static void ngx_http_blockcast_rpc_lane_reap(ngx_event_t *ev);


static ngx_http_blockcast_rpc_node_t
                      ngx_http_blockcast_rpc_nodes[NGX_HTTP_BLOCKCAST_NODES];
static ngx_event_t       ngx_http_blockcast_rpc_reaper;
static ngx_connection_t  ngx_http_blockcast_rpc_dummy;


static ngx_http_blockcast_rpc_node_t *
ngx_http_blockcast_rpc_lane_node(ngx_http_blockcast_node_t *node)
{
    ngx_http_blockcast_rpc_node_t  *state;

    state = &ngx_http_blockcast_rpc_nodes[node->index];

    if (state->calls.next == NULL) {
        ngx_queue_init(&state->calls);
        ngx_queue_init(&state->ready);
    }

    return state;
}


ngx_http_blockcast_rpc_lane_t *
ngx_http_blockcast_rpc_lane_create(ngx_http_blockcast_rpc_conf_t *conf,
    void *owner, ngx_http_blockcast_rpc_deliver_pt deliver)
{
    ngx_http_blockcast_rpc_lane_t  *lane;

    lane = ngx_calloc(sizeof(ngx_http_blockcast_rpc_lane_t), ngx_cycle->log);
    if (lane == NULL) {
        return NULL;
    }

    lane->conf = conf;
    lane->owner = owner;
    lane->deliver = deliver;
    lane->purse = &lane->own;
    lane->own.counted = ngx_current_msec;
    lane->refs = 1;

    ngx_queue_init(&lane->asks);
    ngx_queue_init(&lane->waiting);

    return lane;
}


static void
ngx_http_blockcast_rpc_lane_free(ngx_http_blockcast_rpc_lane_t *lane)
{
    if (--lane->refs == 0) {
        ngx_free(lane);
    }
}


/* Takes a request out of all lists and frees it, but not its group. */

static void
ngx_http_blockcast_rpc_lane_drop(ngx_http_blockcast_rpc_ask_t *ask)
{
    ngx_http_blockcast_rpc_lane_t  *lane;

    lane = ask->group->lane;

    ngx_queue_remove(&ask->queue);
    ngx_queue_remove(&ask->all);

    if (ask->call == NULL) {
        lane->nwaiting--;
        lane->waiting_size -= ask->size;
    }

    ngx_free(ask);
}


void
ngx_http_blockcast_rpc_lane_leave(ngx_http_blockcast_rpc_lane_t *lane)
{
    ngx_queue_t                         *q;
    ngx_http_blockcast_rpc_ask_t        *ask;
    ngx_http_blockcast_rpc_node_t       *state;
    ngx_http_blockcast_rpc_group_t      *group;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    lane->owner = NULL;
    lane->purse = &lane->own;

    if (lane->is_ready) {
        ngx_queue_remove(&lane->ready);
        lane->is_ready = 0;
    }

    state = ngx_http_blockcast_rpc_lane_node(lane->conf->node);

    for (q = ngx_queue_head(&state->calls);
         q != ngx_queue_sentinel(&state->calls);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_http_blockcast_rpc_lane_call_t, queue);

        if (call->lane == lane) {
            call->lane = NULL;
        }
    }

    while (!ngx_queue_empty(&lane->asks)) {
        q = ngx_queue_head(&lane->asks);
        ask = ngx_queue_data(q, ngx_http_blockcast_rpc_ask_t, all);
        group = ask->group;

        ngx_http_blockcast_rpc_lane_drop(ask);
        ngx_http_blockcast_rpc_group_end(group);
    }

    /* let the event loop end the calls for which no client waits */

    if (!ngx_http_blockcast_rpc_reaper.posted) {
        ngx_http_blockcast_rpc_dummy.fd = (ngx_socket_t) -1;
        ngx_http_blockcast_rpc_reaper.handler =
                                             ngx_http_blockcast_rpc_lane_reap;
        ngx_http_blockcast_rpc_reaper.log = ngx_cycle->log;
        ngx_http_blockcast_rpc_reaper.data = &ngx_http_blockcast_rpc_dummy;

        ngx_post_event(&ngx_http_blockcast_rpc_reaper, &ngx_posted_events);
    }

    ngx_http_blockcast_rpc_lane_free(lane);
}


ngx_http_blockcast_rpc_group_t *
ngx_http_blockcast_rpc_group_begin(ngx_http_blockcast_rpc_lane_t *lane,
    ngx_uint_t n, ngx_uint_t batch)
{
    ngx_http_blockcast_rpc_group_t  *group;

    group = ngx_calloc(sizeof(ngx_http_blockcast_rpc_group_t)
                       + n * sizeof(ngx_str_t), ngx_cycle->log);
    if (group == NULL) {
        return NULL;
    }

    group->lane = lane;
    group->n = n;
    group->batch = (batch != 0);

    /*
     * one reference for the caller, until _end(), and one per pending request
     */

    group->left = 1;
    lane->refs++;

    return group;
}


void
ngx_http_blockcast_rpc_group_end(ngx_http_blockcast_rpc_group_t *group)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_rpc_lane_t  *lane;

    if (--group->left != 0) {
        return;
    }

    lane = group->lane;

    if (lane->owner != NULL) {
        lane->deliver(lane->owner, group);
    }

    for (i = 0; i < group->n; i++) {
        if (group->answers[i].data != NULL) {
            ngx_free(group->answers[i].data);
        }
    }

    ngx_free(group);
    ngx_http_blockcast_rpc_lane_free(lane);
}


static void
ngx_http_blockcast_rpc_group_answer(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_span_t id, ngx_uint_t error, bc_span_t value)
{
    u_char     *p;
    ngx_str_t  *answer;

    if (id.len == 0 || group->lane->owner == NULL) {
        return;
    }

    p = ngx_alloc(id.len + value.len + BC_RPC_ANSWER, ngx_cycle->log);
    if (p == NULL) {
        return;
    }

    answer = &group->answers[i];
    answer->data = p;
    answer->len = bc_rpc_answer(p, id, error, value) - p;

    group->size += answer->len;
}


void
ngx_http_blockcast_rpc_group_result(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_span_t id, ngx_str_t *result)
{
    size_t     most;
    bc_span_t  value;

    most = group->lane->conf->limit.answer;

    if (group->batch && group->size != 0 && group->size + result->len > most) {
        ngx_http_blockcast_rpc_group_error(group, i, id, BC_RPC_TOO_LARGE,
                                    "the answers to a batch are larger than "
                                    "%uz bytes, split it", most);
        return;
    }

    if (group->lane->conf->limit.bytes != 0) {
        group->lane->purse->bytes += (uint64_t) result->len * 1000;
    }

    value.data = result->data;
    value.len = result->len;

    ngx_http_blockcast_rpc_group_answer(group, i, id, 0, value);
}


void
ngx_http_blockcast_rpc_group_error(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_span_t id, ngx_int_t code, const char *fmt, ...)
{
    u_char     *p;
    u_char      text[NGX_HTTP_BLOCKCAST_RPC_SENTENCE];
    u_char      shown[NGX_HTTP_BLOCKCAST_RPC_SENTENCE];
    u_char      buf[6 * NGX_HTTP_BLOCKCAST_RPC_SENTENCE + 64];
    va_list     args;
    ngx_str_t   said;
    bc_span_t   value;

    va_start(args, fmt);
    said.data = text;
    said.len = ngx_vslprintf(text, text + sizeof(text), fmt, args) - text;
    va_end(args);

    /* the text may quote a method, which may be any bytes */

    ngx_http_blockcast_gate_printable(&said, shown, sizeof(shown));

    p = ngx_sprintf(buf, "{\"code\":%i,\"message\":\"", code);
    p = bc_json_escape(p, said.data, said.len);
    p = ngx_cpymem(p, "\"}", 2);

    value.data = buf;
    value.len = p - buf;

    ngx_http_blockcast_rpc_group_answer(group, i, id, 1, value);
}


size_t
ngx_http_blockcast_rpc_group_len(ngx_http_blockcast_rpc_group_t *group)
{
    return group->size ? group->size + (group->batch ? group->n + 1 : 0) : 0;
}


u_char *
ngx_http_blockcast_rpc_group_text(ngx_http_blockcast_rpc_group_t *group,
    u_char *p)
{
    ngx_uint_t  i, n;

    n = 0;

    if (group->batch) {
        *p++ = '[';
    }

    for (i = 0; i < group->n; i++) {

        if (group->answers[i].len == 0) {
            continue;
        }

        if (n++ != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, group->answers[i].data, group->answers[i].len);
    }

    if (group->batch) {
        *p++ = ']';
    }

    return p;
}


/* Finds the configuration of a method: the last pattern that matches. */

static ngx_http_blockcast_rpc_method_t *
ngx_http_blockcast_rpc_lane_method(ngx_array_t *methods, const u_char *name,
    size_t len)
{
    ngx_uint_t                        i;
    ngx_http_blockcast_rpc_method_t  *m;

    if (methods == NULL) {
        return NULL;
    }

    m = methods->elts;

    for (i = methods->nelts; i > 0; i--) {
        if (bc_rpc_match(m[i - 1].pattern.data, m[i - 1].pattern.len, name,
                         len))
        {
            return &m[i - 1];
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_blockcast_rpc_lane_pay(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_rpc_request_t *r)
{
    uint64_t                          gone, cost;
    ngx_http_blockcast_rpc_limit_t   *limit;
    ngx_http_blockcast_rpc_purse_t   *purse;
    ngx_http_blockcast_rpc_method_t  *m;

    limit = &group->lane->conf->limit;
    purse = group->lane->purse;

    gone = (ngx_msec_t) (ngx_current_msec - purse->counted);
    purse->counted = ngx_current_msec;

    if (limit->bytes != 0) {
        purse->bytes -= ngx_min(purse->bytes, gone * limit->bytes);

        if (purse->bytes / 1000
            > (uint64_t) limit->bytes * NGX_HTTP_BLOCKCAST_RPC_BURST)
        {
            ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_LIMITED,
                                    "the answers have come to more than %uz "
                                    "bytes per second, try again later",
                                    limit->bytes);
            return NGX_DECLINED;
        }
    }

    if (limit->rate == 0) {
        return NGX_OK;
    }

    m = ngx_http_blockcast_rpc_lane_method(group->lane->conf->costs, r->method,
                                           r->method_len);
    cost = (m != NULL) ? m->cost : 1;

    purse->cost -= ngx_min(purse->cost, gone * limit->rate);

    if (purse->cost + cost * 1000
        > (uint64_t) (limit->burst + limit->rate) * 1000)
    {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_LIMITED,
                                "these calls cost more than %ui per second, "
                                "try again later", limit->rate);
        return NGX_DECLINED;
    }

    purse->cost += cost * 1000;

    return NGX_OK;
}


/* Returns for how long a call's answer may be used again. */

static ngx_http_blockcast_rpc_policy_e
ngx_http_blockcast_rpc_lane_policy(ngx_http_blockcast_rpc_conf_t *conf,
    bc_rpc_request_t *r)
{
    ngx_http_blockcast_rpc_method_t  *m;

    m = ngx_http_blockcast_rpc_lane_method(conf->cache, r->method,
                                           r->method_len);

    if (m == NULL) {
        return bc_rpc_changes(r->method, r->method_len)
               ? ngx_http_blockcast_rpc_off : ngx_http_blockcast_rpc_share;
    }

    if (m->unless.len != 0 && r->params.len != 0
        && ngx_strlcasestrn((u_char *) r->params.data,
                            (u_char *) r->params.data + r->params.len,
                            m->unless.data, m->unless.len - 1)
           != NULL)
    {
        return ngx_http_blockcast_rpc_share;
    }

    return m->policy;
}


/*
 * Sets the version of answers that hold until the next head.  Returns false
 * when the newest head is not known, so that nothing may be cached; the
 * request then makes the stream of heads be polled.
 */

static ngx_uint_t
ngx_http_blockcast_rpc_lane_version(ngx_http_blockcast_rpc_conf_t *conf,
    ngx_http_blockcast_rpc_policy_e policy, uint64_t *version)
{
    ngx_http_blockcast_slot_t  *slot;

    *version = 0;

    if (policy == ngx_http_blockcast_rpc_forever) {
        return 1;
    }

    if (conf->head == NULL) {
        return 0;
    }

    slot = conf->head->slot;

    /* include the head: a client that has seen it must get no older answer */

    *version = slot->seq + (ngx_http_blockcast_rpc_cache_era() << 40) + 1;

    if (policy != ngx_http_blockcast_rpc_head) {
        return 0;
    }

    ngx_http_blockcast_hub_demand(ngx_http_blockcast_hub_of(conf->head));

    return ngx_http_blockcast_stream_status_freshness(conf->head, 1)
           == ngx_http_blockcast_freshness_live
           && ngx_http_blockcast_stream_status_age(slot)
              <= (ngx_int_t) (2 * conf->head->interval + 1000);
}


static ngx_http_blockcast_rpc_ask_t *
ngx_http_blockcast_rpc_lane_make(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_rpc_request_t *r)
{
    size_t                           size;
    u_char                          *p;
    ngx_http_blockcast_node_t       *node;
    ngx_http_blockcast_rpc_ask_t    *ask;
    ngx_http_blockcast_main_conf_t  *bmcf;

    node = group->lane->conf->node;
    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);

    size = sizeof(ngx_http_blockcast_rpc_ask_t) + r->id.len
           + sizeof(bmcf->generation) + node->name.len + 1
           + r->method_len + 1 + r->params.len;

    ask = ngx_alloc(size, ngx_cycle->log);
    if (ask == NULL) {
        return NULL;
    }

    ngx_memzero(ask, sizeof(ngx_http_blockcast_rpc_ask_t));

    ask->group = group;
    ask->i = i;
    ask->size = size;

    p = (u_char *) ask + sizeof(ngx_http_blockcast_rpc_ask_t);

    ask->id.data = p;
    ask->id.len = r->id.len;

    if (r->id.len != 0) {
        p = ngx_cpymem(p, r->id.data, r->id.len);
    }

    /* another configuration may mean another node */

    ask->key.data = p;
    p = ngx_cpymem(p, &bmcf->generation, sizeof(bmcf->generation));
    p = ngx_cpymem(p, node->name.data, node->name.len);
    *p++ = '\0';

    ask->method.data = p;
    ask->method.len = r->method_len;
    p = ngx_cpymem(p, r->method, r->method_len);
    *p++ = '\0';

    ask->params.data = p;
    ask->params.len = r->params.len;

    if (r->params.len != 0) {
        p = ngx_cpymem(p, r->params.data, r->params.len);
    }

    ask->key.len = p - ask->key.data;
    ask->hash = ngx_murmur_hash2(ask->key.data, ask->key.len);

    return ask;
}


void
ngx_http_blockcast_rpc_lane_ask(ngx_http_blockcast_rpc_group_t *group,
    ngx_uint_t i, bc_rpc_request_t *r)
{
    ngx_http_blockcast_rpc_ask_t    *ask;
    ngx_http_blockcast_rpc_lane_t   *lane;
    ngx_http_blockcast_rpc_node_t   *state;
    ngx_http_blockcast_rpc_limit_t  *limit;

    lane = group->lane;
    limit = &lane->conf->limit;

    ask = ngx_http_blockcast_rpc_lane_make(group, i, r);

    if (ask == NULL) {
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_FAILED,
                                           "no memory, try again later");
        return;
    }

    ask->policy = ngx_http_blockcast_rpc_lane_policy(lane->conf, r);
    state = ngx_http_blockcast_rpc_lane_node(lane->conf->node);

    group->left++;
    ngx_queue_insert_tail(&lane->asks, &ask->all);
    ngx_queue_insert_tail(&lane->waiting, &ask->queue);
    lane->nwaiting++;
    lane->waiting_size += ask->size;

    if (lane->nwaiting == 1
        && lane->calls < limit->calls
        && state->ncalls < limit->total)
    {
        ngx_http_blockcast_rpc_lane_start(ask);
        return;
    }

    if (ngx_http_blockcast_rpc_lane_known(ask) == NGX_OK) {
        return;
    }

    if (lane->nwaiting > limit->waiting
        || lane->waiting_size > NGX_HTTP_BLOCKCAST_RPC_WAITING)
    {
        ngx_http_blockcast_rpc_lane_drop(ask);
        ngx_http_blockcast_rpc_group_error(group, i, r->id, BC_RPC_LIMITED,
                                "%ui calls are waiting already, try again "
                                "later", lane->nwaiting);
        group->left--;
        return;
    }

    if (!lane->is_ready && lane->calls < limit->calls) {
        lane->is_ready = 1;
        ngx_queue_insert_tail(&state->ready, &lane->ready);
    }
}


/* Answers a request that is only in its lane's lists, and frees it. */

static void
ngx_http_blockcast_rpc_lane_fail(ngx_http_blockcast_rpc_ask_t *ask,
    ngx_int_t code, const char *fmt, ngx_str_t *text)
{
    ngx_http_blockcast_rpc_group_t  *group;

    group = ask->group;

    ngx_http_blockcast_rpc_group_error(group, ask->i, ask->id, code, fmt,
                                       text);
    ngx_http_blockcast_rpc_lane_drop(ask);
    ngx_http_blockcast_rpc_group_end(group);
}


/* Answers from the cache.  NGX_DECLINED: the cache has no answer. */

static ngx_int_t
ngx_http_blockcast_rpc_lane_kept(ngx_http_blockcast_rpc_ask_t *ask)
{
    ngx_str_t                        value;
    ngx_http_blockcast_rpc_key_t     key;
    ngx_http_blockcast_rpc_group_t  *group;

    key.data = ask->key.data;
    key.len = ask->key.len;
    key.version = ask->version;

    if (ngx_http_blockcast_rpc_cache_get(&key, 0, 0, &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    group = ask->group;

    ngx_http_blockcast_rpc_group_result(group, ask->i, ask->id, &value);
    ngx_free(value.data);

    ngx_http_blockcast_rpc_lane_drop(ask);
    ngx_http_blockcast_rpc_group_end(group);

    return NGX_OK;
}


/* Moves a request from the lane's queue to a call. */

static void
ngx_http_blockcast_rpc_lane_join(ngx_http_blockcast_rpc_ask_t *ask,
    ngx_http_blockcast_rpc_lane_call_t *call)
{
    ngx_http_blockcast_rpc_lane_t  *lane;

    lane = ask->group->lane;

    ngx_queue_remove(&ask->queue);
    lane->nwaiting--;
    lane->waiting_size -= ask->size;

    ask->call = call;
    ngx_queue_insert_tail(&call->asks, &ask->queue);
}


static ngx_http_blockcast_rpc_lane_call_t *
ngx_http_blockcast_rpc_lane_find(ngx_http_blockcast_rpc_node_t *state,
    ngx_http_blockcast_rpc_ask_t *ask)
{
    ngx_queue_t                         *q;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    if (ask->policy == ngx_http_blockcast_rpc_off
        || ask->policy == ngx_http_blockcast_rpc_clear)
    {
        return NULL;
    }

    for (q = ngx_queue_head(&state->calls);
         q != ngx_queue_sentinel(&state->calls);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_http_blockcast_rpc_lane_call_t, queue);

        if (call->hash == ask->hash
            && call->policy == ask->policy
            && call->version == ask->version
            && call->key.len == ask->key.len
            && ngx_memcmp(call->key.data, ask->key.data, ask->key.len) == 0)
        {
            return call;
        }
    }

    return NULL;
}


/*
 * Returns true while the node must not be called: for a while after a failure,
 * and then while one call tries it.
 */

static ngx_uint_t
ngx_http_blockcast_rpc_lane_down(ngx_http_blockcast_rpc_node_t *state)
{
    return state->failing
           && (state->probing
               || (ngx_msec_int_t) (state->until - ngx_current_msec) > 0);
}


/*
 * Answers without the node, or attaches the request to an equal call in
 * flight. NGX_DECLINED: the node has to be called.
 */

static ngx_int_t
ngx_http_blockcast_rpc_lane_known(ngx_http_blockcast_rpc_ask_t *ask)
{
    ngx_http_blockcast_rpc_conf_t       *conf;
    ngx_http_blockcast_rpc_node_t       *state;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    conf = ask->group->lane->conf;
    state = ngx_http_blockcast_rpc_lane_node(conf->node);

    if (ngx_http_blockcast_rpc_lane_version(conf, ask->policy, &ask->version)
        && ngx_http_blockcast_rpc_lane_kept(ask) == NGX_OK)
    {
        return NGX_OK;
    }

    call = ngx_http_blockcast_rpc_lane_find(state, ask);

    if (call != NULL) {
        ngx_http_blockcast_rpc_lane_join(ask, call);
        return NGX_OK;
    }

    if (ngx_http_blockcast_rpc_lane_down(state)) {
        ngx_http_blockcast_rpc_lane_fail(ask, state->code,
                                         "no answer from the node: %V",
                                         &state->reason);
        return NGX_OK;
    }

    return NGX_DECLINED;
}


/*
 * Takes one call from this worker's share of the calls per second.
 * NGX_DECLINED: none is left.
 */

static ngx_int_t
ngx_http_blockcast_rpc_lane_spare(ngx_http_blockcast_rpc_node_t *state,
    ngx_uint_t rate)
{
    uint64_t          gone, share;
    ngx_core_conf_t  *ccf;

    if (rate == 0) {
        return NGX_OK;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(ngx_cycle->conf_ctx,
                                           ngx_core_module);

    share = (uint64_t) rate * 1000 / ngx_max(ccf->worker_processes, 1);

    gone = (ngx_msec_t) (ngx_current_msec - state->counted);
    state->counted = ngx_current_msec;
    state->spent -= ngx_min(state->spent, gone * share / 1000);

    /* allow a burst of one second's calls, at least one */

    if (state->spent != 0 && state->spent + 1000 > share) {
        return NGX_DECLINED;
    }

    state->spent += 1000;

    return NGX_OK;
}


/*
 * Calls the node.  Each call is a request of its own even if the node takes
 * batches: in a batch a slow call would hold up the answers to other clients,
 * and errors are passed on from the reply byte for byte.
 */

static ngx_http_blockcast_rpc_call_t *
ngx_http_blockcast_rpc_lane_call(ngx_http_blockcast_rpc_ask_t *ask,
    ngx_uint_t quiet)
{
    ngx_str_t                       body;
    ngx_http_blockcast_rpc_call_t  *rpc;

    rpc = ngx_http_blockcast_rpc_call_create(
                                    ask->group->lane->conf->node,
                                    &ask->method, &ask->params,
                                    ngx_http_blockcast_rpc_lane_done_handler);
    if (rpc == NULL) {
        return NULL;
    }

    rpc->quiet = (quiet != 0);
    ngx_str_null(&body);

    if (ngx_http_blockcast_rpc_call_send(rpc, &body) != NGX_OK) {
        ngx_http_blockcast_rpc_call_free(rpc);
        return NULL;
    }

    return rpc;
}


/* Answers a request whose turn has come: from the cache, or with a call. */

static void
ngx_http_blockcast_rpc_lane_start(ngx_http_blockcast_rpc_ask_t *ask)
{
    ngx_http_blockcast_node_t           *node;
    ngx_http_blockcast_rpc_conf_t       *conf;
    ngx_http_blockcast_rpc_lane_t       *lane;
    ngx_http_blockcast_rpc_node_t       *state;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    lane = ask->group->lane;
    conf = lane->conf;
    node = conf->node;
    state = ngx_http_blockcast_rpc_lane_node(node);

    if (ngx_http_blockcast_rpc_lane_known(ask) == NGX_OK) {
        return;
    }

    if (ngx_http_blockcast_rpc_lane_spare(state, conf->limit.node) != NGX_OK) {
        ngx_http_blockcast_rpc_lane_fail(ask, BC_RPC_LIMITED,
                                         "the limit of calls to the node is "
                                         "reached, try again later", NULL);
        return;
    }

    call = ngx_calloc(sizeof(ngx_http_blockcast_rpc_lane_call_t)
                      + ask->key.len, ngx_cycle->log);

    if (call == NULL) {
        ngx_http_blockcast_rpc_lane_fail(ask, BC_RPC_FAILED,
                                         "no memory, try again later", NULL);
        return;
    }

    call->rpc = ngx_http_blockcast_rpc_lane_call(ask, state->failing);

    if (call->rpc == NULL) {
        ngx_free(call);
        ngx_http_blockcast_rpc_lane_fail(ask, BC_RPC_FAILED,
                                         "no memory, try again later", NULL);
        return;
    }

    call->node = node;
    call->lane = lane;
    call->policy = ask->policy;
    call->version = ask->version;
    call->hash = ask->hash;
    call->began = ngx_current_msec;
    call->key.data = (u_char *) call
                     + sizeof(ngx_http_blockcast_rpc_lane_call_t);
    call->key.len = ask->key.len;
    ngx_memcpy(call->key.data, ask->key.data, ask->key.len);

    if (state->failing) {
        call->probe = 1;
        state->probing = 1;
    }

    ngx_queue_init(&call->asks);
    ngx_queue_insert_tail(&state->calls, &call->queue);

    call->timer.handler = ngx_http_blockcast_rpc_lane_timeout;
    call->timer.data = call;
    call->timer.log = ngx_cycle->log;
    call->timer.cancelable = 1;

    ngx_add_timer(&call->timer, conf->limit.timeout);

    state->ncalls++;
    lane->calls++;

    ngx_http_blockcast_rpc_lane_join(ask, call);
}


/* Starts waiting requests, one of each lane in turn. */

static void
ngx_http_blockcast_rpc_lane_run(ngx_http_blockcast_node_t *node)
{
    ngx_queue_t                    *q;
    ngx_http_blockcast_rpc_ask_t   *ask;
    ngx_http_blockcast_rpc_lane_t  *lane;
    ngx_http_blockcast_rpc_node_t  *state;

    state = ngx_http_blockcast_rpc_lane_node(node);

    while (!ngx_queue_empty(&state->ready)) {
        q = ngx_queue_head(&state->ready);
        lane = ngx_queue_data(q, ngx_http_blockcast_rpc_lane_t, ready);

        if (state->ncalls >= lane->conf->limit.total) {
            return;
        }

        ngx_queue_remove(&lane->ready);
        lane->is_ready = 0;

        if (ngx_queue_empty(&lane->waiting)) {
            continue;
        }

        q = ngx_queue_head(&lane->waiting);
        ask = ngx_queue_data(q, ngx_http_blockcast_rpc_ask_t, queue);

        lane->refs++;
        ngx_http_blockcast_rpc_lane_start(ask);

        if (lane->owner != NULL && !lane->is_ready
            && !ngx_queue_empty(&lane->waiting)
            && lane->calls < lane->conf->limit.calls)
        {
            lane->is_ready = 1;
            ngx_queue_insert_tail(&state->ready, &lane->ready);
        }

        ngx_http_blockcast_rpc_lane_free(lane);
    }
}


/* Takes a call out of its lists and frees it, with its request. */

static void
ngx_http_blockcast_rpc_lane_free_call(ngx_http_blockcast_rpc_lane_call_t *call)
{
    ngx_http_blockcast_rpc_lane_t  *lane;
    ngx_http_blockcast_rpc_node_t  *state;

    state = ngx_http_blockcast_rpc_lane_node(call->node);
    lane = call->lane;

    ngx_queue_remove(&call->queue);
    state->ncalls--;

    if (call->probe) {
        state->probing = 0;
    }

    if (call->timer.timer_set) {
        ngx_del_timer(&call->timer);
    }

    if (lane != NULL) {
        lane->calls--;

        if (!lane->is_ready && !ngx_queue_empty(&lane->waiting)) {
            lane->is_ready = 1;
            ngx_queue_insert_tail(&state->ready, &lane->ready);
        }
    }

    ngx_http_blockcast_rpc_call_free(call->rpc);
    ngx_free(call);
}


/* Notes that the node must not be called for a while, and why. */

static void
ngx_http_blockcast_rpc_lane_failed(ngx_http_blockcast_rpc_lane_call_t *call,
    ngx_int_t code, ngx_msec_t pause, ngx_str_t *reason)
{
    ngx_http_blockcast_rpc_node_t  *state;

    state = ngx_http_blockcast_rpc_lane_node(call->node);

    state->failing = 1;
    state->until = ngx_current_msec + pause;
    state->code = code;
    state->reason.data = state->text;
    state->reason.len = ngx_min(reason->len, NGX_HTTP_BLOCKCAST_ERROR_LEN);
    ngx_memcpy(state->text, reason->data, state->reason.len);
}


/* Finds the node's own error object in the reply, byte for byte. */

static ngx_uint_t
ngx_http_blockcast_rpc_lane_error(ngx_http_blockcast_rpc_call_t *rpc,
    bc_span_t *error)
{
    bc_span_t            body;
    ngx_http_request_t  *r;

    r = rpc->sr;

    if (!rpc->has_code || r->out == NULL || r->out->buf == NULL) {
        return 0;
    }

    body.data = r->out->buf->pos;
    body.len = r->out->buf->last - r->out->buf->pos;

    return bc_json_member(body, "error", error) && error->data[0] == '{';
}


/* Answers all requests that wait for a call, and frees the call. */

static void
ngx_http_blockcast_rpc_lane_finish(ngx_http_blockcast_rpc_lane_call_t *call,
    ngx_int_t code, ngx_str_t *message)
{
    bc_span_t                        error;
    ngx_queue_t                     *q, asks;
    ngx_uint_t                       has_error;
    ngx_http_blockcast_node_t       *node;
    ngx_http_blockcast_rpc_ask_t    *ask;
    ngx_http_blockcast_rpc_call_t   *rpc;
    ngx_http_blockcast_rpc_group_t  *group;

    rpc = call->rpc;
    node = call->node;

    ngx_queue_init(&asks);

    if (!ngx_queue_empty(&call->asks)) {
        ngx_queue_add(&asks, &call->asks);
        ngx_queue_init(&call->asks);
    }

    has_error = (message == NULL && rpc->result.len == 0)
                ? ngx_http_blockcast_rpc_lane_error(rpc, &error) : 0;

    if (message == NULL) {
        message = &rpc->message;
    }

    /* a delivery may end other clients, whose requests then leave the list */

    while (!ngx_queue_empty(&asks)) {
        q = ngx_queue_head(&asks);
        ask = ngx_queue_data(q, ngx_http_blockcast_rpc_ask_t, queue);
        group = ask->group;

        if (rpc->result.len != 0) {
            ngx_http_blockcast_rpc_group_result(group, ask->i, ask->id,
                                                &rpc->result);

        } else if (has_error) {
            ngx_http_blockcast_rpc_group_answer(group, ask->i, ask->id, 1,
                                                error);

        } else {
            ngx_http_blockcast_rpc_group_error(group, ask->i, ask->id, code,
                                               "no answer from the node: %V",
                                               message);
        }

        ngx_http_blockcast_rpc_lane_drop(ask);
        ngx_http_blockcast_rpc_group_end(group);
    }

    ngx_http_blockcast_rpc_lane_free_call(call);
    ngx_http_blockcast_rpc_lane_run(node);
}


static void
ngx_http_blockcast_rpc_lane_done_handler(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_int_t                            code;
    ngx_msec_t                           pause;
    ngx_queue_t                         *q;
    ngx_http_blockcast_fault_e           fault;
    ngx_http_blockcast_rpc_key_t         key;
    ngx_http_blockcast_rpc_node_t       *state;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    state = ngx_http_blockcast_rpc_lane_node(rpc->node);
    call = NULL;

    for (q = ngx_queue_head(&state->calls);
         q != ngx_queue_sentinel(&state->calls);
         q = ngx_queue_next(q))
    {
        call = ngx_queue_data(q, ngx_http_blockcast_rpc_lane_call_t, queue);

        if (call->rpc == rpc) {
            break;
        }
    }

    code = rpc->too_big ? BC_RPC_TOO_LARGE : BC_RPC_FAILED;

    fault = rpc->fault;

    if (fault == ngx_http_blockcast_fault_http && rpc->has_code) {

        /* the node has answered, whatever the HTTP status */

        fault = ngx_http_blockcast_fault_none;
    }

    switch (fault) {

    case ngx_http_blockcast_fault_none:
        state->last_good = ngx_current_msec;
        state->failing = 0;
        break;

    case ngx_http_blockcast_fault_unreachable:
        ngx_http_blockcast_rpc_lane_failed(call, code,
                                           NGX_HTTP_BLOCKCAST_RPC_PAUSE,
                                           &rpc->message);
        break;

    case ngx_http_blockcast_fault_limited:
        code = BC_RPC_LIMITED;
        pause = rpc->retry_after ? ngx_min(rpc->retry_after, 60) * 1000
                                 : NGX_HTTP_BLOCKCAST_RPC_PAUSE;
        ngx_http_blockcast_rpc_lane_failed(call, code, pause, &rpc->message);
        break;

    default:

        if (call->probe) {
            ngx_http_blockcast_rpc_lane_failed(call, code,
                                               NGX_HTTP_BLOCKCAST_RPC_PAUSE,
                                               &rpc->message);
        }
    }

    if (rpc->result.len != 0) {

        key.data = call->key.data;
        key.len = call->key.len;
        key.version = call->version;

        /* do not cache null for ever: the result may still come to be */

        if (call->policy == ngx_http_blockcast_rpc_head
            || (call->policy == ngx_http_blockcast_rpc_forever
                && (rpc->result.len != 4
                    || ngx_strncmp(rpc->result.data, "null", 4) != 0)))
        {
            ngx_http_blockcast_rpc_cache_put(&key, &rpc->result);
        }

        if (call->policy == ngx_http_blockcast_rpc_clear) {
            ngx_http_blockcast_rpc_cache_clear();
        }
    }

    ngx_http_blockcast_rpc_lane_finish(call, code, NULL);
}


static void
ngx_http_blockcast_rpc_lane_timeout(ngx_event_t *ev)
{
    u_char                               text[128];
    ngx_str_t                            message;
    ngx_http_blockcast_rpc_node_t       *state;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    call = ev->data;
    state = ngx_http_blockcast_rpc_lane_node(call->node);

    message.data = text;
    message.len = ngx_snprintf(text, sizeof(text),
                               "none within %M ms",
                               (ngx_msec_t) (ngx_current_msec - call->began))
                  - text;

    /* a node that answered other calls since is not down, this one is slow */

    if ((ngx_msec_int_t) (state->last_good - call->began) < 0) {
        ngx_http_blockcast_rpc_lane_failed(call, BC_RPC_FAILED,
                                           NGX_HTTP_BLOCKCAST_RPC_PAUSE,
                                           &message);
    }

    ngx_http_blockcast_rpc_lane_finish(call, BC_RPC_FAILED, &message);
}


/* Ends the calls for which no client waits. */

static void
ngx_http_blockcast_rpc_lane_reap(ngx_event_t *ev)
{
    ngx_uint_t                           i, n;
    ngx_queue_t                         *q, *next;
    ngx_http_blockcast_node_t           *node;
    ngx_http_blockcast_rpc_node_t       *state;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_NODES; i++) {
        state = &ngx_http_blockcast_rpc_nodes[i];
        node = NULL;

        if (state->calls.next == NULL) {
            continue;
        }

        for (q = ngx_queue_head(&state->calls), n = 0;
             q != ngx_queue_sentinel(&state->calls);
             q = next)
        {
            next = ngx_queue_next(q);
            call = ngx_queue_data(q, ngx_http_blockcast_rpc_lane_call_t,
                                  queue);

            if (ngx_queue_empty(&call->asks)
                && call->policy != ngx_http_blockcast_rpc_off
                && call->policy != ngx_http_blockcast_rpc_clear)
            {
                node = call->node;
                ngx_http_blockcast_rpc_lane_free_call(call);
                n++;
            }
        }

        if (n != 0) {
            ngx_http_blockcast_rpc_lane_run(node);
        }
    }
}


void
ngx_http_blockcast_rpc_lane_done(void)
{
    ngx_uint_t                           i;
    ngx_queue_t                         *q;
    ngx_http_blockcast_rpc_node_t       *state;
    ngx_http_blockcast_rpc_ask_t        *ask;
    ngx_http_blockcast_rpc_group_t      *group;
    ngx_http_blockcast_rpc_lane_call_t  *call;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_NODES; i++) {
        state = &ngx_http_blockcast_rpc_nodes[i];

        if (state->calls.next == NULL) {
            continue;
        }

        while (!ngx_queue_empty(&state->calls)) {
            q = ngx_queue_head(&state->calls);
            call = ngx_queue_data(q, ngx_http_blockcast_rpc_lane_call_t,
                                  queue);

            while (!ngx_queue_empty(&call->asks)) {
                q = ngx_queue_head(&call->asks);
                ask = ngx_queue_data(q, ngx_http_blockcast_rpc_ask_t, queue);
                group = ask->group;

                ngx_http_blockcast_rpc_lane_drop(ask);
                ngx_http_blockcast_rpc_group_end(group);
            }

            ngx_http_blockcast_rpc_lane_free_call(call);
        }
    }
}
