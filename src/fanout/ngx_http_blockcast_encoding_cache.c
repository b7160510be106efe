
/*
 * The frames of a hub in the forms that its subscribers need, each made once
 * for all that need the same.
 */


#include "ngx_http_blockcast_encoding_cache.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_deflation.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_history_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_hub_load.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_notify.h"
#include "ngx_http_blockcast_page_cache.h"
#include "ngx_http_blockcast_status_message.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "bc_ws_frame.h"
#include "bc_ws_deflate.h"


/*
 * A client that is behind gets its entries in pages.  A page ends where the
 * position in the zone's ring reaches the next multiple of a size between
 * these two: the largest size that has a multiple between the beginning of the
 * previous batch and that of the page.  So clients soon get the same pages,
 * wherever they start; see page_cache.c.
 */
#define NGX_HTTP_BLOCKCAST_CATCH_UP        65536
#define NGX_HTTP_BLOCKCAST_CATCH_UP_LEAST  4096

/* up to this many bytes are one page, wherever it starts */
#define NGX_HTTP_BLOCKCAST_CATCH_UP_REST   16384

/* kinds of messages of a log: a page, the next entries, entries after a gap */
#define NGX_HTTP_BLOCKCAST_ENCODING_CACHE_PAGE  0
#define NGX_HTTP_BLOCKCAST_ENCODING_CACHE_NEXT  1
#define NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST  2


static ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_deflated(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t variant);
static void ngx_http_blockcast_encoding_cache_ready(void *data, ngx_uint_t n,
    ngx_http_blockcast_frame_t *z);
static ngx_int_t ngx_http_blockcast_encoding_cache_cbor(
    ngx_http_blockcast_hub_t *hub);
static ngx_int_t ngx_http_blockcast_encoding_cache_jsonrpc(
    ngx_http_blockcast_hub_t *hub);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_page(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub);
static ngx_uint_t ngx_http_blockcast_encoding_cache_page_end(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t from);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_entries(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t from, ngx_uint_t to,
    uint64_t seq, uint64_t since, ngx_uint_t kind);


static ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_variant(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t variant)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = hub->frames[variant];

    if (frame != NULL || hub->newest == NULL
        || (hub->tried & ((ngx_uint_t) 1 << variant)))
    {
        return frame;
    }

    if (variant == NGX_HTTP_BLOCKCAST_TEXT) {
        return hub->newest;
    }

    if (variant & 1) {
        hub->tried |= (ngx_uint_t) 1 << variant;
    }

    if (variant < NGX_HTTP_BLOCKCAST_VARIANTS
        && hub->snap.variants[variant].len != 0)
    {
        frame = ngx_http_blockcast_frame_of(hub->newest, hub->buf,
                                            &hub->snap.variants[variant]);
        if (frame != NULL) {
            frame->variant = variant;
        }

    } else if (variant & 1) {

        frame = ngx_http_blockcast_encoding_cache_deflated(hub, variant);

    } else if (variant >= NGX_HTTP_BLOCKCAST_FRAME_JSONRPC) {

        if (((variant == NGX_HTTP_BLOCKCAST_FRAME_CBOR)
             ? ngx_http_blockcast_encoding_cache_cbor(hub)
             : ngx_http_blockcast_encoding_cache_jsonrpc(hub))
            == NGX_AGAIN)
        {
            return NULL;
        }

        frame = ngx_http_blockcast_subprotocol_frame(
                                    variant == NGX_HTTP_BLOCKCAST_FRAME_CBOR
                                    ? ngx_http_blockcast_cbor
                                    : ngx_http_blockcast_jsonrpc,
                                    hub, hub->newest);
    }

    if (variant == NGX_HTTP_BLOCKCAST_TEXT_Z
        || variant == NGX_HTTP_BLOCKCAST_DELTA_Z)
    {
        /* the poller will compress the next one, for all workers */

        hub->stream->slot->deflated = ngx_current_msec;
    }

    hub->frames[variant] = frame;

    return frame;
}


/*
 * Returns NGX_AGAIN while the newest snapshot is being converted to CBOR over
 * several turns of the event loop; NGX_OK: convert it at once.
 */

