
/*
 * A head's connection: TCP, TLS, the handshake, and frames both ways.
 *
 * The node may be anything: what it sends is bounded (the head of its answer,
 * a message by the node's max_reply), and so is what waits to be sent.  The
 * lines of nginx itself on such a connection are left out of the log, for the
 * reason is in one of ours.
 */


#include "ngx_http_blockcast_head_link.h"
#include "ngx_http_blockcast.h"

#include <ngx_sha1.h>
#include <sys/random.h>


/* bytes read in one go, and how often before other events have their turn */
#define NGX_HTTP_BLOCKCAST_HEAD_LINK_READ    16384
#define NGX_HTTP_BLOCKCAST_HEAD_LINK_TURNS   16

/* what may wait for a node that does not read (bytes) */
#define NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE   65536

/* frames of one message */
#define NGX_HTTP_BLOCKCAST_HEAD_LINK_FRAMES  4096

#define NGX_HTTP_BLOCKCAST_HEAD_LINK_KEY     24


static void ngx_http_blockcast_head_link_connected(ngx_event_t *ev);
#if (NGX_SSL)
static ngx_int_t ngx_http_blockcast_head_link_tls(
    ngx_http_blockcast_head_link_t *link);
static void ngx_http_blockcast_head_link_secured(ngx_connection_t *c);
#endif
static void ngx_http_blockcast_head_link_ask(
    ngx_http_blockcast_head_link_t *link);
static void ngx_http_blockcast_head_link_readable(ngx_event_t *ev);
static void ngx_http_blockcast_head_link_writable(ngx_event_t *ev);
static void ngx_http_blockcast_head_link_timer(ngx_event_t *ev);
static void ngx_http_blockcast_head_link_wait(
    ngx_http_blockcast_head_link_t *link, ngx_msec_t msec);
static ngx_int_t ngx_http_blockcast_head_link_answer(
    ngx_http_blockcast_head_link_t *link, u_char **pos, u_char *last);
static ngx_int_t ngx_http_blockcast_head_link_frames(
    ngx_http_blockcast_head_link_t *link, u_char **pos, u_char *last);
static ngx_int_t ngx_http_blockcast_head_link_frame(
    ngx_http_blockcast_head_link_t *link, int opcode, const u_char *data,
    size_t len);
static ngx_int_t ngx_http_blockcast_head_link_room(
    ngx_http_blockcast_head_link_t *link, size_t len);
static ngx_int_t ngx_http_blockcast_head_link_flush(
    ngx_http_blockcast_head_link_t *link);
static void ngx_http_blockcast_head_link_goodbye(
    ngx_http_blockcast_head_link_t *link, ngx_uint_t code,
    const char *reason);
static void ngx_http_blockcast_head_link_release(
    ngx_http_blockcast_head_link_t *link);
static void ngx_http_blockcast_head_link_random(u_char *p, size_t len);


void
ngx_http_blockcast_head_link_init(ngx_http_blockcast_head_link_t *link)
{
    link->limits.max_message = link->head->node->max_reply;
    link->limits.max_fragments = NGX_HTTP_BLOCKCAST_HEAD_LINK_FRAMES;

    link->timer.handler = ngx_http_blockcast_head_link_timer;
    link->timer.data = link;
    link->timer.log = ngx_cycle->log;
    link->timer.cancelable = 1;

    link->address = (ngx_uint_t) ngx_random() % link->head->naddrs;
}


