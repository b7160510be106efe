
/*
 * The hubs of keys: one for each key that has listeners in this worker.
 */


#include "ngx_http_blockcast_key_hub.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_hub.h"


/* keys that are served or checked before other events get their turn */
#define NGX_HTTP_BLOCKCAST_KEY_HUB_SLICE   64

/* a tick checks one in so many hubs, for changes that only time causes */
#define NGX_HTTP_BLOCKCAST_KEY_HUB_PART    5

/* lateness that is not reported, at least (msec) */
#define NGX_HTTP_BLOCKCAST_KEY_HUB_LATE    250


/* the keys of a stream in this worker */

typedef struct {
    ngx_http_blockcast_stream_t   *stream;
    ngx_http_blockcast_key_table_t  *table;
    ngx_http_blockcast_key_hub_t  **places;     /* table->max hubs, or NULL */
    ngx_queue_t                    hubs;
    ngx_uint_t                     nhubs;
    uint64_t                       pos;         /* position in the ring of
                                                   changes */
    ngx_uint_t                     all;         /* hubs left to check */
} ngx_http_blockcast_key_family_t;


static ngx_int_t ngx_http_blockcast_key_hub_rejoin(
    ngx_http_blockcast_key_family_t *family,
    ngx_http_blockcast_key_hub_t *key);
static void ngx_http_blockcast_key_hub_free(
    ngx_http_blockcast_key_family_t *family,
    ngx_http_blockcast_key_hub_t *key);
static void ngx_http_blockcast_key_hub_handler(ngx_event_t *ev);


/* by the stream's index; NULL where there are no keys */
static ngx_http_blockcast_key_family_t  **ngx_http_blockcast_key_families;
static ngx_uint_t                         ngx_http_blockcast_key_nfamilies;
static uint32_t                           ngx_http_blockcast_key_ids;
static ngx_event_t                        ngx_http_blockcast_key_event;
static ngx_connection_t                   ngx_http_blockcast_key_dummy;
static ngx_http_blockcast_key_hub_expired_pt
                                          ngx_http_blockcast_key_hub_expired;


ngx_int_t
ngx_http_blockcast_key_hub_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_uint_t                        i, n;
    ngx_http_blockcast_stream_t     **streams;
    ngx_http_blockcast_key_family_t  *family, **families;

    n = bmcf->streams.nelts;
    streams = bmcf->streams.elts;
    ngx_http_blockcast_key_nfamilies = 0;

    families = ngx_pcalloc(cycle->pool, (n + 1) * sizeof(void *));
    if (families == NULL) {
        return NGX_ERROR;
    }

    for (i = 0; i < n; i++) {

        if (streams[i]->keys == NULL) {
            continue;
        }

        family = ngx_pcalloc(cycle->pool,
                             sizeof(ngx_http_blockcast_key_family_t));
        if (family == NULL) {
            return NGX_ERROR;
        }

        family->stream = streams[i];
        family->table = ngx_http_blockcast_key_table_of(streams[i]);
        family->pos = family->table->changed;
        ngx_queue_init(&family->hubs);
        families[i] = family;
    }

    /* ids up to n belong to subscriptions of streams */

    ngx_http_blockcast_key_ids = (uint32_t) n;
    ngx_http_blockcast_key_families = families;
    ngx_http_blockcast_key_nfamilies = n;

    ngx_http_blockcast_key_dummy.fd = (ngx_socket_t) -1;
    ngx_http_blockcast_key_event.handler = ngx_http_blockcast_key_hub_handler;
    ngx_http_blockcast_key_event.log = cycle->log;
    ngx_http_blockcast_key_event.data = &ngx_http_blockcast_key_dummy;

    return NGX_OK;
}


