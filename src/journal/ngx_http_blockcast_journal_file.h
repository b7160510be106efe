
/*
 * The state file itself: how it is read, appended to, and replaced by a new
 * image; _journal decides when.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_journal.h"


/* bytes of PATH.lock that are locked, see _journal_lead; the first one also
   says whether the file lacks something */
#define NGX_HTTP_BLOCKCAST_LEADS    0
#define NGX_HTTP_BLOCKCAST_FOLLOWS  1

/* records that may be appended without a sync */
#define NGX_HTTP_BLOCKCAST_JOURNAL_RESERVE  10000


/* the end of what was read */

typedef struct {
    size_t                        good;         /* bytes of whole records */
    uint64_t                      newest;       /* Unix seconds */
    unsigned                      closed:1;     /* the last one says so */
    unsigned                      bad:1;        /* not just cut */
} ngx_http_blockcast_journal_tail_t;


/* Opens the folder, if it is not open; returns its descriptor or -1. */
int ngx_http_blockcast_journal_file_folder(ngx_http_blockcast_journal_t *s);

/*
 * Reads what is new in the file, to *data of ngx_alloc().  NGX_OK: a file not
 * read before, its header in h and what is behind it in *data; NGX_DONE: more
 * of the one that is open; NGX_DECLINED: nothing; NGX_ERROR: not a good state
 * file, *why says what it is instead.
 */
ngx_int_t ngx_http_blockcast_journal_file_read(ngx_http_blockcast_journal_t *s,
    u_char **data, size_t *len, bc_journal_header_t *h, const char **why);

/*
 * Finds the end of the whole records of what was read; what is behind it will
 * be read again.
 */
void ngx_http_blockcast_journal_file_tail(ngx_http_blockcast_journal_t *s,
    u_char *data, size_t len, ngx_http_blockcast_journal_tail_t *tail);

/* Closes what is read; the next _read() begins anew. */
void ngx_http_blockcast_journal_file_close(ngx_http_blockcast_journal_t *s);

/*
 * Logs why a file is not used, and with aside renames it, so that another can
 * be written.
 */
void ngx_http_blockcast_journal_file_refuse(ngx_http_blockcast_journal_t *s,
    const char *why, ngx_uint_t aside);

/* Removes the temporary files of processes that are gone. */
void ngx_http_blockcast_journal_file_clean(ngx_http_blockcast_journal_t *s);

/* Returns true when the file was made since the machine was started. */
ngx_uint_t ngx_http_blockcast_journal_file_same_boot(bc_journal_header_t *h);


/* Replaces the file by a new image, and waits for the disk. */
void ngx_http_blockcast_journal_file_write(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Are the parts of that: _make_image() makes *image, of ngx_alloc(), and the
 * name of a temporary file (NGX_MAX_PATH bytes).  _write_temp() writes and
 * syncs that file, from any thread, and returns its descriptor, or -1 with
 * errno and *what failed.  _replace() renames it and takes over fd, which it
 * closes when it fails; image is the image's size in bytes.
 */
ngx_int_t ngx_http_blockcast_journal_file_make_image(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *image, char *temp);
int ngx_http_blockcast_journal_file_write_temp(int dir, char *temp,
    ngx_str_t *image, const char **what);
ngx_int_t ngx_http_blockcast_journal_file_replace(
    ngx_http_blockcast_main_conf_t *bmcf, int fd, char *temp, off_t image);

/* Goes on with the file that was read to its end, if that is complete. */
void ngx_http_blockcast_journal_file_adopt(ngx_http_blockcast_journal_t *s);

/*
 * Appends a record, before what it describes becomes visible.  Logs a failure,
 * which is no reason not to publish.
 */
void ngx_http_blockcast_journal_file_append(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *record);

/*
 * Drops a part of a record that was written ahead; NGX_ERROR with errno: it is
 * there still.
 */
ngx_int_t ngx_http_blockcast_journal_file_drop(
    ngx_http_blockcast_journal_t *s);

/*
 * Handles the end of an append of len bytes, of which done were written; err:
 * why not all of them, which is logged, and the others are taken away.
 */
void ngx_http_blockcast_journal_file_appended(ngx_http_blockcast_journal_t *s,
    size_t len, size_t done, int err);

/* Writes all, or returns less with errno. */
size_t ngx_http_blockcast_journal_file_put(int fd, u_char *p, size_t len);

/* Appends the last record: the file is complete. */
void ngx_http_blockcast_journal_file_finish(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Log that `what` failed with errno err, once, and mark the file as lacking
 * something; and that what was begun at since (usec) took longer than limit
 * (msec), with a consequence.
 */
void ngx_http_blockcast_journal_file_fail(ngx_http_blockcast_journal_t *s,
    const char *what, int err);
void ngx_http_blockcast_journal_file_log_slow(ngx_http_blockcast_journal_t *s,
    uint64_t since, ngx_msec_t limit, const char *consequence);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_ */
