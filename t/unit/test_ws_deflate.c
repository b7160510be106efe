
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, compressed messages arrive broken, or a few hundred bytes
 * from a hostile client fill the server's memory.  The sections follow the
 * families 12.* and 13.* of the Autobahn test suite and RFC 7692, 7.2.3.
 */

#include "tiny_inflate.h"
#include "ws_test.h"

#include <zlib.h>


static wire_t                        w;

static const bc_ws_deflate_params_t  pmd = { 1, 1, 15, 15 };
static const bc_ws_deflate_params_t  pmd_takeover = { 0, 0, 15, 15 };


/* contents of several kinds: text of few words, noise, zeros, a mixture */

static void
fill(uint8_t *p, size_t len, int kind)
{
    size_t  i, n;

    static const char  *words[] = {
        "{\"height\":", "\"peer\"", "latency_ms", ",", "184467", "null", "}",
        "\xe2\x82\xac", "\"timestamp\":", " "
    };

    i = 0;

    while (i < len) {

        if (kind == 0 || (kind == 3 && unit_random() % 2)) {
            const char  *s = words[unit_random() % 10];

            n = strlen(s);

            if (n > len - i) {
                s = "0000000000000000";
                n = len - i;
            }

            memcpy(p + i, s, n);
            i += n;

        } else if (kind == 1 || (kind == 3 && unit_random() % 2)) {
            p[i++] = (uint8_t) unit_random();

        } else if (kind == 3 && i > 1000) {
            /* something from far back */
            n = 1 + unit_random() % 300;
            n = (n > len - i) ? len - i : n;
            memmove(p + i, p + unit_random() % (i - n), n);
            i += n;

        } else {
            p[i++] = 0;
        }
    }
}


/* as a client with zlib compresses; `window` negative bits, `flush` the last */

static size_t
client_deflate(z_stream *z, const uint8_t *p, size_t len, uint8_t *out,
    size_t size, int flush)
{
    z->next_in = (Bytef *) p;
    z->avail_in = (uInt) len;
    z->next_out = out;
    z->avail_out = (uInt) size;

    deflate(z, flush);

    return size - z->avail_out;
}


static void
sending(void)
{
    int       good, level;
    char      name[96];
    tiny_t    t;
    size_t    i, k, len, n, m, far;
    uint8_t  *src, *dst, *back;
    unsigned  bits;

    static const size_t  size[] = {
        0, 1, 2, 3, 16, 100, 255, 256, 257, 258, 511, 512, 513, 1000, 5000,
        33000, 140000
    };

    src = malloc(140000);
    dst = malloc(200000);
    back = malloc(140000);

    for (bits = 8; bits <= 15; bits++) {

        good = 1;
        far = 0;

        for (i = 0; i < sizeof(size) / sizeof(size[0]) && good; i++) {
            for (k = 0; k < 4 && good; k++) {

                len = size[i];
                level = (len > 20000) ? (int) (1 + bits % 3 * 4)
                                      : (int) (i + k) % 11 - 1;

                if (level == 0) {
                    level = 6;
                }

                fill(src, len, (int) k);

                good = bc_ws_deflate(src, len, bits, level, dst, 200000, &n)
                       == 0;

                memcpy(dst + n, "\x00\x00\xff\xff", 4);

                t.p = dst;
                t.len = n + 4;
                t.out = back;
                t.size = 140000;

                good = good && tiny_inflate(&t) == 0 && !t.final
                       && t.n == len && memcmp(src, back, len) == 0
                       && t.max_distance <= (size_t) 1 << bits
                       && t.max_distance <= len;

                if (!good) {
                    break;
                }

                far = (t.max_distance > far) ? t.max_distance : far;

                /* with less room: the same or nothing, never half of it */

                for (m = (n > 40) ? n - 3 : 0; m < n + 8 && good; m++) {
                    size_t    got;
                    uint8_t  *exact;

                    exact = unit_copy(dst, m);

                    if (bc_ws_deflate(src, len, bits, level, exact, m, &got)
                        == 0)
                    {
                        good = (got == n && m >= n + 5
                                && memcmp(exact, dst, n) == 0);
                    } else {
                        good = (m < n + 5);
                    }

                    free(exact);
                }
            }
        }

        snprintf(name, sizeof(name), "compressed for a window of %u bits "
                 "(furthest reference %zu)", bits, far);
        ok(good, "%s", name);
    }

    is(bc_ws_deflate((const uint8_t *) "", 0, 15, 6, dst, 100, &n), 0,
       "an empty message");
    ok(n == 1 && dst[0] == 0, "is one byte");

    is(bc_ws_deflate((const uint8_t *) "Hello", 5, 15, 6, dst, 100, &n), 0,
       "RFC 7692, 7.2.3.1: Hello");
    ok(n == 7 && memcmp(dst, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7) == 0,
       "is what stands there");

    is(bc_ws_deflate((const uint8_t *) "Hello", 5, 99, 6, dst, 100, &n), 0,
       "a window larger than there is");
    is(bc_ws_deflate((const uint8_t *) "Hello", 5, 15, 77, dst, 100, &n), -1,
       "a level that there is not");
    is(bc_ws_deflate((const uint8_t *) "Hello", 5, 15, 6, dst, 0, &n), -1,
       "no room");

    ok(bc_ws_deflate_suits(15, 512, 9) && !bc_ws_deflate_suits(15, 513, 9)
       && bc_ws_deflate_suits(9, 100000, 9)
       && bc_ws_deflate_suits(9, 100000, 15), "whom a frame suits");

    free(src);
    free(dst);
    free(back);
}


