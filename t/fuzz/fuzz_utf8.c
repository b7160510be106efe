
/*
 * Copyright (C) the blockcast authors
 *
 * UTF-8: the same judgement as a decoder written after the table in RFC 3629,
 * at the same byte, whatever the pieces.
 */

#include "bc_utf8.h"
#include "fuzz.h"


/* the longest prefix that can be the beginning of valid text */

static size_t
good_prefix(const uint8_t *p, size_t len, int *complete)
{
    size_t    i, n, k;
    uint32_t  low, high;

    *complete = 1;

    for (i = 0; i < len; i += n) {

        low = 0x80;
        high = 0xbf;

        if (p[i] < 0x80) {
            n = 1;

        } else if (p[i] >= 0xc2 && p[i] <= 0xdf) {
            n = 2;

        } else if (p[i] >= 0xe0 && p[i] <= 0xef) {
            n = 3;
            low = (p[i] == 0xe0) ? 0xa0 : 0x80;
            high = (p[i] == 0xed) ? 0x9f : 0xbf;

        } else if (p[i] >= 0xf0 && p[i] <= 0xf4) {
            n = 4;
            low = (p[i] == 0xf0) ? 0x90 : 0x80;
            high = (p[i] == 0xf4) ? 0x8f : 0xbf;

        } else {
            return i;
        }

        for (k = 1; k < n; k++) {

            if (i + k == len) {
                *complete = 0;
                return len;
            }

            if (p[i + k] < low || p[i + k] > high) {
                return i + k;
            }

            low = 0x80;
            high = 0xbf;
        }
    }

    return len;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int        rc, complete;
    size_t     i, n, good, bad;
    fuzz_t     f;
    uint8_t   *p;
    uint32_t   state, seed;

    f.p = data;
    f.len = size;
    seed = fuzz_byte(&f);

    p = fuzz_copy(f.p, f.len);
    good = good_prefix(p, f.len, &complete);

    /* all at once */

    state = BC_UTF8_START;
    rc = bc_utf8_feed(&state, p, f.len);

    must((rc == 0) == (good == f.len));
    must(rc != 0 || (bc_utf8_done(state) != 0) == complete);

    /* in pieces: it fails in the piece with the first bad byte */

    state = BC_UTF8_START;
    rc = 0;

    for (i = 0; i < f.len && rc == 0; i += n) {
        n = 1 + fuzz_random(&seed) % 20;
        n = (n > f.len - i) ? f.len - i : n;

        rc = bc_utf8_feed(&state, p + i, n);

        must((rc != 0) == (good < i + n));
    }

    /* character by character */

    for (i = 0; i < f.len; i += n) {
        n = bc_utf8_sequence(p + i, f.len - i, &bad);

        if (n == 0) {
            must(i <= good && i + bad >= good);
            must(bad >= 1 && bad <= 3 && bad <= f.len - i);
            break;
        }

        must(i + n <= good);
    }

    free(p);

    return 0;
}
