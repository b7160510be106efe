
/*
 * The fan-out: sends what is new in a hub to its subscribers in this worker,
 * in slices, so that no other event has to wait for thousands of sends.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_hub.h"


/*
 * The functions that send to one kind of client, by conn->kind.  None of them
 * closes a client, as that would change the list that is being walked.
 */

typedef struct {

    /*
     * Sends the hub's newest frame, with number seq, now; or marks the
     * subscription as pending if the client is behind.
     */
    void (*push)(ngx_http_blockcast_conn_t *conn,
        ngx_http_blockcast_sub_t *sub, uint64_t seq);

    /* Marks the subscription as pending: something else is to be sent. */
    void (*mark_pending)(ngx_http_blockcast_conn_t *conn,
        ngx_http_blockcast_sub_t *sub);

    /* Sends what is pending, as much as the socket accepts. */
    void (*flush)(ngx_http_blockcast_conn_t *conn);

} ngx_http_blockcast_sender_t;


/* Prepares the fan-out; called by hub_init(). */
void ngx_http_blockcast_fanout_init(ngx_cycle_t *cycle);

/* Ends the fan-out, when the connections are closed. */
void ngx_http_blockcast_fanout_done(void);

/* Registers the sender of a kind, before there is a client of it. */
void ngx_http_blockcast_fanout_register(ngx_uint_t kind,
    ngx_http_blockcast_sender_t *sender);

/*
 * Copies what is new in the zone and begins to send it, or a changed status of
 * the stream, to this worker's clients.
 */
void ngx_http_blockcast_fanout_update(ngx_http_blockcast_hub_t *hub);

/*
 * Serves the subscribers of a hub for one slice without waiting for the event
 * loop: the next publication may overwrite entries that they do not have yet.
 */
void ngx_http_blockcast_fanout_now(ngx_http_blockcast_hub_t *hub);

/*
 * Calls fanout_update() for all streams that this worker has to keep up with.
 */
void ngx_http_blockcast_fanout_update_all(void);

/* Begins the fan-out again, for listeners that had to wait for their frame. */
void ngx_http_blockcast_fanout_again(ngx_http_blockcast_hub_t *hub);

/* Ends a hub's fan-out: the hub is freed, or all have been served. */
void ngx_http_blockcast_fanout_drop(ngx_http_blockcast_hub_t *hub);

/* Sends what is due to one subscriber. */
void ngx_http_blockcast_fanout_due(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/* Makes ngx_http_blockcast_filtered_walk() be called in the next turn. */
void ngx_http_blockcast_fanout_filtered(void);


/*
 * Returns true when the time is used up that all clients together have in this
 * turn of the event loop, in addition to the fan-out's own slice.  The first
 * call in a turn starts that time.
 */
ngx_uint_t ngx_http_blockcast_fanout_spent(void);

/*
 * Makes a client's event, which sends or reads, be called in one of the next
 * turns; it stays posted until then.  Those that read come first, as there may
 * be a ping.
 */
void ngx_http_blockcast_fanout_later(ngx_event_t *ev);


/* the number of hubs whose fan-out is under way */
extern ngx_uint_t  ngx_http_blockcast_fanout_nwalking;


#endif /* _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_ */
