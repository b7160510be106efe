
/*
 * Subscribers of a log that want only some of its entries: an index by the
 * values that they ask for, so that the cost of an entry depends on its
 * receivers only.
 *
 * Each filter is indexed by one of its members, the one with the fewest
 * values.  For each entry the values at these places are looked up, and only
 * the filters that ask for them are compared with the entry.  Subscribers that
 * want it are sent to in slices, as in the fan-out.
 */


#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_page_cache.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_status_message.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_json.h"
#include "bc_siphash.h"
#include "bc_ws_frame.h"


/* sends, and compared entries, before the clock is checked again */
#define NGX_HTTP_BLOCKCAST_FILTERED_SENDS   4
#define NGX_HTTP_BLOCKCAST_FILTERED_LOOKS   32
/* messages kept for other clients that need the same */
#define NGX_HTTP_BLOCKCAST_FILTERED_KEPT    16
/* maximum entries of a message, and about its maximum bytes */
#define NGX_HTTP_BLOCKCAST_FILTERED_MOST    1024
#define NGX_HTTP_BLOCKCAST_FILTERED_PIECE   49152


typedef struct ngx_http_blockcast_filtered_sub_s
                                          ngx_http_blockcast_filtered_sub_t;
typedef struct ngx_http_blockcast_filtered_node_s
                                          ngx_http_blockcast_filtered_node_t;


/* a value that a filter asks for, in the index */

struct ngx_http_blockcast_filtered_node_s {
    ngx_queue_t                   queue;        /* in its bucket */
    ngx_http_blockcast_filtered_sub_t  *owner;
    uint64_t                      hash;
};


/* the search for the entries of a first page, starting with the newest */

typedef struct {
    uint64_t                      next;         /* where to go on: entries from
                                                   this number on, counted as
                                                   hub->added, are done */
    uint64_t                      seq;          /* of the page */
    ngx_uint_t                    n;
    uint64_t                      found[1];
} ngx_http_blockcast_filtered_scan_t;


struct ngx_http_blockcast_filtered_sub_s {
    ngx_http_blockcast_conn_t    *conn;
    uint32_t                      sub;          /* in conn->subs */
    uint32_t                      place;        /* index in f->places of the
                                                   member it is indexed by */
    ngx_queue_t                   hit;          /* in f->hits or f->waits */
    bc_log_filter_t              *filter;
    uint64_t                      round;        /* the last one it was hit
                                                   in */
    unsigned                      is_hit:1;
    unsigned                      waits:1;
    unsigned                      page:1;       /* the first page is due */
    unsigned                      behind:1;     /* it lacks entries after
                                                   sub->seq, which is valid
                                                   only then */
    uint64_t                      since;        /* if sub->lost: the seq it
                                                   asked for */
    ngx_http_blockcast_filtered_scan_t  *scan;
    ngx_uint_t                    nnodes;
    ngx_http_blockcast_filtered_node_t  nodes[1];
};


/* the contents of a message: entries, by their index in the hub, and a gap */

typedef struct {
    uint32_t                      which[NGX_HTTP_BLOCKCAST_FILTERED_MOST];
    ngx_uint_t                    n;
    uint64_t                      seq;          /* of the message */
    uint64_t                      since;        /* of the gap */
    uint64_t                      oldest;       /* first seq after the gap; 0:
                                                   no gap */
} ngx_http_blockcast_filtered_page_t;


/* a place in an entry that filters compare */

typedef struct {
    ngx_uint_t                    used;         /* subscribers found by it */
    ngx_str_t                     inner;
    const bc_log_filter_place_t  *place;        /* NULL: all entries */
    bc_log_filter_place_t         copy;
} ngx_http_blockcast_filtered_place_t;


/* hub->filtered */

struct ngx_http_blockcast_filtered_s {
    ngx_http_blockcast_filtered_sub_t  **subs;
    ngx_uint_t                    nsubs;
    ngx_uint_t                    nalloc;

    ngx_http_blockcast_filtered_place_t  *places;
    ngx_uint_t                    nplaces;

    ngx_queue_t                  *buckets;
    ngx_uint_t                    nbuckets;     /* a power of two */
    ngx_uint_t                    nnodes;

    uint64_t                      secret[2];
    uint64_t                      seq;          /* newest that was indexed */
    uint64_t                      round;

