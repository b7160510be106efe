
/*
 * The cluster: several gateways, of which one polls, with one epoch and one
 * sequence of numbers.
 *
 * A stream in a Redis or Valkey is the log of everything published, and the
 * log itself is the lease.  The id of an entry is TERM-N.  To lead, a gateway
 * appends a begin with a higher term than all before it; after that, no former
 * leader can append any more.  The leader appends at least once a second, and
 * every gateway, including the leader, shows only what the log has accepted.
 * The other gateways read the log and poll nothing.
 *
 * All this runs in the worker that has the zone's lease, on two connections:
 * one for commands, and one that waits for entries.
 *
 *     CONNECT  tries each address in turn: AUTH, INFO; it must be the primary
 *     SYNC     reads the log from its beginning, which is an image or a begin
 *     FOLLOW   reads new entries; silence means that the leader is gone
 *     ELECT    appends a begin; its floors are numbers that are not given
 *              again; if the engine is not the same as before, it may have
 *              forgotten entries, and the floors are above the clock in
 *              microseconds
 *     LEAD     appends what is polled; any failure ends the lead
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* callbacks into the folders above */

typedef struct {

    /* this worker now leads, or leads no longer */
    void                        (*changed)(void);

    /* new data from the log is in the zone: deliver it to clients */
    void                        (*applied)(void);

    /* returns true when a client of this nginx wants a stream */
    ngx_uint_t                  (*wanted)(
                                      ngx_http_blockcast_main_conf_t *bmcf,
                                      ngx_http_blockcast_stream_t *st);

    /* another gateway reports news for a stream; changed() follows */
    void                        (*poked)(
                                      ngx_http_blockcast_main_conf_t *bmcf,
                                      ngx_http_blockcast_stream_t *st);
} ngx_http_blockcast_cluster_hooks_t;


/*
 * Puts our recorder in front of the state file's, once the configuration is
 * read.
 */
void ngx_http_blockcast_cluster_conf_link(
    ngx_http_blockcast_main_conf_t *bmcf);

/* Prepares a worker that starts.  Returns NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_cluster_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf,
    const ngx_http_blockcast_cluster_hooks_t *hooks);

/*
 * Starts to connect if not started yet.  Called on each tick of the worker
 * with the lease.
 */
void ngx_http_blockcast_cluster_tick(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Closes the connections when that worker stops; a leader first tells the
 * others that it leaves.  Does nothing if already stopped.
 */
void ngx_http_blockcast_cluster_stop(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Returns true when this worker leads the cluster, or no cluster is
 * configured.
 */
ngx_uint_t ngx_http_blockcast_cluster_leads(
    ngx_http_blockcast_main_conf_t *bmcf);

/* Returns true when another gateway wants a stream. */
ngx_uint_t ngx_http_blockcast_cluster_wanted(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st);

/*
 * Tells the leader at once what is wanted or was poked here, when this gateway
 * is a follower.
 */
void ngx_http_blockcast_cluster_demand(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Returns why a poke cannot reach the leader, as a constant string, or NULL
 * when it can or no cluster is configured.  For any worker.
 */
const char *ngx_http_blockcast_cluster_no_poke(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Returns true while a gateway that has just started has no data and has not
 * read the log yet.  Its epoch is not the cluster's then: a client that
 * resumes would have to start over.  This ends when the log has been read or
 * the engine could not be reached, after a few seconds at most.  For any
 * worker.
 */
ngx_uint_t ngx_http_blockcast_cluster_unread(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Sets what is called, in the worker that learns it, when cluster_unread() may
 * have become false.  The other workers are woken then.
 */
void ngx_http_blockcast_cluster_on_read(
    void (*handler)(ngx_http_blockcast_main_conf_t *bmcf));


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_H_INCLUDED_ */
