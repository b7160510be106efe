
/*
 * The sending side of a WebSocket connection: frames of the fan-out are sent
 * at once if the socket takes them.  Otherwise, what waits is sent later in
 * one write.
 *
 * A send never closes a connection, see ngx_http_blockcast_client_dead().
 */


#include "ngx_http_blockcast_ws_send.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_encoding_cache.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_client.h"


/* max. queued frames in one write */
#define NGX_HTTP_BLOCKCAST_WRITE      64
/* a queue up to this is copied: send() is cheaper than writev() (bytes) */
#define NGX_HTTP_BLOCKCAST_COPY       1024
/* pending streams are queued up to this; the rest may be conflated (bytes) */
#define NGX_HTTP_BLOCKCAST_GATHER     65536

/*
 * When a turn has no time left, a queue longer than this waits for a later
 * one; a shorter one, such as an answer, is sent at once (bytes).
 */
#define NGX_HTTP_BLOCKCAST_WAITS      16384

/*
 * A client that reads fast takes any size from one call: it gets so much of a
 * long frame at a time, and the rest in this turn while that has time (bytes).
 */
#define NGX_HTTP_BLOCKCAST_PIECE      524288

/* max. frames in one write of the fan-out */
#define NGX_HTTP_BLOCKCAST_TOGETHER   16

/* what a queued frame costs in addition to its data: a pong has 2 (bytes) */
#define NGX_HTTP_BLOCKCAST_OUT        128

/*
 * That cost plus the unused memory that the frame holds: a frame made for one
 * client was allocated with room to spare, and a frame of a snapshot keeps the
 * whole snapshot in memory, which may be outdated by now.
 */
#define ngx_http_blockcast_ws_keeps(frame)                                    \
    (NGX_HTTP_BLOCKCAST_OUT                                                   \
     + ((frame)->size > (frame)->len ? (frame)->size - (frame)->len : 0))

/* how long the peer's input is discarded before we close (msec) */
#define NGX_HTTP_BLOCKCAST_LINGER_TIME  2000


static void ngx_http_blockcast_ws_send_queue_rest(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_frame_t *frame,
    size_t sent, ngx_uint_t answer);
static void ngx_http_blockcast_ws_send_overflow(
    ngx_http_blockcast_conn_t *conn);
static ngx_int_t ngx_http_blockcast_ws_send_append(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_frame_t *frame,
    size_t sent, ngx_uint_t answer);
static ngx_int_t ngx_http_blockcast_ws_send_gather(
    ngx_http_blockcast_conn_t *conn);
static ngx_int_t ngx_http_blockcast_ws_send_sent(
    ngx_http_blockcast_conn_t *conn);
static ssize_t ngx_http_blockcast_ws_send_write(
    ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_ws_send_push_all(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *due);
static ssize_t ngx_http_blockcast_ws_send_short(
    ngx_http_blockcast_conn_t *conn, ssize_t n);
static void ngx_http_blockcast_ws_send_ended(ngx_http_blockcast_conn_t *conn);
#if (NGX_SSL)
static ngx_int_t ngx_http_blockcast_ws_send_close_notify(ngx_connection_t *c);
#endif


static ngx_http_blockcast_sender_t  ngx_http_blockcast_ws_sender = {
    ngx_http_blockcast_ws_send_push,
    ngx_http_blockcast_ws_send_mark_pending,
    ngx_http_blockcast_ws_send_flush
};


#define ngx_http_blockcast_ws_send_count_frame(conn, frame)                   \
    do {                                                                      \
        (conn)->frames_out++;                                                 \
        ngx_http_blockcast_count(                                             \
            ngx_http_blockcast_n_frames + (frame)->variant, 1);               \
        ngx_http_blockcast_count(                                             \
            ngx_http_blockcast_n_bytes + (frame)->variant, (frame)->len);     \
    } while (0)


void
ngx_http_blockcast_ws_send_init(void)
{
    ngx_http_blockcast_fanout_register(NGX_HTTP_BLOCKCAST_WEBSOCKET,
                                       &ngx_http_blockcast_ws_sender);
}


void
ngx_http_blockcast_ws_send_queue(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_frame_t *frame)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = conn->connection;

    if (conn->out != NULL || conn->busy || conn->dead || conn->lingering
        || !c->write->ready)
    {
        ngx_http_blockcast_ws_send_queue_rest(conn, frame, 0, 1);
        return;
    }

    n = c->send(c, frame->data, frame->len);

    if (n == NGX_ERROR) {
        ngx_http_blockcast_frame_free(frame);
        ngx_http_blockcast_client_dead(conn);
        return;
    }

    if (n == (ssize_t) frame->len && !conn->closing) {
        ngx_http_blockcast_ws_send_count_frame(conn, frame);
        ngx_http_blockcast_frame_free(frame);
        return;
    }

    ngx_http_blockcast_ws_send_queue_rest(conn, frame, n > 0 ? n : 0, 1);
}