    ngx_queue_t                   hits;         /* subscribers to send to */
    ngx_queue_t                   waits;        /* ... after compression */

    struct {
        uint64_t                      version;
        uint64_t                      sum;
        ngx_uint_t                    protocol;
        ngx_uint_t                    deflate;
        ngx_http_blockcast_frame_t   *frame;
    } kept[NGX_HTTP_BLOCKCAST_FILTERED_KEPT];
};


ngx_uint_t  ngx_http_blockcast_filtered_nhit;


static ngx_http_blockcast_filtered_t *
ngx_http_blockcast_filtered_create(ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_filtered_t  *f;

    f = ngx_calloc(sizeof(ngx_http_blockcast_filtered_t), ngx_cycle->log);
    if (f == NULL) {
        return NULL;
    }

    /*
     * Clients choose the values and must not be able to cause hash collisions.
     */

    f->secret[0] = (uint64_t) ngx_random() << 32 ^ (uint64_t) ngx_random();
    f->secret[1] = (uint64_t) ngx_random() << 32 ^ (uint64_t) (uintptr_t) f;

    ngx_queue_init(&f->hits);
    ngx_queue_init(&f->waits);

    hub->filtered = f;

    return f;
}


/*
 * Makes the table of buckets large enough for n nodes.  Returns NGX_ERROR
 * without memory.
 */

static ngx_int_t
ngx_http_blockcast_filtered_room(ngx_http_blockcast_filtered_t *f,
    ngx_uint_t n)
{
    ngx_uint_t                           i, size;
    ngx_queue_t                         *buckets, *q;
    ngx_http_blockcast_filtered_node_t  *node;

    if (f->buckets != NULL && n <= 2 * f->nbuckets) {
        return NGX_OK;
    }

    for (size = 64; size < n; size *= 2) { /* void */ }

    buckets = ngx_alloc(size * sizeof(ngx_queue_t), ngx_cycle->log);
    if (buckets == NULL) {
        return f->buckets != NULL ? NGX_OK : NGX_ERROR;
    }

    for (i = 0; i < size; i++) {
        ngx_queue_init(&buckets[i]);
    }

    for (i = 0; i < f->nbuckets; i++) {

        while (!ngx_queue_empty(&f->buckets[i])) {
            q = ngx_queue_head(&f->buckets[i]);
            ngx_queue_remove(q);

            node = ngx_queue_data(q, ngx_http_blockcast_filtered_node_t,
                                  queue);
            ngx_queue_insert_tail(&buckets[node->hash & (size - 1)], q);
        }
    }

    if (f->buckets != NULL) {
        ngx_free(f->buckets);
    }

    f->buckets = buckets;
    f->nbuckets = size;

    return NGX_OK;
}


/*
 * Returns the index in f->places of the member that a filter is indexed by,
 * added if new, or NGX_ERROR without memory.
 */

static ngx_int_t
ngx_http_blockcast_filtered_place(ngx_http_blockcast_filtered_t *f,
    ngx_str_t *inner, const bc_log_filter_place_t *place)
{
    ngx_uint_t                            i, n;
    ngx_http_blockcast_filtered_place_t  *p, *places;

    n = f->nplaces;

    for (i = 0; i < f->nplaces; i++) {
        p = &f->places[i];

        if (p->used == 0) {
            n = i;
            continue;
        }

        if (p->inner.len == inner->len
            && (inner->len == 0
                || ngx_strncmp(p->inner.data, inner->data, inner->len) == 0)
            && (p->place == NULL) == (place == NULL)
            && (place == NULL || bc_log_filter_same_place(&p->copy, place)))
        {
            p->used++;
            return i;
        }
    }

    if (n == f->nplaces) {
        places = ngx_alloc((n + 1)
                           * sizeof(ngx_http_blockcast_filtered_place_t),
                           ngx_cycle->log);
        if (places == NULL) {
            return NGX_ERROR;
        }

        if (n != 0) {
            ngx_memcpy(places, f->places,
                       n * sizeof(ngx_http_blockcast_filtered_place_t));
            ngx_free(f->places);
        }

        f->places = places;
        f->nplaces++;

        for (i = 0; i < n; i++) {
            if (places[i].place != NULL) {
                places[i].place = &places[i].copy;
            }
        }
    }

    p = &f->places[n];

    p->used = 1;
    p->inner = *inner;
    p->place = NULL;

    if (place != NULL) {
        p->copy = *place;
        p->place = &p->copy;
    }

    return n;
}


