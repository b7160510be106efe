
/*
 * Applies the entries of the cluster's log to the zone.
 *
 * The records have the format of the state file and are replayed in the same
 * way: numbers that a slot already has are left as they are.  All contents are
 * validated.
 */


#include "ngx_http_blockcast_cluster_apply.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast_cluster_keys.h"
#include "ngx_http_blockcast_journal_replay.h"
#include "bc_journal.h"


/* Returns the stream of a record, or NULL if it is unknown or unnamed. */

static ngx_http_blockcast_stream_t *
ngx_http_blockcast_cluster_apply_stream(ngx_http_blockcast_main_conf_t *bmcf,
    bc_journal_record_t *r)
{
    ngx_str_t  name;

    name.data = (u_char *) r->name.data;
    name.len = r->name.len;

    return (name.len != 0) ? ngx_http_blockcast_stream_find(bmcf, &name) : NULL;
}


/* Writes a record to the state file before its data becomes visible. */

static void
ngx_http_blockcast_cluster_apply_keep(ngx_http_blockcast_main_conf_t *bmcf,
    const u_char *p, size_t len, ngx_http_blockcast_stream_t *st, uint64_t seq)
{
    ngx_str_t                             record;
    ngx_http_blockcast_zone_t            *zone;
    const ngx_http_blockcast_recorder_t  *recorder;

    recorder = bmcf->cluster->recorder;
    zone = bmcf->zone;

    if (recorder == NULL
        || ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK)
    {
        return;
    }

    if (ngx_http_blockcast_lease_held(zone)
        && recorder->write_begin(bmcf) == NGX_OK)
    {
        record.data = (u_char *) p;
        record.len = len;

        recorder->append(bmcf, &record);

        if (st != NULL && seq != 0) {
            recorder->numbered(bmcf, st, seq);
        }

        recorder->write_end(bmcf);
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}


static void
ngx_http_blockcast_cluster_apply_incomplete(
    ngx_http_blockcast_main_conf_t *bmcf)
{
    if (bmcf->cluster->recorder != NULL) {
        bmcf->cluster->recorder->incomplete(bmcf);
    }
}


ngx_uint_t
ngx_http_blockcast_cluster_apply_record(ngx_http_blockcast_main_conf_t *bmcf,
    const u_char **p, const u_char *last, ngx_uint_t live)
{
    ngx_str_t                     key;
    const u_char                 *start;
    ngx_uint_t                    numbered;
    bc_journal_record_t           r;
    ngx_http_blockcast_stream_t  *st;

    start = *p;

    if (bc_journal_next(p, last, &r) != 1) {
        return 0;
    }

    st = ngx_http_blockcast_cluster_keys_stream(bmcf, &r, &key);

    if (st != NULL && st->keys->state && r.type == bc_journal_snap
        && ngx_http_blockcast_lease_held(bmcf->zone))
    {
        ngx_http_blockcast_cluster_apply_keep(bmcf, start, *p - start, NULL,
                                              0);
    }

    if (ngx_http_blockcast_cluster_keys_apply(bmcf, &r, live)) {
        return 1;
    }

    st = ngx_http_blockcast_cluster_apply_stream(bmcf, &r);
    numbered = (r.type == bc_journal_snap || r.type == bc_journal_batch);

    if (st == NULL) {

        /* the stream is not configured here: keep only its number */

        if (numbered || (r.type == bc_journal_seq && r.name.len == 0)) {
            bmcf->zone->sh->seq = ngx_max(bmcf->zone->sh->seq, r.seq);
        }

        return 1;
    }

    if (!ngx_http_blockcast_lease_held(bmcf->zone)) {
        return 1;
    }

    ngx_http_blockcast_cluster_apply_keep(bmcf, start, *p - start,
                                          numbered ? st : NULL, r.seq);

    (void) ngx_http_blockcast_journal_replay(bmcf->zone, start, *p, 0, 0);

    /* use our time: another machine's clock may be minutes off */

    if (live && (numbered || r.type == bc_journal_polled)
        && st->slot->version != 0)
    {
        st->slot->polled_sec = ngx_time();
        st->slot->polled = ngx_current_msec;
    }

    return 1;
}


/*
 * Moves a stream's number up to r->seq.  The numbers after r->time up to it
 * stand for nothing, so a client that has all up to r->time misses nothing
 * when it gets the one after r->seq.
 */

static void
ngx_http_blockcast_cluster_apply_jump(ngx_http_blockcast_slot_t *slot,
    bc_journal_record_t *r)
{
    if (slot->jump_to == 0 || slot->jump_to != slot->seq) {
        slot->jump_from = r->time;

    } else {
        slot->jump_from = ngx_max(slot->jump_from, (uint64_t) r->time);
    }

    slot->jump_to = r->seq;
    slot->dataless_seq = r->seq;
    ngx_memory_barrier();
    slot->seq = r->seq;
}


/*
 * Returns true when a record makes a stream's number jump.  A jump to the
 * number where an earlier jump ended counts, too: its author may have had more
 * entries than the author of the earlier one, and those in between are a gap.
 */

static ngx_uint_t
ngx_http_blockcast_cluster_apply_jumps(ngx_http_blockcast_slot_t *slot,
    bc_journal_record_t *r)
{
    return r->seq > slot->seq
           || (slot->jump_to != 0 && slot->jump_to == slot->seq
               && r->seq == slot->seq && (uint64_t) r->time > slot->jump_from);
}


void
ngx_http_blockcast_cluster_apply_image(ngx_http_blockcast_main_conf_t *bmcf,
    bc_span_t records)
{
    const u_char                 *p, *last;
    bc_journal_record_t           r;
    ngx_http_blockcast_stream_t  *st;

    p = records.data;
    last = p + records.len;

    if (!ngx_http_blockcast_lease_held(bmcf->zone)) {
        return;
    }

    ngx_http_blockcast_cluster_apply_incomplete(bmcf);

    while (bc_journal_next(&p, last, &r) == 1) {

        st = ngx_http_blockcast_cluster_apply_stream(bmcf, &r);

        if (st != NULL && r.type == bc_journal_seq && r.time != 0
            && ngx_http_blockcast_cluster_apply_jumps(st->slot, &r))
        {
            ngx_http_blockcast_cluster_apply_jump(st->slot, &r);
            ngx_http_blockcast_cluster_keys_floor(bmcf, st, r.seq);
        }
    }

    p = records.data;

    (void) ngx_http_blockcast_journal_replay(bmcf->zone, p, last, 0, 0);

    while (bc_journal_next(&p, last, &r) == 1) {

        if (r.type != bc_journal_error && r.type != bc_journal_polled
            && ngx_http_blockcast_cluster_apply_stream(bmcf, &r) == NULL)
        {
            bmcf->zone->sh->seq = ngx_max(bmcf->zone->sh->seq, r.seq);
        }
    }
}


void
ngx_http_blockcast_cluster_apply_floors(ngx_http_blockcast_main_conf_t *bmcf,
    bc_span_t records)
{
    const u_char                 *p, *last;
    bc_journal_record_t           r;
    ngx_http_blockcast_zone_t    *zone;
    ngx_http_blockcast_stream_t  *st;

    p = records.data;
    last = p + records.len;
    zone = bmcf->zone;

    if (!ngx_http_blockcast_lease_held(zone)) {
        return;
    }

    while (bc_journal_next(&p, last, &r) == 1) {

        st = ngx_http_blockcast_cluster_apply_stream(bmcf, &r);

        if (st == NULL) {
            zone->sh->seq = ngx_max(zone->sh->seq, r.seq);
            continue;
        }

        if (ngx_http_blockcast_cluster_apply_jumps(st->slot, &r)) {
            ngx_http_blockcast_cluster_apply_jump(st->slot, &r);
            ngx_http_blockcast_cluster_keys_floor(bmcf, st, r.seq);
            ngx_http_blockcast_cluster_apply_incomplete(bmcf);
        }
    }
}


/* Allocates room for a number record of each stream and one without a name. */

static u_char *
ngx_http_blockcast_cluster_apply_room(ngx_http_blockcast_main_conf_t *bmcf)
{
    size_t                         size;
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **st;

    st = bmcf->streams.elts;
    size = BC_JOURNAL_RECORD;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        size += BC_JOURNAL_RECORD + st[i]->name.len;
    }

    return ngx_alloc(size, ngx_cycle->log);
}


