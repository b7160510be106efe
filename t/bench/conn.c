
#include "load.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>
#include <zlib.h>


/* frames of the same bytes are inflated once */
#define LOAD_PACKED  8

typedef struct {
    size_t      packed_len;
    size_t      len;
    uint8_t    *packed;
    uint8_t    *data;
} load_packed_t;


static SSL_CTX        *load_ssl;
static uint8_t        *load_buffer;
static char            load_accept[32];
static char            load_request[1024];
static size_t          load_request_len;
static load_packed_t   load_packed[LOAD_PACKED];
static unsigned        load_packed_next;

static const char      load_key[] = "dGhlIHNhbXBsZSBub25jZQ==";


void
load_conn_init(void)
{
    int  n;

    load_buffer = malloc(LOAD_BUFFER);

    if (load_buffer == NULL) {
        bench_die(errno, "no memory");
    }

    bench_accept(load_key, strlen(load_key), load_accept);

    n = snprintf(load_request, sizeof(load_request),
                 "GET %s HTTP/1.1\r\nHost: 127.0.0.1:%u\r\n"
                 "Connection: Upgrade\r\nUpgrade: websocket\r\n"
                 "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: %s\r\n%s\r\n",
                 load_options.path, load_options.port, load_key,
                 load_options.deflate
                 ? "Sec-WebSocket-Extensions: permessage-deflate; "
                   "server_no_context_takeover; client_no_context_takeover\r\n"
                 : "");

    if (n < 0 || (size_t) n >= sizeof(load_request)) {
        bench_die(0, "--path is too long");
    }

    load_request_len = (size_t) n;

    if (load_options.tls) {
        load_ssl = SSL_CTX_new(TLS_client_method());

        if (load_ssl == NULL) {
            bench_die(0, "SSL_CTX_new() failed");
        }

        SSL_CTX_set_mode(load_ssl, SSL_MODE_RELEASE_BUFFERS);
    }
}


static int
load_socket(load_conn_t *c, uint16_t port)
{
    int                 on;
    struct sockaddr_in  sin;

    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);

    if (c->fd == -1) {
        bench_die(errno, "socket() failed");
    }

    on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;

    if (load_options.sources && c->state == load_connecting) {

        /* more connections than one address has ports for */

        sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1
                                    + (uint32_t) (c - load_conns)
                                      % load_options.sources);

        setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on,
                   sizeof(on));

        if (bind(c->fd, (struct sockaddr *) &sin, sizeof(sin)) != 0) {
            bench_die(errno, "bind() to a loopback address failed");
        }
    }

    if (c->slow) {
        on = 4096;
        setsockopt(c->fd, SOL_SOCKET, SO_RCVBUF, &on, sizeof(on));
    }

    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    sin.sin_port = htons(port);

    if (connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) != 0
        && errno != EINPROGRESS)
    {
        return -1;
    }

    return 0;
}


static void
load_poll(load_conn_t *c, int op, uint32_t events)
{
    struct epoll_event  ev;

    ev.events = events;
    ev.data.ptr = c;

    if (epoll_ctl(load_epoll, op, c->fd, &ev) != 0) {
        bench_die(errno, "epoll_ctl() failed");
    }
}


void
load_conn_open(load_conn_t *c, uint64_t due)
{
    c->state = load_connecting;
    c->due = due;
    c->since = load_time;

    if (load_socket(c, load_options.port) != 0) {
        load_conn_close(c);
        return;
    }

    load_poll(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET);
}


void
load_conn_publisher(load_conn_t *c)
{
    c->state = load_publisher;

    if (load_socket(c, load_options.post ? load_options.post
                                         : load_options.trigger)
        != 0)
    {
        bench_die(errno, "cannot connect to the publisher's port");
    }

    load_poll(c, EPOLL_CTL_ADD, EPOLLIN | EPOLLRDHUP | EPOLLET);
}


