
/*
 * The workers' records: which ones run, whether they respond, and their
 * counters.
 */


#include "ngx_http_blockcast_worker_record.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"

#include <fcntl.h>


static ngx_uint_t ngx_http_blockcast_worker_record_attach(
    ngx_http_blockcast_zone_t *zone);
static void ngx_http_blockcast_worker_record_clean(
    ngx_http_blockcast_zone_t *zone, ngx_uint_t n);
static ngx_atomic_uint_t ngx_http_blockcast_worker_record_started(
    ngx_pid_t pid);


/* the record of a worker that has none in the zone; others do not see it */

static ngx_http_blockcast_worker_t  ngx_http_blockcast_worker_record_private;

ngx_atomic_t  *ngx_http_blockcast_zone_counters =
                            ngx_http_blockcast_worker_record_private.counters;


void
ngx_http_blockcast_worker_record_detach(ngx_http_blockcast_zone_t *zone)
{
    zone->worker = 0;
    zone->own = &ngx_http_blockcast_worker_record_private;
}


void
ngx_http_blockcast_worker_record_enter(ngx_http_blockcast_zone_t *zone)
{
    uint64_t                      generation, ours, lease;
    ngx_uint_t                    i;
    ngx_http_blockcast_worker_t  *w;

    ours = zone->bmcf->generation;

    for ( ;; ) {
        generation = zone->sh->generation;

        if (generation >= ours
            || ngx_atomic_cmp_set(&zone->sh->generation, generation, ours))
        {
            break;
        }
    }

    /*
     * a record with our pid was left by a process that had the pid before us
     */

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];

        if ((w->pid & ~NGX_HTTP_BLOCKCAST_CLEANING)
            == (ngx_atomic_uint_t) ngx_pid)
        {
            ngx_http_blockcast_worker_record_clean(zone, i);
        }
    }

    lease = zone->sh->lease;

    if ((lease & 0xffffffff) == (uint64_t) ngx_pid) {
        (void) ngx_atomic_cmp_set(&zone->sh->lease, lease, 0);
    }

    ngx_http_blockcast_worker_record_reap(zone, ngx_cycle->log);

    ngx_memzero(&ngx_http_blockcast_worker_record_private,
                sizeof(ngx_http_blockcast_worker_t));

    if (ngx_http_blockcast_worker_record_attach(zone)) {
        return;
    }

    ngx_log_error(NGX_LOG_WARN, ngx_cycle->log, 0,
                  "blockcast: more than %d workers at once, this one is not "
                  "counted until another has left",
                  NGX_HTTP_BLOCKCAST_WORKERS - 1);
}


/* Takes a free record and adds what was counted without one. */

static ngx_uint_t
ngx_http_blockcast_worker_record_attach(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                    i, n;
    ngx_http_blockcast_worker_t  *w, *private;

    private = &ngx_http_blockcast_worker_record_private;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];

        if (w->pid != 0 || !ngx_atomic_cmp_set(&w->pid, 0, ngx_pid)) {
            continue;
        }

        w->beat = ngx_current_msec;
        w->started = ngx_http_blockcast_worker_record_started(ngx_pid);
        w->stuck = 0;
        w->nth = ngx_worker;
        w->generation = zone->bmcf->generation;
        w->exiting = private->exiting;
        w->connections = private->connections;

        for (n = 0; n < ngx_http_blockcast_n_all; n++) {
            w->counters[n] = private->counters[n];
        }

        zone->worker = i;
        zone->own = w;
        ngx_http_blockcast_zone_counters = w->counters;

        return 1;
    }

    return 0;
}


ngx_uint_t
ngx_http_blockcast_worker_record_beat(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t  attached;

    attached = (zone->worker == 0
                && ngx_http_blockcast_worker_record_attach(zone));

    zone->own->beat = ngx_current_msec;

    return attached;
}


ngx_uint_t
ngx_http_blockcast_worker_record_connections(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t  i, n;

    n = (zone->worker == 0) ? zone->own->connections : 0;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        n += zone->sh->workers[i].connections;
    }

    return n;
}


/*
 * Adds a worker's counters to the zone's: just once, even if several processes
 * try at the same time.
 */

static void
ngx_http_blockcast_worker_record_fold(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_worker_t *w)
{
    ngx_uint_t         i;
    ngx_atomic_uint_t  n;

    for (i = 0; i < ngx_http_blockcast_n_all; i++) {
        n = w->counters[i];

        if (n != 0 && ngx_atomic_cmp_set(&w->counters[i], n, 0)) {
            (void) ngx_atomic_fetch_add(&zone->sh->gone[i], n);
        }
    }

    w->connections = 0;
}


/* Frees the record of a worker that has left or died, with its listeners. */

static void
ngx_http_blockcast_worker_record_clean(ngx_http_blockcast_zone_t *zone,
    ngx_uint_t n)
{
    uint64_t                      offset;
    ngx_http_blockcast_slot_t    *slot;
    ngx_http_blockcast_worker_t  *w;

    w = &zone->sh->workers[n];

    for (offset = zone->sh->slots; offset != 0; offset = slot->next) {
        slot = ngx_http_blockcast_zone_at(zone, offset);

        if (slot->listeners[n] != 0) {
            slot->left = ngx_current_msec;
            slot->listeners[n] = 0;
        }

        if (slot->table_size != 0) {
            ngx_http_blockcast_key_table_clean(
                                ngx_http_blockcast_slot_key_table(slot), n);
        }
    }

    ngx_http_blockcast_worker_record_fold(zone, w);

    w->generation = 0;
    w->exiting = 0;
    w->started = 0;
    w->beat = 0;

    ngx_memory_barrier();

    w->pid = 0;
}


