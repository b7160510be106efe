
/*
 * The streams over plain HTTP.  Any worker responds, from the zone.
 */


#include "ngx_http_blockcast_rest.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_encoding_cache.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_hub_load.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_held_request.h"
#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast_key_wait.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_filter.h"
#include "ngx_http_blockcast_filter_index.h"
#include "ngx_http_blockcast_health.h"
#include "ngx_http_blockcast_history_rest.h"
#include "ngx_http_blockcast_longpoll.h"
#include "bc_span.h"


#define NGX_HTTP_BLOCKCAST_LIMIT      50
#define NGX_HTTP_BLOCKCAST_MAX_LIMIT  10000

/* the longest wait of a long poll (msec) */
#define NGX_HTTP_BLOCKCAST_MAX_WAIT   60000

/* how long a request waits for the first poll of an idle stream (msec) */
#define NGX_HTTP_BLOCKCAST_FIRST      1000


/* how long one waits for a copy of a large snapshot at most (msec) */
#define NGX_HTTP_BLOCKCAST_LOAD       5000


/* a page of a log's entries */

typedef struct {
    ngx_uint_t  count;      /* entries on the page */
    ngx_uint_t  total;      /* entries that match */
    ngx_uint_t  limit;
    ngx_uint_t  offset;
} ngx_http_blockcast_rest_page_t;


/* a request that waits until the index for its filter is up to date */

typedef struct {
    ngx_http_blockcast_held_request_t  held;    /* must be first: it is cast */
    ngx_http_blockcast_hub_t          *hub;
    ngx_http_blockcast_filter_t        filter;
} ngx_http_blockcast_rest_filtered_t;


static ngx_int_t ngx_http_blockcast_rest_streams(ngx_http_request_t *r,
    uint64_t allowed);
static ngx_int_t ngx_http_blockcast_rest_snapshot(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t whole);
static ngx_int_t ngx_http_blockcast_rest_send(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t whole);
static ngx_int_t ngx_http_blockcast_rest_first(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub);
static ngx_int_t ngx_http_blockcast_rest_again(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t over);
static ngx_int_t ngx_http_blockcast_rest_load(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub);
static ngx_int_t ngx_http_blockcast_rest_loaded(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t over);
static ngx_int_t ngx_http_blockcast_rest_waited(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t over);
static ngx_int_t ngx_http_blockcast_rest_key(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t whole);
static void ngx_http_blockcast_rest_tail(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf, ngx_str_t *key);
static ngx_int_t ngx_http_blockcast_rest_entries(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st);
static ngx_int_t ngx_http_blockcast_rest_filter(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_filter_t *filter);
static void ngx_http_blockcast_rest_filter_event(ngx_event_t *ev);


/* the request being handled has waited for a copy */
static ngx_uint_t  ngx_http_blockcast_rest_is_loaded;


/* Returns the length of "/history" if the path ends with it, else 0. */

static size_t
ngx_http_blockcast_rest_history_len(ngx_str_t *path)
{
    size_t  len;

    len = sizeof("/history") - 1;

    return (path->len > len
            && ngx_strncmp(path->data + path->len - len, "/history", len) == 0)
           ? len : 0;
}


/*
 * Finds the API path in the URI of a regex location: what follows the last
 * slash.  If "/streams/" ends there, the path starts with "streams/" and may
 * end with "/history".
 */

static void
ngx_http_blockcast_rest_regex_path(ngx_http_request_t *r, ngx_str_t *path)
{
    size_t  history, len;

    len = sizeof("/streams/") - 1;
    *path = r->uri;
    history = ngx_http_blockcast_rest_history_len(path);

    for ( ;; ) {
        path->len = r->uri.len - history;

        while (path->len != 0 && path->data[path->len - 1] != '/') {
            path->len--;
        }

        if (path->len >= len
            && ngx_strncmp(path->data + path->len - len, "/streams/", len)
               == 0)
        {
            path->len -= len - 1;
            break;
        }

        if (history == 0) {
            break;
        }

        history = 0;
    }

    path->data += path->len;
    path->len = r->uri.data + r->uri.len - path->data;
}


