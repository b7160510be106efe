
/*
 * The load client: opens WebSocket connections from one thread, listens for a
 * while, and prints what it saw as one line of JSON.  Run it without options
 * for a list of them.
 */


#include "load.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>


#define LOAD_EVENTS   512
#define LOAD_STEP     200           /* connections under way, without a rate */
#define LOAD_LIMIT    (UINT64_C(120) * 1000000000)     /* to connect all */
#define LOAD_SECOND   UINT64_C(1000000000)


load_options_t          load_options = {
    .path = "/", .clients = 1, .size = 300, .late = 250000000,
    .post_path = "/", .seconds = 5 * LOAD_SECOND
};

load_stats_t            load_stats;
load_conn_t            *load_conns;
int                     load_epoll;
uint64_t                load_time;
int                     load_workers[LOAD_WORKERS];

static load_conn_t      load_pub;
static unsigned         load_opened_n;      /* connections begun */
static uint64_t         load_connect_due;
static uint64_t         load_trigger_due;
static uint64_t         load_triggered_at;
static uint64_t         load_ping_due;
static unsigned         load_pinged;
static int              load_publishing;
static char            *load_body;
static size_t           load_body_head;
static size_t           load_time_at;


static void
load_usage(void)
{
    fputs("usage: load --port=PORT [OPTION]...\n"
          "  --path=/            of the WebSocket\n"
          "  --clients=1         how many, up to 19900\n"
          "  --sources=0         come from so many addresses 127.0.0.2 ...\n"
          "  --rate=0            handshakes per second; 0: 200 at a time\n"
          "  --late=250          a handshake that takes more ms is late\n"
          "  --subscribe=JSON    what each says\n"
          "  --subscribe-first   at once, not after the idle time\n"
          "  --deflate           offer permessage-deflate\n"
          "  --tls               over TLS\n"
          "  --slow=0            so many of them read nothing\n"
          "  --pings=0           pings per second, of all together\n"
          "  --trigger=PORT      a byte to this port makes a message\n"
          "  --post=PORT/PATH    a POST there makes a message\n"
          "  --size=300          bytes of a message that is posted\n"
          "  --every=0           messages per second to make so\n"
          "  --window=0          or always so many under way\n"
          "  --idle=0            ms of silence before, to be subtracted\n"
          "  --settle=0          ms of messages that are not measured\n"
          "  --time=5000         ms that are measured\n"
          "  --wait              for a line on stdin when all are connected\n"
          "  --pid=PID           a server process to measure (several)\n"
          "  --log=FILE          times of messages and pings\n", stderr);
    exit(2);
}


/* the value when the argument is --NAME=VALUE */

static const char *
load_option(const char *arg, const char *name)
{
    size_t  len;

    len = strlen(name);

    return strncmp(arg, "--", 2) == 0 && strncmp(arg + 2, name, len) == 0
           && arg[2 + len] == '='
           ? arg + 3 + len : NULL;
}


static void
load_arguments(int argc, char **argv)
{
    int              i;
    char            *end;
    const char      *v;
    load_options_t  *o;

    o = &load_options;

#define load_is(name)       ((v = load_option(argv[i], name)) != NULL)
#define load_n(name, max)   bench_number(name, v, 0, max)
#define load_ms(name)       (load_n(name, 3600000) * 1000000)

    for (i = 1; i < argc; i++) {

        if (load_is("port")) {
            o->port = (uint16_t) load_n("port", 65535);

        } else if (load_is("path")) {
            o->path = v;

        } else if (load_is("clients")) {
            o->clients = (unsigned) load_n("clients", LOAD_CLIENTS);

        } else if (load_is("sources")) {
            o->sources = (unsigned) load_n("sources", 64);

        } else if (load_is("rate")) {
            o->rate = (unsigned) load_n("rate", 100000);

        } else if (load_is("late")) {
            o->late = load_ms("late");

        } else if (load_is("subscribe")) {
            o->subscribe = v;

        } else if (strcmp(argv[i], "--subscribe-first") == 0) {
            o->subscribe_first = 1;

        } else if (strcmp(argv[i], "--deflate") == 0) {
            o->deflate = 1;

        } else if (strcmp(argv[i], "--tls") == 0) {
            o->tls = 1;

        } else if (load_is("slow")) {
            o->slow = (unsigned) load_n("slow", LOAD_CLIENTS);

        } else if (load_is("pings")) {
            o->pings = (double) load_n("pings", 100000);

        } else if (load_is("trigger")) {
            o->trigger = (uint16_t) load_n("trigger", 65535);

        } else if (load_is("post")) {
            o->post = (uint16_t) strtoul(v, &end, 10);
            o->post_path = end;

        } else if (load_is("size")) {
            o->size = load_n("size", 65535);

        } else if (load_is("every")) {
            o->every = strtod(v, NULL);

        } else if (load_is("window")) {
            o->window = (unsigned) load_n("window", 64);

        } else if (load_is("idle")) {
            o->idle = load_ms("idle");

        } else if (load_is("settle")) {
            o->settle = load_ms("settle");

        } else if (load_is("time")) {
            o->seconds = load_ms("time");

        } else if (strcmp(argv[i], "--wait") == 0) {
            o->wait = 1;

        } else if (load_is("pid") && o->npids < LOAD_PIDS) {
            o->pids[o->npids++] = (int) load_n("pid", INT32_MAX);

        } else if (load_is("log")) {
            o->log = fopen(v, "w");

            if (o->log == NULL) {
                bench_die(errno, "cannot write %s", v);
            }

        } else {
            fprintf(stderr, "load: unknown option %s\n", argv[i]);
            load_usage();
        }
    }

    if (o->port == 0) {
        load_usage();
    }
}


