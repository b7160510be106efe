
/*
 * Images, made in pieces, between which other events are handled.
 *
 * Whatever is published in the meantime is also in the journal, so an image
 * may include any of it: the newest record of a stream counts.  But a log's
 * messages must not be recorded twice, so an image has none beyond the seq
 * that the log had when it was begun.  If a snapshot is replaced while it is
 * copied, or entries not yet copied are dropped from the ring, that part is
 * restarted, a few times; then it is done in one go.
 */


#include "ngx_http_blockcast_journal_image.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal_codec.h"
#include "bc_history.h"
#include "bc_journal.h"


/* bytes that are copied or summed, and entries that are counted, per piece */
#define NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE    65536
#define NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_ENTRIES  512

/* the least memory that is allocated at a time (bytes) */
#define NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_CHUNK    (4 * 65536)

/* how often a part is tried in pieces */
#define NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_TRIES    5


/*
 * Makes room for size more bytes.  Returns where to write them, or NULL
 * without memory.
 */

static u_char *
ngx_http_blockcast_journal_image_room(
    ngx_http_blockcast_journal_image_t *image, size_t size)
{
    size_t                               alloc;
    ngx_http_blockcast_journal_chunk_t  *chunk;

    chunk = image->last;

    if (chunk == NULL || chunk->alloc - chunk->len < size) {

        alloc = ngx_max(size, NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_CHUNK);

        chunk = ngx_alloc(sizeof(ngx_http_blockcast_journal_chunk_t) + alloc,
                          ngx_cycle->log);
        if (chunk == NULL) {
            return NULL;
        }

        chunk->next = NULL;
        chunk->len = 0;
        chunk->alloc = alloc;

        if (image->last != NULL) {
            image->last->next = chunk;

        } else {
            image->chunks = chunk;
        }

        image->last = chunk;
    }

    return chunk->data + chunk->len;
}


/* Accounts for bytes that were written into that room. */

static void
ngx_http_blockcast_journal_image_wrote(
    ngx_http_blockcast_journal_image_t *image, size_t size)
{
    image->last->len += size;
    image->size += size;
}


/* Appends a record without entries in one piece. */

static ngx_int_t
ngx_http_blockcast_journal_image_put(
    ngx_http_blockcast_journal_image_t *image, bc_journal_record_t *r)
{
    u_char  *start, *p;

    start = ngx_http_blockcast_journal_image_room(image, bc_journal_size(r));
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = bc_journal_begin(start, r);
    ngx_http_blockcast_journal_image_wrote(image,
                                           bc_journal_end(start, p, r->n));

    return NGX_OK;
}


/*
 * Begins a record that is written in pieces: `first` bytes are there; the rest
 * is copied from one or two parts.
 */

static void
ngx_http_blockcast_journal_image_long(
    ngx_http_blockcast_journal_image_t *image, u_char *record, size_t first,
    ngx_str_t *part, ngx_str_t *second)
{
    image->record = record;
    image->record_len = first + part->len + second->len;
    image->filled = first;
    image->parts[0] = *part;
    image->parts[1] = *second;

    /* the CRC does not cover the size and itself */

    image->summed = 8;
    image->sum = 0;
}


/*
 * Copies or sums one piece of the long record.  Returns NGX_OK when it is
 * complete.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_long_piece(
    ngx_http_blockcast_journal_image_t *image)
{
    size_t      len;
    ngx_str_t  *part;

    if (image->filled < image->record_len) {
        part = &image->parts[image->parts[0].len == 0];

        len = ngx_min(part->len, NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE);

        ngx_memcpy(image->record + image->filled, part->data, len);

        part->data += len;
        part->len -= len;
        image->filled += len;

        return NGX_AGAIN;
    }

    len = ngx_min(image->record_len - image->summed,
                  NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE);

    image->sum = bc_journal_sum(image->sum, image->record + image->summed,
                                len);
    image->summed += len;

    if (image->summed < image->record_len) {
        return NGX_AGAIN;
    }

    bc_journal_head_end(image->record, image->sum);

    ngx_http_blockcast_journal_image_wrote(image, image->record_len);
    image->record = NULL;

    return NGX_OK;
}


static void
ngx_http_blockcast_journal_image_set_mark(
    ngx_http_blockcast_journal_image_t *image)
{
    image->mark = image->last;
    image->mark_len = image->last->len;
    image->mark_size = image->size;
    image->tries = 0;
    image->hurry = 0;
}


/* Discards what was written since the mark, and returns to a step. */

