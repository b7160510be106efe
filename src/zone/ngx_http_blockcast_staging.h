
/*
 * Stagings: large publications, which are compared, built and copied to the
 * zone in pieces, with turns of other events in between.
 */


#ifndef _NGX_HTTP_BLOCKCAST_STAGING_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_STAGING_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_zone.h"


/*
 * Takes over a proposal of one large snapshot or entry, or several messages.
 * NGX_AGAIN: decided() will be called in a later turn of the event loop, with
 * what propose() would return.  NGX_DECLINED: it is neither, or there is no
 * memory; the caller publishes it in one go.
 */
ngx_int_t ngx_http_blockcast_staging_begin(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_log_t *log);

/* Forgets a proposal: decided() is not called. */
void ngx_http_blockcast_staging_cancel(
    ngx_http_blockcast_proposal_t *proposal);


#endif /* _NGX_HTTP_BLOCKCAST_STAGING_H_INCLUDED_ */
