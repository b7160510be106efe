
/*
 * Copyright (C) the blockcast authors
 *
 * HMAC-SHA-256.  nginx itself has no SHA-256 unless it was built with TLS.
 */


#include "bc_hmac.h"

#include <string.h>


#define BC_HMAC_BLOCK  64


typedef struct {
    uint32_t  state[8];
    uint64_t  len;                      /* bytes so far */
    uint8_t   block[BC_HMAC_BLOCK];
} bc_hmac_sha256_t;


static const uint32_t  bc_hmac_k[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1,
    0x923f82a4, 0xab1c5ed5, 0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3,
    0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174, 0xe49b69c1, 0xefbe4786,
    0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147,
    0x06ca6351, 0x14292967, 0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13,
    0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85, 0xa2bfe8a1, 0xa81a664b,
    0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a,
    0x5b9cca4f, 0x682e6ff3, 0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208,
    0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2
};


static uint32_t
bc_hmac_rotate(uint32_t x, int n)
{
    return (x >> n) | (x << (32 - n));
}


static void
bc_hmac_block(bc_hmac_sha256_t *c, const uint8_t *p)
{
    int       i;
    uint32_t  w[64], v[8], s0, s1, t1, t2;

    for (i = 0; i < 16; i++) {
        w[i] = (uint32_t) p[4 * i] << 24 | (uint32_t) p[4 * i + 1] << 16
               | (uint32_t) p[4 * i + 2] << 8 | p[4 * i + 3];
    }

    for ( /* void */ ; i < 64; i++) {
        s0 = bc_hmac_rotate(w[i - 15], 7) ^ bc_hmac_rotate(w[i - 15], 18)
             ^ (w[i - 15] >> 3);
        s1 = bc_hmac_rotate(w[i - 2], 17) ^ bc_hmac_rotate(w[i - 2], 19)
             ^ (w[i - 2] >> 10);
        w[i] = w[i - 16] + s0 + w[i - 7] + s1;
    }

    memcpy(v, c->state, sizeof(v));

    for (i = 0; i < 64; i++) {
        s1 = bc_hmac_rotate(v[4], 6) ^ bc_hmac_rotate(v[4], 11)
             ^ bc_hmac_rotate(v[4], 25);
        t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + bc_hmac_k[i]
             + w[i];
        s0 = bc_hmac_rotate(v[0], 2) ^ bc_hmac_rotate(v[0], 13)
             ^ bc_hmac_rotate(v[0], 22);
        t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));

        v[7] = v[6];
        v[6] = v[5];
        v[5] = v[4];
        v[4] = v[3] + t1;
        v[3] = v[2];
        v[2] = v[1];
        v[1] = v[0];
        v[0] = t1 + t2;
    }

    for (i = 0; i < 8; i++) {
        c->state[i] += v[i];
    }
}


static void
bc_hmac_begin(bc_hmac_sha256_t *c)
{
    static const uint32_t  initial[8] = {
        0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
        0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19
    };

    memcpy(c->state, initial, sizeof(initial));
    c->len = 0;
}


static void
bc_hmac_add(bc_hmac_sha256_t *c, const uint8_t *p, size_t len)
{
    size_t  used, n;

    while (len != 0) {
        used = c->len % BC_HMAC_BLOCK;
        n = BC_HMAC_BLOCK - used;
        n = (len < n) ? len : n;

        memcpy(c->block + used, p, n);
        c->len += n;
        p += n;
        len -= n;

        if (used + n == BC_HMAC_BLOCK) {
            bc_hmac_block(c, c->block);
        }
    }
}


static void
bc_hmac_end(bc_hmac_sha256_t *c, uint8_t *hash)
{
    int       i;
    uint8_t   length[8];
    uint64_t  bits;

    static const uint8_t  padding[BC_HMAC_BLOCK] = { 0x80 };

    bits = c->len * 8;

    for (i = 0; i < 8; i++) {
        length[i] = (uint8_t) (bits >> (56 - 8 * i));
    }

    /* padding up to where the length fills the last block */

    bc_hmac_add(c, padding, 1 + (BC_HMAC_BLOCK + 55 - c->len % BC_HMAC_BLOCK)
                                % BC_HMAC_BLOCK);
    bc_hmac_add(c, length, sizeof(length));

    for (i = 0; i < BC_HMAC_LEN; i++) {
        hash[i] = (uint8_t) (c->state[i / 4] >> (24 - 8 * (i % 4)));
    }
}


void
bc_hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *text,
    size_t len, uint8_t *mac)
{
    int               i;
    uint8_t           pad[BC_HMAC_BLOCK], hash[BC_HMAC_LEN];
    bc_hmac_sha256_t  c;

    if (key_len > BC_HMAC_BLOCK) {
        bc_hmac_begin(&c);
        bc_hmac_add(&c, key, key_len);
        bc_hmac_end(&c, hash);

        key = hash;
        key_len = BC_HMAC_LEN;
    }

    memset(pad, 0, sizeof(pad));
    memcpy(pad, key, key_len);

    for (i = 0; i < BC_HMAC_BLOCK; i++) {
        pad[i] ^= 0x36;
    }

    bc_hmac_begin(&c);
    bc_hmac_add(&c, pad, sizeof(pad));
    bc_hmac_add(&c, text, len);
    bc_hmac_end(&c, mac);

    for (i = 0; i < BC_HMAC_BLOCK; i++) {
        pad[i] ^= 0x36 ^ 0x5c;
    }

    bc_hmac_begin(&c);
    bc_hmac_add(&c, pad, sizeof(pad));
    bc_hmac_add(&c, mac, BC_HMAC_LEN);
    bc_hmac_end(&c, mac);
}


static int
bc_hmac_digit(uint8_t ch)
{
    if (ch >= '0' && ch <= '9') {
        return ch - '0';
    }

    ch |= 0x20;

    return (ch >= 'a' && ch <= 'f') ? ch - 'a' + 10 : 256;
}


int
bc_hmac_is(const uint8_t *mac, const uint8_t *hex, size_t len)
{
    int     differs;
    size_t  i;

    if (len != 2 * (size_t) BC_HMAC_LEN) {
        return 0;
    }

    differs = 0;

    for (i = 0; i < BC_HMAC_LEN; i++) {
        differs |= mac[i] ^ (bc_hmac_digit(hex[2 * i]) * 16
                             + bc_hmac_digit(hex[2 * i + 1]));
    }

    return differs == 0;
}
