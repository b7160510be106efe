
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a client that asked for deltas shows other numbers than the
 * node has, and goes on showing them.
 */

#include <time.h>

#include "bc_json.h"
#include "bc_merge_patch.h"
#include "unit.h"
#include "merge_apply.h"


/* the allocator fails from the n-th call on, 0: never */

static size_t  fail_from;
static size_t  allocations;


void *__real_malloc(size_t size);
void *__real_calloc(size_t n, size_t size);
void *__real_realloc(void *p, size_t size);
void __real_free(void *p);

void *__wrap_malloc(size_t size);
void *__wrap_calloc(size_t n, size_t size);
void *__wrap_realloc(void *p, size_t size);
void __wrap_free(void *p);


static int
fails(void)
{
    allocations++;

    return fail_from != 0 && allocations >= fail_from;
}


void *
__wrap_malloc(size_t size)
{
    return fails() ? NULL : __real_malloc(size);
}


void *
__wrap_calloc(size_t n, size_t size)
{
    return fails() ? NULL : __real_calloc(n, size);
}


void *
__wrap_realloc(void *p, size_t size)
{
    return fails() ? NULL : __real_realloc(p, size);
}


void
__wrap_free(void *p)
{
    __real_free(p);
}


/* in memory of exactly that size; the result is in `out` */

static int
diff(const char *from, const char *to, char *out, size_t size)
{
    int        rc;
    size_t     len;
    uint8_t   *buf;
    bc_span_t  a, b;

    a.data = unit_copy(from, strlen(from));
    a.len = strlen(from);
    b.data = unit_copy(to, strlen(to));
    b.len = strlen(to);
    buf = malloc(size + (size == 0));

    if (bc_json_check(a.data, a.len, BC_JSON_MAX_DEPTH, NULL) != 0
        || bc_json_check(b.data, b.len, BC_JSON_MAX_DEPTH, NULL) != 0)
    {
        printf("# no JSON: %s %s\n", from, to);
        abort();
    }

    len = 99;
    rc = bc_merge_patch_diff(a, b, buf, size, &len);

    if (rc == 0 && len != 0) {
        rc = -1;
    }

    memcpy(out, buf, len);
    out[len] = '\0';

    free((void *) a.data);
    free((void *) b.data);
    free(buf);

    return rc;
}


static int
apply(const char *target, const char *patch, char *out, size_t size)
{
    int        rc;
    size_t     len;
    uint8_t   *buf;
    bc_span_t  a, b;

    a.data = unit_copy(target, strlen(target));
    a.len = strlen(target);
    b.data = unit_copy(patch, strlen(patch));
    b.len = strlen(patch);
    buf = malloc(size + (size == 0));

    rc = merge_apply(a, b, buf, size, &len);

    memcpy(out, buf, len);
    out[len] = '\0';

    free((void *) a.data);
    free((void *) b.data);
    free(buf);

    return rc;
}


/* RFC 7396, appendix A: target, patch, result */

