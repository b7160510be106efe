
/*
 * Copyright (C) the blockcast authors
 *
 * JSON to CBOR in one pass over the text.  A container's head is written when
 * its end is reached, once its items are counted.  One byte is reserved for
 * it, which is enough for 23 items; for a longer head the contents are moved.
 */

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cbor.h>

#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "bc_json_scan.h"


/*
 * The nearest double depends on at most 767 digits, and on whether anything
 * but zeros follows them.
 */

#define BC_CBOR_FLOAT_DIGITS  780

/* 10^1024 has 3402 bits */

#define BC_CBOR_LIMBS         107


typedef struct {
    uint8_t  *head;
    size_t    items;           /* keys and values both count */
    int       map;
} bc_cbor_open_t;


/* a JSON number: digits .. int_end, then a fraction, then an exponent */

typedef struct {
    int             negative;
    int             exp_negative;
    const uint8_t  *digits;
    const uint8_t  *int_end;   /* of the digits before the point */
    const uint8_t  *end;       /* of the digits after the point */
    const uint8_t  *exp;       /* digits of the exponent, or NULL */
    const uint8_t  *last;
} bc_cbor_number_t;


typedef struct {
    uint8_t  *pos;
    uint8_t  *last;
} bc_cbor_out_t;


/* the state of the encoder */

struct bc_cbor_encode_s {
    const uint8_t   *pos;
    const uint8_t   *last;
    uint8_t         *dst;
    bc_cbor_out_t    out;
    size_t           depth;
    uint8_t         *head;     /* of the string that is half done, or NULL */
    size_t           head_len;  /* ... reserved for it */
    bc_cbor_open_t   open[BC_JSON_MAX_DEPTH];
};


#define bc_cbor_room(out)  ((size_t) ((out)->last - (out)->pos))


size_t
bc_cbor_encode_bound(size_t json_len)
{
    /*
     * The worst case is a list of numbers like 0.1: with the comma each takes
     * four characters, and nine bytes as a double.  A single value has no
     * comma.
     */

    if (json_len > (SIZE_MAX - 9) / 9 * 4) {
        return SIZE_MAX;
    }

    return json_len / 4 * 9 + json_len % 4 * 3 + 3;
}


/*
 * Advances by the n bytes that a function of libcbor has written.  Returns -1
 * when n is 0: there was no room.
 */

static int
bc_cbor_encode_put(bc_cbor_out_t *out, size_t n)
{
    out->pos += n;

    return n != 0 ? 0 : -1;
}


static size_t
bc_cbor_encode_head_len(size_t n)
{
    if (n < 24) {
        return 1;
    }

    if (n <= 0xff) {
        return 2;
    }

    if (n <= 0xffff) {
        return 3;
    }

    return n <= 0xffffffffu ? 5 : 9;
}


/* one of libcbor's functions for the head of a string, an array or a map */

typedef size_t (*bc_cbor_start_pt)(size_t n, unsigned char *dst, size_t size);


/*
 * Writes the head of n items or bytes to `head`, where one byte was reserved
 * before they were written; they are moved if it needs more.  Returns 0, or -1
 * when there is no room.
 */

static int
bc_cbor_encode_head(bc_cbor_out_t *out, uint8_t *head, size_t n,
           bc_cbor_start_pt start)
{
    size_t  len;

    len = bc_cbor_encode_head_len(n);

    if (len - 1 > bc_cbor_room(out)) {
        return -1;
    }

    if (len != 1) {
        memmove(head + len, head + 1, (size_t) (out->pos - head) - 1);
        out->pos += len - 1;
    }

    return start(n, head, len) == len ? 0 : -1;
}


/* Writes a string; value includes its quotes. */

