
/* Notifications: what a subscription of the JSON-RPC endpoint receives. */


#ifndef _NGX_HTTP_BLOCKCAST_NOTIFY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_NOTIFY_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_conf.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "bc_log_filter.h"


/* one subscription, with the same index as in conn->subs */

typedef struct {
    ngx_http_blockcast_rpc_rule_t  *rule;
    ngx_str_t                     id;           /* JSON text, ngx_alloc() */
    bc_log_filter_t              *filter;       /* or NULL */
    unsigned                      held:1;       /* its answer is unsent */
    unsigned                      first:1;      /* the newest entry is due */
} ngx_http_blockcast_notify_sub_t;


/* what conn->session points to */

typedef struct {
    ngx_http_blockcast_notify_sub_t  *subs;     /* conn->nsubs of them */
    ngx_uint_t                    nalloc;
    uint64_t                      next_id;
    void                         *lane;
} ngx_http_blockcast_notify_session_t;


/* Begin a subscription, whose rsub is already set, and end it. */
void ngx_http_blockcast_notify_begin(ngx_http_blockcast_sub_t *sub,
    ngx_http_blockcast_notify_sub_t *rsub);
void ngx_http_blockcast_notify_end(ngx_http_blockcast_sub_t *sub);

/*
 * Returns the notifications of the newest entries, as one piece of frames,
 * without a reference for the caller.  NULL: there are none for this
 * subscription, which is then up to date; or they are being compressed, and
 * the fan-out begins again when they are ready.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_notify_newest(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/*
 * Returns the next piece for a subscription that is behind, with a reference
 * for the caller, and sets sub->seq to the newest in it.  NULL: nothing is
 * due, or it is being compressed, and the fan-out begins again when it is
 * ready.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_notify_next(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/*
 * Returns true when _next() has a snapshot for a subscription that newer data
 * has replaced while its frame was made.
 */
ngx_uint_t ngx_http_blockcast_notify_former(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub);

/* Frees all kept frames and bodies. */
void ngx_http_blockcast_notify_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_NOTIFY_H_INCLUDED_ */
