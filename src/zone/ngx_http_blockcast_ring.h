
/*
 * The ring of a log stream's slot: its entries in a row, each a record with
 * its size, and padding where the next one did not fit before the end.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* the most bytes of a gap's bounds, a JSON object */
#define NGX_HTTP_BLOCKCAST_RING_GAP  200


/*
 * Finds the gap before an entry, which the poller stores as its last member:
 * *gap is that JSON object, or empty.
 */
void ngx_http_blockcast_ring_gap(u_char *data, size_t len, ngx_str_t *gap);

/*
 * Writes a gap as a member of a message, ,"gap":{"since":N,"oldest":N,...}, of
 * at most NGX_HTTP_BLOCKCAST_RING_GAP_LEN bytes; gap may be empty.
 */
#define NGX_HTTP_BLOCKCAST_RING_GAP_LEN                                       \
    (sizeof(",\"gap\":{\"since\":,\"oldest\":,}") + 2 * NGX_INT64_LEN         \
     + NGX_HTTP_BLOCKCAST_RING_GAP)

u_char *ngx_http_blockcast_ring_gap_member(u_char *p, uint64_t since,
    uint64_t oldest, ngx_str_t *gap);

/*
 * Returns the entry of a ring of `size` bytes at *pos, or after the padding
 * there, and moves *pos to it; the caller then adds rec->size.  Returns NULL
 * at `head`, or where the ring is not valid.
 */
ngx_http_blockcast_ring_record_t *ngx_http_blockcast_ring_next(u_char *ring,
    size_t size, uint64_t *pos, uint64_t head);

/*
 * Appends an entry, overwriting the oldest ones.  The mutex is locked, or no
 * other process uses the slot yet.
 */
void ngx_http_blockcast_ring_append(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_log_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth);

/*
 * Do the same for a large entry, whose data the caller copies in pieces between
 * _begin() and _end().  _begin() makes room and writes everything else; nobody
 * sees it before _end().  The mutex is locked in each; it may be free in
 * between, as long as slot->claims and slot->head are the same in the end.
 */
typedef struct {
    ngx_http_blockcast_ring_record_t  *rec;
    uint64_t                           from;    /* slot->head before it */
    uint64_t                           head;    /* ... and after it */
    uint64_t                           hash;    /* of the key */
} ngx_http_blockcast_ring_place_t;

void ngx_http_blockcast_ring_begin(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_log_entry_t *entry, uint64_t seq, time_t timestamp,
    ngx_uint_t nth, ngx_http_blockcast_ring_place_t *place);
void ngx_http_blockcast_ring_end(ngx_http_blockcast_slot_t *slot,
    ngx_http_blockcast_ring_place_t *place);

/*
 * Drops all entries; clients with a number older than `gone` will learn of a
 * gap.
 */
void ngx_http_blockcast_ring_clear(ngx_http_blockcast_slot_t *slot,
    uint64_t gone);

/*
 * Takes over n hashes of keys from another slot or the state file, and the
 * seed (two numbers) they were made with.  more: older ones are missing.
 */
void ngx_http_blockcast_ring_keys(ngx_http_blockcast_slot_t *slot,
    const uint64_t *seed, const uint64_t *p, uint64_t n, ngx_uint_t more);


#endif /* _NGX_HTTP_BLOCKCAST_RING_H_INCLUDED_ */