static int
bc_cbor_encode_string(bc_cbor_out_t *out, bc_span_t value)
{
    size_t    n;
    uint8_t  *head;

    if (value.len < 2 || value.data[value.len - 1] != '"') {
        /* cannot happen in checked text */
        return -2;
    }

    if (memchr(value.data, '\\', value.len) == NULL) {
        n = value.len - 2;

        if (bc_cbor_encode_put(out,
                   cbor_encode_string_start(n, out->pos, bc_cbor_room(out)))
            != 0
            || bc_cbor_room(out) < n)
        {
            return -1;
        }

        memcpy(out->pos, value.data + 1, n);
        out->pos += n;

        return 0;
    }

    if (out->pos == out->last) {
        return -1;
    }

    head = out->pos++;

    if (bc_json_string(value, out->pos, bc_cbor_room(out), &n) != 0) {
        return -1;
    }

    out->pos += n;

    return bc_cbor_encode_head(out, head, n, cbor_encode_string_start);
}


/*
 * Writes a string whose end is beyond `until`, or the next part of it: the
 * characters that begin before `until`.  *pos is behind the opening quote at
 * first, and behind the closing one at the end.  The bytes written move when
 * their count needs a longer head, at most 64K of them.  Returns 0 at the end
 * of the string; 1 when there is more; otherwise as bc_cbor_encode() does.
 */

static int
bc_cbor_encode_part(bc_cbor_encode_t *e, bc_cbor_out_t *out,
    const uint8_t **pos, const uint8_t *until)
{
    int             rc;
    size_t          n, len;
    uint8_t         c[4];
    const uint8_t  *p, *plain;

    if (e->head == NULL) {

        if (out->pos == out->last) {
            return -1;
        }

        e->head = out->pos++;
        e->head_len = 1;
    }

    rc = 1;
    p = *pos;

    while (p < until) {

        plain = p;
        p = bc_json_skip_checked(p, until);
        n = (size_t) (p - plain);

        if (n > bc_cbor_room(out)) {
            return -1;
        }

        memcpy(out->pos, plain, n);
        out->pos += n;

        if (p == until) {
            break;
        }

        if (*p == '"') {
            p++;
            rc = 0;
            break;
        }

        n = bc_json_char(&p, e->last, c);

        if (n > bc_cbor_room(out)) {
            return -1;
        }

        memcpy(out->pos, c, n);
        out->pos += n;
    }

    *pos = p;

    if (rc == 1 && p == e->last) {
        /* cannot happen in checked text */
        return -2;
    }

    n = (size_t) (out->pos - e->head) - e->head_len;
    len = bc_cbor_encode_head_len(n);

    if (len > e->head_len) {

        if (len - e->head_len > bc_cbor_room(out)) {
            return -1;
        }

        memmove(e->head + len, e->head + e->head_len, n);
        out->pos += len - e->head_len;
        e->head_len = len;
    }

    if (rc == 0) {
        rc = (cbor_encode_string_start(n, e->head, len) == len) ? 0 : -1;
        e->head = NULL;
    }

    return rc;
}


/*
 * Writes an integer of n digits, from 1 to BC_CBOR_MAX_DIGITS, which may be
 * too large for 64 bits; a decimal point among the digits is skipped.
 */

