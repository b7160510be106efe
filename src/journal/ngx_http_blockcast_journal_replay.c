
/*
 * Replays the records of a state file into the slots of the zone.
 *
 * Records are not trusted: other programs may have written to the file.  What
 * a slot already has, by its numbers, is left as it is.
 */


#include "ngx_http_blockcast_journal_replay.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_gate.h"
#include "ngx_http_blockcast_history.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_stream_status.h"
#include "ngx_http_blockcast_key_table.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal_codec.h"
#include "bc_json_key.h"
#include "bc_journal.h"
#include "bc_json.h"
#include "bc_span.h"


/* the newest of what the records say of a stream */

typedef struct {
    bc_journal_record_t           newest;
    bc_journal_record_t           error;
    bc_span_t                     program;
    bc_span_t                     past;
    uint64_t                      seq;
    uint64_t                      polled;
    unsigned                      has_newest:1;
    unsigned                      has_program:1;
    unsigned                      has_error:1;
    unsigned                      found:1;
} ngx_http_blockcast_journal_replay_found_t;


static ngx_msec_t
ngx_http_blockcast_journal_replay_monotonic(uint64_t polled)
{
    uint64_t    now;
    ngx_msec_t  msec;

    now = ngx_http_blockcast_journal_codec_now();
    msec = ngx_current_msec - ((polled < now) ? now - polled : 0);

    /* 0 is "never" */

    return (msec != 0) ? msec : 1;
}


static uint64_t
ngx_http_blockcast_journal_replay_past_get(bc_span_t *past, ngx_uint_t i)
{
    uint64_t    n;
    ngx_uint_t  byte;

    n = 0;

    for (byte = 8; byte-- != 0; /* void */ ) {
        n = n << 8 | past->data[8 * i + byte];
    }

    return n;
}


/* Finds the next record of a stream; returns 0 when there is none. */

static ngx_uint_t
ngx_http_blockcast_journal_replay_next(const u_char **p, const u_char *last,
    ngx_http_blockcast_stream_t *st, bc_journal_record_t *r)
{
    while (bc_journal_next(p, last, r) == 1) {
        if (r->name.len == st->name.len
            && ngx_memcmp(r->name.data, st->name.data, r->name.len) == 0)
        {
            return 1;
        }
    }

    return 0;
}


static void
ngx_http_blockcast_journal_replay_find(
                              const u_char *p, const u_char *last,
                              ngx_http_blockcast_stream_t *st,
                              ngx_http_blockcast_journal_replay_found_t *found)
{
    bc_journal_record_t  r;

    ngx_memzero(found, sizeof(ngx_http_blockcast_journal_replay_found_t));

    while (ngx_http_blockcast_journal_replay_next(&p, last, st, &r)) {

        found->found = 1;

        switch (r.type) {

        case bc_journal_polled:
            found->polled = ngx_max(found->polled, r.polled);
            break;

        case bc_journal_error:
            found->error = r;
            found->has_error = 1;
            break;

        case bc_journal_snap:
        case bc_journal_batch:
            found->seq = ngx_max(found->seq, r.seq);

            if (r.log != (st->field.len != 0)) {

                /* the stream was of another kind then: its data is no use */

                found->has_newest = 0;

            } else {
                found->newest = r;
                found->program = r.state;
                found->has_newest = 1;
                found->has_program = 0;
                found->polled = ngx_max(found->polled, r.polled);
            }

            break;

        case bc_journal_program:
            if (r.log == (st->field.len != 0)
                && (!found->has_newest || r.seq == found->newest.seq))
            {
                found->newest.seq = r.seq;
                found->program = r.state;
                found->has_program = 1;
            }

            break;

        case bc_journal_seq:
            if (r.log && r.data.len >= 8 * NGX_HTTP_BLOCKCAST_PAST_KEYS) {
                found->past = r.data;
            }

            /* fall through */

        default:
            found->seq = ngx_max(found->seq, r.seq);
        }
    }
}


/*
 * Checks text of the file as a node's text is checked; logs why it returns
 * false.  what: its name in the log.
 */