ngx_int_t
ngx_http_blockcast_rest_api_handler(ngx_http_request_t *r)
{
    size_t                          history;
    uint64_t                        allowed;
    ngx_int_t                       rc;
    ngx_str_t                       path, name, key;
    ngx_http_blockcast_stream_t    *st;
    ngx_http_blockcast_loc_conf_t  *blcf;

    if (ngx_http_blockcast_rest_begin(r, &allowed, &rc) != NGX_OK) {
        return rc;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    path.len = 0;
    path.data = r->uri.data;

    if (r->uri.len >= blcf->location.len
        && ngx_strncmp(r->uri.data, blcf->location.data, blcf->location.len)
           == 0)
    {
        path.data = r->uri.data + blcf->location.len;
        path.len = r->uri.len - blcf->location.len;

    } else {

        ngx_http_blockcast_rest_regex_path(r, &path);
    }

    while (path.len != 0 && path.data[0] == '/') {
        path.data++;
        path.len--;
    }

#define ngx_http_blockcast_rest_path_is(s)                                    \
    (path.len == sizeof(s) - 1                                                \
     && ngx_strncmp(path.data, s, sizeof(s) - 1) == 0)

    if (ngx_http_blockcast_rest_path_is("")
        || ngx_http_blockcast_rest_path_is("streams")
        || ngx_http_blockcast_rest_path_is("streams/"))
    {
        return ngx_http_blockcast_rest_streams(r, allowed);
    }

    if (ngx_http_blockcast_rest_path_is("health")) {
        return ngx_http_blockcast_health_handler(r);
    }

    if (path.len > sizeof("streams/") - 1
        && ngx_strncmp(path.data, "streams/", sizeof("streams/") - 1) == 0)
    {
        path.data += sizeof("streams/") - 1;
        path.len -= sizeof("streams/") - 1;

        if (ngx_http_blockcast_key_split(&path, &name, &key)) {
            st = ngx_http_blockcast_rest_find(r, &name, allowed);

            if (st != NULL && st->keys != NULL) {
                return ngx_http_blockcast_rest_key(r, st, &key, 1);
            }
        }

        history = ngx_http_blockcast_rest_history_len(&path);
        path.len -= history;

        st = ngx_http_blockcast_rest_find(r, &path, allowed);

        if (st == NULL) {
            return ngx_http_blockcast_rest_error(r, NGX_HTTP_NOT_FOUND,
                             "unknown_stream", "unknown stream: %V", &path);
        }

        if (st->keys != NULL) {
            ngx_str_null(&key);
            return ngx_http_blockcast_rest_key(r, st, &key, 1);
        }

        return (history != 0)
               ? ngx_http_blockcast_history_rest(r, st)
               : ngx_http_blockcast_rest_snapshot(r,
                                         ngx_http_blockcast_hub_of(st), 1);
    }

    st = ngx_http_blockcast_rest_find(r, &path, allowed);

    if (st == NULL || st->field.len == 0) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_NOT_FOUND,
                             "not_found", "no such resource: %V; there are "
                             "streams, streams/NAME, streams/NAME/history, "
                             "health and the log streams by name", &path);
    }

    return ngx_http_blockcast_rest_entries(r, st);
}


ngx_int_t
ngx_http_blockcast_rest_handler(ngx_http_request_t *r)
{
    uint64_t                        allowed;
    ngx_int_t                       rc;
    ngx_str_t                       key;
    ngx_http_blockcast_stream_t    *st;
    ngx_http_blockcast_loc_conf_t  *blcf;

    if (ngx_http_blockcast_rest_begin(r, &allowed, &rc) != NGX_OK) {
        return rc;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);
    st = blcf->offers[0];

    if (!(allowed & ((uint64_t) 1 << st->index))) {

        /* do not name the stream: the client may know only the location */

        return ngx_http_blockcast_rest_error(r, NGX_HTTP_FORBIDDEN,
                                  "forbidden_stream", "this client may not "
                                  "have the stream of this location");
    }

    if (st->keys != NULL) {
        ngx_http_blockcast_rest_tail(r, blcf, &key);
        return ngx_http_blockcast_rest_key(r, st, &key, 0);
    }

    return st->field.len ? ngx_http_blockcast_rest_entries(r, st)
                         : ngx_http_blockcast_rest_snapshot(r,
                                           ngx_http_blockcast_hub_of(st), 0);
}


/*
 * Sets *key to what follows the location of a blockcast_rest in the URI,
 * without leading slashes.  It is empty when nothing follows.
 */