static int
bc_cbor_encode_integer(bc_cbor_out_t *out, const uint8_t *p, size_t n,
    int negative)
{
    size_t    i, len, limbs;
    uint8_t   bytes[BC_CBOR_LIMBS * 4];
    uint32_t  limb[BC_CBOR_LIMBS], scale, part;
    uint64_t  carry, v;

    limbs = 0;

    while (n != 0) {

        /* nine digits at a time */

        scale = 1;
        part = 0;

        for ( /* void */ ; n != 0 && scale != 1000000000; p++) {
            if (*p != '.') {
                part = part * 10 + (uint32_t) (*p - '0');
                scale *= 10;
                n--;
            }
        }

        carry = part;

        for (i = 0; i < limbs; i++) {
            carry += (uint64_t) limb[i] * scale;
            limb[i] = (uint32_t) carry;
            carry >>= 32;
        }

        if (carry != 0) {
            limb[limbs++] = (uint32_t) carry;
        }
    }

    if (limbs == 0) {
        negative = 0;
    }

    /* a negative integer -n is encoded as n - 1; n is not 0 here */

    if (negative) {
        for (i = 0; limb[i]-- == 0; i++) { /* void */ }
    }

    for (i = 0; i < limbs; i++) {
        v = limb[limbs - 1 - i];
        bytes[4 * i] = (uint8_t) (v >> 24);
        bytes[4 * i + 1] = (uint8_t) (v >> 16);
        bytes[4 * i + 2] = (uint8_t) (v >> 8);
        bytes[4 * i + 3] = (uint8_t) v;
    }

    len = limbs * 4;

    for (i = 0; i < len && bytes[i] == 0; i++) { /* void */ }

    len -= i;

    if (len <= 8) {
        for (v = 0; len != 0; len--, i++) {
            v = v << 8 | bytes[i];
        }

        return bc_cbor_encode_put(out, negative
                                     ? cbor_encode_negint(v, out->pos,
                                                          bc_cbor_room(out))
                                     : cbor_encode_uint(v, out->pos,
                                                        bc_cbor_room(out)));
    }

    if (bc_cbor_encode_put(out, cbor_encode_tag(negative ? 3 : 2, out->pos,
                                                bc_cbor_room(out)))
        != 0
        || bc_cbor_encode_put(out,
               cbor_encode_bytestring_start(len, out->pos, bc_cbor_room(out)))
           != 0
        || bc_cbor_room(out) < len)
    {
        return -1;
    }

    memcpy(out->pos, bytes + i, len);
    out->pos += len;

    return 0;
}


/* Returns the bits of a half float equal to f, or -1 when there is none. */

static int32_t
bc_cbor_encode_half(float f)
{
    int       exp;
    uint32_t  u, m, sign;

    memcpy(&u, &f, 4);

    sign = u >> 16 & 0x8000;
    exp = (int) (u >> 23 & 0xff) - 127;
    m = u & 0x7fffff;

    if (exp == -127 && m == 0) {
        return (int32_t) sign;
    }

    if (exp >= -14 && exp <= 15 && (m & 0x1fff) == 0) {
        return (int32_t) (sign | (uint32_t) (exp + 15) << 10 | m >> 13);
    }

    /* subnormal: a multiple of 2^-24 */

    if (exp >= -24 && exp < -14) {
        m |= 0x800000;

        if ((m & ((1u << (-1 - exp)) - 1)) == 0) {
            return (int32_t) (sign | m >> (-1 - exp));
        }
    }

    return -1;
}


static int
bc_cbor_encode_double(bc_cbor_out_t *out, double d)
{
    float    f;
    int32_t  half;

    if (fabs(d) <= FLT_MAX) {
        f = (float) d;

        if ((double) f == d) {
            half = bc_cbor_encode_half(f);

            if (half < 0) {
                return bc_cbor_encode_put(out,
                           cbor_encode_single(f, out->pos, bc_cbor_room(out)));
            }

            /*
             * cbor_encode_half() is not used: before libcbor 0.10 it loses
             * bits of subnormal numbers.
             */

            if (bc_cbor_room(out) < 3) {
                return -1;
            }

            *out->pos++ = 0xf9;
            *out->pos++ = (uint8_t) (half >> 8);
            *out->pos++ = (uint8_t) half;

            return 0;
        }
    }

    return bc_cbor_encode_put(out, cbor_encode_double(d, out->pos,
                                                      bc_cbor_room(out)));
}


/*
 * Splits a number into its parts.  Returns 0, or -1 when it is not a number,
 * which cannot happen in checked text.
 */

