
/*
 * Copyright (C) the blockcast authors
 *
 * The history of numbers over time, see bc_history.h.
 *
 * Encoded form, little-endian, sizes in bytes:
 *
 *     "BCHIST1\n" time:8 until:8 nmembers:1 nrings:1
 *     member      len:1 name, its value at that time: a double:8
 *     ring        step:4 nslots:4, then each slot: number:8, and for each
 *                 member what:1, which is 0: nothing; 1: count:4 and one
 *                 double, equal to all values; 2: count:4 min max sum last;
 *                 3: a double that was held
 */


#include <math.h>
#include <stdatomic.h>
#include <string.h>

#include "bc_history.h"


#define BC_HISTORY_MAGIC   "BCHIST1\n"
#define BC_HISTORY_HEADER  26

#define BC_HISTORY_NONE    0
#define BC_HISTORY_ONE     1
#define BC_HISTORY_ALL     2
#define BC_HISTORY_HELD    3


typedef struct {
    uint64_t             time;          /* of the newest values; 0: never */
    uint64_t             until;         /* they are in force up to here; 0:
                                           not */
    uint64_t             open[BC_HISTORY_RINGS];    /* number of the slot */
    double               values[BC_HISTORY_MEMBERS];

    /* followed by nrings * nmembers cells of the current slots */
} bc_history_head_t;


typedef struct {
    volatile uint64_t    tag;           /* number of the slot + 1, or 0 */

    /* followed by nmembers cells */
} bc_history_row_t;


/* the state of reading an encoded history */

typedef struct {
    const uint8_t       *pos;
    const uint8_t       *last;
    int                  bad;
} bc_history_in_t;


/* its contents, filled while it is read */

typedef struct {
    uint64_t             time;
    uint64_t             until;
    uint32_t             nmembers;
    uint32_t             nrings;
    int                  member[256];   /* our index of the member, or -1 */
    double               values[256];
} bc_history_file_t;


static size_t
bc_history_head_size(const bc_history_shape_t *shape)
{
    return sizeof(bc_history_head_t)
           + (size_t) shape->nrings * shape->nmembers
             * sizeof(bc_history_cell_t);
}


static size_t
bc_history_row_size(const bc_history_shape_t *shape)
{
    return sizeof(bc_history_row_t)
           + shape->nmembers * sizeof(bc_history_cell_t);
}


size_t
bc_history_size(const bc_history_shape_t *shape)
{
    size_t    size;
    uint32_t  r;

    size = sizeof(bc_history_t) + 2 * bc_history_head_size(shape);

    for (r = 0; r < shape->nrings; r++) {
        size += shape->rings[r].nslots * bc_history_row_size(shape);
    }

    return size;
}


void
bc_history_init(bc_history_t *h, const bc_history_shape_t *shape)
{
    memcpy(&h->shape, shape, sizeof(bc_history_shape_t));
}


static bc_history_head_t *
bc_history_head(const bc_history_t *h, uint64_t version)
{
    return (bc_history_head_t *)
               ((uint8_t *) h + sizeof(bc_history_t)
                + (version & 1) * bc_history_head_size(&h->shape));
}


/* Returns the cells of a ring's current slot. */

static bc_history_cell_t *
bc_history_open(const bc_history_t *h, bc_history_head_t *head, uint32_t r)
{
    return (bc_history_cell_t *) (head + 1) + (size_t) r * h->shape.nmembers;
}


/* Returns where slot number n of a ring is stored. */

static bc_history_row_t *
bc_history_row(const bc_history_t *h, uint32_t r, uint64_t n)
{
    uint8_t   *p;
    size_t     size;
    uint32_t   i;

    p = (uint8_t *) h + sizeof(bc_history_t)
        + 2 * bc_history_head_size(&h->shape);
    size = bc_history_row_size(&h->shape);

    for (i = 0; i < r; i++) {
        p += h->shape.rings[i].nslots * size;
    }

    return (bc_history_row_t *) (p + n % h->shape.rings[r].nslots * size);
}