static uint64_t
ngx_http_blockcast_filtered_hash(ngx_http_blockcast_filtered_t *f,
    ngx_uint_t place, const u_char *key, size_t len)
{
    return bc_siphash(f->secret, key, len) + place * 0x9e3779b97f4a7c15u;
}


ngx_int_t
ngx_http_blockcast_filtered_subscribe(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub, bc_log_filter_t *filter,
    ngx_str_t *inner)
{
    bc_span_t                            value;
    ngx_int_t                            place;
    ngx_uint_t                           i, n;
    ngx_http_blockcast_filtered_t       *f;
    ngx_http_blockcast_filtered_sub_t   *s, **subs;
    ngx_http_blockcast_filtered_node_t  *node;

    f = hub->filtered;

    if (f == NULL) {
        f = ngx_http_blockcast_filtered_create(hub);

        if (f == NULL) {
            return NGX_ERROR;
        }
    }

    for (n = 0; bc_log_filter_value(filter, n).len != 0; n++) { /* void */ }

    s = ngx_calloc(sizeof(ngx_http_blockcast_filtered_sub_t)
                   + n * sizeof(ngx_http_blockcast_filtered_node_t),
                   ngx_cycle->log);
    if (s == NULL) {
        return NGX_ERROR;
    }

    if (f->nsubs == f->nalloc) {
        i = ngx_max(64, f->nalloc * 2);
        subs = ngx_alloc(i * sizeof(ngx_http_blockcast_filtered_sub_t *),
                         ngx_cycle->log);
        if (subs == NULL) {
            ngx_free(s);
            return NGX_ERROR;
        }

        if (f->nsubs != 0) {
            ngx_memcpy(subs, f->subs,
                       f->nsubs * sizeof(ngx_http_blockcast_filtered_sub_t *));
        }

        if (f->subs != NULL) {
            ngx_free(f->subs);
        }

        f->subs = subs;
        f->nalloc = i;
    }

    if (ngx_http_blockcast_filtered_room(f, f->nnodes + n) != NGX_OK
        || (place = ngx_http_blockcast_filtered_place(f, inner,
                                                 bc_log_filter_place(filter)))
           == NGX_ERROR)
    {
        ngx_free(s);
        return NGX_ERROR;
    }

    ngx_http_blockcast_hub_join(hub);

    if (f->nsubs == 0) {
        f->seq = (hub->newest != NULL) ? hub->snap.seq : 0;
    }

    s->conn = conn;
    s->sub = sub;
    s->place = place;
    s->filter = filter;
    s->round = f->round;
    s->behind = 1;
    s->nnodes = n;

    for (i = 0; i < n; i++) {
        value = bc_log_filter_value(filter, i);
        node = &s->nodes[i];

        node->owner = s;
        node->hash = ngx_http_blockcast_filtered_hash(f, place, value.data,
                                                      value.len);
        ngx_queue_insert_tail(&f->buckets[node->hash & (f->nbuckets - 1)],
                              &node->queue);
    }

    f->nnodes += n;

    conn->subs[sub].hub = hub;
    conn->subs[sub].place = f->nsubs;
    conn->subs[sub].filtered = 1;

    /* keeps the fan-out from sending it frames made for all */

    conn->subs[sub].first = 1;

    f->subs[f->nsubs++] = s;

    return NGX_OK;
}


ngx_uint_t
ngx_http_blockcast_filtered_count(ngx_http_blockcast_hub_t *hub)
{
    return (hub->filtered != NULL) ? hub->filtered->nsubs : 0;
}


static ngx_http_blockcast_filtered_sub_t *
ngx_http_blockcast_filtered_find(ngx_http_blockcast_sub_t *sub)
{
    return sub->hub->filtered->subs[sub->place];
}


bc_log_filter_t *
ngx_http_blockcast_filtered_of(ngx_http_blockcast_sub_t *sub)
{
    return ngx_http_blockcast_filtered_find(sub)->filter;
}


void
ngx_http_blockcast_filtered_page(ngx_http_blockcast_sub_t *sub,
    uint64_t since)
{
    ngx_http_blockcast_filtered_sub_t  *s;

    s = ngx_http_blockcast_filtered_find(sub);

    s->page = 1;
    s->since = since;
}