static void
ngx_http_blockcast_rest_tail(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf, ngx_str_t *key)
{
    ngx_str_null(key);

    if (r->uri.len > blcf->location.len
        && ngx_strncmp(r->uri.data, blcf->location.data, blcf->location.len)
           == 0)
    {
        key->data = r->uri.data + blcf->location.len;
        key->len = r->uri.len - blcf->location.len;
    }

    while (key->len != 0 && key->data[0] == '/') {
        key->data++;
        key->len--;
    }
}


/*
 * Responds to a request for a key: the one from the path or, if that is empty,
 * of the argument "key".  whole: see ngx_http_blockcast_rest_snapshot().
 * Returns what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_rest_key(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t whole)
{
    time_t                        until;
    ngx_int_t                     rc;
    ngx_str_t                     arg;
    ngx_http_blockcast_hub_t     *hub;
    ngx_http_blockcast_reject_t   reject;

    if (key->len == 0
        && ngx_http_blockcast_access_arg(r, "key", &arg) == NGX_OK)
    {
        *key = arg;
    }

    if (key->len == 0) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_key", "stream %V has a key: ask for one, "
                             "like %V/%s", &st->name, &st->name,
                             "KEY");
    }

    ngx_http_blockcast_key_wait_begin();
    ngx_http_blockcast_key_form_want(st, key);

    rc = ngx_http_blockcast_key_wait_request(r);

    if (rc != NGX_OK) {
        return rc;
    }

    hub = ngx_http_blockcast_key_access_request(r, NULL, st, key, &until,
                                                &reject);

    if (hub != NULL) {
        return ngx_http_blockcast_rest_snapshot(r, hub, whole);
    }

    if (ngx_strcmp(reject.code, "bad_key") == 0) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                                             reject.code, "%s", reject.text);
    }

    if (ngx_strcmp(reject.code, "forbidden_key") == 0) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_FORBIDDEN,
                                             reject.code, "%s", reject.text);
    }

    if (ngx_http_blockcast_respond_header(r, "Retry-After", "5", 1)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_blockcast_rest_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                                         reject.code, "%s", reject.text);
}


ngx_int_t
ngx_http_blockcast_rest_begin(ngx_http_request_t *r, uint64_t *allowed,
    ngx_int_t *rc)
{
    *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    if (!(r->method & (NGX_HTTP_GET|NGX_HTTP_HEAD))) {

        if (ngx_http_blockcast_respond_header(r, "Allow", "GET, HEAD",
                                              9) == NGX_OK) {
            *rc = ngx_http_blockcast_rest_error(r, NGX_HTTP_NOT_ALLOWED,
                                  "method_not_allowed", "%V is not allowed "
                                  "here, GET and HEAD are", &r->method_name);
        }

        return NGX_DECLINED;
    }

    if (allowed == NULL) {
        return NGX_OK;
    }

    return ngx_http_blockcast_rest_allowed(r, allowed, rc);
}


ngx_int_t
ngx_http_blockcast_rest_allowed(ngx_http_request_t *r, uint64_t *allowed,
    ngx_int_t *rc)
{
    ngx_http_blockcast_refusal_t  refusal;

    *rc = NGX_HTTP_INTERNAL_SERVER_ERROR;

    switch (ngx_http_blockcast_access_streams(r, allowed, &refusal)) {

    case NGX_OK:
        return NGX_OK;

    case NGX_DECLINED:

        if (refusal.status != NGX_HTTP_UNAUTHORIZED
            || ngx_http_blockcast_respond_header(r, "WWW-Authenticate",
                                                 "Bearer", 6)
               == NGX_OK)
        {
            *rc = ngx_http_blockcast_rest_error(r, refusal.status,
                                                "unauthorized", "%s",
                                                refusal.sentence);
        }

        /* fall through */

    default:
        return NGX_DECLINED;
    }
}