static void
ngx_http_blockcast_journal_image_back(
    ngx_http_blockcast_journal_image_t *image,
    ngx_http_blockcast_journal_image_step_e step)
{
    ngx_http_blockcast_journal_chunk_t  *chunk, *next;

    for (chunk = image->mark->next; chunk != NULL; chunk = next) {
        next = chunk->next;
        ngx_free(chunk);
    }

    image->last = image->mark;
    image->last->next = NULL;
    image->last->len = image->mark_len;
    image->size = image->mark_size;
    image->record = NULL;

    image->step = step;
    image->tries++;
    image->hurry = (image->tries >= NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_TRIES);
}


/* Starts counting at the ring's oldest entry. */

static void
ngx_http_blockcast_journal_image_from(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    image->tail = slot->tail;
    image->pos = image->tail;
    image->n = 0;
}


static void
ngx_http_blockcast_journal_image_past_set(u_char *p, ngx_uint_t i, uint64_t n)
{
    ngx_uint_t  byte;

    for (byte = 0; byte < 8; byte++) {
        p[8 * i + byte] = (u_char) (n >> (8 * byte));
    }
}


/*
 * Counts some entries in the ring.  Returns NGX_OK when all are counted,
 * NGX_AGAIN when there are more, NGX_BUSY when some have been dropped.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_count_some(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    u_char                                  *ring;
    ngx_uint_t                               i;
    ngx_http_blockcast_ring_record_t        *rec;
    ngx_http_blockcast_journal_image_log_t  *log;

    if (slot->tail != image->tail) {
        return NGX_BUSY;
    }

    log = &image->logs[image->stream];
    ring = ngx_http_blockcast_slot_ring(slot);

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_ENTRIES; i++) {

        rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &image->pos,
                                           log->head);
        if (rec == NULL) {
            return NGX_OK;
        }

        image->pos += rec->size;
        image->n++;
    }

    return NGX_AGAIN;
}


/*
 * Appends the record of what a log remembers in addition to its ring, see
 * PAST_*.  Returns NGX_BUSY when the ring is no longer the one counted.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_put_past(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    u_char                                  *data;
    uint64_t                                 first, last, *keys;
    ngx_int_t                                rc;
    ngx_uint_t                               n;
    bc_journal_record_t                      r;
    ngx_http_blockcast_journal_image_log_t  *log;

    if (slot->tail != image->tail) {
        return NGX_BUSY;
    }

    log = &image->logs[image->stream];

    first = slot->keys - ngx_min(slot->keys, slot->nkeys);
    last = log->keys - ngx_min(log->keys, image->n);
    last = ngx_max(first, last);

    n = NGX_HTTP_BLOCKCAST_PAST_KEYS + (last - first);

    data = ngx_alloc(8 * n, ngx_cycle->log);
    if (data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_journal_image_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_GONE,
                                              ngx_min(slot->gone, log->seq));
    ngx_http_blockcast_journal_image_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_FORGOT,
                                              slot->forgot || first != 0);
    ngx_http_blockcast_journal_image_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED,
                                              slot->seed[0]);
    ngx_http_blockcast_journal_image_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED + 1,
                                              slot->seed[1]);

    keys = ngx_http_blockcast_slot_keys(slot);

    for (n = NGX_HTTP_BLOCKCAST_PAST_KEYS; first < last; n++, first++) {
        ngx_http_blockcast_journal_image_past_set(data, n,
                                                  keys[first % slot->nkeys]);
    }

    ngx_http_blockcast_journal_codec_slot(slot, &r);
    r.type = bc_journal_seq;
    r.seq = log->seq;
    r.data.data = data;
    r.data.len = 8 * n;

    rc = ngx_http_blockcast_journal_image_put(image, &r);
    ngx_free(data);

    return rc;
}


/*
 * Appends a record of some entries of one message, from image->pos on.
 * Returns NGX_OK when there are no more in the ring.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_put_entries(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    u_char                                  *ring, *start, *p;
    size_t                                   size;
    uint64_t                                 pos, end;
    bc_span_t                                key, data;
    ngx_str_t                                text, none;
    bc_journal_record_t                      r;
    ngx_http_blockcast_ring_record_t        *rec;
    ngx_http_blockcast_journal_image_log_t  *log;

    log = &image->logs[image->stream];
    ring = ngx_http_blockcast_slot_ring(slot);

    ngx_http_blockcast_journal_codec_slot(slot, &r);
    r.type = bc_journal_kept;

    end = image->pos;

    while ((rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &end,
                                               log->head))
           != NULL)
    {
        size = bc_journal_entry_size(rec->key_len, rec->len);

        if (r.n == 0) {

            if (rec->seq > log->seq) {
                break;
            }

            r.seq = rec->seq;
            r.nth = rec->nth;
            r.time = rec->timestamp;

        } else if (rec->seq != r.seq
                   || r.entries.len + size
                      > NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE)
        {
            break;
        }

        r.n++;
        r.entries.len += size;
        end += rec->size;
    }

    if (r.n == 0) {
        return NGX_OK;
    }

    size = bc_journal_size(&r) + r.entries.len;

    start = ngx_http_blockcast_journal_image_room(image, size);
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = start + bc_journal_head(start, &r);

    for (pos = image->pos;
         (rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &pos, end))
         != NULL;
         pos += rec->size)
    {
        key.data = ngx_http_blockcast_ring_record_key(rec);
        key.len = rec->key_len;
        data.data = ngx_http_blockcast_ring_record_data(rec);
        data.len = rec->len;

        if (r.n == 1 && size > NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE) {

            p = bc_journal_entry_head(p, key, data.len);

            text.data = (u_char *) data.data;
            text.len = data.len;
            ngx_str_null(&none);

            ngx_http_blockcast_journal_image_long(image, start, p - start,
                                                  &text, &none);

            /*
             * still needed: the position is checked until the copy is complete
             */

            image->pos = pos;

            return NGX_AGAIN;
        }

        p = bc_journal_put_entry(p, key, data);
    }

    ngx_http_blockcast_journal_image_wrote(image,
                                           bc_journal_end(start, p, r.n));
    image->pos = end;

    return NGX_AGAIN;
}


