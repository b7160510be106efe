
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
    uint32_t                      until;        /* of a key: Unix seconds, 0:
                                                   for ever */
} ngx_http_blockcast_listener_t;


struct ngx_http_blockcast_hub_s {
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_key_hub_t *key;          /* of a key, or NULL */

    uint64_t                      version;      /* of the slot, as copied */
    uint64_t                      epoch;        /* of what was copied */
    uint64_t                      announced;    /* ... as the fan-out began */
    ngx_http_blockcast_snapshot_t  snap;
    u_char                       *buf;          /* of the snapshot */
    ngx_http_blockcast_frame_t   *newest;       /* the text; NULL: waiting */
    ngx_http_blockcast_frame_t   *frames[NGX_HTTP_BLOCKCAST_FRAMES];
    ngx_uint_t                    tried;        /* bits: frames[] that were
                                                   made, or cannot be */

    /* the deflated ones: those being made, too late for the snapshot before,
       and how many messages go without after one that saved nothing */
    ngx_http_blockcast_deflation_t  *deflations[NGX_HTTP_BLOCKCAST_FRAMES];
    ngx_uint_t                    late;         /* bits */

    /* CBOR that takes long: number of what is being converted; and what was
       ready only after the next one had come, for those who waited for it */
    uint64_t                      converting;
    ngx_http_blockcast_frame_t   *former;       /* or NULL */
    uint64_t                      former_seq;

    uint8_t                       pause[NGX_HTTP_BLOCKCAST_FRAMES];

    /* log: a copy of the zone's ring and where the kept entries are in it */
    u_char                       *ring;
    uint64_t                      head;
    uint64_t                     *entries;
    ngx_uint_t                    first;        /* circular, of stream->keep */
    ngx_uint_t                    count;
    uint64_t                      added;        /* entries there ever were */
    uint64_t                      evicted;      /* newest seq that is gone */
    ngx_http_blockcast_frame_t   *page;         /* the first snapshot */

    ngx_http_blockcast_freshness_e  freshness;
    ngx_http_blockcast_freshness_e  announced_freshness;
    uint64_t                      error_version;    /* of the slot, as seen */
    uint32_t                      reason;           /* hash of the error's
                                                       beginning */

    ngx_http_blockcast_listener_t  *listeners;
    ngx_uint_t                    nlisteners;
    ngx_uint_t                    nalloc;
    ngx_uint_t                    npatched;     /* of them: take patches */
    ngx_http_blockcast_filtered_t  *filtered;   /* those with a filter */

    ngx_http_blockcast_log_throttle_t  suppressed;  /* data that CBOR cannot
                                                       express */

    uint64_t                      timed;        /* seq that was measured */
    uint64_t                      delivered;    /* messages and responses with
                                                   its data, by this worker */
    uint64_t                      reported;     /* ... as the zone has them */

    /* the fan-out, in slices */
    ngx_uint_t                    cursor;       /* the next listener */
    unsigned                      walking:1;
    unsigned                      again:1;      /* there is newer already */
};


/* a stream of a client */

typedef struct {
    ngx_http_blockcast_hub_t     *hub;
    uint64_t                      seq;          /* newest it has */
    uint32_t                      place;        /* in hub->listeners */
    unsigned                      last_status:2;  /* freshness it was sent */
    unsigned                      pending:1;    /* something is to be sent */
    unsigned                      first:1;      /* log: the page is due */
    unsigned                      lost:1;       /* ... with a gap: seq is of
                                                   another epoch */
    unsigned                      delta:1;      /* it takes merge patches */
    unsigned                      history:4;    /* number of the ring that is
                                                   due + 1, 0: none */
    unsigned                      filtered:1;   /* place: of hub->filtered */
    unsigned                      slow:1;       /* rpc: see _notify */
    unsigned                      more:1;       /* the rest is sent in another
                                                   turn, see
                                                   _client_next_frame() */
    unsigned                      class:8;
} ngx_http_blockcast_sub_t;


/*
 * Returns whether a subscriber is to get the stream's newest frame, number
 * `newest`, as it is: any later snapshot, but of a log only the next batch.
 * What it is sent before is not ready yet while it waits for a history.
 */

#define ngx_http_blockcast_hub_follows(sub, newest)                           \
    ((sub)->seq < (newest) && (sub)->history == 0                             \
     && ((sub)->hub->stream->field.len == 0                                   \
         || ((sub)->seq + 1 == (newest) && !(sub)->first)))


/* the hubs of this worker, by the streams' index */
extern ngx_http_blockcast_hub_t  *ngx_http_blockcast_hubs;
extern ngx_uint_t                  ngx_http_blockcast_nhubs;
extern ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_hub_conf;


/* Makes this worker's hubs; frees them, when its connections are gone. */
ngx_int_t ngx_http_blockcast_hub_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_hub_done(void);

ngx_http_blockcast_hub_t *ngx_http_blockcast_hub_of(
    ngx_http_blockcast_stream_t *st);

