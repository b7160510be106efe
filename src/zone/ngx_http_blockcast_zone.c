
/*
 * The zone: how it is made, and how its content moves to one of another size.
 */


#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_worker_record.h"


/*
 * change it with the layout: a reload finds the zone of another module by it
 */
#define NGX_HTTP_BLOCKCAST_MAGIC      0x626c6b6361737646ULL

/* how long to wait for the lock (msec), which is held to copy a message */
#define NGX_HTTP_BLOCKCAST_LOCK_TIME  20


static ngx_http_blockcast_zone_t *ngx_http_blockcast_zone_former(
    ngx_shm_zone_t *shm_zone);


/* Makes an empty zone, which continues one of another size or name, if any. */

static ngx_int_t
ngx_http_blockcast_zone_create(ngx_http_blockcast_zone_t *zone)
{
    uint64_t                          seed;
    ngx_http_blockcast_zone_t        *former;
    ngx_http_blockcast_zone_shctx_t  *sh;

    sh = ngx_slab_calloc(zone->shpool,
                         sizeof(ngx_http_blockcast_zone_shctx_t));
    if (sh == NULL) {
        return NGX_ERROR;
    }

    /* different for each start, and exact as a number of JavaScript */

    seed = (uint64_t) ngx_random() ^ ((uint64_t) ngx_pid << 7)
           ^ (uint64_t) ngx_current_msec;

    sh->magic = NGX_HTTP_BLOCKCAST_MAGIC;
    sh->epoch = ((uint64_t) ngx_time() << 20) | (seed & 0xfffff);

    zone->shpool->data = sh;
    zone->shpool->log_nomem = 0;
    zone->sh = sh;

    former = ngx_http_blockcast_zone_former(zone->shm_zone);

    if (former == NULL) {
        zone->fresh = 1;
        return NGX_OK;
    }

    zone->former = former;
    sh->epoch = former->sh->epoch;
    sh->generations = former->sh->generations;
    sh->seq = ngx_http_blockcast_slot_seq_unconfigured(former, zone->bmcf);
    sh->role = former->sh->role;

    /*
     * the epoch may be that of a cluster's log, to which other gateways write
     */

    sh->cluster.term = former->sh->cluster.term;

    return NGX_OK;
}


/* Finds or makes a stream's slot; logs when there is no room for it. */