static bench_cpu_t
load_cpu(void)
{
    int          i;
    bench_cpu_t  c = { 0, 0, 0, 0 };

    for (i = 0; i < load_options.npids; i++) {
        if (bench_cpu(load_options.pids[i], &c) != 0) {
            bench_die(0, "process %d, which was to be measured, is gone",
                      load_options.pids[i]);
        }
    }

    return c;
}


static uint64_t
load_pss(void)
{
    int       i;
    uint64_t  sum;

    sum = 0;

    for (i = 0; i < load_options.npids; i++) {
        sum += bench_pss(load_options.pids[i]);
    }

    return sum;
}


/* the kernel's small objects, sockets among them, in bytes */

static uint64_t
load_slab(void)
{
    FILE      *f;
    char       line[128];
    uint64_t   kb;

    f = fopen("/proc/meminfo", "r");
    kb = 0;

    if (f == NULL) {
        return 0;
    }

    while (fgets(line, sizeof(line), f) != NULL) {
        if (sscanf(line, "SUnreclaim: %" SCNu64, &kb) == 1) {
            break;
        }
    }

    fclose(f);

    return kb * 1024;
}


/* messages are made by a byte to the server's control port, or by a POST */

static void
load_publisher_init(void)
{
    int   n;
    char  head[512];

    if (!load_options.post && !load_options.trigger) {
        return;
    }

    load_conn_publisher(&load_pub);

    if (!load_options.post) {
        return;
    }

    n = snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: 127.0.0.1\r\n"
                 "Content-Type: application/json\r\nContent-Length: %zu"
                 "\r\n\r\n", load_options.post_path, load_options.size);

    load_body = malloc((size_t) n + load_options.size);

    if (load_body == NULL) {
        bench_die(errno, "no memory");
    }

    memcpy(load_body, head, (size_t) n);
    load_body_head = (size_t) n;
    load_time_at = load_body_head
                   + bench_message(load_body + n, load_options.size, "bench",
                                   0);
}


void
load_trigger(void)
{
    size_t       len;
    const char  *data;

    if (!load_publishing) {
        return;
    }

    data = "\n";
    len = 1;

    load_triggered_at = bench_now();
    load_stats.triggered++;

    if (load_options.post) {
        bench_time(load_body + load_time_at, load_triggered_at);
        data = load_body;
        len = load_body_head + load_options.size;
    }

    if (send(load_pub.fd, data, len, MSG_NOSIGNAL) != (ssize_t) len) {
        bench_die(errno, "cannot tell the server to send");
    }
}


/* what time has brought about; when the next thing is due */

