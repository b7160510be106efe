
/*
 * The floor: a bare loop of send() of one frame to all clients.  It does what
 * cannot be left out and nothing else, so that no server can be faster, and
 * the others are measured by it.
 *
 *   floor --port=P --control=P [--size=300] [--deflate]
 *         [--kind=ws|sse|poll] [--exact] [--cert=FILE --key=FILE]
 *
 * It answers WebSocket handshakes on 127.0.0.1:PORT and throws away what the
 * clients say.  For each byte on a connection to the port of --control one
 * message goes to all.  --deflate: compressed, once for all.
 *
 * --kind=sse: requests are answered with a response that has no end, to which
 * each message adds --size bytes; --kind=poll: each message is a response of
 * --size bytes, head and all, to those that have asked since the last one.
 * --exact: --size is that of the whole frame, with its header.  --cert, --key:
 * the same over TLS, by SSL_write().
 */


#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>
#include <openssl/ssl.h>
#include <zlib.h>


#define FLOOR_FDS      20000
#define FLOOR_EVENTS   256
#define FLOOR_SIZE     (64 * 1024)
#define FLOOR_LARGEST  (2 * 1024 * 1024)    /* with --exact */
#define FLOOR_RESPONSE "HTTP/1.1 200 OK\r\nContent-Length: %07zu\r\n\r\n"


/* what of a frame the socket did not take; most clients never have one */

typedef struct {
    size_t     len;
    uint8_t    data[];
} floor_rest_t;


static int             floor_clients[FLOOR_FDS];
static int             floor_nclients;
static int             floor_place[FLOOR_FDS];     /* by descriptor */
static floor_rest_t   *floor_rests[FLOOR_FDS];
static uint8_t         floor_kind[FLOOR_FDS];

static SSL            *floor_ssl[FLOOR_FDS];

enum { floor_free, floor_listen, floor_control_listen, floor_control,
       floor_tls, floor_handshake, floor_open };

static enum { floor_ws, floor_sse, floor_poll }  floor_way;

static size_t          floor_size = 300;
static int             floor_deflate;
static int             floor_epoll;
static uint64_t        floor_skipped;

static char           *floor_payload;
static size_t          floor_time_at;
static uint8_t        *floor_frame;
static uint8_t        *floor_packed;
static size_t          floor_frame_len;     /* 0: a WebSocket frame of size */
static SSL_CTX        *floor_ctx;


static int
floor_socket(uint16_t port)
{
    int                 fd, on;
    struct sockaddr_in  sin;

    fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    on = 1;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    if (fd == -1
        || setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on)) != 0
        || bind(fd, (struct sockaddr *) &sin, sizeof(sin)) != 0
        || listen(fd, 4096) != 0)
    {
        bench_die(errno, "cannot listen on 127.0.0.1:%u", port);
    }

    return fd;
}


/* as recv() and send(): -1 and EAGAIN when it would have to wait */

static ssize_t
floor_recv(int fd, void *buf, size_t len)
{
    int  n;

    if (floor_ssl[fd] == NULL) {
        return recv(fd, buf, len, 0);
    }

    n = SSL_read(floor_ssl[fd], buf, (int) len);

    if (n > 0) {
        return n;
    }

    errno = (SSL_get_error(floor_ssl[fd], n) == SSL_ERROR_WANT_READ)
            ? EAGAIN : EPIPE;

    return -1;
}


static ssize_t
floor_send(int fd, const void *buf, size_t len)
{
    int     n;
    size_t  done;

    if (floor_ssl[fd] == NULL) {
        return send(fd, buf, len, MSG_NOSIGNAL);
    }

    /* SSL_MODE_ENABLE_PARTIAL_WRITE: a call writes one record, 16 KiB */

    done = 0;

    while (done < len) {
        n = SSL_write(floor_ssl[fd], (const char *) buf + done,
                      (int) (len - done));

        if (n <= 0) {
            break;
        }

        done += (size_t) n;
    }

    return (done > 0) ? (ssize_t) done : -1;
}


