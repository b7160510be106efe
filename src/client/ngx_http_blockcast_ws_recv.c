
/*
 * The receiving side of a WebSocket connection: reads frames and handles them.
 */


#include "ngx_http_blockcast_ws_recv.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_key_wait.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_ws_parser.h"
#include "bc_ws_deflate.h"


/* input is read into one buffer of the worker and parsed at once */
#define NGX_HTTP_BLOCKCAST_READ       65536
/* reads in a row, before other connections have their turn */
#define NGX_HTTP_BLOCKCAST_READS      8

/* no input is read while more than this is queued (bytes) */
#define NGX_HTTP_BLOCKCAST_QUEUED     65536

/* for blockcast_rate, a message counts once more per this many bytes */
#define NGX_HTTP_BLOCKCAST_LONG       4096


typedef struct {
    ngx_rbtree_node_t             node;         /* key: the connection */
    size_t                        len;
    u_char                        data[1];
} ngx_http_blockcast_unparsed_t;


static ngx_int_t ngx_http_blockcast_ws_recv_message(
    ngx_http_blockcast_conn_t *conn, unsigned type, const u_char *data,
    size_t len, uint64_t tried);
static ngx_int_t ngx_http_blockcast_ws_recv_later(
    ngx_http_blockcast_conn_t *conn, u_char *pos, u_char *last);
static ngx_http_blockcast_unparsed_t *ngx_http_blockcast_ws_recv_take(
    ngx_http_blockcast_conn_t *conn);
static ngx_int_t ngx_http_blockcast_ws_recv_flood(
    ngx_http_blockcast_conn_t *conn, size_t len);
static void ngx_http_blockcast_ws_recv_echo(ngx_http_blockcast_conn_t *conn,
    bc_ws_event_t *ev);
static void ngx_http_blockcast_ws_recv_pong(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len);


static u_char  ngx_http_blockcast_ws_recv_buffer[NGX_HTTP_BLOCKCAST_READ];

static ngx_rbtree_t       ngx_http_blockcast_unparsed;
static ngx_rbtree_node_t  ngx_http_blockcast_unparsed_sentinel;


void
ngx_http_blockcast_ws_recv(ngx_http_blockcast_conn_t *conn)
{
    ssize_t                         n;
    ngx_uint_t                      i;
    ngx_event_t                    *rev;
    ngx_connection_t               *c;
    ngx_http_blockcast_unparsed_t  *unparsed;
    ngx_http_blockcast_key_message_t  *message;

    c = conn->connection;
    rev = c->read;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_READS; i++) {

        if (conn->forming) {
            message = ngx_http_blockcast_key_wait_take(conn);

            if (message == NULL) {
                goto handle;
            }

            if (!conn->closing && !conn->dead) {
                (void) ngx_http_blockcast_ws_recv_message(conn, message->type,
                                                          message->data,
                                                          message->len,
                                                          message->tried);
            }

            ngx_free(message);
            continue;
        }

        if (conn->unparsed) {
            unparsed = ngx_http_blockcast_ws_recv_take(conn);

            (void) ngx_http_blockcast_ws_recv_input(conn, unparsed->data,
                                              unparsed->data + unparsed->len);
            ngx_free(unparsed);

            if (conn->unparsed || conn->forming) {
                goto handle;
            }

            continue;
        }

        if (conn->queued > NGX_HTTP_BLOCKCAST_QUEUED && !conn->lingering) {

            /* the client sends faster than it reads the answers */

            conn->paused = 1;
            goto handle;
        }

        n = c->recv(c, ngx_http_blockcast_ws_recv_buffer,
                    NGX_HTTP_BLOCKCAST_READ);

        if (n == NGX_AGAIN) {
            goto handle;
        }

        if (n == NGX_ERROR || n == 0) {
            conn->dead = 1;
            return;
        }

        if (conn->lingering || conn->failed) {
            continue;
        }

        /* any byte shows that the client is alive */

        conn->pinged = 0;

        if (ngx_http_blockcast_ws_recv_input(
                                        conn,
                                        ngx_http_blockcast_ws_recv_buffer,
                                        ngx_http_blockcast_ws_recv_buffer + n)
            != NGX_OK
            || conn->dead)
        {
            continue;
        }

        if (conn->unparsed || conn->forming
            || (!rev->ready && !rev->pending_eof))
        {
            goto handle;
        }
    }

    /* a fast sender must not hold up the others */

    if (!conn->dead && rev->ready) {
        ngx_post_event(rev, &ngx_posted_next_events);
    }