ngx_http_blockcast_stream_t *
ngx_http_blockcast_rest_find(ngx_http_request_t *r, ngx_str_t *name,
    uint64_t allowed)
{
    ngx_http_blockcast_stream_t   **st;
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    for (st = blcf->offers; *st != NULL; st++) {
        if ((*st)->name.len == name->len
            && ngx_memcmp((*st)->name.data, name->data, name->len) == 0
            && allowed & ((uint64_t) 1 << (*st)->index))
        {
            return *st;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_blockcast_rest_error(ngx_http_request_t *r, ngx_uint_t status,
    const char *code, const char *fmt, ...)
{
    cJSON                          *root;
    u_char                          text[512], shown[512];
    va_list                         args;
    ngx_str_t                       body, message;
    ngx_http_blockcast_json_out_t   out;

    va_start(args, fmt);
    message.data = text;
    message.len = ngx_vslprintf(text, text + sizeof(text), fmt, args) - text;
    va_end(args);

    ngx_http_blockcast_gate_printable(&message, shown, sizeof(shown));

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "error", code);
    ngx_http_blockcast_json_out_text(&out, root, "message", message.data,
                                     message.len);

    if (ngx_http_blockcast_json_out_pool(&out, r->pool, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* overwrite the NUL that ends the printed text */

    body.data[body.len++] = '\n';

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_blockcast_respond(r, status, "application/json", &body);
}


static ngx_int_t
ngx_http_blockcast_rest_waiting(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub)
{
    u_char                      *p;
    ngx_uint_t                   seconds;
    ngx_http_blockcast_error_t   error;
    ngx_http_blockcast_stream_t *st;

    st = hub->stream;
    ngx_http_blockcast_hub_read_error(hub, &error);

    /* a poll was requested: retry in 1 s, after a failure in one interval */

    seconds = error.len ? (st->interval + 999) / 1000 : 1;

    p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);
    if (p == NULL
        || ngx_http_blockcast_respond_header(r, "Retry-After", (char *) p,
                                             ngx_sprintf(p, "%ui",
                                                         seconds) - p)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (error.len != 0) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "waiting", "stream %V has no data yet: %*s",
                             &st->name, (size_t) error.len, error.text);
    }

    return ngx_http_blockcast_rest_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "waiting", "stream %V has no data yet",
                             &st->name);
}


/*
 * Responds to a request for a stream without data.  Its first poll has just
 * been requested: the request waits for it once, instead of getting a 503.
 */

static ngx_int_t
ngx_http_blockcast_rest_first(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_error_t    error;
    ngx_http_blockcast_refusal_t  refusal;

    ngx_http_blockcast_hub_read_error(hub, &error);

    if (error.len != 0
        || ngx_http_get_module_ctx(r, ngx_http_blockcast_module) != NULL
        || ngx_http_blockcast_access_limits(r, &refusal) != NGX_OK)
    {
        /* the poll failed, this request has waited before, or too many do */

        return ngx_http_blockcast_rest_waiting(r, hub);
    }

    return ngx_http_blockcast_longpoll_wait(r, hub, 0, NGX_HTTP_BLOCKCAST_FIRST,
                                            ngx_http_blockcast_rest_again);
}


static ngx_int_t
ngx_http_blockcast_rest_again(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t over)
{
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    return blcf->kind->handler(r);
}


ngx_int_t
ngx_http_blockcast_rest_fresh_headers(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_str_t *etag)
{
    ngx_table_elt_t  *h;
    const char       *state;

    state = ngx_http_blockcast_freshness_names[
                 ngx_http_blockcast_hub_freshness(hub)];

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-cache",
                                          8) != NGX_OK
        || ngx_http_blockcast_respond_header(r, "Blockcast-State", state,
                                             ngx_strlen(state))
           != NGX_OK)
    {
        return NGX_ERROR;
    }

    r->headers_out.last_modified_time = -1;

    if (etag == NULL) {
        return NGX_OK;
    }

    h = ngx_list_push(&r->headers_out.headers);
    if (h == NULL) {
        return NGX_ERROR;
    }

    h->hash = 1;
#if (nginx_version >= 1023000)
    h->next = NULL;
#endif
    ngx_str_set(&h->key, "ETag");
    h->value = *etag;

    /* nginx itself handles If-None-Match */

    r->headers_out.etag = h;

    return NGX_OK;
}


/*
 * Adds these headers, with an ETag, for the newest snapshot, and counts the
 * delivery.  Returns NGX_ERROR without memory.
 */

static ngx_int_t
ngx_http_blockcast_rest_headers(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub)
{
    ngx_str_t  etag;

    etag.data = ngx_pnalloc(r->pool, 2 * NGX_INT64_LEN + 3);
    if (etag.data == NULL) {
        return NGX_ERROR;
    }

    etag.len = ngx_sprintf(etag.data, "\"%xL-%uL\"",
                           ngx_http_blockcast_hub_epoch(), hub->snap.seq)
               - etag.data;

    hub->delivered++;

    return ngx_http_blockcast_rest_fresh_headers(r, hub, &etag);
}


