
/*
 * Polls of keys: when each is due, and which keys share a poll.
 *
 * Keys that are due are polled first come first served; keys with a new
 * listener are in another list, and the two lists take turns.  Only a few
 * polls of a stream run at once: the rest stays in the lists, which have room
 * for each key of the table and cannot grow.
 *
 * A poll counts when it has ended: if its worker is killed or loses the
 * lease before, the next one polls the keys again.
 */


#include "ngx_http_blockcast_key_poll.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_lease.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_proposal.h"
#include "ngx_http_blockcast_recorder.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_cluster_keys.h"
#include "ngx_http_blockcast_key_hub.h"
#include "ngx_http_blockcast_budget.h"
#include "ngx_http_blockcast_jq.h"
#include "ngx_http_blockcast_key_queue.h"
#include "ngx_http_blockcast_poll.h"
#include "bc_json.h"
#include "bc_span.h"


/* polls of a stream at once: of one key each, of several keys */
#define NGX_HTTP_BLOCKCAST_KEY_POLL_LANES  64
#define NGX_HTTP_BLOCKCAST_KEY_POLL_WIDE   8

/* how many ticks it takes to check all places */
#define NGX_HTTP_BLOCKCAST_KEY_POLL_SWEEP  25

/* the time before a poll is repeated that could not start or publish (msec) */
#define NGX_HTTP_BLOCKCAST_KEY_POLL_AGAIN  1000


typedef struct {
    ngx_http_blockcast_main_conf_t  *bmcf;
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_poll_t    *master;
    ngx_http_blockcast_key_table_t  *table;
    ngx_http_blockcast_key_entry_t  *entries;   /* NULL: we do not poll */

    ngx_http_blockcast_key_queue_t  queue;
    ngx_uint_t                    odd;          /* whose turn it is */

    ngx_queue_t                   active;       /* lanes */
    ngx_queue_t                   free;
    ngx_uint_t                    nactive;
    ngx_uint_t                    most;
    ngx_uint_t                    batch;        /* keys of a lane */

    uint64_t                      pos;          /* in the ring of wishes */
    ngx_uint_t                    sweep;        /* the next place */

    uint64_t                      head;         /* seq of stream->after */
    ngx_uint_t                    pokes;
    ngx_uint_t                    failures;     /* lanes since a good one */
} ngx_http_blockcast_key_family_poll_t;


/* what a poll has proposed to a cluster's log */

typedef struct {
    ngx_http_blockcast_proposal_t  proposal;
    ngx_str_t                    *found;        /* data, key by key */
    uint64_t                     *numbers;      /* ... 0: it is no news */
} ngx_http_blockcast_key_outcome_t;


static ngx_http_blockcast_key_family_poll_t *
    ngx_http_blockcast_key_poll_family(ngx_http_blockcast_stream_t *st);
static ngx_int_t ngx_http_blockcast_key_poll_propose(
    ngx_http_blockcast_poll_t *poll, ngx_str_t *found);
static void ngx_http_blockcast_key_poll_committed(
    ngx_http_blockcast_proposal_t *proposal);
static void ngx_http_blockcast_key_poll_decided(
    ngx_http_blockcast_proposal_t *proposal, ngx_int_t rc);
static void ngx_http_blockcast_key_poll_commit(
    ngx_http_blockcast_poll_t *poll, ngx_str_t *found, uint64_t *numbers);
static void ngx_http_blockcast_key_poll_enter(
    ngx_http_blockcast_key_family_poll_t *family, ngx_uint_t place,
    ngx_http_blockcast_key_list_e list);
static void ngx_http_blockcast_key_poll_handler(ngx_event_t *ev);


static ngx_http_blockcast_key_family_poll_t  *ngx_http_blockcast_key_polls;
static ngx_uint_t                             ngx_http_blockcast_key_npolls;
static ngx_uint_t                             ngx_http_blockcast_key_first;
static ngx_event_t                            ngx_http_blockcast_key_say;
static ngx_connection_t                       ngx_http_blockcast_key_nobody;


ngx_int_t
ngx_http_blockcast_key_poll_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_poll_t *master)
{
    ngx_uint_t                             i, n;
    ngx_http_blockcast_stream_t          **st;
    ngx_http_blockcast_key_family_poll_t  *family;

    st = bmcf->streams.elts;
    n = 0;
    ngx_http_blockcast_key_npolls = 0;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        n += (st[i]->keys != NULL);
    }

    if (n == 0) {
        return NGX_OK;
    }

    family = ngx_pcalloc(cycle->pool,
                         n * sizeof(ngx_http_blockcast_key_family_poll_t));
    if (family == NULL) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_key_polls = family;
    ngx_http_blockcast_key_npolls = n;

    for (i = 0; i < bmcf->streams.nelts; i++) {

        if (st[i]->keys == NULL) {
            continue;
        }

        family->bmcf = bmcf;
        family->stream = st[i];
        family->master = &master[i];
        family->table = ngx_http_blockcast_key_table_of(st[i]);
        family->batch = ngx_max(st[i]->keys->batch, 1);
        family->most = (family->batch > 1)
                       ? NGX_HTTP_BLOCKCAST_KEY_POLL_WIDE
                       : ngx_max(NGX_HTTP_BLOCKCAST_KEY_POLL_LANES,
                                 st[i]->node->batch);

        ngx_queue_init(&family->active);
        ngx_queue_init(&family->free);

        family++;
    }

    ngx_http_blockcast_key_nobody.fd = (ngx_socket_t) -1;
    ngx_http_blockcast_key_say.handler = ngx_http_blockcast_key_poll_handler;
    ngx_http_blockcast_key_say.log = cycle->log;
    ngx_http_blockcast_key_say.data = &ngx_http_blockcast_key_nobody;

    return NGX_OK;
}


