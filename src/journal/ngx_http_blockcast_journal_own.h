
/*
 * Tells files of blockcast from other ones, which are left alone.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Checks, for nginx -t and before a configuration takes effect, that existing
 * files are ours and that the workers can write.  Changes nothing; logs why it
 * returns NGX_ERROR.
 */
ngx_int_t ngx_http_blockcast_journal_own_check(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_log_t *log);

/*
 * Logs, once for all workers, why the state file cannot be read; says nothing
 * of a file that does not exist yet.
 */
void ngx_http_blockcast_journal_own_log_unreadable(
    ngx_http_blockcast_journal_t *s, int err);

/*
 * Returns true when a name in the folder is free, or names a state file or the
 * beginning of one.
 */
ngx_uint_t ngx_http_blockcast_journal_own_replaceable(int dir,
    const char *name);

/* Renames the state file to a free name; NGX_ERROR with errno set. */
ngx_int_t ngx_http_blockcast_journal_own_set_aside(
    ngx_http_blockcast_journal_t *s, const char *name);

/*
 * Opens the lock file; with `make`, creates it if it does not exist.  Returns
 * -1 on failure: with errno set and *why NULL, or, when the file is not ours,
 * with *why saying what it is.
 */
int ngx_http_blockcast_journal_own_lock_open(ngx_http_blockcast_journal_t *s,
    ngx_uint_t make, const char **why);

/*
 * Creates the lock file again when it was removed while this family leads, and
 * opens the new one when it was replaced.  Returns false when the lock file is
 * another one now, so that its note has to be written.
 */
ngx_uint_t ngx_http_blockcast_journal_own_keep_lock(
    ngx_http_blockcast_journal_t *s, ngx_uint_t leads);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_ */
