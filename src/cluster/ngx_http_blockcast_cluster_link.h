
/*
 * A connection to the cluster's engine: commands and their replies.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_LINK_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_LINK_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast_link.h"
#include "bc_engine.h"


/* the maximum number of commands without a reply yet */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING  256


typedef struct ngx_http_blockcast_cluster_link_s
    ngx_http_blockcast_cluster_link_t;


/* a command that was sent, and the time limit of its reply */

typedef struct {
    ngx_uint_t                    tag;
    ngx_msec_t                    msec;
    ngx_msec_t                    deadline;
} ngx_http_blockcast_cluster_command_t;


struct ngx_http_blockcast_cluster_link_s {
    ngx_http_blockcast_link_t     base;
    ngx_http_blockcast_cluster_t  *conf;
    void                         *data;         /* of the callbacks */

    /*
     *     open():   connected, with TLS if configured
     *     reply():  a reply has come; it is freed when the handler returns
     *     lost():   the connection is closed, and its memory is freed
     *
     * Each may close the link, and is called from the event loop, never from
     * within a function below.
     */
    void                        (*open)(
                                   ngx_http_blockcast_cluster_link_t *link);
    void                        (*reply)(
                                   ngx_http_blockcast_cluster_link_t *link,
                                   ngx_uint_t tag, bc_engine_reply_t *reply);
    void                        (*lost)(
                                   ngx_http_blockcast_cluster_link_t *link,
                                   ngx_str_t *reason);

    ngx_http_blockcast_cluster_addr_t  *addr;
    bc_engine_t                   in;

    ngx_http_blockcast_cluster_command_t
                          waiting[NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING];
    ngx_uint_t                    first;
    ngx_uint_t                    nwaiting;

    ngx_msec_t                    moved;        /* when a part of a reply last
                                                   came */
};


/* Prepares a link; conf, data and callbacks are set by the caller. */
void ngx_http_blockcast_cluster_link_init(
    ngx_http_blockcast_cluster_link_t *link);

/* Connects to an address; open() or lost() is called later. */
void ngx_http_blockcast_cluster_link_open(
    ngx_http_blockcast_cluster_link_t *link,
    ngx_http_blockcast_cluster_addr_t *addr);

/* Closes a link, if it is open; lost() is not called. */
void ngx_http_blockcast_cluster_link_close(
    ngx_http_blockcast_cluster_link_t *link);

/*
 * Sends a command; argv is copied.  Later calls reply() with the tag, or
 * lost() when neither the reply nor a part of it has come within msec, counted
 * from now or from the previous reply.
 */
void ngx_http_blockcast_cluster_link_send(
    ngx_http_blockcast_cluster_link_t *link, ngx_uint_t tag, ngx_msec_t msec,
    ngx_uint_t argc, const bc_span_t *argv);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_LINK_H_INCLUDED_ */
