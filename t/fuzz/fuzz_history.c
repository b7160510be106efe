
/*
 * Copyright (C) the blockcast authors
 *
 * The course of numbers: the first byte says what the rest is.  0: an encoded
 * history (a state file may hold any bytes); 1: values at times, with a clock
 * that jumps; 2: a path, and behind a line feed the JSON it is looked for in;
 * 3: a number.
 */

#include <math.h>

#include "bc_history.h"
#include "bc_history_text.h"
#include "fuzz.h"


static bc_history_t *
new_history(uint32_t step, uint32_t nslots)
{
    bc_history_t        *h;
    bc_history_shape_t   shape;

    memset(&shape, 0, sizeof(shape));

    shape.nrings = 2;
    shape.rings[0].step = step;
    shape.rings[0].nslots = nslots;
    shape.rings[1].step = 7 * step;
    shape.rings[1].nslots = 3;
    shape.nmembers = 2;
    strcpy(shape.names[0], "a");
    strcpy(shape.names[1], "b");

    h = calloc(1, bc_history_size(&shape));
    must(h != NULL);
    bc_history_init(h, &shape);

    return h;
}


static int
near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fabs(b) + ((fabs(b) >= 1e-3) * 1e-9);
}


/* all that can be shown is in order, and can be written */

static void
check(const bc_history_t *h, uint64_t now)
{
    char               *end;
    size_t              bound, len;
    uint8_t            *text;
    uint32_t            r, i, n;
    bc_history_cell_t   cells[64], *cell, joined;

    for (r = 0; r < h->shape.nrings; r++) {
        n = h->shape.rings[r].nslots;

        must(bc_history_read(h, r, bc_history_last(h, r, now), cells) == 0);

        for (i = 0; i < 2 * n; i++) {
            cell = &cells[i];

            if (cell->count == 0 && !cell->held) {
                continue;
            }

            must(isfinite(cell->min) && isfinite(cell->max));
            must(cell->min <= cell->last && cell->last <= cell->max);
            must(bc_history_mean(cell) >= cell->min);
            must(bc_history_mean(cell) <= cell->max);
        }

        bc_history_join(&joined, cells, n, 2);
        must(joined.count == 0 || joined.min <= joined.max);

        bound = bc_history_bound(&h->shape, n);
        text = malloc(bound);
        must(text != NULL);

        len = (size_t) (bc_history_json(text, &h->shape, cells, n) - text);
        must(len <= bound);

        len = (size_t) (bc_history_csv(text, &h->shape, cells, n, now, 5)
                        - text);
        must(len <= bound);

        for (i = 0; i < n; i++) {
            if (cells[2 * i].count != 0) {
                *bc_history_put_number(text, cells[2 * i].max) = '\0';
                must(near(strtod((char *) text, &end), cells[2 * i].max));
                must(*end == '\0');
            }
        }

        free(text);
    }
}


static void
encoded(const uint8_t *p, size_t len, uint64_t now)
{
    size_t         size;
    uint8_t       *copy, *again;
    bc_history_t  *h, *other;

    h = new_history(5, 8);
    copy = fuzz_copy(p, len);

    if (bc_history_merge(h, copy, len, now) == 0) {
        bc_history_commit(h);
        check(h, now);

        /* what was taken is written in a form that is taken */

        size = bc_history_encode(h, 0, NULL);
        again = malloc(size);
        must(again != NULL && bc_history_encode(h, 0, again) == size);

        other = new_history(5, 8);
        must(bc_history_merge(other, again, size, now) == 0);
        bc_history_commit(other);
        check(other, now);

        must(bc_history_encode(other, 0, NULL) == size);

        free(again);
        free(other);

    } else {
        must(h->version == 0 && bc_history_time(h) == 0);
    }

    free(copy);
    free(h);
}


static void
values(fuzz_t *f)
{
    double         v[BC_HISTORY_MEMBERS];
    size_t         size;
    uint8_t       *p;
    uint64_t       now;
    unsigned       what;
    bc_history_t  *h, *other;

    h = new_history(3, 8);
    other = new_history(3, 5);
    now = 1000000;

    while (f->len != 0) {
        what = fuzz_byte(f);

        now += (what & 7) == 7 ? 1000u : (what & 7);
        now -= (what & 0x30) == 0x30 ? fuzz_byte(f) : 0;

        if ((what & 0xc0) == 0xc0) {

            if (bc_history_break(h) && (what & 8)) {
                bc_history_commit(h);
            }

            continue;
        }

        v[0] = (what & 8) ? (double) NAN : (double) fuzz_byte(f);
        v[1] = (what & 16) ? (double) fuzz_byte(f) * 7e305
                           : (double) fuzz_byte(f) / 7;

        bc_history_add(h, now, v, fuzz_byte(f));

        if ((what & 0xc0) != 0x80) {
            bc_history_commit(h);
        }

        check(h, now);

        if ((what & 0xc0) == 0x40) {
            size = bc_history_encode(h, now - 20, NULL);
            p = malloc(size);
            must(p != NULL && bc_history_encode(h, now - 20, p) == size);
            must(bc_history_merge(other, p, size, now) == 0);
            bc_history_commit(other);
            check(other, now);
            free(p);
        }
    }

    free(h);
    free(other);
}


static void
path(const uint8_t *p, size_t len)
{
    double              value[2];
    size_t              good;
    uint8_t            *copy;
    bc_span_t           text, json;
    const uint8_t      *line;
    bc_history_path_t   paths[2];

    copy = fuzz_copy(p, len);
    line = memchr(copy, '\n', len);

    text.data = copy;
    text.len = (line != NULL) ? (size_t) (line - copy) : len;
    json.data = copy + text.len + (line != NULL);
    json.len = len - text.len - (line != NULL);

    if (bc_history_path(&paths[0], text, &good) == 0) {
        paths[1] = paths[0];
        bc_history_paths(paths, 2);
        bc_history_find(json, paths, 2, value);

        must(isnan(value[0]) ? isnan(value[1]) : value[0] == value[1]);
        must(isnan(value[0]) || isfinite(value[0]));
        must(bc_history_path_name(text).len < BC_HISTORY_KEY);

    } else {
        must(good <= text.len);
    }

    free(copy);
}


static void
number(const uint8_t *p, size_t len)
{
    double     n;
    uint8_t   *copy, text[BC_HISTORY_NUMBER + 1];
    bc_span_t  value;

    copy = fuzz_copy(p, len);

    value.data = copy;
    value.len = len;
    n = bc_history_number(value);

    if (!isnan(n)) {
        must(isfinite(n));
        *bc_history_put_number(text, n) = '\0';
        must(near(strtod((char *) text, NULL), n));
    }

    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    fuzz_t    f;
    unsigned  what;

    f.p = data;
    f.len = size;

    what = fuzz_byte(&f);

    switch (what & 3) {

    case 0:
        encoded(f.p, f.len, 1000000 + (what >> 2));
        break;

    case 1:
        values(&f);
        break;

    case 2:
        path(f.p, f.len);
        break;

    default:
        number(f.p, f.len);
    }

    return 0;
}
