
/*
 * Frames: what a feed has for a subscriber, made once for all that take the
 * same.
 */


#include "ngx_http_blockcast_encoding_cache.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_ring.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_history_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_notify.h"
#include "ngx_http_blockcast_status_message.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "bc_ws_frame.h"
#include "bc_ws_deflate.h"


/*
 * A client that is behind gets its entries in messages of about this size, or
 * that of its queue: they are its own memory.
 */
#define NGX_HTTP_BLOCKCAST_CATCH_UP  (256 * 1024)

/* what a message of a log is: the page, the next entries, those still there */
#define NGX_HTTP_BLOCKCAST_ENCODING_CACHE_PAGE  0
#define NGX_HTTP_BLOCKCAST_ENCODING_CACHE_NEXT  1
#define NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST  2


static ngx_http_blockcast_frame_t *ngx_http_blockcast_encoding_cache_entries(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t from, ngx_uint_t to,
    uint64_t seq, uint64_t since, ngx_uint_t gap);


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

        /* the deflated form of the one before, where that is smaller */

        frame = ngx_http_blockcast_encoding_cache_variant(hub, variant - 1);

        if (frame != NULL) {
            frame = ngx_http_blockcast_frame_deflate(frame);
        }

        if (frame != NULL && variant < NGX_HTTP_BLOCKCAST_VARIANTS) {
            frame->variant = variant;
        }

    } else if (variant >= NGX_HTTP_BLOCKCAST_FRAME_JSONRPC) {
        frame = ngx_http_blockcast_subprotocol_frame(
                                    variant == NGX_HTTP_BLOCKCAST_FRAME_CBOR
                                    ? ngx_http_blockcast_cbor
                                    : ngx_http_blockcast_jsonrpc,
                                    hub, hub->newest);
    }

    if (variant == NGX_HTTP_BLOCKCAST_TEXT_Z
        || variant == NGX_HTTP_BLOCKCAST_DELTA_Z)
    {
        /* the next one is compressed once for all workers */

        hub->stream->slot->deflated = ngx_current_msec;
    }

    hub->frames[variant] = frame;

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_frame(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_sub_t *sub)
{
    ngx_uint_t                   variant;
    ngx_http_blockcast_frame_t  *frame;

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
        frame = ngx_http_blockcast_encoding_cache_variant(hub, variant + 1);

        if (frame != NULL
            && bc_ws_deflate_suits(15, frame->plain, conn->bits))
        {
            return frame;
        }
    }

    return ngx_http_blockcast_encoding_cache_variant(hub, variant);
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_next(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    uint64_t                           seq;
    ngx_uint_t                         lo, hi, mid, to, gap, ring;
    size_t                             size, limit;
    ngx_http_blockcast_hub_t          *hub;
    ngx_http_blockcast_frame_t        *frame;
    ngx_http_blockcast_ring_record_t  *rec;

    if (conn->protocol == ngx_http_blockcast_rpc) {
        return ngx_http_blockcast_notify_next(conn, sub);
    }

    if (sub->filtered) {
        return ngx_http_blockcast_filtered_next(conn, sub);
    }

    hub = sub->hub;

    if (sub->history != 0) {

        /* it comes before what goes on from it */

        ring = sub->history - 1;
        sub->history = 0;

        frame = ngx_http_blockcast_history_frame(hub, conn, ring);

        if (frame != NULL) {
            return frame;
        }
    }

    frame = NULL;
    seq = (hub->newest != NULL) ? hub->snap.seq : 0;

    if (sub->seq < seq || (sub->first && seq != 0)) {

        if (hub->stream->field.len == 0) {
            frame = ngx_http_blockcast_encoding_cache_frame(hub, conn, sub);

            if (frame != NULL) {
                frame->refs++;
                sub->seq = seq;
                hub->delivered++;
            }

            return frame;
        }

        if (sub->first) {

            if (sub->lost) {
                to = hub->count;
                lo = to - ngx_min(to, hub->stream->page);

                frame = ngx_http_blockcast_encoding_cache_entries(hub, lo, to,
                                        seq, sub->seq,
                                        NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST);

            } else {
                frame = ngx_http_blockcast_encoding_cache_snapshot(hub);

                if (frame != NULL) {
                    frame->refs++;
                }
            }

            if (frame != NULL) {
                sub->seq = seq;
                sub->first = 0;
                sub->lost = 0;
                hub->delivered++;
            }

        } else {

            /* the first entry it does not have */

            lo = 0;
            hi = hub->count;

            while (lo < hi) {
                mid = (lo + hi) / 2;

                if (ngx_http_blockcast_hub_entry(hub, mid)->seq > sub->seq) {
                    hi = mid;

                } else {
                    lo = mid + 1;
                }
            }

            /* as many whole batches as fit into one message */

            limit = ngx_min(NGX_HTTP_BLOCKCAST_CATCH_UP,
                            conn->conf->max_queue);
            size = 0;
            rec = NULL;

            for (to = lo; to < hub->count; to++) {
                rec = ngx_http_blockcast_hub_entry(hub, to);

                if (size + rec->len > limit
                    && to > lo
                    && rec->seq
                       != ngx_http_blockcast_hub_entry(hub, to - 1)->seq)
                {
                    seq = ngx_http_blockcast_hub_entry(hub, to - 1)->seq;
                    break;
                }

                size += rec->len + 1;
            }

            gap = (sub->seq < hub->evicted
                   || sub->seq < hub->stream->slot->hole)
                  ? NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST
                  : NGX_HTTP_BLOCKCAST_ENCODING_CACHE_NEXT;

            frame = ngx_http_blockcast_encoding_cache_entries(hub, lo, to, seq,
                                                              sub->seq, gap);
            if (frame != NULL) {
                sub->seq = seq;
                hub->delivered++;
            }
        }

    } else if (sub->last_status != hub->freshness) {
        frame = ngx_http_blockcast_status_message(hub);

        if (frame != NULL) {
            sub->last_status = hub->freshness;
        }
    }

    return (frame != NULL) ? ngx_http_blockcast_subprotocol_convert(conn, hub,
                                                                    frame)
                           : NULL;
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
 * A message with the entries from .. to - 1, and the gap before them, or the
 * first one among them.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_encoding_cache_entries(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t from, ngx_uint_t to, uint64_t seq, uint64_t since,
    ngx_uint_t gap)
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

        if (told.len == 0 && gap == NGX_HTTP_BLOCKCAST_ENCODING_CACHE_NEXT) {
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

    if (gap == NGX_HTTP_BLOCKCAST_ENCODING_CACHE_LOST || told.len != 0) {

        if (told.len == 0) {
            ngx_http_blockcast_count(ngx_http_blockcast_n_gaps, 1);

        } else {
            since = oldest - 1;
        }

        p = ngx_http_blockcast_ring_gap_member(p - 1, since, oldest, &told);
        *p++ = '}';
    }

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                                    p - frame->data - frame->payload);

    return frame;
}
