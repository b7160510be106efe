
/*
 * jq programs: compiled once at configuration, run by a helper process.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JQ_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JQ_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* the outcome of a call: a result, or an error (message.len != 0) */

typedef struct {
    ngx_str_t                     name;
    ngx_str_t                     method;       /* the one that answered */
    ngx_str_t                     result;       /* JSON text */
    ngx_str_t                     message;
    int64_t                       code;
    unsigned                      has_code:1;   /* the node's own number */
    unsigned                      skipped:1;    /* not called this time */
} ngx_http_blockcast_call_result_t;


/* an output of the last run, which is an input of the next one */

typedef struct {
    jv                            value;        /* what text says */
    u_char                       *text;         /* NULL: there is none */
    size_t                        len;
    size_t                        depth;        /* levels */
    size_t                        max;          /* bytes that are kept */
} ngx_http_blockcast_jq_kept_t;


typedef struct {
    ngx_http_blockcast_call_result_t  *results;
    ngx_uint_t                    nresults;
    ngx_str_t                     previous;     /* JSON texts, len 0: null */
    ngx_str_t                     memory;
    ngx_str_t                     last;
    ngx_str_t                     keys;         /* array of strings, or len 0 */
    double                        time;         /* Unix seconds */
    ngx_http_blockcast_jq_kept_t  *previous_kept;  /* or NULL */
    ngx_http_blockcast_jq_kept_t  *memory_kept;
    unsigned                      keep:1;       /* update these after the run */
    unsigned                      single:1;     /* keys: there is one */
    unsigned                      held:1;       /* previous and memory last as
                                                   long as the run's pool */
} ngx_http_blockcast_jq_input_t;


/*
 * Compiles a program, which is freed with pool.  Included files are looked up
 * in the folder `beside` (up to its last "/") and in the one above it, unless
 * beside->len is 0, and in dir.  On NGX_ERROR, *error is libjq's own message
 * on one line, allocated from pool.
 */
ngx_int_t ngx_http_blockcast_jq_compile(ngx_pool_t *pool, ngx_str_t *program,
    ngx_str_t *beside, ngx_str_t *dir, jq_state **jq, ngx_str_t *error);

/*
 * Runs a program.  Prints up to max outputs as JSON texts, in memory of pool;
 * *n says how many.  NGX_ERROR: *error is the program's message, of pool.
 */
ngx_int_t ngx_http_blockcast_jq_run(jq_state *jq,
    ngx_http_blockcast_jq_input_t *input, ngx_str_t *out, ngx_uint_t max,
    ngx_uint_t *n, ngx_str_t *error, ngx_pool_t *pool);

/* Frees what the last run has left in a program. */
void ngx_http_blockcast_jq_forget(jq_state *jq);

/*
 * Sets what a helper process does with lines of "debug" (say) and when libjq
 * gets no memory (nomem, which does not return).
 */
typedef void (*ngx_http_blockcast_jq_say_pt)(u_char *text, size_t len);
typedef void (*ngx_http_blockcast_jq_nomem_pt)(void);

void ngx_http_blockcast_jq_in_helper(ngx_http_blockcast_jq_say_pt say,
    ngx_http_blockcast_jq_nomem_pt nomem);

/*
 * Returns true when libjq can read a text of valid JSON inside `levels`
 * arrays: it limits the depth of nesting.
 */
ngx_uint_t ngx_http_blockcast_jq_reads(ngx_str_t *text, ngx_uint_t levels);


#endif /* _NGX_HTTP_BLOCKCAST_JQ_H_INCLUDED_ */