static bc_history_cell_t *
bc_history_cells(bc_history_row_t *row)
{
    return (bc_history_cell_t *) (row + 1);
}


static int
bc_history_has(const bc_history_cell_t *cell)
{
    return cell->count != 0 || cell->held != 0;
}


/*
 * Writes slot number n over one that no longer belongs to the ring.  The tag
 * is 0 while the cells change, so that a reader never takes half of a slot.
 */

static void
bc_history_write(bc_history_t *h, uint32_t r, uint64_t n,
    const bc_history_cell_t *cells)
{
    bc_history_row_t  *row;

    row = bc_history_row(h, r, n);

    row->tag = 0;
    atomic_thread_fence(memory_order_seq_cst);

    memcpy(bc_history_cells(row), cells,
           h->shape.nmembers * sizeof(bc_history_cell_t));

    atomic_thread_fence(memory_order_seq_cst);
    row->tag = n + 1;
}


/* Fills the slots from..to - 1 with the values, which were still in force. */

static void
bc_history_hold(bc_history_t *h, uint32_t r, uint64_t from, uint64_t to,
    const double *values)
{
    uint32_t            m, any;
    bc_history_cell_t   cells[BC_HISTORY_MEMBERS];

    memset(cells, 0, sizeof(cells));
    any = 0;

    for (m = 0; m < h->shape.nmembers; m++) {

        if (isnan(values[m])) {
            continue;
        }

        cells[m].min = values[m];
        cells[m].max = values[m];
        cells[m].sum = values[m];
        cells[m].last = values[m];
        cells[m].held = 1;
        any = 1;
    }

    if (to - from >= h->shape.rings[r].nslots) {
        from = to - h->shape.rings[r].nslots + 1;
    }

    for ( /* void */ ; any && from < to; from++) {
        bc_history_write(h, r, from, cells);
    }
}


/*
 * Goes back to slot number n after the clock was set back: the slots after it
 * have not happened yet.
 */

static void
bc_history_back(bc_history_t *h, bc_history_head_t *head, uint32_t r,
    uint64_t n)
{
    size_t              size;
    uint64_t            i;
    bc_history_row_t   *row;
    bc_history_cell_t  *open;

    open = bc_history_open(h, head, r);
    size = h->shape.nmembers * sizeof(bc_history_cell_t);

    row = bc_history_row(h, r, n);

    if (row->tag == n + 1) {
        memcpy(open, bc_history_cells(row), size);

    } else {
        memset(open, 0, size);
    }

    for (i = 0; i < h->shape.rings[r].nslots; i++) {
        row = bc_history_row(h, r, i);

        if (row->tag > n) {
            row->tag = 0;
        }
    }

    head->open[r] = n;
}


/* Makes slot number n the current one, and stores the previous one. */

static void
bc_history_turn(bc_history_t *h, bc_history_head_t *head, uint32_t r,
    uint64_t n)
{
    bc_history_cell_t  *open;

    open = bc_history_open(h, head, r);

    if (head->time != 0) {
        bc_history_write(h, r, head->open[r], open);
    }

    memset(open, 0, h->shape.nmembers * sizeof(bc_history_cell_t));
    head->open[r] = n;
}


static void
bc_history_value(bc_history_cell_t *cell, double value)
{
    if (isnan(value) || cell->count == UINT32_MAX) {
        return;
    }

    if (cell->count == 0) {
        cell->min = value;
        cell->max = value;
        cell->sum = 0;
    }

    cell->min = (value < cell->min) ? value : cell->min;
    cell->max = (value > cell->max) ? value : cell->max;
    cell->sum += value;
    cell->last = value;
    cell->count++;
    cell->held = 0;
}


/* Copies the valid head to the unused one, and returns the latter. */

static bc_history_head_t *
bc_history_next(bc_history_t *h)
{
    bc_history_head_t  *head;

    head = bc_history_head(h, h->version + 1);

    memcpy(head, bc_history_head(h, h->version),
           bc_history_head_size(&h->shape));

    return head;
}


