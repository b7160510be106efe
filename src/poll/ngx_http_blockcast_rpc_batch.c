
/*
 * Batches: the calls of one turn of the event loop in one POST, for nodes that
 * support them.
 *
 * A batch is a call without a method; its members are the calls that it
 * carries.  They wait only for the end of the turn, and look like other calls
 * from outside.  Their results are parts of the batch's reply, which stays
 * until the last of them is freed.
 *
 * If a node refuses batches, or does not say which call an error belongs to,
 * the calls without an answer are repeated one by one at once, and the node
 * gets no batch for a while.
 */


#include "ngx_http_blockcast_rpc_batch.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_call.h"
#include "bc_jsonrpc.h"
#include "bc_span.h"


/* how long to send no batches to a node that has refused one (msec) */
#define NGX_HTTP_BLOCKCAST_RPC_BATCH_PAUSE  600000


static void ngx_http_blockcast_rpc_batch_send(ngx_event_t *ev);
static ngx_int_t ngx_http_blockcast_rpc_batch_start(
    ngx_http_blockcast_node_t *node);
static ngx_int_t ngx_http_blockcast_rpc_batch_body(
    ngx_http_blockcast_rpc_call_t *batch, ngx_str_t *body);
static void ngx_http_blockcast_rpc_batch_answer(
    ngx_http_blockcast_rpc_call_t *rpc, bc_span_t item, int mode);
static void ngx_http_blockcast_rpc_batch_done(
    ngx_http_blockcast_rpc_call_t *batch);
static ngx_uint_t ngx_http_blockcast_rpc_batch_refused(
    ngx_http_blockcast_rpc_call_t *batch);
static void ngx_http_blockcast_rpc_batch_alone(
    ngx_http_blockcast_rpc_call_t *rpc);


ngx_int_t
ngx_http_blockcast_rpc_batch_add(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_http_blockcast_node_t  *node;

    node = rpc->node;

    if (node->batch < 2) {
        return NGX_DECLINED;
    }

    if (node->alone) {

        if ((ngx_msec_int_t) (node->single - ngx_current_msec) > 0) {
            return NGX_DECLINED;
        }

        node->alone = 0;
    }

    if (node->gathered.next == NULL) {
        ngx_queue_init(&node->gathered);

        node->gather.handler = ngx_http_blockcast_rpc_batch_send;
        node->gather.data = node;
        node->gather.log = ngx_cycle->log;
    }

    rpc->gathered = 1;
    ngx_queue_insert_tail(&node->gathered, &rpc->member);

    if (!node->gather.posted) {
        ngx_post_event(&node->gather, &ngx_posted_events);
    }

    return NGX_OK;
}


static void
ngx_http_blockcast_rpc_batch_send(ngx_event_t *ev)
{
    ngx_queue_t                    *q;
    ngx_http_blockcast_node_t      *node;
    ngx_http_blockcast_rpc_call_t  *rpc;

    node = ev->data;

    while (!ngx_queue_empty(&node->gathered)) {

        q = ngx_queue_head(&node->gathered);

        if (q != ngx_queue_last(&node->gathered)
            && ngx_http_blockcast_rpc_batch_start(node) == NGX_OK)
        {
            continue;
        }

        /* there is one call only, or no memory for a batch */

        q = ngx_queue_head(&node->gathered);
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, member);

        ngx_queue_remove(q);
        rpc->gathered = 0;

        ngx_http_blockcast_rpc_batch_alone(rpc);
    }
}


static void
ngx_http_blockcast_rpc_batch_alone(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_str_t  body;

    ngx_str_null(&body);

    if (ngx_http_blockcast_rpc_call_send(rpc, &body) != NGX_OK) {
        ngx_http_blockcast_rpc_call_fail(rpc, "no memory for the call");
    }
}


/* Sends the first calls that wait, as many as the node accepts in a batch. */

