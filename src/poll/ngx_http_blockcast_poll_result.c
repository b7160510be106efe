
/*
 * Makes data, log entries or an error from a poll's results.
 */


#include "ngx_http_blockcast_poll_result.h"
#include "ngx_http_blockcast_log_dedup.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_history.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_hub_load.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "ngx_http_blockcast_key_poll.h"
#include "ngx_http_blockcast_poll.h"
#include "ngx_http_blockcast_program_report.h"
#include "ngx_http_blockcast_stream_note.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_siphash.h"
#include "bc_span.h"


/* for how long the entries of a large log are looked at in a turn (usec), and
   how many, or bytes of them, between two looks at the clock */
#define NGX_HTTP_BLOCKCAST_POLL_RESULT_TIME     500
#define NGX_HTTP_BLOCKCAST_POLL_RESULT_ENTRIES  64
#define NGX_HTTP_BLOCKCAST_POLL_RESULT_PIECE    65536


/* what a poll proposes, and what remains to be done when that is decided */

typedef struct {
    ngx_http_blockcast_proposal_t  proposal;
    ngx_http_blockcast_publication_t  pub;      /* when it is just one */
    ngx_http_blockcast_program_report_t  report;
    ngx_str_t                     data;         /* the program's first output */
    ngx_str_t                     error;        /* about entries left out */
    ngx_uint_t                    entries;      /* new ones of a log */
    unsigned                      batch:1;      /* a message of a log */
    unsigned                      loads:1;      /* the hub copies one */
    unsigned                      bad:1;        /* entries are left out */
} ngx_http_blockcast_poll_outcome_t;


/*
 * The entries of a log's data that were not published before.  Published
 * entries are numbered from 1.
 */

typedef enum {
    ngx_http_blockcast_poll_result_look = 0,
    ngx_http_blockcast_poll_result_count,
    ngx_http_blockcast_poll_result_kept,
    ngx_http_blockcast_poll_result_sort,
    ngx_http_blockcast_poll_result_sorted
} ngx_http_blockcast_poll_result_step_e;


typedef struct {
    ngx_http_blockcast_hub_t      *hub;
    bc_span_t                      list;        /* all, as the data has them */

    /* what is done, in turns of its own when the data is large; the queue,
       while it is in it, and what else is needed then */
    ngx_http_blockcast_poll_result_step_e  step;
    bc_json_pieces_t               walk;        /* over the data, then the list
                                                   in it */
    bc_json_pieces_t               inner;       /* ... and over an entry */
    bc_span_t                      item;        /* that one; NULL: none */
    bc_span_t                      found;       /* its key */
    ngx_str_t                      names;       /* see _list() */
    bc_span_t                      values[2];
    ngx_uint_t                     nkept;       /* in the table */
    ngx_queue_t                    queue;
    ngx_uint_t                     queued;
    ngx_http_blockcast_poll_t     *poll;
    ngx_http_blockcast_poll_outcome_t  *outcome;
    ngx_str_t                      memory;
    uint64_t                       version;     /* of the slot */
    uint64_t                       added;       /* of the hub */
    ngx_uint_t                     count;

    const char                    *key;         /* name of the key's member */
    uint32_t                      *table;       /* hashes of kept and new */
    ngx_uint_t                     mask;        /* ... its size less 1 */
    ngx_http_blockcast_log_dedup_entry_t  *new;
    ngx_http_blockcast_log_dedup_past_t  past;
    ngx_http_blockcast_log_entry_t  *entries;   /* the n new ones, in order */
    ngx_uint_t                     n;
    ngx_uint_t                     total;
    ngx_uint_t                     bad;         /* left out */
    uint64_t                       first;       /* number of the first one */
    uint64_t                       last;        /* in the data, and the last */
    ngx_uint_t                     before;      /* new ones before the first */
    ngx_uint_t                     after;       /* ... and before the last */
} ngx_http_blockcast_poll_result_news_t;


static void ngx_http_blockcast_poll_result_failed(
    ngx_http_blockcast_poll_t *poll, ngx_http_blockcast_call_result_t *r,
    ngx_str_t *text);
static void ngx_http_blockcast_poll_result_recovered(
    ngx_http_blockcast_poll_t *poll);
static void ngx_http_blockcast_poll_result_time_poll(
    ngx_http_blockcast_poll_t *poll);
static void ngx_http_blockcast_poll_result_time_publish(
    ngx_http_blockcast_poll_t *poll);
static void ngx_http_blockcast_poll_result_gap(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_program_report_t *report);
static void ngx_http_blockcast_poll_result_shape(
    ngx_http_blockcast_poll_t *poll, ngx_http_blockcast_jq_input_t *input);
static void ngx_http_blockcast_poll_result_shaped(
    ngx_http_blockcast_jq_job_t *job);
static ngx_int_t ngx_http_blockcast_poll_result_publish(
    ngx_http_blockcast_poll_t *poll, ngx_str_t *output, ngx_uint_t n);
static void ngx_http_blockcast_poll_result_answered(
    ngx_http_blockcast_proposal_t *proposal, ngx_int_t rc);
static void ngx_http_blockcast_poll_result_decided(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_int_t rc);
static ngx_int_t ngx_http_blockcast_poll_result_propose(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome);
static void ngx_http_blockcast_poll_result_committed(
    ngx_http_blockcast_proposal_t *proposal);
static ngx_uint_t ngx_http_blockcast_poll_result_settled(
    ngx_http_blockcast_proposal_t *proposal);
static ngx_http_blockcast_poll_outcome_t *
    ngx_http_blockcast_poll_result_outcome(
    ngx_http_blockcast_proposal_t *proposal);
static ngx_int_t ngx_http_blockcast_poll_result_data(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_str_t *memory);
static ngx_int_t ngx_http_blockcast_poll_result_entries(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_str_t *memory);
static ngx_int_t ngx_http_blockcast_poll_result_names(
    ngx_http_blockcast_poll_t *poll, ngx_str_t *names);
static ngx_int_t ngx_http_blockcast_poll_result_list(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_result_news_t *news, size_t *len,
    ngx_str_t *error);
static ngx_int_t ngx_http_blockcast_poll_result_news_go_on(
    ngx_http_blockcast_poll_result_news_t *news);
static ngx_int_t ngx_http_blockcast_poll_result_news_later(
    ngx_http_blockcast_poll_result_news_t *news);
static void ngx_http_blockcast_poll_result_news_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_blockcast_poll_result_news_done(
    ngx_http_blockcast_poll_result_news_t *news);
