
/*
 * The lead among masters with the same state file.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_LEAD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_LEAD_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* NGX_OK: the same, and no other takes it before the end; NGX_DECLINED */
ngx_int_t ngx_http_blockcast_journal_lead_write_begin(
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_journal_lead_write_end(
    ngx_http_blockcast_main_conf_t *bmcf);

/* a sign of life, which is to do for so long (0: until the next ticks) */
void ngx_http_blockcast_journal_lead_beat(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_msec_t lasts);

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


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_LEAD_H_INCLUDED_ */
