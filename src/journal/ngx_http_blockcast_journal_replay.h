
/*
 * Replays the records of a state file into the slots of the zone.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_REPLAY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_REPLAY_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Takes over what the records in [p, last) have and the zone lacks, with jump
 * added to all numbers.  redo: the records come from this very zone, which
 * lacks only what was about to be published.  Returns the number of streams
 * found.
 */
ngx_uint_t ngx_http_blockcast_journal_replay(ngx_http_blockcast_zone_t *zone,
    const u_char *p, const u_char *last, uint64_t jump, ngx_uint_t redo);

/*
 * Drops the entries left unannounced by a worker that died during a replay:
 * they are replayed again.
 */
void ngx_http_blockcast_journal_replay_forget(ngx_http_blockcast_zone_t *zone);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_REPLAY_H_INCLUDED_ */
