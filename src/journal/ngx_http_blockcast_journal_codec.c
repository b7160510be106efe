
/*
 * Encodes the slots of the zone as records of the state file.
 */


#include "ngx_http_blockcast_journal_codec.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_history.h"
#include "bc_journal.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_span.h"


typedef struct {
    u_char                       *data;
    size_t                        len;
    size_t                        alloc;
} ngx_http_blockcast_journal_codec_buf_t;


static bc_span_t
ngx_http_blockcast_journal_codec_span(ngx_str_t *s)
{
    bc_span_t  span;

    span.data = s->data;
    span.len = s->len;

    return span;
}


uint64_t
ngx_http_blockcast_journal_codec_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/*
 * Converts a time of the clock that workers share (msec, 0: never) to Unix
 * milliseconds, which stay valid across a restart.
 */

static uint64_t
ngx_http_blockcast_journal_codec_unix(ngx_msec_t msec)
{
    ngx_msec_int_t  ago;

    if (msec == 0) {
        return 0;
    }

    ago = (ngx_msec_int_t) (ngx_current_msec - msec);

    return ngx_http_blockcast_journal_codec_now() - ((ago > 0) ? ago : 0);
}


/* Makes the name of a key's records, STREAM/KEY, which no stream can have. */

static bc_span_t
ngx_http_blockcast_journal_codec_key(u_char *name,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key)
{
    u_char     *p;
    bc_span_t   span;

    p = ngx_cpymem(name, st->name.data, st->name.len);
    *p++ = '/';
    p = ngx_cpymem(p, key->data, ngx_min(key->len,
                                         NGX_HTTP_BLOCKCAST_KEY_LEN));

    span.data = name;
    span.len = p - name;

    return span;
}


/* Describes what is about to be published, without the log's entries. */

static void
ngx_http_blockcast_journal_codec_record(
    ngx_http_blockcast_publication_t *pub, bc_journal_record_t *r)
{
    ngx_memzero(r, sizeof(bc_journal_record_t));

    switch (pub->type) {

    case ngx_http_blockcast_publish_data:
        r->type = bc_journal_snap;
        r->time = pub->timestamp;
        r->data = ngx_http_blockcast_journal_codec_span(&pub->data);
        break;

    case ngx_http_blockcast_publish_batch:
        r->type = bc_journal_batch;
        r->time = pub->timestamp;
        break;

    default: /* ngx_http_blockcast_publish_memory */
        r->type = bc_journal_program;
    }

    r->log = (pub->stream->field.len != 0);
    r->seq = pub->seq;
    r->polled = ngx_http_blockcast_journal_codec_now();
    r->name = ngx_http_blockcast_journal_codec_span(&pub->stream->name);
    r->state = ngx_http_blockcast_journal_codec_span(&pub->memory);
}


size_t
ngx_http_blockcast_journal_codec_head(ngx_http_blockcast_publication_t *pub,
    u_char *p)
{
    bc_journal_record_t  r;

    ngx_http_blockcast_journal_codec_record(pub, &r);

    return bc_journal_head(p, &r);
}


void
ngx_http_blockcast_journal_codec_publication(
    ngx_http_blockcast_publication_t *pub, ngx_str_t *record)
{
    u_char                          *p;
    u_char                           name[NGX_HTTP_BLOCKCAST_NAME_LEN + 1
                                          + NGX_HTTP_BLOCKCAST_KEY_LEN];
    size_t                           size;
    ngx_uint_t                       i, n;
    bc_journal_record_t              r;
    ngx_http_blockcast_log_entry_t  *entries;

    ngx_http_blockcast_journal_codec_record(pub, &r);

    entries = pub->entries;
    n = (pub->type == ngx_http_blockcast_publish_batch) ? pub->count : 0;

    if (pub->key.len != 0) {
        r.name = ngx_http_blockcast_journal_codec_key(name, pub->stream,
                                                      &pub->key);
    }

    size = bc_journal_size(&r);

    for (i = 0; i < n; i++) {
        size += bc_journal_entry_size(entries[i].key.len, entries[i].data.len);
    }

    record->len = 0;
    record->data = ngx_alloc(size, ngx_cycle->log);

    if (record->data == NULL) {
        return;
    }

    p = bc_journal_begin(record->data, &r);

    for (i = 0; i < n; i++) {
        p = bc_journal_put_entry(
                     p, ngx_http_blockcast_journal_codec_span(&entries[i].key),
                     ngx_http_blockcast_journal_codec_span(&entries[i].data));
    }

    record->len = bc_journal_end(record->data, p, n);
}


/* Prepares a record of a slot: its kind and name; the caller sets the rest. */

