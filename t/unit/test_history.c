
/*
 * Copyright (C) the blockcast authors
 *
 * The course of numbers.  If this fails, a chart shows a value at a time at
 * which nobody knew it, hides an outage, or loses an hour with a restart.
 */

#include <math.h>

#include "bc_history.h"
#include "bc_history_text.h"
#include "unit.h"


#define T0  1790000000        /* a multiple of 5 s, not of 2 min */


static bc_history_t *
history(uint32_t step, uint32_t nslots, uint32_t nmembers)
{
    bc_history_t        *h;
    bc_history_shape_t   shape;

    memset(&shape, 0, sizeof(shape));

    shape.nrings = 2;
    shape.rings[0].step = step;
    shape.rings[0].nslots = nslots;
    shape.rings[1].step = 120;
    shape.rings[1].nslots = 6;
    shape.nmembers = nmembers;

    strcpy(shape.names[0], "height");
    strcpy(shape.names[1], "gas");

    h = calloc(1, bc_history_size(&shape));
    bc_history_init(h, &shape);

    return h;
}


static void
add(bc_history_t *h, uint64_t now, double height, double gas, uint64_t hold)
{
    double  values[BC_HISTORY_MEMBERS];

    values[0] = height;
    values[1] = gas;

    bc_history_add(h, now, values, hold);
    bc_history_commit(h);
}


/* the means of a ring's member, "-" for nothing, "=" before what was held */

static const char *
course(bc_history_t *h, uint32_t ring, uint32_t member, uint64_t now)
{
    char               *p;
    uint32_t            i, n;
    static char         text[4096];
    bc_history_cell_t  *cells, *cell;

    n = h->shape.rings[ring].nslots;
    cells = calloc(n * h->shape.nmembers, sizeof(bc_history_cell_t));

    if (bc_history_read(h, ring, bc_history_last(h, ring, now), cells) != 0) {
        free(cells);
        return "not read";
    }

    p = text;
    *p = '\0';

    for (i = 0; i < n; i++) {
        cell = &cells[i * h->shape.nmembers + member];

        if (cell->count == 0 && !cell->held) {
            p += sprintf(p, "%s-", i ? " " : "");
            continue;
        }

        p += sprintf(p, "%s%s%g", i ? " " : "", cell->held ? "=" : "",
                     bc_history_mean(cell));
    }

    free(cells);

    return text;
}


static void
test_slots(void)
{
    bc_history_t       *h;
    bc_history_cell_t   cells[8];

    h = history(5, 4, 2);

    is_str(course(h, 0, 0, T0), "- - - -", "nothing at first");
    is(bc_history_time(h), 0, "and no time");

    add(h, T0, 1, 10, 5);
    add(h, T0 + 2, 4, NAN, 5);
    is_str(course(h, 0, 0, T0 + 2), "- - - 2.5", "the mean of two values");
    is_str(course(h, 0, 1, T0 + 2), "- - - 10", "NaN is no value");

    is(bc_history_read(h, 0, T0 / 5, cells), 0, "read");
    ok(cells[6].min == 1 && cells[6].max == 4 && cells[6].last == 4
       && cells[6].count == 2, "least, greatest, last and count");

    add(h, T0 + 5, 6, 20, 5);
    add(h, T0 + 10, 8, 30, 5);
    add(h, T0 + 15, 9, 40, 5);
    is_str(course(h, 0, 0, T0 + 19), "2.5 6 8 9", "a slot after the other");
    is_str(course(h, 0, 1, T0 + 19), "10 20 30 40", "of the other, too");

    add(h, T0 + 20, 7, 50, 5);
    is_str(course(h, 0, 0, T0 + 20), "6 8 9 7", "the oldest goes");
    is_str(course(h, 0, 0, T0 + 31), "9 7 - -", "time goes on without values");
    is_str(course(h, 0, 0, T0 + 3600), "- - - -", "up to nothing");
    is_str(course(h, 1, 0, T0 + 20), "- - - - - 5.83333", "the longer ring");

    free(h);
}


