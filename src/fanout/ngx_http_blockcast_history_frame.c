
/*
 * The messages with the history of a stream.
 *
 * A message has all values of a ring, so it is not made for each client.  A
 * worker keeps the last few messages, together with the version of the history
 * and the time slot that they were made from.
 *
 * A large one is made in pieces, from a copy of the ring, so that what is
 * added to the history meanwhile does not matter.  There may be a newer value
 * when it is complete, and when it is compressed: who has waited for it gets
 * it all the same, and then the newest data, as a client that is slow.
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


/* a text of more values than this is made in pieces; so many of them, and so
   many bytes, are written at a time, and for how long in a turn (usec) */
#define NGX_HTTP_BLOCKCAST_HISTORY_LARGE  4096
#define NGX_HTTP_BLOCKCAST_HISTORY_PIECE  1024
#define NGX_HTTP_BLOCKCAST_HISTORY_BYTES  65536
#define NGX_HTTP_BLOCKCAST_HISTORY_TIME   500

/* for how long one that was made is good for who has waited for it (msec) */
#define NGX_HTTP_BLOCKCAST_HISTORY_GOOD   1000


/* the forms of a text: JSON and CBOR, each followed by its deflated form */

#define NGX_HTTP_BLOCKCAST_HISTORY_TEXT    0
#define NGX_HTTP_BLOCKCAST_HISTORY_CBOR    2
#define NGX_HTTP_BLOCKCAST_HISTORY_FRAMES  4


/* a text that is being made */

typedef struct {
    uint64_t                      version;      /* as in the text */
    uint64_t                      last;
    uint64_t                      epoch;
    uint64_t                      hash;

    bc_history_cell_t            *cells;        /* a copy of the ring */
    u_char                       *buf;
    u_char                       *end;          /* of what is written */
    bc_history_writer_t           writer;
    ngx_http_blockcast_frame_t   *frame;        /* the text is moved to it */
    size_t                        moved;        /* bytes */
} ngx_http_blockcast_history_making_t;


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
    ngx_msec_t                    ready;        /* when the last of its forms
                                                   was */
    ngx_uint_t                    tried;        /* bits: frames that were
                                                   made, or cannot be */
    unsigned                      late:1;       /* clients waited for the
                                                   previous text: do not let
                                                   them wait again */
    ngx_http_blockcast_deflation_t
        *deflations[NGX_HTTP_BLOCKCAST_HISTORY_FRAMES];
    ngx_http_blockcast_frame_t
        *frames[NGX_HTTP_BLOCKCAST_HISTORY_FRAMES];
    ngx_http_blockcast_history_making_t  *making;  /* a newer one, or NULL */
} ngx_http_blockcast_history_text_t;


static void ngx_http_blockcast_history_making_free(
    ngx_http_blockcast_history_making_t *making);
static void ngx_http_blockcast_history_event_handler(ngx_event_t *ev);


static ngx_http_blockcast_history_text_t
    ngx_http_blockcast_history_texts[NGX_HTTP_BLOCKCAST_HISTORY_TEXTS];

static ngx_event_t       ngx_http_blockcast_history_event;
static ngx_connection_t  ngx_http_blockcast_history_dummy;


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

    ngx_http_blockcast_history_making_free(text->making);
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


/* Sets what a text made now is made from; the rest of *text is set. */