void
ngx_http_blockcast_filtered_caught_up(ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_filtered_find(sub)->behind = 0;
}


void
ngx_http_blockcast_filtered_move(ngx_http_blockcast_sub_t *sub, ngx_uint_t to)
{
    ngx_http_blockcast_filtered_find(sub)->sub = (uint32_t) to;
}


void
ngx_http_blockcast_filtered_unsubscribe(ngx_http_blockcast_sub_t *sub)
{
    ngx_uint_t                          i;
    ngx_http_blockcast_hub_t           *hub;
    ngx_http_blockcast_filtered_t      *f;
    ngx_http_blockcast_filtered_sub_t  *s, *last;

    hub = sub->hub;
    f = hub->filtered;
    s = f->subs[sub->place];

    for (i = 0; i < s->nnodes; i++) {
        ngx_queue_remove(&s->nodes[i].queue);
    }

    f->nnodes -= s->nnodes;
    f->places[s->place].used--;

    if (s->is_hit || s->waits) {
        ngx_queue_remove(&s->hit);
        ngx_http_blockcast_filtered_nhit -= s->is_hit;
    }

    if (s->scan != NULL) {
        ngx_free(s->scan);
    }

    f->nsubs--;

    if (sub->place != f->nsubs) {
        last = f->subs[f->nsubs];
        f->subs[sub->place] = last;
        last->conn->subs[last->sub].place = sub->place;
    }

    bc_log_filter_free(s->filter);
    ngx_free(s);

    ngx_http_blockcast_hub_part(hub);
}


/*
 * Queues a subscriber for sending.  seq: the newest that it has, if it was up
 * to date.
 */

static void
ngx_http_blockcast_filtered_hit(ngx_http_blockcast_filtered_t *f,
    ngx_http_blockcast_filtered_sub_t *s, uint64_t seq)
{
    ngx_http_blockcast_sub_t  *sub;

    if (s->is_hit || s->waits) {
        return;
    }

    sub = &s->conn->subs[s->sub];

    /*
     * If behind, it gets the entry with the rest; if not, it has all up to
     * seq.
     */

    if (!s->behind) {
        s->behind = 1;
        sub->seq = seq;
    }

    s->is_hit = 1;
    ngx_queue_insert_tail(&f->hits, &s->hit);
    ngx_http_blockcast_filtered_nhit++;
}


/*
 * Queues a subscriber to continue in one of the next turns or, when rc is
 * NGX_AGAIN from the page cache, once its page is compressed.
 */

static void
ngx_http_blockcast_filtered_later(ngx_http_blockcast_filtered_t *f,
    ngx_http_blockcast_filtered_sub_t *s, ngx_int_t rc)
{
    if (s->is_hit || s->waits) {
        return;
    }

    if (rc == NGX_AGAIN) {
        s->waits = 1;
        ngx_queue_insert_tail(&f->waits, &s->hit);
        return;
    }

    ngx_http_blockcast_filtered_hit(f, s, 0);
    ngx_http_blockcast_fanout_filtered();
}


void
ngx_http_blockcast_filtered_more(ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_filtered_later(sub->hub->filtered,
                                      ngx_http_blockcast_filtered_find(sub),
                                      NGX_OK);
}


void
ngx_http_blockcast_filtered_again(ngx_http_blockcast_hub_t *hub)
{
    ngx_queue_t                        *q;
    ngx_http_blockcast_filtered_t      *f;
    ngx_http_blockcast_filtered_sub_t  *s;

    f = hub->filtered;

    while (!ngx_queue_empty(&f->waits)) {
        q = ngx_queue_head(&f->waits);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, ngx_http_blockcast_filtered_sub_t, hit);
        s->waits = 0;

        ngx_http_blockcast_filtered_hit(f, s, 0);
    }
}


ngx_uint_t
ngx_http_blockcast_filtered_walk(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t                          n;
    ngx_queue_t                        *q;
    ngx_http_blockcast_filtered_t      *f;
    ngx_http_blockcast_filtered_sub_t  *s;

    f = hub->filtered;

    for (n = 1; !ngx_queue_empty(&f->hits); n++) {

        q = ngx_queue_head(&f->hits);
        ngx_queue_remove(q);

        s = ngx_queue_data(q, ngx_http_blockcast_filtered_sub_t, hit);
        s->is_hit = 0;
        ngx_http_blockcast_filtered_nhit--;

        ngx_http_blockcast_fanout_due(s->conn, &s->conn->subs[s->sub]);

        if (n % NGX_HTTP_BLOCKCAST_FILTERED_SENDS == 0
            && ngx_http_blockcast_fanout_spent())
        {
            return 1;
        }
    }

    return 0;
}