static ngx_http_blockcast_key_family_poll_t *
ngx_http_blockcast_key_poll_family(ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t  i;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        if (ngx_http_blockcast_key_polls[i].stream == st) {
            return &ngx_http_blockcast_key_polls[i];
        }
    }

    return NULL;
}


static ngx_http_blockcast_key_t *
ngx_http_blockcast_key_poll_at(ngx_http_blockcast_key_family_poll_t *family,
    ngx_uint_t place)
{
    return ngx_http_blockcast_key_table_at(family->table, place);
}


/* Returns true when a key is to be polled. */

static ngx_uint_t
ngx_http_blockcast_key_poll_wanted(
    ngx_http_blockcast_key_family_poll_t *family, ngx_uint_t place)
{
    return ngx_http_blockcast_key_table_wanted(family->stream,
                              ngx_http_blockcast_key_poll_at(family, place));
}


/* Returns the next point of the grid of an interval after a time. */

static ngx_msec_t
ngx_http_blockcast_key_poll_grid(ngx_http_blockcast_key_family_poll_t *family,
    ngx_msec_t time)
{
    ngx_msec_t  next, interval;

    interval = family->stream->interval;
    next = time - time % interval + interval;

    return (next - time < interval / 2) ? next + interval : next;
}


/* Puts a wanted key into a list if it is due, or makes it wait. */

static void
ngx_http_blockcast_key_poll_enter(ngx_http_blockcast_key_family_poll_t *family,
    ngx_uint_t place, ngx_http_blockcast_key_list_e list)
{
    ngx_msec_t                       now;
    ngx_http_blockcast_key_t        *k;
    ngx_http_blockcast_key_entry_t  *entry;

    entry = &family->entries[place];
    k = ngx_http_blockcast_key_poll_at(family, place);

    if (entry->busy) {
        return;
    }

    if (entry->queued) {

        if (entry->uses == (uint32_t) k->uses) {
            return;
        }

        /* the entry is of the key that had the place before */

        ngx_http_blockcast_key_queue_remove(&family->queue, place);
    }

    now = ngx_current_msec;

    entry->uses = (uint32_t) k->uses;
    entry->due = now;

    if (k->attempted != 0
        && k->ended == k->attempted
        && (family->stream->after == NULL || k->after == family->head))
    {
        entry->due = ngx_http_blockcast_key_poll_grid(family, k->attempted);

        if ((ngx_msec_int_t) (entry->due - now) > 0) {
            ngx_http_blockcast_key_queue_wait(&family->queue, place);
            return;
        }
    }

    ngx_http_blockcast_key_queue_append(&family->queue, list, place);
}


static int ngx_libc_cdecl
ngx_http_blockcast_key_poll_compare(const void *one, const void *two)
{
    const uint64_t  *a = one, *b = two;

    return (*a < *b) ? -1 : (*a > *b);
}


void
ngx_http_blockcast_key_poll_start(void)
{
    uint64_t                              *order;
    ngx_uint_t                             i, n, place;
    ngx_http_blockcast_key_family_poll_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        family = &ngx_http_blockcast_key_polls[i];

        family->entries = ngx_calloc(family->table->max
                                  * sizeof(ngx_http_blockcast_key_entry_t),
                                  ngx_cycle->log);
        order = ngx_alloc(family->table->max * sizeof(uint64_t),
                          ngx_cycle->log);

        if (family->entries == NULL || order == NULL) {

            if (family->entries != NULL) {
                ngx_free(family->entries);
                family->entries = NULL;
            }

            if (order != NULL) {
                ngx_free(order);
            }

            continue;
        }

        ngx_http_blockcast_key_queue_init(&family->queue, family->entries);

        family->pos = family->table->wanted;
        family->table->late = 0;

        if (family->stream->after != NULL) {
            family->head = family->stream->after->slot->seq;
        }

        /* keep the order of the previous poller */

        n = 0;

        for (place = 0; place < family->table->max; place++) {
            if (ngx_http_blockcast_key_poll_wanted(family, place)) {
                order[n++] = (uint64_t) ngx_http_blockcast_key_poll_at(family,
                                                        place)->attempted << 24
                             | place;
            }
        }

        ngx_qsort(order, n, sizeof(uint64_t),
                  ngx_http_blockcast_key_poll_compare);

        for (place = 0; place < n; place++) {
            ngx_http_blockcast_key_poll_enter(family,
                                              order[place] & 0xffffff,
                                              ngx_http_blockcast_key_turn);
        }

        ngx_free(order);
    }

    ngx_http_blockcast_key_poll_follow();
}


static void
ngx_http_blockcast_key_poll_free_lane(ngx_http_blockcast_key_lane_t *lane)
{
    ngx_queue_remove(&lane->queue);
    ngx_free(lane->poll.calls);
    ngx_free(lane->places);
    ngx_free(lane->uses);
    ngx_free(lane);
}


void
ngx_http_blockcast_key_poll_stop(void)
{
    ngx_uint_t                             i;
    ngx_queue_t                           *q;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        family = &ngx_http_blockcast_key_polls[i];

        while (!ngx_queue_empty(&family->active)) {
            q = ngx_queue_head(&family->active);
            lane = ngx_queue_data(q, ngx_http_blockcast_key_lane_t, queue);

            ngx_http_blockcast_poll_abort(&lane->poll);
            ngx_http_blockcast_key_poll_free_lane(lane);
        }

        while (!ngx_queue_empty(&family->free)) {
            q = ngx_queue_head(&family->free);
            ngx_http_blockcast_key_poll_free_lane(
                ngx_queue_data(q, ngx_http_blockcast_key_lane_t, queue));
        }

        family->nactive = 0;

        if (family->entries != NULL) {
            ngx_free(family->entries);
            family->entries = NULL;
        }
    }

    if (ngx_http_blockcast_key_say.posted) {
        ngx_delete_posted_event(&ngx_http_blockcast_key_say);
    }
}


