
/*
 * Copyright (C) the blockcast authors
 *
 * JSON to CBOR: libcbor's own loader makes the tree out of it that the text
 * describes, and the bound on its length holds.
 */

#include <math.h>

#include <cbor.h>

#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "fuzz.h"


/* the decimal digits of a big-endian number, plus one when asked for */

static char *
decimal(const uint8_t *p, size_t len, unsigned plus)
{
    char      *text, *digit;
    size_t     i;
    unsigned   carry;
    uint8_t   *n;

    n = fuzz_copy(p, len);
    text = calloc(1, 3 * len + 3);
    must(text != NULL);

    for (i = len; i-- != 0; /* void */ ) {
        plus += n[i];
        n[i] = (uint8_t) plus;
        plus >>= 8;
    }

    digit = text + 3 * len + 2;

    do {
        carry = plus;

        for (i = 0; i < len; i++) {
            carry = carry << 8 | n[i];
            n[i] = (uint8_t) (carry / 10);

            if (i == 0) {
                plus = carry / 10 >> 8;
            }

            carry %= 10;
        }

        *--digit = (char) ('0' + carry);

        for (i = 0; i < len && n[i] == 0; i++) { /* void */ }

    } while (i < len || plus != 0);

    memmove(text, digit, strlen(digit) + 1);
    free(n);

    return text;
}


/* an integer of any size as text, in memory of malloc() */

static char *
integer(cbor_item_t *item, int *negative)
{
    char         *digits;
    uint8_t       bytes[8];
    uint64_t      n;
    unsigned      i;
    cbor_item_t  *big;

    if (cbor_typeof(item) == CBOR_TYPE_TAG) {
        *negative = (cbor_tag_value(item) == 3);
        must(*negative || cbor_tag_value(item) == 2);

        big = cbor_tag_item(item);
        must(cbor_isa_bytestring(big));
        digits = decimal(cbor_bytestring_handle(big),
                         cbor_bytestring_length(big), (unsigned) *negative);
        cbor_decref(&big);

        return digits;
    }

    *negative = cbor_isa_negint(item);
    must(*negative || cbor_isa_uint(item));
    n = cbor_get_int(item);

    for (i = 0; i < 8; i++) {
        bytes[i] = (uint8_t) (n >> (56 - 8 * i));
    }

    return decimal(bytes, 8, (unsigned) *negative);
}


/* the same value as a decimal fraction, to all of its digits */

static void
same_decimal(cbor_item_t *item, bc_span_t value)
{
    int           minus, negative;
    char         *exp, *mantissa, *text;
    size_t        n, m;
    uint8_t      *a, *b;
    bc_span_t     span;
    cbor_item_t  *pair;

    pair = cbor_tag_item(item);
    must(cbor_isa_array(pair) && cbor_array_size(pair) == 2);

    exp = integer(cbor_array_handle(pair)[0], &minus);
    mantissa = integer(cbor_array_handle(pair)[1], &negative);

    text = malloc(strlen(exp) + strlen(mantissa) + 8);
    must(text != NULL);
    sprintf(text, "%s%se%s%s", negative ? "-" : "", mantissa, minus ? "-" : "",
            exp);

    span.data = (uint8_t *) text;
    span.len = strlen(text);

    a = malloc(BC_JSON_KEY_BOUND(span.len));
    b = malloc(BC_JSON_KEY_BOUND(value.len));
    must(a != NULL && b != NULL);

    n = bc_json_key(span, a);
    m = bc_json_key(value, b);
    must(n == m && memcmp(a, b, n) == 0);

    free(a);
    free(b);
    free(text);
    free(exp);
    free(mantissa);
    cbor_decref(&pair);
}


static void
same_number(cbor_item_t *item, bc_span_t value)
{
    char      *text, *digits;
    double     d;
    uint8_t    bytes[8];
    uint64_t   n;
    unsigned   i, negative, whole;

    text = calloc(1, value.len + 1);
    must(text != NULL);
    memcpy(text, value.data, value.len);

    negative = (text[0] == '-');
    whole = (strpbrk(text, ".eE") == NULL && strcmp(text, "-0") != 0);

    if (cbor_typeof(item) == CBOR_TYPE_TAG && cbor_tag_value(item) == 4) {
        d = strtod(text, NULL);
        must(d == 0 || !isfinite(d) || whole);
        same_decimal(item, value);
        free(text);
        return;
    }

    if (!whole) {
        must(cbor_isa_float_ctrl(item) && cbor_is_float(item));
        d = strtod(text, NULL);
        must(cbor_float_get_float(item) == d
             && signbit(cbor_float_get_float(item)) == signbit(d));

        /* the shortest form that has the value */

        must(cbor_float_get_width(item) != CBOR_FLOAT_64 || d != (float) d);

        free(text);
        return;
    }

    if (cbor_typeof(item) == CBOR_TYPE_TAG) {
        cbor_item_t  *big;

        must(cbor_tag_value(item) == (negative ? 3 : 2));
        big = cbor_tag_item(item);
        must(cbor_isa_bytestring(big) && cbor_bytestring_length(big) > 8
             && cbor_bytestring_handle(big)[0] != 0);
        digits = decimal(cbor_bytestring_handle(big),
                         cbor_bytestring_length(big), negative);
        cbor_decref(&big);

    } else {
        must(negative ? cbor_isa_negint(item) : cbor_isa_uint(item));
        n = cbor_get_int(item);

        /* the shortest form */

        switch (cbor_int_get_width(item)) {

        case CBOR_INT_16:
            must(n > UINT8_MAX);
            break;

        case CBOR_INT_32:
            must(n > UINT16_MAX);
            break;

        case CBOR_INT_64:
            must(n > UINT32_MAX);
            break;

        default:
            break;
        }

        for (i = 0; i < 8; i++) {
            bytes[i] = (uint8_t) (n >> (56 - 8 * i));
        }

        digits = decimal(bytes, 8, negative);
    }

    must(strcmp(digits, text + negative) == 0);

    free(digits);
    free(text);
}


