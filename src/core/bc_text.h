
/*
 * Copyright (C) the blockcast authors
 *
 * Makes text from outside safe for our log lines and messages.
 */

#ifndef _BC_TEXT_H_INCLUDED_
#define _BC_TEXT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * Copies a text to dst so that terminals and logs show it as one line.
 * Control characters (U+0000-001F, U+007F) and the separators U+2028 and
 * U+2029 become spaces; C1 controls (U+0080-009F) and invalid UTF-8 sequences
 * become U+FFFD.  The result is cut after the last whole character within
 * `size` bytes.
 *
 * Returns the number of bytes written; they are not NUL-terminated.
 */

size_t bc_text_print(uint8_t *dst, size_t size, const uint8_t *p, size_t len);


#endif /* _BC_TEXT_H_INCLUDED_ */
