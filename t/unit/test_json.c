
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a node's reply is refused although it is good, passed on
 * although it breaks every browser's JSON.parse(), or changed on its way.
 */

#include "bc_json.h"
#include "unit.h"


typedef struct {
    const char  *text;
    size_t       len;          /* 0: strlen() */
} text_t;


/* the cases of JSONTestSuite (y_: to be accepted) and some of our own */

static const text_t  good[] = {
    { "[[]   ]", 0 }, { "[\"\"]", 0 }, { "[]", 0 }, { "[\"a\"]", 0 },
    { "[false]", 0 }, { "[null, 1, \"1\", {}]", 0 }, { "[null]", 0 },
    { "[1\n]", 0 }, { " [1]", 0 }, { "[1,null,null,null,2]", 0 },
    { "[2] ", 0 }, { "[0e+1]", 0 }, { "[0e1]", 0 }, { "[ 4]", 0 },
    { "[-0.000000000000000000000000000000000000000000000000000000000001]",
      0 },
    { "[20e1]", 0 }, { "[-0]", 0 }, { "[-123]", 0 }, { "[-1]", 0 },
    { "[1E22]", 0 }, { "[1E-2]", 0 }, { "[1E+2]", 0 }, { "[123e45]", 0 },
    { "[123.456e78]", 0 }, { "[1e-2]", 0 }, { "[1e+2]", 0 },
    { "[123]", 0 }, { "[123.456789]", 0 }, { "[123123e100000]", 0 },
    { "[-237462374673276894279832749832423479823246327846]", 0 },
    { "{\"asd\":\"sdf\", \"dfg\":\"fgh\"}", 0 }, { "{\"asd\":\"sdf\"}", 0 },
    { "{\"a\":\"b\",\"a\":\"c\"}", 0 }, { "{\"a\":\"b\",\"a\":\"b\"}", 0 },
    { "{}", 0 }, { "{\"\":0}", 0 }, { "{\"foo\\u0000bar\": 42}", 0 },
    { "{ \"min\": -1.0e+28, \"max\": 1.0e+28 }", 0 },
    { "{\"x\":[{\"id\": \"xxx\"}], \"id\": \"xxx\"}", 0 },
    { "{\"a\":[]}", 0 },
    { "{\"title\":\"\\u041f\\u043e\\u043b\\u0442\\u043e\\u0440\\u0430\"}",
      0 },
    { "{\n\"a\": \"b\"\n}", 0 },
    { "[\"\\u0060\\u012a\\u12AB\"]", 0 }, { "[\"\\uD801\\udc37\"]", 0 },
    { "[\"\\ud83d\\ude39\\ud83d\\udc8d\"]", 0 },
    { "[\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"]", 0 }, { "[\"\\\\u0000\"]", 0 },
    { "[\"\\\"\"]", 0 }, { "[\"a/*b*/c/*d//e\"]", 0 }, { "[\"\\\\a\"]", 0 },
    { "[\"\\\\n\"]", 0 }, { "[\"\\u0012\"]", 0 }, { "[\"\\uFFFF\"]", 0 },
    { "[\"asd\"]", 0 }, { "[ \"asd\"]", 0 },
    { "[\"\\uDBFF\\uDFFF\"]", 0 }, { "[\"new\\u00A0line\"]", 0 },
    { "[\"\xf4\x8f\xbf\xbf\"]", 0 }, { "[\"\xef\xbf\xbf\"]", 0 },
    { "[\"\\u0000\"]", 0 }, { "[\"\\u002c\"]", 0 }, { "[\"\xcf\x80\"]", 0 },
    { "[\"\xf0\x9b\xbf\xbf\"]", 0 }, { "[\"asd \"]", 0 }, { "\" \"", 0 },
    { "[\"\\uD834\\uDd1e\"]", 0 }, { "[\"\\u0821\"]", 0 },
    { "[\"\\u0123\"]", 0 }, { "[\"\xe2\x80\xa8\"]", 0 },
    { "[\"\xe2\x80\xa9\"]", 0 }, { "[\"\\u0061\\u30af\\u30EA\\u30b9\"]", 0 },
    { "[\"new\\u000Aline\"]", 0 }, { "[\"\x7f\"]", 0 },
    { "[\"\\uA66D\"]", 0 }, { "[\"\\u005C\"]", 0 },
    { "[\"\xe2\x8d\x82\xe3\x88\xb4\xe2\x8d\x82\"]", 0 },
    { "[\"\\u200B\"]", 0 }, { "[\"\\uFDD0\"]", 0 }, { "[\"\\uFFFE\"]", 0 },
    { "[\"\\u0022\"]", 0 }, { "[\"\xe2\x82\xac\xf0\x9d\x84\x9e\"]", 0 },
    { "[\"a\x7f" "a\"]", 0 }, { "false", 0 }, { "42", 0 }, { "-0.1", 0 },
    { "null", 0 }, { "\"asd\"", 0 }, { "true", 0 }, { "\"\"", 0 },
    { "[\"a\"]\n", 0 }, { "[true]", 0 }, { " [] ", 0 },

    /* implementation-defined there: the grammar allows them */
    { "[\"\\uDADA\"]", 0 }, { "[\"\\uD888\\u1234\"]", 0 },
    { "[\"\\uDd1e\\uD834\"]", 0 }, { "[\"\\uDFAA\"]", 0 },
    { "[123.456e-789]", 0 }, { "[0.4e0066999999999999999999]", 0 },
    { "[18446744073709551615,-9223372036854775808]", 0 },

    { "\t\r\n 1 \t\r\n", 0 }, { "{ \"a\" : [ 1 , 2 ] , \"b\" : { } }", 0 }
};


