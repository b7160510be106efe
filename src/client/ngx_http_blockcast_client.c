
/*
 * What all kinds of clients share: subscriptions and closing.
 */


#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_encoding_cache.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_rpc.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_ws_frame.h"
#include "bc_ws_parser.h"


/* how long the peer has to answer our Close and to close (msec) */
#define NGX_HTTP_BLOCKCAST_CLOSE_TIME  3000


void
ngx_http_blockcast_client_count(ngx_int_t n)
{
    ngx_http_blockcast_zone_t       *zone;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);
    zone = bmcf->zone;

    if (n > 0) {
        ngx_http_blockcast_count(ngx_http_blockcast_n_accepted, n);
    }

    if (zone != NULL) {
        (void) ngx_atomic_fetch_add(&zone->own->connections, n);
    }
}


void
ngx_http_blockcast_client_set_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    if (!sub->pending) {
        sub->pending = 1;
        conn->npending++;
    }
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_client_next_frame(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t **sub)
{
    ngx_uint_t                   i, first;
    ngx_http_blockcast_frame_t  *frame;

    /*
     * At first in the order of subscription, later in turn: otherwise a client
     * that is always slow would never get its last stream.
     */

    first = (conn->frames_out > 4 * (uint32_t) conn->nsubs)
            ? conn->frames_out : 0;

    for (i = 0; i < conn->nsubs && conn->npending != 0; i++) {

        *sub = &conn->subs[(first + i) % conn->nsubs];

        if (!(*sub)->pending) {
            continue;
        }

        frame = ngx_http_blockcast_encoding_cache_next(conn, *sub);

        if (frame != NULL) {
            return frame;
        }

        if ((*sub)->more) {

            /* it stays pending: the sender continues in a later turn */

            (*sub)->more = 0;
            return NULL;
        }

        (*sub)->pending = 0;
        conn->npending--;
    }

    conn->npending = 0;

    return NULL;
}


ngx_int_t
ngx_http_blockcast_client_reserve(ngx_http_blockcast_conn_t *conn)
{
    ngx_uint_t                 n;
    ngx_http_blockcast_sub_t  *subs;

    if (conn->nsubs < conn->nalloc) {
        return NGX_OK;
    }

    n = conn->nalloc * 2;

    subs = ngx_alloc(n * sizeof(ngx_http_blockcast_sub_t), ngx_cycle->log);
    if (subs == NULL) {
        return NGX_ERROR;
    }

    ngx_memcpy(subs, conn->subs,
               conn->nsubs * sizeof(ngx_http_blockcast_sub_t));

    if (conn->subs != &conn->first) {
        ngx_free(conn->subs);
    }

    conn->subs = subs;
    conn->nalloc = n;

    return NGX_OK;
}


void
ngx_http_blockcast_client_leave_all(ngx_http_blockcast_conn_t *conn)
{
    if (conn->protocol == ngx_http_blockcast_rpc) {
        ngx_http_blockcast_rpc_leave(conn);
    }

    while (conn->nsubs != 0) {
        conn->nsubs--;

        ngx_http_blockcast_hub_leave(&conn->subs[conn->nsubs]);
    }

    conn->npending = 0;

    if (conn->subs != &conn->first) {
        ngx_free(conn->subs);
        conn->subs = &conn->first;
        conn->nalloc = 1;
    }
}


void
ngx_http_blockcast_client_close(ngx_http_blockcast_conn_t *conn,
    ngx_uint_t code, const char *reason)
{
    ngx_http_blockcast_frame_t  *frame;

    if (conn->closing) {

        /* our Close is queued already, do not send a second one */

        ngx_http_blockcast_ws_send_flush(conn);
        return;
    }

    ngx_http_blockcast_client_leave_all(conn);

    conn->close_code = code ? code : 1005;
    conn->closing = 1;
    conn->pinged = 0;

    ngx_add_timer(conn->connection->read, NGX_HTTP_BLOCKCAST_CLOSE_TIME);

    frame = ngx_http_blockcast_frame_alloc(BC_WS_CLOSE_LEN);
    if (frame == NULL) {
        ngx_http_blockcast_client_dead(conn);
        return;
    }

    frame->payload = 2;
    frame->len = bc_ws_frame_close(frame->data, code, reason);

    ngx_http_blockcast_ws_send_queue(conn, frame);
}


void
ngx_http_blockcast_client_dead(ngx_http_blockcast_conn_t *conn)
{
    conn->dead = 1;

    if (!conn->busy) {
        ngx_post_event(conn->connection->read, &ngx_posted_events);
    }
}


void
ngx_http_blockcast_client_bound(ngx_http_blockcast_conn_t *conn)
{
#ifdef TCP_NOTSENT_LOWAT

    int  unsent;

    unsent = (int) ngx_min(conn->conf->max_queue / 2, 0x3fffffff);

    /* data in flight does not count, so this slows down no client */

    if (setsockopt(conn->connection->fd, IPPROTO_TCP, TCP_NOTSENT_LOWAT,
                   &unsent, sizeof(int))
        == -1)
    {
        /* not a TCP socket: "listen unix:/..." */

        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, conn->connection->log,
                       ngx_socket_errno,
                       "blockcast: setsockopt(TCP_NOTSENT_LOWAT) failed");
    }

#endif
}
