
/*
 * Slots: a stream's place in the zone, and how it outlives a configuration.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SLOT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SLOT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Return sizes in bytes: of a text frame with data of max_size, at most; of
 * all that a snapshot consists of, at most; of a stream's whole slot.
 */
size_t ngx_http_blockcast_slot_frame_size(size_t max_size);
size_t ngx_http_blockcast_slot_buffer_size(size_t max_size, ngx_uint_t log);
size_t ngx_http_blockcast_slot_size(ngx_http_blockcast_stream_t *st);

/*
 * Return the places in a slot: the buffer of a version; of a log, the ring and
 * the hashes of its keys.
 */
u_char *ngx_http_blockcast_slot_buffer(ngx_http_blockcast_slot_t *slot,
    ngx_uint_t n);
u_char *ngx_http_blockcast_slot_ring(ngx_http_blockcast_slot_t *slot);
uint64_t *ngx_http_blockcast_slot_keys(ngx_http_blockcast_slot_t *slot);

/* Returns the history in a slot, or NULL when none is kept. */
bc_history_t *ngx_http_blockcast_slot_history(
    ngx_http_blockcast_slot_t *slot);

/*
 * Finds the newest slot of a stream's name and kind; exact: of its sizes, too,
 * and imports what a slot of other sizes has that is newer.  NULL: none.
 */
ngx_http_blockcast_slot_t *ngx_http_blockcast_slot_find(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st,
    ngx_uint_t exact);

/* Makes an empty slot for a stream; NULL: the zone has no room for it. */
ngx_http_blockcast_slot_t *ngx_http_blockcast_slot_alloc(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_stream_t *st);

/* Frees the slots that no worker has used for a minute. */
void ngx_http_blockcast_slot_free_unused(ngx_http_blockcast_zone_t *zone);

/*
 * Copies to dst what src, the slot of the same stream in the zone from, has
 * that is newer.
 */
void ngx_http_blockcast_slot_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from);

/* Imports from the slots that former configurations left in the same zone. */
void ngx_http_blockcast_slot_take_over(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st);

/*
 * Makes dst go on with the newest number that any slot of the stream's name in
 * the zone has had.
 */
void ngx_http_blockcast_slot_continue_seq(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_slot_t *dst);

/* Returns the table of a stream's keys, or NULL when it has none. */
struct ngx_http_blockcast_key_table_s *ngx_http_blockcast_slot_key_table(
    ngx_http_blockcast_slot_t *slot);

/*
 * Copies the keys of src, which may be NULL, and has new ones go on after the
 * newest number of all that were.
 */
void ngx_http_blockcast_slot_import_keyed(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src);

/* Returns the newest number of all streams that bmcf does not configure. */
uint64_t ngx_http_blockcast_slot_seq_unconfigured(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Returns the listeners of a stream in all workers; and adds n of this one's,
 * or subtracts them.
 */
ngx_uint_t ngx_http_blockcast_slot_listeners(ngx_http_blockcast_slot_t *slot);
void ngx_http_blockcast_slot_add_listeners(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_int_t n);


#endif /* _NGX_HTTP_BLOCKCAST_SLOT_H_INCLUDED_ */