void
bc_history_add(bc_history_t *h, uint64_t now, const double *values,
    uint64_t hold)
{
    uint64_t            n, before;
    uint32_t            r, m;
    bc_history_head_t  *head;

    head = bc_history_next(h);

    for (r = 0; r < h->shape.nrings; r++) {

        n = now / h->shape.rings[r].step;
        before = head->open[r];

        if (head->time == 0 || n > before) {
            bc_history_turn(h, head, r, n);

            if (head->time != 0 && now <= head->until) {
                bc_history_hold(h, r, before + 1, n, head->values);
            }

        } else if (n + 1 < before) {
            bc_history_back(h, head, r, n);
        }

        for (m = 0; m < h->shape.nmembers; m++) {
            bc_history_value(&bc_history_open(h, head, r)[m], values[m]);
        }
    }

    head->time = (now != 0) ? now : 1;
    head->until = now + ((hold < BC_HISTORY_HOLD) ? hold : BC_HISTORY_HOLD);

    memcpy(head->values, values, h->shape.nmembers * sizeof(double));
}


int
bc_history_break(bc_history_t *h)
{
    if (!bc_history_holds(h)) {
        return 0;
    }

    bc_history_next(h)->until = 0;

    return 1;
}


int
bc_history_holds(const bc_history_t *h)
{
    return bc_history_head(h, h->version)->until != 0;
}


void
bc_history_commit(bc_history_t *h)
{
    atomic_thread_fence(memory_order_seq_cst);
    h->version++;
}


uint64_t
bc_history_time(const bc_history_t *h)
{
    return bc_history_head(h, h->version)->time;
}


uint64_t
bc_history_last(const bc_history_t *h, uint32_t ring, uint64_t now)
{
    uint64_t            n, open;
    bc_history_head_t  *head;

    head = bc_history_head(h, h->version);
    open = head->open[ring];
    n = now / h->shape.rings[ring].step;

    /* the writer's clock may be a moment ahead */

    return (head->time != 0 && open == n + 1) ? open : n;
}


/* Copies a slot from the ring, or zeros when the ring does not have it. */

static void
bc_history_copy(const bc_history_t *h, uint32_t r, uint64_t n,
    bc_history_cell_t *cells)
{
    size_t             size;
    bc_history_row_t  *row;

    row = bc_history_row(h, r, n);
    size = h->shape.nmembers * sizeof(bc_history_cell_t);

    if (row->tag == n + 1) {
        atomic_thread_fence(memory_order_seq_cst);
        memcpy(cells, bc_history_cells(row), size);
        atomic_thread_fence(memory_order_seq_cst);
    }

    if (row->tag != n + 1) {
        memset(cells, 0, size);
    }
}


int
bc_history_read(const bc_history_t *h, uint32_t ring, uint64_t last,
    bc_history_cell_t *cells)
{
    int                 try;
    uint64_t            version, n, first;
    uint32_t            i, nslots, nmembers;
    bc_history_head_t  *head;

    nslots = h->shape.rings[ring].nslots;
    nmembers = h->shape.nmembers;
    first = last - nslots + 1;

    for (try = 0; try < 100; try++) {

        version = h->version;
        atomic_thread_fence(memory_order_seq_cst);

        head = bc_history_head(h, version);

        for (i = 0; i < nslots; i++) {
            n = first + i;

            if (head->time != 0 && n == head->open[ring]) {
                memcpy(cells + (size_t) i * nmembers,
                       bc_history_open(h, head, ring),
                       nmembers * sizeof(bc_history_cell_t));

            } else {
                bc_history_copy(h, ring, n, cells + (size_t) i * nmembers);
            }
        }

        atomic_thread_fence(memory_order_seq_cst);

        if (h->version == version) {
            return 0;
        }
    }

    return -1;
}


double
bc_history_mean(const bc_history_cell_t *cell)
{
    double  mean;

    if (cell->count == 0) {
        return cell->last;
    }

    mean = cell->sum / cell->count;

    /* rounding of the sum must not move the mean out of the range */

    return (mean < cell->min) ? cell->min
           : (mean > cell->max) ? cell->max : mean;
}