void
ngx_http_blockcast_key_hub_done(void)
{
    ngx_uint_t                        i;
    ngx_queue_t                      *q;
    ngx_http_blockcast_key_family_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_nfamilies; i++) {
        family = ngx_http_blockcast_key_families[i];

        if (family == NULL) {
            continue;
        }

        while (!ngx_queue_empty(&family->hubs)) {
            q = ngx_queue_head(&family->hubs);
            ngx_http_blockcast_key_hub_free(family,
                           ngx_queue_data(q, ngx_http_blockcast_key_hub_t,
                                          queue));
        }

        if (family->places != NULL) {
            ngx_free(family->places);
            family->places = NULL;
        }
    }

    ngx_http_blockcast_key_nfamilies = 0;
}


static ngx_http_blockcast_key_family_t *
ngx_http_blockcast_key_hub_family(ngx_http_blockcast_stream_t *st)
{
    return (st->index < ngx_http_blockcast_key_nfamilies)
           ? ngx_http_blockcast_key_families[st->index] : NULL;
}


static ngx_http_blockcast_key_t *
ngx_http_blockcast_key_hub_place(ngx_http_blockcast_key_hub_t *key)
{
    return ngx_http_blockcast_key_table_at(
                     ngx_http_blockcast_key_table_of(key->hub.stream),
                     key->place);
}


ngx_http_blockcast_hub_t *
ngx_http_blockcast_key_hub_find(ngx_http_blockcast_stream_t *st,
    ngx_str_t *key)
{
    ngx_uint_t                        place;
    ngx_http_blockcast_key_hub_t     *k;
    ngx_http_blockcast_key_family_t  *family;

    family = ngx_http_blockcast_key_hub_family(st);

    if (family == NULL || family->places == NULL) {
        return NULL;
    }

    place = ngx_http_blockcast_key_table_find(family->table, key);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
        return NULL;
    }

    k = family->places[place];

    return (k != NULL
            && k->text.len == key->len
            && ngx_memcmp(k->buf, key->data, key->len) == 0)
           ? &k->hub : NULL;
}


ngx_http_blockcast_hub_t *
ngx_http_blockcast_key_hub_get(ngx_http_blockcast_stream_t *st, ngx_str_t *key,
    ngx_uint_t *busy)
{
    ngx_http_blockcast_hub_t         *hub;
    ngx_http_blockcast_key_hub_t     *k;
    ngx_http_blockcast_key_family_t  *family;

    *busy = 0;
    hub = ngx_http_blockcast_key_hub_find(st, key);

    if (hub != NULL) {
        hub->key->fresh = 1;
        return hub;
    }

    family = ngx_http_blockcast_key_hub_family(st);

    if (family == NULL) {
        return NULL;
    }

    if (family->places == NULL) {
        family->places = ngx_calloc(family->table->max * sizeof(void *),
                                    ngx_cycle->log);
        if (family->places == NULL) {
            return NULL;
        }
    }

    k = ngx_calloc(sizeof(ngx_http_blockcast_key_hub_t), ngx_cycle->log);
    if (k == NULL) {
        return NULL;
    }

    k->place = ngx_http_blockcast_key_table_join(
                            ngx_http_blockcast_hub_conf->zone, st, key, busy);

    if (k->place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
        ngx_free(k);
        return NULL;
    }

    k->text.data = k->buf;
    k->text.len = key->len;
    ngx_memcpy(k->buf, key->data, key->len);

    k->hub.stream = st;
    k->hub.key = k;
    k->fresh = 1;
    k->id = ++ngx_http_blockcast_key_ids;
    k->uses = ngx_http_blockcast_key_hub_place(k)->uses;

    /* the place was given to another key: its former hub has to rejoin */

    if (family->places[k->place] != NULL) {
        family->places[k->place]->uses = (uint64_t) -1;
    }

    family->places[k->place] = k;
    family->nhubs++;
    ngx_queue_insert_tail(&family->hubs, &k->queue);

    ngx_http_blockcast_hub_refresh(&k->hub);
    k->hub.announced = k->hub.version;
    k->hub.announced_freshness = k->hub.freshness;
    k->hub.error_version = ngx_http_blockcast_key_hub_error_version(&k->hub);
    k->late = (ngx_http_blockcast_key_hub_late(st) != 0);

    return &k->hub;
}


