
/*
 * Copyright (C) the blockcast authors
 *
 * Makes merge patches.  Two objects that differ are split into lists of
 * members.  A hash table finds the member of one object that has the key of a
 * member of the other; it also detects duplicate keys, for which a patch would
 * mean different things to different readers.
 */

#include <stdlib.h>
#include <string.h>

#include "bc_json.h"
#include "bc_merge_patch.h"
#include "bc_json_scan.h"


#define BC_JSON_PATCH_FAIL     -1
#define BC_JSON_PATCH_SAME     0
#define BC_JSON_PATCH_CHANGED  1

/* slots of a hash table that is on the stack */

#define BC_JSON_PATCH_SMALL    64


typedef struct {
    bc_span_t   key;           /* decoded */
    bc_span_t   raw;           /* as in the text, without quotes */
    bc_span_t   value;
    uint32_t    hash;
    unsigned    found:1;
} bc_merge_patch_member_t;


/* an object of the patch; it is opened when its first member is written */

typedef struct bc_merge_patch_object_s  bc_merge_patch_object_t;

struct bc_merge_patch_object_s {
    bc_merge_patch_object_t *parent;
    bc_span_t                key;
    unsigned                 open:1;
    unsigned                 some:1;
};


typedef struct {
    uint8_t                 *pos;
    uint8_t                 *last;

    /* a stack: the members of all objects that are being compared */

    bc_merge_patch_member_t *members;
    size_t                   count;
    size_t                   allocated;

    uint8_t                 *keys;         /* decoded keys, of those that have
                                              escapes */
    size_t                   keys_len;
    size_t                   keys_size;
} bc_merge_patch_t;


static int bc_merge_patch_object(bc_merge_patch_t *ctx, bc_span_t from,
    bc_span_t to, bc_merge_patch_object_t *patch, unsigned depth);


static int
bc_merge_patch_put(bc_merge_patch_t *ctx, const void *p, size_t len)
{
    if ((size_t) (ctx->last - ctx->pos) < len) {
        return -1;
    }

    if (len != 0) {
        memcpy(ctx->pos, p, len);
        ctx->pos += len;
    }

    return 0;
}


/* Begins a member of the patch, and first the objects around it. */

static int
bc_merge_patch_key(bc_merge_patch_t *ctx, bc_merge_patch_object_t *patch,
    bc_span_t raw)
{
    if (!patch->open) {

        if ((patch->parent != NULL
             && bc_merge_patch_key(ctx, patch->parent, patch->key) != 0)
            || bc_merge_patch_put(ctx, "{", 1) != 0)
        {
            return -1;
        }

        patch->open = 1;
    }

    if (patch->some && bc_merge_patch_put(ctx, ",", 1) != 0) {
        return -1;
    }

    patch->some = 1;

    if (bc_merge_patch_put(ctx, "\"", 1) != 0
        || bc_merge_patch_put(ctx, raw.data, raw.len) != 0
        || bc_merge_patch_put(ctx, "\":", 2) != 0)
    {
        return -1;
    }

    return 0;
}


/*
 * Tells whether an object has a member that is null, at any depth but not
 * within arrays.  In checked text, nothing but null begins with n outside of
 * strings.
 */

static int
bc_merge_patch_has_null(bc_span_t value)
{
    size_t          arrays;
    const uint8_t  *p, *last;

    arrays = 0;
    p = value.data;
    last = p + value.len;

    while (p < last) {

        switch (*p) {

        case '"':
            p++;

            while (p < last) {
                p = bc_json_skip_checked(p, last);

                if (p == last || *p == '"') {
                    break;
                }

                p += (last - p > 1) ? 2 : 1;
            }

            break;

        case '[':
            arrays++;
            break;

        case ']':
            arrays -= (arrays != 0);
            break;

        case 'n':
            if (arrays == 0) {
                return 1;
            }

            break;
        }

        p += (p < last);
    }

    return 0;
}


/* Writes a member that is new or has a new value. */

static int
bc_merge_patch_set(bc_merge_patch_t *ctx, bc_merge_patch_object_t *patch,
    bc_span_t raw, bc_span_t value)
{
    if (value.data[0] == 'n'
        || (value.data[0] == '{' && bc_merge_patch_has_null(value))
        || bc_merge_patch_key(ctx, patch, raw) != 0
        || bc_merge_patch_put(ctx, value.data, value.len) != 0)
    {
        return BC_JSON_PATCH_FAIL;
    }

    return BC_JSON_PATCH_CHANGED;
}


/* Tells whether a key has a lone surrogate, which has no decoded form. */

