
/*
 * The state file itself: reading, appending, a new image; _state decides when.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_


#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_snapshot.h"


/* bytes of PATH.lock that are locked, see _state_lead; the first one also
   tells what the file lacks */
#define NGX_HTTP_BLOCKCAST_LEADS    0
#define NGX_HTTP_BLOCKCAST_FOLLOWS  1

/* records that may be appended without a sync */
#define NGX_HTTP_BLOCKCAST_JOURNAL_RESERVE  10000


/* what is behind the last good record */

typedef struct {
    size_t                        good;         /* bytes before it */
    uint64_t                      newest;       /* Unix seconds */
    unsigned                      closed:1;
    unsigned                      bad:1;        /* not just cut */
} ngx_http_blockcast_journal_tail_t;


/*
 * What is new in the file, of ngx_alloc().  NGX_OK: a file not read before,
 * its header in h and what is behind it in data; NGX_DONE: appended to the
 * one that is open; NGX_DECLINED: nothing; NGX_ERROR: it is no good state
 * file, *why tells what it is.
 */
ngx_int_t ngx_http_blockcast_journal_file_news(ngx_http_blockcast_journal_t *s,
    u_char **data, size_t *len, bc_journal_header_t *h, const char **why);

/* how much of news is whole: what follows is read again the next time */
void ngx_http_blockcast_journal_file_tail(ngx_http_blockcast_journal_t *s,
    u_char *data, size_t len, ngx_http_blockcast_journal_tail_t *tail);

void ngx_http_blockcast_journal_file_close(ngx_http_blockcast_journal_t *s);

/* a file that is not believed: said, and set aside when that is our task */
void ngx_http_blockcast_journal_file_refused(ngx_http_blockcast_journal_t *s,
    const char *why, ngx_uint_t aside);

/* said once by all workers; never for a file that is not there yet */
void ngx_http_blockcast_journal_own_unread(ngx_http_blockcast_journal_t *s,
    int err);

/*
 * What is ours (_state_own).  The descriptor of the folder; true when a name
 * is free, or that of a state file or of its beginning; the file gets another
 * name that is free (errno); the lock file, which is made if need be: -1 with
 * *why when it is not ours, or NULL and errno; false when it was gone, and is
 * another one now.
 */
int ngx_http_blockcast_journal_file_folder(ngx_http_blockcast_journal_t *s);
ngx_uint_t ngx_http_blockcast_journal_own_ours(int dir, const char *name);
ngx_int_t ngx_http_blockcast_journal_own_aside(ngx_http_blockcast_journal_t *s,
    const char *name);
int ngx_http_blockcast_journal_own_lock_open(ngx_http_blockcast_journal_t *s,
    ngx_uint_t make, const char **why);
ngx_uint_t ngx_http_blockcast_journal_own_lock_kept(
    ngx_http_blockcast_journal_t *s, ngx_uint_t leads);

/*
 * The note (_state_note).  It is written anew by who begins to poll.  At a
 * start verify tells whether the file may be believed, and by how many numbers
 * it is behind; apply takes over what the file does not have.
 */
void ngx_http_blockcast_journal_note_begin(
    ngx_http_blockcast_main_conf_t *bmcf);
ngx_int_t ngx_http_blockcast_journal_note_verify(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_header_t *h,
    const u_char *data, size_t len, bc_journal_note_t *note, uint64_t *behind,
    const char **why);
void ngx_http_blockcast_journal_note_apply(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_note_t *note,
    uint64_t jump);

/* removes the temporary files of processes that are gone */
void ngx_http_blockcast_journal_file_clean(ngx_http_blockcast_journal_t *s);

ngx_uint_t ngx_http_blockcast_journal_file_same_boot(bc_journal_header_t *h);

/* something was published that is not in the file */
void ngx_http_blockcast_journal_note_note(int lock, ngx_uint_t lacks);
ngx_uint_t ngx_http_blockcast_journal_note_lacks(
    ngx_http_blockcast_journal_t *s);

/* a new image, which is waited for */
void ngx_http_blockcast_journal_file_write(
    ngx_http_blockcast_main_conf_t *bmcf);

/* its parts: what is written and under which name (NGX_MAX_PATH bytes); it is
   there and synced, the descriptor or -1 (errno, *what), for any thread; it
   takes the place of the file, and fd is ours or closed */
ngx_int_t ngx_http_blockcast_journal_file_image(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *image, char *temp);
int ngx_http_blockcast_journal_file_temp(int dir, char *temp, ngx_str_t *image,
    const char **what);
ngx_int_t ngx_http_blockcast_journal_file_replace(
    ngx_http_blockcast_main_conf_t *bmcf, int fd, char *temp, off_t image);

/* the file that was read to its end becomes the journal, if it can */
void ngx_http_blockcast_journal_file_adopt(ngx_http_blockcast_journal_t *s);

/* logs what went wrong, and that something took longer than limit (msec) */
void ngx_http_blockcast_journal_file_failed(ngx_http_blockcast_journal_t *s,
    const char *what, int err);
void ngx_http_blockcast_journal_file_timed(ngx_http_blockcast_journal_t *s,
    uint64_t since, ngx_msec_t limit, const char *so);

/* at the interval: a sync or a new image, whatever is due (_state_sync) */
void ngx_http_blockcast_journal_sync(ngx_http_blockcast_main_conf_t *bmcf);
/* on every tick: what the thread has done; its work is of no use any more */
void ngx_http_blockcast_journal_sync_job(ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_journal_sync_job_leave(
    ngx_http_blockcast_journal_t *s);

/* the last record: the file is complete */
void ngx_http_blockcast_journal_file_finish(
    ngx_http_blockcast_main_conf_t *bmcf);


/*
 * Who leads (_state_lead).  A family is a master and all its workers.
 */

/* in the master, when the lock file is open */
void ngx_http_blockcast_journal_lead_join(ngx_http_blockcast_journal_t *s);
/* this family leads, and takes the lead when that is free, or when who has it
   gives no sign of life; another one does; as _held, but not begun yet */
ngx_uint_t ngx_http_blockcast_journal_lead_owns(
    ngx_http_blockcast_journal_t *s);
ngx_uint_t ngx_http_blockcast_journal_lead_lost(
    ngx_http_blockcast_journal_t *s);
ngx_uint_t ngx_http_blockcast_journal_lead_leads(
    ngx_http_blockcast_journal_t *s);
/* whether it is such a record, or none (BC_JOURNAL_LEAD_LEN bytes) */
ngx_uint_t ngx_http_blockcast_journal_lead_ours(const u_char *p);
/* it gives up the lead */
void ngx_http_blockcast_journal_lead_release(ngx_http_blockcast_journal_t *s);
/* a lock of the family's: NGX_DECLINED when another one has it */
ngx_int_t ngx_http_blockcast_journal_lead_lock(ngx_http_blockcast_journal_t *s,
    short type, off_t byte);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_ */