static ngx_int_t
ngx_http_blockcast_zone_init_stream(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st)
{
    ngx_time_t                 *tp;
    ngx_shm_zone_t             *shm_zone;
    ngx_http_blockcast_slot_t  *slot, *old;
    ngx_http_blockcast_zone_t  *source;

    shm_zone = zone->shm_zone;

    slot = ngx_http_blockcast_slot_find(zone, st, 1);

    if (slot == NULL) {
        source = zone->former ? zone->former : zone;
        old = ngx_http_blockcast_slot_find(source, st, 0);

        slot = ngx_http_blockcast_slot_alloc(zone, st);

        if (slot == NULL) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "blockcast_zone \"%V\" of %uz bytes has no room "
                          "for %uz bytes of stream \"%V\" beside the "
                          "streams of the running configuration, "
                          "make it larger",
                          &shm_zone->shm.name, shm_zone->shm.size,
                          ngx_http_blockcast_slot_size(st), &st->name);
            return NGX_ERROR;
        }

        if (old != NULL) {
            ngx_http_blockcast_slot_import(slot, old, source);
        }

        ngx_http_blockcast_slot_continue_seq(source, st, slot);

        if (st->keys != NULL) {
            ngx_http_blockcast_slot_import_keyed(slot, old);

            /*
             * the file keeps the epoch, and clients may remember its numbers
             */

            if (old == NULL && zone->bmcf->recorder != NULL) {
                tp = ngx_timeofday();
                ngx_http_blockcast_slot_key_table(slot)->high =
                    ngx_max((uint64_t) tp->sec * 1000 + tp->msec,
                            (uint64_t) slot->seq);
            }
        }

    } else if (slot->version != 0) {

        /* the stream may have been of another kind in between */

        ngx_http_blockcast_slot_continue_seq(zone, st, slot);
    }

    slot->touched = ngx_current_msec;
    st->slot = slot;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_zone_init(ngx_shm_zone_t *shm_zone, void *data)
{
    ngx_uint_t                        i;
    ngx_http_blockcast_zone_t        *zone;
    ngx_http_blockcast_stream_t     **streams;
    ngx_http_blockcast_main_conf_t   *bmcf;

    zone = shm_zone->data;
    bmcf = zone->bmcf;

    ngx_http_blockcast_worker_record_detach(zone);

    if (bmcf->recorder != NULL
        && bmcf->recorder->check(bmcf, shm_zone->shm.log) != NGX_OK)
    {
        return NGX_ERROR;
    }

    zone->shpool = (ngx_slab_pool_t *) shm_zone->shm.addr;

    if (data != NULL || shm_zone->shm.exists) {
        zone->sh = zone->shpool->data;

        if (zone->sh->magic != NGX_HTTP_BLOCKCAST_MAGIC) {
            ngx_log_error(NGX_LOG_EMERG, shm_zone->shm.log, 0,
                          "blockcast_zone \"%V\" was made by another version "
                          "of the module, restart nginx instead of reloading",
                          &shm_zone->shm.name);
            return NGX_ERROR;
        }

    } else if (ngx_http_blockcast_zone_create(zone) != NGX_OK) {
        return NGX_ERROR;
    }

    bmcf->generation = ngx_atomic_fetch_add(&zone->sh->generations, 1) + 1;

    ngx_http_blockcast_slot_free_unused(zone);

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        if (ngx_http_blockcast_zone_init_stream(zone, streams[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Ends publishing in the zone of another size, if there was one, and imports
 * what was published there since _init().
 */

void
ngx_http_blockcast_zone_settle(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_zone_t       from;
    ngx_http_blockcast_slot_t      *old;
    ngx_http_blockcast_stream_t   **streams;

    if (zone->former == NULL) {
        return;
    }

    from = *zone->former;
    zone->former = NULL;

    from.sh->generation = (ngx_atomic_uint_t) -1;
    ngx_memory_barrier();
    from.sh->lease = 0;

    /* with a state file, its workers follow ours while they are drained */

    if (from.bmcf->recorder != NULL) {
        from.sh->role = ngx_http_blockcast_follower;
    }

    /* wait for a publish that is under way */

    if (ngx_http_blockcast_zone_lock(&from, ngx_cycle->log) == NGX_OK) {
        ngx_shmtx_unlock(&from.shpool->mutex);
    }

    zone->sh->seq = ngx_max(zone->sh->seq,
                            ngx_http_blockcast_slot_seq_unconfigured(
                                                     &from, zone->bmcf));

    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        old = ngx_http_blockcast_slot_find(&from, streams[i], 0);

        if (old != NULL) {
            ngx_http_blockcast_slot_import(streams[i]->slot, old, &from);
            ngx_http_blockcast_slot_import_keyed(streams[i]->slot, old);
        }

        ngx_http_blockcast_slot_continue_seq(&from, streams[i],
                                             streams[i]->slot);
    }
}


/*
 * Returns the zone of the running configuration, or NULL if that is shm_zone
 * itself: a reload with another size or name makes another zone.
 */

static ngx_http_blockcast_zone_t *
ngx_http_blockcast_zone_former(ngx_shm_zone_t *shm_zone)
{
    ngx_uint_t        i;
    ngx_list_part_t  *part;
    ngx_shm_zone_t   *zones;

    if (ngx_cycle == NULL || ngx_cycle->shared_memory.part.elts == NULL) {
        return NULL;
    }

    part = (ngx_list_part_t *) &ngx_cycle->shared_memory.part;
    zones = part->elts;

    for (i = 0; /* void */ ; i++) {

        if (i >= part->nelts) {
            if (part->next == NULL) {
                return NULL;
            }

            part = part->next;
            zones = part->elts;
            i = 0;
        }

        if (&zones[i] != shm_zone
            && zones[i].tag == shm_zone->tag
            && zones[i].shm.addr != NULL
            && zones[i].data != NULL)
        {
            return zones[i].data;
        }
    }
}


/*
 * A process that is stopped may hold the mutex.  So that the others do not
 * stop with it, they wait LOCK_TIME at most.
 */

ngx_int_t
ngx_http_blockcast_zone_lock(ngx_http_blockcast_zone_t *zone, ngx_log_t *log)
{
    ngx_uint_t     i;
    static time_t  logged;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_LOCK_TIME; i++) {

        if (ngx_shmtx_trylock(&zone->shpool->mutex)) {
            return NGX_OK;
        }

        ngx_msleep(1);
    }

    zone->refused++;

    if (ngx_time() - logged >= 10) {
        logged = ngx_time();

        ngx_log_error(NGX_LOG_ERR, log, 0,
                      "blockcast_zone \"%V\" is locked by process %uA, which "
                      "does not go on; nothing is published until it does",
                      &zone->shm_zone->shm.name, *zone->shpool->mutex.lock);
    }

    return NGX_DECLINED;
}


uint64_t
ngx_http_blockcast_zone_usec(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}
