
/*
 * Copyright (C) the blockcast authors
 *
 * The state file: a header, the image (records that are all the state there
 * is), and behind it the journal (a record for each change since).  Numbers
 * are little-endian; every record has its own CRC-32.
 *
 *     header   "BCSTATE\n" version:4 crc:4 epoch:8 made:8 image:8 reserve:4
 *              flags:4 boot:16                                  (64 bytes)
 *     record   size:4 crc:4 type:1 log:1 name:2 n:4 nth:4 data:4 state:4
 *              entries:4 seq:8 time:8 polled:8                  (56 bytes)
 *              then name, data, state, entries of these lengths
 *     entry    key:4 data:4, then key, data
 *
 * An image that is not whole makes the file damaged.  The journal may end in
 * the middle of a record: its last write was cut, or is going on.
 *
 * The note, in another file, tells the newest seq of each stream, so that a
 * state file that is older is known as such:
 *
 *     lock     "0\n" or "1\n" (see _journal_note); from BC_JOURNAL_LEAD on who
 *              leads (see _journal_lead), zeros up to there and up to
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

#define BC_JOURNAL_LEAD         16        /* who leads, where it begins */
#define BC_JOURNAL_LEAD_LEN     40
#define BC_JOURNAL_NOTE         64        /* where it begins */
#define BC_JOURNAL_NOTE_HEAD    40
#define BC_JOURNAL_NOTE_SEQ     24
#define BC_JOURNAL_NOTE_MAX     64        /* streams */

/* no record is larger, so a size beyond it is damage */
#define BC_JOURNAL_RECORD_MAX   (256 * 1024 * 1024)


typedef struct {
    uint64_t         epoch;
    uint64_t         made;          /* Unix seconds */
    uint64_t         image;         /* bytes of it, the header not counted */
    uint32_t         reserve;       /* seqs that may be used without a sync */
    uint8_t          boot[BC_JOURNAL_BOOT];
} bc_journal_header_t;


typedef enum {
    bc_journal_snap = 1,      /* the newest message: data (log: as was sent),
                               state, n entries in it */
    bc_journal_batch,         /* log: n entries are a message; state */
    bc_journal_kept,          /* log: n entries of a former message, the first
                               is the nth of it */
    bc_journal_program,       /* another state of the program */
    bc_journal_polled,        /* a good poll without a change */
    bc_journal_error,         /* a failed one: data is the text, nothing: it is
                               over; seq is the code, time since when */
    bc_journal_seq,           /* the number, without data; of no name: that of
                               all streams that are gone; of a log, before
                               its entries: what else was published, in data,
                               see ngx_http_blockcast_journal_codec.c */
    bc_journal_closed         /* nothing follows: the writer has ended well */
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
 * min(len, BC_JOURNAL_HEADER) are at p.  Returns 0, or -1 with *why, a part
 * of a sentence: "it is …".
 */
int bc_journal_header_get(const uint8_t *p, uint64_t len,
    bc_journal_header_t *h, const char **why);

/* Return the bytes of a record without its entries, and of an entry. */
size_t bc_journal_size(const bc_journal_record_t *r);
size_t bc_journal_entry_size(size_t key_len, size_t data_len);

/*
 * Write a record: _begin() all but n and the entries, then n times
 * _put_entry(), then _end(), which returns the size of the whole.  The first
 * two return the position after what they wrote.  The caller has made room.
 */
uint8_t *bc_journal_begin(uint8_t *p, const bc_journal_record_t *r);
uint8_t *bc_journal_put_entry(uint8_t *p, bc_span_t key, bc_span_t data);
size_t bc_journal_end(uint8_t *start, uint8_t *last, uint32_t n);

/*
 * Write a record in pieces: _head() the beginning of the file's bytes, up to
 * the data, and returns how many; the data, the state, and entries of as many
 * bytes as r says follow, each _entry_head() and then its data.  _sum() adds to
 * a sum, which is 0 at first, all bytes from the 8th on, and _head_end() puts
 * it where it belongs.
 */
size_t bc_journal_head(uint8_t *p, const bc_journal_record_t *r);
uint8_t *bc_journal_entry_head(uint8_t *p, bc_span_t key, size_t len);
uint32_t bc_journal_sum(uint32_t sum, const uint8_t *p, size_t len);
void bc_journal_head_end(uint8_t *p, uint32_t sum);

/*
 * Reads the record at *p, which is moved behind it; its spans point into the
 * input.  Returns 1 with a record; 0 at the end; BC_JOURNAL_CUT when the rest
 * may be the beginning of a record; BC_JOURNAL_BAD when it is damaged.
 */
#define BC_JOURNAL_CUT  -1
#define BC_JOURNAL_BAD  -2

int bc_journal_next(const uint8_t **p, const uint8_t *last,
    bc_journal_record_t *r);

/*
 * Returns 1 with the next entry of r->entries, moved behind it; 0 at the
 * end.
 */
int bc_journal_entry(bc_span_t *entries, bc_span_t *key, bc_span_t *data);

/*
 * Tells whether len bytes at p are a whole image: every record is good, and
 * the last one ends where they end.
 */
int bc_journal_whole(const uint8_t *p, size_t len);


typedef struct {
    uint64_t         epoch;
    uint64_t         gone;          /* newest seq of streams not named */
    uint64_t         file;          /* which one the note is in */
    uint32_t         n;
    uint64_t         hash[BC_JOURNAL_NOTE_MAX];
    uint64_t         seq[BC_JOURNAL_NOTE_MAX];
} bc_journal_note_t;


/* Returns the hash of a stream's name that a note has. */
uint64_t bc_journal_hash(const uint8_t *name, size_t len);

/*
 * Tells whether len bytes are the beginning of a state file, or a part of
 * it.
 */
int bc_journal_ours(const uint8_t *p, size_t len);

/*
 * Writes a note, at most BC_JOURNAL_NOTE_HEAD + n * BC_JOURNAL_NOTE_SEQ bytes,
 * and returns how many.  _put_seq() writes the part of one stream.
 */
size_t bc_journal_note_put(uint8_t *p, const bc_journal_note_t *note);
void bc_journal_note_put_seq(uint8_t *p, uint64_t hash, uint64_t seq);

/* Reads a note of len bytes.  Returns 0, or -1 when it is damaged or none. */
int bc_journal_note_get(const uint8_t *p, size_t len, bc_journal_note_t *note);


#endif /* _BC_JOURNAL_H_INCLUDED_ */
