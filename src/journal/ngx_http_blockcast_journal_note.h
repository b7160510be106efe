
/*
 * The note in the lock file: the newest seq of each stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_NOTE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_NOTE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_journal.h"


/* Writes a stream's number, which is about to become visible. */
void ngx_http_blockcast_journal_note_number(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    uint64_t seq);

/* Writes the whole note, when this worker begins to poll. */
void ngx_http_blockcast_journal_note_begin(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Reads the note at a start and compares the file with it.  Sets *behind to
 * the numbers that the file lacks.  NGX_ERROR: the file must not be used; *why
 * completes "the state file is ...".
 */
ngx_int_t ngx_http_blockcast_journal_note_verify(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_header_t *h,
    const u_char *data, size_t len, bc_journal_note_t *note, uint64_t *behind,
    const char **why);

/* Takes over the numbers that the file lacks, with jump added to them. */
void ngx_http_blockcast_journal_note_apply(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_note_t *note,
    uint64_t jump);

/*
 * Write to and read from a lock file whether something was published that the
 * state file does not have.
 */
void ngx_http_blockcast_journal_note_set_incomplete(int lock,
    ngx_uint_t incomplete);
ngx_uint_t ngx_http_blockcast_journal_note_is_incomplete(
    ngx_http_blockcast_journal_t *s);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_NOTE_H_INCLUDED_ */