static uint64_t
load_due(uint64_t until)
{
    uint64_t      step;
    load_conn_t  *c;

    step = load_options.rate ? LOAD_SECOND / load_options.rate : 0;

    while (load_opened_n < load_options.clients) {

        if (load_options.rate) {

            if (load_time < load_connect_due) {
                until = load_connect_due < until ? load_connect_due : until;
                break;
            }

            if (load_time - load_connect_due > load_stats.behind) {
                load_stats.behind = load_time - load_connect_due;
            }

        } else if (load_opened_n - load_stats.connected - load_stats.refused
                   - load_stats.closed
                   >= LOAD_STEP)
        {
            break;
        }

        c = &load_conns[load_opened_n++];
        c->slow = load_opened_n > load_options.clients - load_options.slow;

        load_conn_open(c, load_options.rate ? load_connect_due : load_time);
        load_connect_due += step;
        load_time = bench_now();
    }

    if (load_publishing && load_options.every > 0) {

        if (load_time >= load_trigger_due) {
            load_trigger();
            load_trigger_due += (uint64_t) (1e9 / load_options.every);

            if (load_trigger_due < load_time) {
                load_trigger_due = load_time;
            }
        }

        until = load_trigger_due < until ? load_trigger_due : until;

    } else if (load_publishing && load_options.window
               && load_time - load_triggered_at > LOAD_SECOND)
    {
        /* some client did not get the one before */

        load_stats.stalled++;
        load_trigger();
    }

    while (load_ping_due && load_time >= load_ping_due) {
        c = &load_conns[load_pinged++ % load_options.clients];

        if (c->state == load_open && !c->slow) {
            uint64_t  t = bench_now();

            load_conn_frame(c, 9, &t, sizeof(t));
        }

        load_ping_due += (uint64_t) (1e9 / load_options.pings);
    }

    if (load_ping_due && load_ping_due < until) {
        until = load_ping_due;
    }

    return until;
}


/* serves the connections until then, or until done() says so */

static void
load_run(uint64_t until, int (*done)(void))
{
    int                 i, n;
    uint64_t            next;
    struct timespec     ts;
    struct epoll_event  events[LOAD_EVENTS];

    for ( ;; ) {
        load_time = bench_now();

        if (load_time >= until || (done && done())) {
            return;
        }

        next = load_due(until);
        load_time = bench_now();
        next = next > load_time ? next - load_time : 0;

        /* stalls of the window are looked for */
        next = next > LOAD_SECOND ? LOAD_SECOND : next;

        ts.tv_sec = (time_t) (next / LOAD_SECOND);
        ts.tv_nsec = (long) (next % LOAD_SECOND);

        n = epoll_pwait2(load_epoll, events, LOAD_EVENTS, &ts, NULL);

        if (n == -1 && errno != EINTR) {
            bench_die(errno, "epoll_pwait2() failed");
        }

        load_time = bench_now();

        for (i = 0; i < n; i++) {
            load_conn_event(events[i].data.ptr, events[i].events);
        }
    }
}


static int
load_all_connected(void)
{
    return load_stats.connected + load_stats.refused + load_stats.closed
           >= load_options.clients;
}


static void
load_print_cpu(const char *name, bench_cpu_t *a, bench_cpu_t *b)
{
    printf(",\"%s\":{\"cpu\":%" PRIu64 ",\"wait\":%" PRIu64 ",\"user\":%" PRIu64
           ",\"system\":%" PRIu64 "}", name, b->cpu - a->cpu,
           b->wait - a->wait, b->user - a->user, b->system - a->system);
}


static uint64_t
load_own_cpu(void)
{
    struct rusage  u;

    getrusage(RUSAGE_SELF, &u);

    return (uint64_t) (u.ru_utime.tv_sec + u.ru_stime.tv_sec) * LOAD_SECOND
           + (uint64_t) (u.ru_utime.tv_usec + u.ru_stime.tv_usec) * 1000;
}


