
/*
 * Copyright (C) the blockcast authors
 *
 * The format of the state file, see bc_journal.h.
 */


#include <string.h>

#include <zlib.h>

#include "bc_journal.h"


static const char  bc_journal_magic[8] = "BCSTATE\n";
static const char  bc_journal_note_magic[8] = "BCNOTE1\n";


static void
bc_journal_put32(uint8_t *p, uint32_t n)
{
    p[0] = (uint8_t) n;
    p[1] = (uint8_t) (n >> 8);
    p[2] = (uint8_t) (n >> 16);
    p[3] = (uint8_t) (n >> 24);
}


static void
bc_journal_put64(uint8_t *p, uint64_t n)
{
    bc_journal_put32(p, (uint32_t) n);
    bc_journal_put32(p + 4, (uint32_t) (n >> 32));
}


static uint32_t
bc_journal_get32(const uint8_t *p)
{
    return (uint32_t) p[0] | (uint32_t) p[1] << 8 | (uint32_t) p[2] << 16
           | (uint32_t) p[3] << 24;
}


static uint64_t
bc_journal_get64(const uint8_t *p)
{
    return bc_journal_get32(p) | (uint64_t) bc_journal_get32(p + 4) << 32;
}


static uint8_t *
bc_journal_copy(uint8_t *p, bc_span_t span)
{
    if (span.len != 0) {
        memcpy(p, span.data, span.len);
    }

    return p + span.len;
}


static uint32_t
bc_journal_crc(const uint8_t *p, size_t len)
{
    return (uint32_t) crc32(crc32(0, NULL, 0), p, (uInt) len);
}


void
bc_journal_header_put(uint8_t *p, const bc_journal_header_t *h)
{
    memset(p, 0, BC_JOURNAL_HEADER);
    memcpy(p, bc_journal_magic, 8);

    bc_journal_put32(p + 8, BC_JOURNAL_VERSION);
    bc_journal_put64(p + 16, h->epoch);
    bc_journal_put64(p + 24, h->made);
    bc_journal_put64(p + 32, h->image);
    bc_journal_put32(p + 40, h->reserve);
    memcpy(p + 48, h->boot, BC_JOURNAL_BOOT);

    bc_journal_put32(p + 12, bc_journal_crc(p + 16, BC_JOURNAL_HEADER - 16));
}


int
bc_journal_header_get(const uint8_t *p, uint64_t len, bc_journal_header_t *h,
    const char **why)
{
    uint32_t  version;

    if (len == 0) {
        *why = "empty";
        return -1;
    }

    if (!bc_journal_ours(p, len < 8 ? (size_t) len : 8)) {
        *why = "not a state file of blockcast";
        return -1;
    }

    if (len < BC_JOURNAL_HEADER) {
        *why = "cut off in its header";
        return -1;
    }

    version = bc_journal_get32(p + 8);

    if (version > BC_JOURNAL_VERSION) {
        *why = "of a newer version of blockcast";
        return -1;
    }

    if (version != BC_JOURNAL_VERSION
        || bc_journal_get32(p + 12)
           != bc_journal_crc(p + 16, BC_JOURNAL_HEADER - 16))
    {
        *why = "damaged in its header";
        return -1;
    }

    h->epoch = bc_journal_get64(p + 16);
    h->made = bc_journal_get64(p + 24);
    h->image = bc_journal_get64(p + 32);
    h->reserve = bc_journal_get32(p + 40);
    memcpy(h->boot, p + 48, BC_JOURNAL_BOOT);

    if (h->epoch == 0) {
        *why = "damaged in its header";
        return -1;
    }

    if (h->image > len - BC_JOURNAL_HEADER) {
        *why = "cut off";
        return -1;
    }

    return 0;
}


size_t
bc_journal_size(const bc_journal_record_t *r)
{
    return BC_JOURNAL_RECORD + r->name.len + r->data.len + r->state.len;
}


size_t
bc_journal_entry_size(size_t key_len, size_t data_len)
{
    return BC_JOURNAL_ENTRY + key_len + data_len;
}


/*
 * Writes the fixed part and the name; leaves out the size, the CRC, n and the
 * length of the entries.
 */

