
/*
 * Copyright (C) the blockcast authors
 *
 * Text of others in a line of the log, the keys of a log's entries, and their
 * hash: what is not one line here forges lines of the log, and a key that is
 * read in another way makes an entry come twice or never.
 */

#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_siphash.h"
#include "bc_text.h"
#include "unit.h"


static void
prints(const char *text, size_t len, const char *expected, const char *name)
{
    size_t    n;
    uint8_t  *p, got[256];

    p = unit_copy(text, len);
    n = bc_text_print(got, sizeof(got), p, len);
    is_mem(got, n, expected, "%s", name);
    free(p);
}


static void
test_print(void)
{
    size_t   n;
    uint8_t  got[8];

    prints("plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", 15,
           "plain \xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80", "what is fine");
    prints("a\0b\n\r\t\x1b\x7f" "c", 9, "a b     c", "C0 and DEL");
    prints("\xc2\x80\xc2\x9f\xc2\xa0", 6,
           "\xef\xbf\xbd\xef\xbf\xbd\xc2\xa0", "C1, and what follows");
    prints("\xe2\x80\xa7\xe2\x80\xa8\xe2\x80\xa9\xe2\x80\xaa", 12,
           "\xe2\x80\xa7  \xe2\x80\xaa", "separators");
    prints("\x9b\xff\xe2\x80" "a\xed\xa0\x80\xf0\x9f", 10,
           "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd" "a\xef\xbf\xbd\xef\xbf\xbd"
           "\xef\xbf\xbd\xef\xbf\xbd", "invalid UTF-8");
    prints("", 0, "", "nothing");

    n = bc_text_print(got, 7, (const uint8_t *) "abcde\xe2\x82\xac", 8);
    is_mem(got, n, "abcde", "cut before a character");
    n = bc_text_print(got, 7, (const uint8_t *) "abcd\xe2\x82\xac", 7);
    is_mem(got, n, "abcd\xe2\x82\xac", "it fits exactly");
    n = bc_text_print(got, 2, (const uint8_t *) "\xff", 1);
    is(n, 0, "no room for U+FFFD");
}


static void
same_key(const char *text, const char *expected)
{
    size_t      n;
    uint8_t    *dst;
    bc_span_t   value;

    value.len = strlen(text);
    value.data = unit_copy(text, value.len);

    dst = malloc(BC_JSON_KEY_BOUND(value.len));

    if (dst == NULL) {
        abort();
    }

    n = bc_json_key(value, dst);
    is_mem(dst, n, expected, "the key of %s", text);

    ok(!bc_json_key_plain(value) || strcmp(text, expected) == 0,
       "it is not taken for another");

    free(dst);
    free((void *) value.data);
}


static void
test_keys(void)
{
    bc_span_t  value;

    value.data = (const uint8_t *) "12345678901234567890";
    value.len = 20;
    is(bc_json_key_plain(value), 1, "a hash or a height needs no second look");
    value.data = (const uint8_t *) "\"0x00ff\"";
    value.len = 8;
    is(bc_json_key_plain(value), 1, "nor does a string");

    same_key("1", "1");
    same_key("1.0", "1");
    same_key("1e0", "1");
    same_key("1E+00", "1");
    same_key("10e-1", "1");
    same_key("0.1e1", "1");
    same_key("0.01e2", "1");
    same_key("-1", "-1");
    same_key("-1.00", "-1");
    same_key("100", "100");
    same_key("1e2", "100");
    same_key("1e20", "100000000000000000000");
    same_key("1e21", "1e21");
    same_key("18446744073709551615", "18446744073709551615");
    same_key("18446744073709551616.0", "18446744073709551616");
    same_key("12345678901234567890.123", "12345678901234567890123e-3");
    same_key("0.5", "5e-1");
    same_key("5e-1", "5e-1");
    same_key("0.50", "5e-1");
    same_key("0", "0");
    same_key("-0", "0");
    same_key("0.0", "0");
    same_key("-0e9999999999", "0");
    same_key("1e400", "1e400");
    same_key("0.1e401", "1e400");
    same_key("1e99999999999999999999", "1e99999999999999999999");
    same_key("true", "true");
    same_key("false", "false");

    same_key("\"A\"", "\"A\"");
    same_key("\"\\u0041\"", "\"A\"");
    same_key("\"1\"", "\"1\"");
    same_key("\"\\/\"", "\"/\"");
    same_key("\"\\u002f\"", "\"/\"");
    same_key("\"\\u0022\\u005C\"", "\"\\\"\\\\\"");
    same_key("\"\\u000A\\u001F\"", "\"\\n\\u001f\"");
    same_key("\"\\u007f\"", "\"\x7f\"");
    same_key("\"\\u00E4\\u20ac\"", "\"\xc3\xa4\xe2\x82\xac\"");
    same_key("\"\\uD83D\\uDE00\"", "\"\xf0\x9f\x98\x80\"");
    same_key("\"\\ud800\"", "\"\\ud800\"");
    same_key("\"\\uD800x\\uDC00\"", "\"\\ud800x\\udc00\"");
    same_key("\"\\uFFFD\"", "\"\xef\xbf\xbd\"");
    same_key("\"\\uDE00\\uD83D\"", "\"\\ude00\\ud83d\"");
}


/* what Python's hash() makes of the bytes 00 01 02 … when its seed is 0 */

static void
test_siphash(void)
{
    size_t           i;
    uint8_t          text[16];
    const uint64_t   key[2] = { 0, 0 }, other[2] = { 0, 1 };

    static const struct {
        size_t    len;
        uint64_t  hash;
    } known[] = {
        { 1, 0x68a914128e01e473u },
        { 7, 0x2f098ab0c751325au },
        { 8, 0xead411e67ebe2eeau },
        { 9, 0x75927f9d95124362u },
        { 15, 0xf30eb725bb91c9eau },
        { 16, 0x8972188433a5c5b7u }
    };

    for (i = 0; i < sizeof(text); i++) {
        text[i] = (uint8_t) i;
    }

    for (i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        ok(bc_siphash(key, text, known[i].len) == known[i].hash,
           "the hash of %zu bytes", known[i].len);
        ok(bc_siphash(other, text, known[i].len) != known[i].hash,
           "another one with another key");
    }
}


int
main(void)
{
    test_print();
    test_keys();
    test_siphash();

    return unit_done();
}
