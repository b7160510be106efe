/*
 * Loaded before everything else into the nginx of a test (LD_PRELOAD): makes
 * allocations fail, and kills the process at a moment that is named, or in the
 * middle of copying to shared memory.
 *
 * It is told what to do through a page of a file, BLOCKCAST_PRELOAD, which the
 * test writes and which all processes of that nginx have mapped.  Built and
 * spoken to by t/lib/Blockcast/Preload.pm.
 */


#define _GNU_SOURCE

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <time.h>
#include <unistd.h>


#define MOMENT_LEN  64

enum { FAIL_NONE = 0, FAIL_NTH, FAIL_SOME, FAIL_ALL };


/* the page; the test knows the layout */

typedef struct {
    volatile uint32_t  fail;            /* FAIL_... */
    volatile uint32_t  nth;             /* NTH: of those to come, from 1 */
    volatile uint32_t  share;           /* SOME: of 65536 */
    volatile uint32_t  pid;             /* only in this process, or 0 */
    volatile uint32_t  libjq;           /* only in libjq, which aborts */
    volatile uint32_t  allocations;     /* while it was armed */
    volatile uint32_t  failed;

    volatile uint32_t  countdown;       /* of the moment, from 1 */
    volatile uint32_t  copy;            /* of copies to shared memory */
    volatile uint32_t  killed;          /* pid of the last one */
    volatile uint32_t  seen;            /* moments that went by, a count */
    volatile uint32_t  stop;            /* at the moment: not killed */
    char               moment[MOMENT_LEN];
    volatile uint32_t  turn;            /* the longest one of an event loop,
                                           usec of the processor */
} page_t;


static page_t  *page;

static char    *shared;                 /* the largest shared mapping */
static size_t   shared_len;

static void *(*real_malloc)(size_t);
static void *(*real_calloc)(size_t, size_t);
static void *(*real_realloc)(void *, size_t);
static int (*real_memalign)(void **, size_t, size_t);
static void (*real_free)(void *);
static void *(*real_mmap)(void *, size_t, int, int, int, off_t);

/* for dlsym() itself, which allocates before there is anything */
static char     early[65536] __attribute__((aligned(16)));
static size_t   early_used;
static int      looking;

static __thread uint32_t  dice;


static void
look_up(void)
{
    if (real_malloc != NULL || looking) {
        return;
    }

    looking = 1;

    real_calloc = (void *(*)(size_t, size_t)) dlsym(RTLD_NEXT, "calloc");
    real_realloc = (void *(*)(void *, size_t)) dlsym(RTLD_NEXT, "realloc");
    real_memalign = (int (*)(void **, size_t, size_t))
                        dlsym(RTLD_NEXT, "posix_memalign");
    real_free = (void (*)(void *)) dlsym(RTLD_NEXT, "free");
    real_mmap = (void *(*)(void *, size_t, int, int, int, off_t))
                    dlsym(RTLD_NEXT, "mmap");
    real_malloc = (void *(*)(size_t)) dlsym(RTLD_NEXT, "malloc");

    looking = 0;
}


static void *
early_alloc(size_t size)
{
    void  *p;

    size = (size + 15) & ~(size_t) 15;

    if (early_used + size > sizeof(early)) {
        _exit(120);
    }

    p = early + early_used;
    early_used += size;

    return p;
}


__attribute__((constructor))
static void
begin(void)
{
    int          fd;
    void        *p;
    const char  *name;

    look_up();

    name = getenv("BLOCKCAST_PRELOAD");
    if (name == NULL) {
        return;
    }

    fd = open(name, O_RDWR);
    if (fd == -1) {
        return;
    }

    p = real_mmap(NULL, sizeof(page_t), PROT_READ|PROT_WRITE, MAP_SHARED, fd,
                  0);
    (void) close(fd);

    if (p != MAP_FAILED) {
        page = p;
    }
}


/*
 * Whether an allocation is to fail.  libjq ends the process when it gets no
 * memory, and so may others: those of nginx, the module and the libraries that
 * say so to their caller fail, or those of libjq alone.
 */

static int
fails(const void *caller)
{
    Dl_info      info;
    const char  *name;

    if (page == NULL || page->fail == FAIL_NONE
        || (page->pid != 0 && page->pid != (uint32_t) getpid()))
    {
        return 0;
    }

    if (dladdr(caller, &info) == 0 || info.dli_fname == NULL) {
        return 0;
    }

    /* the name alone: a folder may be called anything */
    name = strrchr(info.dli_fname, '/');
    name = (name != NULL) ? name + 1 : info.dli_fname;

    if (page->libjq
        ? strncmp(name, "libjq", 5) != 0
        : strncmp(name, "nginx", 5) != 0 && strncmp(name, "ngx_", 4) != 0
          && strncmp(name, "libz.", 5) != 0
          && strncmp(name, "libcbor", 7) != 0
          && strncmp(name, "libcjson", 8) != 0)
    {
        return 0;
    }

    (void) __sync_fetch_and_add(&page->allocations, 1);

    switch (page->fail) {

    case FAIL_NTH:
        if (page->nth == 0 || __sync_sub_and_fetch(&page->nth, 1) != 0) {
            return 0;
        }

        page->fail = FAIL_NONE;
        break;

    case FAIL_SOME:
        dice = dice * 1664525 + 1013904223 + (uint32_t) getpid();

        if ((dice >> 16) >= page->share) {
            return 0;
        }

        break;

    default:
        break;
    }

    (void) __sync_fetch_and_add(&page->failed, 1);
    errno = ENOMEM;

    return 1;
}


void *
malloc(size_t size)
{
    look_up();

    if (real_malloc == NULL) {
        return early_alloc(size);
    }

    return fails(__builtin_return_address(0)) ? NULL : real_malloc(size);
}


