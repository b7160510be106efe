
/*
 * The status of a stream: its age, freshness, error and note.
 */


#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"


static void ngx_http_blockcast_stream_status_commit(
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text,
    time_t since);


void
ngx_http_blockcast_stream_status_refresh(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot)
{
    if (!ngx_http_blockcast_lease_held(zone)) {
        return;
    }

    slot->polled_sec = ngx_time();
    ngx_http_blockcast_test_moment("refresh: half");
    slot->polled = ngx_current_msec;

    if (slot->error[slot->error_version & 1].len != 0) {
        ngx_http_blockcast_stream_status_clear(zone, slot);
    }

    if (zone->bmcf->recorder != NULL) {
        zone->bmcf->recorder->polled(zone->bmcf, slot);
    }
}


/* Records an error, or its end with an empty text, and sets it. */

static void
ngx_http_blockcast_stream_status_write(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text)
{
    ngx_str_t                             record;
    const ngx_http_blockcast_recorder_t  *recorder;

    recorder = zone->bmcf->recorder;
    ngx_str_null(&record);

    if (recorder != NULL) {
        recorder->encode_error(slot, code, text, &record);
    }

    if (ngx_http_blockcast_snapshot_begin(zone, ngx_cycle->log) == NGX_OK) {

        if (recorder != NULL) {
            recorder->append(zone->bmcf, &record);
        }

        ngx_http_blockcast_stream_status_commit(slot, code, text, ngx_time());
        ngx_http_blockcast_snapshot_end(zone);
    }

    if (record.data != NULL) {
        ngx_free(record.data);
    }
}


void
ngx_http_blockcast_stream_status_fail(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text)
{
    u_char     printable[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t  cut;

    cut = *text;
    ngx_http_blockcast_gate_printable(&cut, printable, sizeof(printable));

    ngx_http_blockcast_stream_status_write(zone, slot, code, &cut);
}


void
ngx_http_blockcast_stream_status_clear(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot)
{
    ngx_str_t  none = ngx_string("");

    ngx_http_blockcast_stream_status_write(zone, slot, 0, &none);
}


/* Sets the error to at most ERROR_LEN bytes of text; the mutex is locked. */

static void
ngx_http_blockcast_stream_status_commit(ngx_http_blockcast_slot_t *slot,
    int64_t code, ngx_str_t *text, time_t since)
{
    ngx_http_blockcast_error_t  *error;

    error = &slot->error[(slot->error_version + 1) & 1];

    error->since = since;
    error->code = code;
    error->len = text->len;
    ngx_memcpy(error->text, text->data, text->len);

    ngx_http_blockcast_test_moment("error: written");
    ngx_memory_barrier();

    slot->error_version++;
}


void
ngx_http_blockcast_stream_status_set(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, int64_t code, ngx_str_t *text,
    time_t since)
{
    u_char                       printable[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t                    cut;
    ngx_http_blockcast_error_t  *error;

    cut = *text;
    ngx_http_blockcast_gate_printable(&cut, printable, sizeof(printable));

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
        return;
    }

    error = &slot->error[slot->error_version & 1];

    if (error->len != cut.len
        || ngx_memcmp(error->text, cut.data, cut.len) != 0)
    {
        ngx_http_blockcast_stream_status_commit(slot, code, &cut, since);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


/*
 * Copies the newer of two texts that a writer fills in turn, as the version
 * word says.  There is no lock: if the word has changed, it copies again.
 */

static void
ngx_http_blockcast_stream_status_read(ngx_http_blockcast_error_t *texts,
    ngx_atomic_t *newest, ngx_http_blockcast_error_t *text)
{
    uint64_t    version;
    ngx_uint_t  i;

    for (i = 0; i < 100; i++) {
        version = *newest;
        ngx_memory_barrier();

        *text = texts[version & 1];

        ngx_memory_barrier();

        if (*newest == version) {
            break;
        }
    }

    if (text->len > NGX_HTTP_BLOCKCAST_ERROR_LEN) {
        text->len = 0;
    }
}


void
ngx_http_blockcast_stream_status_read_error(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_error_t *error)
{
    ngx_http_blockcast_stream_status_read(slot->error, &slot->error_version,
                                          error);
}


void
ngx_http_blockcast_stream_status_read_note(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_error_t *note)
{
    ngx_http_blockcast_stream_status_read(slot->note, &slot->note_version,
                                          note);
}


ngx_int_t
ngx_http_blockcast_stream_status_age(ngx_http_blockcast_slot_t *slot)
{
    ngx_msec_int_t  age;

    if (slot->polled == 0) {
        return -1;
    }

    age = (ngx_msec_int_t) (ngx_current_msec - slot->polled);

    /* another worker's clock may be a tick ahead of ours */

    return (age < 0) ? 0 : age;
}


ngx_http_blockcast_freshness_e
ngx_http_blockcast_stream_status_freshness(ngx_http_blockcast_stream_t *st,
    ngx_uint_t listened)
{
    ngx_int_t                   age;
    ngx_uint_t                  any;
    ngx_http_blockcast_slot_t  *slot;

    slot = st->slot;

    /* the slot of a stream with keys has no data, only when one was polled */

    any = (st->keys != NULL) ? (slot->polled != 0) : (slot->version != 0);

    if (any) {
        age = ngx_http_blockcast_stream_status_age(slot);

        if (age >= 0 && (ngx_msec_t) age <= st->stale) {
            return ngx_http_blockcast_freshness_live;
        }
    }

    if (!listened && slot->error[slot->error_version & 1].len == 0) {
        return ngx_http_blockcast_freshness_idle;
    }

    if (!any) {
        return ngx_http_blockcast_freshness_waiting;
    }

    return ngx_http_blockcast_freshness_stale;
}
