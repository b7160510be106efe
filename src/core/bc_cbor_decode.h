
/*
 * Copyright (C) the blockcast authors
 *
 * Makes JSON of CBOR (RFC 8949), of messages of clients.
 */

#ifndef _BC_CBOR_DECODE_H_INCLUDED_
#define _BC_CBOR_DECODE_H_INCLUDED_


#include "bc_span.h"


/* How deep a client's message may nest. */

#define BC_CBOR_MAX_DEPTH     16

/*
 * Decodes a message of a client: exactly one item, made of maps with text
 * keys, arrays, text, integers, finite floats, true, false and null, nested
 * at most BC_CBOR_MAX_DEPTH deep.  Indefinite lengths and items that are not
 * in their shortest form are accepted.  Whole numbers below 2^53 come out as
 * integers whatever their type was (JavaScript encoders send them as floats
 * when they are large), other floats with as many digits, 17 at most, as give
 * them back.  A key that is there twice stays so.
 *
 * Returns 0 with JSON without white space that passes bc_json_check(), its
 * length in *out_len; -1 when it is none of this or the result does not fit
 * in `size` (BC_CBOR_JSON_BOUND() always does): *out_len is 0 then, and *why,
 * when `why` is not NULL, a constant phrase that says what is wrong, which
 * reads well after "the CBOR message ".
 */

int bc_cbor_decode(const uint8_t *p, size_t len, uint8_t *dst, size_t size,
   size_t *out_len, const char **why);

/* a half float is 3 bytes, and up to 23 characters and a comma */

#define BC_CBOR_JSON_BOUND(len)  ((len) * 8)


#endif /* _BC_CBOR_DECODE_H_INCLUDED_ */
