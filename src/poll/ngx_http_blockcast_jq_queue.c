
/*
 * The queue of jq programs that a worker has to run, and its helper processes.
 *
 * A job is sent to a helper and its answer read in pieces, between which the
 * event loop serves the clients.  One helper does all jobs in turn; when a
 * program takes long and others wait, more are started.  A helper whose
 * program goes beyond a bound is ended, and the next job has a new one.
 */


#include "ngx_http_blockcast_jq_queue.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_zone.h"

#include <sys/wait.h>


#define NGX_HTTP_BLOCKCAST_JQ_HELPERS  4

/* bytes to send or receive per turn of the event loop */
#define NGX_HTTP_BLOCKCAST_JQ_PIECE    131072

/* how long jobs wait for a program before they get another helper (msec) */
#define NGX_HTTP_BLOCKCAST_JQ_SLOW     100

/* msec without work after which all helpers but one are ended */
#define NGX_HTTP_BLOCKCAST_JQ_IDLE     10000

#define NGX_HTTP_BLOCKCAST_JQ_IOV      64

/*
 * A job is quick when its program has taken no longer than this (usec) and its
 * request is not larger (bytes): such ones are sent to a helper one behind
 * another, and so many of them at most.
 */
#define NGX_HTTP_BLOCKCAST_JQ_QUICK    2000
#define NGX_HTTP_BLOCKCAST_JQ_SMALL    16384
#define NGX_HTTP_BLOCKCAST_JQ_AHEAD    32

/* larger replies are not read by a worker, also without a program (bytes) */
#define NGX_HTTP_BLOCKCAST_JQ_REPLY_HERE  1048576

/* an answer is a text of the stream's, or params: no program needs more */
#define NGX_HTTP_BLOCKCAST_JQ_LARGEST  (256 * 1024 * 1024)


typedef enum {
    ngx_http_blockcast_jq_none = 0,             /* no process */
    ngx_http_blockcast_jq_idle,
    ngx_http_blockcast_jq_busy,
    ngx_http_blockcast_jq_ending                /* the spawner ends it */
} ngx_http_blockcast_jq_helper_state_e;


typedef struct {
    ngx_http_blockcast_jq_helper_state_e  state;
    ngx_connection_t             *connection;   /* reads answers */
    ngx_connection_t             *requests;     /* writes */
    ngx_http_blockcast_jq_job_t  *job;          /* the first of queue */
    ngx_queue_t                   queue;        /* of jobs, as they are run */
    ngx_uint_t                    njobs;
    uint32_t                      serial;
    ngx_msec_t                    since;        /* of the job, or idle */
    ngx_uint_t                    done;         /* jobs so far */
    unsigned                      timedout:1;

    /* the request being sent, and the answer being received */
    ngx_http_blockcast_jq_job_t  *sending;      /* NULL: all is sent */
    ngx_uint_t                    iov;
    size_t                        sent;
    ngx_http_blockcast_jq_frame_t  frame;
    size_t                        got;          /* of the frame's head */
    u_char                       *body;
    size_t                        body_got;

    /* the last that came from stderr */
    size_t                        said_len;
    u_char                        said[160];
} ngx_http_blockcast_jq_worker_t;


static void ngx_http_blockcast_jq_queue_add(ngx_http_blockcast_jq_job_t *job);
static void ngx_http_blockcast_jq_queue_dispatch(void);
static void ngx_http_blockcast_jq_queue_posted(ngx_event_t *ev);
static ngx_http_blockcast_jq_worker_t *ngx_http_blockcast_jq_queue_helper(
    ngx_http_blockcast_jq_job_t *job);
static ngx_int_t ngx_http_blockcast_jq_queue_spawn(
    ngx_http_blockcast_jq_worker_t *h);
static ngx_connection_t *ngx_http_blockcast_jq_queue_pipe(
    ngx_http_blockcast_jq_worker_t *h, ngx_fd_t fd, ngx_event_handler_pt read,
    ngx_event_handler_pt write);
static void ngx_http_blockcast_jq_queue_close(
    ngx_http_blockcast_jq_worker_t *h);
static ngx_int_t ngx_http_blockcast_jq_queue_order(
    ngx_http_blockcast_jq_worker_t *h, int *fds);
static void ngx_http_blockcast_jq_queue_assign(
    ngx_http_blockcast_jq_worker_t *h, ngx_http_blockcast_jq_job_t *job);
static void ngx_http_blockcast_jq_queue_write(ngx_event_t *ev);
static void ngx_http_blockcast_jq_queue_read(ngx_event_t *ev);
static ngx_uint_t ngx_http_blockcast_jq_queue_pieces(
    ngx_http_blockcast_jq_worker_t *h, struct iovec *iov, size_t room,
    size_t *size);
static void ngx_http_blockcast_jq_queue_sent(ngx_http_blockcast_jq_worker_t *h,
    size_t n);
static ngx_int_t ngx_http_blockcast_jq_queue_feed(
    ngx_http_blockcast_jq_worker_t *h, u_char *p, size_t len);
static ngx_int_t ngx_http_blockcast_jq_queue_frame(
    ngx_http_blockcast_jq_worker_t *h);
static void ngx_http_blockcast_jq_queue_leave(
    ngx_http_blockcast_jq_worker_t *h, ngx_http_blockcast_jq_job_t *job);
static void ngx_http_blockcast_jq_queue_lose(
    ngx_http_blockcast_jq_worker_t *h);
static void ngx_http_blockcast_jq_queue_give_back(
    ngx_http_blockcast_jq_worker_t *h, ngx_http_blockcast_jq_job_t *job);
static void ngx_http_blockcast_jq_queue_said(
    ngx_http_blockcast_jq_worker_t *h);
static void ngx_http_blockcast_jq_queue_finish(
    ngx_http_blockcast_jq_worker_t *h);
static void ngx_http_blockcast_jq_queue_end(ngx_http_blockcast_jq_worker_t *h);
static void ngx_http_blockcast_jq_queue_spawner(ngx_event_t *ev);
static void ngx_http_blockcast_jq_queue_ended(
    ngx_http_blockcast_jq_worker_t *h, int status);
static void ngx_http_blockcast_jq_queue_lost(void);
static void ngx_http_blockcast_jq_queue_arm(ngx_msec_t msec);
static void ngx_http_blockcast_jq_queue_timer(ngx_event_t *ev);
static void ngx_http_blockcast_jq_queue_fail(ngx_event_t *ev);


static ngx_http_blockcast_jq_worker_t
    ngx_http_blockcast_jq_helpers[NGX_HTTP_BLOCKCAST_JQ_HELPERS];

static ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_jq_conf;
static ngx_socket_t      ngx_http_blockcast_jq_spawner = (ngx_socket_t) -1;
static ngx_pid_t         ngx_http_blockcast_jq_spawner_pid;
static ngx_connection_t *ngx_http_blockcast_jq_spawner_connection;
static ngx_uint_t        ngx_http_blockcast_jq_spawner_late;
static uint32_t          ngx_http_blockcast_jq_serial;
static ngx_uint_t        ngx_http_blockcast_jq_ends;
static ngx_queue_t       ngx_http_blockcast_jq_jobs;
static ngx_event_t       ngx_http_blockcast_jq_event;
static ngx_event_t       ngx_http_blockcast_jq_failed;
static ngx_event_t       ngx_http_blockcast_jq_added;
static ngx_connection_t  ngx_http_blockcast_jq_dummy;


ngx_int_t
ngx_http_blockcast_jq_queue_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                       i, n, any;
    ngx_http_blockcast_node_t      **node;
    ngx_http_blockcast_stream_t    **st;
    ngx_http_blockcast_call_conf_t  *call;

    ngx_queue_init(&ngx_http_blockcast_jq_jobs);

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        ngx_queue_init(&ngx_http_blockcast_jq_helpers[i].queue);
    }

    ngx_http_blockcast_jq_conf = bmcf;
    ngx_http_blockcast_jq_dummy.fd = (ngx_socket_t) -1;

    ngx_http_blockcast_jq_event.handler = ngx_http_blockcast_jq_queue_timer;
    ngx_http_blockcast_jq_event.data = &ngx_http_blockcast_jq_dummy;
    ngx_http_blockcast_jq_event.log = cycle->log;
    ngx_http_blockcast_jq_event.cancelable = 1;

    ngx_http_blockcast_jq_failed.handler = ngx_http_blockcast_jq_queue_fail;
    ngx_http_blockcast_jq_failed.data = &ngx_http_blockcast_jq_dummy;
    ngx_http_blockcast_jq_failed.log = cycle->log;

    ngx_http_blockcast_jq_added.handler = ngx_http_blockcast_jq_queue_posted;
    ngx_http_blockcast_jq_added.data = &ngx_http_blockcast_jq_dummy;
    ngx_http_blockcast_jq_added.log = cycle->log;

    any = 0;
    node = bmcf->nodes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {
        any |= (node[i]->max_reply > NGX_HTTP_BLOCKCAST_JQ_REPLY_HERE);
    }

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        any |= (st[i]->jq != NULL)
               || (st[i]->keys != NULL && st[i]->keys->form != NULL);
        call = st[i]->calls.elts;

        for (n = 0; n < st[i]->calls.nelts; n++) {
            any |= (call[n].jq != NULL);
        }
    }

    if (any) {

        /* when it fails the polls do, and try again */

        ngx_http_blockcast_jq_spawner =
            ngx_http_blockcast_jq_helper_spawner(
                                  cycle, bmcf,
                                  &ngx_http_blockcast_jq_spawner_pid);
    }

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_jq_queue_ready(void)
{
    return ngx_http_blockcast_jq_spawner != (ngx_socket_t) -1;
}


static ngx_int_t
ngx_http_blockcast_jq_queue_request(ngx_http_blockcast_jq_job_t *job,
    size_t head, ngx_uint_t texts, ngx_http_blockcast_jq_request_t **request)
{
    job->iov = ngx_palloc(job->pool, (texts + 1) * sizeof(struct iovec));
    *request = ngx_pcalloc(job->pool, head);

    if (job->iov == NULL || *request == NULL) {
        return NGX_ERROR;
    }

    job->iov[0].iov_base = *request;
    job->iov[0].iov_len = head;
    job->niov = 1;

    (*request)->timeout = job->timeout;
    (*request)->memory = job->memory;

    job->rc = NGX_ERROR;
    job->n = 0;
    job->usec = 0;
    ngx_str_null(&job->error);

    job->reused = 0;
    job->proof = 0;
    job->partial = 0;
    job->ended = 0;

    return NGX_OK;
}


static void
ngx_http_blockcast_jq_queue_text(ngx_http_blockcast_jq_job_t *job,
    ngx_str_t *text)
{
    if (text->len != 0) {
        job->iov[job->niov].iov_base = text->data;
        job->iov[job->niov].iov_len = text->len;
        job->niov++;
    }
}


