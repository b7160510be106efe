
/*
 * Copyright (C) the blockcast authors
 *
 * Converts JSON to CBOR (RFC 8949) for the binary subprotocol, which carries
 * the same messages as the JSON one (bc_cbor_decode.h does the reverse).
 *
 * Why CBOR: it is an Internet Standard (STD 94), and it can express all that
 * JSON and the numbers of a chain need, including integers of any size
 * (MessagePack is specified only by its own project, and ends at 64 bits).
 * Why libcbor: of the C libraries for it (libcbor, tinycbor, QCBOR) it is the
 * only one in Debian 12, where libfido2 (and so OpenSSH's keys) and fwupd
 * depend on it.  It is maintained and fuzzed, and its functions for encoding
 * and streaming decoding work item by item on the caller's memory: no tree, no
 * allocation.
 */

#ifndef _BC_CBOR_ENCODE_H_INCLUDED_
#define _BC_CBOR_ENCODE_H_INCLUDED_


#include "bc_span.h"


/*
 * Integers and decimal fractions with more digits, and larger exponents, are
 * refused: the conversion time grows with the square of the digits, and
 * decoders do not accept larger exponents.
 */

#define BC_CBOR_MAX_DIGITS    1024
#define BC_CBOR_MAX_EXPONENT  999999999999999


/*
 * Encodes a JSON text that passed bc_json_check(), with definite lengths and
 * each item in its shortest form (preferred serialization, RFC 8949, 4.1):
 *
 *   - integers -2^64 … 2^64-1 as such (major types 0 and 1); larger ones
 *     exactly, too, as bignums (tags 2 and 3, RFC 8949, 3.4.3), which
 *     decoders return as Python's int or JavaScript's BigInt;
 *   - numbers with a fraction or an exponent, and -0, as the shortest float
 *     that has the value of the nearest double;
 *   - numbers too large for a double, or so small that the nearest double
 *     is 0, exactly: as decimal fractions (tag 4, RFC 8949, 3.4.4),
 *     Python's Decimal;
 *   - strings decoded; a lone surrogate, which UTF-8 cannot express, becomes
 *     U+FFFD;
 *   - objects as maps in the order of the text; duplicate keys are kept.
 *
 * Returns 0 with the length in *len; -1 when it does not fit in `size`; -2
 * when it cannot be encoded: because of a number out of the range of doubles
 * with more significant digits than BC_CBOR_MAX_DIGITS, or with an exponent
 * beyond BC_CBOR_MAX_EXPONENT.  *len is 0 unless 0 is returned.  A text that
 * was not checked is read safely; the result is -2 or meaningless CBOR.
 * Nothing is allocated; about 26K of stack are used.
 */

int bc_cbor_encode(bc_span_t json, uint8_t *dst, size_t size, size_t *len);


/*
 * The same in steps, for long texts.  begin() returns NULL when there is no
 * memory.  step() processes `piece` bytes of the text, or more up to the end
 * of a number or a character; it returns 1 when there is more to do, otherwise
 * what bc_cbor_encode() does.  The text and dst belong to the caller, and must
 * not move until end().
 */

typedef struct bc_cbor_encode_s  bc_cbor_encode_t;

bc_cbor_encode_t *bc_cbor_encode_begin(bc_span_t json, uint8_t *dst,
    size_t size);
int bc_cbor_encode_step(bc_cbor_encode_t *e, size_t piece, size_t *len);
void bc_cbor_encode_end(bc_cbor_encode_t *e);


/* Returns the maximum size as CBOR of a JSON text of that length (bytes). */

size_t bc_cbor_encode_bound(size_t json_len);


#endif /* _BC_CBOR_ENCODE_H_INCLUDED_ */
