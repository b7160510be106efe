
/*
 * Slots: the streams' places in the zone, and how they outlive a
 * configuration.
 */


#ifndef _NGX_HTTP_BLOCKCAST_SLOT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_SLOT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Return sizes in bytes: the most that a text frame with data of max_size
 * needs; the most that a whole snapshot needs; the size of a stream's slot.
 */
size_t ngx_http_blockcast_slot_frame_size(size_t max_size);
size_t ngx_http_blockcast_slot_buffer_size(size_t max_size, ngx_uint_t log);
size_t ngx_http_blockcast_slot_size(ngx_http_blockcast_stream_t *st);

/*
 * Return addresses in a slot: of the buffer of a version; in a log, of the
 * ring and of the hashes of its keys.
 */
u_char *ngx_http_blockcast_slot_buffer(ngx_http_blockcast_slot_t *slot,
    ngx_uint_t n);
u_char *ngx_http_blockcast_slot_ring(ngx_http_blockcast_slot_t *slot);
uint64_t *ngx_http_blockcast_slot_keys(ngx_http_blockcast_slot_t *slot);

/* Returns the history in a slot, or NULL when none is kept. */
bc_history_t *ngx_http_blockcast_slot_history(
    ngx_http_blockcast_slot_t *slot);

/*
 * Finds the newest slot with a stream's name and kind, or NULL.  exact: with
 * its sizes, too; then also imports what slots of other sizes have that is
 * newer.
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

/* Imports from the slots that other configurations left in the same zone. */
void ngx_http_blockcast_slot_take_over(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st);

/*
 * Makes dst continue after the newest number of any slot with the stream's
 * name in the zone.
 */
void ngx_http_blockcast_slot_continue_seq(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_slot_t *dst);

/* Returns the table of a stream's keys, or NULL when it has none. */
struct ngx_http_blockcast_key_table_s *ngx_http_blockcast_slot_key_table(
    ngx_http_blockcast_slot_t *slot);

/*
 * Copies the keys of src, which may be NULL, and makes new keys continue after
 * the newest number of any key so far.
 */
void ngx_http_blockcast_slot_import_keyed(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src);

/* Returns the newest number of all streams that bmcf does not configure. */
uint64_t ngx_http_blockcast_slot_seq_unconfigured(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_main_conf_t *bmcf);

/*
 * _listeners() returns the listeners of a stream in all workers;
 * _add_listeners() adds n, which may be negative, to those of this worker.
 */
ngx_uint_t ngx_http_blockcast_slot_listeners(ngx_http_blockcast_slot_t *slot);
void ngx_http_blockcast_slot_add_listeners(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_slot_t *slot, ngx_int_t n);


#endif /* _NGX_HTTP_BLOCKCAST_SLOT_H_INCLUDED_ */
