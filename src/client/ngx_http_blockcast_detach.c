
/*
 * Frees the request of an open WebSocket, and restores it for the access log.
 *
 * A request holds about 9 KB: its pool, header buffers, variables.  Only the
 * access log needs any of that when the WebSocket ends.  So the request is
 * freed after the handshake, as nginx does for an idle keep-alive connection.
 * What the log may use is kept in one block, from which the request is rebuilt
 * at the end.
 */


#include "ngx_http_blockcast_detach.h"
#include "ngx_http_blockcast.h"


/*
 * What is kept of a request, in one block of ngx_alloc().  The strings follow
 * in data[]: request line, URI, arguments, then pairs of headers and
 * variables.
 */

struct ngx_http_blockcast_detached_s {
    ngx_http_connection_t        *hc;
    void                        **srv_conf;
    void                        **loc_conf;

    time_t                        start_sec;
    uint32_t                      request_length;
    uint32_t                      header_size;
    uint16_t                      line_len;
    uint16_t                      uri_len;
    uint16_t                      args_len;
    uint16_t                      start_msec;
    uint16_t                      nheaders;     /* of the request */
    uint16_t                      nsent;        /* response headers */
    uint16_t                      nvariables;   /* with a value */

    unsigned                      status:10;
    unsigned                      limit_req_status:3;
    unsigned                      logged:1;
    unsigned                      pipeline:1;

    u_char                        data[];
};


/* precedes each header (two lengths) or variable (index, length) */

typedef struct {
    uint16_t                      first;        /* name's length, or index */
    uint16_t                      second;       /* length of the value */
} ngx_http_blockcast_detach_pair_t;

#define NGX_HTTP_BLOCKCAST_DETACH_MAX  65535


static ngx_uint_t ngx_http_blockcast_detach_possible(ngx_http_request_t *r);
static ngx_uint_t ngx_http_blockcast_detach_remembered(ngx_table_elt_t *h);
static size_t ngx_http_blockcast_detach_list_size(ngx_list_t *list,
    uint16_t *n);
static u_char *ngx_http_blockcast_detach_list_copy(u_char *p,
    ngx_list_t *list);
static ngx_http_blockcast_detached_t *ngx_http_blockcast_detach_save(
    ngx_http_request_t *r);
static void ngx_http_blockcast_detach_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc);
static ngx_int_t ngx_http_blockcast_detach_restore_data(ngx_http_request_t *r,
    ngx_http_blockcast_detached_t *detached);
static ngx_int_t ngx_http_blockcast_detach_restore_line(ngx_http_request_t *r,
    ngx_str_t *line);
static u_char *ngx_http_blockcast_detach_restore_headers(ngx_http_request_t *r,
    u_char *p, ngx_uint_t n);
static u_char *ngx_http_blockcast_detach_copy(u_char *p, const u_char *data,
    size_t len);


/* nginx's own handler, which all its HTTP connections share */
static ngx_log_handler_pt  ngx_http_blockcast_detach_log_handler;


ngx_http_blockcast_detached_t *
ngx_http_blockcast_detach(ngx_http_request_t *r, ngx_log_handler_pt handler)
{
    ngx_connection_t               *c;
    ngx_http_connection_t          *hc;
    ngx_http_blockcast_detached_t  *detached;

    if (!ngx_http_blockcast_detach_possible(r)) {
        return NULL;
    }

    c = r->connection;
    hc = r->http_connection;

    detached = ngx_http_blockcast_detach_save(r);
    if (detached == NULL) {
        return NULL;
    }

    /*
     * Keep ngx_http_free_request() from logging the request and leaving
     * "Writing": both are due when the connection ends.
     */

    r->logged = 1;

#if (NGX_STAT_STUB)
    r->stat_writing = 0;
#endif

    ngx_http_free_request(r, 0);

    c->data = hc;
    c->destroyed = 0;

    ngx_http_blockcast_detach_free_buffers(c, hc);

#if (NGX_HTTP_SSL)
    if (c->ssl) {
        ngx_ssl_free_buffer(c);
    }
#endif

    ngx_http_blockcast_detach_log_handler = c->log->handler;
    c->log->handler = handler;

    return detached;
}


