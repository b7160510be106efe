
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, some client's frames are misread: a browser behind a proxy
 * that cuts packets oddly loses its connection, or a broken client is not
 * told so.  The sections follow the case families of the Autobahn test suite.
 */

#include "ws_test.h"


static wire_t  w;


static char *
expect(const char *type, const uint8_t *p, size_t len)
{
    static char  out[64];

    if (len > 40) {
        snprintf(out, sizeof(out), "%s:%zu/%08x", type, len,
                 wire_sum(p, len));
    } else {
        snprintf(out, sizeof(out), "%s:%.*s", type, (int) len,
                 (const char *) p);
    }

    return out;
}


/* 1.*, 9.*, 10.*: sizes, fragment sizes */

static void
sizes(void)
{
    char      name[64];
    size_t    i, k, n, len;
    uint8_t  *p;

    static const size_t  size[] = {
        0, 1, 2, 3, 4, 5, 31, 32, 33, 40, 125, 126, 127, 128, 65535, 65536,
        65537, 262144, 4194304, 16777216
    };

    static const size_t  fragment[] = { 64, 256, 1300, 65536, 1048576 };

    p = malloc(16777216);

    for (i = 0; i < 16777216; i++) {
        p[i] = (uint8_t) ('!' + unit_random() % 90);
    }

    for (i = 0; i < sizeof(size) / sizeof(size[0]); i++) {
        len = size[i];

        snprintf(name, sizeof(name), "a text of %zu bytes", len);
        wire_frame(&w, 0x81, p, len);
        wire_check(&w, expect("TEXT", p, len), name);

        if (len != 0) {
            p[len / 2] = '!';
        }

        snprintf(name, sizeof(name), "a binary message of %zu bytes", len);
        wire_frame(&w, 0x82, p, len);
        wire_check(&w, expect("BIN", p, len), name);
    }

    for (i = 0; i < sizeof(fragment) / sizeof(fragment[0]); i++) {
        len = (fragment[i] < 1000) ? 65536 : 4194304;

        for (k = 0; k < len; k += n) {
            n = (len - k < fragment[i]) ? len - k : fragment[i];

            wire_frame(&w, (k == 0 ? 2 : 0) | (k + n == len ? 0x80 : 0),
                       p + k, n);
        }

        snprintf(name, sizeof(name), "%zu bytes in fragments of %zu", len,
                 fragment[i]);
        wire_check(&w, expect("BIN", p, len), name);
    }

    /* every length around the changes of form, several per packet */

    for (len = 120; len < 132; len++) {
        wire_frame(&w, 0x82, p, len);
    }

    for (len = 0, n = 0; len < 12; len++) {
        static char  out[1024];

        n += (size_t) sprintf(out + n, "%s%s", n ? " " : "",
                              expect("BIN", p, len + 120));

        if (len == 11) {
            wire_check(&w, out, "twelve messages one after another");
        }
    }

    free(p);
}


/* 2.* */

static void
pings(void)
{
    int      i;
    char     out[512];
    uint8_t  p[126];

    memset(p, 0xfe, sizeof(p));

    wire_text(&w, 0x89, "");
    wire_check(&w, "PING:", "2.1 an empty ping");

    wire_text(&w, 0x89, "Hello");
    wire_check(&w, "PING:Hello", "2.2 a ping with text");

    wire_frame(&w, 0x89, "\x00\xff\xfe\xfd\xfc\xfb\x00\xff", 8);
    wire_check(&w, "PING:\\00\\ff\\fe\\fd\\fc\\fb\\00\\ff",
               "2.3 a ping with binary data");

    wire_frame(&w, 0x89, p, 125);
    wire_check(&w, expect("PING", p, 125), "2.4 a ping of 125 bytes");

    wire_frame(&w, 0x89, p, 126);
    wire_text(&w, 0x89, "not seen");
    wire_check(&w, "FAIL:1002", "2.5 a ping of 126 bytes");

    wire_text(&w, 0x8a, "");
    wire_text(&w, 0x8a, "unsolicited");
    wire_text(&w, 0x89, "ping");
    wire_check(&w, "PONG: PONG:unsolicited PING:ping",
               "2.7-2.9 pongs nobody asked for, then a ping");

    out[0] = '\0';

    for (i = 0; i < 10; i++) {
        sprintf((char *) p, "payload-%d", i);
        wire_text(&w, 0x89, (char *) p);
        sprintf(out + strlen(out), "%sPING:payload-%d", i ? " " : "", i);
    }

    wire_check(&w, out, "2.10 ten pings");
}