void
bc_history_join(bc_history_cell_t *to, const bc_history_cell_t *from,
    size_t n, size_t stride)
{
    size_t                    i;
    uint64_t                  count;
    const bc_history_cell_t  *cell;

    memset(to, 0, sizeof(bc_history_cell_t));

    for (i = 0; i < n; i++) {
        cell = &from[i * stride];

        if (cell->count == 0) {

            /* a held value counts only if there are no real ones */

            if (to->count == 0 && cell->held) {
                *to = *cell;
            }

            continue;
        }

        if (to->count == 0) {
            *to = *cell;
            continue;
        }

        to->min = (cell->min < to->min) ? cell->min : to->min;
        to->max = (cell->max > to->max) ? cell->max : to->max;
        to->sum += cell->sum;
        to->last = cell->last;

        count = (uint64_t) to->count + cell->count;
        to->count = (count < UINT32_MAX) ? (uint32_t) count : UINT32_MAX;
    }
}


static uint8_t *
bc_history_put(uint8_t *p, uint64_t n, int bytes)
{
    for ( /* void */ ; bytes > 0; bytes--) {
        *p++ = (uint8_t) n;
        n >>= 8;
    }

    return p;
}


static uint8_t *
bc_history_put_double(uint8_t *p, double value)
{
    uint64_t  bits;

    memcpy(&bits, &value, sizeof(bits));

    return bc_history_put(p, bits, 8);
}


/* Writes a cell.  Returns its size; with p NULL only returns the size. */

static size_t
bc_history_put_cell(uint8_t *p, const bc_history_cell_t *cell)
{
    int     what;
    size_t  size;

    what = !bc_history_has(cell) ? BC_HISTORY_NONE
           : (cell->count == 0) ? BC_HISTORY_HELD
           : (cell->min == cell->max) ? BC_HISTORY_ONE
           : BC_HISTORY_ALL;

    size = (what == BC_HISTORY_NONE) ? 1
           : (what == BC_HISTORY_HELD) ? 9
           : (what == BC_HISTORY_ONE) ? 13
           : 37;

    if (p == NULL) {
        return size;
    }

    *p++ = (uint8_t) what;

    switch (what) {

    case BC_HISTORY_HELD:
        (void) bc_history_put_double(p, cell->last);
        break;

    case BC_HISTORY_ONE:
        p = bc_history_put(p, cell->count, 4);
        (void) bc_history_put_double(p, cell->last);
        break;

    case BC_HISTORY_ALL:
        p = bc_history_put(p, cell->count, 4);
        p = bc_history_put_double(p, cell->min);
        p = bc_history_put_double(p, cell->max);
        p = bc_history_put_double(p, cell->sum);
        (void) bc_history_put_double(p, cell->last);
        break;
    }

    return size;
}


/*
 * Writes a slot if it has any value.  Returns its size, or 0; with p NULL only
 * returns the size.
 */

static size_t
bc_history_put_row(uint8_t *p, uint64_t n, const bc_history_cell_t *cells,
    uint32_t nmembers)
{
    size_t    size;
    uint32_t  m;

    for (m = 0; m < nmembers; m++) {
        if (bc_history_has(&cells[m])) {
            break;
        }
    }

    if (m == nmembers) {
        return 0;
    }

    if (p != NULL) {
        (void) bc_history_put(p, n, 8);
    }

    size = 8;

    for (m = 0; m < nmembers; m++) {
        size += bc_history_put_cell((p != NULL) ? p + size : NULL, &cells[m]);
    }

    return size;
}


/*
 * Writes what precedes the rings.  Returns its size; with p NULL only returns
 * the size.
 */