/*
 * Queues a frame whose first `sent` bytes have been sent already, and takes
 * over the caller's reference.  answer: the frame belongs to no stream and
 * counts towards blockcast_max_queue.
 */

static void
ngx_http_blockcast_ws_send_queue_rest(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_frame_t *frame, size_t sent, ngx_uint_t answer)
{
    size_t     size;
    ngx_int_t  rc;

    if (conn->dead || conn->lingering) {
        ngx_http_blockcast_frame_free(frame);
        return;
    }

    size = conn->held + frame->len + ngx_http_blockcast_ws_keeps(frame);

    if (answer && size > conn->conf->max_queue
        && conn->connection->write->ready)
    {
        /* the queue waits for a later turn, not for the client: send it now */

        do {
            rc = ngx_http_blockcast_ws_send_sent(conn);
        } while (rc == NGX_BUSY);

        if (rc == NGX_ERROR) {
            ngx_http_blockcast_frame_free(frame);
            ngx_http_blockcast_client_dead(conn);
            return;
        }

        size = conn->held + frame->len + ngx_http_blockcast_ws_keeps(frame);
    }

    /* a single answer may exceed the limit; a Close frame is always queued */

    if (answer && conn->held != 0 && !conn->closing
        && size > conn->conf->max_queue)
    {
        ngx_http_blockcast_frame_free(frame);
        ngx_http_blockcast_ws_send_overflow(conn);
        return;
    }

    if (ngx_http_blockcast_ws_send_append(conn, frame, sent,
                                          answer) != NGX_OK) {
        ngx_http_blockcast_client_dead(conn);
        return;
    }

    if (!conn->busy && conn->out->next == NULL) {
        ngx_http_blockcast_ws_send_flush(conn);
    }
}


/*
 * Closes a client that sends commands but does not read the answers.  Frees
 * the queue, except for its first frame if that one must be sent: a part of it
 * was sent, TLS may have encrypted it, or it is the response head.
 */

static void
ngx_http_blockcast_ws_send_overflow(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_ws_out_t  *out, *next;

    ngx_log_error(NGX_LOG_INFO, conn->connection->log, 0,
                  "WebSocket client does not read: %uD bytes of answers wait, "
                  "blockcast_max_queue is %uz", conn->held,
                  conn->conf->max_queue);

    ngx_http_blockcast_count(ngx_http_blockcast_n_overflows, 1);

    out = conn->out;
    next = out;

    if (out != NULL
        && (out->sent != 0 || ngx_http_blockcast_tls(conn->connection)
            || out->frame->variant == NGX_HTTP_BLOCKCAST_FRAME_HEAD))
    {
        next = out->next;
        out->next = NULL;
        conn->last = &out->next;

    } else {
        conn->out = NULL;
        conn->last = &conn->out;
    }

    while (next != NULL) {
        out = next;
        next = out->next;

        conn->queued -= out->frame->len - out->sent
                        + ngx_http_blockcast_ws_keeps(out->frame);
        conn->held -= out->held;

        ngx_http_blockcast_frame_free(out->frame);
        ngx_free(out);
    }

    conn->failed = 1;
    ngx_http_blockcast_client_close(conn, 1008, "the answers are not read");
}


/*
 * Appends a frame to the queue and takes over the caller's reference, even
 * when it returns NGX_ERROR (no memory).
 */