ngx_int_t
ngx_http_blockcast_jq_queue_run(ngx_http_blockcast_jq_job_t *job,
    ngx_http_blockcast_stream_t *st, ngx_uint_t program,
    ngx_http_blockcast_jq_input_t *input, ngx_uint_t max, ngx_pool_t *pool)
{
    size_t                                   head;
    u_char                                  *p;
    ngx_str_t                                own[4];
    ngx_uint_t                               i;
    ngx_http_blockcast_jq_request_t         *request;
    ngx_http_blockcast_call_result_t        *r;
    ngx_http_blockcast_jq_request_result_t  *lens;

    job->pool = pool;
    job->timeout = st->jq_timeout;
    job->memory = st->jq_memory;
    job->max = max;
    job->reply = NULL;

    head = sizeof(ngx_http_blockcast_jq_request_t)
           + input->nresults * sizeof(ngx_http_blockcast_jq_request_result_t);

    job->out = ngx_pcalloc(pool, max * sizeof(ngx_str_t));

    /* the hub may be filled anew before all is sent */

    p = ngx_pnalloc(pool, (input->held ? 0 : input->previous.len
                                             + input->memory.len)
                          + input->last.len + input->keys.len + 1);

    if (job->out == NULL || p == NULL
        || ngx_http_blockcast_jq_queue_request(job, head,
                                               4 + 4 * input->nresults,
                                               &request)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    request->op = NGX_HTTP_BLOCKCAST_JQ_RUN;
    request->stream = st->index;
    request->program = program;
    request->nresults = input->nresults;
    request->max = max;
    request->largest = st->field.len ? NGX_HTTP_BLOCKCAST_JQ_LARGEST
                                     : st->max_size;
    request->time = input->time;
    request->previous = input->previous.len;
    request->kept = input->memory.len;
    request->last = input->last.len;
    request->keys = input->keys.len;
    request->single = input->single;

    if (st->keys != NULL) {

        /* an object by key has room for the data of each */

        request->largest = ngx_max(st->keys->batch, 1)
                           * (st->max_size + NGX_HTTP_BLOCKCAST_KEY_LEN + 4)
                           + 2;
    }

    own[0] = input->previous;
    own[1] = input->memory;
    own[2] = input->last;
    own[3] = input->keys;

    for (i = 0; i < 4; i++) {
        if (own[i].len != 0) {

            if (i > 1 || !input->held) {
                ngx_memcpy(p, own[i].data, own[i].len);
                own[i].data = p;
                p += own[i].len;
            }

            ngx_http_blockcast_jq_queue_text(job, &own[i]);
        }
    }

    lens = (ngx_http_blockcast_jq_request_result_t *) (request + 1);

    for (i = 0; i < input->nresults; i++) {
        r = &input->results[i];

        lens[i].name = r->name.len;
        lens[i].method = r->method.len;
        lens[i].result = r->result.len;
        lens[i].message = r->message.len;
        lens[i].code = r->code;
        lens[i].has_code = r->has_code;
        lens[i].skipped = r->skipped;

        ngx_http_blockcast_jq_queue_text(job, &r->name);
        ngx_http_blockcast_jq_queue_text(job, &r->method);
        ngx_http_blockcast_jq_queue_text(job, &r->result);
        ngx_http_blockcast_jq_queue_text(job, &r->message);
    }

    if (job->memo != NULL
        && ngx_http_blockcast_jq_memo_find(job, request,
                                           ngx_http_blockcast_jq_ends)
           == NGX_DONE)
    {
        job->reused = 1;
        return NGX_DONE;
    }

    ngx_http_blockcast_jq_queue_add(job);

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_jq_queue_keep(ngx_http_blockcast_jq_job_t *job)
{
    if (job->memo == NULL || job->reused) {
        return NGX_OK;
    }

    return ngx_http_blockcast_jq_memo_ran(job, ngx_http_blockcast_jq_ends);
}


ngx_int_t
ngx_http_blockcast_jq_queue_reply(ngx_http_blockcast_jq_job_t *job,
    ngx_str_t *body, uint64_t id, ngx_uint_t mode, ngx_pool_t *pool)
{
    ngx_http_blockcast_jq_request_t  *request;

    job->pool = pool;
    job->out = NULL;
    job->max = 0;
    job->timeout = 5000;
    job->memory = 64 * 1024 * 1024 + 64 * body->len;

    if (ngx_http_blockcast_jq_queue_request(job, sizeof(*request), 1, &request)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    request->op = NGX_HTTP_BLOCKCAST_JQ_REPLY;
    request->id = id;
    request->mode = mode;
    request->previous = body->len;

    ngx_http_blockcast_jq_queue_text(job, body);
    ngx_http_blockcast_jq_queue_add(job);

    return NGX_OK;
}


/* Puts the parts of a small request together: fewer are sent faster. */

static void
ngx_http_blockcast_jq_queue_join(ngx_http_blockcast_jq_job_t *job)
{
    size_t       size;
    u_char      *p, *buf;
    ngx_uint_t   i;

    size = 0;

    for (i = 0; i < job->niov; i++) {
        size += job->iov[i].iov_len;
    }

    job->small = (size <= NGX_HTTP_BLOCKCAST_JQ_SMALL);

    if (!job->small || job->niov == 1) {
        return;
    }

    buf = ngx_pnalloc(job->pool, size);
    if (buf == NULL) {
        return;
    }

    p = buf;

    for (i = 0; i < job->niov; i++) {
        p = ngx_cpymem(p, job->iov[i].iov_base, job->iov[i].iov_len);
    }

    job->iov[0].iov_base = buf;
    job->iov[0].iov_len = size;
    job->niov = 1;
}


static void
ngx_http_blockcast_jq_queue_add(ngx_http_blockcast_jq_job_t *job)
{
    ngx_http_blockcast_jq_queue_join(job);

    job->helper = 0;
    job->queued = 1;
    job->added = ngx_current_msec;

    ngx_queue_insert_tail(&ngx_http_blockcast_jq_jobs, &job->queue);

    if (ngx_http_blockcast_jq_helpers[0].state == ngx_http_blockcast_jq_idle) {

        /* the first one need not wait */

        ngx_http_blockcast_jq_queue_dispatch();
        return;
    }

    /* with those of other streams, whose replies have come, too */

    if (!ngx_http_blockcast_jq_added.posted) {
        ngx_post_event(&ngx_http_blockcast_jq_added, &ngx_posted_events);
    }
}


static void
ngx_http_blockcast_jq_queue_posted(ngx_event_t *ev)
{
    ngx_http_blockcast_jq_queue_dispatch();
}


void
ngx_http_blockcast_jq_queue_cancel(ngx_http_blockcast_jq_job_t *job)
{
    ngx_http_blockcast_jq_worker_t  *h;

    if (job->queued) {
        ngx_queue_remove(&job->queue);
        job->queued = 0;
    }

    if (job->helper) {
        h = &ngx_http_blockcast_jq_helpers[job->helper - 1];

        ngx_http_blockcast_jq_queue_leave(h, job);

        while (h->njobs) {
            ngx_http_blockcast_jq_queue_give_back(h,
                                 ngx_queue_data(ngx_queue_last(&h->queue),
                                       ngx_http_blockcast_jq_job_t, queue));
        }

        if (h->state == ngx_http_blockcast_jq_busy) {
            ngx_http_blockcast_jq_queue_end(h);
        }
    }
}


/* Takes a job from its helper. */

static void
ngx_http_blockcast_jq_queue_leave(ngx_http_blockcast_jq_worker_t *h,
    ngx_http_blockcast_jq_job_t *job)
{
    ngx_queue_remove(&job->queue);
    job->helper = 0;

    h->njobs--;
    h->job = ngx_queue_empty(&h->queue) ? NULL
             : ngx_queue_data(ngx_queue_head(&h->queue),
                              ngx_http_blockcast_jq_job_t, queue);
}


/*
 * Puts the jobs of a helper that ends back into the queue, except the one that
 * it was running, which becomes its first.  The answers to jobs before that
 * one are lost, so they are queued again, too.
 */

static void
ngx_http_blockcast_jq_queue_lose(ngx_http_blockcast_jq_worker_t *h)
{
    uint32_t                      n;
    ngx_uint_t                    i, at;
    ngx_queue_t                  *q;
    volatile uint32_t            *count;
    ngx_http_blockcast_jq_job_t  *job;

    if (h->njobs == 0) {
        return;
    }

    count = ngx_http_blockcast_jq_helper_count(
                                           h - ngx_http_blockcast_jq_helpers);
    at = 0;

    if (count != NULL) {

        /* the helper may be compromised: check that the value is possible */

        n = *count - (uint32_t) h->done;
        at = (n < h->njobs) ? n : 0;
    }

    i = h->njobs;

    while (i-- != 0) {
        q = ngx_queue_last(&h->queue);
        job = ngx_queue_data(q, ngx_http_blockcast_jq_job_t, queue);

        if (i == at) {
            ngx_queue_remove(q);
            ngx_queue_insert_head(&h->queue, q);
            continue;
        }

        ngx_http_blockcast_jq_queue_give_back(h, job);
    }

    h->job = ngx_queue_data(ngx_queue_head(&h->queue),
                            ngx_http_blockcast_jq_job_t, queue);
}


/* Puts a job back before those that wait. */

static void
ngx_http_blockcast_jq_queue_give_back(ngx_http_blockcast_jq_worker_t *h,
    ngx_http_blockcast_jq_job_t *job)
{
    ngx_http_blockcast_jq_queue_leave(h, job);

    job->queued = 1;
    ngx_queue_insert_head(&ngx_http_blockcast_jq_jobs, &job->queue);

    h->sending = NULL;

    if (!ngx_queue_empty(&ngx_http_blockcast_jq_jobs)
        && !ngx_http_blockcast_jq_added.posted)
    {
        ngx_post_event(&ngx_http_blockcast_jq_added, &ngx_posted_events);
    }
}


void
ngx_http_blockcast_jq_queue_stop(void)
{
    ngx_uint_t                       i, stays;
    ngx_http_blockcast_jq_worker_t  *h;

    stays = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        h = &ngx_http_blockcast_jq_helpers[i];

        if (h->job != NULL && h->job->stays) {
            stays = 1;
            continue;
        }

        if (h->job != NULL) {
            ngx_http_blockcast_jq_queue_cancel(h->job);
        }

        if (h->state == ngx_http_blockcast_jq_idle) {
            ngx_http_blockcast_jq_queue_end(h);
        }
    }

    if (ngx_http_blockcast_jq_event.timer_set && !stays) {
        ngx_del_timer(&ngx_http_blockcast_jq_event);
    }
}


void
ngx_http_blockcast_jq_queue_done(void)
{
    ngx_uint_t  i;

    ngx_http_blockcast_jq_queue_stop();

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        ngx_http_blockcast_jq_helpers[i].state = ngx_http_blockcast_jq_none;
    }

    if (ngx_http_blockcast_jq_failed.posted) {
        ngx_delete_posted_event(&ngx_http_blockcast_jq_failed);
    }

    if (ngx_http_blockcast_jq_added.posted) {
        ngx_delete_posted_event(&ngx_http_blockcast_jq_added);
    }

    if (ngx_http_blockcast_jq_spawner_connection != NULL) {
        ngx_close_connection(ngx_http_blockcast_jq_spawner_connection);
        ngx_http_blockcast_jq_spawner_connection = NULL;

    } else if (ngx_http_blockcast_jq_spawner != (ngx_socket_t) -1) {
        (void) close(ngx_http_blockcast_jq_spawner);
    }

    ngx_http_blockcast_jq_spawner = (ngx_socket_t) -1;

    if (ngx_http_blockcast_jq_spawner_pid > 0) {

        /* without its socket it ends the helpers, and then itself */

        for (i = 0; i < 100; i++) {
            if (waitpid(ngx_http_blockcast_jq_spawner_pid, NULL,
                        __WALL|WNOHANG)
                != 0)
            {
                break;
            }

            ngx_msleep(2);
        }

        if (i == 100) {
            (void) kill(ngx_http_blockcast_jq_spawner_pid, SIGKILL);
            (void) waitpid(ngx_http_blockcast_jq_spawner_pid, NULL, __WALL);
        }

        ngx_http_blockcast_jq_spawner_pid = 0;
    }

    ngx_http_blockcast_jq_conf = NULL;
}


/* Gives helpers to the jobs that wait, in their order. */

static void
ngx_http_blockcast_jq_queue_dispatch(void)
{
    ngx_uint_t                       i, slow;
    ngx_queue_t                     *q, *next;
    ngx_http_blockcast_jq_job_t     *job;
    ngx_http_blockcast_jq_worker_t  *h;

    slow = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        h = &ngx_http_blockcast_jq_helpers[i];
        slow += (h->job != NULL && h->job->slow);
    }

    for (q = ngx_queue_head(&ngx_http_blockcast_jq_jobs);
         q != ngx_queue_sentinel(&ngx_http_blockcast_jq_jobs);
         q = next)
    {
        next = ngx_queue_next(q);
        job = ngx_queue_data(q, ngx_http_blockcast_jq_job_t, queue);

        /* one helper is for programs that are not slow */

        if (job->slow && slow == NGX_HTTP_BLOCKCAST_JQ_HELPERS - 1) {
            continue;
        }

        h = ngx_http_blockcast_jq_queue_helper(job);

        if (h == NULL) {
            break;
        }

        slow += job->slow;

        ngx_queue_remove(q);
        job->queued = 0;

        ngx_http_blockcast_jq_queue_assign(h, job);
    }

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        h = &ngx_http_blockcast_jq_helpers[i];

        if (h->sending != NULL && h->state == ngx_http_blockcast_jq_busy) {
            ngx_http_blockcast_jq_queue_write(h->requests->write);
        }
    }
}


