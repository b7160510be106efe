
/*
 * Copyright (C) the blockcast authors
 *
 * The state file's bytes.  If this fails, a restart takes a damaged or a
 * foreign file for the truth, reads beyond its end, or throws a good one away.
 */

#include "bc_journal.h"
#include "unit.h"


#define span(s)  ((bc_span_t) { (const uint8_t *) (s), strlen(s) })


static uint8_t  file[4096];
static size_t   image, len;


static int
same(bc_span_t a, bc_span_t b)
{
    return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}


/* three streams, as the module writes them */

static void
make(void)
{
    uint8_t            *p, *start;
    bc_journal_record_t   r;
    bc_journal_header_t   h;

    memset(&h, 0, sizeof(h));
    h.epoch = 1785000000123456ull;
    h.made = 1785000000;
    h.reserve = 10000;
    memset(h.boot, 0x5a, sizeof(h.boot));

    p = file + BC_JOURNAL_HEADER;

    memset(&r, 0, sizeof(r));
    r.type = bc_journal_seq;
    r.seq = 7;
    start = p;
    p = start + bc_journal_end(start, bc_journal_begin(start, &r), 0);

    r.type = bc_journal_snap;
    r.name = span("network_metrics");
    r.data = span("{\"tps\":12}");
    r.state = span("{\"n\":1}");
    r.seq = 0x0102030405060708ull;
    r.time = 1785000001;
    r.polled = 1785000001999ull;
    start = p;
    p = bc_journal_begin(start, &r);
    is(p - start, bc_journal_size(&r), "the size of a record is known before");
    p = start + bc_journal_end(start, p, 3);

    r.type = bc_journal_kept;
    r.log = 1;
    r.name = span("receipts");
    r.data = span("");
    r.state = span("");
    r.seq = 9;
    r.nth = 2;
    start = p;
    p = bc_journal_begin(start, &r);
    p = bc_journal_put_entry(p, span("\"a\""), span("{\"id\":\"a\"}"));
    is(p - start, bc_journal_size(&r) + bc_journal_entry_size(3, 10),
       "and that of its entries");
    p = bc_journal_put_entry(p, span("7"), span("{\"id\":7}"));
    p = start + bc_journal_end(start, p, 2);

    h.image = image = (size_t) (p - file) - BC_JOURNAL_HEADER;
    bc_journal_header_put(file, &h);

    r.type = bc_journal_batch;
    r.seq = 10;
    r.nth = 0;
    start = p;
    p = bc_journal_begin(start, &r);
    p = bc_journal_put_entry(p, span("8"), span("{\"id\":8}"));
    p = start + bc_journal_end(start, p, 1);

    memset(&r, 0, sizeof(r));
    r.type = bc_journal_closed;
    start = p;
    p = start + bc_journal_end(start, bc_journal_begin(start, &r), 0);

    len = (size_t) (p - file);
}