static ngx_int_t
ngx_http_blockcast_ws_send_append(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_frame_t *frame, size_t sent, ngx_uint_t answer)
{
    size_t                        size;
    ngx_http_blockcast_ws_out_t  *out;

    out = ngx_alloc(sizeof(ngx_http_blockcast_ws_out_t), ngx_cycle->log);

    if (out == NULL) {
        ngx_http_blockcast_frame_free(frame);
        return NGX_ERROR;
    }

    size = frame->len + ngx_http_blockcast_ws_keeps(frame);

    out->next = NULL;
    out->frame = frame;
    out->sent = sent;
    out->held = answer ? size : 0;

    *conn->last = out;
    conn->last = &out->next;
    conn->queued += size - sent;
    conn->held += out->held;

    return NGX_OK;
}


/*
 * Queues frames of pending streams, until NGX_HTTP_BLOCKCAST_GATHER bytes are
 * queued or this turn has no time left.  Returns NGX_ERROR without memory.
 */

static ngx_int_t
ngx_http_blockcast_ws_send_gather(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_sub_t    *sub;
    ngx_http_blockcast_frame_t  *frame;

    while (conn->queued < NGX_HTTP_BLOCKCAST_GATHER
           && !ngx_http_blockcast_fanout_spent())
    {
        frame = ngx_http_blockcast_client_next_frame(conn, &sub);

        if (frame == NULL) {
            break;
        }

        if (ngx_http_blockcast_ws_send_append(conn, frame, 0, 0) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    return NGX_OK;
}


/*
 * Sends the queue.  Returns NGX_OK: the queue is empty; NGX_AGAIN: the socket
 * is full; NGX_BUSY: the rest has to wait for another turn; NGX_ERROR: the
 * connection failed.
 */

static ngx_int_t
ngx_http_blockcast_ws_send_sent(ngx_http_blockcast_conn_t *conn)
{
    ssize_t                       n;
    size_t                        rest, sent;
    ngx_connection_t             *c;
    ngx_http_blockcast_ws_out_t  *out;

    c = conn->connection;
    sent = 0;

    while (conn->out != NULL) {

        if (!c->write->ready) {
            return NGX_AGAIN;
        }

        out = conn->out;

        if (sent >= NGX_HTTP_BLOCKCAST_PIECE
            && ngx_http_blockcast_fanout_spent())
        {
            return NGX_BUSY;
        }

        if (out->sent == out->frame->len) {

            /* all of it had been sent before it was queued */

            n = 0;

        } else if (out->next == NULL || ngx_http_blockcast_tls(c)) {
            n = c->send(c, out->frame->data + out->sent,
                        ngx_min(out->frame->len - out->sent,
                                NGX_HTTP_BLOCKCAST_PIECE));

        } else {
            n = ngx_http_blockcast_ws_send_write(conn);
        }

        if (n == NGX_ERROR) {
            return NGX_ERROR;
        }

        if (n == NGX_AGAIN) {
            return NGX_AGAIN;
        }

        if (c->write->timer_set) {
            ngx_del_timer(c->write);
        }

        conn->queued -= n;
        sent += n;

        for (out = conn->out; out != NULL; out = conn->out) {

            rest = out->frame->len - out->sent;

            if ((size_t) n < rest) {
                out->sent += n;
                break;
            }

            n -= rest;

            conn->out = out->next;

            if (conn->out == NULL) {
                conn->last = &conn->out;
            }

            conn->queued -= ngx_http_blockcast_ws_keeps(out->frame);
            conn->held -= out->held;

            if (out->frame->variant != NGX_HTTP_BLOCKCAST_FRAME_HEAD) {
                ngx_http_blockcast_ws_send_count_frame(conn, out->frame);
            }

            ngx_http_blockcast_frame_free(out->frame);
            ngx_free(out);
        }
    }

    return NGX_OK;
}


/*
 * Sends several queued frames with one system call.  Returns what c->send()
 * returns.
 */

static ssize_t
ngx_http_blockcast_ws_send_write(ngx_http_blockcast_conn_t *conn)
{
    off_t                         sent;
    size_t                        len;
    u_char                        copy[NGX_HTTP_BLOCKCAST_COPY], *p;
    ngx_buf_t                     bufs[NGX_HTTP_BLOCKCAST_WRITE];
    ngx_uint_t                    i;
    ngx_chain_t                   chain[NGX_HTTP_BLOCKCAST_WRITE], *rest;
    ngx_connection_t             *c;
    ngx_http_blockcast_ws_out_t  *out;

    c = conn->connection;
    p = copy;

    for (out = conn->out; out != NULL; out = out->next) {

        len = out->frame->len - out->sent;

        if (len > (size_t) (copy + NGX_HTTP_BLOCKCAST_COPY - p)) {
            break;
        }

        p = ngx_cpymem(p, out->frame->data + out->sent, len);
    }

    if (out == NULL) {
        return c->send(c, copy, p - copy);
    }

    for (i = 0, out = conn->out;
         i < NGX_HTTP_BLOCKCAST_WRITE && out != NULL;
         i++, out = out->next)
    {
        ngx_memzero(&bufs[i], sizeof(ngx_buf_t));

        bufs[i].memory = 1;
        bufs[i].pos = out->frame->data + out->sent;
        bufs[i].last = out->frame->data + out->frame->len;

        chain[i].buf = &bufs[i];
        chain[i].next = NULL;

        if (i != 0) {
            chain[i - 1].next = &chain[i];
        }
    }

    sent = c->sent;

    rest = c->send_chain(c, chain, NGX_HTTP_BLOCKCAST_PIECE);

    if (rest == NGX_CHAIN_ERROR) {
        return NGX_ERROR;
    }

    if (c->sent == sent) {
        return NGX_AGAIN;
    }

    return (ssize_t) (c->sent - sent);
}


void
ngx_http_blockcast_ws_send_flush(ngx_http_blockcast_conn_t *conn)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    if (conn->dead || conn->lingering) {
        return;
    }

    c = conn->connection;

    for ( ;; ) {

        /* take frames only once they can be sent: then they are the newest */

        if (conn->npending != 0 && !conn->closing && c->write->ready
            && ngx_http_blockcast_ws_send_gather(conn) != NGX_OK)
        {
            ngx_http_blockcast_client_dead(conn);
            return;
        }

        if (conn->out == NULL) {

            if (conn->npending == 0 || conn->closing) {
                break;
            }

            if (c->write->ready) {

                /* the client is ready, but this turn has no time left */

                ngx_http_blockcast_fanout_later(c->write);
                return;
            }

            rc = NGX_AGAIN;

        } else if (c->write->ready
                   && conn->queued > NGX_HTTP_BLOCKCAST_WAITS
                   && ngx_http_blockcast_fanout_spent())
        {
            /* many sockets became writable at once: no time is left */

            ngx_http_blockcast_fanout_later(c->write);
            return;

        } else {
            rc = ngx_http_blockcast_ws_send_sent(conn);
        }

        if (rc == NGX_ERROR) {
            ngx_http_blockcast_client_dead(conn);
            return;
        }

        if (rc == NGX_BUSY) {
            ngx_http_blockcast_fanout_later(c->write);
            return;
        }

        if (rc == NGX_AGAIN) {

            if (conn->unparsed && !conn->forming) {

                /* the client is slow: no longer keep its input back */

                ngx_post_event(c->read, &ngx_posted_events);
            }

            if (!c->write->timer_set) {
                ngx_add_timer(c->write, conn->conf->send_timeout);
            }

            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_http_blockcast_client_dead(conn);
            }

            return;
        }
    }

    if (conn->closing && conn->failed) {
        ngx_http_blockcast_ws_send_ended(conn);
    }

    if (conn->paused) {
        conn->paused = 0;
        ngx_post_event(c->read, &ngx_posted_events);
    }
}