static void
same_string(cbor_item_t *item, bc_span_t quoted)
{
    size_t    n;
    uint8_t  *buf;

    must(cbor_isa_string(item) && cbor_string_is_definite(item));

    buf = malloc(quoted.len);
    must(buf != NULL && bc_json_string(quoted, buf, quoted.len, &n) == 0);
    must(n == cbor_string_length(item)
         && memcmp(buf, cbor_string_handle(item), n) == 0);
    free(buf);
}


static void
same(cbor_item_t *item, bc_span_t value)
{
    size_t           i;
    bc_span_t        key, part;
    bc_json_iter_t   it;

    switch (value.data[0]) {

    case '{':
        must(cbor_isa_map(item) && cbor_map_is_definite(item));
        bc_json_object(&it, value);

        for (i = 0; bc_json_next(&it, &key, &part); i++) {
            must(i < cbor_map_size(item));
            key.data--;
            key.len += 2;
            same_string(cbor_map_handle(item)[i].key, key);
            same(cbor_map_handle(item)[i].value, part);
        }

        must(i == cbor_map_size(item));
        return;

    case '[':
        must(cbor_isa_array(item) && cbor_array_is_definite(item));
        bc_json_array(&it, value);

        for (i = 0; bc_json_next(&it, &key, &part); i++) {
            must(i < cbor_array_size(item));
            same(cbor_array_handle(item)[i], part);
        }

        must(i == cbor_array_size(item));
        return;

    case '"':
        same_string(item, value);
        return;

    case 't':
    case 'f':
        must(cbor_isa_float_ctrl(item) && cbor_is_bool(item)
             && cbor_get_bool(item) == (value.data[0] == 't'));
        return;

    case 'n':
        must(cbor_isa_float_ctrl(item) && cbor_is_null(item));
        return;

    default:
        same_number(item, value);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                       rc;
    size_t                    n, m, bound;
    uint8_t                  *p, *cbor, *small;
    bc_span_t                 text;
    cbor_item_t              *item;
    bc_cbor_encode_t         *e;
    struct cbor_load_result   result;

    /* libcbor's loader goes as deep as JSON may, but is slow then */

    if (bc_json_check(data, size, 200, NULL) != 0) {
        return 0;
    }

    p = fuzz_copy(data, size);
    text.data = p;
    text.len = size;

    bound = bc_cbor_encode_bound(size);
    cbor = malloc(bound);
    must(cbor != NULL);

    rc = bc_cbor_encode(text, cbor, bound, &n);
    must(rc == 0 || rc == -2);

    if (rc == 0) {
        must(n != 0 && n <= bound);

        /* as much memory as it takes, and a byte less */

        small = malloc(n);
        must(small != NULL);
        must(bc_cbor_encode(text, small, n, &m) == 0 && m == n);
        must(memcmp(small, cbor, n) == 0);
        must(bc_cbor_encode(text, small, n - 1, &m) == -1 && m == 0);

        /* and in pieces */

        e = bc_cbor_encode_begin(text, small, n);
        must(e != NULL);

        do {
            rc = bc_cbor_encode_step(e, 1 + size % 7, &m);
        } while (rc == 1);

        must(rc == 0 && m == n && memcmp(small, cbor, n) == 0);
        bc_cbor_encode_end(e);
        free(small);

        item = cbor_load(cbor, n, &result);
        must(item != NULL && result.read == n);

        while (*text.data <= ' ') {
            text.data++;
            text.len--;
        }

        while (text.data[text.len - 1] <= ' ') {
            text.len--;
        }

        same(item, text);
        cbor_decref(&item);

    } else {
        must(n == 0);
    }

    free(cbor);
    free(p);

    return 0;
}
