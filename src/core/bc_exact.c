
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_exact.h"
#include "bc_json_scan.h"


/* 2^53, the first integer that is the same double as its successor */

#define BC_EXACT_FIRST      "9007199254740992"
#define BC_EXACT_FIRST_LEN  (sizeof(BC_EXACT_FIRST) - 1)

/*
 * The key follows the start of the mark and makes marked strings sort like
 * numbers.  For positive numbers it is "1" and the number of digits; for
 * negative ones "0" and 99999999 minus that number, and the nines' complements
 * of the digits follow it.
 */

#define BC_EXACT_LONGEST    99999999
#define BC_EXACT_KEY        9


/* Returns the length of the integer at p if it needs a mark, otherwise 0. */

static size_t
bc_exact_integer(const uint8_t *p, const uint8_t *last, size_t *digits)
{
    size_t          n;
    const uint8_t  *first;

    first = p;

    if (p < last && *p == '-') {
        p++;
    }

    for (n = 0; (size_t) (last - p) > n && bc_json_is_digit(p[n]); n++) {
        /* void */
    }

    if (n < BC_EXACT_FIRST_LEN || n > BC_EXACT_LONGEST || *p == '0'
        || (n == BC_EXACT_FIRST_LEN
            && memcmp(p, BC_EXACT_FIRST, BC_EXACT_FIRST_LEN) < 0))
    {
        return 0;
    }

    *digits = n;

    return (size_t) (p + n - first);
}


/* Skips the escape at p.  *lone tells whether it is a lone surrogate. */

static const uint8_t *
bc_exact_skip_escape(const uint8_t *p, const uint8_t *last, int *lone)
{
    long  c;

    *lone = 0;

    c = bc_json_unit(p, last);

    if (c < 0) {
        return p + (last - p > 1 ? 2 : 1);
    }

    if (c >= 0xd800 && c < 0xe000) {

        if (c < 0xdc00) {
            c = bc_json_unit(p + 6, last);

            if (c >= 0xdc00 && c < 0xe000) {
                return p + 12;
            }
        }

        *lone = 1;
    }

    return p + 6;
}


static uint8_t *
bc_exact_put(const bc_exact_mark_t *mark, uint8_t *dst, const uint8_t *p,
    size_t len, size_t digits)
{
    size_t  i, n;

    n = (*p == '-') ? BC_EXACT_LONGEST - digits : digits;

    *dst++ = '"';

    memcpy(dst, mark->start, BC_EXACT_START);
    dst += BC_EXACT_START;

    *dst = (*p == '-') ? '0' : '1';

    for (i = BC_EXACT_KEY - 1; i > 0; i--) {
        dst[i] = (uint8_t) ('0' + n % 10);
        n /= 10;
    }

    dst += BC_EXACT_KEY;

    if (*p == '-') {
        for (i = 1; i <= digits; i++) {
            *dst++ = (uint8_t) ('0' + '9' - p[i]);
        }
    }

    memcpy(dst, p, len);
    dst += len;

    memcpy(dst, mark->end, BC_EXACT_END);
    dst += BC_EXACT_END;

    *dst++ = '"';

    return dst;
}


/* Counts (dst is NULL) or writes (scan is NULL). */

static uint8_t *
bc_exact_walk(bc_exact_scan_t *scan, const bc_exact_mark_t *mark,
    uint8_t *dst, const uint8_t *p, size_t len)
{
    int             lone;
    size_t          n, digits, depth;
    const uint8_t  *last, *from, *token;

    if (len == 0) {
        /* p may be NULL */
        return dst;
    }

    last = p + len;
    from = p;
    depth = 0;

    while (p < last) {

        switch (*p) {

        case '"':

            p++;

            for ( ;; ) {
                p = bc_json_skip_checked(p, last);

                if (p == last) {
                    break;
                }

                if (*p == '"') {
                    p++;
                    break;
                }

                token = p;
                p = bc_exact_skip_escape(p, last, &lone);

                if (!lone) {
                    continue;
                }

                if (scan != NULL) {
                    scan->lone++;

                } else {
                    memcpy(dst, from, (size_t) (token - from));
                    dst += token - from;
                    memcpy(dst, "\\ufffd", 6);
                    dst += 6;
                    from = p;
                }
            }

            break;

        case '-':
        case '0': case '1': case '2': case '3': case '4':
        case '5': case '6': case '7': case '8': case '9':

            token = p++;

            while (p < last
                   && (bc_json_is_digit(*p) || *p == '.' || *p == 'e'
                       || *p == 'E' || *p == '+' || *p == '-'))
            {
                p++;
            }

            if ((size_t) (p - token) < BC_EXACT_FIRST_LEN) {
                break;
            }

            n = bc_exact_integer(token, p, &digits);

            if (n == 0 || n != (size_t) (p - token)) {
                break;
            }

            if (scan != NULL) {
                scan->integers++;
                scan->grow += BC_EXACT_START + BC_EXACT_KEY + BC_EXACT_END + 2
                              + (*token == '-' ? digits : 0);

            } else if (mark != NULL) {
                memcpy(dst, from, (size_t) (token - from));
                dst = bc_exact_put(mark, dst + (token - from), token, n,
                                   digits);
                from = p;
            }

            break;

        case '[':
        case '{':

            depth += (*p++ == '{') ? 2 : 1;

            if (scan != NULL && scan->depth < depth) {
                scan->depth = depth;
            }

            break;

        case ']':
        case '}':

            n = (*p++ == '}') ? 2 : 1;
            depth -= (n < depth) ? n : depth;

            break;

        default:
            p++;
        }
    }

    if (scan == NULL) {
        memcpy(dst, from, (size_t) (last - from));
        dst += last - from;
    }

    return dst;
}


