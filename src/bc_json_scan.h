
/*
 * Copyright (C) the blockcast authors
 *
 * What the JSON checker and the JSON readers share.
 */

#ifndef _BC_JSON_SCAN_H_INCLUDED_
#define _BC_JSON_SCAN_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define bc_json_is_space(c)                                                   \
    ((c) == ' ' || (c) == '\n' || (c) == '\r' || (c) == '\t')

#define bc_json_is_digit(c)  ((c) >= '0' && (c) <= '9')


/* true when one of the 8 bytes is below n (n <= 0x80) */

#define bc_json_has_less(w, n)                                                \
    (((w) - 0x0101010101010101u * (n)) & ~(w) & 0x8080808080808080u)

#define bc_json_has_byte(w, c)                                                \
    bc_json_has_less((w) ^ (0x0101010101010101u * (c)), 1)


static inline const uint8_t *
bc_json_skip_space(const uint8_t *p, const uint8_t *last)
{
    while (p < last && bc_json_is_space(*p)) {
        p++;
    }

    return p;
}


static inline int
bc_json_hex(uint8_t c)
{
    if (c >= '0' && c <= '9') {
        return c - '0';
    }

    c |= 0x20;

    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }

    return -1;
}


/*
 * Skips the bytes of a string that need no look: neither quote, backslash,
 * control character nor, as the caller wants, anything beyond ASCII.
 */

static inline const uint8_t *
bc_json_skip_plain(const uint8_t *p, const uint8_t *last)
{
    uint64_t  w;

    while (last - p >= 8) {
        memcpy(&w, p, 8);

        if ((w & 0x8080808080808080u)
            || bc_json_has_less(w, 0x20)
            || bc_json_has_byte(w, '"')
            || bc_json_has_byte(w, '\\'))
        {
            break;
        }

        p += 8;
    }

    while (p < last && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


#endif /* _BC_JSON_SCAN_H_INCLUDED_ */
