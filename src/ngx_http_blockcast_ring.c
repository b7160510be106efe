
/*
 * The ring of a log stream's slot: its entries one behind the other, each a
 * record with its size, and padding where the next one did not fit in before
 * the end.
 */


#include "ngx_http_blockcast_store.h"


ngx_http_blockcast_record_t *
ngx_http_blockcast_ring_next(u_char *ring, size_t size, uint64_t *pos,
    uint64_t head)
{
    ngx_http_blockcast_record_t  *rec;

    while (*pos < head) {
        rec = (ngx_http_blockcast_record_t *) (ring + *pos % size);

        if (rec->size >= sizeof(ngx_http_blockcast_record_t)
            && rec->key_len + rec->len != 0)
        {
            return rec;
        }

        /* padding at the end of the ring may be as short as its size */

        if (rec->size < sizeof(uint32_t)) {
            break;
        }

        *pos += rec->size;
    }

    return NULL;
}


void
ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth)
{
    u_char                       *ring;
    size_t                        size, pad, room;
    uint64_t                      head, tail;
    ngx_http_blockcast_record_t  *rec;

    ring = ngx_http_blockcast_slot_ring(slot);

    size = ngx_align(sizeof(ngx_http_blockcast_record_t)
                     + entry->key.len + entry->data.len, 8);

    head = slot->head;
    tail = slot->tail;

    room = slot->ring_size - head % slot->ring_size;
    pad = (room < size) ? room : 0;

    /* what will be overwritten is no longer valid before it is written */

    while (head + pad + size - tail > slot->ring_size) {
        rec = (ngx_http_blockcast_record_t *) (ring + tail % slot->ring_size);
        tail += rec->size;
    }

    slot->tail = tail;
    ngx_http_blockcast_moment("ring: room made");
    ngx_memory_barrier();

    if (pad != 0) {
        rec = (ngx_http_blockcast_record_t *) (ring + head % slot->ring_size);

        /* the rest may be as small as 8 bytes: only these two are written */
        rec->size = pad;
        rec->hash = 0;

        if (pad >= sizeof(ngx_http_blockcast_record_t)) {
            rec->key_len = 0;
            rec->len = 0;
        }

        head += pad;
    }

    rec = (ngx_http_blockcast_record_t *) (ring + head % slot->ring_size);

    rec->size = size;
    rec->hash = ngx_murmur_hash2(entry->key.data, entry->key.len);
    rec->key_len = entry->key.len;
    rec->len = entry->data.len;
    rec->seq = seq;
    rec->timestamp = timestamp;
    rec->nth = nth;
    rec->pad = 0;

    ngx_memcpy(ngx_http_blockcast_record_key(rec), entry->key.data,
               entry->key.len);
    ngx_memcpy(ngx_http_blockcast_record_data(rec), entry->data.data,
               entry->data.len);

    ngx_http_blockcast_moment("ring: written");
    ngx_memory_barrier();

    slot->head = head + size;
    ngx_http_blockcast_moment("ring: an entry more");
}