/*
 * Copies what the access log and error messages need of a request to one block
 * of ngx_alloc(), which the caller owns.  Returns NULL without memory or when
 * the request is very large.
 */

static ngx_http_blockcast_detached_t *
ngx_http_blockcast_detach_save(ngx_http_request_t *r)
{
    u_char                           *p;
    size_t                            size;
    uint16_t                          nheaders, nsent, nvariables;
    ngx_uint_t                        i;
    ngx_http_variable_value_t        *v;
    ngx_http_blockcast_detach_pair_t  pair;
    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_blockcast_detached_t    *detached;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    /* save only the request line if the access log is written already */

    nheaders = 0;
    nsent = 0;
    nvariables = 0;
    v = r->variables;

    size = sizeof(ngx_http_blockcast_detached_t) + r->request_line.len;

    if (r->request_line.len > NGX_HTTP_BLOCKCAST_DETACH_MAX) {
        return NULL;
    }

    if (!r->logged) {
        size += r->uri.len + r->args.len
                + ngx_http_blockcast_detach_list_size(&r->headers_in.headers,
                                                      &nheaders)
                + ngx_http_blockcast_detach_list_size(&r->headers_out.headers,
                                                      &nsent);

        for (i = 0; i < cmcf->variables.nelts; i++) {
            if (v[i].valid) {
                size += sizeof(ngx_http_blockcast_detach_pair_t) + v[i].len;
                nvariables++;
            }
        }

        /* do not detach a very large request: lengths have 16 bits here */

        if (size > NGX_HTTP_BLOCKCAST_DETACH_MAX) {
            return NULL;
        }
    }

    detached = ngx_alloc(size, r->connection->log);
    if (detached == NULL) {
        return NULL;
    }

    ngx_memzero(detached, sizeof(ngx_http_blockcast_detached_t));

    detached->hc = r->http_connection;
    detached->srv_conf = r->srv_conf;
    detached->loc_conf = r->loc_conf;
    detached->start_sec = r->start_sec;
    detached->start_msec = (uint16_t) r->start_msec;
    detached->request_length = (uint32_t) r->request_length;
    detached->header_size = (uint32_t) r->header_size;
    detached->status = r->headers_out.status;
    detached->limit_req_status = r->limit_req_status;
    detached->logged = r->logged;
    detached->pipeline = r->pipeline;

    detached->line_len = (uint16_t) r->request_line.len;
    p = ngx_http_blockcast_detach_copy(detached->data, r->request_line.data,
                                       r->request_line.len);

    if (!r->logged) {
        detached->uri_len = (uint16_t) r->uri.len;
        detached->args_len = (uint16_t) r->args.len;
        detached->nheaders = nheaders;
        detached->nsent = nsent;
        detached->nvariables = nvariables;

        p = ngx_http_blockcast_detach_copy(p, r->uri.data, r->uri.len);
        p = ngx_http_blockcast_detach_copy(p, r->args.data, r->args.len);
        p = ngx_http_blockcast_detach_list_copy(p, &r->headers_in.headers);
        p = ngx_http_blockcast_detach_list_copy(p, &r->headers_out.headers);

        for (i = 0; i < cmcf->variables.nelts; i++) {
            if (v[i].valid) {
                pair.first = (uint16_t) i;
                pair.second = (uint16_t) v[i].len;

                p = ngx_cpymem(p, &pair,
                               sizeof(ngx_http_blockcast_detach_pair_t));
                p = ngx_http_blockcast_detach_copy(p, v[i].data, v[i].len);
            }
        }
    }

    return detached;
}


/* Frees a connection's header buffers, as ngx_http_set_keepalive() does. */

