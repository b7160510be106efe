
/*
 * The state file itself: how it is read, appended to, and replaced by a new
 * image; _journal decides when.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_journal_image.h"
#include "bc_journal.h"


/*
 * bytes of PATH.lock that are locked, see _journal_lead; the content of the
 * first one says whether the state file is incomplete
 */
#define NGX_HTTP_BLOCKCAST_LEADS    0
#define NGX_HTTP_BLOCKCAST_FOLLOWS  1

/* records that may be appended without a sync */
#define NGX_HTTP_BLOCKCAST_JOURNAL_RESERVE  10000


/* what is known of the end of the file that was read */

typedef struct {
    size_t                        good;         /* bytes of whole records */
    uint64_t                      newest;       /* Unix seconds */
    unsigned                      closed:1;     /* the last record says so */
    unsigned                      bad:1;        /* damaged, not just cut */
} ngx_http_blockcast_journal_tail_t;


/* Opens the folder, if it is not open; returns its descriptor or -1. */
int ngx_http_blockcast_journal_file_folder(ngx_http_blockcast_journal_t *s);

/*
 * Reads what is new in the file to *data, of ngx_alloc(), which the caller
 * frees.  NGX_OK: this is another file than before; its header is in h, and
 * the rest in *data.  NGX_DONE: *data has what was appended to the open file.
 * NGX_DECLINED: there is nothing new.  NGX_ERROR: the file is not a valid
 * state file; *why completes "the state file is ...".  With zone, what that
 * has already is left out, as far as it knows: see _journal_lead_mark().
 */
ngx_int_t ngx_http_blockcast_journal_file_read(ngx_http_blockcast_journal_t *s,
    ngx_http_blockcast_zone_t *zone, u_char **data, size_t *len,
    bc_journal_header_t *h, const char **why);

/*
 * Finds the end of the last whole record in what was read; the next _read()
 * begins there.
 */
void ngx_http_blockcast_journal_file_tail(ngx_http_blockcast_journal_t *s,
    u_char *data, size_t len, ngx_http_blockcast_journal_tail_t *tail);

/* Closes the file that is read; the next _read() starts over. */
void ngx_http_blockcast_journal_file_close(ngx_http_blockcast_journal_t *s);

/*
 * Logs why a file is not used; with `aside`, also renames it so that a new one
 * can be written.
 */
void ngx_http_blockcast_journal_file_refuse(ngx_http_blockcast_journal_t *s,
    const char *why, ngx_uint_t aside);

/* Removes the temporary files of processes that are gone. */
void ngx_http_blockcast_journal_file_clean(ngx_http_blockcast_journal_t *s);

/* Returns true when the file was made since the machine last booted. */
ngx_uint_t ngx_http_blockcast_journal_file_same_boot(bc_journal_header_t *h);


/*
 * Replaces the file with a new image and waits for the disk.  _write_image()
 * does it with one that was made, and frees it.
 */
void ngx_http_blockcast_journal_file_write(
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_journal_file_write_image(
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_journal_image_t *image);

/*
 * Are the parts of that.  _image_end() puts the header before an image that was
 * made.  _write_temp() writes and syncs it to a temporary file, from any
 * thread, frees it, and returns the file's descriptor, or -1 with errno and
 * *what failed; _temp_name() writes its name (NGX_MAX_PATH bytes).  _replace()
 * renames it and takes over fd, which it closes when it fails; image is the
 * image's size in bytes.
 */
void ngx_http_blockcast_journal_file_image_end(
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_journal_image_t *image);
void ngx_http_blockcast_journal_file_temp_name(ngx_http_blockcast_journal_t *s,
    char *temp);
int ngx_http_blockcast_journal_file_write_temp(int dir, char *temp,
    ngx_http_blockcast_journal_image_t *image, const char **what);
ngx_int_t ngx_http_blockcast_journal_file_replace(
    ngx_http_blockcast_main_conf_t *bmcf, int fd, char *temp, off_t image);

/* Keeps appending to the file just read, if it is complete. */
void ngx_http_blockcast_journal_file_adopt(ngx_http_blockcast_journal_t *s);

/*
 * Appends a record before what it describes becomes visible.  A failure is
 * logged and does not stop the publication.
 */
void ngx_http_blockcast_journal_file_append(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *record);

/*
 * Truncates the part of a record that was written ahead.  NGX_ERROR with
 * errno: it could not.
 */
ngx_int_t ngx_http_blockcast_journal_file_drop(
    ngx_http_blockcast_journal_t *s);

/*
 * Ends an append of len bytes of which `done` were written.  When that is not
 * all, err says why; that is logged, and the part is truncated.
 */
void ngx_http_blockcast_journal_file_appended(ngx_http_blockcast_journal_t *s,
    size_t len, size_t done, int err);

/* Writes len bytes; returns how many were written, with errno if fewer. */
size_t ngx_http_blockcast_journal_file_put(int fd, u_char *p, size_t len);

/* Appends the last record, which says that the file is complete. */
void ngx_http_blockcast_journal_file_finish(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * _fail() logs, once, that `what` failed with errno err, and marks the file as
 * incomplete.  _log_slow() logs a write that began at `since` (usec) if it
 * took longer than limit (msec); consequence is appended to the message.
 */
void ngx_http_blockcast_journal_file_fail(ngx_http_blockcast_journal_t *s,
    const char *what, int err);
void ngx_http_blockcast_journal_file_log_slow(ngx_http_blockcast_journal_t *s,
    uint64_t since, ngx_msec_t limit, const char *consequence);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_FILE_H_INCLUDED_ */