static const text_t  bad[] = {
    { "[1 true]", 0 }, { "[a\xe5]", 0 }, { "[\"\": 1]", 0 },
    { "[\"\"],", 0 }, { "[,1]", 0 }, { "[1,,2]", 0 }, { "[\"x\",,]", 0 },
    { "[\"x\"]]", 0 }, { "[\"\",]", 0 }, { "[\"x\"", 0 }, { "[x", 0 },
    { "[3[4]]", 0 }, { "[\xff]", 0 }, { "[1:2]", 0 }, { "[,]", 0 },
    { "[-]", 0 }, { "[   , \"\"]", 0 }, { "[\"a\",\n4\n,1,", 0 },
    { "[1,]", 0 }, { "[1,,]", 0 }, { "[\"\v" "a\"\\f]", 0 }, { "[*]", 0 },
    { "[\"\"", 0 }, { "[1,", 0 }, { "[1,\n1\n,1", 0 }, { "[{}", 0 },
    { "[fals]", 0 }, { "[nul]", 0 }, { "[tru]", 0 }, { "123\0", 4 },
    { "[++1234]", 0 }, { "[+1]", 0 }, { "[+Inf]", 0 }, { "[-01]", 0 },
    { "[-1.0.]", 0 }, { "[-2.]", 0 }, { "[-NaN]", 0 }, { "[.-1]", 0 },
    { "[.2e-3]", 0 }, { "[0.1.2]", 0 }, { "[0.3e+]", 0 }, { "[0.3e]", 0 },
    { "[0.e1]", 0 }, { "[0E+]", 0 }, { "[0E]", 0 }, { "[0e+]", 0 },
    { "[0e]", 0 }, { "[1.0e+]", 0 }, { "[1.0e-]", 0 }, { "[1.0e]", 0 },
    { "[1 000.0]", 0 }, { "[1eE2]", 0 }, { "[2.e+3]", 0 },
    { "[2.e-3]", 0 }, { "[2.e3]", 0 }, { "[9.e+]", 0 }, { "[Inf]", 0 },
    { "[NaN]", 0 }, { "[\xef\xbc\x91]", 0 }, { "[1+2]", 0 },
    { "[0x1]", 0 }, { "[0x42]", 0 }, { "[Infinity]", 0 },
    { "[0e+-1]", 0 }, { "[-123.123foo]", 0 }, { "[123\xe5]", 0 },
    { "[1e1\xe5]", 0 }, { "[0\xe5]", 0 }, { "[-Infinity]", 0 },
    { "[-foo]", 0 }, { "[- 1]", 0 }, { "[-012]", 0 }, { "[-.123]", 0 },
    { "[-1x]", 0 }, { "[1ea]", 0 }, { "[1.]", 0 }, { "[.123]", 0 },
    { "[1.2a-3]", 0 }, { "[1.8011670033376514H-308]", 0 }, { "[012]", 0 },
    { "[\"x\", truth]", 0 }, { "{[: \"x\"}\n", 0 }, { "{\"x\", null}", 0 },
    { "{\"x\"::\"b\"}", 0 }, { "{\xf0\x9f\x87\xa8\xf0\x9f\x87\xad}", 0 },
    { "{\"a\":\"a\" 123}", 0 }, { "{key: 'value'}", 0 },
    { "{\"\xb9\":\"0\",}", 0 }, { "{\"a\" b}", 0 }, { "{:\"b\"}", 0 },
    { "{\"a\" \"b\"}", 0 }, { "{\"a\":", 0 }, { "{\"a\"", 0 },
    { "{1:1}", 0 }, { "{9999E9999:1}", 0 }, { "{null:null,null:null}", 0 },
    { "{\"id\":0,,,,,}", 0 }, { "{'a':0}", 0 }, { "{\"id\":0,}", 0 },
    { "{\"a\":\"b\"}/**/", 0 }, { "{\"a\":\"b\"}/**//", 0 },
    { "{\"a\":\"b\"}//", 0 }, { "{\"a\":\"b\"}/", 0 },
    { "{\"a\":\"b\",,\"c\":\"d\"}", 0 }, { "{a: \"b\"}", 0 },
    { "{\"a\":\"a", 0 }, { "{ \"foo\" : \"bar\", \"a\" }", 0 },
    { "{\"a\":\"b\"}#", 0 }, { " ", 0 }, { "[\"\\uD800\\\"]", 0 },
    { "[\"\\uD800\\u\"]", 0 }, { "[\"\\uD800\\u1\"]", 0 },
    { "[\"\\uD800\\u1x\"]", 0 }, { "[\xc3\xa9]", 0 }, { "[\"\\\0\"]", 5 },
    { "[\"\\x00\"]", 0 }, { "[\"\\\\\\\"]", 0 }, { "[\"\\\t\"]", 0 },
    { "[\"\\\xf0\x9f\x8c\x80\"]", 0 }, { "[\"\\\"]", 0 },
    { "[\"\\u00A\"]", 0 }, { "[\"\\uD834\\uDd\"]", 0 },
    { "[\"\\uD800\\uD800\\x\"]", 0 }, { "[\"\\u\xe5\"]", 0 },
    { "[\"\\a\"]", 0 }, { "[\"\\uqqqq\"]", 0 }, { "[\"\\\xe5\"]", 0 },
    { "[\\u0020\"asd\"]", 0 }, { "[\\n]", 0 }, { "\"", 0 },
    { "['single quote']", 0 }, { "abc", 0 }, { "[\"\\", 0 },
    { "[\"a\0a\"]", 7 }, { "[\"new\nline\"]", 0 }, { "[\"\t\"]", 0 },
    { "\"\\UA66D\"", 0 }, { "\"\"x", 0 }, { "[\xe2\x81\xa0]", 0 },
    { "\xef\xbb\xbf", 0 }, { "\xef\xbb\xbf{}", 0 }, { "<.>", 0 },
    { "[<null>]", 0 }, { "[1]x", 0 }, { "[1]]", 0 }, { "[\"asd]", 0 },
    { "a\xc3\xa5", 0 }, { "[True]", 0 }, { "1]", 0 }, { "{\"x\": true,", 0 },
    { "[][]", 0 }, { "]", 0 }, { "\xef\xbb{}", 0 }, { "\xe5", 0 },
    { "[", 0 }, { "", 0 }, { "[\0]", 3 }, { "2@", 0 }, { "{}}", 0 },
    { "{\"\":", 0 }, { "{\"a\":/*comment*/\"b\"}", 0 },
    { "{\"a\": true} \"x\"", 0 }, { "['", 0 }, { "[,", 0 }, { "[{", 0 },
    { "[\"a", 0 }, { "[\"a\"", 0 }, { "{", 0 }, { "{]", 0 }, { "{,", 0 },
    { "{[", 0 }, { "{\"a", 0 }, { "{'a'", 0 }, { "[\"\\{[\"\\{[\"\\{[\"",
      0 },
    { "\xc3\xa9", 0 }, { "*", 0 }, { "{\"a\":\"b\"}#{}", 0 },
    { "[\\u000A\"\"]", 0 }, { "[1", 0 }, { "[ false, nul", 0 },
    { "[ true, fals", 0 }, { "[ false, tru", 0 },
    { "{\"asd\":\"asd\"", 0 }, { "\xc2\x85", 0 }, { "[\xe2\x81\xa0]", 0 },
    { "[\x0c]", 0 }, { "[\"\x1f\"]", 0 },

    /* there implementation-defined: strings must be UTF-8 here */
    { "[\"\xff\"]", 0 }, { "[\"\xe9\"]", 0 }, { "[\"\xc0\xaf\"]", 0 },
    { "[\"\xed\xa0\x80\"]", 0 }, { "[\"\xf4\xbf\xbf\xbf\"]", 0 },
    { "[\"\xfc\x83\xbf\xbf\xbf\xbf\"]", 0 }, { "[\"\x81\"]", 0 },
    { "[\"\xe0\xff\"]", 0 }, { "\xff\xfe[\0\"\0\xe9\0\"\0]\0", 12 },
    { "{\"\xed\xa0\x80\":1}", 0 }
};


