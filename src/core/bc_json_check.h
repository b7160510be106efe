
/*
 * Copyright (C) the blockcast authors
 *
 * Checks JSON strictly (RFC 8259).
 */

#ifndef _BC_JSON_CHECK_H_INCLUDED_
#define _BC_JSON_CHECK_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* the deepest nesting possible; a larger max_depth is reduced to it */

#define BC_JSON_MAX_DEPTH  1024


/*
 * Checks that p[0..len) is exactly one JSON value with optional white space
 * around it, strictly by RFC 8259, including the UTF-8 of strings.  A value of
 * `max_depth` nested arrays and objects is accepted, one level more is not (0:
 * scalars only).  Lone surrogates in \u escapes are allowed, as the grammar
 * allows them.  Iterative, 128 bytes of stack.
 *
 * Returns 0, or -1 with the offset of the first byte that cannot be right in
 * *err_off.  That is the first byte of a bad UTF-8 sequence, the bracket that
 * is nested too deeply, or len when the text ends too early.  err_off may be
 * NULL.
 */

int bc_json_check(const uint8_t *p, size_t len, unsigned max_depth,
    size_t *err_off);


/*
 * Does the same; on -1 *why is a constant phrase to precede "at offset N":
 * "unexpected byte", "unexpected end", "invalid UTF-8" or "nested too deeply".
 */

int bc_json_check_why(const uint8_t *p, size_t len, unsigned max_depth,
    size_t *err_off, const char **why);


#endif /* _BC_JSON_CHECK_H_INCLUDED_ */
