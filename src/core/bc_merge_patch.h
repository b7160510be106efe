
/*
 * Copyright (C) the blockcast authors
 *
 * Makes a JSON Merge Patch (RFC 7396) from two texts.
 *
 * It works on spans of the texts, not on a tree: values are copied into the
 * patch byte for byte, so that 18446744073709551615 is not changed.  cJSON
 * could not do that, because its numbers are doubles; and Debian's
 * libcjson-dev lacks cJSON_Utils, which contains its merge patches.
 */

#ifndef _BC_MERGE_PATCH_H_INCLUDED_
#define _BC_MERGE_PATCH_H_INCLUDED_


#include "bc_span.h"


/* the nesting up to which objects and arrays are compared part by part */

#define BC_JSON_PATCH_DEPTH  32


/*
 * Writes to dst the patch that turns `from` into `to` (both passed
 * bc_json_check()), without white space except within copied values.
 *
 * Numbers and strings are equal when their bytes are, arrays when all of their
 * elements are; an array that changed is replaced as a whole.  Objects are
 * equal when they have the same members, in any order; keys are compared
 * decoded.  Members are found by a hash, those in the same order without: the
 * time is linear in the length of both texts (times the nesting).
 *
 * Returns 1 with the length of the patch in *len; the patch is {} when nothing
 * changed.
 *
 * Returns 0, with *len 0 and dst possibly written to, when the patch
 *   - does not fit in `size`; a small `size` asks for a patch only if it
 *     is worth it;
 *   - cannot be expressed: `from` or `to` is not an object, a member becomes
 *     null, or an object that is new or replaces something else contains a
 *     null (outside of arrays): merging would drop these members;
 *   - is refused: an object that changed (outside of arrays) is nested
 *     deeper than BC_JSON_PATCH_DEPTH, has a duplicate key, a key with a
 *     lone surrogate, or keys chosen to collide; or there is no memory
 *     (malloc() is used while it runs).
 */

int bc_merge_patch_diff(bc_span_t from, bc_span_t to, uint8_t *dst,
    size_t size, size_t *len);


#endif /* _BC_MERGE_PATCH_H_INCLUDED_ */
