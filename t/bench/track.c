
#include "load.h"

#include <inttypes.h>
#include <string.h>


/* messages under way at the same time; older ones are forgotten */
#define LOAD_TRACKED  256


typedef struct {
    uint64_t    t;
    uint64_t    first;
    uint32_t    count;
    uint64_t    by_worker[LOAD_WORKERS];
} load_message_t;


unsigned                load_track_expected;

static load_message_t   load_messages[LOAD_TRACKED];
static unsigned         load_newest;


/* when the second worker's first client had it, after that of the first */

static void
load_track_wake(load_message_t *m)
{
    int       i;
    uint64_t  min, max;

    min = UINT64_MAX;
    max = 0;

    for (i = 0; i < LOAD_WORKERS && load_workers[i]; i++) {

        if (m->by_worker[i] == 0) {
            return;
        }

        min = m->by_worker[i] < min ? m->by_worker[i] : min;
        max = m->by_worker[i] > max ? m->by_worker[i] : max;
    }

    if (i > 1) {
        bench_hist_add(&load_stats.wake, max - min);
    }
}


void
load_track(load_conn_t *c, uint64_t t)
{
    unsigned         i, n;
    uint64_t         took;
    load_message_t  *m;

    took = load_time > t ? load_time - t : 0;

    bench_hist_add(&load_stats.latency, took);

    /* it is nearly always the newest, or with several streams close to it */

    for (n = 0; n < LOAD_TRACKED; n++) {
        i = (load_newest - n) % LOAD_TRACKED;
        m = &load_messages[i];

        if (m->t == t) {
            goto found;
        }

        if (m->t == 0) {
            break;
        }
    }

    load_newest = (load_newest + 1) % LOAD_TRACKED;
    m = &load_messages[load_newest];

    memset(m, 0, sizeof(load_message_t));
    m->t = t;
    m->first = load_time;

    load_stats.messages++;
    bench_hist_add(&load_stats.nearest, took);

found:

    if (m->by_worker[c->worker] == 0) {
        m->by_worker[c->worker] = load_time;
    }

    if (++m->count != load_track_expected) {
        return;
    }

    load_stats.complete++;
    bench_hist_add(&load_stats.last, took);
    load_track_wake(m);

    if (load_options.log) {
        fprintf(load_options.log, "m %" PRIu64 " %" PRIu64 "\n", t, load_time);
    }

    if (load_options.window) {
        load_trigger();
    }
}


int
load_track_complete(void)
{
    return load_messages[load_newest].count >= load_track_expected;
}


uint64_t
load_track_newest(void)
{
    return load_messages[load_newest].t;
}


void
load_track_reset(void)
{
    /* messages under way stay known: a window is to go on */

    load_stats.deliveries = 0;
    load_stats.others = 0;
    load_stats.bytes = 0;
    load_stats.len_min = 0;
    load_stats.len_max = 0;
    load_stats.received = 0;
    load_stats.inflated = 0;
    load_stats.messages = 0;
    load_stats.complete = 0;
    load_stats.triggered = 0;
    load_stats.stalled = 0;

    memset(&load_stats.latency, 0, sizeof(bench_hist_t));
    memset(&load_stats.nearest, 0, sizeof(bench_hist_t));
    memset(&load_stats.last, 0, sizeof(bench_hist_t));
    memset(&load_stats.wake, 0, sizeof(bench_hist_t));
    memset(&load_stats.pongs, 0, sizeof(bench_hist_t));
}
