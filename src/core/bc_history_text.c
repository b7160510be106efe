
/*
 * Copyright (C) the blockcast authors
 *
 * Finds the numbers of a history, and prints them; see bc_history_text.h.
 */


#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bc_history_text.h"
#include "bc_json.h"
#include "bc_json_scan.h"


/* the longest text that is read as a number (bytes) */
#define BC_HISTORY_DIGITS  400

/* up to here every integer is exact as a double (2^53) */
#define BC_HISTORY_EXACT   9007199254740992.0


/* one step of a path */

typedef struct {
    bc_span_t            key;
    int64_t              index;
    int                  has_key;
} bc_history_step_t;


static int
bc_history_is_name(uint8_t c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z')
           || bc_json_is_digit(c) || c == '_' || c == '$' || c == '-';
}


/*
 * Reads the step at the beginning of *rest, and advances *rest past it.
 * Returns 1; 0 at the end; -1 when the step is invalid: *rest is unchanged.
 */

static int
bc_history_step(bc_span_t *rest, bc_history_step_t *step)
{
    int             negative;
    const uint8_t  *p, *last, *start;

    p = rest->data;
    last = p + rest->len;

    if (p == last) {
        return 0;
    }

    step->has_key = 0;
    step->index = 0;

    if (*p == '[') {
        p++;

        negative = (p < last && *p == '-');
        p += negative;
        start = p;

        while (p < last && bc_json_is_digit(*p) && p - start < 9) {
            step->index = 10 * step->index + (*p++ - '0');
        }

        if (p == start || p == last || *p != ']'
            || (negative && step->index == 0))
        {
            return -1;
        }

        if (negative) {
            step->index = -step->index;
        }

        p++;

    } else if (*p == '.') {
        p++;

        if (p < last && *p == '"') {
            start = ++p;

            while (p < last && *p != '"' && *p != '\\' && *p >= 0x20) {
                p++;
            }

            if (p == last || *p != '"') {
                return -1;
            }

            step->key.data = start;
            step->key.len = (size_t) (p - start);
            p++;

        } else {
            start = p;

            while (p < last && bc_history_is_name(*p)) {
                p++;
            }

            step->key.data = start;
            step->key.len = (size_t) (p - start);

            if (p == start) {
                return -1;
            }
        }

        if (step->key.len >= BC_HISTORY_KEY) {
            return -1;
        }

        step->has_key = 1;

    } else {
        return -1;
    }

    rest->data = p;
    rest->len = (size_t) (last - p);

    return 1;
}


int
bc_history_path(bc_history_path_t *path, bc_span_t text, size_t *good)
{
    int                rc;
    bc_span_t          rest;
    bc_history_step_t  step;

    memset(path, 0, sizeof(bc_history_path_t));
    path->rest = text;
    *good = 0;

    if (text.len == 0) {
        return -1;
    }

    if (text.len == 1 && text.data[0] == '.') {
        path->rest.len = 0;
        return 0;
    }

    rest = text;

    /* ".[0]" means the same as "[0]" */

    if (text.data[0] == '.' && text.data[1] == '[') {
        rest.data++;
        rest.len--;
        path->rest = rest;
    }

    for ( ;; ) {
        rc = bc_history_step(&rest, &step);

        if (rc == 0) {
            return 0;
        }

        if (rc == -1) {
            *good = text.len - rest.len;
            return -1;
        }

        if (step.has_key && !path->has_key && path->rest.data[0] == '.'
            && step.key.data - path->rest.data <= 2)
        {
            memcpy(path->key, step.key.data, step.key.len);
            path->has_key = 1;
            path->rest = rest;
        }
    }
}


void
bc_history_paths(bc_history_path_t *paths, uint32_t n)
{
    uint32_t  i, k;

    for (i = 0; i < n; i++) {
        paths[i].same = i;

        for (k = 0; paths[i].has_key && k < i; k++) {
            if (paths[k].has_key && strcmp(paths[k].key, paths[i].key) == 0) {
                paths[i].same = k;
                break;
            }
        }
    }
}


bc_span_t
bc_history_path_name(bc_span_t text)
{
    bc_history_step_t  step;

    memset(&step, 0, sizeof(step));

    while (bc_history_step(&text, &step) == 1) { /* void */ }

    if (!step.has_key) {
        step.key.data = text.data;
        step.key.len = 0;
    }

    return step.key;
}