/*
 * Ends a connection after everything was sent: shuts down our side, then
 * discards the peer's input for a bounded time, so that the peer receives our
 * Close.
 */

static void
ngx_http_blockcast_ws_send_ended(ngx_http_blockcast_conn_t *conn)
{
#if (NGX_SSL)
    ngx_int_t          rc;
#endif
    ngx_connection_t  *c;

    c = conn->connection;

#if (NGX_SSL)

    if (c->ssl != NULL) {
        rc = ngx_http_blockcast_ws_send_close_notify(c);

        if (rc == NGX_AGAIN) {

            /* called again when the socket is writable */

            return;
        }

        if (rc == NGX_ERROR) {
            ngx_http_blockcast_client_dead(conn);
            return;
        }
    }

#endif

    conn->lingering = 1;

    if (ngx_shutdown_socket(c->fd, NGX_WRITE_SHUTDOWN) == -1) {
        ngx_http_blockcast_client_dead(conn);
        return;
    }

    ngx_add_timer(c->read, ngx_exiting ? NGX_HTTP_BLOCKCAST_LINGER_TIME / 4
                                       : NGX_HTTP_BLOCKCAST_LINGER_TIME);
}


#if (NGX_SSL)

/*
 * Sends TLS's close_notify.  From then on input is not decrypted, because it
 * is only discarded.  Returns NGX_OK, NGX_AGAIN (the socket is full) or
 * NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_ws_send_close_notify(ngx_connection_t *c)
{
    ngx_int_t             rc;
    ngx_event_handler_pt  read, write;

    read = c->read->handler;
    write = c->write->handler;

    c->ssl->no_wait_shutdown = 1;
    c->ssl->shutdown_without_free = 1;

    rc = ngx_ssl_shutdown(c);

    /* ngx_ssl_shutdown() may have installed its own handlers */

    c->read->handler = read;
    c->write->handler = write;
    c->recv = ngx_recv;

    return rc;
}