static void
test_good(void)
{
    const char          *why;
    bc_span_t            rest, key, data;
    const uint8_t       *p;
    bc_journal_header_t    h;
    bc_journal_record_t    r;

    why = NULL;
    is(bc_journal_header_get(file, len, &h, &why), 0, "the header is read");
    is(h.epoch, 1785000000123456ll, "epoch");
    is(h.made, 1785000000, "when it was made");
    is(h.image, image, "the size of the image");
    is(h.reserve, 10000, "the reserve");
    is(h.boot[0] == 0x5a && h.boot[15] == 0x5a, 1, "the boot");

    ok(bc_journal_whole(file + BC_JOURNAL_HEADER, image), "the image is whole");

    p = file + BC_JOURNAL_HEADER;

    is(bc_journal_next(&p, file + len, &r), 1, "first record");
    is(r.type, bc_journal_seq, "a number");
    is(r.seq, 7, "... 7");
    is(r.name.len, 0, "... of no stream");

    is(bc_journal_next(&p, file + len, &r), 1, "second record");
    is(r.type, bc_journal_snap, "a snapshot");
    ok(same(r.name, span("network_metrics")), "its name");
    ok(same(r.data, span("{\"tps\":12}")), "its data");
    ok(same(r.state, span("{\"n\":1}")), "its state");
    is(r.seq, 0x0102030405060708ll, "its seq");
    is(r.time, 1785000001, "its time");
    is(r.polled, 1785000001999ll, "the poll");
    is(r.n, 3, "its entries' number");

    is(bc_journal_next(&p, file + len, &r), 1, "third record");
    is(r.type, bc_journal_kept, "entries");
    is(r.log, 1, "of a log");
    is(r.nth, 2, "the first is the third of its message");
    is(r.n, 2, "two");

    rest = r.entries;
    is(bc_journal_entry(&rest, &key, &data), 1, "the first");
    ok(same(key, span("\"a\"")) && same(data, span("{\"id\":\"a\"}")), "it is");
    is(bc_journal_entry(&rest, &key, &data), 1, "the second");
    ok(same(key, span("7")) && same(data, span("{\"id\":7}")), "it is");
    is(bc_journal_entry(&rest, &key, &data), 0, "no more");

    is(bc_journal_next(&p, file + len, &r), 1, "the journal");
    is(r.type, bc_journal_batch, "has a message");
    is(bc_journal_next(&p, file + len, &r), 1, "and");
    is(r.type, bc_journal_closed, "its end");
    is(bc_journal_next(&p, file + len, &r), 0, "nothing behind");
}


/* whatever is cut off: the image is not whole, or the journal ends earlier */

static void
test_cut(void)
{
    int                  rc, good;
    size_t               n, header, cut, journal;
    uint8_t             *copy;
    const char          *why;
    const uint8_t       *p;
    bc_journal_header_t    h;
    bc_journal_record_t    r;

    header = 0;
    cut = 0;
    journal = 0;
    good = 1;

    for (n = 0; n < len; n++) {
        copy = unit_copy(file, n);
        why = NULL;

        if (bc_journal_header_get(copy, n, &h, &why) != 0) {
            good &= (why != NULL);

            if (n < BC_JOURNAL_HEADER) {
                header++;

            } else {
                cut++;
            }

            free(copy);
            continue;
        }

        good &= bc_journal_whole(copy + BC_JOURNAL_HEADER, h.image);

        p = copy + BC_JOURNAL_HEADER;

        do {
            rc = bc_journal_next(&p, copy + n, &r);
        } while (rc == 1);

        good &= (rc == BC_JOURNAL_CUT || rc == 0);
        good &= (p <= copy + n);
        journal++;

        free(copy);
    }

    ok(good, "a file cut at any byte is read as far as it is good");
    is(header, BC_JOURNAL_HEADER, "without a header it is refused");
    is(cut, image, "without its image it is refused");
    is(journal, len - BC_JOURNAL_HEADER - image, "the journal may be cut");
}


/* each bit of the file: nothing that it tells is believed */

static void
test_bits(void)
{
    int                  rc, n;
    size_t               bit, missed, believed;
    uint8_t             *copy;
    const char          *why;
    const uint8_t       *p;
    bc_journal_header_t    h;
    bc_journal_record_t    r;

    missed = 0;
    believed = 0;

    for (bit = 0; bit < 8 * len; bit++) {
        copy = unit_copy(file, len);
        copy[bit / 8] ^= (uint8_t) (1 << bit % 8);

        rc = bc_journal_header_get(copy, len, &h, &why);

        if (bit < 8 * BC_JOURNAL_HEADER) {
            missed += (rc == 0);
            free(copy);
            continue;
        }

        rc = bc_journal_whole(copy + BC_JOURNAL_HEADER, image);

        if (bit < 8 * (BC_JOURNAL_HEADER + image)) {
            believed += (rc != 0);
        }

        p = copy + BC_JOURNAL_HEADER;
        n = 0;

        while ((rc = bc_journal_next(&p, copy + len, &r)) == 1) {
            n++;
        }

        missed += (n == 5 || rc == 0);
        free(copy);
    }

    is(missed, 0, "one wrong bit is seen, wherever it is");
    is(believed, 0, "an image with a wrong bit is not whole");
}


