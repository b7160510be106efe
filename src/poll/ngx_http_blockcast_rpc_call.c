
/*
 * One call to a node, JSON-RPC or a GET, made as a background subrequest.
 *
 * A subrequest needs a main request, and that one a connection.  Neither comes
 * from a client here, so they are made up.  To keep nginx from touching the
 * missing socket,
 *
 *  - the events are marked as active, so none is added to epoll, and nothing
 *    reads; the connection takes all that is written, so that the reply goes
 *    straight to memory and never to a temporary file;
 *  - the main request has no write_event_handler: when the subrequest fails,
 *    ngx_http_terminate_request() then only drops its reference instead of
 *    closing a connection that was never counted;
 *  - the reply is kept in memory and nothing is sent.
 */


#include "ngx_http_blockcast_rpc_call.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_authorization.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_header.h"
#include "ngx_http_blockcast_rpc_batch.h"
#include "ngx_http_blockcast_rpc_path.h"
#include "bc_jsonrpc.h"

#include <sys/mman.h>


/* from which size on the memory for a reply is used again (bytes), and how
   long it is kept for that (msec) */
#define NGX_HTTP_BLOCKCAST_RPC_CALL_SPARE       (4 * 1024 * 1024)
#define NGX_HTTP_BLOCKCAST_RPC_CALL_SPARE_TIME  10000


typedef struct {
    u_char                       *start;
    size_t                        size;         /* 0: there is none */
} ngx_http_blockcast_rpc_memory_t;