/* 12.*, 13.*: sizes, settings of the client, fragments */

static void
receiving(void)
{
    char       say[200], name[128];
    size_t     i, k, n, at, len, cut;
    uint8_t   *src, *z;
    z_stream   stream;

    static const size_t  size[] = {
        1, 16, 64, 256, 1024, 4096, 8192, 16384, 32768, 65536, 131072
    };

    static const struct {
        int  bits;
        int  level;
        int  memory;
    } client[] = {
        { 15, 6, 8 }, { 9, 1, 1 }, { 10, 9, 9 }, { 15, 0, 8 }
    };

    src = malloc(131072);
    z = malloc(200000);

    for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        for (k = 0; k < 4; k++) {

            len = size[i];
            fill(src, len, (int) k);

            memset(&stream, 0, sizeof(stream));
            deflateInit2(&stream, client[k].level, Z_DEFLATED,
                         -client[k].bits, client[k].memory, 0);
            n = client_deflate(&stream, src, len, z, 200000, Z_SYNC_FLUSH)
                - 4;
            deflateEnd(&stream);

            snprintf(say, sizeof(say), "ZBIN:%zu/%08x", len,
                     wire_sum(src, len));

            if (len == 1) {
                snprintf(say, sizeof(say), src[0] > ' ' && src[0] < 0x7f
                         ? "ZBIN:%c" : "ZBIN:\\%02x", src[0]);

            } else if (len == 16) {
                /* too short for a checksum in the transcript */
                continue;
            }

            wire_frame(&w, 0xc2, z, n);
            snprintf(name, sizeof(name), "12.* %zu bytes from a client with "
                     "window %d, level %d", len, client[k].bits,
                     client[k].level);
            wire_check_pmd(&w, &pmd, say, name);

            /* the same in fragments, a ping between the first two */

            cut = 1 + n / (k + 2);

            for (at = 0; at < n; at += cut) {
                size_t  piece = (n - at < cut) ? n - at : cut;

                wire_frame(&w, (at == 0 ? 0x42 : 0x00)
                           | (at + piece == n ? 0x80 : 0), z + at, piece);

                if (at == 0 && cut < n) {
                    wire_text(&w, 0x89, "ping");
                }
            }

            if (cut < n) {
                char  with_ping[256];

                snprintf(with_ping, sizeof(with_ping), "PING:ping %s", say);
                wire_check_pmd(&w, &pmd, with_ping, "in fragments");

            } else {
                wire_check_pmd(&w, &pmd, say, "in one");
            }
        }
    }

    free(src);
    free(z);
}


