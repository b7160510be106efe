
/*
 * Copyright (C) the blockcast authors
 *
 * The state file: whatever is in it, nothing beyond it is read, what is read
 * is written the same again, and every record ends where the next begins.
 * Checksums are put right first, or nothing but them would be tested.
 */

#include <zlib.h>

#include "bc_journal.h"
#include "fuzz.h"


static void
put_crc(uint8_t *at, const uint8_t *p, size_t len)
{
    uint32_t  crc;

    crc = (uint32_t) crc32(crc32(0, NULL, 0), p, (uInt) len);

    at[0] = (uint8_t) crc;
    at[1] = (uint8_t) (crc >> 8);
    at[2] = (uint8_t) (crc >> 16);
    at[3] = (uint8_t) (crc >> 24);
}


/* records follow one another as their sizes say */

static void
put_right(uint8_t *p, size_t len)
{
    size_t  at, size;

    if (len < BC_JOURNAL_HEADER) {
        return;
    }

    put_crc(p + 12, p + 16, BC_JOURNAL_HEADER - 16);

    for (at = BC_JOURNAL_HEADER; len - at >= BC_JOURNAL_RECORD; at += size) {

        size = p[at] | (size_t) p[at + 1] << 8 | (size_t) p[at + 2] << 16
               | (size_t) p[at + 3] << 24;

        if (size < BC_JOURNAL_RECORD || size > len - at) {
            break;
        }

        put_crc(p + at + 4, p + at + 8, size - 8);
    }
}


static void
check_record(const bc_journal_record_t *r, const uint8_t *from, size_t size)
{
    size_t      n;
    uint8_t    *copy, *p;
    uint32_t    count;
    bc_span_t   rest, key, data;

    n = bc_journal_size(r) + r->entries.len;
    must(n == size);

    copy = malloc(n);
    must(copy != NULL);

    p = bc_journal_begin(copy, r);
    rest = r->entries;

    for (count = 0; bc_journal_entry(&rest, &key, &data); count++) {
        p = bc_journal_put_entry(p, key, data);
    }

    must(rest.len == 0);
    must(r->entries.len == 0 || count == r->n);
    must(bc_journal_end(copy, p, r->n) == n);

    /* the checksums are over the same bytes then, too */

    must(memcmp(copy, from, n) == 0);

    free(copy);
}


int
LLVMFuzzerTestOneInput(const uint8_t *input, size_t size)
{
    int                  rc;
    uint8_t             *data;
    const char          *why;
    const uint8_t       *p, *from, *last;
    bc_journal_note_t      note;
    bc_journal_header_t    h;
    bc_journal_record_t    r;

    data = fuzz_copy(input, size);

    if (size != 0 && (input[size - 1] & 3) != 0) {
        put_right(data, size);
    }

    why = NULL;
    rc = bc_journal_header_get(data, size, &h, &why);

    must((rc == 0) == (why == NULL));

    if (rc == 0) {
        must(size >= BC_JOURNAL_HEADER && h.image <= size - BC_JOURNAL_HEADER);
        must(h.epoch != 0);

        (void) bc_journal_whole(data + BC_JOURNAL_HEADER, (size_t) h.image);
    }

    if (bc_journal_note_get(data, size, &note) == 0) {
        must(note.n <= BC_JOURNAL_NOTE_MAX);
        must(size >= BC_JOURNAL_NOTE_HEAD + note.n * BC_JOURNAL_NOTE_SEQ);
    }

    if (size >= BC_JOURNAL_HEADER) {
        p = data + BC_JOURNAL_HEADER;
        last = data + size;

        for ( ;; ) {
            from = p;
            rc = bc_journal_next(&p, last, &r);

            if (rc != 1) {
                must(p == from);
                must((rc == 0) == (p == last));
                break;
            }

            must(p > from && p <= last);
            check_record(&r, from, (size_t) (p - from));
        }

        must(bc_journal_whole(data + BC_JOURNAL_HEADER,
                            (size_t) (from - data) - BC_JOURNAL_HEADER));
    }

    free(data);

    return 0;
}
