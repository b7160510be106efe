
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a client of the binary subprotocol gets other values than
 * one of the JSON subprotocol, cannot decode what it gets, or its messages
 * are misunderstood.
 */

#include <math.h>

#include "bc_cbor_decode.h"
#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "unit.h"


typedef struct {
    const char  *hex;
    const char  *json;
} pair_t;


/* RFC 8949, appendix A: those that JSON has, both ways */

static const pair_t  both[] = {
    { "00", "0" },
    { "01", "1" },
    { "0a", "10" },
    { "17", "23" },
    { "1818", "24" },
    { "1819", "25" },
    { "1864", "100" },
    { "1903e8", "1000" },
    { "1a000f4240", "1000000" },
    { "1b000000e8d4a51000", "1000000000000" },
    { "1bffffffffffffffff", "18446744073709551615" },
    { "3bffffffffffffffff", "-18446744073709551616" },
    { "20", "-1" },
    { "29", "-10" },
    { "3863", "-100" },
    { "3903e7", "-1000" },
    { "f98000", "-0" },
    { "fb3ff199999999999a", "1.1" },
    { "f93e00", "1.5" },
    { "fa7f7fffff", "3.4028234663852886e38" },
    { "fb7e37e43c8800759c", "1e300" },
    { "f90001", "5.9604644775390625e-8" },
    { "f90400", "6.103515625e-5" },
    { "fbc010666666666666", "-4.1" },
    { "f4", "false" },
    { "f5", "true" },
    { "f6", "null" },
    { "60", "\"\"" },
    { "6161", "\"a\"" },
    { "6449455446", "\"IETF\"" },
    { "62225c", "\"\\\"\\\\\"" },
    { "62c3bc", "\"\xc3\xbc\"" },
    { "63e6b0b4", "\"\xe6\xb0\xb4\"" },
    { "64f0908591", "\"\xf0\x90\x85\x91\"" },
    { "80", "[]" },
    { "83010203", "[1,2,3]" },
    { "8301820203820405", "[1,[2,3],[4,5]]" },
    { "98190102030405060708090a0b0c0d0e0f101112131415161718181819",
      "[1,2,3,4,5,6,7,8,9,10,11,12,13,14,15,16,17,18,19,20,21,22,23,24,25]" },
    { "a0", "{}" },
    { "a26161016162820203", "{\"a\":1,\"b\":[2,3]}" },
    { "826161a161626163", "[\"a\",{\"b\":\"c\"}]" },
    { "a56161614161626142616361436164614461656145",
      "{\"a\":\"A\",\"b\":\"B\",\"c\":\"C\",\"d\":\"D\",\"e\":\"E\"}" },

    /* the bounds of each length of an integer */
    { "18ff", "255" }, { "190100", "256" }, { "19ffff", "65535" },
    { "1a00010000", "65536" }, { "1affffffff", "4294967295" },
    { "1b0000000100000000", "4294967296" },
    { "37", "-24" }, { "3818", "-25" }, { "38ff", "-256" },
    { "390100", "-257" }, { "39ffff", "-65536" }, { "3a00010000", "-65537" },
    { "3affffffff", "-4294967296" }, { "3b0000000100000000", "-4294967297" },
    { "3b7fffffffffffffff", "-9223372036854775808" },
    { "1b8ac7230489e7ffff", "9999999999999999999" },
    { "1b8ac7230489e80000", "10000000000000000000" },
    { "3b8ac7230489e80000", "-10000000000000000001" },

    /* and of each length of a float */
    { "f93800", "0.5" }, { "f90200", "3.0517578125e-5" },
    { "f903ff", "6.097555160522461e-5" },
    { "f983ff", "-6.097555160522461e-5" },
    { "fa33000000", "2.9802322387695312e-8" },
    { "fa387fa000", "6.0945749282836914e-5" },
    { "fa3f801000", "1.00048828125" }, { "f93c01", "1.0009765625" },
    { "fa00000001", "1.401298464324817e-45" },
    { "fb36a0000000000001", "1.4012984643248174e-45" },
    { "fb0000000000000001", "4.94065645841247e-324" },
    { "fb7fefffffffffffff", "1.7976931348623157e308" },
    { "fb3fb999999999999a", "0.1" },
    { "fb3f1a36e2eb1c432d", "0.0001" }, { "fb3ee4f8b588e368f1", "1e-5" },
    { "fb40934a456d5cfaad", "1234.5678" },
    { "fb432fffffffffffff", "4503599627370495.5" }
};


