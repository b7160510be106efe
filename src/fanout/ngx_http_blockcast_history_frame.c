
/*
 * The messages with the history of a stream.
 *
 * A message has all values of a ring, so it is not made for each client.  A
 * worker keeps the last few messages, together with the version of the history
 * and the time slot that they were made from.
 */


#include "ngx_http_blockcast_history_frame.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_deflation.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "bc_history.h"
#include "bc_history_text.h"
#include "bc_siphash.h"
#include "bc_ws_deflate.h"
#include "bc_ws_frame.h"


/* how many texts a worker keeps, for all streams together */
#define NGX_HTTP_BLOCKCAST_HISTORY_TEXTS  32

/* how long a text is kept after its last use (msec) */
#define NGX_HTTP_BLOCKCAST_HISTORY_KEPT   30000


/* the forms of a text: JSON and CBOR, each followed by its deflated form */

#define NGX_HTTP_BLOCKCAST_HISTORY_TEXT    0
#define NGX_HTTP_BLOCKCAST_HISTORY_CBOR    2
#define NGX_HTTP_BLOCKCAST_HISTORY_FRAMES  4


typedef struct {
    ngx_http_blockcast_hub_t     *hub;          /* NULL: free */
    ngx_uint_t                    ring;
    ngx_http_blockcast_history_form_e  form;
    uint32_t                      joined;       /* slots in a point */

    uint64_t                      version;      /* of the history it was made
                                                   from */
    uint64_t                      last;         /* newest slot of the ring */
    uint64_t                      epoch;
    uint64_t                      hash;
    ngx_msec_t                    used;
    ngx_uint_t                    tried;        /* bits: frames that were
                                                   made, or cannot be */
    unsigned                      late:1;       /* clients waited for the
                                                   previous text: do not let
                                                   them wait again */
    ngx_http_blockcast_deflation_t
        *deflations[NGX_HTTP_BLOCKCAST_HISTORY_FRAMES];
    ngx_http_blockcast_frame_t
        *frames[NGX_HTTP_BLOCKCAST_HISTORY_FRAMES];
} ngx_http_blockcast_history_text_t;


static ngx_http_blockcast_history_text_t
    ngx_http_blockcast_history_texts[NGX_HTTP_BLOCKCAST_HISTORY_TEXTS];


ngx_int_t
ngx_http_blockcast_history_ring(ngx_http_blockcast_stream_t *st,
    ngx_str_t *name)
{
    ngx_uint_t  i;

    if (st->history == NULL) {
        return NGX_ERROR;
    }

    if (name->len == 0) {
        return 0;
    }

    for (i = 0; i < st->history->shape.nrings; i++) {
        if (st->history->rings[i].len == name->len
            && ngx_memcmp(st->history->rings[i].data, name->data, name->len)
               == 0)
        {
            return i;
        }
    }

    return NGX_ERROR;
}


static void
ngx_http_blockcast_history_text_free(ngx_http_blockcast_history_text_t *text)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_FRAMES; i++) {
        ngx_http_blockcast_deflation_cancel(text->deflations[i]);
        ngx_http_blockcast_frame_free(text->frames[i]);
    }

    ngx_memzero(text, sizeof(ngx_http_blockcast_history_text_t));
}


void
ngx_http_blockcast_history_frame_tick(void)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_history_text_t  *text;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_TEXTS; i++) {
        text = &ngx_http_blockcast_history_texts[i];

        if (text->hub != NULL
            && (ngx_msec_int_t) (ngx_current_msec - text->used)
               > NGX_HTTP_BLOCKCAST_HISTORY_KEPT)
        {
            ngx_http_blockcast_history_text_free(text);
        }
    }
}


void
ngx_http_blockcast_history_frame_done(void)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_TEXTS; i++) {
        ngx_http_blockcast_history_text_free(
                                        &ngx_http_blockcast_history_texts[i]);
    }
}


