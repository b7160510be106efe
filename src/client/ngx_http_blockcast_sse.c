
/*
 * Server-sent events.
 *
 * An SSE client is a subscriber like any other.  Its messages go through
 * nginx's output filters, so nginx handles HTTP/2, TLS and gzip.  As with
 * WebSocket, the fan-out never finalizes a request: it posts the subscriber's
 * event instead.
 */


#include "ngx_http_blockcast_sse.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_header.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_held_request.h"
#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast_key_wait.h"
#include "ngx_http_blockcast_query_filter.h"
#include "ngx_http_blockcast_respond.h"


/* interval of comments that keep proxies from closing idle ones (msec) */
#define NGX_HTTP_BLOCKCAST_HEARTBEAT  15000

/* reconnect delay of a browser: random, from this to twice this (msec) */
#define NGX_HTTP_BLOCKCAST_RETRY      2000

/* messages up to this size are copied: cheaper than writev() (bytes) */
#define NGX_HTTP_BLOCKCAST_SSE_COPY   4096


typedef struct {
    ngx_http_blockcast_held_request_t  held;    /* must be first: it is cast */
    uint64_t                      epoch;
    unsigned                      once:1;       /* answers a subrequest */
    unsigned                      expired:1;    /* a signature has expired */

    /*
     * The event being sent: the client's own text (room: bytes allocated), and
     * the frame with the rest.  free: chain links to reuse; busy: links not
     * sent yet.
     */
    u_char                       *text;
    size_t                        room;
    ngx_http_blockcast_frame_t   *frame;
    ngx_chain_t                  *free;
    ngx_chain_t                  *busy;

    ngx_event_t                   later;    /* continues in a later turn */
} ngx_http_blockcast_sse_t;


static ngx_int_t ngx_http_blockcast_sse_want(ngx_http_request_t *r);
static ngx_int_t ngx_http_blockcast_sse_subscribe(ngx_http_request_t *r,
    ngx_http_blockcast_sse_t *sse, ngx_str_t *names);
static ngx_int_t ngx_http_blockcast_sse_names(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf, ngx_str_t *names);
static ngx_int_t ngx_http_blockcast_sse_refuse_key(ngx_http_request_t *r,
    ngx_http_blockcast_reject_t *reject);
static void ngx_http_blockcast_sse_event(ngx_event_t *ev);
static void ngx_http_blockcast_sse_write(ngx_http_request_t *r);
static void ngx_http_blockcast_sse_close(ngx_http_blockcast_sse_t *sse);
static void ngx_http_blockcast_sse_cleanup(void *data);
static ngx_int_t ngx_http_blockcast_sse_once(ngx_http_blockcast_sse_t *sse);
static ngx_int_t ngx_http_blockcast_sse_send(ngx_http_blockcast_sse_t *sse,
    ngx_http_blockcast_frame_t *frame);
static ngx_int_t ngx_http_blockcast_sse_say(ngx_http_blockcast_sse_t *sse,
    u_char *start, u_char *last);
static ngx_chain_t **ngx_http_blockcast_sse_add(ngx_http_blockcast_sse_t *sse,
    ngx_chain_t **link, u_char *start, u_char *last, ngx_uint_t temporary);
static ngx_int_t ngx_http_blockcast_sse_output(ngx_http_blockcast_sse_t *sse,
    ngx_chain_t *out);
static void ngx_http_blockcast_sse_sent(ngx_http_blockcast_sse_t *sse);
static void ngx_http_blockcast_sse_later(ngx_event_t *ev);
static void ngx_http_blockcast_sse_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq);
static void ngx_http_blockcast_sse_mark_pending(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);
static void ngx_http_blockcast_sse_flush(ngx_http_blockcast_conn_t *conn);


static ngx_http_blockcast_sender_t  ngx_http_blockcast_sse_sender = {
    ngx_http_blockcast_sse_push,
    ngx_http_blockcast_sse_mark_pending,
    ngx_http_blockcast_sse_flush
};


void
ngx_http_blockcast_sse_init(void)
{
    ngx_http_blockcast_fanout_register(NGX_HTTP_BLOCKCAST_SSE,
                                       &ngx_http_blockcast_sse_sender);
}


