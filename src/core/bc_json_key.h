
/*
 * Copyright (C) the blockcast authors
 *
 * Keys of log entries: a canonical text for each JSON scalar, however written.
 */

#ifndef _BC_JSON_KEY_H_INCLUDED_
#define _BC_JSON_KEY_H_INCLUDED_


#include "bc_span.h"


/*
 * Entries are told apart by the canonical text of a scalar value.  1, 1.0,
 * 10e-1 and 1e0 become 1, -0 becomes 0, "\u0041" becomes "A"; all digits are
 * kept, however many.  A number with an exponent of more than 18 digits stays
 * as it is written, and so does a lone surrogate.
 *
 * bc_json_key_plain() tells whether a value is in that form already.  If not,
 * bc_json_key() writes it to dst, which has room for
 * BC_JSON_KEY_BOUND(value.len) bytes, and returns its length.  A value that is
 * not a scalar, or was not checked, is copied in some form.
 */

int bc_json_key_plain(bc_span_t value);
size_t bc_json_key(bc_span_t value, uint8_t *dst);

#define BC_JSON_KEY_BOUND(len)  ((len) + 24)


#endif /* _BC_JSON_KEY_H_INCLUDED_ */
