
/*
 * A head's connection: the WebSocket handshake, and frames both ways.
 *
 * The node is not trusted: what it sends is bounded (the head of its
 * response by BC_WS_CLIENT_HEAD, a message by the node's max_reply), and so
 * are the bytes that wait to be sent.
 */


#include "ngx_http_blockcast_head_link.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_link.h"
#include "bc_ws_client.h"
#include "bc_ws_frame.h"
#include "bc_ws_parser.h"

#include <ngx_sha1.h>
#include <sys/random.h>


/* bytes to read before other events get their turn */
#define NGX_HTTP_BLOCKCAST_HEAD_LINK_SHARE   (256 * 1024)

/* how much to queue for a node that does not read (bytes) */
#define NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE   65536

/* the most frames of a message */
#define NGX_HTTP_BLOCKCAST_HEAD_LINK_FRAMES  4096

#define NGX_HTTP_BLOCKCAST_HEAD_LINK_KEY     24


static void ngx_http_blockcast_head_link_ready(
    ngx_http_blockcast_link_t *base);
static ngx_int_t ngx_http_blockcast_head_link_input(
    ngx_http_blockcast_link_t *base, u_char *data, size_t len);
static ngx_int_t ngx_http_blockcast_head_link_answer(
    ngx_http_blockcast_head_link_t *link, u_char **pos, u_char *last);
static ngx_int_t ngx_http_blockcast_head_link_frames(
    ngx_http_blockcast_head_link_t *link, u_char **pos, u_char *last);
static void ngx_http_blockcast_head_link_timeout(
    ngx_http_blockcast_link_t *base);
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
static void ngx_http_blockcast_head_link_shutdown(
    ngx_http_blockcast_link_t *base);
static void ngx_http_blockcast_head_link_lost(ngx_http_blockcast_link_t *base,
    ngx_str_t *reason);
static void ngx_http_blockcast_head_link_free(
    ngx_http_blockcast_head_link_t *link);
static void ngx_http_blockcast_head_link_random(u_char *p, size_t len);


void
ngx_http_blockcast_head_link_init(ngx_http_blockcast_head_link_t *link)
{
    link->limits.max_message = link->head->node->max_reply;
    link->limits.max_fragments = NGX_HTTP_BLOCKCAST_HEAD_LINK_FRAMES;

    link->base.ready = ngx_http_blockcast_head_link_ready;
    link->base.input = ngx_http_blockcast_head_link_input;
    link->base.timeout = ngx_http_blockcast_head_link_timeout;
    link->base.shutdown = ngx_http_blockcast_head_link_shutdown;
    link->base.lost = ngx_http_blockcast_head_link_lost;
    link->base.data = link;
    link->base.ssl = link->head->ssl;
    link->base.share = NGX_HTTP_BLOCKCAST_HEAD_LINK_SHARE;

    ngx_http_blockcast_link_init(&link->base);

    link->address = (ngx_uint_t) ngx_random() % link->head->naddrs;
}


void
ngx_http_blockcast_head_link_open(ngx_http_blockcast_head_link_t *link)
{
    ngx_http_blockcast_head_t  *head;

    head = link->head;

    link->handshaken = 0;
    link->pinged = 0;
    link->closing = 0;
    link->answered = 0;

    link->base.closed = "the node closed the connection instead of answering "
                        "the handshake";

    bc_ws_parser_init(&link->in, &link->limits, NULL, 1);

    ngx_http_blockcast_link_open(&link->base,
                                 &head->addrs[link->address++ % head->naddrs],
                                 &head->peer, &head->name, head->timeout);
}


/* Sends the handshake; the timer of the connection bounds it, too. */

