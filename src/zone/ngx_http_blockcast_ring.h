
/*
 * The ring of a log stream's slot: its entries one behind the other, each a
 * record with its size, and padding where the next one did not fit in before
 * the end.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* bytes of the bounds of a gap at most, a JSON object */
#define NGX_HTTP_BLOCKCAST_RING_GAP  200


/*
 * Finds the gap before an entry, which the poller has made its last member:
 * *gap is that JSON object, or empty.
 */
void ngx_http_blockcast_ring_gap(u_char *data, size_t len, ngx_str_t *gap);

/*
 * Writes a gap as a member of a message, ,"gap":{"since":N,"oldest":N,...},
 * in at most NGX_HTTP_BLOCKCAST_RING_GAP_LEN bytes; gap may be empty.
 */
#define NGX_HTTP_BLOCKCAST_RING_GAP_LEN                                       \
    (sizeof(",\"gap\":{\"since\":,\"oldest\":,}") + 2 * NGX_INT64_LEN         \
     + NGX_HTTP_BLOCKCAST_RING_GAP)

u_char *ngx_http_blockcast_ring_gap_member(u_char *p, uint64_t since,
    uint64_t oldest, ngx_str_t *gap);

/*
 * Returns the first entry of a ring of `size` bytes at *pos, or behind the
 * padding there.  Moves *pos to it; the caller moves it on by rec->size.  NULL
 * at `head`, or where the ring is not valid.
 */
ngx_http_blockcast_ring_record_t *ngx_http_blockcast_ring_next(u_char *ring,
    size_t size, uint64_t *pos, uint64_t head);

/*
 * Writes an entry behind the others, over the oldest ones.  The mutex is
 * locked, or no other process has the slot.
 */
void ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_log_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth);

/*
 * Drops all entries, so that clients with an older number than `gone` learn of
 * a gap.
 */
void ngx_http_blockcast_ring_clear(ngx_http_blockcast_slot_t *slot,
    uint64_t gone);

/*
 * Takes over n hashes of keys, of another slot or the state file, and the seed
 * (two numbers) they were made with.  more: there were others before these.
 */
void ngx_http_blockcast_ring_keys(ngx_http_blockcast_slot_t *slot,
    const uint64_t *seed, const uint64_t *p, uint64_t n, ngx_uint_t more);


#endif /* _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_ */
