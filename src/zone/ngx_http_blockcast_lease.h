
/*
 * The lease of the poller: the one worker that has it polls.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Takes or renews the lease, for LEASE msec.  NGX_OK: this worker polls, and
 * *taken is set when it did not before; NGX_DECLINED: another one does.
 */
ngx_int_t ngx_http_blockcast_lease_hold(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t *taken);

/* Gives the lease up, if this worker has it. */
void ngx_http_blockcast_lease_drop(ngx_http_blockcast_zone_t *zone);

/* Returns true when this worker has it. */
ngx_uint_t ngx_http_blockcast_lease_held(ngx_http_blockcast_zone_t *zone);

/*
 * Makes the lease hold for msec from now, before work that may take so long;
 * with 0, after it, for the usual time.
 */
void ngx_http_blockcast_lease_extend(ngx_http_blockcast_zone_t *zone,
    ngx_msec_t msec);


#endif /* _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_ */
