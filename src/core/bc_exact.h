
/*
 * Copyright (C) the blockcast authors
 *
 * Exact large integers with a libjq that has only doubles.  In the input of
 * libjq, an integer that a double may not hold exactly is replaced by a string
 * with a mark around its digits; in the output, such a string becomes the
 * integer again.  All functions are safe on any bytes, and none allocates
 * memory.
 *
 * A string from the node never becomes a number.  The mark is made from random
 * bits for each run of a program, after the strings have arrived, and does not
 * occur in any of them; it is removed only where it is complete, around the
 * digits it was made for.  The author of the strings cannot know it.
 */

#ifndef _BC_EXACT_H_INCLUDED_
#define _BC_EXACT_H_INCLUDED_


#include "bc_span.h"


/* five private-use characters of planes 15 and 16 (sizes in bytes) */

#define BC_EXACT_START    16
#define BC_EXACT_END      4
#define BC_EXACT_RANDOM   20

typedef struct {
    uint8_t   start[BC_EXACT_START];
    uint8_t   end[BC_EXACT_END];
    unsigned  alone:1;      /* none of the five occurs in the text */
} bc_exact_mark_t;


/* the sums over all scanned texts; initially all 0 */

typedef struct {
    size_t    integers;     /* to be marked */
    size_t    lone;         /* lone surrogates in \u escapes */
    size_t    grow;         /* bytes that the marks add */
    size_t    depth;        /* a bound: an array is one level, an object two */
} bc_exact_scan_t;


/* Adds the counts of a text to the sums. */

void bc_exact_scan(bc_exact_scan_t *scan, const uint8_t *p, size_t len);


/* Makes a mark from BC_EXACT_RANDOM random bytes. */

void bc_exact_mark(bc_exact_mark_t *mark, const uint8_t *random);


/*
 * Looks for the mark in a text, literally or as \u escapes.  Returns 0 when
 * none of its characters occurs, 2 when the whole sequence that begins a
 * marked integer does, and 1 otherwise.
 */

int bc_exact_occurs(const bc_exact_mark_t *mark, const uint8_t *p,
    size_t len);


/*
 * Writes a text to dst, with its integers marked unless mark is NULL, and with
 * lone surrogates as \ufffd; returns the end.  dst needs len bytes and, with a
 * mark, scan.grow bytes more.
 */

uint8_t *bc_exact_write(const bc_exact_mark_t *mark, uint8_t *dst,
    const uint8_t *p, size_t len);


/*
 * Removes the marks in place, and returns the new length.  A marked string
 * becomes the integer, also in JSON text inside a string; as the name of a
 * member, or as part of a string, it becomes the digits.  The rest of a mark
 * that was cut (libjq does so when it quotes values) is dropped.
 */

size_t bc_exact_unmark(const bc_exact_mark_t *mark, uint8_t *p, size_t len);


#endif /* _BC_EXACT_H_INCLUDED_ */