/* JSON to CBOR alone */

static const pair_t  encode[] = {
    { "c249010000000000000000", "18446744073709551616" },
    { "c349010000000000000000", "-18446744073709551617" },
    { "f97bff", "65504.0" }, { "fa477fe100", "65505.0" },
    { "fa47c35000", "100000.0" }, { "f90000", "0.0" }, { "f98000", "-0.0" },
    { "f90000", "0e5" }, { "f98000", "-0e-5" }, { "f93c00", "1.0" },
    { "f93c00", "1e0" }, { "f93c00", "10E-1" }, { "f93c00", "0.01e+2" },
    { "f9c400", "-4.0" }, { "c48239018f01", "1e-400" },
    { "c48239018f20", "-1e-400" },
    { "f90000", "0e99999999999999999999" },
    { "fb4341c37937e08000", "1e16" },
    { "a1616101", " { \"a\" : 1 } " }, { "820102", "\t[ 1 , 2 ]\r\n" },
    { "83806080", "[ [ ] , \"\" , [ ] ]" }, { "81a0", "[ { } ]" },
    { "a2616101616102", "{\"a\":1,\"a\":2}" },
    { "6161", "\"\\u0061\"" }, { "6100", "\"\\u0000\"" },
    { "68080c0a0d09222f5c", "\"\\b\\f\\n\\r\\t\\\"\\/\\\\\"" },
    { "64f09f9880", "\"\\ud83d\\ude00\"" },
    { "63efbfbd", "\"\\ud83d\"" }, { "64efbfbd61", "\"\\ude00a\"" },

    /* halfway between two doubles, and what comes after decides */
    { "fa5a000000", "9007199254740993.0" },
    { "fb4340000000000001", "9007199254740993.0000000000000000000000001" },
    { "fb0000000000000001", "5e-324" }, { "f90001", "5.960464477539063e-8" }
};


/* CBOR to JSON alone: what is not in its shortest form, and the rest */

static const pair_t  decode[] = {
    { "f90000", "0" }, { "f93c00", "1" }, { "f97bff", "65504" },
    { "fa47c35000", "100000" }, { "f9c400", "-4" },
    { "fb426d1a94a2000000", "1000000000000" },
    { "fb433fffffffffffff", "9007199254740991" },
    { "fbc33fffffffffffff", "-9007199254740991" },
    { "fb4340000000000000", "9.007199254740992e15" },
    { "fb4415af1d78b58c40", "1e20" },
    { "fb3ff0000000000000", "1" }, { "fb8000000000000000", "-0" },
    { "1800", "0" }, { "190017", "23" }, { "1a00000000", "0" },
    { "1b0000000000000000", "0" }, { "3b0000000000000000", "-1" },
    { "7800", "\"\"" }, { "7b000000000000000161", "\"a\"" },
    { "980101", "[1]" }, { "9b000000000000000101", "[1]" },
    { "b800", "{}" }, { "bb0000000000000000", "{}" },
    { "9fff", "[]" }, { "bfff", "{}" }, { "7fff", "\"\"" },
    { "9f018202039f0405ffff", "[1,[2,3],[4,5]]" },
    { "9f01820203820405ff", "[1,[2,3],[4,5]]" },
    { "83018202039f0405ff", "[1,[2,3],[4,5]]" },
    { "83019f0203ff820405", "[1,[2,3],[4,5]]" },
    { "bf61610161629f0203ffff", "{\"a\":1,\"b\":[2,3]}" },
    { "826161bf61626163ff", "[\"a\",{\"b\":\"c\"}]" },
    { "bf6346756ef563416d7421ff", "{\"Fun\":true,\"Amt\":-2}" },
    { "7f657374726561646d696e67ff", "\"streaming\"" },
    { "7f6060ff", "\"\"" },
    { "a17f61616162ff7f6163ff", "{\"ab\":\"c\"}" },
    { "9f9f9f9fffffffff", "[[[[]]]]" },
    { "bf6161bf6162a0ffff", "{\"a\":{\"b\":{}}}" },
    { "a2616101616102", "{\"a\":1,\"a\":2}" },
    { "6100", "\"\\u0000\"" }, { "647f1f0a22", "\"\\u007f\\u001f\\n\\\"\"" },
    { "8480a0809fff", "[[],{},[],[]]" },

    /* a client's messages */
    { "a2647479706569737562736372696265677374726561" "6d738266626c6f636b73"
      "6a76616c696461746f7273",
      "{\"type\":\"subscribe\",\"streams\":[\"blocks\",\"validators\"]}" }
};


