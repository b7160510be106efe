
/*
 * The history of a stream's numbers: fed by the poller, imported by the next
 * configuration.  How it is kept is in core/bc_history.h.
 */


#include "ngx_http_blockcast_history.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_history.h"
#include "bc_history_text.h"
#include "bc_span.h"


/*
 * Returns how long a value is valid (seconds): until the next poll is due,
 * even if nobody listens from now on, plus the time that poll may take.
 */

static uint64_t
ngx_http_blockcast_history_hold_time(ngx_http_blockcast_stream_t *st)
{
    return (ngx_max(st->history->idle, st->interval) + st->interval + 1000
            + 999)
           / 1000;
}


/*
 * Records what is new once a time slot of the finest resolution has ended
 * since the last record, or at once with `now`; between _begin() and _end().
 */

static void
ngx_http_blockcast_history_record(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, bc_history_t *h, ngx_uint_t now)
{
    uint32_t                              i, step;
    uint64_t                              time;
    ngx_str_t                             record;
    const ngx_http_blockcast_recorder_t  *recorder;

    recorder = zone->bmcf->recorder;

    if (recorder == NULL) {
        return;
    }

    step = h->shape.rings[0].step;

    for (i = 1; i < h->shape.nrings; i++) {
        step = ngx_min(step, h->shape.rings[i].step);
    }

    time = bc_history_time(h);

    if (!now && time / step == h->recorded / step) {
        return;
    }

    recorder->encode_history(st->slot, &record);
    recorder->append(zone->bmcf, &record);

    if (record.data != NULL) {
        h->recorded = time;
        ngx_free(record.data);
    }
}


void
ngx_http_blockcast_history_feed(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, ngx_str_t *data)
{
    double         values[BC_HISTORY_MEMBERS];
    bc_span_t      json;
    bc_history_t  *h;

    if (st->history == NULL) {
        return;
    }

    json.data = data->data;
    json.len = data->len;

    bc_history_find(json, st->history->paths, st->history->shape.nmembers,
                    values);

    if (ngx_http_blockcast_snapshot_begin(zone, ngx_cycle->log) != NGX_OK) {
        return;
    }

    h = ngx_http_blockcast_slot_history(st->slot);

    bc_history_add(h, ngx_time(), values,
                   ngx_http_blockcast_history_hold_time(st));
    ngx_http_blockcast_test_moment("history: written");
    bc_history_commit(h);
    ngx_http_blockcast_test_moment("history: done");

    ngx_http_blockcast_history_record(zone, st, h, 0);

    ngx_http_blockcast_snapshot_end(zone);
}


void
ngx_http_blockcast_history_break(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st)
{
    bc_history_t  *h;

    h = ngx_http_blockcast_slot_history(st->slot);

    if (h == NULL || !bc_history_holds(h)
        || ngx_http_blockcast_snapshot_begin(zone, ngx_cycle->log) != NGX_OK)
    {
        return;
    }

    if (bc_history_break(h)) {
        bc_history_commit(h);
        ngx_http_blockcast_history_record(zone, st, h, 1);
    }

    ngx_http_blockcast_snapshot_end(zone);
}


void
ngx_http_blockcast_history_import(ngx_http_blockcast_slot_t *dst,
    ngx_http_blockcast_slot_t *src, ngx_http_blockcast_zone_t *from)
{
    u_char        *p;
    size_t         len;
    bc_history_t  *to, *h;

    to = ngx_http_blockcast_slot_history(dst);
    h = ngx_http_blockcast_slot_history(src);

    if (to == NULL || h == NULL || to == h || bc_history_time(h) == 0) {
        return;
    }

    /* keep out a poller that may be adding to it */

    if (ngx_http_blockcast_zone_lock(from, ngx_cycle->log) != NGX_OK) {
        return;
    }

    len = bc_history_encode(h, 0, NULL);
    p = ngx_alloc(len, ngx_cycle->log);

    if (p != NULL) {
        (void) bc_history_encode(h, 0, p);

        if (bc_history_merge(to, p, len, ngx_time()) == 0) {

            if (to->recorded == 0 && bc_history_time(to) == 0) {

                /* the state file has of it what it had of the former one */

                to->recorded = h->recorded;
            }

            bc_history_commit(to);
        }

        ngx_free(p);
    }

    ngx_shmtx_unlock(&from->shpool->mutex);
}


ngx_int_t
ngx_http_blockcast_history_merge(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, const u_char *p, size_t len)
{
    int            rc;
    ngx_uint_t     recorded;
    bc_history_t  *h;

    h = ngx_http_blockcast_slot_history(st->slot);

    if (h == NULL
        || ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    recorded = (bc_history_time(h) <= h->recorded);

    rc = bc_history_merge(h, p, len, ngx_time());

    if (rc == 0) {
        bc_history_commit(h);

        if (recorded) {

            /* all that there is comes from the file, or is in it */

            h->recorded = bc_history_time(h);
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);

    return (rc == 0) ? NGX_OK : NGX_ERROR;
}