/* 3.*, 4.* */

static void
reserved(void)
{
    int   rsv, opcode;
    char  name[64];

    for (rsv = 1; rsv < 8; rsv++) {
        static const int  opcodes[] = { 1, 2, 8, 9, 10 };

        for (opcode = 0; opcode < 5; opcode++) {
            wire_text(&w, 0x81, "before");
            wire_text(&w, 0x80 | rsv << 4 | opcodes[opcode], "");
            wire_text(&w, 0x89, "after");

            snprintf(name, sizeof(name), "3.* RSV %d with opcode %d", rsv,
                     opcodes[opcode]);
            wire_check(&w, "TEXT:before FAIL:1002", name);
        }
    }

    for (opcode = 0; opcode < 16; opcode++) {

        if ((opcode & 7) < 3) {
            continue;
        }

        wire_text(&w, 0x81, "before");
        wire_text(&w, 0x80 | opcode, opcode % 2 ? "payload" : "");
        wire_text(&w, 0x89, "after");

        snprintf(name, sizeof(name), "4.* reserved opcode %d", opcode);
        wire_check(&w, "TEXT:before FAIL:1002", name);
    }
}


/* 5.* */

static void
fragments(void)
{
    wire_text(&w, 0x09, "frag");
    wire_text(&w, 0x80, "ment");
    wire_check(&w, "FAIL:1002", "5.1 a fragmented ping");

    wire_text(&w, 0x0a, "frag");
    wire_text(&w, 0x80, "ment");
    wire_check(&w, "FAIL:1002", "5.2 a fragmented pong");

    wire_text(&w, 0x08, "");
    wire_check(&w, "FAIL:1002", "a fragmented Close");

    wire_text(&w, 0x01, "frag");
    wire_text(&w, 0x80, "ment");
    wire_check(&w, "TEXT:fragment", "5.3-5.5 text in two fragments");

    wire_text(&w, 0x01, "frag");
    wire_text(&w, 0x89, "ping");
    wire_text(&w, 0x80, "ment");
    wire_check(&w, "PING:ping TEXT:fragment", "5.6-5.8 a ping in between");

    wire_text(&w, 0x80, "continuation");
    wire_text(&w, 0x81, "text");
    wire_check(&w, "FAIL:1002", "5.9-5.11 a continuation of nothing");

    wire_text(&w, 0x00, "continuation");
    wire_check(&w, "FAIL:1002", "5.12-5.14 the same with FIN = 0");

    wire_text(&w, 0x01, "frag");
    wire_text(&w, 0x80, "ment");
    wire_text(&w, 0x00, "nothing open");
    wire_check(&w, "TEXT:fragment FAIL:1002",
               "5.15 a continuation behind the end");

    wire_text(&w, 0x00, "x");
    wire_text(&w, 0x01, "frag");
    wire_check(&w, "FAIL:1002", "5.16 before a beginning");

    wire_text(&w, 0x01, "frag");
    wire_text(&w, 0x81, "ment");
    wire_check(&w, "FAIL:1002", "5.18 text inside a fragmented text");

    wire_text(&w, 0x01, "frag");
    wire_text(&w, 0x02, "ment");
    wire_check(&w, "FAIL:1002", "binary inside a fragmented text");

    wire_text(&w, 0x01, "1");
    wire_text(&w, 0x00, "2");
    wire_text(&w, 0x89, "a");
    wire_text(&w, 0x00, "3");
    wire_text(&w, 0x00, "4");
    wire_text(&w, 0x89, "");
    wire_text(&w, 0x8a, "b");
    wire_text(&w, 0x80, "5");
    wire_text(&w, 0x82, "next");
    wire_check(&w, "PING:a PING: PONG:b TEXT:12345 BIN:next",
               "5.19-5.20 five fragments, control frames in between");

    wire_text(&w, 0x01, "");
    wire_text(&w, 0x00, "");
    wire_text(&w, 0x80, "");
    wire_check(&w, "TEXT:", "6.1.2 three empty fragments");

    wire_text(&w, 0x01, "");
    wire_text(&w, 0x00, "middle");
    wire_text(&w, 0x80, "");
    wire_check(&w, "TEXT:middle", "6.1.3 empty first and last fragment");

    wire_text(&w, 0x02, "frag");
    wire_text(&w, 0x88, "\x03\xe8");
    wire_text(&w, 0x80, "ment");
    wire_check(&w, "CLOSE:1000:", "a Close inside a fragmented message");
}