static const struct {
    const char  *hex;
    const char  *why;
} bad[] = {
    { "", "is empty" },
    { "18", "ends too early" }, { "19ff", "ends too early" },
    { "1b00000000000000", "ends too early" }, { "61", "ends too early" },
    { "6261", "ends too early" }, { "78ff61", "ends too early" },
    { "7bffffffffffffffff61", "ends too early" },
    { "81", "ends too early" }, { "8201", "ends too early" },
    { "9bffffffffffffffff01", "ends too early" },
    { "bbffffffffffffffff616101", "ends too early" },
    { "a1", "ends too early" }, { "a16161", "ends too early" },
    { "9f", "ends too early" }, { "bf6161", "ends too early" },
    { "7f6161", "ends too early" }, { "f9", "ends too early" },
    { "0000", "bytes after its end" }, { "80ff", "bytes after its end" },
    { "f6f6", "bytes after its end" }, { "616100", "bytes after its end" },
    { "ff", "break" }, { "81ff", "break" }, { "a1ff", "break" },
    { "8201ff", "break" }, { "a16161ff", "break" },
    { "bf6161ff", "key without a value" },
    { "bf61610161" "62ff", "key without a value" },
    { "1c", "does not define" }, { "1f", "does not define" },
    { "3c", "does not define" }, { "3f", "does not define" },
    { "5c", NULL }, { "7e", "does not define" }, { "9c", "does not define" },
    { "be", "does not define" }, { "fc", "does not define" },
    { "df", "does not define" }, { "f0", "does not define" },
    { "f800", NULL }, { "f818", NULL }, { "f8ff", NULL }, { "e0", NULL },
    { "40", "byte string" }, { "4101", "byte string" },
    { "5f4101ff", "byte string" }, { "814101", "byte string" },
    { "c000", "a tag" }, { "c249010000000000000000", "a tag" },
    { "d9d9f700", "a tag" }, { "81c11a514b67b0", "a tag" },
    { "f7", "undefined" }, { "a16161f7", "undefined" },
    { "f97e00", "not finite" }, { "f97c00", "not finite" },
    { "f9fc00", "not finite" }, { "fa7fc00000", "not finite" },
    { "fb7ff0000000000000", "not finite" }, { "81f97e00", "not finite" },
    { "a10102", "not text" }, { "a1f600", "not text" },
    { "a18000", "not text" }, { "a1a000", "not text" },
    { "a19fff00", "not text" }, { "a1f93c0000", "not text" },
    { "a14161" "00", NULL }, { "bf0102ff", "not text" },
    { "61ff", "UTF-8" }, { "61c3", "UTF-8" }, { "63eda080", "UTF-8" },
    { "62c080", "UTF-8" }, { "a161ff00", "UTF-8" },
    { "7f61c361bcff", "UTF-8" },         /* a character in two pieces */
    { "7f00ff", "within a text string" }, { "7ff6ff", "within a text" },
    { "7f7f6161ffff", "within a text string" },
    { "7f4161ff", "byte string" }, { "7f80ff", "within a text string" },
    { "7fa0ff", "within a text" }
};


static size_t
unhex(uint8_t *dst, const char *hex)
{
    unsigned  v;
    size_t    n;

    for (n = 0; hex[2 * n] != '\0'; n++) {
        if (sscanf(hex + 2 * n, "%2x", &v) != 1) {
            abort();
        }

        dst[n] = (uint8_t) v;
    }

    return n;
}


/* In pieces of any size there is the same, byte by byte. */

static void
in_pieces(bc_span_t json, size_t size, int whole, const uint8_t *want,
    size_t want_len)
{
    int                rc;
    size_t             piece, len, steps;
    uint8_t           *buf;
    bc_cbor_encode_t  *e;

    for (piece = 1; piece <= 8; piece += 1 + piece / 2) {
        buf = malloc(size + (size == 0));
        e = bc_cbor_encode_begin(json, buf, size);
        len = 99;
        steps = 0;

        do {
            rc = bc_cbor_encode_step(e, piece, &len);
            steps++;
        } while (rc == 1);

        if (rc != whole || len != want_len
            || (rc == 0 && memcmp(buf, want, len) != 0)
            || steps > json.len / piece + 1)
        {
            printf("# pieces of %zu: %d, %zu bytes, %zu steps\n", piece, rc,
                   len, steps);
            abort();
        }

        bc_cbor_encode_end(e);
        free(buf);
    }
}


