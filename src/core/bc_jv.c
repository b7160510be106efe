
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_jv.h"
#include "bc_json_scan.h"
#include "bc_utf8.h"

#include <math.h>
#include <stdlib.h>


/* a double holds every integer of this many digits */
#define BC_JV_DIGITS    15

/*
 * integers below this are printed as plain digits by any libjq; below LARGEST
 * by newer ones
 */
#define BC_JV_SURE      1e6
#define BC_JV_LARGEST   1e15

/* 2^53, see bc_exact.h */
#define BC_JV_EXACT     9007199254740992.0

/* strings with escapes up to this length are decoded on the stack (bytes) */
#define BC_JV_UNESCAPE  1024


typedef struct {
    const uint8_t  *p;
    const uint8_t  *last;
    int             depth;
} bc_jv_reader_t;


static jv bc_jv_value(bc_jv_reader_t *r);
static int bc_jv_put_value(bc_jv_text_t *text, jv v, int level, int depth);


/* exists since libjq 1.7, where a number may keep its original text */

extern int jv_number_has_literal(jv n) __attribute__((weak));


static uint8_t *
bc_jv_put_utf8(uint8_t *dst, uint32_t c)
{
    if (c < 0x80) {
        *dst++ = (uint8_t) c;

    } else if (c < 0x800) {
        *dst++ = (uint8_t) (0xc0 | c >> 6);
        *dst++ = (uint8_t) (0x80 | (c & 0x3f));

    } else if (c < 0x10000) {
        *dst++ = (uint8_t) (0xe0 | c >> 12);
        *dst++ = (uint8_t) (0x80 | (c >> 6 & 0x3f));
        *dst++ = (uint8_t) (0x80 | (c & 0x3f));

    } else {
        *dst++ = (uint8_t) (0xf0 | c >> 18);
        *dst++ = (uint8_t) (0x80 | (c >> 12 & 0x3f));
        *dst++ = (uint8_t) (0x80 | (c >> 6 & 0x3f));
        *dst++ = (uint8_t) (0x80 | (c & 0x3f));
    }

    return dst;
}


/*
 * Writes a string with its escapes decoded, which never makes it longer.
 * Returns the end of what was written, or NULL for an invalid escape.
 */

static uint8_t *
bc_jv_unescape(uint8_t *dst, const uint8_t *p, const uint8_t *last)
{
    long            c, low;
    const uint8_t  *from;

    while (p < last) {

        for (from = p; p < last && *p != '\\'; p++) {
            /* void */
        }

        memcpy(dst, from, (size_t) (p - from));
        dst += p - from;

        if (p == last) {
            break;
        }

        if (last - p < 2) {
            return NULL;
        }

        p += 2;

        switch (p[-1]) {

        case '"': case '\\': case '/':
            *dst++ = p[-1];
            break;

        case 'b':
            *dst++ = '\b';
            break;

        case 'f':
            *dst++ = '\f';
            break;

        case 'n':
            *dst++ = '\n';
            break;

        case 'r':
            *dst++ = '\r';
            break;

        case 't':
            *dst++ = '\t';
            break;

        case 'u':

            c = bc_json_hex4(p, last);

            if (c < 0) {
                return NULL;
            }

            p += 4;

            if (c >= 0xd800 && c < 0xe000) {

                low = (c < 0xdc00 && last - p >= 6 && p[0] == '\\'
                       && p[1] == 'u')
                      ? bc_json_hex4(p + 2, last) : -1;

                if (low >= 0xdc00 && low < 0xe000) {
                    c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
                    p += 6;

                } else {
                    c = 0xfffd;
                }
            }

            dst = bc_jv_put_utf8(dst, (uint32_t) c);
            break;

        default:
            return NULL;
        }
    }

    return dst;
}


/* Reads a string; r->p is just after its opening quote. */

static jv
bc_jv_string(bc_jv_reader_t *r)
{
    jv              v;
    size_t          len;
    uint8_t        *buf, *end, small[BC_JV_UNESCAPE];
    const uint8_t  *from, *p;

    from = r->p;
    p = bc_json_skip_checked(from, r->last);

    if (p < r->last && *p == '"') {
        r->p = p + 1;
        return jv_string_sized((const char *) from, (int) (p - from));
    }

    while (p < r->last && *p != '"') {
        p = (r->last - p < 2) ? r->last
                              : bc_json_skip_checked(p + 2, r->last);
    }

    if (p == r->last) {
        return jv_invalid();
    }

    r->p = p + 1;
    len = (size_t) (p - from);

    buf = (len > sizeof(small)) ? malloc(len) : small;

    if (buf == NULL) {
        return jv_invalid();
    }

    end = bc_jv_unescape(buf, from, p);

    v = (end != NULL) ? jv_string_sized((const char *) buf, (int) (end - buf))
                      : jv_invalid();

    if (buf != small) {
        free(buf);
    }

    return v;
}