handle:

    if (ngx_handle_read_event(rev, 0) != NGX_OK) {
        conn->dead = 1;
    }
}


ngx_int_t
ngx_http_blockcast_ws_recv_input(ngx_http_blockcast_conn_t *conn, u_char *pos,
    u_char *last)
{
    int            rc;
    unsigned       code;
    bc_ws_event_t  ev;

    for ( ;; ) {

        if (conn->dead || conn->failed || conn->lingering) {
            return NGX_DONE;
        }

        if (conn->queued > NGX_HTTP_BLOCKCAST_QUEUED && pos != last
            && conn->connection->write->ready)
        {
            /* the answers wait for a later turn, not for the client */

            return ngx_http_blockcast_ws_recv_later(conn, pos, last);
        }

        rc = bc_ws_parser_feed(&conn->in, &pos, last, &ev);

        if (rc == BC_WS_AGAIN) {
            return NGX_OK;
        }

        if (rc == BC_WS_FAIL) {
            ngx_log_error(NGX_LOG_INFO, conn->connection->log, 0,
                          "WebSocket client is closed with %ud: %s",
                          ev.code, ev.reason);

            conn->failed = 1;
            ngx_http_blockcast_client_close(conn, ev.code, ev.reason);
            return NGX_DONE;
        }

        conn->frames_in++;
        ngx_http_blockcast_count(ngx_http_blockcast_n_frames_in, 1);

        if (conn->conf->rate != 0
            && ngx_http_blockcast_ws_recv_flood(conn, ev.len) != NGX_OK)
        {
            return NGX_DONE;
        }

        switch (ev.type) {

        case BC_WS_PING:
            if (!conn->closing) {
                ngx_http_blockcast_ws_recv_pong(conn, ev.data, ev.len);
            }

            break;

        case BC_WS_PONG:
            break;

        case BC_WS_CLOSE:

            /* echo its code; answer an empty Close with an empty one */

            code = (ev.code == 1005) ? 0 : ev.code;

            conn->failed = 1;
            ngx_http_blockcast_client_close(conn, code, NULL);
            return NGX_DONE;

        default: /* BC_WS_TEXT, BC_WS_BINARY */

            if (conn->closing) {
                break;
            }

            if (conn->echo) {
                ngx_http_blockcast_ws_recv_echo(conn, &ev);

            } else if (ngx_http_blockcast_ws_recv_message(conn, ev.type,
                                                          ev.data, ev.len, 0)
                       == NGX_AGAIN)
            {
                return (pos != last)
                       ? ngx_http_blockcast_ws_recv_later(conn, pos, last)
                       : NGX_OK;
            }

            break;
        }

        /* flush now, so that a client that reads does not exceed its limit */

        if (conn->held > NGX_HTTP_BLOCKCAST_QUEUED
            && conn->connection->write->ready)
        {
            ngx_http_blockcast_ws_send_flush(conn);
        }
    }
}


/*
 * Handles a client's message.  Returns NGX_OK, or NGX_AGAIN when it has keys
 * whose form is not known yet: nothing was done, and the message waits for the
 * forms.  tried: see ngx_http_blockcast_key_form_gather().
 */

static ngx_int_t
ngx_http_blockcast_ws_recv_message(ngx_http_blockcast_conn_t *conn,
    unsigned type, const u_char *data, size_t len, uint64_t tried)
{
    ngx_http_blockcast_key_form_gather(tried);
    ngx_http_blockcast_commands_message(conn, type, data, len);

    if (ngx_http_blockcast_key_form_wanted() == 0 || conn->dead) {
        return NGX_OK;
    }

    if (ngx_http_blockcast_key_wait_message(conn, type, data, len, tried)
        == NGX_OK)
    {
        return NGX_AGAIN;
    }

    /* it cannot wait, as too many do: handle it now, which tells the client */

    ngx_http_blockcast_key_form_gather((uint64_t) -1);
    ngx_http_blockcast_commands_message(conn, type, data, len);

    return NGX_OK;
}


/*
 * Keeps a copy of the input from pos to last until earlier messages are
 * handled and their answers sent.  Returns NGX_OK, or NGX_DONE without memory:
 * the connection is dead then.
 *
 * Few clients ever need this, so the copies are kept in a tree by connection:
 * one more pointer in ngx_http_blockcast_conn_t would cost each client another
 * cache line.
 */