/*
 * Reads ?epoch=E, the epoch of the seq in the query.  Returns NGX_DECLINED
 * after setting *other (true: not the current epoch); if E is malformed,
 * responds and returns what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_rest_other_epoch(ngx_http_request_t *r, ngx_uint_t *other)
{
    ngx_int_t  n;
    ngx_str_t  value;

    *other = 0;

    if (ngx_http_arg(r, (u_char *) "epoch", 5, &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    n = ngx_atoi(value.data, value.len);

    if (n == NGX_ERROR) {
        value.len = ngx_min(value.len, 64);

        return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_parameter", "the parameter epoch must be an "
                             "epoch, it is \"%V\"", &value);
    }

    *other = ((uint64_t) n != ngx_http_blockcast_hub_epoch());

    return NGX_DECLINED;
}


/*
 * Handles ?wait=10s&after=SEQ&epoch=E: responds with the first seq after SEQ,
 * at once if E is another epoch, or with 204 when the time is up.  Returns
 * NGX_DECLINED when the request does not ask to wait, or there is nothing to
 * wait for; otherwise what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_rest_wait(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub)
{
    u_char                        *p;
    ngx_int_t                      rc, msec, after;
    ngx_str_t                      value;
    ngx_uint_t                     other;
    ngx_http_blockcast_refusal_t   refusal;

    /* a subrequest does not wait: it would hold up the whole response */

    if (ngx_http_arg(r, (u_char *) "wait", 4, &value) != NGX_OK
        || r->method != NGX_HTTP_GET
        || r != r->main || r->post_action
        || ngx_http_get_module_ctx(r, ngx_http_blockcast_module) != NULL)
    {
        return NGX_DECLINED;
    }

    msec = ngx_parse_time(&value, 0);

    if (msec == NGX_ERROR || msec > NGX_HTTP_BLOCKCAST_MAX_WAIT) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_parameter", "the parameter wait must be a "
                             "time up to %ds like 10s, it is \"%V\"",
                             NGX_HTTP_BLOCKCAST_MAX_WAIT / 1000, &value);
    }

    after = (hub->newest != NULL) ? (ngx_int_t) hub->snap.seq : 0;

    if (ngx_http_arg(r, (u_char *) "after", 5, &value) == NGX_OK) {
        after = ngx_atoi(value.data, value.len);

        if (after == NGX_ERROR) {
            return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_parameter", "the parameter after must be a "
                             "seq, it is \"%V\"", &value);
        }
    }

    rc = ngx_http_blockcast_rest_other_epoch(r, &other);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (msec == 0 || other
        || (hub->newest != NULL && hub->snap.seq != (uint64_t) after))
    {
        /* respond now: a seq above the newest one is of another epoch */

        return NGX_DECLINED;
    }

    /* a waiting request counts as a client */

    if (ngx_http_blockcast_access_limits(r, &refusal) != NGX_OK) {

        p = ngx_pnalloc(r->pool, NGX_INT_T_LEN);

        if (p == NULL
            || ngx_http_blockcast_respond_header(r, "Retry-After", (char *) p,
                            ngx_sprintf(p, "%ui", refusal.retry_after) - p)
               != NGX_OK)
        {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        ngx_http_blockcast_count(ngx_http_blockcast_n_refused, 1);

        return ngx_http_blockcast_rest_error(r, NGX_HTTP_SERVICE_UNAVAILABLE,
                             "too_many_connections", "as many clients are "
                             "connected as it takes here, ask without wait "
                             "or try again later");
    }

    return ngx_http_blockcast_longpoll_wait(r, hub, after, msec,
                                            ngx_http_blockcast_rest_waited);
}


static ngx_int_t
ngx_http_blockcast_rest_waited(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t over)
{
    ngx_int_t  rc;

    if (!over) {
        return ngx_http_blockcast_rest_send(r, hub, 1);
    }

    if (hub->newest == NULL) {
        return ngx_http_blockcast_rest_waiting(r, hub);
    }

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-store", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->headers_out.status = NGX_HTTP_NO_CONTENT;
    r->header_only = 1;

    rc = ngx_http_send_header(r);

    return (rc == NGX_ERROR) ? rc : ngx_http_send_special(r, NGX_HTTP_LAST);
}


