
/*
 * A node for the benchmark: answers each JSON-RPC call over HTTP at once, with
 * a result that makes the message that blockcast sends of it exactly --size
 * bytes long, and that says when it was answered.
 *
 *   rpc --port=P [--size=300]
 *
 * The method is the name of the stream, which must have no program.  Each
 * answer is another one, so its number is the stream's seq, which is part of
 * the message: nginx has to start with an empty zone.  GET /count tells the
 * number of calls so far.
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


#define RPC_FDS       1024
#define RPC_STREAMS   64
#define RPC_REQUEST   8192
#define RPC_SIZE      (64 * 1024)


typedef struct {
    size_t      have;
    char        data[RPC_REQUEST];
} rpc_buffer_t;

typedef struct {
    char        name[64];
    uint64_t    seq;
} rpc_stream_t;


static rpc_buffer_t  *rpc_buffers[RPC_FDS];
static rpc_stream_t   rpc_streams[RPC_STREAMS];
static uint64_t       rpc_calls;
static size_t         rpc_size = 300;
static char           rpc_reply[RPC_SIZE + 1024];


/* the string or number that follows "NAME": in a request of nginx's; its end */

static const char *
rpc_member(const char *body, const char *name, size_t *len)
{
    char         quoted[32];
    const char  *p;

    snprintf(quoted, sizeof(quoted), "\"%s\":", name);

    p = strstr(body, quoted);

    if (p == NULL) {
        return NULL;
    }

    p += strlen(quoted);

    if (*p == '"') {
        p++;
        *len = strcspn(p, "\"");

    } else {
        *len = strcspn(p, ",}");
    }

    return p;
}


static uint64_t
rpc_next(const char *name, size_t len)
{
    int  i;

    for (i = 0; i < RPC_STREAMS; i++) {

        if (rpc_streams[i].seq == 0 && len < sizeof(rpc_streams[i].name)) {
            memcpy(rpc_streams[i].name, name, len);
        }

        if (strlen(rpc_streams[i].name) == len
            && memcmp(rpc_streams[i].name, name, len) == 0)
        {
            return ++rpc_streams[i].seq;
        }
    }

    bench_die(0, "more than %d streams are asked for", RPC_STREAMS);
}


static size_t
rpc_call(const char *body)
{
    char         head[256], *p;
    size_t       id_len, name_len, data, len, n;
    uint64_t     seq;
    const char  *id, *name;

    id = rpc_member(body, "id", &id_len);
    name = rpc_member(body, "method", &name_len);

    if (id == NULL || name == NULL) {
        bench_die(0, "this is no call: %s", body);
    }

    rpc_calls++;
    seq = rpc_next(name, name_len);
    data = rpc_size - bench_envelope(name_len, seq);

    p = head + snprintf(head, sizeof(head), "{\"jsonrpc\":\"2.0\",\"id\":%.*s,"
                        "\"result\":", (int) id_len, id);
    len = (size_t) (p - head) + data + 1;

    n = (size_t) snprintf(rpc_reply, sizeof(rpc_reply), "HTTP/1.1 200 OK\r\n"
                          "Content-Type: application/json\r\n"
                          "Content-Length: %zu\r\n\r\n%s", len, head);

    bench_data(rpc_reply + n, data, bench_now());
    rpc_reply[n + data] = '}';

    return n + data + 1;
}


static void
rpc_close(int fd)
{
    free(rpc_buffers[fd]);
    rpc_buffers[fd] = NULL;
    close(fd);
}


static void
rpc_input(int fd)
{
    char          *head, *length, *body, saved;
    size_t         want, n;
    ssize_t        got;
    rpc_buffer_t  *b;

    b = rpc_buffers[fd];
    got = recv(fd, b->data + b->have, RPC_REQUEST - 1 - b->have, 0);

    if (got <= 0) {
        if (got == 0 || errno != EAGAIN) {
            rpc_close(fd);
        }

        return;
    }

    b->have += (size_t) got;
    b->data[b->have] = '\0';

    while ((head = strstr(b->data, "\r\n\r\n")) != NULL) {
        body = head + 4;
        length = strcasestr(b->data, "\r\nContent-Length:");
        want = (length != NULL && length < head)
               ? (size_t) strtoul(length + 17, NULL, 10) : 0;

        if (want > b->have - (size_t) (body - b->data)) {
            break;
        }

        if (strncmp(b->data, "GET ", 4) == 0) {
            char  count[32];

            n = (size_t) snprintf(count, sizeof(count), "%" PRIu64 "\n",
                                  rpc_calls);
            n = (size_t) snprintf(rpc_reply, sizeof(rpc_reply),
                                  "HTTP/1.1 200 OK\r\nContent-Length: %zu"
                                  "\r\n\r\n%s", n, count);
        } else {
            saved = body[want];
            body[want] = '\0';
            n = rpc_call(body);
            body[want] = saved;
        }

        if (send(fd, rpc_reply, n, MSG_NOSIGNAL) != (ssize_t) n) {
            rpc_close(fd);
            return;
        }

        b->have -= (size_t) (body + want - b->data);
        memmove(b->data, body + want, b->have + 1);
    }

    if (b->have == RPC_REQUEST - 1) {
        bench_die(0, "a request is longer than %d bytes", RPC_REQUEST - 1);
    }
}


int
main(int argc, char **argv)
{
    int                  i, n, fd, listening, epoll, on;
    uint16_t             port;
    struct epoll_event   ev, events[64];
    struct sockaddr_in   sin;

    port = 0;
    on = 1;

    for (i = 1; i < argc; i++) {

        if (strncmp(argv[i], "--port=", 7) == 0) {
            port = (uint16_t) bench_number("port", argv[i] + 7, 1, 65535);

        } else if (strncmp(argv[i], "--size=", 7) == 0) {
            rpc_size = bench_number("size", argv[i] + 7, 150, RPC_SIZE);

        } else {
            bench_die(0, "unknown option %s", argv[i]);
        }
    }

    memset(&sin, 0, sizeof(sin));
    sin.sin_family = AF_INET;
    sin.sin_port = htons(port);
    sin.sin_addr.s_addr = htonl(INADDR_LOOPBACK);

    listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    epoll = epoll_create1(0);

    memset(&ev, 0, sizeof(ev));
    ev.events = EPOLLIN;
    ev.data.fd = listening;

    if (port == 0
        || setsockopt(listening, SOL_SOCKET, SO_REUSEADDR, &on, sizeof(on))
        || bind(listening, (struct sockaddr *) &sin, sizeof(sin))
        || listen(listening, 128)
        || epoll_ctl(epoll, EPOLL_CTL_ADD, listening, &ev))
    {
        bench_die(errno, "cannot listen on 127.0.0.1:%u", port);
    }

    for ( ;; ) {
        n = epoll_wait(epoll, events, 64, -1);

        for (i = 0; i < n; i++) {

            if (events[i].data.fd != listening) {
                rpc_input(events[i].data.fd);
                continue;
            }

            fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK);

            if (fd == -1) {
                continue;
            }

            rpc_buffers[fd < RPC_FDS ? fd : 0] = calloc(1, sizeof(rpc_buffer_t));
            ev.data.fd = fd;

            if (fd >= RPC_FDS || rpc_buffers[fd] == NULL
                || setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on))
                || epoll_ctl(epoll, EPOLL_CTL_ADD, fd, &ev))
            {
                bench_die(errno, "cannot take a connection");
            }
        }
    }
}
