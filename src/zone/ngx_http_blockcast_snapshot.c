
/*
 * Snapshots: how a slot's data is built, published by the poller, and read by
 * every worker.
 */


#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_merge_patch.h"
#include "bc_span.h"
#include "bc_ws_frame.h"
#include "bc_ws_deflate.h"


/* a larger buffer is not copied back from the zone (bytes) */
#define NGX_HTTP_BLOCKCAST_SNAPSHOT_KEPT  65536


static void ngx_http_blockcast_snapshot_commit_memory(
    ngx_http_blockcast_slot_t *slot, ngx_str_t *memory);
static void ngx_http_blockcast_snapshot_show(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap);


/*
 * The last publication of this worker, if it is large: this worker's own hub,
 * which reads it next, takes it instead of making a copy, which would take
 * another millisecond for 2 MB.
 */

static ngx_http_blockcast_prepared_t  ngx_http_blockcast_snapshot_kept;


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
    return ngx_http_blockcast_snapshot_begin_by(zone, zone->bmcf->recorder,
                                                log);
}


void
ngx_http_blockcast_snapshot_end(ngx_http_blockcast_zone_t *zone)
{
    ngx_http_blockcast_snapshot_end_by(zone, zone->bmcf->recorder);
}


ngx_int_t
ngx_http_blockcast_snapshot_begin_by(ngx_http_blockcast_zone_t *zone,
    const ngx_http_blockcast_recorder_t *recorder, ngx_log_t *log)
{
    /*
     * The mutex keeps out a previous poller that was stopped in the middle of
     * a write and resumes after another worker took the lease.
     */

    if (ngx_http_blockcast_zone_lock(zone, log) != NGX_OK) {
        return NGX_DECLINED;
    }

    if (!ngx_http_blockcast_lease_held(zone)
        || (recorder != NULL && recorder->write_begin(zone->bmcf) != NGX_OK))
    {
        ngx_shmtx_unlock(&zone->shpool->mutex);
        return NGX_DECLINED;
    }

    return NGX_OK;
}


