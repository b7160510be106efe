
/*
 * Copyright (C) the blockcast authors
 *
 * The state file: a header, the image (records with the complete state), and
 * after it the journal (a record for each change since).  Numbers are
 * little-endian; every record has its own CRC-32.
 *
 *     header   "BCSTATE\n" version:4 crc:4 epoch:8 made:8 image:8 reserve:4
 *              flags:4 boot:16                                  (64 bytes)
 *     record   size:4 crc:4 type:1 log:1 name:2 n:4 nth:4 data:4 state:4
 *              entries:4 seq:8 time:8 polled:8                  (56 bytes)
 *              then name, data, state, entries of these lengths
 *     entry    key:4 data:4, then key, data
 *
 * A file with an incomplete image is damaged.  The journal may end within a
 * record: its last write was cut off, or is still in progress.
 *
 * The note, in another file, has the newest seq of each stream, so that an
 * outdated state file is recognized:
 *
 *     lock     "0\n" or "1\n" (see _journal_note); then zeros; the leader (see
 *              _journal_lead) from BC_JOURNAL_LEAD on; zeros up to
 *              BC_JOURNAL_NOTE
 *     note     "BCNOTE1\n" epoch:8 gone:8 file:8 n:4 crc:4      (40 bytes)
 *     n times  hash:8 seq:8 crc:4 zero:4                        (24 bytes)
 */


#ifndef _BC_JOURNAL_H_INCLUDED_
#define _BC_JOURNAL_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "bc_span.h"


#define BC_JOURNAL_VERSION      1
#define BC_JOURNAL_HEADER       64
#define BC_JOURNAL_RECORD       56
#define BC_JOURNAL_ENTRY        8
#define BC_JOURNAL_BOOT         16

#define BC_JOURNAL_LEAD         16        /* offset of the leader, see
                                             _journal_lead */
#define BC_JOURNAL_LEAD_LEN     40
#define BC_JOURNAL_NOTE         64        /* offset of the note */
#define BC_JOURNAL_NOTE_HEAD    40
#define BC_JOURNAL_NOTE_SEQ     24
#define BC_JOURNAL_NOTE_MAX     64        /* streams */

/* the largest record; a larger size means damage (bytes) */
#define BC_JOURNAL_RECORD_MAX   (256 * 1024 * 1024)


typedef struct {
    uint64_t         epoch;
    uint64_t         made;          /* Unix seconds */
    uint64_t         image;         /* its size in bytes, without the header */
    uint32_t         reserve;       /* seqs that may be used without a sync */
    uint8_t          boot[BC_JOURNAL_BOOT];
} bc_journal_header_t;


typedef enum {
    bc_journal_snap = 1,      /* the newest message: data (of a log: as sent),
                                 state, n entries in it */
    bc_journal_batch,         /* log: a message of n entries; state */
    bc_journal_kept,          /* log: n entries of an earlier message, the
                                 first is its nth */
    bc_journal_program,       /* the program's state has changed */
    bc_journal_polled,        /* a successful poll without a change */
    bc_journal_error,         /* a failed one: data is the text, empty when the
                                 error is over; seq is the code, time its
                                 beginning */
    bc_journal_seq,           /* a seq without data.  Without a name: of all
                                 removed streams.  Of a log, before its
                                 entries: what else was published, in data, see
                                 ngx_http_blockcast_journal_codec.c */
    bc_journal_closed         /* the end: the writer has exited properly */
} bc_journal_type_e;


typedef struct {
    uint8_t          type;
    uint8_t          log;           /* of a log stream */
    uint32_t         n;
    uint32_t         nth;
    uint64_t         seq;
    uint64_t         time;          /* Unix seconds */
    uint64_t         polled;        /* Unix milliseconds */
    bc_span_t        name;
    bc_span_t        data;
    bc_span_t        state;
    bc_span_t        entries;       /* n of them, see bc_journal_entry() */
} bc_journal_record_t;


/* Writes BC_JOURNAL_HEADER bytes. */
void bc_journal_header_put(uint8_t *p, const bc_journal_header_t *h);

