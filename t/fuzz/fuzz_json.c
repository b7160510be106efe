
/*
 * Copyright (C) the blockcast authors
 *
 * The JSON scanner: the same judgement as a recursive one written after the
 * grammar in RFC 8259; what is accepted is walked through completely.
 */

#include "bc_json.h"
#include "bc_utf8.h"
#include "fuzz.h"


typedef struct {
    const uint8_t  *p;
    const uint8_t  *last;
} ref_t;


#define next_is(r, c)  ((r)->p < (r)->last && *(r)->p == (c))


static int ref_value(ref_t *r, unsigned depth);


static void
ref_space(ref_t *r)
{
    while (next_is(r, ' ') || next_is(r, '\t') || next_is(r, '\n')
           || next_is(r, '\r'))
    {
        r->p++;
    }
}


static int
ref_string(ref_t *r)
{
    int     i;
    size_t  n;

    if (!next_is(r, '"')) {
        return 0;
    }

    for (r->p++; r->p < r->last; /* void */ ) {

        if (*r->p == '"') {
            r->p++;
            return 1;
        }

        if (*r->p < 0x20) {
            return 0;
        }

        if (*r->p == '\\') {
            r->p++;

            if (r->p == r->last || *r->p == '\0') {
                return 0;
            }

            if (*r->p == 'u') {
                for (i = 1; i <= 4; i++) {
                    if (r->last - r->p <= i
                        || r->p[i] == '\0'
                        || strchr("0123456789abcdefABCDEF", r->p[i]) == NULL)
                    {
                        return 0;
                    }
                }

                r->p += 5;
                continue;
            }

            if (strchr("\"\\/bfnrt", *r->p) == NULL) {
                return 0;
            }

            r->p++;
            continue;
        }

        n = bc_utf8_sequence(r->p, (size_t) (r->last - r->p), NULL);

        if (n == 0) {
            return 0;
        }

        r->p += n;
    }

    return 0;
}


static int
ref_digits(ref_t *r)
{
    int  n;

    for (n = 0; r->p < r->last && *r->p >= '0' && *r->p <= '9'; n++) {
        r->p++;
    }

    return n;
}


static int
ref_number(ref_t *r)
{
    const uint8_t  *start;

    if (next_is(r, '-')) {
        r->p++;
    }

    start = r->p;

    if (ref_digits(r) == 0 || (*start == '0' && r->p - start > 1)) {
        return 0;
    }

    if (next_is(r, '.')) {
        r->p++;

        if (ref_digits(r) == 0) {
            return 0;
        }
    }

    if (next_is(r, 'e') || next_is(r, 'E')) {
        r->p++;

        if (next_is(r, '+') || next_is(r, '-')) {
            r->p++;
        }

        if (ref_digits(r) == 0) {
            return 0;
        }
    }

    return 1;
}


static int
ref_list(ref_t *r, int object, unsigned depth)
{
    uint8_t  close;

    close = object ? '}' : ']';

    r->p++;
    ref_space(r);

    if (next_is(r, close)) {
        r->p++;
        return 1;
    }

    for ( ;; ) {
        ref_space(r);

        if (object) {
            if (!ref_string(r)) {
                return 0;
            }

            ref_space(r);

            if (!next_is(r, ':')) {
                return 0;
            }

            r->p++;
        }

        if (!ref_value(r, depth - 1)) {
            return 0;
        }

        if (next_is(r, close)) {
            r->p++;
            return 1;
        }

        if (!next_is(r, ',')) {
            return 0;
        }

        r->p++;
    }
}


static int
ref_literal(ref_t *r, const char *s)
{
    size_t  n;

    n = strlen(s);

    if ((size_t) (r->last - r->p) < n || memcmp(r->p, s, n) != 0) {
        return 0;
    }

    r->p += n;

    return 1;
}


static int
ref_value(ref_t *r, unsigned depth)
{
    int  good;

    ref_space(r);

    if (next_is(r, '{') || next_is(r, '[')) {
        good = depth != 0 && ref_list(r, *r->p == '{', depth);

    } else if (next_is(r, '"')) {
        good = ref_string(r);

    } else if (next_is(r, 't')) {
        good = ref_literal(r, "true");

    } else if (next_is(r, 'f')) {
        good = ref_literal(r, "false");

    } else if (next_is(r, 'n')) {
        good = ref_literal(r, "null");

    } else {
        good = ref_number(r);
    }

    ref_space(r);

    return good;
}