/* messages that refer to earlier ones, when that was negotiated */

static void
takeover(void)
{
    int       i;
    char      say[64], all[2048];
    size_t    n;
    uint8_t   src[3000], z[4000];
    z_stream  stream;

    memset(&stream, 0, sizeof(stream));
    deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, 0);

    all[0] = '\0';
    fill(src, sizeof(src), 1);

    for (i = 0; i < 20; i++) {
        src[i * 100]++;

        n = client_deflate(&stream, src, sizeof(src), z, sizeof(z),
                           Z_SYNC_FLUSH) - 4;

        wire_frame(&w, 0xc2, z, n);

        if (i % 3 == 0) {
            wire_text(&w, 0x81, "plain");
        }

        snprintf(say, sizeof(say), "%sZBIN:3000/%08x%s", i ? " " : "",
                 wire_sum(src, sizeof(src)), i % 3 == 0 ? " TEXT:plain" : "");
        strcat(all, say);
    }

    deflateEnd(&stream);

    ok(w.len < 20 * 1000, "the later messages are short");
    wire_check_pmd(&w, &pmd_takeover, all,
                   "13.* twenty messages with context takeover");

    /* RFC 7692, 7.2.3.2 */

    wire_frame(&w, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    wire_frame(&w, 0xc1, "\xf2\x00\x11\x00\x00", 5);
    wire_check_pmd(&w, &pmd_takeover, "ZTEXT:Hello ZTEXT:Hello",
                   "7.2.3.2 sharing the window");

    wire_frame(&w, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    wire_frame(&w, 0xc1, "\xf2\x00\x11\x00\x00", 5);
    wire_check_pmd(&w, &pmd, "ZTEXT:Hello FAIL:1007",
                   "which is an error when not negotiated");

    wire_frame(&w, 0xc1, "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8);
    wire_frame(&w, 0xc1, "\xf2\x00\x11\x00\x00", 5);
    wire_frame(&w, 0xc1, "", 0);
    wire_frame(&w, 0xc1, "\x00", 1);
    wire_frame(&w, 0xc1, "\xf2\x00\x11\x00\x00", 5);
    wire_check_pmd(&w, &pmd_takeover,
                   "ZTEXT:Hello ZTEXT:Hello ZTEXT: ZTEXT: ZTEXT:Hello",
                   "also across final blocks and empty messages");

    /* the client's half of the same */

    wire_head(&w, 0xc1, 7, 0);
    wire_add(&w, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    wire_head(&w, 0xc1, 5, 0);
    wire_add(&w, "\xf2\x00\x11\x00\x00", 5);
    is_str(wire_run(&w, &pmd_takeover, 1, 0, 1, NULL),
           "ZTEXT:Hello ZTEXT:Hello", "as a client");
    wire_reset(&w);
}


static void
forms(void)
{
    size_t  i;

    static const struct {
        const char  *data;
        size_t       len;
        const char  *say;
        const char  *what;
    } cases[] = {
        { "\xf2\x48\xcd\xc9\xc9\x07\x00", 7, "ZTEXT:Hello",
          "7.2.3.1 one block" },
        { "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "ZTEXT:Hello",
          "7.2.3.3 no compression" },
        { "\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 8, "ZTEXT:Hello",
          "7.2.3.4 a block with BFINAL" },
        { "\xf3\x48\xcd\xc9\xc9\x07\x00", 7, "ZTEXT:Hello",
          "the same without the byte behind it" },
        { "\xf2\x48\x05\x00\x00\x00\xff\xff\xca\xc9\xc9\x07\x00", 13,
          "ZTEXT:Hello", "7.2.3.5 two blocks" },
        { "\xf3\x48\xcd\xc9\xc9\x07\x00\xf3\x48\xcd\xc9\xc9\x07\x00\x00", 15,
          "ZTEXT:HelloHello", "data behind BFINAL" },
        { "\xf3\x48\xcd\xc9\xc9\x07\x00\xf2\x00\x11\x00\x00", 12,
          "ZTEXT:HelloHello", "which refers to what was before it" },
        { "\x01\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f\x00", 11, "ZTEXT:Hello",
          "BFINAL without compression" },
        { "\xf2\x48\xcd\xc9\xc9\x07\x00\x00\x00\xff\xff\x01", 12,
          "ZTEXT:Hello", "an empty last block with BFINAL" },
        { "\x00", 1, "ZTEXT:", "7.2.3.6 an empty message" },
        { "", 0, "ZTEXT:", "an empty message of no byte at all" },
        { "\x02\x00", 2, "ZTEXT:", "an empty block of fixed codes" },
        { "\x03\x00\x00", 3, "ZTEXT:", "with BFINAL" },

        { "\x06", 1, "FAIL:1007", "a block type that does not exist" },
        { "\xff\xff", 2, "FAIL:1007", "the same as \\xff" },
        { "\x00\x05\x00\xfa\xfe\x48\x65\x6c\x6c\x6f\x00", 11, "FAIL:1007",
          "a length that is not its own complement" },
        { "\xf2\x48\xcd\xc9\xc9\x07", 6, "FAIL:1007", "cut off" },
        { "\xf2\x48\xcd", 3, "FAIL:1007", "cut off inside a block" },
        { "\x00\x05\x00\xfa\xff\x48\x65\x6c\x6c\x6f", 10, "FAIL:1007",
          "without an empty last block" },
        { "\xf2\x00\x11\x00\x00", 5, "FAIL:1007",
          "a reference to before the beginning" },
        { "Hello", 5, "FAIL:1007", "not compressed at all" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        wire_frame(&w, 0xc1, cases[i].data, cases[i].len);
        wire_check_pmd(&w, &pmd, cases[i].say, cases[i].what);

        if (cases[i].say[0] != 'Z') {
            continue;
        }

        /* twice, and in fragments: nothing is left over from the first */

        if (cases[i].len >= 2) {
            char  twice[64];

            wire_frame(&w, 0x41, cases[i].data, 1);
            wire_frame(&w, 0x00, "", 0);
            wire_frame(&w, 0x00, cases[i].data + 1, cases[i].len - 2);
            wire_frame(&w, 0x80, cases[i].data + cases[i].len - 1, 1);
            wire_frame(&w, 0xc1, cases[i].data, cases[i].len);

            snprintf(twice, sizeof(twice), "%s %s", cases[i].say,
                     cases[i].say);
            wire_check_pmd(&w, &pmd, twice, "in fragments, then in one");
        }
    }

    /* the removed bytes are content when a block was open for them */

    wire_frame(&w, 0xc2, "\x01\x04\x00\xfb\xff", 5);
    wire_check_pmd(&w, &pmd, "ZBIN:\\00\\00\\ff\\ff",
                   "a last block that the tail fills");

    ws_limits.max_message = 3;
    wire_frame(&w, 0xc2, "\x01\x04\x00\xfb\xff", 5);
    wire_check_pmd(&w, &pmd, "FAIL:1009", "also measured");
    ws_limits.max_message = 32 * 1024 * 1024;

    wire_frame(&w, 0x41, "", 0);
    wire_frame(&w, 0x80, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    wire_check_pmd(&w, &pmd, "ZTEXT:Hello", "an empty first fragment");
}


static void
bits(void)
{
    wire_frame(&w, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    wire_check(&w, "FAIL:1002", "RSV1, but nothing was negotiated");

    wire_text(&w, 0x81, "plain");
    wire_frame(&w, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    wire_text(&w, 0x82, "plain");
    wire_check_pmd(&w, &pmd, "TEXT:plain ZTEXT:Hello BIN:plain",
                   "messages with and without compression");

    wire_frame(&w, 0x41, "\xf2\x48", 2);
    wire_frame(&w, 0xc0, "\xcd\xc9\xc9\x07\x00", 5);
    wire_check_pmd(&w, &pmd, "FAIL:1002", "RSV1 on a continuation");

    wire_frame(&w, 0x01, "He", 2);
    wire_frame(&w, 0xc0, "llo", 3);
    wire_check_pmd(&w, &pmd, "FAIL:1002", "also of a plain message");

    wire_text(&w, 0xc9, "");
    wire_check_pmd(&w, &pmd, "FAIL:1002", "RSV1 on a ping");

    wire_text(&w, 0xca, "");
    wire_check_pmd(&w, &pmd, "FAIL:1002", "on a pong");

    wire_text(&w, 0xc8, "");
    wire_check_pmd(&w, &pmd, "FAIL:1002", "on a Close");

    wire_text(&w, 0xa1, "");
    wire_check_pmd(&w, &pmd, "FAIL:1002", "RSV2");

    wire_text(&w, 0xf1, "");
    wire_check_pmd(&w, &pmd, "FAIL:1002", "all reserved bits");

    wire_frame(&w, 0x41, "\xf2\x48", 2);
    wire_text(&w, 0x88, "\x03\xe8");
    wire_check_pmd(&w, &pmd, "CLOSE:1000:", "a Close inside a message");
}


static void
utf8(void)
{
    size_t    n, at, len;
    uint8_t   src[20000], z[20000];
    z_stream  stream;

    /* noise in ASCII, so that it does not compress to nothing */

    for (n = 0; n < sizeof(src); n++) {
        src[n] = (uint8_t) ('!' + unit_random() % 64);
    }

    src[1000] = 0xff;

    memset(&stream, 0, sizeof(stream));
    deflateInit2(&stream, 6, Z_DEFLATED, -15, 1, Z_HUFFMAN_ONLY);
    len = client_deflate(&stream, src, sizeof(src), z, sizeof(z),
                         Z_SYNC_FLUSH) - 4;
    deflateEnd(&stream);

    wire_frame(&w, 0xc1, z, len);
    wire_run(&w, &pmd, 0, 0, 1, &at);
    ok(at < 1200, "bad UTF-8 is noticed while it comes (%zu of %zu bytes)",
       at, w.len);
    wire_check_pmd(&w, &pmd, "FAIL:1007", "compressed text is not UTF-8");

    wire_frame(&w, 0xc2, z, len);
    ok(strncmp(wire_run(&w, &pmd, 0, 0, 1, NULL), "ZBIN:", 5) == 0,
       "a binary message may be so");
    wire_reset(&w);

    /* a euro sign whose middle is at the border of fragments */

    wire_frame(&w, 0x41, "\x00\x01\x00\xfe\xff\xe2", 6);
    wire_frame(&w, 0x00, "\x00\x01\x00\xfe\xff\x82", 6);
    wire_frame(&w, 0x80, "\x00\x01\x00\xfe\xff\xac\x00", 7);
    wire_check_pmd(&w, &pmd, "ZTEXT:\\e2\\82\\ac", "a character in pieces");

    wire_frame(&w, 0x41, "\x00\x01\x00\xfe\xff\xe2", 6);
    wire_frame(&w, 0x80, "\x00\x01\x00\xfe\xff\x82\x00", 7);
    wire_check_pmd(&w, &pmd, "FAIL:1007", "cut off");
}


static void
bombs(void)
{
    char      say[64];
    size_t    i, n, at, len;
    uint8_t  *src, *z;
    z_stream  stream;

    static const size_t  limit[] = { 1, 511, 512, 513, 4096, 65536, 1000000 };

    len = 16 * 1024 * 1024;
    src = calloc(1, len);
    z = malloc(len);

    for (i = 0; i < sizeof(limit) / sizeof(limit[0]); i++) {

        ws_limits.max_message = limit[i];

        /* exactly as large as allowed */

        memset(&stream, 0, sizeof(stream));
        deflateInit2(&stream, 9, Z_DEFLATED, -15, 8, 0);
        n = client_deflate(&stream, src, limit[i], z, len, Z_SYNC_FLUSH) - 4;

        snprintf(say, sizeof(say), "ZBIN:%zu/%08x", limit[i],
                 wire_sum(src, limit[i]));

        wire_frame(&w, 0xc2, z, n);
        wire_check_pmd(&w, &pmd, limit[i] == 1 ? "ZBIN:\\00" : say,
                       "as many bytes as allowed");

        /* one more */

        deflateReset(&stream);
        n = client_deflate(&stream, src, limit[i] + 1, z, len, Z_SYNC_FLUSH)
            - 4;

        wire_frame(&w, 0xc2, z, n);
        wire_check_pmd(&w, &pmd, "FAIL:1009", "one byte more");

        /* a thousand times more: refused long before its end */

        deflateReset(&stream);
        n = client_deflate(&stream, src, len, z, len, Z_SYNC_FLUSH) - 4;
        deflateEnd(&stream);

        wire_frame(&w, 0x42, z, n / 2);
        wire_frame(&w, 0x80, z + n / 2, n - n / 2);

        if (limit[i] * 2 + 1024 >= w.len) {
            wire_run(&w, &pmd, 0, 0, 1, &at);
            ok(at < 14 + 30 + limit[i] / 900,
               "a bomb is refused after %zu of %zu bytes", at, w.len);
        }

        wire_check_pmd(&w, &pmd, "FAIL:1009", "a bomb");
    }

    /* noise of the largest size does not get smaller, and is let in */

    ws_limits.max_message = 100000;
    fill(src, 100000, 1);

    memset(&stream, 0, sizeof(stream));
    deflateInit2(&stream, 1, Z_DEFLATED, -9, 1, 0);
    n = client_deflate(&stream, src, 100000, z, len, Z_SYNC_FLUSH) - 4;
    deflateEnd(&stream);

    snprintf(say, sizeof(say), "ZBIN:100000/%08x", wire_sum(src, 100000));
    wire_frame(&w, 0xc2, z, n);
    ok(n > 100000, "%zu bytes of compressed noise", n);
    wire_check_pmd(&w, &pmd, say, "are a message of 100000");

    /* blocks without content, endlessly */

    ws_limits.max_message = 1000;

    for (i = 0; i < 1000; i++) {
        wire_frame(&w, i == 0 ? 0x42 : 0x00, "\x00\x00\x00\xff\xff", 5);
    }

    wire_check_pmd(&w, &pmd, "FAIL:1009", "empty blocks without end");

    wire_head(&w, 0xc2, 2 * 1000 + 1024 + 1, 1);
    wire_run(&w, &pmd, 0, 0, 1, &at);
    is(at, 4, "what can never be small enough is refused by its header");
    wire_check_pmd(&w, &pmd, "FAIL:1009", "with 1009");

    ws_limits.max_frame = 50;
    wire_frame(&w, 0xc2, src, 51);
    wire_check_pmd(&w, &pmd, "FAIL:1009", "frames are measured compressed");
    ws_limits.max_frame = 0;

    ws_limits.max_message = 32 * 1024 * 1024;

    free(src);
    free(z);
}


/* many connections share one decompressor: none may see another's data */

static void
many(void)
{
    int             good, i, rc;
    char            say[8][64];
    size_t          k, n, pos[8];
    wire_t          wires[8];
    uint8_t        *p, src[2000], z[4000];
    z_stream        stream;
    bc_ws_parser_t      in[8];
    bc_ws_event_t   ev;

    memset(wires, 0, sizeof(wires));

    for (i = 0; i < 8; i++) {
        bc_ws_parser_init(&in[i], &ws_limits, i % 4 ? &pmd : &pmd_takeover, 0);
        fill(src, sizeof(src), 3);

        memset(&stream, 0, sizeof(stream));
        deflateInit2(&stream, 6, Z_DEFLATED, -15, 8, 0);
        n = client_deflate(&stream, src, sizeof(src), z, sizeof(z),
                           Z_SYNC_FLUSH) - 4;
        deflateEnd(&stream);

        wire_frame(&wires[i], 0x42, z, n / 2);
        wire_frame(&wires[i], 0x80, z + n / 2, n - n / 2);
        wire_frame(&wires[i], 0xc2, z, n);

        snprintf(say[i], sizeof(say[i]), "ZBIN:2000/%08x",
                 wire_sum(src, sizeof(src)));
        pos[i] = 0;
    }

    good = 1;
    k = 0;

    while (k < 16 && good) {
        char  got[128];

        i = (int) (unit_random() % 8);
        n = 1 + unit_random() % 50;
        n = (n > wires[i].len - pos[i]) ? wires[i].len - pos[i] : n;

        p = wires[i].p + pos[i];
        pos[i] += n;

        for ( ;; ) {
            rc = bc_ws_parser_feed(&in[i], &p, wires[i].p + pos[i], &ev);

            if (rc == BC_WS_AGAIN) {
                break;
            }

            got[0] = '\0';
            wire_say(got, sizeof(got), &ev, rc);
            good = good && strcmp(got, say[i]) == 0;
            k++;
        }
    }

    ok(good && k == 16, "eight connections in turn");

    for (i = 0; i < 8; i++) {
        bc_ws_parser_free(&in[i]);
        wire_reset(&wires[i]);
    }

    /* given up in the middle of a message */

    for (i = 0; i < 8; i++) {
        bc_ws_parser_init(&in[i], &ws_limits, i % 4 ? &pmd : &pmd_takeover, 0);
        wire_frame(&wires[i], 0x42, "\xf2\x48\xcd", 3);
        p = wires[i].p;
        is(bc_ws_parser_feed(&in[i], &p, p + wires[i].len, &ev), BC_WS_AGAIN,
           "half a message");
    }

    for (i = 0; i < 8; i++) {
        bc_ws_parser_free(&in[i]);
        wire_reset(&wires[i]);
    }

    wire_frame(&w, 0xc1, "\xf2\x48\xcd\xc9\xc9\x07\x00", 7);
    wire_check_pmd(&w, &pmd, "ZTEXT:Hello", "does not disturb the next one");
}


/* piece by piece: several at a time, the same for the receiver */

static void
pieces(void)
{
    int                i, k, rc, done;
    size_t             len, n[3], piece;
    uint8_t           *src[3], *dst[3], *back;
    tiny_t             t;
    bc_ws_deflate_t   *d[3];

    len = 140000;
    back = malloc(len);

    for (piece = 1000; piece < 300000; piece *= 17) {

        for (k = 0; k < 3; k++) {
            src[k] = malloc(len);
            dst[k] = malloc(len + 1000);
            n[k] = 0;
            fill(src[k], len, k);
            d[k] = bc_ws_deflate_begin(src[k], len, 15, k == 1 ? 6 : 1, dst[k],
                                       len + 1000);
        }

        for (done = 0, i = 0; done < 3 && i < 1000; i++) {
            k = i % 3;

            if (n[k] == 0) {
                rc = bc_ws_deflate_step(d[k], piece, &n[k]);
                done += (rc == 0);
            }
        }

        for (k = 0; k < 3; k++) {
            memcpy(dst[k] + n[k], "\x00\x00\xff\xff", 4);

            t.p = dst[k];
            t.len = n[k] + 4;
            t.out = back;
            t.size = len;

            ok(n[k] != 0 && tiny_inflate(&t) == 0 && !t.final && t.n == len
               && memcmp(src[k], back, len) == 0,
               "in pieces, beside two others: the same comes out");

            bc_ws_deflate_end(d[k]);
            free(src[k]);
            free(dst[k]);
        }
    }

    /* noise does not become smaller: told before the end, nothing beyond it */

    src[0] = malloc(len);
    fill(src[0], len, 1);
    dst[0] = unit_copy(src[0], len / 2);
    d[0] = bc_ws_deflate_begin(src[0], len, 15, 6, dst[0], len / 2);

    do {
        rc = bc_ws_deflate_step(d[0], 10000, &n[0]);
    } while (rc == 1);

    is(rc, -1, "what does not fit is told");

    bc_ws_deflate_end(d[0]);
    bc_ws_deflate_end(NULL);

    free(src[0]);
    free(dst[0]);
    free(back);
}


int
main(void)
{
    sending();
    pieces();
    receiving();
    takeover();
    forms();
    bits();
    utf8();
    bombs();
    many();

    bc_ws_deflate_cleanup();
    bc_ws_deflate_cleanup();

    return unit_done();
}