static void
ngx_http_blockcast_detach_free_buffers(ngx_connection_t *c,
    ngx_http_connection_t *hc)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl, *next;

    b = c->buffer;

    if (b != NULL && b->start != NULL
        && ngx_pfree(c->pool, b->start) == NGX_OK)
    {
        b->start = NULL;
        b->pos = NULL;
        b->last = NULL;
        b->end = NULL;
    }

    for (cl = hc->free; cl != NULL; cl = next) {
        next = cl->next;
        (void) ngx_pfree(c->pool, cl->buf->start);
        ngx_free_chain(c->pool, cl);
    }

    for (cl = hc->busy; cl != NULL; cl = next) {
        next = cl->next;
        (void) ngx_pfree(c->pool, cl->buf->start);
        ngx_free_chain(c->pool, cl);
    }

    hc->free = NULL;
    hc->busy = NULL;
    hc->nbusy = 0;
}


void
ngx_http_blockcast_detach_names(ngx_http_blockcast_detached_t *detached,
    ngx_str_t *server, ngx_str_t *line)
{
    ngx_http_core_srv_conf_t  *cscf;

    cscf = detached->srv_conf[ngx_http_core_module.ctx_index];

    *server = cscf->server_name;

    line->data = detached->data;
    line->len = detached->line_len;
}


static u_char *
ngx_http_blockcast_detach_copy(u_char *p, const u_char *data, size_t len)
{
    return (len != 0) ? ngx_cpymem(p, data, len) : p;
}


/*
 * Returns true if the request can be freed now: no subrequest or module waits
 * for its end (limit_conn, for example, counts down in a cleanup).
 */

static ngx_uint_t
ngx_http_blockcast_detach_possible(ngx_http_request_t *r)
{
    ngx_http_cleanup_t  *cln;
    ngx_pool_cleanup_t  *pcln;

    if (r != r->main || r->count != 1 || r->blocked || r->buffered
        || r->postponed != NULL || r->posted_requests != NULL)
    {
        return 0;
    }

    /* do not detach "GET http://host/…": the line holds its server name */

    if (r->host_end != NULL) {
        return 0;
    }

    for (pcln = r->pool->cleanup; pcln != NULL; pcln = pcln->next) {
        if (pcln->handler != NULL) {
            return 0;
        }
    }

    for (cln = r->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler != NULL) {
            return 0;
        }
    }

    return 1;
}


/* Returns true if a header is kept: all but Sec-WebSocket-Accept are. */

static ngx_uint_t
ngx_http_blockcast_detach_remembered(ngx_table_elt_t *h)
{
    return h->hash != 0
           && (h->key.len != sizeof("Sec-WebSocket-Accept") - 1
               || ngx_strncmp(h->key.data, "Sec-WebSocket-Accept",
                              sizeof("Sec-WebSocket-Accept") - 1)
                  != 0);
}


/*
 * Returns the size of a list's headers in bytes, and adds their number to *n.
 */

static size_t
ngx_http_blockcast_detach_list_size(ngx_list_t *list, uint16_t *n)
{
    size_t            size;
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_table_elt_t  *h;

    size = 0;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_blockcast_detach_remembered(&h[i])) {
                size += sizeof(ngx_http_blockcast_detach_pair_t) + h[i].key.len
                        + h[i].value.len;
                (*n)++;
            }
        }
    }

    return size;
}


/* Copies a list's headers to p, and returns the end. */

static u_char *
ngx_http_blockcast_detach_list_copy(u_char *p, ngx_list_t *list)
{
    ngx_uint_t                         i;
    ngx_list_part_t                   *part;
    ngx_table_elt_t                   *h;
    ngx_http_blockcast_detach_pair_t   pair;

    for (part = &list->part; part != NULL; part = part->next) {
        h = part->elts;

        for (i = 0; i < part->nelts; i++) {
            if (ngx_http_blockcast_detach_remembered(&h[i])) {
                pair.first = (uint16_t) h[i].key.len;
                pair.second = (uint16_t) h[i].value.len;

                p = ngx_cpymem(p, &pair,
                               sizeof(ngx_http_blockcast_detach_pair_t));
                p = ngx_http_blockcast_detach_copy(p, h[i].key.data,
                                                   h[i].key.len);
                p = ngx_http_blockcast_detach_copy(p, h[i].value.data,
                                                   h[i].value.len);
            }
        }
    }

    return p;
}