static ngx_int_t ngx_http_blockcast_poll_result_batches(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome,
    ngx_http_blockcast_log_entry_t *entries, ngx_str_t *memory);
static ngx_int_t ngx_http_blockcast_poll_result_unchanged(
    ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_str_t *memory);
static void ngx_http_blockcast_poll_result_published(
    ngx_http_blockcast_poll_t *poll);
static ngx_int_t ngx_http_blockcast_poll_result_hold(
    ngx_http_blockcast_poll_t *poll);
static void ngx_http_blockcast_poll_result_let_go(void *data);


static ngx_str_t *
ngx_http_blockcast_poll_result_errorf(ngx_pool_t *pool, ngx_str_t *error,
    const char *fmt, ...)
{
    u_char   *p;
    va_list   args;

    p = ngx_pnalloc(pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);
    if (p == NULL) {
        ngx_str_set(error, "no memory");
        return error;
    }

    error->data = p;

    va_start(args, fmt);
    p = ngx_vslprintf(p, p + NGX_HTTP_BLOCKCAST_ERROR_LEN, fmt, args);
    va_end(args);

    error->len = p - error->data;

    return error;
}


/*
 * Makes the result of a call with each=: an array of the results before the
 * first error.
 */

static void
ngx_http_blockcast_poll_result_array(ngx_http_blockcast_poll_call_t *call,
    ngx_http_blockcast_call_result_t *result, ngx_pool_t *pool)
{
    u_char                             *p;
    size_t                              len;
    ngx_uint_t                          i, n, good;
    ngx_http_blockcast_poll_request_t  *item;

    len = 2;
    good = 0;

    for (n = 0; n < call->nrequests; n++) {
        item = &call->requests[n];

        if (item->result.message.len != 0 && call->poll->lane != NULL) {

            /* in a stream with keys null stands for a failed one */

            if (result->message.len == 0) {
                result->message = item->result.message;
                result->code = item->result.code;
                result->has_code = item->result.has_code;
            }

            len += sizeof("null,") - 1;
            continue;
        }

        if (item->result.message.len != 0) {
            result->message = item->result.message;
            result->code = item->result.code;
            result->has_code = item->result.has_code;
            break;
        }

        len += item->result.result.len + 1;
        result->method = item->result.method;
        good++;
    }

    if (call->poll->lane != NULL && good == 0 && n != 0) {
        return;
    }

    if (n == 0 && call->nrequests != 0) {
        return;
    }

    p = ngx_pnalloc(pool, len);
    if (p == NULL) {
        ngx_str_set(&result->message, "no memory for the replies");
        return;
    }

    result->result.data = p;
    *p++ = '[';

    for (i = 0; i < n; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        if (call->requests[i].result.message.len != 0) {
            p = ngx_cpymem(p, "null", 4);
            continue;
        }

        p = ngx_cpymem(p, call->requests[i].result.result.data,
                       call->requests[i].result.result.len);
    }

    *p++ = ']';
    result->result.len = p - result->result.data;
}


void
ngx_http_blockcast_poll_result_input(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_jq_input_t *input)
{
    ngx_uint_t                         i;
    ngx_time_t                        *tp;
    ngx_http_blockcast_hub_t          *hub;
    ngx_http_blockcast_poll_call_t    *call;
    ngx_http_blockcast_ring_record_t  *rec;
    ngx_http_blockcast_call_result_t  *results;

    ngx_memzero(input, sizeof(ngx_http_blockcast_jq_input_t));

    results = ngx_pcalloc(
                      poll->pool,
                      poll->ncalls * sizeof(ngx_http_blockcast_call_result_t));
    if (results == NULL) {
        return;
    }

    input->results = results;

    for (i = 0; i < poll->ncalls; i++) {
        call = &poll->calls[i];

        if (!call->done) {
            continue;
        }

        results->name = call->conf->name;

        if (call->nrequests == 0) {
            results->skipped = 1;

        } else if (call->conf->each != 0) {
            ngx_http_blockcast_poll_result_array(call, results, poll->pool);

        } else {
            *results = call->requests[0].result;
        }

        results++;
        input->nresults++;
    }

    tp = ngx_timeofday();
    input->time = (double) tp->sec + (double) tp->msec / 1000;

    if (poll->lane != NULL) {
        ngx_http_blockcast_key_poll_input(poll, input);
        return;
    }

    /* read the zone's newest data: another worker may have polled it */

    hub = ngx_http_blockcast_hub_of(poll->stream);
    (void) ngx_http_blockcast_hub_sync(hub);

    if (hub->newest != NULL) {
        input->previous.data = hub->buf + hub->snap.data;
        input->previous.len = hub->snap.data_len;

        input->memory.data = hub->buf + hub->snap.memory;
        input->memory.len = hub->snap.memory_len;

        input->held = (hub->snap.data_len > NGX_HTTP_BLOCKCAST_STAGED
                       && ngx_http_blockcast_poll_result_hold(poll) == NGX_OK);

        if (poll->stream->field.len != 0 && hub->count != 0) {
            rec = ngx_http_blockcast_hub_entry(hub, hub->count - 1);

            input->last.data = ngx_http_blockcast_ring_record_data(rec);
            input->last.len = rec->len;
        }
    }
}


