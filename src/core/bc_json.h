
/*
 * Copyright (C) the blockcast authors
 *
 * JSON without a tree: iterators over checked text that return the exact bytes
 * of each value, and functions to escape and decode strings; includes the
 * strict checker of bc_json_check.h.  Nothing here allocates memory.
 */

#ifndef _BC_JSON_H_INCLUDED_
#define _BC_JSON_H_INCLUDED_


#include "bc_json_check.h"
#include "bc_span.h"


/*
 * Iterates over the members of an object or the elements of an array.  The
 * results are correct only for a text that passed bc_json_check() before, as a
 * whole or as part of a larger value; the text must stay in place.  Other
 * bytes are safe, too: nothing outside the value is read, each step advances,
 * and no value is empty.
 */

typedef struct {
    const uint8_t  *pos;
    const uint8_t  *last;
    int             object;
} bc_json_iter_t;


/*
 * Starts before the first member or element; leading white space is skipped.
 * Returns 0, or -1 when the value is not an object / array; the iterator is
 * then empty.
 */

int bc_json_object(bc_json_iter_t *it, bc_span_t value);
int bc_json_array(bc_json_iter_t *it, bc_span_t value);


/*
 * Returns 1 with the next member or element, 0 at the end.  *key is the raw
 * text between the quotes (still escaped), key->data is NULL for arrays;
 * *value is the exact bytes of the value without surrounding white space.
 */

int bc_json_next(bc_json_iter_t *it, bc_span_t *key, bc_span_t *value);


/*
 * Finds the first member `name` (NUL-terminated UTF-8) of an object.  Keys
 * with escapes are compared decoded.  Returns 1 with *value, or 0 when there
 * is none or `object` is not an object.
 */

int bc_json_member(bc_span_t object, const char *name, bc_span_t *value);


/*
 * Does the same for n names in one pass: values[i] is the value of the first
 * member names[i]; its data is NULL when there is none.
 */

void bc_json_members(bc_span_t object, const char *const *names,
    bc_span_t *values, size_t n);


/*
 * Do the same for large values, in pieces.  _pieces_open() starts as
 * bc_json_object() and bc_json_array() do; `open` is '{' or '['.  The other two
 * look at about *len bytes at most, which must not be 0, and reduce *len by
 * what they have looked at.  They return BC_JSON_AGAIN, with *len 0, when there
 * is more: call them again with the same arguments and another *len.
 *
 * _next_piece() is bc_json_next() otherwise; _members_piece() returns 0 when
 * all values are found, or there are no more: values[i].data is NULL at first,
 * and stays so for those without.
 */

#define BC_JSON_AGAIN  -1

typedef struct {
    bc_json_iter_t  it;
    bc_span_t       key;
    const uint8_t  *value;      /* the one that is looked at, or NULL */
    const uint8_t  *pos;        /* in it */
    size_t          depth;      /* of brackets there */
    int             string;     /* it is in a string */
} bc_json_pieces_t;

int bc_json_pieces_open(bc_json_pieces_t *w, bc_span_t value, uint8_t open);
int bc_json_next_piece(bc_json_pieces_t *w, bc_span_t *key, bc_span_t *value,
    size_t *len);
int bc_json_members_piece(bc_json_pieces_t *w, const char *const *names,
    bc_span_t *values, size_t n, size_t *len);


/*
 * Escapes arbitrary bytes for the body of a JSON string (without the quotes):
 * `"` and `\` with a backslash; \b \f \n \r \t in short form; other control
 * characters (C0, DEL and C1), U+2028 and U+2029 as \uXXXX.  Each invalid
 * UTF-8 sequence becomes U+FFFD (EF BF BD).
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
 * as many whole characters as fit, and *len is their length.
 */

int bc_json_string(bc_span_t value, uint8_t *dst, size_t size, size_t *len);


/*
 * Decodes the next character of a string's body in the same way, to out.
 * Returns its length there, 1 to 4, and advances *pos, which must not be at
 * the end.  last: the end of the body, or of the text that it is part of.
 */

size_t bc_json_char(const uint8_t **pos, const uint8_t *last, uint8_t out[4]);


#endif /* _BC_JSON_H_INCLUDED_ */