void
bc_exact_scan(bc_exact_scan_t *scan, const uint8_t *p, size_t len)
{
    (void) bc_exact_walk(scan, NULL, NULL, p, len);
}


uint8_t *
bc_exact_write(const bc_exact_mark_t *mark, uint8_t *dst, const uint8_t *p,
    size_t len)
{
    return bc_exact_walk(NULL, mark, dst, p, len);
}


static void
bc_exact_utf8(uint8_t *p, uint32_t c)
{
    p[0] = (uint8_t) (0xf0 | c >> 18);
    p[1] = (uint8_t) (0x80 | (c >> 12 & 0x3f));
    p[2] = (uint8_t) (0x80 | (c >> 6 & 0x3f));
    p[3] = (uint8_t) (0x80 | (c & 0x3f));
}


void
bc_exact_mark(bc_exact_mark_t *mark, const uint8_t *random)
{
    int       i, k;
    uint32_t  c[5];

    for (i = 0; i < 5; i++) {
        c[i] = (uint32_t) random[4 * i] | (uint32_t) random[4 * i + 1] << 8
               | (uint32_t) random[4 * i + 2] << 16;

        c[i] = 0xf0000 + (c[i] & 0x1ffff);

        /* all five differ, and none is a noncharacter */

        for (k = 0; k < i; /* void */ ) {

            if (c[k] == c[i]) {
                c[i] = 0xf0000 + ((c[i] + 1) & 0x1ffff);
                k = 0;
                continue;
            }

            k++;
        }

        if ((c[i] & 0xfffe) == 0xfffe) {
            c[i] = 0xf0000 + ((uint32_t) i << 8) + random[4 * i + 3];

            for (k = 0; k < i; k++) {
                if (c[k] == c[i]) {
                    c[i] = 0xf8000 + (uint32_t) i;
                    k = -1;
                }
            }
        }

        bc_exact_utf8(i < 4 ? mark->start + 4 * i : mark->end, c[i]);
    }

    mark->alone = 0;
}


/*
 * Returns which character of the mark is at p: 0 to 3, 4 for its end, or -1.
 */

static int
bc_exact_which(const bc_exact_mark_t *mark, const uint8_t *p,
    const uint8_t *last)
{
    int  i;

    if (last - p < 4) {
        return -1;
    }

    for (i = 0; i < 4; i++) {
        if (memcmp(p, mark->start + 4 * i, 4) == 0) {
            return i;
        }
    }

    return memcmp(p, mark->end, 4) == 0 ? 4 : -1;
}


int
bc_exact_occurs(const bc_exact_mark_t *mark, const uint8_t *p, size_t len)
{
    int             found, i, next;
    long            high, low;
    uint8_t         c[4];
    const uint8_t  *last;

    if (len == 0) {
        return 0;
    }

    last = p + len;
    found = 0;
    next = 0;

    while (p < last) {

        if (*p < 0xf3 && *p != '\\') {
            next = 0;
            p++;
            continue;
        }

        i = -1;

        if (*p != '\\') {
            i = bc_exact_which(mark, p, last);
            p += (i != -1) ? 4 : 1;

        } else {
            high = bc_json_unit(p, last);

            if (high < 0) {
                p += (last - p > 1) ? 2 : 1;

            } else {
                p += 6;

                if (high >= 0xdb80 && high < 0xdc00) {
                    low = bc_json_unit(p, last);

                    if (low >= 0xdc00 && low < 0xe000) {
                        bc_exact_utf8(c, 0x10000
                                         + (((uint32_t) high - 0xd800) << 10)
                                         + ((uint32_t) low - 0xdc00));
                        i = bc_exact_which(mark, c, c + 4);
                        p += 6;
                    }
                }
            }
        }

        if (i == -1) {
            next = 0;
            continue;
        }

        found = 1;
        next = (i == next) ? next + 1 : (i == 0);

        if (next == 4) {
            return 2;
        }
    }

    return found;
}


