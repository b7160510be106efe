
/*
 * Streams with keys in a cluster: which gateways want which keys, and how
 * their data gets there.
 *
 * A follower tells the leader which keys its clients want, in entries of the
 * stream `want`, which also has the names of wanted streams.  Field "t" is the
 * term of the leader that is addressed, "k" is a list of lines:
 *
 *     +STREAM/KEY    it is wanted; its current data is asked for
 *     =STREAM/KEY    it is still wanted; repeated every few seconds
 *     -STREAM/KEY    it is no longer wanted
 *
 * A gateway that is silent for a few seconds wants nothing.  The leader takes
 * a place in its own table for each key that any gateway wants.  The key is
 * then polled like its own, and max= limits the keys of all gateways together.
 *
 * Data of a key is published as a record "snap" of the log with the name
 * STREAM/KEY, appended and committed like any publication.  Every gateway gets
 * it at once.  If the key is in its table it keeps the data; if not, it only
 * notes that the number is used.  So a key that is new in a table continues
 * after all numbers given to keys that were not in it, and any other key after
 * its own last number.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_journal.h"
#include "bc_span.h"


/* Prepares a worker that starts.  Returns NGX_ERROR without memory. */
ngx_int_t ngx_http_blockcast_cluster_keys_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Forgets all wishes sent and received, as a connection or a lead begins or
 * ends.
 */
void ngx_http_blockcast_cluster_keys_reset(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Notes that the whole log has been read.  missed: entries may have been lost
 * before; drop: if so, keys without listeners are dropped.
 */
void ngx_http_blockcast_cluster_keys_synced(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_uint_t missed, ngx_uint_t drop);


/*
 * Makes a follower's next list for the leader of a term.  urgent: only keys
 * that clients have newly asked for.  Returns NGX_OK with *list, which is
 * valid until the next call and may be empty, as a sign of life; NGX_DECLINED
 * when there is nothing to tell, or no memory.
 */
ngx_int_t ngx_http_blockcast_cluster_keys_tell(
    ngx_http_blockcast_main_conf_t *bmcf, uint64_t term, ngx_uint_t urgent,
    ngx_str_t *list);

/*
 * Applies, in the leader, such a list of another gateway.  Returns true when a
 * key is wanted that no other gateway wanted before.
 */
ngx_uint_t ngx_http_blockcast_cluster_keys_hear(
    ngx_http_blockcast_main_conf_t *bmcf, bc_span_t author, bc_span_t list);

/*
 * Makes the records that followers need, on each turn of the leader.  *records
 * is freed by the caller with ngx_free(); len 0: there are none.
 */
void ngx_http_blockcast_cluster_keys_answer(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *records);

/*
 * Notes that a key's error began or ended without a new number; called by the
 * poller.
 */
void ngx_http_blockcast_cluster_keys_changed(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    ngx_uint_t place);


/*
 * Applies a record of the log if it is about a key or a stream with keys;
 * returns false if it is not.  live: see _apply_record().
 */
ngx_uint_t ngx_http_blockcast_cluster_keys_apply(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_record_t *r,
    ngx_uint_t live);

/*
 * Returns the stream of a record about a key, and sets *key, or returns NULL.
 */
ngx_http_blockcast_stream_t *ngx_http_blockcast_cluster_keys_stream(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_record_t *r,
    ngx_str_t *key);

/* Makes the numbers of all keys continue after seq: see _apply_floors(). */
void ngx_http_blockcast_cluster_keys_floor(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    uint64_t seq);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_KEYS_H_INCLUDED_ */
