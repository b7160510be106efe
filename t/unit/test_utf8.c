
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, browsers that send valid text are cut off with 1007, or
 * invalid text reaches other browsers, which then close the connection.
 */

#include "bc_utf8.h"
#include "unit.h"


/* a decoder as simple as the table in RFC 3629, 4 */

static int
reference(const uint8_t *p, size_t len)
{
    size_t    i, n, k;
    uint32_t  c;

    for (i = 0; i < len; i += n) {

        if (p[i] < 0x80) {
            n = 1;
            continue;
        }

        if ((p[i] & 0xe0) == 0xc0) {
            n = 2;
            c = p[i] & 0x1f;

        } else if ((p[i] & 0xf0) == 0xe0) {
            n = 3;
            c = p[i] & 0x0f;

        } else if ((p[i] & 0xf8) == 0xf0) {
            n = 4;
            c = p[i] & 0x07;

        } else {
            return 0;
        }

        if (len - i < n) {
            return 0;
        }

        for (k = 1; k < n; k++) {
            if ((p[i + k] & 0xc0) != 0x80) {
                return 0;
            }

            c = c << 6 | (p[i + k] & 0x3f);
        }

        if (c < (n == 2 ? 0x80u : n == 3 ? 0x800u : 0x10000u)
            || c > 0x10ffff || (c >= 0xd800 && c <= 0xdfff))
        {
            return 0;
        }
    }

    return 1;
}


static int
valid(const uint8_t *p, size_t len)
{
    uint32_t  state;

    state = BC_UTF8_START;

    return bc_utf8_feed(&state, p, len) == 0 && bc_utf8_done(state);
}


/* the offset of the byte at which the text is refused, len: never */

static size_t
refused_at(const uint8_t *p, size_t len)
{
    size_t    i;
    uint32_t  state;

    state = BC_UTF8_START;

    for (i = 0; i < len; i++) {
        if (bc_utf8_feed(&state, p + i, 1) != 0) {
            break;
        }
    }

    return i;
}


static void
all_sequences(void)
{
    int       good;
    size_t    n, bad;
    uint8_t   p[4];
    uint32_t  i;

    /* every sequence of up to three bytes */

    good = 1;

    for (i = 0; i < 0x1000000 && good; i++) {
        p[0] = (uint8_t) (i >> 16);
        p[1] = (uint8_t) (i >> 8);
        p[2] = (uint8_t) i;

        good = (valid(p, 3) == reference(p, 3));

        if (i < 0x10000) {
            good = good && (valid(p + 1, 2) == reference(p + 1, 2));
        }
    }

    ok(good, "all sequences of three bytes are judged as by the table");

    /* four bytes: all leads and second bytes, corners of the others */

    good = 1;

    for (i = 0; i < 0x10000 * 16 && good; i++) {
        static const uint8_t  corner[] = { 0x00, 0x7f, 0x80, 0xbf };

        p[0] = (uint8_t) (i >> 12);
        p[1] = (uint8_t) (i >> 4);
        p[2] = corner[i >> 2 & 3];
        p[3] = corner[i & 3];

        good = (valid(p, 4) == reference(p, 4));

        n = bc_utf8_sequence(p, 4, &bad);

        if (n == 0) {
            good = good && bad >= 1 && bad <= 3;

        } else {
            good = good && reference(p, n);
        }
    }

    ok(good, "sequences of four bytes, too");
}


