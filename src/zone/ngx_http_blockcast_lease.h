
/*
 * The poller's lease: the one worker that holds it polls.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Takes or renews the lease for LEASE msec.  NGX_OK: this worker holds it, and
 * *taken tells whether it did not before; NGX_DECLINED: another one does.
 */
ngx_int_t ngx_http_blockcast_lease_hold(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t *taken);

/* Gives up the lease, if this worker holds it. */
void ngx_http_blockcast_lease_drop(ngx_http_blockcast_zone_t *zone);

/* Returns true when this worker holds it. */
ngx_uint_t ngx_http_blockcast_lease_held(ngx_http_blockcast_zone_t *zone);

/*
 * Extends the lease to msec from now, before work that may take that long; 0,
 * after such work: to the usual time.
 */
void ngx_http_blockcast_lease_extend(ngx_http_blockcast_zone_t *zone,
    ngx_msec_t msec);


#endif /* _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_ */