/* 6.* */

static void
utf8(void)
{
    char    name[64];
    size_t  i, k, n, at;

    static const struct {
        const char  *text;
        const char  *say;          /* NULL: refused */
        size_t       at;           /* the offset of the first bad byte */
    } cases[] = {
        { "Hello-\xc2\xb5@\xc3\x9f\xc3\xb6\xc3\xa4\xc3\xbc\xc3\xa0\xc3\xa1-"
          "UTF-8!!", "TEXT:Hello-\\c2\\b5@\\c3\\9f\\c3\\b6\\c3\\a4\\c3\\bc"
          "\\c3\\a0\\c3\\a1-UTF-8!!", 0 },
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5",
          "TEXT:\\ce\\ba\\e1\\bd\\b9\\cf\\83\\ce\\bc\\ce\\b5", 0 },
        { "\xc2\x80", "TEXT:\\c2\\80", 0 },
        { "\xe0\xa0\x80", "TEXT:\\e0\\a0\\80", 0 },
        { "\xf0\x90\x80\x80", "TEXT:\\f0\\90\\80\\80", 0 },
        { "\x7f", "TEXT:\\7f", 0 },
        { "\xdf\xbf", "TEXT:\\df\\bf", 0 },
        { "\xef\xbf\xbf", "TEXT:\\ef\\bf\\bf", 0 },
        { "\xf4\x8f\xbf\xbf", "TEXT:\\f4\\8f\\bf\\bf", 0 },
        { "\xed\x9f\xbf", "TEXT:\\ed\\9f\\bf", 0 },
        { "\xee\x80\x80", "TEXT:\\ee\\80\\80", 0 },
        { "\xef\xbf\xbd", "TEXT:\\ef\\bf\\bd", 0 },
        { "\xef\xbf\xbe", "TEXT:\\ef\\bf\\be", 0 },
        { "\xf0\x9f\xbf\xbe", "TEXT:\\f0\\9f\\bf\\be", 0 },
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
          "edited", NULL, 12 },
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"
          "edited", NULL, 12 },
        { "\xf8\x88\x80\x80\x80", NULL, 0 },
        { "\xfc\x84\x80\x80\x80\x80", NULL, 0 },
        { "\xf7\xbf\xbf\xbf", NULL, 0 },
        { "\xfb\xbf\xbf\xbf\xbf", NULL, 0 },
        { "\xfd\xbf\xbf\xbf\xbf\xbf", NULL, 0 },
        { "\xf4\x90\x80\x80", NULL, 1 },
        { "\x80", NULL, 0 },
        { "\xbf", NULL, 0 },
        { "\x80\xbf\x80\xbf\x80\xbf\x80", NULL, 0 },
        { "\xc0 \xc1 ", NULL, 0 },
        { "\xe0 \xe1 ", NULL, 1 },
        { "\xf0 \xf1 ", NULL, 1 },
        { "\xf8 \xf9 ", NULL, 0 },
        { "\xfe", NULL, 0 },
        { "\xff", NULL, 0 },
        { "\xfe\xfe\xff\xff", NULL, 0 },
        { "\xc0\xaf", NULL, 0 },
        { "\xe0\x80\xaf", NULL, 1 },
        { "\xf0\x80\x80\xaf", NULL, 1 },
        { "\xc1\xbf", NULL, 0 },
        { "\xe0\x9f\xbf", NULL, 1 },
        { "\xf0\x8f\xbf\xbf", NULL, 1 },
        { "\xed\xa0\x80", NULL, 1 },
        { "\xed\xbf\xbf", NULL, 1 },
        { "\xed\xa0\x80\xed\xb0\x80", NULL, 1 }
    };

    /* cut off at the end of the message */

    static const char  *cut[] = {
        "\xc2", "\xe0\xa0", "\xe1", "\xf0\x90\x80", "\xf4", "abc\xe2\x82"
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        n = strlen(cases[i].text);

        wire_text(&w, 0x81, cases[i].text);
        snprintf(name, sizeof(name), "6.* text %zu in one frame", i);
        wire_check(&w, cases[i].say ? cases[i].say : "FAIL:1007", name);

        /* 6.2.3: fragments of one byte, cutting every character */

        for (k = 0; k < n; k++) {
            wire_frame(&w, (k == 0 ? 1 : 0) | (k + 1 == n ? 0x80 : 0),
                       cases[i].text + k, 1);
        }

        snprintf(name, sizeof(name), "6.* text %zu in fragments of 1", i);
        wire_check(&w, cases[i].say ? cases[i].say : "FAIL:1007", name);

        if (cases[i].say != NULL) {
            continue;
        }

        /* 6.4.*: failed as the first bad byte arrives, not later */

        wire_text(&w, 0x81, cases[i].text);
        wire_run(&w, NULL, 0, 0, 1, &at);
        is(at, 6 + cases[i].at + 1, "6.4.* failed at the first bad byte");
        wire_reset(&w);

        wire_text(&w, 0x01, cases[i].text);
        wire_run(&w, NULL, 0, 0, 1, &at);
        is(at, 6 + cases[i].at + 1, "6.4.* the same in a first fragment");
        wire_reset(&w);

        /* binary messages do not mind */

        wire_text(&w, 0x82, cases[i].text);
        ok(strncmp(wire_run(&w, NULL, 0, 0, 1, NULL), "BIN:", 4) == 0,
           "but not in a binary message");
        wire_reset(&w);
    }

    for (i = 0; i < sizeof(cut) / sizeof(cut[0]); i++) {
        wire_text(&w, 0x81, cut[i]);
        wire_check(&w, "FAIL:1007", "a text that ends inside a character");

        wire_text(&w, 0x01, cut[i]);
        wire_text(&w, 0x89, "\xff");
        wire_text(&w, 0x80, "");
        wire_check(&w, "PING:\\ff FAIL:1007",
                   "a fragmented one, binary data in the ping");
    }

    wire_text(&w, 0x01, "\xe2");
    wire_text(&w, 0x89, "\x82");
    wire_text(&w, 0x00, "\x82");
    wire_text(&w, 0x80, "\xac");
    wire_text(&w, 0x81, "\xc3\xa9");
    wire_check(&w, "PING:\\82 TEXT:\\e2\\82\\ac TEXT:\\c3\\a9",
               "a character across fragments and a ping");
}