/*
 * Makes the poll hold a reference to the hub's large data, instead of a copy
 * of its own.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_hold(ngx_http_blockcast_poll_t *poll)
{
    ngx_pool_cleanup_t          *cln;
    ngx_http_blockcast_frame_t  *frame;

    cln = ngx_pool_cleanup_add(poll->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    frame = ngx_http_blockcast_hub_of(poll->stream)->newest;
    frame->refs++;

    cln->handler = ngx_http_blockcast_poll_result_let_go;
    cln->data = frame;

    return NGX_OK;
}


static void
ngx_http_blockcast_poll_result_let_go(void *data)
{
    ngx_http_blockcast_frame_free(data);
}


void
ngx_http_blockcast_poll_result_finish(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                         i, asked, good;
    ngx_http_blockcast_slot_t         *slot;
    ngx_http_blockcast_jq_input_t      input;
    ngx_http_blockcast_call_result_t  *r, *failed;

    slot = poll->stream->slot;
    poll->answered = ngx_http_blockcast_zone_usec();
    poll->took = poll->answered - poll->asked;

    (void) ngx_atomic_fetch_add(&slot->polls, 1);

    ngx_http_blockcast_poll_result_time_poll(poll);
    ngx_http_blockcast_poll_result_input(poll, &input);

    asked = 0;
    good = 0;
    failed = NULL;

    for (i = 0; i < input.nresults; i++) {
        r = &input.results[i];

        if (r->skipped) {
            continue;
        }

        asked++;

        if (r->message.len != 0 && i < NGX_HTTP_BLOCKCAST_CALLS) {
            (void) ngx_atomic_fetch_add(&slot->call_errors[i], 1);
        }

        if (r->result.len != 0) {
            good++;

        } else if (failed == NULL) {
            failed = r;
        }
    }

    /* keep the last good data: nothing never replaces it */

    if (asked != 0 && good == 0) {
        ngx_http_blockcast_poll_result_failed(poll, failed, &failed->message);
        ngx_http_blockcast_poll_end(poll);
        return;
    }

    if (poll->stream->jq == NULL) {

        if (input.nresults != 0 && input.results[0].result.len != 0
            && ngx_http_blockcast_poll_result_publish(
                                        poll, &input.results[0].result, 1)
               == NGX_AGAIN)
        {
            return;
        }

        ngx_http_blockcast_poll_end(poll);
        return;
    }

    ngx_http_blockcast_poll_result_shape(poll, &input);
}


/* Runs the stream's program, unless its input is that of the last run. */

static void
ngx_http_blockcast_poll_result_shape(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_jq_input_t *input)
{
    ngx_int_t  rc;
    ngx_str_t  error;

    poll->shaping = 1;
    poll->job.handler = ngx_http_blockcast_poll_result_shaped;
    poll->job.data = poll;

    /* the keys of a lane are others with each poll */

    poll->job.memo = (poll->stream->jq_steady && poll->lane == NULL)
                     ? &poll->memo : NULL;

    rc = ngx_http_blockcast_jq_queue_run(&poll->job, poll->stream,
                                         NGX_HTTP_BLOCKCAST_JQ_STREAM, input,
                                         NGX_HTTP_BLOCKCAST_PROGRAM_OUTPUTS,
                                         poll->pool);

    if (rc == NGX_DONE) {
        (void) ngx_atomic_fetch_add(&poll->stream->slot->jq_reused, 1);
        ngx_http_blockcast_poll_result_shaped(&poll->job);
        return;
    }

    if (rc != NGX_OK) {
        ngx_str_set(&error, "no memory");
        ngx_http_blockcast_poll_result_failed(poll, NULL, &error);
        ngx_http_blockcast_poll_end(poll);
    }
}


/* Continues when the stream's program has ended or failed. */

static void
ngx_http_blockcast_poll_result_shaped(ngx_http_blockcast_jq_job_t *job)
{
    ngx_http_blockcast_poll_t      *poll;
    ngx_http_blockcast_jq_input_t   input;

    poll = job->data;

    ngx_http_blockcast_poll_time_program(poll);

    if (ngx_http_blockcast_jq_queue_keep(job) == NGX_DECLINED) {
        ngx_http_blockcast_poll_result_input(poll, &input);
        ngx_http_blockcast_poll_result_shape(poll, &input);
        return;
    }

    if (job->rc == NGX_OK && job->n == 0) {
        ngx_str_set(&job->error, "the jq program has no output");
        job->rc = NGX_ERROR;
    }

    if (job->rc != NGX_OK) {

        /* report the program's error, though a failed call may be its cause */

        ngx_http_blockcast_poll_result_failed(poll, NULL, &job->error);

    } else {

        /* read it again: there may be another publication by now */

        (void) ngx_http_blockcast_hub_sync(
                                    ngx_http_blockcast_hub_of(poll->stream));

        if (ngx_http_blockcast_poll_result_publish(poll, job->out, job->n)
            == NGX_AGAIN)
        {
            return;
        }
    }

    ngx_http_blockcast_poll_end(poll);
}


/*
 * Publishes the single result or a program's outputs: the data, the program's
 * state and its reports.  NGX_AGAIN: the poll ends when the log has answered.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_publish(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *output, ngx_uint_t n)
{
    ngx_int_t                           rc;
    ngx_str_t                           out[2], error;
    ngx_uint_t                          i;
    ngx_http_blockcast_poll_outcome_t  *outcome;

    for (i = 0; i < 2; i++) {
        ngx_str_null(&out[i]);

        if (i < n) {
            out[i] = output[i];
        }
    }

    ngx_str_null(&error);

    if (poll->lane != NULL) {

        if (out[1].len != 0
            && (out[1].len != 4 || ngx_strncmp(out[1].data, "null", 4) != 0))
        {
            ngx_str_set(&error, "the program puts out a state, which a stream "
                        "with blockcast_key has none of");
            ngx_http_blockcast_poll_result_failed(poll, NULL, &error);
            return NGX_OK;
        }

        return ngx_http_blockcast_key_poll_publish(poll, out, n);
    }

    if (out[1].len > NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX) {
        ngx_http_blockcast_poll_result_errorf(
                                poll->pool, &error,
                                "the program's state is %uz bytes, at most "
                                "%d are kept", out[1].len,
                                NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX);
        ngx_http_blockcast_poll_result_failed(poll, NULL, &error);
        return NGX_OK;
    }

    if (poll->stream->field.len == 0
        && out[0].len > poll->stream->max_size)
    {
        ngx_http_blockcast_poll_result_errorf(
                                poll->pool, &error,
                                "the data is %uz bytes, blockcast_max_size is "
                                "%uz", out[0].len, poll->stream->max_size);
        ngx_http_blockcast_poll_result_failed(poll, NULL, &error);
        return NGX_OK;
    }

    outcome = ngx_pcalloc(poll->pool,
                          sizeof(ngx_http_blockcast_poll_outcome_t));
    if (outcome == NULL) {
        ngx_str_set(&error, "no memory");
        ngx_http_blockcast_poll_result_failed(poll, NULL, &error);
        return NGX_OK;
    }

    outcome->data = out[0];
    outcome->proposal.stream = poll->stream;
    outcome->proposal.pubs = &outcome->pub;
    outcome->proposal.n = 1;
    outcome->proposal.data = poll;
    outcome->proposal.committed = ngx_http_blockcast_poll_result_committed;
    outcome->proposal.settled = ngx_http_blockcast_poll_result_settled;
    outcome->proposal.decided = ngx_http_blockcast_poll_result_answered;
    outcome->pub.stream = poll->stream;

    ngx_http_blockcast_program_report_read(poll->pool, output + 2,
                                           n > 2 ? n - 2 : 0,
                                           &outcome->report);
    ngx_http_blockcast_poll_result_gap(poll, &outcome->report);

    if (poll->stream->field.len != 0) {
        rc = ngx_http_blockcast_poll_result_entries(poll, outcome, &out[1]);

    } else {
        rc = ngx_http_blockcast_poll_result_data(poll, outcome, &out[1]);
    }

    if (rc == NGX_BUSY) {
        poll->shaping = 1;
        return NGX_AGAIN;
    }

    if (rc == NGX_AGAIN) {
        poll->proposal = &outcome->proposal;
        poll->shaping = 1;

        return NGX_AGAIN;
    }

    ngx_http_blockcast_poll_result_decided(poll, outcome, rc);

    return NGX_OK;
}


static ngx_http_blockcast_poll_outcome_t *
ngx_http_blockcast_poll_result_outcome(ngx_http_blockcast_proposal_t *proposal)
{
    return (ngx_http_blockcast_poll_outcome_t *)
               ((u_char *) proposal
                - offsetof(ngx_http_blockcast_poll_outcome_t, proposal));
}


/* Ends the poll when the log has answered later. */

