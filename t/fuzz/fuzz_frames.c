
/*
 * Copyright (C) the blockcast authors
 *
 * The frame parser.  Input: 4 bytes that steer, then either the wire as it
 * is, or (steer bit 1) frames as "first byte, length, payload", which are put
 * on the wire with correct lengths and masks.
 */

#include "fuzz_ws.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              first;
    fuzz_t           f;
    size_t           n, len;
    uint8_t         *wire;
    uint32_t         seed;
    unsigned         steer;
    bc_ws_limits_t   limits;

    static const bc_ws_deflate_params_t  pmd = { 1, 1, 15, 15 };

    f.p = data;
    f.len = size;

    steer = fuzz_byte(&f);
    seed = fuzz_byte(&f) << 8 | fuzz_byte(&f);

    limits.max_message = (steer & 4) ? 200 : 1 << 20;
    limits.max_frame = (steer & 8) ? 150 : 0;
    limits.max_fragments = fuzz_byte(&f) % 8;

    if (!(steer & 2)) {
        ws_check(f.p, f.len, &limits, (steer & 16) ? &pmd : NULL, steer & 1,
                 seed);
        return 0;
    }

    wire = malloc(f.len * 8 + 16);
    must(wire != NULL);
    len = 0;

    while (f.len >= 2) {
        first = (int) fuzz_byte(&f);
        n = fuzz_byte(&f);

        if (n >= 0xf0) {
            n = (n & 15) << 8 | fuzz_byte(&f);
        }

        n = (n > f.len) ? f.len : n;

        len += ws_frame(wire + len, first, f.p, n, !(steer & 1));
        f.p += n;
        f.len -= n;
    }

    ws_check(wire, len, &limits, (steer & 16) ? &pmd : NULL, steer & 1, seed);

    free(wire);

    return 0;
}
