
/*
 * What is in a slot: its snapshots are built, published and read here, and so
 * are a stream's error, age and state.
 */


#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal_codec.h"
#include "ngx_http_blockcast_journal_file.h"
#include "ngx_http_blockcast_journal_lead.h"
#include "ngx_http_blockcast_journal_note.h"
#include "bc_journal.h"
#include "bc_merge_patch.h"
#include "bc_span.h"
#include "bc_ws_frame.h"
#include "bc_ws_deflate.h"


static void ngx_http_blockcast_snapshot_commit_memory(
    ngx_http_blockcast_slot_t *slot, ngx_str_t *memory);


size_t
ngx_http_blockcast_snapshot_message_len(ngx_http_blockcast_stream_t *st,
    size_t data_len)
{
    return NGX_HTTP_BLOCKCAST_MESSAGE_AROUND + st->name.len + data_len;
}


u_char *
ngx_http_blockcast_snapshot_message_head(u_char *p,
    ngx_http_blockcast_stream_t *st)
{
    p = ngx_cpymem(p, "{\"type\":\"", sizeof("{\"type\":\"") - 1);
    p = ngx_cpymem(p, st->name.data, st->name.len);
    return ngx_cpymem(p, "\",\"data\":", sizeof("\",\"data\":") - 1);
}


u_char *
ngx_http_blockcast_snapshot_message_tail(u_char *p, uint64_t seq,
    time_t timestamp)
{
    return ngx_sprintf(p, ",\"timestamp\":%T,\"seq\":%uL}", timestamp, seq);
}


