
/*
 * The cluster: several gateways, one poller, one epoch, one course of numbers.
 *
 * A stream of a Redis or Valkey is the log of all that is published, and the
 * log itself is the lease.  An entry's id is TERM-N.  Who wants to lead appends
 * a begin with a term that is greater than all before it, so that no former
 * leader can append any more; who leads appends at least once a second, and
 * everybody, the leader too, shows only what the log took.  The other gateways
 * read the log, and poll nothing.
 *
 * All this is in the worker that has the zone's lease, on two connections: one
 * for commands, one that waits for entries.
 *
 *     CONNECT  to each address in turn: AUTH, INFO; it must be the primary
 *     SYNC     reads the log from its beginning, an image or a begin
 *     FOLLOW   reads what comes; silence is the leader's end
 *     ELECT    appends a begin; the floors in it are numbers that are not given
 *              again, beyond the clock in microseconds when the engine is not
 *              the one it was: it may have forgotten entries
 *     LEAD     appends what is polled; whatever goes wrong ends that
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* what the folders above do for it */

typedef struct {

    /* it leads from now on, or no longer */
    void                        (*changed)(void);

    /* something of the log is in the zone: the clients are to have it */
    void                        (*applied)(void);

    /* tells whether a client of this nginx wants a stream */
    ngx_uint_t                  (*wanted)(
                                      ngx_http_blockcast_main_conf_t *bmcf,
                                      ngx_http_blockcast_stream_t *st);

    /* another gateway was told that there is something new of a stream;
       changed() is called behind it */
    void                        (*poked)(
                                      ngx_http_blockcast_main_conf_t *bmcf,
                                      ngx_http_blockcast_stream_t *st);
} ngx_http_blockcast_cluster_hooks_t;


/* Puts our recorder before the state file's, when a configuration is read. */
void ngx_http_blockcast_cluster_conf_link(
    ngx_http_blockcast_main_conf_t *bmcf);

/* In a worker that starts. */
ngx_int_t ngx_http_blockcast_cluster_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf,
    const ngx_http_blockcast_cluster_hooks_t *hooks);

/* Connects, unless it has, on each tick of the worker with the lease. */
void ngx_http_blockcast_cluster_tick(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Closes the connections when that worker stops; a leader tells the others
 * that it leaves.  It may have been stopped already.
 */
void ngx_http_blockcast_cluster_stop(ngx_http_blockcast_main_conf_t *bmcf);

/* Returns true when this worker leads the cluster, or there is none. */
ngx_uint_t ngx_http_blockcast_cluster_leads(
    ngx_http_blockcast_main_conf_t *bmcf);

/* Returns true when another gateway wants a stream. */
ngx_uint_t ngx_http_blockcast_cluster_wanted(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st);

/* Tells the leader at once what is wanted here, and what was poked. */
void ngx_http_blockcast_cluster_demand(ngx_http_blockcast_main_conf_t *bmcf);

/*
 * In any worker: tells why a poke cannot reach whoever leads the cluster, in a
 * constant phrase; NULL: it can, or there is no cluster.
 */
const char *ngx_http_blockcast_cluster_no_poke(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * In any worker: returns true while a gateway that was just started has no
 * data and has not read the log yet.  Its epoch is not the cluster's then: a
 * client that resumes would have to begin anew.  It ends when the log was read
 * or the engine could not be reached, which takes a few seconds at most.
 */
ngx_uint_t ngx_http_blockcast_cluster_unread(
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_H_INCLUDED_ */