/* Writes the members before the series to p, and returns their end. */

static u_char *
ngx_http_blockcast_history_head(u_char *p,
    ngx_http_blockcast_history_text_t *text, uint64_t from, uint64_t step)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_stream_t        *st;
    ngx_http_blockcast_history_conf_t  *history;

    st = text->hub->stream;
    history = st->history;

    p = ngx_sprintf(p, "{\"type\":\"history\",\"stream\":\"%V\","
                    "\"epoch\":%uL,\"now\":%T,\"range\":\"%V\",\"ranges\":[",
                    &st->name, text->epoch, ngx_time(),
                    &history->rings[text->ring]);

    for (i = 0; i < history->shape.nrings; i++) {
        p = ngx_sprintf(p, "%s\"%V\"", (i != 0) ? "," : "",
                        &history->rings[i]);
    }

    return ngx_sprintf(p, "],\"step\":%uL,\"from\":%uL,\"series\":", step,
                       from);
}


/*
 * Joins a ring's slots into points of `joined` slots each, which begin at a
 * multiple of that.  Returns the number of points, and their first slot in
 * *first.
 */

static uint32_t
ngx_http_blockcast_history_points(ngx_http_blockcast_history_text_t *text,
    bc_history_cell_t *cells, uint64_t *first)
{
    uint32_t             i, m, n, npoints, nmembers, nslots;
    uint64_t             oldest, slot, end;
    bc_history_cell_t    point;
    bc_history_shape_t  *shape;

    shape = &text->hub->stream->history->shape;
    nmembers = shape->nmembers;
    nslots = shape->rings[text->ring].nslots;
    oldest = text->last - nslots + 1;

    if (text->joined == 1) {
        *first = oldest;
        return nslots;
    }

    npoints = (nslots + text->joined - 1) / text->joined;
    *first = (text->last / text->joined - npoints + 1) * text->joined;

    /* works in place, as no point is written after the first of its slots */

    for (i = 0; i < npoints; i++) {
        slot = *first + (uint64_t) i * text->joined;
        end = ngx_min(slot + text->joined, text->last + 1);
        slot = ngx_max(slot, oldest);
        n = (end > slot) ? end - slot : 0;

        for (m = 0; m < nmembers; m++) {
            bc_history_join(&point, &cells[(slot - oldest) * nmembers + m], n,
                            nmembers);
            cells[(size_t) i * nmembers + m] = point;
        }
    }

    return npoints;
}


/*
 * Makes the text and its hash; the key in *text is already set.  Returns
 * NGX_ERROR without memory, or when the history cannot be read.
 */

static ngx_int_t
ngx_http_blockcast_history_text_make(ngx_http_blockcast_history_text_t *text)
{
    size_t                              len;
    u_char                             *buf, *p;
    uint32_t                            nslots, npoints;
    uint64_t                            first, step;
    bc_history_t                       *h;
    bc_history_cell_t                  *cells;
    ngx_http_blockcast_slot_t          *slot;
    ngx_http_blockcast_frame_t         *frame;
    ngx_http_blockcast_history_conf_t  *history;

    slot = text->hub->stream->slot;
    history = text->hub->stream->history;
    h = ngx_http_blockcast_slot_history(slot);
    nslots = history->shape.rings[text->ring].nslots;
    frame = NULL;

    cells = ngx_alloc((size_t) nslots * history->shape.nmembers
                      * sizeof(bc_history_cell_t), ngx_cycle->log);
    buf = ngx_alloc(512 + NGX_HTTP_BLOCKCAST_NAME_LEN
                    + bc_history_bound(&history->shape, nslots),
                    ngx_cycle->log);

    if (cells != NULL && buf != NULL
        && bc_history_read(h, text->ring, text->last, cells) == 0)
    {
        npoints = ngx_http_blockcast_history_points(text, cells, &first);
        step = (uint64_t) history->shape.rings[text->ring].step;
        first *= step;
        step *= text->joined;

        if (text->form == ngx_http_blockcast_history_as_csv) {
            p = bc_history_csv(buf, &history->shape, cells, npoints, first,
                               step);

        } else {
            p = ngx_http_blockcast_history_head(buf, text, first, step);
            p = bc_history_json(p, &history->shape, cells, npoints);
            *p++ = '}';
        }

        len = p - buf;
        frame = ngx_http_blockcast_frame_alloc(len);

        if (frame != NULL) {
            ngx_memcpy(frame->data + frame->payload, buf, len);
            ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT, len);

            text->hash = bc_siphash(slot->seed, buf, len);
        }
    }

    if (cells != NULL) {
        ngx_free(cells);
    }

    if (buf != NULL) {
        ngx_free(buf);
    }

    text->frames[NGX_HTTP_BLOCKCAST_HISTORY_TEXT] = frame;

    return (frame != NULL) ? NGX_OK : NGX_ERROR;
}


