/*
 * Copyright (C) the blockcast authors
 *
 * Values of libjq, read and printed here.  If this fails, what a program sees
 * or puts out is not what libjq itself would make of it.
 */

#include "bc_jv.h"
#include "unit.h"

#include <stdio.h>


static uint32_t
below(uint32_t n)
{
    return (uint32_t) (unit_random() >> 32) % n;
}


/* the same value, and printed the same */

static void
test_same(const char *json, size_t len)
{
    jv            theirs, ours, text;
    bc_jv_text_t  out;

    theirs = jv_parse_sized(json, (int) len);
    ours = bc_jv_parse((const uint8_t *) json, len);

    ok(jv_is_valid(ours), "%.60s is read", json);
    ok(jv_equal(jv_copy(theirs), jv_copy(ours)), "%.60s is the same value",
       json);

    memset(&out, 0, sizeof(out));
    text = jv_dump_string(theirs, 0);

    ok(bc_jv_print(&out, ours) == 0
       && out.len == (size_t) jv_string_length_bytes(jv_copy(text))
       && memcmp(out.data, jv_string_value(text), out.len) == 0,
       "%.60s is printed as %.60s", json, jv_string_value(text));

    jv_free(text);
    free(out.data);
}


static void
test_refused(const char *json)
{
    jv  v;

    v = bc_jv_parse((const uint8_t *) json, strlen(json));
    ok(!jv_is_valid(v), "%s is not read", json);
    jv_free(v);
}


static void
test_depth(int levels, int printed)
{
    int           i;
    jv            v;
    bc_jv_text_t  out;

    v = jv_number(1);

    for (i = 0; i < levels; i++) {
        v = jv_array_append(jv_array(), v);
    }

    memset(&out, 0, sizeof(out));

    ok((bc_jv_print(&out, v) == 0) == printed, "%d levels", levels);
    ok(!printed || out.depth == levels, "%d levels are counted", levels);

    free(out.data);
}


/* a text of all that there is, at random */

static char *
put_random(char *p, int depth)
{
    int  i, n;

    static const char  *numbers[] = {
        "0", "-0", "7", "-12", "123456789012345", "1234567890123456",
        "-999999999999999", "1e3", "1.50", "0.1", "1e400", "-1e-400",
        "9007199254740993", "1E+2", "100000", "1000000", "10000000", "1e17"
    };

    static const char  *parts[] = {
        "a", "\\n", "\\u0000", "\\u001f", "\\\"", "\\\\", "\\/", "\\b\\f\\r\\t",
        "\x7f", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "\\ud83d\\ude00", "\\u00e9", "plain and longer", "<&>'", " "
    };

    switch (below(depth < 5 ? 7 : 5)) {

    case 0:
        return p + sprintf(p, "null");

    case 1:
        return p + sprintf(p, below(2) ? "true" : " false ");

    case 2:
    case 3:
        return p + sprintf(p, "%s", numbers[below(18)]);

    case 4:

        *p++ = '"';

        for (n = (int) below(5); n > 0; n--) {
            p += sprintf(p, "%s", parts[below(17)]);
        }

        *p++ = '"';

        return p;

    case 5:

        *p++ = '[';

        for (i = 0, n = (int) below(5); i < n; i++) {
            p = put_random(p + sprintf(p, i ? " , " : ""), depth + 1);
        }

        *p++ = ']';

        return p;

    default:

        *p++ = '{';

        for (i = 0, n = (int) below(5); i < n; i++) {
            p += sprintf(p, "%s\"%s%u\" : ", i ? "," : " ", parts[below(17)],
                         below(4));
            p = put_random(p, depth + 1);
        }

        *p++ = '}';

        return p;
    }
}


int
main(void)
{
    int           i;
    jv            v, text;
    char         *p;
    bc_jv_text_t  out;
    static char   buf[1024 * 1024];

    static const char  *same[] = {
        "null", " true", "false ", "[]", "{}", "[[],{}]", "\"\"", "0", "-1",
        "{\"a\":1,\"a\":2,\"b\":{\"c\":[1,2,{\"d\":null}]}}",
        "\"\\ud83d\\ude00 \\u0000\"", "[1.0,1e2,1e-7,0.1,123456789012345]",
        "{\"k\\\"\\n\":\"\\u007f\"}"
    };

    for (i = 0; i < (int) (sizeof(same) / sizeof(same[0])); i++) {
        test_same(same[i], strlen(same[i]));
    }

    for (i = 0; i < 300; i++) {
        p = put_random(buf, 0);
        *p = '\0';
        test_same(buf, (size_t) (p - buf));
    }

    test_refused("");
    test_refused("[");
    test_refused("[1");
    test_refused("[1,]");
    test_refused("{\"a\"");
    test_refused("{\"a\":}");
    test_refused("{\"a\":1,}");
    test_refused("{1:2}");
    test_refused("\"");
    test_refused("\"\\");
    test_refused("\"\\u12\"");
    test_refused("\"\\x\"");
    test_refused("tru");
    test_refused("1 2");
    test_refused("-");
    test_refused("]");

    test_depth(1, 1);
    test_depth(BC_JV_DEPTH, 1);
    test_depth(BC_JV_DEPTH + 1, 0);

    /* what no JSON has */

    memset(&out, 0, sizeof(out));
    ok(bc_jv_print(&out, jv_number(0.0 / 0.0)) == 0 && out.len == 4
       && memcmp(out.data, "null", 4) == 0 && out.altered, "NaN is null");

    out.len = 0;
    out.altered = 0;
    v = jv_number(1e300 * 1e300);
    text = jv_dump_string(jv_copy(v), 0);
    ok(bc_jv_print(&out, v) == 0
       && memcmp(out.data, jv_string_value(text), out.len) == 0 && out.altered,
       "an infinite number is the largest");
    jv_free(text);
    free(out.data);

    return unit_done();
}