/*
 * Appends, in pieces, the entries in the ring that the log had at the
 * beginning.  Returns NGX_OK after the last one, NGX_AGAIN when there are
 * more, NGX_BUSY when some were dropped before they were copied.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_put_ring(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    u_char                            *ring;
    ngx_int_t                          rc;
    ngx_http_blockcast_ring_record_t  *rec;

    if (image->pos < slot->tail) {
        return NGX_BUSY;
    }

    if (image->record == NULL) {
        return ngx_http_blockcast_journal_image_put_entries(image, slot);
    }

    rc = ngx_http_blockcast_journal_image_long_piece(image);

    if (rc == NGX_OK) {
        ring = ngx_http_blockcast_slot_ring(slot);
        rec = (ngx_http_blockcast_ring_record_t *)
                  (ring + image->pos % slot->ring_size);
        image->pos += rec->size;
    }

    return NGX_AGAIN;
}


/*
 * Appends the record of the newest snapshot, in pieces when it is large.
 * Returns NGX_BUSY when there is a newer one.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_put_snapshot(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    u_char                         *p, *buf;
    size_t                          size, max;
    ngx_int_t                       rc;
    ngx_str_t                       data, state;
    bc_journal_record_t             r;
    ngx_http_blockcast_snapshot_t  *snap;

    if (image->record != NULL) {
        rc = ngx_http_blockcast_journal_image_long_piece(image);

        return (slot->version == image->version) ? rc : NGX_BUSY;
    }

    image->version = slot->version;
    image->seq = 0;

    if (image->version == 0) {
        return NGX_OK;
    }

    snap = &slot->snap[image->version & 1];
    buf = ngx_http_blockcast_slot_buffer(slot, image->version);

    data.data = buf + snap->data;
    data.len = snap->data_len;
    state.data = buf + snap->memory;
    state.len = snap->memory_len;

    ngx_http_blockcast_journal_codec_slot(slot, &r);

    r.type = bc_journal_snap;
    r.seq = snap->seq;
    r.time = snap->timestamp;
    r.polled = ngx_http_blockcast_journal_codec_unix(slot->polled);
    r.n = snap->count;
    r.data = ngx_http_blockcast_journal_codec_span(&data);
    r.state = ngx_http_blockcast_journal_codec_span(&state);

    image->seq = r.seq;

    /* a former poller may still be writing: check before using any of this */

    max = ngx_http_blockcast_slot_buffer_size(slot->max_size, slot->log);

    ngx_memory_barrier();

    if (slot->version != image->version
        || data.len > max || (size_t) (data.data - buf) > max - data.len
        || state.len > max || (size_t) (state.data - buf) > max - state.len)
    {
        return NGX_BUSY;
    }

    size = bc_journal_size(&r);

    if (size <= NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE) {
        rc = ngx_http_blockcast_journal_image_put(image, &r);

        ngx_memory_barrier();

        return (rc == NGX_OK && slot->version != image->version)
               ? NGX_BUSY : rc;
    }

    p = ngx_http_blockcast_journal_image_room(image, size);
    if (p == NULL) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_journal_image_long(image, p, bc_journal_head(p, &r),
                                          &data, &state);

    return NGX_AGAIN;
}


