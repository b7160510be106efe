
/*
 * Copyright (C) the blockcast authors
 *
 * Converts CBOR (RFC 8949) to JSON, for messages from clients.
 */

#ifndef _BC_CBOR_DECODE_H_INCLUDED_
#define _BC_CBOR_DECODE_H_INCLUDED_


#include "bc_span.h"


/* the deepest nesting of a client's message */

#define BC_CBOR_MAX_DEPTH     16

/*
 * Decodes a message from a client: exactly one item, made of maps with text
 * keys, arrays, text, integers, finite floats, true, false and null, nested at
 * most BC_CBOR_MAX_DEPTH deep.  Indefinite lengths and items that are not in
 * their shortest form are accepted.  Whole numbers below 2^53 are written as
 * integers even if they were floats (JavaScript encoders send large ones as
 * floats); other floats get the digits needed to restore them, at most 17.
 * Duplicate keys are kept.
 *
 * Returns 0 with JSON without white space that passes bc_json_check(), its
 * length in *out_len; -1 when the message is anything else, or the result does
 * not fit in `size` (BC_CBOR_JSON_BOUND() always suffices).  *out_len is 0
 * then, and *why, if `why` is not NULL, is a constant phrase to follow "the
 * CBOR message ".
 */

int bc_cbor_decode(const uint8_t *p, size_t len, uint8_t *dst, size_t size,
   size_t *out_len, const char **why);

/* worst case: a half float of 3 bytes gives up to 23 characters and a comma */

#define BC_CBOR_JSON_BOUND(len)  ((len) * 8)


#endif /* _BC_CBOR_DECODE_H_INCLUDED_ */
