/*
 * Loaded before everything else into an nginx (LD_PRELOAD): measures the turns
 * of its event loops, from the end of one epoll_wait() to the beginning of the
 * next, and counts what is sent and compressed in each.
 *
 * The figures are in a file, TURNS_FILE, with a record for each process, from
 * where t/lib/Blockcast/Turns.pm and t/bench/lib/turns.mjs read them; they
 * begin anew when the number at its beginning is another one.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>


#define RECORDS  64

struct z_stream_s;


/* 128 bytes; the readers know the layout */

typedef struct {
    uint64_t  pid;
    uint64_t  round;                /* page->round of what follows */
    uint64_t  turns;
    uint64_t  cpu;                  /* nsec, of all turns */
    uint64_t  longest;              /* nsec of CPU time, of one turn */
    uint64_t  over1;                /* turns of more than 1 ms */
    uint64_t  over5;                /* ... 5 ms */
    uint64_t  sends;                /* in all turns, those of sockets */
    uint64_t  most_sends;           /* in one turn */
    uint64_t  bytes;
    uint64_t  most_bytes;
    uint64_t  deflated;             /* bytes that went into deflate() */
    uint64_t  most_deflated;
    uint64_t  wakes;                /* writes of eight bytes: eventfds */
    uint64_t  pad[2];
} record_t;


typedef struct {
    uint64_t  round;
    uint64_t  pad[15];
    record_t  records[RECORDS];
} page_t;


static page_t    *page;
static record_t  *own;

static int       in_turn;
static uint64_t  began;
static uint64_t  sends, bytes, deflated;

static int (*real_epoll_wait)(int, struct epoll_event *, int, int);
static ssize_t (*real_send)(int, const void *, size_t, int);
static ssize_t (*real_write)(int, const void *, size_t);
static ssize_t (*real_writev)(int, const struct iovec *, int);
static int (*real_deflate)(struct z_stream_s *, int);


__attribute__((constructor))
static void
begin(void)
{
    int          fd;
    void        *p;
    const char  *name;

    *(void **) &real_epoll_wait = dlsym(RTLD_NEXT, "epoll_wait");
    *(void **) &real_send = dlsym(RTLD_NEXT, "send");
    *(void **) &real_write = dlsym(RTLD_NEXT, "write");
    *(void **) &real_writev = dlsym(RTLD_NEXT, "writev");

    name = getenv("TURNS_FILE");
    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDWR);
    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(page_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd, 0);
    (void) close(fd);

    if (p != MAP_FAILED) {
        page = p;
    }
}


static uint64_t
cpu_time(void)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000000 + (uint64_t) ts.tv_nsec;
}


/* The record of this process, which may have been forked since. */

static record_t *
record(void)
{
    int        i;
    uint64_t   pid, none;

    pid = (uint64_t) getpid();

    if (own == NULL || own->pid != pid) {

        for (i = 0; i < RECORDS; i++) {
            none = 0;

            if (page->records[i].pid == pid
                || __atomic_compare_exchange_n(&page->records[i].pid, &none,
                                               pid, 0, __ATOMIC_SEQ_CST,
                                               __ATOMIC_SEQ_CST))
            {
                break;
            }
        }

        if (i == RECORDS) {
            return NULL;
        }

        own = &page->records[i];
        own->round = UINT64_MAX;
    }

    if (own->round != page->round) {
        memset(&own->turns, 0, sizeof(record_t) - 2 * sizeof(uint64_t));
        own->round = page->round;

        /* a turn in which that is seen began before */
        in_turn = 0;
    }

    return own;
}


static void
end_turn(void)
{
    uint64_t   time;
    record_t  *r;

    r = record();

    if (r == NULL || !in_turn) {
        return;
    }

    time = cpu_time() - began;

#define most(member, n)  if ((n) > r->member) { r->member = (n); }

    most(longest, time);
    most(most_sends, sends);
    most(most_bytes, bytes);
    most(most_deflated, deflated);

    r->cpu += time;
    r->over1 += (time > 1000000);
    r->over5 += (time > 5000000);
    r->sends += sends;
    r->bytes += bytes;
    r->deflated += deflated;
    r->turns++;
}


int
epoll_wait(int epfd, struct epoll_event *events, int n, int timeout)
{
    int  rc;

    /*
     * nginx also tries out what epoll can do, with room for one event, before
     * a worker begins its loop: what it does until then is no turn.
     */

    if (page == NULL || n == 1) {
        return real_epoll_wait(epfd, events, n, timeout);
    }

    end_turn();

    rc = real_epoll_wait(epfd, events, n, timeout);

    (void) record();

    sends = 0;
    bytes = 0;
    deflated = 0;
    in_turn = 1;
    began = cpu_time();

    return rc;
}


static void
sent(ssize_t n)
{
    sends++;

    if (n > 0) {
        bytes += (uint64_t) n;
    }
}


ssize_t
send(int fd, const void *buf, size_t len, int flags)
{
    ssize_t  n;

    n = real_send(fd, buf, len, flags);
    sent(n);

    return n;
}


ssize_t
write(int fd, const void *buf, size_t len)
{
    if (len == sizeof(uint64_t) && own != NULL) {
        own->wakes++;
    }

    return real_write(fd, buf, len);
}


ssize_t
writev(int fd, const struct iovec *iov, int n)
{
    ssize_t  rc;

    rc = real_writev(fd, iov, n);
    sent(rc);

    return rc;
}


/* z->next_in and z->avail_in come first in it */

int
deflate(struct z_stream_s *z, int flush)
{
    int       rc;
    uint32_t  before, after;

    if (real_deflate == NULL) {
        *(void **) &real_deflate = dlsym(RTLD_NEXT, "deflate");
    }

    memcpy(&before, (char *) z + sizeof(void *), sizeof(before));
    rc = real_deflate(z, flush);
    memcpy(&after, (char *) z + sizeof(void *), sizeof(after));

    deflated += before - after;

    return rc;
}