static ngx_int_t
ngx_http_blockcast_ws_recv_later(ngx_http_blockcast_conn_t *conn, u_char *pos,
    u_char *last)
{
    size_t                          len;
    ngx_http_blockcast_unparsed_t  *unparsed;

    len = last - pos;

    unparsed = ngx_alloc(offsetof(ngx_http_blockcast_unparsed_t, data) + len,
                         ngx_cycle->log);
    if (unparsed == NULL) {
        ngx_http_blockcast_client_dead(conn);
        return NGX_DONE;
    }

    if (ngx_http_blockcast_unparsed.root == NULL) {
        ngx_rbtree_init(&ngx_http_blockcast_unparsed,
                        &ngx_http_blockcast_unparsed_sentinel,
                        ngx_rbtree_insert_value);
    }

    ngx_memcpy(unparsed->data, pos, len);

    unparsed->len = len;
    unparsed->node.key = (ngx_rbtree_key_t) conn;

    ngx_rbtree_insert(&ngx_http_blockcast_unparsed, &unparsed->node);

    conn->unparsed = 1;
    conn->paused = 1;

    return NGX_OK;
}


/* Removes and returns the kept input (it must exist); the caller frees it. */

static ngx_http_blockcast_unparsed_t *
ngx_http_blockcast_ws_recv_take(ngx_http_blockcast_conn_t *conn)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    key = (ngx_rbtree_key_t) conn;
    node = ngx_http_blockcast_unparsed.root;

    while (node->key != key) {
        node = (key < node->key) ? node->left : node->right;
    }

    ngx_rbtree_delete(&ngx_http_blockcast_unparsed, node);

    conn->unparsed = 0;

    return (ngx_http_blockcast_unparsed_t *) node;
}


void
ngx_http_blockcast_ws_recv_end(ngx_http_blockcast_conn_t *conn)
{
    if (conn->unparsed) {
        ngx_free(ngx_http_blockcast_ws_recv_take(conn));
    }

    ngx_http_blockcast_key_wait_drop(conn);

    bc_ws_parser_free(&conn->in);
}


/*
 * Counts a message in a leaky bucket, as limit_req does.  Returns NGX_DONE
 * when there were too many and the client is being closed.  A long message
 * counts as several, because it takes longer to read.
 */

static ngx_int_t
ngx_http_blockcast_ws_recv_flood(ngx_http_blockcast_conn_t *conn, size_t len)
{
    uint32_t   now;
    uint64_t   gone;

    now = (uint32_t) ngx_current_msec;
    gone = (uint64_t) (uint32_t) (now - conn->counted) * conn->conf->rate;

    conn->counted = now;
    conn->excess = (gone >= conn->excess) ? 0 : conn->excess - gone;
    conn->excess += 1000 * (1 + ngx_min(len / NGX_HTTP_BLOCKCAST_LONG, 1000));

    if (conn->closing || conn->excess <= (conn->conf->burst + 1) * 1000) {
        return NGX_OK;
    }

    ngx_log_error(NGX_LOG_INFO, conn->connection->log, 0,
                  "WebSocket client sends more than %ui messages per second "
                  "(burst %ui)", conn->conf->rate, conn->conf->burst);

    conn->failed = 1;
    ngx_http_blockcast_client_close(conn, 1008, "too many messages");

    return NGX_DONE;
}


static void
ngx_http_blockcast_ws_recv_echo(ngx_http_blockcast_conn_t *conn,
    bc_ws_event_t *ev)
{
    size_t                       len;
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_frame_alloc(ev->len);
    if (frame == NULL) {
        ngx_http_blockcast_client_close(conn, 1011, "no memory");
        return;
    }

    /* echo a compressed message compressed, if that is smaller */

    if (ev->compressed
        && bc_ws_deflate(ev->data, ev->len, conn->bits, 1,
                         frame->data + frame->payload, ev->len, &len)
           == 0)
    {
        ngx_http_blockcast_frame_finish(frame, ev->type, len);
        frame->data[0] |= BC_WS_RSV1;

    } else {
        ngx_memcpy(frame->data + frame->payload, ev->data, ev->len);
        ngx_http_blockcast_frame_finish(frame, ev->type, ev->len);
    }

    ngx_http_blockcast_ws_send_queue(conn, frame);
}


static void
ngx_http_blockcast_ws_recv_pong(ngx_http_blockcast_conn_t *conn,
    const u_char *data, size_t len)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_http_blockcast_frame_alloc(len);
    if (frame == NULL) {
        ngx_http_blockcast_client_dead(conn);
        return;
    }

    if (len != 0) {
        ngx_memcpy(frame->data + frame->payload, data, len);
    }

    ngx_http_blockcast_frame_finish(frame, BC_WS_PONG, len);
    ngx_http_blockcast_ws_send_queue(conn, frame);
}
