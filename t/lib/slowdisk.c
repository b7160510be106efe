
/*
 * Copyright (C) the blockcast authors
 *
 * A slow disk, for LD_PRELOAD: every sync takes as many milliseconds as
 * BLOCKCAST_SYNC says, whatever is synced.
 */


#include <stdlib.h>
#include <time.h>
#include <unistd.h>


static int
slow(void)
{
    long             msec;
    const char      *value;
    struct timespec  ts;

    value = getenv("BLOCKCAST_SYNC");
    msec = (value != NULL) ? atol(value) : 0;

    ts.tv_sec = msec / 1000;
    ts.tv_nsec = msec % 1000 * 1000000;

    (void) nanosleep(&ts, NULL);

    return 0;
}


int
fsync(int fd)
{
    (void) fd;

    return slow();
}


int
fdatasync(int fd)
{
    (void) fd;

    return slow();
}