/*
 * Takes a new place after ours was given to another key.  Returns NGX_DECLINED
 * when there is none.
 */

static ngx_int_t
ngx_http_blockcast_key_hub_rejoin(ngx_http_blockcast_key_family_t *family,
    ngx_http_blockcast_key_hub_t *key)
{
    ngx_uint_t  place, busy;

    if (family->places[key->place] == key) {
        family->places[key->place] = NULL;
    }

    place = ngx_http_blockcast_key_table_join(
                                    ngx_http_blockcast_hub_conf->zone,
                                    key->hub.stream, &key->text, &busy);

    if (place == NGX_HTTP_BLOCKCAST_KEY_NONE) {
        return NGX_DECLINED;
    }

    key->place = place;
    key->uses = ngx_http_blockcast_key_hub_place(key)->uses;
    key->hub.version = 0;
    family->places[place] = key;

    ngx_http_blockcast_key_table_say_wanted(family->table, place);

    return NGX_OK;
}


static void
ngx_http_blockcast_key_hub_free(ngx_http_blockcast_key_family_t *family,
    ngx_http_blockcast_key_hub_t *key)
{
    ngx_uint_t                 n;
    ngx_http_blockcast_hub_t  *hub;

    hub = &key->hub;

    if (family->places[key->place] == key) {
        family->places[key->place] = NULL;

        ngx_http_blockcast_key_table_leave(ngx_http_blockcast_hub_conf->zone,
                                           family->table, key->place);
    }

    if (hub->delivered != hub->reported) {
        (void) ngx_atomic_fetch_add(&hub->stream->slot->deliveries,
                                    hub->delivered - hub->reported);
    }

    ngx_queue_remove(&key->queue);
    family->nhubs--;

    if (hub->walking) {
        ngx_http_blockcast_fanout_drop(hub);
    }

    for (n = 0; n < NGX_HTTP_BLOCKCAST_FRAMES; n++) {
        ngx_http_blockcast_deflation_cancel(hub->deflations[n]);
        ngx_http_blockcast_frame_free(hub->frames[n]);
    }

    ngx_http_blockcast_frame_free(hub->newest);
    ngx_http_blockcast_frame_free(hub->page);
    ngx_http_blockcast_frame_free(hub->former);

    if (hub->listeners != NULL) {
        ngx_free(hub->listeners);
    }

    ngx_free(key);
}


ngx_uint_t
ngx_http_blockcast_key_hub_sync(ngx_http_blockcast_hub_t *hub)
{
    u_char                            *buf;
    ngx_http_blockcast_key_t          *k;
    ngx_http_blockcast_snapshot_t      snap;
    ngx_http_blockcast_key_data_t      data;
    ngx_http_blockcast_publication_t   pub;

    k = ngx_http_blockcast_key_hub_place(hub->key);

    if (k->uses != hub->key->uses || k->version == hub->version) {
        return 0;
    }

    if (ngx_http_blockcast_hub_epoch()
        != ngx_http_blockcast_hub_conf->zone->sh->epoch)
    {
        /* the clients of the former epoch have to leave first */
        return 0;
    }

    if (ngx_http_blockcast_key_table_read(
                            ngx_http_blockcast_key_table_of(hub->stream), k,
                            &data)
        != NGX_OK)
    {
        return 0;
    }

    ngx_memory_barrier();

    if (k->uses != hub->key->uses) {

        /* the place now has another key, or data of another epoch */

        ngx_free(data.data.data);
        return 0;
    }

    ngx_memzero(&pub, sizeof(ngx_http_blockcast_publication_t));

    pub.stream = hub->stream;
    pub.key = hub->key->text;
    pub.seq = data.snap.seq;
    pub.timestamp = data.snap.timestamp;
    pub.data = data.data;

    if (hub->newest != NULL && hub->npatched != 0
        && hub->snap.seq + 1 == data.snap.seq)
    {
        pub.previous.data = hub->buf + hub->snap.data;
        pub.previous.len = hub->snap.data_len;
    }

    buf = ngx_http_blockcast_snapshot_build(&pub, &snap, ngx_cycle->log);

    ngx_free(data.data.data);

    if (buf == NULL) {
        return 0;
    }

    snap.published = data.snap.published;

    return ngx_http_blockcast_hub_take(hub, &snap, buf, data.version);
}


