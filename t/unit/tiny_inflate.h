
/*
 * Copyright (C) the blockcast authors
 *
 * A decompressor of our own, to check the compressor without zlib: as plain as
 * RFC 1951 puts it, slow, and it tells how far back the references reach.
 */

#ifndef _TINY_INFLATE_H_INCLUDED_
#define _TINY_INFLATE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>
#include <string.h>


typedef struct {
    const uint8_t  *p;
    size_t          len;
    size_t          bit;

    uint8_t        *out;
    size_t          size;
    size_t          n;

    size_t          max_distance;
    int             final;         /* a block had BFINAL */
    int             bad;
} tiny_t;


typedef struct {
    uint16_t  count[16];
    uint16_t  symbol[288];
} tiny_code_t;


static unsigned
tiny_bits(tiny_t *t, unsigned n)
{
    unsigned  i, v;

    v = 0;

    for (i = 0; i < n; i++, t->bit++) {

        if (t->bit >= t->len * 8) {
            t->bad = 1;
            return 0;
        }

        v |= (unsigned) (t->p[t->bit / 8] >> (t->bit % 8) & 1) << i;
    }

    return v;
}


static void
tiny_build(tiny_code_t *c, const uint8_t *lengths, unsigned n)
{
    unsigned  i, offset[16];

    memset(c, 0, sizeof(tiny_code_t));

    for (i = 0; i < n; i++) {
        c->count[lengths[i]]++;
    }

    c->count[0] = 0;
    offset[1] = 0;

    for (i = 1; i < 15; i++) {
        offset[i + 1] = offset[i] + c->count[i];
    }

    for (i = 0; i < n; i++) {
        if (lengths[i] != 0) {
            c->symbol[offset[lengths[i]]++] = (uint16_t) i;
        }
    }
}


static unsigned
tiny_symbol(tiny_t *t, const tiny_code_t *c)
{
    unsigned  code, first, index, len;

    code = first = index = 0;

    for (len = 1; len < 16; len++) {
        code |= tiny_bits(t, 1);

        if (code < first + c->count[len]) {
            return c->symbol[index + (code - first)];
        }

        index += c->count[len];
        first = (first + c->count[len]) << 1;
        code <<= 1;
    }

    t->bad = 1;

    return 0;
}


static void
tiny_codes(tiny_t *t, const tiny_code_t *lit, const tiny_code_t *dist)
{
    size_t    d;
    unsigned  s, len;

    static const uint16_t  base[] = {
        3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 15, 17, 19, 23, 27, 31, 35, 43, 51,
        59, 67, 83, 99, 115, 131, 163, 195, 227, 258
    };

    static const uint8_t  extra[] = {
        0, 0, 0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4,
        4, 5, 5, 5, 5, 0
    };

    static const uint16_t  dbase[] = {
        1, 2, 3, 4, 5, 7, 9, 13, 17, 25, 33, 49, 65, 97, 129, 193, 257, 385,
        513, 769, 1025, 1537, 2049, 3073, 4097, 6145, 8193, 12289, 16385,
        24577
    };

    while (!t->bad) {
        s = tiny_symbol(t, lit);

        if (s == 256) {
            return;
        }

        if (s < 256) {

            if (t->n == t->size) {
                t->bad = 1;
                return;
            }

            t->out[t->n++] = (uint8_t) s;
            continue;
        }

        s -= 257;

        if (s > 28) {
            t->bad = 1;
            return;
        }

        len = base[s] + tiny_bits(t, extra[s]);
        s = tiny_symbol(t, dist);

        if (s > 29) {
            t->bad = 1;
            return;
        }

        d = dbase[s] + tiny_bits(t, s < 2 ? 0 : s / 2 - 1);

        if (d > t->max_distance) {
            t->max_distance = d;
        }

        if (d > t->n || len > t->size - t->n) {
            t->bad = 1;
            return;
        }

        for ( /* void */ ; len != 0; len--, t->n++) {
            t->out[t->n] = t->out[t->n - d];
        }
    }
}


static void
tiny_dynamic(tiny_t *t)
{
    uint8_t      lengths[320];
    unsigned     i, s, nlit, ndist, ncode, repeat;
    tiny_code_t  lit, dist;

    static const uint8_t  order[] = {
        16, 17, 18, 0, 8, 7, 9, 6, 10, 5, 11, 4, 12, 3, 13, 2, 14, 1, 15
    };

    nlit = tiny_bits(t, 5) + 257;
    ndist = tiny_bits(t, 5) + 1;
    ncode = tiny_bits(t, 4) + 4;

    memset(lengths, 0, sizeof(lengths));

    for (i = 0; i < ncode; i++) {
        lengths[order[i]] = (uint8_t) tiny_bits(t, 3);
    }

    tiny_build(&lit, lengths, 19);

    for (i = 0; i < nlit + ndist && !t->bad; /* void */ ) {
        s = tiny_symbol(t, &lit);

        if (s < 16) {
            lengths[i++] = (uint8_t) s;
            continue;
        }

        if (s == 16 && i == 0) {
            t->bad = 1;
            return;
        }

        repeat = (s == 16) ? 3 + tiny_bits(t, 2)
                           : (s == 17) ? 3 + tiny_bits(t, 3)
                                       : 11 + tiny_bits(t, 7);
        s = (s == 16) ? lengths[i - 1] : 0;

        if (i + repeat > nlit + ndist) {
            t->bad = 1;
            return;
        }

        while (repeat--) {
            lengths[i++] = (uint8_t) s;
        }
    }

    tiny_build(&lit, lengths, nlit);
    tiny_build(&dist, lengths + nlit, ndist);
    tiny_codes(t, &lit, &dist);
}


/* decodes blocks up to the end of the input, which must end with one */

static int
tiny_inflate(tiny_t *t)
{
    size_t       n;
    uint8_t      lengths[288];
    tiny_code_t  lit, dist;

    t->bit = 0;
    t->n = 0;
    t->max_distance = 0;
    t->final = 0;
    t->bad = 0;

    while (!t->bad && t->bit < t->len * 8) {

        t->final |= (int) tiny_bits(t, 1);

        switch (tiny_bits(t, 2)) {

        case 0:
            t->bit = (t->bit + 7) / 8 * 8;
            n = tiny_bits(t, 16);

            if ((n ^ 0xffff) != tiny_bits(t, 16)
                || n > t->len - t->bit / 8 || n > t->size - t->n)
            {
                return -1;
            }

            memcpy(t->out + t->n, t->p + t->bit / 8, n);
            t->n += n;
            t->bit += n * 8;
            break;

        case 1:
            memset(lengths, 8, 144);
            memset(lengths + 144, 9, 112);
            memset(lengths + 256, 7, 24);
            memset(lengths + 280, 8, 8);
            tiny_build(&lit, lengths, 288);

            memset(lengths, 5, 30);
            tiny_build(&dist, lengths, 30);

            tiny_codes(t, &lit, &dist);
            break;

        case 2:
            tiny_dynamic(t);
            break;

        default:
            return -1;
        }
    }

    return t->bad ? -1 : 0;
}


#endif /* _TINY_INFLATE_H_INCLUDED_ */
