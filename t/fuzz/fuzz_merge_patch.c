
/*
 * Copyright (C) the blockcast authors
 *
 * Merge patches: two objects, U+001E between them.  There is a patch exactly
 * when a simple recursive look at both says that there can be one, and
 * applied to the one it makes the other.
 */

#include "bc_json.h"
#include "bc_merge_patch.h"
#include "fuzz.h"
#include "../unit/merge_apply.h"


typedef struct {
    bc_span_t  key;            /* decoded */
    bc_span_t  value;
} ref_member_t;

typedef struct {
    size_t         n;
    int            odd;        /* a key twice or with a lone surrogate */
    ref_member_t  *member;
} ref_object_t;


static int
ref_lone(bc_span_t raw)
{
    size_t    i;
    char      hex[5];
    unsigned  c, before;

    hex[4] = '\0';
    before = 0;

    for (i = 0; i < raw.len; i++) {

        c = 0;

        if (raw.data[i] == '\\') {
            i++;

            if (raw.data[i] == 'u') {
                memcpy(hex, raw.data + i + 1, 4);
                c = (unsigned) strtoul(hex, NULL, 16);
                i += 4;
            }
        }

        if ((before >= 0xd800 && before <= 0xdbff)
            != (c >= 0xdc00 && c <= 0xdfff))
        {
            return 1;
        }

        before = c;
    }

    return before >= 0xd800 && before <= 0xdbff;
}


static ref_object_t
ref_open(bc_span_t value)
{
    size_t          i;
    uint8_t        *buf;
    bc_span_t       key, part;
    ref_object_t    o;
    bc_json_iter_t  it;

    memset(&o, 0, sizeof(o));
    must(bc_json_object(&it, value) == 0);

    while (bc_json_next(&it, &key, &part)) {
        o.member = realloc(o.member, (o.n + 1) * sizeof(ref_member_t));
        must(o.member != NULL);

        o.odd |= ref_lone(key);

        key.data--;
        key.len += 2;
        buf = malloc(key.len);
        must(buf != NULL);
        must(bc_json_string(key, buf, key.len, &o.member[o.n].key.len) == 0);
        o.member[o.n].key.data = buf;
        o.member[o.n].value = part;

        for (i = 0; i < o.n; i++) {
            o.odd |= (o.member[i].key.len == o.member[o.n].key.len
                      && memcmp(o.member[i].key.data, buf,
                                o.member[i].key.len) == 0);
        }

        o.n++;
    }

    return o;
}


static void
ref_close(ref_object_t o)
{
    while (o.n != 0) {
        free((void *) o.member[--o.n].key.data);
    }

    free(o.member);
}


/* the last one with that key */

static ref_member_t *
ref_find(ref_object_t o, bc_span_t key)
{
    size_t  i;

    for (i = o.n; i-- != 0; /* void */ ) {
        if (o.member[i].key.len == key.len
            && memcmp(o.member[i].key.data, key.data, key.len) == 0)
        {
            /* the members are on the heap, o is a copy of where they are */
            /* cppcheck-suppress returnDanglingLifetime */
            return &o.member[i];
        }
    }

    return NULL;
}


static int
ref_bytes(bc_span_t a, bc_span_t b)
{
    return a.len == b.len && memcmp(a.data, b.data, a.len) == 0;
}


/*
 * Are they the same?  As the patch sees it: what is nested deeper than
 * `depth`, and objects with odd keys, only when their bytes are; without
 * `strict`, as a client sees it.
 */

static int
ref_same(bc_span_t a, bc_span_t b, unsigned depth, int strict)
{
    int              same;
    size_t           i;
    bc_span_t        key, one, two;
    ref_member_t    *m;
    ref_object_t     x, y;
    bc_json_iter_t   p, q;

    if (ref_bytes(a, b)) {
        return 1;
    }

    if (a.data[0] != b.data[0] || (strict && depth == 0)) {
        return 0;
    }

    if (a.data[0] == '[') {
        bc_json_array(&p, a);
        bc_json_array(&q, b);

        for ( ;; ) {
            same = bc_json_next(&p, &key, &one);

            if (bc_json_next(&q, &key, &two) != same) {
                return 0;
            }

            if (!same) {
                return 1;
            }

            if (!ref_same(one, two, depth - 1, strict)) {
                return 0;
            }
        }
    }

    if (a.data[0] != '{') {
        return 0;
    }

    x = ref_open(a);
    y = ref_open(b);

    same = !strict || (!x.odd && !y.odd && x.n == y.n);

    for (i = 0; same && i < x.n; i++) {
        m = ref_find(y, x.member[i].key);
        same = (m != NULL && ref_same(ref_find(x, x.member[i].key)->value,
                                      m->value, depth - 1, strict));
    }

    for (i = 0; same && i < y.n; i++) {
        same = (ref_find(x, y.member[i].key) != NULL);
    }

    ref_close(x);
    ref_close(y);

    return same;
}