/* encodes in memory of exactly that size */

static int
from_json(const char *json, size_t json_len, uint8_t *dst, size_t size,
    size_t *len)
{
    int        rc;
    uint8_t   *text, *buf;
    bc_span_t  span;

    text = unit_copy(json, json_len);
    buf = malloc(size + (size == 0));

    span.data = text;
    span.len = json_len;

    if (bc_json_check(text, json_len, BC_JSON_MAX_DEPTH, NULL) != 0) {
        printf("# %s: no JSON\n", json);
        abort();
    }

    *len = 99;
    rc = bc_cbor_encode(span, buf, size, len);

    if (rc == 0) {
        memcpy(dst, buf, *len);
    }

    in_pieces(span, size, rc, dst, *len);

    free(text);
    free(buf);

    return rc;
}


static int
to_json(const uint8_t *p, size_t n, uint8_t *dst, size_t size, size_t *len,
    const char **why)
{
    int       rc;
    uint8_t  *in, *buf;

    in = unit_copy(p, n);
    buf = malloc(size + (size == 0));

    *len = 99;
    rc = bc_cbor_decode(in, n, buf, size, len, why);

    if (rc == 0) {
        memcpy(dst, buf, *len);
    }

    free(in);
    free(buf);

    return rc;
}


static void
encodes(const char *json, const char *hex)
{
    int      rc;
    size_t   n, len, i;
    uint8_t  expected[512], got[4096];

    n = unhex(expected, hex);

    rc = from_json(json, strlen(json), got, bc_cbor_encode_bound(strlen(json)), &len);

    if (!ok(rc == 0 && len == n && memcmp(got, expected, n) == 0,
            "%s is %s", json, hex))
    {
        printf("#   got %d ", rc);

        for (i = 0; rc == 0 && i < len; i++) {
            printf("%02x", got[i]);
        }

        printf("\n");
        return;
    }

    rc = from_json(json, strlen(json), got, n, &len);
    ok(rc == 0 && len == n, "it fits exactly");

    for (i = 0; i < n; i++) {
        if (from_json(json, strlen(json), got, i, &len) != -1 || len != 0) {
            break;
        }
    }

    is(i, n, "and in no less");
}


static void
decodes(const char *hex, const char *json)
{
    int          rc;
    size_t       n, len, i;
    uint8_t      in[512], got[4096];
    const char  *why;

    n = unhex(in, hex);
    why = "";

    rc = to_json(in, n, got, BC_CBOR_JSON_BOUND(n), &len, &why);

    if (rc != 0) {
        ok(0, "%s is %s", hex, json);
        printf("#   %s\n", why);
        return;
    }

    is_mem(got, len, json, "%s is %s", hex, json);
    is(bc_json_check(got, len, BC_CBOR_MAX_DEPTH, NULL), 0, "it is JSON");

    rc = to_json(in, n, got, len, &len, NULL);
    is(rc, 0, "it fits exactly");

    for (i = 0; i < strlen(json); i++) {
        if (to_json(in, n, got, i, &len, &why) != -1 || len != 0
            || strcmp(why, "is too long as JSON") != 0)
        {
            break;
        }
    }

    is(i, strlen(json), "and in no less");

    /* nothing that is cut off is taken for a message */

    for (i = 0; i < n; i++) {
        if (to_json(in, i, got, sizeof(got), &len, &why) != -1
            || strcmp(why, i == 0 ? "is empty" : "ends too early") != 0)
        {
            break;
        }
    }

    is(i, n, "and it is nothing when cut");
}


static void
test_tables(void)
{
    int          rc;
    size_t       i, n, len;
    uint8_t      in[512], got[512];
    const char  *why;

    for (i = 0; i < sizeof(both) / sizeof(both[0]); i++) {
        encodes(both[i].json, both[i].hex);
        decodes(both[i].hex, both[i].json);
    }

    for (i = 0; i < sizeof(encode) / sizeof(encode[0]); i++) {
        encodes(encode[i].json, encode[i].hex);
    }

    for (i = 0; i < sizeof(decode) / sizeof(decode[0]); i++) {
        decodes(decode[i].hex, decode[i].json);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        n = unhex(in, bad[i].hex);
        why = "";
        rc = to_json(in, n, got, sizeof(got), &len, &why);

        if (!ok(rc == -1 && len == 0 && why != NULL && *why != '\0'
                && (bad[i].why == NULL || strstr(why, bad[i].why) != NULL),
                "%s: %s", bad[i].hex, bad[i].why ? bad[i].why : "refused"))
        {
            printf("#   got %d, \"%s\"\n", rc, why);
        }

        is(to_json(in, n, got, sizeof(got), &len, NULL), -1,
           "without asking why");
    }
}


