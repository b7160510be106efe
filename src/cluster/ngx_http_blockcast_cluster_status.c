
/*
 * The state of the cluster that all workers can read, for health and metrics.
 */


#include "ngx_http_blockcast_cluster_status.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


void
ngx_http_blockcast_cluster_status_write(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t state, ngx_str_t *peer, ngx_str_t *text)
{
    ngx_http_blockcast_cluster_record_t  *record;
    ngx_http_blockcast_cluster_status_t  *status, *now;

    record = &zone->sh->cluster;

    now = &record->status[record->version & 1];
    status = &record->status[(record->version + 1) & 1];

    *status = *now;

    if (now->state != state || now->since == 0) {
        status->since = ngx_time();
    }

    status->state = state;
    status->peer_len = ngx_min(peer->len, sizeof(status->peer));

    ngx_memcpy(status->peer, peer->data, status->peer_len);

    if (text != NULL) {
        status->len = ngx_min(text->len, sizeof(status->text));
        ngx_memcpy(status->text, text->data, status->len);
    }

    ngx_memory_barrier();

    record->version++;
}


void
ngx_http_blockcast_cluster_status_read(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_cluster_status_t *status)
{
    ngx_uint_t                            i;
    ngx_atomic_uint_t                     version;
    ngx_http_blockcast_cluster_record_t  *record;

    record = &zone->sh->cluster;

    for (i = 0; i < 100; i++) {
        version = record->version;
        ngx_memory_barrier();

        *status = record->status[version & 1];
        ngx_memory_barrier();

        if (record->version == version) {
            break;
        }
    }

    status->len = ngx_min(status->len, sizeof(status->text));
    status->peer_len = ngx_min(status->peer_len, sizeof(status->peer));
}


const char *
ngx_http_blockcast_cluster_status_name(ngx_uint_t state)
{
    static const char *const  names[] = { "off", "connecting", "reading",
                                          "follower", "electing", "leader" };

    return (state <= ngx_http_blockcast_is_leading) ? names[state] : "?";
}