void
ngx_http_blockcast_key_poll_follow(void)
{
    uint64_t                               seq;
    ngx_int_t                              rc;
    ngx_uint_t                             i, place;
    ngx_http_blockcast_key_family_poll_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        family = &ngx_http_blockcast_key_polls[i];

        if (family->entries == NULL) {
            continue;
        }

        if (family->stream->after != NULL) {
            seq = family->stream->after->slot->seq;

            if (seq != family->head) {
                family->head = seq;
                ngx_http_blockcast_key_queue_hurry(&family->queue);
            }
        }

        for ( ;; ) {
            rc = ngx_http_blockcast_key_table_next_wanted(family->table,
                                                          &family->pos,
                                                          &place);

            if (rc == NGX_OK) {
                if (ngx_http_blockcast_key_poll_wanted(family, place)) {
                    ngx_http_blockcast_key_poll_enter(family, place,
                                                ngx_http_blockcast_key_fresh);
                }

                continue;
            }

            if (rc == NGX_DECLINED) {
                break;
            }

            for (place = 0; place < family->table->max; place++) {
                if (ngx_http_blockcast_key_poll_wanted(family, place)) {
                    ngx_http_blockcast_key_poll_enter(family, place,
                                                ngx_http_blockcast_key_fresh);
                }
            }
        }
    }
}


void
ngx_http_blockcast_key_poll_tick(void)
{
    ngx_uint_t                             i, n, place;
    ngx_http_blockcast_key_family_poll_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        family = &ngx_http_blockcast_key_polls[i];

        /* a gateway that follows another one does not poll, but sweeps */

        n = family->table->max / NGX_HTTP_BLOCKCAST_KEY_POLL_SWEEP + 1;

        ngx_http_blockcast_key_table_sweep(family->bmcf->zone, family->table,
                                           family->sweep, n,
                                           family->stream->keys->idle);

        for (place = family->sweep;
             family->entries != NULL
             && place < family->sweep + n && place < family->table->max;
             place++)
        {
            if (ngx_http_blockcast_key_poll_wanted(family, place)) {
                ngx_http_blockcast_key_poll_enter(family, place,
                                                ngx_http_blockcast_key_fresh);
            }
        }

        family->sweep += n;

        if (family->sweep >= family->table->max) {
            family->sweep = 0;
        }
    }
}


void
ngx_http_blockcast_key_poll_poke(ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_key_family_poll_t  *family;

    family = ngx_http_blockcast_key_poll_family(st);

    if (family != NULL && family->entries != NULL) {
        family->pokes++;
        ngx_http_blockcast_key_queue_hurry(&family->queue);
    }
}


void
ngx_http_blockcast_key_poll_hurry(ngx_http_blockcast_node_t *node)
{
    ngx_uint_t                             i, place;
    ngx_http_blockcast_key_t              *k;
    ngx_http_blockcast_key_entry_t        *entry;
    ngx_http_blockcast_key_family_poll_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        family = &ngx_http_blockcast_key_polls[i];

        if (family->entries == NULL || family->stream->node != node) {
            continue;
        }

        for (place = 0; place < family->table->max; place++) {
            entry = &family->entries[place];
            k = ngx_http_blockcast_key_poll_at(family, place);

            if (!entry->queued
                || (ngx_msec_int_t) (entry->due - ngx_current_msec) <= 0
                || k->error[k->error_version & 1].len == 0)
            {
                continue;
            }

            ngx_http_blockcast_key_queue_remove(&family->queue, place);
            entry->due = ngx_current_msec;
            ngx_http_blockcast_key_queue_append(&family->queue,
                                          ngx_http_blockcast_key_turn, place);
        }
    }
}


/*
 * Notes how late the next key is polled: by that much the interval of all keys
 * is longer.
 */

static void
ngx_http_blockcast_key_poll_late(ngx_http_blockcast_key_family_poll_t *family,
    ngx_msec_int_t late)
{
    ngx_msec_t  before;

    before = family->table->late;

    if (late < 0) {
        late = 0;
    }

    /* it grows at once and shrinks slowly */

    if ((ngx_msec_t) late < before) {
        late = before - (before - late) / 8 - 1;
    }

    if ((ngx_msec_t) late != before) {
        family->table->late = late;
    }
}


/*
 * Returns true when a key can be polled now, and takes it out of its list if
 * place is not NULL.  *left is the time until the next one is due (msec).
 */

