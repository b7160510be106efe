
/*
 * Copyright (C) the blockcast authors
 *
 * JSON without a tree: iterators over checked text that hand out the exact
 * bytes of each value, and the escaping of strings; with the strict checker of
 * bc_json_check.h.  Nothing here allocates memory.
 */

#ifndef _BC_JSON_H_INCLUDED_
#define _BC_JSON_H_INCLUDED_


#include "bc_json_check.h"
#include "bc_span.h"


/*
 * Walks over the members of an object or the elements of an array.  What
 * comes out is only right for a text that passed bc_json_check() before, in
 * whole or as a part of a larger value; it is only read and must stay where it
 * is.  On other bytes these functions are safe as well: nothing outside of the
 * value is read, each step advances, and no value is empty.
 */

typedef struct {
    const uint8_t  *pos;
    const uint8_t  *last;
    int             object;
} bc_json_iter_t;


/*
 * Starts at the first member or element.  White space around the value is
 * skipped.  Returns 0, or -1 when the value is not an object / array; the
 * iterator is then empty.
 */

int bc_json_object(bc_json_iter_t *it, bc_span_t value);
int bc_json_array(bc_json_iter_t *it, bc_span_t value);


/*
 * Returns 1 with the next member or element, 0 at the end.  *key is the raw
 * text between the quotes (still escaped), key->data is NULL for arrays;
 * *value is the exact bytes of the value without white space around it.
 */

int bc_json_next(bc_json_iter_t *it, bc_span_t *key, bc_span_t *value);


/*
 * Finds the first member `name` (NUL-terminated UTF-8) of an object.  Keys
 * that contain escapes are compared decoded.  Returns 1 with *value, 0 when
 * there is none or `object` is no object.
 */

int bc_json_member(bc_span_t object, const char *name, bc_span_t *value);


/*
 * Does the same for n names at once, in one pass: values[i] is that of the
 * first member names[i], its data NULL when there is none.
 */

void bc_json_members(bc_span_t object, const char *const *names,
    bc_span_t *values, size_t n);


/*
 * Writes the body of a JSON string (without the quotes) for arbitrary bytes:
 * `"` and `\` escaped, \b \f \n \r \t short, other control characters (C0,
 * DEL and C1) as \u00XX, U+2028 and U+2029 as such escapes, too; each invalid
 * UTF-8 sequence as U+FFFD (EF BF BD).
 *
 * bc_json_escape_len() returns how many bytes bc_json_escape() will write;
 * bc_json_escape() writes them to dst and returns the position after them.
 */

size_t bc_json_escape_len(const uint8_t *s, size_t len);
uint8_t *bc_json_escape(uint8_t *dst, const uint8_t *s, size_t len);


/*
 * Decodes a JSON string value (checked text, with its quotes) to UTF-8.
 * Surrogate pairs are joined, lone surrogates become U+FFFD, \u0000 becomes a
 * NUL byte.  dst is not NUL-terminated.
 *
 * Returns 0 with the number of bytes in *len; -1 when the value is not a
 * string (*len is 0); -2 when it needs more than `size` bytes: dst then holds
 * its longest prefix of whole characters that fits, *len is its length.
 */

int bc_json_string(bc_span_t value, uint8_t *dst, size_t size, size_t *len);


#endif /* _BC_JSON_H_INCLUDED_ */