/*
 * Finds a helper that is free, or has but quick jobs as this one is; or a new
 * one when the others are busy for long.
 */

static ngx_http_blockcast_jq_worker_t *
ngx_http_blockcast_jq_queue_helper(ngx_http_blockcast_jq_job_t *job)
{
    ngx_uint_t                       i, busy, quick;
    ngx_http_blockcast_jq_job_t     *last;
    ngx_http_blockcast_jq_worker_t  *h, *none;

    none = NULL;
    busy = 0;
    quick = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        h = &ngx_http_blockcast_jq_helpers[i];

        switch (h->state) {

        case ngx_http_blockcast_jq_idle:
            return h;

        case ngx_http_blockcast_jq_busy:

            last = ngx_queue_data(ngx_queue_last(&h->queue),
                                  ngx_http_blockcast_jq_job_t, queue);

            if (job->quick && job->small && last->quick && last->small
                && h->njobs < NGX_HTTP_BLOCKCAST_JQ_AHEAD
                && ngx_current_msec - h->since < NGX_HTTP_BLOCKCAST_JQ_SLOW)
            {
                return h;
            }

            busy++;
            quick += (ngx_current_msec - h->since
                      < NGX_HTTP_BLOCKCAST_JQ_SLOW);
            break;

        case ngx_http_blockcast_jq_none:
            if (none == NULL) {
                none = h;
            }

            break;

        default: /* ngx_http_blockcast_jq_ending */
            break;
        }
    }

    if (none == NULL) {
        return NULL;
    }

    if (quick) {

        /* it will be free soon, or the timer comes back here */

        ngx_http_blockcast_jq_queue_arm(NGX_HTTP_BLOCKCAST_JQ_SLOW);
        return NULL;
    }

    if (ngx_http_blockcast_jq_queue_spawn(none) != NGX_OK) {

        if (busy == 0 && !ngx_http_blockcast_jq_failed.posted) {
            ngx_post_event(&ngx_http_blockcast_jq_failed, &ngx_posted_events);
        }

        return NULL;
    }

    return none;
}


/* Fails all jobs that wait: no program can be run. */

static void
ngx_http_blockcast_jq_queue_fail(ngx_event_t *ev)
{
    ngx_queue_t                  *q;
    ngx_http_blockcast_jq_job_t  *job;

    /* jobs that the handlers add come after those that are there now */

    while (!ngx_queue_empty(&ngx_http_blockcast_jq_jobs)) {
        q = ngx_queue_head(&ngx_http_blockcast_jq_jobs);
        ngx_queue_remove(q);

        job = ngx_queue_data(q, ngx_http_blockcast_jq_job_t, queue);
        job->queued = 0;
        job->ended = 1;
        job->rc = NGX_ERROR;
        ngx_str_set(&job->error, "no process for the jq program can be "
                    "started");

        job->handler(job);
    }
}