static void
ngx_http_blockcast_history_now(ngx_http_blockcast_history_text_t *text)
{
    bc_history_t  *h;

    h = ngx_http_blockcast_slot_history(text->hub->stream->slot);

    text->version = h->version;
    text->last = bc_history_last(h, text->ring, ngx_time());
    text->epoch = ngx_http_blockcast_hub_conf->zone->sh->epoch;
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


/* Frees what is being made; NULL is ignored. */

static void
ngx_http_blockcast_history_making_free(
    ngx_http_blockcast_history_making_t *making)
{
    if (making == NULL) {
        return;
    }

    if (making->cells != NULL) {
        ngx_free(making->cells);
    }

    if (making->buf != NULL) {
        ngx_free(making->buf);
    }

    ngx_http_blockcast_frame_free(making->frame);
    ngx_free(making);
}


/*
 * Copies the ring as it is now, and begins the text.  Returns NGX_ERROR
 * without memory, or when the history cannot be read.
 */

static ngx_int_t
ngx_http_blockcast_history_making_read(
    ngx_http_blockcast_history_making_t *making,
    ngx_http_blockcast_history_text_t *text)
{
    uint32_t                            nslots, npoints;
    uint64_t                            first, step;
    bc_history_t                       *h;
    ngx_http_blockcast_history_conf_t  *history;
    ngx_http_blockcast_history_text_t   key;

    history = text->hub->stream->history;
    h = ngx_http_blockcast_slot_history(text->hub->stream->slot);
    nslots = history->shape.rings[text->ring].nslots;

    key = *text;
    ngx_http_blockcast_history_now(&key);

    making->version = key.version;
    making->last = key.last;
    making->epoch = key.epoch;

    making->cells = ngx_alloc((size_t) nslots * history->shape.nmembers
                              * sizeof(bc_history_cell_t), ngx_cycle->log);
    making->buf = ngx_alloc(512 + NGX_HTTP_BLOCKCAST_NAME_LEN
                            + bc_history_bound(&history->shape, nslots),
                            ngx_cycle->log);

    if (making->cells == NULL || making->buf == NULL
        || bc_history_read(h, text->ring, key.last, making->cells) != 0)
    {
        return NGX_ERROR;
    }

    npoints = ngx_http_blockcast_history_points(&key, making->cells, &first);
    step = (uint64_t) history->shape.rings[text->ring].step;
    first *= step;
    step *= text->joined;

    making->end = making->buf;

    if (text->form == ngx_http_blockcast_history_as_csv) {
        bc_history_write_csv(&making->writer, &history->shape, making->cells,
                             npoints, first, step);

    } else {
        making->end = ngx_http_blockcast_history_head(making->buf, &key, first,
                                                      step);
        bc_history_write_json(&making->writer, &history->shape, making->cells,
                              npoints);
    }

    return NGX_OK;
}


/*
 * Makes a piece of the text: reads the ring, writes so many values, or moves
 * so many bytes.  Returns NGX_OK when it is complete: a frame, and its hash;
 * NGX_AGAIN when there is more; NGX_ERROR without memory.
 */

static ngx_int_t
ngx_http_blockcast_history_making_piece(
    ngx_http_blockcast_history_making_t *making,
    ngx_http_blockcast_history_text_t *text, size_t values, size_t bytes)
{
    size_t    len, n;
    u_char   *p;
    uint64_t  seed[2];

    if (making->cells == NULL) {
        return (ngx_http_blockcast_history_making_read(making, text) == NGX_OK)
               ? NGX_AGAIN : NGX_ERROR;
    }

    if (making->writer.left != 0) {
        making->end = bc_history_write_some(&making->writer, making->end,
                                            values);

        if (making->writer.left == 0
            && text->form != ngx_http_blockcast_history_as_csv)
        {
            *making->end++ = '}';
        }

        return NGX_AGAIN;
    }

    len = making->end - making->buf;

    if (making->frame == NULL) {
        making->frame = ngx_http_blockcast_frame_alloc(len);

        return (making->frame != NULL) ? NGX_AGAIN : NGX_ERROR;
    }

    n = ngx_min(len - making->moved, bytes);
    p = making->frame->data + making->frame->payload + making->moved;

    ngx_memcpy(p, making->buf + making->moved, n);

    /* of the first piece as of a text that is one piece */

    seed[0] = text->hub->stream->slot->seed[0] ^ making->hash;
    seed[1] = text->hub->stream->slot->seed[1];

    making->hash = bc_siphash(seed, p, n);
    making->moved += n;

    if (making->moved < len) {
        return NGX_AGAIN;
    }

    ngx_http_blockcast_frame_finish(making->frame, BC_WS_TEXT, len);

    return NGX_OK;
}


/* Takes over the complete text. */

static void
ngx_http_blockcast_history_made(ngx_http_blockcast_history_text_t *text,
    ngx_http_blockcast_history_making_t *making)
{
    text->version = making->version;
    text->last = making->last;
    text->epoch = making->epoch;
    text->hash = making->hash;
    text->frames[NGX_HTTP_BLOCKCAST_HISTORY_TEXT] = making->frame;
    making->frame = NULL;
}


/*
 * Makes the text and its hash at once; the key in *text is already set.
 * Returns NGX_ERROR without memory, or when the history cannot be read.
 */

static ngx_int_t
ngx_http_blockcast_history_text_make(ngx_http_blockcast_history_text_t *text)
{
    ngx_int_t                             rc;
    ngx_http_blockcast_history_making_t  *making;

    making = ngx_calloc(sizeof(ngx_http_blockcast_history_making_t),
                        ngx_cycle->log);
    if (making == NULL) {
        return NGX_ERROR;
    }

    do {
        rc = ngx_http_blockcast_history_making_piece(
                                             making, text, (size_t) -1,
                                             NGX_HTTP_BLOCKCAST_HISTORY_BYTES);
    } while (rc == NGX_AGAIN);

    if (rc == NGX_OK) {
        ngx_http_blockcast_history_made(text, making);
    }

    ngx_http_blockcast_history_making_free(making);

    return rc;
}


/* Begins to make a text in pieces, in place of none. */

static ngx_int_t
ngx_http_blockcast_history_begin(ngx_http_blockcast_history_text_t *text)
{
    ngx_event_t  *ev;

    text->making = ngx_calloc(sizeof(ngx_http_blockcast_history_making_t),
                              ngx_cycle->log);
    if (text->making == NULL) {
        return NGX_ERROR;
    }

    ev = &ngx_http_blockcast_history_event;

    if (ev->handler == NULL) {

        /* debug logging reads the descriptor of an event's connection */

        ngx_http_blockcast_history_dummy.fd = (ngx_socket_t) -1;

        ev->handler = ngx_http_blockcast_history_event_handler;
        ev->data = &ngx_http_blockcast_history_dummy;
    }

    ev->log = ngx_cycle->log;

    if (!ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }

    return NGX_OK;
}


/* Continues with one of the texts that are made, and has others wait. */

static void
ngx_http_blockcast_history_event_handler(ngx_event_t *ev)
{
    uint64_t                              began;
    ngx_int_t                             rc;
    ngx_uint_t                            i, n;
    ngx_http_blockcast_history_text_t    *text;
    ngx_http_blockcast_history_making_t  *making;

    text = NULL;
    n = 0;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_TEXTS; i++) {
        if (ngx_http_blockcast_history_texts[i].making != NULL) {
            text = &ngx_http_blockcast_history_texts[i];
            n++;
        }
    }

    if (text == NULL) {
        return;
    }

    making = text->making;
    began = ngx_http_blockcast_zone_usec();

    do {
        rc = ngx_http_blockcast_history_making_piece(
                                             making, text,
                                             NGX_HTTP_BLOCKCAST_HISTORY_PIECE,
                                             NGX_HTTP_BLOCKCAST_HISTORY_BYTES);

    } while (rc == NGX_AGAIN
             && ngx_http_blockcast_zone_usec() - began
                < NGX_HTTP_BLOCKCAST_HISTORY_TIME);

    if (rc != NGX_AGAIN) {
        n--;
        text->making = NULL;

        /* nothing of the former text is waited for, see _get() */

        for (i = 0; rc == NGX_OK && i < NGX_HTTP_BLOCKCAST_HISTORY_FRAMES; i++)
        {
            ngx_http_blockcast_deflation_cancel(text->deflations[i]);
            ngx_http_blockcast_frame_free(text->frames[i]);
            text->deflations[i] = NULL;
            text->frames[i] = NULL;
        }

        if (rc == NGX_OK) {
            text->tried = 0;
            text->late = 0;
            text->ready = ngx_current_msec;
            ngx_http_blockcast_history_made(text, making);
        }

        ngx_http_blockcast_history_making_free(making);
        ngx_http_blockcast_fanout_again(text->hub);
    }

    if (n != 0 && !ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
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


/* Tells whether somebody waits for a form of a text. */

static ngx_uint_t
ngx_http_blockcast_history_awaited(ngx_http_blockcast_history_text_t *text)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_FRAMES; i++) {
        if (text->deflations[i] != NULL) {
            return 1;
        }
    }

    return 0;
}