static ngx_uint_t
ngx_http_blockcast_key_poll_pick(ngx_http_blockcast_key_family_poll_t *family,
    ngx_uint_t *place, ngx_msec_int_t *left)
{
    ngx_uint_t                       n, i;
    ngx_http_blockcast_key_list_e    which;
    ngx_http_blockcast_key_list_t   *list;
    ngx_http_blockcast_key_queue_t  *queue;

    queue = &family->queue;
    ngx_http_blockcast_key_queue_ripen(queue);

    for (i = 0; i < 2; i++) {
        which = ((family->odd + i) & 1) ? ngx_http_blockcast_key_fresh
                                        : ngx_http_blockcast_key_turn;
        list = &queue->lists[which];

        while (list->first != 0
               && !ngx_http_blockcast_key_poll_wanted(family,
                                                      list->first - 1))
        {
            ngx_http_blockcast_key_queue_remove(queue, list->first - 1);
        }

        if (list->first == 0) {
            continue;
        }

        n = list->first - 1;
        *left = 0;

        if (which == ngx_http_blockcast_key_turn) {
            ngx_http_blockcast_key_poll_late(family,
                      (ngx_msec_int_t) (ngx_current_msec
                                        - queue->entries[n].due));
        }

        if (place != NULL) {
            *place = n;
            ngx_http_blockcast_key_queue_remove(queue, n);
            family->odd++;
        }

        return 1;
    }

    *left = ngx_http_blockcast_key_queue_left(queue);
    ngx_http_blockcast_key_poll_late(family, 0);

    return 0;
}


static ngx_http_blockcast_key_lane_t *
ngx_http_blockcast_key_poll_lane(ngx_http_blockcast_key_family_poll_t *family)
{
    ngx_uint_t                      i;
    ngx_queue_t                    *q;
    ngx_http_blockcast_poll_t      *poll;
    ngx_http_blockcast_key_lane_t  *lane;

    if (!ngx_queue_empty(&family->free)) {
        q = ngx_queue_head(&family->free);
        ngx_queue_remove(q);

        lane = ngx_queue_data(q, ngx_http_blockcast_key_lane_t, queue);
        poll = &lane->poll;

    } else {
        lane = ngx_calloc(sizeof(ngx_http_blockcast_key_lane_t),
                          ngx_cycle->log);
        if (lane == NULL) {
            return NULL;
        }

        poll = &lane->poll;
        poll->calls = ngx_calloc(family->master->ncalls
                                 * sizeof(ngx_http_blockcast_poll_call_t),
                                 ngx_cycle->log);
        lane->places = ngx_alloc(family->batch * sizeof(ngx_uint_t),
                                 ngx_cycle->log);
        lane->uses = ngx_alloc(family->batch * sizeof(uint64_t),
                               ngx_cycle->log);

        if (poll->calls == NULL || lane->places == NULL
            || lane->uses == NULL)
        {
            ngx_queue_init(&lane->queue);
            ngx_http_blockcast_key_poll_free_lane(lane);
            return NULL;
        }

        lane->family = family;
        poll->lane = lane;
        poll->bmcf = family->bmcf;
        poll->stream = family->stream;
        poll->ncalls = family->master->ncalls;

        for (i = 0; i < poll->ncalls; i++) {
            poll->calls[i].poll = poll;
            poll->calls[i].conf = family->master->calls[i].conf;
        }
    }

    /* use what other lanes have learned about the node */

    for (i = 0; i < poll->ncalls; i++) {
        poll->calls[i].method = family->master->calls[i].method;
        poll->calls[i].reprobe = family->master->calls[i].reprobe;
        poll->calls[i].missing = family->master->calls[i].missing;
    }

    lane->n = 0;
    lane->head = family->head;
    lane->pokes = family->pokes;
    lane->lost = 0;
    family->nactive++;
    ngx_queue_insert_tail(&family->active, &lane->queue);

    return lane;
}


static void
ngx_http_blockcast_key_poll_add(ngx_http_blockcast_key_lane_t *lane,
    ngx_uint_t place)
{
    ngx_http_blockcast_key_t              *k;
    ngx_http_blockcast_key_family_poll_t  *family;

    family = lane->family;
    k = ngx_http_blockcast_key_poll_at(family, place);

    lane->places[lane->n] = place;
    lane->uses[lane->n] = k->uses;
    lane->n++;

    family->entries[place].busy = 1;

    /* it counts as polled only in _done(), see there */

    lane->began = ngx_current_msec;
    k->attempted = lane->began;
}


static void
ngx_http_blockcast_key_poll_begin(ngx_http_blockcast_key_lane_t *lane)
{
    ngx_http_blockcast_poll_start(&lane->poll);
    ngx_http_blockcast_test_moment("key: asked");

    if (!lane->poll.active && lane->n != 0) {

        /* no memory: the poll has not started */

        lane->lost = 1;
        ngx_http_blockcast_key_poll_done(&lane->poll);
    }
}


void
ngx_http_blockcast_key_poll_run(void)
{
    ngx_uint_t                             i, n, place;
    ngx_msec_int_t                         left;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    ngx_http_blockcast_key_poll_follow();

    n = ngx_http_blockcast_key_npolls;

    for (i = 0; i < n; i++) {
        family = &ngx_http_blockcast_key_polls[
                                     (ngx_http_blockcast_key_first + i) % n];

        if (family->entries == NULL
            || family->stream->node->health != ngx_http_blockcast_node_ok)
        {
            continue;
        }

        while (family->nactive < family->most
               && ngx_http_blockcast_key_poll_pick(family, NULL, &left)
               && ngx_http_blockcast_budget_wait(family->stream->node) == 0)
        {
            lane = ngx_http_blockcast_key_poll_lane(family);

            if (lane == NULL) {
                break;
            }

            while (lane->n < family->batch
                   && ngx_http_blockcast_key_poll_pick(family, &place, &left))
            {
                ngx_http_blockcast_key_poll_add(lane, place);
            }

            ngx_http_blockcast_key_poll_begin(lane);
        }
    }

    ngx_http_blockcast_key_first++;
}


