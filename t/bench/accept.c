
/*
 * The answer to a Sec-WebSocket-Key: base64(SHA-1(key + GUID)), so that the
 * bare loop needs no library.
 */


#include "bench.h"

#include <string.h>


static uint32_t
bench_rol(uint32_t x, unsigned n)
{
    return x << n | x >> (32 - n);
}


static void
bench_sha1_block(uint32_t *h, const uint8_t *p)
{
    int       i;
    uint32_t  w[80], a, b, c, d, e, f, k, t;

    for (i = 0; i < 16; i++) {
        w[i] = (uint32_t) p[4 * i] << 24 | (uint32_t) p[4 * i + 1] << 16
               | (uint32_t) p[4 * i + 2] << 8 | p[4 * i + 3];
    }

    for (i = 16; i < 80; i++) {
        w[i] = bench_rol(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1);
    }

    a = h[0];
    b = h[1];
    c = h[2];
    d = h[3];
    e = h[4];

    for (i = 0; i < 80; i++) {

        if (i < 20) {
            f = (b & c) | (~b & d);
            k = 0x5a827999;

        } else if (i < 40) {
            f = b ^ c ^ d;
            k = 0x6ed9eba1;

        } else if (i < 60) {
            f = (b & c) | (b & d) | (c & d);
            k = 0x8f1bbcdc;

        } else {
            f = b ^ c ^ d;
            k = 0xca62c1d6;
        }

        t = bench_rol(a, 5) + f + e + k + w[i];
        e = d;
        d = c;
        c = bench_rol(b, 30);
        b = a;
        a = t;
    }

    h[0] += a;
    h[1] += b;
    h[2] += c;
    h[3] += d;
    h[4] += e;
}


void
bench_accept(const char *key, size_t len, char *accept)
{
    int        i, j;
    size_t     bits;
    uint8_t    block[128], hash[21];
    uint32_t   v, h[5] = { 0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476,
                           0xc3d2e1f0 };

    static const char  guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    static const char  base64[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                  "abcdefghijklmnopqrstuvwxyz0123456789+/";

    /* a key has 24 characters: with the GUID they take two blocks of 64 */

    if (len > 64) {
        len = 64;
    }

    memset(block, 0, sizeof(block));
    memcpy(block, key, len);
    memcpy(block + len, guid, 36);
    block[len + 36] = 0x80;

    bits = (len + 36) * 8;
    block[126] = (uint8_t) (bits >> 8);
    block[127] = (uint8_t) bits;

    bench_sha1_block(h, block);
    bench_sha1_block(h, block + 64);

    for (i = 0; i < 5; i++) {
        for (j = 0; j < 4; j++) {
            hash[4 * i + j] = (uint8_t) (h[i] >> (24 - 8 * j));
        }
    }

    hash[20] = 0;

    for (i = 0, j = 0; i < 21; i += 3) {
        v = (uint32_t) hash[i] << 16 | (uint32_t) hash[i + 1] << 8
            | hash[i + 2];

        accept[j++] = base64[v >> 18];
        accept[j++] = base64[v >> 12 & 63];
        accept[j++] = base64[v >> 6 & 63];
        accept[j++] = base64[v & 63];
    }

    accept[27] = '=';
    accept[28] = '\0';
}