/* 7.* */

static void
closes(void)
{
    char      name[64], reason[128], say[160];
    size_t    i;
    uint8_t   p[128];

    static const unsigned  valid[] = {
        1000, 1001, 1002, 1003, 1007, 1008, 1009, 1010, 1011, 1012, 1013,
        1014, 3000, 3999, 4000, 4999
    };

    static const unsigned  invalid[] = {
        0, 1, 999, 1004, 1005, 1006, 1015, 1016, 1100, 2000, 2999, 5000,
        65535
    };

    wire_text(&w, 0x81, "text");
    wire_text(&w, 0x88, "");
    wire_check(&w, "TEXT:text CLOSE:1005:", "7.1.1, 7.3.1 an empty Close");

    wire_text(&w, 0x88, "");
    wire_text(&w, 0x88, "");
    wire_check(&w, "CLOSE:1005:", "7.1.2 two Close frames");

    wire_text(&w, 0x88, "");
    wire_text(&w, 0x89, "ping");
    wire_text(&w, 0x81, "text");
    wire_frame(&w, 0xff, "rubbish", 7);
    wire_check(&w, "CLOSE:1005:", "7.1.3-7.1.6 nothing after a Close");

    wire_frame(&w, 0x88, "\x03", 1);
    wire_check(&w, "FAIL:1002", "7.3.2 a Close of one byte");

    wire_frame(&w, 0x88, "\x03\xe8", 2);
    wire_check(&w, "CLOSE:1000:", "7.3.3 a code");

    wire_frame(&w, 0x88, "\x03\xe8Hello", 7);
    wire_check(&w, "CLOSE:1000:Hello", "7.3.4 a code and a reason");

    memset(p, '*', sizeof(p));
    p[0] = 0x03;
    p[1] = 0xe8;

    snprintf(say, sizeof(say), "CLOSE:1000:123/%08x", wire_sum(p + 2, 123));
    wire_frame(&w, 0x88, p, 125);
    wire_check(&w, say, "7.3.5 a reason of 123 bytes");

    wire_frame(&w, 0x88, p, 126);
    wire_check(&w, "FAIL:1002", "7.3.6 a reason of 124 bytes");

    wire_frame(&w, 0x88, "\x03\xe8\xce\xba\xed\xa0\x80", 7);
    wire_check(&w, "FAIL:1007", "7.5.1 a reason that is not UTF-8");

    wire_frame(&w, 0x88, "\x03\xe8\xe2\x82", 4);
    wire_check(&w, "FAIL:1007", "a reason cut inside a character");

    for (i = 0; i < sizeof(valid) / sizeof(valid[0]); i++) {
        p[0] = (uint8_t) (valid[i] >> 8);
        p[1] = (uint8_t) valid[i];
        wire_frame(&w, 0x88, p, 2);

        snprintf(say, sizeof(say), "CLOSE:%u:", valid[i]);
        snprintf(name, sizeof(name), "7.7.* code %u", valid[i]);
        wire_check(&w, say, name);
        ok(bc_ws_frame_code_valid(valid[i]), "and may be sent");
    }

    for (i = 0; i < sizeof(invalid) / sizeof(invalid[0]); i++) {
        p[0] = (uint8_t) (invalid[i] >> 8);
        p[1] = (uint8_t) invalid[i];

        snprintf(reason, sizeof(reason), "7.9.*, 7.13.* code %u", invalid[i]);
        wire_frame(&w, 0x88, p, 2);
        wire_check(&w, "FAIL:1002", reason);

        wire_frame(&w, 0x88, p, 10);
        wire_check(&w, "FAIL:1002", "the same with a reason");
        ok(!bc_ws_frame_code_valid(invalid[i]), "and may not be sent");
    }

    ok(!bc_ws_frame_code_valid(65536 + 1000), "no code has 17 bits");
}