/*
 * Reads a complete marked integer at p, as written by bc_exact_put(); *number
 * is set to the integer with its sign.  Returns the position after it, or
 * NULL.
 */

static const uint8_t *
bc_exact_get(const bc_exact_mark_t *mark, const uint8_t *p,
    const uint8_t *last, bc_span_t *number)
{
    size_t          i, n, len, digits;
    const uint8_t  *key;

    if ((size_t) (last - p) < BC_EXACT_START + BC_EXACT_KEY
        || memcmp(p, mark->start, BC_EXACT_START) != 0)
    {
        return NULL;
    }

    key = p + BC_EXACT_START;
    p = key + BC_EXACT_KEY;

    n = 0;

    for (i = 1; i < BC_EXACT_KEY; i++) {
        if (!bc_json_is_digit(key[i])) {
            return NULL;
        }

        n = n * 10 + (size_t) (key[i] - '0');
    }

    if (*key == '0') {
        n = BC_EXACT_LONGEST - n;

        if ((size_t) (last - p) <= n || p[n] != '-') {
            return NULL;
        }

        len = bc_exact_integer(p + n, last, &digits);

        if (len == 0 || digits != n) {
            return NULL;
        }

        for (i = 0; i < n; i++) {
            if (p[i] != '0' + '9' - p[n + 1 + i]) {
                return NULL;
            }
        }

        p += n;

    } else {
        len = bc_exact_integer(p, last, &digits);

        if (*key != '1' || len == 0 || digits != n || *p == '-') {
            return NULL;
        }
    }

    number->data = p;
    number->len = len;

    p += len;

    if (last - p < BC_EXACT_END || memcmp(p, mark->end, BC_EXACT_END) != 0) {
        return NULL;
    }

    return p + BC_EXACT_END;
}


/*
 * Returns the length of the quote that ends at dst, including the backslashes
 * before it, if the same bytes are at p and no colon follows; otherwise 0.
 */

static size_t
bc_exact_quoted(const uint8_t *base, const uint8_t *dst, const uint8_t *p,
    const uint8_t *last)
{
    size_t  n;

    if (dst == base || dst[-1] != '"') {
        return 0;
    }

    for (n = 1; (size_t) (dst - base) > n && dst[-1 - (long) n] == '\\'; n++) {
        /* void */
    }

    if ((size_t) (last - p) < n || memcmp(dst - n, p, n) != 0
        || ((size_t) (last - p) > n && p[n] == ':'))
    {
        return 0;
    }

    return n;
}


/*
 * Cleans an error message of libjq that quotes the beginning of a marked
 * string: "string" becomes "number", and the rest of the mark is dropped.
 * Returns the position after it in the text, or p when there is no such quote.
 */

static const uint8_t *
bc_exact_unquote(const bc_exact_mark_t *mark, uint8_t *base, uint8_t **dst,
    const uint8_t *p, const uint8_t *last)
{
    uint8_t  *d;

    static const char  type[] = "string (";

    d = *dst;

    if (d == base || d[-1] != '"') {
        return p;
    }

    do {
        d--;
    } while (d > base && d[-1] == '\\');

    if ((size_t) (d - base) < sizeof(type) - 1
        || memcmp(d - (sizeof(type) - 1), type, sizeof(type) - 1) != 0)
    {
        return p;
    }

    while (last - p >= 3) {

        if (bc_exact_which(mark, p, last) != -1) {
            p += 4;

        } else if (memcmp(p, "\xef\xbf\xbd", 3) == 0) {
            p += 3;

        } else {
            break;
        }
    }

    memcpy(d - (sizeof(type) - 1), "number (", 8);

    *dst = d;

    return p;
}


size_t
bc_exact_unmark(const bc_exact_mark_t *mark, uint8_t *base, size_t len)
{
    size_t          quote;
    uint8_t        *dst;
    bc_span_t       number;
    const uint8_t  *p, *last, *end;

    p = base;
    dst = base;
    last = base + len;

    while (p < last) {

        if (*p < 0xf3 || bc_exact_which(mark, p, last) == -1) {
            *dst++ = *p++;
            continue;
        }

        end = bc_exact_get(mark, p, last, &number);

        if (end != NULL) {
            quote = bc_exact_quoted(base, dst, end, last);
            dst -= quote;
            memmove(dst, number.data, number.len);
            dst += number.len;
            p = end + quote;
            continue;
        }

        if (mark->alone) {
            end = bc_exact_unquote(mark, base, &dst, p, last);
            p = (end == p) ? p + 4 : end;
            continue;
        }

        memmove(dst, p, 4);
        dst += 4;
        p += 4;
    }

    return (size_t) (dst - base);
}