ngx_int_t
ngx_http_blockcast_snapshot_begin(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log)
{
    /*
     * The mutex keeps out a former poller that was stopped in the middle of
     * this and goes on after another took the lease.
     */

    if (ngx_http_blockcast_zone_lock(zone, log) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!ngx_http_blockcast_lease_held(zone)
        || ngx_http_blockcast_journal_lead_write_begin(zone->bmcf) != NGX_OK)
    {
        ngx_shmtx_unlock(&zone->shpool->mutex);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_http_blockcast_snapshot_end(ngx_http_blockcast_zone_t *zone)
{
    ngx_http_blockcast_journal_lead_write_end(zone->bmcf);
    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/* to the state file; the mutex is locked, so nobody else comes between */

void
ngx_http_blockcast_snapshot_journal(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *record)
{
    if (zone->bmcf->journal != NULL) {
        ngx_http_blockcast_journal_file_append(zone->bmcf, record);
    }
}


static void
ngx_http_blockcast_snapshot_record(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, bc_journal_type_e type, uint64_t seq,
    time_t timestamp, ngx_str_t *data, ngx_str_t *memory,
    ngx_http_blockcast_log_entry_t *entries, ngx_uint_t n, ngx_str_t *record)
{
    ngx_str_null(record);

    if (zone->bmcf->journal != NULL) {
        ngx_http_blockcast_journal_codec_record(st, type, seq, timestamp, data,
                                                memory, entries, n, record);
    }
}


void
ngx_http_blockcast_snapshot_record_free(ngx_str_t *record)
{
    if (record->data != NULL) {
        ngx_free(record->data);
    }
}


/* after so long without a client that takes it, nothing is compressed */
#define NGX_HTTP_BLOCKCAST_DEFLATE_TIME  60000

/* who takes merge patches says so with each tick */
#define NGX_HTTP_BLOCKCAST_PATCH_TIME    (25 * NGX_HTTP_BLOCKCAST_TICK)


/* a payload at buf + offset + BC_WS_HEADER_LEN gets its header before it */

static void
ngx_http_blockcast_snapshot_variant_finish(
    ngx_http_blockcast_variant_t *variant, u_char *buf, size_t offset,
    size_t len, ngx_uint_t deflated)
{
    variant->offset = offset;
    variant->payload = bc_ws_frame_header_len(len);
    variant->len = variant->payload + len;
    variant->plain = len;

    if (variant->payload != BC_WS_HEADER_LEN) {
        ngx_memmove(buf + offset + variant->payload,
                    buf + offset + BC_WS_HEADER_LEN, len);
    }

    (void) bc_ws_frame_header(buf + offset, BC_WS_TEXT, 1, deflated, len);
}


/* the deflated form of another, at *end, when it is worth it */

static void
ngx_http_blockcast_snapshot_variant_deflate(
    ngx_http_blockcast_snapshot_t *snap, ngx_uint_t from, u_char *buf,
    size_t max)
{
    size_t                         len, plain;
    ngx_http_blockcast_variant_t  *text, *variant;

    text = &snap->variants[from];
    variant = &snap->variants[from + 1];

    plain = text->len - text->payload;

    if (plain < NGX_HTTP_BLOCKCAST_DEFLATE_MIN) {
        return;
    }

    max = ngx_min(max, plain * 9 / 10);

    if (bc_ws_deflate(buf + text->offset + text->payload, plain, 15, 6,
                      buf + snap->size + BC_WS_HEADER_LEN, max, &len)
        != 0)
    {
        return;
    }

    ngx_http_blockcast_snapshot_variant_finish(variant, buf, snap->size, len,
                                               1);
    variant->plain = plain;

    snap->size += variant->len;
}


/* whether some worker had a client for it of late */

static ngx_uint_t
ngx_http_blockcast_snapshot_wanted(ngx_msec_t last, ngx_msec_t time)
{
    return last != 0
           && (ngx_msec_int_t) (ngx_current_msec - last)
              < (ngx_msec_int_t) time;
}


/*
 * Builds all that a snapshot consists of in memory of this worker: the time
 * under the lock is that of a memcpy().
 */

u_char *
ngx_http_blockcast_snapshot_build(ngx_http_blockcast_stream_t *st,
    ngx_str_t *data, ngx_str_t *previous, ngx_str_t *memory, uint64_t seq,
    time_t timestamp, ngx_uint_t count, ngx_http_blockcast_snapshot_t *snap,
    ngx_log_t *log)
{
    u_char                        *buf, *p, *payload;
    size_t                         max, len;
    bc_span_t                      from, to;
    ngx_uint_t                     deflate;
    ngx_http_blockcast_variant_t  *text;

    /* room for what deflate writes beyond its limit before it gives up */

    buf = ngx_alloc(ngx_http_blockcast_zone_buffer_size(st->max_size,
                                                        st->field.len != 0)
                    + 64, log);
    if (buf == NULL) {
        return NULL;
    }

    ngx_memzero(snap, sizeof(ngx_http_blockcast_snapshot_t));

    snap->seq = seq;
    snap->timestamp = timestamp;
    snap->count = count;

    text = &snap->variants[NGX_HTTP_BLOCKCAST_TEXT];
    payload = buf + BC_WS_HEADER_LEN;

    p = ngx_http_blockcast_snapshot_message_head(payload, st);
    snap->data = p - payload;
    p = ngx_cpymem(p, data->data, data->len);
    p = ngx_http_blockcast_snapshot_message_tail(p, seq, timestamp);

    ngx_http_blockcast_snapshot_variant_finish(text, buf, 0, p - payload, 0);

    snap->data += text->payload;
    snap->data_len = data->len;
    snap->size = text->len;

    max = ngx_http_blockcast_zone_frame_size(
                                        st->max_size) / 2 - BC_WS_HEADER_LEN;

    /* a worker that has its first compresses for itself until then */

    deflate = ngx_http_blockcast_snapshot_wanted(
                        st->slot->deflated,
                        NGX_HTTP_BLOCKCAST_DEFLATE_TIME + 2 * st->interval);

    if (deflate) {
        ngx_http_blockcast_snapshot_variant_deflate(snap,
                                                    NGX_HTTP_BLOCKCAST_TEXT,
                                                    buf, max);
    }

    if (previous != NULL
        && ngx_http_blockcast_snapshot_wanted(st->slot->patched,
                                              NGX_HTTP_BLOCKCAST_PATCH_TIME))
    {
        payload = buf + snap->size + BC_WS_HEADER_LEN;

        p = ngx_sprintf(payload, "{\"type\":\"%V\",\"delta\":", &st->name);

        from.data = previous->data;
        from.len = previous->len;
        to.data = data->data;
        to.len = data->len;

        /* never sent when it is not smaller than the data itself */

        if ((size_t) (p - payload) + NGX_HTTP_BLOCKCAST_MESSAGE_AROUND < max
            && bc_merge_patch_diff(from, to, p,
                                   ngx_min(max - (p - payload)
                                           - NGX_HTTP_BLOCKCAST_MESSAGE_AROUND,
                                           data->len), &len)
               == 1
            && len + sizeof(",\"base\":") + NGX_INT64_LEN < data->len)
        {
            p += len;
            p = ngx_sprintf(p, ",\"base\":%uL", seq - 1);
            p = ngx_http_blockcast_snapshot_message_tail(p, seq, timestamp);

            ngx_http_blockcast_snapshot_variant_finish(
                                   &snap->variants[NGX_HTTP_BLOCKCAST_DELTA],
                                   buf, snap->size, p - payload, 0);

            snap->size += snap->variants[NGX_HTTP_BLOCKCAST_DELTA].len;

            if (deflate) {
                ngx_http_blockcast_snapshot_variant_deflate(
                                        snap, NGX_HTTP_BLOCKCAST_DELTA, buf,
                                        max);
            }
        }
    }

    snap->memory = snap->size;

    if (memory != NULL && memory->len != 0) {
        ngx_memcpy(buf + snap->size, memory->data, memory->len);
        snap->memory_len = memory->len;
        snap->size += memory->len;
    }

    return buf;
}


/* the mutex is locked */

void
ngx_http_blockcast_snapshot_commit(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf)
{
    ngx_uint_t  n;

    n = (slot->version + 1) & 1;

    ngx_memcpy(ngx_http_blockcast_zone_slot_buffer(slot, n), buf, snap->size);
    slot->snap[n] = *snap;
    slot->snap[n].published = ngx_http_blockcast_zone_usec();

    ngx_http_blockcast_test_moment("commit: copied");
    ngx_memory_barrier();

    slot->seq = snap->seq;
    ngx_http_blockcast_test_moment("commit: counted");
    slot->version++;
    ngx_http_blockcast_test_moment("commit: done");
}


ngx_int_t
ngx_http_blockcast_snapshot_publish(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *data, ngx_str_t *previous,
    ngx_str_t *memory, time_t timestamp, ngx_log_t *log)
{
    u_char                         *buf;
    ngx_int_t                       rc;
    ngx_str_t                       record;
    ngx_http_blockcast_snapshot_t   snap;

    if (data->len > st->max_size) {
        return NGX_ERROR;
    }

    buf = ngx_http_blockcast_snapshot_build(st, data, previous, memory,
                                            st->slot->seq + 1, timestamp, 0,
                                            &snap, log);
    if (buf == NULL) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_snapshot_record(zone, st, bc_journal_snap, snap.seq,
                                       timestamp, data, memory, NULL, 0,
                                       &record);

    rc = ngx_http_blockcast_snapshot_begin(zone, log);

    if (rc == NGX_OK) {
        ngx_http_blockcast_test_moment("publish: locked");
        ngx_http_blockcast_snapshot_journal(zone, &record);
        ngx_http_blockcast_journal_note_number(zone->bmcf, st, snap.seq);
        ngx_http_blockcast_test_moment("publish: recorded");
        ngx_http_blockcast_snapshot_commit(st->slot, &snap, buf);
        ngx_http_blockcast_snapshot_end(zone);
        ngx_http_blockcast_test_moment("publish: unlocked");
    }

    ngx_http_blockcast_snapshot_record_free(&record);
    ngx_free(buf);

    return rc;
}


ngx_int_t
ngx_http_blockcast_snapshot_publish_memory(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *memory, ngx_log_t *log)
{
    ngx_int_t                   rc;
    ngx_str_t                   record;
    ngx_http_blockcast_slot_t  *slot;

    slot = st->slot;

    ngx_http_blockcast_snapshot_record(zone, st, bc_journal_program,
                                       slot->snap[slot->version & 1].seq, 0,
                                       NULL, memory, NULL, 0, &record);

    rc = ngx_http_blockcast_snapshot_begin(zone, log);

    if (rc == NGX_OK) {
        ngx_http_blockcast_snapshot_journal(zone, &record);
        ngx_http_blockcast_snapshot_commit_memory(slot, memory);
        ngx_http_blockcast_snapshot_end(zone);
    }

    ngx_http_blockcast_snapshot_record_free(&record);

    return rc;
}


void
ngx_http_blockcast_snapshot_set_memory(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_str_t *memory, uint64_t seq)
{
    u_char                         *buf;
    ngx_http_blockcast_snapshot_t  *snap;

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
        return;
    }

    snap = &slot->snap[slot->version & 1];
    buf = ngx_http_blockcast_zone_slot_buffer(slot, slot->version);

    if (slot->version != 0
        && snap->seq == seq
        && (snap->memory_len != memory->len
            || ngx_memcmp(buf + snap->memory, memory->data, memory->len) != 0))
    {
        ngx_http_blockcast_snapshot_commit_memory(slot, memory);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/* the same message with another state; the mutex is locked */

static void
ngx_http_blockcast_snapshot_commit_memory(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *memory)
{
    u_char                         *from, *to;
    ngx_uint_t                      n;
    ngx_http_blockcast_snapshot_t  *snap;

    n = slot->version & 1;

    from = ngx_http_blockcast_zone_slot_buffer(slot, n);
    to = ngx_http_blockcast_zone_slot_buffer(slot, n ^ 1);

    snap = &slot->snap[n ^ 1];
    *snap = slot->snap[n];

    ngx_memcpy(to, from, snap->memory);

    if (memory->len != 0) {
        ngx_memcpy(to + snap->memory, memory->data, memory->len);
    }

    snap->memory_len = memory->len;
    snap->size = snap->memory + memory->len;

    ngx_http_blockcast_test_moment("state: copied");
    ngx_memory_barrier();

    slot->version++;
    ngx_http_blockcast_test_moment("state: done");
}


u_char *
ngx_http_blockcast_snapshot_batch_head(u_char *p,
    ngx_http_blockcast_stream_t *st)
{
    *p++ = '{';
    *p++ = '"';
    p = ngx_cpymem(p, st->field.data, st->field.len);
    return ngx_cpymem(p, "\":[", 3);
}


ngx_int_t
ngx_http_blockcast_snapshot_publish_log(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_log_entry_t *entries,
    ngx_uint_t n, ngx_str_t *memory, time_t timestamp, ngx_log_t *log)
{
    u_char                         *p, *text, *buf;
    uint64_t                        seq;
    ngx_int_t                       rc;
    ngx_str_t                       data, record;
    ngx_uint_t                      i;
    ngx_http_blockcast_snapshot_t   snap;

    text = ngx_alloc(st->max_size, log);
    if (text == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_blockcast_snapshot_batch_head(text, st);

    for (i = 0; i < n; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, entries[i].data.data, entries[i].data.len);
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", n);

    data.data = text;
    data.len = p - text;

    seq = st->slot->seq + 1;

    buf = ngx_http_blockcast_snapshot_build(st, &data, NULL, memory, seq,
                                            timestamp, n, &snap, log);
    ngx_free(text);

    if (buf == NULL) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_snapshot_record(zone, st, bc_journal_batch, seq,
                                       timestamp, NULL, memory, entries, n,
                                       &record);

    rc = ngx_http_blockcast_snapshot_begin(zone, log);

    if (rc == NGX_OK) {

        ngx_http_blockcast_snapshot_journal(zone, &record);
        ngx_http_blockcast_journal_note_number(zone->bmcf, st, seq);
        ngx_http_blockcast_test_moment("log: recorded");

        for (i = 0; i < n; i++) {
            ngx_http_blockcast_ring_append(st->slot, &entries[i], seq,
                                           timestamp, i);
        }

        ngx_http_blockcast_snapshot_commit(st->slot, &snap, buf);
        ngx_http_blockcast_snapshot_end(zone);
        ngx_http_blockcast_test_moment("log: unlocked");
    }

    ngx_http_blockcast_snapshot_record_free(&record);
    ngx_free(buf);

    return rc;
}


ngx_int_t
ngx_http_blockcast_snapshot_read(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char **buf, ngx_log_t *log)
{
    size_t      size, max;
    u_char     *p;
    uint64_t    version;
    ngx_uint_t  i;

    max = ngx_http_blockcast_zone_buffer_size(slot->max_size, slot->log);

    for (i = 0; i < 100; i++) {
        version = slot->version;

        if (version == 0) {
            return NGX_DECLINED;
        }

        ngx_memory_barrier();

        *snap = slot->snap[version & 1];
        size = snap->size;

        ngx_memory_barrier();

        if (size > max || slot->version != version) {
            continue;
        }

        p = ngx_alloc(size + 1, log);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, ngx_http_blockcast_zone_slot_buffer(slot, version),
                   size);

        ngx_memory_barrier();

        if (slot->version == version) {
            *buf = p;
            return NGX_OK;
        }

        /* the writer came by meanwhile and may have been in this buffer */

        ngx_free(p);
    }

    return NGX_ERROR;
}
