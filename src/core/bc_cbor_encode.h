
/*
 * Copyright (C) the blockcast authors
 *
 * Makes CBOR (RFC 8949) of JSON, for the binary subprotocol: it carries the
 * messages of the JSON one (see bc_cbor_decode.h for the way back).
 *
 * Why CBOR: it is an Internet Standard (STD 94), and all that JSON and a
 * chain's numbers need has a place in it, integers of any size included
 * (MessagePack has no specification but its project's and ends at 64 bits).
 * Why libcbor: of the C libraries for it (libcbor, tinycbor, QCBOR) it is the
 * only one in Debian 12, where libfido2 (and so OpenSSH's keys) and fwupd rest
 * on it; it is maintained and fuzzed, and its encoding and streaming decoding
 * functions work item by item on the caller's memory: no tree, no allocation.
 */

#ifndef _BC_CBOR_ENCODE_H_INCLUDED_
#define _BC_CBOR_ENCODE_H_INCLUDED_


#include "bc_span.h"


/*
 * Integers and decimal fractions of more digits, and exponents beyond that,
 * are not expressible: the time to convert grows with the square of the first,
 * and decoders do not take larger ones of the second.
 */

#define BC_CBOR_MAX_DIGITS    1024
#define BC_CBOR_MAX_EXPONENT  999999999999999


/*
 * Encodes a JSON text that passed bc_json_check(), with definite lengths and
 * each item in its shortest form (preferred serialization, RFC 8949, 4.1):
 *
 *   - integers -2^64 … 2^64-1 as such (major types 0 and 1), larger ones
 *     exactly, too: as bignums (tags 2 and 3, RFC 8949, 3.4.3), which decoders
 *     hand out as Python's int or JavaScript's BigInt;
 *   - numbers with a fraction or an exponent, and -0, as the shortest float
 *     that has the value of the nearest double;
 *   - what is larger than any double or, not being 0, nearest to 0, exactly:
 *     as decimal fractions (tag 4, RFC 8949, 3.4.4), Python's Decimal;
 *   - strings decoded; a lone surrogate, which UTF-8 cannot carry, becomes
 *     U+FFFD;
 *   - objects as maps in the order of the text; a key that is there twice
 *     stays so.
 *
 * Returns 0 with the length in *len; -1 when it does not fit in `size`; -2
 * when there is no CBOR for it: a number with more significant digits than
 * BC_CBOR_MAX_DIGITS that is no double's, or one with an exponent beyond
 * BC_CBOR_MAX_EXPONENT.  *len is 0 unless 0 is returned.  A text that was not
 * checked is read safely, and -2 or CBOR that means nothing comes out.
 * Nothing is allocated; about 26K of stack are used.
 */

int bc_cbor_encode(bc_span_t json, uint8_t *dst, size_t size, size_t *len);


/*
 * The same in pieces, for what takes long: begin() returns NULL without
 * memory, step() goes on for `piece` bytes of the text, or to the end of an
 * item that is longer, and returns 1 until it returns what bc_cbor_encode()
 * does.  The text and dst are the caller's, and stay where they are.
 */

typedef struct bc_cbor_encode_s  bc_cbor_encode_t;

bc_cbor_encode_t *bc_cbor_encode_begin(bc_span_t json, uint8_t *dst,
    size_t size);
int bc_cbor_encode_step(bc_cbor_encode_t *e, size_t piece, size_t *len);
void bc_cbor_encode_end(bc_cbor_encode_t *e);


/* Returns the most bytes that a JSON text of that length takes as CBOR. */

size_t bc_cbor_encode_bound(size_t json_len);


#endif /* _BC_CBOR_ENCODE_H_INCLUDED_ */