/*
 * Writes a number record of a stream, or, with NULL, one without a name.
 * Returns its end.
 */

static u_char *
ngx_http_blockcast_cluster_apply_number(u_char *start,
    ngx_http_blockcast_stream_t *st, uint64_t seq, uint64_t time)
{
    u_char               *p;
    bc_journal_record_t   r;

    ngx_memzero(&r, sizeof(bc_journal_record_t));

    r.type = bc_journal_seq;
    r.seq = seq;
    r.time = time;

    if (st != NULL) {
        r.log = st->slot->log;
        r.name.data = st->name.data;
        r.name.len = st->name.len;
    }

    p = bc_journal_begin(start, &r);

    return start + bc_journal_end(start, p, 0);
}


ngx_int_t
ngx_http_blockcast_cluster_apply_make_floors(
    ngx_http_blockcast_main_conf_t *bmcf, uint64_t least, ngx_str_t *records)
{
    u_char                        *p;
    uint64_t                       seq, time;
    ngx_uint_t                     i;
    ngx_http_blockcast_slot_t     *slot;
    ngx_http_blockcast_stream_t  **st;

    st = bmcf->streams.elts;

    p = ngx_http_blockcast_cluster_apply_room(bmcf);
    if (p == NULL) {
        return NGX_ERROR;
    }

    records->data = p;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        slot = st[i]->slot;
        seq = slot->seq;

        time = (slot->version != 0) ? slot->snap[slot->version & 1].seq : 0;

        p = ngx_http_blockcast_cluster_apply_number(p, st[i],
                                                    ngx_max(least, seq), time);
    }

    /* a record without a name: the number of all removed streams */

    seq = ngx_http_blockcast_slot_seq_unconfigured(bmcf->zone, bmcf);
    p = ngx_http_blockcast_cluster_apply_number(p, NULL, ngx_max(least, seq),
                                                0);

    records->len = p - records->data;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_cluster_apply_make_jumps(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *records)
{
    u_char                        *p;
    ngx_uint_t                     i;
    ngx_http_blockcast_slot_t     *slot;
    ngx_http_blockcast_stream_t  **st;

    st = bmcf->streams.elts;

    p = ngx_http_blockcast_cluster_apply_room(bmcf);
    if (p == NULL) {
        return NGX_ERROR;
    }

    records->data = p;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        slot = st[i]->slot;

        if (slot->jump_to == 0 || slot->jump_to != slot->seq
            || slot->jump_from == 0)
        {
            continue;
        }

        p = ngx_http_blockcast_cluster_apply_number(p, st[i], slot->jump_to,
                                                    slot->jump_from);
    }

    records->len = p - records->data;

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_cluster_apply_is_blank(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **st;

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (st[i]->slot->version != 0 || st[i]->slot->seq != 0) {
            return 0;
        }
    }

    return 1;
}


