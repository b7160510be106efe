
/*
 * The state file itself: reading, appending, a new image; _state decides when.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_journal.h"


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


/*
 * What is ours (_state_own).  The descriptor of the folder; true when a name
 * is free, or that of a state file or of its beginning; the file gets another
 * name that is free (errno); the lock file, which is made if need be: -1 with
 * *why when it is not ours, or NULL and errno; false when it was gone, and is
 * another one now.
 */
int ngx_http_blockcast_journal_file_folder(ngx_http_blockcast_journal_t *s);


/* removes the temporary files of processes that are gone */
void ngx_http_blockcast_journal_file_clean(ngx_http_blockcast_journal_t *s);

ngx_uint_t ngx_http_blockcast_journal_file_same_boot(bc_journal_header_t *h);


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


/* the last record: the file is complete */
void ngx_http_blockcast_journal_file_finish(
    ngx_http_blockcast_main_conf_t *bmcf);


/*
 * Who leads (_state_lead).  A family is a master and all its workers.
 */


/*
 * Appends a record, before what it tells becomes visible.  A failure is
 * logged, and is no reason not to publish.
 */
void ngx_http_blockcast_journal_file_append(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *record);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_ */
