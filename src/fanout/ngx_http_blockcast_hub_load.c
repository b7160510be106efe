
/*
 * Loads: a worker copies large snapshots that another one has published, and
 * large entries of logs that any has, in pieces, between which other events get
 * their turn.
 */


#include "ngx_http_blockcast_hub_load.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_hub.h"


/* bytes copied at a time, and the time to copy in one turn (usec) */
#define NGX_HTTP_BLOCKCAST_HUB_LOAD_PIECE  65536
#define NGX_HTTP_BLOCKCAST_HUB_LOAD_TIME   500

/* how often a newer snapshot may come before it is copied at once */
#define NGX_HTTP_BLOCKCAST_HUB_LOAD_TRIES  3


typedef struct {
    ngx_queue_t                   queue;
    ngx_http_blockcast_hub_t     *hub;
    uint64_t                      epoch;
    ngx_uint_t                    tries;        /* attempts that a newer one
                                                   overtook */
    ngx_http_blockcast_reading_t  reading;
} ngx_http_blockcast_hub_load_t;


static ngx_http_blockcast_hub_load_t *ngx_http_blockcast_hub_load_find(
    ngx_http_blockcast_hub_t *hub);
static ngx_uint_t ngx_http_blockcast_hub_load_begin(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t tries);
static ngx_int_t ngx_http_blockcast_hub_load_step(
    ngx_http_blockcast_hub_load_t *load);
static void ngx_http_blockcast_hub_load_free(
    ngx_http_blockcast_hub_load_t *load);
static void ngx_http_blockcast_hub_load_handler(ngx_event_t *ev);


static ngx_queue_t       ngx_http_blockcast_hub_loads;
static ngx_event_t       ngx_http_blockcast_hub_load_event;
static ngx_connection_t  ngx_http_blockcast_hub_load_dummy;


void
ngx_http_blockcast_hub_load_init(ngx_cycle_t *cycle)
{
    ngx_queue_init(&ngx_http_blockcast_hub_loads);

    /* debug logging reads the descriptor of an event's connection */

    ngx_http_blockcast_hub_load_dummy.fd = (ngx_socket_t) -1;

    ngx_http_blockcast_hub_load_event.handler =
                                          ngx_http_blockcast_hub_load_handler;
    ngx_http_blockcast_hub_load_event.log = cycle->log;
    ngx_http_blockcast_hub_load_event.data =
                                           &ngx_http_blockcast_hub_load_dummy;
}


void
ngx_http_blockcast_hub_load_done(void)
{
    if (ngx_http_blockcast_hub_load_event.handler == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_http_blockcast_hub_loads)) {
        ngx_http_blockcast_hub_load_free(
                      ngx_queue_data(ngx_queue_head(
                                              &ngx_http_blockcast_hub_loads),
                                     ngx_http_blockcast_hub_load_t, queue));
    }
}


ngx_uint_t
ngx_http_blockcast_hub_load(ngx_http_blockcast_hub_t *hub)
{
    if (hub->key != NULL
        || (hub->stream->field.len != 0 && hub->newest == NULL)
        || hub->version == hub->stream->slot->version)
    {
        return 0;
    }

    return ngx_http_blockcast_hub_load_find(hub) != NULL
           || ngx_http_blockcast_hub_load_begin(hub, 0);
}


static ngx_http_blockcast_hub_load_t *
ngx_http_blockcast_hub_load_find(ngx_http_blockcast_hub_t *hub)
{
    ngx_queue_t                    *q;
    ngx_http_blockcast_hub_load_t  *load;

    for (q = ngx_queue_head(&ngx_http_blockcast_hub_loads);
         q != ngx_queue_sentinel(&ngx_http_blockcast_hub_loads);
         q = ngx_queue_next(q))
    {
        load = ngx_queue_data(q, ngx_http_blockcast_hub_load_t, queue);

        if (load->hub == hub) {
            return load;
        }
    }

    return NULL;
}


uint64_t
ngx_http_blockcast_hub_load_seq(ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_hub_load_t  *load;

    if (hub->key != NULL || hub->stream->field.len != 0
        || hub->version == hub->stream->slot->version)
    {
        return 0;
    }

    load = ngx_http_blockcast_hub_load_find(hub);

    return (load != NULL && load->epoch == hub->epoch
            && (hub->newest == NULL
                || hub->snap.seq < load->reading.snap.seq))
           ? load->reading.snap.seq : 0;
}