void
ngx_http_blockcast_key_poll_expire(void)
{
    ngx_uint_t                             i, n;
    ngx_queue_t                           *q;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        family = &ngx_http_blockcast_key_polls[i];

        /* the end of one may end others: visit each once */

        for (n = family->nactive;
             n != 0 && !ngx_queue_empty(&family->active);
             n--)
        {
            q = ngx_queue_head(&family->active);
            lane = ngx_queue_data(q, ngx_http_blockcast_key_lane_t, queue);

            ngx_queue_remove(q);
            ngx_queue_insert_tail(&family->active, q);

            ngx_http_blockcast_poll_expire(&lane->poll);
        }
    }
}


ngx_uint_t
ngx_http_blockcast_key_poll_next(ngx_msec_int_t *left)
{
    ngx_msec_t                             deadline, wait;
    ngx_uint_t                             i, any;
    ngx_queue_t                           *q;
    ngx_msec_int_t                         next;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    any = 0;
    *left = 60000;

    for (i = 0; i < ngx_http_blockcast_key_npolls; i++) {
        family = &ngx_http_blockcast_key_polls[i];

        if (family->entries == NULL) {
            continue;
        }

        for (q = ngx_queue_head(&family->active);
             q != ngx_queue_sentinel(&family->active);
             q = ngx_queue_next(q))
        {
            lane = ngx_queue_data(q, ngx_http_blockcast_key_lane_t, queue);
            deadline = ngx_http_blockcast_poll_deadline(&lane->poll);

            next = (ngx_msec_int_t) (deadline - ngx_current_msec);
            *left = ngx_min(*left, ngx_max(next, 1));
            any = 1;
        }

        if (family->nactive >= family->most
            || family->stream->node->health != ngx_http_blockcast_node_ok)
        {
            /* keys wait for a lane to end, or for the node to be back */
            continue;
        }

        (void) ngx_http_blockcast_key_poll_pick(family, NULL, &next);

        if (next == NGX_MAX_INT_T_VALUE) {
            continue;
        }

        wait = ngx_http_blockcast_budget_wait(family->stream->node);
        next = ngx_max(next, (ngx_msec_int_t) wait);

        *left = ngx_min(*left, next);
        any = 1;
    }

    return any;
}


ngx_uint_t
ngx_http_blockcast_key_poll_can_try(ngx_http_blockcast_stream_t *st)
{
    ngx_http_blockcast_key_family_poll_t  *family;

    family = ngx_http_blockcast_key_poll_family(st);

    return family != NULL
           && family->entries != NULL
           && family->nactive == 0
           && ngx_http_blockcast_key_queue_first(&family->queue)
              != NGX_HTTP_BLOCKCAST_KEY_NONE;
}


void
ngx_http_blockcast_key_poll_try(ngx_http_blockcast_stream_t *st)
{
    ngx_uint_t                             place;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    if (!ngx_http_blockcast_key_poll_can_try(st)) {
        return;
    }

    family = ngx_http_blockcast_key_poll_family(st);
    place = ngx_http_blockcast_key_queue_first(&family->queue);

    lane = ngx_http_blockcast_key_poll_lane(family);

    if (lane == NULL) {
        return;
    }

    ngx_http_blockcast_key_queue_remove(&family->queue, place);
    ngx_http_blockcast_key_poll_add(lane, place);
    ngx_http_blockcast_key_poll_begin(lane);
}


/* Returns true when a lane's key is still in its place. */

static ngx_uint_t
ngx_http_blockcast_key_poll_same(ngx_http_blockcast_key_lane_t *lane,
    ngx_uint_t i)
{
    ngx_http_blockcast_key_t  *k;

    k = ngx_http_blockcast_key_poll_at(lane->family, lane->places[i]);

    return k->uses == lane->uses[i]
           && k->state == ngx_http_blockcast_key_used;
}


void
ngx_http_blockcast_key_poll_input(ngx_http_blockcast_poll_t *poll,
    ngx_http_blockcast_jq_input_t *input)
{
    u_char                                *p;
    ngx_uint_t                             i;
    ngx_http_blockcast_key_t              *k;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_data_t          data;
    ngx_http_blockcast_key_family_poll_t  *family;

    lane = poll->lane;
    family = lane->family;

    p = ngx_pnalloc(poll->pool, 2 + lane->n
                                    * (NGX_HTTP_BLOCKCAST_KEY_LEN + 3));
    if (p == NULL) {
        return;
    }

    input->keys.data = p;
    *p++ = '[';

    for (i = 0; i < lane->n; i++) {
        k = ngx_http_blockcast_key_poll_at(family, lane->places[i]);

        if (i != 0) {
            *p++ = ',';
        }

        *p++ = '"';
        p = ngx_cpymem(p, k->key, ngx_min(k->len,
                                          NGX_HTTP_BLOCKCAST_KEY_LEN));
        *p++ = '"';
    }

    *p++ = ']';
    input->keys.len = p - input->keys.data;
    input->single = (family->stream->keys->batch == 0);

    if (!input->single) {
        return;
    }

    k = ngx_http_blockcast_key_poll_at(family, lane->places[0]);

    if (ngx_http_blockcast_key_table_read(family->table, k, &data) != NGX_OK) {
        return;
    }

    input->previous.data = ngx_pnalloc(poll->pool, data.data.len + 1);

    if (input->previous.data != NULL) {
        ngx_memcpy(input->previous.data, data.data.data, data.data.len);
        input->previous.len = data.data.len;
    }

    ngx_free(data.data.data);
}


/* Wakes all workers, once per turn of the event loop. */

static void
ngx_http_blockcast_key_poll_notify(void)
{
    if (!ngx_http_blockcast_key_say.posted) {
        ngx_post_event(&ngx_http_blockcast_key_say, &ngx_posted_events);
    }
}


