
/*
 * The status of a node in the zone, as the polling worker wrote it.
 */


#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


const char  *ngx_http_blockcast_node_health_names[] = {
    "ok", "down", "limited"
};

const char  *ngx_http_blockcast_fault_names[] = {
    "none", "unreachable", "timeout", "closed", "http", "limited", "invalid"
};


ngx_int_t
ngx_http_blockcast_node_status_read(ngx_http_blockcast_zone_t *zone,
    ngx_str_t *name, ngx_http_blockcast_node_status_t *status,
    ngx_http_blockcast_node_counters_t **counters)
{
    uint64_t                           version;
    ngx_uint_t                         i, n;
    ngx_http_blockcast_node_record_t  *record;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_NODES; i++) {
        record = &zone->sh->nodes[i];

        for (n = 0; n < 100; n++) {
            version = record->version;
            ngx_memory_barrier();

            *status = record->status[version & 1];

            ngx_memory_barrier();

            if (record->version == version) {
                break;
            }
        }

        if (n < 100
            && status->len <= NGX_HTTP_BLOCKCAST_ERROR_LEN
            && status->health <= ngx_http_blockcast_node_limited
            && ngx_strnlen(status->name, sizeof(status->name)) == name->len
            && ngx_memcmp(status->name, name->data, name->len) == 0)
        {
            *counters = &record->counters;
            return NGX_OK;
        }
    }

    return NGX_DECLINED;
}


ngx_msec_t
ngx_http_blockcast_node_status_retry_in(
    ngx_http_blockcast_node_status_t *status)
{
    ngx_msec_int_t  left;

    left = (ngx_msec_int_t) (status->until - ngx_current_msec);

    return (left > 0) ? (ngx_msec_t) left : 0;
}
