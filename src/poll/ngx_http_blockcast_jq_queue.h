
/*
 * The queue of jq programs that a worker has to run, and its helper processes.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JQ_QUEUE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JQ_QUEUE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_jq_helper.h"
#include "ngx_http_blockcast_jq_memo.h"


typedef void (*ngx_http_blockcast_jq_job_pt)(ngx_http_blockcast_jq_job_t *job);


struct ngx_http_blockcast_jq_job_s {
    ngx_queue_t                   queue;
    ngx_uint_t                    helper;       /* its number + 1, or 0 */
    unsigned                      queued:1;     /* waits for a helper */
    unsigned                      slow:1;       /* the last run was slow: leave
                                                   a helper to other jobs */
    unsigned                      quick:1;      /* the last run was quick */
    unsigned                      small:1;      /* its request */
    unsigned                      stays:1;      /* is not of a poll: it goes on
                                                   when polling stops */
    unsigned                      reused:1;     /* the answer is the memo's */
    unsigned                      proof:1;      /* it runs for the memo */
    unsigned                      partial:1;    /* an output is not there */
    unsigned                      ended:1;      /* the helper, and not the
                                                   program */
    ngx_msec_t                    added;
    ngx_msec_t                    timeout;
    size_t                        memory;
    ngx_http_blockcast_jq_memo_t  *memo;        /* or NULL; set by the caller */

    /* called once, unless the job is cancelled; never from within _add() */
    ngx_http_blockcast_jq_job_pt  handler;
    void                         *data;

    /* the request: the hub's texts are copied, the other ones are not */
    ngx_pool_t                   *pool;
    struct iovec                 *iov;
    ngx_uint_t                    niov;

    /* the answer */
    ngx_int_t                     rc;
    ngx_str_t                    *out;          /* max of them, in pool */
    ngx_uint_t                    max;
    ngx_uint_t                    n;
    ngx_str_t                     error;        /* in pool */
    uint64_t                      usec;         /* 0: it did not run */
    ngx_http_blockcast_jq_reply_t  *reply;
};


/*
 * Starts the spawner if any stream has a program or a node may send replies
 * that take long to read; called in a new worker.
 */
ngx_int_t ngx_http_blockcast_jq_queue_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Queues a run of the stream's program, or of the one for a call's params.
 * The job and its pool must stay until the handler is called or the job
 * cancelled. The handler is not called with NGX_DONE: the job's memo has the
 * answer; nor with NGX_ERROR: there is no memory.
 */
ngx_int_t ngx_http_blockcast_jq_queue_run(ngx_http_blockcast_jq_job_t *job,
    ngx_http_blockcast_stream_t *st, ngx_uint_t program,
    ngx_http_blockcast_jq_input_t *input, ngx_uint_t max, ngx_pool_t *pool);

/*
 * Keeps a job's answer in its memo, if it has one.  NGX_DECLINED: this was no
 * answer to the request, it is to be queued again.
 */
ngx_int_t ngx_http_blockcast_jq_queue_keep(ngx_http_blockcast_jq_job_t *job);

/* Returns true when there are helpers. */
ngx_uint_t ngx_http_blockcast_jq_queue_ready(void);

/*
 * Queues the reading of a reply, for which job->reply is set; mode is that of
 * bc_jsonrpc_parse().
 */
ngx_int_t ngx_http_blockcast_jq_queue_reply(ngx_http_blockcast_jq_job_t *job,
    ngx_str_t *body, uint64_t id, ngx_uint_t mode, ngx_pool_t *pool);

/* Ends a job that is queued or running, with the helper that runs it. */
void ngx_http_blockcast_jq_queue_cancel(ngx_http_blockcast_jq_job_t *job);

/* Ends all helpers but that of a job that stays, when polling stops here. */
void ngx_http_blockcast_jq_queue_stop(void);

/* Ends the spawner, too, when the worker exits. */
void ngx_http_blockcast_jq_queue_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_JQ_QUEUE_H_INCLUDED_ */