static size_t
bc_history_put_start(const bc_history_t *h, const bc_history_head_t *head,
    uint32_t nrings, uint8_t *p)
{
    size_t    size, len;
    uint32_t  m;

    size = BC_HISTORY_HEADER;

    if (p != NULL) {
        memcpy(p, BC_HISTORY_MAGIC, 8);
        (void) bc_history_put(p + 8, head->time, 8);
        (void) bc_history_put(p + 16, head->until, 8);
        p[24] = (uint8_t) h->shape.nmembers;
        p[25] = (uint8_t) nrings;
    }

    for (m = 0; m < h->shape.nmembers; m++) {
        len = strlen(h->shape.names[m]);

        if (p != NULL) {
            p[size] = (uint8_t) len;
            memcpy(p + size + 1, h->shape.names[m], len);
            (void) bc_history_put_double(p + size + 1 + len, head->values[m]);
        }

        size += 1 + len + 8;
    }

    return size;
}


/* Returns the oldest slot of a ring that can have a value. */

static uint64_t
bc_history_oldest(const bc_history_t *h, const bc_history_head_t *head,
    uint32_t r)
{
    uint32_t  nslots;

    nslots = h->shape.rings[r].nslots;

    return (head->open[r] >= nslots) ? head->open[r] - nslots + 1 : 0;
}


/*
 * Writes the slots of a ring from number *n on, until they have `max` bytes,
 * and advances *n: after the current slot it is beyond that.  Returns the
 * size; with p NULL only returns the size.
 */

static size_t
bc_history_put_ring(const bc_history_t *h, bc_history_head_t *head, uint32_t r,
    uint64_t *n, size_t max, uint8_t *p)
{
    size_t              size, len;
    uint32_t            rows;
    bc_history_row_t   *row;
    bc_history_cell_t  *cells;

    size = 8;
    rows = 0;

    for ( /* void */ ;
         head->time != 0 && *n <= head->open[r] && size - 8 < max;
         (*n)++)
    {
        if (*n == head->open[r]) {
            cells = bc_history_open(h, head, r);

        } else {
            row = bc_history_row(h, r, *n);

            if (row->tag != *n + 1) {
                continue;
            }

            cells = bc_history_cells(row);
        }

        len = bc_history_put_row((p != NULL) ? p + size : NULL, *n, cells,
                                 h->shape.nmembers);
        size += len;
        rows += (len != 0);
    }

    if (p != NULL) {
        (void) bc_history_put(p, h->shape.rings[r].step, 4);
        (void) bc_history_put(p + 4, rows, 4);
    }

    return size;
}


size_t
bc_history_encode(const bc_history_t *h, uint64_t since, uint8_t *p)
{
    size_t              size;
    uint64_t            n;
    uint32_t            r;
    bc_history_head_t  *head;

    head = bc_history_head(h, h->version);
    size = bc_history_put_start(h, head, h->shape.nrings, p);

    for (r = 0; r < h->shape.nrings; r++) {
        n = bc_history_oldest(h, head, r);

        if (n < since / h->shape.rings[r].step) {
            n = since / h->shape.rings[r].step;
        }

        /* the current slot has the newest value, however old that is */

        if (n > head->open[r]) {
            n = head->open[r];
        }

        size += bc_history_put_ring(h, head, r, &n, SIZE_MAX,
                                    (p != NULL) ? p + size : NULL);
    }

    return size;
}


size_t
bc_history_encode_some(const bc_history_t *h, bc_history_place_t *place,
    size_t max, uint8_t *p)
{
    size_t              size;
    uint32_t            r;
    uint64_t            oldest;
    bc_history_head_t  *head;

    head = bc_history_head(h, h->version);
    r = place->ring;

    if (r >= h->shape.nrings || head->time == 0) {
        return 0;
    }

    oldest = bc_history_oldest(h, head, r);

    if (place->slot < oldest) {
        place->slot = oldest;
    }

    size = bc_history_put_start(h, head, 1, p);
    size += bc_history_put_ring(h, head, r, &place->slot, max, p + size);

    if (place->slot > head->open[r]) {
        place->ring++;
        place->slot = 0;
    }

    return size;
}