static int
bc_cbor_encode_scan(bc_cbor_number_t *n, const uint8_t *p, const uint8_t *last)
{
    n->negative = (*p == '-');
    p += n->negative;

    n->digits = p;
    n->exp = NULL;
    n->exp_negative = 0;
    n->last = last;

    while (p < last && bc_json_is_digit(*p)) {
        p++;
    }

    n->int_end = p;

    if (p == n->digits) {
        return -1;
    }

    if (p < last && *p == '.') {
        do {
            p++;
        } while (p < last && bc_json_is_digit(*p));
    }

    n->end = p;

    if (p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '-' || *p == '+')) {
            n->exp_negative = (*p == '-');
            p++;
        }

        n->exp = p;

        while (p < last && bc_json_is_digit(*p)) {
            p++;
        }

        if (p == n->exp) {
            return -1;
        }
    }

    return p == last ? 0 : -1;
}


/*
 * Returns the exponent of a number; one out of range is only known to be
 * beyond BC_CBOR_MAX_EXPONENT.
 */

static long long
bc_cbor_encode_exponent(const bc_cbor_number_t *n)
{
    long long       exp;
    const uint8_t  *p;

    exp = 0;

    if (n->exp != NULL) {
        for (p = n->exp; p < n->last && exp <= BC_CBOR_MAX_EXPONENT; p++) {
            exp = exp * 10 + (*p - '0');
        }
    }

    return n->exp_negative ? -exp : exp;
}


/*
 * Returns the nearest double, or infinity when the number is too large.
 * strtod() gets the digits without a decimal point, because the character that
 * it expects for one depends on the locale.  *zero tells whether all digits
 * are 0.
 */

static double
bc_cbor_encode_strtod(const bc_cbor_number_t *number, int *zero)
{
    int             fraction, rest;
    char            text[BC_CBOR_FLOAT_DIGITS + 32];
    double          d;
    size_t          n;
    long long       scale;
    const uint8_t  *p;

    n = 0;
    rest = 0;
    scale = 0;
    fraction = 0;

    for (p = number->digits; p < number->end; p++) {

        if (*p == '.') {
            fraction = 1;
            continue;
        }

        scale -= fraction;

        if (n < BC_CBOR_FLOAT_DIGITS) {
            if (n != 0 || *p != '0') {
                text[n++] = (char) *p;
            }

        } else {
            scale++;
            rest |= (*p != '0');
        }
    }

    *zero = (n == 0);

    if (n == 0) {
        return number->negative ? -0.0 : 0.0;
    }

    if (rest) {
        text[n++] = '1';
        scale--;
    }

    scale += bc_cbor_encode_exponent(number);

    if (scale > 99999) {
        scale = 99999;
    }

    if (scale < -99999) {
        scale = -99999;
    }

    snprintf(text + n, sizeof(text) - n, "e%d", (int) scale);

    d = strtod(text, NULL);

    return number->negative ? -d : d;
}


/*
 * Writes a number that is out of the range of doubles as a decimal fraction
 * (RFC 8949, 3.4.4): tag 4, [exponent, mantissa].  The mantissa has no leading
 * or trailing zeros.
 */

static int
bc_cbor_encode_decimal(bc_cbor_out_t *out, const bc_cbor_number_t *number)
{
    size_t          n;
    long long       exp;
    const uint8_t  *p, *first, *last;

    exp = bc_cbor_encode_exponent(number);

    if (exp > BC_CBOR_MAX_EXPONENT || exp < -BC_CBOR_MAX_EXPONENT) {
        return -2;
    }

    first = number->digits;
    last = number->end;

    while (first < last && (*first == '0' || *first == '.')) {
        first++;
    }

    while (first < last && (last[-1] == '0' || last[-1] == '.')) {
        last--;
    }

    n = 0;

    for (p = first; p < last; p++) {
        n += (*p != '.');
    }

    if (n > BC_CBOR_MAX_DIGITS) {
        return -2;
    }

    /* add the distance from the last digit to the units digit */

    exp += (last <= number->int_end) ? number->int_end - last
                                     : number->int_end + 1 - last;

    if (bc_cbor_encode_put(out,
               cbor_encode_tag(4, out->pos, bc_cbor_room(out)))
        != 0
        || bc_cbor_encode_put(out,
               cbor_encode_array_start(2, out->pos, bc_cbor_room(out)))
           != 0
        || bc_cbor_encode_put(out,
               (exp < 0) ? cbor_encode_negint((uint64_t) (-1 - exp), out->pos,
                                              bc_cbor_room(out))
                         : cbor_encode_uint((uint64_t) exp, out->pos,
                                            bc_cbor_room(out)))
           != 0)
    {
        return -1;
    }

    return bc_cbor_encode_integer(out, first, n, number->negative);
}


