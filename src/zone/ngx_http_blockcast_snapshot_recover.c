
/*
 * What a former poller left in a slot.
 */


#include "ngx_http_blockcast_snapshot_recover.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_journal_note.h"


/*
 * What the poller before left behind.  In a configuration with other sizes it
 * has published until it lost the lease, after the master made our slot.  One
 * that was killed may have counted a message that nobody has seen; and, between
 * the ring and the version word, it leaves entries that nobody was told of,
 * which become a batch of their own.
 */

void
ngx_http_blockcast_snapshot_recover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_log_t *log)
{
    u_char                            *p, *text, *last, *ring, *old, *buf;
    uint64_t                           pos, timestamp;
    ngx_str_t                          data, state;
    ngx_uint_t                         n;
    ngx_http_blockcast_slot_t         *slot;
    ngx_http_blockcast_snapshot_t      snap;
    ngx_http_blockcast_ring_record_t  *rec;

    ngx_http_blockcast_zone_slot_takeover(zone, st);

    slot = st->slot;

    if (slot->version != 0
        && ngx_http_blockcast_snapshot_begin(zone, log) == NGX_OK)
    {
        slot->seq = ngx_max(slot->snap[slot->version & 1].seq, slot->least);

        ngx_http_blockcast_snapshot_end(zone);
    }

    if (slot->log == 0 || slot->head == slot->tail) {
        return;
    }

    text = ngx_alloc(st->max_size, log);
    if (text == NULL) {
        return;
    }

    last = text + st->max_size - sizeof("],\"count\":}") - NGX_INT_T_LEN;
    p = ngx_http_blockcast_snapshot_batch_head(text, st);

    ring = ngx_http_blockcast_zone_slot_ring(slot);
    n = 0;
    timestamp = 0;

    for (pos = slot->tail;
         (rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &pos,
                                             slot->head))
         != NULL;
         pos += rec->size)
    {
        if (rec->seq <= slot->seq) {
            continue;
        }

        if (p + rec->len + 1 > last) {
            break;
        }

        if (n++ == 0) {
            timestamp = rec->timestamp;

        } else {
            *p++ = ',';
        }

        p = ngx_cpymem(p, ngx_http_blockcast_ring_record_data(rec), rec->len);
    }

    if (n == 0) {
        ngx_free(text);
        return;
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", n);
    data.data = text;
    data.len = p - text;

    old = NULL;
    ngx_str_null(&state);

    if (ngx_http_blockcast_snapshot_read(slot, &snap, &old, log) == NGX_OK) {
        state.data = old + snap.memory;
        state.len = snap.memory_len;
    }

    buf = ngx_http_blockcast_snapshot_build(st, &data, NULL, &state,
                                            slot->seq + 1, timestamp, n, &snap,
                                            log);

    if (buf != NULL && ngx_http_blockcast_snapshot_begin(zone,
                                                         log) == NGX_OK) {
        ngx_http_blockcast_journal_note_number(zone->bmcf, st, snap.seq);
        ngx_http_blockcast_snapshot_commit(slot, &snap, buf);
        ngx_http_blockcast_snapshot_end(zone);

        ngx_http_blockcast_journal_incomplete(zone->bmcf);

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "blockcast: %ui entries of stream \"%V\" that a former "
                      "poller left unannounced are published", n, &st->name);
    }

    ngx_free(text);

    if (buf != NULL) {
        ngx_free(buf);
    }

    if (old != NULL) {
        ngx_free(old);
    }
}