static void
refuse(const char *what, const uint8_t *p, size_t n, const char *expected)
{
    const char         *why;
    bc_journal_header_t   h;

    why = "good";
    is(bc_journal_header_get(p, n, &h, &why), -1, "%s is refused", what);
    is_str(why, expected, "... as %s", expected);
}


static void
test_foreign(void)
{
    uint8_t  *copy;

    refuse("nothing", (const uint8_t *) "", 0, "empty");
    refuse("a text", (const uint8_t *) "worker_processes 1;\n", 20,
           "not a state file of blockcast");
    refuse("a short text", (const uint8_t *) "abc", 3,
           "not a state file of blockcast");
    refuse("the beginning of one", (const uint8_t *) "BCS", 3,
           "cut off in its header");

    copy = unit_copy(file, len);
    copy[8] = 2;
    refuse("a newer version", copy, len, "of a newer version of blockcast");
    copy[8] = 0;
    refuse("version 0", copy, len, "damaged in its header");
    free(copy);
}


/* records whose checksum is right and whose numbers are not */

static void
test_lies(void)
{
    uint8_t              buf[512], *last;
    uint32_t             n;
    const uint8_t       *p;
    bc_journal_record_t    r;

    memset(&r, 0, sizeof(r));
    r.type = bc_journal_batch;
    r.log = 1;
    r.name = span("l");

    last = bc_journal_begin(buf, &r);
    last = bc_journal_put_entry(last, span("1"), span("{}"));
    p = buf;

    for (n = 0; n < 4; n++) {
        (void) bc_journal_end(buf, last, n);
        p = buf;
        is(bc_journal_next(&p, last, &r), n == 1 ? 1 : BC_JOURNAL_BAD,
           "%u entries are said to be there", n);
    }

    last = bc_journal_begin(buf, &r);
    last = bc_journal_put_entry(last, span(""), span("{}"));
    (void) bc_journal_end(buf, last, 1);
    p = buf;
    is(bc_journal_next(&p, last, &r), BC_JOURNAL_BAD, "an entry without a key");

    memset(&r, 0, sizeof(r));
    r.type = bc_journal_snap;
    last = bc_journal_begin(buf, &r);
    last = bc_journal_put_entry(last, span("1"), span("{}"));
    (void) bc_journal_end(buf, last, 1);
    p = buf;
    is(bc_journal_next(&p, last, &r), BC_JOURNAL_BAD, "a snapshot with entries");

    r.type = 99;
    r.entries.len = 0;
    last = bc_journal_begin(buf, &r);
    (void) bc_journal_end(buf, last, 0);
    p = buf;
    is(bc_journal_next(&p, last, &r), BC_JOURNAL_BAD, "a record of no known type");

    memset(buf, 0, sizeof(buf));
    p = buf;
    is(bc_journal_next(&p, buf + sizeof(buf), &r), BC_JOURNAL_BAD, "zeros");
    memset(buf, 0xff, sizeof(buf));
    p = buf;
    is(bc_journal_next(&p, buf + sizeof(buf), &r), BC_JOURNAL_BAD, "ones");
}


/* in pieces a record has the same bytes as at once */

