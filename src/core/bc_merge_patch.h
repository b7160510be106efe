
/*
 * Copyright (C) the blockcast authors
 *
 * JSON Merge Patch (RFC 7396) between two texts.
 *
 * Works on spans of the texts and not on a tree: what goes into a patch is
 * copied byte for byte, so that 18446744073709551615 stays what it is.  cJSON
 * could not do that, its numbers are doubles; besides, Debian's libcjson-dev
 * comes without cJSON_Utils, which has cJSON's merge patches.
 */

#ifndef _BC_MERGE_PATCH_H_INCLUDED_
#define _BC_MERGE_PATCH_H_INCLUDED_


#include "bc_span.h"


/* Objects and arrays nested up to here are compared part by part. */

#define BC_JSON_PATCH_DEPTH  32


/*
 * Writes the patch that makes `to` of `from` (both passed bc_json_check()) to
 * dst, without white space except within values it copies.
 *
 * Numbers and strings are the same when their bytes are, arrays when all of
 * their elements are; an array that changed is replaced as a whole.  Objects
 * are the same when they have the same members, in any order; keys compare
 * decoded.  Members are found by a hash, those in the same order without: the
 * time is linear in the length of both texts (times the nesting).
 *
 * Returns 1 with the length of the patch in *len, {} when nothing changed.
 *
 * Returns 0, *len is 0 then and dst may have been written to, when the patch
 *   - does not fit in `size`, which is how to ask for "only when smaller";
 *   - cannot be expressed: `from` or `to` is not an object, a member becomes
 *     null, or an object that is new or takes the place of something else
 *     holds a null (outside of arrays): merging would drop these members;
 *   - is not to be made: an object that changed (outside of arrays) is nested
 *     deeper than BC_JSON_PATCH_DEPTH, has a key twice, a key with a lone
 *     surrogate, or keys chosen to collide; or there is no memory (some is
 *     taken from malloc() while it runs).
 */

int bc_merge_patch_diff(bc_span_t from, bc_span_t to, uint8_t *dst,
    size_t size, size_t *len);


#endif /* _BC_MERGE_PATCH_H_INCLUDED_ */