static void
test_gaps(void)
{
    bc_history_t  *h;

    h = history(5, 6, 2);

    add(h, T0, 1, 10, 12);
    add(h, T0 + 12, 2, 20, 12);
    is_str(course(h, 0, 0, T0 + 12), "- - - 1 =1 2",
           "a value holds up to the next one that was due");

    add(h, T0 + 25, 3, NAN, 12);
    is_str(course(h, 0, 0, T0 + 25), "1 =1 2 - - 3", "and no longer");
    is_str(course(h, 0, 1, T0 + 25), "10 =10 20 - - -", "a member is missing");

    add(h, T0 + 35, 4, 40, 12);
    is_str(course(h, 0, 0, T0 + 35), "2 - - 3 =3 4", "what is known is held");
    is_str(course(h, 0, 1, T0 + 35), "20 - - - - 40", "what is not is not");

    is(bc_history_break(h), 1, "the node fails");
    bc_history_commit(h);
    is(bc_history_break(h), 0, "once");

    add(h, T0 + 46, 5, 50, 12);
    is_str(course(h, 0, 0, T0 + 46), "- 3 =3 4 - 5",
           "nothing is held over a failure");

    /* longer than the ring */

    add(h, T0 + 56, 6, 60, 3000);
    add(h, T0 + 1056, 7, 70, 3000);
    is_str(course(h, 0, 0, T0 + 1056), "=6 =6 =6 =6 =6 7", "a long hold");

    free(h);
}


static void
test_clock(void)
{
    bc_history_t  *h;

    h = history(5, 4, 2);

    add(h, T0, 1, 10, 5);
    add(h, T0 + 5, 2, 20, 5);
    add(h, T0 + 10, 3, 30, 5);
    add(h, T0 + 9, 5, 30, 5);
    is_str(course(h, 0, 0, T0 + 10), "- 1 2 4", "a moment back is now");

    add(h, T0, 7, 70, 5);
    is_str(course(h, 0, 0, T0), "- - - 4", "back: the slot goes on");
    add(h, T0 + 15, 8, 70, 5);
    is_str(course(h, 0, 0, T0 + 15), "4 - - 8", "what had come is gone");

    add(h, T0 + 40000000, 9, 90, 5);
    is_str(course(h, 0, 0, T0 + 40000000), "- - - 9", "far on");
    add(h, T0 + 20, 1, 10, 5);
    is_str(course(h, 0, 0, T0 + 20), "- - 8 1", "and back once more");

    add(h, T0 + 25, 6, 60, 5);
    is_str(course(h, 0, 0, T0 + 24), "- 8 1 6",
           "the writer's clock is a moment ahead");

    free(h);
}


/* a writer that dies before the commit leaves what there was */

static void
test_death(void)
{
    double         values[2] = { 99, 99 };
    bc_history_t  *h;

    h = history(5, 4, 2);

    add(h, T0, 1, 10, 30);
    add(h, T0 + 5, 2, 20, 30);

    bc_history_add(h, T0 + 6, values, 30);
    is_str(course(h, 0, 0, T0 + 6), "- - 1 2", "killed within a slot");

    bc_history_add(h, T0 + 16, values, 30);
    is_str(course(h, 0, 0, T0 + 6), "- - 1 2", "killed in a later one");
    is_str(course(h, 0, 0, T0 + 16), "1 2 =2 -",
           "what was held up to then is true all the same");

    add(h, T0 + 6, 4, 40, 30);
    add(h, T0 + 10, 5, 50, 30);
    is_str(course(h, 0, 0, T0 + 10), "- 1 3 5", "the next writer goes on");

    free(h);
}


