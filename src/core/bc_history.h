
/*
 * Copyright (C) the blockcast authors
 *
 * The history of numbers over time.  Each member (a number) has rings of slots
 * of a fixed length; a slot has the minimum, mean, maximum and last value in
 * it.
 *
 * A history is one piece of memory of a size known beforehand, without
 * pointers, so that processes can share it and it can outlive them.  There is
 * one writer at a time and any number of readers, without locks.  Completed
 * slots are not rewritten in normal operation.  What still changes, the
 * current slot of each ring, is in a head.  There are two heads: the writer
 * fills the unused one, and one increment of the version word makes it valid.
 * Each slot in a ring contains its own number, so that a writer that dies at
 * any moment leaves the earlier data as it was, and a slot that was never
 * written is a gap.
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

/*
 * the longest time that a value stays in force without a newer one (seconds)
 */
#define BC_HISTORY_HOLD     86400


typedef struct {
    uint32_t             step;          /* of a slot, in seconds */
    uint32_t             nslots;
} bc_history_ring_t;


/*
 * the unused bytes of names are zero, so that shapes can be compared as bytes
 */

typedef struct {
    uint32_t             nrings;
    uint32_t             nmembers;
    bc_history_ring_t    rings[BC_HISTORY_RINGS];
    char                 names[BC_HISTORY_MEMBERS][BC_HISTORY_NAME];
} bc_history_shape_t;


/* one member in one slot; without a value, count and held are 0 */

typedef struct {
    double               min;
    double               max;
    double               sum;
    double               last;
    uint32_t             count;         /* values in the slot */
    uint32_t             held;          /* no value came in the slot: min, max,
                                           sum and last are the previous value,
                                           still in force */
} bc_history_cell_t;


typedef struct {
    bc_history_shape_t   shape;
    volatile uint64_t    version;       /* head number version & 1 is valid */
    volatile uint64_t    recorded;      /* owned by the caller: the history is
                                           saved to a file up to this time */

    /* followed by two heads, then the slots of the rings */
} bc_history_t;


/* Returns the size of a history (bytes). */
size_t bc_history_size(const bc_history_shape_t *shape);

/* Makes an empty history in zeroed memory that is aligned to 8 bytes. */
void bc_history_init(bc_history_t *h, const bc_history_shape_t *shape);

/*
 * The writers.  Each does everything except the increment that makes the
 * change valid, which is bc_history_commit().  Only one process at a time may
 * be between the two calls; if it dies there, nothing has changed.
 *
 * _add() records the values of all members at a time; NaN means no value.
 * They stay in force for `hold` seconds: if the next _add() comes within that
 * time, slots in between without a value of their own get them.
 *
 * _break() records that the last values are no longer in force, because the
 * current ones are unknown.  Returns 0 when they were not in force anyway:
 * there is nothing to commit.
 *
 * _merge() adds the output of bc_history_encode(), of any shape: it takes
 * rings with the same step and members with the same name.  For data that both
 * have, the source that saw more values wins.  Slots later than `now` are left
 * out.  The input need not be trusted.  Returns 0, or -1 when it is damaged:
 * nothing has changed, and there is nothing to commit.
 */
void bc_history_add(bc_history_t *h, uint64_t now, const double *values,
    uint64_t hold);
int bc_history_break(bc_history_t *h);
int bc_history_merge(bc_history_t *h, const uint8_t *p, size_t len,
    uint64_t now);

void bc_history_commit(bc_history_t *h);

/* Tells whether the newest values may still be in force. */
int bc_history_holds(const bc_history_t *h);

/* Returns the time of the newest values, or 0 if there have been none. */
uint64_t bc_history_time(const bc_history_t *h);

/* Returns the number of the last slot of a ring to show at time `now`. */
uint64_t bc_history_last(const bc_history_t *h, uint32_t ring, uint64_t now);

/*
 * Copies a ring to nslots * nmembers cells, slot by slot, oldest first, ending
 * with slot number `last`.  Needs no lock.  Returns 0, or -1 when a writer
 * interfered with each of a hundred attempts.
 */
int bc_history_read(const bc_history_t *h, uint32_t ring, uint64_t last,
    bc_history_cell_t *cells);

/* Returns the mean of a cell that has a value. */
double bc_history_mean(const bc_history_cell_t *cell);

/*
 * Joins n slots of one member into the cell *to: the member's cells in `from`
 * are `stride` cells apart.
 */
void bc_history_join(bc_history_cell_t *to, const bc_history_cell_t *from,
    size_t n, size_t stride);

/*
 * Encodes what may have changed since a time (0: everything) in a form that
 * other versions and shapes can read.  Returns its size in bytes; with p NULL
 * only the size is computed.  To be called by the writer.
 */
size_t bc_history_encode(const bc_history_t *h, uint64_t since, uint8_t *p);

/*
 * Encodes everything in parts, each of which can be merged alone, in their
 * order: *place is zero before the first one.  Returns the size, or 0 after
 * the last one.  A part ends after `max` bytes of slots; p has room for that
 * and BC_HISTORY_PART bytes more.  What is added in between may be in the
 * parts that follow, or not.
 */
typedef struct {
    uint32_t             ring;          /* the next slot to encode */
    uint64_t             slot;
} bc_history_place_t;

#define BC_HISTORY_PART  4096

size_t bc_history_encode_some(const bc_history_t *h,
    bc_history_place_t *place, size_t max, uint8_t *p);


#endif /* _BC_HISTORY_H_INCLUDED_ */