static jv
bc_jv_number(bc_jv_reader_t *r)
{
    jv              v;
    int64_t         n;
    const uint8_t  *from, *digits, *p;

    from = r->p;
    p = from;

    if (*p == '-') {
        p++;
    }

    n = 0;

    for (digits = p; p < r->last && bc_json_is_digit(*p); p++) {
        if (p - digits < BC_JV_DIGITS) {
            n = n * 10 + (*p - '0');
        }
    }

    if (p == r->last
        || (*p != '.' && *p != 'e' && *p != 'E'))
    {
        r->p = p;

        /* "-0" is not the same number as 0, and is left to libjq */

        if (p > digits && p - digits <= BC_JV_DIGITS
            && (n != 0 || digits == from))
        {
            return jv_number((double) (digits == from ? n : -n));
        }

    } else {
        while (p < r->last
               && (bc_json_is_digit(*p) || *p == '.' || *p == 'e'
                   || *p == 'E' || *p == '+' || *p == '-'))
        {
            p++;
        }

        r->p = p;
    }

    v = jv_parse_sized((const char *) from, (int) (p - from));

    if (jv_get_kind(v) != JV_KIND_NUMBER) {
        jv_free(v);
        return jv_invalid();
    }

    return v;
}


static jv
bc_jv_word(bc_jv_reader_t *r, const char *word, size_t len, jv v)
{
    if ((size_t) (r->last - r->p) < len || memcmp(r->p, word, len) != 0) {
        return jv_invalid();
    }

    r->p += len;

    return v;
}


/*
 * Skips the separator after a value and returns it: ',' or the closing
 * bracket; 0 when there is something else.
 */

static int
bc_jv_next(bc_jv_reader_t *r, int close)
{
    r->p = bc_json_skip_space(r->p, r->last);

    if (r->p < r->last && (*r->p == ',' || *r->p == close)) {
        return *r->p++;
    }

    return 0;
}


static jv
bc_jv_array(bc_jv_reader_t *r)
{
    jv   v, item;
    int  c;

    v = jv_array();

    r->p = bc_json_skip_space(r->p, r->last);

    if (r->p < r->last && *r->p == ']') {
        r->p++;
        return v;
    }

    do {
        item = bc_jv_value(r);

        if (!jv_is_valid(item)) {
            jv_free(v);
            return item;
        }

        v = jv_array_append(v, item);
        c = bc_jv_next(r, ']');

    } while (c == ',');

    if (c != ']') {
        jv_free(v);
        return jv_invalid();
    }

    return v;
}


static jv
bc_jv_object(bc_jv_reader_t *r)
{
    jv   v, key, item;
    int  c;

    v = jv_object();

    r->p = bc_json_skip_space(r->p, r->last);

    if (r->p < r->last && *r->p == '}') {
        r->p++;
        return v;
    }

    do {
        r->p = bc_json_skip_space(r->p, r->last);

        if (r->p == r->last || *r->p++ != '"') {
            break;
        }

        key = bc_jv_string(r);
        r->p = bc_json_skip_space(r->p, r->last);

        if (!jv_is_valid(key) || r->p == r->last || *r->p++ != ':') {
            jv_free(key);
            break;
        }

        item = bc_jv_value(r);

        if (!jv_is_valid(item)) {
            jv_free(key);
            jv_free(v);
            return item;
        }

        v = jv_object_set(v, key, item);
        c = bc_jv_next(r, '}');

        if (c == '}') {
            return v;
        }

    } while (c == ',');

    jv_free(v);

    return jv_invalid();
}