static void
ngx_http_blockcast_key_poll_handler(ngx_event_t *ev)
{
    ngx_http_blockcast_worker_notify_others(
                                         ngx_http_blockcast_key_polls->bmcf);
    ngx_http_blockcast_key_hub_update_all();
}


/* Finds the data of a lane's keys in an object by key; len 0: not found. */

static void
ngx_http_blockcast_key_poll_match(ngx_http_blockcast_key_lane_t *lane,
    bc_json_iter_t *it, ngx_str_t *found)
{
    bc_span_t                              key, value;
    ngx_uint_t                             i, n, at;
    ngx_http_blockcast_key_t              *k;

    at = 0;

    while (bc_json_next(it, &key, &value)) {

        /* jq sorts members, or the program keeps our order: continue from the
           last match */

        for (n = 0; n < lane->n; n++) {
            i = (at + n) % lane->n;
            k = ngx_http_blockcast_key_poll_at(lane->family, lane->places[i]);

            if (k->len == key.len
                && ngx_memcmp(k->key, key.data, key.len) == 0)
            {
                found[i].data = (u_char *) value.data;
                found[i].len = value.len;
                at = i + 1;
                break;
            }
        }
    }
}


/*
 * Proposes changed data to the cluster's log, all in one entry.  NGX_OK: there
 * is none; NGX_AGAIN: _decided() will be called; NGX_DECLINED: another gateway
 * polls, or the log is busy; NGX_ERROR without memory.
 */

static ngx_int_t
ngx_http_blockcast_key_poll_propose(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *found)
{
    uint64_t                               seq;
    ngx_int_t                              rc;
    ngx_uint_t                             i;
    ngx_http_blockcast_key_t              *k;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_publication_t      *pub;
    ngx_http_blockcast_key_outcome_t      *outcome;
    ngx_http_blockcast_key_family_poll_t  *family;

    lane = poll->lane;
    family = lane->family;

    outcome = ngx_pcalloc(poll->pool,
                          sizeof(ngx_http_blockcast_key_outcome_t)
                          + lane->n
                            * (sizeof(ngx_http_blockcast_publication_t)
                               + sizeof(uint64_t)
                               + NGX_HTTP_BLOCKCAST_KEY_LEN));
    if (outcome == NULL) {
        return NGX_ERROR;
    }

    pub = (ngx_http_blockcast_publication_t *) (outcome + 1);

    outcome->proposal.stream = family->stream;
    outcome->proposal.pubs = pub;
    outcome->proposal.data = poll;
    outcome->proposal.committed = ngx_http_blockcast_key_poll_committed;
    outcome->proposal.decided = ngx_http_blockcast_key_poll_decided;
    outcome->numbers = (uint64_t *) (pub + lane->n);
    outcome->found = found;

    for (i = 0; i < lane->n; i++) {

        if (!ngx_http_blockcast_key_poll_same(lane, i)
            || found[i].len == 0 || found[i].len > family->table->max_size)
        {
            continue;
        }

        seq = ngx_http_blockcast_key_table_next(family->table,
                                                lane->places[i], &found[i]);
        if (seq == 0) {
            continue;
        }

        k = ngx_http_blockcast_key_poll_at(family, lane->places[i]);

        pub->type = ngx_http_blockcast_publish_data;
        pub->stream = family->stream;
        pub->seq = seq;
        pub->timestamp = ngx_time();
        pub->data = found[i];
        pub->key.data = (u_char *) (outcome->numbers + lane->n)
                        + i * NGX_HTTP_BLOCKCAST_KEY_LEN;
        pub->key.len = ngx_min(k->len, NGX_HTTP_BLOCKCAST_KEY_LEN);
        ngx_memcpy(pub->key.data, k->key, pub->key.len);

        /* the key may be dropped and come back before the log has answered */

        family->table->high = ngx_max(family->table->high, seq);

        outcome->numbers[i] = seq;
        outcome->proposal.n++;
        pub++;
    }

    if (outcome->proposal.n == 0) {
        return NGX_OK;
    }

    rc = family->bmcf->recorder->propose(family->bmcf, &outcome->proposal);

    if (rc == NGX_AGAIN) {
        poll->proposal = &outcome->proposal;
        poll->shaping = 1;

        /* until it is in the table, do not announce an older number */

        for (i = 0; i < lane->n; i++) {
            if (outcome->numbers[i] != 0) {
                ngx_http_blockcast_key_poll_at(family, lane->places[i])->base =
                                                          outcome->numbers[i];
            }
        }
    }

    return rc;
}


static void
ngx_http_blockcast_key_poll_committed(ngx_http_blockcast_proposal_t *proposal)
{
    /* keys are independent of each other: commit all of them at once */
}


/* Ends the poll when the log has answered. */

static void
ngx_http_blockcast_key_poll_decided(ngx_http_blockcast_proposal_t *proposal,
    ngx_int_t rc)
{
    ngx_http_blockcast_poll_t         *poll;
    ngx_http_blockcast_key_outcome_t  *outcome;

    poll = proposal->data;
    poll->proposal = NULL;

    outcome = (ngx_http_blockcast_key_outcome_t *)
                  ((u_char *) proposal
                   - offsetof(ngx_http_blockcast_key_outcome_t, proposal));

    if (rc == NGX_OK) {
        ngx_http_blockcast_key_poll_commit(poll, outcome->found,
                                           outcome->numbers);
    }

    ngx_http_blockcast_poll_end(poll);
}


/* Records data that is about to be published, if it has changed. */