static void
test_encode(void)
{
    size_t         len, i, bad;
    uint8_t       *p, *copy;
    bc_history_t  *h, *other;

    h = history(5, 6, 2);

    add(h, T0, 1, 10, 12);
    add(h, T0 + 5, 2, NAN, 12);
    add(h, T0 + 6, 4, NAN, 12);
    add(h, T0 + 16, 5, 50, 12);

    len = bc_history_encode(h, 0, NULL);
    p = malloc(len);
    is(bc_history_encode(h, 0, p), len, "the size is known before");

    other = history(5, 8, 2);
    is(bc_history_merge(other, p, len, T0 + 20), 0, "merge");
    bc_history_commit(other);
    is_str(course(other, 0, 0, T0 + 20), "- - - 1 3 =4 5 -", "into a longer");
    is_str(course(other, 0, 1, T0 + 20), "- - - 10 - - 50 -", "the gaps, too");
    is_str(course(other, 1, 0, T0 + 20), "- - - - - 3", "the other ring");
    is(bc_history_time(other), T0 + 16, "the time");

    is(bc_history_merge(other, p, len, T0 + 20), 0, "merge again");
    bc_history_commit(other);
    is_str(course(other, 0, 0, T0 + 20), "- - - 1 3 =4 5 -", "no change");

    add(other, T0 + 21, 7, 70, 12);
    is_str(course(other, 0, 0, T0 + 21), "- - - 1 3 =4 5 7", "it goes on");
    is(bc_history_merge(other, p, len, T0 + 21), 0, "merge what is older");
    bc_history_commit(other);
    is_str(course(other, 0, 0, T0 + 21), "- - - 1 3 =4 5 7", "no change");
    is(bc_history_time(other), T0 + 21, "nor of the time");
    free(other);

    /* other members, another order; a step that is not there */

    other = history(10, 6, 1);
    strcpy(other->shape.names[0], "gas");
    is(bc_history_merge(other, p, len, T0 + 20), 0, "another shape");
    bc_history_commit(other);
    is_str(course(other, 0, 0, T0 + 20), "- - - - - -", "another step");
    is_str(course(other, 1, 0, T0 + 20), "- - - - - 30", "by its name");
    free(other);

    /* the rest only */

    copy = malloc(len);
    i = bc_history_encode(h, T0 + 16, copy);
    ok(i < len, "what is new is less");
    other = history(5, 6, 2);
    is(bc_history_merge(other, copy, i, T0 + 20), 0, "merge it");
    bc_history_commit(other);
    is_str(course(other, 0, 0, T0 + 20), "- - - - 5 -", "the newest slot");
    free(other);

    /* a file of the future */

    other = history(5, 6, 2);
    is(bc_history_merge(other, p, len, T0 - 5000), 0, "a clock that was wrong");
    bc_history_commit(other);
    is_str(course(other, 0, 0, T0 - 5000), "- - - - - -", "shows nothing");
    free(other);

    /* cut, and damaged */

    bad = 0;

    for (i = 0; i < len; i++) {
        other = history(5, 6, 2);
        memcpy(copy, p, i);
        bad += (bc_history_merge(other, copy, i, T0 + 20) == -1);
        free(other);
    }

    is(bad, len, "each beginning of it is refused");

    free(copy);
    free(p);
    free(h);
}


/* all of a history in parts of at least `max` bytes, between which it grows */

static void
test_parts(void)
{
    size_t              max, len;
    uint8_t             p[64 + BC_HISTORY_PART];
    uint32_t            n;
    bc_history_t       *h, *other;
    bc_history_place_t  place;

    for (max = 1; max < 64; max += 31) {
        h = history(5, 6, 2);
        other = history(5, 6, 2);

        add(h, T0, 1, 10, 12);
        add(h, T0 + 5, 2, NAN, 12);
        add(h, T0 + 6, 4, NAN, 12);
        add(h, T0 + 16, 5, 50, 12);

        memset(&place, 0, sizeof(place));

        for (n = 0;
             (len = bc_history_encode_some(h, &place, max, p)) != 0;
             n++)
        {
            ok(len <= sizeof(p), "a part has room");
            is(bc_history_merge(other, p, len, T0 + 30), 0, "merge a part");
            bc_history_commit(other);

            if (n == 0) {
                add(h, T0 + 20, 6, 60, 12);
            }
        }

        ok(n >= 2, "several parts");
        is_str(course(other, 0, 0, T0 + 20), "- 1 3 =4 5 6", "all of it");
        is_str(course(other, 0, 1, T0 + 20), "- 10 - - 50 60", "of each");
        is_str(course(other, 1, 0, T0 + 20), course(h, 1, 0, T0 + 20),
               "the other ring");
        is(bc_history_time(other), T0 + 20, "the time");

        free(other);
        free(h);
    }

    /* what is dropped from a ring meanwhile is passed over */

    h = history(5, 3, 1);
    add(h, T0, 1, 1, 12);
    add(h, T0 + 5, 2, 1, 12);
    memset(&place, 0, sizeof(place));
    ok(bc_history_encode_some(h, &place, 1, p) != 0, "the first part");
    add(h, T0 + 500, 3, 1, 12);

    other = history(5, 3, 1);

    while ((len = bc_history_encode_some(h, &place, 1, p)) != 0) {
        is(bc_history_merge(other, p, len, T0 + 500), 0, "merge");
        bc_history_commit(other);
    }

    is_str(course(other, 0, 0, T0 + 500), "- - 3", "what is left");
    free(other);
    free(h);

    h = history(5, 3, 1);
    memset(&place, 0, sizeof(place));
    is(bc_history_encode_some(h, &place, 64, p), 0, "of none there is none");
    free(h);
}


static double
number(const char *text)
{
    bc_span_t  span;

    span.data = (const uint8_t *) text;
    span.len = strlen(text);

    return bc_history_number(span);
}