static jv
bc_jv_value(bc_jv_reader_t *r)
{
    jv  v;

    r->p = bc_json_skip_space(r->p, r->last);

    if (r->p == r->last) {
        return jv_invalid();
    }

    switch (*r->p) {

    case '"':
        r->p++;
        return bc_jv_string(r);

    case '{':
    case '[':

        if (r->depth == BC_JV_DEPTH) {
            return jv_invalid();
        }

        r->depth++;
        v = (*r->p++ == '{') ? bc_jv_object(r) : bc_jv_array(r);
        r->depth--;

        return v;

    case 't':
        return bc_jv_word(r, "true", 4, jv_true());

    case 'f':
        return bc_jv_word(r, "false", 5, jv_false());

    case 'n':
        return bc_jv_word(r, "null", 4, jv_null());

    case '-':
    case '0': case '1': case '2': case '3': case '4':
    case '5': case '6': case '7': case '8': case '9':
        return bc_jv_number(r);

    default:
        return jv_invalid();
    }
}


jv
bc_jv_parse(const uint8_t *p, size_t len)
{
    jv              v;
    bc_jv_reader_t  r;

    r.p = p;
    r.last = p + len;
    r.depth = 0;

    v = bc_jv_value(&r);

    if (jv_is_valid(v) && bc_json_skip_space(r.p, r.last) != r.last) {
        jv_free(v);
        return jv_invalid();
    }

    return v;
}


/* Returns where n more bytes can be written, or NULL without memory. */

static uint8_t *
bc_jv_room(bc_jv_text_t *text, size_t n)
{
    size_t    size;
    uint8_t  *p;

    if (text->size - text->len < n) {

        size = text->size + n;
        size += size / 2 + 256;

        p = realloc(text->data, size);

        if (p == NULL) {
            return NULL;
        }

        text->data = p;
        text->size = size;
    }

    return text->data + text->len;
}


static int
bc_jv_put(bc_jv_text_t *text, const char *s, size_t len)
{
    uint8_t  *dst;

    dst = bc_jv_room(text, len);

    if (dst == NULL) {
        return -1;
    }

    memcpy(dst, s, len);
    text->len += len;

    return 0;
}


/* Appends a value as printed by libjq; consumes v. */

static int
bc_jv_put_dump(bc_jv_text_t *text, jv v)
{
    int  rc;

    v = jv_dump_string(v, 0);
    rc = bc_jv_put(text, jv_string_value(v),
                   (size_t) jv_string_length_bytes(jv_copy(v)));
    jv_free(v);

    return rc;
}


/* Returns the limit below which libjq prints integers as plain digits. */

static double
bc_jv_largest(void)
{
    jv             v;
    static double  largest;

    if (largest == 0) {

        v = jv_dump_string(jv_number(100000000000000), 0);
        largest = strcmp(jv_string_value(v), "100000000000000") == 0
                  ? BC_JV_LARGEST : BC_JV_SURE;
        jv_free(v);
    }

    return largest;
}


static int
bc_jv_put_number(bc_jv_text_t *text, jv v)
{
    char     digits[BC_JV_DIGITS + 1], *p, *end;
    double   d;
    int64_t  n;

    if (jv_number_has_literal != NULL && jv_number_has_literal(v)) {
        text->altered = 1;
        return bc_jv_put_dump(text, v);
    }

    d = jv_number_value(v);

    if (!(fabs(d) < BC_JV_EXACT)) {
        text->altered = 1;
    }

    if (!(fabs(d) < bc_jv_largest()) || d != floor(d)
        || (d == 0 && signbit(d)))
    {
        return bc_jv_put_dump(text, v);
    }

    jv_free(v);

    n = (int64_t) fabs(d);
    end = digits + sizeof(digits);
    p = end;

    do {
        *--p = (char) ('0' + n % 10);
        n /= 10;
    } while (n != 0);

    if (d < 0) {
        *--p = '-';
    }

    return bc_jv_put(text, p, (size_t) (end - p));
}


/* Returns the next byte that must be escaped; UTF-8 need not be. */

static const uint8_t *
bc_jv_skip_printable(const uint8_t *p, const uint8_t *last)
{
    uint64_t  w, found;

    while (last - p >= 8) {
        memcpy(&w, p, 8);

        found = bc_json_has_less(w, 0x20)
                | bc_json_has_byte(w, '"')
                | bc_json_has_byte(w, '\\')
                | bc_json_has_byte(w, 0x7f);

        if (found != 0) {
            p += bc_json_found_first(found);
            break;
        }

        p += 8;
    }

    while (p < last && *p >= 0x20 && *p != '"' && *p != '\\' && *p != 0x7f) {
        p++;
    }

    return p;
}


/* Appends a string; does not consume v. */