ngx_int_t
ngx_http_blockcast_sse_handler(ngx_http_request_t *r)
{
    ngx_int_t                      rc;
    ngx_str_t                      names, text;
    ngx_pool_cleanup_t            *cln;
    ngx_http_blockcast_sse_t      *sse;
    ngx_http_blockcast_refusal_t   refusal;

    ngx_http_blockcast_hub_notice_epoch();

    if (r->method != NGX_HTTP_GET) {
        if (ngx_http_blockcast_respond_header(r, "Allow", "GET",
                                              3) != NGX_OK) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_str_set(&text, "Server-sent events are fetched with GET.\n");
        return ngx_http_blockcast_respond(r, NGX_HTTP_NOT_ALLOWED,
                                          "text/plain", &text);
    }

    rc = ngx_http_discard_request_body(r);

    if (rc != NGX_OK) {
        return rc;
    }

    if (r->err_status != 0 && r->err_status != NGX_HTTP_OK) {

        /* a browser does not reconnect after a status other than 200 */

        ngx_str_set(&text, "This event stream is an error page that keeps the "
                    "status of the error (error_page without \"=\").\n");
        return ngx_http_blockcast_respond(r, r->err_status, "text/plain",
                                          &text);
    }

    if (ngx_http_blockcast_access_connect(r, &refusal) != NGX_OK) {
        return ngx_http_blockcast_respond_refusal(r, &refusal);
    }

    rc = ngx_http_blockcast_sse_want(r);

    if (rc != NGX_OK) {
        return rc;
    }

    sse = ngx_http_blockcast_held_request_create(r,
                                             sizeof(ngx_http_blockcast_sse_t),
                                             NGX_HTTP_BLOCKCAST_SSE,
                                             ngx_http_blockcast_sse_event);
    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (sse == NULL || cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    cln->handler = ngx_http_blockcast_sse_cleanup;
    cln->data = sse;

    sse->later.write = 1;
    sse->later.handler = ngx_http_blockcast_sse_later;
    sse->later.data = sse;
    sse->later.log = r->connection->log;

    rc = ngx_http_blockcast_access_streams(r, &sse->held.conn.allowed,
                                           &refusal);

    if (rc == NGX_DECLINED) {
        return ngx_http_blockcast_respond_refusal(r, &refusal);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    sse->epoch = ngx_http_blockcast_hub_epoch();

    if (ngx_http_blockcast_sse_names(r, sse->held.conn.conf, &names)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_blockcast_sse_subscribe(r, sse, &names);

    if (rc != NGX_DECLINED) {
        ngx_http_blockcast_client_leave_all(&sse->held.conn);
        return rc;
    }

    r->headers_out.status = NGX_HTTP_OK;
    ngx_str_set(&r->headers_out.content_type, "text/event-stream");
    r->headers_out.content_type_len = r->headers_out.content_type.len;
    ngx_http_clear_content_length(r);

    /* X-Accel-Buffering: an nginx in front must pass events on at once */

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store",
                                          8) != NGX_OK
        || ngx_http_blockcast_respond_header(r, "X-Accel-Buffering", "no", 2)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK || r->header_only) {
        ngx_http_blockcast_client_leave_all(&sse->held.conn);
        return rc;
    }

    if (r != r->main) {
        return ngx_http_blockcast_sse_once(sse);
    }

#if (NGX_HTTP_V2)
    if (r->stream == NULL)
#endif
    {
        ngx_http_blockcast_client_bound(&sse->held.conn);
    }

    ngx_http_blockcast_held_request_hold(&sse->held,
                                         ngx_http_blockcast_sse_write);

    /* the rest runs from the event loop, once this request is set up */

    ngx_http_blockcast_held_request_post(&sse->held);

    return NGX_DONE;
}


/*
 * Sets *names to the stream names that the request asks for, separated by
 * commas: /events/NAME, or /events?streams=NAME,NAME.  An empty *names means
 * all streams.  *names lives as long as the request.  Returns NGX_ERROR
 * without memory.
 */

static ngx_int_t
ngx_http_blockcast_sse_names(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf, ngx_str_t *names)
{
    u_char                          *p, *last;
    ngx_http_blockcast_main_conf_t  *bmcf;

    ngx_str_null(names);

    last = r->uri.data + r->uri.len;

    if (r->uri.len >= blcf->location.len
        && ngx_strncmp(r->uri.data, blcf->location.data, blcf->location.len)
           == 0)
    {
        p = r->uri.data + blcf->location.len;

        while (p < last && *p == '/') {
            p++;
        }

        names->data = p;
        names->len = last - p;

    } else {

        /* a regex or named location: a name may follow the last "/" */

        bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);

        p = last;

        while (p > r->uri.data && p[-1] != '/') {
            p--;
        }

        names->data = p;

        while (p < last && *p != ',') {
            p++;
        }

        names->len = p - names->data;

        names->len = (ngx_http_blockcast_stream_find(bmcf, names) != NULL)
                     ? (size_t) (last - names->data) : 0;
    }

    if (names->len != 0) {
        return NGX_OK;
    }

    return (ngx_http_blockcast_access_list(r, "streams", names) == NGX_ERROR)
           ? NGX_ERROR : NGX_OK;
}


