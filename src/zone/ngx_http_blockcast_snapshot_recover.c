
/*
 * Finishes what a previous poller left in a slot.
 */


#include "ngx_http_blockcast_snapshot_recover.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Collects the entries of the ring beyond the slot's seq as the data of a
 * batch.  NGX_OK: pub->data is of ngx_alloc(), the caller's; NGX_DECLINED:
 * there are none, or there is no memory.
 */

static ngx_int_t
ngx_http_blockcast_snapshot_recover_batch(
    ngx_http_blockcast_publication_t *pub, ngx_log_t *log)
{
    u_char                            *p, *last, *ring;
    uint64_t                           pos;
    ngx_http_blockcast_slot_t         *slot;
    ngx_http_blockcast_stream_t       *st;
    ngx_http_blockcast_ring_record_t  *rec;

    st = pub->stream;
    slot = st->slot;

    pub->data.data = ngx_alloc(st->max_size, log);
    if (pub->data.data == NULL) {
        return NGX_DECLINED;
    }

    last = pub->data.data + st->max_size
           - sizeof("],\"count\":}") - NGX_INT_T_LEN;
    p = ngx_http_blockcast_snapshot_batch_head(pub->data.data, st);

    ring = ngx_http_blockcast_slot_ring(slot);

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

        if (pub->count++ == 0) {
            pub->timestamp = rec->timestamp;

        } else {
            *p++ = ',';
        }

        p = ngx_cpymem(p, ngx_http_blockcast_ring_record_data(rec), rec->len);
    }

    if (pub->count == 0) {
        ngx_free(pub->data.data);
        return NGX_DECLINED;
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", pub->count);
    pub->data.len = p - pub->data.data;

    return NGX_OK;
}


/*
 * A previous poller with other sizes published until it lost the lease, after
 * the master had made our slot: import that.  One that was killed may have
 * counted a seq that nobody has seen: use it again.  One that was killed
 * between writing the ring and the version word has left entries that were
 * never announced: publish them as a batch of their own.
 */

void
ngx_http_blockcast_snapshot_recover(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_log_t *log)
{
    u_char                               *old, *buf;
    ngx_http_blockcast_slot_t            *slot;
    ngx_http_blockcast_snapshot_t         snap;
    const ngx_http_blockcast_recorder_t  *recorder;
    ngx_http_blockcast_publication_t      pub;

    ngx_http_blockcast_slot_take_over(zone, st);

    slot = st->slot;
    recorder = zone->bmcf->recorder;

    if (slot->version != 0 && zone->bmcf->cluster == NULL
        && ngx_http_blockcast_snapshot_begin(zone, log) == NGX_OK)
    {
        slot->seq = ngx_max(slot->snap[slot->version & 1].seq,
                            slot->dataless_seq);

        ngx_http_blockcast_snapshot_end(zone);
    }

    if (slot->log == 0 || slot->head == slot->tail
        || zone->bmcf->cluster != NULL)
    {
        /* the cluster's log has them, under their own number */
        return;
    }

    ngx_memzero(&pub, sizeof(ngx_http_blockcast_publication_t));
    pub.stream = st;

    if (ngx_http_blockcast_snapshot_recover_batch(&pub, log) != NGX_OK) {
        return;
    }

    old = NULL;

    if (ngx_http_blockcast_snapshot_read(slot, &snap, &old, log) == NGX_OK) {
        pub.memory.data = old + snap.memory;
        pub.memory.len = snap.memory_len;
    }

    pub.seq = slot->seq + 1;

    buf = ngx_http_blockcast_snapshot_build(&pub, &snap, log);

    if (buf != NULL
        && ngx_http_blockcast_snapshot_begin(zone, log) == NGX_OK)
    {
        if (recorder != NULL) {
            recorder->numbered(zone->bmcf, st, snap.seq);
        }

        ngx_http_blockcast_snapshot_commit(slot, &snap, buf);
        ngx_http_blockcast_snapshot_end(zone);

        if (recorder != NULL) {
            recorder->incomplete(zone->bmcf);
        }

        ngx_log_error(NGX_LOG_NOTICE, log, 0,
                      "blockcast: %ui entries of stream \"%V\" that a killed "
                      "poller left unannounced are published", pub.count,
                      &st->name);
    }

    ngx_free(pub.data.data);

    if (buf != NULL) {
        ngx_free(buf);
    }

    if (old != NULL) {
        ngx_free(old);
    }
}
