
/*
 * The history of a stream over plain HTTP, in JSON and CSV.
 */


#include "ngx_http_blockcast_history_rest.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_header.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_history_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_held_request.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_rest.h"


/* a request, or one that waits until its text is made */

typedef struct {
    ngx_http_blockcast_held_request_t  held;    /* must be first: it is cast */
    ngx_http_blockcast_hub_t          *hub;
    ngx_uint_t                         ring;
    ngx_uint_t                         points;
    ngx_http_blockcast_history_form_e  form;
} ngx_http_blockcast_history_waiting_t;


/*
 * Chooses the form: that of the argument format= (*value) if there is one;
 * otherwise CSV if the Accept header names text/csv, else JSON.  Returns
 * NGX_DECLINED when format= is unknown.
 */

static ngx_int_t
ngx_http_blockcast_history_rest_form(ngx_http_request_t *r,
    ngx_http_blockcast_history_form_e *form, ngx_str_t *value)
{
    ngx_str_t  *accept;

    *form = ngx_http_blockcast_history_as_json;

    if (ngx_http_arg(r, (u_char *) "format", 6, value) == NGX_OK) {

        if (value->len == 3 && ngx_strncmp(value->data, "csv", 3) == 0) {
            *form = ngx_http_blockcast_history_as_csv;
            return NGX_OK;
        }

        return (value->len == 4 && ngx_strncmp(value->data, "json", 4) == 0)
               ? NGX_OK : NGX_DECLINED;
    }

    accept = ngx_http_blockcast_header_value(r, "Accept");

    if (accept != NULL
        && ngx_strlcasestrn(accept->data, accept->data + accept->len,
                            (u_char *) "text/csv", sizeof("text/csv") - 2)
           != NULL)
    {
        *form = ngx_http_blockcast_history_as_csv;
    }

    return NGX_OK;
}


/*
 * Returns the number of the ring that range= names, or of the first one
 * without range=.  If there is no such ring, responds with the names of those
 * there are and returns NGX_ERROR: *rc is what the content handler returns.
 */

static ngx_int_t
ngx_http_blockcast_history_rest_range(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st, ngx_int_t *rc)
{
    u_char      *p, *last, text[128];
    ngx_int_t    ring;
    ngx_str_t    value, names;
    ngx_uint_t   i;

    if (st->history == NULL) {
        *rc = ngx_http_blockcast_rest_error(r, NGX_HTTP_NOT_FOUND,
                             "no_history", "no history is kept of stream %V",
                             &st->name);
        return NGX_ERROR;
    }

    if (ngx_http_arg(r, (u_char *) "range", 5, &value) != NGX_OK) {
        ngx_str_null(&value);
    }

    ring = ngx_http_blockcast_history_ring(st, &value);

    if (ring != NGX_ERROR) {
        return ring;
    }

    p = text;
    last = text + sizeof(text);

    for (i = 0; i < st->history->shape.nrings; i++) {
        p = ngx_slprintf(p, last, "%s%V", (i != 0) ? ", " : "",
                         &st->history->rings[i]);
    }

    names.data = text;
    names.len = p - text;
    value.len = ngx_min(value.len, 64);

    *rc = ngx_http_blockcast_rest_error(r, NGX_HTTP_NOT_FOUND,
                             "unknown_range", "the history of stream %V has "
                             "no range \"%V\"; there are %V", &st->name,
                             &value, &names);
    return NGX_ERROR;
}


/*
 * Goes on with a request when its text is made, or it has waited too long: the
 * content handler runs again.
 */

