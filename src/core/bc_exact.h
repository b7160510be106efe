
/*
 * Copyright (C) the blockcast authors
 *
 * Large integers for a libjq that has only doubles.  In the text that it is
 * given, an integer that a double may not hold is a string with a mark around
 * its digits; in the text that comes from it, such a string is the integer
 * again.  All functions are safe on any bytes.  Nothing here allocates memory.
 *
 * A string of the node's never becomes a number: the mark is made of random
 * bits for each run of a program, when the strings are already there, it is
 * not in any of them, and it is taken off only where it is complete, around
 * the digits it was made for.  Who writes the strings cannot know it.
 */

#ifndef _BC_EXACT_H_INCLUDED_
#define _BC_EXACT_H_INCLUDED_


#include "bc_span.h"


/*
 * five characters of the planes 15 and 16, which are for private use
 * (bytes)
 */

#define BC_EXACT_START    16
#define BC_EXACT_END      4
#define BC_EXACT_RANDOM   20

typedef struct {
    uint8_t   start[BC_EXACT_START];
    uint8_t   end[BC_EXACT_END];
    unsigned  alone:1;      /* none of the five is in the text */
} bc_exact_mark_t;


/* the sums over all texts that were scanned; all 0 at first */

typedef struct {
    size_t    integers;     /* to be marked */
    size_t    lone;         /* surrogates in \u escapes that have no partner */
    size_t    grow;         /* bytes that the marks add */
    size_t    depth;        /* of arrays, and of objects twice: a bound */
} bc_exact_scan_t;


/* Adds what a text has to the sums. */

void bc_exact_scan(bc_exact_scan_t *scan, const uint8_t *p, size_t len);


/* Makes a mark of BC_EXACT_RANDOM random bytes. */

void bc_exact_mark(bc_exact_mark_t *mark, const uint8_t *random);


/*
 * Looks for the mark in a text, as it is or in \u escapes.  Returns 0 when no
 * character of it is there, 2 when the whole sequence is that begins a marked
 * integer, and 1 for anything between.
 */

int bc_exact_occurs(const bc_exact_mark_t *mark, const uint8_t *p,
    size_t len);


/*
 * Writes a text to dst with its integers marked (mark is not NULL) and its
 * lone surrogates as \ufffd, and returns the position after it.  It needs
 * len bytes and, with a mark, scan.grow bytes more.
 */

uint8_t *bc_exact_write(const bc_exact_mark_t *mark, uint8_t *dst,
    const uint8_t *p, size_t len);


/*
 * Takes the marks off, in place, and returns the new length.  A marked string
 * becomes the integer, also in JSON text inside of a string; as the name of a
 * member, or as a part of a string, it becomes the digits.  What is left of a
 * mark that was cut (libjq does so when it quotes values) is dropped.
 */

size_t bc_exact_unmark(const bc_exact_mark_t *mark, uint8_t *p, size_t len);


#endif /* _BC_EXACT_H_INCLUDED_ */