static uint8_t *
bc_journal_fixed(uint8_t *p, const bc_journal_record_t *r)
{
    memset(p, 0, BC_JOURNAL_RECORD);

    p[8] = r->type;
    p[9] = r->log;
    p[10] = (uint8_t) r->name.len;
    p[11] = (uint8_t) (r->name.len >> 8);
    bc_journal_put32(p + 16, r->nth);
    bc_journal_put32(p + 20, (uint32_t) r->data.len);
    bc_journal_put32(p + 24, (uint32_t) r->state.len);
    bc_journal_put64(p + 32, r->seq);
    bc_journal_put64(p + 40, r->time);
    bc_journal_put64(p + 48, r->polled);

    return bc_journal_copy(p + BC_JOURNAL_RECORD, r->name);
}


uint8_t *
bc_journal_begin(uint8_t *p, const bc_journal_record_t *r)
{
    p = bc_journal_fixed(p, r);
    p = bc_journal_copy(p, r->data);
    return bc_journal_copy(p, r->state);
}


size_t
bc_journal_head(uint8_t *p, const bc_journal_record_t *r)
{
    uint8_t  *last;

    last = bc_journal_fixed(p, r);

    bc_journal_put32(p, (uint32_t) (bc_journal_size(r) + r->entries.len));
    bc_journal_put32(p + 12, r->n);
    bc_journal_put32(p + 28, (uint32_t) r->entries.len);

    return (size_t) (last - p);
}


uint32_t
bc_journal_sum(uint32_t sum, const uint8_t *p, size_t len)
{
    return (uint32_t) crc32(sum, p, (uInt) len);
}


void
bc_journal_head_end(uint8_t *p, uint32_t sum)
{
    bc_journal_put32(p + 4, sum);
}


uint8_t *
bc_journal_entry_head(uint8_t *p, bc_span_t key, size_t len)
{
    bc_journal_put32(p, (uint32_t) key.len);
    bc_journal_put32(p + 4, (uint32_t) len);

    return bc_journal_copy(p + BC_JOURNAL_ENTRY, key);
}


uint8_t *
bc_journal_put_entry(uint8_t *p, bc_span_t key, bc_span_t data)
{
    return bc_journal_copy(bc_journal_entry_head(p, key, data.len), data);
}


size_t
bc_journal_end(uint8_t *start, uint8_t *last, uint32_t n)
{
    size_t  size, fixed;

    size = (size_t) (last - start);

    fixed = BC_JOURNAL_RECORD + start[10] + ((size_t) start[11] << 8)
            + bc_journal_get32(start + 20) + bc_journal_get32(start + 24);

    bc_journal_put32(start, (uint32_t) size);
    bc_journal_put32(start + 12, n);
    bc_journal_put32(start + 28, (uint32_t) (size - fixed));
    bc_journal_put32(start + 4, bc_journal_crc(start + 8, size - 8));

    return size;
}


/* Tells whether there are exactly r->n entries, and they fill their space. */

static int
bc_journal_entries_good(const bc_journal_record_t *r)
{
    uint32_t   n;
    bc_span_t  rest, key, data;

    if (r->type != bc_journal_batch && r->type != bc_journal_kept) {
        return r->entries.len == 0;
    }

    rest = r->entries;

    for (n = 0; bc_journal_entry(&rest, &key, &data); n++) {
        if (key.len == 0) {
            return 0;
        }
    }

    return n == r->n && rest.len == 0;
}


int
bc_journal_next(const uint8_t **pos, const uint8_t *last,
    bc_journal_record_t *r)
{
    size_t          left;
    uint64_t        sum;
    uint32_t        size;
    const uint8_t  *p;

    p = *pos;
    left = (size_t) (last - p);

    if (left == 0) {
        return 0;
    }

    if (left < BC_JOURNAL_RECORD) {
        return BC_JOURNAL_CUT;
    }

    size = bc_journal_get32(p);

    if (size < BC_JOURNAL_RECORD || size > BC_JOURNAL_RECORD_MAX) {
        return BC_JOURNAL_BAD;
    }

    if (size > left) {
        return BC_JOURNAL_CUT;
    }

    if (bc_journal_get32(p + 4) != bc_journal_crc(p + 8, size - 8)) {
        return BC_JOURNAL_BAD;
    }

    r->type = p[8];
    r->log = p[9];
    r->name.len = p[10] | (size_t) p[11] << 8;
    r->n = bc_journal_get32(p + 12);
    r->nth = bc_journal_get32(p + 16);
    r->data.len = bc_journal_get32(p + 20);
    r->state.len = bc_journal_get32(p + 24);
    r->entries.len = bc_journal_get32(p + 28);
    r->seq = bc_journal_get64(p + 32);
    r->time = bc_journal_get64(p + 40);
    r->polled = bc_journal_get64(p + 48);

    sum = (uint64_t) BC_JOURNAL_RECORD + r->name.len + r->data.len
          + r->state.len + r->entries.len;

    if (sum != size
        || r->type < bc_journal_snap || r->type > bc_journal_closed
        || r->log > 1)
    {
        return BC_JOURNAL_BAD;
    }

    r->name.data = p + BC_JOURNAL_RECORD;
    r->data.data = r->name.data + r->name.len;
    r->state.data = r->data.data + r->data.len;
    r->entries.data = r->state.data + r->state.len;

    if (!bc_journal_entries_good(r)) {
        return BC_JOURNAL_BAD;
    }

    *pos = p + size;

    return 1;
}