static int
ref_has_null(bc_span_t value)
{
    bc_span_t        key, part;
    bc_json_iter_t   it;

    if (value.data[0] == 'n') {
        return 1;
    }

    if (bc_json_object(&it, value) == 0) {
        while (bc_json_next(&it, &key, &part)) {
            if (ref_has_null(part)) {
                return 1;
            }
        }
    }

    return 0;
}


/* can there be a patch for two objects? */

static int
ref_possible(bc_span_t from, bc_span_t to, unsigned depth)
{
    int            good;
    size_t         i;
    bc_span_t      value;
    ref_member_t  *m;
    ref_object_t   x, y;

    if (ref_bytes(from, to)) {
        return 1;
    }

    if (depth == 0) {
        return 0;
    }

    x = ref_open(from);
    y = ref_open(to);

    good = !x.odd && !y.odd;

    for (i = 0; good && i < y.n; i++) {
        m = ref_find(x, y.member[i].key);
        value = y.member[i].value;

        if (m != NULL && m->value.data[0] == '{' && value.data[0] == '{') {
            good = ref_possible(m->value, value, depth - 1);

        } else if (m == NULL || !ref_same(m->value, value, depth - 1, 1)) {
            good = !ref_has_null(value);
        }
    }

    ref_close(x);
    ref_close(y);

    return good;
}


static bc_span_t
trim(bc_span_t s)
{
    while (s.data[0] <= ' ') {
        s.data++;
        s.len--;
    }

    while (s.data[s.len - 1] <= ' ') {
        s.len--;
    }

    return s;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int             rc, possible;
    size_t          n, m, bound;
    uint8_t        *one, *two, *buf, *small, *result;
    bc_span_t       from, to, patch, made;
    const uint8_t  *sep;

    sep = (size != 0) ? memchr(data, 0x1e, size) : NULL;

    if (sep == NULL) {
        return 0;
    }

    n = (size_t) (sep - data);
    m = size - n - 1;

    if (bc_json_check(data, n, 100, NULL) != 0
        || bc_json_check(sep + 1, m, 100, NULL) != 0)
    {
        return 0;
    }

    one = fuzz_copy(data, n);
    two = fuzz_copy(sep + 1, m);

    from.data = one;
    from.len = n;
    to.data = two;
    to.len = m;

    /* the most: every member is removed, and all that is there is added */

    bound = 6 * size + 16;
    buf = malloc(bound);
    must(buf != NULL);

    rc = bc_merge_patch_diff(from, to, buf, bound, &n);
    must(rc == 0 || rc == 1);
    must((rc == 0) == (n == 0));

    from = trim(from);
    to = trim(to);

    possible = from.data[0] == '{' && to.data[0] == '{'
               && ref_possible(from, to, BC_JSON_PATCH_DEPTH);

    must(rc == possible);

    if (rc == 1) {
        must(bc_json_check(buf, n, 100, NULL) == 0);

        /* as much memory as it takes, and a byte less */

        small = malloc(n);
        must(small != NULL);
        must(bc_merge_patch_diff(from, to, small, n, &m) == 1 && m == n);
        must(memcmp(small, buf, n) == 0);
        must(bc_merge_patch_diff(from, to, small, n - 1, &m) == 0 && m == 0);
        free(small);

        patch.data = buf;
        patch.len = n;

        result = malloc(from.len + to.len + n);
        must(result != NULL);
        must(merge_apply(from, patch, result, from.len + to.len + n,
                                 &made.len)
             == 1);
        made.data = result;

        must(bc_json_check(result, made.len, 100, NULL) == 0);
        must(ref_same(made, to, 0, 0));

        if (n == 2) {
            must(ref_same(from, to, 0, 0));
        }

        free(result);
    }

    /* any patch for anything gives JSON */

    result = malloc(from.len + to.len + 2);
    must(result != NULL);

    if (merge_apply(from, to, result, from.len + to.len + 2, &n) == 1)
    {
        must(bc_json_check(result, n, 200, NULL) == 0);

    } else {
        must(0);
    }

    free(result);
    free(buf);
    free(one);
    free(two);

    return 0;
}