static void
ngx_http_blockcast_poll_result_answered(
    ngx_http_blockcast_proposal_t *proposal, ngx_int_t rc)
{
    ngx_str_t                           memory;
    ngx_http_blockcast_poll_t          *poll;
    ngx_http_blockcast_poll_outcome_t  *outcome;

    poll = proposal->data;
    poll->proposal = NULL;

    outcome = ngx_http_blockcast_poll_result_outcome(proposal);

    if (rc == NGX_DONE) {

        /* the data is unchanged, but the state may not be */

        memory = outcome->pub.memory;
        rc = ngx_http_blockcast_poll_result_unchanged(poll, outcome, &memory);
    }

    ngx_http_blockcast_poll_result_decided(poll, outcome, rc);
    ngx_http_blockcast_poll_end(poll);
}


static ngx_int_t
ngx_http_blockcast_poll_result_propose(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome)
{
    return ngx_http_blockcast_propose(poll->bmcf->zone, &outcome->proposal,
                                      ngx_cycle->log);
}


/*
 * Sends one of several messages as soon as it is in the zone: the next one may
 * displace it in a small log.  What the hub copies in pieces is sent when that
 * is done, and the next one waits, unless it does not come in pieces.
 */

static void
ngx_http_blockcast_poll_result_committed(
    ngx_http_blockcast_proposal_t *proposal)
{
    ngx_http_blockcast_hub_t           *hub;
    ngx_http_blockcast_poll_t          *poll;
    ngx_http_blockcast_poll_outcome_t  *outcome;

    poll = proposal->data;
    hub = ngx_http_blockcast_hub_of(proposal->stream);
    outcome = ngx_http_blockcast_poll_result_outcome(proposal);

    ngx_http_blockcast_worker_notify_listeners(poll->bmcf,
                                               proposal->stream->slot);

    outcome->loads = (proposal->staging != NULL
                      && ngx_http_blockcast_hub_load(hub));

    if (!outcome->loads) {
        ngx_http_blockcast_fanout_update(hub);
        ngx_http_blockcast_fanout_now(hub);
    }
}


static ngx_uint_t
ngx_http_blockcast_poll_result_settled(
    ngx_http_blockcast_proposal_t *proposal)
{
    ngx_http_blockcast_hub_t           *hub;
    ngx_http_blockcast_poll_outcome_t  *outcome;

    outcome = ngx_http_blockcast_poll_result_outcome(proposal);

    if (outcome->loads) {
        hub = ngx_http_blockcast_hub_of(proposal->stream);

        if (ngx_http_blockcast_hub_load(hub)) {
            return 0;
        }

        outcome->loads = 0;
        ngx_http_blockcast_fanout_update(hub);
        ngx_http_blockcast_fanout_now(hub);
    }

    return 1;
}


/*
 * Handles the outcome of a proposal: notifies the workers, or reports why not.
 */

static void
ngx_http_blockcast_poll_result_decided(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_int_t rc)
{
    if (rc == NGX_OK && outcome->batch) {

        if (outcome->entries != 0) {
            poll->gap_len = 0;
        }

        poll->progress = 1;
    }

    if (rc == NGX_OK && outcome->bad) {

        if (outcome->batch) {
            ngx_http_blockcast_poll_result_published(poll);
        }

        rc = NGX_ERROR;
    }

    if (rc == NGX_ERROR) {
        if (outcome->error.len == 0) {
            ngx_str_set(&outcome->error, "no memory");
        }

        ngx_http_blockcast_poll_result_failed(poll, NULL, &outcome->error);
        return;
    }

    if (rc == NGX_DECLINED) {

        /* drop the result: another worker polls now, and is newer */
        return;
    }

    ngx_http_blockcast_poll_result_time_publish(poll);
    ngx_http_blockcast_stream_note_texts(poll, outcome->report.notes,
                                         outcome->report.nnotes);

    if (outcome->report.stale.len != 0) {

        /*
         * report the stream as failed, although its other entries are
         * published
         */

        ngx_http_blockcast_poll_result_published(poll);
        ngx_http_blockcast_poll_result_failed(poll, NULL,
                                              &outcome->report.stale);
        return;
    }

    poll->stream->slot->lag = poll->lag;

    ngx_http_blockcast_poll_result_recovered(poll);
    ngx_http_blockcast_stream_status_refresh(poll->bmcf->zone,
                                             poll->stream->slot);
    ngx_http_blockcast_poll_result_published(poll);

    /* feed the history last, so that no client waits for it */

    ngx_http_blockcast_history_feed(poll->bmcf->zone, poll->stream,
                                    &outcome->data);
}


/* Keeps a gap that the program reports for the log's next entry. */

static void
ngx_http_blockcast_poll_result_gap(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_program_report_t *report)
{
    if (report->ngaps == 0) {
        return;
    }

    (void) ngx_atomic_fetch_add(&poll->stream->slot->gaps, report->ngaps);

    if (poll->gap_len == 0) {
        ngx_memcpy(poll->gap, report->gap.data, report->gap.len);
        poll->gap_len = report->gap.len;
    }
}


/* Counts the time from the first call to the last answer. */