/*
 * Returns the text with the same key, or a place for it: a free one, or the
 * least recently used.
 */

static ngx_http_blockcast_history_text_t *
ngx_http_blockcast_history_find(ngx_http_blockcast_history_text_t *key)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_history_text_t  *text, *oldest;

    oldest = &ngx_http_blockcast_history_texts[0];

    for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_TEXTS; i++) {
        text = &ngx_http_blockcast_history_texts[i];

        if (text->hub == key->hub
            && text->ring == key->ring
            && text->form == key->form
            && text->joined == key->joined)
        {
            return text;
        }

        if (oldest->hub != NULL
            && (text->hub == NULL
                || (ngx_msec_int_t) (text->used - oldest->used) < 0))
        {
            oldest = text;
        }
    }

    return oldest;
}


static ngx_http_blockcast_history_text_t *
ngx_http_blockcast_history_get(ngx_http_blockcast_hub_t *hub, ngx_uint_t ring,
    ngx_http_blockcast_history_form_e form, ngx_uint_t points)
{
    uint32_t                            nslots;
    ngx_uint_t                          i;
    bc_history_t                       *h;
    ngx_http_blockcast_history_text_t  *text, key;

    h = ngx_http_blockcast_slot_history(hub->stream->slot);
    nslots = hub->stream->history->shape.rings[ring].nslots;

    ngx_memzero(&key, sizeof(ngx_http_blockcast_history_text_t));

    key.hub = hub;
    key.ring = ring;
    key.form = form;
    key.joined = (points == 0) ? 1 : (nslots + points - 1) / points;

    key.version = h->version;
    key.last = bc_history_last(h, ring, ngx_time());
    key.epoch = ngx_http_blockcast_hub_conf->zone->sh->epoch;

    text = ngx_http_blockcast_history_find(&key);

    if (text->hub != hub
        || text->ring != ring
        || text->form != form
        || text->joined != key.joined
        || text->version != key.version
        || text->last != key.last
        || text->epoch != key.epoch)
    {
        if (ngx_http_blockcast_history_text_make(&key) != NGX_OK) {
            return NULL;
        }

        for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_FRAMES; i++) {

            if (text->deflations[i] == NULL) {
                continue;
            }

            if (text->hub == hub && text->ring == ring
                && text->form == form && text->joined == key.joined)
            {
                key.late = 1;

            } else {
                ngx_http_blockcast_fanout_again(text->hub);
            }
        }

        ngx_http_blockcast_history_text_free(text);
        *text = key;
    }

    text->used = ngx_current_msec;

    return text;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_history_text(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t ring, ngx_http_blockcast_history_form_e form,
    ngx_uint_t points, uint64_t *hash)
{
    ngx_http_blockcast_history_text_t  *text;

    text = ngx_http_blockcast_history_get(hub, ring, form, points);

    if (text == NULL) {
        return NULL;
    }

    *hash = text->hash;

    return text->frames[NGX_HTTP_BLOCKCAST_HISTORY_TEXT];
}


