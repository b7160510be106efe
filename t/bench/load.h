
/*
 * The load client.  load.c has the options, the phases of a run and the
 * report; conn.c the connections and their frames; track.c what is known of
 * the messages.
 */


#ifndef _LOAD_H_INCLUDED_
#define _LOAD_H_INCLUDED_


#include "bench.h"

#include <sys/epoll.h>
#include <openssl/ssl.h>


#define LOAD_CLIENTS   19900    /* a process may have 20,000 descriptors */
#define LOAD_PIDS      16
#define LOAD_WORKERS   8
#define LOAD_BUFFER    (256 * 1024)


typedef enum {
    load_none,
    load_connecting,
    load_securing,              /* TLS */
    load_handshake,
    load_open,
    load_closed,
    load_publisher              /* what triggers the messages */
} load_state_e;

typedef struct {
    int             fd;
    uint8_t         state;
    uint8_t         slow;       /* reads nothing */
    uint8_t         worker;     /* that serves it, by X-Worker */
    uint8_t         waiting;    /* for the first data after it subscribed */
    uint32_t        have;       /* bytes in rest */
    uint8_t        *rest;       /* the beginning of a frame */
    uint64_t        due;        /* when it was to connect */
    uint64_t        since;      /* it connects, or subscribed */
    SSL            *ssl;
} load_conn_t;


typedef struct {
    uint16_t        port;
    const char     *path;
    unsigned        clients;
    unsigned        sources;    /* addresses 127.0.0.2 and on to come from */
    unsigned        rate;       /* handshakes per second, 0: in step */
    uint64_t        late;       /* a handshake that takes longer, ns */
    const char     *subscribe;
    int             subscribe_first;
    int             deflate;
    int             tls;
    unsigned        slow;
    double          pings;      /* per second */
    uint16_t        trigger;    /* port */
    uint16_t        post;       /* port */
    const char     *post_path;
    size_t          size;
    double          every;      /* messages per second */
    unsigned        window;     /* messages under way, instead */
    uint64_t        settle;
    uint64_t        idle;
    uint64_t        seconds;    /* all in ns */
    int             wait;
    int             pids[LOAD_PIDS];
    int             npids;
    FILE           *log;
} load_options_t;


typedef struct {
    unsigned        connected;
    unsigned        refused;    /* no connection, or no 101 */
    unsigned        late;
    unsigned        closed;     /* by the server, once open */
    uint64_t        behind;     /* the client's own pace, at most */
    bench_hist_t    handshakes;
    bench_hist_t    first;      /* subscribe to the first data */
    bench_hist_t    pongs;

    /* since the measurement began */

    uint64_t        deliveries;
    uint64_t        others;     /* text frames that are no data */
    uint64_t        bytes;      /* of the frames with data */
    uint64_t        len_min;    /* of their payload, inflated */
    uint64_t        len_max;
    uint64_t        received;   /* results of recv() with data */
    uint64_t        inflated;   /* not found in the cache */
    uint64_t        messages;
    uint64_t        complete;   /* reached all */
    uint64_t        triggered;
    uint64_t        stalled;
    bench_hist_t    latency;    /* of each delivery */
    bench_hist_t    nearest;    /* first client of a message */
    bench_hist_t    last;       /* last one */
    bench_hist_t    wake;       /* between the first ones of two workers */
} load_stats_t;


extern load_options_t   load_options;
extern load_stats_t     load_stats;
extern load_conn_t     *load_conns;
extern int              load_epoll;
extern uint64_t         load_time;      /* about now */
extern int              load_workers[LOAD_WORKERS];    /* their X-Worker */


/* conn.c */

void load_conn_init(void);
/* begins a connection, which was due at that time */
void load_conn_open(load_conn_t *c, uint64_t due);
void load_conn_publisher(load_conn_t *c);
void load_conn_event(load_conn_t *c, uint32_t events);
void load_conn_close(load_conn_t *c);
/* a masked frame of up to 65535 bytes */
void load_conn_frame(load_conn_t *c, unsigned opcode, const void *data,
    size_t len);
void load_conn_subscribe(load_conn_t *c);


/* track.c */

/* a data message made at t has come to a client */
void load_track(load_conn_t *c, uint64_t t);
/* true when the newest message has reached everybody */
int load_track_complete(void);
/* forgets all, for the measurement */
void load_track_reset(void);
/* the time of the message made last */
uint64_t load_track_newest(void);
/* the number of clients that a message is to reach */
extern unsigned load_track_expected;


/* load.c: one more message */
void load_trigger(void);


#endif /* _LOAD_H_INCLUDED_ */