static void
ngx_http_blockcast_head_link_ready(ngx_http_blockcast_link_t *base)
{
    u_char                          *p, key[32], sha[20], bytes[16];
    size_t                           len;
    ngx_str_t                        src, dst;
    ngx_sha1_t                       sha1;
    ngx_http_blockcast_head_t       *head;
    ngx_http_blockcast_head_link_t  *link;

    link = base->data;
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

    p = ngx_sprintf(base->out + base->last,
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

    base->last = p - base->out;

    (void) ngx_http_blockcast_head_link_flush(link);
}


static ngx_int_t
ngx_http_blockcast_head_link_input(ngx_http_blockcast_link_t *base,
    u_char *data, size_t len)
{
    u_char                          *last;
    uint64_t                         number;
    ngx_connection_t                *c;
    ngx_http_blockcast_head_link_t  *link;

    c = base->peer.connection;
    number = base->number;
    link = base->data;

    if (link->pinged) {

        /* any byte shows that the node is alive */

        link->pinged = 0;
        ngx_http_blockcast_link_wait(base, link->head->ping);
    }

    last = data + len;

    if (!link->handshaken
        && ngx_http_blockcast_head_link_answer(link, &data, last) != NGX_OK)
    {
        return NGX_ERROR;
    }

    /* a callback may have closed this connection, or made another one */

    if (base->number != number || base->peer.connection != c) {
        return NGX_ERROR;
    }

    if (!link->handshaken) {
        return NGX_OK;
    }

    return ngx_http_blockcast_head_link_frames(link, &data, last);
}


/* Reads the response to the handshake; NGX_ERROR: the link is closed. */

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
            ngx_http_blockcast_link_fail(&link->base, "no memory");
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
        ngx_http_blockcast_link_fail(&link->base, "%s", answer.reason);
        return NGX_ERROR;
    }

    /* frames may follow right after the head */

    *pos += answer.len - before;

    ngx_free(link->answer);
    link->answer = NULL;
    link->handshaken = 1;
    link->base.closed = "the node closed the connection without a Close";

    ngx_http_blockcast_link_wait(&link->base, link->head->ping);

    link->open(link);

    return NGX_OK;
}


/* Reads frames; NGX_ERROR: the link is closed. */

static ngx_int_t
ngx_http_blockcast_head_link_frames(ngx_http_blockcast_head_link_t *link,
    u_char **pos, u_char *last)
{
    int             rc;
    uint64_t        number;
    ngx_str_t       text;
    bc_ws_event_t   ev;

    number = link->base.number;

    for ( ;; ) {
        rc = bc_ws_parser_feed(&link->in, pos, last, &ev);

        if (rc == BC_WS_AGAIN) {
            return NGX_OK;
        }

        if (rc == BC_WS_FAIL) {
            ngx_http_blockcast_head_link_goodbye(link, ev.code, ev.reason);
            ngx_http_blockcast_link_fail(&link->base, "%s (closed with %ui)",
                                         ev.reason, (ngx_uint_t) ev.code);
            return NGX_ERROR;
        }

        switch (ev.type) {

        case BC_WS_PING:

            /* skip pongs to a node that does not read them */

            if (link->base.last - link->base.pos
                < NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE / 2
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
            ngx_http_blockcast_link_fail(
                            &link->base, ev.len
                            ? "the node closed it with %ui: %*s"
                            : "the node closed it with %ui",
                            (ngx_uint_t) ev.code, ev.len, ev.data);
            return NGX_ERROR;

        default:
            text.data = (u_char *) ev.data;
            text.len = ev.len;

            link->message(link, ev.type, &text);

            if (link->base.number != number
                || link->base.peer.connection == NULL)
            {
                return NGX_ERROR;
            }
        }
    }
}


/* Sends a ping when it is due; fails if the node has not answered in time. */

static void
ngx_http_blockcast_head_link_timeout(ngx_http_blockcast_link_t *base)
{
    ngx_http_blockcast_head_link_t  *link;

    link = base->data;

    if (!link->handshaken || link->pinged) {
        ngx_http_blockcast_link_fail(base, link->pinged
                                     ? "no answer to a ping within %M ms"
                                     : "no answer to the handshake within "
                                       "%M ms", link->head->timeout);
        return;
    }

    link->pinged = 1;
    ngx_http_blockcast_link_wait(base, link->head->timeout);

    (void) ngx_http_blockcast_head_link_frame(link, BC_WS_PING,
                                              (u_char *) "", 0);
}


ngx_int_t
ngx_http_blockcast_head_link_send(ngx_http_blockcast_head_link_t *link,
    ngx_str_t *text)
{
    return ngx_http_blockcast_head_link_frame(link, BC_WS_TEXT, text->data,
                                              text->len);
}


/* Queues a frame and sends it.  NGX_ERROR: as from _head_link_flush(). */

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

    link->base.last += bc_ws_client_frame(link->base.out + link->base.last,
                                          opcode, data, len, mask);

    return ngx_http_blockcast_head_link_flush(link);
}


