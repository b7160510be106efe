
/*
 * Copyright (C) the blockcast authors
 *
 * A fuzz target is one file fuzz_NAME.c with LLVMFuzzerTestOneInput(); its
 * seeds are in corpus/NAME/.  t/fuzz/run builds it with all of src/core/bc_*.c.
 */

#ifndef _FUZZ_H_INCLUDED_
#define _FUZZ_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);


/* what must hold for every input; a violation is a finding */

#define must(cond)                                                            \
    do {                                                                      \
        if (!(cond)) {                                                        \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, \
                    #cond);                                                   \
            abort();                                                          \
        }                                                                     \
    } while (0)


/* the first bytes of an input steer the target, 0 when there are no more */

typedef struct {
    const uint8_t  *p;
    size_t          len;
} fuzz_t;


__attribute__((unused))
static unsigned
fuzz_byte(fuzz_t *f)
{
    if (f->len == 0) {
        return 0;
    }

    f->len--;

    return *f->p++;
}


/* memory of exactly that size, so that every read beyond it is seen */

__attribute__((unused))
static uint8_t *
fuzz_copy(const void *p, size_t len)
{
    uint8_t  *copy;

    copy = malloc(len ? len : 1);
    must(copy != NULL);

    if (len != 0) {
        memcpy(copy, p, len);
    }

    return copy;
}


/* small numbers from a seed that is part of the input */

__attribute__((unused))
static unsigned
fuzz_random(uint32_t *seed)
{
    *seed = *seed * 1664525u + 1013904223u;

    return *seed >> 16;
}


#endif /* _FUZZ_H_INCLUDED_ */