static int
bc_merge_patch_lone(bc_span_t raw)
{
    int             i, c[2];
    const uint8_t  *p, *last;

    p = raw.data;
    last = p + raw.len;

    while (p < last) {

        if (*p != '\\') {
            p++;
            continue;
        }

        if (last - p < 6 || p[1] != 'u') {
            p += (last - p > 1) ? 2 : 1;
            continue;
        }

        /* the high bytes of this code unit and of the next one, if any */

        for (i = 0; i < 2; i++) {
            c[i] = 0;

            if (last - p >= 6 * (i + 1) && p[6 * i] == '\\'
                && p[6 * i + 1] == 'u')
            {
                c[i] = (bc_json_hex(p[6 * i + 2]) & 0xf) << 4
                       | (bc_json_hex(p[6 * i + 3]) & 0xf);
            }
        }

        p += 6;

        if (c[0] >= 0xd8 && c[0] <= 0xdb && c[1] >= 0xdc && c[1] <= 0xdf) {
            p += 6;

        } else if (c[0] >= 0xd8 && c[0] <= 0xdf) {
            return 1;
        }
    }

    return 0;
}


/* Appends the members of an object to the list. */

static int
bc_merge_patch_members(bc_merge_patch_t *ctx, bc_span_t object)
{
    size_t                    i, n;
    uint32_t                  hash;
    bc_span_t                 key, value, quoted;
    bc_json_iter_t            it;
    bc_merge_patch_member_t  *m;

    (void) bc_json_object(&it, object);

    while (bc_json_next(&it, &key, &value)) {

        if (ctx->count == ctx->allocated) {
            n = ctx->allocated != 0 ? ctx->allocated * 2 : 64;
            m = realloc(ctx->members, n * sizeof(bc_merge_patch_member_t));

            if (m == NULL) {
                return -1;
            }

            ctx->members = m;
            ctx->allocated = n;
        }

        m = &ctx->members[ctx->count++];
        m->raw = key;
        m->key = key;
        m->value = value;
        m->found = 0;

        if (memchr(key.data, '\\', key.len) != NULL) {

            if (bc_merge_patch_lone(key)) {
                return -1;
            }

            /* allocated once, large enough for all keys of both texts */

            if (ctx->keys == NULL) {
                ctx->keys = malloc(ctx->keys_size);

                if (ctx->keys == NULL) {
                    return -1;
                }
            }

            quoted.data = key.data - 1;
            quoted.len = key.len + 2;
            m->key.data = ctx->keys + ctx->keys_len;

            if (bc_json_string(quoted, ctx->keys + ctx->keys_len,
                               ctx->keys_size - ctx->keys_len, &m->key.len)
                != 0)
            {
                return -1;
            }

            ctx->keys_len += m->key.len;
        }

        /* FNV-1a */

        hash = 0x811c9dc5;

        for (i = 0; i < m->key.len; i++) {
            hash = (hash ^ m->key.data[i]) * 0x01000193;
        }

        m->hash = hash;
    }

    return 0;
}


static int
bc_merge_patch_key_same(const bc_merge_patch_member_t *a,
    const bc_merge_patch_member_t *b)
{
    return a->hash == b->hash && a->key.len == b->key.len
           && memcmp(a->key.data, b->key.data, a->key.len) == 0;
}


/*
 * Looks for a member with the key of members[n] and returns its index; if
 * there is none, members[n] is entered and n returned.  The table has at least
 * twice as many slots as there are members.  A search that takes many steps
 * means keys chosen to collide: *steps is the number of further steps allowed
 * in all, and -1 is returned when it is used up.
 */

static ptrdiff_t
bc_merge_patch_find(const bc_merge_patch_member_t *members, size_t n,
    uint32_t *table, size_t mask, size_t *steps)
{
    size_t  i;

    for (i = (members[n].hash ^ members[n].hash >> 15) & mask; table[i] != 0;
         i = (i + 1) & mask)
    {
        if (bc_merge_patch_key_same(&members[table[i] - 1], &members[n])) {
            return (ptrdiff_t) table[i] - 1;
        }

        if (*steps == 0) {
            return -1;
        }

        (*steps)--;
    }

    table[i] = (uint32_t) n + 1;

    return (ptrdiff_t) n;
}


/*
 * Pairs members.  `from` members of one object are followed by `to` members of
 * the other.  For number n of the latter, pairs[n] is set to the index of the
 * member of the first object that has the same key, or to `from` if there is
 * none.  Returns 0, or -1 when there are duplicate keys or too many
 * collisions.
 */

