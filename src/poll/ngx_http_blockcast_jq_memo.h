
/*
 * What a jq program was given and has put out the last time: with the same
 * input it need not run.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JQ_MEMO_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JQ_MEMO_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_jq_helper.h"


typedef struct ngx_http_blockcast_jq_job_s  ngx_http_blockcast_jq_job_t;


/* outputs that are kept; with more of them nothing is */
#define NGX_HTTP_BLOCKCAST_JQ_MEMO_OUTPUTS  10


typedef struct {
    u_char                       *text;         /* request, outputs; or NULL */
    size_t                        size;         /* ... that it has room for */
    size_t                        len;          /* of the request */
    size_t                        lens[NGX_HTTP_BLOCKCAST_JQ_MEMO_OUTPUTS];
    ngx_uint_t                    n;
    ngx_uint_t                    ends;         /* helpers that had ended */
    ngx_uint_t                    probes;
    ngx_uint_t                    failures;     /* of runs for a proof */
    ngx_msec_t                    at;           /* the last run */
    unsigned                      proven:1;     /* it does not depend on time */
    unsigned                      never:1;      /* it does */
} ngx_http_blockcast_jq_memo_t;


/*
 * Looks whether a job's request is that of the last run, but for the time.
 * NGX_DONE: it is, the job has its outputs; NGX_OK: the request is to be sent.
 * ends: how many helpers have ended so far.
 */
ngx_int_t ngx_http_blockcast_jq_memo_find(ngx_http_blockcast_jq_job_t *job,
    ngx_http_blockcast_jq_request_t *request, ngx_uint_t ends);

/*
 * Keeps what a job's run has put out, if it ended well.  NGX_DECLINED: it was
 * given another time than the right one, which made a difference; it has to
 * run again.
 */
ngx_int_t ngx_http_blockcast_jq_memo_ran(ngx_http_blockcast_jq_job_t *job,
    ngx_uint_t ends);

/* Has what is kept freed with a pool; NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_jq_memo_init(ngx_pool_t *pool,
    ngx_http_blockcast_jq_memo_t *memo);


#endif /* _NGX_HTTP_BLOCKCAST_JQ_MEMO_H_INCLUDED_ */
