
/*
 * The lease of the poller: one worker has it, and is known to be alive.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * NGX_OK: this worker polls now (took or renewed the lease); *taken is set
 * when it did not before.  NGX_DECLINED: somebody else does.
 */
ngx_int_t ngx_http_blockcast_lease_hold(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t *taken);
void ngx_http_blockcast_lease_drop(ngx_http_blockcast_zone_t *zone);
ngx_uint_t ngx_http_blockcast_lease_held(ngx_http_blockcast_zone_t *zone);

/* before work that may take long: the lease holds for msec from now; after it
   with 0 */
void ngx_http_blockcast_lease_extend(ngx_http_blockcast_zone_t *zone,
    ngx_msec_t msec);


#endif /* _NGX_HTTP_BLOCKCAST_LEASE_H_INCLUDED_ */
