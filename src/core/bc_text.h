
/*
 * Copyright (C) the blockcast authors
 *
 * Makes text from outside fit for our log lines and messages.
 */

#ifndef _BC_TEXT_H_INCLUDED_
#define _BC_TEXT_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/*
 * Copies what can be shown to dst: a line that a terminal and a log take as
 * one.  Control characters (U+0000-001F, U+007F) and the separators U+2028 and
 * U+2029 become spaces, C1 controls (U+0080-009F) and each invalid UTF-8
 * sequence U+FFFD; the text is cut between two characters at `size` bytes.
 *
 * Returns the number of bytes written; there is no NUL behind them.
 */

size_t bc_text_print(uint8_t *dst, size_t size, const uint8_t *p, size_t len);


#endif /* _BC_TEXT_H_INCLUDED_ */
