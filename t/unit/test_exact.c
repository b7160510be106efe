
/*
 * Copyright (C) the blockcast authors
 *
 * The marks of large integers.  If this fails, amounts of chains lose their
 * last digits, or a string that somebody wrote on the chain becomes a number.
 */

#include "bc_exact.h"
#include "bc_json.h"
#include "unit.h"


#define S  "\xf3\xb1\x80\x80\xf3\xb1\x80\x81\xf3\xb1\x80\x82\xf3\xb1\x80\x83"
#define E  "\xf4\x8f\xbf\x80"

#define BIG    "18446744073709551615"
#define M_BIG  S "100000020" BIG E
#define NEG    "-9007199254740993"
#define M_NEG  S "099999983" "0992800745259006" NEG E

static bc_exact_mark_t  mark;


static void
test_scan(const char *text, size_t integers, size_t lone, size_t depth)
{
    uint8_t          *p;
    bc_exact_scan_t   scan;

    memset(&scan, 0, sizeof(scan));

    p = unit_copy(text, strlen(text));
    bc_exact_scan(&scan, p, strlen(text));
    free(p);

    is(scan.integers, integers, "%s: integers", text);
    is(scan.lone, lone, "%s: lone surrogates", text);
    is(scan.depth, depth, "%s: depth", text);
}


static void
test_write(const char *text, const char *marked)
{
    size_t            len;
    uint8_t          *p, *dst, *end;
    bc_exact_scan_t   scan;

    memset(&scan, 0, sizeof(scan));

    len = strlen(text);
    p = unit_copy(text, len);
    bc_exact_scan(&scan, p, len);

    dst = malloc(len + scan.grow + 1);
    end = bc_exact_write(&mark, dst, p, len);
    is(end - dst, len + scan.grow, "%s: the size that was said", text);
    is_mem(dst, end - dst, marked, "%s: marked", text);

    free(dst);
    free(p);
}


static void
test_unmark(const char *text, const char *plain)
{
    size_t    len;
    uint8_t  *p;

    len = strlen(text);
    p = unit_copy(text, len);
    len = bc_exact_unmark(&mark, p, len);
    is_mem(p, len, plain, "%s", plain);
    free(p);
}


static void
test_occurs(const char *text, int found)
{
    uint8_t  *p;

    p = unit_copy(text, strlen(text));
    is(bc_exact_occurs(&mark, p, strlen(text)), found, "occurs: %s", text);
    free(p);
}


/* any bytes, made of pieces, also cut anywhere */

static void
test_any(void)
{
    int              i, n, bad;
    size_t           len, size;
    uint8_t          text[1024], *p, *dst, *end;
    const char      *s;
    bc_exact_scan_t  scan;

    static const char  *pieces[] = {
        "\"", "\\", "\\\"", "\\u", "\\ud800", "\\udc00", "\\ud8", S, E, M_BIG,
        M_NEG, BIG, NEG, "-", "{", "}", "[", "]", ":", ",", "1", "e", ".",
        "string (", "\xef\xbf\xbd", "\xf3", "\xf3\xb1\x80", "\xff",
        "9007199254740992", S "1", S "0", S "00000000", S "000000000",
        S "199999999", S "099999999", S "1000000201844674407370955161"
    };

    bad = 0;

    for (i = 0; i < 60000; i++) {
        size = 0;

        for (n = (int) (unit_random() % 8); n >= 0; n--) {
            s = pieces[unit_random() % (sizeof(pieces) / sizeof(pieces[0]))];
            memcpy(text + size, s, strlen(s));
            size += strlen(s);
        }

        size -= unit_random() % 3 ? 0 : unit_random() % size;

        p = unit_copy(text, size);
        memset(&scan, 0, sizeof(scan));
        bc_exact_scan(&scan, p, size);

        dst = malloc(size + scan.grow + 1);
        end = bc_exact_write(&mark, dst, p, size);
        bad += (size_t) (end - dst) != size + scan.grow;
        free(dst);

        dst = malloc(size + 1);
        bad += bc_exact_write(NULL, dst, p, size) != dst + size;
        free(dst);

        (void) bc_exact_occurs(&mark, p, size);

        mark.alone = i & 1;
        len = bc_exact_unmark(&mark, p, size);
        bad += len > size;
        mark.alone = 1;

        free(p);
    }

    is(bad, 0, "any bytes are walked through, within their bounds");
}


/* the marked strings sort as the integers do */

static void
test_order(void)
{
    int          i, bad;
    uint8_t      a[256], b[256], *end;
    size_t       la, lb, n;
    const char  *v[] = { "-123456789012345678901234567890",
                         "-18446744073709551615", "-18446744073709551614",
                         "-9007199254740993", "-9007199254740992",
                         "9007199254740992", "9007199254740993",
                         "18446744073709551614", "18446744073709551615",
                         "123456789012345678901234567890" };

    bad = 0;

    for (i = 0; i + 1 < (int) (sizeof(v) / sizeof(v[0])); i++) {
        end = bc_exact_write(&mark, a, (const uint8_t *) v[i], strlen(v[i]));
        la = (size_t) (end - a);
        end = bc_exact_write(&mark, b, (const uint8_t *) v[i + 1],
                             strlen(v[i + 1]));
        lb = (size_t) (end - b);
        n = la < lb ? la : lb;
        bad += memcmp(a, b, n) >= 0;
    }

    is(bad, 0, "marked integers sort by their value");
}


