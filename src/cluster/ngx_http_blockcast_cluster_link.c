
/*
 * A connection to the cluster's engine: commands and their replies.
 *
 * A stopped server accepts connections and bytes but never answers, so each
 * command has a time limit.  On a slow line replies take long although the
 * server works: the limit therefore counts from the previous reply, and again
 * from each part of a reply that arrives, unless these come at less than 16 KB
 * a second.  How long a leader may wait is decided in
 * ngx_http_blockcast_cluster_append().
 */


#include "ngx_http_blockcast_cluster_link.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast_link.h"
#include "bc_engine.h"


/* bytes read before other events get their turn */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_SHARE  (1024 * 1024)

/* time limits to connect, and for TLS, which needs more round trips (msec) */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_OPEN   1000
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_TLS    3000

/* the slowest pace of a reply, bytes per msec; see above */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_PACE   16


static void ngx_http_blockcast_cluster_link_ready(
    ngx_http_blockcast_link_t *base);
static ngx_int_t ngx_http_blockcast_cluster_link_input(
    ngx_http_blockcast_link_t *base, u_char *data, size_t len);
static ngx_int_t ngx_http_blockcast_cluster_link_replies(
    ngx_http_blockcast_cluster_link_t *link);
static void ngx_http_blockcast_cluster_link_progress(
    ngx_http_blockcast_cluster_link_t *link);
static void ngx_http_blockcast_cluster_link_timeout(
    ngx_http_blockcast_link_t *base);
static void ngx_http_blockcast_cluster_link_lost(
    ngx_http_blockcast_link_t *base, ngx_str_t *reason);
static void ngx_http_blockcast_cluster_link_free(
    ngx_http_blockcast_cluster_link_t *link);


void
ngx_http_blockcast_cluster_link_init(ngx_http_blockcast_cluster_link_t *link)
{
    link->base.ready = ngx_http_blockcast_cluster_link_ready;
    link->base.input = ngx_http_blockcast_cluster_link_input;
    link->base.timeout = ngx_http_blockcast_cluster_link_timeout;
    link->base.lost = ngx_http_blockcast_cluster_link_lost;
    link->base.data = link;
    link->base.ssl = link->conf->ssl;
    link->base.tls_msec = NGX_HTTP_BLOCKCAST_CLUSTER_LINK_TLS;
    link->base.share = NGX_HTTP_BLOCKCAST_CLUSTER_LINK_SHARE;
    link->base.closed = "it closed the connection";

    ngx_http_blockcast_link_init(&link->base);
}


void
ngx_http_blockcast_cluster_link_open(ngx_http_blockcast_cluster_link_t *link,
    ngx_http_blockcast_cluster_addr_t *addr)
{
    link->addr = addr;
    link->first = 0;
    link->nwaiting = 0;
    link->moved = ngx_current_msec;

    if (bc_engine_init(&link->in) != 0) {
        ngx_http_blockcast_link_break(&link->base, "no memory");
        return;
    }

    ngx_http_blockcast_link_open(&link->base, &addr->addr, &addr->peer,
                                 &addr->host,
                                 NGX_HTTP_BLOCKCAST_CLUSTER_LINK_OPEN);
}


static void
ngx_http_blockcast_cluster_link_ready(ngx_http_blockcast_link_t *base)
{
    ngx_http_blockcast_cluster_link_t  *link;

    link = base->data;

    ngx_del_timer(&base->timer);

    link->open(link);
}


static ngx_int_t
ngx_http_blockcast_cluster_link_input(ngx_http_blockcast_link_t *base,
    u_char *data, size_t len)
{
    ngx_http_blockcast_cluster_link_t  *link;

    link = base->data;

    if (bc_engine_feed(&link->in, data, len) != 0) {
        ngx_http_blockcast_link_fail(base, "no memory for its reply, or it is "
                                     "larger than a log can be");
        return NGX_ERROR;
    }

    if (ngx_http_blockcast_cluster_link_replies(link) != NGX_OK) {
        return NGX_ERROR;
    }

    if (link->nwaiting != 0 && link->in.waiting != 0) {
        ngx_http_blockcast_cluster_link_progress(link);
    }

    return NGX_OK;
}


/*
 * Passes each complete reply to reply().  Returns NGX_ERROR when the
 * connection is closed or about to be.
 */

static ngx_int_t
ngx_http_blockcast_cluster_link_replies(
    ngx_http_blockcast_cluster_link_t *link)
{
    int                                    rc;
    uint64_t                               number;
    ngx_uint_t                             tag;
    const char                            *why;
    ngx_connection_t                      *c;
    bc_engine_reply_t                      reply;
    ngx_http_blockcast_cluster_command_t  *waiting;

    c = link->base.peer.connection;
    number = link->base.number;

    for ( ;; ) {
        rc = bc_engine_next(&link->in, &reply, &why);

        if (rc == 0) {
            return NGX_OK;
        }

        if (rc == -1) {
            ngx_http_blockcast_link_fail(&link->base, "it does not speak "
                                         "Redis' protocol (%s)", why);
            return NGX_ERROR;
        }

        if (link->nwaiting == 0) {
            bc_engine_reply_free(&reply);
            ngx_http_blockcast_link_fail(&link->base, "it sent a reply that "
                                         "nobody has asked for");
            return NGX_ERROR;
        }

        tag = link->waiting[link->first].tag;

        link->first = (link->first + 1)
                      % NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING;
        link->nwaiting--;

        if (link->nwaiting == 0) {
            ngx_del_timer(&link->base.timer);

        } else {
            /*
             * The next reply had to wait for this one, which may have been
             * large.
             */

            waiting = &link->waiting[link->first];
            waiting->deadline = ngx_current_msec + waiting->msec;
            waiting->deadline += (waiting->deadline == 0);

            ngx_http_blockcast_link_wait(&link->base, waiting->msec);
        }

        link->reply(link, tag, &reply);
        bc_engine_reply_free(&reply);

        if (link->base.number != number || link->base.peer.connection != c
            || link->base.broken != NULL)
        {
            return NGX_ERROR;
        }
    }
}


