
/*
 * The note in the lock file: the newest seq of each stream.  A copy of the
 * state file does not carry it, so a file that was cut or restored from a copy
 * is recognized.
 */


#include "ngx_http_blockcast_journal_note.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "bc_journal.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/syscall.h>

/* a libc without statx() has neither its structure (musl before 1.2.4) */
#ifndef STATX_BTIME
#include <linux/stat.h>
#endif


#define NGX_HTTP_BLOCKCAST_NOTE                                               \
    (BC_JOURNAL_NOTE + BC_JOURNAL_NOTE_HEAD                                   \
     + BC_JOURNAL_NOTE_MAX * BC_JOURNAL_NOTE_SEQ)


/*
 * Works when the folder is gone or the disk is full: the lock file is open,
 * and bytes are overwritten in place.
 */

void
ngx_http_blockcast_journal_note_set_incomplete(int lock,
    ngx_uint_t incomplete)
{
    if (lock != -1 && pwrite(lock, incomplete ? "1\n" : "0\n", 2, 0) == -1) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, ngx_errno,
                       "blockcast: pwrite() of the lock file failed");
    }
}


ngx_uint_t
ngx_http_blockcast_journal_note_is_incomplete(ngx_http_blockcast_journal_t *s)
{
    char  ch;

    return s->lock != -1 && pread(s->lock, &ch, 1, 0) == 1 && ch == '1';
}


/*
 * Returns what tells a file from its copies: its inode number, which another
 * file may get later, mixed with its birth time where the file system has one.
 */

static uint64_t
ngx_http_blockcast_journal_note_file_id(int fd)
{
    uint64_t      id;
    struct statx  st;

    if (syscall(SYS_statx, fd, "", AT_EMPTY_PATH, STATX_INO|STATX_BTIME, &st)
        == -1)
    {
        return 0;
    }

    id = st.stx_ino * 0x9e3779b97f4a7c15ULL;

    if (st.stx_mask & STATX_BTIME) {
        id ^= (uint64_t) st.stx_btime.tv_sec * 1000000000
              + st.stx_btime.tv_nsec;
    }

    return id;
}


/*
 * Reads the note.  NGX_DECLINED: there is none, as in a lock file of an older
 * version; NGX_ERROR: it is damaged, or was copied from another file.
 */

static ngx_int_t
ngx_http_blockcast_journal_note_read(ngx_http_blockcast_journal_t *s,
    bc_journal_note_t *note)
{
    u_char   buf[NGX_HTTP_BLOCKCAST_NOTE];
    ssize_t  n;

    ngx_memzero(note, sizeof(bc_journal_note_t));

    if (s->lock == -1) {
        return NGX_ERROR;
    }

    n = pread(s->lock, buf, sizeof(buf), 0);

    /* an older version wrote no note, perhaps a record of the lead */

    if (n == 2
        || (n == BC_JOURNAL_LEAD + BC_JOURNAL_LEAD_LEN && buf[1] == '\n'))
    {
        return NGX_DECLINED;
    }

    if (n < BC_JOURNAL_NOTE
        || bc_journal_note_get(buf + BC_JOURNAL_NOTE, n - BC_JOURNAL_NOTE,
                               note) != 0
        || note->file != ngx_http_blockcast_journal_note_file_id(s->lock))
    {
        return NGX_ERROR;
    }

    return NGX_OK;
}


static uint64_t
ngx_http_blockcast_journal_note_seq(bc_journal_note_t *note,
    ngx_http_blockcast_stream_t *st)
{
    uint32_t  i;
    uint64_t  hash;

    hash = bc_journal_hash(st->name.data, st->name.len);

    for (i = 0; i < note->n; i++) {
        if (note->hash[i] == hash) {
            return note->seq[i];
        }
    }

    return 0;
}


/* Returns the newest number of streams in the note that are not configured. */