static ngx_uint_t
ngx_http_blockcast_journal_replay_good(ngx_http_blockcast_stream_t *st,
    bc_span_t *span, const char *what)
{
    u_char     buf[NGX_HTTP_BLOCKCAST_ERROR_LEN];
    ngx_str_t  text, error;

    text.data = (u_char *) span->data;
    text.len = span->len;

    if (ngx_http_blockcast_gate_check(&text, what, buf, sizeof(buf), &error)
        == NGX_OK)
    {
        return 1;
    }

    ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                  "blockcast: stream \"%V\" of the state file: %V, it is left "
                  "out", &st->name, &error);

    return 0;
}


/* Returns true when all entries of a record pass that check. */

static ngx_uint_t
ngx_http_blockcast_journal_replay_whole(ngx_http_blockcast_stream_t *st,
    bc_journal_record_t *r)
{
    bc_span_t  rest, key, data;

    rest = r->entries;

    while (bc_journal_entry(&rest, &key, &data)) {
        if (!ngx_http_blockcast_journal_replay_good(st, &data, "an entry")) {
            return 0;
        }
    }

    return 1;
}


/*
 * Drops the entries beyond a seq: they are of a message that a poller or a
 * follower was writing when it died.
 */

static void
ngx_http_blockcast_journal_replay_drop(ngx_http_blockcast_slot_t *slot,
    uint64_t seq)
{
    u_char                            *ring;
    uint64_t                           pos, kept, n;
    ngx_http_blockcast_ring_record_t  *rec;

    ring = ngx_http_blockcast_slot_ring(slot);
    kept = slot->head;
    n = 0;

    for (pos = slot->tail;
         (rec = ngx_http_blockcast_ring_next(ring, slot->ring_size, &pos,
                                             slot->head))
         != NULL;
         pos += rec->size)
    {
        if (rec->seq > seq && n++ == 0) {
            kept = pos;
        }
    }

    slot->head = kept;

    /* forget their keys, too: remembered keys would be refused when they come
       again */

    slot->keys -= ngx_min(slot->keys, n);
}


/*
 * Takes over the newest number that lacks entries and, if the slot has no
 * entries yet, the hashes of the keys that the file remembers.
 */

static void
ngx_http_blockcast_journal_replay_remember(ngx_http_blockcast_slot_t *slot,
    bc_span_t *past, uint64_t seq, uint64_t newest)
{
    uint64_t    gone, seed[2], *keys;
    ngx_uint_t  i, n;

    gone = ngx_min(ngx_http_blockcast_journal_replay_past_get(past,
                                             NGX_HTTP_BLOCKCAST_PAST_GONE),
                   newest);

    if (slot->version == 0 && slot->keys == 0) {

        n = past->len / 8 - NGX_HTTP_BLOCKCAST_PAST_KEYS;

        keys = ngx_alloc(8 * n + 8, ngx_cycle->log);

        if (keys == NULL) {
            slot->forgot = 1;

        } else {
            for (i = 0; i < n; i++) {
                keys[i] = ngx_http_blockcast_journal_replay_past_get(past,
                                           NGX_HTTP_BLOCKCAST_PAST_KEYS + i);
            }

            seed[0] = ngx_http_blockcast_journal_replay_past_get(past,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED);
            seed[1] = ngx_http_blockcast_journal_replay_past_get(past,
                                              NGX_HTTP_BLOCKCAST_PAST_SEED
                                              + 1);

            ngx_http_blockcast_ring_keys(slot, seed, keys, n,
                              ngx_http_blockcast_journal_replay_past_get(past,
                                           NGX_HTTP_BLOCKCAST_PAST_FORGOT)
                              != 0);
            ngx_free(keys);
        }

    } else if (gone > seq) {
        slot->forgot = 1;
    }

    if (gone > seq) {
        ngx_http_blockcast_ring_clear(slot, gone);
    }
}