static void
ngx_http_blockcast_poll_result_time_poll(ngx_http_blockcast_poll_t *poll)
{
    ngx_msec_t  msec;

    msec = ngx_current_msec - poll->started;

    ngx_http_blockcast_histogram_add(poll->stream->slot->poll_times,
                                     ngx_http_blockcast_histogram_poll,
                                     (uint64_t) msec * 1000);
    poll->stream->slot->poll_msec += msec;
}


/* Counts the time from the last answer to the data in the zone. */

static void
ngx_http_blockcast_poll_result_time_publish(ngx_http_blockcast_poll_t *poll)
{
    uint64_t                          usec;
    ngx_http_blockcast_zone_shctx_t  *sh;

    sh = poll->bmcf->zone->sh;
    usec = ngx_http_blockcast_zone_usec() - poll->answered;

    poll->stream->slot->latency = poll->took + usec;

    ngx_http_blockcast_histogram_add(sh->publish_times,
                                     ngx_http_blockcast_histogram_publish,
                                     usec);
    sh->publish_usec += usec;

    ngx_log_debug4(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: stream \"%V\" is at seq %uA, polled in %M ms, "
                   "published in %uL us", &poll->stream->name,
                   poll->stream->slot->seq, ngx_current_msec - poll->started,
                   usec);
}


static void
ngx_http_blockcast_poll_result_published(ngx_http_blockcast_poll_t *poll)
{
    ngx_http_blockcast_hub_t  *hub;

    hub = ngx_http_blockcast_hub_of(poll->stream);

    /* wake the other workers first, as they need longer */

    ngx_http_blockcast_worker_notify_listeners(poll->bmcf,
                                               poll->stream->slot);

    if (hub->stream->field.len == 0 || !ngx_http_blockcast_hub_load(hub)) {
        ngx_http_blockcast_fanout_update(hub);
    }
}


static void
ngx_http_blockcast_poll_result_failed(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_call_result_t *r, ngx_str_t *text)
{
    u_char                       printable[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t                    message;
    ngx_uint_t                   suppressed;
    ngx_http_blockcast_error_t   before;
    ngx_http_blockcast_stream_t *st;

    st = poll->stream;

    if (r != NULL) {
        ngx_http_blockcast_poll_result_errorf(
                                        poll->pool, &message, "%V: %V",
                                        r->method.len ? &r->method : &r->name,
                                        text);

    } else {
        message = *text;
    }

    /* keep it to one line: it may quote the node or jq */

    ngx_http_blockcast_gate_printable(&message, printable, sizeof(printable));

    if (poll->lane != NULL) {
        ngx_http_blockcast_key_poll_failed(poll, (r != NULL && r->has_code)
                                                 ? r->code : 0, &message);
        return;
    }

    (void) ngx_atomic_fetch_add(&st->slot->polls_failed, 1);

    ngx_http_blockcast_history_break(poll->bmcf->zone, st);

    ngx_http_blockcast_stream_status_read_error(st->slot, &before);

    if (before.len != ngx_min(message.len, NGX_HTTP_BLOCKCAST_ERROR_LEN)
        || ngx_memcmp(before.text, message.data, before.len) != 0)
    {
        ngx_http_blockcast_stream_status_fail(
                                    poll->bmcf->zone, st->slot,
                                    (r != NULL && r->has_code) ? r->code : 0,
                                    &message);
    }

    /* stay quiet while the node is not called: its own messages say so */

    if ((st->node->health == ngx_http_blockcast_node_ok || !poll->failing)
        && ngx_http_blockcast_log_throttle(&poll->repeat, &message,
                                           &suppressed))
    {
        if (suppressed == 0) {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "blockcast: poll of stream \"%V\" failed: %V",
                          &st->name, &message);

        } else {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "blockcast: poll of stream \"%V\" failed: %V "
                          "(and %ui times since it was last logged)",
                          &st->name, &message, suppressed);
        }
    }

    poll->failing = 1;
}


static void
ngx_http_blockcast_poll_result_recovered(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t  count;
    ngx_msec_t  lasted;

    if (!poll->failing) {
        return;
    }

    poll->failing = 0;

    if (ngx_http_blockcast_log_throttle_end(&poll->repeat, &count, &lasted)) {
        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: stream \"%V\" is polled well again, after "
                      "%M.%03M s", &poll->stream->name, lasted / 1000,
                      lasted % 1000);
    }
}


/*
 * Handles data that has not changed, publishing the program's state if that
 * has.  Does not return NGX_AGAIN for data that is published in pieces.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_unchanged(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_str_t *memory)
{
    ngx_http_blockcast_hub_t  *hub;

    hub = ngx_http_blockcast_hub_of(poll->stream);

    if (memory->len == hub->snap.memory_len
        && (memory->len == 0
            || ngx_memcmp(memory->data,
                           hub->buf + hub->snap.memory, memory->len)
               == 0))
    {
        return ngx_http_blockcast_lease_held(poll->bmcf->zone) ? NGX_OK
                                                              : NGX_DECLINED;
    }

    outcome->pub.type = ngx_http_blockcast_publish_memory;
    outcome->pub.memory = *memory;

    return ngx_http_blockcast_poll_result_propose(poll, outcome);
}


static ngx_int_t
ngx_http_blockcast_poll_result_data(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_str_t *memory)
{
    ngx_str_t                         *data;
    ngx_http_blockcast_hub_t          *hub;
    ngx_http_blockcast_stream_t       *st;
    ngx_http_blockcast_publication_t  *pub;

    st = poll->stream;
    hub = ngx_http_blockcast_hub_of(st);
    data = &outcome->data;

    if (hub->newest != NULL
        && hub->snap.data_len == data->len
        && ngx_http_blockcast_proposal_in_pieces(poll->bmcf->zone, data->len)
        && ngx_http_blockcast_poll_result_hold(poll) == NGX_OK)
    {
        outcome->proposal.same = hub->buf + hub->snap.data;

    } else if (hub->newest != NULL
               && hub->snap.data_len == data->len
               && ngx_memcmp(hub->buf + hub->snap.data, data->data, data->len)
                  == 0)
    {
        return ngx_http_blockcast_poll_result_unchanged(poll, outcome, memory);
    }

    pub = &outcome->pub;
    pub->type = ngx_http_blockcast_publish_data;
    pub->timestamp = ngx_time();
    pub->data = *data;
    pub->memory = *memory;

    if (hub->newest != NULL && hub->snap.seq == st->slot->seq) {
        pub->previous.data = hub->buf + hub->snap.data;
        pub->previous.len = hub->snap.data_len;
    }

    return ngx_http_blockcast_poll_result_propose(poll, outcome);
}


/* Returns how many bytes a log's message has around its entries. */

