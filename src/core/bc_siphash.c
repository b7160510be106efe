
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_siphash.h"


#define bc_siphash_rotate(x, n)  ((x) << (n) | (x) >> (64 - (n)))

#define bc_siphash_round(v)                                                   \
    do {                                                                      \
        v[0] += v[1];                                                         \
        v[1] = bc_siphash_rotate(v[1], 13) ^ v[0];                            \
        v[0] = bc_siphash_rotate(v[0], 32);                                   \
        v[2] += v[3];                                                         \
        v[3] = bc_siphash_rotate(v[3], 16) ^ v[2];                            \
        v[0] += v[3];                                                         \
        v[3] = bc_siphash_rotate(v[3], 21) ^ v[0];                            \
        v[2] += v[1];                                                         \
        v[1] = bc_siphash_rotate(v[1], 17) ^ v[2];                            \
        v[2] = bc_siphash_rotate(v[2], 32);                                   \
    } while (0)


/* Reads n bytes as a little-endian number. */

static uint64_t
bc_siphash_word(const uint8_t *p, size_t n)
{
    uint64_t  word;

    word = 0;

    while (n != 0) {
        n--;
        word = word << 8 | p[n];
    }

    return word;
}


uint64_t
bc_siphash(const uint64_t key[2], const uint8_t *p, size_t len)
{
    size_t    left;
    uint64_t  word, v[4];

    v[0] = key[0] ^ 0x736f6d6570736575u;
    v[1] = key[1] ^ 0x646f72616e646f6du;
    v[2] = key[0] ^ 0x6c7967656e657261u;
    v[3] = key[1] ^ 0x7465646279746573u;

    for (left = len; left >= 8; left -= 8, p += 8) {
        word = bc_siphash_word(p, 8);
        v[3] ^= word;
        bc_siphash_round(v);
        v[0] ^= word;
    }

    /* the remaining bytes, and the length */

    word = bc_siphash_word(p, left) | (uint64_t) len << 56;
    v[3] ^= word;
    bc_siphash_round(v);
    v[0] ^= word;

    v[2] ^= 0xff;
    bc_siphash_round(v);
    bc_siphash_round(v);
    bc_siphash_round(v);

    return v[0] ^ v[1] ^ v[2] ^ v[3];
}