static void
ngx_http_blockcast_key_poll_record(
    ngx_http_blockcast_key_family_poll_t *family, ngx_http_blockcast_key_t *k,
    ngx_uint_t place, ngx_str_t *data)
{
    ngx_str_t                             record;
    ngx_http_blockcast_publication_t      pub;
    const ngx_http_blockcast_recorder_t  *recorder;

    recorder = family->bmcf->recorder;

    ngx_memzero(&pub, sizeof(ngx_http_blockcast_publication_t));
    pub.seq = ngx_http_blockcast_key_table_next(family->table, place, data);

    if (recorder == NULL || pub.seq == 0) {
        return;
    }

    pub.type = ngx_http_blockcast_publish_data;
    pub.stream = family->stream;
    pub.key.data = k->key;
    pub.key.len = k->len;
    pub.timestamp = ngx_time();
    pub.data = *data;

    recorder->encode(&pub, &record);

    if (record.data != NULL) {
        recorder->append(family->bmcf, &record);
        ngx_free(record.data);
    }
}


/* Marks a key as failed, here and on other gateways. */

static void
ngx_http_blockcast_key_poll_fail(ngx_http_blockcast_key_family_poll_t *family,
    ngx_uint_t place, int64_t code, ngx_str_t *text)
{
    uint64_t                   before;
    ngx_http_blockcast_key_t  *k;

    k = ngx_http_blockcast_key_poll_at(family, place);
    before = k->error_version;

    ngx_http_blockcast_key_table_fail(family->table, place, code, text);
    ngx_http_blockcast_key_table_say_changed(family->table, place);

    if (k->error_version != before) {
        ngx_http_blockcast_cluster_keys_changed(family->bmcf, family->stream,
                                                place);
    }
}


ngx_int_t
ngx_http_blockcast_key_poll_publish(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *output, ngx_uint_t n)
{
    bc_span_t                              span;
    ngx_int_t                              rc;
    ngx_str_t                             *found, error;
    bc_json_iter_t                         it;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    lane = poll->lane;
    family = lane->family;

    found = ngx_pcalloc(poll->pool, lane->n * sizeof(ngx_str_t));

    if (found == NULL) {
        ngx_str_set(&error, "no memory");
        ngx_http_blockcast_key_poll_failed(poll, 0, &error);
        return NGX_OK;
    }

    if (family->stream->keys->batch == 0) {
        found[0] = output[0];

    } else {
        span.data = output[0].data;
        span.len = output[0].len;

        if (bc_json_object(&it, span) != 0) {
            ngx_str_set(&error, "the program must answer with an object that "
                        "has a member for each of .keys");
            ngx_http_blockcast_key_poll_failed(poll, 0, &error);
            return NGX_OK;
        }

        ngx_http_blockcast_key_poll_match(lane, &it, found);
    }

    if (family->bmcf->recorder != NULL
        && family->bmcf->recorder->propose != NULL)
    {
        rc = ngx_http_blockcast_key_poll_propose(poll, found);

        if (rc == NGX_ERROR) {
            ngx_str_set(&error, "no memory");
            ngx_http_blockcast_key_poll_failed(poll, 0, &error);
        }

        if (rc != NGX_OK) {
            return (rc == NGX_AGAIN) ? NGX_AGAIN : NGX_OK;
        }
    }

    ngx_http_blockcast_key_poll_commit(poll, found, NULL);

    return NGX_OK;
}


/*
 * Publishes the outcome of a poll.  numbers: those of data that is in the
 * cluster's log, and so in the table, already; NULL: there is none.
 */

static void
ngx_http_blockcast_key_poll_commit(ngx_http_blockcast_poll_t *poll,
    ngx_str_t *found, uint64_t *numbers)
{
    u_char                                 text[NGX_HTTP_BLOCKCAST_KEY_ERROR];
    uint64_t                               seq;
    ngx_str_t                              error;
    ngx_uint_t                             i, changed, logged;
    ngx_http_blockcast_key_t              *k;
    ngx_http_blockcast_slot_t             *slot;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;
    static ngx_str_t                       none = ngx_null_string;

    lane = poll->lane;
    family = lane->family;
    slot = family->stream->slot;
    logged = (family->bmcf->recorder != NULL
              && family->bmcf->recorder->propose != NULL);

    if (ngx_http_blockcast_snapshot_begin(family->bmcf->zone, ngx_cycle->log)
        != NGX_OK)
    {
        /* drop it: another worker polls now, or memory is short */
        lane->lost = 1;
        return;
    }

    changed = 0;

    for (i = 0; i < lane->n; i++) {

        if (!ngx_http_blockcast_key_poll_same(lane, i)) {
            continue;
        }

        k = ngx_http_blockcast_key_poll_at(family, lane->places[i]);
        family->table->polls++;

        if (found[i].len == 0 || found[i].len > family->table->max_size) {
            error.data = text;
            error.len = (found[i].len == 0)
                        ? ngx_snprintf(text, sizeof(text), "the program has "
                                       "no answer for this key")
                          - text
                        : ngx_snprintf(text, sizeof(text), "the data is %uz "
                                       "bytes, blockcast_max_size is %uL",
                                       found[i].len, family->table->max_size)
                          - text;

            ngx_http_blockcast_key_poll_fail(family, lane->places[i], 0,
                                             &error);
            changed = 1;
            continue;
        }

        if (logged) {

            /* what has changed is in the log and the table already */

            seq = (numbers != NULL) ? numbers[i] : 0;

        } else {

            if (family->stream->keys->state) {
                ngx_http_blockcast_key_poll_record(family, k, lane->places[i],
                                                   &found[i]);
            }

            seq = ngx_http_blockcast_key_table_publish(
                                                family->table,
                                                lane->places[i], &found[i],
                                                ngx_time());
        }

        if (seq > slot->seq) {
            slot->seq = seq;
        }

        if (seq != 0) {
            family->table->changes++;
        }

        if (seq != 0 || k->polled == 0
            || (ngx_msec_t) (ngx_current_msec - k->polled)
               > family->stream->stale
            || k->error[k->error_version & 1].len != 0)
        {
            changed = 1;
            ngx_http_blockcast_key_table_fail(family->table, lane->places[i],
                                              0, &none);
            k->polled = ngx_current_msec;
            ngx_http_blockcast_key_table_say_changed(family->table,
                                                     lane->places[i]);

            if (seq == 0) {

                /* tell the other gateways, too, that the key works again */

                ngx_http_blockcast_cluster_keys_changed(family->bmcf,
                                                        family->stream,
                                                        lane->places[i]);
            }
        }

        k->polled = ngx_current_msec;
    }

    ngx_http_blockcast_snapshot_end(family->bmcf->zone);

    slot->polled_sec = ngx_time();
    slot->polled = ngx_current_msec;
    family->failures = 0;

    if (slot->error[slot->error_version & 1].len != 0) {
        ngx_http_blockcast_stream_status_clear(family->bmcf->zone, slot);
        changed = 1;
    }

    if (changed) {
        ngx_http_blockcast_key_poll_notify();
    }
}