void
ngx_http_blockcast_head_link_open(ngx_http_blockcast_head_link_t *link)
{
    ngx_int_t           rc;
    ngx_addr_t         *addr;
    ngx_connection_t   *c;

    link->handshaken = 0;
    link->pinged = 0;
    link->closing = 0;
    link->answered = 0;
    link->pos = 0;
    link->last = 0;
    link->number++;

    bc_ws_parser_init(&link->in, &link->limits, NULL, 1);

    link->log = *ngx_cycle->log;

    if (link->log.log_level <= NGX_LOG_INFO) {
        link->log.log_level = ngx_min(link->log.log_level, NGX_LOG_ALERT);
    }

    addr = &link->head->addrs[link->address++ % link->head->naddrs];

    ngx_memzero(&link->peer, sizeof(ngx_peer_connection_t));

    link->peer.sockaddr = addr->sockaddr;
    link->peer.socklen = addr->socklen;
    link->peer.name = &link->head->peer;
    link->peer.get = ngx_event_get_peer;
    link->peer.log = &link->log;
    link->peer.log_error = NGX_ERROR_ERR;

    /* the timer bounds the whole handshake, and reports a failure at once */

    rc = ngx_event_connect_peer(&link->peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {

        if (link->peer.connection != NULL) {
            ngx_close_connection(link->peer.connection);
            link->peer.connection = NULL;
        }

        ngx_http_blockcast_head_link_wait(link, 1);
        return;
    }

    c = link->peer.connection;

    c->data = link;
    c->idle = 1;
    c->pool = ngx_create_pool(1024, ngx_cycle->log);
    c->log = &link->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_blockcast_head_link_connected;
    c->write->handler = ngx_http_blockcast_head_link_connected;

    ngx_http_blockcast_head_link_wait(link, link->head->timeout);

    if (c->pool == NULL) {
        ngx_close_connection(c);
        link->peer.connection = NULL;
        ngx_http_blockcast_head_link_wait(link, 1);
        return;
    }

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* The connection is there, or has failed. */

static void
ngx_http_blockcast_head_link_connected(ngx_event_t *ev)
{
    int                              err;
    socklen_t                        len;
    ngx_connection_t                *c;
    ngx_http_blockcast_head_link_t  *link;

    c = ev->data;
    link = c->data;

    if (c->close) {
        ngx_http_blockcast_head_link_close(link, 0);
        return;
    }

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err != 0) {
        ngx_http_blockcast_head_link_fail(link, "it cannot be reached (%s)",
                                          strerror(err));
        return;
    }

    if (!ev->write && !c->write->ready) {

        /* nothing can have come before we are connected */
        return;
    }

    c->read->handler = ngx_http_blockcast_head_link_readable;
    c->write->handler = ngx_http_blockcast_head_link_writable;

    (void) ngx_tcp_nodelay(c);

#if (NGX_SSL)

    if (link->head->ssl != NULL) {
        if (ngx_http_blockcast_head_link_tls(link) != NGX_OK) {
            ngx_http_blockcast_head_link_fail(link, "no memory for TLS");
        }

        return;
    }

#endif

    ngx_http_blockcast_head_link_ask(link);
}


#if (NGX_SSL)

static ngx_int_t
ngx_http_blockcast_head_link_tls(ngx_http_blockcast_head_link_t *link)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = link->peer.connection;

    if (ngx_ssl_create_connection(link->head->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

#ifdef SSL_CTRL_SET_TLSEXT_HOSTNAME

    if (SSL_set_tlsext_host_name(c->ssl->connection,
                                 (char *) link->head->name.data)
        == 0)
    {
        return NGX_ERROR;
    }

#endif

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_http_blockcast_head_link_secured;
        return NGX_OK;
    }

    ngx_http_blockcast_head_link_secured(c);

    return NGX_OK;
}


/* TLS is there, or has failed: the certificate is checked in any case. */

static void
ngx_http_blockcast_head_link_secured(ngx_connection_t *c)
{
    long                             rc;
    ngx_http_blockcast_head_link_t  *link;

    link = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_blockcast_head_link_fail(link, "the TLS handshake failed");
        return;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_http_blockcast_head_link_fail(
                                    link, "its certificate is not valid: %s",
                                    X509_verify_cert_error_string(rc));
        return;
    }

    if (ngx_ssl_check_host(c, &link->head->name) != NGX_OK) {
        ngx_http_blockcast_head_link_fail(
                                    link, "its certificate is not for \"%V\"",
                                    &link->head->name);
        return;
    }

    c->read->handler = ngx_http_blockcast_head_link_readable;
    c->write->handler = ngx_http_blockcast_head_link_writable;

    ngx_http_blockcast_head_link_ask(link);
}

#endif


/* Sends the handshake. */