/* each part of good text is good itself, and nothing is left between */

static void
walk(bc_span_t value, unsigned depth, unsigned budget)
{
    size_t           n, m;
    uint8_t         *buf, *again, *end;
    uint32_t         utf8;
    bc_span_t        key, part;
    bc_json_iter_t   it;
    const uint8_t   *before;

    must(value.len != 0 && value.data[0] > ' '
         && value.data[value.len - 1] > ' ');
    must(bc_json_check(value.data, value.len, depth, NULL) == 0);

    if (value.data[0] == '"') {
        buf = malloc(value.len);
        again = malloc(value.len * 6 + 2);
        must(buf != NULL && again != NULL);

        must(bc_json_string(value, buf, value.len, &n) == 0);
        must(n <= value.len - 2);

        utf8 = BC_UTF8_START;
        must(bc_utf8_feed(&utf8, buf, n) == 0 && bc_utf8_done(utf8));

        /* there and back */

        must(bc_json_escape_len(buf, n) <= value.len * 6);
        again[0] = '"';
        end = bc_json_escape(again + 1, buf, n);
        must((size_t) (end - again) == 1 + bc_json_escape_len(buf, n));
        *end++ = '"';

        part.data = again;
        part.len = (size_t) (end - again);

        must(bc_json_check(part.data, part.len, 0, NULL) == 0);

        if (n != 0) {
            uint8_t  *back;

            back = malloc(n);
            must(back != NULL);
            must(bc_json_string(part, back, n, &m) == 0);
            must(m == n && memcmp(back, buf, n) == 0);

            must(bc_json_string(part, back, n - 1, &m) == -2);
            must(m < n && memcmp(back, buf, m) == 0);
            free(back);
        }

        free(buf);
        free(again);
        return;
    }

    must(bc_json_string(value, NULL, 0, &n) == -1);

    if (bc_json_object(&it, value) != 0 && bc_json_array(&it, value) != 0) {
        must(value.data[0] != '{' && value.data[0] != '[');
        return;
    }

    before = value.data;

    while (bc_json_next(&it, &key, &part)) {

        must((key.data != NULL) == (value.data[0] == '{'));
        must(part.data > before
             && part.data + part.len < value.data + value.len);

        if (key.data != NULL) {
            must(key.data > before && key.data + key.len < part.data);
            must(key.data[-1] == '"' && key.data[key.len] == '"');
        }

        before = part.data + part.len - 1;

        if (budget != 0) {
            walk(part, depth - 1, budget - 1);
        }
    }

    bc_json_member(value, "a", &part);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          rc;
    ref_t        r;
    fuzz_t       f;
    size_t       off;
    uint8_t     *p, *end;
    unsigned     depth;
    bc_span_t    text;
    const char  *why;

    f.p = data;
    f.len = size;
    depth = fuzz_byte(&f) % 100;

    p = fuzz_copy(f.p, f.len);
    off = SIZE_MAX;
    why = NULL;

    rc = bc_json_check_why(p, f.len, depth, &off, &why);

    r.p = p;
    r.last = p + f.len;

    must((rc == 0) == (ref_value(&r, depth) && r.p == r.last));

    if (rc != 0) {
        must(off <= f.len && why != NULL);

        /* what was before the bad byte is not at fault */

        if (off < f.len && strcmp(why, "unexpected byte") == 0) {
            uint8_t  *cut;
            size_t    again;

            cut = fuzz_copy(p, off);
            rc = bc_json_check(cut, off, depth, &again);
            must(rc == 0 || again == off);
            free(cut);
        }

    } else {
        text.data = p;
        text.len = f.len;

        while (text.data[0] <= ' ') {
            text.data++;
            text.len--;
        }

        while (text.data[text.len - 1] <= ' ') {
            text.len--;
        }

        walk(text, depth, 20);
    }

    /* arbitrary bytes become a good string */

    off = bc_json_escape_len(p, f.len);
    end = malloc(off + 2);
    must(end != NULL);
    end[0] = '"';
    must(bc_json_escape(end + 1, p, f.len) == end + 1 + off);
    end[off + 1] = '"';
    must(bc_json_check(end, off + 2, 0, NULL) == 0);

    free(end);
    free(p);

    return 0;
}