ngx_int_t
ngx_http_blockcast_cluster_apply_epoch(ngx_http_blockcast_main_conf_t *bmcf,
    uint64_t epoch)
{
    ngx_uint_t                     i;
    ngx_http_blockcast_slot_t     *slot;
    ngx_http_blockcast_zone_t     *zone;
    ngx_http_blockcast_stream_t  **st;

    zone = bmcf->zone;

    if (zone->sh->epoch == epoch) {
        return NGX_OK;
    }

    if (!ngx_http_blockcast_lease_held(zone)
        || ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK)
    {
        return NGX_DECLINED;
    }

    if (!ngx_http_blockcast_cluster_apply_is_blank(bmcf)) {
        ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                      "blockcast: the cluster \"%V\" is in epoch %uL, this "
                      "nginx was in epoch %uL: its data is dropped",
                      &bmcf->cluster->name, epoch, zone->sh->epoch);
    }

    /* workers see the epoch first, and send nothing of what follows */

    zone->sh->epoch = epoch;
    ngx_memory_barrier();

    st = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        slot = st[i]->slot;

        slot->version = 0;
        ngx_memory_barrier();

        if (slot->log) {
            ngx_http_blockcast_ring_clear(slot, 0);
            slot->gone = 0;
            slot->keys = 0;
            slot->forgot = 0;
        }

        slot->seq = 0;
        slot->dataless_seq = 0;
        slot->freed_seq = 0;
        slot->hole = 0;
        slot->jump_from = 0;
        slot->jump_to = 0;
        slot->polled = 0;
        slot->polled_sec = 0;

        if (st[i]->keys != NULL) {
            ngx_http_blockcast_key_table_forget(
                                   ngx_http_blockcast_key_table_of(st[i]));
        }
    }

    zone->sh->seq = 0;
    zone->sh->cluster.taken_n = 0;
    zone->sh->cluster.taken_term = 0;

    ngx_shmtx_unlock(&zone->shpool->mutex);

    ngx_http_blockcast_cluster_apply_incomplete(bmcf);

    return NGX_OK;
}