/*
 * Finds element number `index` of an array; a negative one counts from the
 * end.  Returns 1 when it exists, otherwise 0.
 */

static int
bc_history_element(bc_span_t array, int64_t index, bc_span_t *value)
{
    int64_t         n;
    bc_span_t       key;
    bc_json_iter_t  it;

    if (index < 0) {

        if (bc_json_array(&it, array) != 0) {
            return 0;
        }

        for (n = 0; bc_json_next(&it, &key, value); n++) { /* void */ }

        index += n;
    }

    if (index < 0 || bc_json_array(&it, array) != 0) {
        return 0;
    }

    while (bc_json_next(&it, &key, value)) {
        if (index-- == 0) {
            return 1;
        }
    }

    return 0;
}


/*
 * Follows the steps of a path from a value.  Returns the number found, or NAN.
 */

static double
bc_history_follow(bc_span_t value, bc_span_t rest)
{
    int                found;
    char               key[BC_HISTORY_KEY];
    bc_span_t          next;
    bc_history_step_t  step;

    while (bc_history_step(&rest, &step) == 1) {

        if (step.has_key) {
            memcpy(key, step.key.data, step.key.len);
            key[step.key.len] = '\0';

            found = bc_json_member(value, key, &next);

        } else {
            found = bc_history_element(value, step.index, &next);
        }

        if (!found) {
            return NAN;
        }

        value = next;
    }

    return bc_history_number(value);
}


void
bc_history_find(bc_span_t json, const bc_history_path_t *paths, uint32_t n,
    double *values)
{
    uint32_t     i, k;
    uint32_t     place[BC_HISTORY_MEMBERS];
    bc_span_t    found[BC_HISTORY_MEMBERS];
    const char  *keys[BC_HISTORY_MEMBERS];

    /* find the first keys of all paths in one pass */

    k = 0;

    for (i = 0; i < n; i++) {
        if (paths[i].has_key && paths[i].same == i) {
            place[i] = k;
            keys[k++] = paths[i].key;
        }
    }

    if (k != 0) {
        bc_json_members(json, keys, found, k);
    }

    for (i = 0; i < n; i++) {

        if (!paths[i].has_key) {
            values[i] = bc_history_follow(json, paths[i].rest);
            continue;
        }

        k = place[paths[i].same];

        values[i] = (found[k].data == NULL)
                    ? (double) NAN
                    : bc_history_follow(found[k], paths[i].rest);
    }
}


/* Tells whether a text is a JSON number; `exponent` allows an exponent. */

static int
bc_history_is_decimal(const uint8_t *p, size_t len, int exponent)
{
    const uint8_t  *last, *start;

    last = p + len;

    if (p < last && *p == '-') {
        p++;
    }

    start = p;

    while (p < last && bc_json_is_digit(*p)) {
        p++;
    }

    if (p == start) {
        return 0;
    }

    if (p < last && *p == '.') {
        start = ++p;

        while (p < last && bc_json_is_digit(*p)) {
            p++;
        }

        if (p == start) {
            return 0;
        }
    }

    if (exponent && p < last && (*p == 'e' || *p == 'E')) {
        p++;

        if (p < last && (*p == '+' || *p == '-')) {
            p++;
        }

        start = p;

        while (p < last && bc_json_is_digit(*p)) {
            p++;
        }

        if (p == start) {
            return 0;
        }
    }

    return p == last;
}


static int
bc_history_is_hex(const uint8_t *p, size_t len)
{
    size_t  i;

    if (len < 3 || p[0] != '0' || (p[1] != 'x' && p[1] != 'X')) {
        return 0;
    }

    for (i = 2; i < len; i++) {
        if (bc_json_hex(p[i]) == -1) {
            return 0;
        }
    }

    return 1;
}