static void
floor_add(int fd, uint8_t kind)
{
    struct epoll_event  ev;

    ev.events = EPOLLIN;
    ev.data.u64 = 0;
    ev.data.fd = fd;

    if (epoll_ctl(floor_epoll, EPOLL_CTL_ADD, fd, &ev) != 0) {
        bench_die(errno, "epoll_ctl() failed");
    }

    floor_kind[fd] = kind;
}


static void
floor_accept(int listening, uint8_t kind)
{
    int  i, fd, on;

    on = 1;

    for (i = 0; i < FLOOR_EVENTS; i++) {
        fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

        if (fd == -1) {
            return;
        }

        if (fd >= FLOOR_FDS) {
            close(fd);
            continue;
        }

        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));

        if (kind == floor_handshake && floor_ctx != NULL) {
            floor_ssl[fd] = SSL_new(floor_ctx);

            if (floor_ssl[fd] == NULL || SSL_set_fd(floor_ssl[fd], fd) != 1) {
                bench_die(0, "SSL_new() failed");
            }

            SSL_set_accept_state(floor_ssl[fd]);
            floor_add(fd, floor_tls);
            continue;
        }

        floor_add(fd, kind);
    }
}


static void
floor_close(int fd)
{
    int  last;

    if (floor_kind[fd] == floor_open) {
        last = floor_clients[--floor_nclients];
        floor_clients[floor_place[fd]] = last;
        floor_place[last] = floor_place[fd];
    }

    if (floor_ssl[fd] != NULL) {
        SSL_free(floor_ssl[fd]);
        floor_ssl[fd] = NULL;
    }

    free(floor_rests[fd]);
    floor_rests[fd] = NULL;
    floor_kind[fd] = floor_free;
    close(fd);
}


/* from now on it gets messages */

static void
floor_join(int fd)
{
    floor_kind[fd] = floor_open;
    floor_place[fd] = floor_nclients;
    floor_clients[floor_nclients++] = fd;
}


/* the whole request comes with one segment: clients here are ours */

static void
floor_answer(int fd)
{
    int         n, deflated;
    char        buf[4096], accept[32], answer[300], *key, *end;
    ssize_t     size;

    static const char  events[] = "HTTP/1.1 200 OK\r\n"
                                  "Content-Type: text/event-stream\r\n\r\n";

    size = floor_recv(fd, buf, sizeof(buf) - 1);

    if (size <= 0) {
        if (size == 0 || errno != EAGAIN) {
            floor_close(fd);
        }

        return;
    }

    buf[size] = '\0';

    if (floor_way == floor_sse) {
        n = (int) sizeof(events) - 1;

        if (floor_send(fd, events, (size_t) n) != n) {
            floor_close(fd);
            return;
        }
    }

    if (floor_way != floor_ws) {
        floor_join(fd);
        return;
    }

    key = strcasestr(buf, "\r\nSec-WebSocket-Key: ");
    end = key ? strstr(key + 21, "\r\n") : NULL;

    if (end == NULL || strstr(buf, "\r\n\r\n") == NULL) {
        floor_close(fd);
        return;
    }

    deflated = floor_deflate && strcasestr(buf, "permessage-deflate") != NULL;
    bench_accept(key + 21, (size_t) (end - key - 21), accept);

    n = snprintf(answer, sizeof(answer), "HTTP/1.1 101 Switching Protocols\r\n"
                 "Upgrade: websocket\r\nConnection: Upgrade\r\n"
                 "Sec-WebSocket-Accept: %s\r\n%s\r\n", accept,
                 deflated ? "Sec-WebSocket-Extensions: permessage-deflate; "
                            "server_no_context_takeover; "
                            "client_no_context_takeover\r\n" : "");

    if (floor_send(fd, answer, (size_t) n) != n) {
        floor_close(fd);
        return;
    }

    floor_join(fd);
}


static void
floor_accept_tls(int fd)
{
    int  rc, err;

    rc = SSL_do_handshake(floor_ssl[fd]);

    if (rc == 1) {
        floor_kind[fd] = floor_handshake;
        floor_answer(fd);
        return;
    }

    err = SSL_get_error(floor_ssl[fd], rc);

    if (err != SSL_ERROR_WANT_READ && err != SSL_ERROR_WANT_WRITE) {
        floor_close(fd);
    }
}