ngx_http_request_t *
ngx_http_blockcast_detach_restore(ngx_connection_t *c,
    ngx_http_blockcast_detached_t *detached)
{
    ngx_http_request_t        *r;
    ngx_http_core_loc_conf_t  *clcf;

    c->data = detached->hc;
    c->log->handler = ngx_http_blockcast_detach_log_handler;

    r = ngx_http_create_request(c);

    if (r == NULL) {

#if (NGX_STAT_STUB)
        (void) ngx_atomic_fetch_add(ngx_stat_writing, -1);
#endif

        ngx_free(detached);
        return NULL;
    }

    c->data = r;

    /* count it only once; r->count keeps it even if a step below fails */

    c->requests--;
    r->count = 256;

#if (NGX_STAT_STUB)
    (void) ngx_atomic_fetch_add(ngx_stat_requests, -1);
    (void) ngx_atomic_fetch_add(ngx_stat_reading, -1);
    r->stat_reading = 0;
    r->stat_writing = 1;
#endif

    r->logged = 1;
    r->http_state = NGX_HTTP_PROCESS_REQUEST_STATE;

    if (!detached->logged
        && ngx_http_blockcast_detach_restore_data(r, detached) == NGX_OK)
    {
        r->logged = 0;
    }

    /* set these last: restoring the Host header may have chosen a server */

    r->srv_conf = detached->srv_conf;
    r->loc_conf = detached->loc_conf;

    clcf = ngx_http_get_module_loc_conf(r, ngx_http_core_module);
    ngx_set_connection_log(c, clcf->error_log);

    r->count = 1;
    r->keepalive = 0;
    r->pipeline = detached->pipeline;
    r->valid_location = 1;
    r->limit_req_status = detached->limit_req_status;
    r->start_sec = detached->start_sec;
    r->start_msec = detached->start_msec;
    r->request_length = detached->request_length;
    r->header_size = detached->header_size;
    r->header_sent = 1;
    r->headers_out.status = detached->status;

    ngx_free(detached);

    return r;
}


/*
 * Restores what was saved for the access log.  Returns NGX_ERROR without
 * memory.
 */

