
/*
 * One call of a node, JSON-RPC or a GET, made as a background subrequest.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_CALL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_CALL_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_document.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "bc_jsonrpc.h"


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
    unsigned                      overdue:1;    /* nobody waits any longer */
    unsigned                      tried:1;      /* it tries a node, see _node */
    ngx_str_t                     message;
    u_char                        text[NGX_HTTP_BLOCKCAST_ERROR_LEN + 1];

    /* a large reply is read by a helper, and not copied for a poll */
    ngx_http_blockcast_jq_job_t   job;
    ngx_http_blockcast_jq_reply_t  reply;
    ngx_uint_t                    users;        /* requests of polls */
    unsigned                      reading:1;    /* the helper is at it */
    unsigned                      checked:1;    /* reply.deep is known */
    unsigned                      spent:1;      /* freed with the last user */

    /* a GET: what is kept of the path, and the node need not send again */
    ngx_http_blockcast_document_t  *document;

    /* a batch: its calls; a call: its batch; see _rpc_batch */
    ngx_queue_t                   members;
    ngx_queue_t                   member;
    ngx_http_blockcast_rpc_call_t  *batch;
    unsigned                      carries:1;    /* it is a batch */
    unsigned                      gathered:1;   /* for the next one */
    unsigned                      sharing:1;    /* its calls have their turn */
    unsigned                      answered:1;
    unsigned                      failed:1;     /* it was not sent */

    /* the request that nginx believes to serve */
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
 * Asks the node.  method and params (JSON text, or len 0 for none) are copied;
 * with get set method is a path with its query, and there are no params.
 * Where the node takes batches, the call goes with others of this turn of the
 * event loop.  The handler is called once, from the event loop and never from
 * within this function.  With quiet set nginx's own errors are not logged: for
 * a call that is known to fail.  NULL: no memory, or nginx does not take the
 * path.
 */
ngx_http_blockcast_rpc_call_t *ngx_http_blockcast_rpc_call_start(
    ngx_http_blockcast_node_t *node, ngx_str_t *method, ngx_str_t *params,
    ngx_uint_t get, ngx_uint_t quiet, ngx_http_blockcast_rpc_call_pt handler);

/*
 * Ends the call, which is aborted when it is in flight; its handler is not
 * called any more.  Not to be called from within nginx's request processing.
 */
void ngx_http_blockcast_rpc_call_free(ngx_http_blockcast_rpc_call_t *rpc);

/*
 * Tells whether the request is a call, whatever location it has been led to.
 */
ngx_uint_t ngx_http_blockcast_rpc_call_is(ngx_http_request_t *r);


/*
 * Serve _rpc_batch: make a call that is not sent; send it, with another body
 * than its own unless body->len == 0; end it with a sentence, once the event
 * loop has its turn; set its error.
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

/* Takes over what a reply is: a result, or the node's error. */
void ngx_http_blockcast_rpc_call_reply(ngx_http_blockcast_rpc_call_t *rpc,
    bc_jsonrpc_reply_t *reply);


/*
 * Keeps what a node sends besides its reply's body from having an effect in
 * nginx; called at the end of the configuration.  Does nothing where no node is
 * declared.
 */
ngx_int_t ngx_http_blockcast_rpc_call_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_CALL_H_INCLUDED_ */