static ngx_socket_t ngx_http_blockcast_rpc_call_nowhere(void);
static ngx_int_t ngx_http_blockcast_rpc_call_request(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_int_t ngx_http_blockcast_rpc_call_headers(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_int_t ngx_http_blockcast_rpc_call_subrequest(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_str_t *body);
static ngx_int_t ngx_http_blockcast_rpc_call_add_header(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);
static ngx_int_t ngx_http_blockcast_rpc_call_body(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_str_t *body);
static ngx_int_t ngx_http_blockcast_rpc_call_uri(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_str_t *uri, ngx_str_t *args);
static void ngx_http_blockcast_rpc_call_expect(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_int_t ngx_http_blockcast_rpc_call_interim(ngx_http_request_t *r);
static ngx_http_blockcast_rpc_call_t *ngx_http_blockcast_rpc_call_of(
    ngx_http_request_t *r);
static ngx_int_t ngx_http_blockcast_rpc_call_finalize(ngx_http_request_t *r,
    void *data, ngx_int_t rc);
static void ngx_http_blockcast_rpc_call_done(ngx_event_t *ev);
static ngx_int_t ngx_http_blockcast_rpc_call_read_aside(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_str_t *body);
static void ngx_http_blockcast_rpc_call_read_done(
    ngx_http_blockcast_jq_job_t *job);
static void ngx_http_blockcast_rpc_call_parse(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_str_t *body);
static void ngx_http_blockcast_rpc_call_read(
    ngx_http_blockcast_rpc_call_t *rpc);
static void ngx_http_blockcast_rpc_call_read_status(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_http_upstream_t *u,
    ngx_str_t *body);
static void ngx_http_blockcast_rpc_call_read_failure(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_http_upstream_t *u);
static ngx_uint_t ngx_http_blockcast_rpc_call_read_document(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_str_t *body);
static void ngx_http_blockcast_rpc_call_keep(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_uint_t ngx_http_blockcast_rpc_call_mode(
    ngx_http_blockcast_rpc_call_t *rpc);
static ngx_uint_t ngx_http_blockcast_rpc_call_encoded(ngx_http_upstream_t *u);
static void ngx_http_blockcast_rpc_call_retry_after(
    ngx_http_blockcast_rpc_call_t *rpc, ngx_http_upstream_t *u);
static void ngx_http_blockcast_rpc_call_event(ngx_event_t *ev);
static u_char *ngx_http_blockcast_rpc_call_log(ngx_log_t *log, u_char *buf,
    size_t len);
static void ngx_http_blockcast_rpc_call_deafen(ngx_conf_t *cf,
    void **loc_conf);
static ngx_int_t ngx_http_blockcast_rpc_call_guard(ngx_http_request_t *r);
static void ngx_http_blockcast_rpc_call_buffer(ngx_http_request_t *r);
static void ngx_http_blockcast_rpc_call_spare_memory(void *data);
static void ngx_http_blockcast_rpc_call_spare_handler(ngx_event_t *ev);
static ngx_int_t ngx_http_blockcast_rpc_call_header_filter(
    ngx_http_request_t *r);


static ngx_http_output_header_filter_pt
    ngx_http_blockcast_call_next_header_filter;


static ngx_str_t  ngx_http_blockcast_rpc_call_post = ngx_string("POST");
static ngx_str_t  ngx_http_blockcast_rpc_call_get = ngx_string("GET");
static ngx_str_t  ngx_http_blockcast_rpc_call_json =
    ngx_string("application/json");
static ngx_str_t  ngx_http_blockcast_rpc_call_agent =
    ngx_string("blockcast/" NGX_HTTP_BLOCKCAST_VERSION);
static ngx_str_t  ngx_http_blockcast_rpc_call_http11 = ngx_string("HTTP/1.1");
static ngx_str_t  ngx_http_blockcast_rpc_call_local = ngx_string("127.0.0.1");

/* the memory of a former reply, and the event that gives it back */
static ngx_http_blockcast_rpc_memory_t  ngx_http_blockcast_rpc_call_spare;
static ngx_connection_t                 ngx_http_blockcast_rpc_call_nobody;
static ngx_event_t  ngx_http_blockcast_rpc_call_spare_event;


ngx_http_blockcast_rpc_call_t *
ngx_http_blockcast_rpc_call_start(ngx_http_blockcast_node_t *node,
    ngx_str_t *method, ngx_str_t *params, ngx_uint_t get, ngx_uint_t quiet,
    ngx_http_blockcast_rpc_call_pt handler)
{
    ngx_str_t                       body;
    ngx_http_blockcast_rpc_call_t  *rpc;

    rpc = ngx_http_blockcast_rpc_call_create(node, method, params, handler);
    if (rpc == NULL) {
        return NULL;
    }

    rpc->get = (get != 0);
    rpc->quiet = (quiet != 0);

    if (get) {
        rpc->document = ngx_http_blockcast_document_get(node, &rpc->method);

    } else if (ngx_http_blockcast_rpc_batch_add(rpc) == NGX_OK) {
        return rpc;
    }

    ngx_str_null(&body);

    if (ngx_http_blockcast_rpc_call_send(rpc, &body) != NGX_OK) {
        ngx_http_blockcast_rpc_call_free(rpc);
        return NULL;
    }

    return rpc;
}


ngx_http_blockcast_rpc_call_t *
ngx_http_blockcast_rpc_call_create(ngx_http_blockcast_node_t *node,
    ngx_str_t *method, ngx_str_t *params,
    ngx_http_blockcast_rpc_call_pt handler)
{
    u_char                         *p;
    ngx_pool_t                     *pool;
    ngx_http_blockcast_rpc_call_t  *rpc;
    static uint64_t                 id;

    pool = ngx_create_pool(4096, ngx_cycle->log);
    if (pool == NULL) {
        return NULL;
    }

    rpc = ngx_pcalloc(pool, sizeof(ngx_http_blockcast_rpc_call_t));
    p = ngx_pnalloc(pool, method->len + 1 + params->len + 1);

    if (rpc == NULL || p == NULL) {
        ngx_destroy_pool(pool);
        return NULL;
    }

    rpc->pool = pool;
    rpc->node = node;
    rpc->handler = handler;
    rpc->started = ngx_current_msec;
    rpc->id = ++id;

    ngx_queue_init(&rpc->queue);
    ngx_queue_init(&rpc->waiters);
    ngx_queue_init(&rpc->members);

    /* both end with a zero */

    rpc->method.data = p;
    rpc->method.len = method->len;
    p = ngx_cpymem(p, method->data, method->len);
    *p++ = '\0';

    rpc->params.data = p;
    rpc->params.len = params->len;

    if (params->len != 0) {
        p = ngx_cpymem(p, params->data, params->len);
    }

    *p = '\0';

    rpc->done_event.handler = ngx_http_blockcast_rpc_call_done;
    rpc->done_event.data = rpc;
    rpc->done_event.log = ngx_cycle->log;

    return rpc;
}


ngx_int_t
ngx_http_blockcast_rpc_call_send(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *body)
{
    if (ngx_http_blockcast_rpc_call_request(rpc) != NGX_OK
        || ngx_http_blockcast_rpc_call_headers(rpc) != NGX_OK
        || ngx_http_blockcast_rpc_call_subrequest(rpc, body) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_run_posted_requests(&rpc->connection);

    ngx_http_blockcast_rpc_call_expect(rpc);

    return NGX_OK;
}


void
ngx_http_blockcast_rpc_call_fail(ngx_http_blockcast_rpc_call_t *rpc,
    const char *what)
{
    rpc->done = 1;
    rpc->failed = 1;

    ngx_http_blockcast_rpc_call_error(rpc, "%s", what);

    if (!rpc->done_event.posted) {
        ngx_post_event(&rpc->done_event, &ngx_posted_events);
    }
}


/*
 * Opens a descriptor for the connections that are made up.  Nothing is read
 * from it or written to it, but Lua's filters, which may be enabled for a
 * whole site, refuse a request whose connection has no descriptor.
 */

static ngx_socket_t
ngx_http_blockcast_rpc_call_nowhere(void)
{
    static ngx_fd_t  fd = NGX_INVALID_FILE;

    if (fd == NGX_INVALID_FILE) {
        fd = ngx_open_file("/dev/null", NGX_FILE_RDONLY, NGX_FILE_OPEN, 0);
    }

    return (ngx_socket_t) fd;
}


static ngx_int_t
ngx_http_blockcast_rpc_call_request(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = &rpc->connection;

    rpc->log = *ngx_cycle->log;
    rpc->log.connection = 0;
    rpc->log.handler = ngx_http_blockcast_rpc_call_log;
    rpc->log.data = &rpc->log_ctx;
    rpc->log.action = NULL;
    rpc->log_ctx.connection = c;

    rpc->read.data = c;
    rpc->read.handler = ngx_http_blockcast_rpc_call_event;
    rpc->read.log = &rpc->log;
    rpc->read.active = 1;

    rpc->write.data = c;
    rpc->write.handler = ngx_http_blockcast_rpc_call_event;
    rpc->write.log = &rpc->log;
    rpc->write.write = 1;
    rpc->write.ready = 1;

    /* select() and poll() would delete an event that is active and ready */

    rpc->write.active = (ngx_event_flags & NGX_USE_CLEAR_EVENT) ? 1 : 0;

    rpc->hc.conf_ctx = rpc->node->cscf->ctx;

    rpc->sockaddr.sin_family = AF_INET;
    rpc->sockaddr.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    c->fd = ngx_http_blockcast_rpc_call_nowhere();
    c->type = SOCK_STREAM;
    c->read = &rpc->read;
    c->write = &rpc->write;
    c->pool = rpc->pool;
    c->log = &rpc->log;
    c->data = &rpc->hc;
    c->sockaddr = (struct sockaddr *) &rpc->sockaddr;
    c->socklen = sizeof(struct sockaddr_in);
    c->local_sockaddr = c->sockaddr;
    c->local_socklen = c->socklen;
    c->addr_text = ngx_http_blockcast_rpc_call_local;
    c->buffer = &rpc->header_in;
    c->tcp_nodelay = NGX_TCP_NODELAY_DISABLED;
    c->number = ngx_atomic_fetch_add(ngx_connection_counter, 1);
    c->start_time = ngx_current_msec;

    rpc->log.connection = c->number;

    r = ngx_http_create_request(c);
    if (r == NULL) {
        return NGX_ERROR;
    }

#if (NGX_STAT_STUB)

    /* do not count it among the clients' requests */

    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    (void) ngx_atomic_fetch_add(ngx_stat_requests, -1);
    r->stat_reading = 0;

#endif

    c->data = r;
    rpc->main = r;

    /* made by ngx_http_create_request() of the server's error_log */
    rpc->log.handler = ngx_http_blockcast_rpc_call_log;
    rpc->log.data = &rpc->log_ctx;

    if (rpc->quiet && rpc->log.log_level > NGX_LOG_CRIT
        && rpc->log.log_level <= NGX_LOG_INFO)
    {
        rpc->log.log_level = NGX_LOG_CRIT;
    }

    r->logged = 1;
    r->internal = 1;
    r->valid_location = 1;
    r->method = rpc->get ? NGX_HTTP_GET : NGX_HTTP_POST;
    r->method_name = rpc->get ? ngx_http_blockcast_rpc_call_get
                              : ngx_http_blockcast_rpc_call_post;
    r->http_version = NGX_HTTP_VERSION_11;
    r->http_protocol = ngx_http_blockcast_rpc_call_http11;
    r->uri = rpc->node->clcf->name;
    r->unparsed_uri = r->uri;
    r->headers_in.server = rpc->node->cscf->server_name;
    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;

    if (rpc->get) {
        ngx_str_set(&r->request_line, "GET blockcast");

    } else {
        ngx_str_set(&r->request_line, "POST blockcast");
    }

    /* see above: it must not run, nor be replaced */

    r->write_event_handler = NULL;
    r->read_event_handler = ngx_http_block_reading;

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_rpc_call_headers(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_str_t            credentials;
    ngx_http_request_t  *r;

    r = rpc->main;

    if (ngx_http_blockcast_authorization_get(rpc->node, r->pool, &credentials)
        != NGX_OK
        || ngx_list_init(&r->headers_in.headers, r->pool, 4,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if ((!rpc->get
         && ngx_http_blockcast_rpc_call_add_header(r, "Content-Type",
                                       &ngx_http_blockcast_rpc_call_json)
            != NGX_OK)
        || ngx_http_blockcast_rpc_call_add_header(r, "Accept",
                                       &ngx_http_blockcast_rpc_call_json)
           != NGX_OK
        || ngx_http_blockcast_rpc_call_add_header(r, "User-Agent",
                                       &ngx_http_blockcast_rpc_call_agent)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (rpc->document != NULL
        && ngx_http_blockcast_rpc_call_add_header(r, "If-None-Match",
                                                  &rpc->document->etag)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    if (credentials.len != 0
        && ngx_http_blockcast_rpc_call_add_header(r, "Authorization",
                                                  &credentials)
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_rpc_call_add_header(ngx_http_request_t *r, const char *name,
    ngx_str_t *value)
{
    ngx_table_elt_t  *h;

    h = ngx_list_push(&r->headers_in.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    ngx_memzero(h, sizeof(ngx_table_elt_t));

    h->key.data = (u_char *) name;
    h->key.len = ngx_strlen(name);
    h->value = *value;

    h->lowcase_key = ngx_pnalloc(r->pool, h->key.len);
    if (h->lowcase_key == NULL) {
        return NGX_ERROR;
    }

    h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

    if (h->key.data[0] == 'C') {
        r->headers_in.content_type = h;

    } else if (h->key.data[0] == 'U') {
        r->headers_in.user_agent = h;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_rpc_call_subrequest(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *body)
{
    ngx_buf_t                *b;
    ngx_str_t                 text, uri, args;
    ngx_chain_t              *cl;
    ngx_http_request_t       *r, *sr;
    ngx_http_request_body_t  *rb;

    r = rpc->main;
    text = *body;
    uri = r->uri;

    ngx_str_null(&args);

    if (rpc->get) {

        if (ngx_http_blockcast_rpc_call_uri(rpc, &uri, &args) != NGX_OK) {
            return NGX_ERROR;
        }

    } else if (text.len == 0
               && ngx_http_blockcast_rpc_call_body(rpc, &text) != NGX_OK)
    {
        return NGX_ERROR;
    }

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);
    rb = ngx_pcalloc(r->pool, sizeof(ngx_http_request_body_t));

    if (b == NULL || cl == NULL || rb == NULL) {
        return NGX_ERROR;
    }

    if (!rpc->get) {
        b->start = text.data;
        b->pos = text.data;
        b->last = text.data + text.len;
        b->end = b->last;
        b->temporary = 1;
        b->last_buf = 1;
        b->last_in_chain = 1;

        cl->buf = b;
        cl->next = NULL;
        rb->bufs = cl;
    }

    rpc->post.handler = ngx_http_blockcast_rpc_call_finalize;
    rpc->post.data = rpc;

    if (ngx_http_subrequest(r, &uri, args.len ? &args : NULL, &sr, &rpc->post,
                            NGX_HTTP_SUBREQUEST_IN_MEMORY
                            |NGX_HTTP_SUBREQUEST_BACKGROUND)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    sr->write_event_handler = ngx_http_blockcast_rpc_path_enter;
    sr->method = r->method;
    sr->method_name = r->method_name;
    sr->request_body = rb;
    sr->headers_in.content_length_n = rpc->get ? -1 : (off_t) text.len;
    sr->headers_in.chunked = 0;

    rpc->sr = sr;

    /* the subrequest is the one that writes to the connection */
    r->connection->data = sr;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, &rpc->log, 0,
                   "blockcast: call %uL \"%V\" %V", rpc->id, &rpc->method,
                   &rpc->params);

    return NGX_OK;
}


/* Makes the body of the request in its pool. */

static ngx_int_t
ngx_http_blockcast_rpc_call_body(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *body)
{
    char    *p;
    size_t   len;

    if (bc_jsonrpc_build(&p, &len, rpc->id, (char *) rpc->method.data,
                         rpc->params.len ? (char *) rpc->params.data : NULL)
        != 0)
    {
        return NGX_ERROR;
    }

    body->len = len;
    body->data = ngx_pnalloc(rpc->main->pool, len);

    if (body->data != NULL) {
        ngx_memcpy(body->data, p, len);
    }

    free(p);

    return (body->data != NULL) ? NGX_OK : NGX_ERROR;
}


/*
 * Makes the URI of a GET: the path appended to that of the node's location,
 * decoded as nginx stores it, without the query.
 */

static ngx_int_t
ngx_http_blockcast_rpc_call_uri(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *uri, ngx_str_t *args)
{
    u_char      *p;
    ngx_str_t   *name;
    ngx_uint_t   flags;

    name = &rpc->node->clcf->name;

    uri->len = name->len;

    if (uri->len != 0 && name->data[uri->len - 1] == '/') {
        uri->len--;
    }

    p = ngx_pnalloc(rpc->main->pool, uri->len + rpc->method.len);
    if (p == NULL) {
        return NGX_ERROR;
    }

    uri->data = p;
    p = ngx_cpymem(p, name->data, uri->len);
    ngx_memcpy(p, rpc->method.data, rpc->method.len);
    uri->len += rpc->method.len;

    flags = NGX_HTTP_LOG_UNSAFE;

    return ngx_http_parse_unsafe_uri(rpc->main, uri, args, &flags);
}


/*
 * Removes interim responses, such as 100 Continue (RFC 9110, 15.2), from what
 * a node has sent before nginx parses it: nginx would take them for the reply.
 */

static void
ngx_http_blockcast_rpc_call_expect(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_http_upstream_t  *u;

    u = rpc->sr->upstream;

    if (rpc->done || u == NULL || u->process_header == NULL) {
        return;
    }

    rpc->process_header = u->process_header;
    u->process_header = ngx_http_blockcast_rpc_call_interim;
}


static ngx_int_t
ngx_http_blockcast_rpc_call_interim(ngx_http_request_t *r)
{
    size_t                          len;
    u_char                         *p, *last;
    ngx_buf_t                      *b;
    ngx_http_upstream_t            *u;
    ngx_http_blockcast_rpc_call_t  *rpc;
    static u_char                   start[] = "HTTP/1.x 1xx";

    u = r->upstream;
    b = &u->buffer;
    rpc = ngx_http_blockcast_rpc_call_of(r);

    for ( ;; ) {
        last = b->last;

        for (len = 0; len < sizeof(start) - 1; len++) {

            p = b->pos + len;

            if (p == last) {
                return NGX_AGAIN;
            }

            if (start[len] != 'x' ? *p != start[len]
                                  : *p < '0' || *p > '9')
            {
                break;
            }
        }

        /* 101 is the last response before another protocol */

        if (len < sizeof(start) - 1
            || ngx_strncmp(b->pos + sizeof("HTTP/1.x ") - 1, "101", 3) == 0)
        {
            break;
        }

        for (p = b->pos + len; /* void */ ; p++) {

            if (last - p < 4) {
                return NGX_AGAIN;
            }

            if (p[0] == CR && p[1] == LF && p[2] == CR && p[3] == LF) {
                break;
            }
        }

        b->pos = p + 4;
    }

    u->process_header = rpc->process_header;

    return u->process_header(r);
}


/*
 * Handles the end of the subrequest.  For errors of nginx itself it is called
 * twice: without a status before the error page is made, and with it after.
 */

static ngx_int_t
ngx_http_blockcast_rpc_call_finalize(ngx_http_request_t *r, void *data,
    ngx_int_t rc)
{
    ngx_http_blockcast_rpc_call_t *rpc = data;

    size_t                size, most;
    ngx_event_pipe_t     *pipe;
    ngx_http_upstream_t  *u;

    u = r->upstream;

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, r->connection->log, 0,
                   "blockcast: call ends rc:%i status:%ui error:%d",
                   rc, r->headers_out.status, r->connection->error);

    if (rpc->done) {
        return rc;
    }

    ngx_http_blockcast_rpc_path_ended(rpc, r);

    if (r->headers_out.status == 0
        && rc >= NGX_HTTP_SPECIAL_RESPONSE
        && rc != NGX_HTTP_REQUEST_TIME_OUT
        && rc != NGX_HTTP_CLIENT_CLOSED_REQUEST
        && rc != NGX_HTTP_CLOSE
        && !r->connection->error)
    {
        return rc;
    }

    rpc->done = 1;
    rpc->status = r->headers_out.status ? r->headers_out.status
                                        : (rc > 0) ? (ngx_uint_t) rc : 0;

    if (rc == NGX_OK && !r->connection->error) {
        rpc->complete = 1;

        if (u != NULL && u->buffering && u->pipe != NULL
#if (NGX_HTTP_CACHE)
            && !r->cached
#endif
           )
        {

            /*
             * with buffering, nginx ends a reply that was cut short normally
             */

            pipe = u->pipe;
            rpc->complete = pipe->upstream_done
                            || (pipe->upstream_eof && pipe->length == -1);
        }
    }

    if (r->headers_out.status == NGX_HTTP_OK
        || (u != NULL && u->headers_in.status_n != 0))
    {
        /*
         * A filter that fails, such as gunzip on a damaged reply, looks like a
         * reply that is too large; but in that case the buffer is full.
         */

        size = (r->out != NULL && r->out->buf != NULL)
               ? (size_t) (r->out->buf->last - r->out->buf->pos) : 0;

        if (u != NULL && u->pipe != NULL && u->pipe->downstream_error) {

            /*
             * The buffer may lack as much as one of the proxy's or gunzip's
             * buffers, the latter of which are pages.
             */

            most = ngx_max(u->conf->bufs.size, u->conf->buffer_size);

            if (most > NGX_HTTP_BLOCKCAST_REPLY_MORE
                && !ngx_http_blockcast_rpc_call_encoded(u))
            {
                size += most - NGX_HTTP_BLOCKCAST_REPLY_MORE;
            }
        }

        if ((u != NULL && u->headers_in.content_length_n
                          > (off_t) rpc->node->max_reply)
            || size > rpc->node->max_reply)
        {
            rpc->too_big = 1;
            rpc->complete = 0;

        } else if (u != NULL && u->pipe != NULL && u->pipe->downstream_error) {
            rpc->unreadable = 1;
            rpc->complete = 0;
        }
    }

    /* post it: the handler may free the request, which nginx still uses */

    ngx_post_event(&rpc->done_event, &ngx_posted_events);

    return rc;
}


static void
ngx_http_blockcast_rpc_call_done(ngx_event_t *ev)
{
    ngx_http_blockcast_rpc_call_t  *rpc;

    rpc = ev->data;

    if (!rpc->failed) {
        ngx_http_blockcast_rpc_call_read(rpc);
    }

    if (rpc->reading) {
        return;
    }

    rpc->finished = 1;
    rpc->handler(rpc);
}


/*
 * Lets a helper process read a large reply, or check that one to a batch is
 * JSON, as that would hold up the clients.  NGX_DECLINED: there is no helper,
 * or the reply is not large.
 */

static ngx_int_t
ngx_http_blockcast_rpc_call_read_aside(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *body)
{
    if (body->len < NGX_HTTP_BLOCKCAST_RPC_CALL_LARGE
        || !ngx_http_blockcast_jq_queue_ready())
    {
        return NGX_DECLINED;
    }

    rpc->job.handler = ngx_http_blockcast_rpc_call_read_done;
    rpc->job.data = rpc;
    rpc->job.reply = &rpc->reply;

    if (ngx_http_blockcast_jq_queue_reply(
                                    &rpc->job, body, rpc->id,
                                    rpc->carries
                                    ? BC_JSONRPC_DOCUMENT
                                    : ngx_http_blockcast_rpc_call_mode(rpc),
                                    rpc->pool)
        != NGX_OK)
    {
        return NGX_DECLINED;
    }

    rpc->reading = 1;

    return NGX_OK;
}


static void
ngx_http_blockcast_rpc_call_read_done(ngx_http_blockcast_jq_job_t *job)
{
    ngx_str_t                       body;
    bc_jsonrpc_reply_t              reply;
    ngx_http_request_t             *r;
    ngx_http_blockcast_rpc_call_t  *rpc;

    rpc = job->data;
    r = rpc->sr;

    body.data = r->out->buf->pos;
    body.len = r->out->buf->last - r->out->buf->pos;

    rpc->reading = 0;
    rpc->finished = 1;

    if (job->rc != NGX_OK) {

        /* the helper has ended: parse it here this time */

        ngx_http_blockcast_rpc_call_parse(rpc, &body);

    } else if (!rpc->reply.valid) {
        rpc->fault = ngx_http_blockcast_fault_invalid;
        ngx_http_blockcast_rpc_call_error(rpc, "bad reply: %s",
                                          rpc->reply.message);

    } else if (rpc->carries) {
        rpc->checked = 1;
        ngx_http_blockcast_rpc_batch_read(rpc, &body);

    } else if (rpc->reply.rpc_error) {
        reply.ok = 0;
        reply.has_code = rpc->reply.has_code;
        reply.code = rpc->reply.code;

        ngx_memcpy(reply.message, rpc->reply.message, sizeof(reply.message));
        ngx_http_blockcast_rpc_call_reply(rpc, &reply);

    } else {
        rpc->checked = 1;
        rpc->result.data = body.data + rpc->reply.offset;
        rpc->result.len = rpc->reply.len;
        ngx_http_blockcast_rpc_call_keep(rpc);
    }

    rpc->handler(rpc);
}


static void
ngx_http_blockcast_rpc_call_read(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_str_t             body;
    ngx_http_request_t   *r;
    ngx_http_upstream_t  *u;

    r = rpc->sr;
    u = r->upstream;

    ngx_str_null(&body);

    if (r->out != NULL && r->out->buf != NULL) {
        body.data = r->out->buf->pos;
        body.len = r->out->buf->last - r->out->buf->pos;
    }

    if (rpc->status != NGX_HTTP_OK
        && (u == NULL || u->headers_in.status_n == 0))
    {
        ngx_http_blockcast_rpc_call_read_failure(rpc, u);
        return;
    }

    if (rpc->status == NGX_HTTP_UNAUTHORIZED
        || rpc->status == NGX_HTTP_FORBIDDEN)
    {
        ngx_http_blockcast_authorization_refused(rpc->node);
    }

    if (rpc->status != NGX_HTTP_OK
        && !(rpc->get && rpc->status > NGX_HTTP_OK
             && rpc->status < NGX_HTTP_SPECIAL_RESPONSE))
    {
        if (!rpc->complete) {
            ngx_str_null(&body);
        }

        ngx_http_blockcast_rpc_call_read_status(rpc, u, &body);
        return;
    }

    if (rpc->too_big) {
        ngx_http_blockcast_rpc_call_error(rpc, "the reply is larger than "
                                          "max_reply=%uz",
                                          rpc->node->max_reply);
        ngx_log_error(NGX_LOG_ERR, &rpc->log, 0,
                      "blockcast: the reply of node \"%V\" to \"%V\" is "
                      "larger than max_reply=%uz",
                      &rpc->node->name, &rpc->method, rpc->node->max_reply);
        return;
    }

    if (rpc->unreadable) {
        rpc->fault = ngx_http_blockcast_fault_invalid;
        ngx_http_blockcast_rpc_call_error(
                                    rpc, "bad reply: nginx cannot read it "
                                    "on after %uz bytes (is its compression "
                                    "damaged?)", body.len);
        return;
    }

    if (!rpc->complete) {
        rpc->fault = ngx_http_blockcast_fault_closed;
        ngx_http_blockcast_rpc_call_error(rpc, "the reply was cut short after "
                                          "%uz bytes", body.len);
        return;
    }

    if (ngx_http_blockcast_rpc_call_read_aside(rpc, &body) != NGX_OK) {
        ngx_http_blockcast_rpc_call_parse(rpc, &body);
    }
}


/*
 * Reads a reply whose status is not 200.  A JSON-RPC reply in the body counts
 * more than the status: the node is alive, and its error tells more.
 */

static void
ngx_http_blockcast_rpc_call_read_status(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_http_upstream_t *u, ngx_str_t *body)
{
    ngx_uint_t           found;
    bc_jsonrpc_reply_t   reply;
    bc_jsonrpc_batch_t   batch;

    if (rpc->get && ngx_http_blockcast_rpc_call_read_document(rpc, body)) {
        return;
    }

    ngx_http_blockcast_rpc_call_retry_after(rpc, u);

    ngx_memzero(&reply, sizeof(bc_jsonrpc_reply_t));

    if (body->len == 0) {
        found = 0;

    } else if (rpc->get) {
        found = bc_jsonrpc_document_error(body->data, body->len, &reply) == 0;

    } else if (rpc->carries) {
        found = bc_jsonrpc_batch_begin(&batch, body->data, body->len,
                                       rpc->node->strict, &reply)
                != -1;

    } else {
        found = bc_jsonrpc_parse(body->data, body->len, rpc->id,
                                 rpc->node->strict, &reply)
                == 0;
    }

    rpc->fault = ngx_http_blockcast_fault_http;

    if (rpc->status == NGX_HTTP_TOO_MANY_REQUESTS
        || (rpc->status == NGX_HTTP_SERVICE_UNAVAILABLE && rpc->retry_after)
        || (found && reply.rpc_error
            && bc_jsonrpc_is_limit(reply.has_code, reply.code,
                                   (u_char *) reply.message,
                                   ngx_strlen(reply.message))))
    {
        rpc->fault = ngx_http_blockcast_fault_limited;

    } else if (rpc->get) {

        /* the node is alive: it says what it does not have */

        if (found
            || (rpc->status >= NGX_HTTP_BAD_REQUEST
                && rpc->status < NGX_HTTP_INTERNAL_SERVER_ERROR
                && rpc->status != NGX_HTTP_UNAUTHORIZED
                && rpc->status != NGX_HTTP_FORBIDDEN))
        {
            rpc->fault = ngx_http_blockcast_fault_none;
        }

        rpc->missing = (rpc->status == NGX_HTTP_NOT_FOUND
                        || rpc->status == NGX_HTTP_NOT_ALLOWED
                        || rpc->status == NGX_HTTP_NOT_IMPLEMENTED);

    } else if (found && !rpc->node->strict) {
        rpc->fault = ngx_http_blockcast_fault_none;

        /* ignore a result that comes with the status of an error */

        if (rpc->carries || reply.rpc_error
            || (rpc->status >= NGX_HTTP_OK
                && rpc->status < NGX_HTTP_SPECIAL_RESPONSE
                && rpc->status != NGX_HTTP_PARTIAL_CONTENT))
        {
            ngx_http_blockcast_rpc_call_parse(rpc, body);
            return;
        }

    } else {
        rpc->missing = (rpc->status == NGX_HTTP_NOT_FOUND
                        || rpc->status == NGX_HTTP_NOT_ALLOWED);
    }

    /* a plain HTTP error, whose body may say why */

    if (!found || !reply.rpc_error) {
        ngx_http_blockcast_rpc_call_error(rpc, "HTTP %ui", rpc->status);

    } else {
        rpc->has_code = (reply.has_code != 0);
        rpc->code = reply.code;

        ngx_http_blockcast_rpc_call_error(rpc, "HTTP %ui: %s",
                                          rpc->status, reply.message);
    }

    if (rpc->get) {

        /* for a GET the HTTP status is the code of the error */

        rpc->has_code = 1;
        rpc->code = rpc->status;
    }
}


/*
 * Handles a call without an answer from the node, by the status that nginx has
 * set.
 */

static void
ngx_http_blockcast_rpc_call_read_failure(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_http_upstream_t *u)
{
    u_char  culprit[128], *last;

    if ((rpc->status == NGX_HTTP_GATEWAY_TIME_OUT
         || rpc->status == NGX_HTTP_BAD_GATEWAY)
        && u != NULL && !u->request_sent)
    {
        rpc->fault = ngx_http_blockcast_fault_unreachable;
        ngx_http_blockcast_rpc_call_error(rpc, "the node cannot be reached");

    } else if (rpc->status == NGX_HTTP_GATEWAY_TIME_OUT) {
        rpc->fault = ngx_http_blockcast_fault_timeout;
        ngx_http_blockcast_rpc_call_error(rpc, "the node did not answer in "
                                          "time");

    } else if (rpc->status == NGX_HTTP_BAD_GATEWAY) {
        rpc->fault = ngx_http_blockcast_fault_closed;
        ngx_http_blockcast_rpc_call_error(rpc, "the node closed the "
                                          "connection without a reply");

    } else {
        rpc->fault = ngx_http_blockcast_fault_http;
        last = ngx_http_blockcast_rpc_path_culprit(rpc, culprit,
                                                   culprit + sizeof(culprit));
        ngx_http_blockcast_rpc_call_error(rpc, "the request to the node "
                                          "failed in nginx with %ui, see "
                                          "location \"%V\"%*s", rpc->status,
                                          &rpc->node->clcf->name,
                                          (size_t) (last - culprit), culprit);
    }
}


/*
 * Uses the kept body of a document that has not changed (304).  Returns 0 for
 * any other answer.
 */

static ngx_uint_t
ngx_http_blockcast_rpc_call_read_document(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *body)
{
    if (rpc->status != NGX_HTTP_NOT_MODIFIED || rpc->document == NULL) {
        return 0;
    }

    rpc->result = rpc->document->body;

    return 1;
}


/*
 * Keeps a document with its ETag, so that it is sent again only if it changes.
 */

static void
ngx_http_blockcast_rpc_call_keep(ngx_http_blockcast_rpc_call_t *rpc)
{
    ngx_str_t         etag;
    ngx_table_elt_t  *h;

    if (!rpc->get) {
        return;
    }

    ngx_str_null(&etag);

    if (rpc->sr->upstream != NULL) {
        h = ngx_http_blockcast_header_find(
                            &rpc->sr->upstream->headers_in.headers, "ETag");

        if (h != NULL) {
            etag = h->value;
        }
    }

    ngx_http_blockcast_document_keep(rpc->node, &rpc->method, &etag,
                                     &rpc->result);
}


static ngx_uint_t
ngx_http_blockcast_rpc_call_mode(ngx_http_blockcast_rpc_call_t *rpc)
{
    if (rpc->get) {
        return BC_JSONRPC_DOCUMENT;
    }

    return rpc->node->strict ? BC_JSONRPC_STRICT : BC_JSONRPC_ANY;
}


static void
ngx_http_blockcast_rpc_call_parse(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_str_t *body)
{
    bc_jsonrpc_reply_t  reply;

    if (rpc->carries) {
        ngx_http_blockcast_rpc_batch_read(rpc, body);
        return;
    }

    if (bc_jsonrpc_parse(body->data, body->len, rpc->id,
                         ngx_http_blockcast_rpc_call_mode(rpc), &reply)
        != 0)
    {
        rpc->fault = ngx_http_blockcast_fault_invalid;
        ngx_http_blockcast_rpc_call_error(rpc, "bad reply: %s", reply.message);
        return;
    }

    ngx_http_blockcast_rpc_call_reply(rpc, &reply);
    ngx_http_blockcast_rpc_call_keep(rpc);
}


void
ngx_http_blockcast_rpc_call_reply(ngx_http_blockcast_rpc_call_t *rpc,
    bc_jsonrpc_reply_t *reply)
{
    size_t   len;
    u_char  *message;

    if (reply->ok) {
        rpc->result.data = (u_char *) reply->result.data;
        rpc->result.len = reply->result.len;
        return;
    }

    message = (u_char *) reply->message;
    len = ngx_strlen(message);

    rpc->has_code = (reply->has_code != 0);
    rpc->code = reply->code;
    rpc->missing = bc_jsonrpc_is_missing(reply->has_code, reply->code, message,
                                         len);
    rpc->limited = bc_jsonrpc_is_limit(reply->has_code, reply->code, message,
                                       len);

    ngx_http_blockcast_rpc_call_error(rpc, "%s", message);
}


static ngx_uint_t
ngx_http_blockcast_rpc_call_encoded(ngx_http_upstream_t *u)
{
    return ngx_http_blockcast_header_find(&u->headers_in.headers,
                                          "Content-Encoding")
           != NULL;
}


static void
ngx_http_blockcast_rpc_call_retry_after(ngx_http_blockcast_rpc_call_t *rpc,
    ngx_http_upstream_t *u)
{
    time_t            when;
    ngx_int_t         seconds;
    ngx_table_elt_t  *h;

    h = ngx_http_blockcast_header_find(&u->headers_in.headers, "Retry-After");
    if (h == NULL) {
        return;
    }

    /* seconds, or an HTTP date (RFC 9110, 10.2.3) */

    seconds = ngx_atoi(h->value.data, h->value.len);

    if (seconds == NGX_ERROR) {
        when = ngx_parse_http_time(h->value.data, h->value.len);
        seconds = (when == NGX_ERROR) ? 0 : when - ngx_time();
    }

    if (seconds > 0) {
        rpc->retry_after = seconds;
    }
}


void
ngx_http_blockcast_rpc_call_error(ngx_http_blockcast_rpc_call_t *rpc,
    const char *fmt, ...)
{
    u_char   text[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    va_list  args;

    va_start(args, fmt);
    rpc->message.data = text;
    rpc->message.len = ngx_vslprintf(text, text + sizeof(text), fmt, args)
                       - text;
    va_end(args);

    /* log one line, whatever the node has sent */

    ngx_http_blockcast_gate_printable(&rpc->message, rpc->text,
                                      NGX_HTTP_BLOCKCAST_ERROR_LEN);

    if (rpc->message.len == 0) {
        ngx_str_set(&rpc->message, "an error without a message");
    }
}


void
ngx_http_blockcast_rpc_call_free(ngx_http_blockcast_rpc_call_t *rpc)
{
    if (rpc->done_event.posted) {
        ngx_delete_posted_event((&rpc->done_event));
    }

    if (rpc->reading) {
        ngx_http_blockcast_jq_queue_cancel(&rpc->job);
    }

    if (rpc->document != NULL) {
        ngx_http_blockcast_document_leave(rpc->document);
        rpc->document = NULL;
    }

    ngx_http_blockcast_rpc_batch_leave(rpc);

    if (rpc->main != NULL) {

        /* in flight or not: the upstream's cleanup closes its connection */

        rpc->done = 1;
        ngx_http_free_request(rpc->main, 0);
        rpc->main = NULL;
    }

    /* with "proxy_buffering off" nginx sets a timer to send to the client */

    if (rpc->read.timer_set) {
        ngx_del_timer(&rpc->read);
    }

    if (rpc->write.timer_set) {
        ngx_del_timer(&rpc->write);
    }

    if (rpc->read.posted) {
        ngx_delete_posted_event((&rpc->read));
    }

    if (rpc->write.posted) {
        ngx_delete_posted_event((&rpc->write));
    }

    ngx_destroy_pool(rpc->pool);
}


static void
ngx_http_blockcast_rpc_call_event(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    /* there is no socket to read from or write to */

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ev->log, 0,
                   "blockcast: event of a call's connection");

    if (!ev->timedout) {
        return;
    }

    ev->timedout = 0;

    if (!ev->delayed) {
        return;
    }

    /* limit_req has delayed it */

    ev->delayed = 0;

    c = ev->data;
    r = c->data;

    r->write_event_handler(r);

    ngx_http_run_posted_requests(c);
}


/* Returns the call of a request that was made here. */

static ngx_http_blockcast_rpc_call_t *
ngx_http_blockcast_rpc_call_of(ngx_http_request_t *r)
{
    return (ngx_http_blockcast_rpc_call_t *)
               ((u_char *) r->connection->log->data
                - offsetof(ngx_http_blockcast_rpc_call_t, log_ctx));
}


static u_char *
ngx_http_blockcast_rpc_call_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                         *p;
    ngx_http_log_ctx_t             *ctx;
    ngx_http_blockcast_rpc_call_t  *rpc;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    ctx = log->data;

    rpc = (ngx_http_blockcast_rpc_call_t *)
              ((u_char *) ctx - offsetof(ngx_http_blockcast_rpc_call_t,
                                         log_ctx));

    return ngx_snprintf(buf, len, ", blockcast call \"%V\" to node \"%V\"",
                        &rpc->method, &rpc->node->name);
}


/*
 * Recognizes a call in whatever location it is.  The handlers of its events do
 * not tell: after an error they are nginx's own.
 */

ngx_uint_t
ngx_http_blockcast_rpc_call_is(ngx_http_request_t *r)
{
    return r->connection->log->handler == ngx_http_blockcast_rpc_call_log;
}


ngx_int_t
ngx_http_blockcast_rpc_call_init(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    void                     ***pass;
    ngx_uint_t                  i;
    ngx_http_handler_pt        *h;
    ngx_http_core_main_conf_t  *cmcf;

    if (bmcf->nodes.nelts == 0) {
        return NGX_OK;
    }

    pass = bmcf->passes.elts;

    for (i = 0; i < bmcf->passes.nelts; i++) {
        ngx_http_blockcast_rpc_call_deafen(cf, pass[i]);
    }

    cmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_core_module);

    h = ngx_array_push(&cmcf->phases[NGX_HTTP_REWRITE_PHASE].handlers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    *h = ngx_http_blockcast_rpc_call_guard;

    ngx_http_blockcast_call_next_header_filter = ngx_http_top_header_filter;
    ngx_http_top_header_filter = ngx_http_blockcast_rpc_call_header_filter;

    ngx_http_blockcast_rpc_path_init(cf, bmcf);

    return NGX_OK;
}


/*
 * Prepares a location through which calls pass: whatever module proxies there
 * has to ignore headers that trigger actions (X-Accel-Redirect and the like).
 * The table entry of its *_ignore_headers directive tells where it keeps that.
 *
 * Caching and storing are turned off: all calls have different ids, so a
 * cached reply could only be that of another call.
 */

static void
ngx_http_blockcast_rpc_call_deafen(ngx_conf_t *cf, void **loc_conf)
{
    char                       *conf;
    ngx_uint_t                  i;
    ngx_module_t              **modules;
    ngx_command_t              *cmd;
    ngx_http_module_t          *module;
    ngx_conf_bitmask_t         *mask;
    ngx_http_core_loc_conf_t   *clcf;
    ngx_http_upstream_conf_t   *u;

    clcf = loc_conf[ngx_http_core_module.ctx_index];
    modules = cf->cycle->modules;

    for (i = 0; modules[i] != NULL; i++) {

        if (modules[i]->type != NGX_HTTP_MODULE
            || modules[i]->commands == NULL)
        {
            continue;
        }

        module = modules[i]->ctx;
        conf = loc_conf[modules[i]->ctx_index];

        if (module->create_loc_conf == NULL || conf == NULL) {
            continue;
        }

        for (cmd = modules[i]->commands; cmd->name.len != 0; cmd++) {

            if (cmd->conf != NGX_HTTP_LOC_CONF_OFFSET) {
                continue;
            }

            if (cmd->set == ngx_conf_set_flag_slot
                && cmd->name.len == sizeof("ssi") - 1
                && ngx_strcmp(cmd->name.data, "ssi") == 0)
            {
                /* a reply is data, not a page with commands in it */

                *(ngx_flag_t *) (conf + cmd->offset) = 0;
                continue;
            }

            if (cmd->set == ngx_http_set_predicate_slot
                && cmd->name.len == sizeof("early_hints") - 1
                && ngx_strcmp(cmd->name.data, "early_hints") == 0)
            {
                /* early hints, since nginx 1.29: a call has no client */

                *(ngx_array_t **) (conf + cmd->offset) = NULL;
                continue;
            }

            if (cmd->set != ngx_conf_set_bitmask_slot
                || cmd->post != &ngx_http_upstream_ignore_headers_masks)
            {
                continue;
            }

            u = (ngx_http_upstream_conf_t *)
                    (conf + cmd->offset
                     - offsetof(ngx_http_upstream_conf_t, ignore_headers));

            for (mask = ngx_http_upstream_ignore_headers_masks;
                 mask->name.len != 0;
                 mask++)
            {
                u->ignore_headers |= mask->mask;
            }

            if (u->store == 1
#if (NGX_HTTP_CACHE)
                || (u->cache == 1 && (u->cache_methods & NGX_HTTP_POST))
#endif
               )
            {
                ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                              "replies of a node are not cached or stored, in "
                              "location \"%V\" it has no effect",
                              &clcf->name);
            }

            u->store = 0;
#if (NGX_HTTP_CACHE)
            u->cache = 0;
#endif
        }
    }
}


/*
 * An error_page or the like may lead a call to a location of no node, where
 * X-Accel-Redirect is obeyed.  Refuses the call in the location that it leads
 * to.
 */

static ngx_int_t
ngx_http_blockcast_rpc_call_guard(ngx_http_request_t *r)
{
    if (!ngx_http_blockcast_rpc_call_is(r)
        || r->upstream == NULL
        || r->upstream->headers_in.x_accel_redirect == NULL)
    {
        return NGX_DECLINED;
    }

    ngx_log_error(NGX_LOG_ERR, r->connection->log, 0,
                  "the reply has an X-Accel-Redirect, which is not followed");

    return NGX_HTTP_BAD_GATEWAY;
}


/*
 * Hides a reply's headers from other filters, except those needed to read its
 * body: no type that is edited or converted (ssi, sub_filter, charset), and
 * nothing that would change the status.
 */

static ngx_int_t
ngx_http_blockcast_rpc_call_header_filter(ngx_http_request_t *r)
{
    off_t                      len;
    ngx_uint_t                 i;
    ngx_list_part_t           *part;
    ngx_table_elt_t           *h;
    ngx_http_core_loc_conf_t  *clcf;

    if (!ngx_http_blockcast_rpc_call_is(r)) {
        return ngx_http_blockcast_call_next_header_filter(r);
    }

    part = &r->headers_out.headers.part;
    h = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                break;
            }

            part = part->next;
            h = part->elts;
            i = 0;
        }

        if (&h[i] != r->headers_out.content_encoding) {
            h[i].hash = 0;
        }
    }

    ngx_http_clear_location(r);
    ngx_http_clear_etag(r);
    ngx_http_clear_last_modified(r);
    ngx_http_clear_accept_ranges(r);

    r->headers_out.refresh = NULL;
    r->headers_out.expires = NULL;
    r->headers_out.content_range = NULL;
    r->headers_out.www_authenticate = NULL;
    r->headers_out.override_charset = NULL;

    ngx_str_set(&r->headers_out.content_type, "application/json");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    r->headers_out.content_type_lowcase = NULL;
    r->headers_out.content_type_hash = 0;
    r->headers_out.charset.len = 0;

    /*
     * nginx allocates as much memory for the reply as its length says here.
     * Filters that make it longer, such as sub_filter, clear that length only
     * for clients.
     */

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    len = r->headers_out.content_length_n;

    if (len > 0 && len < (off_t) clcf->subrequest_output_buffer_size) {
        len = 8 * len + NGX_HTTP_BLOCKCAST_REPLY_MORE;

        r->headers_out.content_length_n =
                ngx_min(len, (off_t) clcf->subrequest_output_buffer_size);
    }

    ngx_http_blockcast_rpc_call_buffer(r);

    return ngx_http_blockcast_call_next_header_filter(r);
}


/*
 * Gives a reply that may be large the memory of the one before.  nginx would
 * allocate it anew: a turn of the event loop reads some 4 MB, and half of its
 * time would go to the thousand pages that are touched for the first time.
 */

static void
ngx_http_blockcast_rpc_call_buffer(ngx_http_request_t *r)
{
    off_t                             len;
    ngx_buf_t                        *b;
    ngx_chain_t                      *cl;
    ngx_pool_cleanup_t               *cln;
    ngx_http_core_loc_conf_t         *clcf;
    ngx_http_blockcast_rpc_memory_t  *memory, *spare;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);

    len = r->headers_out.content_length_n;

    if (len == -1) {
        len = (off_t) clcf->subrequest_output_buffer_size;
    }

    if (r->out != NULL
        || len < NGX_HTTP_BLOCKCAST_RPC_CALL_SPARE
        || len > (off_t) clcf->subrequest_output_buffer_size)
    {
        return;
    }

    b = ngx_calloc_buf(r->pool);
    cl = ngx_alloc_chain_link(r->pool);
    cln = ngx_pool_cleanup_add(r->pool,
                               sizeof(ngx_http_blockcast_rpc_memory_t));

    if (b == NULL || cl == NULL || cln == NULL) {
        return;
    }

    memory = cln->data;
    spare = &ngx_http_blockcast_rpc_call_spare;

    if (spare->size >= (size_t) len) {
        *memory = *spare;
        spare->size = 0;

    } else {
        memory->size = (size_t) len;
        memory->start = mmap(NULL, memory->size, PROT_READ|PROT_WRITE,
                             MAP_PRIVATE|MAP_ANON, -1, 0);

        if (memory->start == MAP_FAILED) {
            return;
        }
    }

    cln->handler = ngx_http_blockcast_rpc_call_spare_memory;

    b->start = memory->start;
    b->pos = b->start;
    b->last = b->start;
    b->end = b->start + len;
    b->temporary = 1;
    b->last_buf = 1;

    cl->buf = b;
    cl->next = NULL;
    r->out = cl;
}


/* Keeps the memory of a reply for the next one; the largest, of several. */

static void
ngx_http_blockcast_rpc_call_spare_memory(void *data)
{
    ngx_http_blockcast_rpc_memory_t *memory = data;

    ngx_event_t                      *ev;
    ngx_http_blockcast_rpc_memory_t  *spare, smaller;

    spare = &ngx_http_blockcast_rpc_call_spare;
    smaller = *memory;

    if (memory->size > spare->size) {
        smaller = *spare;
        *spare = *memory;
    }

    if (smaller.size != 0) {
        (void) munmap(smaller.start, smaller.size);
    }

    if (ngx_exiting || ngx_terminate) {
        return;
    }

    ev = &ngx_http_blockcast_rpc_call_spare_event;

    ev->handler = ngx_http_blockcast_rpc_call_spare_handler;
    ev->data = &ngx_http_blockcast_rpc_call_nobody;
    ev->log = ngx_cycle->log;
    ev->cancelable = 1;

    ngx_http_blockcast_rpc_call_nobody.fd = (ngx_socket_t) -1;

    ngx_add_timer(ev, NGX_HTTP_BLOCKCAST_RPC_CALL_SPARE_TIME);
}


static void
ngx_http_blockcast_rpc_call_spare_handler(ngx_event_t *ev)
{
    ngx_http_blockcast_rpc_memory_t  *spare;

    spare = &ngx_http_blockcast_rpc_call_spare;

    if (spare->size != 0) {
        (void) munmap(spare->start, spare->size);
        spare->size = 0;
    }
}