static size_t
ngx_http_blockcast_poll_result_around(ngx_http_blockcast_stream_t *st)
{
    return st->field.len + sizeof("{\"\":[],\"count\":}") + NGX_INT_T_LEN;
}


/*
 * Sets *names to the log's field and its key, each with a NUL; names->len is
 * where the key begins.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_names(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *names)
{
    ngx_http_blockcast_stream_t  *st;

    st = poll->stream;

    names->data = ngx_pnalloc(poll->pool, st->field.len + st->key.len + 2);
    if (names->data == NULL) {
        return NGX_ERROR;
    }

    *ngx_cpymem(names->data, st->field.data, st->field.len) = '\0';
    names->len = st->field.len + 1;
    *ngx_cpymem(names->data + names->len, st->key.data, st->key.len) = '\0';

    return NGX_OK;
}


/*
 * Finds the array of a log in its data, and what is missing still, "lag", 0
 * when it is left out.  NGX_AGAIN: call it again to look at len more bytes.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_list(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_result_news_t *news, size_t *len,
    ngx_str_t *error)
{
    size_t                        n;
    ngx_int_t                     lag;
    bc_span_t                    *values;
    const char                   *members[2];
    ngx_http_blockcast_stream_t  *st;

    st = poll->stream;
    values = news->values;

    /* one pass: the data may be large */

    members[0] = (char *) news->names.data;
    members[1] = "lag";
    n = (ngx_strcmp(members[0], "lag") == 0) ? 1 : 2;

    if (bc_json_members_piece(&news->walk, members, values, n, len)
        == BC_JSON_AGAIN)
    {
        return NGX_AGAIN;
    }

    news->list = values[0];

    if (bc_json_pieces_open(&news->walk, news->list, '[') != 0) {
        ngx_http_blockcast_poll_result_errorf(
                                    poll->pool, error,
                                    "the data of a log stream has to be an "
                                    "object with the array \"%V\"",
                                    &st->field);
        return NGX_ERROR;
    }

    if (values[1].data == NULL
        || (values[1].len == 4 && ngx_strncmp(values[1].data, "null", 4) == 0))
    {
        return NGX_OK;
    }

    lag = ngx_atoi((u_char *) values[1].data, values[1].len);

    if (lag == NGX_ERROR) {
        ngx_http_blockcast_poll_result_errorf(
                                    poll->pool, error,
                                    "\"lag\" in the data of a log stream has "
                                    "to be a whole number, or null");
        return NGX_ERROR;
    }

    poll->lag = lag;

    return NGX_OK;
}


/* Makes the table of the entries that are kept, which is empty. */

static ngx_int_t
ngx_http_blockcast_poll_result_news_init(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_result_news_t *news)
{
    ngx_uint_t  mask;

    for (mask = 64; mask < 2 * (news->hub->count + news->total + 1);
         mask *= 2)
    {
        /* void */
    }

    news->table = ngx_pcalloc(poll->pool, mask * sizeof(uint32_t));
    news->new = ngx_palloc(poll->pool,
                           (news->total + 1)
                           * sizeof(ngx_http_blockcast_log_dedup_entry_t));
    news->entries = ngx_palloc(poll->pool,
                               (news->total + 1)
                               * sizeof(ngx_http_blockcast_log_entry_t));

    if (news->table == NULL || news->new == NULL || news->entries == NULL) {
        return NGX_ERROR;
    }

    news->mask = mask - 1;

    ngx_http_blockcast_log_dedup_past_init(&news->past, poll->stream->slot);

    return NGX_OK;
}


/*
 * Checks an entry and its key.  NGX_DECLINED: it has none, or is too large for
 * the log, which is counted, and *error says so.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_news_key(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_result_news_t *news, bc_span_t *item,
    bc_span_t *key, ngx_str_t *error)
{
    ngx_http_blockcast_stream_t  *st;

    st = poll->stream;

    if (key->data == NULL
        || key->data[0] == '{' || key->data[0] == '['
        || key->data[0] == 'n')
    {
        news->bad++;
        ngx_http_blockcast_poll_result_errorf(
                                    poll->pool, error,
                                    "%ui of %ui entries have no \"%V\" to "
                                    "tell them apart, they are left out",
                                    news->bad, news->total, &st->key);
        return NGX_DECLINED;
    }

    if (item->len + ngx_http_blockcast_poll_result_around(st) > st->max_size
        || 4 * (item->len + BC_JSON_KEY_BOUND(key->len)
                + sizeof(ngx_http_blockcast_ring_record_t)) > st->ring_size)
    {
        news->bad++;
        ngx_http_blockcast_poll_result_errorf(
                                    poll->pool, error,
                                    "an entry of %uz bytes is left out, "
                                    "blockcast_max_size is %uz and size= "
                                    "%uz", item->len, st->max_size,
                                    st->ring_size);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


/*
 * Adds an entry unless it was published or is in the data twice.  Notes the
 * first and the last one of those that were published.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_news_add(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_result_news_t *news, bc_span_t *item,
    bc_span_t *key)
{
    uint64_t                               hash, number;
    ngx_uint_t                             seen, kept;
    ngx_http_blockcast_slot_t             *slot;
    ngx_http_blockcast_log_dedup_entry_t  *new;

    new = &news->new[news->n];
    kept = news->hub->count;
    slot = poll->stream->slot;

    if (ngx_http_blockcast_log_dedup_key(poll, key, &new->entry.key)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    new->entry.data.data = (u_char *) item->data;
    new->entry.data.len = item->len;

    hash = bc_siphash(slot->seed, new->entry.key.data, new->entry.key.len);
    new->hash = (uint32_t) hash;

    seen = ngx_http_blockcast_log_dedup_find(news->hub, news->table,
                                             news->mask, news->new,
                                             &new->entry.key, new->hash);

    if (seen > kept) {

        /* it is in the list twice */

        return NGX_OK;
    }

    /* the numbers of those that were published, counted from 1 */

    if (seen != 0) {
        number = news->past.last - ngx_min(news->past.last, kept) + seen;

    } else if (ngx_http_blockcast_log_dedup_past(&news->past, hash,
                                                 poll->pool, &number)
               != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (number != 0) {

        if (news->first == 0) {
            news->first = number;
            news->before = news->n;
        }

        news->last = number;
        news->after = news->n;

        return NGX_OK;
    }

    ngx_http_blockcast_log_dedup_add(news->table, news->mask, new->hash,
                                     kept + news->n);

    news->entries[news->n] = new->entry;
    news->n++;

    return NGX_OK;
}


