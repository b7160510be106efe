
/*
 * Copyright (C) the blockcast authors
 */

#include <string.h>

#include "bc_text.h"
#include "bc_utf8.h"


/*
 * Tells whether the character is shown as a space: ASCII controls, U+2028,
 * U+2029.
 */

static int
bc_text_space(const uint8_t *p, size_t n)
{
    return (n == 1) ? *p < 0x20 || *p == 0x7f
                    : n == 3 && p[0] == 0xe2 && p[1] == 0x80
                      && (p[2] & 0xfe) == 0xa8;
}


size_t
bc_text_print(uint8_t *dst, size_t size, const uint8_t *p, size_t len)
{
    size_t          n, bad, out;
    uint8_t        *start;
    const uint8_t  *last, *c;

    start = dst;
    last = p + len;

    while (p < last) {
        n = bc_utf8_sequence(p, (size_t) (last - p), &bad);

        c = p;
        out = n;

        if (n == 0 || (n == 2 && p[0] == 0xc2 && p[1] < 0xa0)) {
            n = (n != 0) ? n : bad;
            c = (const uint8_t *) "\xef\xbf\xbd";
            out = 3;

        } else if (bc_text_space(p, n)) {
            c = (const uint8_t *) " ";
            out = 1;
        }

        if (out > size) {
            break;
        }

        memcpy(dst, c, out);
        dst += out;
        size -= out;
        p += n;
    }

    return (size_t) (dst - start);
}
