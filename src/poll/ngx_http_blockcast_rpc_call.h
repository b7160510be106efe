
/*
 * One call to a node, JSON-RPC or a GET, made as a background subrequest.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_CALL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_CALL_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_document.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "bc_jsonrpc.h"


/* larger replies are read by a helper process, if there is one (bytes) */
#define NGX_HTTP_BLOCKCAST_RPC_CALL_LARGE  65536


typedef void (
    *ngx_http_blockcast_rpc_call_pt)(ngx_http_blockcast_rpc_call_t *rpc);


struct ngx_http_blockcast_rpc_call_s {
    ngx_queue_t                   queue;        /* of the poller */
    ngx_http_blockcast_node_t    *node;
    ngx_str_t                     method;       /* of a GET the path */
    ngx_str_t                     params;
    ngx_msec_t                    started;
    unsigned                      get:1;

    ngx_http_blockcast_rpc_call_pt  handler;
    ngx_queue_t                   waiters;      /* of the poller */

    /* the answer: valid in the handler, and as long as the rpc lives */
    ngx_str_t                     result;       /* JSON text; len 0: failed */
    ngx_uint_t                    status;       /* of HTTP, 0: none came */
    ngx_uint_t                    retry_after;  /* seconds, 0: not said */
    int64_t                       code;
    ngx_http_blockcast_fault_e    fault;
    unsigned                      has_code:1;   /* the node's own error code */
    unsigned                      missing:1;    /* it has no such method */
    unsigned                      limited:1;    /* it asks for fewer calls */
    unsigned                      finished:1;
    unsigned                      overdue:1;    /* it is not waited for */
    unsigned                      tried:1;      /* it probes, see _breaker */
    ngx_str_t                     message;
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN + 1];

    /* a large reply is read by a helper, and not copied for a poll */
    ngx_http_blockcast_jq_job_t   job;
    ngx_http_blockcast_jq_reply_t  reply;
    ngx_uint_t                    users;        /* requests of polls */
    unsigned                      reading:1;    /* by the helper, now */
    unsigned                      checked:1;    /* reply.deep is known */
    unsigned                      spent:1;      /* freed with the last user */

    /* a GET: the document kept of the path, which has not to be sent again */
    ngx_http_blockcast_document_t  *document;

    /* a batch: its calls; a call: its batch; see _rpc_batch */
    ngx_queue_t                   members;
    ngx_queue_t                   member;
    ngx_http_blockcast_rpc_call_t  *batch;
    unsigned                      carries:1;    /* it is a batch */
    unsigned                      gathered:1;   /* for the next one */
    unsigned                      sharing:1;    /* its calls are being ended */
    unsigned                      answered:1;
    unsigned                      failed:1;     /* it was not sent */

    /* the request, a subrequest of which is the call */
    ngx_pool_t                   *pool;
    uint64_t                      id;
    ngx_connection_t              connection;
    ngx_event_t                   read;
    ngx_event_t                   write;
    ngx_event_t                   done_event;
    ngx_log_t                     log;
    ngx_http_log_ctx_t            log_ctx;
    ngx_http_connection_t         hc;
    ngx_buf_t                     header_in;
    struct sockaddr_in            sockaddr;
    ngx_http_post_subrequest_t    post;
    ngx_http_request_t           *main;
    ngx_http_request_t           *sr;
    ngx_int_t                   (*process_header)(ngx_http_request_t *r);
    unsigned                      done:1;
    unsigned                      complete:1;
    unsigned                      too_big:1;
    unsigned                      unreadable:1;
    unsigned                      quiet:1;

    /* of nginx itself, see rpc_path */
    ngx_http_phase_handler_t     *ended_in;
    unsigned                      ended_early:1;  /* before the content */
};


/*
 * Calls the node.  method and params (JSON text, or len 0 for none) are
 * copied; get: method is a path with its query, and there are no params.  If
 * the node supports batches, the call goes out with the others of this turn of
 * the event loop.  The handler is called once, from the event loop and never
 * from within this function.  quiet: do not log nginx's own errors, for a call
 * that is expected to fail.  NULL: there is no memory, or nginx refuses the
 * path.
 */
ngx_http_blockcast_rpc_call_t *ngx_http_blockcast_rpc_call_start(
    ngx_http_blockcast_node_t *node, ngx_str_t *method, ngx_str_t *params,
    ngx_uint_t get, ngx_uint_t quiet, ngx_http_blockcast_rpc_call_pt handler);

/*
 * Frees the call, aborting it if it is in flight; its handler is not called
 * any more.  Must not be called from within nginx's request processing.
 */
void ngx_http_blockcast_rpc_call_free(ngx_http_blockcast_rpc_call_t *rpc);

/* Returns true when the request is a call, whatever location it is in. */
ngx_uint_t ngx_http_blockcast_rpc_call_is(ngx_http_request_t *r);


/*
 * For _rpc_batch: make a call without sending it; send it, with another body
 * unless body->len == 0; end it with a sentence, in the next turn of the event
 * loop; set its error.
 */
ngx_http_blockcast_rpc_call_t *ngx_http_blockcast_rpc_call_create(
    ngx_http_blockcast_node_t *node, ngx_str_t *method, ngx_str_t *params,
    ngx_http_blockcast_rpc_call_pt handler);
ngx_int_t ngx_http_blockcast_rpc_call_send(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *body);
void ngx_http_blockcast_rpc_call_fail(ngx_http_blockcast_rpc_call_t *rpc,
    const char *what);
void ngx_http_blockcast_rpc_call_error(ngx_http_blockcast_rpc_call_t *rpc,
    const char *fmt, ...);

/* Sets the call's outcome from a reply: a result, or the node's error. */
void ngx_http_blockcast_rpc_call_reply(ngx_http_blockcast_rpc_call_t *rpc,
    bc_jsonrpc_reply_t *reply);


/*
 * Keeps the headers of a node's reply from having an effect in nginx.  Called
 * at the end of the configuration; does nothing when no node is declared.
 */
ngx_int_t ngx_http_blockcast_rpc_call_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_CALL_H_INCLUDED_ */