static ngx_int_t
ngx_http_blockcast_jq_queue_spawn(ngx_http_blockcast_jq_worker_t *h)
{
    int                 in[2], out[2], fds[2];
    ngx_connection_t   *c;
    volatile uint32_t  *count;

    if (ngx_http_blockcast_jq_conf == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_blockcast_jq_spawner == (ngx_socket_t) -1) {

        /*
         * The first one is gone.  This copy of the worker may be made while
         * a thread of it holds a lock: a helper that hangs is ended like any
         * other, and then the spawner with it.
         */

        ngx_http_blockcast_jq_spawner =
            ngx_http_blockcast_jq_helper_spawner(
                                  (ngx_cycle_t *) ngx_cycle,
                                  ngx_http_blockcast_jq_conf,
                                  &ngx_http_blockcast_jq_spawner_pid);

        if (ngx_http_blockcast_jq_spawner == (ngx_socket_t) -1) {
            return NGX_ERROR;
        }

        ngx_http_blockcast_jq_spawner_late = 1;
    }

    if (ngx_http_blockcast_jq_spawner_connection == NULL) {

        c = ngx_get_connection(ngx_http_blockcast_jq_spawner, ngx_cycle->log);
        if (c == NULL) {
            return NGX_ERROR;
        }

        c->read->log = ngx_cycle->log;
        c->write->log = ngx_cycle->log;
        c->read->handler = ngx_http_blockcast_jq_queue_spawner;

        if (ngx_handle_read_event(c->read, 0) != NGX_OK) {
            ngx_free_connection(c);
            return NGX_ERROR;
        }

        ngx_http_blockcast_jq_spawner_connection = c;
    }

    /*
     * Two pipes and no socket: with one, the helper would be woken once more
     * when its answer is read.
     */

    if (pipe2(in, O_CLOEXEC) == -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "blockcast: pipe() failed");
        return NGX_ERROR;
    }

    if (pipe2(out, O_CLOEXEC) == -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "blockcast: pipe() failed");
        (void) close(in[0]);
        (void) close(in[1]);
        return NGX_ERROR;
    }

    h->requests = ngx_http_blockcast_jq_queue_pipe(h, in[1], NULL,
                                          ngx_http_blockcast_jq_queue_write);
    h->connection = ngx_http_blockcast_jq_queue_pipe(h, out[0],
                                          ngx_http_blockcast_jq_queue_read,
                                          NULL);

    h->serial = ++ngx_http_blockcast_jq_serial;

    count = ngx_http_blockcast_jq_helper_count(
                                           h - ngx_http_blockcast_jq_helpers);
    if (count != NULL) {
        *count = 0;
    }

    fds[0] = in[0];
    fds[1] = out[1];

    if (h->requests == NULL || h->connection == NULL
        || ngx_handle_read_event(h->connection->read, 0) != NGX_OK
        || ngx_http_blockcast_jq_queue_order(h, fds) != NGX_OK)
    {
        ngx_http_blockcast_jq_queue_close(h);
        (void) close(in[0]);
        (void) close(out[1]);
        return NGX_ERROR;
    }

    (void) close(in[0]);
    (void) close(out[1]);

    h->state = ngx_http_blockcast_jq_idle;
    h->done = 0;
    h->timedout = 0;
    h->sending = NULL;
    h->got = 0;
    h->body = NULL;
    h->said_len = 0;

    return NGX_OK;
}


/*
 * Makes a connection over an end of a pipe, which is closed when there is
 * none.
 */

static ngx_connection_t *
ngx_http_blockcast_jq_queue_pipe(ngx_http_blockcast_jq_worker_t *h,
    ngx_fd_t fd, ngx_event_handler_pt read, ngx_event_handler_pt write)
{
    ngx_connection_t  *c;

    c = NULL;

    if (ngx_nonblocking(fd) == -1) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      ngx_nonblocking_n " failed");

    } else {
        c = ngx_get_connection(fd, ngx_cycle->log);
    }

    if (c == NULL) {
        (void) close(fd);
        return NULL;
    }

    c->data = h;
    c->read->log = ngx_cycle->log;
    c->write->log = ngx_cycle->log;
    c->read->handler = read;
    c->write->handler = write;

    return c;
}


static void
ngx_http_blockcast_jq_queue_close(ngx_http_blockcast_jq_worker_t *h)
{
    if (h->connection != NULL) {
        ngx_close_connection(h->connection);
        h->connection = NULL;
    }

    if (h->requests != NULL) {
        ngx_close_connection(h->requests);
        h->requests = NULL;
    }
}


/* Tells the spawner to start a helper with two pipes, or to end it (NULL). */

static ngx_int_t
ngx_http_blockcast_jq_queue_order(
    ngx_http_blockcast_jq_worker_t *h, int *fds)
{
    ssize_t                         n;
    struct iovec                    iov;
    struct msghdr                   msg;
    struct cmsghdr                 *cmsg;
    ngx_http_blockcast_jq_order_t   order;

    union {
        struct cmsghdr  cm;
        char            space[CMSG_SPACE(2 * sizeof(int))];
    } control;

    order.serial = h->serial;
    order.slot = h - ngx_http_blockcast_jq_helpers;
    order.status = 0;

    iov.iov_base = &order;
    iov.iov_len = sizeof(order);

    ngx_memzero(&msg, sizeof(msg));
    msg.msg_iov = &iov;
    msg.msg_iovlen = 1;

    if (fds != NULL) {
        ngx_memzero(&control, sizeof(control));
        msg.msg_control = &control;
        msg.msg_controllen = sizeof(control);

        cmsg = CMSG_FIRSTHDR(&msg);
        cmsg->cmsg_level = SOL_SOCKET;
        cmsg->cmsg_type = SCM_RIGHTS;
        cmsg->cmsg_len = CMSG_LEN(2 * sizeof(int));
        ngx_memcpy(CMSG_DATA(cmsg), fds, 2 * sizeof(int));
    }

    do {
        n = sendmsg(ngx_http_blockcast_jq_spawner, &msg,
                    MSG_DONTWAIT|MSG_NOSIGNAL);
    } while (n == -1 && ngx_errno == NGX_EINTR);

    return (n == sizeof(order)) ? NGX_OK : NGX_ERROR;
}