#endif


void
ngx_http_blockcast_ws_send_mark_pending(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_client_set_pending(conn, sub);

    if (conn->out == NULL && conn->npending == 1) {
        ngx_http_blockcast_ws_send_flush(conn);
    }
}


void
ngx_http_blockcast_ws_send_push(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, uint64_t seq)
{
    size_t                       len;
    ssize_t                      n;
    ngx_connection_t            *c;
    ngx_http_blockcast_frame_t  *frame;

    if (conn->dead || conn->closing) {
        return;
    }

    if (conn->out != NULL || conn->npending != 0
        || (!conn->direct && !conn->connection->write->ready))
    {
        /* the client is slow: its next frame will be the newest by then */

        if (sub->pending && sub->hub->stream->field.len == 0) {
            ngx_http_blockcast_count(ngx_http_blockcast_n_conflated, 1);
        }

        ngx_http_blockcast_ws_send_mark_pending(conn, sub);
        return;
    }

    if (ngx_http_blockcast_encoding_cache_former(sub->hub, conn, sub)) {
        ngx_http_blockcast_ws_send_mark_pending(conn, sub);
        return;
    }

    if (ngx_http_blockcast_fanout_nwalking > 1
        && conn->direct && conn->nsubs > 1
        && sub->hub->newest->len <= NGX_HTTP_BLOCKCAST_PIECE)
    {
        ngx_http_blockcast_ws_send_push_all(conn, sub);
        return;
    }

    frame = ngx_http_blockcast_encoding_cache_frame(sub->hub, conn, sub);

    if (frame == NULL) {
        return;
    }

    /*
     * With thousands of clients, none is in the CPU caches.  c->send() would
     * touch the connection, its event and its log; send() needs only conn.
     */

    len = ngx_min(frame->len, NGX_HTTP_BLOCKCAST_PIECE);

    if (conn->direct) {
        n = send(conn->fd, frame->data, len, 0);

        if (n == (ssize_t) frame->len) {
            conn->sent += n;
            goto done;
        }

        if (n == (ssize_t) len) {

            /* the socket takes more: the rest is queued, and sent from there */

            conn->sent += n;

        } else {
            n = ngx_http_blockcast_ws_send_short(conn, n);
        }

    } else {
        c = conn->connection;
        n = c->send(c, frame->data, len);

        if (n == (ssize_t) frame->len) {
            goto done;
        }
    }

    if (n == NGX_ERROR) {
        ngx_http_blockcast_client_dead(conn);
        return;
    }

    if (n == NGX_AGAIN && conn->direct) {
        ngx_http_blockcast_ws_send_mark_pending(conn, sub);
        return;
    }

    /* after NGX_AGAIN, OpenSSL has encrypted it: it must be sent next */

    sub->seq = seq;
    sub->hub->delivered++;
    frame->refs++;

    ngx_http_blockcast_ws_send_queue_rest(conn, frame, n > 0 ? n : 0, 0);
    return;

done:

    sub->seq = seq;
    sub->hub->delivered++;
    ngx_http_blockcast_ws_send_count_frame(conn, frame);

    if (sub->last_status != sub->hub->freshness) {
        ngx_http_blockcast_ws_send_mark_pending(conn, sub);
    }
}