void
ngx_http_blockcast_filtered_status(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_filtered_t  *f;

    f = hub->filtered;

    for (i = 0; f != NULL && i < f->nsubs; i++) {
        ngx_http_blockcast_filtered_hit(f, f->subs[i], f->seq);
    }
}


/* Queues the subscribers that want an entry. */

static void
ngx_http_blockcast_filtered_entry(ngx_http_blockcast_filtered_t *f,
    bc_span_t entry, uint64_t seq)
{
    size_t                                len;
    u_char                                key[BC_LOG_FILTER_KEY];
    uint64_t                              hash;
    bc_span_t                             text;
    ngx_uint_t                            i, k, all;
    ngx_queue_t                          *q, *bucket;
    ngx_http_blockcast_filtered_sub_t    *s;
    ngx_http_blockcast_filtered_node_t   *node;
    ngx_http_blockcast_filtered_place_t  *place;

    for (i = 0; i < f->nplaces; i++) {
        place = &f->places[i];

        if (place->used == 0) {
            continue;
        }

        text = entry;

        /* without that member it is about other entries: all get it */

        all = (place->inner.len != 0
               && !bc_json_member(entry, (char *) place->inner.data, &text));

        if (all || place->place == NULL) {

            for (k = 0; k < f->nsubs; k++) {
                s = f->subs[k];

                if (s->place == i && s->round != f->round) {
                    s->round = f->round;
                    ngx_http_blockcast_filtered_hit(f, s, seq - 1);
                }
            }

            continue;
        }

        len = bc_log_filter_key(place->place, text, key);

        if (len == 0) {
            continue;
        }

        hash = ngx_http_blockcast_filtered_hash(f, i, key, len);
        bucket = &f->buckets[hash & (f->nbuckets - 1)];

        for (q = ngx_queue_head(bucket);
             q != ngx_queue_sentinel(bucket);
             q = ngx_queue_next(q))
        {
            node = ngx_queue_data(q, ngx_http_blockcast_filtered_node_t,
                                  queue);
            s = node->owner;

            if (node->hash == hash && s->round != f->round
                && bc_log_filter_matches(s->filter, text))
            {
                s->round = f->round;
                ngx_http_blockcast_filtered_hit(f, s, seq - 1);
            }
        }
    }
}


void
ngx_http_blockcast_filtered_publish(ngx_http_blockcast_hub_t *hub)
{
    uint64_t                           seq;
    bc_span_t                          entry;
    ngx_uint_t                         i;
    ngx_http_blockcast_filtered_t     *f;
    ngx_http_blockcast_ring_record_t  *rec;

    f = hub->filtered;

    if (f == NULL || hub->newest == NULL || f->seq == hub->snap.seq) {
        return;
    }

    if (f->nsubs == 0) {
        f->seq = hub->snap.seq;
        return;
    }

    f->round++;

    if (f->seq > hub->snap.seq || f->seq < hub->evicted) {

        /*
         * Some entries were evicted before they were compared: check all
         * filters.
         */

        seq = f->seq;
        f->seq = hub->snap.seq;

        for (i = 0; i < f->nsubs; i++) {
            ngx_http_blockcast_filtered_hit(f, f->subs[i], seq);
        }

        return;
    }

    for (i = hub->count; i > 0; i--) {
        if (ngx_http_blockcast_hub_entry(hub, i - 1)->seq <= f->seq) {
            break;
        }
    }

    for ( /* void */ ; i < hub->count; i++) {
        rec = ngx_http_blockcast_hub_entry(hub, i);

        entry.data = ngx_http_blockcast_ring_record_data(rec);
        entry.len = rec->len;

        ngx_http_blockcast_filtered_entry(f, entry, rec->seq);
    }

    f->seq = hub->snap.seq;
}


