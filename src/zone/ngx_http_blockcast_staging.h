
/*
 * Stagings: large publications, which are compared, built and copied to the
 * zone in pieces, between which other events have their turn.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STAGING_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STAGING_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Takes a proposal of one large snapshot.  NGX_AGAIN: decided() will be called,
 * in another turn, with what propose() says; NGX_DECLINED: it is not large, or
 * there is no memory, and the caller goes on with it.
 */
ngx_int_t ngx_http_blockcast_staging_begin(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_log_t *log);

/* Forgets a proposal: decided() is not called. */
void ngx_http_blockcast_staging_cancel(
    ngx_http_blockcast_proposal_t *proposal);


#endif /* _NGX_HTTP_BLOCKCAST_STAGING_H_INCLUDED_ */