void
load_conn_close(load_conn_t *c)
{
    struct linger  l;

    switch (c->state) {

    case load_open:
        load_stats.closed++;
        load_stats.connected--;
        load_track_expected -= !c->slow;
        break;

    case load_publisher:
        bench_die(0, "the publisher's connection was closed");

    default:
        load_stats.refused++;
    }

    c->state = load_closed;

    if (c->ssl) {
        SSL_free(c->ssl);
        c->ssl = NULL;
    }

    /* no TIME_WAIT that would take the port from the next run */

    l.l_onoff = 1;
    l.l_linger = 0;
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &l, sizeof(l));
    close(c->fd);

    free(c->rest);
    c->rest = NULL;
    c->have = 0;
}


/* requests and frames of clients are small: the socket takes them whole */

static void
load_send(load_conn_t *c, const void *data, size_t len)
{
    ssize_t  n;

    n = c->ssl ? SSL_write(c->ssl, data, (int) len)
               : send(c->fd, data, len, MSG_NOSIGNAL);

    if (n != (ssize_t) len) {
        load_conn_close(c);
    }
}


void
load_conn_frame(load_conn_t *c, unsigned opcode, const void *data, size_t len)
{
    size_t         i, head;
    uint8_t        buf[4096 + 14];
    const uint8_t *p;

    static const uint8_t  mask[4] = { 0x37, 0xfa, 0x21, 0x3d };

    if (len > 4096) {
        bench_die(0, "a client's message is longer than 4096 bytes");
    }

    head = bench_frame_head(buf, opcode, len);
    buf[1] |= 0x80;

    memcpy(buf + head, mask, 4);
    head += 4;
    p = data;

    for (i = 0; i < len; i++) {
        buf[head + i] = p[i] ^ mask[i % 4];
    }

    load_send(c, buf, head + len);
}


void
load_conn_subscribe(load_conn_t *c)
{
    c->since = bench_now();
    c->waiting = 1;

    load_conn_frame(c, 1, load_options.subscribe,
                    strlen(load_options.subscribe));
}


static void
load_opened(load_conn_t *c, char *head)
{
    int       i, pid;
    char     *p;
    uint64_t  took;

    c->state = load_open;

    took = load_time - c->since;
    bench_hist_add(&load_stats.handshakes, took);

    if (load_time - c->due > load_options.late) {
        load_stats.late++;
    }

    load_stats.connected++;
    load_track_expected += !c->slow;

    if (load_options.deflate
        && ((p = strcasestr(head, "permessage-deflate")) == NULL
            || strcasestr(p, "server_no_context_takeover") == NULL))
    {
        bench_die(0, "the server did not agree to compress without context");
    }

    p = strcasestr(head, "\r\nX-Worker: ");

    if (p) {
        pid = atoi(p + 12);

        for (i = 0; i < LOAD_WORKERS - 1; i++) {
            if (load_workers[i] == 0 || load_workers[i] == pid) {
                break;
            }
        }

        load_workers[i] = pid;
        c->worker = (uint8_t) i;
    }

    if (c->slow) {
        load_poll(c, EPOLL_CTL_MOD, 0);
    }

    if (load_options.subscribe && load_options.subscribe_first) {
        load_conn_subscribe(c);
    }
}


/* the bytes of a compressed message, which all clients get alike */