/* the frame of now; its bytes */

static size_t
floor_make(const uint8_t **frame)
{
    size_t      len, head;
    z_stream    z;

    if (floor_frame_len != 0) {
        *frame = floor_frame;
        return floor_frame_len;
    }

    bench_time(floor_payload + floor_time_at, bench_now());

    if (!floor_deflate) {
        *frame = floor_frame;
        return (size_t) (floor_payload - (char *) floor_frame) + floor_size;
    }

    memset(&z, 0, sizeof(z));

    if (deflateInit2(&z, 6, Z_DEFLATED, -15, 8, Z_DEFAULT_STRATEGY) != Z_OK) {
        bench_die(0, "deflateInit2() failed");
    }

    z.next_in = (uint8_t *) floor_payload;
    z.avail_in = (uInt) floor_size;
    z.next_out = floor_packed + 10;
    z.avail_out = (uInt) floor_size + 1024;

    deflate(&z, Z_SYNC_FLUSH);
    len = z.total_out - 4;
    deflateEnd(&z);

    head = bench_frame_head(floor_packed, 0x41, len);
    memmove(floor_packed + head, floor_packed + 10, len);

    *frame = floor_packed;

    return head + len;
}


/* true when what was left is sent */

static int
floor_catch_up(int fd)
{
    ssize_t        n;
    floor_rest_t  *rest;

    rest = floor_rests[fd];
    n = floor_send(fd, rest->data, rest->len);

    if (n <= 0) {
        return 0;
    }

    rest->len -= (size_t) n;
    memmove(rest->data, rest->data + n, rest->len);

    if (rest->len != 0) {
        return 0;
    }

    free(rest);
    floor_rests[fd] = NULL;

    return 1;
}


static void
floor_broadcast(void)
{
    int             i, fd;
    size_t          len;
    ssize_t         n;
    floor_rest_t   *rest;
    const uint8_t  *frame;

    len = floor_make(&frame);

    for (i = 0; i < floor_nclients; i++) {
        fd = floor_clients[i];

        if (floor_rests[fd] != NULL && !floor_catch_up(fd)) {
            floor_skipped++;
            continue;
        }

        n = floor_send(fd, frame, len);

        if (n == (ssize_t) len) {
            continue;
        }

        if (n == -1 && floor_ssl[fd] != NULL) {

            /* OpenSSL has encrypted it: it has to be sent, no other */
            n = 0;
        }

        /* it is behind: the rest of this one later, and others not at all */

        floor_skipped++;

        if (n >= 0) {
            rest = malloc(sizeof(floor_rest_t) + len - (size_t) n);

            if (rest == NULL) {
                bench_die(errno, "no memory");
            }

            rest->len = len - (size_t) n;
            memcpy(rest->data, frame + n, rest->len);
            floor_rests[fd] = rest;
        }
    }

    if (floor_way == floor_poll) {

        /* they have their response, and ask again */

        for (i = 0; i < floor_nclients; i++) {
            floor_kind[floor_clients[i]] = floor_handshake;
        }

        floor_nclients = 0;
    }
}


static void
floor_input(int fd)
{
    char     buf[4096];
    ssize_t  i, n;

    n = floor_recv(fd, buf, sizeof(buf));

    if (n == 0 || (n == -1 && errno != EAGAIN)) {
        floor_close(fd);
        return;
    }

    if (floor_kind[fd] == floor_control) {
        for (i = 0; i < n; i++) {
            floor_broadcast();
        }
    }
}


