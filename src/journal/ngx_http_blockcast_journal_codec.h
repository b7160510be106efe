
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
 * The data of a log's record "seq": what it published beside the entries that
 * it keeps.  Numbers of 8 bytes, little-endian: the newest seq with an entry
 * that is gone, whether keys were forgotten, the seed (two), and the hashes
 * with it of the keys that are gone but not forgotten, in their order.
 */
#define NGX_HTTP_BLOCKCAST_PAST_GONE    0
#define NGX_HTTP_BLOCKCAST_PAST_FORGOT  1
#define NGX_HTTP_BLOCKCAST_PAST_SEED    2
#define NGX_HTTP_BLOCKCAST_PAST_KEYS    4


/*
 * The data of a record "seq" of what is no log, with the number 0, is that of
 * bc_history_encode(): a version without histories takes it for a number that
 * it knows.
 */


/*
 * Make a record, of ngx_alloc(), which the caller frees; its data is NULL
 * without memory.  Of what is about to be published; of a stream's error (an
 * empty text: there is none any more); of a good poll that changed nothing.
 */
void ngx_http_blockcast_journal_codec_publication(
    ngx_http_blockcast_publication_t *pub, ngx_str_t *record);
void ngx_http_blockcast_journal_codec_error(ngx_http_blockcast_slot_t *slot,
    int64_t code, ngx_str_t *text, ngx_str_t *record);
void ngx_http_blockcast_journal_codec_polled(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *record);

/*
 * Writes the beginning of a snapshot's record, up to the data, with the sum
 * still missing; returns its length, at most BC_JOURNAL_RECORD +
 * NGX_HTTP_BLOCKCAST_NAME_LEN.
 */
size_t ngx_http_blockcast_journal_codec_head(
    ngx_http_blockcast_publication_t *pub, u_char *p);

/* Makes a record of what a stream's history has beyond the last one. */
void ngx_http_blockcast_journal_codec_history(ngx_http_blockcast_slot_t *slot,
    ngx_str_t *record);

/*
 * Makes an image: the records of all streams of the configuration, behind the
 * room for a file's header; keys: and of keys with state=on.  For the poller;
 * image->data is of ngx_alloc(), NULL without memory.
 */
void ngx_http_blockcast_journal_codec_image(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t keys, ngx_str_t *image);

/* Returns the time in Unix milliseconds. */
uint64_t ngx_http_blockcast_journal_codec_now(void);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_ */
