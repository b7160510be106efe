
/*
 * Copyright (C) the blockcast authors
 *
 * JSON scalars as keys: a canonical text for each value.
 */

#include <stdio.h>
#include <string.h>

#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_json_scan.h"


/* the most trailing zeros of an integer that are written; more become e… */

#define BC_JSON_KEY_ZEROS   20

/* the most digits of an exponent that is evaluated */

#define BC_JSON_KEY_DIGITS  18


int
bc_json_key_plain(bc_span_t value)
{
    size_t          digits;
    const uint8_t  *p, *last;

    if (value.len == 0) {
        return 1;
    }

    p = value.data;
    last = p + value.len;

    if (*p == '"') {
        return memchr(p, '\\', value.len) == NULL;
    }

    if (*p == '-') {
        p++;

        if (p == last || *p == '0') {
            return 0;
        }
    }

    if (p < last && !bc_json_is_digit(*p)) {
        /* a literal, or not a scalar */
        return 1;
    }

    for (digits = 0; p < last && bc_json_is_digit(*p); p++) {
        digits++;
    }

    return p == last && digits <= BC_JSON_KEY_ZEROS;
}


/* Writes a string in canonical form, which is never longer. */

static size_t
bc_json_key_string(bc_span_t value, uint8_t *dst)
{
    size_t          n;
    uint8_t        *start, c[4];
    int32_t         unit, low;
    bc_span_t       escape;
    const uint8_t  *p, *last;

    start = dst;
    p = value.data;
    last = p + value.len;

    /* the quotes are copied like the rest */

    while (p < last) {

        if (*p != '\\' || last - p < 2) {
            *dst++ = *p++;
            continue;
        }

        unit = bc_json_unit(p, last);

        if (unit >= 0xd800 && unit < 0xe000) {

            low = bc_json_unit(p + 6, last);

            if (unit >= 0xdc00 || low < 0xdc00 || low >= 0xe000) {
                dst += sprintf((char *) dst, "\\u%04x", (unsigned) unit);
                p += 6;
                continue;
            }

            unit = 0x10000 + ((unit - 0xd800) << 10) + (low - 0xdc00);

            *dst++ = (uint8_t) (0xf0 | unit >> 18);
            *dst++ = (uint8_t) (0x80 | (unit >> 12 & 0x3f));
            *dst++ = (uint8_t) (0x80 | (unit >> 6 & 0x3f));
            *dst++ = (uint8_t) (0x80 | (unit & 0x3f));
            p += 12;
            continue;
        }

        if (unit >= 0x800) {
            *dst++ = (uint8_t) (0xe0 | unit >> 12);
            *dst++ = (uint8_t) (0x80 | (unit >> 6 & 0x3f));
            *dst++ = (uint8_t) (0x80 | (unit & 0x3f));
            p += 6;
            continue;
        }

        if (unit >= 0x80) {
            *dst++ = (uint8_t) (0xc0 | unit >> 6);
            *dst++ = (uint8_t) (0x80 | (unit & 0x3f));
            p += 6;
            continue;
        }

        if (unit >= 0) {
            c[0] = (uint8_t) unit;
            p += 6;

        } else {
            switch (p[1]) {

            case 'b':
                c[0] = '\b';
                break;

            case 'f':
                c[0] = '\f';
                break;

            case 'n':
                c[0] = '\n';
                break;

            case 'r':
                c[0] = '\r';
                break;

            case 't':
                c[0] = '\t';
                break;

            default:
                c[0] = p[1];

                if (c[0] < 0x20) {
                    /* cannot happen in checked text */
                    *dst++ = *p++;
                    *dst++ = *p++;
                    continue;
                }
            }

            p += 2;
        }

        /* escape only what JSON cannot contain otherwise */

        if (c[0] == '"' || c[0] == '\\') {
            *dst++ = '\\';
            *dst++ = c[0];

        } else if (c[0] < 0x20) {
            escape.data = c;
            escape.len = 1;

            n = bc_json_escape_len(escape.data, escape.len);
            (void) bc_json_escape(dst, escape.data, escape.len);
            dst += n;

        } else {
            *dst++ = c[0];
        }
    }

    return (size_t) (dst - start);
}


/*
 * Writes a number in canonical form: its digits without leading and trailing
 * zeros, then up to BC_JSON_KEY_ZEROS zeros, or an exponent.
 */

static size_t
bc_json_key_number(bc_span_t value, uint8_t *dst)
{
    int             negative, minus;
    size_t          n;
    long long       exp;
    const uint8_t  *p, *first, *end, *last, *point;
    uint8_t        *start;
    char            text[24];

    start = dst;
    p = value.data;
    last = p + value.len;

    negative = (*p == '-');
    p += negative;

    first = p;
    point = NULL;

    while (p < last && (bc_json_is_digit(*p) || *p == '.')) {
        if (*p == '.') {
            point = p;
        }

        p++;
    }

    end = p;

    if (point == NULL) {
        point = end;
    }

    exp = 0;

    if (p < last) {

        /* an exponent, or unchecked text */

        p++;
        minus = (p < last && *p == '-');

        if (p < last && (*p == '-' || *p == '+')) {
            p++;
        }

        while (p < last && *p == '0') {
            p++;
        }

        if (last - p > BC_JSON_KEY_DIGITS) {
            exp = -1;
        }

        for ( /* void */ ; p < last && exp != -1; p++) {
            if (!bc_json_is_digit(*p)) {
                exp = -1;
                break;
            }

            exp = exp * 10 + (*p - '0');
        }

        if (exp == -1) {
            goto verbatim;
        }

        exp = minus ? -exp : exp;
    }

    while (first < end && (*first == '0' || *first == '.')) {
        first++;
    }

    while (first < end && (end[-1] == '0' || end[-1] == '.')) {
        end--;
    }

    if (first == end) {
        *dst++ = '0';
        return 1;
    }

    if (negative) {
        *dst++ = '-';
    }

    exp += (end <= point) ? point - end : point + 1 - end;

    for (p = first; p < end; p++) {
        if (*p != '.') {
            *dst++ = *p;
        }
    }

    if (exp >= 0 && exp <= BC_JSON_KEY_ZEROS) {
        memset(dst, '0', (size_t) exp);
        dst += exp;

    } else {
        n = (size_t) snprintf(text, sizeof(text), "e%lld", exp);
        memcpy(dst, text, n);
        dst += n;
    }

    return (size_t) (dst - start);

verbatim:

    memcpy(dst, value.data, value.len);

    return value.len;
}


size_t
bc_json_key(bc_span_t value, uint8_t *dst)
{
    if (bc_json_key_plain(value)) {

        if (value.len != 0) {
            memcpy(dst, value.data, value.len);
        }

        return value.len;
    }

    return (*value.data == '"') ? bc_json_key_string(value, dst)
                                : bc_json_key_number(value, dst);
}
