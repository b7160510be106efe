
/*
 * The WebSockets to the nodes, as the polling worker sees them.  They are in
 * the zone for health and metrics, and so that no node gets two at a time.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HEAD_STATUS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HEAD_STATUS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* Returns the record of a head in the zone. */
ngx_http_blockcast_head_record_t *ngx_http_blockcast_head_status_record(
    ngx_http_blockcast_zone_t *zone, ngx_http_blockcast_head_t *head);

/* Clears the record if it is of another node, when a worker starts to poll. */
void ngx_http_blockcast_head_status_begin(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head);

/* Writes the state, with the reason of a loss; called by the poller only. */
void ngx_http_blockcast_head_status_write(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head, ngx_http_blockcast_head_state_e state,
    ngx_str_t *reason);

/* Copies the state; "connecting" when nobody has polled yet. */
void ngx_http_blockcast_head_status_read(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head,
    ngx_http_blockcast_head_status_t *status);

/*
 * Mark this worker as having a connection, or as having none any more.
 * _others() returns true when another living worker still has one, according
 * to this record or to one of a previous configuration.
 */
void ngx_http_blockcast_head_status_own(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head);
void ngx_http_blockcast_head_status_disown(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_head_t *head);
ngx_uint_t ngx_http_blockcast_head_status_others(
    ngx_http_blockcast_zone_t *zone);

/* the words for ngx_http_blockcast_head_state_e */
extern const char  *ngx_http_blockcast_head_state_names[];


#endif /* _NGX_HTTP_BLOCKCAST_HEAD_STATUS_H_INCLUDED_ */
