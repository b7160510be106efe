
/*
 * What the programs of the benchmark share: a clock, histograms, what a
 * process has cost, the payload, and the pieces of a WebSocket handshake.
 */


#ifndef _BENCH_H_INCLUDED_
#define _BENCH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>


/* times are nanoseconds of CLOCK_MONOTONIC, the same in all processes */
uint64_t bench_now(void);

/* ends the program with a sentence, and errno's text if err is not 0 */
void bench_die(int err, const char *fmt, ...)
    __attribute__((format(printf, 2, 3), noreturn));

/* a number from min to max of an option --NAME=VALUE, or the end */
uint64_t bench_number(const char *option, const char *value, uint64_t min,
    uint64_t max);


/*
 * A histogram of times: 64 steps for each power of two, so that a value is
 * off by 1.6 % at most.
 */

#define BENCH_HIST_STEPS  64
#define BENCH_HIST_SIZE   (BENCH_HIST_STEPS * 42)

typedef struct {
    uint64_t    n;
    uint64_t    min;
    uint64_t    max;
    uint64_t    count[BENCH_HIST_SIZE];
} bench_hist_t;

void bench_hist_add(bench_hist_t *h, uint64_t value);
/* the value below which the given share (0 … 1) of all is; 0: there is none */
uint64_t bench_hist_at(const bench_hist_t *h, double share);
/* ,"NAME":{"n":…,"min":…,"p50":…,"p99":…,"max":…} in microseconds */
void bench_hist_print(FILE *out, const char *name, const bench_hist_t *h);


/* what a process, with all its threads, has used up to now */

typedef struct {
    uint64_t    cpu;        /* ns on a processor, exact */
    uint64_t    wait;       /* ns it could have run and others did */
    uint64_t    user;       /* ns of it in user space, sampled by the kernel */
    uint64_t    system;
} bench_cpu_t;

/* adds that of a process to c; -1 when there is no such process */
int bench_cpu(int pid, bench_cpu_t *c);
/* proportional set size in bytes; 0 when it cannot be read */
uint64_t bench_pss(int pid);


/*
 * The payload of all messages: {"type":NAME,"data":DATA,"timestamp":…,"seq":N}
 * as blockcast sends it.  DATA begins with {"t":"…", the time of its making as
 * 20 digits, and goes on with what a list of peers might look like.
 */

/* bytes around the data; name is that of the stream */
size_t bench_envelope(size_t name_len, uint64_t seq);
/* the data, len bytes (at least 40) */
void bench_data(char *p, size_t len, uint64_t t);
/* a whole message of len bytes; where the digits of the time are */
size_t bench_message(char *p, size_t len, const char *name, uint64_t t);
/* writes the 20 digits */
void bench_time(char *p, uint64_t t);


/* base64(SHA-1(key + GUID)), RFC 6455, 4.2.2: 28 characters and a zero */
void bench_accept(const char *key, size_t len, char *accept);

/* the header of an unmasked frame, at most 10 bytes; its length */
size_t bench_frame_head(uint8_t *p, unsigned opcode, size_t len);


#endif /* _BENCH_H_INCLUDED_ */