double
bc_history_number(bc_span_t value)
{
    int             string;
    char            text[BC_HISTORY_DIGITS + 1];
    double          n;
    size_t          i, len;
    uint64_t        integer;
    const uint8_t  *p;

    p = value.data;
    len = value.len;

    string = (len >= 2 && p[0] == '"' && p[len - 1] == '"');

    if (string) {
        p++;
        len -= 2;
    }

    if (len == 0 || len > BC_HISTORY_DIGITS) {
        return NAN;
    }

    /* shortcut: nearly all numbers are short integers */

    integer = 0;

    for (i = 0; i < len && i < 15 && bc_json_is_digit(p[i]); i++) {
        integer = 10 * integer + (uint64_t) (p[i] - '0');
    }

    if (i == len) {
        return (double) integer;
    }

    if (!bc_history_is_decimal(p, len, !string)
        && (!string || !bc_history_is_hex(p, len)))
    {
        return NAN;
    }

    memcpy(text, p, len);
    text[len] = '\0';

    n = strtod(text, NULL);

    /* -0 becomes 0 */

    return !isfinite(n) ? (double) NAN : (n == 0) ? 0 : n;
}


/* Writes an integer with at least `width` digits. */

static uint8_t *
bc_history_put_integer(uint8_t *p, uint64_t n, int width)
{
    int      i;
    uint8_t  digits[20];

    for (i = 0; n != 0 || i < width; i++) {
        digits[i] = (uint8_t) ('0' + n % 10);
        n /= 10;
    }

    while (i > 0) {
        *p++ = digits[--i];
    }

    return p;
}


uint8_t *
bc_history_put_number(uint8_t *p, double value)
{
    int       decimals;
    double    size;
    uint64_t  n, unit, part;

    size = fabs(value);

    if (size <= BC_HISTORY_EXACT && size == floor(size)) {

        if (value < 0) {
            *p++ = '-';
        }

        return bc_history_put_integer(p, (uint64_t) size, 1);
    }

    if (size < 1e-3 || size >= 1e9) {
        return p + snprintf((char *) p, BC_HISTORY_NUMBER, "%.15g", value);
    }

    /* printf() would take ten times as long, for thousands of numbers */

    if (value < 0) {
        *p++ = '-';
    }

    decimals = (size < 100) ? 9 : (size < 1e6) ? 6 : 3;
    unit = (size < 100) ? 1000000000 : (size < 1e6) ? 1000000 : 1000;
    n = (uint64_t) floor(size * (double) unit + 0.5);
    part = n % unit;
    p = bc_history_put_integer(p, n / unit, 1);

    if (part == 0) {
        return p;
    }

    for ( /* void */ ; part % 10 == 0; decimals--) {
        part /= 10;
    }

    *p++ = '.';

    return bc_history_put_integer(p, part, decimals);
}


/* Writes one of the five columns of a cell that has a value. */

static uint8_t *
bc_history_put_column(uint8_t *p, const bc_history_cell_t *cell, int column)
{
    switch (column) {

    case 0:
        return bc_history_put_number(p, cell->min);

    case 1:
        return bc_history_put_number(p, bc_history_mean(cell));

    case 2:
        return bc_history_put_number(p, cell->max);

    case 3:
        return bc_history_put_number(p, cell->last);

    default:
        return bc_history_put_integer(p, cell->count, 1);
    }
}


static const char  *bc_history_columns[] = {
    "min", "mean", "max", "last", "count"
};

#define BC_HISTORY_COLUMNS  5


static uint8_t *
bc_history_put_text(uint8_t *p, const char *text)
{
    size_t  len;

    len = strlen(text);
    memcpy(p, text, len);

    return p + len;
}


size_t
bc_history_bound(const bc_history_shape_t *shape, uint32_t nslots)
{
    /* five columns with their commas; the names, and the text around arrays */

    return 64 + shape->nmembers
                * (BC_HISTORY_COLUMNS
                   * ((size_t) nslots * (BC_HISTORY_NUMBER + 1)
                      + BC_HISTORY_NAME + 16)
                   + BC_HISTORY_NAME + 16)
           + (size_t) nslots * (BC_HISTORY_NUMBER + 1);
}


/*
 * A text is written value by value, for JSON by member and column, for CSV by
 * slot.  What comes before and after a value depends on its place.
 */

void
bc_history_write_json(bc_history_writer_t *w, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots)
{
    memset(w, 0, sizeof(bc_history_writer_t));

    w->shape = shape;
    w->cells = cells;
    w->nslots = nslots;
    w->left = (size_t) shape->nmembers * BC_HISTORY_COLUMNS * nslots;
}


