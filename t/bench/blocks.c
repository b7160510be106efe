
/*
 * Many WebSocket clients that wait for blocks: prints of each number when the
 * first and when the last of them had it, in nanoseconds of CLOCK_MONOTONIC.
 *
 *   blocks --port=PORT --path=/ws --clients=1000 --subscribe=JSON
 *          --key='"number":"0x'
 *
 * prints "ready" when all have sent what they say, then a line "NUMBER FIRST
 * LAST CLIENTS" for each number behind the key, in hex, that has come to all
 * or, at the end of stdin, to some.
 */


#include "bench.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define BLOCKS_MAX      65536           /* numbers */
#define BLOCKS_BUF      65536           /* of a message, with its header */


typedef struct {
    int       fd;
    size_t    len;
    int64_t   newest;
    int       up;
    char     *buf;
} blocks_conn_t;


static uint64_t     blocks_first[BLOCKS_MAX];
static uint64_t     blocks_last[BLOCKS_MAX];
static unsigned     blocks_count[BLOCKS_MAX];
static const char  *blocks_key = "\"number\":\"0x";
static const char  *blocks_subscribe = "{}";
static const char  *blocks_path = "/";
static unsigned     blocks_clients = 1;


static uint64_t
blocks_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000u + (uint64_t) ts.tv_nsec;
}


static void
blocks_die(const char *what)
{
    fprintf(stderr, "blocks: %s: %s\n", what, strerror(errno));
    exit(1);
}


static void
blocks_write(int fd, const char *p, size_t len)
{
    if (write(fd, p, len) != (ssize_t) len) {
        blocks_die("write()");
    }
}


/* Connects, and waits for the end of the handshake. */

static void
blocks_open(blocks_conn_t *c, uint16_t port)
{
    int                 n, one;
    char                text[4096];
    size_t              len;
    struct sockaddr_in  sin;

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    one = 1;
    c->newest = -1;
    c->buf = malloc(BLOCKS_BUF);
    c->fd = socket(AF_INET, SOCK_STREAM, 0);

    if (c->buf == NULL || c->fd == -1
        || connect(c->fd, (struct sockaddr *) &sin, sizeof(sin)) == -1)
    {
        blocks_die("connect()");
    }

    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));

    n = snprintf(text, sizeof(text),
                 "GET %s HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\n"
                 "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
                 "Sec-WebSocket-Key: MDEyMzQ1Njc4OWFiY2RlZg==\r\n\r\n",
                 blocks_path);
    blocks_write(c->fd, text, (size_t) n);

    /* a byte at a time: what follows the head is a message already */

    for (len = 0; len < sizeof(text) - 1; len++) {
        if (read(c->fd, text + len, 1) != 1) {
            blocks_die("the handshake");
        }

        if (len >= 3 && memcmp(text + len - 3, "\r\n\r\n", 4) == 0) {
            break;
        }
    }

    if (strncmp(text, "HTTP/1.1 101", 12) != 0) {
        fprintf(stderr, "blocks: %.40s\n", text);
        exit(1);
    }

    /* a mask of zeros is a mask, too */

    len = strlen(blocks_subscribe);
    text[0] = (char) 0x81;

    if (len < 126) {
        text[1] = (char) (0x80 | len);
        n = 2;

    } else {
        text[1] = (char) (0x80 | 126);
        text[2] = (char) (len >> 8);
        text[3] = (char) len;
        n = 4;
    }

    memset(text + n, 0, 4);
    memcpy(text + n + 4, blocks_subscribe, len);
    blocks_write(c->fd, text, (size_t) n + 4 + len);

    fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK);
}


static void
blocks_message(blocks_conn_t *c, char *p, size_t len, uint64_t now)
{
    char     *at;
    int64_t   n;

    at = memmem(p, len, blocks_key, strlen(blocks_key));

    if (at == NULL) {
        return;
    }

    n = (int64_t) strtoll(at + strlen(blocks_key), NULL, 16);

    if (n <= c->newest || n >= BLOCKS_MAX) {
        return;
    }

    c->newest = n;

    if (blocks_count[n]++ == 0) {
        blocks_first[n] = now;
    }

    blocks_last[n] = now;

    if (blocks_count[n] == blocks_clients) {
        printf("%" PRId64 " %" PRIu64 " %" PRIu64 " %u\n", n, blocks_first[n],
               now, blocks_count[n]);
        fflush(stdout);
    }
}