static uint8_t *
load_inflate(const uint8_t *data, size_t *len)
{
    int             i, rc;
    z_stream        z;
    load_packed_t  *p;

    static uint8_t  tail[4] = { 0, 0, 0xff, 0xff };

    for (i = 0; i < LOAD_PACKED; i++) {
        p = &load_packed[i];

        if (p->packed_len == *len && memcmp(p->packed, data, *len) == 0) {
            *len = p->len;
            return p->data;
        }
    }

    load_stats.inflated++;

    p = &load_packed[load_packed_next++ % LOAD_PACKED];

    if (p->packed == NULL) {
        p->packed = malloc(LOAD_BUFFER);
        p->data = malloc(LOAD_BUFFER);

        if (p->packed == NULL || p->data == NULL) {
            bench_die(errno, "no memory");
        }
    }

    memcpy(p->packed, data, *len);
    p->packed_len = *len;

    memset(&z, 0, sizeof(z));

    if (inflateInit2(&z, -15) != Z_OK) {
        bench_die(0, "inflateInit2() failed");
    }

    z.next_out = p->data;
    z.avail_out = LOAD_BUFFER;
    z.next_in = p->packed;
    z.avail_in = (uInt) *len;
    rc = inflate(&z, Z_SYNC_FLUSH);

    if (rc == Z_OK || rc == Z_BUF_ERROR) {
        z.next_in = tail;
        z.avail_in = 4;
        rc = inflate(&z, Z_SYNC_FLUSH);
    }

    if (rc != Z_OK && rc != Z_STREAM_END && rc != Z_BUF_ERROR) {
        bench_die(0, "a message is not deflate");
    }

    p->len = z.total_out;
    inflateEnd(&z);

    *len = p->len;

    return p->data;
}


/* a text message: ours have the time of their making near the beginning */

static void
load_text(load_conn_t *c, const uint8_t *data, size_t len, size_t frame)
{
    int            i;
    uint64_t       t;
    const uint8_t *p;

    static size_t  at;

    if (len < at + 27 || memcmp(data + at, "{\"t\":\"", 6) != 0) {
        p = memmem(data, len < 200 ? len : 200, "{\"t\":\"", 6);

        if (p == NULL || (size_t) (p - data) + 27 > len) {
            load_stats.others++;
            return;
        }

        at = (size_t) (p - data);
    }

    for (t = 0, i = 0; i < 20; i++) {
        t = t * 10 + (uint64_t) (data[at + 6 + (size_t) i] - '0');
    }

    if (c->waiting) {
        c->waiting = 0;
        bench_hist_add(&load_stats.first, load_time - c->since);
    }

    load_stats.deliveries++;
    load_stats.bytes += frame;

    if (load_stats.len_min == 0 || len < load_stats.len_min) {
        load_stats.len_min = len;
    }

    if (len > load_stats.len_max) {
        load_stats.len_max = len;
    }

    load_track(c, t);
}


static void
load_frame(load_conn_t *c, unsigned head, const uint8_t *data, size_t len,
    size_t frame)
{
    uint64_t  t;

    switch (head & 0x0f) {

    case 1:
    case 2:
        if (head & 0x40) {
            data = load_inflate(data, &len);
        }

        load_text(c, data, len, frame);
        break;

    case 8:
        load_conn_close(c);
        break;

    case 9:
        load_conn_frame(c, 10, data, len);
        break;

    case 10:
        if (len == sizeof(t)) {
            memcpy(&t, data, sizeof(t));
            bench_hist_add(&load_stats.pongs, load_time - t);

            if (load_options.log) {
                fprintf(load_options.log, "p %" PRIu64 " %" PRIu64 "\n", t,
                        load_time);
            }
        }

        break;

    default:
        bench_die(0, "a frame with opcode %u", head & 0x0f);
    }
}


/* the number of bytes of whole frames */

static size_t
load_frames(load_conn_t *c, const uint8_t *p, size_t n)
{
    size_t    at, head;
    uint64_t  len;

    at = 0;

    while (n - at >= 2 && c->state == load_open) {
        len = p[at + 1] & 0x7f;
        head = len < 126 ? 2 : len == 126 ? 4 : 10;

        if (n - at < head) {
            break;
        }

        if (len == 126) {
            len = (uint64_t) p[at + 2] << 8 | p[at + 3];

        } else if (len == 127) {
            len = (uint64_t) p[at + 6] << 24 | (uint64_t) p[at + 7] << 16
                  | (uint64_t) p[at + 8] << 8 | p[at + 9];
        }

        if (head + len > LOAD_BUFFER) {
            bench_die(0, "a frame of %" PRIu64 " bytes", len);
        }

        if (n - at < head + len) {
            break;
        }

        load_frame(c, p[at], p + at + head, len, head + len);
        at += head + len;
    }

    return at;
}