static ngx_int_t
ngx_http_blockcast_rpc_batch_start(ngx_http_blockcast_node_t *node)
{
    ngx_str_t                       body, none;
    ngx_uint_t                      n;
    ngx_queue_t                    *q;
    ngx_http_blockcast_rpc_call_t  *batch, *rpc;
    static ngx_str_t                name = ngx_string("a batch");

    ngx_str_null(&none);

    batch = ngx_http_blockcast_rpc_call_create(
                            node, &name, &none,
                            ngx_http_blockcast_rpc_batch_done);
    if (batch == NULL) {
        return NGX_ERROR;
    }

    batch->carries = 1;
    batch->quiet = 1;

    for (n = 0; n < node->batch && !ngx_queue_empty(&node->gathered); n++) {
        q = ngx_queue_head(&node->gathered);
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, member);

        ngx_queue_remove(q);
        rpc->gathered = 0;

        rpc->batch = batch;
        ngx_queue_insert_tail(&batch->members, q);

        if (!rpc->quiet) {
            batch->quiet = 0;
        }
    }

    /* from here on it ends as calls do, even if it cannot be sent */

    if (ngx_http_blockcast_rpc_batch_body(batch, &body) != NGX_OK
        || ngx_http_blockcast_rpc_call_send(batch, &body) != NGX_OK)
    {
        ngx_http_blockcast_rpc_call_fail(batch, "no memory for the batch");
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_rpc_batch_body(ngx_http_blockcast_rpc_call_t *batch,
    ngx_str_t *body)
{
    char                           *text;
    size_t                          len, size;
    u_char                         *p;
    ngx_queue_t                    *q;
    ngx_http_blockcast_rpc_call_t  *rpc;

    size = sizeof("[]");

    for (q = ngx_queue_head(&batch->members);
         q != ngx_queue_sentinel(&batch->members);
         q = ngx_queue_next(q))
    {
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, member);

        size += sizeof("{\"jsonrpc\":\"2.0\",\"id\":,\"method\":\"\","
                       "\"params\":},")
                + NGX_INT64_LEN + 6 * rpc->method.len + rpc->params.len;
    }

    body->data = ngx_pnalloc(batch->pool, size);
    if (body->data == NULL) {
        return NGX_ERROR;
    }

    p = body->data;

    for (q = ngx_queue_head(&batch->members);
         q != ngx_queue_sentinel(&batch->members);
         q = ngx_queue_next(q))
    {
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, member);

        if (bc_jsonrpc_build(&text, &len, rpc->id, (char *) rpc->method.data,
                             rpc->params.len ? (char *) rpc->params.data
                                             : NULL)
            != 0)
        {
            return NGX_ERROR;
        }

        *p = (p == body->data) ? '[' : ',';
        p = ngx_cpymem(p + 1, text, len);

        free(text);
    }

    *p++ = ']';
    body->len = p - body->data;

    return NGX_OK;
}


void
ngx_http_blockcast_rpc_batch_read(ngx_http_blockcast_rpc_call_t *batch,
    ngx_str_t *body)
{
    int                             rc, mode;
    uint64_t                        id;
    bc_span_t                       item, nobodys;
    ngx_uint_t                      left;
    ngx_queue_t                    *q;
    bc_jsonrpc_batch_t              replies;
    bc_jsonrpc_reply_t              reply;
    ngx_http_blockcast_rpc_call_t  *rpc, *last;

    nobodys.data = NULL;

    mode = batch->node->strict ? BC_JSONRPC_STRICT : BC_JSONRPC_ANY;

    if (batch->checked) {
        rc = bc_jsonrpc_batch_begin_checked(&replies, body->data, body->len,
                                            mode, &reply);

    } else {
        rc = bc_jsonrpc_batch_begin(&replies, body->data, body->len, mode,
                                    &reply);
    }

    if (rc == -1) {
        batch->fault = ngx_http_blockcast_fault_invalid;
        ngx_http_blockcast_rpc_call_error(batch, "bad reply: %s",
                                          reply.message);
        return;
    }

    if (rc == 1) {
        ngx_http_blockcast_rpc_call_reply(batch, &reply);
        return;
    }

    while (bc_jsonrpc_batch_next(&replies, &item, &id)) {

        if (id == 0) {
            nobodys = item;
            continue;
        }

        for (q = ngx_queue_head(&batch->members);
             q != ngx_queue_sentinel(&batch->members);
             q = ngx_queue_next(q))
        {
            rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, member);

            if (rpc->id != id) {
                continue;
            }

            if (!rpc->answered) {
                ngx_http_blockcast_rpc_batch_answer(rpc, item, mode);
            }

            break;
        }
    }

    if (nobodys.data == NULL) {
        return;
    }

    /* allow for an error without an id, against the specification */

    left = 0;
    last = NULL;

    for (q = ngx_queue_head(&batch->members);
         q != ngx_queue_sentinel(&batch->members);
         q = ngx_queue_next(q))
    {
        rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, member);

        if (!rpc->answered) {
            left++;
            last = rpc;
        }
    }

    if (left == 1) {
        ngx_http_blockcast_rpc_batch_answer(last, nobodys, mode);

    } else if (left > 1) {
        ngx_http_blockcast_rpc_call_error(batch, "it does not say which call "
                                          "an error belongs to");
    }
}