static void
ngx_http_blockcast_journal_codec_slot(ngx_http_blockcast_slot_t *slot,
    bc_journal_record_t *r)
{
    ngx_memzero(r, sizeof(bc_journal_record_t));

    r->log = slot->log;
    r->name.data = slot->name;
    r->name.len = ngx_strlen(slot->name);
}


/* Encodes a record that has no entries. */

static void
ngx_http_blockcast_journal_codec_encode(bc_journal_record_t *r,
    ngx_str_t *record)
{
    u_char  *p;

    record->len = 0;
    record->data = ngx_alloc(bc_journal_size(r), ngx_cycle->log);

    if (record->data != NULL) {
        p = bc_journal_begin(record->data, r);
        record->len = bc_journal_end(record->data, p, 0);
    }
}


void
ngx_http_blockcast_journal_codec_error(ngx_http_blockcast_slot_t *slot,
    int64_t code, ngx_str_t *text, ngx_str_t *record)
{
    bc_journal_record_t  r;

    ngx_http_blockcast_journal_codec_slot(slot, &r);

    r.type = bc_journal_error;
    r.seq = (uint64_t) code;
    r.time = ngx_time();
    r.data = ngx_http_blockcast_journal_codec_span(text);

    ngx_http_blockcast_journal_codec_encode(&r, record);
}


void
ngx_http_blockcast_journal_codec_polled(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *record)
{
    bc_journal_record_t  r;

    ngx_http_blockcast_journal_codec_slot(slot, &r);

    r.type = bc_journal_polled;
    r.polled = ngx_http_blockcast_journal_codec_now();

    ngx_http_blockcast_journal_codec_encode(&r, record);
}


/*
 * Prepares a record of a slot's history after `since`; the caller frees its
 * data, of ngx_alloc().
 */

static ngx_int_t
ngx_http_blockcast_journal_codec_history_data(ngx_http_blockcast_slot_t *slot,
    uint64_t since, bc_journal_record_t *r)
{
    u_char        *p;
    bc_history_t  *h;

    h = ngx_http_blockcast_slot_history(slot);

    ngx_http_blockcast_journal_codec_slot(slot, r);
    r->type = bc_journal_seq;

    r->data.len = bc_history_encode(h, since, NULL);

    p = ngx_alloc(r->data.len, ngx_cycle->log);
    if (p == NULL) {
        return NGX_ERROR;
    }

    (void) bc_history_encode(h, since, p);
    r->data.data = p;

    return NGX_OK;
}


void
ngx_http_blockcast_journal_codec_history(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *record)
{
    bc_journal_record_t  r;

    ngx_str_null(record);

    if (ngx_http_blockcast_journal_codec_history_data(
                        slot, ngx_http_blockcast_slot_history(slot)->recorded,
                        &r)
        != NGX_OK)
    {
        return;
    }

    ngx_http_blockcast_journal_codec_encode(&r, record);

    ngx_free((u_char *) r.data.data);
}


/* Makes room for size more bytes; returns where, or NULL without memory. */

static u_char *
ngx_http_blockcast_journal_codec_room(
    ngx_http_blockcast_journal_codec_buf_t *buf, size_t size)
{
    u_char  *p;
    size_t   alloc;

    if (buf->len + size > buf->alloc) {
        alloc = ngx_max(2 * buf->alloc, buf->len + size);

        p = ngx_alloc(alloc, ngx_cycle->log);
        if (p == NULL) {
            return NULL;
        }

        if (buf->data != NULL) {
            ngx_memcpy(p, buf->data, buf->len);
            ngx_free(buf->data);
        }

        buf->data = p;
        buf->alloc = alloc;
    }

    return buf->data + buf->len;
}


/* Appends a record without entries. */

static ngx_int_t
ngx_http_blockcast_journal_codec_put(
    ngx_http_blockcast_journal_codec_buf_t *buf, bc_journal_record_t *r)
{
    u_char  *start, *p;

    start = ngx_http_blockcast_journal_codec_room(buf, bc_journal_size(r));
    if (start == NULL) {
        return NGX_ERROR;
    }

    p = bc_journal_begin(start, r);
    buf->len += bc_journal_end(start, p, r->n);

    return NGX_OK;
}


static void
ngx_http_blockcast_journal_codec_past_set(u_char *p, ngx_uint_t i, uint64_t n)
{
    ngx_uint_t  byte;

    for (byte = 0; byte < 8; byte++) {
        p[8 * i + byte] = (u_char) (n >> (8 * byte));
    }
}


/* Appends the record of what a log remembers beside its ring, see PAST_*. */