/* Extends the time limit after a part of the awaited reply has come. */

static void
ngx_http_blockcast_cluster_link_progress(
    ngx_http_blockcast_cluster_link_t *link)
{
    ngx_msec_int_t                         left;
    ngx_http_blockcast_cluster_command_t  *waiting;

    waiting = &link->waiting[link->first];

    /* add time for the bytes received, up to the full time limit */

    left = (ngx_msec_int_t) (waiting->deadline - ngx_current_msec);
    left = (waiting->deadline != 0) ? left : 0;
    left += link->in.waiting / NGX_HTTP_BLOCKCAST_CLUSTER_LINK_PACE;
    left = ngx_min(left, (ngx_msec_int_t) waiting->msec);

    if (left > 0) {
        link->moved = ngx_current_msec;
        ngx_http_blockcast_link_wait(&link->base, left);
    }
}


/* Handles a connection that is not established in time, or a late reply. */

static void
ngx_http_blockcast_cluster_link_timeout(ngx_http_blockcast_link_t *base)
{
    ngx_connection_t                      *c;
    ngx_http_blockcast_cluster_link_t     *link;
    ngx_http_blockcast_cluster_command_t  *waiting;

    c = base->peer.connection;
    link = base->data;
    waiting = &link->waiting[link->first];

#if (NGX_SSL)

    if (!base->connected && c->ssl != NULL) {
        ngx_http_blockcast_link_fail(base, "TLS is not there within %d ms",
                                     NGX_HTTP_BLOCKCAST_CLUSTER_LINK_TLS);
        return;
    }

#endif

    if (!base->connected) {
        ngx_http_blockcast_link_fail(base, "it is not connected within %d ms",
                                     NGX_HTTP_BLOCKCAST_CLUSTER_LINK_OPEN);
        return;
    }

    /* this process may have been stopped: first read what has arrived */

    if (c->read->ready && waiting->deadline != 0) {
        waiting->deadline = 0;
        ngx_post_event(c->read, &ngx_posted_events);
        ngx_http_blockcast_link_wait(base, 100);
        return;
    }

    ngx_http_blockcast_link_fail(base, "it does not answer");
}


void
ngx_http_blockcast_cluster_link_send(ngx_http_blockcast_cluster_link_t *link,
    ngx_uint_t tag, ngx_msec_t msec, ngx_uint_t argc, const bc_span_t *argv)
{
    char                                  *command;
    size_t                                 len;
    const char                            *why;
    ngx_http_blockcast_link_t             *base;
    ngx_http_blockcast_cluster_command_t  *waiting;

    base = &link->base;

    if (base->peer.connection == NULL || base->broken != NULL) {
        return;
    }

    if (link->nwaiting == NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING) {
        ngx_http_blockcast_link_break(base, "it does not answer");
        return;
    }

    len = 0;
    command = bc_engine_command(&len, (int) argc, argv);

    if (command == NULL
        || ngx_http_blockcast_link_room(base, len) != NGX_OK)
    {
        if (command != NULL) {
            bc_engine_command_free(command);
        }

        ngx_http_blockcast_link_break(base, "no memory");
        return;
    }

    ngx_memcpy(base->out + base->last, command, len);
    base->last += len;

    bc_engine_command_free(command);

    waiting = &link->waiting[(link->first + link->nwaiting)
                             % NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING];
    waiting->tag = tag;
    waiting->msec = msec;
    waiting->deadline = ngx_current_msec + msec;

    /* 0 means that the time has passed */

    waiting->deadline += (waiting->deadline == 0);

    if (link->nwaiting++ == 0) {
        ngx_http_blockcast_link_wait(base, msec);
    }

    if (ngx_http_blockcast_link_flush(base, &why) != NGX_OK) {
        ngx_http_blockcast_link_break(base, why);
    }
}


static void
ngx_http_blockcast_cluster_link_lost(ngx_http_blockcast_link_t *base,
    ngx_str_t *reason)
{
    ngx_http_blockcast_cluster_link_t  *link;

    link = base->data;

    ngx_http_blockcast_cluster_link_free(link);

    link->lost(link, reason);
}


void
ngx_http_blockcast_cluster_link_close(ngx_http_blockcast_cluster_link_t *link)
{
    ngx_http_blockcast_link_close(&link->base);
    ngx_http_blockcast_cluster_link_free(link);
}


static void
ngx_http_blockcast_cluster_link_free(ngx_http_blockcast_cluster_link_t *link)
{
    link->nwaiting = 0;

    bc_engine_free(&link->in);
}