/*
 * Appends an entry of a record to the ring, as entry nth of number seq, and
 * returns 1.  Returns 0 when the entry does not fit or is not valid: the
 * entries before it are dropped, so that a client that lacks it learns of a
 * gap.
 */

static ngx_uint_t
ngx_http_blockcast_journal_replay_entry(ngx_http_blockcast_stream_t *st,
    bc_journal_record_t *r, bc_span_t key, bc_span_t data, uint64_t seq,
    uint32_t nth)
{
    u_char                          *buf;
    ngx_http_blockcast_slot_t       *slot;
    ngx_http_blockcast_log_entry_t   entry;

    slot = st->slot;

    if (2 * (BC_JSON_KEY_BOUND(key.len) + data.len
             + sizeof(ngx_http_blockcast_ring_record_t) + 8)
        > slot->ring_size
        || !ngx_http_blockcast_journal_replay_good(st, &data, "an entry"))
    {
        ngx_http_blockcast_ring_clear(slot, r->seq);
        return 0;
    }

    entry.key.data = (u_char *) key.data;
    entry.key.len = key.len;
    entry.data.data = (u_char *) data.data;
    entry.data.len = data.len;

    /* older versions wrote keys with the node's escapes */

    buf = NULL;

    if (!bc_json_key_plain(key)) {
        buf = ngx_alloc(BC_JSON_KEY_BOUND(key.len), ngx_cycle->log);

        if (buf != NULL) {
            entry.key.data = buf;
            entry.key.len = bc_json_key(key, buf);
        }
    }

    ngx_http_blockcast_ring_append(slot, &entry, seq, r->time, nth);

    if (buf != NULL) {
        ngx_free(buf);
    }

    return 1;
}


/*
 * Appends the entries beyond number seq to the ring; the mutex is locked.  as
 * is 0, or the one number that all of them get: when entries may be missing
 * after them, they become the end of a message whose beginning is lost, so
 * that clients with an older number learn of a gap.
 */

static void
ngx_http_blockcast_journal_replay_entries(const u_char *p, const u_char *last,
    ngx_http_blockcast_stream_t *st, uint64_t seq, uint64_t as,
    bc_span_t *past, uint64_t newest)
{
    uint32_t                         nth, lost;
    bc_span_t                        rest, key, data;
    ngx_uint_t                       joined;
    bc_journal_record_t              r;
    ngx_http_blockcast_slot_t       *slot;

    slot = st->slot;
    joined = 0;
    lost = 1;

    if (past->len != 0) {
        joined = 1;
        ngx_http_blockcast_journal_replay_remember(slot, past, seq, newest);
    }

    if (as != 0) {

        /* clients that come after another restart must learn of it, too */

        ngx_http_blockcast_ring_clear(slot, as);
    }

    while (ngx_http_blockcast_journal_replay_next(&p, last, st, &r)) {

        if (r.log == 0
            || (r.type != bc_journal_batch && r.type != bc_journal_kept))
        {
            continue;
        }

        if (r.seq <= seq) {
            joined = 1;
            continue;
        }

        if (!joined) {
            joined = 1;

            if ((r.seq > seq + 1 || r.nth != 0)
                && !(r.nth == 0 && slot->jump_to != 0
                     && r.seq == slot->jump_to + 1
                     && seq >= slot->jump_from))
            {

                /* entries in between are lost: drop those before them, too, so
                   that clients learn of a gap */

                ngx_http_blockcast_ring_clear(slot,
                                              r.nth ? r.seq : r.seq - 1);
                slot->forgot = 1;
            }
        }

        rest = r.entries;

        for (nth = r.nth; bc_journal_entry(&rest, &key, &data); nth++) {

            if (as == 0) {
                (void) ngx_http_blockcast_journal_replay_entry(st, &r, key,
                                                               data, r.seq,
                                                               nth);

            } else {
                lost += ngx_http_blockcast_journal_replay_entry(st, &r, key,
                                                                data, as,
                                                                lost);
            }
        }
    }
}


/* Makes a snapshot's data from a record, in *text of ngx_alloc(). */