static void
ngx_http_blockcast_history_rest_event(ngx_event_t *ev)
{
    uint64_t                               hash;
    ngx_connection_t                      *c;
    ngx_http_request_t                    *r;
    ngx_http_blockcast_frame_t            *frame;
    ngx_http_blockcast_loc_conf_t         *blcf;
    ngx_http_blockcast_history_waiting_t  *w;

    w = ev->data;
    r = w->held.conn.request;
    c = r->connection;

    if (!ev->timedout
        && ngx_http_blockcast_history_text(w->hub, w->ring, w->form, w->points,
                                           ngx_http_blockcast_history_waited,
                                           &frame, &hash)
           == NGX_AGAIN)
    {
        ngx_http_blockcast_fanout_later(ev);
        return;
    }

    w->held.held = 0;
    ev->timedout = 0;

    if (ev->timer_set) {
        ngx_del_timer(ev);
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    ngx_http_finalize_request(r, blcf->kind->handler(r));
    ngx_http_run_posted_requests(c);
}


/*
 * Finds the text for a request, or holds that until it is made, in several
 * turns of the event loop.  Returns NGX_OK with a text; or what the content
 * handler returns.
 */

static ngx_int_t
ngx_http_blockcast_history_rest_text(ngx_http_request_t *r,
    ngx_http_blockcast_history_waiting_t *what,
    ngx_http_blockcast_frame_t **frame, uint64_t *hash)
{
    void                                  *ctx;
    ngx_int_t                              rc;
    ngx_http_blockcast_refusal_t           refusal;
    ngx_http_blockcast_history_waiting_t  *w;

    ctx = ngx_http_get_module_ctx(r, ngx_http_blockcast_module);

    rc = ngx_http_blockcast_history_text(what->hub, what->ring, what->form,
                                         what->points,
                                         (ctx != NULL)
                                         ? ngx_http_blockcast_history_waited
                                         : ngx_http_blockcast_history_comes,
                                         frame, hash);

    if (rc == NGX_AGAIN && r == r->main && !r->post_action && ctx == NULL
        && ngx_http_blockcast_access_limits(r, &refusal) == NGX_OK)
    {
        w = ngx_http_blockcast_held_request_create(r,
                                 sizeof(ngx_http_blockcast_history_waiting_t),
                                 NGX_HTTP_BLOCKCAST_LONGPOLL,
                                 ngx_http_blockcast_history_rest_event);
        if (w == NULL) {
            return NGX_HTTP_INTERNAL_SERVER_ERROR;
        }

        w->hub = what->hub;
        w->ring = what->ring;
        w->form = what->form;
        w->points = what->points;

        ngx_http_blockcast_held_request_hold(&w->held,
                                             ngx_http_request_empty_handler);
        ngx_http_blockcast_fanout_later(&w->held.event);

        return NGX_DONE;
    }

    if (rc == NGX_AGAIN) {

        /* it cannot be held: a subrequest, or one that has waited before */

        rc = ngx_http_blockcast_history_text(
                                     what->hub, what->ring, what->form,
                                     what->points,
                                     ngx_http_blockcast_history_hurries,
                                     frame, hash);
    }

    return (rc == NGX_OK) ? NGX_OK : NGX_HTTP_INTERNAL_SERVER_ERROR;
}


static void
ngx_http_blockcast_history_rest_free(void *data)
{
    ngx_http_blockcast_frame_free(data);
}


ngx_int_t
ngx_http_blockcast_history_rest(ngx_http_request_t *r,
    ngx_http_blockcast_stream_t *st)
{
    u_char                             *p;
    uint64_t                            hash;
    ngx_int_t                           rc, refused, ring;
    ngx_str_t                           value, body, etag;
    ngx_uint_t                          points;
    ngx_pool_cleanup_t                 *cln;
    ngx_http_blockcast_hub_t           *hub;
    ngx_http_blockcast_frame_t         *frame;
    ngx_http_blockcast_history_form_e   form;
    ngx_http_blockcast_history_waiting_t  what;

    ring = ngx_http_blockcast_history_rest_range(r, st, &rc);

    if (ring == NGX_ERROR) {
        return rc;
    }

    points = 0;

    rc = ngx_http_blockcast_rest_number(r, "points", BC_HISTORY_SLOTS, &points,
                                        &refused);
    if (rc == NGX_DONE) {
        return refused;
    }

    if (rc == NGX_OK && points == 0) {
        return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_parameter", "the parameter points must be a "
                             "number from 1 to %d, it is \"0\"",
                             BC_HISTORY_SLOTS);
    }

    if (ngx_http_blockcast_history_rest_form(r, &form, &value) != NGX_OK) {
        value.len = ngx_min(value.len, 64);

        return ngx_http_blockcast_rest_error(r, NGX_HTTP_BAD_REQUEST,
                             "bad_parameter", "the parameter format must be "
                             "json or csv, it is \"%V\"", &value);
    }

    hub = ngx_http_blockcast_hub_of(st);

    ngx_http_blockcast_hub_demand(hub);
    ngx_http_blockcast_hub_refresh(hub);

    what.hub = hub;
    what.ring = ring;
    what.form = form;
    what.points = points;

    rc = ngx_http_blockcast_history_rest_text(r, &what, &frame, &hash);

    if (rc != NGX_OK) {
        return rc;
    }

    cln = ngx_pool_cleanup_add(r->pool, 0);

    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* the text is not copied: a slow client keeps a reference to it */

    frame->refs++;

    cln->handler = ngx_http_blockcast_history_rest_free;
    cln->data = frame;

    p = ngx_pnalloc(r->pool, 32);

    if (p == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    etag.data = p;
    etag.len = ngx_sprintf(p, "\"%016xL\"", hash) - p;

    if (ngx_http_blockcast_rest_fresh_headers(r, hub, &etag) != NGX_OK
        || ngx_http_blockcast_respond_vary(r, "Accept") != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    hub->delivered++;

    body.data = frame->data + frame->payload;
    body.len = frame->len - frame->payload;

    return ngx_http_blockcast_respond(r, NGX_HTTP_OK,
                             (form == ngx_http_blockcast_history_as_csv)
                             ? "text/csv" : "application/json", &body);
}
