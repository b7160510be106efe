
/*
 * The ring of a log stream's slot: its entries in a row, each a record with
 * its size, and padding where the next one did not fit before the end.
 *
 * Two things remain of entries that were overwritten: the newest seq of any,
 * from which a client learns that it has missed something, and the hash of the
 * key, as the node may still return the entry.  Hashes are kept for a bounded
 * number of keys, those published last.
 */


#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_siphash.h"


void
ngx_http_blockcast_ring_gap(u_char *data, size_t len, ngx_str_t *gap)
{
    size_t         i, from;
    static u_char  member[] = ",\"gap\":{";
    static u_char  bound[] = "{\"from\":";

    ngx_str_null(gap);

    if (len < sizeof(member) + 3 || data[len - 2] != '}') {
        return;
    }

    from = ngx_max(len, NGX_HTTP_BLOCKCAST_RING_GAP + sizeof(member))
           - NGX_HTTP_BLOCKCAST_RING_GAP - sizeof(member);

    /* the gap has no other brace, so it is not inside another member */

    for (i = len - 3; i > from + sizeof(member) - 2; i--) {

        if (data[i] == '}') {
            return;
        }

        if (data[i] == '{') {
            if (ngx_memcmp(&data[i - (sizeof(member) - 2)], member,
                           sizeof(member) - 1)
                == 0
                && ngx_strncmp(&data[i], bound, sizeof(bound) - 1) == 0)
            {
                gap->data = &data[i];
                gap->len = len - 1 - i;
            }

            return;
        }
    }
}


u_char *
ngx_http_blockcast_ring_gap_member(u_char *p, uint64_t since, uint64_t oldest,
    ngx_str_t *gap)
{
    p = ngx_sprintf(p, ",\"gap\":{\"since\":%uL,\"oldest\":%uL", since,
                    oldest);

    if (gap->len > 2) {
        *p++ = ',';
        return ngx_cpymem(p, gap->data + 1, gap->len - 1);
    }

    *p++ = '}';

    return p;
}


ngx_http_blockcast_ring_record_t *
ngx_http_blockcast_ring_next(u_char *ring, size_t size, uint64_t *pos,
    uint64_t head)
{
    ngx_http_blockcast_ring_record_t  *rec;

    while (*pos < head) {
        rec = (ngx_http_blockcast_ring_record_t *) (ring + *pos % size);

        if (rec->size >= sizeof(ngx_http_blockcast_ring_record_t)
            && rec->key_len + rec->len != 0)
        {
            return rec;
        }

        /* padding at the end of the ring may have room for its size only */

        if (rec->size < sizeof(uint32_t)) {
            break;
        }

        *pos += rec->size;
    }

    return NULL;
}


void
ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_log_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth)
{
    ngx_http_blockcast_ring_place_t  place;

    ngx_http_blockcast_ring_begin(slot, entry, seq, timestamp, nth, &place);

    ngx_memcpy(ngx_http_blockcast_ring_record_data(place.rec),
               entry->data.data, entry->data.len);

    ngx_http_blockcast_ring_end(slot, &place);
}


void
ngx_http_blockcast_ring_begin(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_log_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth, ngx_http_blockcast_ring_place_t *place)
{
    u_char                            *ring;
    size_t                             size, pad, room;
    uint64_t                           head, tail, hash;
    ngx_http_blockcast_ring_record_t  *rec;

    /* what another worker has put behind the head, in pieces, is overwritten */

    slot->claims++;

    ring = ngx_http_blockcast_slot_ring(slot);

    size = ngx_align(sizeof(ngx_http_blockcast_ring_record_t)
                     + entry->key.len + entry->data.len, 8);

    head = slot->head;
    tail = slot->tail;

    room = slot->ring_size - head % slot->ring_size;
    pad = (room < size) ? room : 0;

    /* invalidate entries before they are overwritten */

    while (head + pad + size - tail > slot->ring_size) {
        rec = (ngx_http_blockcast_ring_record_t *)
                  (ring + tail % slot->ring_size);
        tail += rec->size;

        if (rec->size >= sizeof(ngx_http_blockcast_ring_record_t)
            && rec->key_len + rec->len != 0)
        {
            slot->gone = rec->seq;
        }
    }

    /* a reader that sees the new tail must see slot->gone, too */

    ngx_memory_barrier();
    slot->tail = tail;
    ngx_http_blockcast_test_moment("ring: room made");
    ngx_memory_barrier();

    if (pad != 0) {
        rec = (ngx_http_blockcast_ring_record_t *)
                  (ring + head % slot->ring_size);

        /* the rest may be as small as 8 bytes: write only these two */
        rec->size = pad;
        rec->hash = 0;

        if (pad >= sizeof(ngx_http_blockcast_ring_record_t)) {
            rec->key_len = 0;
            rec->len = 0;
        }

        head += pad;
    }

    rec = (ngx_http_blockcast_ring_record_t *) (ring + head % slot->ring_size);

    rec->size = size;
    hash = bc_siphash(slot->seed, entry->key.data, entry->key.len);
    rec->hash = (uint32_t) hash;
    rec->key_len = entry->key.len;
    rec->len = entry->data.len;
    rec->seq = seq;
    rec->timestamp = timestamp;
    rec->nth = nth;
    rec->pad = 0;

    ngx_memcpy(ngx_http_blockcast_ring_record_key(rec), entry->key.data,
               entry->key.len);

    place->rec = rec;
    place->from = slot->head;
    place->head = head + size;
    place->hash = hash;
}


void
ngx_http_blockcast_ring_end(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_ring_place_t *place)
{
    ngx_http_blockcast_test_moment("ring: written");
    ngx_memory_barrier();

    slot->head = place->head;
    ngx_http_blockcast_test_moment("ring: an entry more");

    /* last of all: an entry that is remembered but not in the ring is lost */

    ngx_http_blockcast_slot_keys(slot)[slot->keys % slot->nkeys] = place->hash;
    slot->keys++;
}


void
ngx_http_blockcast_ring_clear(ngx_http_blockcast_slot_t *slot, uint64_t gone)
{
    if (gone > slot->gone) {
        slot->gone = gone;
    }

    ngx_memory_barrier();

    /*
     * readers see that they are behind; the position in the ring is the same
     */

    slot->head += slot->ring_size;
    slot->tail = slot->head;
}


void
ngx_http_blockcast_ring_keys(ngx_http_blockcast_slot_t *slot,
    const uint64_t *seed, const uint64_t *p, uint64_t n, ngx_uint_t more)
{
    if (n > slot->nkeys) {
        p += n - slot->nkeys;
        n = slot->nkeys;
        more = 1;
    }

    slot->seed[0] = seed[0];
    slot->seed[1] = seed[1];

    if (n != 0) {
        ngx_memcpy(ngx_http_blockcast_slot_keys(slot), p,
                   n * sizeof(uint64_t));
    }

    slot->keys = n;
    slot->forgot = more;
}