static ngx_int_t
ngx_http_blockcast_journal_replay_data(ngx_http_blockcast_stream_t *st,
    bc_journal_record_t *r, ngx_str_t *text)
{
    u_char      *p;
    bc_span_t    rest, key, data;
    ngx_uint_t   n;

    text->data = ngx_alloc(st->field.len + r->entries.len + r->data.len + 64,
                           ngx_cycle->log);
    if (text->data == NULL) {
        return NGX_ERROR;
    }

    if (r->type == bc_journal_snap) {
        text->len = r->data.len;
        ngx_memcpy(text->data, r->data.data, r->data.len);

    } else {
        p = ngx_http_blockcast_snapshot_batch_head(text->data, st);
        rest = r->entries;

        for (n = 0; bc_journal_entry(&rest, &key, &data); n++) {
            if (n != 0) {
                *p++ = ',';
            }

            p = ngx_cpymem(p, data.data, data.len);
        }

        p = ngx_sprintf(p, "],\"count\":%ui}", n);
        text->len = p - text->data;
    }

    if (st->field.len != 0
        && (text->len > st->max_size
            || (r->type == bc_journal_snap
                ? !ngx_http_blockcast_journal_replay_good(st, &r->data,
                                                          "the data")
                : !ngx_http_blockcast_journal_replay_whole(st, r))))
    {
        /* announce no entries: the valid ones are in the ring */

        p = ngx_http_blockcast_snapshot_batch_head(text->data, st);
        p = ngx_sprintf(p, "],\"count\":0}");
        text->len = p - text->data;
        r->n = 0;
    }

    return NGX_OK;
}


/* Returns the number of the snapshot that readers see, 0 before the first. */

static uint64_t
ngx_http_blockcast_journal_replay_announced(ngx_http_blockcast_slot_t *slot)
{
    return (slot->version != 0) ? slot->snap[slot->version & 1].seq : 0;
}


/*
 * Returns the entries of a batch in memory of ngx_alloc(), as one of them may
 * carry a gap; NULL when there are none.
 */

static ngx_http_blockcast_log_entry_t *
ngx_http_blockcast_journal_replay_listed(bc_journal_record_t *r)
{
    bc_span_t                        rest, key, data;
    ngx_uint_t                       n;
    ngx_http_blockcast_log_entry_t  *entries;

    if (r->type != bc_journal_batch || r->n == 0) {
        return NULL;
    }

    entries = ngx_calloc(r->n * sizeof(ngx_http_blockcast_log_entry_t),
                         ngx_cycle->log);
    if (entries == NULL) {
        return NULL;
    }

    rest = r->entries;

    for (n = 0; n < r->n && bc_journal_entry(&rest, &key, &data); n++) {
        entries[n].key.data = (u_char *) key.data;
        entries[n].key.len = key.len;
        entries[n].data.data = (u_char *) data.data;
        entries[n].data.len = data.len;
    }

    return entries;
}


/*
 * Publishes the newest data of a stream; of a log, also the entries before it.
 */