static void
test_random(void)
{
    int               i, k, bad;
    uint8_t           random[BC_EXACT_RANDOM], c[5][4];
    bc_exact_mark_t   m;

    bad = 0;

    for (i = 0; i < 20000; i++) {
        for (k = 0; k < BC_EXACT_RANDOM; k++) {
            random[k] = (i < 256) ? (uint8_t) i
                                  : (uint8_t) unit_random();

            if (i > 15000 && k % 4 != 3) {
                /* noncharacters, and all of them the same */
                random[k] = (k % 4 == 0) ? 0xfe + (i & 1) : 0xff;
            }
        }

        bc_exact_mark(&m, random);
        memcpy(c, m.start, 16);
        memcpy(c[4], m.end, 4);

        for (k = 0; k < 25; k++) {
            bad += (k / 5 != k % 5 && memcmp(c[k / 5], c[k % 5], 4) == 0);
        }

        for (k = 0; k < 5; k++) {
            bad += (c[k][0] == 0xf3 ? c[k][1] < 0xb0 : c[k][1] > 0x8f);
            bad += c[k][0] != 0xf3 && c[k][0] != 0xf4;
            bad += (c[k][1] & 0xf) == 0xf && c[k][2] == 0xbf
                   && c[k][3] >= 0xbe;
        }
    }

    is(bad, 0, "a mark is five different characters for private use");
}


int
main(void)
{
    memcpy(mark.start, S, 16);
    memcpy(mark.end, E, 4);
    mark.alone = 1;

    test_scan("", 0, 0, 0);
    test_scan("9007199254740991", 0, 0, 0);
    test_scan("-9007199254740991", 0, 0, 0);
    test_scan("9007199254740992", 1, 0, 0);
    test_scan("-9007199254740992", 1, 0, 0);
    test_scan("1e400", 0, 0, 0);
    test_scan("9007199254740993.0", 0, 0, 0);
    test_scan("9007199254740993e1", 0, 0, 0);
    test_scan("[" BIG ",{\"" BIG "\":" BIG "}]", 2, 0, 3);
    test_scan("\"\\\"" BIG "\"", 0, 0, 0);
    test_scan("\"\\ud800\"", 0, 1, 0);
    test_scan("\"\\udc00\\ud800\"", 0, 2, 0);
    test_scan("\"\\ud83d\\ude00\"", 0, 0, 0);
    test_scan("\"\\uD800\\uD83D\\uDE00\"", 0, 1, 0);
    test_scan("\"\\\\ud800\"", 0, 0, 0);
    test_scan("{\"\\udfff\":[\"x\\ud800y\"]}", 0, 2, 3);
    test_scan("\"\\ud800", 0, 1, 0);
    test_scan("\"\\ud80", 0, 0, 0);
    test_scan("\"\\", 0, 0, 0);

    test_write(BIG, "\"" M_BIG "\"");
    test_write("[" NEG ", 1]", "[\"" M_NEG "\", 1]");
    test_write("{\"a\":\"\\ud800\"}", "{\"a\":\"\\ufffd\"}");
    test_write("\"" BIG "\"", "\"" BIG "\"");
    test_write("\"\\\\ud800\"", "\"\\\\ud800\"");

    test_unmark("\"" M_BIG "\"", BIG);
    test_unmark("[\"" M_NEG "\",\"" M_BIG "\"]", "[" NEG "," BIG "]");
    test_unmark("{\"" M_BIG "\":\"" M_BIG "\"}", "{\"" BIG "\":" BIG "}");
    test_unmark("\"n=" M_BIG "\"", "\"n=" BIG "\"");
    test_unmark("\"{\\\"a\\\":\\\"" M_BIG "\\\"}\"",
                "\"{\\\"a\\\":" BIG "}\"");
    test_unmark("\"{\\\"" M_BIG "\\\":1}\"", "\"{\\\"" BIG "\\\":1}\"");
    test_unmark("\"\\\"" M_BIG "\"", "\"\\\"" BIG "\"");
    test_unmark("\"" M_BIG "\\\"\"", "\"" BIG "\\\"\"");

    /* cut, or changed: no number */

    test_unmark("\"" S "\"", "\"\"");
    test_unmark("\"" S "100000020" "1844674407370955161" E "\"",
                "\"1000000201844674407370955161\"");
    test_unmark("\"" S "100000020" BIG "\"", "\"100000020" BIG "\"");
    test_unmark("\"" S "100000003" "123" E "\"", "\"100000003123\"");
    test_unmark("\"" S "100000020" "0" BIG E "\"", "\"1000000200" BIG "\"");
    test_unmark("string (\"" S "10...) is", "number (10...) is");
    test_unmark("\"string (\\\"\xf3\xb1\x80\x80\xf3\xb1\x80\x81\xef\xbf\xbd"
                "...) x\"", "\"number (...) x\"");

    /* what is not the mark stays */

    test_unmark("\"\xee\x80\x80int:020" BIG "\"",
                "\"\xee\x80\x80int:020" BIG "\"");
    test_unmark("\"\xf3\xb1\x80\x84\"", "\"\xf3\xb1\x80\x84\"");
    mark.alone = 0;
    test_unmark("\"" S "\"", "\"" S "\"");
    test_unmark("\"" M_BIG "\"", BIG);
    mark.alone = 1;

    test_occurs("\"abc\"", 0);
    test_occurs("\"\xf3\xb1\x80\x82\"", 1);
    test_occurs("\"" E "\"", 1);
    test_occurs("\"" S "\"", 2);
    test_occurs("\"\\udb84\\udc00\"", 1);
    test_occurs("\"\\\\udb84\\udc00\"", 0);
    test_occurs("\"\\udb84\\udc00\xf3\xb1\x80\x81\\uDB84\\uDC02"
                "\xf3\xb1\x80\x83\"", 2);
    test_occurs("\xf3\xb1\x80\x80" S, 2);
    test_occurs("\xf3\xb1", 0);
    test_occurs("\"\\udb84", 0);

    test_any();
    test_order();
    test_random();

    return unit_done();
}