static void
test_numbers(void)
{
    size_t       i;
    char         text[BC_HISTORY_NUMBER + 1];
    static const struct {
        const char  *json;
        const char  *text;          /* NULL: none */
    } n[] = {
        { "7", "7" }, { "-7", "-7" }, { "0", "0" }, { "-0", "0" },
        { "1.5", "1.5" }, { "1e3", "1000" }, { "0.07346", "0.07346" },
        { "9007199254740993", "9007199254740992" },
        { "18446744073709551615", "1.84467440737096e+19" },
        { "123456789012345", "123456789012345" },
        { "\"0x1f\"", "31" }, { "\"0xFF\"", "255" }, { "\"0x0\"", "0" },
        { "\"0xde0b6b3a7640000\"", "1e+18" },
        { "\"12345678901234567890\"", "1.23456789012346e+19" },
        { "\"007\"", "7" }, { "\"-3\"", "-3" }, { "\"0.025\"", "0.025" },
        { "\"0x\"", NULL }, { "\"0x1g\"", NULL }, { "\"\"", NULL },
        { "\"1e3\"", NULL }, { "\"inf\"", NULL }, { "\"nan\"", NULL },
        { "\" 1\"", NULL }, { "\"1.\"", NULL }, { "\"0x1p4\"", NULL },
        { "true", NULL }, { "null", NULL }, { "[1]", NULL }, { "{}", NULL },
        { "1e999", NULL }, { "", NULL }, { "\"", NULL }, { "-", NULL },
        { "1234567890.25", "1234567890.25" }, { "1e-9", "1e-09" },
        { "0.1", "0.1" }, { "0.30000000000000004", "0.3" }, { "-99.9999999999", "-100" },
        { "123456.7890123", "123456.789012" }, { "1234567.0004", "1234567" },
        { "0.0012345678901", "0.001234568" },
        { "0.00012345678901234567", "0.000123456789012346" },
    };

    for (i = 0; i < sizeof(n) / sizeof(n[0]); i++) {
        *bc_history_put_number((uint8_t *) text, number(n[i].json)) = '\0';

        if (n[i].text == NULL) {
            ok(isnan(number(n[i].json)), "%s is no number", n[i].json);

        } else {
            is_str(text, n[i].text, "%s", n[i].json);
        }
    }
}


static void
test_paths(void)
{
    size_t             good, i;
    double             value;
    bc_span_t          span, json;
    bc_history_path_t  path[3];
    double             values[3];
    const char        *data =
        "{\"a\":{\"b\":[10,{\"c\":\"0x10\"},30]},\"x y\":5,\"n\":null,"
        "\"a.b\":8,\"e\\u0061\":9}";
    static const struct {
        const char  *path;
        double       value;         /* -1: none */
    } t[] = {
        { ".a.b[0]", 10 }, { ".a.b[1].c", 16 }, { ".a.b[-1]", 30 },
        { ".a.b[-3]", 10 }, { ".a.b[-4]", -1 }, { ".a.b[3]", -1 },
        { ".\"x y\"", 5 }, { ".\"a.b\"", 8 }, { ".n", -1 }, { ".a", -1 },
        { ".a.b.c", -1 }, { ".zz", -1 }, { ".ea", 9 }, { ".a.\"b\"[0]", 10 },
        { ".", -1 }, { "[0]", -1 }, { ".[0]", -1 },
    };
    static const struct {
        const char  *path;
        size_t       good;
    } bad[] = {
        { "", 0 }, { "a", 0 }, { "..a", 0 }, { ".a.", 2 }, { ".a[", 2 },
        { ".a[x]", 2 }, { ".a[-0]", 2 }, { ".a b", 2 }, { ".\"a", 0 },
        { ".a[0", 2 }, { ".a|length", 2 }, { ".a[1234567890]", 2 },
    };

    json.data = (const uint8_t *) data;
    json.len = strlen(data);

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        span.data = (const uint8_t *) t[i].path;
        span.len = strlen(t[i].path);

        if (!ok(bc_history_path(&path[0], span, &good) == 0, "%s is a path",
                t[i].path))
        {
            continue;
        }

        bc_history_paths(path, 1);
        bc_history_find(json, path, 1, &value);

        ok((t[i].value == -1) ? isnan(value) : value == t[i].value,
           "%s finds it", t[i].path);
    }

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        span.data = (const uint8_t *) bad[i].path;
        span.len = strlen(bad[i].path);

        is(bc_history_path(&path[0], span, &good), -1, "%s is none",
           bad[i].path);
        is(good, bad[i].good, "%s: so far", bad[i].path);
    }

    /* several that begin alike, in one pass */

    for (i = 0; i < 3; i++) {
        span.data = (const uint8_t *) ((i == 0) ? ".a.b[2]"
                                       : (i == 1) ? ".a.b[0]" : ".ea");
        span.len = strlen((const char *) span.data);
        (void) bc_history_path(&path[i], span, &good);
    }

    bc_history_paths(path, 3);
    bc_history_find(json, path, 3, values);
    ok(values[0] == 30 && values[1] == 10 && values[2] == 9,
       "three at a time");

    span.data = (const uint8_t *) "5";
    span.len = 1;
    json = span;
    span.data = (const uint8_t *) ".";
    (void) bc_history_path(&path[0], span, &good);
    bc_history_find(json, path, 1, &value);
    ok(value == 5, "the data itself");

    span.data = (const uint8_t *) ".a.\"b c\"";
    span.len = 8;
    span = bc_history_path_name(span);
    ok(span.len == 3 && memcmp(span.data, "b c", 3) == 0, "the last name");
    span.data = (const uint8_t *) ".a[0]";
    span.len = 5;
    is(bc_history_path_name(span).len, 0, "an index is none");
}