/*
 * Sends the newest frames of all streams of a client with one write, when
 * several streams are being fanned out: this costs the kernel little more than
 * one frame.  The stream whose turn it is, `due`, comes first; streams that do
 * not fit are sent in their own turns.
 */

static void
ngx_http_blockcast_ws_send_push_all(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *due)
{
    size_t                       size, rest;
    ssize_t                      n;
    ngx_uint_t                   i, whole, nframes;
    struct iovec                 iov[NGX_HTTP_BLOCKCAST_TOGETHER];
    ngx_http_blockcast_sub_t    *sub, *subs[NGX_HTTP_BLOCKCAST_TOGETHER];
    ngx_http_blockcast_frame_t  *frame, *frames[NGX_HTTP_BLOCKCAST_TOGETHER];

    nframes = 0;
    size = 0;

    for (i = 0;
         i <= conn->nsubs && nframes < NGX_HTTP_BLOCKCAST_TOGETHER
         && size < NGX_HTTP_BLOCKCAST_GATHER;
         i++)
    {
        sub = (i == 0) ? due : &conn->subs[i - 1];

        if ((i != 0 && sub == due)
            || sub->hub->newest == NULL
            || !ngx_http_blockcast_hub_follows(sub, sub->hub->snap.seq))
        {
            continue;
        }

        frame = ngx_http_blockcast_encoding_cache_frame(sub->hub, conn, sub);

        if (frame == NULL
            || (i != 0 && frame->len > NGX_HTTP_BLOCKCAST_PIECE))
        {
            continue;
        }

        subs[nframes] = sub;
        frames[nframes] = frame;
        iov[nframes].iov_base = (void *) frame->data;
        iov[nframes].iov_len = frame->len;

        size += frame->len;
        nframes++;
    }

    if (nframes == 0) {
        return;
    }

    ngx_log_debug2(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, 0,
                   "blockcast: %ui frames, %uz bytes, in one write",
                   nframes, size);

    n = (nframes == 1) ? send(conn->fd, iov[0].iov_base, size, 0)
                       : writev(conn->fd, iov, (int) nframes);

    if (n == (ssize_t) size) {
        conn->sent += n;

    } else {
        n = ngx_http_blockcast_ws_send_short(conn, n);

        if (n == NGX_ERROR) {
            ngx_http_blockcast_client_dead(conn);
            return;
        }
    }

    rest = (n > 0) ? (size_t) n : 0;

    for (whole = 0; whole < nframes; whole++) {

        if (rest < frames[whole]->len) {
            break;
        }

        rest -= frames[whole]->len;

        subs[whole]->seq = subs[whole]->hub->snap.seq;
        subs[whole]->hub->delivered++;
        ngx_http_blockcast_ws_send_count_frame(conn, frames[whole]);
    }

    i = whole;

    if (rest != 0) {

        /* this frame was sent in part: its rest must be sent next */

        subs[i]->seq = subs[i]->hub->snap.seq;
        subs[i]->hub->delivered++;
        frames[i]->refs++;

        ngx_http_blockcast_ws_send_queue_rest(conn, frames[i], rest, 0);
        i++;
    }

    for ( /* void */ ; i < nframes; i++) {
        ngx_http_blockcast_ws_send_mark_pending(conn, subs[i]);
    }

    for (i = 0; i < whole; i++) {
        if (subs[i]->last_status != subs[i]->hub->freshness) {
            ngx_http_blockcast_ws_send_mark_pending(conn, subs[i]);
        }
    }
}


/*
 * Handles the result of a send() that did not send everything.  Returns what
 * c->send() returns.
 */

static ssize_t
ngx_http_blockcast_ws_send_short(ngx_http_blockcast_conn_t *conn, ssize_t n)
{
    ngx_err_t          err;
    ngx_connection_t  *c;

    err = (n == -1) ? ngx_socket_errno : 0;
    c = conn->connection;

    if (n > 0) {
        conn->sent += n;
        c->write->ready = 0;
        return n;
    }

    if (n == 0 || err == NGX_EAGAIN || err == NGX_EINTR) {
        c->write->ready = (err == NGX_EINTR);
        return NGX_AGAIN;
    }

    c->write->error = 1;
    (void) ngx_connection_error(c, err, "send() failed");

    return NGX_ERROR;
}
