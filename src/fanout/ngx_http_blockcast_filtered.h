
/*
 * Subscribers of a log that want only some of its entries: an index by the
 * values that they ask for, so that an entry costs what those cost who get it.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FILTERED_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FILTERED_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "bc_log_filter.h"


/*
 * Adds a subscriber, conn->subs[sub], with a filter, which is taken over.
 * inner: the member of an entry that is filtered, or len 0: the entry itself.
 * NGX_ERROR without memory: the filter is still the caller's.
 */
ngx_int_t ngx_http_blockcast_filtered_subscribe(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t sub, bc_log_filter_t *filter,
    ngx_str_t *inner);

/* Removes a subscriber with a filter. */
void ngx_http_blockcast_filtered_unsubscribe(ngx_http_blockcast_sub_t *sub);

/* Notes that a subscription is conn->subs[to] now. */
void ngx_http_blockcast_filtered_move(ngx_http_blockcast_sub_t *sub,
    ngx_uint_t to);

/*
 * Has those who want one of the newest entries have it; or all who are
 * subscribed, when the stream's freshness has changed.
 */
void ngx_http_blockcast_filtered_publish(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_filtered_status(ngx_http_blockcast_hub_t *hub);

/*
 * Sends to those who are to have something, a part of the fan-out's slice;
 * returns 1 when that is over.  nhit: how many there are, of all hubs.
 */
ngx_uint_t ngx_http_blockcast_filtered_walk(ngx_http_blockcast_hub_t *hub);
extern ngx_uint_t  ngx_http_blockcast_filtered_nhit;

/* Has those go on who waited for a page to be compressed. */
void ngx_http_blockcast_filtered_again(ngx_http_blockcast_hub_t *hub);

/*
 * The next message for a subscriber that is behind, as
 * ngx_http_blockcast_encoding_cache_next().  Of a client of the JSON-RPC
 * endpoint that is the matter of _notify.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_filtered_next(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/*
 * Has the first page of what it wants sent to a subscriber; with sub->lost set
 * with a gap, after what it asked for.
 */
void ngx_http_blockcast_filtered_page(ngx_http_blockcast_sub_t *sub,
    uint64_t since);

/* Has a subscriber go on in the next turn: there are more entries for it. */
void ngx_http_blockcast_filtered_more(ngx_http_blockcast_sub_t *sub);

/* Notes that a subscriber has all that it wants, for now. */
void ngx_http_blockcast_filtered_caught_up(ngx_http_blockcast_sub_t *sub);

/* Returns the filter of a subscription. */
bc_log_filter_t *ngx_http_blockcast_filtered_of(
    ngx_http_blockcast_sub_t *sub);

/* Returns how many subscribers of a hub have a filter. */
ngx_uint_t ngx_http_blockcast_filtered_count(ngx_http_blockcast_hub_t *hub);

/* Frees what the worker keeps of a hub. */
void ngx_http_blockcast_filtered_done(ngx_http_blockcast_hub_t *hub);


#endif /* _NGX_HTTP_BLOCKCAST_FILTERED_H_INCLUDED_ */