static void
ngx_http_blockcast_head_link_ask(ngx_http_blockcast_head_link_t *link)
{
    u_char                     *p, key[32], sha[20], bytes[16];
    size_t                      len;
    ngx_str_t                   src, dst;
    ngx_sha1_t                  sha1;
    ngx_http_blockcast_head_t  *head;

    head = link->head;

    ngx_http_blockcast_head_link_random(bytes, sizeof(bytes));

    src.data = bytes;
    src.len = sizeof(bytes);
    dst.data = key;
    ngx_encode_base64(&dst, &src);

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key, NGX_HTTP_BLOCKCAST_HEAD_LINK_KEY);
    ngx_sha1_update(&sha1, "258EAFA5-E914-47DA-95CA-C5AB0DC85B11", 36);
    ngx_sha1_final(sha, &sha1);

    src.data = sha;
    src.len = sizeof(sha);
    dst.data = link->accept;
    ngx_encode_base64(&dst, &src);

    len = 256 + head->uri.len + head->host.len + head->authorization.len
          + sizeof(NGX_HTTP_BLOCKCAST_VERSION);

    if (ngx_http_blockcast_head_link_room(link, len) != NGX_OK) {
        return;
    }

    p = ngx_sprintf(link->out + link->last,
                    "GET %V HTTP/1.1\r\n"
                    "Host: %V\r\n"
                    "Upgrade: websocket\r\n"
                    "Connection: Upgrade\r\n"
                    "Sec-WebSocket-Version: 13\r\n"
                    "Sec-WebSocket-Key: %*s\r\n"
                    "User-Agent: blockcast/" NGX_HTTP_BLOCKCAST_VERSION "\r\n",
                    &head->uri, &head->host,
                    (size_t) NGX_HTTP_BLOCKCAST_HEAD_LINK_KEY, key);

    if (head->authorization.len != 0) {
        p = ngx_sprintf(p, "Authorization: %V\r\n", &head->authorization);
    }

    *p++ = '\r';
    *p++ = '\n';

    link->last = p - link->out;

    if (ngx_http_blockcast_head_link_flush(link) == NGX_OK
        && link->peer.connection->read->ready)
    {
        /* TLS may have read more than its handshake */

        ngx_post_event(link->peer.connection->read, &ngx_posted_events);
    }
}


static void
ngx_http_blockcast_head_link_readable(ngx_event_t *ev)
{
    u_char                          *pos, *last;
    ssize_t                          n;
    uint64_t                         number;
    ngx_uint_t                       turns;
    ngx_connection_t                *c;
    ngx_http_blockcast_head_link_t  *link;
    u_char                           buf[NGX_HTTP_BLOCKCAST_HEAD_LINK_READ];

    c = ev->data;
    link = c->data;

    if (c->close) {
        ngx_http_blockcast_head_link_close(link, 1001);
        return;
    }

    number = link->number;

    for (turns = 0; ev->ready; turns++) {

        if (turns == NGX_HTTP_BLOCKCAST_HEAD_LINK_TURNS) {

            /* a node that floods: the clients have their turn */

            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_http_blockcast_head_link_fail(
                            link, link->handshaken
                            ? "the node closed the connection without a word"
                            : "the node closed the connection instead of "
                              "answering the handshake");
            return;
        }

        if (link->pinged) {

            /* any byte shows that the node is alive */

            link->pinged = 0;
            ngx_http_blockcast_head_link_wait(link, link->head->ping);
        }

        pos = buf;
        last = buf + n;

        if (!link->handshaken
            && ngx_http_blockcast_head_link_answer(link, &pos, last)
               != NGX_OK)
        {
            return;
        }

        /* a callback may have closed this connection, or made another one */

        if (link->number != number || link->peer.connection != c) {
            return;
        }

        if (link->handshaken
            && ngx_http_blockcast_head_link_frames(link, &pos, last) != NGX_OK)
        {
            return;
        }
    }

    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_http_blockcast_head_link_fail(link, "no memory for its events");
    }
}


/* Takes the answer to the handshake; NGX_ERROR: the link is closed. */

static ngx_int_t
ngx_http_blockcast_head_link_answer(ngx_http_blockcast_head_link_t *link,
    u_char **pos, u_char *last)
{
    int                     rc;
    size_t                  n, before;
    bc_ws_client_answer_t   answer;

    if (link->answer == NULL) {
        link->answer = ngx_alloc(BC_WS_CLIENT_HEAD, ngx_cycle->log);

        if (link->answer == NULL) {
            ngx_http_blockcast_head_link_fail(link, "no memory");
            return NGX_ERROR;
        }
    }

    before = link->answered;
    n = ngx_min((size_t) (last - *pos), BC_WS_CLIENT_HEAD - before);

    ngx_memcpy(link->answer + before, *pos, n);
    link->answered += n;

    rc = bc_ws_client_answer(link->answer, link->answered,
                             (char *) link->accept, &answer);

    if (rc == BC_WS_CLIENT_AGAIN) {
        *pos = last;
        return NGX_OK;
    }

    if (rc == BC_WS_CLIENT_FAIL) {
        ngx_http_blockcast_head_link_fail(link, "%s", answer.reason);
        return NGX_ERROR;
    }

    /* frames may follow the head at once */

    *pos += answer.len - before;

    ngx_free(link->answer);
    link->answer = NULL;
    link->handshaken = 1;

    ngx_http_blockcast_head_link_wait(link, link->head->ping);

    link->open(link);

    return NGX_OK;
}