static int
check(const char *text, size_t len, unsigned depth, size_t *off)
{
    int       rc;
    uint8_t  *p;

    p = unit_copy(text, len);
    rc = bc_json_check(p, len, depth, off);
    free(p);

    return rc;
}


static void
suite(void)
{
    size_t  i, n, off;

    for (i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        n = good[i].len ? good[i].len : strlen(good[i].text);
        is(check(good[i].text, n, 64, NULL), 0, "accepted: %zu", i);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        n = bad[i].len ? bad[i].len : strlen(bad[i].text);
        off = 999;

        ok(check(bad[i].text, n, 64, &off) == -1 && off <= n,
           "refused: %zu", i);
    }
}


/*
 * Strings are looked at eight bytes at a time: what ends one or is special in
 * it must be found at every place, whatever bytes are around it.
 */

static void
places(void)
{
    size_t          len, at, i, off, wrong, unread;
    uint8_t         text[64], before;
    bc_span_t       key, value;
    const uint8_t  *p;
    bc_json_iter_t  it;

    static const uint8_t  fill[] = { 'a', ' ', '!', '#', '[', ']', '~', 0x7f };
    static const uint8_t  odd[] = { '"', 0, 1, 0x1f, 0x80, 0xff };

    wrong = 0;
    unread = 0;

    for (len = 0; len < 33; len++) {
        for (i = 0; i < sizeof(fill); i++) {

            memset(text, fill[i], sizeof(text));
            text[0] = '[';
            text[1] = '"';
            text[len + 2] = '"';
            text[len + 3] = ',';
            text[len + 4] = '7';
            text[len + 5] = ']';

            for (at = 0; at <= len; at++) {
                before = text[at + 2];

                /* an escape, where there is room for its second byte */

                if (at + 1 < len) {
                    text[at + 2] = '\\';
                    text[at + 3] = '"';
                }

                p = unit_copy(text, len + 6);

                if (bc_json_check(p, len + 6, 1, &off) != 0
                    || bc_json_array(&it, (bc_span_t) { p, len + 6 }) != 0
                    || !bc_json_next(&it, &key, &value)
                    || value.len != len + 2
                    || !bc_json_next(&it, &key, &value)
                    || value.len != 1 || value.data[0] != '7'
                    || bc_json_next(&it, &key, &value))
                {
                    unread++;
                }

                free((void *) p);

                if (at + 1 < len) {
                    text[at + 3] = fill[i];
                }

                text[at + 2] = before;
            }

            for (at = 0; at < len * sizeof(odd); at++) {
                before = text[at / sizeof(odd) + 2];
                text[at / sizeof(odd) + 2] = odd[at % sizeof(odd)];

                /* behind a quote comes what cannot follow a string */

                if (check((char *) text, len + 6, 1, &off) != -1
                    || (odd[at % sizeof(odd)] != '"'
                        && off != at / sizeof(odd) + 2))
                {
                    wrong++;
                }

                text[at / sizeof(odd) + 2] = before;
            }
        }
    }

    is(unread, 0, "strings of all lengths end where they end");
    is(wrong, 0, "a byte that cannot be is found at every place");
}


