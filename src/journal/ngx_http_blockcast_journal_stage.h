
/*
 * The state file's records of large publications, which are written in pieces.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_STAGE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_STAGE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_snapshot.h"


/* Implement stage(), staged() and unstage() of zone/recorder.h. */
ngx_int_t ngx_http_blockcast_journal_stage(
    ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_publication_t *pub, void **stage, size_t len);
void ngx_http_blockcast_journal_stage_commit(
    ngx_http_blockcast_main_conf_t *bmcf, void *stage);
void ngx_http_blockcast_journal_stage_free(
    ngx_http_blockcast_main_conf_t *bmcf, void *stage);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_STAGE_H_INCLUDED_ */
