
/*
 * Notifications: what a subscription of the JSON-RPC endpoint is sent.
 */


#ifndef _NGX_HTTP_BLOCKCAST_NOTIFY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_NOTIFY_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_conf.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "bc_log_filter.h"


/* one subscription: that of conn->subs[] with the same number */

typedef struct {
    ngx_http_blockcast_rpc_rule_t  *rule;
    ngx_str_t                     id;           /* JSON text, ngx_alloc() */
    bc_log_filter_t              *filter;       /* or NULL */
    unsigned                      held:1;       /* its answer is not sent yet */
    unsigned                      first:1;      /* the newest entry is due */
} ngx_http_blockcast_notify_sub_t;


/* what conn->session points to */

typedef struct {
    ngx_http_blockcast_notify_sub_t  *subs;     /* conn->nsubs of them */
    ngx_uint_t                    nalloc;
    uint64_t                      next_id;
    void                         *lane;
} ngx_http_blockcast_notify_session_t;


/*
 * Begins a subscription whose rsub is set, and ends it.
 */
void ngx_http_blockcast_notify_begin(ngx_http_blockcast_sub_t *sub,
    ngx_http_blockcast_notify_sub_t *rsub);
void ngx_http_blockcast_notify_end(ngx_http_blockcast_sub_t *sub);

/*
 * Returns the notifications of the newest entries, as one piece of frames; not
 * referenced.  NULL: there are none for this subscription, which is up to date
 * then; or they are being compressed, and the fan-out begins again with them.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_notify_newest(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/*
 * Returns the next piece for a subscription that is behind, with a reference
 * for the caller; sub->seq is set to what it brings.  NULL: nothing is due, or
 * it is being compressed, and the fan-out begins again with it.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_notify_next(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);

/* Frees what the worker keeps. */
void ngx_http_blockcast_notify_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_NOTIFY_H_INCLUDED_ */