/* 2^256 - 1 is what a chain's amounts can be */

static void
test_bignums(void)
{
    size_t   n, len;
    uint8_t  got[512];
    char     digits[BC_CBOR_MAX_DIGITS + 2];

    encodes("115792089237316195423570985008687907853269984665640564039457"
            "584007913129639935",
            "c25820ffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffff");
    encodes("115792089237316195423570985008687907853269984665640564039457"
            "584007913129639936",
            "c25821010000000000000000000000000000000000000000000000000000"
            "000000000000");
    encodes("-11579208923731619542357098500868790785326998466564056403945"
            "7584007913129639936",
            "c35820ffffffffffffffffffffffffffffffffffffffffffffffffffffff"
            "ffffffffff");
    encodes("100000000000000000000", "c249056bc75e2d63100000");
    encodes("-100000000000000000000", "c349056bc75e2d630fffff");

    n = BC_CBOR_MAX_DIGITS;
    memset(digits, '9', n);
    is(from_json(digits, n, got, sizeof(got), &len), 0, "1024 digits");
    is(got[0], 0xc2, "are a bignum");
    ok(got[1] == 0x59 && got[2] == 426 >> 8 && got[3] == (426 & 0xff)
       && len == 430, "of 3402 bits");
    is(got[4], 0x03, "without leading zeros");

    memset(digits, '9', n + 1);
    is(from_json(digits, n + 1, got, sizeof(got), &len), -2, "1025 digits");
    is(len, 0, "have no length");

    digits[0] = '-';
    is(from_json(digits, n + 1, got, sizeof(got), &len), 0,
       "1024 and a sign");
}


/* beyond the doubles: [exponent, mantissa], as Python's cbor2 has Decimal */

static void
test_decimals(void)
{
    size_t   n, len;
    uint8_t  got[512];
    char     text[2 * BC_CBOR_MAX_DIGITS];

    encodes("1e400", "c48219019001");
    encodes("[-1.5e400,1]", "82c48219018f2e01");
    encodes("1E+0000400", "c48219019001");
    encodes("1e-400", "c48239018f01");
    encodes("-0.00120e-400", "c4823901932b");
    encodes("1797693134862315708145274237317e400",
            "c482190190c24d16b0a8e891fffeb030333cb185");
    encodes("123.456e999999999999990", "c4821b00038d7ea4c67ff31a0001e240");
    encodes("1.7976931348623159e308", "c4821901241b003fddec7f2faf37");
    encodes("2e-324", "c48239014302");

    /* what the nearest double is not 0 for, and what is 0, stays a float */

    encodes("3e-324", "fb0000000000000001");
    encodes("0e999999999999999999999999", "f90000");
    encodes("-0.0e-999999999999999999999999", "f98000");

    /* an integer of too many digits, most of which are zeros */

    memset(text, '0', sizeof(text));
    text[0] = '-';
    text[1] = '7';
    text[1500] = '\0';
    is(from_json(text, 1500, got, sizeof(got), &len), 0, "7 and 1498 zeros");
    is_mem(got, len, "\xc4\x82\x19\x05\xda\x26", "as a decimal");

    n = BC_CBOR_MAX_DIGITS;
    memset(text, '3', sizeof(text));
    memcpy(text + n, "e400", 5);
    is(from_json(text, n + 4, got, sizeof(got), &len), 0, "1024 digits");
    text[n] = '3';
    memcpy(text + n + 1, "e400", 5);
    is(from_json(text, n + 5, got, sizeof(got), &len), -2, "1025 digits");

    is(from_json("[-1e99999999999999999999]", 25, got, sizeof(got), &len), -2,
       "an exponent that no decoder takes");
    is(from_json("[1e-1000000000000000]", 21, got, sizeof(got), &len), -2,
       "nor this one");
    is(len, 0, "have no length");
}


/* bytes that were never checked: no more is read, and an answer comes */