static int
bc_jv_put_string(bc_jv_text_t *text, jv v)
{
    size_t          len;
    uint8_t        *dst;
    uint32_t        state;
    const uint8_t  *p, *from, *last;

    static const char  hex[] = "0123456789abcdef";

    from = (const uint8_t *) jv_string_value(v);
    len = (size_t) jv_string_length_bytes(jv_copy(v));
    last = from + len;

    state = BC_UTF8_START;

    if (bc_utf8_feed(&state, from, len) != 0 || !bc_utf8_done(state)) {
        text->altered = 1;
        return bc_jv_put_dump(text, jv_copy(v));
    }

    if (bc_jv_put(text, "\"", 1) != 0) {
        return -1;
    }

    for ( ;; ) {
        p = bc_jv_skip_printable(from, last);

        /* room for the bytes before it, and an escape or the closing quote */

        dst = bc_jv_room(text, (size_t) (p - from) + 8);

        if (dst == NULL) {
            return -1;
        }

        memcpy(dst, from, (size_t) (p - from));
        dst += p - from;

        if (p == last) {
            *dst++ = '"';
            text->len = (size_t) (dst - text->data);
            return 0;
        }

        *dst++ = '\\';

        switch (*p) {

        case '"': case '\\':
            *dst++ = *p;
            break;

        case '\b':
            *dst++ = 'b';
            break;

        case '\t':
            *dst++ = 't';
            break;

        case '\r':
            *dst++ = 'r';
            break;

        case '\n':
            *dst++ = 'n';
            break;

        case '\f':
            *dst++ = 'f';
            break;

        default:
            memcpy(dst, "u00", 3);
            dst[3] = (uint8_t) hex[*p >> 4];
            dst[4] = (uint8_t) hex[*p & 15];
            dst += 5;
        }

        text->len = (size_t) (dst - text->data);
        from = p + 1;
    }
}


static int
bc_jv_put_array(bc_jv_text_t *text, jv v, int level, int depth)
{
    int  i, n;

    n = jv_array_length(jv_copy(v));

    for (i = 0; i < n; i++) {
        if (bc_jv_put(text, i == 0 ? "[" : ",", 1) != 0
            || bc_jv_put_value(text, jv_array_get(jv_copy(v), i), level, depth)
               != 0)
        {
            return -1;
        }
    }

    return (n != 0) ? bc_jv_put(text, "]", 1) : bc_jv_put(text, "[]", 2);
}


static int
bc_jv_put_object(bc_jv_text_t *text, jv v, int level, int depth)
{
    jv   key;
    int  i, rc, n;

    n = 0;

    for (i = jv_object_iter(v);
         jv_object_iter_valid(v, i);
         i = jv_object_iter_next(v, i))
    {
        key = jv_object_iter_key(v, i);

        rc = bc_jv_put(text, n++ == 0 ? "{" : ",", 1) != 0
             || bc_jv_put_string(text, key) != 0
             || bc_jv_put(text, ":", 1) != 0;

        jv_free(key);

        if (rc
            || bc_jv_put_value(text, jv_object_iter_value(v, i), level, depth)
               != 0)
        {
            return -1;
        }
    }

    return (n != 0) ? bc_jv_put(text, "}", 1) : bc_jv_put(text, "{}", 2);
}


/* Appends a value; consumes v. */

static int
bc_jv_put_value(bc_jv_text_t *text, jv v, int level, int depth)
{
    int  rc;

    if (depth > text->depth) {
        text->depth = depth;
    }

    switch (jv_get_kind(v)) {

    case JV_KIND_NULL:
        rc = bc_jv_put(text, "null", 4);
        break;

    case JV_KIND_FALSE:
        rc = bc_jv_put(text, "false", 5);
        break;

    case JV_KIND_TRUE:
        rc = bc_jv_put(text, "true", 4);
        break;

    case JV_KIND_NUMBER:
        return bc_jv_put_number(text, v);

    case JV_KIND_STRING:
        rc = bc_jv_put_string(text, v);
        break;

    case JV_KIND_ARRAY:
        rc = (level == BC_JV_DEPTH)
             ? -1 : bc_jv_put_array(text, v, level + 1, depth + 1);
        break;

    case JV_KIND_OBJECT:
        rc = (level == BC_JV_DEPTH)
             ? -1 : bc_jv_put_object(text, v, level + 1, depth + 2);
        break;

    default:
        rc = -1;
    }

    jv_free(v);

    return rc;
}


int
bc_jv_print(bc_jv_text_t *text, jv v)
{
    return bc_jv_put_value(text, v, 0, 0);
}