/* Takes frames; NGX_ERROR: the link is closed. */

static ngx_int_t
ngx_http_blockcast_head_link_frames(ngx_http_blockcast_head_link_t *link,
    u_char **pos, u_char *last)
{
    int             rc;
    uint64_t        number;
    ngx_str_t       text;
    bc_ws_event_t   ev;

    number = link->number;

    for ( ;; ) {
        rc = bc_ws_parser_feed(&link->in, pos, last, &ev);

        if (rc == BC_WS_AGAIN) {
            return NGX_OK;
        }

        if (rc == BC_WS_FAIL) {
            ngx_http_blockcast_head_link_goodbye(link, ev.code, ev.reason);
            ngx_http_blockcast_head_link_fail(link, "%s (closed with %ui)",
                                              ev.reason,
                                              (ngx_uint_t) ev.code);
            return NGX_ERROR;
        }

        switch (ev.type) {

        case BC_WS_PING:

            /* of a node that does not read only the newest would be due */

            if (link->last - link->pos < NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE / 2
                && ngx_http_blockcast_head_link_frame(link, BC_WS_PONG,
                                                      ev.data, ev.len)
                   != NGX_OK)
            {
                return NGX_ERROR;
            }

            break;

        case BC_WS_PONG:
            break;

        case BC_WS_CLOSE:
            ngx_http_blockcast_head_link_goodbye(link, ev.code, NULL);
            ngx_http_blockcast_head_link_fail(
                            link, ev.len ? "the node closed it with %ui: %*s"
                                         : "the node closed it with %ui",
                            (ngx_uint_t) ev.code, ev.len, ev.data);
            return NGX_ERROR;

        default:
            text.data = (u_char *) ev.data;
            text.len = ev.len;

            link->message(link, ev.type, &text);

            if (link->number != number || link->peer.connection == NULL) {
                return NGX_ERROR;
            }
        }
    }
}


/* The time for the handshake is over, a ping is due, or its answer was. */

static void
ngx_http_blockcast_head_link_timer(ngx_event_t *ev)
{
    ngx_http_blockcast_head_link_t  *link;

    link = ev->data;

    if (link->peer.connection == NULL) {
        ngx_http_blockcast_head_link_fail(link, "it cannot be reached");
        return;
    }

    if (!link->handshaken) {
        ngx_http_blockcast_head_link_fail(
                            link, "no answer to the handshake within %M ms",
                            link->head->timeout);
        return;
    }

    if (link->pinged) {
        ngx_http_blockcast_head_link_fail(link, "no answer to a ping within "
                                          "%M ms", link->head->timeout);
        return;
    }

    link->pinged = 1;
    ngx_http_blockcast_head_link_wait(link, link->head->timeout);

    (void) ngx_http_blockcast_head_link_frame(link, BC_WS_PING,
                                              (u_char *) "", 0);
}


/* Sets the timer anew; nginx itself would leave it for less than 300 ms. */

static void
ngx_http_blockcast_head_link_wait(ngx_http_blockcast_head_link_t *link,
    ngx_msec_t msec)
{
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    ngx_add_timer(&link->timer, msec);
}


static void
ngx_http_blockcast_head_link_writable(ngx_event_t *ev)
{
    ngx_connection_t                *c;
    ngx_http_blockcast_head_link_t  *link;

    c = ev->data;
    link = c->data;

    (void) ngx_http_blockcast_head_link_flush(link);
}


ngx_int_t
ngx_http_blockcast_head_link_send(ngx_http_blockcast_head_link_t *link,
    ngx_str_t *text)
{
    return ngx_http_blockcast_head_link_frame(link, BC_WS_TEXT, text->data,
                                              text->len);
}


/* Queues a frame and sends it; NGX_ERROR: the link is closed. */

