
/*
 * Between the slots of the zone and the records of the state file.
 */


#include "ngx_http_blockcast_journal_codec.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_journal.h"
#include "bc_json.h"
#include "bc_span.h"


/*
 * What a log has published beside the entries that it keeps: numbers of 8
 * bytes, little-endian.  The newest seq with an entry that is gone, whether
 * keys were forgotten, the seed, and with it the hashes of the keys of those
 * that are gone but not forgotten, in their order.
 */
#define NGX_HTTP_BLOCKCAST_PAST_GONE    0
#define NGX_HTTP_BLOCKCAST_PAST_FORGOT  1
#define NGX_HTTP_BLOCKCAST_PAST_SEED    2
#define NGX_HTTP_BLOCKCAST_PAST_KEYS    4


typedef struct {
    u_char                       *data;
    size_t                        len;
    size_t                        alloc;
} ngx_http_blockcast_journal_codec_buf_t;


/* of a stream, what the records tell at last */

typedef struct {
    bc_journal_record_t           newest;
    bc_journal_record_t           error;
    bc_span_t                     program;
    bc_span_t                     past;
    uint64_t                      seq;
    uint64_t                      polled;
    unsigned                      has_newest:1;
    unsigned                      has_program:1;
    unsigned                      has_error:1;
    unsigned                      found:1;
} ngx_http_blockcast_journal_codec_found_t;


static bc_span_t
ngx_http_blockcast_journal_codec_span(ngx_str_t *s)
{
    bc_span_t  span;

    span.data = (s != NULL) ? s->data : NULL;
    span.len = (s != NULL) ? s->len : 0;

    return span;
}


static uint64_t
ngx_http_blockcast_journal_codec_now(void)
{
    ngx_time_t  *tp;

    tp = ngx_timeofday();

    return (uint64_t) tp->sec * 1000 + tp->msec;
}


/* the clock that goes on over a restart, and the one that workers share */

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


static ngx_msec_t
ngx_http_blockcast_journal_codec_monotonic(uint64_t polled)
{
    uint64_t    now;
    ngx_msec_t  msec;

    now = ngx_http_blockcast_journal_codec_now();
    msec = ngx_current_msec - ((polled < now) ? now - polled : 0);

    /* 0 is "never" */

    return (msec != 0) ? msec : 1;
}