static void
blocks_readable(blocks_conn_t *c)
{
    size_t    head, len;
    ssize_t   n;
    uint64_t  now;
    unsigned char  *p;

    n = read(c->fd, c->buf + c->len, BLOCKS_BUF - c->len);
    now = blocks_now();

    if (n <= 0) {
        if (n == -1 && errno == EAGAIN) {
            return;
        }

        fprintf(stderr, "blocks: a connection has ended\n");
        exit(1);
    }

    c->len += (size_t) n;

    while (c->len >= 2) {
        p = (unsigned char *) c->buf;
        len = p[1] & 0x7f;
        head = 2;

        if (len == 126) {
            if (c->len < 4) {
                return;
            }

            len = (size_t) p[2] << 8 | p[3];
            head = 4;
        }

        if (len == 127 || head + len > BLOCKS_BUF) {
            fprintf(stderr, "blocks: a message is too large\n");
            exit(1);
        }

        if (c->len < head + len) {
            return;
        }

        if ((p[0] & 15) == 9) {
            blocks_write(c->fd, "\x8a\x80\0\0\0\0", 6);
        }

        blocks_message(c, c->buf + head, len, now);

        c->len -= head + len;
        memmove(c->buf, c->buf + head + len, c->len);
    }
}


int
main(int argc, char **argv)
{
    int                  i, n, ep;
    char                 text[64];
    uint16_t             port;
    blocks_conn_t       *conns;
    struct rlimit        rl;
    struct epoll_event   ev, events[256];

    port = 0;

    for (i = 1; i < argc; i++) {
        if (strncmp(argv[i], "--port=", 7) == 0) {
            port = (uint16_t) atoi(argv[i] + 7);

        } else if (strncmp(argv[i], "--path=", 7) == 0) {
            blocks_path = argv[i] + 7;

        } else if (strncmp(argv[i], "--clients=", 10) == 0) {
            blocks_clients = (unsigned) atoi(argv[i] + 10);

        } else if (strncmp(argv[i], "--subscribe=", 12) == 0) {
            blocks_subscribe = argv[i] + 12;

        } else if (strncmp(argv[i], "--key=", 6) == 0) {
            blocks_key = argv[i] + 6;

        } else {
            fprintf(stderr, "blocks: unknown argument %s\n", argv[i]);
            return 2;
        }
    }

    if (getrlimit(RLIMIT_NOFILE, &rl) == 0) {
        rl.rlim_cur = rl.rlim_max;
        (void) setrlimit(RLIMIT_NOFILE, &rl);
    }

    conns = calloc(blocks_clients, sizeof(blocks_conn_t));
    ep = epoll_create1(0);

    if (conns == NULL || ep == -1) {
        blocks_die("no memory");
    }

    for (i = 0; i < (int) blocks_clients; i++) {
        blocks_open(&conns[i], port);

        ev.events = EPOLLIN;
        ev.data.ptr = &conns[i];

        if (epoll_ctl(ep, EPOLL_CTL_ADD, conns[i].fd, &ev) == -1) {
            blocks_die("epoll_ctl()");
        }
    }

    ev.events = EPOLLIN;
    ev.data.ptr = NULL;

    if (epoll_ctl(ep, EPOLL_CTL_ADD, STDIN_FILENO, &ev) == -1) {
        blocks_die("stdin");
    }

    printf("ready\n");
    fflush(stdout);

    for ( ;; ) {
        n = epoll_wait(ep, events, 256, -1);

        for (i = 0; i < n; i++) {
            if (events[i].data.ptr != NULL) {
                blocks_readable(events[i].data.ptr);

            } else if (read(STDIN_FILENO, text, sizeof(text)) <= 0) {
                goto done;
            }
        }
    }

done:

    for (i = 0; i < BLOCKS_MAX; i++) {
        if (blocks_count[i] != 0 && blocks_count[i] < blocks_clients) {
            printf("%d %" PRIu64 " %" PRIu64 " %u\n", i, blocks_first[i],
                   blocks_last[i], blocks_count[i]);
        }
    }

    return 0;
}