/*
 * Appends a record with a part of a stream's history; NGX_OK after the last
 * one.  What is added to the history between two of them is in a record behind
 * the image, too.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_put_history(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    u_char               *p;
    size_t                len;
    ngx_int_t             rc;
    bc_history_t         *h;
    bc_journal_record_t   r;

    h = ngx_http_blockcast_slot_history(slot);

    p = ngx_alloc(NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE + BC_HISTORY_PART,
                  ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    if (h->recorded == 0) {

        /* the records behind the image need not have all of it again */

        h->recorded = bc_history_time(h);
    }

    len = bc_history_encode_some(h, &image->history,
                                 NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE, p);
    rc = NGX_OK;

    if (len != 0) {
        ngx_http_blockcast_journal_codec_slot(slot, &r);

        r.type = bc_journal_seq;
        r.data.data = p;
        r.data.len = len;

        rc = ngx_http_blockcast_journal_image_put(image, &r);
        rc = (rc == NGX_OK) ? NGX_AGAIN : rc;
    }

    ngx_free(p);

    return rc;
}


/*
 * Appends the seq alone if it is newer than the data, and the error, if any.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_put_status(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_slot_t *slot)
{
    bc_journal_record_t         r;
    ngx_http_blockcast_error_t  error;

    if (slot->seq > image->seq) {
        ngx_http_blockcast_journal_codec_slot(slot, &r);

        r.type = bc_journal_seq;
        r.seq = slot->seq;

        if (ngx_http_blockcast_journal_image_put(image, &r) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_blockcast_stream_status_read_error(slot, &error);

    if (error.len == 0) {
        return NGX_OK;
    }

    ngx_http_blockcast_journal_codec_slot(slot, &r);

    r.type = bc_journal_error;
    r.seq = (uint64_t) error.code;
    r.time = error.since;
    r.data.data = error.text;
    r.data.len = error.len;

    return ngx_http_blockcast_journal_image_put(image, &r);
}


/*
 * Appends some of a stream's keys that have data.  Returns NGX_OK after the
 * last one.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_put_keys(
    ngx_http_blockcast_journal_image_t *image, ngx_http_blockcast_stream_t *st)
{
    u_char                           name[NGX_HTTP_BLOCKCAST_NAME_LEN + 1
                                          + NGX_HTTP_BLOCKCAST_KEY_LEN];
    size_t                           size;
    ngx_int_t                        rc;
    ngx_str_t                        key;
    ngx_uint_t                       i;
    bc_journal_record_t              r;
    ngx_http_blockcast_key_t        *k;
    ngx_http_blockcast_key_data_t    data;
    ngx_http_blockcast_key_table_t  *table;

    table = ngx_http_blockcast_key_table_of(st);
    size = image->size;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_ENTRIES; i++) {

        if (image->key >= table->max) {
            return NGX_OK;
        }

        k = ngx_http_blockcast_key_table_at(table, image->key++);

        if (k->state != ngx_http_blockcast_key_used
            || ngx_http_blockcast_key_table_read(table, k, &data) != NGX_OK)
        {
            continue;
        }

        key.data = k->key;
        key.len = k->len;

        ngx_memzero(&r, sizeof(bc_journal_record_t));

        r.type = bc_journal_snap;
        r.seq = data.snap.seq;
        r.time = data.snap.timestamp;
        r.polled = ngx_http_blockcast_journal_codec_unix(k->polled);
        r.name = ngx_http_blockcast_journal_codec_key(name, st, &key);
        r.data = ngx_http_blockcast_journal_codec_span(&data.data);

        rc = ngx_http_blockcast_journal_image_put(image, &r);
        ngx_free(data.data.data);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }

        if (image->size - size >= NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_PIECE) {
            break;
        }
    }

    return NGX_AGAIN;
}


/*
 * Makes one piece.  Returns NGX_OK when the image is complete, NGX_AGAIN when
 * there is more.
 */

