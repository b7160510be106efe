
/*
 * The floor: a bare loop of send() of one frame to all clients.  It does what
 * cannot be left out and nothing else, so that no server can be faster, and
 * the others are measured by it.
 *
 *   floor --port=P --control=P [--size=300] [--deflate]
 *
 * It answers WebSocket handshakes on 127.0.0.1:PORT and throws away what the
 * clients say.  For each byte on a connection to the port of --control one
 * message goes to all.  --deflate: compressed, once for all.
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
#include <zlib.h>


#define FLOOR_FDS      20000
#define FLOOR_EVENTS   256
#define FLOOR_SIZE     (64 * 1024)


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

enum { floor_free, floor_listen, floor_control_listen, floor_control,
       floor_handshake, floor_open };

static size_t          floor_size = 300;
static int             floor_deflate;
static int             floor_epoll;
static uint64_t        floor_skipped;

static char           *floor_payload;
static size_t          floor_time_at;
static uint8_t        *floor_frame;
static uint8_t        *floor_packed;


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

    free(floor_rests[fd]);
    floor_rests[fd] = NULL;
    floor_kind[fd] = floor_free;
    close(fd);
}


/* the whole request comes with one segment: clients here are ours */

static void
floor_answer(int fd)
{
    int         n, deflated;
    char        buf[4096], accept[32], answer[300], *key, *end;
    ssize_t     size;

    size = recv(fd, buf, sizeof(buf) - 1, 0);

    if (size <= 0) {
        if (size == 0 || errno != EAGAIN) {
            floor_close(fd);
        }

        return;
    }

    buf[size] = '\0';

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

    if (send(fd, answer, (size_t) n, MSG_NOSIGNAL) != n) {
        floor_close(fd);
        return;
    }

    floor_kind[fd] = floor_open;
    floor_place[fd] = floor_nclients;
    floor_clients[floor_nclients++] = fd;
}


/* the frame of now; its bytes */

static size_t
floor_make(const uint8_t **frame)
{
    size_t      len, head;
    z_stream    z;

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
    n = send(fd, rest->data, rest->len, MSG_NOSIGNAL);

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

        n = send(fd, frame, len, MSG_NOSIGNAL);

        if (n == (ssize_t) len) {
            continue;
        }

        /* it is behind: the rest of this one later, and others not at all */

        floor_skipped++;

        if (n > 0) {
            rest = malloc(sizeof(floor_rest_t) + len - (size_t) n);

            if (rest == NULL) {
                bench_die(errno, "no memory");
            }

            rest->len = len - (size_t) n;
            memcpy(rest->data, frame + n, rest->len);
            floor_rests[fd] = rest;
        }
    }
}


static void
floor_input(int fd)
{
    char     buf[4096];
    ssize_t  i, n;

    n = recv(fd, buf, sizeof(buf), 0);

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

    floor_frame = malloc(floor_size + 10);
    floor_packed = malloc(floor_size + 1100);

    if (floor_frame == NULL || floor_packed == NULL) {
        bench_die(errno, "no memory");
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
    uint16_t             port, control;
    struct epoll_event   events[FLOOR_EVENTS];

    port = 0;
    control = 0;

    for (i = 1; i < argc; i++) {

        if (strncmp(argv[i], "--port=", 7) == 0) {
            port = (uint16_t) bench_number("port", argv[i] + 7, 1, 65535);

        } else if (strncmp(argv[i], "--control=", 10) == 0) {
            control = (uint16_t) bench_number("control", argv[i] + 10, 1,
                                              65535);

        } else if (strncmp(argv[i], "--size=", 7) == 0) {
            floor_size = bench_number("size", argv[i] + 7, 150, FLOOR_SIZE);

        } else if (strcmp(argv[i], "--deflate") == 0) {
            floor_deflate = 1;

        } else {
            bench_die(0, "unknown option %s", argv[i]);
        }
    }

    if (port == 0 || control == 0) {
        bench_die(0, "--port=PORT and --control=PORT are needed");
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