/*
 * Tells whether a client may have got a number from another gateway of the
 * cluster that is not here yet, or that the log has lost since.
 */
ngx_uint_t ngx_http_blockcast_hub_ahead(ngx_http_blockcast_hub_t *hub,
    uint64_t since);

/*
 * Forgets what the hubs have copied: it was of another epoch.  Nobody is to be
 * subscribed any more.
 */
void ngx_http_blockcast_hub_forget(void);
void ngx_http_blockcast_hub_forget_one(ngx_http_blockcast_hub_t *hub);

/*
 * Returns the epoch of what the hubs have: a client is told this one.  In a
 * cluster the zone may be in another one already, until this worker has sent
 * off its clients.
 */
uint64_t ngx_http_blockcast_hub_epoch(void);

/*
 * Sets what ends all that is of a former epoch, and does that when the zone is
 * in another one by now: before a client comes, which would be sent off at
 * once.
 */
void ngx_http_blockcast_hub_on_epoch(void (*handler)(void));
void ngx_http_blockcast_hub_notice_epoch(void);

/*
 * Copies what is new in the zone.  Returns true when there was anything; false
 * without memory, too: the next tick tries again.
 */
ngx_uint_t ngx_http_blockcast_hub_sync(ngx_http_blockcast_hub_t *hub);

/*
 * Reads what another nginx has published, when that one leads, copies what is
 * new in the zone and brings hub->freshness up to date.  Sends nothing: the
 * listeners have their turn with the next fan-out, that of the worker's
 * wake-up or of its tick.
 */
void ngx_http_blockcast_hub_refresh(ngx_http_blockcast_hub_t *hub);


/*
 * Makes a snapshot the hub's copy: buf is that of the text frame, and taken
 * over.  Returns true, or false without memory.
 */
ngx_uint_t ngx_http_blockcast_hub_take(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_snapshot_t *snap, u_char *buf, uint64_t version);

/*
 * Return the state of what the hub has copied: how fresh it is when nobody
 * else than a request asks; its age (msec, -1: there is nothing); its error,
 * and when that is another one.
 */
ngx_http_blockcast_freshness_e ngx_http_blockcast_hub_freshness(
    ngx_http_blockcast_hub_t *hub);
ngx_int_t ngx_http_blockcast_hub_age(ngx_http_blockcast_hub_t *hub);
uint64_t ngx_http_blockcast_hub_error_version(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_hub_read_error(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_error_t *error);

/* Sets what is called when a stream that was not polled is wanted. */
typedef void (*ngx_http_blockcast_hub_demand_pt)(void);
void ngx_http_blockcast_hub_on_demand(
    ngx_http_blockcast_hub_demand_pt handler);

/* Has the stream polled for a while, for a request over plain HTTP. */
void ngx_http_blockcast_hub_demand(ngx_http_blockcast_hub_t *hub);

/*
 * Keeps, on each tick of a worker, the streams' slots in use, and shows the
 * zone what this worker's clients take.  attached: the worker has got its
 * record in the zone only now, where its clients have not been counted yet.
 */
void ngx_http_blockcast_hub_tick(ngx_uint_t attached);

/*
 * Adds a subscriber, conn->subs[sub], and refreshes the hub; what that brings
 * goes to the other subscribers with the next fan-out.  NGX_ERROR without
 * memory.
 */
ngx_int_t ngx_http_blockcast_hub_subscribe(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub);

/*
 * Counts a subscriber that is about to be added, and refreshes the hub; counts
 * one that has left: what _subscribe() and _unsubscribe() do, too.
 */
void ngx_http_blockcast_hub_join(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_hub_part(ngx_http_blockcast_hub_t *hub);

/* Removes a subscription of a client, and notes that one is conn->subs[to]. */
void ngx_http_blockcast_hub_leave(ngx_http_blockcast_sub_t *sub);
void ngx_http_blockcast_hub_moved(ngx_http_blockcast_sub_t *sub,
    ngx_uint_t to);

/* Removes the subscriber at a place of hub->listeners. */
void ngx_http_blockcast_hub_unsubscribe(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t place);

/* Notes that a subscriber takes merge patches from now on. */
void ngx_http_blockcast_hub_take_deltas(ngx_http_blockcast_sub_t *sub);


/* where an entry that a log keeps is in the zone's ring: it only grows */
#define ngx_http_blockcast_hub_place(hub, n)                                  \
    ((hub)->entries[((hub)->first + (n)) % (hub)->stream->keep])

/* Returns an entry that a log keeps, of hub->count; 0 is the oldest. */
ngx_http_blockcast_ring_record_t *ngx_http_blockcast_hub_entry(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t n);

/* Returns the first entry of a log with a later seq, or hub->count. */
ngx_uint_t ngx_http_blockcast_hub_after(ngx_http_blockcast_hub_t *hub,
    uint64_t seq);


#endif /* _NGX_HTTP_BLOCKCAST_HUB_H_INCLUDED_ */
