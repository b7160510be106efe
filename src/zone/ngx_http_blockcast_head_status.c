
/*
 * The WebSockets to the nodes, as the polling worker sees them.
 */


#include "ngx_http_blockcast_head_status.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_worker_record.h"
#include "ngx_http_blockcast_zone.h"


const char  *ngx_http_blockcast_head_state_names[] = {
    "connecting", "connected", "lost"
};


ngx_http_blockcast_head_record_t *
ngx_http_blockcast_head_status_record(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head)
{
    return &zone->sh->heads[head->node->index];
}


/* Identifies a node among those that had its index in other configurations. */

static uint64_t
ngx_http_blockcast_head_status_hash(ngx_http_blockcast_head_t *head)
{
    ngx_str_t  *name;

    name = &head->node->name;

    return (uint64_t) name->len << 32 | ngx_crc32_long(name->data, name->len);
}


void
ngx_http_blockcast_head_status_begin(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head)
{
    ngx_http_blockcast_head_record_t  *record;

    record = ngx_http_blockcast_head_status_record(zone, head);

    if (record->node == ngx_http_blockcast_head_status_hash(head)) {
        return;
    }

    /* keep the owner: that worker may still be connected */

    record->connects = 0;
    record->losses = 0;
    record->messages = 0;

    record->node = ngx_http_blockcast_head_status_hash(head);
}


void
ngx_http_blockcast_head_status_write(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head, ngx_http_blockcast_head_state_e state,
    ngx_str_t *reason)
{
    ngx_http_blockcast_head_record_t  *record;
    ngx_http_blockcast_head_status_t  *status;

    record = ngx_http_blockcast_head_status_record(zone, head);

    /* alternate between two texts: no reader sees half of one */

    status = &record->status[(record->version + 1) & 1];

    status->since = ngx_time();
    status->state = state;
    status->len = 0;

    if (reason != NULL) {
        status->len = (uint16_t) ngx_min(reason->len,
                                         NGX_HTTP_BLOCKCAST_HEAD_ERROR);
        ngx_memcpy(status->text, reason->data, status->len);
    }

    ngx_memory_barrier();

    record->version++;
}


void
ngx_http_blockcast_head_status_read(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head, ngx_http_blockcast_head_status_t *status)
{
    uint64_t                           version;
    ngx_uint_t                         n;
    ngx_http_blockcast_head_record_t  *record;

    record = ngx_http_blockcast_head_status_record(zone, head);

    for (n = 0; n < 100; n++) {
        version = record->version;
        ngx_memory_barrier();

        *status = record->status[version & 1];

        ngx_memory_barrier();

        if (record->version == version) {
            break;
        }
    }

    if (n == 100
        || status->len > NGX_HTTP_BLOCKCAST_HEAD_ERROR
        || status->state > ngx_http_blockcast_head_is_lost
        || record->node != ngx_http_blockcast_head_status_hash(head))
    {
        ngx_memzero(status, sizeof(ngx_http_blockcast_head_status_t));
    }
}


void
ngx_http_blockcast_head_status_own(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head)
{
    ngx_http_blockcast_head_status_record(zone, head)->owner = ngx_pid;
}


void
ngx_http_blockcast_head_status_disown(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head)
{
    ngx_http_blockcast_head_record_t  *record;

    record = ngx_http_blockcast_head_status_record(zone, head);

    (void) ngx_atomic_cmp_set(&record->owner,
                              (ngx_atomic_uint_t) ngx_pid, 0);
}


ngx_uint_t
ngx_http_blockcast_head_status_others(ngx_http_blockcast_zone_t *zone)
{
    ngx_pid_t   pid;
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_NODES; i++) {
        pid = (ngx_pid_t) zone->sh->heads[i].owner;

        if (pid != 0 && pid != ngx_pid
            && ngx_http_blockcast_worker_record_exists(pid))
        {
            return 1;
        }
    }

    return 0;
}