/* Returns a message with the entries of a page, or NULL without memory. */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_filtered_message(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filtered_page_t *page)
{
    u_char                            *p;
    size_t                             size;
    ngx_uint_t                         i;
    ngx_http_blockcast_frame_t        *frame;
    ngx_http_blockcast_stream_t       *st;
    ngx_http_blockcast_ring_record_t  *rec;

    st = hub->stream;
    size = st->field.len + sizeof("{\"\":[],\"count\":}") + NGX_INT_T_LEN
           + sizeof(",\"gap\":{\"since\":,\"oldest\":}") + 2 * NGX_INT64_LEN;

    for (i = 0; i < page->n; i++) {
        size += ngx_http_blockcast_hub_entry(hub, page->which[i])->len + 1;
    }

    frame = ngx_http_blockcast_frame_alloc(
                       ngx_http_blockcast_snapshot_message_len(st, size));
    if (frame == NULL) {
        return NULL;
    }

    p = frame->data + frame->payload;
    p = ngx_http_blockcast_snapshot_message_head(p, st);

    *p++ = '{';
    *p++ = '"';
    p = ngx_cpymem(p, st->field.data, st->field.len);
    p = ngx_cpymem(p, "\":[", 3);

    for (i = 0; i < page->n; i++) {
        rec = ngx_http_blockcast_hub_entry(hub, page->which[i]);

        if (i != 0) {
            *p++ = ',';
        }

        p = ngx_cpymem(p, ngx_http_blockcast_ring_record_data(rec), rec->len);
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", page->n);
    p = ngx_http_blockcast_snapshot_message_tail(p, page->seq,
                                                 hub->snap.timestamp);

    if (page->oldest != 0) {
        p = ngx_sprintf(p - 1, ",\"gap\":{\"since\":%uL,\"oldest\":%uL}}",
                        page->since, page->oldest);
    }

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return frame;
}


/*
 * Makes a message in the form for a client, once for all clients that need the
 * same.  Returns NGX_OK with a reference for the caller in *frame; NGX_ERROR
 * without memory; NGX_AGAIN while it is being compressed, after which _again()
 * is called.
 */

static ngx_int_t
ngx_http_blockcast_filtered_shared(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_filtered_page_t *page,
    ngx_http_blockcast_frame_t **frame)
{
    uint32_t                        apart[NGX_HTTP_BLOCKCAST_FILTERED_MOST];
    uint64_t                        secret[2], about[4];
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_http_blockcast_filtered_t  *f;
    ngx_http_blockcast_page_key_t   key;

    f = hub->filtered;

    ngx_memzero(&key, sizeof(ngx_http_blockcast_page_key_t));

    key.hub = hub;
    key.from = hub->head;
    key.to = hub->head;
    key.seq = page->seq;
    key.since = page->since;
    key.protocol = conn->protocol;
    key.bits = conn->deflate ? conn->bits : 0;

    if (page->n != 0) {
        key.from = ngx_http_blockcast_hub_place(hub, page->which[0]);
        key.to = ngx_http_blockcast_hub_place(hub, page->which[page->n - 1]);
    }

    /*
     * Indexes change when older entries are evicted, but not their distances.
     */

    for (i = 0; i < page->n; i++) {
        apart[i] = page->which[i] - page->which[0];
    }

    about[0] = key.from;
    about[1] = page->seq;
    about[2] = page->since;
    about[3] = page->oldest;

    secret[0] = f->secret[0];
    secret[1] = bc_siphash(f->secret, (u_char *) apart,
                           page->n * sizeof(uint32_t));

    key.which = bc_siphash(secret, (u_char *) about, sizeof(about)) | 1;

    i = (key.which >> 1) % NGX_HTTP_BLOCKCAST_FILTERED_KEPT;

    if (f->kept[i].frame != NULL
        && f->kept[i].sum == key.which
        && f->kept[i].version == hub->version
        && f->kept[i].protocol == key.protocol
        && f->kept[i].deflate == key.bits)
    {
        *frame = f->kept[i].frame;
        (*frame)->refs++;
        return NGX_OK;
    }

    rc = ngx_http_blockcast_page_cache_find(&key, frame);

    if (rc == NGX_DECLINED) {
        *frame = ngx_http_blockcast_filtered_message(hub, page);
        if (*frame == NULL) {
            return NGX_ERROR;
        }

        *frame = ngx_http_blockcast_subprotocol_convert(conn, hub, *frame);
        if (*frame == NULL) {
            return NGX_ERROR;
        }

        rc = ngx_http_blockcast_page_cache_add(&key, frame);
    }

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_blockcast_frame_free(f->kept[i].frame);

    f->kept[i].frame = *frame;
    f->kept[i].version = hub->version;
    f->kept[i].sum = key.which;
    f->kept[i].protocol = key.protocol;
    f->kept[i].deflate = key.bits;

    (*frame)->refs++;

    return NGX_OK;
}


static ngx_uint_t
ngx_http_blockcast_filtered_wants(ngx_http_blockcast_hub_t *hub,
    bc_log_filter_t *filter, ngx_uint_t n)
{
    bc_span_t                          entry;
    ngx_http_blockcast_ring_record_t  *rec;

    rec = ngx_http_blockcast_hub_entry(hub, n);

    entry.data = ngx_http_blockcast_ring_record_data(rec);
    entry.len = rec->len;

    return bc_log_filter_matches(filter, entry);
}


/*
 * Searches for the entries of the first page, starting with the newest.
 * Returns NGX_AGAIN when the time of this turn is used up; NGX_ERROR without
 * memory.
 */

static ngx_int_t
ngx_http_blockcast_filtered_scan(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filtered_sub_t *s)
{
    uint64_t                             oldest;
    ngx_uint_t                           page;
    ngx_http_blockcast_filtered_scan_t  *scan;

    page = ngx_min(hub->stream->page, NGX_HTTP_BLOCKCAST_FILTERED_MOST);
    scan = s->scan;

    if (scan == NULL) {
        scan = ngx_alloc(sizeof(ngx_http_blockcast_filtered_scan_t)
                         + page * sizeof(uint64_t), ngx_cycle->log);
        if (scan == NULL) {
            return NGX_ERROR;
        }

        scan->next = hub->added;
        scan->seq = hub->snap.seq;
        scan->n = 0;

        s->scan = scan;
    }

    oldest = hub->added - hub->count;

    while (scan->next > oldest && scan->n < page) {
        scan->next--;

        if (ngx_http_blockcast_filtered_wants(hub, s->filter,
                                              scan->next - oldest))
        {
            scan->found[scan->n++] = scan->next;
        }

        if (scan->next % NGX_HTTP_BLOCKCAST_FILTERED_LOOKS == 0
            && scan->next > oldest && ngx_http_blockcast_fanout_spent())
        {
            return NGX_AGAIN;
        }
    }

    return NGX_OK;
}


/* Returns the first page, as ngx_http_blockcast_filtered_next() does. */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_filtered_first(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, ngx_http_blockcast_filtered_sub_t *s)
{
    uint64_t                             gone;
    ngx_int_t                            rc;
    ngx_uint_t                           i;
    ngx_http_blockcast_hub_t            *hub;
    ngx_http_blockcast_frame_t          *frame;
    ngx_http_blockcast_filtered_page_t   page;

    hub = sub->hub;

    rc = ngx_http_blockcast_filtered_scan(hub, s);

    if (rc == NGX_AGAIN) {
        ngx_http_blockcast_filtered_later(hub->filtered, s, NGX_OK);
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    gone = hub->added - hub->count;
    page.seq = s->scan->seq;
    page.since = 0;
    page.oldest = 0;
    page.n = 0;

    for (i = s->scan->n; i > 0; i--) {
        if (s->scan->found[i - 1] >= gone) {
            page.which[page.n++] = (uint32_t) (s->scan->found[i - 1] - gone);
        }
    }

    if (sub->lost) {

        /* what the client lacks since a seq of another epoch is unknown */

        page.since = s->since;
        page.oldest = (page.n != 0)
                      ? ngx_http_blockcast_hub_entry(hub, page.which[0])->seq
                      : page.seq;
    }

    rc = ngx_http_blockcast_filtered_shared(conn, hub, &page, &frame);

    if (rc == NGX_AGAIN) {
        ngx_http_blockcast_filtered_later(hub->filtered, s, rc);
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    if (page.oldest != 0) {
        ngx_http_blockcast_count(ngx_http_blockcast_n_gaps, 1);
    }

    ngx_free(s->scan);
    s->scan = NULL;
    s->page = 0;

    sub->lost = 0;
    sub->seq = page.seq;
    hub->delivered++;

    return frame;
}


/*
 * Returns the next newer entries, as ngx_http_blockcast_filtered_next() does.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_filtered_rest(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, ngx_http_blockcast_filtered_sub_t *s)
{
    size_t                               size;
    ngx_int_t                            rc;
    ngx_uint_t                           i, from, over;
    ngx_http_blockcast_hub_t            *hub;
    ngx_http_blockcast_frame_t          *frame;
    ngx_http_blockcast_ring_record_t    *rec;
    ngx_http_blockcast_filtered_page_t   page;

    hub = sub->hub;
    page.seq = hub->snap.seq;
    page.since = 0;
    page.oldest = 0;
    page.n = 0;
    size = 0;
    over = 0;

    for (from = hub->count; from > 0; from--) {
        if (ngx_http_blockcast_hub_entry(hub, from - 1)->seq <= sub->seq) {
            break;
        }
    }

    if (sub->seq < hub->evicted || sub->seq < hub->stream->slot->hole) {
        page.since = sub->seq;
        page.oldest = (from < hub->count)
                      ? ngx_http_blockcast_hub_entry(hub, from)->seq
                      : page.seq;
    }

    for (i = from; i < hub->count; i++) {
        rec = ngx_http_blockcast_hub_entry(hub, i);

        if (i > from
            && (i - from) % NGX_HTTP_BLOCKCAST_FILTERED_LOOKS == 0)
        {
            over |= ngx_http_blockcast_fanout_spent();
        }

        if ((page.n == NGX_HTTP_BLOCKCAST_FILTERED_MOST
             || size > NGX_HTTP_BLOCKCAST_FILTERED_PIECE || over)
            && rec->seq != ngx_http_blockcast_hub_entry(hub, i - 1)->seq)
        {
            page.seq = ngx_http_blockcast_hub_entry(hub, i - 1)->seq;
            break;
        }

        if (page.n < NGX_HTTP_BLOCKCAST_FILTERED_MOST
            && ngx_http_blockcast_filtered_wants(hub, s->filter, i))
        {
            page.which[page.n++] = (uint32_t) i;
            size += rec->len;
        }
    }

    if (page.n == 0 && page.oldest == 0) {
        sub->seq = page.seq;

        if (page.seq != hub->snap.seq) {
            ngx_http_blockcast_filtered_later(hub->filtered, s, NGX_OK);
        }

        return NULL;
    }

    rc = ngx_http_blockcast_filtered_shared(conn, hub, &page, &frame);

    if (rc == NGX_AGAIN) {
        ngx_http_blockcast_filtered_later(hub->filtered, s, rc);
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    if (page.oldest != 0) {
        ngx_http_blockcast_count(ngx_http_blockcast_n_gaps, 1);
    }

    sub->seq = page.seq;
    hub->delivered++;

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_filtered_next(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_hub_t           *hub;
    ngx_http_blockcast_frame_t         *frame;
    ngx_http_blockcast_filtered_sub_t  *s;

    hub = sub->hub;
    s = ngx_http_blockcast_filtered_find(sub);

    if (hub->newest != NULL && s->page) {
        return ngx_http_blockcast_filtered_first(conn, sub, s);
    }

    if (hub->newest != NULL && sub->seq < hub->snap.seq) {
        frame = ngx_http_blockcast_filtered_rest(conn, sub, s);

        if (frame != NULL || sub->seq < hub->snap.seq) {
            return frame;
        }
    }

    if (sub->last_status != hub->freshness) {
        sub->last_status = hub->freshness;
        frame = ngx_http_blockcast_status_message(hub);

        return (frame != NULL) ? ngx_http_blockcast_subprotocol_convert(conn,
                                                                hub, frame)
                               : NULL;
    }

    s->behind = (s->page != 0);

    return NULL;
}


void
ngx_http_blockcast_filtered_done(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_filtered_t  *f;

    f = hub->filtered;

    if (f == NULL) {
        return;
    }

    hub->filtered = NULL;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_FILTERED_KEPT; i++) {
        ngx_http_blockcast_frame_free(f->kept[i].frame);
    }

    for (i = 0; i < f->nsubs; i++) {
        bc_log_filter_free(f->subs[i]->filter);

        if (f->subs[i]->scan != NULL) {
            ngx_free(f->subs[i]->scan);
        }

        ngx_free(f->subs[i]);
    }

    ngx_http_blockcast_filtered_nhit = 0;

    if (f->subs != NULL) {
        ngx_free(f->subs);
    }

    if (f->places != NULL) {
        ngx_free(f->places);
    }

    if (f->buckets != NULL) {
        ngx_free(f->buckets);
    }

    ngx_free(f);
}