static ngx_int_t
ngx_http_blockcast_head_link_frame(ngx_http_blockcast_head_link_t *link,
    int opcode, const u_char *data, size_t len)
{
    u_char  mask[4];

    if (ngx_http_blockcast_head_link_room(link, len + BC_WS_CLIENT_FRAME)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_blockcast_head_link_random(mask, sizeof(mask));

    link->last += bc_ws_client_frame(link->out + link->last, opcode, data,
                                     len, mask);

    return ngx_http_blockcast_head_link_flush(link);
}


/* Makes room behind the queued bytes.  NGX_ERROR: the link is closed. */

static ngx_int_t
ngx_http_blockcast_head_link_room(ngx_http_blockcast_head_link_t *link,
    size_t len)
{
    u_char  *out;
    size_t   queued;

    queued = link->last - link->pos;

    if (queued > NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE) {
        ngx_http_blockcast_head_link_fail(link, "the node does not read");
        return NGX_ERROR;
    }

    if (link->size - link->last >= len) {
        return NGX_OK;
    }

    if (link->size - queued < len) {

        out = ngx_alloc(queued + len + 512, ngx_cycle->log);

        if (out == NULL) {
            if (!link->closing) {
                ngx_http_blockcast_head_link_fail(link, "no memory");
            }

            return NGX_ERROR;
        }

        if (link->out != NULL) {
            ngx_memcpy(out, link->out + link->pos, queued);
            ngx_free(link->out);
        }

        link->out = out;
        link->size = queued + len + 512;

    } else {
        ngx_memmove(link->out, link->out + link->pos, queued);
    }

    link->pos = 0;
    link->last = queued;

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_head_link_flush(ngx_http_blockcast_head_link_t *link)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = link->peer.connection;

    while (link->pos != link->last) {
        n = c->send(c, link->out + link->pos, link->last - link->pos);

        if (n > 0) {
            link->pos += n;
            continue;
        }

        if (n == NGX_AGAIN || n == 0) {
            break;
        }

        if (!link->closing) {
            ngx_http_blockcast_head_link_fail(link, "writing to it failed");
        }

        return NGX_ERROR;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        if (!link->closing) {
            ngx_http_blockcast_head_link_fail(link,
                                              "no memory for its events");
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Sends a Close, if the socket takes it at once. */

static void
ngx_http_blockcast_head_link_goodbye(ngx_http_blockcast_head_link_t *link,
    ngx_uint_t code, const char *reason)
{
    size_t  len;
    u_char  frame[BC_WS_CLOSE_LEN];

    if (link->closing || !link->handshaken
        || link->last - link->pos > NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE)
    {
        return;
    }

    link->closing = 1;

    len = bc_ws_frame_close(frame, code, reason);

    /* a header of 2 bytes, and its payload is masked once more */

    (void) ngx_http_blockcast_head_link_frame(link, BC_WS_CLOSE, frame + 2,
                                              len - 2);
}


void
ngx_http_blockcast_head_link_fail(ngx_http_blockcast_head_link_t *link,
    const char *fmt, ...)
{
    va_list    args;
    ngx_str_t  reason;
    u_char     text[512];

    va_start(args, fmt);
    reason.data = text;
    reason.len = ngx_vslprintf(text, text + sizeof(text), fmt, args) - text;
    va_end(args);

    ngx_http_blockcast_head_link_release(link);

    link->lost(link, &reason);
}


void
ngx_http_blockcast_head_link_close(ngx_http_blockcast_head_link_t *link,
    ngx_uint_t code)
{
    if (link->peer.connection != NULL && code != 0) {
        ngx_http_blockcast_head_link_goodbye(link, code, NULL);
    }

    ngx_http_blockcast_head_link_release(link);
}


static void
ngx_http_blockcast_head_link_release(ngx_http_blockcast_head_link_t *link)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    c = link->peer.connection;
    link->peer.connection = NULL;

    if (c != NULL) {

#if (NGX_SSL)

        if (c->ssl != NULL) {
            /* the Close is sent, and no answer to it is waited for */

            c->ssl->no_wait_shutdown = 1;
            c->ssl->no_send_shutdown = 1;

            (void) ngx_ssl_shutdown(c);
        }

#endif

        pool = c->pool;

        ngx_close_connection(c);

        if (pool != NULL) {
            ngx_destroy_pool(pool);
        }
    }

    bc_ws_parser_free(&link->in);

    if (link->answer != NULL) {
        ngx_free(link->answer);
        link->answer = NULL;
    }

    if (link->out != NULL) {
        ngx_free(link->out);
        link->out = NULL;
    }

    link->size = 0;
    link->pos = 0;
    link->last = 0;
}


/* Makes masks and keys, which must not be predictable (RFC 6455, 10.3). */

static void
ngx_http_blockcast_head_link_random(u_char *p, size_t len)
{
    size_t  i;

    if (getrandom(p, len, GRND_NONBLOCK) == (ssize_t) len) {
        return;
    }

    for (i = 0; i < len; i++) {
        p[i] = (u_char) ((ngx_uint_t) ngx_random() >> 7);
    }
}