static ngx_int_t
ngx_http_blockcast_journal_codec_put_past(
    ngx_http_blockcast_journal_codec_buf_t *buf,
    ngx_http_blockcast_slot_t *slot, uint64_t seq)
{
    u_char                            *ring, *data;
    uint64_t                           pos, first, last, *keys;
    ngx_int_t                          rc;
    ngx_uint_t                         n;
    bc_journal_record_t                r;
    ngx_http_blockcast_ring_record_t  *rec;

    ring = ngx_http_blockcast_slot_ring(slot);
    n = 0;

    for (pos = slot->tail;
         (rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &pos,
                                             slot->head))
         != NULL;
         pos += rec->size)
    {
        n++;
    }

    first = slot->keys - ngx_min(slot->keys, slot->nkeys);
    last = slot->keys - ngx_min(slot->keys, n);
    last = ngx_max(first, last);

    n = NGX_HTTP_BLOCKCAST_PAST_KEYS + (last - first);

    data = ngx_alloc(8 * n, ngx_cycle->log);
    if (data == NULL) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_journal_codec_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_GONE,
                                              slot->gone);
    ngx_http_blockcast_journal_codec_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_FORGOT,
                                              slot->forgot || first != 0);
    ngx_http_blockcast_journal_codec_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED,
                                              slot->seed[0]);
    ngx_http_blockcast_journal_codec_past_set(data,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED + 1,
                                              slot->seed[1]);

    keys = ngx_http_blockcast_slot_keys(slot);

    for (n = NGX_HTTP_BLOCKCAST_PAST_KEYS; first < last; n++, first++) {
        ngx_http_blockcast_journal_codec_past_set(data, n,
                                                  keys[first % slot->nkeys]);
    }

    ngx_http_blockcast_journal_codec_slot(slot, &r);
    r.type = bc_journal_seq;
    r.seq = seq;
    r.data.data = data;
    r.data.len = 8 * n;

    rc = ngx_http_blockcast_journal_codec_put(buf, &r);
    ngx_free(data);

    return rc;
}


/* Appends the entries of the ring up to a seq, a record for each message. */

static ngx_int_t
ngx_http_blockcast_journal_codec_put_ring(
    ngx_http_blockcast_journal_codec_buf_t *buf,
    ngx_http_blockcast_slot_t *slot, uint64_t last)
{
    u_char                            *ring, *p;
    size_t                             start, size;
    uint64_t                           pos;
    bc_span_t                          key, data;
    ngx_uint_t                         n;
    bc_journal_record_t                r;
    ngx_http_blockcast_ring_record_t  *rec;

    ring = ngx_http_blockcast_slot_ring(slot);

    ngx_http_blockcast_journal_codec_slot(slot, &r);
    r.type = bc_journal_kept;

    start = 0;
    n = 0;

    for (pos = slot->tail;
         (rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &pos,
                                             slot->head))
         != NULL;
         pos += rec->size)
    {
        if (rec->seq > last) {
            break;
        }

        if (n == 0 || rec->seq != r.seq) {

            if (n != 0) {
                (void) bc_journal_end(buf->data + start, buf->data + buf->len,
                                      n);
            }

            r.seq = rec->seq;
            r.nth = rec->nth;
            r.time = rec->timestamp;
            n = 0;

            p = ngx_http_blockcast_journal_codec_room(buf,
                                                      bc_journal_size(&r));
            if (p == NULL) {
                return NGX_ERROR;
            }

            start = buf->len;
            buf->len = bc_journal_begin(p, &r) - buf->data;
        }

        size = bc_journal_entry_size(rec->key_len, rec->len);

        p = ngx_http_blockcast_journal_codec_room(buf, size);
        if (p == NULL) {
            return NGX_ERROR;
        }

        key.data = ngx_http_blockcast_ring_record_key(rec);
        key.len = rec->key_len;
        data.data = ngx_http_blockcast_ring_record_data(rec);
        data.len = rec->len;

        (void) bc_journal_put_entry(p, key, data);

        buf->len += size;
        n++;
    }

    if (n != 0) {
        (void) bc_journal_end(buf->data + start, buf->data + buf->len, n);
    }

    return NGX_OK;
}


/* Appends the record of a stream's history. */

static ngx_int_t
ngx_http_blockcast_journal_codec_put_history(
    ngx_http_blockcast_journal_codec_buf_t *buf,
    ngx_http_blockcast_slot_t *slot)
{
    ngx_int_t            rc;
    bc_journal_record_t  r;

    if (ngx_http_blockcast_journal_codec_history_data(slot, 0, &r) != NGX_OK) {
        return NGX_ERROR;
    }

    rc = ngx_http_blockcast_journal_codec_put(buf, &r);

    ngx_free((u_char *) r.data.data);

    return rc;
}


/* Appends all records of a stream. */

/* Appends the records of a stream's keys that have data. */

