
/*
 * Subscribers of a log that want only some of its entries: an index by the
 * values that they ask for, so that the cost of an entry depends on its
 * receivers only.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FILTERED_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FILTERED_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "bc_log_filter.h"


/*
 * Adds a subscriber, conn->subs[sub], with a filter, whose memory it takes
 * over.  inner: the member of an entry to which the filter applies, or len 0
 * for the entry itself.  Returns NGX_ERROR without memory: the filter then
 * still belongs to the caller.
 */
ngx_int_t ngx_http_blockcast_filtered_subscribe(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub, bc_log_filter_t *filter,
    ngx_str_t *inner);

/* Removes a subscriber with a filter. */
void ngx_http_blockcast_filtered_unsubscribe(ngx_http_blockcast_sub_t *sub);

/* Notes that a subscription has moved to conn->subs[to]. */
void ngx_http_blockcast_filtered_move(ngx_http_blockcast_sub_t *sub,
    ngx_uint_t to);

/*
 * Queues the subscribers that want one of the newest entries; or all of them,
 * when the stream's freshness has changed.
 */
void ngx_http_blockcast_filtered_publish(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_filtered_status(ngx_http_blockcast_hub_t *hub);

/*
 * Sends to queued subscribers, as a part of the fan-out's slice; returns 1
 * when the slice is used up.  nhit: how many are queued, in all hubs.
 */
ngx_uint_t ngx_http_blockcast_filtered_walk(ngx_http_blockcast_hub_t *hub);
extern ngx_uint_t  ngx_http_blockcast_filtered_nhit;

/* Queues the subscribers that waited for a page to be compressed. */
void ngx_http_blockcast_filtered_again(ngx_http_blockcast_hub_t *hub);

/*
 * Returns the next message for a subscriber that is behind, as
 * ngx_http_blockcast_encoding_cache_next() does.  Not for clients of the
 * JSON-RPC endpoint: see _notify.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_filtered_next(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/*
 * Makes the first page of its entries due for a subscriber; with sub->lost
 * set, it has a gap after since, the seq the client asked for.
 */
void ngx_http_blockcast_filtered_page(ngx_http_blockcast_sub_t *sub,
    uint64_t since);

/* Queues a subscriber for the next turn: there are more entries for it. */
void ngx_http_blockcast_filtered_more(ngx_http_blockcast_sub_t *sub);

/* Notes that a subscriber is up to date. */
void ngx_http_blockcast_filtered_caught_up(ngx_http_blockcast_sub_t *sub);

/* Returns the filter of a subscription. */
bc_log_filter_t *ngx_http_blockcast_filtered_of(
    ngx_http_blockcast_sub_t *sub);

/* Returns how many subscribers of a hub have a filter. */
ngx_uint_t ngx_http_blockcast_filtered_count(ngx_http_blockcast_hub_t *hub);

/* Frees a hub's index and its subscribers. */
void ngx_http_blockcast_filtered_done(ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_FILTERED_H_INCLUDED_ */