static ngx_int_t
ngx_http_blockcast_encoding_cache_cbor(ngx_http_blockcast_hub_t *hub)
{
    ngx_http_blockcast_frame_t       *text;
    ngx_http_blockcast_deflation_t  **d;

    text = hub->newest;
    d = &hub->deflations[NGX_HTTP_BLOCKCAST_FRAME_CBOR];

    if (*d != NULL) {
        return NGX_AGAIN;
    }

    if (text->len - text->payload <= NGX_HTTP_BLOCKCAST_CBOR_AT_ONCE) {
        return NGX_OK;
    }

    hub->converting = hub->snap.seq;

    *d = ngx_http_blockcast_deflation_cbor(text,
                                       ngx_http_blockcast_encoding_cache_ready,
                                       hub, NGX_HTTP_BLOCKCAST_FRAME_CBOR);

    return (*d != NULL) ? NGX_AGAIN : NGX_OK;
}


/*
 * Does the same for JSON-RPC.  A snapshot that newer data replaced before it
 * was ready is dropped; the newer one is then made at once, so that no client
 * waits for two in a row.
 */

static ngx_int_t
ngx_http_blockcast_encoding_cache_jsonrpc(ngx_http_blockcast_hub_t *hub)
{
    u_char                            buf[NGX_HTTP_BLOCKCAST_SUBPROTOCOL_HEAD];
    bc_span_t                         text, tail;
    ngx_str_t                         head;
    ngx_http_blockcast_frame_t       *frame;
    ngx_http_blockcast_deflation_t  **d;

    frame = hub->newest;
    d = &hub->deflations[NGX_HTTP_BLOCKCAST_FRAME_JSONRPC];

    if (*d != NULL) {
        return NGX_AGAIN;
    }

    text.data = frame->data + frame->payload;
    text.len = frame->len - frame->payload;

    if (text.len <= NGX_HTTP_BLOCKCAST_COPY_AT_ONCE
        || (hub->late
            & ((ngx_uint_t) 1 << NGX_HTTP_BLOCKCAST_FRAME_JSONRPC)))
    {
        return NGX_OK;
    }

    head.data = buf;
    head.len = ngx_http_blockcast_subprotocol_rpc_head(hub, buf) - buf;
    tail.data = (u_char *) "}}";
    tail.len = 2;

    *d = ngx_http_blockcast_deflation_wrap(frame, &head, text, tail,
                                       ngx_http_blockcast_encoding_cache_ready,
                                       hub, NGX_HTTP_BLOCKCAST_FRAME_JSONRPC);

    return (*d != NULL) ? NGX_AGAIN : NGX_OK;
}


/*
 * Makes the deflated form of the previous variant, if that is smaller.  NULL
 * with hub->deflations[variant] set: it is being made.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_deflated(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t variant)
{
    ngx_http_blockcast_frame_t  *frame;

    if (variant < NGX_HTTP_BLOCKCAST_VARIANTS
        && hub->snap.variants[variant].plain != 0)
    {
        /* the poller has found that deflate does not save enough */

        return NULL;
    }

    if (hub->late & ((ngx_uint_t) 1 << variant)) {
        return NULL;
    }

    if (hub->pause[variant] != 0) {
        hub->pause[variant]--;
        return NULL;
    }

    frame = ngx_http_blockcast_encoding_cache_variant(hub, variant - 1);

    if (frame == NULL
        || frame->len - frame->payload < NGX_HTTP_BLOCKCAST_DEFLATE_MIN)
    {
        return NULL;
    }

    if (frame->len - frame->payload > NGX_HTTP_BLOCKCAST_DEFLATE_AT_ONCE) {
        hub->deflations[variant] = ngx_http_blockcast_deflation_start(frame,
                                       ngx_http_blockcast_encoding_cache_ready,
                                       hub, variant);
        return NULL;
    }

    frame = ngx_http_blockcast_frame_deflate(frame);

    if (frame == NULL) {
        hub->pause[variant] = NGX_HTTP_BLOCKCAST_DEFLATE_PAUSE;

    } else if (variant < NGX_HTTP_BLOCKCAST_VARIANTS) {
        frame->variant = variant;
    }

    return frame;
}


/*
 * Returns true when a client can get an earlier snapshot in CBOR, or as a
 * notification: if data changes faster than it is converted, clients get every
 * other one.
 */

ngx_uint_t
ngx_http_blockcast_encoding_cache_former(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub)
{
    if (conn->protocol == ngx_http_blockcast_rpc) {
        return ngx_http_blockcast_notify_former(conn, sub);
    }

    return hub->former != NULL
           && conn->protocol == ngx_http_blockcast_cbor
           && hub->frames[NGX_HTTP_BLOCKCAST_FRAME_CBOR] == NULL
           && ngx_http_blockcast_hub_follows(sub, hub->former_seq);
}


