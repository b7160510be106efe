/*
 * Loaded into the nginx of a test (LD_PRELOAD): its clock is off by as many
 * seconds as the file BLOCKCAST_CLOCK says, a number of eight bytes that the
 * test may change at any time.  What measures intervals, the monotonic clock,
 * is left alone.  Built and set by t/lib/Blockcast/Clock.pm.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>


static volatile int64_t  *off;

static int (*real_clock)(clockid_t, struct timespec *);


/* the workers have another user: they use what the master has mapped */

__attribute__((constructor))
static void
begin(void)
{
    int          fd;
    void        *p;
    const char  *name;

    real_clock = (int (*)(clockid_t, struct timespec *))
                     dlsym(RTLD_NEXT, "clock_gettime");

    name = getenv("BLOCKCAST_CLOCK");
    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDONLY);
    if (fd == -1) {
        return;
    }

    p = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, fd, 0);
    (void) close(fd);

    if (p != MAP_FAILED) {
        off = p;
    }
}


int
clock_gettime(clockid_t id, struct timespec *ts)
{
    int  rc;

    if (real_clock == NULL) {
        begin();
    }

    rc = real_clock(id, ts);

    if (rc == 0 && off != NULL
        && (id == CLOCK_REALTIME || id == CLOCK_REALTIME_COARSE))
    {
        ts->tv_sec += *off;
    }

    return rc;
}


int
gettimeofday(struct timeval *restrict tv, void *restrict tz)
{
    struct timespec  ts;

    (void) tz;

    if (clock_gettime(CLOCK_REALTIME, &ts) != 0) {
        return -1;
    }

    tv->tv_sec = ts.tv_sec;
    tv->tv_usec = ts.tv_nsec / 1000;

    return 0;
}


time_t
time(time_t *t)
{
    struct timespec  ts;

    (void) clock_gettime(CLOCK_REALTIME, &ts);

    if (t != NULL) {
        *t = ts.tv_sec;
    }

    return ts.tv_sec;
}