static uint64_t
bc_history_get(bc_history_in_t *in, int bytes)
{
    int       i;
    uint64_t  n;

    if (in->last - in->pos < bytes) {
        in->bad = 1;
        in->pos = in->last;
        return 0;
    }

    n = 0;

    for (i = bytes; i > 0; i--) {
        n = n << 8 | in->pos[i - 1];
    }

    in->pos += bytes;

    return n;
}


static double
bc_history_get_double(bc_history_in_t *in)
{
    double    value;
    uint64_t  bits;

    bits = bc_history_get(in, 8);
    memcpy(&value, &bits, sizeof(value));

    return value;
}


static void
bc_history_get_cell(bc_history_in_t *in, bc_history_cell_t *cell)
{
    memset(cell, 0, sizeof(bc_history_cell_t));

    switch (bc_history_get(in, 1)) {

    case BC_HISTORY_NONE:
        return;

    case BC_HISTORY_HELD:
        cell->last = bc_history_get_double(in);
        cell->min = cell->last;
        cell->max = cell->last;
        cell->sum = cell->last;
        cell->held = 1;
        break;

    case BC_HISTORY_ONE:
        cell->count = (uint32_t) bc_history_get(in, 4);
        cell->last = bc_history_get_double(in);
        cell->min = cell->last;
        cell->max = cell->last;
        cell->sum = cell->last * cell->count;
        break;

    case BC_HISTORY_ALL:
        cell->count = (uint32_t) bc_history_get(in, 4);
        cell->min = bc_history_get_double(in);
        cell->max = bc_history_get_double(in);
        cell->sum = bc_history_get_double(in);
        cell->last = bc_history_get_double(in);
        break;

    default:
        in->bad = 1;
        return;
    }

    /* the sum may have overflowed to infinity, see bc_history_mean() */

    if (!bc_history_has(cell)
        || !isfinite(cell->min) || !isfinite(cell->max)
        || isnan(cell->sum)
        || !(cell->min <= cell->last && cell->last <= cell->max))
    {
        in->bad = 1;
    }
}


static void
bc_history_merge_cells(bc_history_cell_t *to, const bc_history_cell_t *from,
    const bc_history_file_t *file)
{
    uint32_t            m;
    bc_history_cell_t  *cell;

    for (m = 0; m < file->nmembers; m++) {

        if (file->member[m] == -1 || !bc_history_has(&from[m])) {
            continue;
        }

        cell = &to[file->member[m]];

        if (from[m].count > cell->count || !bc_history_has(cell)) {
            *cell = from[m];
        }
    }
}


/* Adds a slot to a ring; head is the one being prepared. */

static void
bc_history_merge_row(bc_history_t *h, bc_history_head_t *head, uint32_t r,
    uint64_t n, const bc_history_cell_t *from, const bc_history_file_t *file)
{
    bc_history_row_t   *row;
    bc_history_cell_t   cells[BC_HISTORY_MEMBERS];

    if (n == head->open[r]) {
        bc_history_merge_cells(bc_history_open(h, head, r), from, file);
        return;
    }

    if (n > head->open[r] || head->open[r] - n >= h->shape.rings[r].nslots) {
        return;
    }

    row = bc_history_row(h, r, n);
    memset(cells, 0, sizeof(cells));

    if (row->tag == n + 1) {
        memcpy(cells, bc_history_cells(row),
               h->shape.nmembers * sizeof(bc_history_cell_t));
    }

    bc_history_merge_cells(cells, from, file);
    bc_history_write(h, r, n, cells);
}


/* Reads everything that precedes the rings. */

