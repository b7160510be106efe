
/*
 * Copyright (C) the blockcast authors
 *
 * Checks JSON strictly (RFC 8259).
 */

#ifndef _BC_JSON_CHECK_H_INCLUDED_
#define _BC_JSON_CHECK_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* The deepest nesting that can be asked for: larger max_depth is cut to it. */

#define BC_JSON_MAX_DEPTH  1024


/*
 * Checks that p[0..len) is exactly one JSON value with optional white space
 * around it: RFC 8259 to the letter, including the UTF-8 of strings.  A value
 * of `max_depth` nested arrays and objects passes, one level more does not
 * (0: scalars only).  Lone surrogates in \u escapes are allowed, as the
 * grammar allows them.  Iterative, 128 bytes of stack.
 *
 * Returns 0, or -1 with the offset of the first byte that cannot be right in
 * *err_off (for bad UTF-8 that of the whole sequence, for nesting that of the
 * bracket; len: the text ends too early); err_off may be NULL.
 */

int bc_json_check(const uint8_t *p, size_t len, unsigned max_depth,
    size_t *err_off);


/*
 * Checks the same; on -1 *why is a constant phrase that reads well
 * before "at offset N" ("unexpected byte", "unexpected end", "invalid UTF-8",
 * "nested too deeply").
 */

int bc_json_check_why(const uint8_t *p, size_t len, unsigned max_depth,
    size_t *err_off, const char **why);


#endif /* _BC_JSON_CHECK_H_INCLUDED_ */