void
ngx_http_blockcast_snapshot_end_by(ngx_http_blockcast_zone_t *zone,
    const ngx_http_blockcast_recorder_t *recorder)
{
    if (recorder != NULL) {
        recorder->write_end(zone->bmcf);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/* how long to deflate frames after the last client that takes them (msec) */
#define NGX_HTTP_BLOCKCAST_DEFLATE_TIME  60000

/*
 * how long to make patches after the last tick of a worker with a client that
 * takes them (msec)
 */
#define NGX_HTTP_BLOCKCAST_PATCH_TIME    (25 * NGX_HTTP_BLOCKCAST_TICK)


/*
 * Puts the frame header right before a payload of len bytes at
 * buf + offset + BC_WS_HEADER_LEN, and describes the frame in *variant.
 */

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


/*
 * Appends the deflated form of the frame `from`, of at most max bytes, if it
 * saves a tenth.  If it does not, the next DEFLATE_PAUSE messages are not
 * tried, and variant->plain tells the workers not to try, either.  If only the
 * room is missing, or it would take long, the workers deflate.
 */

static void
ngx_http_blockcast_snapshot_variant_deflate(ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_snapshot_t *snap, ngx_uint_t from, u_char *buf,
    size_t max)
{
    size_t                         len, plain;
    ngx_http_blockcast_pause_t    *pause;
    ngx_http_blockcast_variant_t  *text, *variant;

    text = &snap->variants[from];
    variant = &snap->variants[from + 1];

    plain = text->len - text->payload;

    if (plain < NGX_HTTP_BLOCKCAST_DEFLATE_MIN
        || plain > NGX_HTTP_BLOCKCAST_DEFLATE_AT_ONCE)
    {
        return;
    }

    pause = &st->pauses[from != NGX_HTTP_BLOCKCAST_TEXT];

    if (pause->left != 0) {
        pause->left--;
        variant->plain = pause->useless ? plain : 0;
        return;
    }

    if (bc_ws_deflate(buf + text->offset + text->payload, plain, 15,
                      bc_ws_deflate_level(plain),
                      buf + snap->size + BC_WS_HEADER_LEN,
                      ngx_min(max, plain * 9 / 10), &len)
        != 0)
    {
        pause->left = NGX_HTTP_BLOCKCAST_DEFLATE_PAUSE;
        pause->useless = (max >= plain * 9 / 10);
        variant->plain = pause->useless ? plain : 0;
        return;
    }

    ngx_http_blockcast_snapshot_variant_finish(variant, buf, snap->size, len,
                                               1);
    variant->plain = plain;

    snap->size += variant->len;
}


/* Returns true when last (0: never) is less than `time` msec ago. */

static ngx_uint_t
ngx_http_blockcast_snapshot_wanted(ngx_msec_t last, ngx_msec_t time)
{
    return last != 0
           && (ngx_msec_int_t) (ngx_current_msec - last)
              < (ngx_msec_int_t) time;
}


/*
 * Put the text frame at the beginning of buf: the part before its data, and
 * the part after it.  Both return the end.
 */

static u_char *
ngx_http_blockcast_snapshot_text_head(ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf)
{
    u_char  *p, *payload;

    payload = buf + BC_WS_HEADER_LEN;

    p = ngx_http_blockcast_snapshot_message_head(payload, pub->stream);

    if (pub->key.len != 0) {
        p -= sizeof("\"data\":") - 1;
        p = ngx_sprintf(p, "\"key\":\"%V\",\"data\":", &pub->key);
    }

    snap->data = p - payload;

    return p;
}


static u_char *
ngx_http_blockcast_snapshot_text_tail(ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf, u_char *p)
{
    size_t                         len;
    u_char                        *payload;
    ngx_str_t                      gap;
    ngx_uint_t                     i;
    ngx_http_blockcast_variant_t  *text;

    text = &snap->variants[NGX_HTTP_BLOCKCAST_TEXT];
    payload = buf + BC_WS_HEADER_LEN;
    len = p - payload - snap->data;

    p = ngx_http_blockcast_snapshot_message_tail(p, pub->seq, pub->timestamp);

    for (i = 0; i < pub->count && pub->entries != NULL; i++) {
        ngx_http_blockcast_ring_gap(pub->entries[i].data.data,
                                    pub->entries[i].data.len, &gap);

        /* data of a batch is allocated with room for the gap */

        if (gap.len != 0
            && len + NGX_HTTP_BLOCKCAST_RING_GAP_LEN
               <= pub->stream->max_size)
        {
            p = ngx_http_blockcast_ring_gap_member(p - 1, pub->seq - 1,
                                                   pub->seq, &gap);
            *p++ = '}';
            break;
        }
    }

    ngx_http_blockcast_snapshot_variant_finish(text, buf, 0, p - payload, 0);

    snap->data += text->payload;
    snap->data_len = len;
    snap->size = text->len;

    return p;
}


/* Puts the program's memory after the frames. */

static void
ngx_http_blockcast_snapshot_build_memory(ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf)
{
    snap->memory = snap->size;

    if (pub->memory.len != 0) {
        ngx_memcpy(buf + snap->size, pub->memory.data, pub->memory.len);
        snap->memory_len = pub->memory.len;
        snap->size += pub->memory.len;
    }
}


/*
 * Appends the frame with a merge patch, if it is smaller than the data; max is
 * the room for its payload in bytes.  Returns 0 when there is no patch.
 */

static ngx_uint_t
ngx_http_blockcast_snapshot_build_delta(ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf, size_t max)
{
    u_char                        *p, *payload;
    size_t                         len;
    bc_span_t                      from, to;
    ngx_http_blockcast_variant_t  *delta;

    payload = buf + snap->size + BC_WS_HEADER_LEN;

    p = ngx_sprintf(payload, "{\"type\":\"%V\",", &pub->stream->name);

    if (pub->key.len != 0) {
        p = ngx_sprintf(p, "\"key\":\"%V\",", &pub->key);
    }

    p = ngx_cpymem(p, "\"delta\":", sizeof("\"delta\":") - 1);

    from.data = pub->previous.data;
    from.len = pub->previous.len;
    to.data = pub->data.data;
    to.len = pub->data.len;

    if ((size_t) (p - payload) + NGX_HTTP_BLOCKCAST_MESSAGE_AROUND >= max
        || bc_merge_patch_diff(from, to, p,
                               ngx_min(max - (p - payload)
                                       - NGX_HTTP_BLOCKCAST_MESSAGE_AROUND,
                                       pub->data.len), &len)
           != 1
        || len + sizeof(",\"base\":") + NGX_INT64_LEN >= pub->data.len)
    {
        return 0;
    }

    p += len;
    p = ngx_sprintf(p, ",\"base\":%uL", pub->seq - 1);
    p = ngx_http_blockcast_snapshot_message_tail(p, pub->seq, pub->timestamp);

    delta = &snap->variants[NGX_HTTP_BLOCKCAST_DELTA];

    ngx_http_blockcast_snapshot_variant_finish(delta, buf, snap->size,
                                               p - payload, 0);
    snap->size += delta->len;

    return 1;
}


/*
 * Builds in this worker's memory, so that the mutex is held for a memcpy()
 * only.
 */

u_char *
ngx_http_blockcast_snapshot_build(ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_snapshot_t *snap, ngx_log_t *log)
{
    u_char                       *p, *buf;
    size_t                        size, max;
    ngx_uint_t                    deflate;
    ngx_http_blockcast_stream_t  *st;

    st = pub->stream;

    /*
     * Allocate what the four forms of this data can need, rather than the
     * slot's maximum, for which malloc() would call the system.  Deflate
     * writes up to 64 bytes beyond its limit before it gives up.
     */

    size = ngx_http_blockcast_snapshot_message_len(st, pub->data.len)
           + NGX_HTTP_BLOCKCAST_MESSAGE_AROUND + 2 * BC_WS_HEADER_LEN;

    size = ngx_min(4 * size + pub->memory.len,
                   ngx_http_blockcast_slot_buffer_size(st->max_size,
                                                       st->field.len != 0));
    size += 4 * (pub->key.len + sizeof("\"key\":\"\","));

    buf = ngx_alloc(size + 64, log);
    if (buf == NULL) {
        return NULL;
    }

    ngx_memzero(snap, sizeof(ngx_http_blockcast_snapshot_t));

    snap->seq = pub->seq;
    snap->timestamp = pub->timestamp;
    snap->count = pub->count;

    p = ngx_http_blockcast_snapshot_text_head(pub, snap, buf);
    p = ngx_cpymem(p, pub->data.data, pub->data.len);
    (void) ngx_http_blockcast_snapshot_text_tail(pub, snap, buf, p);

    max = ngx_http_blockcast_slot_frame_size(
                                        st->max_size) / 2 - BC_WS_HEADER_LEN;

    /* a worker whose first such client comes later deflates for itself */

    deflate = ngx_http_blockcast_snapshot_wanted(
                        st->slot->deflated,
                        NGX_HTTP_BLOCKCAST_DEFLATE_TIME + 2 * st->interval);

    if (deflate) {
        ngx_http_blockcast_snapshot_variant_deflate(st, snap,
                                                    NGX_HTTP_BLOCKCAST_TEXT,
                                                    buf, max);
    }

    if (pub->previous.data != NULL
        && pub->previous.len <= NGX_HTTP_BLOCKCAST_PATCH_MAX
        && pub->data.len <= NGX_HTTP_BLOCKCAST_PATCH_MAX
        && ngx_http_blockcast_snapshot_wanted(st->slot->patched,
                                              NGX_HTTP_BLOCKCAST_PATCH_TIME)
        && ngx_http_blockcast_snapshot_build_delta(pub, snap, buf, max)
        && deflate)
    {
        ngx_http_blockcast_snapshot_variant_deflate(st, snap,
                                                    NGX_HTTP_BLOCKCAST_DELTA,
                                                    buf, max);
    }

    ngx_http_blockcast_snapshot_build_memory(pub, snap, buf);

    return buf;
}


void
ngx_http_blockcast_snapshot_commit(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf)
{
    ngx_uint_t  n;

    n = (slot->version + 1) & 1;

    slot->claims++;

    ngx_memcpy(ngx_http_blockcast_slot_buffer(slot, n), buf, snap->size);

    ngx_http_blockcast_snapshot_show(slot, snap);
}


/* Makes the content of the buffer that nobody reads the newest snapshot. */

static void
ngx_http_blockcast_snapshot_show(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap)
{
    ngx_uint_t  n;

    n = (slot->version + 1) & 1;

    slot->snap[n] = *snap;
    slot->snap[n].published = ngx_http_blockcast_zone_usec();

    ngx_http_blockcast_test_moment("commit: copied");
    ngx_memory_barrier();

    slot->seq = snap->seq;
    ngx_http_blockcast_test_moment("commit: counted");
    slot->version++;
    ngx_http_blockcast_test_moment("commit: done");
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
    buf = ngx_http_blockcast_slot_buffer(slot, slot->version);

    if (slot->version != 0
        && snap->seq == seq
        && (snap->memory_len != memory->len
            || ngx_memcmp(buf + snap->memory, memory->data, memory->len) != 0))
    {
        ngx_http_blockcast_snapshot_commit_memory(slot, memory);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * Makes a copy of the newest snapshot with another program memory the newest;
 * the mutex is locked.
 */

static void
ngx_http_blockcast_snapshot_commit_memory(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *memory)
{
    u_char                         *from, *to;
    ngx_uint_t                      n;
    ngx_http_blockcast_snapshot_t  *snap;

    n = slot->version & 1;

    from = ngx_http_blockcast_slot_buffer(slot, n);
    to = ngx_http_blockcast_slot_buffer(slot, n ^ 1);

    snap = &slot->snap[n ^ 1];

    /* what another worker has put there, in pieces, is overwritten */

    slot->claims++;

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


/* Makes a batch's data from its entries: {"FIELD":[ENTRY,...],"count":N}. */

static ngx_int_t
ngx_http_blockcast_snapshot_batch_data(ngx_http_blockcast_publication_t *pub,
    ngx_str_t *data, ngx_log_t *log)
{
    size_t       size;
    u_char      *p;
    ngx_uint_t   i;

    size = pub->stream->field.len + sizeof("{\"\":[],\"count\":}")
           + NGX_INT_T_LEN;

    for (i = 0; i < pub->count; i++) {
        size += pub->entries[i].data.len + 1;
    }

    data->data = ngx_alloc(size, log);
    if (data->data == NULL) {
        return NGX_ERROR;
    }

    p = ngx_http_blockcast_snapshot_batch_head(data->data, pub->stream);

    for (i = 0; i < pub->count; i++) {
        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, pub->entries[i].data.data,
                       pub->entries[i].data.len);
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", pub->count);

    data->len = p - data->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_snapshot_prepare(ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, ngx_log_t *log)
{
    prepared->buf = NULL;
    prepared->slot = NULL;

    switch (pub->type) {

    case ngx_http_blockcast_publish_memory:
        return NGX_OK;

    case ngx_http_blockcast_publish_batch:
        ngx_str_null(&pub->previous);

        if (ngx_http_blockcast_snapshot_batch_data(pub, &pub->data, log)
            != NGX_OK)
        {
            return NGX_ERROR;
        }

        prepared->buf = ngx_http_blockcast_snapshot_build(pub, &prepared->snap,
                                                          log);
        ngx_free(pub->data.data);
        ngx_str_null(&pub->data);

        break;

    default: /* ngx_http_blockcast_publish_data */

        if (pub->data.len > pub->stream->max_size) {
            return NGX_ERROR;
        }

        prepared->buf = ngx_http_blockcast_snapshot_build(pub, &prepared->snap,
                                                          log);
    }

    return (prepared->buf != NULL) ? NGX_OK : NGX_ERROR;
}


void
ngx_http_blockcast_snapshot_commit_prepared(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared)
{
    ngx_uint_t                  i;
    ngx_http_blockcast_slot_t  *slot;

    slot = pub->stream->slot;

    if (pub->type == ngx_http_blockcast_publish_memory) {
        ngx_http_blockcast_snapshot_commit_memory(slot, &pub->memory);
        return;
    }

    if (pub->type == ngx_http_blockcast_publish_batch) {

        for (i = 0; i < pub->count; i++) {
            ngx_http_blockcast_ring_append(slot, &pub->entries[i], pub->seq,
                                           pub->timestamp, i);
        }
    }

    ngx_http_blockcast_snapshot_commit(slot, &prepared->snap, prepared->buf);

    prepared->slot = slot;
    prepared->version = slot->version;
}


/* Returns what of a publication is copied in pieces. */

static ngx_str_t *
ngx_http_blockcast_snapshot_pieces_of(ngx_http_blockcast_publication_t *pub)
{
    return (pub->type == ngx_http_blockcast_publish_batch)
           ? &pub->entries[0].data : &pub->data;
}


/*
 * In pieces, a private buffer is filled first, then what nobody reads of the
 * slot: behind the head of a log's ring, and the other buffer; the commit
 * itself stores a few words.  While these are filled the mutex is free between
 * pieces, so another worker may take the lease and write there, too.  Each
 * start increments slot->claims: a worker that finds another count, version or
 * head has lost them.  The entries that had to make room in the ring have gone
 * then, as they will when the entry comes again.
 */

ngx_int_t
ngx_http_blockcast_snapshot_prepare_begin(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, ngx_log_t *log)
{
    u_char  *p;
    size_t   size;

    ngx_memzero(prepared, sizeof(ngx_http_blockcast_prepared_t));

    size = ngx_http_blockcast_snapshot_pieces_of(pub)->len;

    if (size > pub->stream->max_size) {
        return NGX_ERROR;
    }

    size = ngx_http_blockcast_snapshot_message_len(pub->stream, size)
           + BC_WS_HEADER_LEN + pub->memory.len;

    if (pub->type == ngx_http_blockcast_publish_batch) {
        size += pub->stream->field.len + sizeof("{\"\":[],\"count\":1}")
                + NGX_HTTP_BLOCKCAST_RING_GAP_LEN;
    }

    prepared->buf = ngx_alloc(size, log);
    if (prepared->buf == NULL) {
        return NGX_ERROR;
    }

    prepared->snap.seq = pub->seq;
    prepared->snap.timestamp = pub->timestamp;
    prepared->snap.count = pub->count;

    p = ngx_http_blockcast_snapshot_text_head(pub, &prepared->snap,
                                              prepared->buf);

    if (pub->type == ngx_http_blockcast_publish_batch) {
        p = ngx_http_blockcast_snapshot_batch_head(p, pub->stream);
    }

    prepared->head = p - prepared->buf;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_snapshot_prepare_piece(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, size_t len)
{
    u_char     *p;
    ngx_str_t  *data;

    data = ngx_http_blockcast_snapshot_pieces_of(pub);
    len = ngx_min(len, data->len - prepared->copied);

    p = ngx_cpymem(prepared->buf + prepared->head + prepared->copied,
                   data->data + prepared->copied, len);
    prepared->copied += len;

    if (prepared->copied < data->len) {
        return NGX_AGAIN;
    }

    if (pub->type == ngx_http_blockcast_publish_batch) {
        p = ngx_cpymem(p, "],\"count\":1}", sizeof("],\"count\":1}") - 1);
    }

    (void) ngx_http_blockcast_snapshot_text_tail(pub, &prepared->snap,
                                                 prepared->buf, p);
    ngx_http_blockcast_snapshot_build_memory(pub, &prepared->snap,
                                             prepared->buf);
    prepared->copied = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_snapshot_stage_entry(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, size_t len)
{
    ngx_str_t                  *data;
    ngx_http_blockcast_slot_t  *slot;

    slot = pub->stream->slot;
    data = &pub->entries[0].data;

    if (prepared->claim == 0) {

        if (slot->seq + 1 != pub->seq) {
            return NGX_DECLINED;
        }

        ngx_http_blockcast_ring_begin(slot, &pub->entries[0], pub->seq,
                                      pub->timestamp, 0, &prepared->place);

        prepared->claim = slot->claims;
        prepared->version = slot->version;
    }

    if (!ngx_http_blockcast_snapshot_is_staged(pub, prepared)) {
        return NGX_DECLINED;
    }

    len = ngx_min(len, data->len - prepared->entered);

    ngx_memcpy(ngx_http_blockcast_ring_record_data(prepared->place.rec)
               + prepared->entered,
               data->data + prepared->entered, len);
    prepared->entered += len;

    return (prepared->entered < data->len) ? NGX_AGAIN : NGX_OK;
}


ngx_int_t
ngx_http_blockcast_snapshot_stage_piece(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared, size_t len)
{
    ngx_http_blockcast_slot_t  *slot;

    slot = pub->stream->slot;

    if (prepared->claim == 0) {

        if (slot->seq + 1 != pub->seq) {
            return NGX_DECLINED;
        }

        prepared->claim = ++slot->claims;
        prepared->version = slot->version;
    }

    if (!ngx_http_blockcast_snapshot_is_staged(pub, prepared)) {
        return NGX_DECLINED;
    }

    len = ngx_min(len, prepared->snap.size - prepared->copied);

    ngx_memcpy(ngx_http_blockcast_slot_buffer(slot, prepared->version + 1)
               + prepared->copied,
               prepared->buf + prepared->copied, len);
    prepared->copied += len;

    return (prepared->copied < prepared->snap.size) ? NGX_AGAIN : NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_snapshot_is_staged(ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared)
{
    ngx_http_blockcast_slot_t  *slot;

    slot = pub->stream->slot;

    return slot->claims == prepared->claim
           && slot->version == prepared->version
           && slot->seq + 1 == pub->seq
           && (pub->type != ngx_http_blockcast_publish_batch
               || slot->head == prepared->place.from);
}


void
ngx_http_blockcast_snapshot_commit_staged(
    ngx_http_blockcast_publication_t *pub,
    ngx_http_blockcast_prepared_t *prepared)
{
    if (pub->type == ngx_http_blockcast_publish_batch) {
        ngx_http_blockcast_ring_end(pub->stream->slot, &prepared->place);
    }

    ngx_http_blockcast_snapshot_show(pub->stream->slot, &prepared->snap);

    prepared->slot = pub->stream->slot;
    prepared->version = prepared->slot->version;
}


void
ngx_http_blockcast_snapshot_prepared_free(
    ngx_http_blockcast_prepared_t *prepared)
{
    u_char                         *p;
    ngx_http_blockcast_prepared_t  *kept;

    if (prepared->buf == NULL) {
        return;
    }

    if (prepared->slot == NULL
        || prepared->snap.size < NGX_HTTP_BLOCKCAST_SNAPSHOT_KEPT)
    {
        ngx_free(prepared->buf);
        return;
    }

    kept = &ngx_http_blockcast_snapshot_kept;

    if (kept->buf != NULL) {
        ngx_free(kept->buf);
    }

    *kept = *prepared;

    /* give back the room that the other forms would have needed */

    p = realloc(kept->buf, kept->snap.size + 1);

    if (p != NULL) {
        kept->buf = p;
    }
}


/* Takes this worker's last publication, if it is a slot's newest. */

static u_char *
ngx_http_blockcast_snapshot_take(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap)
{
    u_char                         *p;
    ngx_http_blockcast_prepared_t  *kept;

    kept = &ngx_http_blockcast_snapshot_kept;

    if (kept->buf == NULL || kept->slot != slot
        || kept->version != slot->version)
    {
        return NULL;
    }

    ngx_memory_barrier();

    *snap = slot->snap[kept->version & 1];

    ngx_memory_barrier();

    if (slot->version != kept->version) {
        return NULL;
    }

    p = kept->buf;
    kept->buf = NULL;

    return p;
}


ngx_int_t
ngx_http_blockcast_snapshot_read(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_snapshot_t *snap, u_char **buf, ngx_log_t *log)
{
    size_t      size, max;
    u_char     *p;
    uint64_t    version;
    ngx_uint_t  i;

    *buf = ngx_http_blockcast_snapshot_take(slot, snap);

    if (*buf != NULL) {
        return NGX_OK;
    }

    max = ngx_http_blockcast_slot_buffer_size(slot->max_size, slot->log);

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

        ngx_memcpy(p, ngx_http_blockcast_slot_buffer(slot, version),
                   size);

        ngx_memory_barrier();

        if (slot->version == version) {
            *buf = p;
            return NGX_OK;
        }

        /* a writer has changed the buffer during the copy */

        ngx_free(p);
    }

    return NGX_ERROR;
}


ngx_int_t
ngx_http_blockcast_snapshot_read_begin(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_reading_t *reading, ngx_log_t *log)
{
    uint64_t                        version;
    ngx_http_blockcast_prepared_t  *kept;

    kept = &ngx_http_blockcast_snapshot_kept;
    version = slot->version;

    if (version == 0
        || (kept->buf != NULL && kept->slot == slot
            && kept->version == version))
    {
        return NGX_DECLINED;
    }

    ngx_memory_barrier();

    reading->snap = slot->snap[version & 1];

    ngx_memory_barrier();

    if (slot->version != version
        || reading->snap.size <= NGX_HTTP_BLOCKCAST_STAGED
        || reading->snap.size
           > ngx_http_blockcast_slot_buffer_size(slot->max_size, slot->log))
    {
        return NGX_DECLINED;
    }

    reading->buf = ngx_alloc(reading->snap.size + 1, log);
    if (reading->buf == NULL) {
        return NGX_DECLINED;
    }

    reading->version = version;
    reading->copied = 0;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_snapshot_read_piece(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_reading_t *reading, size_t len)
{
    len = ngx_min(len, reading->snap.size - reading->copied);

    ngx_memcpy(reading->buf + reading->copied,
               ngx_http_blockcast_slot_buffer(slot, reading->version)
               + reading->copied,
               len);
    reading->copied += len;

    ngx_memory_barrier();

    if (slot->version != reading->version) {
        return NGX_DECLINED;
    }

    return (reading->copied < reading->snap.size) ? NGX_AGAIN : NGX_OK;
}