/* what is refused must be refused at its first bad byte, and only there */

static void
offsets(void)
{
    size_t       i, off;
    const char  *why;

    static const struct {
        const char  *text;
        size_t       off;
        const char  *why;
    } cases[] = {
        { "", 0, "unexpected end" },
        { "  ", 2, "unexpected end" },
        { "{\"a\":tru}", 8, "unexpected byte" },
        { "{\"a\":tru", 8, "unexpected end" },
        { "<html>", 0, "unexpected byte" },
        { "[01]", 2, "unexpected byte" },
        { "[1,]", 3, "unexpected byte" },
        { "{\"a\":1,}", 7, "unexpected byte" },
        { "{\"a\"}", 4, "unexpected byte" },
        { "[\"a\xff\"]", 3, "invalid UTF-8" },
        { "[\"a\xe2\x82\"]", 3, "invalid UTF-8" },
        { "[\"a\xe2\x82", 5, "unexpected end" },
        { "[\"\\u12", 6, "unexpected end" },
        { "[\"\\u12\"]", 6, "unexpected byte" },
        { "[\"\n\"]", 2, "unexpected byte" },
        { "1 2", 2, "unexpected byte" },
        { "-", 1, "unexpected end" },
        { "[1}", 2, "unexpected byte" },
        { "{]", 1, "unexpected byte" },
        { "[[[[1]]]]", 3, "nested too deeply" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        why = "";
        off = 999;

        bc_json_check_why((const uint8_t *) cases[i].text,
                          strlen(cases[i].text), 3, &off, &why);

        is(off, cases[i].off, "offset of the error in %s", cases[i].text);
        is_str(why, cases[i].why, "its kind");
    }
}


/* strings are read in words of 8 bytes: every byte, in every place of one */

static void
words(void)
{
    int     c, good_all, expected;
    char    text[32];
    size_t  at, off;

    good_all = 1;

    for (at = 1; at < 24; at++) {
        for (c = 0; c < 256 && good_all; c++) {
            memset(text, 'a', sizeof(text));
            text[0] = '"';
            text[25] = '"';
            text[at] = (char) c;

            /* \a is no escape, a quote ends the string too early */

            expected = (c < 0x20 || c >= 0x80 || c == '"' || c == '\\')
                       ? -1 : 0;
            off = at;

            good_all = check(text, 26, 1, &off) == expected
                       && off == at + (c == '"' || c == '\\');

            if (!good_all) {
                printf("# byte %d at %zu\n", c, at);
            }
        }
    }

    ok(good_all, "every byte in every place of a long string");
}


static void
depths(void)
{
    char    *text;
    size_t   i, n;

    static const unsigned  depth[] = { 1, 2, 7, 8, 9, 63, 512, 1024 };

    text = malloc(400000);

    for (i = 0; i < sizeof(depth) / sizeof(depth[0]); i++) {
        n = depth[i];

        memset(text, '[', n);
        memset(text + n, ']', n);

        is(check(text, 2 * n, (unsigned) n, NULL), 0, "%zu levels", n);

        memset(text, '[', n + 1);
        memset(text + n + 1, ']', n + 1);

        is(check(text, 2 * n + 2, (unsigned) n, NULL), -1, "not %zu", n + 1);
    }

    is(check("1", 1, 0, NULL), 0, "depth 0 allows a scalar");
    is(check("[]", 2, 0, NULL), -1, "and no array");

    /* hostile: must neither recurse nor read beyond the bitmap */

    memset(text, '[', 200000);
    is(check(text, 200000, 1000000, NULL), -1, "200000 brackets");

    for (i = 0; i < 100000; i++) {
        memcpy(text + 4 * i, "{\"\":", 4);
    }

    is(check(text, 400000, 1000000, NULL), -1, "100000 open objects");

    /* what kind each level is must be remembered for all levels */

    n = 0;

    for (i = 0; i < 500; i++) {
        n += (size_t) sprintf(text + n, i % 3 ? "[" : "{\"k\":");
    }

    text[n++] = '1';

    for (i = 500; i != 0; i--) {
        text[n++] = (i - 1) % 3 ? ']' : '}';
    }

    is(check(text, n, 500, NULL), 0, "500 levels, objects and arrays mixed");

    free(text);
}


static bc_span_t
span(const char *s)
{
    return (bc_span_t) { (const uint8_t *) s, strlen(s) };
}


static void
iterators(void)
{
    int              n;
    bc_span_t        key, value;
    bc_json_iter_t   it;

    static const char  text[] =
        " { \"a\" : 1.50 ,\"b\\\"}\":\"x,]}\\\\\" , \"\" :[ 1,{\"z\":[]}, \"]\""
        " ],\"n\":null,\"o\":{ \"i\" : 1 } , \"big\":18446744073709551615 }\n";

    static const struct {
        const char  *key;
        const char  *value;
    } members[] = {
        { "a", "1.50" },
        { "b\\\"}", "\"x,]}\\\\\"" },
        { "", "[ 1,{\"z\":[]}, \"]\" ]" },
        { "n", "null" },
        { "o", "{ \"i\" : 1 }" },
        { "big", "18446744073709551615" }
    };

    is(check(text, strlen(text), 8, NULL), 0, "the text is good");
    is(bc_json_object(&it, span(text)), 0, "it is an object");

    for (n = 0; bc_json_next(&it, &key, &value); n++) {
        is_mem(key.data, key.len, members[n].key, "key %d", n);
        is_mem(value.data, value.len, members[n].value, "value %d", n);
    }

    is(n, 6, "six members");
    is(bc_json_next(&it, &key, &value), 0, "the end stays the end");

    is(bc_json_array(&it, span(text)), -1, "it is not an array");
    is(bc_json_next(&it, &key, &value), 0, "and then empty");

    is(bc_json_member(span(text), "", &value), 1, "member with empty name");
    is(bc_json_array(&it, value), 0, "is an array");

    for (n = 0; bc_json_next(&it, &key, &value); n++) {
        static const char  *elements[] = { "1", "{\"z\":[]}", "\"]\"" };

        ok(key.data == NULL, "an element has no key");
        is_mem(value.data, value.len, elements[n], "element %d", n);
    }

    is(n, 3, "three elements");

    is(bc_json_object(&it, span(" {}")), 0, "an empty object");
    is(bc_json_next(&it, &key, &value), 0, "has no member");
    is(bc_json_array(&it, span("[ ]")), 0, "an empty array");
    is(bc_json_next(&it, &key, &value), 0, "has no element");
    is(bc_json_object(&it, span("\"{\"")), -1, "a string is no object");
    is(bc_json_array(&it, span("")), -1, "nothing is no array");
    is(bc_json_object(&it, (bc_span_t) { NULL, 0 }), -1, "nor is NULL");

    is(bc_json_array(&it, span("[1,-2e5,true,[2],{},\"\"]")), 0,
       "an array without spaces");

    for (n = 0; bc_json_next(&it, &key, &value); n++) {
        static const char  *elements[] = {
            "1", "-2e5", "true", "[2]", "{}", "\"\""
        };

        is_mem(value.data, value.len, elements[n], "element %d", n);
    }

    is(n, 6, "six elements");
}


static void
members(void)
{
    bc_span_t  value;

    static const char  text[] =
        "{\"x\":1,\"a\":\"first\",\"a\":\"second\",\"\\u0062\\u00e9\":3,"
        "\"\\ud83d\\ude00\":4,\"q\\\"\":5,\"nul\\u0000\":6,"
        "\"deep\":{\"in\":7}}";

    is(bc_json_member(span(text), "a", &value), 1, "found");
    is_mem(value.data, value.len, "\"first\"", "the first of two");
    is(bc_json_member(span(text), "b\xc3\xa9", &value), 1,
       "a key written with escapes");
    is_mem(value.data, value.len, "3", "its value");
    is(bc_json_member(span(text), "\xf0\x9f\x98\x80", &value), 1,
       "a key written with a surrogate pair");
    is(bc_json_member(span(text), "q\"", &value), 1, "a quote in a key");
    is(bc_json_member(span(text), "nul", &value), 0,
       "an escaped NUL does not end a key");
    is(bc_json_member(span(text), "in", &value), 0, "not in inner objects");
    is(bc_json_member(span(text), "b", &value), 0, "no prefixes");
    is(bc_json_member(span("[1]"), "a", &value), 0, "not in an array");
    is(bc_json_member(span("{}"), "a", &value), 0, "not in an empty one");
}


static void
strings(void)
{
    size_t   i, n;
    uint8_t  buf[64];

    static const struct {
        const char  *json;
        const char  *text;
    } cases[] = {
        { "\"\"", "" },
        { "\"plain\"", "plain" },
        { "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"", "\"\\/\b\f\n\r\t" },
        { "\"\\u0041\\u00e9\\u20AC\"", "A\xc3\xa9\xe2\x82\xac" },
        { "\"\\uD83D\\uDE00\"", "\xf0\x9f\x98\x80" },
        { "\"\\uD83D\"", "\xef\xbf\xbd" },
        { "\"\\uD83Dx\"", "\xef\xbf\xbdx" },
        { "\"\\uDE00\\uD83D\"", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\"\\uD83D\\u0041\"", "\xef\xbf\xbd" "A" },
        { "\"\\uD83D\\uD83D\\uDE00\"", "\xef\xbf\xbd\xf0\x9f\x98\x80" },
        { "\"\\uDBFF\\uDFFF\"", "\xf4\x8f\xbf\xbf" },
        { "\"\\uD800\\uDC00\"", "\xf0\x90\x80\x80" },
        { "\"\\uD83D\\uE000\"", "\xef\xbf\xbd\xee\x80\x80" },
        { "\"\\uD83D\\uDBFF\"", "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\"\\uE000\\uD7FF\"", "\xee\x80\x80\xed\x9f\xbf" },
        { "\"\xe2\x82\xac\"", "\xe2\x82\xac" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(bc_json_string(span(cases[i].json), buf, sizeof(buf), &n), 0,
           "decoded: %s", cases[i].json);
        is_mem(buf, n, cases[i].text, "its text");
    }

    is(bc_json_string(span("\"a\\u0000b\""), buf, sizeof(buf), &n), 0,
       "a NUL");
    ok(n == 3 && memcmp(buf, "a\0b", 3) == 0, "is a byte as any other");

    is(bc_json_string(span("12"), buf, sizeof(buf), &n), -1,
       "a number is no string");
    is(bc_json_string(span("null"), buf, sizeof(buf), &n), -1, "nor null");
    is(bc_json_string(span("\""), buf, sizeof(buf), &n), -1, "nor half one");

    is(bc_json_string(span("\"abcd\""), buf, 4, &n), 0, "fits exactly");
    is(n, 4, "with all bytes");
    is(bc_json_string(span("\"abcde\""), buf, 4, &n), -2, "one too long");
    is_mem(buf, n, "abcd", "gives its beginning");
    is(bc_json_string(span("\"ab\\u20ac\""), buf, 4, &n), -2,
       "a character that does not fit");
    is_mem(buf, n, "ab", "is not cut in the middle");
}


static void
escapes(void)
{
    int       good_all;
    size_t    i, n, len, m;
    uint8_t  *p, text[40], out[400], back[400], *end;

    static const struct {
        const char  *text;
        size_t       len;
        const char  *json;
    } cases[] = {
        { "", 0, "" },
        { "a\"b\\c/d", 7, "a\\\"b\\\\c/d" },
        { "\b\f\n\r\t", 5, "\\b\\f\\n\\r\\t" },
        { "\0\x01\x1f\x7f", 4, "\\u0000\\u0001\\u001f\\u007f" },
        { "\xe2\x82\xac", 3, "\xe2\x82\xac" },
        { "x\xffy", 3, "x\xef\xbf\xbdy" },
        { "\xe2\x82", 2, "\xef\xbf\xbd" },
        { "\xe2\x82" "a", 3, "\xef\xbf\xbd" "a" },
        { "\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd" },
        { "\xed\xa0\x80", 3,
          "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = unit_copy(cases[i].text, cases[i].len);
        end = bc_json_escape(out, p, cases[i].len);

        is_mem(out, end - out, cases[i].json, "escaped: %s", cases[i].json);
        is(bc_json_escape_len(p, cases[i].len), end - out, "its length");
        free(p);
    }

    /* whatever comes in, what comes out is JSON that reads back the same */

    good_all = 1;

    for (i = 0; i < 20000 && good_all; i++) {
        len = unit_random() % sizeof(text);

        for (n = 0; n < len; n++) {
            text[n] = (uint8_t) unit_random();

            if (unit_random() % 2) {
                text[n] = "\"\\\n\x01 az{\x7f/"[text[n] % 10];
            }
        }

        p = unit_copy(text, len);
        out[0] = '"';
        end = bc_json_escape(out + 1, p, len);
        *end++ = '"';
        n = (size_t) (end - out);

        good_all = (n == bc_json_escape_len(p, len) + 2)
                   && bc_json_check(out, n, 0, NULL) == 0
                   && bc_json_string((bc_span_t) { out, n }, back,
                                     sizeof(back), &m) == 0;

        if (good_all) {
            /* a second time nothing is left to replace */
            size_t  k;

            k = (size_t) (bc_json_escape(out + 1, back, m) - out);
            good_all = (k == n - 1);
        }

        free(p);
    }

    ok(good_all, "20000 random texts survive escaping");
}


/*
 * What was never checked: iterators end after what made sense, and what they
 * hand out is there.
 */

static void
test_unchecked(void)
{
    size_t           i;
    unsigned         n;
    uint8_t         *p;
    bc_span_t        text, key, value;
    bc_json_iter_t   it;

    static const struct {
        const char  *text;
        unsigned     members;
    } tables[] = {
        { "{\"a\":\"\"}:[{\"x\":\"\"}", 1 },
        { "[1,:,2]", 1 }, { "[:]", 0 }, { "[1 : 2]", 1 }, { "[,]", 0 },
        { "[,,1]", 0 }, { "[1", 1 }, { "[1,", 1 }, { "[\"", 1 },
        { "[\"\\", 1 }, { "[\"a\\\"", 1 }, { "[\"\\u00", 1 },
        { "{\"a\"", 0 }, { "{\"a\":", 0 }, { "{\"a\":}", 0 },
        { "{\"a\" 1}", 0 }, { "{\"a\\\":1}", 0 }, { "{\"", 0 }, { "{1:2}", 0 },
        { "{\"a\":1,\"b\"::2}", 1 }, { "{\"a\":1\"b\":2}", 1 },
        { "[[[[", 1 }, { "[}", 0 }, { "[{]}", 1 }, { "{", 0 }, { "[", 0 }
    };

    for (i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
        text.len = strlen(tables[i].text);
        p = unit_copy(tables[i].text, text.len);
        text.data = p;

        if (bc_json_object(&it, text) != 0) {
            is(bc_json_array(&it, text), 0, "%s is begun", tables[i].text);
        }

        for (n = 0; n < 100 && bc_json_next(&it, &key, &value); n++) {
            ok(value.len != 0 && value.data > p
               && value.data + value.len <= p + text.len,
               "a value within it");
        }

        is(n, tables[i].members, "%s has %u members", tables[i].text,
           tables[i].members);
        is(bc_json_member(text, "zz", &value), 0, "and not that one");

        free(p);
    }
}


/* In pieces of any size the same is found as at once, in the same order. */

static void
pieces(void)
{
    int               rc, same, more;
    size_t            i, n, len, step;
    bc_span_t         text, key, value, key2, value2, at_once[2], found[2];
    bc_json_iter_t    it;
    bc_json_pieces_t  w;

    static const char *const  names[] = { "b", "lag" };
    static const char *const  texts[] = {
        "{\"a\":\"x\\\"y\\\\\",\"b\":[1,{\"c\":\"]}\"},[]],\"lag\":-1.5e3}",
        " { \"lag\" : null , \"lag\" : 2 , \"\\u0062\" : \"\\u00e4\\\\\" } ",
        "[\"\",\"\\\\\",[[\"[\"]],{\"a\":{}},true,-0 , 12345678901234567890]",
        "[]", "{}", "", "7", "[ 1", "{\"a\":\"x", "{\"a\":[\"\\", "[,]", "{\"a\"1}"
    };

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        text.data = (const uint8_t *) texts[i];
        text.len = strlen(texts[i]);
        same = 1;

        for (step = 1; step <= text.len + 1; step++) {
            (void) (strchr(texts[i], '{') == texts[i] + strspn(texts[i], " ")
                    ? bc_json_object(&it, text) : bc_json_array(&it, text));
            (void) bc_json_pieces_open(&w, text, it.object ? '{' : '[');

            for (n = 0; n < 100; n++) {
                more = bc_json_next(&it, &key, &value);

                do {
                    len = step;
                    rc = bc_json_next_piece(&w, &key2, &value2, &len);
                } while (rc == BC_JSON_AGAIN && len == 0);

                same &= (rc == more);

                if (!more || !same) {
                    break;
                }

                same &= (key.len == key2.len && key.data == key2.data
                         && value.len == value2.len
                         && value.data == value2.data);
            }

            memset(found, 0, sizeof(found));
            bc_json_members(text, names, at_once, 2);
            (void) bc_json_pieces_open(&w, text, '{');

            do {
                len = step;
                rc = bc_json_members_piece(&w, names, found, 2, &len);
            } while (rc == BC_JSON_AGAIN);

            same &= (rc == 0 && memcmp(found, at_once, sizeof(found)) == 0);
        }

        ok(same, "in pieces of any size: %s", texts[i]);
    }

    /* one of a megabyte is not looked at at once */

    text.len = 1 << 20;
    text.data = malloc(text.len);
    memset((uint8_t *) text.data, 'x', text.len);
    memcpy((uint8_t *) text.data, "[\"", 2);
    memcpy((uint8_t *) text.data + text.len - 2, "\"]", 2);
    (void) bc_json_pieces_open(&w, text, '[');

    for (n = 0; n < 100; n++) {
        len = 65536;
        rc = bc_json_next_piece(&w, &key, &value, &len);

        if (rc != BC_JSON_AGAIN) {
            break;
        }
    }

    ok(rc == 1 && n >= 15 && n <= 17 && value.len == text.len - 2,
       "a large one takes %d pieces", (int) n);

    free((uint8_t *) text.data);
}


int
main(void)
{
    test_unchecked();
    suite();
    places();
    offsets();
    words();
    depths();
    iterators();
    members();
    pieces();
    strings();
    escapes();

    return unit_done();
}
