
/*
 * Encodes the slots of the zone as records of the state file.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_journal.h"


/*
 * The data of a log's record "seq": what the log remembers of entries it no
 * longer keeps.  Numbers of 8 bytes, little-endian: the newest seq with an
 * entry that is gone; whether keys were forgotten; the two words of the hash
 * seed; and the hashes of the keys whose entries are gone but that are still
 * remembered, oldest first.
 */
#define NGX_HTTP_BLOCKCAST_PAST_GONE    0
#define NGX_HTTP_BLOCKCAST_PAST_FORGOT  1
#define NGX_HTTP_BLOCKCAST_PAST_SEED    2
#define NGX_HTTP_BLOCKCAST_PAST_KEYS    4


/*
 * The data of a record "seq" of any other stream, with the number 0, is what
 * bc_history_encode() makes.  Versions without histories skip it: they know a
 * number that is at least as new.
 */


/*
 * Make a record in memory of ngx_alloc(), which the caller frees; its data is
 * NULL when there is no memory.  The record is of what is about to be
 * published; of a stream's error (an empty text: the error is over); of a
 * successful poll that changed nothing.
 */
void ngx_http_blockcast_journal_codec_publication(
    ngx_http_blockcast_publication_t *pub, ngx_str_t *record);
void ngx_http_blockcast_journal_codec_error(ngx_http_blockcast_slot_t *slot,
    int64_t code, ngx_str_t *text, ngx_str_t *record);
void ngx_http_blockcast_journal_codec_polled(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *record);

/*
 * Writes the beginning of a publication's record, up to the data, without the
 * checksum; returns its length, at most BC_JOURNAL_RECORD +
 * NGX_HTTP_BLOCKCAST_NAME_LEN bytes.
 */
size_t ngx_http_blockcast_journal_codec_head(
    ngx_http_blockcast_publication_t *pub, u_char *p);

/*
 * Makes a record of what was added to a stream's history since the last one.
 */
void ngx_http_blockcast_journal_codec_history(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *record);

/* Makes an image at once, in memory of ngx_alloc(): see _journal_image. */
void ngx_http_blockcast_journal_codec_image(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t keys, ngx_str_t *text);

/*
 * Are what records are made of.  _slot() begins one of a slot: its kind and
 * name; the caller sets the rest.  _history_data() makes one of what a stream's
 * history has since a time; its data, of ngx_alloc(), is the caller's.  _key()
 * makes the name of a key's records, STREAM/KEY, which no stream can have.
 */
void ngx_http_blockcast_journal_codec_slot(ngx_http_blockcast_slot_t *slot,
    bc_journal_record_t *r);
ngx_int_t ngx_http_blockcast_journal_codec_history_data(
    ngx_http_blockcast_slot_t *slot, uint64_t since, bc_journal_record_t *r);
bc_span_t ngx_http_blockcast_journal_codec_key(u_char *name,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key);
bc_span_t ngx_http_blockcast_journal_codec_span(ngx_str_t *s);

/*
 * Returns the time in Unix milliseconds; and one of the clock that workers
 * share (msec, 0: never), which does not go on over a restart, as such.
 */
uint64_t ngx_http_blockcast_journal_codec_now(void);
uint64_t ngx_http_blockcast_journal_codec_unix(ngx_msec_t msec);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_ */