ngx_int_t
ngx_http_blockcast_key_hub_age(ngx_http_blockcast_hub_t *hub)
{
    ngx_msec_t      polled;
    ngx_msec_int_t  age;

    polled = ngx_http_blockcast_key_hub_place(hub->key)->polled;

    if (polled == 0) {
        return -1;
    }

    age = (ngx_msec_int_t) (ngx_current_msec - polled);

    return (age < 0) ? 0 : age;
}


ngx_msec_t
ngx_http_blockcast_key_hub_late(ngx_http_blockcast_stream_t *st)
{
    ngx_msec_t  late;

    late = ngx_http_blockcast_key_table_of(st)->late;

    return (late > ngx_max(st->interval / 4, NGX_HTTP_BLOCKCAST_KEY_HUB_LATE))
           ? late : 0;
}


ngx_http_blockcast_freshness_e
ngx_http_blockcast_key_hub_freshness(ngx_http_blockcast_hub_t *hub)
{
    ngx_int_t                   age;
    ngx_http_blockcast_key_t   *k;
    ngx_http_blockcast_error_t  error;

    k = ngx_http_blockcast_key_hub_place(hub->key);

    if (hub->newest != NULL || k->version != 0) {
        age = ngx_http_blockcast_key_hub_age(hub);

        if (age >= 0
            && (ngx_msec_t) age <= hub->stream->stale
                                 + 2 * ngx_http_blockcast_key_hub_late(
                                                               hub->stream))
        {
            return ngx_http_blockcast_freshness_live;
        }

        if (hub->nlisteners == 0) {
            ngx_http_blockcast_key_hub_read_error(hub, &error);

            if (error.len == 0) {
                return ngx_http_blockcast_freshness_idle;
            }
        }

        return ngx_http_blockcast_freshness_stale;
    }

    return ngx_http_blockcast_freshness_waiting;
}


uint64_t
ngx_http_blockcast_key_hub_error_version(ngx_http_blockcast_hub_t *hub)
{
    return ngx_http_blockcast_key_hub_place(hub->key)->error_version << 32
           ^ hub->stream->slot->error_version;
}


void
ngx_http_blockcast_key_hub_read_error(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_error_t *error)
{
    ngx_http_blockcast_key_table_read_error(
                        ngx_http_blockcast_key_hub_place(hub->key), error);

    if (error->len == 0) {

        /* the key has no error of its own: take that of the whole stream */

        ngx_http_blockcast_stream_status_read_error(hub->stream->slot, error);
    }
}


void
ngx_http_blockcast_key_hub_join(ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_key_table_say_wanted(
                            ngx_http_blockcast_key_table_of(hub->stream),
                            hub->key->place);
}


ngx_uint_t
ngx_http_blockcast_key_hub_demand(ngx_http_blockcast_hub_t *hub)
{
    ngx_msec_int_t             since;
    ngx_http_blockcast_key_t  *k;

    k = ngx_http_blockcast_key_hub_place(hub->key);
    since = (ngx_msec_int_t) (ngx_current_msec - k->demanded);

    if (k->demanded != 0 && since >= 0 && since < 500) {
        return 0;
    }

    k->demanded = ngx_current_msec;
    ngx_http_blockcast_key_hub_join(hub);

    return 1;
}