static void
floor_prepare(void)
{
    size_t   head;
    uint8_t  buf[10];
    char     text[200];

    floor_frame = malloc(floor_size + 10);
    floor_packed = malloc(floor_size + 1100);

    if (floor_frame == NULL || floor_packed == NULL) {
        bench_die(errno, "no memory");
    }

    if (floor_frame_len != 0) {
        memset(floor_frame, 'x', floor_size);

        if (floor_way == floor_ws) {
            head = (floor_size < 126 + 2) ? 2
                   : (floor_size < 65536 + 4) ? 4 : 10;
            (void) bench_frame_head(floor_frame, 1, floor_size - head);

        } else if (floor_way == floor_poll) {

            /* the head is as long whatever the number is */

            head = (size_t) snprintf(text, sizeof(text), FLOOR_RESPONSE,
                                     (size_t) 0);
            (void) snprintf(text, sizeof(text), FLOOR_RESPONSE,
                            floor_size - head);
            memcpy(floor_frame, text, head);
        }

        return;
    }

    head = bench_frame_head(buf, 1, floor_size);
    memcpy(floor_frame, buf, head);

    floor_payload = (char *) floor_frame + head;
    floor_time_at = bench_message(floor_payload, floor_size, "bench", 0);
}


int
main(int argc, char **argv)
{
    int                  i, n, fd;
    char                *cert, *key;
    uint16_t             port, control;
    struct epoll_event   events[FLOOR_EVENTS];

    port = 0;
    control = 0;
    cert = NULL;
    key = NULL;

    for (i = 1; i < argc; i++) {

        if (strncmp(argv[i], "--port=", 7) == 0) {
            port = (uint16_t) bench_number("port", argv[i] + 7, 1, 65535);

        } else if (strncmp(argv[i], "--control=", 10) == 0) {
            control = (uint16_t) bench_number("control", argv[i] + 10, 1,
                                              65535);

        } else if (strncmp(argv[i], "--size=", 7) == 0) {
            floor_size = bench_number("size", argv[i] + 7, 150, FLOOR_LARGEST);

        } else if (strcmp(argv[i], "--exact") == 0) {
            floor_frame_len = 1;

        } else if (strcmp(argv[i], "--kind=ws") == 0) {
            floor_way = floor_ws;

        } else if (strcmp(argv[i], "--kind=sse") == 0) {
            floor_way = floor_sse;

        } else if (strcmp(argv[i], "--kind=poll") == 0) {
            floor_way = floor_poll;

        } else if (strncmp(argv[i], "--cert=", 7) == 0) {
            cert = argv[i] + 7;

        } else if (strncmp(argv[i], "--key=", 6) == 0) {
            key = argv[i] + 6;

        } else if (strcmp(argv[i], "--deflate") == 0) {
            floor_deflate = 1;

        } else {
            bench_die(0, "unknown option %s", argv[i]);
        }
    }

    if (port == 0 || control == 0) {
        bench_die(0, "--port=PORT and --control=PORT are needed");
    }

    if (floor_frame_len != 0) {
        floor_frame_len = floor_size;

    } else if (floor_way != floor_ws || floor_size > FLOOR_SIZE) {
        bench_die(0, "--exact is needed");
    }

    if (cert != NULL && key != NULL) {
        floor_ctx = SSL_CTX_new(TLS_server_method());

        if (floor_ctx == NULL
            || SSL_CTX_use_certificate_chain_file(floor_ctx, cert) != 1
            || SSL_CTX_use_PrivateKey_file(floor_ctx, key, SSL_FILETYPE_PEM)
               != 1)
        {
            bench_die(0, "the certificate %s cannot be used", cert);
        }

        SSL_CTX_set_mode(floor_ctx, SSL_MODE_ENABLE_PARTIAL_WRITE
                                    | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER
                                    | SSL_MODE_RELEASE_BUFFERS);
    }

    floor_prepare();

    floor_epoll = epoll_create1(EPOLL_CLOEXEC);

    floor_add(floor_socket(port), floor_listen);
    floor_add(floor_socket(control), floor_control_listen);

    for ( ;; ) {
        n = epoll_wait(floor_epoll, events, FLOOR_EVENTS, -1);

        for (i = 0; i < n; i++) {
            fd = events[i].data.fd;

            switch (floor_kind[fd]) {

            case floor_listen:
                floor_accept(fd, floor_handshake);
                break;

            case floor_control_listen:
                floor_accept(fd, floor_control);
                break;

            case floor_tls:
                floor_accept_tls(fd);
                break;

            case floor_handshake:
                floor_answer(fd);
                break;

            case floor_free:
                break;

            default:
                floor_input(fd);
            }
        }
    }
}