void
bc_history_write_csv(bc_history_writer_t *w, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots, uint64_t from,
    uint32_t step)
{
    bc_history_write_json(w, shape, cells, nslots);

    w->csv = 1;
    w->from = from;
    w->step = step;
}


static uint8_t *
bc_history_write_json_some(bc_history_writer_t *w, uint8_t *p, size_t n)
{
    const bc_history_cell_t  *cell;

    for ( /* void */ ; n > 0; n--) {

        if (w->slot == 0) {

            if (w->column == 0) {
                *p++ = (w->member == 0) ? '{' : ',';
                *p++ = '"';
                p = bc_history_put_text(p, w->shape->names[w->member]);
                p = bc_history_put_text(p, "\":{");
            }

            *p++ = '"';
            p = bc_history_put_text(p, bc_history_columns[w->column]);
            p = bc_history_put_text(p, "\":[");

        } else {
            *p++ = ',';
        }

        cell = &w->cells[(size_t) w->slot * w->shape->nmembers + w->member];

        if (cell->count != 0 || cell->held || w->column == 4) {
            p = bc_history_put_column(p, cell, w->column);

        } else {
            p = bc_history_put_text(p, "null");
        }

        if (++w->slot < w->nslots) {
            continue;
        }

        w->slot = 0;
        p = bc_history_put_text(p, (w->column == 4) ? "]}" : "],");

        if (++w->column == BC_HISTORY_COLUMNS) {
            w->column = 0;
            w->member++;
        }
    }

    return p;
}


static uint8_t *
bc_history_write_csv_names(bc_history_writer_t *w, uint8_t *p)
{
    int       column;
    uint32_t  m;

    p = bc_history_put_text(p, "time");

    for (m = 0; m < w->shape->nmembers; m++) {
        for (column = 0; column < BC_HISTORY_COLUMNS; column++) {
            *p++ = ',';
            p = bc_history_put_text(p, w->shape->names[m]);
            *p++ = '_';
            p = bc_history_put_text(p, bc_history_columns[column]);
        }
    }

    /* RFC 4180, section 2: lines end with CRLF */

    return bc_history_put_text(p, "\r\n");
}


static uint8_t *
bc_history_write_csv_some(bc_history_writer_t *w, uint8_t *p, size_t n)
{
    const bc_history_cell_t  *cell;

    for ( /* void */ ; n > 0; n--) {

        if (w->member == 0 && w->column == 0) {
            p = bc_history_put_integer(p, w->from
                                          + (uint64_t) w->slot * w->step, 1);
        }

        cell = &w->cells[(size_t) w->slot * w->shape->nmembers + w->member];

        *p++ = ',';

        if (cell->count != 0 || cell->held) {
            p = bc_history_put_column(p, cell, w->column);
        }

        if (++w->column < BC_HISTORY_COLUMNS) {
            continue;
        }

        w->column = 0;

        if (++w->member == w->shape->nmembers) {
            w->member = 0;
            w->slot++;
            p = bc_history_put_text(p, "\r\n");
        }
    }

    return p;
}


uint8_t *
bc_history_write_some(bc_history_writer_t *w, uint8_t *p, size_t n)
{
    if (n > w->left) {
        n = w->left;
    }

    if (w->csv && !w->begun) {
        p = bc_history_write_csv_names(w, p);
    }

    w->begun = 1;
    w->left -= n;

    p = w->csv ? bc_history_write_csv_some(w, p, n)
               : bc_history_write_json_some(w, p, n);

    if (w->left == 0 && !w->csv) {
        *p++ = '}';
    }

    return p;
}


uint8_t *
bc_history_json(uint8_t *p, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots)
{
    bc_history_writer_t  w;

    bc_history_write_json(&w, shape, cells, nslots);

    return bc_history_write_some(&w, p, w.left);
}


uint8_t *
bc_history_csv(uint8_t *p, const bc_history_shape_t *shape,
    const bc_history_cell_t *cells, uint32_t nslots, uint64_t from,
    uint32_t step)
{
    bc_history_writer_t  w;

    bc_history_write_csv(&w, shape, cells, nslots, from, step);

    return bc_history_write_some(&w, p, w.left);
}