static void
ngx_http_blockcast_jq_queue_assign(ngx_http_blockcast_jq_worker_t *h,
    ngx_http_blockcast_jq_job_t *job)
{
    job->helper = h - ngx_http_blockcast_jq_helpers + 1;

    ngx_queue_insert_tail(&h->queue, &job->queue);

    if (h->njobs++ == 0) {
        h->state = ngx_http_blockcast_jq_busy;
        h->job = job;
        h->since = ngx_current_msec;
        h->said_len = 0;

        ngx_http_blockcast_jq_queue_arm(job->timeout);

    } else {
        ngx_http_blockcast_jq_queue_arm(NGX_HTTP_BLOCKCAST_JQ_SLOW);
    }

    /* sent with what else is given to it now */

    if (h->sending == NULL) {
        h->sending = job;
        h->iov = 0;
        h->sent = 0;
    }
}


/* Sends a piece of the requests. */

static void
ngx_http_blockcast_jq_queue_write(ngx_event_t *ev)
{
    size_t                           size, room;
    ssize_t                          n;
    ngx_uint_t                       niov;
    struct iovec                     iov[NGX_HTTP_BLOCKCAST_JQ_IOV];
    ngx_connection_t                *c;
    ngx_http_blockcast_jq_worker_t  *h;

    c = ev->data;
    h = c->data;

    if (h->state != ngx_http_blockcast_jq_busy) {
        return;
    }

    room = NGX_HTTP_BLOCKCAST_JQ_PIECE;

    while (h->sending != NULL && room != 0) {

        niov = ngx_http_blockcast_jq_queue_pieces(h, iov, room, &size);

        n = writev(c->fd, iov, niov);

        if (n == -1) {

            if (ngx_errno == NGX_EINTR) {
                continue;
            }

            ev->ready = 0;

            if (ngx_errno != NGX_EAGAIN) {

                /* it has ended: read its last answers first */

                h->sending = NULL;
                return;
            }

            if (ngx_handle_write_event(ev, 0) != NGX_OK) {
                ngx_http_blockcast_jq_queue_end(h);
            }

            return;
        }

        room -= ngx_min(room, (size_t) n);

        ngx_http_blockcast_jq_queue_sent(h, n);
    }

    if (h->sending != NULL) {
        ngx_post_event(ev, &ngx_posted_next_events);
        return;
    }

    if (ev->active && !(ngx_event_flags & NGX_USE_CLEAR_EVENT)) {
        (void) ngx_handle_write_event(ev, 0);
    }
}


static ngx_http_blockcast_jq_job_t *
ngx_http_blockcast_jq_queue_behind(ngx_http_blockcast_jq_worker_t *h,
    ngx_http_blockcast_jq_job_t *job)
{
    ngx_queue_t  *q;

    q = ngx_queue_next(&job->queue);

    return (q == ngx_queue_sentinel(&h->queue))
           ? NULL : ngx_queue_data(q, ngx_http_blockcast_jq_job_t, queue);
}


/* Returns what is to be sent next of the requests, room bytes at most. */

static ngx_uint_t
ngx_http_blockcast_jq_queue_pieces(ngx_http_blockcast_jq_worker_t *h,
    struct iovec *iov, size_t room, size_t *size)
{
    size_t                        sent;
    ngx_uint_t                    i, n;
    ngx_http_blockcast_jq_job_t  *job;

    n = 0;
    i = h->iov;
    sent = h->sent;
    *size = 0;

    for (job = h->sending;
         job != NULL;
         job = ngx_http_blockcast_jq_queue_behind(h, job))
    {
        for ( /* void */ ; i < job->niov; i++) {

            if (n == NGX_HTTP_BLOCKCAST_JQ_IOV || *size >= room) {
                return n;
            }

            iov[n].iov_base = (u_char *) job->iov[i].iov_base + sent;
            iov[n].iov_len = ngx_min(job->iov[i].iov_len - sent,
                                     room - *size);
            *size += iov[n++].iov_len;
            sent = 0;
        }

        i = 0;
    }

    return n;
}


static void
ngx_http_blockcast_jq_queue_sent(ngx_http_blockcast_jq_worker_t *h, size_t n)
{
    size_t  left;

    while (h->sending != NULL) {

        left = h->sending->iov[h->iov].iov_len - h->sent;

        if (n < left) {
            h->sent += n;
            return;
        }

        n -= left;
        h->sent = 0;

        if (++h->iov == h->sending->niov) {
            h->iov = 0;
            h->sending = ngx_http_blockcast_jq_queue_behind(h, h->sending);
        }
    }
}


/* Receives a piece of the answer. */

static void
ngx_http_blockcast_jq_queue_read(ngx_event_t *ev)
{
    size_t                           room, len, left;
    u_char                          *p;
    ssize_t                          n;
    ngx_int_t                        rc;
    ngx_connection_t                *c;
    ngx_http_blockcast_jq_worker_t  *h;
    static u_char                    buf[16384];

    c = ev->data;
    h = c->data;
    room = NGX_HTTP_BLOCKCAST_JQ_PIECE;

    while (room != 0) {

        /* read small frames together, large ones straight to their place */

        left = (h->got < sizeof(h->frame)) ? 0 : h->frame.len - h->body_got;

        if (left < sizeof(buf)) {
            p = buf;
            len = sizeof(buf);

        } else {
            p = h->body + h->body_got;
            len = ngx_min(left, room);
        }

        n = read(c->fd, p, len);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n == -1 && ngx_errno == NGX_EAGAIN) {
            ev->ready = 0;

            if (ngx_handle_read_event(ev, 0) != NGX_OK) {
                ngx_http_blockcast_jq_queue_end(h);
            }

            return;
        }

        if (n <= 0 || h->state != ngx_http_blockcast_jq_busy) {

            /* the helper has ended: the spawner will say why */

            ngx_http_blockcast_jq_queue_end(h);
            return;
        }

        room -= ngx_min(room, (size_t) n);

        rc = ngx_http_blockcast_jq_queue_feed(h, p, n);

        if (rc == NGX_ERROR) {
            ngx_http_blockcast_jq_queue_end(h);
            return;
        }

        if (rc == NGX_DONE && h->connection == c && h->job == NULL) {

            /* there is no more to come */

            ngx_http_blockcast_jq_queue_dispatch();
            return;
        }

        if (h->connection != c) {
            return;
        }
    }

    ngx_post_event(ev, &ngx_posted_next_events);
}


/*
 * Takes bytes of answers, which may be in their place already.  NGX_DONE: that
 * was all, or all is over; NGX_ERROR: an answer cannot be kept.
 */