static ngx_int_t
ngx_http_blockcast_journal_image_piece(
    ngx_http_blockcast_journal_image_t *image)
{
    ngx_int_t                                rc;
    ngx_http_blockcast_slot_t               *slot;
    ngx_http_blockcast_stream_t             *st, **streams;
    ngx_http_blockcast_journal_image_step_e  back;

    if (image->stream == image->zone->bmcf->streams.nelts) {
        return NGX_OK;
    }

    streams = image->zone->bmcf->streams.elts;
    st = streams[image->stream];
    slot = st->slot;

    rc = NGX_OK;
    back = image->step;

    switch (image->step) {

    case ngx_http_blockcast_journal_image_history:

        if (slot->history_size != 0) {
            rc = ngx_http_blockcast_journal_image_put_history(image, slot);
        }

        if (rc == NGX_OK) {
            ngx_http_blockcast_journal_image_from(image, slot);
        }

        break;

    case ngx_http_blockcast_journal_image_count:

        if (image->logs[image->stream].seq == 0) {

            /* not a log, or nothing was in it */

            image->step = ngx_http_blockcast_journal_image_ring;
            return NGX_AGAIN;
        }

        rc = ngx_http_blockcast_journal_image_count_some(image, slot);
        break;

    case ngx_http_blockcast_journal_image_past:

        rc = ngx_http_blockcast_journal_image_put_past(image, slot);
        image->pos = image->tail;
        back = ngx_http_blockcast_journal_image_count;
        break;

    case ngx_http_blockcast_journal_image_ring:

        if (image->logs[image->stream].seq != 0) {
            rc = ngx_http_blockcast_journal_image_put_ring(image, slot);
        }

        back = ngx_http_blockcast_journal_image_count;
        break;

    case ngx_http_blockcast_journal_image_snapshot:

        rc = ngx_http_blockcast_journal_image_put_snapshot(image, slot);
        break;

    case ngx_http_blockcast_journal_image_status:

        rc = ngx_http_blockcast_journal_image_put_status(image, slot);
        image->key = 0;
        break;

    case ngx_http_blockcast_journal_image_keys:

        if (image->with_keys && st->keys != NULL && st->keys->state) {
            rc = ngx_http_blockcast_journal_image_put_keys(image, st);
        }

        break;

    default: /* ngx_http_blockcast_journal_image_next */

        image->stream++;
        ngx_memzero(&image->history, sizeof(bc_history_place_t));
        image->step = ngx_http_blockcast_journal_image_history;

        return NGX_AGAIN;
    }

    if (rc == NGX_BUSY) {
        ngx_http_blockcast_journal_image_back(image, back);
        ngx_http_blockcast_journal_image_from(image, slot);

        return (image->tries > 100) ? NGX_ERROR : NGX_AGAIN;
    }

    if (rc == NGX_OK) {
        image->step++;

        /*
         * the parts that may be restarted: a log's past and ring, a snapshot
         */

        if (image->step == ngx_http_blockcast_journal_image_count
            || image->step == ngx_http_blockcast_journal_image_snapshot
            || image->step == ngx_http_blockcast_journal_image_status)
        {
            ngx_http_blockcast_journal_image_set_mark(image);
        }
    }

    return (rc == NGX_ERROR) ? NGX_ERROR : NGX_AGAIN;
}


