
/*
 * The ring of a log stream's slot: its entries one behind the other, each a
 * record with its size, and padding where the next one did not fit in before
 * the end.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * The first entry of a ring of `size` bytes at *pos or after the padding that
 * is there; *pos is moved to it, and the caller moves it on by rec->size.
 * NULL at `head`, or where the ring makes no sense.
 */
ngx_http_blockcast_ring_record_t *ngx_http_blockcast_ring_next(u_char *ring,
    size_t size, uint64_t *pos, uint64_t head);

/* writes an entry behind the others, over the oldest ones; locked, or alone */
void ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_log_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth);

/* all entries up to a seq are gone, and some of them may never have come */
void ngx_http_blockcast_ring_clear(ngx_http_blockcast_slot_t *slot,
    uint64_t gone);

/*
 * Takes over the hashes of keys of another slot or the state file, the last n
 * of which are at p; they were made with this seed.  more: there were others
 * before, which nobody remembers.
 */
void ngx_http_blockcast_ring_keys(ngx_http_blockcast_slot_t *slot,
    const uint64_t *seed, const uint64_t *p, uint64_t n, ngx_uint_t more);


#endif /* _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_ */