static void
ngx_http_blockcast_journal_replay_commit(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, const u_char *p, const u_char *last,
    ngx_http_blockcast_journal_replay_found_t *found, uint64_t jump)
{
    u_char                        *buf;
    uint64_t                       seq;
    ngx_str_t                      text;
    ngx_http_blockcast_snapshot_t  snap;
    ngx_http_blockcast_slot_t     *slot;
    ngx_http_blockcast_log_entry_t  *entries;
    ngx_http_blockcast_publication_t  pub;

    slot = st->slot;

    if (st->field.len == 0
        && !ngx_http_blockcast_journal_replay_good(st, &found->newest.data,
                                                   "the data"))
    {
        /* skip the data, but not its number */

        found->seq = ngx_max(found->seq, found->newest.seq);
        return;
    }

    if (found->program.len != 0
        && (found->program.len > NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX
            || !ngx_http_blockcast_journal_replay_good(st, &found->program,
                                                       "the program's state")))
    {
        found->program.len = 0;
    }

    if (ngx_http_blockcast_journal_replay_data(st, &found->newest,
                                               &text) != NGX_OK) {
        return;
    }

    if (text.len > st->max_size) {

        /* too large for the stream as configured now: keep the number alone */

        found->seq = ngx_max(found->seq, found->newest.seq);
        ngx_free(text.data);
        return;
    }

    ngx_memzero(&pub, sizeof(ngx_http_blockcast_publication_t));

    pub.stream = st;
    pub.seq = found->newest.seq + jump;
    pub.timestamp = found->newest.time;
    pub.count = found->newest.n;
    pub.data = text;
    pub.memory.data = (u_char *) found->program.data;
    pub.memory.len = found->program.len;

    if (zone->bmcf->cluster != NULL && !slot->log && slot->version != 0
        && slot->snap[slot->version & 1].seq + 1 == pub.seq)
    {
        /* in a cluster only this worker writes: the buffer does not change */

        pub.previous.data = ngx_http_blockcast_slot_buffer(slot, slot->version)
                            + slot->snap[slot->version & 1].data;
        pub.previous.len = slot->snap[slot->version & 1].data_len;
    }

    entries = ngx_http_blockcast_journal_replay_listed(&found->newest);
    pub.entries = entries;

    buf = ngx_http_blockcast_snapshot_build(&pub, &snap, ngx_cycle->log);
    ngx_free(text.data);

    if (entries != NULL) {
        ngx_free(entries);
    }

    if (buf == NULL) {
        return;
    }

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) == NGX_OK) {

        seq = ngx_http_blockcast_journal_replay_announced(slot);

        /* another worker may have published it by now */

        if (snap.seq > seq) {

            if (slot->log) {
                ngx_http_blockcast_journal_replay_drop(slot, seq);
                ngx_http_blockcast_journal_replay_entries(p, last, st, seq,
                                                          jump ? snap.seq : 0,
                                                          &found->past,
                                                          found->newest.seq);
            }

            ngx_http_blockcast_snapshot_commit(slot, &snap, buf);
        }

        ngx_shmtx_unlock(&zone->shpool->mutex);
    }

    ngx_free(buf);
}


/* Adds what the records say of a stream's history. */

static void
ngx_http_blockcast_journal_replay_history(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, const u_char *p, const u_char *last)
{
    bc_journal_record_t  r;

    while (ngx_http_blockcast_journal_replay_next(&p, last, st, &r)) {

        if (r.type != bc_journal_seq || r.log || r.data.len == 0) {
            continue;
        }

        if (ngx_http_blockcast_history_merge(zone, st, r.data.data, r.data.len)
            == NGX_ERROR)
        {
            ngx_log_error(NGX_LOG_ERR, ngx_cycle->log, 0,
                          "blockcast: stream \"%V\" of the state file: a part "
                          "of its history is damaged, it is left out",
                          &st->name);
        }
    }
}


static ngx_uint_t
ngx_http_blockcast_journal_replay_stream(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_stream_t *st, const u_char *p, const u_char *last,
    uint64_t jump, ngx_uint_t redo)
{
    uint64_t                                   announced;
    ngx_str_t                                  text;
    ngx_msec_t                                 polled;
    ngx_http_blockcast_slot_t                 *slot;
    ngx_http_blockcast_journal_replay_found_t   found;

    slot = st->slot;
    announced = ngx_http_blockcast_journal_replay_announced(slot);

    ngx_http_blockcast_journal_replay_find(p, last, st, &found);

    if (!found.found) {
        return 0;
    }

    if (found.has_newest && found.newest.seq > announced) {
        ngx_http_blockcast_journal_replay_commit(zone, st, p, last, &found,
                                                 jump);

    } else if (found.has_program && !redo && found.newest.seq == announced) {
        text.data = (u_char *) found.program.data;
        text.len = found.program.len;

        if (text.len == 0
            || (text.len <= NGX_HTTP_BLOCKCAST_PROGRAM_MEMORY_MAX
                && ngx_http_blockcast_journal_replay_good(
                                        st, &found.program,
                                        "the program's state")))
        {
            ngx_http_blockcast_snapshot_set_memory(zone, slot, &text,
                                                   announced);
        }
    }

    if (found.seq != 0 && found.seq + jump > slot->seq) {
        slot->dataless_seq = found.seq + jump;
        slot->seq = found.seq + jump;
    }

    if (redo) {
        return 1;
    }

    if (st->history != NULL) {
        ngx_http_blockcast_journal_replay_history(zone, st, p, last);
    }

    if (found.polled != 0 && slot->version != 0) {
        polled = ngx_http_blockcast_journal_replay_monotonic(found.polled);

        if (slot->polled == 0
            || (ngx_msec_int_t) (polled - slot->polled) > 0)
        {
            slot->polled_sec = found.polled / 1000;
            slot->polled = polled;
        }
    }

    if (found.has_error) {
        text.data = (u_char *) found.error.data.data;
        text.len = found.error.data.len;

        ngx_http_blockcast_stream_status_set(zone, slot,
                                             (int64_t) found.error.seq, &text,
                                             found.error.time);
    }

    return 1;
}