static void
fail_fast(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        size_t       len;
        size_t       at;
        const char  *what;
    } cases[] = {
        { "abc\xff", 4, 3, "a byte that never occurs" },
        { "abc\x80", 4, 3, "a continuation without a beginning" },
        { "\xc0\x80", 2, 0, "an overlong NUL, at its first byte" },
        { "\xc1\xbf", 2, 0, "overlong in two bytes" },
        { "\xe0\x9f\xbf", 3, 1, "overlong in three, at the second byte" },
        { "\xf0\x8f\xbf\xbf", 4, 1, "overlong in four" },
        { "\xed\xa0\x80", 3, 1, "a surrogate, at its second byte" },
        { "\xed\x9f\xbf", 3, 3, "U+D7FF is good" },
        { "\xee\x80\x80", 3, 3, "U+E000 is good" },
        { "\xf4\x8f\xbf\xbf", 4, 4, "U+10FFFF is good" },
        { "\xf4\x90\x80\x80", 4, 1, "U+110000, at its second byte" },
        { "\xf5\x80\x80\x80", 4, 0, "F5 never occurs" },
        { "\xef\xbf\xbf", 3, 3, "U+FFFF, a noncharacter, is good" },
        { "\xf0\x9f\x98x", 4, 3, "a sequence broken by ASCII" },
        { "\xe2\x82\xe2", 3, 2, "a sequence broken by another one" },
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xed\xa0\x80"
          "edited", 20, 12, "as in Autobahn 6.3.1" },
        { "\xce\xba\xe1\xbd\xb9\xcf\x83\xce\xbc\xce\xb5\xf4\x90\x80\x80"
          "edited", 21, 12, "as in Autobahn 6.4.1" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(refused_at((const uint8_t *) cases[i].text, cases[i].len),
           cases[i].at, "%s", cases[i].what);
    }
}


/* the piecewise result must not depend on the pieces, nor the fast path */

static void
pieces(void)
{
    int       good, rc;
    size_t    i, n, len, a, b;
    uint8_t  *p, text[96];
    uint32_t  state;

    static const char  *parts[] = {
        "a", "bcdefgh", "ijklmnopqrstuvwxyz", "\xc3\xa9", "\xe2\x82\xac",
        "\xf0\x9f\x98\x80", "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\x80",
        "\xed\xa0\x80", "\xc3", "\xf0\x9f", "\xff"
    };

    good = 1;

    for (i = 0; i < 20000 && good; i++) {

        len = 0;

        for (n = unit_random() % 12; n != 0; n--) {
            /* the invalid ones rarely */
            a = unit_random() % (unit_random() % 8 ? 8 : 13);
            b = strlen(parts[a]);

            if (len + b > sizeof(text)) {
                break;
            }

            memcpy(text + len, parts[a], b);
            len += b;
        }

        a = len ? unit_random() % len : 0;
        b = len - a ? a + unit_random() % (len - a) : a;

        p = unit_copy(text, len);

        state = BC_UTF8_START;
        rc = bc_utf8_feed(&state, p, a);
        rc |= bc_utf8_feed(&state, p + a, b - a);
        rc |= bc_utf8_feed(&state, p + b, len - b);

        good = ((rc == 0 && bc_utf8_done(state)) == reference(p, len))
               && valid(p, len) == reference(p, len);

        free(p);
    }

    ok(good, "20000 texts cut in three give the same as in one");
}


static void
failed_stays_failed(void)
{
    uint32_t  state;

    state = BC_UTF8_START;

    is(bc_utf8_feed(&state, (const uint8_t *) "\xff", 1), -1, "refused");
    is(bc_utf8_feed(&state, (const uint8_t *) "a", 1), -1,
       "refused for good");
    ok(!bc_utf8_done(state), "and never done");

    state = BC_UTF8_START;
    is(bc_utf8_feed(&state, (const uint8_t *) "\xe2\x82", 2), 0,
       "half a character is not wrong");
    ok(!bc_utf8_done(state), "but not done");
}


static void
sequences(void)
{
    size_t  bad;

    is(bc_utf8_sequence((const uint8_t *) "a", 1, &bad), 1, "length of a");
    is(bc_utf8_sequence((const uint8_t *) "\xe2\x82\xac.", 4, &bad), 3,
       "length of a euro sign");

    is(bc_utf8_sequence((const uint8_t *) "\xe2\x82", 2, &bad), 0, "cut off");
    is(bad, 2, "is one replacement character");

    is(bc_utf8_sequence((const uint8_t *) "\xe2\x82" "a", 3, &bad), 0,
       "broken off");
    is(bad, 2, "is one replacement character");

    is(bc_utf8_sequence((const uint8_t *) "\xed\xa0\x80", 3, &bad), 0,
       "a surrogate");
    is(bad, 1, "is replaced byte by byte");
}


int
main(void)
{
    fail_fast();
    failed_stays_failed();
    sequences();
    pieces();
    all_sequences();

    return unit_done();
}
