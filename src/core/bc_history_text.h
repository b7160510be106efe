
/*
 * Copyright (C) the blockcast authors
 *
 * Finds numbers for a history in JSON, and prints a history as JSON or CSV.
 *
 * A path is "." for the value itself, or a sequence of steps: .NAME, ."ANY
 * NAME", [N], and [-N], which counts from the end.  NAME consists of the
 * characters A-Z a-z 0-9 _ $ -.
 */

#ifndef _BC_HISTORY_TEXT_H_INCLUDED_
#define _BC_HISTORY_TEXT_H_INCLUDED_


#include "bc_history.h"
#include "bc_span.h"


/* paths with a name of this length or more are refused (bytes) */
#define BC_HISTORY_KEY  128


typedef struct {
    char           key[BC_HISTORY_KEY];     /* of the first step */
    bc_span_t      rest;                    /* the other steps */
    uint32_t       same;                    /* the first path with that key */
    unsigned       has_key:1;               /* its first step is a name */
} bc_history_path_t;


/*
 * Parses a path; the text must outlive it.  Returns 0, or -1 with the number
 * of valid bytes at its beginning in *good.
 */
int bc_history_path(bc_history_path_t *path, bc_span_t text, size_t *good);

/* Prepares paths for one bc_history_find(): sets their `same`. */
void bc_history_paths(bc_history_path_t *paths, uint32_t n);

/* Returns the last name in a path; len is 0 when it ends with an index. */
bc_span_t bc_history_path_name(bc_span_t text);

/*
 * Finds n numbers, at most BC_HISTORY_MEMBERS, in a checked JSON text (any
 * bytes are safe).  values[i] is NAN when there is none, see
 * bc_history_number().
 */
void bc_history_find(bc_span_t json, const bc_history_path_t *paths,
    uint32_t n, double *values);

/*
 * Returns the number in a JSON value: the value is a number, or a string that
 * contains one, decimal without an exponent or hexadecimal like "0x1f".
 * Returns NAN for everything else, and for what is too large for a double.
 */
double bc_history_number(bc_span_t value);

/*
 * Writes a number in at most BC_HISTORY_NUMBER bytes, and returns the end:
 * integers up to 2^53 exactly, all others rounded to at least nine digits, or
 * to nine decimals when they are less than 1.
 */
#define BC_HISTORY_NUMBER  32

uint8_t *bc_history_put_number(uint8_t *p, double value);

/*
 * The first returns the most bytes that nslots slots of a shape need as text;
 * the others write them, and return the end.  cells is the result of
 * bc_history_read().
 *
 * JSON: {"NAME":{"min":[...],"mean":[...],"max":[...],"last":[...],
 * "count":[...]},...}, oldest first, null (count: 0) for a gap.
 *
 * CSV: a line of names, time,NAME_min,NAME_mean,NAME_max,NAME_last,NAME_count
 * and a line for each slot; `from` is the time of the first one.
 */
size_t bc_history_bound(const bc_history_shape_t *shape, uint32_t nslots);
uint8_t *bc_history_json(uint8_t *p, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots);
uint8_t *bc_history_csv(uint8_t *p, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots, uint64_t from,
    uint32_t step);

/*
 * The same in pieces: _some() writes up to n of w->left values.  It is called
 * until there are none left; shape and cells are used until then.  There is at
 * least one slot and one member.
 */
typedef struct {
    const bc_history_shape_t  *shape;
    const bc_history_cell_t   *cells;
    size_t                     left;
    uint64_t                   from;
    uint32_t                   step;
    uint32_t                   nslots;

    /* the next value */
    uint32_t                   slot;
    uint32_t                   member;
    int                        column;

    unsigned                   csv:1;
    unsigned                   begun:1;
} bc_history_writer_t;

void bc_history_write_json(bc_history_writer_t *w,
    const bc_history_shape_t *shape, const bc_history_cell_t *cells,
    uint32_t nslots);
void bc_history_write_csv(bc_history_writer_t *w,
    const bc_history_shape_t *shape, const bc_history_cell_t *cells,
    uint32_t nslots, uint64_t from, uint32_t step);
uint8_t *bc_history_write_some(bc_history_writer_t *w, uint8_t *p, size_t n);


#endif /* _BC_HISTORY_TEXT_H_INCLUDED_ */
