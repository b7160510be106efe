
/*
 * Between the slots of the zone and the records of the state file.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_journal.h"


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
 * All streams of the configuration as the poller knows them, behind the room
 * for a header.
 */
void ngx_http_blockcast_journal_codec_make(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *image);

/*
 * Takes over what records say and the zone does not know.  jump is added to
 * the numbers; redo: the zone is the leader's own, only what was about to be
 * published is missing.  Returns the number of streams.
 */
ngx_uint_t ngx_http_blockcast_journal_codec_apply(
    ngx_http_blockcast_zone_t *zone, const u_char *p, const u_char *last,
    uint64_t jump, ngx_uint_t redo);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_ */
