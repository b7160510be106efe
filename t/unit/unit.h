
/*
 * Copyright (C) the blockcast authors
 *
 * A test program prints TAP: every check is one line "ok N - what", the plan
 * comes last, the exit code tells whether all were good.
 */

#ifndef _UNIT_H_INCLUDED_
#define _UNIT_H_INCLUDED_


#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


static int  unit_count;
static int  unit_failed;


#if defined(__GNUC__)
__attribute__((format(printf, 2, 3), unused))
#endif
static int
ok(int good, const char *fmt, ...)
{
    char     name[128], *p;
    va_list  ap;

    va_start(ap, fmt);
    vsnprintf(name, sizeof(name), fmt, ap);
    va_end(ap);

    for (p = name; *p != '\0'; p++) {
        if (*p < ' ' || *p > '~' || *p == '#') {
            *p = '.';
        }
    }

    printf("%sok %d - %s\n", good ? "" : "not ", ++unit_count, name);

    if (!good) {
        unit_failed++;
        fflush(stdout);
    }

    return good;
}


/* two integers */

#define is(got, expected, ...)                                                \
    do {                                                                      \
        long long  got_ = (long long) (got);                                  \
        long long  exp_ = (long long) (expected);                             \
        if (!ok(got_ == exp_, __VA_ARGS__)) {                                 \
            printf("#   got %lld, expected %lld (%s:%d)\n", got_, exp_,       \
                   __FILE__, __LINE__);                                       \
        }                                                                     \
    } while (0)


/* two strings */

#define is_str(got, expected, ...)                                            \
    do {                                                                      \
        const char  *got_ = (got);                                            \
        const char  *exp_ = (expected);                                       \
        if (!ok(strcmp(got_, exp_) == 0, __VA_ARGS__)) {                      \
            printf("#   got      \"%s\"\n#   expected \"%s\" (%s:%d)\n",      \
                   got_, exp_, __FILE__, __LINE__);                           \
        }                                                                     \
    } while (0)


/* bytes and a string */

#define is_mem(p, n, expected, ...)                                           \
    do {                                                                      \
        const char  *exp_ = (expected);                                       \
        if (!ok((size_t) (n) == strlen(exp_)                                  \
                && memcmp((p), exp_, (size_t) (n)) == 0, __VA_ARGS__))        \
        {                                                                     \
            printf("#   got      \"%.*s\"\n#   expected \"%s\" (%s:%d)\n",    \
                   (int) (n), (const char *) (p), exp_, __FILE__, __LINE__);  \
        }                                                                     \
    } while (0)


static int
unit_done(void)
{
    printf("1..%d\n", unit_count);

    if (unit_failed != 0) {
        printf("# %d of %d failed\n", unit_failed, unit_count);
    }

    return unit_failed != 0;
}


/*
 * A copy in memory of exactly that size, so that a sanitizer sees every read
 * beyond it.  To be freed.
 */

__attribute__((unused))
static uint8_t *
unit_copy(const void *p, size_t len)
{
    uint8_t  *copy;

    copy = malloc(len ? len : 1);

    if (copy == NULL) {
        abort();
    }

    if (len != 0) {
        memcpy(copy, p, len);
    }

    return copy;
}


/* The same numbers on every machine (xorshift64*). */

static uint64_t  unit_seed = 0x9e3779b97f4a7c15u;

__attribute__((unused))
static uint64_t
unit_random(void)
{
    unit_seed ^= unit_seed >> 12;
    unit_seed ^= unit_seed << 25;
    unit_seed ^= unit_seed >> 27;

    return unit_seed * 0x2545f4914f6cdd1du;
}


#endif /* _UNIT_H_INCLUDED_ */