/* Makes room for len bytes.  NGX_ERROR: the link is closed. */

static ngx_int_t
ngx_http_blockcast_head_link_room(ngx_http_blockcast_head_link_t *link,
    size_t len)
{
    ngx_http_blockcast_link_t  *base;

    base = &link->base;

    if (base->last - base->pos > NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE) {
        ngx_http_blockcast_link_fail(base, "the node does not read");
        return NGX_ERROR;
    }

    if (ngx_http_blockcast_link_room(base, len) != NGX_OK) {
        if (!link->closing) {
            ngx_http_blockcast_link_fail(base, "no memory");
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


/*
 * Sends what is queued.  NGX_ERROR: the link is closed, or the caller is about
 * to close it after a Close that cannot be sent.
 */

static ngx_int_t
ngx_http_blockcast_head_link_flush(ngx_http_blockcast_head_link_t *link)
{
    const char  *why;

    if (ngx_http_blockcast_link_flush(&link->base, &why) != NGX_OK) {
        if (!link->closing) {
            ngx_http_blockcast_link_fail(&link->base, "%s", why);
        }

        return NGX_ERROR;
    }

    return NGX_OK;
}


/* Sends a Close, or as much of it as the socket takes at once. */

static void
ngx_http_blockcast_head_link_goodbye(ngx_http_blockcast_head_link_t *link,
    ngx_uint_t code, const char *reason)
{
    size_t  len;
    u_char  frame[BC_WS_CLOSE_LEN];

    if (link->closing || !link->handshaken
        || link->base.last - link->base.pos
           > NGX_HTTP_BLOCKCAST_HEAD_LINK_QUEUE)
    {
        return;
    }

    link->closing = 1;

    len = bc_ws_frame_close(frame, code, reason);

    /* skip the header of 2 bytes: the payload gets a new one and a mask */

    (void) ngx_http_blockcast_head_link_frame(link, BC_WS_CLOSE, frame + 2,
                                              len - 2);
}


void
ngx_http_blockcast_head_link_close(ngx_http_blockcast_head_link_t *link,
    ngx_uint_t code)
{
    if (link->base.peer.connection != NULL) {
        ngx_http_blockcast_head_link_goodbye(link, code, NULL);
    }

    ngx_http_blockcast_link_close(&link->base);
    ngx_http_blockcast_head_link_free(link);
}


static void
ngx_http_blockcast_head_link_shutdown(ngx_http_blockcast_link_t *base)
{
    ngx_http_blockcast_head_link_close(base->data, 1001);
}


static void
ngx_http_blockcast_head_link_lost(ngx_http_blockcast_link_t *base,
    ngx_str_t *reason)
{
    ngx_http_blockcast_head_link_t  *link;

    link = base->data;

    ngx_http_blockcast_head_link_free(link);

    link->lost(link, reason);
}


/* Frees the buffers of received data. */

static void
ngx_http_blockcast_head_link_free(ngx_http_blockcast_head_link_t *link)
{
    bc_ws_parser_free(&link->in);

    if (link->answer != NULL) {
        ngx_free(link->answer);
        link->answer = NULL;
    }
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