static void
test_unchecked(void)
{
    int          rc;
    size_t       i, len;
    uint8_t      got[128];
    bc_span_t    span;
    const char  *text[] = {
        "t", "tru", "[tru", "[f", "[nul", "[n]", "-", "[-", "1e", "1e+", "1.e",
        "\"", "\"a", "\"a\\", "{\"", "{\"a\":", "{\"a\"}",
        "[1}", "{1]", "[", "{", "]", "1 2", "[1", ",", ":", "", " ", "x",
        "nan", "inf", "0x1p3", "[1]2"
    };

    for (i = 0; i < sizeof(text) / sizeof(text[0]); i++) {
        span.len = strlen(text[i]);
        span.data = unit_copy(text[i], span.len);
        rc = bc_cbor_encode(span, got, sizeof(got), &len);
        ok(rc == -2 && len == 0, "%s is refused", text[i]);
        free((void *) span.data);
    }
}


/* all 2^16 half floats: the finite ones come back as the same two bytes */

static void
test_halves(void)
{
    size_t    n, len;
    unsigned  i, wrong, finite;
    uint8_t   in[3], text[64], back[16];

    wrong = 0;
    finite = 0;

    for (i = 0; i < 0x10000; i++) {
        in[0] = 0xf9;
        in[1] = (uint8_t) (i >> 8);
        in[2] = (uint8_t) i;

        if (bc_cbor_decode(in, 3, text, BC_CBOR_JSON_BOUND(3), &n, NULL)
            != 0)
        {
            wrong += ((i & 0x7c00) != 0x7c00);
            continue;
        }

        finite++;

        if (memchr(text, '.', n) == NULL && memchr(text, 'e', n) == NULL
            && !(n == 2 && text[0] == '-' && text[1] == '0'))
        {
            /* whole: an integer in JSON */
            text[n++] = '.';
            text[n++] = '0';
        }

        if (from_json((char *) text, n, back, sizeof(back), &len) != 0
            || len != 3 || memcmp(back, in, 3) != 0)
        {
            wrong++;
        }
    }

    is(finite, 2 * 31 * 1024, "the finite half floats");
    is(wrong, 0, "each of them comes back as it was");
}


/* random doubles: the bits survive both ways, the shortest form is used */

static void
test_doubles(void)
{
    int       i, rc;
    float     f;
    double    d, e;
    size_t    n, len;
    uint8_t   in[9], text[80], back[16];
    uint64_t  u, v;
    unsigned  wrong;

    wrong = 0;

    for (i = 0; i < 200000; i++) {
        u = unit_random();

        if (i % 3 == 0) {
            u &= 0xffffffffe0000000u;           /* a single, mostly */
        }

        if (i % 3 == 1) {
            u = (u & 0x803fffffffffffffu) | 0x3fc0000000000000u;
        }

        memcpy(&d, &u, 8);

        if (!isfinite(d)) {
            continue;
        }

        in[0] = 0xfb;

        for (n = 0; n < 8; n++) {
            in[1 + n] = (uint8_t) (u >> (56 - 8 * n));
        }

        if (bc_cbor_decode(in, 9, text, 27, &n, NULL) != 0) {
            wrong++;
            continue;
        }

        text[n] = '\0';
        e = strtod((char *) text, NULL);

        if (e != d || bc_json_check(text, n, 0, NULL) != 0) {
            wrong++;
            continue;
        }

        if (memchr(text, '.', n) == NULL && memchr(text, 'e', n) == NULL) {
            continue;
        }

        rc = from_json((char *) text, n, back, sizeof(back), &len);

        if (rc != 0) {
            wrong++;
            continue;
        }

        f = (float) d;

        if (len == 9) {
            wrong += ((double) f == d || memcmp(in, back, 9) != 0);

        } else if (len == 5) {
            v = (uint64_t) back[1] << 24 | (uint64_t) back[2] << 16
                | (uint64_t) back[3] << 8 | back[4];
            memcpy(&f, &(uint32_t) { (uint32_t) v }, 4);
            wrong += (back[0] != 0xfa || (double) f != d);
        }
    }

    is(wrong, 0, "random doubles come back, in the shortest form");
}


/* where a length gets one byte more, with and without escapes */

