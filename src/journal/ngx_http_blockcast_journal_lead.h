
/*
 * The lead among masters with the same state file.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_LEAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_LEAD_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Begins a write.  NGX_OK: this family leads, and no other takes the lead
 * before _write_end(); NGX_DECLINED: it does not lead.
 */
ngx_int_t ngx_http_blockcast_journal_lead_write_begin(
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_journal_lead_write_end(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Renews the beat; the family may be silent for `lasts` msec after it, 0: for
 * the usual time.
 */
void ngx_http_blockcast_journal_lead_beat(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_msec_t lasts);

/* Locks the family's own byte of the lock file; in the master. */
void ngx_http_blockcast_journal_lead_join(ngx_http_blockcast_journal_t *s);

/*
 * Returns true when this family leads.  Takes the lead first if it is free, or
 * if the family that holds it is silent.
 */
ngx_uint_t ngx_http_blockcast_journal_lead_owns(
    ngx_http_blockcast_journal_t *s);

/* Returns true when this family leads, without taking the lead. */
ngx_uint_t ngx_http_blockcast_journal_lead_leads(
    ngx_http_blockcast_journal_t *s);

/* Returns true when another family leads. */
ngx_uint_t ngx_http_blockcast_journal_lead_lost(
    ngx_http_blockcast_journal_t *s);

/*
 * Notes in the zone, whose lock is held, how far it has the records of the
 * file that this worker appends to.
 */
void ngx_http_blockcast_journal_lead_mark(
    ngx_http_blockcast_main_conf_t *bmcf);

/* Checks that BC_JOURNAL_LEAD_LEN bytes are a record of the lead, or zeros. */
ngx_uint_t ngx_http_blockcast_journal_lead_is_record(const u_char *p);

/* Gives up the lead. */
void ngx_http_blockcast_journal_lead_release(ngx_http_blockcast_journal_t *s);

/*
 * Takes or releases (type as for fcntl()) the family's lock of a byte of
 * PATH.lock.  NGX_DECLINED: another family holds it.
 */
ngx_int_t ngx_http_blockcast_journal_lead_lock(ngx_http_blockcast_journal_t *s,
    short type, off_t byte);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_LEAD_H_INCLUDED_ */
