
#include "bench.h"

#include <errno.h>
#include <inttypes.h>
#include <dirent.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>


uint64_t
bench_now(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_MONOTONIC, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


void
bench_die(int err, const char *fmt, ...)
{
    va_list  args;

    fprintf(stderr, "%s: ", program_invocation_short_name);

    va_start(args, fmt);
    vfprintf(stderr, fmt, args);
    va_end(args);

    if (err) {
        fprintf(stderr, ": %s", strerror(err));
    }

    fputc('\n', stderr);
    exit(1);
}


uint64_t
bench_number(const char *option, const char *value, uint64_t min,
    uint64_t max)
{
    char                *end;
    unsigned long long   n;

    errno = 0;
    n = strtoull(value, &end, 10);

    if (errno || end == value || *end || n < min || n > max) {
        bench_die(0, "--%s=%s: a number from %" PRIu64 " to %" PRIu64
                  " is needed", option, value, min, max);
    }

    return n;
}


/* values below 64 have a place each, then 64 places a power of two */

static size_t
bench_hist_place(uint64_t value)
{
    int     shift;
    size_t  place;

    if (value < BENCH_HIST_STEPS) {
        return value;
    }

    shift = 63 - __builtin_clzll(value) - 6;
    place = (size_t) (shift + 1) * BENCH_HIST_STEPS
            + ((value >> shift) - BENCH_HIST_STEPS);

    return place < BENCH_HIST_SIZE ? place : BENCH_HIST_SIZE - 1;
}


void
bench_hist_add(bench_hist_t *h, uint64_t value)
{
    h->count[bench_hist_place(value)]++;

    if (h->n == 0 || value < h->min) {
        h->min = value;
    }

    if (value > h->max) {
        h->max = value;
    }

    h->n++;
}


uint64_t
bench_hist_at(const bench_hist_t *h, double share)
{
    size_t    i;
    uint64_t  sum, rank, low;

    if (h->n == 0) {
        return 0;
    }

    rank = (uint64_t) (share * (double) h->n);
    sum = 0;

    for (i = 0; i < BENCH_HIST_SIZE; i++) {
        sum += h->count[i];

        if (sum > rank) {
            break;
        }
    }

    if (i < BENCH_HIST_STEPS) {
        return i;
    }

    if (i >= BENCH_HIST_SIZE) {
        return h->max;
    }

    /* the middle of the place, but nothing that never was */

    low = (uint64_t) (BENCH_HIST_STEPS + i % BENCH_HIST_STEPS)
          << (i / BENCH_HIST_STEPS - 1);
    low += ((uint64_t) 1 << (i / BENCH_HIST_STEPS - 1)) / 2;

    return low < h->min ? h->min : low > h->max ? h->max : low;
}


void
bench_hist_print(FILE *out, const char *name, const bench_hist_t *h)
{
    fprintf(out, ",\"%s\":{\"n\":%" PRIu64 ",\"min\":%.1f,\"p50\":%.1f,"
            "\"p99\":%.1f,\"max\":%.1f}", name, h->n, (double) h->min / 1e3,
            (double) bench_hist_at(h, 0.50) / 1e3,
            (double) bench_hist_at(h, 0.99) / 1e3, (double) h->max / 1e3);
}


static int
bench_read(const char *path, char *buf, size_t size)
{
    FILE    *f;
    size_t   n;

    f = fopen(path, "r");
    if (f == NULL) {
        return -1;
    }

    n = fread(buf, 1, size - 1, f);
    buf[n] = '\0';
    fclose(f);

    return n == 0 ? -1 : 0;
}


int
bench_cpu(int pid, bench_cpu_t *c)
{
    DIR            *dir;
    char            path[300], buf[1024], *p;
    long            ticks;
    uint64_t        run, wait;
    struct dirent  *entry;
    unsigned long   user, system;

    snprintf(path, sizeof(path), "/proc/%d/stat", pid);

    if (bench_read(path, buf, sizeof(buf)) != 0) {
        return -1;
    }

    /* the name of the program may hold spaces and parentheses */

    p = strrchr(buf, ')');

    if (p == NULL
        || sscanf(p + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
                  &user, &system)
           != 2)
    {
        return -1;
    }

    ticks = sysconf(_SC_CLK_TCK);
    c->user += (uint64_t) user * (uint64_t) (1000000000 / ticks);
    c->system += (uint64_t) system * (uint64_t) (1000000000 / ticks);

    /* that counts hundredths of a second; the scheduler knows better */

    snprintf(path, sizeof(path), "/proc/%d/task", pid);

    dir = opendir(path);
    if (dir == NULL) {
        return -1;
    }

    while ((entry = readdir(dir)) != NULL) {
        if (entry->d_name[0] == '.') {
            continue;
        }

        snprintf(path, sizeof(path), "/proc/%d/task/%s/schedstat", pid,
                 entry->d_name);

        if (bench_read(path, buf, sizeof(buf)) == 0
            && sscanf(buf, "%" SCNu64 " %" SCNu64, &run, &wait) == 2)
        {
            c->cpu += run;
            c->wait += wait;
        }
    }

    closedir(dir);

    return 0;
}


uint64_t
bench_pss(int pid)
{
    char       path[64], buf[4096], *p;
    uint64_t   kb;

    snprintf(path, sizeof(path), "/proc/%d/smaps_rollup", pid);

    if (bench_read(path, buf, sizeof(buf)) != 0) {
        return 0;
    }

    p = strstr(buf, "\nPss:");

    if (p == NULL || sscanf(p + 5, "%" SCNu64, &kb) != 1) {
        return 0;
    }

    return kb * 1024;
}


void
bench_time(char *p, uint64_t t)
{
    int  i;

    for (i = 19; i >= 0; i--) {
        p[i] = (char) ('0' + t % 10);
        t /= 10;
    }
}


size_t
bench_envelope(size_t name_len, uint64_t seq)
{
    char  tail[64];

    return sizeof("{\"type\":\"\",\"data\":") - 1 + name_len
           + (size_t) snprintf(tail, sizeof(tail), ",\"timestamp\":1700000000,"
                               "\"seq\":%" PRIu64 "}", seq);
}


void
bench_data(char *p, size_t len, uint64_t t)
{
    int       n;
    char      entry[128], *last;
    uint32_t  x;

    last = p + len;
    x = 2463534242u;

    p += sprintf(p, "{\"t\":\"%020" PRIu64 "\"", t);

    /* a number of entries, then what is left as one string */

    for ( ;; ) {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;

        n = snprintf(entry, sizeof(entry), ",\"12D3KooW%08x%05x\":"
                     "{\"latency_ms\":%u,\"height\":%u,\"state\":\"open\"}",
                     (unsigned) x, (unsigned) (x * 31u) & 0xfffff,
                     (unsigned) x % 400, 104000u + (unsigned) x % 64);

        /* ,"p":"" and the closing brace need eight bytes */

        if (p + n + 8 > last) {
            break;
        }

        p = (char *) memcpy(p, entry, (size_t) n) + n;
    }

    memcpy(p, ",\"p\":\"", 6);
    p += 6;
    memset(p, 'x', (size_t) (last - p) - 2);
    memcpy(last - 2, "\"}", 2);
}


size_t
bench_message(char *p, size_t len, const char *name, uint64_t t)
{
    size_t  data, head;

    data = len - bench_envelope(strlen(name), 1000000);

    head = (size_t) sprintf(p, "{\"type\":\"%s\",\"data\":", name);
    bench_data(p + head, data, t);

    memcpy(p + head + data, ",\"timestamp\":1700000000,\"seq\":1000000}",
           len - head - data);

    return head + sizeof("{\"t\":\"") - 1;
}


size_t
bench_frame_head(uint8_t *p, unsigned opcode, size_t len)
{
    int  i;

    p[0] = (uint8_t) (0x80 | opcode);

    if (len < 126) {
        p[1] = (uint8_t) len;
        return 2;
    }

    if (len < 65536) {
        p[1] = 126;
        p[2] = (uint8_t) (len >> 8);
        p[3] = (uint8_t) len;
        return 4;
    }

    p[1] = 127;

    for (i = 0; i < 8; i++) {
        p[2 + i] = (uint8_t) ((uint64_t) len >> (56 - 8 * i));
    }

    return 10;
}