void *
calloc(size_t n, size_t size)
{
    look_up();

    if (real_malloc == NULL) {
        return early_alloc(n * size);
    }

    return fails(__builtin_return_address(0)) ? NULL : real_calloc(n, size);
}


void *
realloc(void *old, size_t size)
{
    void  *p;

    look_up();

    if ((char *) old >= early && (char *) old < early + sizeof(early)) {
        p = malloc(size);

        if (p != NULL) {
            memcpy(p, old, size);
        }

        return p;
    }

    if (real_malloc == NULL) {
        return early_alloc(size);
    }

    return fails(__builtin_return_address(0)) ? NULL
                                              : real_realloc(old, size);
}


int
posix_memalign(void **p, size_t alignment, size_t size)
{
    look_up();

    return fails(__builtin_return_address(0)) ? ENOMEM
               : real_memalign(p, alignment, size);
}


void
free(void *p)
{
    if ((char *) p >= early && (char *) p < early + sizeof(early)) {
        return;
    }

    look_up();

    if (real_free != NULL) {
        real_free(p);
    }
}


/* the zone is the largest of what nginx shares */

void *
mmap(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    void  *p;

    look_up();

    p = real_mmap(addr, len, prot, flags, fd, offset);

    if (p != MAP_FAILED && (flags & MAP_SHARED) && fd == -1
        && len > shared_len)
    {
        shared = p;
        shared_len = len;
    }

    return p;
}


/* with files of 64 bits it has this name, whatever the machine's size */

void *
mmap64(void *addr, size_t len, int prot, int flags, int fd, off_t offset)
{
    return mmap(addr, len, prot, flags, fd, offset);
}


static void
end(void)
{
    page->killed = getpid();

    if (page->stop) {
        page->stop = 0;
        (void) kill(getpid(), SIGSTOP);
        return;
    }

    (void) kill(getpid(), SIGKILL);

    for ( ;; ) {
        (void) pause();
    }
}


/* of the module, when it is built with NGX_HTTP_BLOCKCAST_TEST_KILL */

void
ngx_http_blockcast_test_moment(const char *name)
{
    if (page == NULL) {
        return;
    }

    (void) __sync_fetch_and_add(&page->seen, 1);

    if (page->countdown == 0
        || (page->pid != 0 && page->pid != (uint32_t) getpid())
        || strncmp(name, page->moment, MOMENT_LEN) != 0
        || __sync_sub_and_fetch(&page->countdown, 1) != 0)
    {
        return;
    }

    end();
}


static void
copy(char *to, const char *from, size_t len, int down)
{
    if (!down) {
        while (len-- != 0) {
            *to++ = *from++;
            __asm__ volatile ("" ::: "memory");
        }

        return;
    }

    while (len-- != 0) {
        to[len] = from[len];
        __asm__ volatile ("" ::: "memory");
    }
}


static int
dies_here(const char *to, size_t len)
{
    return page != NULL && page->copy != 0 && len > 1
           && to >= shared && to < shared + shared_len
           && (page->pid == 0 || page->pid == (uint32_t) getpid())
           && __sync_sub_and_fetch(&page->copy, 1) == 0;
}


static void *(*real_memcpy)(void *, const void *, size_t);
static void *(*real_memmove)(void *, const void *, size_t);


void *
memcpy(void *to, const void *from, size_t len)
{
    if (dies_here(to, len)) {
        copy(to, from, len / 2, 0);
        end();
    }

    if (real_memcpy == NULL) {
        if (looking) {
            copy(to, from, len, 0);
            return to;
        }

        looking = 1;
        real_memcpy = (void *(*)(void *, const void *, size_t))
                          dlsym(RTLD_NEXT, "memcpy");
        looking = 0;
    }

    return real_memcpy(to, from, len);
}


void *
memmove(void *to, const void *from, size_t len)
{
    if (dies_here(to, len)) {
        copy(to, from, len / 2, 0);
        end();
    }

    if (real_memmove == NULL) {
        if (looking) {
            copy(to, from, len, (char *) to > (const char *) from);
            return to;
        }

        looking = 1;
        real_memmove = (void *(*)(void *, const void *, size_t))
                           dlsym(RTLD_NEXT, "memmove");
        looking = 0;
    }

    return real_memmove(to, from, len);
}


/* as _FORTIFY_SOURCE calls them */

void *
__memcpy_chk(void *to, const void *from, size_t len, size_t room)
{
    if (len > room) {
        abort();
    }

    return memcpy(to, from, len);
}


void *
__memmove_chk(void *to, const void *from, size_t len, size_t room)
{
    if (len > room) {
        abort();
    }

    return memmove(to, from, len);
}


/*
 * How long an event loop works between two waits.  It is time of the processor:
 * others on the machine do not matter.
 */

static uint64_t
thread_usec(void)
{
    struct timespec  ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);

    return (uint64_t) ts.tv_sec * 1000000 + (uint64_t) ts.tv_nsec / 1000;
}


int
epoll_wait(int fd, struct epoll_event *events, int max, int timeout)
{
    int              n;
    uint64_t         took;
    static int       (*real)(int, struct epoll_event *, int, int);
    static uint64_t  begun;
    static pid_t     pid;

    if (real == NULL) {
        real = (int (*)(int, struct epoll_event *, int, int))
                   dlsym(RTLD_NEXT, "epoll_wait");
    }

    /* the first turn of a process is its start */

    if (pid == getpid() && page != NULL) {
        took = thread_usec() - begun;

        if (took > page->turn) {
            page->turn = (uint32_t) took;
        }
    }

    pid = getpid();
    n = real(fd, events, max, timeout);
    begun = thread_usec();

    return n;
}