/*
 * Waits until the forms of the requested keys are known.  Returns NGX_OK to go
 * on; otherwise what the content handler returns to nginx, see
 * ngx_http_blockcast_key_wait_request().
 */

static ngx_int_t
ngx_http_blockcast_sse_want(ngx_http_request_t *r)
{
    u_char                          *p, *q, *last;
    ngx_str_t                        names, name, stream, key;
    ngx_http_blockcast_stream_t    **offers;
    ngx_http_blockcast_loc_conf_t   *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    for (offers = blcf->offers; *offers != NULL; offers++) {
        if ((*offers)->keys != NULL && (*offers)->keys->form != NULL) {
            break;
        }
    }

    if (*offers == NULL) {
        return NGX_OK;
    }

    if (ngx_http_blockcast_sse_names(r, blcf, &names) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    ngx_http_blockcast_key_wait_begin();

    p = names.data;
    last = p + names.len;

    while (p < last) {
        q = ngx_strlchr(p, last, ',');

        name.data = p;
        name.len = ((q != NULL) ? q : last) - p;
        p = (q != NULL) ? q + 1 : last;

        if (!ngx_http_blockcast_key_split(&name, &stream, &key)) {
            continue;
        }

        for (offers = blcf->offers; *offers != NULL; offers++) {
            if ((*offers)->keys != NULL && (*offers)->name.len == stream.len
                && ngx_memcmp((*offers)->name.data, stream.data, stream.len)
                   == 0)
            {
                ngx_http_blockcast_key_form_want(*offers, &key);
            }
        }
    }

    return ngx_http_blockcast_key_wait_request(r);
}


/*
 * Answers a subrequest.  Its response is a part of another one and has to end,
 * so it gets only what a client is sent at first.  Returns what the content
 * handler returns.
 */

static ngx_int_t
ngx_http_blockcast_sse_once(ngx_http_blockcast_sse_t *sse)
{
    ngx_int_t                    rc;
    ngx_uint_t                   i;
    ngx_http_blockcast_sub_t    *sub;
    ngx_http_blockcast_frame_t  *frame;

    sse->once = 1;
    sse->held.conn.started = 1;

    for (i = 0; i < sse->held.conn.nsubs; i++) {
        sub = &sse->held.conn.subs[i];

        ngx_http_blockcast_client_set_pending(&sse->held.conn, sub);
    }

    rc = NGX_OK;

    while (rc != NGX_ERROR) {
        frame = ngx_http_blockcast_client_next_frame(&sse->held.conn, &sub);

        if (frame == NULL) {
            break;
        }

        rc = ngx_http_blockcast_sse_send(sse, frame);

        ngx_http_blockcast_frame_free(frame);
    }

    ngx_http_blockcast_client_leave_all(&sse->held.conn);

    return (rc == NGX_ERROR) ? rc
                             : ngx_http_send_special(sse->held.conn.request,
                                                     NGX_HTTP_LAST);
}


/*
 * Returns the epoch at the start of an id "EPOCH;NAME=SEQ;NAME=SEQ", or 0 when
 * it has none.
 */

static uint64_t
ngx_http_blockcast_sse_id_epoch(ngx_str_t *id)
{
    u_char     *p;
    ngx_int_t   n;

    p = ngx_strlchr(id->data, id->data + id->len, ';');
    n = ngx_atoi(id->data, (p != NULL) ? (size_t) (p - id->data) : id->len);

    return (n != NGX_ERROR) ? (uint64_t) n : 0;
}


/* Returns a stream's seq from such an id, or NGX_ERROR when it has none. */

static ngx_int_t
ngx_http_blockcast_sse_id_seq(ngx_str_t *id, ngx_str_t *name)
{
    u_char  *p, *end, *last;

    last = id->data + id->len;
    p = id->data;

    for ( ;; ) {
        p = ngx_strlchr(p, last, ';');

        if (p == NULL) {
            return NGX_ERROR;
        }

        p++;

        if ((size_t) (last - p) > name->len
            && ngx_strncmp(p, name->data, name->len) == 0
            && p[name->len] == '=')
        {
            break;
        }
    }

    p += name->len + 1;
    end = ngx_strlchr(p, last, ';');

    return ngx_atoi(p, ((end != NULL) ? end : last) - p);
}


/*
 * Finds the next stream to subscribe to and sets *st: the next one in names
 * (*p is moved past it), or the next one the location offers (*offers) when
 * names is empty.  Sets *key for a stream with keys.
 *
 * Returns NGX_OK; NGX_DONE: there are no more; NGX_DECLINED: this client has
 * no such stream; NGX_AGAIN: skip this one.
 */

static ngx_int_t
ngx_http_blockcast_sse_next_stream(ngx_http_blockcast_conn_t *conn,
    ngx_str_t *names, u_char **p, ngx_http_blockcast_stream_t ***offers,
    ngx_http_blockcast_stream_t **st, ngx_str_t *key)
{
    u_char                       *q, *last;
    ngx_str_t                     name, stream;
    ngx_http_blockcast_reject_t   reject;

    if (names->len == 0) {
        *st = *(*offers)++;

        if (*st == NULL) {
            return NGX_DONE;
        }

        return ((conn->allowed & ((uint64_t) 1 << (*st)->index))
                && (*st)->keys == NULL)
               ? NGX_OK : NGX_AGAIN;
    }

    last = names->data + names->len;

    if (*p >= last) {
        return NGX_DONE;
    }

    name.data = *p;
    q = ngx_strlchr(*p, last, ',');
    name.len = ((q != NULL) ? q : last) - *p;
    *p = (q != NULL) ? q + 1 : last;

    /* a key is named STREAM/KEY */

    (void) ngx_http_blockcast_key_split(&name, &stream, key);

    *st = ngx_http_blockcast_commands_find_stream(conn, &stream, &reject);

    if (*st == NULL) {
        return NGX_DECLINED;
    }

    if ((*st)->keys != NULL) {
        return NGX_OK;
    }

    if (stream.len != name.len) {
        return NGX_DECLINED;
    }

    /* skip a repeated stream: the id of an event holds each name once */

    return (conn->joined & ((uint64_t) 1 << (*st)->index))
           ? NGX_AGAIN : NGX_OK;
}


/*
 * Subscribes to a stream, or to one key of it, with the filter given in the
 * query.  Returns the same as ngx_http_blockcast_sse_subscribe().
 */

static ngx_int_t
ngx_http_blockcast_sse_join(ngx_http_request_t *r,
    ngx_http_blockcast_sse_t *sse, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_sub_options_t *options)
{
    ngx_int_t                     rc;
    ngx_str_t                     text;
    const char                   *why;
    ngx_http_blockcast_reject_t   reject;

    if (r != r->main) {

        /* a subrequest gets what there is, and does not wait for a copy */

        (void) ngx_http_blockcast_hub_sync(ngx_http_blockcast_hub_of(st));
    }

    ngx_http_blockcast_hub_refresh(ngx_http_blockcast_hub_of(st));

    rc = ngx_http_blockcast_query_filter(r, ngx_http_blockcast_hub_of(st),
                                         &options->filter, &why);

    if (rc == NGX_DECLINED) {
        text.data = (u_char *) why;
        text.len = ngx_strlen(why);

        return ngx_http_blockcast_respond(r, NGX_HTTP_BAD_REQUEST,
                                          "text/plain", &text);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    rc = ngx_http_blockcast_commands_subscribe(&sse->held.conn, st, options,
                                               &reject);

    /* NULL if the subscription took it over */

    bc_log_filter_free(options->filter);

    return (rc == NGX_ERROR) ? NGX_HTTP_SERVICE_UNAVAILABLE : NGX_DECLINED;
}


/*
 * Subscribes to the streams in names (separated by commas), or to all when
 * names is empty.  A log resumes at the seq that Last-Event-ID holds for it.
 * Returns NGX_DECLINED on success; otherwise what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_sse_subscribe(ngx_http_request_t *r,
    ngx_http_blockcast_sse_t *sse, ngx_str_t *names)
{
    u_char                            *p;
    ngx_int_t                          rc, n;
    ngx_str_t                          key, text, *id;
    ngx_uint_t                         other_epoch;
    ngx_http_blockcast_sub_options_t   options;
    ngx_http_blockcast_reject_t        reject;
    ngx_http_blockcast_stream_t       *st, **offers;

    id = ngx_http_blockcast_header_value(r, "Last-Event-ID");
    other_epoch = (id != NULL
                   && ngx_http_blockcast_sse_id_epoch(id) != sse->epoch);

    offers = sse->held.conn.conf->offers;
    p = names->data;

    for ( ;; ) {
        rc = ngx_http_blockcast_sse_next_stream(&sse->held.conn, names, &p,
                                                &offers, &st, &key);

        if (rc == NGX_DONE) {
            return NGX_DECLINED;
        }

        if (rc == NGX_AGAIN) {
            continue;
        }

        if (rc == NGX_DECLINED) {
            ngx_str_set(&text, "A stream that was asked for is not there "
                        "for this client, see /api/streams.\n");

            return ngx_http_blockcast_respond(r, NGX_HTTP_NOT_FOUND,
                                              "text/plain", &text);
        }

        ngx_memzero(&options, sizeof(ngx_http_blockcast_sub_options_t));

        if (st->keys != NULL) {
            options.hub = ngx_http_blockcast_key_access_request(r,
                                   &sse->held.conn, st, &key, &options.until,
                                   &reject);

            if (options.hub == NULL) {
                return ngx_http_blockcast_sse_refuse_key(r, &reject);
            }
        }

        if (id != NULL && st->field.len != 0) {
            n = ngx_http_blockcast_sse_id_seq(id, &st->name);

            if (n != NGX_ERROR) {
                options.since = n;
                options.has_since = 1;
                options.other_epoch = other_epoch;
            }
        }

        rc = ngx_http_blockcast_sse_join(r, sse, st, &options);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }
}


/* Responds that a key is refused; returns what a content handler returns. */

static ngx_int_t
ngx_http_blockcast_sse_refuse_key(ngx_http_request_t *r,
    ngx_http_blockcast_reject_t *reject)
{
    ngx_str_t   text;
    ngx_uint_t  status;

    status = (ngx_strcmp(reject->code, "bad_key") == 0)
             ? NGX_HTTP_BAD_REQUEST
             : (ngx_strcmp(reject->code, "forbidden_key") == 0
                || ngx_strcmp(reject->code, "too_many_keys") == 0)
             ? NGX_HTTP_FORBIDDEN : NGX_HTTP_SERVICE_UNAVAILABLE;

    text.len = ngx_strlen(reject->text) + 1;
    text.data = ngx_pnalloc(r->pool, text.len);

    if (text.data == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    *ngx_cpymem(text.data, reject->text, text.len - 1) = LF;

    return ngx_http_blockcast_respond(r, status, "text/plain", &text);
}


static void
ngx_http_blockcast_sse_event(ngx_event_t *ev)
{
    u_char                      *p;
    ngx_uint_t                   i, first;
    ngx_connection_t            *c;
    ngx_http_request_t          *r;
    ngx_http_blockcast_sse_t    *sse;
    static u_char                heartbeat[] = ":\n\n";

    sse = ev->data;
    r = sse->held.conn.request;
    c = r->connection;

    first = !ev->timedout && !ev->timer_set && !sse->held.conn.started;
    ev->timedout = 0;

    if (sse->held.conn.dead) {
        ngx_http_finalize_request(r, NGX_ERROR);
        ngx_http_run_posted_requests(c);
        return;
    }

    if (ngx_exiting || ngx_terminate || sse->expired) {
        ngx_http_blockcast_sse_close(sse);
        return;
    }

    if (first) {
        sse->held.conn.started = 1;

        p = ngx_pnalloc(r->pool, 32);

        if (p == NULL
            || ngx_http_blockcast_sse_say(sse, p,
                       ngx_sprintf(p, "retry: %ui\n\n",
                                   (ngx_uint_t) NGX_HTTP_BLOCKCAST_RETRY
                                   + (ngx_uint_t) ngx_random()
                                     % NGX_HTTP_BLOCKCAST_RETRY))
               == NGX_ERROR)
        {
            ngx_http_finalize_request(r, NGX_ERROR);
            ngx_http_run_posted_requests(c);
            return;
        }

        for (i = 0; i < sse->held.conn.nsubs; i++) {
            ngx_http_blockcast_sse_mark_pending(&sse->held.conn,
                                                &sse->held.conn.subs[i]);
        }

    } else if (!r->buffered && !c->buffered) {

        if (ngx_http_blockcast_sse_say(sse, heartbeat,
                                       heartbeat + sizeof(heartbeat) - 1)
            == NGX_ERROR)
        {
            ngx_http_finalize_request(r, NGX_ERROR);
            ngx_http_run_posted_requests(c);
            return;
        }
    }

    if (!sse->held.conn.dead) {
        ngx_add_timer(ev, NGX_HTTP_BLOCKCAST_HEARTBEAT);
    }

    ngx_http_run_posted_requests(c);
}


/*
 * Sends a text without copying it: it must live as long as the request.
 * Returns NGX_ERROR without memory or when it cannot be sent.
 */

static ngx_int_t
ngx_http_blockcast_sse_say(ngx_http_blockcast_sse_t *sse, u_char *start,
    u_char *last)
{
    ngx_chain_t  *out;

    if (ngx_http_blockcast_sse_add(sse, &out, start, last, 0) == NULL) {
        return NGX_ERROR;
    }

    return ngx_http_blockcast_sse_output(sse, out);
}


/*
 * Appends a text to the chain of an event without copying it.  Returns where
 * to link the next buffer, or NULL without memory.  temporary: filters may
 * modify the text.
 */

static ngx_chain_t **
ngx_http_blockcast_sse_add(ngx_http_blockcast_sse_t *sse, ngx_chain_t **link,
    u_char *start, u_char *last, ngx_uint_t temporary)
{
    ngx_buf_t    *b;
    ngx_chain_t  *cl;

    /* a request may last for days: its pool must not grow with every event */

    cl = ngx_chain_get_free_buf(sse->held.conn.request->pool, &sse->free);
    if (cl == NULL) {
        return NULL;
    }

    b = cl->buf;

    b->start = start;
    b->pos = start;
    b->last = last;
    b->end = last;
    b->temporary = temporary;
    b->memory = !temporary;
    b->flush = 0;
    b->tag = (ngx_buf_tag_t) &ngx_http_blockcast_module;

    *link = cl;

    return &cl->next;
}


/*
 * Sends the chain of an event.  Returns what ngx_http_output_filter() returns,
 * or NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_sse_output(ngx_http_blockcast_sse_t *sse, ngx_chain_t *out)
{
    ngx_int_t            rc;
    ngx_chain_t         *cl;
    ngx_http_request_t  *r;

    r = sse->held.conn.request;

    for (cl = out; cl->next != NULL; cl = cl->next) { /* void */ }

    cl->buf->flush = 1;

    rc = ngx_http_output_filter(r, out);

    ngx_chain_update_chains(r->pool, &sse->free, &sse->busy, &out,
                            (ngx_buf_tag_t) &ngx_http_blockcast_module);

    if (sse->once) {
        return rc;
    }

    ngx_http_blockcast_sse_sent(sse);

    if (rc != NGX_ERROR && (r->buffered || r->connection->buffered)) {

        if (!r->connection->write->timer_set) {
            ngx_add_timer(r->connection->write,
                          sse->held.conn.conf->send_timeout);
        }

        if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return rc;
}


static void
ngx_http_blockcast_sse_write(ngx_http_request_t *r)
{
    ngx_chain_t               *none;
    ngx_event_t               *wev;
    ngx_http_blockcast_sse_t  *sse;

    wev = r->connection->write;
    sse = ngx_http_get_module_ctx(r, ngx_http_blockcast_module);

    if (wev->timedout) {
        r->connection->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (ngx_http_blockcast_fanout_spent()) {
        ngx_http_blockcast_fanout_later(&sse->later);
        return;
    }

    if (ngx_http_output_filter(r, NULL) == NGX_ERROR) {
        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    if (r->buffered || r->connection->buffered) {

        if (ngx_handle_write_event(wev, 0) != NGX_OK) {
            ngx_http_finalize_request(r, NGX_ERROR);
        }

        return;
    }

    if (wev->timer_set) {
        ngx_del_timer(wev);
    }

    none = NULL;
    ngx_chain_update_chains(r->pool, &sse->free, &sse->busy, &none,
                            (ngx_buf_tag_t) &ngx_http_blockcast_module);

    ngx_http_blockcast_sse_sent(sse);
    ngx_http_blockcast_sse_flush(&sse->held.conn);
}


/* Releases the frame of the previous event, once that has been sent. */

static void
ngx_http_blockcast_sse_sent(ngx_http_blockcast_sse_t *sse)
{
    ngx_http_request_t  *r;

    r = sse->held.conn.request;

    if (sse->frame != NULL
        && (sse->busy == NULL || (!r->buffered && !r->connection->buffered)))
    {
        ngx_http_blockcast_frame_free(sse->frame);
        sse->frame = NULL;
    }
}


/* Continues with a client that an earlier turn had no time for. */

static void
ngx_http_blockcast_sse_later(ngx_event_t *ev)
{
    ngx_http_blockcast_sse_t *sse = ev->data;

    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = sse->held.conn.request;
    c = r->connection;

    if (r->write_event_handler != ngx_http_blockcast_sse_write) {

        /* the response has ended, nginx sends the rest of it */

        return;
    }

    if (r->buffered || c->buffered) {
        ngx_http_blockcast_sse_write(r);
        ngx_http_run_posted_requests(c);
        return;
    }

    ngx_http_blockcast_sse_flush(&sse->held.conn);
}


static void
ngx_http_blockcast_sse_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq)
{
    if (conn->dead || conn->closing) {
        return;
    }

    if (sub->pending && sub->hub->stream->field.len == 0) {

        /* the client is slow: its next frame will be the newest by then */

        ngx_http_blockcast_count(ngx_http_blockcast_n_conflated, 1);
    }

    ngx_http_blockcast_sse_mark_pending(conn, sub);
}


static void
ngx_http_blockcast_sse_mark_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_client_set_pending(conn, sub);
    ngx_http_blockcast_sse_flush(conn);
}


static void
ngx_http_blockcast_sse_flush(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_request_t          *r;
    ngx_http_blockcast_sub_t    *sub;
    ngx_http_blockcast_sse_t    *sse;
    ngx_http_blockcast_frame_t  *frame;

    sse = (ngx_http_blockcast_sse_t *) conn;
    r = conn->request;

    while (conn->started && !conn->dead
           && !r->buffered && !r->connection->buffered)
    {
        if (conn->npending == 0) {
            return;
        }

        if (ngx_http_blockcast_fanout_spent()) {
            ngx_http_blockcast_fanout_later(&sse->later);
            return;
        }

        frame = ngx_http_blockcast_client_next_frame(conn, &sub);

        if (frame == NULL) {
            return;
        }

        if (ngx_http_blockcast_sse_send(sse, frame) == NGX_ERROR) {
            conn->dead = 1;

            ngx_http_blockcast_held_request_post(&sse->held);
        }

        ngx_http_blockcast_frame_free(frame);
    }
}


/*
 * Returns the client's text buffer, with room for `size` bytes or more, or
 * NULL without memory.  What was in it must have been sent.  The client keeps
 * ownership.
 */

static u_char *
ngx_http_blockcast_sse_room(ngx_http_blockcast_sse_t *sse, size_t size)
{
    if (sse->room >= size) {
        return sse->text;
    }

    if (sse->text != NULL) {
        ngx_free(sse->text);
    }

    sse->text = ngx_alloc(size, sse->held.conn.connection->log);
    sse->room = (sse->text != NULL) ? size : 0;

    return sse->text;
}


/*
 * Sends a frame's payload as an event with the id EPOCH;LOG=SEQ;LOG=SEQ.  The
 * id, and a short payload, are written to the client's own buffer, which the
 * next event reuses once this one is sent.  A long payload is sent from the
 * frame, which gains a reference.  Returns NGX_ERROR without memory or when it
 * cannot be sent.
 */

static ngx_int_t
ngx_http_blockcast_sse_send(ngx_http_blockcast_sse_t *sse,
    ngx_http_blockcast_frame_t *frame)
{
    u_char                    *p, *start;
    size_t                     size, len;
    ngx_uint_t                 i, copy;
    ngx_chain_t               *out, **link;
    ngx_http_request_t        *r;
    ngx_http_blockcast_sub_t  *sub;
    static u_char              end[] = "\n\n";

    r = sse->held.conn.request;

    frame = ngx_http_blockcast_frame_line(frame);
    if (frame == NULL) {
        return NGX_ERROR;
    }

    len = frame->len - frame->payload;
    copy = sse->once || len <= NGX_HTTP_BLOCKCAST_SSE_COPY;

    size = sizeof("id: \ndata: \n\n") + NGX_INT64_LEN
           + sse->held.conn.nsubs * (NGX_HTTP_BLOCKCAST_NAME_LEN + 2
                                + NGX_INT64_LEN)
           + (copy ? len : 0);

    /* a subrequest's output may be held back: each event needs its own text */

    start = sse->once ? ngx_pnalloc(r->pool, size)
                      : ngx_http_blockcast_sse_room(sse, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = ngx_sprintf(start, "id: %uL", sse->epoch);

    for (i = 0; i < sse->held.conn.nsubs; i++) {
        sub = &sse->held.conn.subs[i];

        if (sub->hub->stream->field.len != 0 && sub->seq != 0 && !sub->first)
        {
            p = ngx_sprintf(p, ";%V=%uL", &sub->hub->stream->name, sub->seq);
        }
    }

    p = ngx_cpymem(p, "\ndata: ", 7);

    if (copy) {
        p = ngx_cpymem(p, frame->data + frame->payload, len);
        p = ngx_cpymem(p, end, 2);
    }

    link = ngx_http_blockcast_sse_add(sse, &out, start, p, 1);

    if (!copy && link != NULL) {
        link = ngx_http_blockcast_sse_add(sse, link,
                                          frame->data + frame->payload,
                                          frame->data + frame->len, 0);
        if (link != NULL) {
            link = ngx_http_blockcast_sse_add(sse, link, end, end + 2, 0);
        }

        ngx_http_blockcast_frame_free(sse->frame);

        frame->refs++;
        sse->frame = frame;
    }

    if (link == NULL) {
        return NGX_ERROR;
    }

    sse->held.conn.frames_out++;

    return ngx_http_blockcast_sse_output(sse, out);
}


/*
 * Ends the response, because the worker exits or the signature of a key has
 * expired.  The browser connects again.
 */

static void
ngx_http_blockcast_sse_close(ngx_http_blockcast_sse_t *sse)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    r = sse->held.conn.request;
    c = r->connection;

    sse->held.held = 0;
    r->keepalive = 0;

    ngx_http_finalize_request(r, ngx_http_send_special(r, NGX_HTTP_LAST));
    ngx_http_run_posted_requests(c);
}


void
ngx_http_blockcast_sse_expire(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_sse_t  *sse;

    sse = (ngx_http_blockcast_sse_t *) conn;

    if (sse->expired || sse->once) {
        return;
    }

    /* not from within this call: closing drops all its subscriptions */

    sse->expired = 1;
    ngx_http_blockcast_held_request_post(&sse->held);
}


static void
ngx_http_blockcast_sse_cleanup(void *data)
{
    ngx_http_blockcast_sse_t  *sse = data;

    if (sse->later.posted) {
        ngx_delete_posted_event((&sse->later));
    }

    ngx_http_blockcast_frame_free(sse->frame);
    sse->frame = NULL;

    if (sse->text != NULL) {
        ngx_free(sse->text);
        sse->text = NULL;
    }
}