/*
 * Drops entries older than all remembered ones.  If the node still returns the
 * oldest remembered entry, it may return older ones, too, which were delivered
 * before they were forgotten.  If the program's output is in reverse order,
 * they are at the end.
 */

static void
ngx_http_blockcast_poll_result_news_cut(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_result_news_t *news)
{
    ngx_http_blockcast_log_dedup_past_t  *past;

    past = &news->past;

    if (news->first == 0
        || (past->first == 0 && !poll->stream->slot->forgot)
        || ngx_min(news->first, news->last) > past->first + past->nkeys / 2)
    {
        return;
    }

    if (news->first <= news->last) {
        news->n -= news->before;
        ngx_memmove(news->entries, news->entries + news->before,
                    news->n * sizeof(ngx_http_blockcast_log_entry_t));

    } else {
        news->n = news->after;
    }
}


static ngx_int_t
ngx_http_blockcast_poll_result_entries(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome, ngx_str_t *memory)
{
    ngx_int_t                               rc;
    bc_span_t                               span;
    ngx_http_blockcast_poll_result_news_t  *news;

    news = ngx_pcalloc(poll->pool,
                       sizeof(ngx_http_blockcast_poll_result_news_t));
    if (news == NULL) {
        return NGX_ERROR;
    }

    news->hub = ngx_http_blockcast_hub_of(poll->stream);
    news->poll = poll;
    news->outcome = outcome;
    news->memory = *memory;
    news->version = poll->stream->slot->version;
    news->added = news->hub->added;
    news->count = news->hub->count;

    if (ngx_http_blockcast_poll_result_names(poll, &news->names) != NGX_OK) {
        return NGX_ERROR;
    }

    news->key = (char *) news->names.data + news->names.len;

    span.data = outcome->data.data;
    span.len = outcome->data.len;

    (void) bc_json_pieces_open(&news->walk, span, '{');

    if (outcome->data.len > NGX_HTTP_BLOCKCAST_STAGED
        && ngx_http_blockcast_poll_result_news_later(news) == NGX_OK)
    {
        return NGX_BUSY;
    }

    do {
        rc = ngx_http_blockcast_poll_result_news_go_on(news);
    } while (rc == NGX_AGAIN);

    return (rc == NGX_OK) ? ngx_http_blockcast_poll_result_news_done(news)
                          : rc;
}


/* Takes some of the entries a step further; NGX_OK: all of them. */

