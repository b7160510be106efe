
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_utf8.h"

#include <string.h>


/*
 * The state encodes what the next byte must be:
 *
 *     bits 0-1    continuation bytes still missing
 *     bits 8-15   lowest value allowed for the next byte
 *     bits 16-23  highest value allowed for the next byte
 *     bit 31      failed
 *
 * 0 is the beginning of a character.  Only the first continuation byte may
 * have a range other than 80..BF, which excludes overlong forms (E0, F0),
 * surrogates (ED) and values over U+10FFFF (F4).
 */

#define BC_UTF8_BAD              0x80000000u

#define bc_utf8_state(n, lo, hi)                                              \
    ((uint32_t) (n) | (uint32_t) (lo) << 8 | (uint32_t) (hi) << 16)


static uint32_t
bc_utf8_lead(uint8_t c)
{
    if (c < 0x80) {
        return BC_UTF8_START;
    }

    if (c < 0xc2) {
        return BC_UTF8_BAD;
    }

    if (c < 0xe0) {
        return bc_utf8_state(1, 0x80, 0xbf);
    }

    if (c < 0xf0) {
        return bc_utf8_state(2, (c == 0xe0) ? 0xa0 : 0x80,
                             (c == 0xed) ? 0x9f : 0xbf);
    }

    if (c < 0xf5) {
        return bc_utf8_state(3, (c == 0xf0) ? 0x90 : 0x80,
                             (c == 0xf4) ? 0x8f : 0xbf);
    }

    return BC_UTF8_BAD;
}


static uint32_t
bc_utf8_step(uint32_t s, uint8_t c)
{
    unsigned  left;

    left = s & 3;

    if (left == 0) {
        return bc_utf8_lead(c);
    }

    if (c < ((s >> 8) & 0xff) || c > ((s >> 16) & 0xff)) {
        return BC_UTF8_BAD;
    }

    left--;

    return (left == 0) ? BC_UTF8_START : bc_utf8_state(left, 0x80, 0xbf);
}


int
bc_utf8_feed(uint32_t *state, const uint8_t *p, size_t len)
{
    uint32_t        s;
    uint64_t        word;
    const uint8_t  *last;

    s = *state;

    if (s & BC_UTF8_BAD) {
        return -1;
    }

    last = p + len;

    while (p < last) {

        if (s == BC_UTF8_START) {

            while (last - p >= 8) {
                memcpy(&word, p, 8);

                if (word & 0x8080808080808080u) {
                    break;
                }

                p += 8;
            }

            while (p < last && *p < 0x80) {
                p++;
            }

            if (p == last) {
                break;
            }
        }

        s = bc_utf8_step(s, *p++);

        if (s & BC_UTF8_BAD) {
            *state = s;
            return -1;
        }
    }

    *state = s;

    return 0;
}


size_t
bc_utf8_sequence(const uint8_t *p, size_t len, size_t *bad)
{
    size_t    i;
    uint32_t  s;

    s = BC_UTF8_START;

    for (i = 0; i < len; i++) {
        s = bc_utf8_step(s, p[i]);

        if (s == BC_UTF8_START) {
            return i + 1;
        }

        if (s & BC_UTF8_BAD) {
            break;
        }
    }

    if (bad != NULL) {
        *bad = (i > 0) ? i : 1;
    }

    return 0;
}
