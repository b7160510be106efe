
/*
 * Copyright (C) the blockcast authors
 *
 * Keys of log entries: one text for all ways to write a JSON scalar.
 */

#ifndef _BC_JSON_KEY_H_INCLUDED_
#define _BC_JSON_KEY_H_INCLUDED_


#include "bc_span.h"


/*
 * Tells entries apart by the text that all ways to write one scalar value have
 * in common.  1, 1.0, 10e-1 and 1e0 are 1, -0 is 0, "\u0041" is "A";
 * digits are kept however many they are.  A number with an exponent of more
 * than 18 digits stays as it is written, and so does a lone surrogate.
 *
 * bc_json_key_plain() tells that a value is that text already.  Otherwise
 * bc_json_key() writes it to dst, where there must be room for
 * BC_JSON_KEY_BOUND(value.len) bytes, and returns its length.  A value that
 * is no scalar, or was not checked, is copied in one way or another.
 */

int bc_json_key_plain(bc_span_t value);
size_t bc_json_key(bc_span_t value, uint8_t *dst);

#define BC_JSON_KEY_BOUND(len)  ((len) + 24)


#endif /* _BC_JSON_KEY_H_INCLUDED_ */