static void
bc_history_merge_members(const bc_history_t *h, bc_history_in_t *in,
    bc_history_file_t *file)
{
    size_t    len;
    uint32_t  m, own;

    if (in->last - in->pos < BC_HISTORY_HEADER
        || memcmp(in->pos, BC_HISTORY_MAGIC, 8) != 0)
    {
        in->bad = 1;
        return;
    }

    in->pos += 8;

    file->time = bc_history_get(in, 8);
    file->until = bc_history_get(in, 8);
    file->nmembers = (uint32_t) bc_history_get(in, 1);
    file->nrings = (uint32_t) bc_history_get(in, 1);

    if (file->nmembers > BC_HISTORY_MEMBERS
        || file->nrings > BC_HISTORY_RINGS)
    {
        in->bad = 1;
        return;
    }

    for (m = 0; m < file->nmembers; m++) {
        len = (size_t) bc_history_get(in, 1);

        if ((size_t) (in->last - in->pos) < len || len >= BC_HISTORY_NAME) {
            in->bad = 1;
            return;
        }

        file->member[m] = -1;

        for (own = 0; own < h->shape.nmembers; own++) {

            if (strlen(h->shape.names[own]) == len
                && memcmp(h->shape.names[own], in->pos, len) == 0)
            {
                file->member[m] = (int) own;
                break;
            }
        }

        in->pos += len;
        file->values[m] = bc_history_get_double(in);
    }
}


/*
 * Reads the rings.  With head (the one being prepared) also adds them; the
 * caller has then checked them by a call with head NULL.
 */

static void
bc_history_merge_rings(bc_history_t *h, bc_history_in_t *in,
    const bc_history_file_t *file, bc_history_head_t *head, uint64_t now)
{
    uint64_t           n, before;
    uint32_t           i, r, own, m, step, rows;
    bc_history_cell_t  cells[BC_HISTORY_MEMBERS];

    for (i = 0; i < file->nrings && !in->bad; i++) {

        step = (uint32_t) bc_history_get(in, 4);
        rows = (uint32_t) bc_history_get(in, 4);
        before = 0;

        for (own = 0; own < h->shape.nrings; own++) {
            if (h->shape.rings[own].step == step) {
                break;
            }
        }

        if (step == 0) {
            in->bad = 1;
        }

        for (r = 0; r < rows && !in->bad; r++) {

            n = bc_history_get(in, 8);

            /* slots must be in ascending order */

            if (r != 0 && n <= before) {
                in->bad = 1;
            }

            before = n;

            for (m = 0; m < file->nmembers; m++) {
                bc_history_get_cell(in, &cells[m]);
            }

            if (head == NULL || own == h->shape.nrings
                || n > now / step + 1)
            {
                continue;
            }

            /*
             * rings with equal steps share slot numbers, and differ in length
             */

            for (m = own; m < h->shape.nrings; m++) {
                if (h->shape.rings[m].step == step) {
                    bc_history_merge_row(h, head, m, n, cells, file);
                }
            }
        }
    }
}


int
bc_history_merge(bc_history_t *h, const uint8_t *p, size_t len, uint64_t now)
{
    uint64_t            n;
    uint32_t            r, m;
    const uint8_t      *rings;
    bc_history_in_t     in;
    bc_history_head_t  *head;
    bc_history_file_t   file;

    memset(&file, 0, sizeof(file));

    in.pos = p;
    in.last = p + len;
    in.bad = 0;

    bc_history_merge_members(h, &in, &file);
    rings = in.pos;

    if (!in.bad) {
        bc_history_merge_rings(h, &in, &file, NULL, now);
    }

    if (in.bad || in.pos != in.last) {
        return -1;
    }

    head = bc_history_next(h);

    if (file.time == 0) {
        return 0;
    }

    /* the clock was wrong when these were written */

    if (file.time > now + 1) {
        file.time = now;
        file.until = 0;
    }

    for (r = 0; r < h->shape.nrings; r++) {
        n = file.time / h->shape.rings[r].step;

        if (head->time == 0 || n > head->open[r]) {
            bc_history_turn(h, head, r, n);
        }
    }

    in.pos = rings;
    bc_history_merge_rings(h, &in, &file, head, now);

    if (file.time >= head->time) {
        head->time = file.time;
        head->until = (file.until <= now + BC_HISTORY_HOLD) ? file.until : 0;

        for (m = 0; m < h->shape.nmembers; m++) {
            head->values[m] = NAN;
        }

        for (m = 0; m < file.nmembers; m++) {
            if (file.member[m] != -1 && !isinf(file.values[m])) {
                head->values[file.member[m]] = file.values[m];
            }
        }
    }

    return 0;
}
