
/*
 * Syncs of the state file and its new images, at the interval: a thread, one
 * at a time, waits for the disk, and the event loop does not.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* Starts a sync or a new image, whichever is due; called at the interval. */
void ngx_http_blockcast_journal_sync(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Has a new image written when there is no complete file: a small one at once;
 * a large one as at the interval, and until it is there, what is published
 * goes to a file without a name (journal->scratch) and is put behind it.
 */
void ngx_http_blockcast_journal_sync_renew(
    ngx_http_blockcast_main_conf_t *bmcf);

/* Completes such an image, however long that takes; before the exit. */
void ngx_http_blockcast_journal_sync_finish(
    ngx_http_blockcast_main_conf_t *bmcf);

/* Takes the thread's result, if it is done; called on every tick. */
void ngx_http_blockcast_journal_sync_job(ngx_http_blockcast_main_conf_t *bmcf);

/* Abandons the thread's job: its result will be thrown away. */
void ngx_http_blockcast_journal_sync_job_leave(
    ngx_http_blockcast_journal_t *s);

/* Frees a job that was abandoned, when the worker ends. */
void ngx_http_blockcast_journal_sync_job_end(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_SYNC_H_INCLUDED_ */
