
/*
 * Copyright (C) the blockcast authors
 *
 * Around the course of numbers: finding them in JSON, and writing what was
 * kept as JSON and as CSV.
 *
 * A path is "." for the value itself, or steps: .NAME, ."ANY NAME", [N], and
 * [-N], counted from the end.  NAME is of the characters A-Z a-z 0-9 _ $ -.
 */

#ifndef _BC_HISTORY_TEXT_H_INCLUDED_
#define _BC_HISTORY_TEXT_H_INCLUDED_


#include "bc_history.h"
#include "bc_span.h"


/* a longer name in a path is refused (bytes) */
#define BC_HISTORY_KEY  128


typedef struct {
    char           key[BC_HISTORY_KEY];     /* of the first step */
    bc_span_t      rest;                    /* the other steps */
    uint32_t       same;                    /* the first path with that key */
    unsigned       has_key:1;               /* its first step is a name */
} bc_history_path_t;


/*
 * Reads a path, which has to stay where it is.  Returns 0, or -1 with the
 * number of its bytes that are right in *good.
 */
int bc_history_path(bc_history_path_t *path, bc_span_t text, size_t *good);

/* Prepares paths that bc_history_find() reads together: sets their `same`. */
void bc_history_paths(bc_history_path_t *paths, uint32_t n);

/* Returns the last name in a path; len is 0 when it ends with a number. */
bc_span_t bc_history_path_name(bc_span_t text);

/*
 * Finds n numbers, BC_HISTORY_MEMBERS at most, in a JSON text that was checked
 * (any bytes are safe).  NAN: there is none, see bc_history_number().
 */
void bc_history_find(bc_span_t json, const bc_history_path_t *paths,
    uint32_t n, double *values);

/*
 * Returns the number that a JSON value is: a number, or a string of one,
 * decimal without an exponent or hexadecimal like "0x1f".  NAN for everything
 * else, and for what is beyond a double.
 */
double bc_history_number(bc_span_t value);

/*
 * Writes a number in at most BC_HISTORY_NUMBER bytes, and returns its end: an
 * integer up to 2^53 as it is, all others rounded to at least nine digits, or
 * to nine decimals where they are less than 1.
 */
#define BC_HISTORY_NUMBER  32

uint8_t *bc_history_put_number(uint8_t *p, double value);

/*
 * Return the most bytes that cells of a shape need; and write them.  cells is
 * what bc_history_read() gives, of nslots slots.
 *
 * JSON: {"NAME":{"min":[...],"mean":[...],"max":[...],"last":[...],
 * "count":[...]},...}, the oldest first, null (count: 0) where there is
 * nothing.
 *
 * CSV: a line of names, time,NAME_min,NAME_mean,NAME_max,NAME_last,NAME_count
 * and a line for each slot; `from` is the time of the first.
 */
size_t bc_history_bound(const bc_history_shape_t *shape, uint32_t nslots);
uint8_t *bc_history_json(uint8_t *p, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots);
uint8_t *bc_history_csv(uint8_t *p, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots, uint64_t from,
    uint32_t step);


#endif /* _BC_HISTORY_TEXT_H_INCLUDED_ */