/*
 * Serves, in slices, the listeners of a stream's keys that have changed.
 * Returns true when there are more.
 */

static ngx_uint_t
ngx_http_blockcast_key_hub_update(ngx_http_blockcast_key_family_t *family)
{
    ngx_int_t                      rc;
    ngx_uint_t                     i, n, place;
    ngx_queue_t                   *q;
    ngx_http_blockcast_key_hub_t  *key;

    if (ngx_queue_empty(&family->hubs)) {
        family->pos = family->table->changed;
        family->all = 0;
        return 0;
    }

    for (n = 0; n < NGX_HTTP_BLOCKCAST_KEY_HUB_SLICE; /* void */ ) {
        rc = ngx_http_blockcast_key_table_next_changed(family->table,
                                                       &family->pos, &place);

        if (rc == NGX_DECLINED) {
            break;
        }

        if (rc == NGX_AGAIN) {
            family->all = family->nhubs;
            continue;
        }

        key = family->places[place];

        if (key != NULL) {
            ngx_http_blockcast_fanout_update(&key->hub);
            n++;
        }
    }

    for (i = 0;
         i < NGX_HTTP_BLOCKCAST_KEY_HUB_SLICE && family->all != 0;
         i++, family->all--)
    {
        q = ngx_queue_head(&family->hubs);
        key = ngx_queue_data(q, ngx_http_blockcast_key_hub_t, queue);

        ngx_queue_remove(q);
        ngx_queue_insert_tail(&family->hubs, q);

        ngx_http_blockcast_fanout_update(&key->hub);
    }

    return family->all != 0 || family->pos != family->table->changed;
}


void
ngx_http_blockcast_key_hub_update_all(void)
{
    ngx_uint_t                        i, more;
    ngx_http_blockcast_key_family_t  *family;

    more = 0;

    for (i = 0; i < ngx_http_blockcast_key_nfamilies; i++) {
        family = ngx_http_blockcast_key_families[i];

        if (family != NULL) {
            more |= ngx_http_blockcast_key_hub_update(family);
        }
    }

    if (more && !ngx_http_blockcast_key_event.posted) {
        ngx_post_event(&ngx_http_blockcast_key_event,
                       &ngx_posted_next_events);
    }
}


void
ngx_http_blockcast_key_hub_forget(void)
{
    ngx_uint_t                        i;
    ngx_queue_t                      *q;
    ngx_http_blockcast_key_t         *k;
    ngx_http_blockcast_key_hub_t     *key;
    ngx_http_blockcast_key_family_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_nfamilies; i++) {
        family = ngx_http_blockcast_key_families[i];

        if (family == NULL) {
            continue;
        }

        for (q = ngx_queue_head(&family->hubs);
             q != ngx_queue_sentinel(&family->hubs);
             q = ngx_queue_next(q))
        {
            key = ngx_queue_data(q, ngx_http_blockcast_key_hub_t, queue);

            ngx_http_blockcast_hub_forget_one(&key->hub);

            /* the place was emptied, but may still have the same key */

            k = ngx_http_blockcast_key_hub_place(key);

            if (family->places[key->place] == key
                && k->len == key->text.len
                && ngx_memcmp(k->key, key->buf, key->text.len) == 0)
            {
                key->uses = k->uses;
            }
        }
    }
}


static void
ngx_http_blockcast_key_hub_handler(ngx_event_t *ev)
{
    ngx_http_blockcast_key_hub_update_all();
}


/*
 * Makes the status due for listeners whose interval is now stretched, or no
 * longer.
 */