void
ngx_http_blockcast_key_poll_failed(ngx_http_blockcast_poll_t *poll,
    int64_t code, ngx_str_t *message)
{
    ngx_uint_t                             i, suppressed;
    ngx_http_blockcast_slot_t             *slot;
    ngx_http_blockcast_poll_t             *master;
    ngx_http_blockcast_error_t             before;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    lane = poll->lane;
    family = lane->family;
    master = family->master;
    slot = family->stream->slot;

    (void) ngx_atomic_fetch_add(&slot->polls_failed, 1);

    if (ngx_http_blockcast_snapshot_begin(family->bmcf->zone, ngx_cycle->log)
        != NGX_OK)
    {
        lane->lost = 1;
        return;
    }

    for (i = 0; i < lane->n; i++) {
        if (ngx_http_blockcast_key_poll_same(lane, i)) {
            ngx_http_blockcast_key_poll_fail(family, lane->places[i], code,
                                             message);
        }
    }

    ngx_http_blockcast_snapshot_end(family->bmcf->zone);

    /* the stream as a whole fails when no key succeeds */

    if (++family->failures > 1 || slot->polled == 0) {
        ngx_http_blockcast_stream_status_read_error(slot, &before);

        if (before.len != ngx_min(message->len, NGX_HTTP_BLOCKCAST_ERROR_LEN)
            || ngx_memcmp(before.text, message->data, before.len) != 0)
        {
            ngx_http_blockcast_stream_status_fail(family->bmcf->zone, slot,
                                                  code, message);
        }
    }

    if ((family->stream->node->health == ngx_http_blockcast_node_ok
         || family->failures == 1)
        && ngx_http_blockcast_log_throttle(&master->repeat, message,
                                           &suppressed))
    {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                      "blockcast: poll of %ui keys of stream \"%V\" failed: "
                      "%V (and %ui times since it was last logged)", lane->n,
                      &family->stream->name, message, suppressed);
    }

    ngx_http_blockcast_key_poll_notify();
}


void
ngx_http_blockcast_key_poll_done(ngx_http_blockcast_poll_t *poll)
{
    ngx_uint_t                             i, place, stays;
    ngx_http_blockcast_key_t              *k;
    ngx_http_blockcast_key_entry_t        *entry;
    ngx_http_blockcast_key_lane_t         *lane;
    ngx_http_blockcast_key_family_poll_t  *family;

    lane = poll->lane;
    family = lane->family;

    for (i = 0; i < poll->ncalls; i++) {
        family->master->calls[i].method = poll->calls[i].method;
        family->master->calls[i].reprobe = poll->calls[i].reprobe;
        family->master->calls[i].missing = poll->calls[i].missing;
    }

    ngx_http_blockcast_test_moment("key: answered");

    for (i = 0; i < lane->n; i++) {
        place = lane->places[i];
        entry = &family->entries[place];
        k = ngx_http_blockcast_key_poll_at(family, place);

        entry->busy = 0;
        stays = ngx_http_blockcast_key_poll_same(lane, i);

        if (stays && !lane->lost) {
            k->after = lane->head;
            ngx_memory_barrier();
            k->ended = lane->began;
        }

        if (!ngx_http_blockcast_key_poll_wanted(family, place)) {
            continue;
        }

        if (stays && lane->lost) {

            /* the poll was lost: repeat it later, as memory may be short */

            entry->uses = (uint32_t) k->uses;
            entry->due = ngx_current_msec + NGX_HTTP_BLOCKCAST_KEY_POLL_AGAIN;
            ngx_http_blockcast_key_queue_append(&family->queue,
                                         ngx_http_blockcast_key_again, place);
            continue;
        }

        if (stays && lane->pokes != family->pokes) {

            /* a poke came after the poll started */

            k->ended = 0;
        }

        /* queue it, as a new key if another one has got the place */

        ngx_http_blockcast_key_poll_enter(family, place,
                                          stays ? ngx_http_blockcast_key_turn
                                          : ngx_http_blockcast_key_fresh);
    }

    ngx_http_blockcast_test_moment("key: ended");

    lane->n = 0;
    family->nactive--;

    ngx_queue_remove(&lane->queue);
    ngx_queue_insert_head(&family->free, &lane->queue);
}
