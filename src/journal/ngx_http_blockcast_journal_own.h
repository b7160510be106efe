
/*
 * The state file: what is ours, and what is left alone.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Before a configuration is in force, and for nginx -t: what is there is ours,
 * and the workers will be able to write.  Changes nothing.
 */
ngx_int_t ngx_http_blockcast_journal_own_check(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_log_t *log);

/* said once by all workers; never for a file that is not there yet */
void ngx_http_blockcast_journal_own_unread(ngx_http_blockcast_journal_t *s,
    int err);
ngx_uint_t ngx_http_blockcast_journal_own_ours(int dir, const char *name);
ngx_int_t ngx_http_blockcast_journal_own_aside(ngx_http_blockcast_journal_t *s,
    const char *name);
int ngx_http_blockcast_journal_own_lock_open(ngx_http_blockcast_journal_t *s,
    ngx_uint_t make, const char **why);
ngx_uint_t ngx_http_blockcast_journal_own_lock_kept(
    ngx_http_blockcast_journal_t *s, ngx_uint_t leads);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_OWN_H_INCLUDED_ */
