
/*
 * Streams with a key in a cluster: who wants which keys, and what becomes of
 * them.
 *
 * A gateway that follows tells the leader which keys its clients want, in
 * entries of the stream `want` beside the names of streams: field "t" is the
 * term of the leader they are for, "k" a list of lines
 *
 *     +STREAM/KEY    it is wanted, and what there is of it is asked for
 *     =STREAM/KEY    it is wanted still; said every few seconds
 *     -STREAM/KEY    it is wanted no longer
 *
 * Who is silent for a few seconds wants nothing.  The leader takes a place in
 * its own table for each key that is wanted anywhere, so that it is polled as
 * any other, and no more keys than max= are.
 *
 * What is published of a key is a record "snap" of the log with the name
 * STREAM/KEY, appended and committed as all publications are.  All gateways
 * have it at once, and keep it when the key is in their table; they leave it
 * out when it is not, but remember that its number is given.  So a number that
 * is given once is above all that were given in the stream to keys that are
 * not in the table, and a key's next one above its last.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_journal.h"
#include "bc_span.h"


/* In a worker that starts. */
ngx_int_t ngx_http_blockcast_cluster_keys_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/* Forgets what was told and heard: a connection, or a lead, begins or ends. */
void ngx_http_blockcast_cluster_keys_reset(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Has read all of the log; missed: entries may have been lost before; drop:
 * keys that nobody listens to are dropped then.
 */
void ngx_http_blockcast_cluster_keys_synced(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_uint_t missed, ngx_uint_t drop);


/*
 * For who follows: makes the next list for the leader of a term.  urgent: of
 * what clients have just come for, only.  NGX_OK with *list, whose bytes are
 * valid until the next call, and which may be empty, as a sign of life;
 * NGX_DECLINED: there is nothing to tell.
 */
ngx_int_t ngx_http_blockcast_cluster_keys_tell(
    ngx_http_blockcast_main_conf_t *bmcf, uint64_t term, ngx_uint_t urgent,
    ngx_str_t *list);

/*
 * For who leads: takes such a list of another gateway.  Returns true when a
 * key is wanted that was not.
 */
ngx_uint_t ngx_http_blockcast_cluster_keys_hear(
    ngx_http_blockcast_main_conf_t *bmcf, bc_span_t author, bc_span_t list);

/*
 * For who leads, on each of its turns: makes records of what others are to
 * know, in memory of ngx_alloc(); len 0: there is nothing.
 */
void ngx_http_blockcast_cluster_keys_answer(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *records);

/* Learns, of who polls, that a key is well or not, without another number. */
void ngx_http_blockcast_cluster_keys_changed(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    ngx_uint_t place);


/*
 * Takes a record of the log over, when it is of a key or a stream that has
 * some; returns false when it is not.  live: see _apply_record().
 */
ngx_uint_t ngx_http_blockcast_cluster_keys_apply(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_record_t *r,
    ngx_uint_t live);

/* Returns the stream that a record of a key is of, or NULL. */
ngx_http_blockcast_stream_t *ngx_http_blockcast_cluster_keys_stream(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_record_t *r,
    ngx_str_t *key);

/* Has no key get a number up to seq: see _apply_floors(). */
void ngx_http_blockcast_cluster_keys_floor(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    uint64_t seq);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_H_INCLUDED_ */