static void
test_apply(void)
{
    size_t       i, n;
    char         out[512];

    static const char *const  cases[][3] = {
        { "{\"a\":\"b\"}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"b\":\"c\"}", "{\"a\":\"b\",\"b\":\"c\"}" },
        { "{\"a\":\"b\"}", "{\"a\":null}", "{}" },
        { "{\"a\":\"b\",\"b\":\"c\"}", "{\"a\":null}", "{\"b\":\"c\"}" },
        { "{\"a\":[\"b\"]}", "{\"a\":\"c\"}", "{\"a\":\"c\"}" },
        { "{\"a\":\"c\"}", "{\"a\":[\"b\"]}", "{\"a\":[\"b\"]}" },
        { "{\"a\":{\"b\":\"c\"}}", "{\"a\":{\"b\":\"d\",\"c\":null}}",
          "{\"a\":{\"b\":\"d\"}}" },
        { "{\"a\":[{\"b\":\"c\"}]}", "{\"a\":[1]}", "{\"a\":[1]}" },
        { "[\"a\",\"b\"]", "[\"c\",\"d\"]", "[\"c\",\"d\"]" },
        { "{\"a\":\"b\"}", "[\"c\"]", "[\"c\"]" },
        { "{\"a\":\"foo\"}", "null", "null" },
        { "{\"a\":\"foo\"}", "\"bar\"", "\"bar\"" },
        { "{\"e\":null}", "{\"a\":1}", "{\"e\":null,\"a\":1}" },
        { "[1,2]", "{\"a\":\"b\",\"c\":null}", "{\"a\":\"b\"}" },
        { "{}", "{\"a\":{\"bb\":{\"ccc\":null}}}", "{\"a\":{\"bb\":{}}}" },

        /* keys are the same however they are written, the last one counts */
        { "{\"\\u0061\":1}", "{\"a\":2}", "{\"\\u0061\":2}" },
        { "{\"\\ud83d\\ude00\":1}", "{\"\xf0\x9f\x98\x80\":null}", "{}" },
        { "{\"\\n\\/\":1}", "{\"\\u000A\\u002f\":null}", "{}" },
        { "{\"\\ud83d\":1,\"\\ud83e\":2}", "{\"\\ud83e\":3}",
          "{\"\\ud83d\":1,\"\\ud83e\":3}" },
        { "{\"a\":1,\"a\":2}", "{\"b\":1,\"b\":2}", "{\"a\":2,\"b\":2}" },
        { "{\"\xc3\xbc\":1,\"\xe6\xb0\xb4\":2}",
          "{\"\\u00fc\":null,\"\\u6c34\":null}", "{}" },
        { " { \"a\" : 1 } ", " { \"a\" : [ 2 ] } ", "{\"a\":[ 2 ]}" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(apply(cases[i][0], cases[i][1], out, sizeof(out)), 1, "%s with %s",
           cases[i][0], cases[i][1]);
        is_str(out, cases[i][2], "is %s", cases[i][2]);

        n = strlen(cases[i][2]);
        is(apply(cases[i][0], cases[i][1], out, n), 1, "it fits exactly");
        is(apply(cases[i][0], cases[i][1], out, n - 1), 0, "in no less");
    }
}


/* from, to, patch */

static const char *const  diffs[][3] = {
    { "{}", "{}", "{}" },
    { "{\"a\":1}", "{\"a\":1}", "{}" },
    { "{\"a\":1}", "{\"a\":2}", "{\"a\":2}" },
    { "{\"a\":1}", "{}", "{\"a\":null}" },
    { "{}", "{\"a\":1}", "{\"a\":1}" },
    { "{\"a\":1,\"b\":2,\"c\":3}", "{\"a\":1,\"b\":4,\"c\":3}", "{\"b\":4}" },
    { "{\"a\":1,\"b\":2}", "{\"b\":2,\"c\":3}", "{\"c\":3,\"a\":null}" },

    /* another order is no change */
    { "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":3,\"a\":1,\"b\":2}", "{}" },
    { "{\"a\":1,\"b\":2,\"c\":3}", "{\"c\":3,\"b\":5,\"a\":1}", "{\"b\":5}" },
    { "{\"o\":{\"a\":1,\"b\":[{\"x\":1,\"y\":2}]}}",
      "{\"o\":{\"b\":[{\"y\":2,\"x\":1}],\"a\":1}}", "{}" },

    /* nor is white space */
    { "{}", "{ \n}", "{}" }, { "{\"a\":{ }}", "{\"a\":{}}", "{}" },
    { " { \"a\" : [ 1 , { \"b\" : 2 } ] } ", "{\"a\":[1,{\"b\":2}]}", "{}" },
    { "{\"a\":{\"b\":1}}", "{ \"a\" : { \"b\" : 2 } }",
      "{\"a\":{\"b\":2}}" },

    /* numbers stay what they are */
    { "{\"v\":18446744073709551614}", "{\"v\":18446744073709551615}",
      "{\"v\":18446744073709551615}" },
    { "{\"v\":9007199254740993}", "{\"v\":9007199254740992}",
      "{\"v\":9007199254740992}" },
    { "{\"v\":1}", "{\"v\":1.0}", "{\"v\":1.0}" },
    { "{\"v\":0.1000000000000000000001}", "{\"v\":0.1}", "{\"v\":0.1}" },
    { "{\"s\":\"a\"}", "{\"s\":\"\\u0061\"}", "{\"s\":\"\\u0061\"}" },

    /* objects are merged, as deep as they are the same */
    { "{\"a\":{\"b\":{\"c\":1,\"d\":2},\"e\":3},\"f\":4}",
      "{\"a\":{\"b\":{\"c\":1,\"d\":5},\"e\":3},\"f\":4}",
      "{\"a\":{\"b\":{\"d\":5}}}" },
    { "{\"a\":{\"b\":1},\"c\":{\"d\":1},\"e\":{\"f\":1}}",
      "{\"a\":{\"b\":2},\"c\":{\"d\":1 },\"e\":{\"f\":2}}",
      "{\"a\":{\"b\":2},\"e\":{\"f\":2}}" },
    { "{\"a\":{\"b\":1}}", "{\"a\":{}}", "{\"a\":{\"b\":null}}" },
    { "{\"a\":{}}", "{\"a\":{\"b\":{}}}", "{\"a\":{\"b\":{}}}" },
    { "{\"a\":1}", "{\"a\":{}}", "{\"a\":{}}" },
    { "{\"a\":{\"b\":1}}", "{\"a\":1}", "{\"a\":1}" },
    { "{\"a\":{\"b\":1}}", "{\"a\":[]}", "{\"a\":[]}" },
    { "{\"a\":[1]}", "{\"a\":{\"b\":{\"c\":1}}}",
      "{\"a\":{\"b\":{\"c\":1}}}" },

    /* arrays are not, what is in them may be null */
    { "{\"a\":[1,2,3]}", "{\"a\":[1,2]}", "{\"a\":[1,2]}" },
    { "{\"a\":[1,2]}", "{\"a\":[1,2,3]}", "{\"a\":[1,2,3]}" },
    { "{\"a\":[1]}", "{\"a\":[null]}", "{\"a\":[null]}" },
    { "{\"a\":[]}", "{\"a\":[{\"x\":null}]}", "{\"a\":[{\"x\":null}]}" },
    { "{\"a\":0}", "{\"a\":{\"b\":[{\"x\":null},[null]]}}",
      "{\"a\":{\"b\":[{\"x\":null},[null]]}}" },
    { "{\"a\":0}", "{\"a\":{\"b\":\"null, [null\"}}",
      "{\"a\":{\"b\":\"null, [null\"}}" },

    /* a null that is and stays there is no matter */
    { "{\"a\":null,\"b\":1}", "{\"a\":null,\"b\":2}", "{\"b\":2}" },
    { "{\"a\":null}", "{\"a\":1}", "{\"a\":1}" },
    { "{\"a\":null}", "{}", "{\"a\":null}" },
    { "{\"a\":{\"b\":null},\"c\":1}", "{\"c\":2,\"a\":{\"b\":null}}",
      "{\"c\":2}" },

    /* keys compare decoded */
    { "{\"\\u0061\":1}", "{\"a\":1}", "{}" },
    { "{\"\\u0061\":1,\"b\":1}", "{\"a\":2,\"b\":1}", "{\"a\":2}" },
    { "{\"a\\\"b\":1}", "{\"a\\u0022b\":1,\"\\\\\":2}", "{\"\\\\\":2}" },
    { "{\"\\ud83d\\ude00\":1}", "{\"\xf0\x9f\x98\x80\":2}",
      "{\"\xf0\x9f\x98\x80\":2}" },
    { "{\"\":1}", "{\"\":2}", "{\"\":2}" },

    /* a key that is there twice where nothing is compared */
    { "{\"a\":[{\"x\":1,\"x\":2}],\"b\":1}",
      "{\"a\":[{\"x\":1,\"x\":2}],\"b\":2}", "{\"b\":2}" },
    { "{\"a\":[{\"x\":1,\"x\":2}]}", "{\"a\":[{\"x\":1,\"x\":3}]}",
      "{\"a\":[{\"x\":1,\"x\":3}]}" }
};


/* what no patch can say, or none of ours does */

static const char *const  no_diffs[][2] = {
    { "{\"a\":1}", "{\"a\":null}" },
    { "{}", "{\"a\":null}" },
    { "{\"a\":{\"b\":1}}", "{\"a\":{\"b\":null}}" },
    { "{}", "{\"a\":{\"b\":null}}" },
    { "{}", "{\"a\":{\"b\":{\"c\":[1],\"d\":null}}}" },
    { "{\"a\":1}", "{\"a\":{\"b\":null}}" },
    { "{\"a\":[1]}", "{\"a\":{\"x\":[],\"b\":null}}" },
    { "[]", "{}" }, { "{}", "[]" }, { "1", "1" }, { "{}", "null" },
    { "[1]", "[2]" }, { "\"a\"", "\"a\"" },
    { "{\"a\":1,\"a\":2}", "{\"a\":1}" },
    { "{\"a\":1}", "{\"a\":1,\"a\":2}" },
    { "{\"b\":1}", "{\"b\":1,\"a\":1,\"a\":2}" },
    { "{}", "{\"a\":1,\"a\":1}" },
    { "{\"a\":1,\"\\u0061\":1,\"b\":1}", "{\"b\":2}" },
    { "{\"a\":1,\"a\":2}", "{\"a\":3,\"a\":2}" },
    { "{\"o\":{\"a\":1,\"a\":2}}", "{\"o\":{\"a\":2}}" },
    { "{\"\\ud800\":1}", "{\"\\ud801\":1}" },
    { "{\"\\udc00\":1}", "{\"a\":1}" },
    { "{\"a\":1}", "{\"x\\ud83dy\":1}" },
    { "{\"a\":1}", "{\"\\ud83d\\u0041\":1}" }
};


static void
test_diff(void)
{
    size_t  i, n, k;
    char    out[512], result[512];

    for (i = 0; i < sizeof(diffs) / sizeof(diffs[0]); i++) {
        is(diff(diffs[i][0], diffs[i][1], out, sizeof(out) - 1), 1,
           "from %s to %s", diffs[i][0], diffs[i][1]);
        is_str(out, diffs[i][2], "is %s", diffs[i][2]);

        n = strlen(diffs[i][2]);
        is(diff(diffs[i][0], diffs[i][1], out, n), 1, "it fits exactly");

        for (k = 0; k < n; k++) {
            if (diff(diffs[i][0], diffs[i][1], out, k) != 0) {
                break;
            }
        }

        is(k, n, "and in no less");

        /* there must be nothing left to do after it */

        ok(apply(diffs[i][0], diffs[i][2], result, sizeof(result) - 1) == 1
           && diff(result, diffs[i][1], out, sizeof(out) - 1) != 0
           && strcmp(out, "{}") == 0, "it makes the one of the other");
    }

    for (i = 0; i < sizeof(no_diffs) / sizeof(no_diffs[0]); i++) {
        is(diff(no_diffs[i][0], no_diffs[i][1], out, sizeof(out) - 1), 0,
           "no patch from %s to %s", no_diffs[i][0], no_diffs[i][1]);
    }
}


static void
test_depth(void)
{
    size_t  i;
    char    from[8192], to[8192], out[8192], *p, *q;

    /* 32 objects in each other, then 33 */

    for (i = BC_JSON_PATCH_DEPTH; i <= BC_JSON_PATCH_DEPTH + 1; i++) {
        size_t  n;

        p = from;

        for (n = 0; n < i; n++) {
            p += sprintf(p, "{\"a\":");
        }

        q = p + sprintf(p, "1");
        memset(q, '}', i);
        q[i] = '\0';

        strcpy(to, from);
        is(diff(from, to, out, sizeof(out) - 1), 1, "%zu deep, the same", i);
        is_str(out, "{}", "nothing changed");

        to[p - from] = '2';
        is(diff(from, to, out, sizeof(out) - 1), i == BC_JSON_PATCH_DEPTH,
           "%zu deep, a change at the bottom", i);

        if (i == BC_JSON_PATCH_DEPTH) {
            is_str(out, to, "the patch is as deep");
        }
    }

    /* beyond, arrays compare by their bytes */

    memset(from, 0, sizeof(from));
    p = from + sprintf(from, "{\"a\":");
    memset(p, '[', 500);
    p[500] = '1';
    memset(p + 501, ']', 500);
    strcpy(p + 1001, "}");

    strcpy(to, from);
    is(diff(from, to, out, sizeof(out) - 1), 1, "500 arrays, the same");
    is_str(out, "{}", "nothing changed");

    to[p + 500 - from] = '2';
    is(diff(from, to, out, sizeof(out) - 1), 1, "500 arrays, another number");
    is_str(out, to, "they are replaced");

    /* what is new may be as deep as it is */

    for (p = to, i = 0; i < 1000; i++) {
        p += sprintf(p, "{\"a\":");
    }

    p += sprintf(p, "1");
    memset(p, '}', 1000);
    p[1000] = '\0';
    is(diff("{}", to, out, sizeof(out) - 1), 1, "a new object, 1000 deep");
    is_str(out, to, "it is all there");

    p[-1] = 'n';
    memmove(p + 3, p, 1001);
    memcpy(p - 1, "null", 4);
    is(diff("{}", to, out, sizeof(out) - 1), 0, "with a null at the bottom");
}


static uint32_t
fnv(const char *p)
{
    uint32_t  h;

    for (h = 0x811c9dc5; *p != '\0'; p++) {
        h = (h ^ (uint8_t) *p) * 0x01000193;
    }

    return h ^ h >> 15;
}


/* many members: in order, backwards, and with keys made to collide */

static void
test_many(void)
{
    char      *from, *to, *out, *p, *q, key[16];
    double     s;
    size_t     i, n;
    clock_t    start;
    uint64_t   next;

    n = 50000;
    from = malloc(n * 20);
    to = malloc(n * 20);
    out = malloc(n * 20);

    p = from + sprintf(from, "{");
    q = to + sprintf(to, "{");

    for (i = 0; i < n; i++) {
        p += sprintf(p, "%s\"k%zu\":%zu", i ? "," : "", i, i);
        q += sprintf(q, "%s\"k%zu\":%zu", i ? "," : "", i,
                     i == n - 1 ? 7 : i);
    }

    strcpy(p, "}");
    strcpy(q, "}");

    start = clock();
    is(diff(from, to, out, n * 20 - 1), 1, "50000 members");
    s = (double) (clock() - start) / CLOCKS_PER_SEC;
    is_str(out, "{\"k49999\":7}", "the last one changed");
    ok(s < 5, "in linear time (%.3f s)", s);

    q = to + sprintf(to, "{");

    for (i = n; i-- != 0; /* void */ ) {
        q += sprintf(q, "\"k%zu\":%zu%s", i, i == 5 ? 7 : i, i ? "," : "}");
    }

    start = clock();
    is(diff(from, to, out, n * 20 - 1), 1, "50000 members backwards");
    s = (double) (clock() - start) / CLOCKS_PER_SEC;
    is_str(out, "{\"k5\":7}", "one changed");
    ok(s < 5, "in linear time (%.3f s)", s);

    /* 2000 keys for one place of a table of 8192 */

    p = from + sprintf(from, "{");
    next = 0;

    for (i = 0; i < 2000; i++) {
        do {
            sprintf(key, "%llu", (unsigned long long) next++);
        } while ((fnv(key) & 8191) != 77);

        p += sprintf(p, "%s\"%s\":1", i ? "," : "", key);
    }

    strcpy(p, "}");
    strcpy(to, from);
    to[p - from - 1] = '2';

    start = clock();
    is(diff(from, to, out, n * 20 - 1), 0, "keys made to collide: no patch");
    s = (double) (clock() - start) / CLOCKS_PER_SEC;
    ok(s < 1, "and no time lost (%.3f s)", s);

    free(from);
    free(to);
    free(out);
}


/* random values: the patch makes the one of the other */

static char *
random_value(char *p, unsigned depth, unsigned *budget)
{
    unsigned  n, i, used, k;

    static const char *const  scalars[] = {
        "0", "-1", "1.5", "18446744073709551615", "true", "false", "\"\"",
        "\"x\"", "\"\\u0061\"", "\"null\"", "[]", "{}", "1e3", "null"
    };

    static const char *const  keys[] = {
        "a", "b", "\\u0063", "d\\n", "e", "long-key-name", "", "\\ud83d\\ude00"
    };

    (*budget)++;
    n = unit_random() % 16;

    if (depth == 0 || n < 6 || *budget > 60) {
        return p + sprintf(p, "%s", scalars[unit_random() % 14]);
    }

    if (n < 9) {
        *p++ = '[';

        for (i = 0; i < n - 6; i++) {
            if (i != 0) {
                *p++ = ',';
            }

            p = random_value(p, depth - 1, budget);
        }

        *p++ = ']';
        return p;
    }

    *p++ = '{';
    used = 0;

    for (i = 0; i < n - 8; i++) {
        k = unit_random() % 8;

        if (used & 1u << k) {
            continue;
        }

        if (used != 0) {
            *p++ = ',';
        }

        used |= 1u << k;
        p += sprintf(p, "%s\"%s\":", unit_random() % 4 ? "" : " ", keys[k]);
        p = random_value(p, depth - 1, budget);
    }

    *p++ = '}';

    return p;
}


static void
test_random(void)
{
    char      from[8192], to[8192], patch[8192], result[16384], again[8192];
    size_t    i, wrong, made;
    unsigned  budget;

    wrong = 0;
    made = 0;

    for (i = 0; i < 10000; i++) {

        do {
            budget = 0;
            *random_value(from, 5, &budget) = '\0';
        } while (from[0] != '{');

        do {
            budget = 0;
            *random_value(to, 5, &budget) = '\0';
        } while (to[0] != '{');

        if (i % 3 == 0) {
            /* an object grows out of another one, mostly with a change */
            strcpy(patch, to);

            if (apply(from, patch, to, sizeof(to) - 1) != 1) {
                wrong++;
                continue;
            }
        }

        if (diff(from, to, patch, sizeof(patch) - 1) != 1) {
            wrong += (strstr(to, "null") == NULL);
            continue;
        }

        made++;

        if (apply(from, patch, result, sizeof(result) - 1) != 1
            || diff(result, to, again, sizeof(again) - 1) != 1
            || strcmp(again, "{}") != 0
            || diff(to, result, again, sizeof(again) - 1) != 1
            || strcmp(again, "{}") != 0)
        {
            printf("# %s -> %s: %s\n", from, to, patch);
            wrong++;
        }
    }

    is(wrong, 0, "random patches make the one of the other");
    ok(made > 3000, "%zu of them", made);
}


/* no memory: no patch, nothing lost */

static void
test_memory(void)
{
    int        rc;
    char       from[4096], to[4096], *p, *q;
    size_t     i, len, failed;
    uint8_t    out[8192];
    bc_span_t  a, b;

    p = from + sprintf(from, "{\"\\u0061\":{");
    q = to + sprintf(to, "{\"\\u0061\":{");

    for (i = 0; i < 100; i++) {
        p += sprintf(p, "%s\"\\u0062%zu\":%zu", i ? "," : "", i, i);
        q += sprintf(q, "%s\"\\u0062%zu\":%zu", i ? "," : "", 99 - i, i);
    }

    strcpy(p, "},\"l\":[{\"x\":1}]}");
    strcpy(q, "},\"l\":[{\"x\":2}]}");

    a.data = (uint8_t *) from;
    a.len = strlen(from);
    b.data = (uint8_t *) to;
    b.len = strlen(to);

    failed = 0;

    for (i = 1; i < 100; i++) {
        allocations = 0;
        fail_from = i;
        len = 99;
        rc = bc_merge_patch_diff(a, b, out, sizeof(out), &len);
        fail_from = 0;

        if (rc == 1) {
            break;
        }

        failed += (rc == 0 && len == 0);
    }

    ok(i > 3 && i < 100 && failed == i - 1,
       "each of %zu allocations may fail", i - 1);
}


int
main(void)
{
    test_apply();
    test_diff();
    test_depth();
    test_many();
    test_random();
    test_memory();

    return unit_done();
}