static ngx_int_t
ngx_http_blockcast_jq_queue_feed(ngx_http_blockcast_jq_worker_t *h, u_char *p,
    size_t len)
{
    size_t             n;
    ngx_connection_t  *c;

    c = h->connection;

    for ( ;; ) {

        if (h->got < sizeof(h->frame)) {
            n = ngx_min(len, sizeof(h->frame) - h->got);
            ngx_memcpy((u_char *) &h->frame + h->got, p, n);

            h->got += n;
            p += n;
            len -= n;

            if (h->got < sizeof(h->frame)) {
                return NGX_OK;
            }

            if (h->frame.len > NGX_HTTP_BLOCKCAST_JQ_LARGEST) {
                return NGX_ERROR;
            }

            h->body_got = 0;
            h->body = ngx_pnalloc(h->job->pool, h->frame.len + 1);

            if (h->body == NULL) {
                return NGX_ERROR;
            }
        }

        n = ngx_min(len, h->frame.len - h->body_got);

        if (n != 0 && p != h->body + h->body_got) {
            ngx_memcpy(h->body + h->body_got, p, n);
        }

        h->body_got += n;
        p += n;
        len -= n;

        if (h->body_got < h->frame.len) {
            return NGX_OK;
        }

        h->got = 0;

        if (ngx_http_blockcast_jq_queue_frame(h) == NGX_DONE) {

            ngx_http_blockcast_jq_queue_finish(h);

            if (h->connection != c || len == 0) {
                return NGX_DONE;
            }

            if (h->job == NULL) {
                return NGX_ERROR;
            }
        }

        if (len == 0) {
            return NGX_OK;
        }
    }
}


/* Takes a whole frame; NGX_DONE: it was the last one. */

static ngx_int_t
ngx_http_blockcast_jq_queue_frame(ngx_http_blockcast_jq_worker_t *h)
{
    uint64_t                      large;
    ngx_http_blockcast_jq_job_t  *job;

    job = h->job;

    switch (h->frame.type) {

    case ngx_http_blockcast_jq_frame_output:
    case ngx_http_blockcast_jq_frame_large:

        if (job->n == job->max) {
            break;
        }

        job->out[job->n].data = h->body;
        job->out[job->n].len = h->frame.len;

        if (h->frame.type == ngx_http_blockcast_jq_frame_large) {
            ngx_memcpy(&large, h->body, sizeof(uint64_t));
            job->out[job->n].len = large;
            job->partial = 1;
        }

        job->n++;
        break;

    case ngx_http_blockcast_jq_frame_debug:

        ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                      "blockcast: jq debug: %*s", (size_t) h->frame.len,
                      h->body);
        break;

    case ngx_http_blockcast_jq_frame_stderr:

        /* the last line says why it crashed, if it does */

        ngx_http_blockcast_jq_queue_said(h);

        while (h->frame.len && h->body[h->frame.len - 1] < ' ') {
            h->frame.len--;
        }

        h->said_len = ngx_min(h->frame.len, sizeof(h->said));
        ngx_memcpy(h->said, h->body, h->said_len);
        break;

    case ngx_http_blockcast_jq_frame_reply:

        if (job->reply != NULL && h->frame.len == sizeof(*job->reply)) {
            ngx_memcpy(job->reply, h->body, sizeof(*job->reply));
        }

        break;

    case ngx_http_blockcast_jq_frame_error:

        job->rc = NGX_ERROR;
        job->error.data = h->body;
        job->error.len = h->frame.len;
        job->usec = h->frame.usec;

        return NGX_DONE;

    case ngx_http_blockcast_jq_frame_done:

        job->rc = NGX_OK;
        job->usec = h->frame.usec;

        return NGX_DONE;
    }

    return NGX_OK;
}


/* Logs a line that came from the stderr of a helper. */

static void
ngx_http_blockcast_jq_queue_said(ngx_http_blockcast_jq_worker_t *h)
{
    ngx_str_t  text;
    u_char     buf[NGX_HTTP_BLOCKCAST_ERROR_LEN];

    if (h->said_len == 0) {
        return;
    }

    text.data = h->said;
    text.len = h->said_len;

    ngx_http_blockcast_gate_printable(&text, buf, sizeof(buf));

    ngx_log_error(NGX_LOG_NOTICE, ngx_cycle->log, 0,
                  "blockcast: jq stderr: %V", &text);

    h->said_len = 0;
}


static void
ngx_http_blockcast_jq_queue_finish(ngx_http_blockcast_jq_worker_t *h)
{
    ngx_http_blockcast_jq_job_t  *job;

    ngx_http_blockcast_jq_queue_said(h);

    job = h->job;
    job->slow = (ngx_current_msec - h->since >= NGX_HTTP_BLOCKCAST_JQ_SLOW);
    job->quick = (job->rc == NGX_OK && job->usec != 0
                  && job->usec <= NGX_HTTP_BLOCKCAST_JQ_QUICK);

    ngx_http_blockcast_jq_queue_leave(h, job);

    h->since = ngx_current_msec;
    h->done++;

    if (h->job != NULL) {
        ngx_http_blockcast_jq_queue_arm(h->job->timeout);

    } else {
        h->state = ngx_http_blockcast_jq_idle;

        if (h != ngx_http_blockcast_jq_helpers) {
            ngx_http_blockcast_jq_queue_arm(NGX_HTTP_BLOCKCAST_JQ_IDLE);
        }
    }

    job->handler(job);
}


/* Tells the spawner to end a helper; its job ends when the reason is known. */

static void
ngx_http_blockcast_jq_queue_end(ngx_http_blockcast_jq_worker_t *h)
{
    ngx_http_blockcast_jq_queue_close(h);
    ngx_http_blockcast_jq_queue_lose(h);

    h->state = ngx_http_blockcast_jq_ending;

    if (ngx_http_blockcast_jq_queue_order(h, NULL) != NGX_OK) {

        /* the spawner has ended, and its helpers with it */

        ngx_http_blockcast_jq_queue_arm(1);
    }
}


/*
 * Handles a message of the spawner: it has ended a helper, or has ended
 * itself.
 */

static void
ngx_http_blockcast_jq_queue_spawner(ngx_event_t *ev)
{
    ssize_t                         n;
    ngx_uint_t                      i;
    ngx_connection_t               *c;
    ngx_http_blockcast_jq_order_t   order;

    c = ev->data;

    for ( ;; ) {
        n = recv(c->fd, &order, sizeof(order), 0);

        if (n == -1 && ngx_errno == NGX_EINTR) {
            continue;
        }

        if (n == -1 && ngx_errno == NGX_EAGAIN) {
            ev->ready = 0;

            if (ngx_handle_read_event(ev, 0) == NGX_OK) {
                break;
            }
        }

        if (n != sizeof(order)) {
            ngx_http_blockcast_jq_queue_lost();
            return;
        }

        for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
            if (ngx_http_blockcast_jq_helpers[i].state
                == ngx_http_blockcast_jq_ending
                && ngx_http_blockcast_jq_helpers[i].serial == order.serial)
            {
                ngx_http_blockcast_jq_queue_ended(
                             &ngx_http_blockcast_jq_helpers[i], order.status);
                break;
            }
        }

        /* a handler may have ended all of them */

        if (ngx_http_blockcast_jq_spawner_connection != c) {
            return;
        }
    }

    ngx_http_blockcast_jq_queue_dispatch();
}


