
/*
 * Copyright (C) the blockcast authors
 *
 * Applies merge patches, as a client does: what bc_merge_patch_diff() makes is
 * tried with it.
 */

#ifndef _MERGE_APPLY_H_INCLUDED_
#define _MERGE_APPLY_H_INCLUDED_


#include <string.h>

#include "bc_json.h"
#include "bc_json_scan.h"


typedef struct {
    uint8_t  *pos;
    uint8_t  *last;
} merge_out_t;


/* a string as UTF-16 code units, however it is written */

typedef struct {
    const uint8_t  *pos;
    const uint8_t  *last;
    unsigned        low;       /* the second half of a pair, or 0 */
} merge_units_t;


static int
merge_apply_put(merge_out_t *out, const void *p, size_t len)
{
    if ((size_t) (out->last - out->pos) < len) {
        return -1;
    }

    if (len != 0) {
        memcpy(out->pos, p, len);
        out->pos += len;
    }

    return 0;
}


/* the next code unit, -1 at the end */

static int
merge_apply_unit(merge_units_t *u)
{
    int       n;
    uint32_t  c;

    static const char  letters[] = "b\bf\fn\nr\rt\t";

    if (u->low != 0) {
        c = u->low;
        u->low = 0;
        return (int) c;
    }

    if (u->pos == u->last) {
        return -1;
    }

    c = *u->pos++;

    if (c == '\\' && u->pos < u->last) {
        c = *u->pos++;

        if (c == 'u') {
            c = 0;

            for (n = 0; n < 4 && u->pos < u->last; n++) {
                c = c << 4 | (uint32_t) (bc_json_hex(*u->pos++) & 0xf);
            }

            return (int) c;
        }

        for (n = 0; letters[n] != '\0'; n += 2) {
            if ((uint32_t) letters[n] == c) {
                return letters[n + 1];
            }
        }

        return (int) c;
    }

    if (c < 0x80) {
        return (int) c;
    }

    n = (c < 0xe0) ? 1 : (c < 0xf0) ? 2 : 3;
    c &= 0x3fu >> n;

    for ( /* void */ ; n != 0 && u->pos < u->last; n--) {
        c = c << 6 | (*u->pos++ & 0x3f);
    }

    if (c >= 0x10000) {
        u->low = 0xdc00 | (c & 0x3ff);
        c = 0xd800 | ((c - 0x10000) >> 10);
    }

    return (int) c;
}


static int
merge_apply_same(bc_span_t a, bc_span_t b)
{
    int              c;
    merge_units_t  one, two;

    one.pos = a.data;
    one.last = a.data + a.len;
    one.low = 0;

    two.pos = b.data;
    two.last = b.data + b.len;
    two.low = 0;

    do {
        c = merge_apply_unit(&one);

        if (merge_apply_unit(&two) != c) {
            return 0;
        }

    } while (c != -1);

    return 1;
}


/* the last member with that key among those to come */

static int
merge_apply_find(bc_json_iter_t it, bc_span_t name, bc_span_t *value)
{
    int        found;
    bc_span_t  key, v;

    found = 0;

    while (bc_json_next(&it, &key, &v)) {
        if (merge_apply_same(key, name)) {
            *value = v;
            found = 1;
        }
    }

    return found;
}


static int
merge_apply_key(merge_out_t *out, int *some, bc_span_t raw)
{
    if ((*some && merge_apply_put(out, ",", 1) != 0)
        || merge_apply_put(out, "\"", 1) != 0
        || merge_apply_put(out, raw.data, raw.len) != 0
        || merge_apply_put(out, "\":", 2) != 0)
    {
        return -1;
    }

    *some = 1;

    return 0;
}


/*
 * target.data is NULL when there is none; as deep as the patch is, or
 * `depth`
 */

static int
merge_apply_value(merge_out_t *out, bc_span_t target, bc_span_t patch,
    unsigned depth)
{
    int              some;
    bc_span_t        key, value, other, none;
    bc_json_iter_t   t, p, patches, targets;

    if (bc_json_object(&patches, patch) != 0) {
        return merge_apply_put(out, patch.data, patch.len);
    }

    if (depth == 0 || merge_apply_put(out, "{", 1) != 0) {
        return -1;
    }

    /* something else than an object is taken for an empty one */

    (void) bc_json_object(&targets, target);

    none.data = NULL;
    none.len = 0;
    some = 0;
    t = targets;

    while (bc_json_next(&t, &key, &value)) {

        if (merge_apply_find(t, key, &other)) {
            /* the last one counts */
            continue;
        }

        if (!merge_apply_find(patches, key, &other)) {

            if (merge_apply_key(out, &some, key) != 0
                || merge_apply_put(out, value.data, value.len) != 0)
            {
                return -1;
            }

            continue;
        }

        if (other.data[0] == 'n') {
            continue;
        }

        if (merge_apply_key(out, &some, key) != 0
            || merge_apply_value(out, value, other, depth - 1) != 0)
        {
            return -1;
        }
    }

    p = patches;

    while (bc_json_next(&p, &key, &value)) {

        if (value.data[0] == 'n'
            || merge_apply_find(p, key, &other)
            || merge_apply_find(targets, key, &other))
        {
            continue;
        }

        if (merge_apply_key(out, &some, key) != 0
            || merge_apply_value(out, none, value, depth - 1) != 0)
        {
            return -1;
        }
    }

    return merge_apply_put(out, "}", 1);
}


/*
 * Merges patch into target (both passed bc_json_check()): MergePatch() of RFC
 * 7396, 2.  Of a key that an object has twice the last one counts, and keys
 * compare by UTF-16 code units, as with JSON.parse().  The time grows with the
 * square of the number of members.
 *
 * Returns 1 with the length of the result in *len; 0 when it does not fit in
 * size bytes, or is nested deeper than BC_JSON_MAX_DEPTH.
 */

static inline int
merge_apply(bc_span_t target, bc_span_t patch, uint8_t *dst,
    size_t size, size_t *len)
{
    merge_out_t  out;

    *len = 0;

    while (patch.len != 0 && bc_json_is_space(patch.data[0])) {
        patch.data++;
        patch.len--;
    }

    while (patch.len != 0 && bc_json_is_space(patch.data[patch.len - 1])) {
        patch.len--;
    }

    out.pos = dst;
    out.last = (size != 0) ? dst + size : dst;

    if (merge_apply_value(&out, target, patch, BC_JSON_MAX_DEPTH) != 0) {
        return 0;
    }

    *len = (size_t) (out.pos - dst);

    return 1;
}


#endif /* _MERGE_APPLY_H_INCLUDED_ */