/* the answer to the handshake; the number of its bytes, 0: not all is there */

static size_t
load_answer(load_conn_t *c, char *p, size_t n)
{
    char  *end, saved;

    end = memmem(p, n, "\r\n\r\n", 4);

    if (end == NULL) {
        return 0;
    }

    saved = end[2];
    end[2] = '\0';

    if (strncmp(p, "HTTP/1.1 101", 12) != 0
        || strstr(p, load_accept) == NULL)
    {
        load_conn_close(c);
        return 0;
    }

    load_opened(c, p);
    end[2] = saved;

    return (size_t) (end + 4 - p);
}


static void
load_parse(load_conn_t *c, uint8_t *p, size_t n)
{
    size_t  at;

    at = 0;

    if (c->state == load_handshake) {
        at = load_answer(c, (char *) p, n);
    }

    if (c->state == load_open) {
        at += load_frames(c, p + at, n - at);
    }

    if (c->state == load_closed) {
        return;
    }

    if (at == n) {
        if (c->rest) {
            free(c->rest);
            c->rest = NULL;
            c->have = 0;
        }

        return;
    }

    p += at;
    n -= at;

    c->rest = realloc(c->rest, n);

    if (c->rest == NULL) {
        bench_die(errno, "no memory");
    }

    memcpy(c->rest, p, n);
    c->have = (uint32_t) n;
}


static void
load_read(load_conn_t *c, uint32_t events)
{
    int      err;
    size_t   room;
    ssize_t  n;

    for ( ;; ) {
        if (c->have) {
            memcpy(load_buffer, c->rest, c->have);
        }

        room = LOAD_BUFFER - c->have;

        if (c->ssl) {
            n = SSL_read(c->ssl, load_buffer + c->have, (int) room);

            if (n <= 0) {
                err = SSL_get_error(c->ssl, (int) n);

                if (err == SSL_ERROR_WANT_READ || err == SSL_ERROR_WANT_WRITE)
                {
                    return;
                }
            }

        } else {
            n = recv(c->fd, load_buffer + c->have, room, 0);

            if (n == -1 && errno == EAGAIN) {
                return;
            }
        }

        if (n <= 0) {
            load_conn_close(c);
            return;
        }

        load_stats.received++;
        load_time = bench_now();

        if (c->state == load_publisher) {
            continue;
        }

        load_parse(c, load_buffer, c->have + (size_t) n);

        if (c->state == load_closed) {
            return;
        }

        /* a short read has emptied the socket, but for its end */

        if (!c->ssl && (size_t) n < room
            && !(events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR)))
        {
            return;
        }
    }
}


static int
load_secure(load_conn_t *c)
{
    int  rc, err;

    if (c->ssl == NULL) {
        c->ssl = SSL_new(load_ssl);

        if (c->ssl == NULL || SSL_set_fd(c->ssl, c->fd) != 1) {
            bench_die(0, "SSL_new() failed");
        }
    }

    rc = SSL_connect(c->ssl);

    if (rc == 1) {
        return 1;
    }

    err = SSL_get_error(c->ssl, rc);

    if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE) {
        load_conn_close(c);
    }

    return 0;
}


void
load_conn_event(load_conn_t *c, uint32_t events)
{
    if (c->state == load_connecting) {

        if (events & (EPOLLERR | EPOLLHUP)) {
            load_conn_close(c);
            return;
        }

        if (!(events & EPOLLOUT)) {
            return;
        }

        c->state = load_options.tls ? load_securing : load_handshake;

        if (c->state == load_handshake) {
            load_send(c, load_request, load_request_len);
            return;
        }
    }

    if (c->state == load_securing) {

        if (!load_secure(c)) {
            return;
        }

        c->state = load_handshake;
        load_send(c, load_request, load_request_len);
    }

    if (c->state != load_closed && !(c->slow && c->state == load_open)) {
        load_read(c, events);
    }
}