int
main(int argc, char **argv)
{
    char             line[64];
    unsigned         i;
    uint64_t         began, connected, idle_began, pss[3], slab[2], start, end;
    uint64_t         own[2];
    bench_cpu_t      cpu[6];
    load_options_t  *o;
    load_stats_t    *s;

    o = &load_options;
    s = &load_stats;

    load_arguments(argc, argv);
    signal(SIGPIPE, SIG_IGN);
    setvbuf(stdout, NULL, _IOFBF, 65536);

    load_conns = calloc(o->clients ? o->clients : 1, sizeof(load_conn_t));
    load_epoll = epoll_create1(EPOLL_CLOEXEC);

    if (load_conns == NULL || load_epoll == -1) {
        bench_die(errno, "cannot begin");
    }

    load_conn_init();
    load_publisher_init();

    pss[0] = load_pss();
    slab[0] = load_slab();

    /* the storm */

    cpu[0] = load_cpu();
    began = load_time = load_connect_due = bench_now();
    load_run(began + LOAD_LIMIT, load_all_connected);
    connected = load_time;

    /* what the servers still do for the last ones */

    load_run(connected + 50000000, NULL);
    cpu[1] = load_cpu();

    if (!load_all_connected()) {
        s->refused += o->clients - s->connected - s->refused - s->closed;
    }

    if (o->wait) {
        fprintf(stderr, "ready\n");
        fflush(stderr);

        if (fgets(line, sizeof(line), stdin) == NULL) {
            return 1;
        }
    }

    /* silence */

    if (o->subscribe && o->subscribe_first) {
        load_run(bench_now() + LOAD_SECOND, NULL);
    }

    cpu[2] = load_cpu();
    idle_began = bench_now();
    load_run(idle_began + o->idle, NULL);
    idle_began = bench_now() - idle_began;
    cpu[3] = load_cpu();
    pss[1] = load_pss();
    slab[1] = load_slab();

    /* messages */

    if (o->subscribe && !o->subscribe_first) {
        for (i = 0; i < o->clients; i++) {
            if (load_conns[i].state == load_open && !load_conns[i].slow) {
                load_conn_subscribe(&load_conns[i]);
            }

            if (i % 100 == 0) {
                load_run(bench_now() + 1000000, NULL);
            }
        }
    }

    if (o->pings > 0) {
        load_ping_due = bench_now();
    }

    load_publishing = o->trigger || o->post;
    load_trigger_due = bench_now();

    for (i = 0; i < o->window; i++) {
        load_trigger();
    }

    load_run(bench_now() + o->settle, NULL);

    /* from the end of a message to the end of another */

    if (load_track_newest()) {
        load_run(bench_now() + 2 * LOAD_SECOND, load_track_complete);
    }

    load_track_reset();
    cpu[4] = load_cpu();
    own[0] = load_own_cpu();
    start = bench_now();

    load_run(start + o->seconds, NULL);

    if (load_track_newest()) {
        load_run(bench_now() + 2 * LOAD_SECOND, load_track_complete);
    }

    end = bench_now();
    cpu[5] = load_cpu();
    own[1] = load_own_cpu();
    pss[2] = load_pss();

    printf("{\"clients\":%u,\"connected\":%u,\"refused\":%u,\"late\":%u,"
           "\"closed\":%u,\"connect_ms\":%.1f,\"behind_ms\":%.1f",
           o->clients, s->connected, s->refused, s->late, s->closed,
           (double) (connected - began) / 1e6, (double) s->behind / 1e6);

    bench_hist_print(stdout, "handshake_us", &s->handshakes);
    load_print_cpu("cpu_connect", &cpu[0], &cpu[1]);
    printf(",\"idle_ns\":%" PRIu64, idle_began);
    load_print_cpu("cpu_idle", &cpu[2], &cpu[3]);
    printf(",\"pss\":[%" PRIu64 ",%" PRIu64 ",%" PRIu64 "],\"slab\":[%" PRIu64
           ",%" PRIu64 "]", pss[0], pss[1], pss[2], slab[0], slab[1]);

    bench_hist_print(stdout, "first_us", &s->first);

    printf(",\"time_ns\":%" PRIu64 ",\"deliveries\":%" PRIu64
           ",\"messages\":%" PRIu64 ",\"complete\":%" PRIu64
           ",\"triggered\":%" PRIu64 ",\"stalled\":%" PRIu64
           ",\"bytes\":%" PRIu64 ",\"length\":[%" PRIu64 ",%" PRIu64
           "],\"others\":%" PRIu64 ",\"received\":%" PRIu64
           ",\"inflated\":%" PRIu64, end - start, s->deliveries, s->messages,
           s->complete, s->triggered, s->stalled, s->bytes, s->len_min,
           s->len_max, s->others, s->received, s->inflated);

    load_print_cpu("cpu", &cpu[4], &cpu[5]);
    printf(",\"own_ns\":%" PRIu64, own[1] - own[0]);

    bench_hist_print(stdout, "latency_us", &s->latency);
    bench_hist_print(stdout, "nearest_us", &s->nearest);
    bench_hist_print(stdout, "last_us", &s->last);
    bench_hist_print(stdout, "wake_us", &s->wake);
    bench_hist_print(stdout, "pong_us", &s->pongs);
    printf("}\n");

    if (o->log) {
        fclose(o->log);
    }

    return fflush(stdout) == 0 ? 0 : 1;
}
