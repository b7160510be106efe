
/*
 * Copyright (C) the blockcast authors
 *
 * The course of numbers over time: for each of some members, rings of slots of
 * a fixed length with the least, mean, greatest and last value in it.
 *
 * All is in one piece of memory of a size known beforehand, without pointers,
 * so that it can be shared by processes and outlive them.  One writer at a
 * time, at any number of readers, without locks.  The slots that are over are
 * never written again.  What still changes, the slot under way of each ring,
 * is in a head, of which there are two: the writer fills the one that is not
 * in use, and one increment of the version word puts it into force.  Each slot
 * in a ring says which one it is, so that a writer which dies at any moment
 * leaves what was there before, and what was never written is a gap.
 *
 * Times are Unix seconds.  Slot number n begins at n * step.
 */

#ifndef _BC_HISTORY_H_INCLUDED_
#define _BC_HISTORY_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "bc_span.h"


#define BC_HISTORY_MEMBERS  32
#define BC_HISTORY_RINGS    8
#define BC_HISTORY_SLOTS    4096        /* of a ring */
#define BC_HISTORY_NAME     64          /* of a member, with a NUL */

/* the longest time that a value holds without another (seconds) */
#define BC_HISTORY_HOLD     86400


typedef struct {
    uint32_t             step;          /* of a slot, in seconds */
    uint32_t             nslots;
} bc_history_ring_t;


/* the unused rest of names is zero, so that shapes can be compared as bytes */

typedef struct {
    uint32_t             nrings;
    uint32_t             nmembers;
    bc_history_ring_t    rings[BC_HISTORY_RINGS];
    char                 names[BC_HISTORY_MEMBERS][BC_HISTORY_NAME];
} bc_history_shape_t;


/* a member in a slot; without a value count and held are 0 */

typedef struct {
    double               min;
    double               max;
    double               sum;
    double               last;
    uint32_t             count;         /* of values in it */
    uint32_t             held;          /* there was none: the one before was
                                           still in force, which all four
                                           are */
} bc_history_cell_t;


typedef struct {
    bc_history_shape_t   shape;
    volatile uint64_t    version;       /* head number version & 1 is valid */
    volatile uint64_t    recorded;      /* the caller's: up to which time this
                                           was written to a file */

    /* then: two heads, the slots of the rings */
} bc_history_t;


/* Returns the bytes of a history. */
size_t bc_history_size(const bc_history_shape_t *shape);

/* Makes an empty history of memory that is zero, aligned to 8 bytes. */
void bc_history_init(bc_history_t *h, const bc_history_shape_t *shape);

/*
 * The writers.  Each does all but the increment that puts it into force, which
 * is bc_history_commit().  Only one process at a time may be between the two;
 * when it ends there, nothing has happened.
 *
 * _add() notes the values of all members at a time; NaN: there is none.  They
 * hold for `hold` seconds: slots up to the next _add() which have no value of
 * their own get it, if that comes in time.
 *
 * _break() notes that they do not hold any more, for it is not known what they
 * are.  Returns 0 when they did not: there is nothing to commit.
 *
 * _merge() adds what was written by bc_history_encode(), of any shape: rings
 * of the same step and members of the same name; what both have comes from
 * where more values were seen.  Slots beyond `now` are left out.  Any bytes
 * may be given.  Returns 0, or -1 when they are damaged: nothing has happened,
 * and there is nothing to commit.
 */
void bc_history_add(bc_history_t *h, uint64_t now, const double *values,
    uint64_t hold);
int bc_history_break(bc_history_t *h);
int bc_history_merge(bc_history_t *h, const uint8_t *p, size_t len,
    uint64_t now);

void bc_history_commit(bc_history_t *h);

/* Tells whether the newest values may still be in force. */
int bc_history_holds(const bc_history_t *h);

/* Returns the time of the newest values, 0: there were none. */
uint64_t bc_history_time(const bc_history_t *h);

/* Returns the number of the last slot of a ring as it is shown at a time. */
uint64_t bc_history_last(const bc_history_t *h, uint32_t ring, uint64_t now);

/*
 * Copies a ring to nslots * nmembers cells, slot by slot, the oldest first, up
 * to number `last`.  Needs no lock.  Returns 0, or -1 when writers were faster
 * a hundred times.
 */
int bc_history_read(const bc_history_t *h, uint32_t ring, uint64_t last,
    bc_history_cell_t *cells);

/* Returns the mean of a cell that has a value. */
double bc_history_mean(const bc_history_cell_t *cell);

/*
 * Joins n slots of one member into the cell *to: its cells in `from` are
 * `stride` cells apart.
 */
void bc_history_join(bc_history_cell_t *to, const bc_history_cell_t *from,
    size_t n, size_t stride);

/*
 * Writes what may have changed since a time, 0: all there is, in a form that
 * other versions and shapes can read.  Returns its size in bytes; p is NULL to
 * learn that.  For the writer.
 */
size_t bc_history_encode(const bc_history_t *h, uint64_t since, uint8_t *p);


#endif /* _BC_HISTORY_H_INCLUDED_ */
