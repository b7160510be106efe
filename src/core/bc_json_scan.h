
/*
 * Copyright (C) the blockcast authors
 *
 * Classes of characters, and functions that skip eight bytes at a time; for
 * the JSON checker and the JSON readers.
 */

#ifndef _BC_JSON_SCAN_H_INCLUDED_
#define _BC_JSON_SCAN_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


#define bc_json_is_space(c)                                                   \
    ((c) == ' ' || (c) == '\n' || (c) == '\r' || (c) == '\t')

#define bc_json_is_digit(c)  ((c) >= '0' && (c) <= '9')


/* nonzero when one of the 8 bytes of w is below n (n <= 0x80), or equals c */

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


/* Returns the value of four hexadecimal digits at p, or -1. */

static inline int32_t
bc_json_hex4(const uint8_t *p, const uint8_t *last)
{
    int      i, h;
    int32_t  c;

    if (last - p < 4) {
        return -1;
    }

    c = 0;

    for (i = 0; i < 4; i++) {
        h = bc_json_hex(p[i]);

        if (h < 0) {
            return -1;
        }

        c = c << 4 | h;
    }

    return c;
}


/* Returns the value of the \uXXXX at p, or -1. */

static inline int32_t
bc_json_unit(const uint8_t *p, const uint8_t *last)
{
    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }

    return bc_json_hex4(p + 2, last);
}


/*
 * Returns the index of the first byte found.  The highest bit is set in each
 * byte found, and perhaps in bytes after the first one, because the
 * subtraction borrows from them.  On a big-endian machine returns 0: the
 * caller then looks at each byte.
 */

#if (defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__)

#define bc_json_found_first(found)  ((size_t) __builtin_ctzll(found) / 8)

#else

#define bc_json_found_first(found)  ((size_t) 0)

#endif


/*
 * Skips bytes of a string that need no attention: neither quotes, backslashes,
 * control characters nor anything beyond ASCII.
 */

static inline const uint8_t *
bc_json_skip_plain(const uint8_t *p, const uint8_t *last)
{
    uint64_t  w, found;

    while (last - p >= 8) {
        memcpy(&w, p, 8);

        found = (w & 0x8080808080808080u)
                | bc_json_has_less(w, 0x20)
                | bc_json_has_byte(w, '"')
                | bc_json_has_byte(w, '\\');

        if (found != 0) {
            p += bc_json_found_first(found);
            break;
        }

        p += 8;
    }

    while (p < last && *p >= 0x20 && *p < 0x80 && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


/* Skips them in checked text, where only quotes and backslashes matter. */

static inline const uint8_t *
bc_json_skip_checked(const uint8_t *p, const uint8_t *last)
{
    uint64_t  w, found;

    while (last - p >= 8) {
        memcpy(&w, p, 8);

        found = bc_json_has_byte(w, '"') | bc_json_has_byte(w, '\\');

        if (found != 0) {
            p += bc_json_found_first(found);
            break;
        }

        p += 8;
    }

    while (p < last && *p != '"' && *p != '\\') {
        p++;
    }

    return p;
}


#endif /* _BC_JSON_SCAN_H_INCLUDED_ */
