
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, the time in which a token is refused tells an attacker how
 * much of it was right, and tokens can be guessed byte by byte.
 *
 * Times are not measured, which could only ever show that they differ: the
 * compiler reports each basic block that is entered (-fsanitize-coverage=
 * trace-pc, the Makefile adds it), and the way taken through the code has to
 * be the same whatever of a token is right.  memcmp() is one of our own here,
 * so that its way is seen, too.
 */

#include <stdint.h>
#include <stdlib.h>
#include <string.h>


#if defined(__clang__)
#define untraced  __attribute__((no_sanitize("coverage")))
#else
#define untraced  __attribute__((no_sanitize_coverage))
#endif


/* volatile: the compiler does not know of the calls that it inserts */

static volatile uint64_t  trace_hash;
static volatile size_t    trace_count;
static volatile int       tracing;


void __sanitizer_cov_trace_pc(void);

untraced
void
__sanitizer_cov_trace_pc(void)
{
    uintptr_t  pc;

    if (tracing) {
        pc = (uintptr_t) __builtin_return_address(0);
        trace_hash = (trace_hash ^ pc) * 0x100000001b3u;
        trace_count++;
    }
}


__attribute__((noinline))
static int
traced_memcmp(const void *one, const void *two, size_t n)
{
    const uint8_t  *a = one, *b = two;

    for ( /* void */ ; n != 0; n--, a++, b++) {
        if (*a != *b) {
            return *a < *b ? -1 : 1;
        }
    }

    return 0;
}


/* the code itself, beside the one that is linked */

#define memcmp             traced_memcmp
#define bc_tokens_parse    traced_parse
#define bc_tokens_count    traced_count
#define bc_tokens_check    traced_check
#define bc_tokens_stream   traced_stream
#define bc_tokens_free     traced_free

#include "../../src/core/bc_tokens.c"

#undef memcmp

#include "unit.h"


static const char  text[] =
    "first-0123456789abcdefghijklmnop a\n"
    "second-0123456789abcdefghijklmno b x,y\n"
    "third-of-another-length-0123456789abcdefghijklmnopqrstuvwxyz c\n"
    "fourth-0123456789abcdefghijklmno d\n";


/* the way that the check takes for a token */

static int
way(bc_tokens_t *t, const char *token, uint64_t *hash, size_t *count)
{
    int        rc;
    bc_span_t  name, streams;

    trace_hash = 0xcbf29ce484222325u;
    trace_count = 0;

    tracing = 1;
    rc = bc_tokens_check(t, (const uint8_t *) token, strlen(token), &name,
                         &streams);
    tracing = 0;

    *hash = trace_hash;
    *count = trace_count;

    return rc;
}


int
main(void)
{
    int           wrong;
    char          token[80];
    size_t        i, n, line, count, base_count;
    uint64_t      hash, base, found[3];
    const char   *why;
    bc_tokens_t  *t;

    static const char *const  known[] = {
        "first-0123456789abcdefghijklmnop", "second-0123456789abcdefghijklmno",
        "fourth-0123456789abcdefghijklmno"
    };

    t = bc_tokens_parse(text, sizeof(text) - 1, &line, &why);

    if (!ok(t != NULL && bc_tokens_count(t) == 4, "four tokens")) {
        return unit_done();
    }

    is(way(t, "zzzzzzzzzzzzzzzzzzzzzzzzzzzzzzzz", &base, &base_count), 0,
       "nothing is right");
    ok(base_count >= 4 * 8, "every word of every entry is visited (%zu)",
       base_count);

    for (i = 0; i < 3; i++) {

        wrong = 0;

        /* the first n characters are right; only the n-th one is wrong */

        for (n = 0; n < 32; n++) {
            memset(token, 'z', 32);
            token[32] = '\0';
            memcpy(token, known[i], n);

            if (way(t, token, &hash, &count) != 0 || hash != base
                || count != base_count)
            {
                wrong++;
            }

            memcpy(token, known[i], 32);
            token[n] ^= 1;

            if (way(t, token, &hash, &count) != 0 || hash != base
                || count != base_count)
            {
                wrong++;
            }
        }

        is(wrong, 0, "as much as may be right of token %zu, the way to a "
           "refusal is the same", i + 1);

        is(way(t, known[i], &found[i], &count), 1, "token %zu is known",
           i + 1);
    }

    ok(found[0] == found[1] && found[1] == found[2],
       "the way to each of the tokens is the same");

    /* whether a token of that length exists is not told either */

    wrong = 0;

    for (n = 16; n < sizeof(token); n++) {
        memset(token, 'z', n);
        token[n] = '\0';

        if (way(t, token, &hash, &count) != 0 || hash != base
            || count != base_count)
        {
            wrong++;
        }
    }

    is(wrong, 0, "the way to a refusal is the same for every length");

    way(t, "short", &hash, &count);
    ok(hash != base && count < base_count, "the trace does tell ways apart");

    bc_tokens_free(t);

    return unit_done();
}