static ngx_int_t
ngx_http_blockcast_poll_result_news_go_on(
    ngx_http_blockcast_poll_result_news_t *news)
{
    int         rc;
    size_t      left;
    bc_span_t   key;
    ngx_uint_t  n, more;

    left = NGX_HTTP_BLOCKCAST_POLL_RESULT_PIECE;
    more = 1;

    if (news->step == ngx_http_blockcast_poll_result_look) {
        rc = ngx_http_blockcast_poll_result_list(news->poll, news, &left,
                                                 &news->outcome->error);
        if (rc != NGX_OK) {
            return rc;
        }

        news->step++;
    }

    for (n = 0; n < NGX_HTTP_BLOCKCAST_POLL_RESULT_ENTRIES && left != 0; n++) {

        if (news->step == ngx_http_blockcast_poll_result_kept) {

            if (news->nkept == news->hub->count) {
                more = 0;
                break;
            }

            ngx_http_blockcast_log_dedup_add(
                news->table, news->mask,
                ngx_http_blockcast_hub_entry(news->hub, news->nkept)->hash,
                news->nkept);

            news->nkept++;
            continue;
        }

        if (news->item.data == NULL) {

            rc = bc_json_next_piece(&news->walk, &key, &news->item, &left);

            if (rc == BC_JSON_AGAIN) {
                break;
            }

            if (rc == 0) {
                more = 0;
                break;
            }

            if (news->step == ngx_http_blockcast_poll_result_count) {
                news->item.data = NULL;
                news->total++;
                continue;
            }

            news->found.data = NULL;
            (void) bc_json_pieces_open(&news->inner, news->item, '{');
        }

        /* its key, which may be behind much else */

        if (left == 0
            || bc_json_members_piece(&news->inner, &news->key, &news->found,
                                     1, &left)
               == BC_JSON_AGAIN)
        {
            break;
        }

        if (ngx_http_blockcast_poll_result_news_key(news->poll, news,
                                                    &news->item, &news->found,
                                                    &news->outcome->error)
            == NGX_OK
            && ngx_http_blockcast_poll_result_news_add(news->poll, news,
                                                       &news->item,
                                                       &news->found)
               != NGX_OK)
        {
            return NGX_ERROR;
        }

        news->item.data = NULL;
    }

    if (more) {
        return NGX_AGAIN;
    }

    if (news->step == ngx_http_blockcast_poll_result_count
        && ngx_http_blockcast_poll_result_news_init(news->poll, news)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    (void) bc_json_pieces_open(&news->walk, news->list, '[');

    return (++news->step == ngx_http_blockcast_poll_result_sorted)
           ? NGX_OK : NGX_AGAIN;
}


/* Those whose entries are looked at in pieces, in turn. */

static ngx_queue_t       ngx_http_blockcast_poll_result_large;
static ngx_event_t       ngx_http_blockcast_poll_result_event;
static ngx_connection_t  ngx_http_blockcast_poll_result_dummy;


static void
ngx_http_blockcast_poll_result_news_leave(void *data)
{
    ngx_http_blockcast_poll_result_news_t *news = data;

    if (news->queued) {
        news->queued = 0;
        ngx_queue_remove(&news->queue);
    }
}


static ngx_int_t
ngx_http_blockcast_poll_result_news_later(
    ngx_http_blockcast_poll_result_news_t *news)
{
    ngx_event_t         *ev;
    ngx_pool_cleanup_t  *cln;

    cln = ngx_pool_cleanup_add(news->poll->pool, 0);
    if (cln == NULL) {
        return NGX_ERROR;
    }

    ev = &ngx_http_blockcast_poll_result_event;

    if (ev->handler == NULL) {
        ngx_queue_init(&ngx_http_blockcast_poll_result_large);

        /* debug logging reads the descriptor of an event's connection */

        ngx_http_blockcast_poll_result_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_blockcast_poll_result_news_handler;
        ev->data = &ngx_http_blockcast_poll_result_dummy;
    }

    ev->log = ngx_cycle->log;

    ngx_queue_insert_tail(&ngx_http_blockcast_poll_result_large, &news->queue);
    news->queued = 1;

    /* the poll may be stopped meanwhile */

    cln->handler = ngx_http_blockcast_poll_result_news_leave;
    cln->data = news;

    if (!ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    return NGX_OK;
}


/* Goes on with the first one for its share of a turn; then another is it. */

static void
ngx_http_blockcast_poll_result_news_handler(ngx_event_t *ev)
{
    uint64_t                                began;
    ngx_int_t                               rc;
    ngx_queue_t                            *q;
    ngx_http_blockcast_poll_t              *poll;
    ngx_http_blockcast_poll_outcome_t      *outcome;
    ngx_http_blockcast_poll_result_news_t  *news;

    if (ngx_queue_empty(&ngx_http_blockcast_poll_result_large)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_blockcast_poll_result_large);
    news = ngx_queue_data(q, ngx_http_blockcast_poll_result_news_t, queue);
    poll = news->poll;
    outcome = news->outcome;

    ngx_queue_remove(q);

    began = ngx_http_blockcast_zone_usec();

    do {
        rc = (news->version == poll->stream->slot->version
              && news->added == news->hub->added
              && news->count == news->hub->count)
             ? ngx_http_blockcast_poll_result_news_go_on(news)
             : NGX_DECLINED;

    } while (rc == NGX_AGAIN
             && ngx_http_blockcast_zone_usec() - began
                < NGX_HTTP_BLOCKCAST_POLL_RESULT_TIME);

    if (rc == NGX_AGAIN) {
        ngx_queue_insert_tail(&ngx_http_blockcast_poll_result_large, q);

    } else {
        news->queued = 0;

        if (rc == NGX_OK) {
            rc = ngx_http_blockcast_poll_result_news_done(news);
        }

        if (rc == NGX_AGAIN) {
            poll->proposal = &outcome->proposal;

        } else {
            ngx_http_blockcast_poll_result_decided(poll, outcome, rc);
            ngx_http_blockcast_poll_end(poll);
        }
    }

    if (!ngx_queue_empty(&ngx_http_blockcast_poll_result_large)
        && !ev->posted)
    {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}


/* Publishes what is new of them. */

static ngx_int_t
ngx_http_blockcast_poll_result_news_done(
    ngx_http_blockcast_poll_result_news_t *news)
{
    ngx_str_t                           gap;
    ngx_http_blockcast_poll_t          *poll;
    ngx_http_blockcast_stream_t        *st;
    ngx_http_blockcast_poll_outcome_t  *outcome;

    poll = news->poll;
    st = poll->stream;
    outcome = news->outcome;

    ngx_http_blockcast_poll_result_news_cut(poll, news);

    outcome->entries = news->n;
    outcome->bad = (news->bad != 0);

    if (news->n == 0 && news->hub->newest != NULL) {
        return ngx_http_blockcast_poll_result_unchanged(poll, outcome,
                                                        &news->memory);
    }

    gap.data = poll->gap;
    gap.len = poll->gap_len;

    if (news->n != 0 && gap.len != 0) {
        (void) ngx_http_blockcast_program_report_mark(
                        poll->pool, &gap,
                        st->max_size - ngx_http_blockcast_poll_result_around(st)
                        - NGX_HTTP_BLOCKCAST_RING_GAP_LEN,
                        &news->entries[0].data);
    }

    outcome->batch = 1;

    return ngx_http_blockcast_poll_result_batches(poll, outcome,
                                                  news->entries,
                                                  &news->memory);
}


/*
 * Publishes new entries in as many messages as needed.  The program's state
 * goes with the last one: if the poller dies in between, the next one polls
 * again and drops the entries that it knows.
 */

static ngx_int_t
ngx_http_blockcast_poll_result_batches(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_poll_outcome_t *outcome,
    ngx_http_blockcast_log_entry_t *entries, ngx_str_t *memory)
{
    size_t                             size, max, room, around;
    ngx_str_t                          kept;
    ngx_uint_t                         i, n, from;
    ngx_array_t                        pubs;
    ngx_http_blockcast_hub_t          *hub;
    ngx_http_blockcast_stream_t       *st;
    ngx_http_blockcast_publication_t  *pub;

    st = poll->stream;
    hub = ngx_http_blockcast_hub_of(st);
    around = ngx_http_blockcast_poll_result_around(st);
    n = outcome->entries;

    ngx_str_null(&kept);

    if (hub->newest != NULL && hub->snap.memory_len != 0) {
        kept.len = hub->snap.memory_len;
        kept.data = ngx_pnalloc(poll->pool, kept.len);

        if (kept.data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(kept.data, hub->buf + hub->snap.memory, kept.len);
    }

    if (ngx_array_init(&pubs, poll->pool, 4,
                       sizeof(ngx_http_blockcast_publication_t))
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* one that is published at once is to take little of a turn */

    max = st->max_size;

    if (ngx_http_blockcast_proposal_in_pieces(poll->bmcf->zone, max)) {
        max = NGX_HTTP_BLOCKCAST_STAGED;
    }

    from = 0;

    do {
        size = around;
        room = 0;

        if (from == 0 && poll->gap_len != 0) {
            size += NGX_HTTP_BLOCKCAST_RING_GAP_LEN;
        }

        for (i = from; i < n; i++) {
            size += entries[i].data.len + 1;
            room += ngx_align(sizeof(ngx_http_blockcast_ring_record_t)
                              + entries[i].key.len + entries[i].data.len, 8);

            /* a message must not displace its own entries in the ring */

            if (i != from
                && (size > max || room > st->ring_size / 2))
            {
                break;
            }
        }

        pub = ngx_array_push(&pubs);
        if (pub == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(pub, sizeof(ngx_http_blockcast_publication_t));
        pub->type = ngx_http_blockcast_publish_batch;
        pub->stream = st;
        pub->timestamp = ngx_time();
        pub->entries = &entries[from];
        pub->count = i - from;
        pub->memory = (i == n) ? *memory : kept;

        from = i;

    } while (from < n);

    outcome->proposal.pubs = pubs.elts;
    outcome->proposal.n = pubs.nelts;

    return ngx_http_blockcast_poll_result_propose(poll, outcome);
}
