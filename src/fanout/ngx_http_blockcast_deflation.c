
/*
 * Deflations: frames that take long to compress, to convert to CBOR or to copy
 * are processed in pieces, over several turns of the event loop.
 */


#include "ngx_http_blockcast_deflation.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_cbor_encode.h"
#include "bc_ws_frame.h"
#include "bc_ws_deflate.h"


/* bytes compressed at a time, and the time for that in one turn (usec) */
#define NGX_HTTP_BLOCKCAST_DEFLATION_PIECE  16384
#define NGX_HTTP_BLOCKCAST_DEFLATION_TIME   500

/* bytes copied at a time */
#define NGX_HTTP_BLOCKCAST_DEFLATION_COPY   65536


struct ngx_http_blockcast_deflation_s {
    ngx_queue_t                   queue;
    ngx_http_blockcast_frame_t   *frame;
    ngx_http_blockcast_frame_t   *z;
    bc_ws_deflate_t              *state;
    bc_cbor_encode_t             *cbor;         /* for CBOR, instead of
                                                   state */

    /* to copy, instead of both: what is left, what follows, and the output */
    bc_span_t                     text;
    bc_span_t                     tail;
    u_char                       *dst;

    ngx_http_blockcast_deflation_pt  handler;
    void                         *data;
    ngx_uint_t                    n;
};


static ngx_http_blockcast_deflation_t *ngx_http_blockcast_deflation_alloc(
    size_t size);
static ngx_http_blockcast_deflation_t *ngx_http_blockcast_deflation_add(
    ngx_http_blockcast_deflation_t *d, ngx_http_blockcast_frame_t *frame,
    ngx_http_blockcast_deflation_pt handler, void *data, ngx_uint_t n);
static void ngx_http_blockcast_deflation_event_handler(ngx_event_t *ev);


static ngx_queue_t       ngx_http_blockcast_deflations;
static ngx_event_t       ngx_http_blockcast_deflation_event;
static ngx_connection_t  ngx_http_blockcast_deflation_dummy;


void
ngx_http_blockcast_deflation_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_blockcast_deflations);

    /* debug logging reads the descriptor of an event's connection */

    ngx_http_blockcast_deflation_dummy.fd = (ngx_socket_t) -1;

    ngx_http_blockcast_deflation_event.handler =
                                   ngx_http_blockcast_deflation_event_handler;
    ngx_http_blockcast_deflation_event.log = cycle->log;
    ngx_http_blockcast_deflation_event.data =
                                          &ngx_http_blockcast_deflation_dummy;
}


ngx_http_blockcast_deflation_t *
ngx_http_blockcast_deflation_start(ngx_http_blockcast_frame_t *frame,
    ngx_http_blockcast_deflation_pt handler, void *data, ngx_uint_t n)
{
    size_t                           plain;
    ngx_http_blockcast_deflation_t  *d;

    plain = frame->len - frame->payload;

    d = ngx_http_blockcast_deflation_alloc(plain);
    if (d == NULL) {
        return NULL;
    }

    d->state = bc_ws_deflate_begin(frame->data + frame->payload, plain, 15,
                                   bc_ws_deflate_level(plain),
                                   d->z->data + d->z->payload, plain * 9 / 10);
    if (d->state == NULL) {
        ngx_http_blockcast_frame_free(d->z);
        ngx_free(d);
        return NULL;
    }

    return ngx_http_blockcast_deflation_add(d, frame, handler, data, n);
}


ngx_http_blockcast_deflation_t *
ngx_http_blockcast_deflation_cbor(ngx_http_blockcast_frame_t *frame,
    ngx_http_blockcast_deflation_pt handler, void *data, ngx_uint_t n)
{
    size_t                           size;
    bc_span_t                        json;
    ngx_http_blockcast_deflation_t  *d;

    json.data = frame->data + frame->payload;
    json.len = frame->len - frame->payload;
    size = bc_cbor_encode_bound(json.len);

    d = ngx_http_blockcast_deflation_alloc(size);
    if (d == NULL) {
        return NULL;
    }

    d->cbor = bc_cbor_encode_begin(json, d->z->data + d->z->payload, size);
    if (d->cbor == NULL) {
        ngx_http_blockcast_frame_free(d->z);
        ngx_free(d);
        return NULL;
    }

    return ngx_http_blockcast_deflation_add(d, frame, handler, data, n);
}


