
/*
 * The last input and output of a jq program: with the same input it need not
 * run again.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JQ_MEMO_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JQ_MEMO_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_jq_helper.h"


typedef struct ngx_http_blockcast_jq_job_s  ngx_http_blockcast_jq_job_t;


/* the most outputs that are kept; if there are more, none is */
#define NGX_HTTP_BLOCKCAST_JQ_MEMO_OUTPUTS  10


typedef struct {
    u_char                       *text;         /* request, outputs; or NULL */
    size_t                        size;         /* allocated for text */
    size_t                        len;          /* of the request */
    size_t                        lens[NGX_HTTP_BLOCKCAST_JQ_MEMO_OUTPUTS];
    ngx_uint_t                    n;
    ngx_uint_t                    ends;         /* helpers ended by then */
    ngx_uint_t                    probes;
    ngx_uint_t                    failures;     /* proof runs whose helper
                                                   ended */
    ngx_msec_t                    at;           /* time of the last run */
    unsigned                      proven:1;     /* does not depend on time */
    unsigned                      never:1;      /* does, or proofs failed */
} ngx_http_blockcast_jq_memo_t;


/*
 * Checks whether a job's request is the same as in the last run, except for
 * the time.  Returns NGX_DONE if so: the job has its outputs; NGX_OK: the
 * request has to be sent (with a wrong time in it if this is a proof run).
 * ends is the number of helpers that have ended so far.
 */
ngx_int_t ngx_http_blockcast_jq_memo_find(ngx_http_blockcast_jq_job_t *job,
    ngx_http_blockcast_jq_request_t *request, ngx_uint_t ends);

/*
 * Keeps the outputs of a job's run, if it succeeded.  Returns NGX_DECLINED
 * when the run was given a wrong time, and that made a difference: the job has
 * to run again.
 */
ngx_int_t ngx_http_blockcast_jq_memo_ran(ngx_http_blockcast_jq_job_t *job,
    ngx_uint_t ends);

/* Frees the kept data with the pool.  Returns NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_jq_memo_init(ngx_pool_t *pool,
    ngx_http_blockcast_jq_memo_t *memo);


#endif /* _NGX_HTTP_BLOCKCAST_JQ_MEMO_H_INCLUDED_ */