/* Takes over the keys of streams with state=on. */

static void
ngx_http_blockcast_journal_replay_keys(ngx_http_blockcast_zone_t *zone,
    const u_char *p, const u_char *last, uint64_t jump)
{
    ngx_str_t                     both, name, key, data;
    bc_journal_record_t           r;
    ngx_http_blockcast_stream_t  *st;

    while (bc_journal_next(&p, last, &r) == 1) {

        both.data = (u_char *) r.name.data;
        both.len = r.name.len;

        if (r.type != bc_journal_snap
            || !ngx_http_blockcast_key_split(&both, &name, &key))
        {
            continue;
        }

        st = ngx_http_blockcast_stream_find(zone->bmcf, &name);

        if (st == NULL || st->keys == NULL || !st->keys->state
            || r.data.len > st->max_size
            || !ngx_http_blockcast_journal_replay_good(st, &r.data,
                                                       "the data of a key"))
        {
            continue;
        }

        data.data = (u_char *) r.data.data;
        data.len = r.data.len;

        if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
            return;
        }

        ngx_http_blockcast_key_table_restore(
                        ngx_http_blockcast_key_table_of(st), &key, &data,
                        r.seq + jump, r.time,
                        (r.polled != 0)
                        ? ngx_http_blockcast_journal_replay_monotonic(r.polled)
                        : 0);

        st->slot->seq = ngx_max(st->slot->seq, r.seq + jump);

        ngx_shmtx_unlock(&zone->shpool->mutex);
    }
}


ngx_uint_t
ngx_http_blockcast_journal_replay(ngx_http_blockcast_zone_t *zone,
    const u_char *p, const u_char *last, uint64_t jump, ngx_uint_t redo)
{
    ngx_uint_t                      i, n, keyed;
    ngx_http_blockcast_stream_t   **streams;

    n = 0;
    keyed = 0;
    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        n += ngx_http_blockcast_journal_replay_stream(zone, streams[i], p,
                                                           last, jump, redo);
        keyed |= (streams[i]->keys != NULL && streams[i]->keys->state);
    }

    if (keyed) {
        ngx_http_blockcast_journal_replay_keys(zone, p, last, jump);
    }

    return n;
}


void
ngx_http_blockcast_journal_replay_forget(ngx_http_blockcast_zone_t *zone)
{
    ngx_uint_t                      i;
    ngx_http_blockcast_slot_t      *slot;
    ngx_http_blockcast_stream_t   **streams;

    if (ngx_http_blockcast_zone_lock(zone, ngx_cycle->log) != NGX_OK) {
        return;
    }

    streams = zone->bmcf->streams.elts;

    for (i = 0; i < zone->bmcf->streams.nelts; i++) {
        slot = streams[i]->slot;

        if (slot->log) {
            ngx_http_blockcast_journal_replay_drop(slot,
                          ngx_http_blockcast_journal_replay_announced(slot));
        }
    }

    ngx_shmtx_unlock(&zone->shpool->mutex);
}