/* Writes a number.  Returns as bc_cbor_encode() does. */

static int
bc_cbor_encode_number(bc_cbor_out_t *out, const uint8_t *p,
    const uint8_t *last)
{
    int                zero;
    double             d;
    size_t             n;
    uint64_t           v;
    bc_cbor_number_t   number;

    if (bc_cbor_encode_scan(&number, p, last) != 0) {
        return -2;
    }

    p = number.digits;

    if (number.int_end == last && !(number.negative && *p == '0')) {

        n = (size_t) (last - p);

        if (n > 19) {
            return n > BC_CBOR_MAX_DIGITS
                   ? bc_cbor_encode_decimal(out, &number)
                   : bc_cbor_encode_integer(out, p, n, number.negative);
        }

        for (v = 0; n != 0; n--) {
            v = v * 10 + (uint64_t) (*p++ - '0');
        }

        return bc_cbor_encode_put(out, number.negative
                                     ? cbor_encode_negint(v - 1, out->pos,
                                                          bc_cbor_room(out))
                                     : cbor_encode_uint(v, out->pos,
                                                        bc_cbor_room(out)));
    }

    d = bc_cbor_encode_strtod(&number, &zero);

    if (!isfinite(d) || (d == 0 && !zero)) {
        return bc_cbor_encode_decimal(out, &number);
    }

    return bc_cbor_encode_double(out, d);
}


/* Returns the end of the string that begins at p. */

static const uint8_t *
bc_cbor_encode_string_end(const uint8_t *p, const uint8_t *last)
{
    p++;

    while (p < last) {
        p = bc_json_skip_plain(p, last);

        if (p == last) {
            break;
        }

        if (*p == '"') {
            return p + 1;
        }

        p += (*p == '\\' && last - p > 1) ? 2 : 1;
    }

    return last;
}


/* Writes true, false or null.  Returns as bc_cbor_encode() does. */

static int
bc_cbor_encode_literal(bc_cbor_out_t *out, const uint8_t **pos,
    const uint8_t *last, const char *literal)
{
    size_t  n;

    n = strlen(literal);

    if ((size_t) (last - *pos) < n || memcmp(*pos, literal, n) != 0) {
        return -2;
    }

    *pos += n;

    return bc_cbor_encode_put(out,
               (*literal == 'n') ? cbor_encode_null(out->pos,
                                                    bc_cbor_room(out))
                                 : cbor_encode_bool(*literal == 't', out->pos,
                                                    bc_cbor_room(out)));
}


static void
bc_cbor_encode_init(bc_cbor_encode_t *e, bc_span_t json, uint8_t *dst,
    size_t size)
{
    e->pos = json.data;
    e->last = json.data + json.len;
    e->dst = dst;
    e->out.pos = dst;
    e->out.last = (size != 0) ? dst + size : dst;
    e->depth = 0;
    e->head = NULL;
}


/*
 * Encodes up to the end; or to the first item at or after `until`, or the
 * first character there of a string.  Returns 1 in the latter cases, otherwise
 * as bc_cbor_encode() does.
 */

