
/*
 * Hubs: a worker's copy of each stream, and its subscribers.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HUB_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HUB_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_log_throttle.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_deflation.h"


/* a place in a hub's list of subscribers */

typedef struct {
    ngx_http_blockcast_conn_t    *conn;
    uint32_t                      sub;          /* in conn->subs */
    uint32_t                      until;        /* expiry for a key, Unix
                                                   seconds; 0: none */
} ngx_http_blockcast_listener_t;


struct ngx_http_blockcast_hub_s {
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_key_hub_t *key;          /* of a key, or NULL */

    uint64_t                      version;      /* of the slot, as copied */
    uint64_t                      epoch;        /* of the copied data */
    uint64_t                      announced;    /* version when the last
                                                   fan-out began */
    ngx_http_blockcast_snapshot_t  snap;
    u_char                       *buf;          /* of the snapshot */
    ngx_http_blockcast_frame_t   *newest;       /* the text, or NULL: no data
                                                   yet */
    ngx_http_blockcast_frame_t   *frames[NGX_HTTP_BLOCKCAST_FRAMES];
    ngx_uint_t                    tried;        /* bit mask of frames[] that
                                                   were made or cannot be */

    /*
     * Deflated frames: those being made; those to leave out, as the previous
     * one took too long; how many messages are sent without, after one that
     * saved nothing (`pause`).
     */
    ngx_http_blockcast_deflation_t  *deflations[NGX_HTTP_BLOCKCAST_FRAMES];
    ngx_uint_t                    late;         /* bits */

    /*
     * Slow conversion to CBOR: the seq being converted; the last result that
     * was replaced by newer data before it was ready, for clients that waited
     * for it.
     */
    uint64_t                      converting;
    ngx_http_blockcast_frame_t   *former;       /* or NULL */
    uint64_t                      former_seq;

    uint8_t                       pause[NGX_HTTP_BLOCKCAST_FRAMES];

    /* log: a copy of the zone's ring, and the positions of the kept entries */
    u_char                       *ring;
    uint64_t                      head;
    uint64_t                      ahead;        /* up to where it is copied */
    uint64_t                     *entries;
    ngx_uint_t                    first;        /* circular, of stream->keep */
    ngx_uint_t                    count;
    uint64_t                      added;        /* entries ever copied */
    uint64_t                      evicted;      /* newest seq no longer kept */
    ngx_http_blockcast_frame_t   *page;         /* the page for new clients */

    ngx_http_blockcast_freshness_e  freshness;
    ngx_http_blockcast_freshness_e  announced_freshness;
    uint64_t                      error_version;    /* of the slot, as seen */
    uint32_t                      reason;           /* hash of the error's
                                                       beginning */

    ngx_http_blockcast_listener_t  *listeners;
    ngx_uint_t                    nlisteners;
    ngx_uint_t                    nalloc;
    ngx_uint_t                    npatched;     /* those that take patches */
    ngx_http_blockcast_filtered_t  *filtered;   /* those with a filter */

    ngx_http_blockcast_log_throttle_t  suppressed;  /* data that CBOR cannot
                                                       express */

    uint64_t                      timed;        /* seq whose fan-out was
                                                   timed */
    uint64_t                      delivered;    /* messages and responses
                                                   with its data sent by
                                                   this worker */
    uint64_t                      reported;     /* ... of these, added to the
                                                   zone */

    /* the fan-out, in slices */
    ngx_uint_t                    cursor;       /* the next listener */
    unsigned                      walking:1;
    unsigned                      again:1;      /* newer data: walk once
                                                   more */
};


/* a subscription of a client */

typedef struct {
    ngx_http_blockcast_hub_t     *hub;
    uint64_t                      seq;          /* newest it has */
    uint32_t                      place;        /* in hub->listeners */
    unsigned                      last_status:2;  /* freshness it was sent */
    unsigned                      pending:1;    /* something is to be sent */
    unsigned                      first:1;      /* log: the first page is
                                                   due */
    unsigned                      lost:1;       /* ... with a gap: seq is from
                                                   another epoch */
    unsigned                      delta:1;      /* it takes merge patches */
    unsigned                      history:4;    /* index + 1 of the ring that
                                                   is due, or 0 */
    unsigned                      waited:1;     /* ... and is being made */
    unsigned                      filtered:1;   /* place is in hub->filtered */
    unsigned                      slow:1;       /* rpc: see _notify */
    unsigned                      more:1;       /* the rest is sent in another
                                                   turn, see
                                                   _client_next_frame() */
    unsigned                      class:8;
} ngx_http_blockcast_sub_t;


/*
 * Returns true when a subscriber can get the stream's newest frame, with
 * number `newest`, as it is: for a snapshot, any later one; for a log, only
 * the next batch.  False while a history is due, which has to be sent before.
 */

#define ngx_http_blockcast_hub_follows(sub, newest)                           \
    ((sub)->seq < (newest) && (sub)->history == 0                             \
     && ((sub)->hub->stream->field.len == 0                                   \
         || ((sub)->seq + 1 == (newest) && !(sub)->first)))


/* this worker's hubs, by the index of the stream */
extern ngx_http_blockcast_hub_t  *ngx_http_blockcast_hubs;
extern ngx_uint_t                  ngx_http_blockcast_nhubs;
extern ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_hub_conf;


/* Make this worker's hubs, and free them once its connections are gone. */
ngx_int_t ngx_http_blockcast_hub_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_hub_done(void);