static int
bc_merge_patch_pair(bc_merge_patch_member_t *members, size_t from, size_t to,
    uint32_t *pairs, uint32_t *table, size_t mask)
{
    size_t     n, next, steps;
    ptrdiff_t  i;

    steps = 8 * (from + to) + 256;

    for (n = 0; n < from; n++) {
        if (bc_merge_patch_find(members, n, table, mask, &steps)
            != (ptrdiff_t) n)
        {
            return -1;
        }
    }

    next = 0;

    for (n = 0; n < to; n++) {

        /* usually the one that follows the previous match */

        if (next < from
            && bc_merge_patch_key_same(&members[next], &members[from + n]))
        {
            i = (ptrdiff_t) next;

        } else {
            i = bc_merge_patch_find(members, from + n, table, mask, &steps);

            if (i == (ptrdiff_t) (from + n)) {
                pairs[n] = (uint32_t) from;
                continue;
            }

            if (i < 0 || i >= (ptrdiff_t) from) {
                return -1;
            }
        }

        if (members[i].found) {
            return -1;
        }

        members[i].found = 1;
        pairs[n] = (uint32_t) i;
        next = (size_t) i + 1;
    }

    return 0;
}


/*
 * Compares two values: returns SAME or CHANGED.  Values nested too deeply to
 * be compared count as changed.
 */

static int
bc_merge_patch_compare(bc_merge_patch_t *ctx, bc_span_t from, bc_span_t to,
    unsigned depth)
{
    int              more;
    bc_span_t        key, a, b;
    bc_json_iter_t   one, two;

    if (from.len == to.len && memcmp(from.data, to.data, to.len) == 0) {
        return BC_JSON_PATCH_SAME;
    }

    if (from.data[0] != to.data[0] || depth == BC_JSON_PATCH_DEPTH) {
        return BC_JSON_PATCH_CHANGED;
    }

    if (from.data[0] == '{') {
        return bc_merge_patch_object(ctx, from, to, NULL, depth)
               == BC_JSON_PATCH_SAME
               ? BC_JSON_PATCH_SAME : BC_JSON_PATCH_CHANGED;
    }

    if (bc_json_array(&one, from) != 0 || bc_json_array(&two, to) != 0) {
        return BC_JSON_PATCH_CHANGED;
    }

    for ( ;; ) {
        more = bc_json_next(&one, &key, &a);

        if (bc_json_next(&two, &key, &b) != more) {
            return BC_JSON_PATCH_CHANGED;
        }

        if (!more) {
            return BC_JSON_PATCH_SAME;
        }

        if (bc_merge_patch_compare(ctx, a, b, depth + 1)
            != BC_JSON_PATCH_SAME)
        {
            return BC_JSON_PATCH_CHANGED;
        }
    }
}


/*
 * Compares a member that both objects have, and writes the difference unless
 * patch is NULL.
 */

static int
bc_merge_patch_both(bc_merge_patch_t *ctx, bc_merge_patch_object_t *patch,
    bc_span_t raw, bc_span_t from, bc_span_t to, unsigned depth)
{
    int                      rc;
    bc_merge_patch_object_t  inner;

    if (patch == NULL) {
        return bc_merge_patch_compare(ctx, from, to, depth + 1);
    }

    if (from.data[0] == '{' && to.data[0] == '{') {

        inner.parent = patch;
        inner.key = raw;
        inner.open = 0;
        inner.some = 0;

        rc = bc_merge_patch_object(ctx, from, to, &inner, depth + 1);

        if (rc == BC_JSON_PATCH_CHANGED
            && bc_merge_patch_put(ctx, "}", 1) != 0)
        {
            return BC_JSON_PATCH_FAIL;
        }

        return rc;
    }

    if (bc_merge_patch_compare(ctx, from, to, depth + 1) == BC_JSON_PATCH_SAME)
    {
        return BC_JSON_PATCH_SAME;
    }

    return bc_merge_patch_set(ctx, patch, raw, to);
}


/*
 * Compares two lists of members in ctx->members, from index base on: first
 * `from` members of one object, then `to` of the other.
 */

static int
bc_merge_patch_walk(bc_merge_patch_t *ctx, size_t base, size_t from, size_t to,
    const uint32_t *pairs, bc_merge_patch_object_t *patch, unsigned depth)
{
    int                       rc, changed;
    size_t                    n;
    bc_merge_patch_member_t  *m, *f;

    changed = BC_JSON_PATCH_SAME;

    for (n = 0; n < to; n++) {

        /* the list may be reallocated while inner objects are compared */

        m = &ctx->members[base + from + n];

        if (pairs[n] != from) {
            f = &ctx->members[base + pairs[n]];
            rc = bc_merge_patch_both(ctx, patch, m->raw, f->value, m->value,
                                     depth);

        } else {
            rc = (patch == NULL) ? BC_JSON_PATCH_CHANGED
                 : bc_merge_patch_set(ctx, patch, m->raw, m->value);
        }

        if (rc == BC_JSON_PATCH_FAIL
            || (rc == BC_JSON_PATCH_CHANGED && patch == NULL))
        {
            return rc;
        }

        changed |= rc;
    }

    for (n = 0; n < from; n++) {
        m = &ctx->members[base + n];

        if (m->found) {
            continue;
        }

        changed = BC_JSON_PATCH_CHANGED;

        if (patch == NULL) {
            break;
        }

        if (bc_merge_patch_key(ctx, patch, m->raw) != 0
            || bc_merge_patch_put(ctx, "null", 4) != 0)
        {
            return BC_JSON_PATCH_FAIL;
        }
    }

    return changed;
}