int
bc_journal_entry(bc_span_t *entries, bc_span_t *key, bc_span_t *data)
{
    uint64_t        size;
    const uint8_t  *p;

    if (entries->len < BC_JOURNAL_ENTRY) {
        return 0;
    }

    p = entries->data;

    key->len = bc_journal_get32(p);
    data->len = bc_journal_get32(p + 4);

    size = (uint64_t) BC_JOURNAL_ENTRY + key->len + data->len;

    if (size > entries->len) {
        return 0;
    }

    key->data = p + BC_JOURNAL_ENTRY;
    data->data = key->data + key->len;

    entries->data += size;
    entries->len -= (size_t) size;

    return 1;
}


int
bc_journal_whole(const uint8_t *p, size_t len)
{
    int                  rc;
    const uint8_t       *last;
    bc_journal_record_t  r;

    last = p + len;

    do {
        rc = bc_journal_next(&p, last, &r);
    } while (rc == 1);

    return rc == 0;
}


int
bc_journal_ours(const uint8_t *p, size_t len)
{
    return memcmp(p, bc_journal_magic, len < 8 ? len : 8) == 0;
}


/*
 * Uses FNV-1a.  If two names collide, one stream gets a larger seq than
 * needed.
 */

uint64_t
bc_journal_hash(const uint8_t *name, size_t len)
{
    size_t    i;
    uint64_t  hash;

    hash = 0xcbf29ce484222325ULL;

    for (i = 0; i < len; i++) {
        hash = (hash ^ name[i]) * 0x100000001b3ULL;
    }

    return hash;
}


void
bc_journal_note_put_seq(uint8_t *p, uint64_t hash, uint64_t seq)
{
    bc_journal_put64(p, hash);
    bc_journal_put64(p + 8, seq);
    bc_journal_put32(p + 16, bc_journal_crc(p, 16));
    bc_journal_put32(p + 20, 0);
}


size_t
bc_journal_note_put(uint8_t *p, const bc_journal_note_t *note)
{
    uint32_t  i;

    memcpy(p, bc_journal_note_magic, 8);

    bc_journal_put64(p + 8, note->epoch);
    bc_journal_put64(p + 16, note->gone);
    bc_journal_put64(p + 24, note->file);
    bc_journal_put32(p + 32, note->n);
    bc_journal_put32(p + 36, bc_journal_crc(p, 36));

    p += BC_JOURNAL_NOTE_HEAD;

    for (i = 0; i < note->n; i++) {
        bc_journal_note_put_seq(p + i * BC_JOURNAL_NOTE_SEQ, note->hash[i],
                                note->seq[i]);
    }

    return BC_JOURNAL_NOTE_HEAD + (size_t) note->n * BC_JOURNAL_NOTE_SEQ;
}


int
bc_journal_note_get(const uint8_t *p, size_t len, bc_journal_note_t *note)
{
    uint32_t  i;

    if (len < BC_JOURNAL_NOTE_HEAD
        || memcmp(p, bc_journal_note_magic, 8) != 0
        || bc_journal_get32(p + 36) != bc_journal_crc(p, 36))
    {
        return -1;
    }

    note->epoch = bc_journal_get64(p + 8);
    note->gone = bc_journal_get64(p + 16);
    note->file = bc_journal_get64(p + 24);
    note->n = bc_journal_get32(p + 32);

    if (note->n > BC_JOURNAL_NOTE_MAX
        || (len - BC_JOURNAL_NOTE_HEAD) / BC_JOURNAL_NOTE_SEQ < note->n)
    {
        return -1;
    }

    p += BC_JOURNAL_NOTE_HEAD;

    for (i = 0; i < note->n; i++, p += BC_JOURNAL_NOTE_SEQ) {

        if (bc_journal_get32(p + 16) != bc_journal_crc(p, 16)) {
            return -1;
        }

        note->hash[i] = bc_journal_get64(p);
        note->seq[i] = bc_journal_get64(p + 8);
    }

    return 0;
}