void
ngx_http_blockcast_journal_codec_record(ngx_http_blockcast_stream_t *st,
    bc_journal_type_e type, uint64_t seq, time_t timestamp, ngx_str_t *data,
    ngx_str_t *state, ngx_http_blockcast_log_entry_t *entries, ngx_uint_t n,
    ngx_str_t *record)
{
    u_char               *p;
    size_t                size;
    ngx_uint_t            i;
    bc_journal_record_t   r;

    ngx_memzero(&r, sizeof(bc_journal_record_t));

    r.type = type;
    r.log = (st->field.len != 0);
    r.seq = seq;
    r.time = timestamp;
    r.polled = ngx_http_blockcast_journal_codec_now();
    r.name = ngx_http_blockcast_journal_codec_span(&st->name);
    r.data = ngx_http_blockcast_journal_codec_span(data);
    r.state = ngx_http_blockcast_journal_codec_span(state);

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


/* a record of a slot without entries; its n is given */

static void
ngx_http_blockcast_journal_codec_slot(ngx_http_blockcast_slot_t *slot,
    bc_journal_record_t *r)
{
    ngx_memzero(r, sizeof(bc_journal_record_t));

    r->log = slot->log;
    r->name.data = slot->name;
    r->name.len = ngx_strlen(slot->name);
}


void
ngx_http_blockcast_journal_codec_poll(ngx_http_blockcast_slot_t *slot,
    int64_t code, ngx_str_t *text, ngx_str_t *record)
{
    u_char               *p;
    bc_journal_record_t   r;

    ngx_http_blockcast_journal_codec_slot(slot, &r);

    if (text == NULL) {
        r.type = bc_journal_polled;
        r.polled = ngx_http_blockcast_journal_codec_now();

    } else {
        r.type = bc_journal_error;
        r.seq = (uint64_t) code;
        r.time = ngx_time();
        r.data = ngx_http_blockcast_journal_codec_span(text);
    }

    record->len = 0;
    record->data = ngx_alloc(bc_journal_size(&r), ngx_cycle->log);

    if (record->data != NULL) {
        p = bc_journal_begin(record->data, &r);
        record->len = bc_journal_end(record->data, p, 0);
    }
}


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
ngx_http_blockcast_journal_codec_past_put(u_char *p, ngx_uint_t i, uint64_t n)
{
    ngx_uint_t  byte;

    for (byte = 0; byte < 8; byte++) {
        p[8 * i + byte] = (u_char) (n >> (8 * byte));
    }
}


static uint64_t
ngx_http_blockcast_journal_codec_past_get(bc_span_t *past, ngx_uint_t i)
{
    uint64_t    n;
    ngx_uint_t  byte;

    n = 0;

    for (byte = 8; byte-- != 0; /* void */ ) {
        n = n << 8 | past->data[8 * i + byte];
    }

    return n;
}


/* what is remembered of a log beside its ring, which comes after it */

static ngx_int_t
ngx_http_blockcast_journal_codec_past(
    ngx_http_blockcast_journal_codec_buf_t *buf,
    ngx_http_blockcast_slot_t *slot, uint64_t seq)
{
    u_char                            *ring, *data;
    uint64_t                           pos, first, last, *keys;
    ngx_int_t                          rc;
    ngx_uint_t                         n;
    bc_journal_record_t                r;
    ngx_http_blockcast_ring_record_t  *rec;

    ring = ngx_http_blockcast_zone_slot_ring(slot);
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

    ngx_http_blockcast_journal_codec_past_put(data,
                                              NGX_HTTP_BLOCKCAST_PAST_GONE,
                                              slot->gone);
    ngx_http_blockcast_journal_codec_past_put(data,
                                              NGX_HTTP_BLOCKCAST_PAST_FORGOT,
                                              slot->forgot || first != 0);
    ngx_http_blockcast_journal_codec_past_put(data,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED,
                                              slot->seed[0]);
    ngx_http_blockcast_journal_codec_past_put(data,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED + 1,
                                              slot->seed[1]);

    keys = ngx_http_blockcast_zone_slot_keys(slot);

    for (n = NGX_HTTP_BLOCKCAST_PAST_KEYS; first < last; n++, first++) {
        ngx_http_blockcast_journal_codec_past_put(data, n,
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


/* the entries of the ring up to a seq: a record for those of each message */

static ngx_int_t
ngx_http_blockcast_journal_codec_ring(
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

    ring = ngx_http_blockcast_zone_slot_ring(slot);

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


static ngx_int_t
ngx_http_blockcast_journal_codec_stream(
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

    rc = ngx_http_blockcast_snapshot_read(slot, &snap, &p, ngx_cycle->log);

    if (rc == NGX_ERROR) {
        return NGX_ERROR;
    }

    if (rc == NGX_OK) {
        seq = snap.seq;

        if (slot->log
            && (ngx_http_blockcast_journal_codec_past(buf, slot, seq) != NGX_OK
                || ngx_http_blockcast_journal_codec_ring(buf, slot,
                                                         seq) != NGX_OK))
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

    /* without data, or beyond it */

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
ngx_http_blockcast_journal_codec_make(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *image)
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
    r.seq = ngx_http_blockcast_zone_seq(zone);

    if (ngx_http_blockcast_journal_codec_put(&buf, &r) != NGX_OK) {
        ngx_free(buf.data);
        return;
    }

    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        if (ngx_http_blockcast_journal_codec_stream(&buf, streams[i]->slot)
            != NGX_OK)
        {
            ngx_free(buf.data);
            return;
        }
    }

    image->data = buf.data;
    image->len = buf.len;
}


/* the next record of a stream; 0: there is none */

static ngx_uint_t
ngx_http_blockcast_journal_codec_next(const u_char **p, const u_char *last,
    ngx_http_blockcast_stream_t *st, bc_journal_record_t *r)
{
    while (bc_journal_next(p, last, r) == 1) {
        if (r->name.len == st->name.len
            && ngx_memcmp(r->name.data, st->name.data, r->name.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_blockcast_journal_codec_find(
                              const u_char *p, const u_char *last,
                              ngx_http_blockcast_stream_t *st,
                              ngx_http_blockcast_journal_codec_found_t *found)
{
    bc_journal_record_t  r;

    ngx_memzero(found, sizeof(ngx_http_blockcast_journal_codec_found_t));

    while (ngx_http_blockcast_journal_codec_next(&p, last, st, &r)) {

        found->found = 1;

        switch (r.type) {

        case bc_journal_polled:
            found->polled = ngx_max(found->polled, r.polled);
            break;

        case bc_journal_error:
            found->error = r;
            found->has_error = 1;
            break;

        case bc_journal_snap:
        case bc_journal_batch:
            found->seq = ngx_max(found->seq, r.seq);

            if (r.log != (st->field.len != 0)) {

                /* it was of another kind then; what is older is not shown */

                found->has_newest = 0;

            } else {
                found->newest = r;
                found->program = r.state;
                found->has_newest = 1;
                found->has_program = 0;
                found->polled = ngx_max(found->polled, r.polled);
            }

            break;

        case bc_journal_program:
            if (r.log == (st->field.len != 0)
                && (!found->has_newest || r.seq == found->newest.seq))
            {
                found->newest.seq = r.seq;
                found->program = r.state;
                found->has_program = 1;
            }

            break;

        case bc_journal_seq:
            if (r.log && r.data.len >= 8 * NGX_HTTP_BLOCKCAST_PAST_KEYS) {
                found->past = r.data;
            }

            /* fall through */

        default:
            found->seq = ngx_max(found->seq, r.seq);
        }
    }
}


/* the file has been written by us, as it says; who else may have, is unknown */

static ngx_uint_t
ngx_http_blockcast_journal_codec_good(ngx_http_blockcast_stream_t *st,
    bc_span_t *span, const char *what)
{
    u_char     buf[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t  text, error;

    text.data = (u_char *) span->data;
    text.len = span->len;

    if (ngx_http_blockcast_gate_check(&text, what, buf, sizeof(buf), &error)
        == NGX_OK)
    {
        return 1;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "blockcast: stream \"%V\" of the state file: %V, it is left "
                  "out", &st->name, &error);

    return 0;
}


/* true when none of the entries of a record is to be left out */

static ngx_uint_t
ngx_http_blockcast_journal_codec_whole(ngx_http_blockcast_stream_t *st,
    bc_journal_record_t *r)
{
    bc_span_t  rest, key, data;

    rest = r->entries;

    while (bc_journal_entry(&rest, &key, &data)) {
        if (!ngx_http_blockcast_journal_codec_good(st, &data, "an entry")) {
            return 0;
        }
    }

    return 1;
}


/* a message that a dead poller, or a follower, had begun to write */

static void
ngx_http_blockcast_journal_codec_drop(ngx_http_blockcast_slot_t *slot,
    uint64_t seq)
{
    u_char                            *ring;
    uint64_t                           pos, kept, n;
    ngx_http_blockcast_ring_record_t  *rec;

    ring = ngx_http_blockcast_zone_slot_ring(slot);
    kept = slot->head;
    n = 0;

    for (pos = slot->tail;
         (rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &pos,
                                             slot->head))
         != NULL;
         pos += rec->size)
    {
        if (rec->seq > seq && n++ == 0) {
            kept = pos;
        }
    }

    slot->head = kept;

    /* they are not known any more, or would not be taken when they come */

    slot->keys -= ngx_min(slot->keys, n);
}


/* what the file remembers; a slot that has entries remembers these itself */

static void
ngx_http_blockcast_journal_codec_remember(ngx_http_blockcast_slot_t *slot,
    bc_span_t *past, uint64_t seq, uint64_t newest)
{
    uint64_t    gone, seed[2], *keys;
    ngx_uint_t  i, n;

    gone = ngx_min(ngx_http_blockcast_journal_codec_past_get(past,
                                             NGX_HTTP_BLOCKCAST_PAST_GONE),
                   newest);

    if (slot->version == 0 && slot->keys == 0) {

        n = past->len / 8 - NGX_HTTP_BLOCKCAST_PAST_KEYS;

        keys = ngx_alloc(8 * n + 8, ngx_cycle->log);

        if (keys == NULL) {
            slot->forgot = 1;

        } else {
            for (i = 0; i < n; i++) {
                keys[i] = ngx_http_blockcast_journal_codec_past_get(past,
                                           NGX_HTTP_BLOCKCAST_PAST_KEYS + i);
            }

            seed[0] = ngx_http_blockcast_journal_codec_past_get(past,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED);
            seed[1] = ngx_http_blockcast_journal_codec_past_get(past,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED
                                              + 1);

            ngx_http_blockcast_ring_keys(slot, seed, keys, n,
                              ngx_http_blockcast_journal_codec_past_get(past,
                                           NGX_HTTP_BLOCKCAST_PAST_FORGOT)
                              != 0);
            ngx_free(keys);
        }

    } else if (gone > seq) {
        slot->forgot = 1;
    }

    if (gone > seq) {
        ngx_http_blockcast_ring_clear(slot, gone);
    }
}


/*
 * The entries behind a seq; the mutex is locked.  With as, some may be missing
 * behind them: they all come under that number, as the end of a message whose
 * beginning is lost, so that whoever knows an older one is told of a gap.
 */

static void
ngx_http_blockcast_journal_codec_entries(const u_char *p, const u_char *last,
    ngx_http_blockcast_stream_t *st, uint64_t seq, uint64_t as,
    bc_span_t *past, uint64_t newest)
{
    u_char                          *buf;
    uint32_t                         nth, lost;
    bc_span_t                        rest, key, data;
    ngx_uint_t                       joined;
    bc_journal_record_t              r;
    ngx_http_blockcast_slot_t       *slot;
    ngx_http_blockcast_log_entry_t   entry;

    slot = st->slot;
    joined = 0;
    lost = 1;

    if (past->len != 0) {
        joined = 1;
        ngx_http_blockcast_journal_codec_remember(slot, past, seq, newest);
    }

    if (as != 0) {

        /* also for those who come after another restart */

        ngx_http_blockcast_ring_clear(slot, as);
    }

    while (ngx_http_blockcast_journal_codec_next(&p, last, st, &r)) {

        if (r.log == 0
            || (r.type != bc_journal_batch && r.type != bc_journal_kept))
        {
            continue;
        }

        if (r.seq <= seq) {
            joined = 1;
            continue;
        }

        if (!joined) {
            joined = 1;

            if (r.seq > seq + 1 || r.nth != 0) {

                /* those between are lost: a client is told of a gap, not of
                   what was before it */

                ngx_http_blockcast_ring_clear(slot,
                                              r.nth ? r.seq : r.seq - 1);
                slot->forgot = 1;
            }
        }

        rest = r.entries;

        for (nth = r.nth; bc_journal_entry(&rest, &key, &data); nth++) {

            if (2 * (BC_JSON_KEY_BOUND(key.len) + data.len
                     + sizeof(ngx_http_blockcast_ring_record_t) + 8)
                > slot->ring_size
                || !ngx_http_blockcast_journal_codec_good(st, &data,
                                                          "an entry"))
            {
                /* a client that lacks it is told of a gap */

                ngx_http_blockcast_ring_clear(slot, r.seq);
                continue;
            }

            entry.key.data = (u_char *) key.data;
            entry.key.len = key.len;
            entry.data.data = (u_char *) data.data;
            entry.data.len = data.len;

            /* a former version wrote keys as the node had written them */

            buf = NULL;

            if (!bc_json_key_plain(key)) {
                buf = ngx_alloc(BC_JSON_KEY_BOUND(key.len), ngx_cycle->log);

                if (buf != NULL) {
                    entry.key.data = buf;
                    entry.key.len = bc_json_key(key, buf);
                }
            }

            ngx_http_blockcast_ring_append(slot, &entry,
                                           as != 0 ? as : r.seq, r.time,
                                           as != 0 ? lost++ : nth);

            if (buf != NULL) {
                ngx_free(buf);
            }
        }
    }
}


/* the data of a batch, of ngx_alloc(): {"FIELD":[ENTRY,...],"count":N} */

static ngx_int_t
ngx_http_blockcast_journal_codec_data(ngx_http_blockcast_stream_t *st,
    bc_journal_record_t *r, ngx_str_t *text)
{
    u_char      *p;
    bc_span_t    rest, key, data;
    ngx_uint_t   n;

    text->data = ngx_alloc(st->field.len + r->entries.len + r->data.len + 64,
                           ngx_cycle->log);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    if (r->type == bc_journal_snap) {
        text->len = r->data.len;
        ngx_memcpy(text->data, r->data.data, r->data.len);

    } else {
        p = ngx_http_blockcast_snapshot_batch_head(text->data, st);
        rest = r->entries;

        for (n = 0; bc_journal_entry(&rest, &key, &data); n++) {
            if (n != 0) {
                *p++ = ',';
            }

            p = ngx_cpymem(p, data.data, data.len);
        }

        p = ngx_sprintf(p, "],\"count\":%ui}", n);
        text->len = p - text->data;
    }

    if (st->field.len != 0
        && (text->len > st->max_size
            || (r->type == bc_journal_snap
                ? !ngx_http_blockcast_journal_codec_good(st, &r->data,
                                                         "the data")
                : !ngx_http_blockcast_journal_codec_whole(st, r))))
    {
        /* the entries themselves are in the ring, those that can be */

        p = ngx_http_blockcast_snapshot_batch_head(text->data, st);
        p = ngx_sprintf(p, "],\"count\":0}");
        text->len = p - text->data;
        r->n = 0;
    }

    return NGX_OK;
}


static uint64_t
ngx_http_blockcast_journal_codec_announced(ngx_http_blockcast_slot_t *slot)
{
    return (slot->version != 0) ? slot->snap[slot->version & 1].seq : 0;
}


static void
ngx_http_blockcast_journal_codec_commit(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, const u_char *p, const u_char *last,
    ngx_http_blockcast_journal_codec_found_t *found, uint64_t jump)
{
    u_char                        *buf;
    uint64_t                       seq;
    ngx_str_t                      text, state;
    ngx_http_blockcast_snapshot_t  snap;
    ngx_http_blockcast_slot_t     *slot;

    slot = st->slot;

    if (st->field.len == 0
        && !ngx_http_blockcast_journal_codec_good(st, &found->newest.data,
                                                  "the data"))
    {
        /* not the data, but its number goes on */

        found->seq = ngx_max(found->seq, found->newest.seq);
        return;
    }

    if (found->program.len != 0
        && (found->program.len > NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX
            || !ngx_http_blockcast_journal_codec_good(st, &found->program,
                                                      "the program's state")))
    {
        found->program.len = 0;
    }

    if (ngx_http_blockcast_journal_codec_data(st, &found->newest,
                                              &text) != NGX_OK) {
        return;
    }

    if (text.len > st->max_size) {

        /* too large for the stream as it is now, but its number goes on */

        found->seq = ngx_max(found->seq, found->newest.seq);
        ngx_free(text.data);
        return;
    }

    state.data = (u_char *) found->program.data;
    state.len = found->program.len;

    buf = ngx_http_blockcast_snapshot_build(st, &text, NULL, &state,
                                            found->newest.seq + jump,
                                            found->newest.time,
                                            found->newest.n, &snap,
                                            ngx_cycle->log);
    ngx_free(text.data);

    if (buf == NULL) {
        return;
    }

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) == NGX_OK) {

        seq = ngx_http_blockcast_journal_codec_announced(slot);

        /* another worker may have been here */

        if (snap.seq > seq) {

            if (slot->log) {
                ngx_http_blockcast_journal_codec_drop(slot, seq);
                ngx_http_blockcast_journal_codec_entries(p, last, st, seq,
                                                         jump ? snap.seq : 0,
                                                         &found->past,
                                                         found->newest.seq);
            }

            ngx_http_blockcast_snapshot_commit(slot, &snap, buf);
        }

        ngx_shmtx_unlock(&zone->shpool->mutex);
    }

    ngx_free(buf);
}


static ngx_uint_t
ngx_http_blockcast_journal_codec_apply_stream(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, const u_char *p, const u_char *last,
    uint64_t jump, ngx_uint_t redo)
{
    uint64_t                                   announced;
    ngx_str_t                                  text;
    ngx_msec_t                                 polled;
    ngx_http_blockcast_slot_t                 *slot;
    ngx_http_blockcast_journal_codec_found_t   found;

    slot = st->slot;
    announced = ngx_http_blockcast_journal_codec_announced(slot);

    ngx_http_blockcast_journal_codec_find(p, last, st, &found);

    if (!found.found) {
        return 0;
    }

    if (found.has_newest && found.newest.seq > announced) {
        ngx_http_blockcast_journal_codec_commit(zone, st, p, last, &found,
                                                jump);

    } else if (found.has_program && !redo && found.newest.seq == announced) {
        text.data = (u_char *) found.program.data;
        text.len = found.program.len;

        if (text.len == 0
            || (text.len <= NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX
                && ngx_http_blockcast_journal_codec_good(
                                        st, &found.program,
                                        "the program's state")))
        {
            ngx_http_blockcast_snapshot_set_memory(zone, slot, &text,
                                                   announced);
        }
    }

    if (found.seq != 0 && found.seq + jump > slot->seq) {
        slot->least = found.seq + jump;
        slot->seq = found.seq + jump;
    }

    if (redo) {
        return 1;
    }

    if (found.polled != 0 && slot->version != 0) {
        polled = ngx_http_blockcast_journal_codec_monotonic(found.polled);

        if (slot->polled == 0
            || (ngx_msec_int_t) (polled - slot->polled) > 0)
        {
            slot->polled_sec = found.polled / 1000;
            slot->polled = polled;
        }
    }

    if (found.has_error) {
        text.data = (u_char *) found.error.data.data;
        text.len = found.error.data.len;

        ngx_http_blockcast_stream_status_set(zone, slot,
                                             (int64_t) found.error.seq, &text,
                                             found.error.time);
    }

    return 1;
}


ngx_uint_t
ngx_http_blockcast_journal_codec_apply(ngx_http_blockcast_zone_t *zone,
    const u_char *p, const u_char *last, uint64_t jump, ngx_uint_t redo)
{
    ngx_uint_t                      i, n;
    ngx_http_blockcast_stream_t   **streams;

    n = 0;
    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        n += ngx_http_blockcast_journal_codec_apply_stream(zone, streams[i], p,
                                                           last, jump, redo);
    }

    return n;
}