/*
 * Responds with the newest snapshot: the whole message, or only its "data"
 * when `whole` is 0.  Returns what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_rest_snapshot(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t whole)
{
    ngx_int_t  rc;

    ngx_http_blockcast_hub_demand(hub);
    ngx_http_blockcast_hub_refresh(hub);

    rc = ngx_http_blockcast_rest_load(r, hub);

    if (rc != NGX_DECLINED) {
        return rc;
    }

    if (whole) {
        rc = ngx_http_blockcast_rest_wait(r, hub);

        if (rc != NGX_DECLINED) {
            return rc;
        }
    }

    return ngx_http_blockcast_rest_send(r, hub, whole);
}


/*
 * Waits until a large snapshot is copied to this worker, which takes several
 * turns of the event loop: the worker may not have had a client for it.
 * Returns NGX_DECLINED when there is nothing to wait for, otherwise what the
 * content handler returns.  The request is then handled again, and has what
 * was newest when it came, or newer; it does not wait a second time, as new
 * data may come faster than it is copied.
 */

static ngx_int_t
ngx_http_blockcast_rest_load(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub)
{
    uint64_t                      seq;
    ngx_http_blockcast_refusal_t  refusal;

    seq = ngx_http_blockcast_hub_load_seq(hub);

    if (seq == 0 || ngx_http_blockcast_rest_is_loaded) {
        return NGX_DECLINED;
    }

    if (r != r->main || r->post_action
        || ngx_http_get_module_ctx(r, ngx_http_blockcast_module) != NULL
        || ngx_http_blockcast_access_limits(r, &refusal) != NGX_OK)
    {
        (void) ngx_http_blockcast_hub_sync(hub);
        return NGX_DECLINED;
    }

    return ngx_http_blockcast_longpoll_wait(r, hub, seq - 1,
                                            NGX_HTTP_BLOCKCAST_LOAD,
                                            ngx_http_blockcast_rest_loaded);
}


static ngx_int_t
ngx_http_blockcast_rest_loaded(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t over)
{
    ngx_int_t                       rc;
    ngx_http_blockcast_loc_conf_t  *blcf;

    if (over) {

        /* the worker exits, or is very busy */

        (void) ngx_http_blockcast_hub_sync(hub);
    }

    /* clear the context: the request may have to wait for something else */

    ngx_http_set_ctx(r, NULL, ngx_http_blockcast_module);

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    ngx_http_blockcast_rest_is_loaded = 1;
    rc = blcf->kind->handler(r);
    ngx_http_blockcast_rest_is_loaded = 0;

    return rc;
}


static void
ngx_http_blockcast_rest_free(void *data)
{
    ngx_http_blockcast_frame_free(data);
}


static ngx_int_t
ngx_http_blockcast_rest_send(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t whole)
{
    ngx_str_t                    body, tail;
    ngx_pool_cleanup_t          *cln;
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_encoding_cache_snapshot(hub);

    if (frame == NULL) {
        return ngx_http_blockcast_rest_first(r, hub);
    }

    /* the frame is not copied: a slow client keeps a reference to it */

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL || ngx_http_blockcast_rest_headers(r, hub) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    frame->refs++;

    cln->handler = ngx_http_blockcast_rest_free;
    cln->data = frame;

    ngx_str_null(&tail);

    if (whole) {

        /* the tail replaces the last brace */

        body.data = frame->data + frame->payload;
        body.len = frame->len - frame->payload - 1;

        tail.data = ngx_pnalloc(r->pool, sizeof(",\"epoch\":}")
                                         + NGX_INT64_LEN);
        if (tail.data == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        tail.len = ngx_sprintf(tail.data, ",\"epoch\":%uL}",
                               ngx_http_blockcast_hub_epoch())
                   - tail.data;

    } else {
        body.data = frame->data + hub->snap.data;
        body.len = hub->snap.data_len;
    }

    return ngx_http_blockcast_respond_parts(r, NGX_HTTP_OK, "application/json",
                                            &body, &tail);
}


ngx_int_t
ngx_http_blockcast_rest_number(ngx_http_request_t *r, const char *name,
    ngx_uint_t max, ngx_uint_t *number, ngx_int_t *rc)
{
    ngx_int_t  n;
    ngx_str_t  value;

    if (ngx_http_arg(r, (u_char *) name, ngx_strlen(name), &value) != NGX_OK) {
        return NGX_DECLINED;
    }

    n = ngx_atoi(value.data, value.len);

    if (n == NGX_ERROR || (ngx_uint_t) n > max) {
        value.len = ngx_min(value.len, 64);

        *rc = ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_parameter", "the parameter %s must be a "
                             "number from 0 to %ui, it is \"%V\"",
                             name, max, &value);
        return NGX_DONE;
    }

    *number = n;

    return NGX_OK;
}