static void
ngx_http_blockcast_key_hub_tell(ngx_http_blockcast_key_hub_t *key,
    ngx_uint_t late)
{
    ngx_uint_t                 i;
    ngx_http_blockcast_sub_t  *sub;
    ngx_http_blockcast_hub_t  *hub;

    hub = &key->hub;
    key->late = late;

    if (hub->freshness != ngx_http_blockcast_freshness_live) {
        return;
    }

    for (i = 0; i < hub->nlisteners; i++) {
        sub = &hub->listeners[i].conn->subs[hub->listeners[i].sub];

        /* "idle" is never sent to a client, so "live" will be sent again */

        if (sub->last_status == ngx_http_blockcast_freshness_live) {
            sub->last_status = ngx_http_blockcast_freshness_idle;
        }
    }

    hub->announced = (uint64_t) -1;
}


void
ngx_http_blockcast_key_hub_on_expiry(
    ngx_http_blockcast_key_hub_expired_pt handler)
{
    ngx_http_blockcast_key_hub_expired = handler;
}


/* Ends the subscriptions whose signature has expired. */

static void
ngx_http_blockcast_key_hub_expire(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t  i;
    uint32_t    until;

    /*
     * Backwards: the listener that replaces a removed one is already checked.
     */

    for (i = hub->nlisteners; i-- != 0; /* void */ ) {
        until = hub->listeners[i].until;

        if (until != 0 && (time_t) until <= ngx_time()) {
            ngx_http_blockcast_key_hub_expired(hub->listeners[i].conn, hub);
        }
    }
}


void
ngx_http_blockcast_key_hub_tick(ngx_uint_t attached)
{
    ngx_uint_t                        i, n, total, late;
    ngx_queue_t                      *q;
    ngx_http_blockcast_zone_t        *zone;
    ngx_http_blockcast_key_t         *k;
    ngx_http_blockcast_key_hub_t     *key;
    ngx_http_blockcast_key_family_t  *family;

    zone = ngx_http_blockcast_hub_conf->zone;

    for (i = 0; i < ngx_http_blockcast_key_nfamilies; i++) {
        family = ngx_http_blockcast_key_families[i];

        if (family == NULL || family->nhubs == 0) {
            continue;
        }

        n = family->nhubs / NGX_HTTP_BLOCKCAST_KEY_HUB_PART + 1;

        if (attached || zone->worker == 0) {
            n = family->nhubs;
        }

        total = 0;
        late = (ngx_http_blockcast_key_hub_late(family->stream) != 0);

        for ( /* void */ ; n != 0 && family->nhubs != 0; n--) {
            q = ngx_queue_head(&family->hubs);
            key = ngx_queue_data(q, ngx_http_blockcast_key_hub_t, queue);

            if (key->hub.nlisteners == 0 && !key->fresh) {
                ngx_http_blockcast_key_hub_free(family, key);
                continue;
            }

            key->fresh = 0;

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&family->hubs, q);

            k = ngx_http_blockcast_key_hub_place(key);

            if (k->uses != key->uses
                && ngx_http_blockcast_key_hub_rejoin(family, key) != NGX_OK)
            {
                continue;
            }

            if (attached || zone->worker == 0) {
                ngx_http_blockcast_key_table_attach(zone, family->table,
                                                    key->place);
                total += key->hub.nlisteners;
            }

            if (key->hub.npatched != 0) {
                family->stream->slot->patched = ngx_current_msec;
            }

            if (key->hub.delivered != key->hub.reported) {
                (void) ngx_atomic_fetch_add(&family->stream->slot->deliveries,
                                            key->hub.delivered
                                            - key->hub.reported);
                key->hub.reported = key->hub.delivered;
            }

            if (family->stream->keys->secret.len != 0) {
                ngx_http_blockcast_key_hub_expire(&key->hub);
            }

            if (key->late != late) {
                ngx_http_blockcast_key_hub_tell(key, late);
            }

            ngx_http_blockcast_fanout_update(&key->hub);
        }

        if (total != 0) {
            ngx_http_blockcast_slot_add_listeners(zone, family->stream->slot,
                                                  total);
        }
    }
}