static uint64_t
ngx_http_blockcast_journal_note_seq_unconfigured(bc_journal_note_t *note,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    uint32_t                        i;
    uint64_t                        gone;
    ngx_uint_t                      n;
    ngx_http_blockcast_stream_t   **streams;

    gone = note->gone;
    streams = bmcf->streams.elts;

    for (i = 0; i < note->n; i++) {

        for (n = 0; n < bmcf->streams.nelts; n++) {
            if (bc_journal_hash(streams[n]->name.data, streams[n]->name.len)
                == note->hash[i])
            {
                break;
            }
        }

        if (n == bmcf->streams.nelts) {
            gone = ngx_max(gone, note->seq[i]);
        }
    }

    return gone;
}


void
ngx_http_blockcast_journal_note_begin(ngx_http_blockcast_main_conf_t *bmcf)
{
    size_t                          len;
    u_char                          buf[NGX_HTTP_BLOCKCAST_NOTE];
    ngx_uint_t                      i;
    bc_journal_note_t               note, old;
    ngx_http_blockcast_journal_t   *s;
    ngx_http_blockcast_stream_t   **streams;

    s = bmcf->journal;
    s->note_valid = 0;

    if (s->lock == -1) {
        return;
    }

    if (ngx_http_blockcast_journal_note_read(s, &old) != NGX_OK
        || old.epoch != bmcf->zone->sh->epoch)
    {
        ngx_memzero(&old, sizeof(bc_journal_note_t));
    }

    ngx_memzero(&note, sizeof(bc_journal_note_t));

    note.epoch = bmcf->zone->sh->epoch;
    note.gone = ngx_max(ngx_http_blockcast_slot_seq_unconfigured(bmcf->zone,
                                                                 bmcf),
                        ngx_http_blockcast_journal_note_seq_unconfigured(&old,
                                                                   bmcf));
    note.file = ngx_http_blockcast_journal_note_file_id(s->lock);

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        note.hash[i] = bc_journal_hash(streams[i]->name.data,
                                       streams[i]->name.len);
        note.seq[i] = ngx_max((uint64_t) streams[i]->slot->seq,
                              ngx_http_blockcast_journal_note_seq(
                                        &old, streams[i]));

        if (streams[i]->keys != NULL) {

            /* the numbers of its keys are not in the note */

            note.seq[i] = 0;
        }
    }

    note.n = bmcf->streams.nelts;

    /* the bytes before the note hold the record of the lead: leave them */

    ngx_http_blockcast_journal_note_set_incomplete(
                                    s->lock,
                             ngx_http_blockcast_journal_note_is_incomplete(s));

    len = bc_journal_note_put(buf, &note);

    if (pwrite(s->lock, buf, len, BC_JOURNAL_NOTE) != (ssize_t) len) {
        ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, ngx_errno,
                      "blockcast: pwrite() of \"%V.lock\" failed, a restart "
                      "may begin a new epoch", &s->path);
        return;
    }

    s->note_valid = 1;
    s->note_epoch = note.epoch;
}


void
ngx_http_blockcast_journal_note_number(ngx_http_blockcast_main_conf_t *bmcf,
    ngx_http_blockcast_stream_t *st, uint64_t seq)
{
    off_t                          at;
    u_char                         buf[BC_JOURNAL_NOTE_SEQ];
    ngx_http_blockcast_journal_t  *s;

    s = bmcf->journal;

    if (s == NULL || !s->note_valid) {
        return;
    }

    at = BC_JOURNAL_NOTE + BC_JOURNAL_NOTE_HEAD
         + (off_t) st->index * BC_JOURNAL_NOTE_SEQ;

    bc_journal_note_put_seq(buf, bc_journal_hash(st->name.data, st->name.len),
                            seq);

    if (pwrite(s->lock, buf, BC_JOURNAL_NOTE_SEQ, at) != BC_JOURNAL_NOTE_SEQ) {
        ngx_log_debug0(NGX_LOG_DEBUG_HTTP, ngx_cycle->log, ngx_errno,
                       "blockcast: pwrite() of the lock file failed");
    }
}