/* Returns the bytes of a log's entry, not copied; n is 0 for the oldest. */

static bc_span_t
ngx_http_blockcast_rest_entry(ngx_http_blockcast_hub_t *hub, ngx_uint_t n)
{
    bc_span_t                          entry;
    ngx_http_blockcast_ring_record_t  *rec;

    rec = ngx_http_blockcast_hub_entry(hub, n);

    entry.data = ngx_http_blockcast_ring_record_data(rec);
    entry.len = rec->len;

    return entry;
}


/*
 * Prints what follows the entries: the counts, and the limit and offset of the
 * request.  *tail begins with '{', for which the caller puts a comma.
 */

static ngx_int_t
ngx_http_blockcast_rest_entries_tail(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_rest_page_t *page,
    ngx_str_t *tail)
{
    cJSON                          *root;
    ngx_http_blockcast_json_out_t   out;

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_value(&out, root, "count", "%ui", page->count);
    ngx_http_blockcast_json_out_value(&out, root, "total", "%ui", page->total);
    ngx_http_blockcast_json_out_value(&out, root, "limit", "%ui", page->limit);
    ngx_http_blockcast_json_out_value(&out, root, "offset", "%ui",
                                      page->offset);
    ngx_http_blockcast_json_out_value(&out, root, "seq", "%uL",
                                      hub->snap.seq);
    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%uL",
                                      hub->snap.timestamp);
    ngx_http_blockcast_json_out_value(&out, root, "epoch", "%uL",
                                      ngx_http_blockcast_hub_epoch());

    return ngx_http_blockcast_json_out_pool(&out, r->pool, tail);
}


/*
 * Brings the index of a log up to date for a filter.  Returns NGX_OK, or what
 * the content handler returns: the first filter after a start has to index
 * every entry, which takes several turns of the event loop.
 */

