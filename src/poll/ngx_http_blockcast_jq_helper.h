
/*
 * Helper processes, which run the jq programs of a worker outside its event
 * loop.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JQ_HELPER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JQ_HELPER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* operations of a helper */

#define NGX_HTTP_BLOCKCAST_JQ_RUN     1     /* a program */
#define NGX_HTTP_BLOCKCAST_JQ_REPLY   2     /* read a node's reply */

/* in program: the stream's own, not that of a call's params */
#define NGX_HTTP_BLOCKCAST_JQ_STREAM  0xffffffff

/* that of the stream's keys, form= */
#define NGX_HTTP_BLOCKCAST_JQ_FORM    0xfffffffe


/*
 * A request: this, nresults times the next one, then the texts in the order in
 * which their lengths stand here.  Both ends are the same binary, so that
 * numbers are in the machine's order.
 */

typedef struct {
    uint32_t                      op;
    uint32_t                      stream;       /* index */
    uint32_t                      program;      /* index of the call */
    uint32_t                      nresults;
    uint32_t                      max;          /* outputs that are taken */
    uint32_t                      mode;         /* of a reply */
    uint64_t                      timeout;      /* msec */
    uint64_t                      memory;       /* bytes */
    uint64_t                      largest;      /* bytes of the first output */
    uint64_t                      id;           /* of a reply */
    double                        time;
    uint64_t                      previous;     /* lengths, in bytes */
    uint64_t                      kept;
    uint64_t                      last;
    uint64_t                      keys;
    uint64_t                      single;       /* not a length: input.single */
} ngx_http_blockcast_jq_request_t;


typedef struct {
    uint64_t                      name;         /* lengths, in bytes */
    uint64_t                      method;
    uint64_t                      result;
    uint64_t                      message;
    int64_t                       code;
    uint32_t                      has_code;
    uint32_t                      skipped;
} ngx_http_blockcast_jq_request_result_t;


/* an answer is some of these, the last one is _DONE or _ERROR */

typedef enum {
    ngx_http_blockcast_jq_frame_output = 1,
    ngx_http_blockcast_jq_frame_large,      /* an output: its length alone */
    ngx_http_blockcast_jq_frame_debug,      /* a line for the log */
    ngx_http_blockcast_jq_frame_stderr,
    ngx_http_blockcast_jq_frame_reply,      /* ngx_http_blockcast_jq_reply_t */
    ngx_http_blockcast_jq_frame_error,
    ngx_http_blockcast_jq_frame_done
} ngx_http_blockcast_jq_frame_e;


typedef struct {
    uint32_t                      type;
    uint32_t                      usec;         /* _DONE, _ERROR: it took */
    uint64_t                      len;          /* of what follows */
} ngx_http_blockcast_jq_frame_t;


/* what a helper finds in a node's reply; the result is a part of its text */

typedef struct {
    uint64_t                      offset;
    uint64_t                      len;          /* 0: there is none */
    int64_t                       code;
    uint32_t                      rpc_error;
    uint32_t                      has_code;
    uint32_t                      valid;
    uint32_t                      deep;         /* not for libjq ... */
    uint32_t                      deep_each;    /* ... inside of an array */
    char                          message[256];
} ngx_http_blockcast_jq_reply_t;


/* status of a helper that got no memory */
#define NGX_HTTP_BLOCKCAST_JQ_NO_MEMORY  83


/* worker to spawner: with two pipes, make helper serial; without, end it */

typedef struct {
    uint32_t                      serial;
    uint32_t                      slot;         /* of its count */
    int32_t                       status;       /* back: of waitpid(), or -1 */
} ngx_http_blockcast_jq_order_t;


/*
 * Starts the spawner, a process that only starts and ends helpers.  Returns
 * the worker's end of a SOCK_SEQPACKET socket and sets *pid; logs why it
 * returns -1.
 */
ngx_socket_t ngx_http_blockcast_jq_helper_spawner(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_pid_t *pid);


/*
 * Returns the counter of requests that the helper of that slot has finished;
 * some of the answers may not be sent yet.  NULL: there is no counter, and
 * each answer is sent at once.
 */
volatile uint32_t *ngx_http_blockcast_jq_helper_count(ngx_uint_t slot);


#endif /* _NGX_HTTP_BLOCKCAST_JQ_HELPER_H_INCLUDED_ */
