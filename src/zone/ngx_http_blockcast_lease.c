
/*
 * The poller's lease: the one worker that holds it polls.
 */


#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_worker_record.h"
#include "ngx_http_blockcast_zone.h"


ngx_int_t
ngx_http_blockcast_lease_hold(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t *taken)
{
    uint64_t                          me, old;
    ngx_http_blockcast_zone_shctx_t  *sh;

    sh = zone->sh;
    *taken = 0;

    if (sh->generation > zone->bmcf->generation) {
        ngx_http_blockcast_lease_drop(zone);
        return NGX_DECLINED;
    }

    me = zone->bmcf->generation << 32 | (uint64_t) ngx_pid;
    old = sh->lease;

    if (old == me) {
        sh->lease_until = ngx_current_msec + NGX_HTTP_BLOCKCAST_LEASE;
        ngx_memory_barrier();

        return (sh->lease == me) ? NGX_OK : NGX_DECLINED;
    }

    if (old != 0
        && (old >> 32) >= zone->bmcf->generation
        && (ngx_msec_int_t) (sh->lease_until - ngx_current_msec) > 0
        && ngx_http_blockcast_worker_record_exists(
                                           (ngx_pid_t) (old & 0xffffffff)))
    {
        return NGX_DECLINED;
    }

    if (!ngx_atomic_cmp_set(&sh->lease, old, me)) {
        return NGX_DECLINED;
    }

    sh->lease_until = ngx_current_msec + NGX_HTTP_BLOCKCAST_LEASE;
    (void) ngx_atomic_fetch_add(&sh->takeovers, 1);

    *taken = 1;

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_lease_held(ngx_http_blockcast_zone_t *zone)
{
    return zone->sh->lease
           == (zone->bmcf->generation << 32 | (uint64_t) ngx_pid);
}


void
ngx_http_blockcast_lease_extend(ngx_http_blockcast_zone_t *zone,
    ngx_msec_t msec)
{
    /* nginx's clock is old if this turn of the event loop took long */

    ngx_time_update();

    /* a timeout may be hours: a worker that hangs must not lead that long */

    msec = ngx_min(msec, NGX_HTTP_BLOCKCAST_LONGEST);

    if (ngx_http_blockcast_lease_held(zone)) {
        zone->sh->lease_until = ngx_current_msec
                                + ngx_max(msec, NGX_HTTP_BLOCKCAST_LEASE);
        zone->own->beat = ngx_current_msec + msec;

        /* let the workers of another master wait, too */

        if (zone->bmcf->recorder != NULL) {
            zone->bmcf->recorder->beat(zone->bmcf, msec);
        }
    }
}


void
ngx_http_blockcast_lease_drop(ngx_http_blockcast_zone_t *zone)
{
    (void) ngx_atomic_cmp_set(&zone->sh->lease,
                              zone->bmcf->generation << 32
                              | (uint64_t) ngx_pid, 0);
}