ngx_http_blockcast_deflation_t *
ngx_http_blockcast_deflation_wrap(ngx_http_blockcast_frame_t *frame,
    ngx_str_t *head, bc_span_t text, bc_span_t tail,
    ngx_http_blockcast_deflation_pt handler, void *data, ngx_uint_t n)
{
    ngx_http_blockcast_deflation_t  *d;

    d = ngx_http_blockcast_deflation_alloc(head->len + text.len + tail.len);
    if (d == NULL) {
        return NULL;
    }

    /* write behind the header of that length, so that nothing moves later */

    d->z->payload = bc_ws_frame_header_len(head->len + text.len + tail.len);
    d->dst = ngx_cpymem(d->z->data + d->z->payload, head->data, head->len);
    d->text = text;
    d->tail = tail;

    return ngx_http_blockcast_deflation_add(d, frame, handler, data, n);
}


static ngx_http_blockcast_deflation_t *
ngx_http_blockcast_deflation_alloc(size_t size)
{
    ngx_http_blockcast_deflation_t  *d;

    d = ngx_calloc(sizeof(ngx_http_blockcast_deflation_t), ngx_cycle->log);
    if (d == NULL) {
        return NULL;
    }

    d->z = ngx_http_blockcast_frame_alloc(size);
    if (d->z == NULL) {
        ngx_free(d);
        return NULL;
    }

    return d;
}


static ngx_http_blockcast_deflation_t *
ngx_http_blockcast_deflation_add(ngx_http_blockcast_deflation_t *d,
    ngx_http_blockcast_frame_t *frame, ngx_http_blockcast_deflation_pt handler,
    void *data, ngx_uint_t n)
{
    frame->refs++;

    d->frame = frame;
    d->handler = handler;
    d->data = data;
    d->n = n;

    ngx_queue_insert_tail(&ngx_http_blockcast_deflations, &d->queue);

    if (!ngx_http_blockcast_deflation_event.posted) {
        ngx_post_event(&ngx_http_blockcast_deflation_event,
                       &ngx_posted_next_events);
    }

    return d;
}


void
ngx_http_blockcast_deflation_cancel(ngx_http_blockcast_deflation_t *d)
{
    if (d == NULL) {
        return;
    }

    ngx_queue_remove(&d->queue);

    bc_ws_deflate_end(d->state);
    bc_cbor_encode_end(d->cbor);
    ngx_http_blockcast_frame_free(d->frame);
    ngx_http_blockcast_frame_free(d->z);
    ngx_free(d);
}


/* Copies a piece, and returns as bc_ws_deflate_step() does. */

static int
ngx_http_blockcast_deflation_copy(ngx_http_blockcast_deflation_t *d,
    size_t *len)
{
    size_t  n;

    n = ngx_min(d->text.len, NGX_HTTP_BLOCKCAST_DEFLATION_COPY);

    d->dst = ngx_cpymem(d->dst, d->text.data, n);
    d->text.data += n;
    d->text.len -= n;

    if (d->text.len != 0) {
        return 1;
    }

    d->dst = ngx_cpymem(d->dst, d->tail.data, d->tail.len);
    *len = d->dst - d->z->data - d->z->payload;

    return 0;
}


/* Continues with the one that was started first. */

static void
ngx_http_blockcast_deflation_event_handler(ngx_event_t *ev)
{
    int                              rc;
    size_t                           len;
    uint64_t                         began;
    ngx_queue_t                     *q;
    ngx_http_blockcast_frame_t      *z;
    ngx_http_blockcast_deflation_t  *d;

    if (ngx_queue_empty(&ngx_http_blockcast_deflations)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_blockcast_deflations);
    d = ngx_queue_data(q, ngx_http_blockcast_deflation_t, queue);

    began = ngx_http_blockcast_zone_usec();
    len = 0;

    do {
        rc = (d->dst != NULL)
             ? ngx_http_blockcast_deflation_copy(d, &len)
             : (d->cbor != NULL)
             ? bc_cbor_encode_step(d->cbor, NGX_HTTP_BLOCKCAST_DEFLATION_PIECE,
                                   &len)
             : bc_ws_deflate_step(d->state, NGX_HTTP_BLOCKCAST_DEFLATION_PIECE,
                                  &len);

    } while (rc == 1
             && ngx_http_blockcast_zone_usec() - began
                < NGX_HTTP_BLOCKCAST_DEFLATION_TIME);

    if (rc != 1) {
        z = NULL;

        if (rc == 0) {
            z = d->z;
            d->z = NULL;

            if (d->dst != NULL) {
                ngx_http_blockcast_frame_finish(z, BC_WS_TEXT, len);

            } else if (d->cbor != NULL) {
                ngx_http_blockcast_frame_finish(z, BC_WS_BINARY, len);

            } else {
                ngx_http_blockcast_frame_deflated(z, d->frame, len);
            }
        }

        d->handler(d->data, d->n, z);

        ngx_http_blockcast_deflation_cancel(d);
    }

    if (!ngx_queue_empty(&ngx_http_blockcast_deflations)) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}
