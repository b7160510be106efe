
/*
 * The note in the lock file: the newest seq of each stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_NOTE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_NOTE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_journal.h"


/* notes the number, which is about to become visible (_state_note) */
void ngx_http_blockcast_journal_note_number(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_http_blockcast_stream_t *st,
    uint64_t seq);

/*
 * The note (_state_note).  It is written anew by who begins to poll.  At a
 * start verify tells whether the file may be believed, and by how many numbers
 * it is behind; apply takes over what the file does not have.
 */
void ngx_http_blockcast_journal_note_begin(
    ngx_http_blockcast_main_conf_t *bmcf);
ngx_int_t ngx_http_blockcast_journal_note_verify(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_header_t *h,
    const u_char *data, size_t len, bc_journal_note_t *note, uint64_t *behind,
    const char **why);
void ngx_http_blockcast_journal_note_apply(
    ngx_http_blockcast_main_conf_t *bmcf, bc_journal_note_t *note,
    uint64_t jump);

/* something was published that is not in the file */
void ngx_http_blockcast_journal_note_note(int lock, ngx_uint_t lacks);
ngx_uint_t ngx_http_blockcast_journal_note_lacks(
    ngx_http_blockcast_journal_t *s);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_NOTE_H_INCLUDED_ */