static ngx_int_t
ngx_http_blockcast_detach_restore_data(ngx_http_request_t *r,
    ngx_http_blockcast_detached_t *detached)
{
    u_char                            *p;
    ngx_str_t                          line;
    ngx_uint_t                         i;
    ngx_table_elt_t                   *h;
    ngx_http_blockcast_detach_pair_t   pair;

    line.len = detached->line_len;
    line.data = detached->data;

    if (ngx_http_blockcast_detach_restore_line(r, &line) != NGX_OK
        || ngx_list_init(&r->headers_in.headers, r->pool, 20,
                         sizeof(ngx_table_elt_t))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    p = detached->data + detached->line_len;

    r->uri.len = detached->uri_len;
    r->uri.data = ngx_pnalloc(r->pool, detached->uri_len + 1);
    r->args.len = detached->args_len;
    r->args.data = ngx_pnalloc(r->pool, detached->args_len + 1);

    if (r->uri.data == NULL || r->args.data == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(r->uri.data, p, detached->uri_len);
    p += detached->uri_len;

    ngx_memcpy(r->args.data, p, detached->args_len);
    p += detached->args_len;

    p = ngx_http_blockcast_detach_restore_headers(r, p, detached->nheaders);

    if (p == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < detached->nsent; i++) {

        ngx_memcpy(&pair, p, sizeof(ngx_http_blockcast_detach_pair_t));
        p += sizeof(ngx_http_blockcast_detach_pair_t);

        h = ngx_list_push(&r->headers_out.headers);
        if (h == NULL) {
            return NGX_ERROR;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        h->hash = 1;
        h->key.len = pair.first;
        h->value.len = pair.second;
        h->key.data = ngx_pnalloc(r->pool, pair.first + pair.second + 1);
        if (h->key.data == NULL) {
            h->hash = 0;
            return NGX_ERROR;
        }

        h->value.data = h->key.data + pair.first;
        ngx_memcpy(h->key.data, p, pair.first + pair.second);
        p += pair.first + pair.second;
    }

    for (i = 0; i < detached->nvariables; i++) {

        ngx_memcpy(&pair, p, sizeof(ngx_http_blockcast_detach_pair_t));
        p += sizeof(ngx_http_blockcast_detach_pair_t);

        r->variables[pair.first].data = ngx_pnalloc(r->pool, pair.second + 1);
        if (r->variables[pair.first].data == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(r->variables[pair.first].data, p, pair.second);
        r->variables[pair.first].len = pair.second;
        r->variables[pair.first].valid = 1;
        p += pair.second;
    }

    return NGX_OK;
}


/* Parses the saved request line: method, URI, version. */

static ngx_int_t
ngx_http_blockcast_detach_restore_line(ngx_http_request_t *r, ngx_str_t *line)
{
    ngx_buf_t  *b;

    b = ngx_create_temp_buf(r->pool, line->len + 2);
    if (b == NULL) {
        return NGX_ERROR;
    }

    b->last = ngx_cpymem(b->last, line->data, line->len);
    *b->last++ = CR;
    *b->last++ = LF;

    r->header_in = b;

    if (ngx_http_parse_request_line(r, b) != NGX_OK) {
        return NGX_ERROR;
    }

    r->request_line.len = r->request_end - r->request_start;
    r->request_line.data = r->request_start;

    r->method_name.len = r->method_end - r->request_start + 1;
    r->method_name.data = r->request_line.data;

    if (r->http_protocol.data != NULL) {
        r->http_protocol.len = r->request_end - r->http_protocol.data;
    }

    return ngx_http_process_request_uri(r);
}


/*
 * Restores n request headers from p.  Returns what follows them, or NULL
 * without memory.
 */

static u_char *
ngx_http_blockcast_detach_restore_headers(ngx_http_request_t *r, u_char *p,
    ngx_uint_t n)
{
    ngx_uint_t                        i;
    ngx_table_elt_t                  *h;
    ngx_http_header_t                *hh;
    ngx_http_core_main_conf_t        *cmcf;
    ngx_http_blockcast_detach_pair_t  pair;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    for (i = 0; i < n; i++) {

        ngx_memcpy(&pair, p, sizeof(ngx_http_blockcast_detach_pair_t));
        p += sizeof(ngx_http_blockcast_detach_pair_t);

        h = ngx_list_push(&r->headers_in.headers);
        if (h == NULL) {
            return NULL;
        }

        ngx_memzero(h, sizeof(ngx_table_elt_t));

        h->key.data = ngx_pnalloc(r->pool, 2 * pair.first + pair.second + 3);
        if (h->key.data == NULL) {
            return NULL;
        }

        h->key.len = pair.first;
        h->value.data = h->key.data + pair.first + 1;
        h->value.len = pair.second;
        h->lowcase_key = h->value.data + pair.second + 1;

        ngx_memcpy(h->key.data, p, pair.first);
        h->key.data[pair.first] = '\0';
        p += pair.first;

        ngx_memcpy(h->value.data, p, pair.second);
        h->value.data[pair.second] = '\0';
        p += pair.second;

        h->hash = ngx_hash_strlow(h->lowcase_key, h->key.data, h->key.len);

        /* set the member of headers_in for this header, if there is one */

        hh = ngx_hash_find(&cmcf->headers_in_hash, h->hash, h->lowcase_key,
                           h->key.len);

        if (hh != NULL && hh->handler(r, h, hh->offset) != NGX_OK) {
            return NULL;
        }
    }

    return p;
}


void
ngx_http_blockcast_detach_log(ngx_http_request_t *r)
{
    ngx_uint_t                  i, n;
    ngx_http_handler_pt        *handler;
    ngx_http_core_main_conf_t  *cmcf;

    cmcf = ngx_http_get_module_main_conf(r, ngx_http_core_module);

    handler = cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.elts;
    n = cmcf->phases[NGX_HTTP_LOG_PHASE].handlers.nelts;

    for (i = 0; i < n; i++) {
        (void) handler[i](r);
    }

    r->logged = 1;
}