/*
 * Stores a frame that is ready, and starts the fan-out for the clients that
 * wait.
 */

static void
ngx_http_blockcast_encoding_cache_ready(void *data, ngx_uint_t n,
    ngx_http_blockcast_frame_t *z)
{
    ngx_http_blockcast_hub_t *hub = data;

    hub->deflations[n] = NULL;

    if (n == NGX_HTTP_BLOCKCAST_FRAME_CBOR) {
        ngx_http_blockcast_frame_free(hub->former);
        hub->former = NULL;

        if (hub->converting != hub->snap.seq) {
            hub->former = z;
            hub->former_seq = hub->converting;

            ngx_http_blockcast_fanout_again(hub);
            return;
        }
    }

    if (z == NULL && n == NGX_HTTP_BLOCKCAST_FRAME_CBOR) {
        z = ngx_http_blockcast_subprotocol_not_representable(hub, hub->newest);
    }

    hub->frames[n] = z;

    if (z == NULL) {
        hub->pause[n] = NGX_HTTP_BLOCKCAST_DEFLATE_PAUSE;

    } else if (n < NGX_HTTP_BLOCKCAST_VARIANTS) {
        z->variant = n;
    }

    ngx_http_blockcast_fanout_again(hub);
}


/* Returns a variant, or its deflated form for a client that accepts it. */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_compressed(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t variant)
{
    ngx_http_blockcast_frame_t  *frame, *z;

    z = hub->frames[variant + 1];

    if (z != NULL && bc_ws_deflate_suits(15, z->plain, conn->bits)) {
        return z;
    }

    frame = ngx_http_blockcast_encoding_cache_variant(hub, variant);

    if (frame != NULL && bc_ws_deflate_suits(15, frame->plain, conn->bits)) {
        z = ngx_http_blockcast_encoding_cache_variant(hub, variant + 1);

        if (z != NULL || hub->deflations[variant + 1] != NULL) {
            return z;
        }
    }

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_frame(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub)
{
    ngx_uint_t  variant;

    switch (conn->protocol) {

    case ngx_http_blockcast_rpc:
        return ngx_http_blockcast_notify_newest(conn, sub);

    case ngx_http_blockcast_jsonrpc:
        variant = NGX_HTTP_BLOCKCAST_FRAME_JSONRPC;
        break;

    case ngx_http_blockcast_cbor:
        variant = NGX_HTTP_BLOCKCAST_FRAME_CBOR;
        break;

    default:
        variant = NGX_HTTP_BLOCKCAST_TEXT;

        if (sub->delta
            && sub->seq != 0
            && sub->seq + 1 == hub->snap.seq
            && hub->snap.variants[NGX_HTTP_BLOCKCAST_DELTA].len != 0)
        {
            variant = NGX_HTTP_BLOCKCAST_DELTA;
        }
    }

    if (conn->deflate) {
        return ngx_http_blockcast_encoding_cache_compressed(hub, conn,
                                                            variant);
    }

    return (variant == NGX_HTTP_BLOCKCAST_TEXT)
           ? hub->newest
           : ngx_http_blockcast_encoding_cache_variant(hub, variant);
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_next(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    uint64_t                     seq;
    ngx_uint_t                   ring;
    ngx_http_blockcast_hub_t    *hub;
    ngx_http_blockcast_frame_t  *frame;

    if (conn->protocol == ngx_http_blockcast_rpc) {
        return ngx_http_blockcast_notify_next(conn, sub);
    }

    if (sub->filtered) {
        return ngx_http_blockcast_filtered_next(conn, sub);
    }

    hub = sub->hub;

    if (sub->history != 0) {

        /* send the history before the data that continues it */

        ring = sub->history - 1;

        if (ngx_http_blockcast_history_frame(hub, conn, ring, sub->waited,
                                             &frame)
            == NGX_AGAIN)
        {
            sub->waited = 1;
            return NULL;
        }

        sub->history = 0;

        if (frame != NULL) {
            return frame;
        }
    }

    seq = (hub->newest != NULL) ? hub->snap.seq : 0;

    if (sub->seq < seq || (sub->first && seq != 0)) {

        if (!ngx_http_blockcast_hub_follows(sub, seq)
            || (hub->stream->field.len != 0
                && (sub->seq < hub->evicted
                    || sub->seq < hub->stream->slot->hole)))
        {
            return ngx_http_blockcast_encoding_cache_page(conn, sub);
        }

        frame = ngx_http_blockcast_encoding_cache_frame(hub, conn, sub);

        if (frame == NULL
            && ngx_http_blockcast_encoding_cache_former(hub, conn, sub))
        {
            frame = hub->former;
            seq = hub->former_seq;
        }

        if (frame != NULL) {
            frame->refs++;
            sub->seq = seq;
            hub->delivered++;
        }

        return frame;
    }

    if (sub->last_status == hub->freshness
        || ngx_http_blockcast_hub_load_seq(hub) > sub->seq)
    {
        /* the status follows the snapshot that it waits for */

        return NULL;
    }

    frame = ngx_http_blockcast_status_message(hub);

    if (frame == NULL) {
        return NULL;
    }

    sub->last_status = hub->freshness;

    return ngx_http_blockcast_subprotocol_convert(conn, hub, frame);
}


/*
 * Returns the next page of a log for a client that is behind, as _next() does.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_page(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_int_t                       rc;
    ngx_uint_t                      from, to;
    ngx_http_blockcast_hub_t       *hub;
    ngx_http_blockcast_frame_t     *frame, *text;
    ngx_http_blockcast_page_key_t   key;

    hub = sub->hub;

    ngx_memzero(&key, sizeof(ngx_http_blockcast_page_key_t));

    if (sub->first) {
        from = hub->count - ngx_min(hub->count, hub->stream->page);
        to = hub->count;
        key.kind = sub->lost ? NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST
                             : NGX_HTTP_BLOCKCAST_ENCODING_CACHE_PAGE;

    } else {
        from = ngx_http_blockcast_hub_after(hub, sub->seq);
        to = ngx_http_blockcast_encoding_cache_page_end(hub, from);
        key.kind = (sub->seq < hub->evicted
                    || sub->seq < hub->stream->slot->hole)
                   ? NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST
                   : NGX_HTTP_BLOCKCAST_ENCODING_CACHE_NEXT;
    }

    if (key.kind == NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST) {
        key.since = sub->seq;
    }

    key.hub = hub;
    key.from = (from == hub->count) ? hub->head
                                  : ngx_http_blockcast_hub_place(hub, from);
    key.to = (to == hub->count) ? hub->head
                                : ngx_http_blockcast_hub_place(hub, to);
    key.seq = (to == hub->count)
              ? hub->snap.seq
              : ngx_http_blockcast_hub_entry(hub, to - 1)->seq;
    key.protocol = conn->protocol;
    key.bits = conn->deflate ? conn->bits : 0;

    rc = ngx_http_blockcast_page_cache_find(&key, &frame);

    if (rc == NGX_DECLINED) {

        if (key.kind == NGX_HTTP_BLOCKCAST_ENCODING_CACHE_PAGE) {
            text = ngx_http_blockcast_encoding_cache_snapshot(hub);

            if (text != NULL) {
                text->refs++;
            }

        } else {
            text = ngx_http_blockcast_encoding_cache_entries(hub, from, to,
                                                             key.seq,
                                                             key.since,
                                                             key.kind);
        }

        frame = text;

        if (text != NULL && conn->protocol != ngx_http_blockcast_json) {
            frame = ngx_http_blockcast_subprotocol_frame(conn->protocol, hub,
                                                         text);
            ngx_http_blockcast_frame_free(text);
        }

        if (frame == NULL) {
            return NULL;
        }

        rc = ngx_http_blockcast_page_cache_add(&key, &frame);
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    if (key.kind == NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST) {
        ngx_http_blockcast_count(ngx_http_blockcast_n_gaps, 1);
    }

    sub->seq = key.seq;
    sub->first = 0;
    sub->lost = 0;
    hub->delivered++;

    return frame;
}


/*
 * Returns the end of the page that begins with an entry, the first of its
 * batch: after the last batch that begins before the next multiple of the
 * page's size.  Batches are never divided, as a client that has a part of one
 * could not continue with the rest.
 */

static ngx_uint_t
ngx_http_blockcast_encoding_cache_page_end(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t from)
{
    uint64_t    pos, before, seq, size, end;
    ngx_uint_t  lo, hi, mid;

    if (from == hub->count) {
        return from;
    }

    pos = ngx_http_blockcast_hub_place(hub, from);

    if (hub->head - pos <= NGX_HTTP_BLOCKCAST_CATCH_UP_REST) {
        return hub->count;
    }

    size = NGX_HTTP_BLOCKCAST_CATCH_UP_LEAST;

    if (from > 0) {

        /* find where the previous batch begins */

        seq = ngx_http_blockcast_hub_entry(hub, from - 1)->seq;
        before = ngx_http_blockcast_hub_place(hub,
                      ngx_http_blockcast_hub_after(hub, seq - 1));

        for (size = NGX_HTTP_BLOCKCAST_CATCH_UP;
             size > NGX_HTTP_BLOCKCAST_CATCH_UP_LEAST
             && before / size == pos / size;
             size /= 4)
        {
            /* void */
        }
    }

    end = (pos / size + 1) * size;

    /* find the first entry from that position on ... */

    lo = from;
    hi = hub->count;

    while (lo < hi) {
        mid = (lo + hi) / 2;

        if (ngx_http_blockcast_hub_place(hub, mid) >= end) {
            hi = mid;

        } else {
            lo = mid + 1;
        }
    }

    if (lo == hub->count) {
        return lo;
    }

    /* ... and from there the beginning of a batch */

    seq = ngx_http_blockcast_hub_entry(hub, lo - 1)->seq;

    if (ngx_http_blockcast_hub_entry(hub, lo)->seq != seq) {
        return lo;
    }

    return ngx_http_blockcast_hub_after(hub, seq);
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_snapshot(ngx_http_blockcast_hub_t *hub)
{
    ngx_uint_t  n;

    if (hub->newest == NULL || hub->stream->field.len == 0) {
        return hub->newest;
    }

    if (hub->page == NULL) {
        n = ngx_min(hub->count, hub->stream->page);

        hub->page = ngx_http_blockcast_encoding_cache_entries(hub,
                                                              hub->count - n,
                                                              hub->count,
                                                              hub->snap.seq, 0,
                                        NGX_HTTP_BLOCKCAST_ENCODING_CACHE_PAGE);
    }

    return hub->page;
}


/*
 * Builds a message with the entries from `from` to `to` - 1, and with the gap
 * before them or the first one among them.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_entries(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t from, ngx_uint_t to, uint64_t seq, uint64_t since,
    ngx_uint_t kind)
{
    u_char                            *p;
    size_t                             size;
    uint64_t                           timestamp, oldest;
    ngx_str_t                          told;
    ngx_uint_t                         i;
    ngx_http_blockcast_frame_t        *frame;
    ngx_http_blockcast_ring_record_t  *rec;
    ngx_http_blockcast_stream_t       *st;

    st = hub->stream;
    size = st->field.len + sizeof("{\"\":[],\"count\":}") + NGX_INT_T_LEN
           + NGX_HTTP_BLOCKCAST_RING_GAP_LEN;

    for (i = from; i < to; i++) {
        size += ngx_http_blockcast_hub_entry(hub, i)->len + 1;
    }

    frame = ngx_http_blockcast_frame_alloc(
                                    ngx_http_blockcast_snapshot_message_len(
                                        st, size));
    if (frame == NULL) {
        return NULL;
    }

    timestamp = hub->snap.timestamp;
    oldest = seq;
    ngx_str_null(&told);

    p = frame->data + frame->payload;
    p = ngx_http_blockcast_snapshot_message_head(p, st);

    *p++ = '{';
    *p++ = '"';
    p = ngx_cpymem(p, st->field.data, st->field.len);
    p = ngx_cpymem(p, "\":[", 3);

    for (i = from; i < to; i++) {
        rec = ngx_http_blockcast_hub_entry(hub, i);

        if (i == from) {
            oldest = rec->seq;

        } else {
            *p++ = ',';
        }

        p = ngx_cpymem(p, ngx_http_blockcast_ring_record_data(rec), rec->len);
        timestamp = rec->timestamp;

        if (told.len == 0 && kind == NGX_HTTP_BLOCKCAST_ENCODING_CACHE_NEXT) {
            ngx_http_blockcast_ring_gap(
                                    ngx_http_blockcast_ring_record_data(rec),
                                    rec->len, &told);

            if (told.len != 0) {
                oldest = rec->seq;
            }
        }
    }

    p = ngx_sprintf(p, "],\"count\":%ui}", to - from);
    p = ngx_http_blockcast_snapshot_message_tail(p, seq, timestamp);

    if (kind == NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST || told.len != 0) {

        if (told.len != 0) {
            since = oldest - 1;
        }

        p = ngx_http_blockcast_ring_gap_member(p - 1, since, oldest, &told);
        *p++ = '}';
    }

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return frame;
}