/*
 * Returns the place for a large text whose key is given: NGX_OK with one that
 * is good enough for who asks; NGX_AGAIN when it is made; NGX_DECLINED when it
 * has to be made at once.
 */

static ngx_int_t
ngx_http_blockcast_history_get_large(ngx_http_blockcast_history_text_t *text,
    ngx_http_blockcast_history_text_t *key, ngx_uint_t same,
    ngx_http_blockcast_history_who_e who)
{
    if (same && text->making != NULL
        && who != ngx_http_blockcast_history_hurries)
    {
        return NGX_AGAIN;
    }

    if (same && text->frames[NGX_HTTP_BLOCKCAST_HISTORY_TEXT] != NULL
        && text->epoch == key->epoch
        && ((who == ngx_http_blockcast_history_waited
             && ngx_current_msec - text->ready
                <= NGX_HTTP_BLOCKCAST_HISTORY_GOOD)
            || ngx_http_blockcast_history_awaited(text)))
    {
        /*
         * It was made while a client waited: for it, or for one that comes
         * while it becomes what others wait for, which would be put off again.
         */

        return NGX_OK;
    }

    if (who == ngx_http_blockcast_history_hurries
        || (!same && text->making != NULL))
    {
        return NGX_DECLINED;
    }

    if (!same) {

        if (text->hub != NULL) {
            ngx_http_blockcast_fanout_again(text->hub);
        }

        ngx_http_blockcast_history_text_free(text);

        text->hub = key->hub;
        text->ring = key->ring;
        text->form = key->form;
        text->joined = key->joined;
    }

    text->used = ngx_current_msec;

    return (ngx_http_blockcast_history_begin(text) == NGX_OK)
           ? NGX_AGAIN : NGX_ERROR;
}