static void
ngx_http_blockcast_rpc_batch_answer(ngx_http_blockcast_rpc_call_t *rpc,
    bc_span_t item, int mode)
{
    bc_jsonrpc_reply_t              reply;
    ngx_http_blockcast_rpc_call_t  *batch;

    rpc->answered = 1;

    if (bc_jsonrpc_batch_read(item, rpc->id, mode, &reply) == 0) {
        ngx_http_blockcast_rpc_call_reply(rpc, &reply);

        batch = rpc->batch;

        if (batch->checked && !batch->reply.deep && !batch->reply.deep_each
            && rpc->result.len >= NGX_HTTP_BLOCKCAST_RPC_CALL_LARGE)
        {
            /* the whole is not nested too deeply, so this is not */

            rpc->checked = 1;
        }

        return;
    }

    rpc->fault = ngx_http_blockcast_fault_invalid;
    ngx_http_blockcast_rpc_call_error(rpc, "bad reply: %s", reply.message);
}


/* Ends the calls of a batch with its outcome, one after the other. */

static void
ngx_http_blockcast_rpc_batch_done(ngx_http_blockcast_rpc_call_t *batch)
{
    ngx_uint_t                      refused;
    ngx_queue_t                    *q;
    ngx_http_blockcast_rpc_call_t  *rpc;

    refused = ngx_http_blockcast_rpc_batch_refused(batch);

    batch->sharing = 1;

    for ( ;; ) {

        /* restart after each call: its handler may free others, too */

        for (q = ngx_queue_head(&batch->members);
             q != ngx_queue_sentinel(&batch->members);
             q = ngx_queue_next(q))
        {
            rpc = ngx_queue_data(q, ngx_http_blockcast_rpc_call_t, member);

            if (!rpc->finished) {
                break;
            }
        }

        if (q == ngx_queue_sentinel(&batch->members)) {
            break;
        }

        if (refused && !rpc->answered) {
            ngx_queue_remove(q);
            rpc->batch = NULL;
            ngx_http_blockcast_rpc_batch_alone(rpc);
            continue;
        }

        rpc->status = batch->status;
        rpc->retry_after = batch->retry_after;

        if (!rpc->answered && batch->message.len != 0) {
            rpc->fault = batch->fault;
            rpc->has_code = batch->has_code;
            rpc->code = batch->code;
            rpc->limited = batch->limited;
            ngx_http_blockcast_rpc_call_error(rpc, "%V", &batch->message);

        } else if (!rpc->answered) {
            rpc->fault = ngx_http_blockcast_fault_invalid;
            ngx_http_blockcast_rpc_call_error(rpc, "bad reply: the batch has "
                                              "none to this call");
        }

        rpc->finished = 1;
        rpc->handler(rpc);
    }

    batch->sharing = 0;

    if (ngx_queue_empty(&batch->members)) {
        ngx_http_blockcast_rpc_call_free(batch);
    }
}


/*
 * Returns true when a reply shows that the node does not support batches: then
 * it gets no more.
 */

static ngx_uint_t
ngx_http_blockcast_rpc_batch_refused(ngx_http_blockcast_rpc_call_t *batch)
{
    ngx_http_blockcast_node_t  *node;

    if (batch->message.len == 0 || batch->limited) {
        return 0;
    }

    switch (batch->fault) {

    case ngx_http_blockcast_fault_none:

        /* "parse error", "invalid request", or larger than max_reply */

        if (!batch->too_big && batch->has_code && batch->code != -32700
            && batch->code != -32600 && batch->code != -32601)
        {
            return 0;
        }

        break;

    case ngx_http_blockcast_fault_http:

        if (batch->status != NGX_HTTP_BAD_REQUEST
            && batch->status != NGX_HTTP_NOT_ALLOWED
            && batch->status != NGX_HTTP_REQUEST_ENTITY_TOO_LARGE
            && batch->status != NGX_HTTP_UNSUPPORTED_MEDIA_TYPE
            && batch->status != 422
            && batch->status != NGX_HTTP_NOT_IMPLEMENTED)
        {
            return 0;
        }

        break;

    default:
        return 0;
    }

    node = batch->node;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: node \"%V\" does not take a batch of calls, it "
                  "gets them one by one: %V", &node->name, &batch->message);

    node->alone = 1;
    node->single = ngx_current_msec + NGX_HTTP_BLOCKCAST_RPC_BATCH_PAUSE;

    return 1;
}


void
ngx_http_blockcast_rpc_batch_leave(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_http_blockcast_rpc_call_t  *batch;

    if (rpc->gathered) {
        rpc->gathered = 0;
        ngx_queue_remove(&rpc->member);
        return;
    }

    batch = rpc->batch;

    if (batch == NULL) {
        return;
    }

    rpc->batch = NULL;
    ngx_queue_remove(&rpc->member);

    if (!batch->sharing && ngx_queue_empty(&batch->members)) {
        ngx_http_blockcast_rpc_call_free(batch);
    }
}