static ngx_int_t
ngx_http_blockcast_journal_codec_put_keys(
    ngx_http_blockcast_journal_codec_buf_t *buf,
    ngx_http_blockcast_stream_t *st)
{
    u_char                           name[NGX_HTTP_BLOCKCAST_NAME_LEN + 1
                                          + NGX_HTTP_BLOCKCAST_KEY_LEN];
    ngx_int_t                        rc;
    ngx_str_t                        key;
    ngx_uint_t                       i;
    bc_journal_record_t              r;
    ngx_http_blockcast_key_t        *k;
    ngx_http_blockcast_key_data_t    data;
    ngx_http_blockcast_key_table_t  *table;

    table = ngx_http_blockcast_key_table_of(st);

    for (i = 0; i < table->max; i++) {
        k = ngx_http_blockcast_key_table_at(table, i);

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

        rc = ngx_http_blockcast_journal_codec_put(buf, &r);
        ngx_free(data.data.data);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_journal_codec_put_stream(
    ngx_http_blockcast_journal_codec_buf_t *buf,
    ngx_http_blockcast_slot_t *slot)
{
    u_char                         *p;
    uint64_t                        seq;
    ngx_int_t                       rc;
    bc_journal_record_t             r;
    ngx_http_blockcast_snapshot_t   snap;
    ngx_http_blockcast_error_t      error;

    seq = 0;

    if (slot->history_size != 0
        && ngx_http_blockcast_journal_codec_put_history(buf, slot) != NGX_OK)
    {
        return NGX_ERROR;
    }

    rc = ngx_http_blockcast_snapshot_read(slot, &snap, &p, ngx_cycle->log);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        seq = snap.seq;

        if (slot->log
            && (ngx_http_blockcast_journal_codec_put_past(buf, slot, seq)
                != NGX_OK
                || ngx_http_blockcast_journal_codec_put_ring(buf, slot, seq)
                   != NGX_OK))
        {
            ngx_free(p);
            return NGX_ERROR;
        }

        ngx_http_blockcast_journal_codec_slot(slot, &r);

        r.type = bc_journal_snap;
        r.seq = seq;
        r.time = snap.timestamp;
        r.polled = ngx_http_blockcast_journal_codec_unix(slot->polled);
        r.n = snap.count;
        r.data.data = p + snap.data;
        r.data.len = snap.data_len;
        r.state.data = p + snap.memory;
        r.state.len = snap.memory_len;

        rc = ngx_http_blockcast_journal_codec_put(buf, &r);
        ngx_free(p);

        if (rc != NGX_OK) {
            return NGX_ERROR;
        }
    }

    /* the newest number has no data here: record the number alone */

    if (slot->seq > seq) {
        ngx_http_blockcast_journal_codec_slot(slot, &r);

        r.type = bc_journal_seq;
        r.seq = slot->seq;

        if (ngx_http_blockcast_journal_codec_put(buf, &r) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    ngx_http_blockcast_stream_status_read_error(slot, &error);

    if (error.len != 0) {
        ngx_http_blockcast_journal_codec_slot(slot, &r);

        r.type = bc_journal_error;
        r.seq = (uint64_t) error.code;
        r.time = error.since;
        r.data.data = error.text;
        r.data.len = error.len;

        return ngx_http_blockcast_journal_codec_put(buf, &r);
    }

    return NGX_OK;
}


void
ngx_http_blockcast_journal_codec_image(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t keys, ngx_str_t *image)
{
    ngx_uint_t                               i;
    bc_journal_record_t                      r;
    ngx_http_blockcast_journal_codec_buf_t   buf;
    ngx_http_blockcast_stream_t            **streams;

    ngx_memzero(&buf, sizeof(ngx_http_blockcast_journal_codec_buf_t));
    ngx_str_null(image);

    if (ngx_http_blockcast_journal_codec_room(&buf, 65536) == NULL) {
        return;
    }

    buf.len = BC_JOURNAL_HEADER;

    ngx_memzero(&r, sizeof(bc_journal_record_t));
    r.type = bc_journal_seq;
    r.seq = ngx_http_blockcast_slot_seq_unconfigured(zone, zone->bmcf);

    if (ngx_http_blockcast_journal_codec_put(&buf, &r) != NGX_OK) {
        ngx_free(buf.data);
        return;
    }

    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        if (ngx_http_blockcast_journal_codec_put_stream(&buf, streams[i]->slot)
            != NGX_OK
            || (keys && streams[i]->keys != NULL && streams[i]->keys->state
                && ngx_http_blockcast_journal_codec_put_keys(&buf, streams[i])
                   != NGX_OK))
        {
            ngx_free(buf.data);
            return;
        }
    }

    image->data = buf.data;
    image->len = buf.len;
}