static ngx_int_t
ngx_http_blockcast_rest_filter(ngx_http_request_t *r,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_filter_t *filter)
{
    ngx_int_t                            rc;
    ngx_http_blockcast_refusal_t         refusal;
    ngx_http_blockcast_rest_filtered_t  *rf;

    rc = ngx_http_blockcast_filter_index_update(hub, filter);

    if (rc == NGX_AGAIN
        && r == r->main && !r->post_action
        && ngx_http_get_module_ctx(r, ngx_http_blockcast_module) == NULL
        && ngx_http_blockcast_access_limits(r, &refusal) == NGX_OK)
    {
        rf = ngx_http_blockcast_held_request_create(r,
                                   sizeof(ngx_http_blockcast_rest_filtered_t),
                                   NGX_HTTP_BLOCKCAST_LONGPOLL,
                                   ngx_http_blockcast_rest_filter_event);
        if (rf == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        rf->hub = hub;
        rf->filter = *filter;

        ngx_http_blockcast_held_request_hold(&rf->held,
                                             ngx_http_request_empty_handler);
        ngx_http_blockcast_fanout_later(&rf->held.event);

        return NGX_DONE;
    }

    while (rc == NGX_AGAIN) {

        /* it cannot be held: a subrequest, or one that has waited before */

        rc = ngx_http_blockcast_filter_index_update(hub, filter);
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_http_blockcast_rest_filter_event(ngx_event_t *ev)
{
    ngx_connection_t                    *c;
    ngx_http_request_t                  *r;
    ngx_http_blockcast_rest_filtered_t  *rf;

    rf = ev->data;
    r = rf->held.conn.request;
    c = r->connection;

    if (!ev->timedout
        && ngx_http_blockcast_filter_index_update(rf->hub, &rf->filter)
           == NGX_AGAIN)
    {
        ngx_http_blockcast_fanout_later(ev);
        return;
    }

    rf->held.held = 0;
    ev->timedout = 0;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    ngx_http_finalize_request(r, ngx_http_blockcast_rest_again(r, rf->hub,
                                                               0));
    ngx_http_run_posted_requests(c);
}


/*
 * Responds with the newest entries of a log, newest first.  This is the data
 * path: the bytes of the entries are copied unchanged.
 */

static ngx_int_t
ngx_http_blockcast_rest_entries(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st)
{
    u_char                          *p;
    size_t                           size;
    bc_span_t                        entry;
    ngx_int_t                        rc;
    ngx_str_t                        body, tail;
    ngx_uint_t                       i, *found;
    ngx_http_blockcast_hub_t        *hub;
    ngx_http_blockcast_filter_t      filter;
    ngx_http_blockcast_rest_page_t   page;

    page.count = 0;
    page.total = 0;
    page.limit = NGX_HTTP_BLOCKCAST_LIMIT;
    page.offset = 0;

    if (ngx_http_blockcast_rest_number(r, "limit",
                                       NGX_HTTP_BLOCKCAST_MAX_LIMIT,
                                       &page.limit, &rc)
        == NGX_DONE
        || ngx_http_blockcast_rest_number(r, "offset", 1000000000,
                                          &page.offset, &rc)
           == NGX_DONE)
    {
        return rc;
    }

    rc = ngx_http_blockcast_filter_parse(r, &filter);

    if (rc == NGX_DECLINED) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_parameter", BC_LOG_FILTER_MANY);
    }

    if (rc != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hub = ngx_http_blockcast_hub_of(st);

    ngx_http_blockcast_hub_demand(hub);
    ngx_http_blockcast_hub_refresh(hub);

    if (hub->newest == NULL) {
        return ngx_http_blockcast_rest_first(r, hub);
    }

    if (filter.nmembers != 0) {
        rc = ngx_http_blockcast_rest_filter(r, hub, &filter);

        if (rc != NGX_OK) {
            return rc;
        }
    }

    page.count = ngx_min(page.limit, hub->count);

    found = ngx_palloc(r->pool, (page.count + 1) * sizeof(ngx_uint_t));
    if (found == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    page.total = ngx_http_blockcast_filter_index_find(hub, &filter,
                                                      page.offset, found,
                                                      &page.count);
    size = 0;

    for (i = 0; i < page.count; i++) {
        size += ngx_http_blockcast_rest_entry(hub, found[i]).len + 1;
    }

    if (ngx_http_blockcast_rest_entries_tail(r, hub, &page, &tail) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    p = ngx_pnalloc(r->pool, sizeof("{\"\":[]") + st->field.len + size
                             + tail.len);
    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    body.data = p;

    p = ngx_sprintf(p, "{\"%V\":[", &st->field);

    for (i = 0; i < page.count; i++) {
        entry = ngx_http_blockcast_rest_entry(hub, found[i]);

        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, entry.data, entry.len);
    }

    *p++ = ']';
    *p++ = ',';
    p = ngx_cpymem(p, tail.data + 1, tail.len - 1);

    body.len = p - body.data;

    if (ngx_http_blockcast_rest_headers(r, hub) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_blockcast_respond(r, NGX_HTTP_OK, "application/json",
                                      &body);
}


static ngx_int_t
ngx_http_blockcast_rest_streams(ngx_http_request_t *r, uint64_t allowed)
{
    cJSON                           *root, *rows;
    ngx_str_t                        body;
    ngx_http_blockcast_stream_t    **st;
    ngx_http_blockcast_json_out_t    out;
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_http_blockcast_main_conf_t  *bmcf;

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);
    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);

    if (ngx_http_blockcast_respond_header(r, "Cache-Control", "no-cache", 8)
        != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_value(&out, root, "epoch", "%uL",
                                      ngx_http_blockcast_hub_epoch());
    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());
    ngx_http_blockcast_health_add_totals(&out, root, bmcf, blcf->offers,
                                         allowed);

    rows = ngx_http_blockcast_json_out_array(&out, root, "streams");

    for (st = blcf->offers; *st != NULL; st++) {
        if (allowed & ((uint64_t) 1 << (*st)->index)) {
            ngx_http_blockcast_health_add_stream(&out, rows, *st);
        }
    }

    if (ngx_http_blockcast_json_out_pool(&out, r->pool, &body) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    return ngx_http_blockcast_respond(r, NGX_HTTP_OK, "application/json",
                                      &body);
}
