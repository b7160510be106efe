
/*
 * Between the slots of the zone and the records of the state file.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_CODEC_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_journal.h"


/* one record; of a log's batch when there are entries */
void ngx_http_blockcast_journal_codec_record(ngx_http_blockcast_stream_t *st,
    bc_journal_type_e type, uint64_t seq, time_t timestamp, ngx_str_t *data,
    ngx_str_t *memory, ngx_http_blockcast_log_entry_t *entries, ngx_uint_t n,
    ngx_str_t *record);

/* of a slot: polled (text NULL), or failed */
void ngx_http_blockcast_journal_codec_poll(ngx_http_blockcast_slot_t *slot,
    int64_t code, ngx_str_t *text, ngx_str_t *record);

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