static void
test_lengths(void)
{
    char     *json, *p;
    size_t    i, k, n, len, head, wrong;
    uint8_t  *got;

    static const size_t  bounds[] = {
        0, 1, 22, 23, 24, 25, 255, 256, 257, 65535, 65536, 65537
    };

    json = malloc(1 << 20);
    got = malloc(1 << 20);
    wrong = 0;

    for (i = 0; i < sizeof(bounds) / sizeof(bounds[0]); i++) {
        n = bounds[i];
        head = n < 24 ? 1 : n < 256 ? 2 : n < 65536 ? 3 : 5;

        /* text */

        json[0] = '"';
        memset(json + 1, 'x', n);
        json[n + 1] = '"';
        wrong += (from_json(json, n + 2, got, n + head, &len) != 0
                  || len != n + head || got[len - 1] != (n ? 'x' : 0x60));
        wrong += (from_json(json, n + 2, got, n + head - 1, &len) != -1);

        /* text whose escapes make the decoded one shorter */

        p = json + 1;

        for (k = 0; k < n; k++) {
            p += sprintf(p, k % 3 == 0 ? "\\u0079" : "\\/");
        }

        *p++ = '"';
        k = (size_t) (p - json);

        wrong += (from_json(json, k, got, n + head, &len) != 0
                  || len != n + head
                  || (n != 0 && got[head] != 'y'));
        wrong += (from_json(json, k, got, n + head - 1, &len) != -1);

        /* a list */

        p = json;
        *p++ = '[';

        for (k = 0; k < n; k++) {
            p += sprintf(p, "%s%d", k ? "," : "", (int) (k % 10));
        }

        *p++ = ']';
        k = (size_t) (p - json);

        wrong += (from_json(json, k, got, n + head, &len) != 0
                  || len != n + head
                  || (n != 0 && got[len - 1] != (n - 1) % 10));
        wrong += (from_json(json, k, got, n + head - 1, &len) != -1);

        /* a map */

        p = json;
        *p++ = '{';

        for (k = 0; k < n; k++) {
            p += sprintf(p, "%s\"%d\":[]", k ? "," : "", (int) (k % 10));
        }

        *p++ = '}';
        k = (size_t) (p - json);

        wrong += (from_json(json, k, got, 3 * n + head, &len) != 0
                  || len != 3 * n + head
                  || (n != 0 && got[len - 1] != 0x80));
        wrong += (from_json(json, k, got, 3 * n + head - 1, &len) != -1);

        if (wrong != 0) {
            break;
        }
    }

    is(wrong, 0, "lengths around 24, 256 and 65536");

    free(json);
    free(got);
}


static void
test_depth(void)
{
    int          i;
    size_t       n, len;
    char         json[2 * BC_JSON_MAX_DEPTH + 1];
    uint8_t      got[BC_JSON_MAX_DEPTH], in[128], text[256];
    const char  *why;

    memset(json, '[', BC_JSON_MAX_DEPTH);
    memset(json + BC_JSON_MAX_DEPTH, ']', BC_JSON_MAX_DEPTH);
    is(from_json(json, 2 * BC_JSON_MAX_DEPTH, got, sizeof(got), &len), 0,
       "what is published may nest as deep as JSON may");
    is(len, BC_JSON_MAX_DEPTH, "one byte for each array");
    ok(got[0] == 0x81 && got[len - 2] == 0x81 && got[len - 1] == 0x80,
       "of one element, but the last");

    for (i = 0; i < 4; i++) {
        static const uint8_t  open[] = { 0x81, 0x9f, 0xa1, 0xbf };

        n = 0;

        for (len = 0; len < BC_CBOR_MAX_DEPTH; len++) {
            in[n++] = open[i];

            if (i >= 2) {
                in[n++] = 0x61;
                in[n++] = 'a';
            }
        }

        in[n++] = 0x00;

        for (len = 0; i % 2 == 1 && len < BC_CBOR_MAX_DEPTH; len++) {
            in[n++] = 0xff;
        }

        is(to_json(in, n, text, sizeof(text), &len, NULL), 0,
           "16 levels of a client's message");

        memmove(in + (i >= 2 ? 3 : 1), in, n);
        n += (i >= 2) ? 3 : 1;
        is(to_json(in, n, text, sizeof(text), &len, &why), -1, "not 17");
        is_str(why, "is nested too deeply", "that is why");
    }

    /* the deepest container may be an empty one */

    memset(in, 0x81, 15);
    in[15] = 0x80;
    is(to_json(in, 16, text, sizeof(text), &len, NULL), 0, "16 arrays");
    memset(in, 0x81, 16);
    in[16] = 0x80;
    is(to_json(in, 17, text, sizeof(text), &len, NULL), -1, "not 17 arrays");
}