/* what the state file has of the configured streams */

typedef struct {
    uint64_t                      seq[NGX_HTTP_BLOCKCAST_STREAMS];
    ngx_uint_t                    hole;         /* a message is missing */
} ngx_http_blockcast_known_t;


static void
ngx_http_blockcast_journal_note_known(ngx_http_blockcast_main_conf_t *bmcf,
    const u_char *p, const u_char *journal, const u_char *last,
    ngx_http_blockcast_known_t *known)
{
    uint64_t                     *seq;
    ngx_str_t                     name;
    bc_journal_record_t           r;
    ngx_http_blockcast_stream_t  *st;

    ngx_memzero(known, sizeof(ngx_http_blockcast_known_t));

    while (bc_journal_next(&p, last, &r) == 1) {

        if (r.name.len == 0
            || r.type == bc_journal_error || r.type == bc_journal_polled)
        {
            continue;
        }

        name.data = (u_char *) r.name.data;
        name.len = r.name.len;

        st = ngx_http_blockcast_stream_find(bmcf, &name);

        if (st == NULL) {
            continue;
        }

        seq = &known->seq[st->index];

        /* in the journal each batch must follow the previous one */

        if (r.type == bc_journal_batch && p > journal
            && *seq != 0 && r.seq > *seq + 1)
        {
            known->hole = 1;
        }

        *seq = ngx_max(*seq, r.seq);
    }
}


ngx_int_t
ngx_http_blockcast_journal_note_verify(ngx_http_blockcast_main_conf_t *bmcf,
    bc_journal_header_t *h, const u_char *data, size_t len,
    bc_journal_note_t *note, uint64_t *behind, const char **why)
{
    uint64_t                        noted;
    ngx_int_t                       rc;
    ngx_uint_t                      i;
    ngx_http_blockcast_known_t      known;
    ngx_http_blockcast_stream_t   **streams;

    *behind = 0;

    rc = ngx_http_blockcast_journal_note_read(bmcf->journal, note);

    if (rc == NGX_ERROR) {
        *why = "not confirmed by its lock file, which is missing, damaged "
               "or a copy";
        return NGX_ERROR;
    }

    if (rc == NGX_OK && note->epoch != h->epoch) {
        *why = "of another epoch than its lock file says: an older copy";
        return NGX_ERROR;
    }

    ngx_http_blockcast_journal_note_known(bmcf, data, data + h->image,
                                          data + len, &known);

    *behind = known.hole;

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        noted = ngx_http_blockcast_journal_note_seq(note, streams[i]);

        if (noted > known.seq[i]) {
            *behind = ngx_max(*behind, noted - known.seq[i]);
        }
    }

    return NGX_OK;
}


void
ngx_http_blockcast_journal_note_apply(ngx_http_blockcast_main_conf_t *bmcf,
    bc_journal_note_t *note, uint64_t jump)
{
    uint64_t                           seq;
    ngx_uint_t                         i;
    ngx_http_blockcast_slot_t         *slot;
    ngx_http_blockcast_zone_shctx_t   *sh;
    ngx_http_blockcast_stream_t      **streams;

    sh = bmcf->zone->sh;
    seq = ngx_http_blockcast_journal_note_seq_unconfigured(note, bmcf);

    if (seq != 0) {
        sh->seq = ngx_max(sh->seq, seq + jump);
    }

    streams = bmcf->streams.elts;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        slot = streams[i]->slot;
        seq = ngx_http_blockcast_journal_note_seq(note, streams[i]);

        if (seq > slot->seq) {
            slot->dataless_seq = seq + jump;
            slot->seq = seq + jump;
        }

        /* any of the entries so far may be lost */

        if (slot->log && (jump != 0 || slot->version == 0)) {
            slot->hole = slot->seq;
        }
    }
}