ngx_http_blockcast_hub_t *ngx_http_blockcast_hub_of(
    ngx_http_blockcast_stream_t *st);

/*
 * Returns true when a client may have a number from another gateway of the
 * cluster that has not arrived here yet, or that the log has since lost.
 */
ngx_uint_t ngx_http_blockcast_hub_ahead(ngx_http_blockcast_hub_t *hub,
    uint64_t since);

/*
 * Drop the data that the hubs, or one of them, have copied from another epoch.
 * There must be no subscribers any more.
 */
void ngx_http_blockcast_hub_forget(void);
void ngx_http_blockcast_hub_forget_one(ngx_http_blockcast_hub_t *hub);

/*
 * Returns the epoch of the hubs' data, which is the one that clients are told.
 * In a cluster the zone may already be in another one until this worker has
 * disconnected its clients.
 */
uint64_t ngx_http_blockcast_hub_epoch(void);

/*
 * Set the handler that ends everything of a former epoch, and call it if the
 * zone is already in another one.  The latter is for use before a new client
 * is accepted, which would otherwise be disconnected at once.
 */
void ngx_http_blockcast_hub_on_epoch(void (*handler)(void));
void ngx_http_blockcast_hub_notice_epoch(void);

/*
 * Copies what is new in the zone.  Returns true when there was anything; false
 * also without memory: the next tick tries again.
 */
ngx_uint_t ngx_http_blockcast_hub_sync(ngx_http_blockcast_hub_t *hub);

/*
 * Copy a log's ring before hub_sync() does: _ring_left() returns how many bytes
 * that would copy, _ring_piece() copies at most len of them.  The entries that
 * have to make room for these are no longer kept then.
 */
size_t ngx_http_blockcast_hub_ring_left(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_hub_ring_piece(ngx_http_blockcast_hub_t *hub,
    size_t len);

/*
 * Reads what another nginx has published if that one leads, copies what is new
 * in the zone, or begins to (hub_load.h), and updates hub->freshness.  Sends
 * nothing: that is left to the next fan-out, after the worker's wake-up or in
 * its tick.
 */
void ngx_http_blockcast_hub_refresh(ngx_http_blockcast_hub_t *hub);


/*
 * Makes a snapshot the hub's copy, and takes over buf, which holds its text
 * frame.  Returns true; or false without memory, after freeing buf.
 */
ngx_uint_t ngx_http_blockcast_hub_take(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf, uint64_t version);

/*
 * Return the state of the hub's data: its freshness when only a request asks;
 * its age (msec, -1 without data); the version of its error, which changes
 * with the error; and the error.
 */
ngx_http_blockcast_freshness_e ngx_http_blockcast_hub_freshness(
    ngx_http_blockcast_hub_t *hub);
ngx_int_t ngx_http_blockcast_hub_age(ngx_http_blockcast_hub_t *hub);
uint64_t ngx_http_blockcast_hub_error_version(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_hub_read_error(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_error_t *error);

/*
 * Sets the function that is called when a stream that was not polled is
 * wanted.
 */
typedef void (*ngx_http_blockcast_hub_demand_pt)(void);
void ngx_http_blockcast_hub_on_demand(
    ngx_http_blockcast_hub_demand_pt handler);

/* Makes the stream be polled for a while, for a request over plain HTTP. */
void ngx_http_blockcast_hub_demand(ngx_http_blockcast_hub_t *hub);

/*
 * Marks the streams' slots as used on each tick of a worker, and reports to
 * the zone what its clients need.  attached: the worker has just got its
 * record in the zone, where its clients are not counted yet.
 */
void ngx_http_blockcast_hub_tick(ngx_uint_t attached);

/*
 * Adds a subscriber, conn->subs[sub], and refreshes the hub; new data goes to
 * the other subscribers in the next fan-out.  Sets the subscriber's seq when
 * the newest snapshot is being copied, see hub_load_seq().  Returns NGX_ERROR
 * without memory.
 */
ngx_int_t ngx_http_blockcast_hub_subscribe(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub);

/*
 * Count a subscriber that is about to be added, and refresh the hub; count one
 * that has left.  _subscribe() and _unsubscribe() call them.
 */
void ngx_http_blockcast_hub_join(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_hub_part(ngx_http_blockcast_hub_t *hub);

/*
 * Remove a client's subscription; note that one has moved to conn->subs[to].
 */
void ngx_http_blockcast_hub_leave(ngx_http_blockcast_sub_t *sub);
void ngx_http_blockcast_hub_moved(ngx_http_blockcast_sub_t *sub,
    ngx_uint_t to);

/* Removes the subscriber at a place of hub->listeners. */
void ngx_http_blockcast_hub_unsubscribe(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t place);

/* Notes that a subscriber takes merge patches from now on. */
void ngx_http_blockcast_hub_take_deltas(ngx_http_blockcast_sub_t *sub);


/* the position of an entry in the zone's ring, which only grows */
#define ngx_http_blockcast_hub_place(hub, n)                                  \
    ((hub)->entries[((hub)->first + (n)) % (hub)->stream->keep])

/* Returns entry n of the hub->count kept ones of a log; 0 is the oldest. */
ngx_http_blockcast_ring_record_t *ngx_http_blockcast_hub_entry(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t n);

/* Returns the index of the first entry of a log after seq, or hub->count. */
ngx_uint_t ngx_http_blockcast_hub_after(ngx_http_blockcast_hub_t *hub,
    uint64_t seq);


#endif /* _NGX_HTTP_BLOCKCAST_HUB_H_INCLUDED_ */