void
ngx_http_blockcast_worker_record_leave(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                    n;
    ngx_http_blockcast_worker_t  *w;

    n = zone->worker;
    w = zone->own;

    ngx_http_blockcast_worker_record_detach(zone);
    ngx_http_blockcast_zone_counters =
                            ngx_http_blockcast_worker_record_private.counters;

    if (n != 0) {
        ngx_http_blockcast_worker_record_clean(zone, n);

    } else {
        ngx_http_blockcast_worker_record_fold(zone, w);
    }
}


ngx_uint_t
ngx_http_blockcast_worker_record_exists(ngx_pid_t pid)
{
    return kill(pid, 0) == 0 || ngx_errno != NGX_ESRCH;
}


/*
 * Returns when a process started, in the kernel's clock ticks, or 0 if that is
 * unknown: it tells processes apart that had the same pid.
 */

static ngx_atomic_uint_t
ngx_http_blockcast_worker_record_started(ngx_pid_t pid)
{
    int          fd;
    char        *p;
    u_char       name[sizeof("/proc//stat") + NGX_INT64_LEN];
    ssize_t      n;
    char         text[1024];
    ngx_uint_t   field;

    *ngx_snprintf(name, sizeof(name) - 1, "/proc/%P/stat", pid) = '\0';

    fd = open((char *) name, O_RDONLY|O_CLOEXEC);
    if (fd == -1) {
        return 0;
    }

    n = read(fd, text, sizeof(text) - 1);
    (void) close(fd);

    if (n <= 0) {
        return 0;
    }

    text[n] = '\0';

    /* field 22; the second one, the name, ends with the last parenthesis */

    p = strrchr(text, ')');

    for (field = 2; p != NULL && field < 22; field++) {
        p = strchr(p + 1, ' ');
    }

    return (p != NULL) ? (ngx_atomic_uint_t) strtoull(p, NULL, 10) : 0;
}


/* Returns true when a worker's beat has stopped; 0 is that of a new record. */

static ngx_uint_t
ngx_http_blockcast_worker_record_stuck(ngx_http_blockcast_worker_t *w)
{
    ngx_msec_t  beat;

    beat = w->beat;

    return beat != 0
           && (ngx_msec_int_t) (ngx_current_msec - beat)
              > NGX_HTTP_BLOCKCAST_STUCK;
}


/* Returns true when the process that a record belongs to is gone. */

static ngx_uint_t
ngx_http_blockcast_worker_record_gone(ngx_http_blockcast_worker_t *w,
    ngx_pid_t pid)
{
    ngx_atomic_uint_t  started, now;

    if (!ngx_http_blockcast_worker_record_exists(pid)) {
        return 1;
    }

    started = w->started;

    if (started == 0 || !ngx_http_blockcast_worker_record_stuck(w)) {
        return 0;
    }

    now = ngx_http_blockcast_worker_record_started(pid);

    return now != 0 && now != started;
}


void
ngx_http_blockcast_worker_record_reap(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log)
{
    ngx_uint_t                    i;
    ngx_pid_t                     pid;
    ngx_atomic_uint_t             old;
    ngx_http_blockcast_worker_t  *w;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];
        old = w->pid;
        pid = (ngx_pid_t) (old & ~NGX_HTTP_BLOCKCAST_CLEANING);

        if (old == 0 || pid == ngx_pid) {
            continue;
        }

        if (old & NGX_HTTP_BLOCKCAST_CLEANING) {

            /* the process that was cleaning up may have died */

            if (ngx_http_blockcast_worker_record_exists(pid)) {
                continue;
            }

        } else if (!ngx_http_blockcast_worker_record_gone(w, pid)) {

            if (!ngx_http_blockcast_worker_record_stuck(w)) {
                w->stuck = 0;

            } else if (ngx_atomic_cmp_set(&w->stuck, 0, 1)) {
                ngx_log_error(NGX_LOG_WARN, log, 0,
                              "blockcast: worker %P does not respond, the "
                              "others do not wait for it", pid);
            }

            continue;
        }

        /* only the worker that stores its own pid here cleans up */

        if (ngx_atomic_cmp_set(&w->pid, old,
                               ngx_pid | NGX_HTTP_BLOCKCAST_CLEANING))
        {
            ngx_log_error(NGX_LOG_NOTICE, log, 0,
                          "blockcast: worker %P is gone, its %uA connections "
                          "are no longer counted", pid, w->connections);

            ngx_http_blockcast_worker_record_clean(zone, i);
        }
    }
}


ngx_uint_t
ngx_http_blockcast_worker_record_last(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                    i;
    ngx_http_blockcast_worker_t  *w;

    zone->own->exiting = 1;

    /* of two that exit at the same time, at least one sees the other's mark */

    ngx_memory_barrier();

    for (i = 1; i < NGX_HTTP_BLOCKCAST_WORKERS; i++) {
        w = &zone->sh->workers[i];

        if (i != zone->worker
            && ngx_http_blockcast_worker_there(w)
            && !w->exiting
            && w->generation >= zone->bmcf->generation
            && !ngx_http_blockcast_worker_record_stuck(w)
            && ngx_http_blockcast_worker_record_exists((ngx_pid_t) w->pid))
        {
            return 0;
        }
    }

    return 1;
}
