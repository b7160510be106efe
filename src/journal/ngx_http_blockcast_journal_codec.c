
/*
 * Encodes the slots of the zone as records of the state file.
 */


#include "ngx_http_blockcast_journal_codec.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal_image.h"
#include "bc_history.h"
#include "bc_journal.h"
#include "bc_span.h"


bc_span_t
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


uint64_t
ngx_http_blockcast_journal_codec_unix(ngx_msec_t msec)
{
    ngx_msec_int_t  ago;

    if (msec == 0) {
        return 0;
    }

    ago = (ngx_msec_int_t) (ngx_current_msec - msec);

    return ngx_http_blockcast_journal_codec_now() - ((ago > 0) ? ago : 0);
}


bc_span_t
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
    ngx_uint_t           i;
    bc_journal_record_t  r;

    ngx_http_blockcast_journal_codec_record(pub, &r);

    if (pub->type == ngx_http_blockcast_publish_batch) {
        r.n = (uint32_t) pub->count;

        for (i = 0; i < pub->count; i++) {
            r.entries.len += bc_journal_entry_size(pub->entries[i].key.len,
                                                   pub->entries[i].data.len);
        }
    }

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


void
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


ngx_int_t
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


void
ngx_http_blockcast_journal_codec_image(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t keys, ngx_str_t *text)
{
    u_char                               *p;
    ngx_http_blockcast_journal_chunk_t   *chunk;
    ngx_http_blockcast_journal_image_t   *image;

    ngx_str_null(text);

    image = ngx_http_blockcast_journal_image_all(zone, keys);
    if (image == NULL) {
        return;
    }

    p = ngx_alloc(image->size, ngx_cycle->log);

    if (p != NULL) {
        text->data = p;
        text->len = image->size;

        for (chunk = image->chunks; chunk != NULL; chunk = chunk->next) {
            p = ngx_cpymem(p, chunk->data, chunk->len);
        }
    }

    ngx_http_blockcast_journal_image_free(image);
}