static ngx_uint_t
ngx_http_blockcast_hub_load_begin(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t tries)
{
    size_t                          size;
    uint64_t                        epoch, version;
    ngx_http_blockcast_slot_t      *slot;
    ngx_http_blockcast_hub_load_t  *load;

    slot = hub->stream->slot;
    version = slot->version;
    epoch = ngx_http_blockcast_hub_conf->zone->sh->epoch;

    /* what is being written meanwhile is looked at again below */

    size = (hub->stream->field.len != 0)
           ? ngx_http_blockcast_hub_ring_left(hub)
           : slot->snap[version & 1].size;

    if (hub->epoch != epoch || size <= NGX_HTTP_BLOCKCAST_STAGED) {
        return 0;
    }

    load = ngx_calloc(sizeof(ngx_http_blockcast_hub_load_t), ngx_cycle->log);
    if (load == NULL) {
        return 0;
    }

    if (ngx_http_blockcast_snapshot_read_begin(slot, &load->reading,
                                               ngx_cycle->log)
        != NGX_OK)
    {
        if (hub->stream->field.len == 0) {
            ngx_free(load);
            return 0;
        }

        /* only entries, as this worker has the message that it published */

        load->reading.version = version;
    }

    if (load->reading.snap.variants[NGX_HTTP_BLOCKCAST_DELTA].len != 0) {

        /*
         * It is of the size of STAGED, and quickly copied; who comes meanwhile
         * could not tell that it lacks what the patch is for.
         */

        ngx_free(load->reading.buf);
        ngx_free(load);
        return 0;
    }

    load->hub = hub;
    load->epoch = epoch;
    load->tries = tries;

    ngx_queue_insert_tail(&ngx_http_blockcast_hub_loads, &load->queue);

    if (!ngx_http_blockcast_hub_load_event.posted) {
        ngx_post_event(&ngx_http_blockcast_hub_load_event,
                       &ngx_posted_next_events);
    }

    return 1;
}


static void
ngx_http_blockcast_hub_load_free(ngx_http_blockcast_hub_load_t *load)
{
    ngx_queue_remove(&load->queue);

    if (load->reading.buf != NULL) {
        ngx_free(load->reading.buf);
    }

    ngx_free(load);
}


/*
 * Copies a piece.  Returns NGX_OK when the copy is complete; NGX_AGAIN when
 * there is more; NGX_DECLINED when it is of no use any more, or only the copy
 * of the entries is complete.  These are first, as they may be displaced; they
 * are good whatever comes then.
 */

static ngx_int_t
ngx_http_blockcast_hub_load_step(ngx_http_blockcast_hub_load_t *load)
{
    ngx_int_t                  rc;
    ngx_http_blockcast_hub_t  *hub;

    hub = load->hub;

    if (hub->version == load->reading.version) {

        /* somebody needed it at once and has copied it */

        return NGX_DECLINED;
    }

    if (hub->stream->field.len != 0 && hub->epoch == load->epoch
        && ngx_http_blockcast_hub_ring_left(hub) != 0)
    {
        ngx_http_blockcast_hub_ring_piece(hub,
                                          NGX_HTTP_BLOCKCAST_HUB_LOAD_PIECE);
        rc = NGX_AGAIN;

    } else if (load->reading.buf == NULL) {
        return NGX_DECLINED;

    } else {
        rc = ngx_http_blockcast_snapshot_read_piece(
                                           hub->stream->slot, &load->reading,
                                           NGX_HTTP_BLOCKCAST_HUB_LOAD_PIECE);
    }

    if (hub->epoch != load->epoch
        || ngx_http_blockcast_hub_conf->zone->sh->epoch != load->epoch)
    {
        return NGX_DECLINED;
    }

    return rc;
}


static void
ngx_http_blockcast_hub_load_handler(ngx_event_t *ev)
{
    uint64_t                        began;
    ngx_int_t                       rc;
    ngx_uint_t                      tries;
    ngx_queue_t                    *q;
    ngx_http_blockcast_hub_t       *hub;
    ngx_http_blockcast_hub_load_t  *load;

    if (ngx_queue_empty(&ngx_http_blockcast_hub_loads)) {
        return;
    }

    q = ngx_queue_head(&ngx_http_blockcast_hub_loads);
    load = ngx_queue_data(q, ngx_http_blockcast_hub_load_t, queue);
    hub = load->hub;

    began = ngx_http_blockcast_zone_usec();

    do {
        rc = ngx_http_blockcast_hub_load_step(load);

    } while (rc == NGX_AGAIN
             && ngx_http_blockcast_zone_usec() - began
                < NGX_HTTP_BLOCKCAST_HUB_LOAD_TIME);

    if (rc == NGX_AGAIN) {
        ngx_queue_remove(q);
        ngx_queue_insert_tail(&ngx_http_blockcast_hub_loads, q);

    } else {

        tries = load->tries;

        if (rc == NGX_OK) {
            (void) ngx_http_blockcast_hub_take(hub, &load->reading.snap,
                                               load->reading.buf,
                                               load->reading.version);
            load->reading.buf = NULL;
            tries = 0;
        }

        ngx_http_blockcast_hub_load_free(load);

        /* copy what is newer by now, or send this one */

        if (hub->version == hub->stream->slot->version) {
            ngx_http_blockcast_fanout_update(hub);

        } else if (tries == NGX_HTTP_BLOCKCAST_HUB_LOAD_TRIES
                   || !ngx_http_blockcast_hub_load_begin(hub, tries + 1))
        {
            (void) ngx_http_blockcast_hub_sync(hub);
            ngx_http_blockcast_fanout_update(hub);
        }
    }

    if (!ngx_queue_empty(&ngx_http_blockcast_hub_loads) && !ev->posted) {
        ngx_post_event(ev, &ngx_posted_next_events);
    }
}