static int
bc_cbor_encode_run(bc_cbor_encode_t *e, const uint8_t *until, size_t *len)
{
    int              rc;
    size_t           depth;
    uint8_t         *dst;
    bc_span_t        value;
    bc_cbor_out_t    out;
    bc_cbor_open_t  *o, *open;
    const uint8_t   *p, *last;

    *len = 0;

    p = e->pos;
    last = e->last;
    dst = e->dst;
    out = e->out;
    depth = e->depth;
    open = e->open;

    for ( ;; ) {

        if (e->head != NULL) {
            rc = bc_cbor_encode_part(e, &out, &p, until);

            if (rc == 1) {
                e->pos = p;
                e->out = out;
                e->depth = depth;
            }

            if (rc != 0) {
                return rc;
            }
        }

        while (p < last && (bc_json_is_space(*p) || *p == ',' || *p == ':')) {
            p++;
        }

        if (p == last) {
            break;
        }

        if (p >= until) {
            e->pos = p;
            e->out = out;
            e->depth = depth;
            return 1;
        }

        value.data = p;
        rc = 0;

        if (*p != '}' && *p != ']') {

            if (depth != 0) {
                open[depth - 1].items++;

            } else if (out.pos != dst) {
                /* a second value: cannot happen in checked text */
                return -2;
            }
        }

        switch (*p) {

        case '{':
        case '[':
            if (depth == BC_JSON_MAX_DEPTH) {
                return -2;
            }

            if (out.pos == out.last) {
                return -1;
            }

            o = &open[depth++];
            o->head = out.pos++;
            o->items = 0;
            o->map = (*p == '{');
            p++;
            break;

        case '}':
        case ']':
            if (depth == 0
                || open[depth - 1].map != (*p == '}')
                || (*p == '}' && (open[depth - 1].items & 1)))
            {
                /* cannot happen in checked text */
                return -2;
            }

            o = &open[--depth];

            if (o->map) {
                rc = bc_cbor_encode_head(&out, o->head, o->items / 2,
                                         cbor_encode_map_start);

            } else {
                rc = bc_cbor_encode_head(&out, o->head, o->items,
                                         cbor_encode_array_start);
            }

            p++;
            break;

        case '"':
            p = bc_cbor_encode_string_end(p, until);

            if (p == until && until != last) {

                /* a long string, or the last one of this step */

                p = value.data + 1;
                rc = bc_cbor_encode_part(e, &out, &p, until);

                if (rc == 1) {
                    e->pos = p;
                    e->out = out;
                    e->depth = depth;
                    return 1;
                }

                break;
            }

            value.len = (size_t) (p - value.data);
            rc = bc_cbor_encode_string(&out, value);
            break;

        case 't':
            rc = bc_cbor_encode_literal(&out, &p, last, "true");
            break;

        case 'f':
            rc = bc_cbor_encode_literal(&out, &p, last, "false");
            break;

        case 'n':
            rc = bc_cbor_encode_literal(&out, &p, last, "null");
            break;

        default:
            while (p < last && *p != ',' && *p != '}' && *p != ']'
                   && !bc_json_is_space(*p))
            {
                p++;
            }

            rc = bc_cbor_encode_number(&out, value.data, p);
        }

        if (rc != 0) {
            return rc;
        }
    }

    if (depth != 0 || out.pos == dst) {
        /* cannot happen in checked text */
        return -2;
    }

    *len = (size_t) (out.pos - dst);

    return 0;
}


int
bc_cbor_encode(bc_span_t json, uint8_t *dst, size_t size, size_t *len)
{
    bc_cbor_encode_t  e;

    bc_cbor_encode_init(&e, json, dst, size);

    return bc_cbor_encode_run(&e, e.last, len);
}


bc_cbor_encode_t *
bc_cbor_encode_begin(bc_span_t json, uint8_t *dst, size_t size)
{
    bc_cbor_encode_t  *e;

    e = malloc(sizeof(bc_cbor_encode_t));

    if (e != NULL) {
        bc_cbor_encode_init(e, json, dst, size);
    }

    return e;
}


int
bc_cbor_encode_step(bc_cbor_encode_t *e, size_t piece, size_t *len)
{
    if (piece > (size_t) (e->last - e->pos)) {
        piece = (size_t) (e->last - e->pos);
    }

    return bc_cbor_encode_run(e, e->pos + piece, len);
}


void
bc_cbor_encode_end(bc_cbor_encode_t *e)
{
    free(e);
}