static void
ngx_http_blockcast_jq_queue_ended(ngx_http_blockcast_jq_worker_t *h,
    int status)
{
    u_char                          *p, *last;
    ngx_http_blockcast_jq_end_e      cause;
    ngx_http_blockcast_jq_job_t     *job;

    h->state = ngx_http_blockcast_jq_none;
    ngx_http_blockcast_jq_ends++;

    job = h->job;

    if (job == NULL) {

        if (h->timedout == 0 && status != -1 && WIFSIGNALED(status)
            && WTERMSIG(status) != SIGKILL)
        {
            ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                          "blockcast: an idle jq process ended on signal %d",
                          WTERMSIG(status));
        }

        return;
    }

    ngx_http_blockcast_jq_queue_leave(h, job);

    job->quick = 0;
    job->ended = 1;
    job->rc = NGX_ERROR;
    job->n = 0;
    job->usec = (uint64_t) (ngx_current_msec - h->since) * 1000;
    job->slow = (ngx_current_msec - h->since >= NGX_HTTP_BLOCKCAST_JQ_SLOW);

    p = ngx_pnalloc(job->pool, NGX_HTTP_BLOCKCAST_ERROR_LEN);

    if (p == NULL) {
        ngx_str_set(&job->error, "no memory");
        job->handler(job);
        return;
    }

    job->error.data = p;
    last = p + NGX_HTTP_BLOCKCAST_ERROR_LEN;

    if (h->timedout) {
        cause = ngx_http_blockcast_jq_end_time;
        p = ngx_slprintf(p, last, "the jq program was stopped after %M ms, "
                         "blockcast_jq_timeout", job->timeout);

    } else if ((status != -1 && WIFEXITED(status)
                && WEXITSTATUS(status) == NGX_HTTP_BLOCKCAST_JQ_NO_MEMORY))
    {
        cause = ngx_http_blockcast_jq_end_memory;
        p = ngx_slprintf(p, last, "the jq program was stopped, it needs more "
                         "than %uz bytes, blockcast_jq_memory", job->memory);

    } else if (status != -1 && WIFSIGNALED(status)
               && WTERMSIG(status) != SIGKILL)
    {
        cause = ngx_http_blockcast_jq_end_crash;

        if (h->said_len) {
            p = ngx_slprintf(p, last, "the jq program crashed: %*s",
                             h->said_len, h->said);

        } else {
            p = ngx_slprintf(p, last, "the jq program crashed with signal %d",
                             WTERMSIG(status));
        }

    } else {
        cause = ngx_http_blockcast_jq_end_killed;
        p = ngx_slprintf(p, last, "the process of the jq program was killed");
    }

    job->error.len = p - job->error.data;

    (void) ngx_atomic_fetch_add(
                 &ngx_http_blockcast_jq_conf->zone->sh->jq_ends[cause], 1);

    if (h->timedout && h->done == 0 && ngx_http_blockcast_jq_spawner_late
        && ngx_http_blockcast_jq_spawner_pid > 0)
    {
        /* see _spawn(): it may be for a lock, with a new one it is not */

        (void) kill(ngx_http_blockcast_jq_spawner_pid, SIGKILL);
    }

    job->handler(job);
}


/* Handles the end of the spawner, and with it of all helpers. */

static void
ngx_http_blockcast_jq_queue_lost(void)
{
    ngx_uint_t                       i;
    ngx_http_blockcast_jq_worker_t  *h;

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: the jq spawner has ended, a new one is started "
                  "when a program is to run");

    if (ngx_http_blockcast_jq_spawner_pid > 0) {
        (void) kill(ngx_http_blockcast_jq_spawner_pid, SIGKILL);
        (void) waitpid(ngx_http_blockcast_jq_spawner_pid, NULL, __WALL);
        ngx_http_blockcast_jq_spawner_pid = 0;
    }

    ngx_close_connection(ngx_http_blockcast_jq_spawner_connection);
    ngx_http_blockcast_jq_spawner_connection = NULL;
    ngx_http_blockcast_jq_spawner = (ngx_socket_t) -1;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        h = &ngx_http_blockcast_jq_helpers[i];

        ngx_http_blockcast_jq_queue_close(h);

        if (h->state != ngx_http_blockcast_jq_none) {
            ngx_http_blockcast_jq_queue_lose(h);
            ngx_http_blockcast_jq_queue_ended(h, -1);
        }
    }

    ngx_http_blockcast_jq_queue_dispatch();
}


/* Makes the timer fire in msec at the latest. */

static void
ngx_http_blockcast_jq_queue_arm(ngx_msec_t msec)
{
    ngx_event_t  *ev;

    ev = &ngx_http_blockcast_jq_event;

    if (ev->timer_set) {

        if ((ngx_msec_int_t) (ev->timer.key - ngx_current_msec - msec) <= 0) {
            return;
        }

        ngx_del_timer(ev);
    }

    ngx_add_timer(ev, msec);
}


static void
ngx_http_blockcast_jq_queue_timer(ngx_event_t *ev)
{
    ngx_uint_t                       i;
    ngx_msec_t                       spent;
    ngx_http_blockcast_jq_worker_t  *h;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JQ_HELPERS; i++) {
        h = &ngx_http_blockcast_jq_helpers[i];
        spent = ngx_current_msec - h->since;

        switch (h->state) {

        case ngx_http_blockcast_jq_busy:

            if (h->job == NULL || spent < h->job->timeout) {
                ngx_http_blockcast_jq_queue_arm(h->job
                                                ? h->job->timeout - spent : 1);

                if (h->njobs > 1) {

                    if (spent >= NGX_HTTP_BLOCKCAST_JQ_SLOW) {

                        /*
                         * one of them is not quick: it has another one alone
                         */

                        ngx_http_blockcast_jq_queue_end(h);

                        h->job->quick = 0;
                        ngx_http_blockcast_jq_queue_give_back(h, h->job);

                    } else {
                        ngx_http_blockcast_jq_queue_arm(
                                          NGX_HTTP_BLOCKCAST_JQ_SLOW - spent);
                    }
                }

                break;
            }

            h->timedout = 1;
            ngx_http_blockcast_jq_queue_end(h);
            break;

        case ngx_http_blockcast_jq_idle:

            if (i == 0) {
                break;
            }

            if (spent < NGX_HTTP_BLOCKCAST_JQ_IDLE) {
                ngx_http_blockcast_jq_queue_arm(NGX_HTTP_BLOCKCAST_JQ_IDLE
                                                - spent);
                break;
            }

            ngx_http_blockcast_jq_queue_end(h);
            break;

        case ngx_http_blockcast_jq_ending:

            if (ngx_http_blockcast_jq_spawner == (ngx_socket_t) -1) {
                ngx_http_blockcast_jq_queue_ended(h, -1);
            }

            break;

        default:
            break;
        }
    }

    ngx_http_blockcast_jq_queue_dispatch();
}