static void
test_pieces(void)
{
    size_t               head, size, i;
    uint8_t              once[512], pieces[512];
    uint32_t             sum;
    const uint8_t       *p;
    bc_journal_record_t  r, got;

    memset(&r, 0, sizeof(r));
    r.type = bc_journal_snap;
    r.name = span("network_metrics");
    r.data = span("[\"a large one, of which this is the beginning\"]");
    r.state = span("{\"n\":1}");
    r.seq = 12;
    r.time = 1785000001;

    size = bc_journal_end(once, bc_journal_begin(once, &r), 0);

    memset(pieces, 0xff, sizeof(pieces));
    head = bc_journal_head(pieces, &r);
    is(head, BC_JOURNAL_RECORD + r.name.len, "the head of a record");

    memcpy(pieces + head, r.data.data, r.data.len);
    memcpy(pieces + head + r.data.len, r.state.data, r.state.len);

    sum = 0;

    for (i = 8; i < size; i += 7) {
        sum = bc_journal_sum(sum, pieces + i, size - i < 7 ? size - i : 7);
    }

    bc_journal_head_end(pieces, sum);
    ok(memcmp(once, pieces, size) == 0, "in pieces it is the same");

    /* without its last piece it is one whose write was cut */

    for (i = 1; i < size; i++) {
        p = pieces;

        if (bc_journal_next(&p, pieces + i, &got) != BC_JOURNAL_CUT) {
            break;
        }
    }

    is(i, size, "and cut off up to its last byte");

    p = pieces;
    is(bc_journal_next(&p, pieces + size, &got), 1, "and then whole");
}



/* the note of the newest numbers: read as written, and refused else */

static void
test_note(void)
{
    size_t           i, len;
    uint8_t          buf[BC_JOURNAL_NOTE_HEAD
                         + BC_JOURNAL_NOTE_MAX * BC_JOURNAL_NOTE_SEQ];
    uint32_t         n;
    unsigned         bad;
    bc_journal_note_t  note, got;

    memset(&note, 0, sizeof(note));
    memset(&got, 0, sizeof(got));

    note.epoch = 1883141886216480ULL;
    note.gone = 26;
    note.file = 0xfedcba9876543210ULL;
    note.n = BC_JOURNAL_NOTE_MAX;

    for (n = 0; n < note.n; n++) {
        note.hash[n] = bc_journal_hash((const uint8_t *) "stream", n % 7);
        note.seq[n] = 1000 + n;
    }

    len = bc_journal_note_put(buf, &note);

    is(len, sizeof(buf), "the note fills its place");
    is(bc_journal_note_get(buf, len, &got), 0, "it is read");
    ok(got.epoch == note.epoch && got.gone == note.gone
       && got.file == note.file && got.n == note.n
       && memcmp(got.hash, note.hash, sizeof(note.hash)) == 0
       && memcmp(got.seq, note.seq, sizeof(note.seq)) == 0,
       "as it was written");

    bc_journal_note_put_seq(buf + BC_JOURNAL_NOTE_HEAD + 5 * BC_JOURNAL_NOTE_SEQ,
                          note.hash[5], 77);
    is(bc_journal_note_get(buf, len, &got), 0, "one number changed");
    is(got.seq[5], 77, "... is read");
    is(got.seq[6], 1006, "... and that beside it");

    bad = 0;

    for (i = 0; i < len; i++) {
        bad += (bc_journal_note_get(buf, i, &got) == 0);
    }

    is(bad, 0, "cut anywhere it is none");

    for (i = 0; i < len; i++) {

        /* the last bytes of a place say nothing */

        if (i >= BC_JOURNAL_NOTE_HEAD
            && (i - BC_JOURNAL_NOTE_HEAD) % BC_JOURNAL_NOTE_SEQ >= 20)
        {
            continue;
        }

        buf[i] ^= 4;
        bad += (bc_journal_note_get(buf, len, &got) == 0);
        buf[i] ^= 4;
    }

    is(bad, 0, "with a bit changed, too");

    note.n = 0;
    len = bc_journal_note_put(buf, &note);
    is(bc_journal_note_get(buf, len, &got), 0, "a note of no stream");

    ok(bc_journal_ours((const uint8_t *) "", 0), "nothing may be ours");
    ok(bc_journal_ours((const uint8_t *) "BCST", 4), "a beginning may be ours");
    ok(!bc_journal_ours((const uint8_t *) "BCSU", 4), "another may not");
    ok(!bc_journal_ours((const uint8_t *) "BCSTATE1", 8), "a text may not");
}


int
main(void)
{
    make();
    test_pieces();
    test_note();
    test_good();
    test_cut();
    test_bits();
    test_foreign();
    test_lies();

    return unit_done();
}