/*
 * Stores a form that is ready, and starts the fan-out for the clients that
 * wait.
 */

static void
ngx_http_blockcast_history_ready(void *data, ngx_uint_t n,
    ngx_http_blockcast_frame_t *frame)
{
    ngx_http_blockcast_history_text_t *text = data;

    text->deflations[n] = NULL;
    text->frames[n] = frame;

    ngx_http_blockcast_fanout_again(text->hub);
}


/*
 * Sets *frame to one of the forms of a text, made if needed, without a
 * reference for the caller; or to NULL when there is none.  Returns NGX_AGAIN
 * when that takes several turns of the event loop, after which the fan-out
 * starts again.
 */

static ngx_int_t
ngx_http_blockcast_history_variant(ngx_http_blockcast_history_text_t *text,
    ngx_uint_t n, ngx_http_blockcast_frame_t **frame)
{
    size_t                            size;
    ngx_http_blockcast_frame_t       *plain;
    ngx_http_blockcast_deflation_t  **d;

    d = &text->deflations[n];

    if (*d != NULL) {
        return NGX_AGAIN;
    }

    *frame = text->frames[n];

    if (*frame != NULL || (text->tried & ((ngx_uint_t) 1 << n))) {
        return NGX_OK;
    }

    plain = text->frames[(n == NGX_HTTP_BLOCKCAST_HISTORY_CBOR)
                         ? NGX_HTTP_BLOCKCAST_HISTORY_TEXT : n - 1];
    size = plain->len - plain->payload;

    text->tried |= (ngx_uint_t) 1 << n;

    if (n == NGX_HTTP_BLOCKCAST_HISTORY_CBOR) {

        if (size > NGX_HTTP_BLOCKCAST_CBOR_AT_ONCE && !text->late) {
            *d = ngx_http_blockcast_deflation_cbor(plain,
                                              ngx_http_blockcast_history_ready,
                                              text, n);
            if (*d != NULL) {
                return NGX_AGAIN;
            }
        }

        *frame = ngx_http_blockcast_subprotocol_frame(ngx_http_blockcast_cbor,
                                                      text->hub, plain);

    } else if (size <= NGX_HTTP_BLOCKCAST_DEFLATE_AT_ONCE) {
        *frame = ngx_http_blockcast_frame_deflate(plain);

    } else if (!text->late) {
        *d = ngx_http_blockcast_deflation_start(plain,
                                              ngx_http_blockcast_history_ready,
                                              text, n);
        if (*d != NULL) {
            return NGX_AGAIN;
        }
    }

    text->frames[n] = *frame;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_history_frame(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t ring,
    ngx_http_blockcast_frame_t **frame)
{
    ngx_uint_t                          n;
    ngx_http_blockcast_frame_t         *deflated;
    ngx_http_blockcast_history_text_t  *text;

    *frame = NULL;

    text = ngx_http_blockcast_history_get(hub, ring,
                                          ngx_http_blockcast_history_as_json,
                                          0);
    if (text == NULL) {
        return NGX_OK;
    }

    n = (conn->protocol == ngx_http_blockcast_cbor)
        ? NGX_HTTP_BLOCKCAST_HISTORY_CBOR
        : NGX_HTTP_BLOCKCAST_HISTORY_TEXT;

    if (ngx_http_blockcast_history_variant(text, n, frame) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (*frame != NULL && conn->deflate
        && bc_ws_deflate_suits(15, (*frame)->len - (*frame)->payload,
                               conn->bits))
    {
        if (ngx_http_blockcast_history_variant(text, n + 1, &deflated)
            == NGX_AGAIN)
        {
            *frame = NULL;
            return NGX_AGAIN;
        }

        if (deflated != NULL) {
            *frame = deflated;
        }
    }

    if (*frame != NULL) {
        (*frame)->refs++;
    }

    return NGX_OK;
}
