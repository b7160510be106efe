
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
 * Writes the beginning of a snapshot's record, up to the data, without the
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

/*
 * Makes an image: room for the file's header, then the records of all
 * configured streams and, with `keys`, of the keys with state=on.  For the
 * poller; image->data is of ngx_alloc(), NULL when there is no memory.
 */
void ngx_http_blockcast_journal_codec_image(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t keys, ngx_str_t *image);

/* Returns the time in Unix milliseconds. */
uint64_t ngx_http_blockcast_journal_codec_now(void);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_ */
