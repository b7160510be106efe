
/*
 * The state file, at the interval: what takes as long as the disk does is
 * done by a thread, one at a time, for which the event loop does not wait.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Begins a sync or a new image, whichever is due; called at the interval. */
void ngx_http_blockcast_journal_sync(ngx_http_blockcast_main_conf_t *bmcf);

/* Takes up what the thread has done; called on every tick. */
void ngx_http_blockcast_journal_sync_job(ngx_http_blockcast_main_conf_t *bmcf);

/* Gives up what the thread does: its result will be thrown away. */
void ngx_http_blockcast_journal_sync_job_leave(
    ngx_http_blockcast_journal_t *s);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_H_INCLUDED_ */