/*
 * Compares two objects and, unless patch is NULL, writes what has to change;
 * if something was written the caller closes the object in the patch.
 */

static int
bc_merge_patch_object(bc_merge_patch_t *ctx, bc_span_t from, bc_span_t to,
    bc_merge_patch_object_t *patch, unsigned depth)
{
    int        rc;
    size_t     base, keys_base, from_count, to_count, places;
    uint32_t  *table, small[BC_JSON_PATCH_SMALL + BC_JSON_PATCH_SMALL / 2];

    if (from.len == to.len && memcmp(from.data, to.data, to.len) == 0) {
        return BC_JSON_PATCH_SAME;
    }

    if (depth == BC_JSON_PATCH_DEPTH) {
        return BC_JSON_PATCH_FAIL;
    }

    base = ctx->count;
    keys_base = ctx->keys_len;
    table = NULL;
    rc = BC_JSON_PATCH_FAIL;

    if (bc_merge_patch_members(ctx, from) != 0) {
        goto done;
    }

    from_count = ctx->count - base;

    if (bc_merge_patch_members(ctx, to) != 0) {
        goto done;
    }

    to_count = ctx->count - base - from_count;

    if (from_count + to_count == 0) {
        rc = BC_JSON_PATCH_SAME;
        goto done;
    }

    if (patch == NULL && from_count != to_count) {
        rc = BC_JSON_PATCH_CHANGED;
        goto done;
    }

    for (places = BC_JSON_PATCH_SMALL; places < 2 * (from_count + to_count);
         places *= 2)
    {
        /* void */
    }

    if (places == BC_JSON_PATCH_SMALL) {
        table = small;
        memset(table, 0, places * sizeof(uint32_t));

    } else {
        table = calloc(places + to_count, sizeof(uint32_t));

        if (table == NULL) {
            goto done;
        }
    }

    if (bc_merge_patch_pair(ctx->members + base, from_count, to_count,
                            table + places, table, places - 1)
        == 0)
    {
        rc = bc_merge_patch_walk(ctx, base, from_count, to_count,
                                 table + places, patch, depth);
    }

done:

    ctx->count = base;
    ctx->keys_len = keys_base;

    if (table != small) {
        free(table);
    }

    return rc;
}


/* Returns the value without surrounding white space. */

static bc_span_t
bc_merge_patch_trim(bc_span_t s)
{
    while (s.len != 0 && bc_json_is_space(s.data[0])) {
        s.data++;
        s.len--;
    }

    while (s.len != 0 && bc_json_is_space(s.data[s.len - 1])) {
        s.len--;
    }

    return s;
}


int
bc_merge_patch_diff(bc_span_t from, bc_span_t to, uint8_t *dst, size_t size,
    size_t *len)
{
    int                      rc;
    bc_merge_patch_t         ctx;
    bc_merge_patch_object_t  patch;

    *len = 0;

    from = bc_merge_patch_trim(from);
    to = bc_merge_patch_trim(to);

    if (from.len == 0 || to.len == 0
        || from.data[0] != '{' || to.data[0] != '{'
        || from.len > UINT32_MAX / 2 || to.len > UINT32_MAX / 2)
    {
        return 0;
    }

    memset(&ctx, 0, sizeof(bc_merge_patch_t));
    ctx.pos = dst;
    ctx.last = (size != 0) ? dst + size : dst;
    ctx.keys_size = from.len + to.len;

    memset(&patch, 0, sizeof(bc_merge_patch_object_t));

    rc = bc_merge_patch_object(&ctx, from, to, &patch, 0);

    free(ctx.members);
    free(ctx.keys);

    if (rc == BC_JSON_PATCH_FAIL
        || (!patch.open && bc_merge_patch_put(&ctx, "{", 1) != 0)
        || bc_merge_patch_put(&ctx, "}", 1) != 0)
    {
        return 0;
    }

    *len = (size_t) (ctx.pos - dst);

    return 1;
}
