
/*
 * The status of a node in the zone, as the polling worker wrote it.
 */


#include "ngx_http_blockcast_node_status.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_json.h"


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


u_char *
ngx_http_blockcast_node_status_row(u_char *p, ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_node_t *node)
{
    ngx_msec_t                           left;
    ngx_http_blockcast_node_status_t     status;
    ngx_http_blockcast_node_counters_t  *counters, none;

    if (ngx_http_blockcast_node_status_read(zone, &node->name, &status,
                                            &counters)
        != NGX_OK)
    {
        /* nobody has polled yet */

        ngx_memzero(&status, sizeof(ngx_http_blockcast_node_status_t));
        ngx_memzero(&none, sizeof(ngx_http_blockcast_node_counters_t));
        counters = &none;
    }

    p = ngx_sprintf(p, "{\"name\":\"%V\",\"state\":\"%s\",\"failures\":%uD,"
                    "\"calls\":%uA,\"outages\":%uA,\"since\":", &node->name,
                    ngx_http_blockcast_node_health_names[status.health],
                    status.failures, counters->calls, counters->outages);

    if (status.health == ngx_http_blockcast_node_ok) {
        return ngx_cpymem(
                      p, "null,\"retry_in\":null,\"error\":null}",
                      sizeof("null,\"retry_in\":null,\"error\":null}") - 1);
    }

    left = ngx_http_blockcast_node_status_retry_in(&status);

    p = ngx_sprintf(p, "%uL,\"retry_in\":%M.%03M,\"error\":\"",
                    status.since_sec, left / 1000, left % 1000);
    p = bc_json_escape(p, status.text, status.len);

    *p++ = '"';
    *p++ = '}';

    return p;
}