static void
masks(void)
{
    wire_head(&w, 0x81, 5, 0);
    wire_add(&w, "Hello", 5);
    wire_check(&w, "FAIL:1002", "an unmasked text from a client");

    wire_head(&w, 0x89, 0, 0);
    wire_check(&w, "FAIL:1002", "an unmasked ping");

    wire_head(&w, 0x88, 2, 0);
    wire_add(&w, "\x03\xe8", 2);
    wire_check(&w, "FAIL:1002", "an unmasked Close");

    /* as the client */

    wire_head(&w, 0x81, 5, 0);
    wire_add(&w, "Hello", 5);
    wire_head(&w, 0x89, 0, 0);
    wire_head(&w, 0x01, 1, 0);
    wire_add(&w, "a", 1);
    wire_head(&w, 0x80, 0, 0);
    is_str(wire_run(&w, NULL, 1, 0, 1, NULL), "TEXT:Hello PING: TEXT:a",
           "frames of a server");
    is_str(wire_run(&w, NULL, 1, 0, SIZE_MAX, NULL),
           "TEXT:Hello PING: TEXT:a", "all at once");
    wire_reset(&w);

    wire_text(&w, 0x81, "Hello");
    is_str(wire_run(&w, NULL, 1, 0, 1, NULL), "FAIL:1002",
           "a masked frame from a server");
    wire_reset(&w);

    /* a mask of zeros is a mask */

    wire_add(&w, "\x81\x85\0\0\0\0Hello", 11);
    wire_check(&w, "TEXT:Hello", "a mask of zeros");
}