/* Sets *found to a text; returns what _history_text() does. */

static ngx_int_t
ngx_http_blockcast_history_get(ngx_http_blockcast_hub_t *hub, ngx_uint_t ring,
    ngx_http_blockcast_history_form_e form, ngx_uint_t points,
    ngx_http_blockcast_history_who_e who,
    ngx_http_blockcast_history_text_t **found)
{
    uint32_t                            nslots;
    ngx_int_t                           rc;
    ngx_uint_t                          i, same;
    bc_history_shape_t                 *shape;
    ngx_http_blockcast_history_text_t  *text, key;

    shape = &hub->stream->history->shape;
    nslots = shape->rings[ring].nslots;

    ngx_memzero(&key, sizeof(ngx_http_blockcast_history_text_t));

    key.hub = hub;
    key.ring = ring;
    key.form = form;
    key.joined = (points == 0) ? 1 : (nslots + points - 1) / points;

    ngx_http_blockcast_history_now(&key);

    text = ngx_http_blockcast_history_find(&key);

    same = (text->hub == hub
            && text->ring == ring
            && text->form == form
            && text->joined == key.joined);

    if (!same
        || text->frames[NGX_HTTP_BLOCKCAST_HISTORY_TEXT] == NULL
        || text->version != key.version
        || text->last != key.last
        || text->epoch != key.epoch)
    {
        if ((size_t) nslots * shape->nmembers
            > NGX_HTTP_BLOCKCAST_HISTORY_LARGE)
        {
            rc = ngx_http_blockcast_history_get_large(text, &key, same, who);

            if (rc != NGX_DECLINED) {
                text->used = ngx_current_msec;
                *found = text;
                return rc;
            }
        }

        if (ngx_http_blockcast_history_text_make(&key) != NGX_OK) {
            return NGX_ERROR;
        }

        if (text->making != NULL) {
            ngx_http_blockcast_fanout_again(text->hub);
        }

        for (i = 0; i < NGX_HTTP_BLOCKCAST_HISTORY_FRAMES; i++) {

            if (text->deflations[i] == NULL) {
                continue;
            }

            if (same) {
                key.late = 1;

            } else {
                ngx_http_blockcast_fanout_again(text->hub);
            }
        }

        ngx_http_blockcast_history_text_free(text);
        *text = key;
    }

    text->used = ngx_current_msec;
    *found = text;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_history_text(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t ring, ngx_http_blockcast_history_form_e form,
    ngx_uint_t points, ngx_http_blockcast_history_who_e who,
    ngx_http_blockcast_frame_t **frame, uint64_t *hash)
{
    ngx_int_t                           rc;
    ngx_http_blockcast_history_text_t  *text;

    rc = ngx_http_blockcast_history_get(hub, ring, form, points, who, &text);

    if (rc == NGX_OK) {
        *hash = text->hash;
        *frame = text->frames[NGX_HTTP_BLOCKCAST_HISTORY_TEXT];
    }

    return rc;
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
    text->ready = ngx_current_msec;

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
    ngx_http_blockcast_conn_t *conn, ngx_uint_t ring, ngx_uint_t waited,
    ngx_http_blockcast_frame_t **frame)
{
    ngx_int_t                           rc;
    ngx_uint_t                          n;
    ngx_http_blockcast_frame_t         *deflated;
    ngx_http_blockcast_history_text_t  *text;

    *frame = NULL;

    rc = ngx_http_blockcast_history_get(hub, ring,
                                        ngx_http_blockcast_history_as_json, 0,
                                        waited
                                        ? ngx_http_blockcast_history_waited
                                        : ngx_http_blockcast_history_comes,
                                        &text);
    if (rc != NGX_OK) {
        return (rc == NGX_AGAIN) ? NGX_AGAIN : NGX_OK;
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
