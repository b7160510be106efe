
/*
 * The state file: what is ours, and what is left alone.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Checks, for nginx -t and before a configuration is in force, that the files
 * that are there are ours and that the workers can write.  Changes nothing;
 * logs why it returns NGX_ERROR.
 */
ngx_int_t ngx_http_blockcast_journal_own_check(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_log_t *log);

/*
 * Logs, once for all workers, why the state file cannot be read; never that it
 * is not there yet.
 */
void ngx_http_blockcast_journal_own_log_unreadable(
    ngx_http_blockcast_journal_t *s, int err);

/*
 * Returns true when a name in the folder is free, or that of a state file or
 * of the beginning of one.
 */
ngx_uint_t ngx_http_blockcast_journal_own_replaceable(int dir,
    const char *name);

/* Renames the state file to a name that is free; NGX_ERROR with errno. */
ngx_int_t ngx_http_blockcast_journal_own_set_aside(
    ngx_http_blockcast_journal_t *s, const char *name);

/*
 * Opens the lock file, and makes it if need be.  Returns -1 when it fails,
 * with errno and *why NULL, or when the file is not ours: *why says what it
 * is.
 */
int ngx_http_blockcast_journal_own_lock_open(ngx_http_blockcast_journal_t *s,
    ngx_uint_t make, const char **why);

/*
 * Makes the lock file again when it was removed and this family leads, and
 * opens the one that was put in its place.  Returns false when the lock file
 * is another one now, so that its note has to be written.
 */
ngx_uint_t ngx_http_blockcast_journal_own_keep_lock(
    ngx_http_blockcast_journal_t *s, ngx_uint_t leads);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_ */