/*
 * Reads the header of a file of len bytes, of which at least the first
 * min(len, BC_JOURNAL_HEADER) are at p.  Returns 0, or -1 with *why, the end
 * of a sentence that begins "it is ".
 */
int bc_journal_header_get(const uint8_t *p, uint64_t len,
    bc_journal_header_t *h, const char **why);

/* Return the size of a record without its entries, and of an entry (bytes). */
size_t bc_journal_size(const bc_journal_record_t *r);
size_t bc_journal_entry_size(size_t key_len, size_t data_len);

/*
 * Write a record: _begin() writes all but n and the entries, then _put_entry()
 * is called n times, then _end(), which returns the size of the record.  The
 * first two return the position after what they wrote.  The caller provides
 * the room.
 */
uint8_t *bc_journal_begin(uint8_t *p, const bc_journal_record_t *r);
uint8_t *bc_journal_put_entry(uint8_t *p, bc_span_t key, bc_span_t data);
size_t bc_journal_end(uint8_t *start, uint8_t *last, uint32_t n);

/*
 * Write a record in pieces.  _head() writes its beginning, up to the data, and
 * returns its length.  The data, the state, and the entries follow,
 * r->entries.len bytes in all; each entry is _entry_head() and then its data.
 * _sum() adds all bytes from offset 8 on to the CRC, which is initially 0;
 * _head_end() stores it in the record.
 */
size_t bc_journal_head(uint8_t *p, const bc_journal_record_t *r);
uint8_t *bc_journal_entry_head(uint8_t *p, bc_span_t key, size_t len);
uint32_t bc_journal_sum(uint32_t sum, const uint8_t *p, size_t len);
void bc_journal_head_end(uint8_t *p, uint32_t sum);

/*
 * Reads the record at *p, and advances *p past it; the spans of *r point into
 * the input.  Returns 1 with a record; 0 at the end; BC_JOURNAL_CUT when the
 * rest may be the beginning of a record; BC_JOURNAL_BAD when it is damaged.
 */
#define BC_JOURNAL_CUT  -1
#define BC_JOURNAL_BAD  -2

int bc_journal_next(const uint8_t **p, const uint8_t *last,
    bc_journal_record_t *r);

/*
 * Returns 1 with the next entry, and advances *entries (a copy of r->entries)
 * past it; 0 at the end.
 */
int bc_journal_entry(bc_span_t *entries, bc_span_t *key, bc_span_t *data);

/*
 * Tells whether len bytes at p are a complete image: every record is valid,
 * and the last one ends at p + len.
 */
int bc_journal_whole(const uint8_t *p, size_t len);


typedef struct {
    uint64_t         epoch;
    uint64_t         gone;          /* newest seq of streams not listed */
    uint64_t         file;          /* the file that the note is in */
    uint32_t         n;
    uint64_t         hash[BC_JOURNAL_NOTE_MAX];
    uint64_t         seq[BC_JOURNAL_NOTE_MAX];
} bc_journal_note_t;


/* Returns the hash that represents a stream's name in a note. */
uint64_t bc_journal_hash(const uint8_t *name, size_t len);

/*
 * Tells whether len bytes are the beginning of a state file, or a part of that
 * beginning.
 */
int bc_journal_ours(const uint8_t *p, size_t len);

/*
 * Writes a note of BC_JOURNAL_NOTE_HEAD + n * BC_JOURNAL_NOTE_SEQ bytes, and
 * returns its size.  _put_seq() writes the part of one stream.
 */
size_t bc_journal_note_put(uint8_t *p, const bc_journal_note_t *note);
void bc_journal_note_put_seq(uint8_t *p, uint64_t hash, uint64_t seq);

/*
 * Reads a note of len bytes.  Returns 0, or -1 when it is damaged or missing.
 */
int bc_journal_note_get(const uint8_t *p, size_t len, bc_journal_note_t *note);


#endif /* _BC_JOURNAL_H_INCLUDED_ */