ngx_http_blockcast_journal_image_t *
ngx_http_blockcast_journal_image_begin(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t keys)
{
    ngx_uint_t                               i;
    bc_journal_record_t                      r;
    ngx_http_blockcast_slot_t               *slot;
    ngx_http_blockcast_stream_t            **streams;
    ngx_http_blockcast_journal_image_t      *image;
    ngx_http_blockcast_journal_image_log_t  *log;

    image = ngx_calloc(sizeof(ngx_http_blockcast_journal_image_t),
                       ngx_cycle->log);
    if (image == NULL) {
        return NULL;
    }

    image->zone = zone;
    image->with_keys = keys;
    image->made = ngx_time();

    image->logs = ngx_calloc(
                      (zone->bmcf->streams.nelts + 1)
                      * sizeof(ngx_http_blockcast_journal_image_log_t),
                      ngx_cycle->log);

    if (image->logs == NULL
        || ngx_http_blockcast_journal_image_room(image, BC_JOURNAL_HEADER)
           == NULL)
    {
        ngx_http_blockcast_journal_image_free(image);
        return NULL;
    }

    ngx_memzero(image->last->data, BC_JOURNAL_HEADER);
    ngx_http_blockcast_journal_image_wrote(image, BC_JOURNAL_HEADER);

    ngx_memzero(&r, sizeof(bc_journal_record_t));
    r.type = bc_journal_seq;
    r.seq = ngx_http_blockcast_slot_seq_unconfigured(zone, zone->bmcf);

    if (ngx_http_blockcast_journal_image_put(image, &r) != NGX_OK) {
        ngx_http_blockcast_journal_image_free(image);
        return NULL;
    }

    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        slot = streams[i]->slot;
        log = &image->logs[i];

        if (slot->log && slot->version != 0) {
            log->seq = slot->snap[slot->version & 1].seq;
            log->head = slot->head;
            log->keys = slot->keys;
        }
    }

    return image;
}


ngx_int_t
ngx_http_blockcast_journal_image_go_on(
    ngx_http_blockcast_journal_image_t *image, uint64_t usec)
{
    uint64_t   began;
    ngx_int_t  rc;

    began = ngx_http_blockcast_zone_usec();

    do {
        rc = ngx_http_blockcast_journal_image_piece(image);

        ngx_http_blockcast_test_moment("image: a piece");

    } while (rc == NGX_AGAIN
             && (image->hurry
                 || ngx_http_blockcast_zone_usec() - began < usec));

    return rc;
}


ngx_http_blockcast_journal_image_t *
ngx_http_blockcast_journal_image_all(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t keys)
{
    ngx_http_blockcast_journal_image_t  *image;

    image = ngx_http_blockcast_journal_image_begin(zone, keys);

    if (image != NULL
        && ngx_http_blockcast_journal_image_go_on(image, (uint64_t) -1)
           != NGX_OK)
    {
        ngx_http_blockcast_journal_image_free(image);
        return NULL;
    }

    return image;
}


void
ngx_http_blockcast_journal_image_free(
    ngx_http_blockcast_journal_image_t *image)
{
    ngx_http_blockcast_journal_chunk_t  *chunk, *next;

    for (chunk = image->chunks; chunk != NULL; chunk = next) {
        next = chunk->next;
        ngx_free(chunk);
    }

    if (image->logs != NULL) {
        ngx_free(image->logs);
    }

    ngx_free(image);
}