static void
test_bounds(void)
{
    size_t   n, len, wrong;
    char     json[1024], *p;
    uint8_t  got[4096];

    /* the worst there is: many short numbers that need a double */

    p = json;
    *p++ = '[';
    wrong = 0;

    for (n = 0; n < 200; n++) {
        p += sprintf(p, "%s0.1", n ? "," : "");
        *p = ']';

        if (from_json(json, (size_t) (p + 1 - json), got,
                      bc_cbor_encode_bound((size_t) (p + 1 - json)), &len) != 0)
        {
            wrong++;
        }
    }

    is(wrong, 0, "the bound holds for short numbers");
    is(from_json("0.1", 3, got, bc_cbor_encode_bound(3), &len), 0, "and for one");
    ok(bc_cbor_encode_bound(SIZE_MAX) == SIZE_MAX && bc_cbor_encode_bound(1000) < 2300,
       "it is not more than it has to be");

    /* whatever the digits after the 780th, they count */

    memset(json, '0', sizeof(json));
    memcpy(json, "9007199254740993.", 17);
    is(from_json(json, 1000, got, 9, &len), 0, "a thousand digits");
    ok(len == 5 && got[1] == 0x5a, "halfway: to even");
    json[999] = '1';
    is(from_json(json, 1000, got, 9, &len), 0, "the last of them is not 0");
    is(got[8], 0x01, "more than halfway: up");
}


/*
 * A long string in pieces, which may end in the middle of an escape or a
 * character: as at once, whatever the length of its head.
 */

static void
test_long_strings(void)
{
    int               rc;
    size_t            i, j, n, len, got_len, steps, piece;
    uint8_t          *json, *want, *got;
    bc_span_t         span;
    bc_cbor_encode_t *e;

    static const char    part[] = "a \\u00e9\\n\\ud83d\\ude00 \xc3\xa9\\ud800\\\\\\\"";
    static const size_t  lengths[] = { 0, 22, 23, 24, 255, 256, 65535, 65536,
                                       300000 };
    static const size_t  pieces[] = { 1, 7, 300, 16384, 70000 };

    for (i = 0; i < 2 * sizeof(lengths) / sizeof(lengths[0]); i++) {
        n = lengths[i / 2];

        json = malloc(n * sizeof(part) + 16);
        len = 0;
        json[len++] = '[';
        json[len++] = '"';

        /* with escapes, and without any */

        if (i % 2) {
            for (j = 0; j < n; j += 12) {
                memcpy(json + len, part, sizeof(part) - 1);
                len += sizeof(part) - 1;
            }

        } else {
            memset(json + len, 'x', n);
            len += n;
        }

        memcpy(json + len, "\",7]", 4);
        len += 4;

        span.data = json;
        span.len = len;

        ok(bc_json_check(json, len, BC_JSON_MAX_DEPTH, NULL) == 0, "JSON");

        want = malloc(bc_cbor_encode_bound(len));
        is(bc_cbor_encode(span, want, bc_cbor_encode_bound(len), &n), 0,
           "at once");

        for (j = 0; j < sizeof(pieces) / sizeof(pieces[0]); j++) {
            piece = pieces[j];

            got = malloc(n);
            e = bc_cbor_encode_begin(span, got, n);

            for (steps = 1; ; steps++) {
                rc = bc_cbor_encode_step(e, piece, &got_len);

                if (rc != 1) {
                    break;
                }
            }

            bc_cbor_encode_end(e);

            ok(rc == 0 && got_len == n && memcmp(got, want, n) == 0,
               "%zu bytes in pieces of %zu", len, piece);
            ok(steps <= len / piece + 1
               && steps >= len / (piece + 12),
               "in as many steps as there are pieces: %zu", steps);

            /* without room for the last byte */

            e = bc_cbor_encode_begin(span, got, n - 1);

            do {
                rc = bc_cbor_encode_step(e, piece, &got_len);
            } while (rc == 1);

            bc_cbor_encode_end(e);
            is(rc, -1, "it does not fit in less");
            free(got);
        }

        free(want);
        free(json);
    }
}


int
main(void)
{
    test_tables();
    test_bignums();
    test_decimals();
    test_unchecked();
    test_halves();
    test_doubles();
    test_lengths();
    test_depth();
    test_bounds();
    test_long_strings();

    return unit_done();
}
