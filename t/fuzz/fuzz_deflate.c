
/*
 * Copyright (C) the blockcast authors
 *
 * permessage-deflate both ways.  Input: 4 bytes that steer, then compressed
 * data (cut into fragments) or, with steer bit 1, data to compress: it must
 * come back as it was, and a decompressor of our own must agree.
 */

#include "fuzz_ws.h"
#include "../unit/tiny_inflate.h"


#define LIMIT  (64 * 1024)


static void
receive_message(fuzz_t *f, unsigned steer, uint32_t seed)
{
    int                      first;
    size_t                   n, len, left;
    tiny_t                   t;
    uint8_t                 *wire, *whole;
    const uint8_t           *p;
    ws_said_t                said;
    bc_ws_limits_t           limits;
    bc_ws_deflate_params_t   pmd;

    static uint8_t  out[LIMIT + 1];

    memset(&limits, 0, sizeof(limits));
    limits.max_message = (steer & 2) ? LIMIT : 300;

    pmd.server_no_context_takeover = pmd.client_no_context_takeover =
        (steer & 4) ? 0 : 1;
    pmd.server_bits = pmd.client_bits = 15;

    wire = malloc(f->len * 12 + 64);
    must(wire != NULL);
    len = 0;

    /* one message in fragments, another (the same) in one frame */

    first = (steer & 8) ? 0x41 : 0x42;
    p = f->p;
    left = f->len;

    do {
        n = 1 + fuzz_random(&seed) % (left + 1);
        n = (n > left) ? left : n;

        if (n == left) {
            first |= 0x80;
        }

        len += ws_frame(wire + len, first, p, n, 1);
        first = 0;
        p += n;
        left -= n;

        if (left != 0 && fuzz_random(&seed) % 4 == 0) {
            len += ws_frame(wire + len, 0x89, (const uint8_t *) "ping", 4, 1);
        }

    } while (left != 0);

    len += ws_frame(wire + len, 0xc2, f->p, f->len, 1);

    said = ws_check(wire, len, &limits, &pmd, 0, seed);

    free(wire);

    if (steer & 4 || f->len == 0) {
        return;
    }

    /*
     * Whatever our decoder takes for a complete stream of blocks (without
     * BFINAL, which it does not byte-align) must be taken, and be the same.
     */

    whole = malloc(f->len + 4);
    must(whole != NULL);
    memcpy(whole, f->p, f->len);
    memcpy(whole + f->len, "\x00\x00\xff\xff", 4);

    t.p = whole;
    t.len = f->len + 4;
    t.out = out;
    t.size = sizeof(out);

    if (tiny_inflate(&t) == 0 && !t.final && t.n <= limits.max_message
        && !(steer & 8))
    {
        ws_said_t      expected;
        bc_ws_event_t  ev;

        /* zlib also refuses codes that are incomplete, ours does not mind */

        if (said.failed == 0) {
            must(said.events >= 2);

            wire = malloc(f->len + 32);
            must(wire != NULL);
            len = ws_frame(wire, 0xc2, f->p, f->len, 1);
            said = ws_run(wire, len, &limits, &pmd, 0, 0);
            free(wire);

            expected.hash = 14695981039346656037u;
            expected.events = 0;
            memset(&ev, 0, sizeof(ev));
            ev.type = BC_WS_BINARY;
            ev.data = out;
            ev.len = t.n;
            ws_event(&expected, BC_WS_EVENT, &ev, &limits);

            must(said.hash == expected.hash);
        }
    }

    free(whole);
}


static void
compress_message(fuzz_t *f, unsigned steer, uint32_t seed)
{
    int                      level;
    size_t                   n, got, room, len;
    tiny_t                   t;
    uint8_t                 *z, *back, *wire, *exact;
    unsigned                 bits;
    ws_said_t                said, expected;
    bc_ws_event_t            ev;
    bc_ws_limits_t           limits;

    static const bc_ws_deflate_params_t  pmd = { 1, 1, 15, 15 };

    bits = 8 + (steer >> 1 & 7);
    level = 1 + (steer >> 4) % 9;

    room = f->len + f->len / 8 + 64;
    z = malloc(room);
    back = malloc(f->len + 1);
    wire = malloc(room + 16);
    must(z != NULL && back != NULL && wire != NULL);

    must(bc_ws_deflate(f->p, f->len, bits, level, z, room - 4, &n) == 0);

    /* a smaller room gives the same or nothing */

    exact = malloc(n + 8);
    must(exact != NULL);
    len = seed % (n + 8);
    free(exact);
    exact = malloc(len ? len : 1);
    must(exact != NULL);

    if (bc_ws_deflate(f->p, f->len, bits, level, exact, len, &got) == 0) {
        must(got == n && n + 5 <= len && memcmp(exact, z, n) == 0);

    } else {
        must(n + 5 > len);
    }

    free(exact);

    memcpy(z + n, "\x00\x00\xff\xff", 4);

    t.p = z;
    t.len = n + 4;
    t.out = back;
    t.size = f->len;

    must(tiny_inflate(&t) == 0);
    must(!t.final && t.n == f->len && memcmp(back, f->p, f->len) == 0);
    must(t.max_distance <= (size_t) 1 << bits);
    must(t.max_distance <= f->len);

    memset(&limits, 0, sizeof(limits));
    limits.max_message = f->len;

    len = ws_frame(wire, 0xc2, z, n, 1);
    said = ws_check(wire, len, &limits, &pmd, 0, seed);

    expected.hash = 14695981039346656037u;
    expected.events = 0;
    expected.failed = 0;
    memset(&ev, 0, sizeof(ev));
    ev.type = BC_WS_BINARY;
    ev.data = f->len ? f->p : (const uint8_t *) "";
    ev.len = f->len;
    ws_event(&expected, BC_WS_EVENT, &ev, &limits);

    must(said.hash == expected.hash && said.failed == 0);

    free(z);
    free(back);
    free(wire);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_t    f;
    uint32_t  seed;
    unsigned  steer;

    f.p = data;
    f.len = size;

    steer = fuzz_byte(&f);
    seed = fuzz_byte(&f) << 16 | fuzz_byte(&f) << 8 | fuzz_byte(&f);

    if (steer & 1) {
        compress_message(&f, steer, seed);

    } else {
        receive_message(&f, steer, seed);
    }

    return 0;
}