static void
lengths(void)
{
    size_t  at;

    wire_add(&w, "\x81\xfe\x00\x7d", 4);
    wire_check(&w, "FAIL:1002", "125 as 16 bits is not the shortest form");

    wire_add(&w, "\x81\xfe\x00\x00", 4);
    wire_check(&w, "FAIL:1002", "nor is 0");

    wire_add(&w, "\x81\xff\x00\x00\x00\x00\x00\x00\xff\xff", 10);
    wire_check(&w, "FAIL:1002", "65535 as 64 bits is not, either");

    wire_add(&w, "\x81\xff\x00\x00\x00\x00\x00\x00\x00\x05", 10);
    wire_check(&w, "FAIL:1002", "nor is 5");

    wire_add(&w, "\x81\xff\x80\x00\x00\x00\x00\x00\x00\x00", 10);
    wire_run(&w, NULL, 0, 0, 1, &at);
    is(at, 3, "the highest bit is refused as it comes");
    wire_check(&w, "FAIL:1002", "the highest bit of the length");

    wire_add(&w, "\x89\xfe", 2);
    wire_check(&w, "FAIL:1002", "a ping with 16 bits of length");

    wire_add(&w, "\x88\xff", 2);
    wire_check(&w, "FAIL:1002", "a Close with 64 bits of length");

    wire_add(&w, "\x82\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 10);
    wire_check(&w, "FAIL:1009", "2^63 - 1 bytes are too many");
}


static void
limits(void)
{
    size_t  at;
    char    p[2048];

    memset(p, 'x', sizeof(p));

    ws_limits.max_message = 1000;

    wire_frame(&w, 0x82, p, 1000);
    wire_check(&w, expect("BIN", (uint8_t *) p, 1000),
               "a message as large as allowed");

    wire_head(&w, 0x82, 1001, 1);
    wire_run(&w, NULL, 0, 0, 1, &at);
    is(at, 4, "one byte more is refused by the header alone");
    wire_check(&w, "FAIL:1009", "with 1009");

    wire_frame(&w, 0x02, p, 600);
    wire_frame(&w, 0x00, p, 0);
    wire_frame(&w, 0x80, p, 400);
    wire_check(&w, expect("BIN", (uint8_t *) p, 1000),
               "the same in fragments");

    wire_frame(&w, 0x02, p, 600);
    wire_frame(&w, 0x89, p, 100);
    wire_head(&w, 0x80, 401, 1);
    at = w.len;
    wire_run(&w, NULL, 0, 0, 1, &at);
    is(at, 608 + 106 + 4, "fragments are refused by the header, too");
    is_str(wire_run(&w, NULL, 0, 0, 1, NULL) + 18, "FAIL:1009", "with 1009");
    wire_reset(&w);

    ws_limits.max_frame = 100;

    wire_frame(&w, 0x02, p, 100);
    wire_frame(&w, 0x00, p, 100);
    wire_frame(&w, 0x89, p, 101);
    wire_frame(&w, 0x80, p, 100);
    ok(strstr(wire_run(&w, NULL, 0, 0, 1, NULL), "BIN:300/") != NULL,
       "frames as large as allowed, a larger ping is none of them");
    wire_reset(&w);

    wire_frame(&w, 0x02, p, 100);
    wire_frame(&w, 0x80, p, 101);
    wire_check(&w, "FAIL:1009", "a frame of one byte more");

    ws_limits.max_frame = 0;
    ws_limits.max_fragments = 3;

    wire_text(&w, 0x01, "a");
    wire_text(&w, 0x00, "b");
    wire_text(&w, 0x89, "");
    wire_text(&w, 0x80, "c");
    wire_text(&w, 0x01, "a");
    wire_text(&w, 0x00, "b");
    wire_text(&w, 0x80, "c");
    wire_check(&w, "PING: TEXT:abc TEXT:abc", "as many fragments as allowed");

    wire_text(&w, 0x01, "");
    wire_text(&w, 0x00, "");
    wire_text(&w, 0x00, "");
    wire_text(&w, 0x00, "");
    wire_check(&w, "FAIL:1008", "one more, although all are empty");

    ws_limits.max_message = 0;
    wire_text(&w, 0x81, "");
    wire_text(&w, 0x81, "a");
    wire_check(&w, "TEXT: FAIL:1009", "no byte allowed");

    ws_limits.max_message = UINT64_MAX;
    wire_text(&w, 0x81, "a");
    wire_check(&w, "TEXT:a", "no limit");

    ws_limits.max_message = 32 * 1024 * 1024;
    ws_limits.max_fragments = 0;
}


static void
pending(void)
{
    uint8_t        *pos, *start;
    bc_ws_parser_t      in;
    bc_ws_event_t   ev;

    ok(sizeof(bc_ws_parser_t) <= 64, "an idle connection costs %zu bytes",
       sizeof(bc_ws_parser_t));

    bc_ws_parser_init(&in, &ws_limits, NULL, 0);
    ok(!bc_ws_parser_pending(&in), "nothing is pending at first");

    wire_text(&w, 0x01, "a");
    wire_text(&w, 0x80, "b");
    start = w.p;
    pos = start;

    bc_ws_parser_feed(&in, &pos, start + 1, &ev);
    ok(bc_ws_parser_pending(&in), "something is with the first byte");

    bc_ws_parser_feed(&in, &pos, start + 7, &ev);
    ok(bc_ws_parser_pending(&in), "between two fragments, too");

    is(bc_ws_parser_feed(&in, &pos, start + w.len, &ev), BC_WS_EVENT, "the end");
    ok(!bc_ws_parser_pending(&in), "nothing after it");

    is(bc_ws_parser_feed(&in, &pos, start + w.len, &ev), BC_WS_AGAIN,
       "and no more");

    bc_ws_parser_free(&in);
    bc_ws_parser_free(&in);
    ok(!bc_ws_parser_pending(&in), "nor in a freed one");
    wire_reset(&w);
}


/* a message of one frame must not be copied */

static void
in_place(void)
{
    uint8_t        *pos;
    bc_ws_parser_t      in;
    bc_ws_event_t   ev;

    bc_ws_parser_init(&in, &ws_limits, NULL, 0);

    wire_text(&w, 0x81, "one");
    wire_text(&w, 0x89, "two");
    wire_text(&w, 0x82, "three");
    pos = w.p;

    bc_ws_parser_feed(&in, &pos, w.p + w.len, &ev);
    ok(ev.data == w.p + 6, "a text where it was received");
    bc_ws_parser_feed(&in, &pos, w.p + w.len, &ev);
    ok(ev.data == w.p + 15, "a ping, too");
    bc_ws_parser_feed(&in, &pos, w.p + w.len, &ev);
    ok(ev.data == w.p + 24, "and a binary message");
    is(bc_ws_parser_feed(&in, &pos, w.p + w.len, &ev), BC_WS_AGAIN, "that is all");
    ok(pos == w.p + w.len, "consumed");

    bc_ws_parser_free(&in);
    wire_reset(&w);
}


static void
unmask(void)
{
    int      good;
    size_t   i, k, len, at, n;
    uint8_t  src[200], dst[200], mask[4], m[4];

    good = 1;

    for (i = 0; i < 5000 && good; i++) {
        len = unit_random() % 150;
        at = unit_random() % 16;

        for (k = 0; k < sizeof(src); k++) {
            src[k] = (uint8_t) unit_random();
        }

        for (k = 0; k < 4; k++) {
            mask[k] = m[k] = (uint8_t) unit_random();
        }

        memset(dst, 0, sizeof(dst));

        n = len ? unit_random() % len : 0;
        bc_ws_frame_unmask(dst + at, src + at, n, m);
        bc_ws_frame_unmask(dst + at + n, src + at + n, len - n, m);

        for (k = 0; k < len; k++) {
            good = good && dst[at + k] == (src[at + k] ^ mask[k % 4]);
        }

        good = good && dst[at + len] == 0;
    }

    ok(good, "5000 pieces are unmasked in two parts each");
}


static void
headers(void)
{
    uint8_t  h[BC_WS_HEADER_LEN];

    is(bc_ws_frame_header(h, BC_WS_TEXT, 1, 0, 5), 2, "a short header");
    ok(memcmp(h, "\x81\x05", 2) == 0, "its bytes");
    is(bc_ws_frame_header(h, BC_WS_BINARY, 1, 1, 125), 2, "125 is short");
    ok(memcmp(h, "\xc2\x7d", 2) == 0, "its bytes, with RSV1");
    is(bc_ws_frame_header(h, BC_WS_CONT, 0, 0, 126), 4, "126 is not");
    ok(memcmp(h, "\x00\x7e\x00\x7e", 4) == 0, "its bytes, without FIN");
    is(bc_ws_frame_header(h, BC_WS_TEXT, 1, 0, 65535), 4, "65535");
    ok(memcmp(h, "\x81\x7e\xff\xff", 4) == 0, "its bytes");
    is(bc_ws_frame_header(h, BC_WS_TEXT, 1, 0, 65536), 10, "65536");
    ok(memcmp(h, "\x81\x7f\x00\x00\x00\x00\x00\x01\x00\x00", 10) == 0,
       "its bytes");
    is(bc_ws_frame_header(h, BC_WS_TEXT, 1, 0, 0x123456789abcdef), 10, "a huge one");
    ok(memcmp(h, "\x81\x7f\x01\x23\x45\x67\x89\xab\xcd\xef", 10) == 0,
       "its bytes");
}


static void
close_frames(void)
{
    char      reason[200];
    size_t    i, n;
    uint8_t  *f;

    f = malloc(BC_WS_CLOSE_LEN);

    is(bc_ws_frame_close(f, 0, "ignored"), 2, "without a code");
    ok(memcmp(f, "\x88\x00", 2) == 0, "it is empty");
    is(bc_ws_frame_close(f, 1005, NULL), 2, "1005 is never sent");
    is(bc_ws_frame_close(f, 1006, NULL), 2, "1006 neither");
    is(bc_ws_frame_close(f, 1000, NULL), 4, "a code");
    ok(memcmp(f, "\x88\x02\x03\xe8", 4) == 0, "its bytes");
    is(bc_ws_frame_close(f, 1001, "bye"), 7, "a code and a reason");
    ok(memcmp(f, "\x88\x05\x03\xe9" "bye", 7) == 0, "their bytes");

    memset(reason, 'x', sizeof(reason));
    reason[123] = '\0';
    is(bc_ws_frame_close(f, 1001, reason), 127, "a reason of 123 bytes");
    is(f[1], 125, "fits");

    reason[123] = 'x';
    reason[199] = '\0';
    is(bc_ws_frame_close(f, 1001, reason), 127, "a longer one is cut");

    for (i = 0; i < 4; i++) {
        memset(reason, 'x', i);

        for (n = i; n < 180; n += 3) {
            memcpy(reason + n, "\xe2\x82\xac", 4);
        }

        n = bc_ws_frame_close(f, 4000, reason);
        ok(n == (size_t) f[1] + 2 && (f[1] - 2 - i) % 3 == 0 && f[1] > 120
           && f[1] <= 125, "cut between characters: %zu", n);
    }

    is(bc_ws_frame_close(f, 1001, "ab\xff" "cd"), 6, "cut before a bad byte");

    free(f);
}


int
main(void)
{
    pings();
    reserved();
    fragments();
    utf8();
    closes();
    masks();
    lengths();
    limits();
    pending();
    in_place();
    unmask();
    headers();
    close_frames();
    sizes();

    return unit_done();
}
