
/*
 * Copyright (C) the blockcast authors
 *
 * UTF-8 (RFC 3629) validation that can be resumed at any byte.
 */

#ifndef _BC_UTF8_H_INCLUDED_
#define _BC_UTF8_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define BC_UTF8_START  0


/*
 * Validates the next piece of a text.  *state is BC_UTF8_START before the
 * first piece; after that it belongs to the validator.
 *
 * Returns 0 while the text so far can be the beginning of valid UTF-8, -1 as
 * soon as it cannot: overlong forms, surrogates and code points over U+10FFFF
 * are detected at the earliest byte that proves them.  After -1 all further
 * calls fail.
 */

int bc_utf8_feed(uint32_t *state, const uint8_t *p, size_t len);


/* Tells whether the text may end here: no sequence is incomplete or bad. */

#define bc_utf8_done(state)  ((state) == BC_UTF8_START)


/*
 * Returns the length of the valid sequence at p, 1 to 4, or 0 when the bytes
 * at p (len of them, at least 1) do not start with one.  *bad, when not NULL
 * and the result is 0, is the number of bytes to replace by one U+FFFD: the
 * maximal subpart of an ill-formed sequence (Unicode 3.9), at least 1.
 */

size_t bc_utf8_sequence(const uint8_t *p, size_t len, size_t *bad);


#endif /* _BC_UTF8_H_INCLUDED_ */