static void
test_text(void)
{
    size_t               bound, n;
    uint8_t             *buf, *pieces, *p;
    bc_history_t        *h;
    bc_history_cell_t    cells[6], joined;
    bc_history_writer_t  w;

    h = history(5, 3, 2);

    add(h, T0 + 5, 1, 0.5, 5);
    add(h, T0 + 6, 2, 0.25, 5);
    add(h, T0 + 10, 7, NAN, 5);

    (void) bc_history_read(h, 0, T0 / 5 + 2, cells);

    bound = bc_history_bound(&h->shape, 3);
    buf = malloc(bound + 1);

    *bc_history_json(buf, &h->shape, cells, 3) = '\0';
    is_str((char *) buf,
           "{\"height\":{\"min\":[null,1,7],\"mean\":[null,1.5,7],"
           "\"max\":[null,2,7],\"last\":[null,2,7],\"count\":[0,2,1]},"
           "\"gas\":{\"min\":[null,0.25,null],\"mean\":[null,0.375,null],"
           "\"max\":[null,0.5,null],\"last\":[null,0.25,null],"
           "\"count\":[0,2,0]}}", "JSON");
    ok(strlen((char *) buf) <= bound, "within its bound");

    *bc_history_csv(buf, &h->shape, cells, 3, T0, 5) = '\0';
    is_str((char *) buf,
           "time,height_min,height_mean,height_max,height_last,height_count,"
           "gas_min,gas_mean,gas_max,gas_last,gas_count\r\n"
           "1790000000,,,,,,,,,,\r\n"
           "1790000005,1,1.5,2,2,2,0.25,0.375,0.5,0.25,2\r\n"
           "1790000010,7,7,7,7,1,,,,,\r\n", "CSV");
    ok(strlen((char *) buf) <= bound, "within its bound");

    /* both value by value, and in pieces */

    pieces = malloc(bound + 1);

    for (n = 1; n <= 31; n += 3) {
        *bc_history_json(buf, &h->shape, cells, 3) = '\0';
        bc_history_write_json(&w, &h->shape, cells, 3);

        for (p = pieces; w.left != 0; ) {
            p = bc_history_write_some(&w, p, n);
        }

        *p = '\0';
        is_str((char *) pieces, (char *) buf, "JSON in pieces");

        *bc_history_csv(buf, &h->shape, cells, 3, T0, 5) = '\0';
        bc_history_write_csv(&w, &h->shape, cells, 3, T0, 5);

        for (p = pieces; w.left != 0; ) {
            p = bc_history_write_some(&w, p, n);
        }

        *p = '\0';
        is_str((char *) pieces, (char *) buf, "CSV in pieces");
    }

    free(pieces);

    bc_history_join(&joined, cells, 3, 2);
    ok(joined.min == 1 && joined.max == 7 && joined.last == 7
       && joined.count == 3 && bc_history_mean(&joined) == 10.0 / 3,
       "slots joined");
    bc_history_join(&joined, cells, 1, 2);
    ok(joined.count == 0 && !joined.held, "nothing joined is nothing");

    free(buf);
    free(h);
}


/* the sum is beyond a double, or rounded: the mean stays between */

static void
test_mean(void)
{
    int            i;
    bc_history_t  *h;

    h = history(5, 4, 2);

    for (i = 0; i < 10; i++) {
        add(h, T0 + 1, 1.7e308, 0.1, 5);
    }

    is_str(course(h, 0, 0, T0 + 1), "- - - 1.7e+308", "of huge numbers");
    is_str(course(h, 0, 1, T0 + 1), "- - - 0.1", "of ten times a tenth");

    free(h);
}


int
main(void)
{
    test_slots();
    test_gaps();
    test_clock();
    test_death();
    test_encode();
    test_parts();
    test_numbers();
    test_paths();
    test_text();
    test_mean();

    return unit_done();
}
