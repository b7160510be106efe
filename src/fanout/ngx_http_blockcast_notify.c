
/*
 * Notifications: what a subscription of the JSON-RPC endpoint receives.
 *
 * A notification is a head with the subscription's id, and a body, which is an
 * unchanged entry of the stream.  Ids count the subscriptions of a connection,
 * so most clients have the same ids and share whole frames.  The others at
 * least share the body, which is the largest part and compressed only once: in
 * a frame of permessage-deflate the head precedes it as a stored block (RFC
 * 1951, 3.2.4), and no reference in the body reaches back that far.
 */


#include "ngx_http_blockcast_notify.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_deflation.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_filtered.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_json.h"
#include "bc_ws_deflate.h"
#include "bc_ws_frame.h"


/* classes of subscriptions with kept frames, for all streams together */
#define NGX_HTTP_BLOCKCAST_NOTIFY_KEPT     256
/* subscriptions with a longer id do not share frames (bytes) */
#define NGX_HTTP_BLOCKCAST_NOTIFY_ID       24
/* about the size of one piece of what a client has missed (bytes) */
#define NGX_HTTP_BLOCKCAST_NOTIFY_PIECE    65536
/* retired frames that may still be in use: more than _ws_send sends at once */
#define NGX_HTTP_BLOCKCAST_NOTIFY_RETIRED  32
/* bytes of the header of a stored block in deflate */
#define NGX_HTTP_BLOCKCAST_NOTIFY_STORED   5
/* shorter bodies are not compressed (bytes) */
#define NGX_HTTP_BLOCKCAST_NOTIFY_DEFLATE  256
/* a longer body is compressed in parts of this size (bytes) */
#define NGX_HTTP_BLOCKCAST_NOTIFY_STEP     16384


/* the body of an entry, plain and compressed */

typedef struct {
    bc_span_t                     text;
    bc_span_t                     z;            /* len 0: not compressed */
} ngx_http_blockcast_notify_body_t;


/* the bodies of the newest entries for one rule */

typedef struct {
    ngx_queue_t                   queue;
    ngx_http_blockcast_rpc_rule_t  *rule;
    uint64_t                      version;      /* of the hub */
    unsigned                      tried:1;      /* compression was tried */
    unsigned                      compressing:1;  /* under way: see event */
    unsigned                      late:1;       /* compression of the previous
                                                   bodies was interrupted */
    ngx_uint_t                    n;
    ngx_uint_t                    nalloc;
    ngx_http_blockcast_frame_t   *z;            /* memory of what is
                                                   compressed, or NULL */
    ngx_http_blockcast_notify_body_t  *bodies;

    /* compression: the next body, its text with the tail, and the output */
    ngx_http_blockcast_hub_t     *hub;
    ngx_uint_t                    next;
    u_char                       *text;
    size_t                        copied;       /* bytes of it */
    u_char                       *dst;
    bc_ws_deflate_t              *state;        /* for a long body */
    ngx_event_t                   event;
} ngx_http_blockcast_notify_bodies_t;


/*
 * Subscriptions that receive the same bytes: those of one rule with the same
 * id.  The frames hold the newest entries, plain and compressed.  That of a
 * large snapshot is made in pieces.
 */

typedef struct {
    ngx_http_blockcast_rpc_rule_t  *rule;
    ngx_uint_t                    refs;
    uint64_t                      version[2];
    ngx_http_blockcast_frame_t   *frame[2];
    uint64_t                      seq[2];       /* of a frame that was made in
                                                   pieces, or 0 */
    ngx_http_blockcast_deflation_t  *making[2];  /* the next, or NULL */
    uint64_t                      next_version[2];
    uint64_t                      next_seq[2];
    uint64_t                      epoch[2];     /* ... when it was begun */
    ngx_http_blockcast_hub_t     *hub;          /* ... of this */
    ngx_uint_t                    packed;       /* bit 1: the body of making[1]
                                                   is compressed */
    size_t                        len;
    u_char                        id[NGX_HTTP_BLOCKCAST_NOTIFY_ID];
} ngx_http_blockcast_notify_class_t;


/* 0 means no class */
static ngx_http_blockcast_notify_class_t
            ngx_http_blockcast_notify_classes[NGX_HTTP_BLOCKCAST_NOTIFY_KEPT];
static ngx_queue_t  ngx_http_blockcast_notify_all;


static void ngx_http_blockcast_notify_deflate_handler(ngx_event_t *ev);


/*
 * Sets *text to what a subscriber gets of an entry: all of it, or one of its
 * members.  Returns false when the entry lacks that member.
 */

static ngx_uint_t
ngx_http_blockcast_notify_text(ngx_http_blockcast_rpc_rule_t *rule,
    bc_span_t entry, bc_span_t *text)
{
    if (rule->result.len == 0) {
        *text = entry;
        return 1;
    }

    return bc_json_member(entry, (char *) rule->result.data, text);
}


static bc_span_t
ngx_http_blockcast_notify_entry(ngx_http_blockcast_hub_t *hub, ngx_uint_t n)
{
    bc_span_t                          entry;
    ngx_http_blockcast_ring_record_t  *rec;

    if (hub->stream->field.len == 0) {
        entry.data = hub->buf + hub->snap.data;
        entry.len = hub->snap.data_len;
        return entry;
    }

    rec = ngx_http_blockcast_hub_entry(hub, n);

    entry.data = ngx_http_blockcast_ring_record_data(rec);
    entry.len = rec->len;

    return entry;
}


/*
 * Returns the index of the first entry of a log after seq; for a snapshot, of
 * its only one.
 */

static ngx_uint_t
ngx_http_blockcast_notify_after(ngx_http_blockcast_hub_t *hub, uint64_t seq)
{
    return (hub->stream->field.len != 0)
           ? ngx_http_blockcast_hub_after(hub, seq) : 0;
}


/* Ends the compression, finished or not. */

static void
ngx_http_blockcast_notify_deflate_end(ngx_http_blockcast_notify_bodies_t *b)
{
    if (b->state != NULL) {
        bc_ws_deflate_end(b->state);
        b->state = NULL;
    }

    if (b->text != NULL) {
        ngx_free(b->text);
        b->text = NULL;
    }

    if (b->event.posted) {
        ngx_delete_posted_event((&b->event));
    }

    b->compressing = 0;
}


static void
ngx_http_blockcast_notify_forget(ngx_http_blockcast_notify_bodies_t *b)
{
    ngx_http_blockcast_notify_deflate_end(b);

    ngx_http_blockcast_frame_free(b->z);
    b->z = NULL;

    b->n = 0;
    b->tried = 0;
}


/* Returns the bodies of the newest entries; NULL without memory. */

static ngx_http_blockcast_notify_bodies_t *
ngx_http_blockcast_notify_bodies(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_rpc_rule_t *rule)
{
    ngx_uint_t                           from, to, i;
    ngx_http_blockcast_notify_body_t    *body;
    ngx_http_blockcast_notify_bodies_t  *b;

    b = rule->bodies;

    if (b == NULL) {
        b = ngx_calloc(sizeof(ngx_http_blockcast_notify_bodies_t),
                       ngx_cycle->log);
        if (b == NULL) {
            return NULL;
        }

        if (ngx_http_blockcast_notify_all.next == NULL) {
            ngx_queue_init(&ngx_http_blockcast_notify_all);
        }

        ngx_queue_insert_tail(&ngx_http_blockcast_notify_all, &b->queue);

        b->event.write = 1;
        b->event.handler = ngx_http_blockcast_notify_deflate_handler;
        b->event.data = b;
        b->event.log = ngx_cycle->log;

        b->hub = hub;
        b->rule = rule;
        rule->bodies = b;

    } else if (b->version == hub->version && hub->key == NULL) {

        /* the hubs of all keys share these bodies: always make them anew */

        return b;
    }

    b->late = b->compressing;

    ngx_http_blockcast_notify_forget(b);

    if (hub->stream->field.len == 0) {
        from = 0;
        to = 1;

    } else {
        from = ngx_http_blockcast_notify_after(hub, hub->snap.seq - 1);
        to = hub->count;
    }

    if (to - from > b->nalloc) {
        body = ngx_alloc((to - from)
                         * sizeof(ngx_http_blockcast_notify_body_t),
                         ngx_cycle->log);
        if (body == NULL) {
            return NULL;
        }

        if (b->bodies != NULL) {
            ngx_free(b->bodies);
        }

        b->bodies = body;
        b->nalloc = to - from;
    }

    for (i = from; i < to; i++) {
        body = &b->bodies[b->n];

        if (ngx_http_blockcast_notify_text(rule,
                                       ngx_http_blockcast_notify_entry(hub, i),
                                       &body->text))
        {
            body->z.len = 0;
            b->n++;
        }
    }

    b->version = hub->version;

    return b;
}


/* Compresses the next body or a part of it; returns 0 when all are done. */

static ngx_uint_t
ngx_http_blockcast_notify_deflate_step(ngx_http_blockcast_notify_bodies_t *b)
{
    int                                rc;
    size_t                             len, n;
    ngx_http_blockcast_notify_body_t  *body;

    while (b->next < b->n
           && b->bodies[b->next].text.len < NGX_HTTP_BLOCKCAST_NOTIFY_DEFLATE)
    {
        b->next++;
    }

    if (b->next == b->n) {
        return 0;
    }

    body = &b->bodies[b->next];
    len = body->text.len + b->rule->tail.len;

    if (b->state == NULL) {

        b->copied = 0;

        if (len > NGX_HTTP_BLOCKCAST_NOTIFY_STEP) {
            b->state = bc_ws_deflate_begin(b->text, len, 15,
                                           bc_ws_deflate_level(len), b->dst,
                                           len * 9 / 10);
        }
    }

    /* each step reads no more than its own part of the text */

    n = (b->state != NULL)
        ? ngx_min(b->copied + NGX_HTTP_BLOCKCAST_NOTIFY_STEP, len) : len;

    if (b->copied < body->text.len) {
        ngx_memcpy(b->text + b->copied, body->text.data + b->copied,
                   ngx_min(n, body->text.len) - b->copied);
    }

    b->copied = n;

    if (n > body->text.len) {

        /* include the tail, as the last block must end the message */

        ngx_memcpy(b->text + body->text.len, b->rule->tail.data,
                   n - body->text.len);
    }

    rc = (b->state != NULL)
         ? bc_ws_deflate_step(b->state, NGX_HTTP_BLOCKCAST_NOTIFY_STEP, &len)
         : bc_ws_deflate(b->text, len, 15, bc_ws_deflate_level(len), b->dst,
                         len * 9 / 10, &len);

    if (rc == 1) {
        return 1;
    }

    if (b->state != NULL) {
        bc_ws_deflate_end(b->state);
        b->state = NULL;
    }

    if (rc == 0) {
        body->z.data = b->dst;
        body->z.len = len;
        b->dst += len;
    }

    b->next++;

    return 1;
}


/*
 * Compresses the bodies, once.  Returns NGX_AGAIN when that takes several
 * turns; then the fan-out begins again at the end.
 */

static ngx_int_t
ngx_http_blockcast_notify_deflate(ngx_http_blockcast_notify_bodies_t *b)
{
    size_t      size, len, most;
    ngx_uint_t  i;

    if (b->compressing) {
        return NGX_AGAIN;
    }

    if (b->tried) {
        return NGX_OK;
    }

    b->tried = 1;
    size = 0;
    most = 0;

    for (i = 0; i < b->n; i++) {
        if (b->bodies[i].text.len >= NGX_HTTP_BLOCKCAST_NOTIFY_DEFLATE) {
            len = b->bodies[i].text.len + b->rule->tail.len;
            size += len;
            most = ngx_max(most, len);
        }
    }

    if (size == 0
        || (size > NGX_HTTP_BLOCKCAST_DEFLATE_AT_ONCE && b->late))
    {
        /* clients that waited for the previous ones must not wait again */

        return NGX_OK;
    }

    b->z = ngx_http_blockcast_frame_alloc(size);
    b->text = ngx_alloc(most, ngx_cycle->log);
    b->next = 0;

    if (b->z == NULL || b->text == NULL) {
        ngx_http_blockcast_notify_deflate_end(b);
        return NGX_OK;
    }

    b->dst = b->z->data;

    if (size > NGX_HTTP_BLOCKCAST_DEFLATE_AT_ONCE) {
        b->compressing = 1;
        ngx_http_blockcast_fanout_later(&b->event);
        return NGX_AGAIN;
    }

    while (ngx_http_blockcast_notify_deflate_step(b)) { /* void */ }

    ngx_http_blockcast_notify_deflate_end(b);

    return NGX_OK;
}


static void
ngx_http_blockcast_notify_deflate_handler(ngx_event_t *ev)
{
    ngx_http_blockcast_notify_bodies_t  *b;

    b = ev->data;

    do {
        if (!ngx_http_blockcast_notify_deflate_step(b)) {
            ngx_http_blockcast_notify_deflate_end(b);
            ngx_http_blockcast_fanout_again(b->hub);
            return;
        }

    } while (!ngx_http_blockcast_fanout_spent());

    ngx_http_blockcast_fanout_later(ev);
}


/* Returns the length of a notification's head, with the id. */

#define ngx_http_blockcast_notify_head_len(rule, id)                          \
    ((rule)->head.len + (id)->len + (rule)->middle.len)


/*
 * Writes what precedes the body in a notification: of a compressed one, as a
 * stored block.  Returns its end.
 */

static u_char *
ngx_http_blockcast_notify_head(u_char *p, ngx_http_blockcast_rpc_rule_t *rule,
    ngx_str_t *id, ngx_uint_t deflate)
{
    size_t  head;

    if (deflate) {
        head = ngx_http_blockcast_notify_head_len(rule, id);

        *p++ = 0;
        *p++ = (u_char) head;
        *p++ = (u_char) (head >> 8);
        *p++ = (u_char) ~head;
        *p++ = (u_char) (~head >> 8);
    }

    p = ngx_cpymem(p, rule->head.data, rule->head.len);
    p = ngx_cpymem(p, id->data, id->len);

    return ngx_cpymem(p, rule->middle.data, rule->middle.len);
}


/* Writes one frame at p and returns its end. */

static u_char *
ngx_http_blockcast_notify_write(u_char *p, ngx_http_blockcast_rpc_rule_t *rule,
    ngx_str_t *id, ngx_http_blockcast_notify_body_t *body, ngx_uint_t deflate)
{
    size_t  head;

    head = ngx_http_blockcast_notify_head_len(rule, id);

    if (deflate) {
        p += bc_ws_frame_header(p, BC_WS_TEXT, 1, 1,
                                NGX_HTTP_BLOCKCAST_NOTIFY_STORED + head
                                + body->z.len);

    } else {
        p += bc_ws_frame_header(p, BC_WS_TEXT, 1, 0,
                                head + body->text.len + rule->tail.len);
    }

    p = ngx_http_blockcast_notify_head(p, rule, id, deflate);

    if (deflate) {
        return ngx_cpymem(p, body->z.data, body->z.len);
    }

    p = ngx_cpymem(p, body->text.data, body->text.len);

    return ngx_cpymem(p, rule->tail.data, rule->tail.len);
}


#define ngx_http_blockcast_notify_size(rule, id, body)                        \
    (BC_WS_HEADER_LEN + NGX_HTTP_BLOCKCAST_NOTIFY_STORED                      \
     + ngx_http_blockcast_notify_head_len(rule, id)                           \
     + (body)->text.len + (rule)->tail.len)


/* Returns true when a client can receive a body compressed. */

static ngx_uint_t
ngx_http_blockcast_notify_suits(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_notify_body_t *body)
{
    return conn->deflate && body->z.len != 0
           && bc_ws_deflate_suits(15, body->text.len, conn->bits);
}


static ngx_http_blockcast_frame_t *
ngx_http_blockcast_notify_frame(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_notify_sub_t *rsub,
    ngx_http_blockcast_notify_bodies_t *b)
{
    u_char                      *p;
    size_t                       size;
    ngx_uint_t                   i;
    ngx_http_blockcast_frame_t  *frame;

    size = 0;

    for (i = 0; i < b->n; i++) {
        size += ngx_http_blockcast_notify_size(rsub->rule, &rsub->id,
                                               &b->bodies[i]);
    }

    frame = ngx_http_blockcast_frame_alloc(size);
    if (frame == NULL) {
        return NULL;
    }

    p = frame->data;

    for (i = 0; i < b->n; i++) {
        p = ngx_http_blockcast_notify_write(p, rsub->rule, &rsub->id,
                                            &b->bodies[i],
                                            ngx_http_blockcast_notify_suits(
                                                        conn, &b->bodies[i]));
    }

    frame->payload = 0;
    frame->len = p - frame->data;
    frame->plain = frame->len;

    return frame;
}


/*
 * Frees a frame, but not at once: frames collected for one write have no
 * reference of their own.  Frees the oldest retired one; frame may be NULL.
 */

static void
ngx_http_blockcast_notify_retire(ngx_http_blockcast_frame_t *frame)
{
    static ngx_uint_t                   next;
    static ngx_http_blockcast_frame_t  *retired[
                                           NGX_HTTP_BLOCKCAST_NOTIFY_RETIRED];

    ngx_http_blockcast_frame_free(retired[next]);
    retired[next] = frame;
    next = (next + 1) % NGX_HTTP_BLOCKCAST_NOTIFY_RETIRED;
}


void
ngx_http_blockcast_notify_begin(ngx_http_blockcast_sub_t *sub,
    ngx_http_blockcast_notify_sub_t *rsub)
{
    ngx_uint_t                          i, free;
    ngx_http_blockcast_notify_class_t  *c;

    sub->slow = 1;
    sub->class = 0;

    if (rsub->id.len > NGX_HTTP_BLOCKCAST_NOTIFY_ID || rsub->rule->logs
        || sub->hub->key != NULL)
    {
        return;
    }

    free = 0;

    for (i = 1; i < NGX_HTTP_BLOCKCAST_NOTIFY_KEPT; i++) {
        c = &ngx_http_blockcast_notify_classes[i];

        if (c->refs == 0) {
            free = free ? free : i;

        } else if (c->rule == rsub->rule && c->len == rsub->id.len
                   && ngx_memcmp(c->id, rsub->id.data, c->len) == 0)
        {
            c->refs++;
            sub->class = i;
            return;
        }
    }

    if (free == 0) {
        return;
    }

    c = &ngx_http_blockcast_notify_classes[free];

    c->rule = rsub->rule;
    c->refs = 1;
    c->len = rsub->id.len;
    ngx_memcpy(c->id, rsub->id.data, c->len);

    sub->class = free;
}


void
ngx_http_blockcast_notify_end(ngx_http_blockcast_sub_t *sub)
{
    ngx_uint_t                          z;
    ngx_http_blockcast_notify_class_t  *c;

    if (sub->class == 0) {
        return;
    }

    c = &ngx_http_blockcast_notify_classes[sub->class];
    sub->class = 0;

    if (--c->refs != 0) {
        return;
    }

    for (z = 0; z < 2; z++) {
        ngx_http_blockcast_deflation_cancel(c->making[z]);
        ngx_http_blockcast_notify_retire(c->frame[z]);
        c->making[z] = NULL;
        c->frame[z] = NULL;
        c->version[z] = 0;
        c->seq[z] = 0;
    }
}


/* Keeps a frame that is ready, and begins the fan-out to those who wait. */

static void
ngx_http_blockcast_notify_made(void *data, ngx_uint_t z,
    ngx_http_blockcast_frame_t *frame)
{
    ngx_http_blockcast_notify_class_t *c = data;

    c->making[z] = NULL;

    if (c->packed & z) {
        frame->data[0] |= BC_WS_RSV1;
    }

    ngx_http_blockcast_notify_retire(c->frame[z]);

    c->frame[z] = frame;
    c->version[z] = 0;
    c->seq[z] = 0;

    if (c->epoch[z] == c->hub->epoch) {
        c->version[z] = c->next_version[z];
        c->seq[z] = c->next_seq[z];
    }

    ngx_http_blockcast_fanout_again(c->hub);
}


/*
 * Makes the frame of a large snapshot in pieces.  Returns NGX_AGAIN until it is
 * ready; NGX_OK: make it at once.  What is newer by then is made next: those
 * who wait get the former one before, see notify_former(), or data that changes
 * fast would never come to them.
 */

static ngx_int_t
ngx_http_blockcast_notify_make(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_hub_t *hub, ngx_http_blockcast_notify_sub_t *rsub,
    ngx_http_blockcast_notify_class_t *c,
    ngx_http_blockcast_notify_bodies_t *b)
{
    size_t                             size;
    bc_span_t                          text, tail;
    ngx_str_t                          head;
    ngx_uint_t                         z, packed;
    ngx_http_blockcast_notify_body_t  *body;

    z = conn->deflate;

    if (c->making[z] != NULL) {
        return NGX_AGAIN;
    }

    body = &b->bodies[0];
    packed = ngx_http_blockcast_notify_suits(conn, body);
    text = packed ? body->z : body->text;

    if (hub->stream->field.len != 0 || hub->key != NULL || b->n != 1
        || text.len <= NGX_HTTP_BLOCKCAST_COPY_AT_ONCE)
    {
        return NGX_OK;
    }

    size = NGX_HTTP_BLOCKCAST_NOTIFY_STORED
           + ngx_http_blockcast_notify_head_len(rsub->rule, &rsub->id);

    head.data = ngx_alloc(size, ngx_cycle->log);
    if (head.data == NULL) {
        return NGX_OK;
    }

    head.len = ngx_http_blockcast_notify_head(head.data, rsub->rule, &rsub->id,
                                              packed)
               - head.data;

    tail.data = rsub->rule->tail.data;
    tail.len = packed ? 0 : rsub->rule->tail.len;

    c->making[z] = ngx_http_blockcast_deflation_wrap(
                                           packed ? b->z : hub->newest, &head,
                                           text, tail,
                                           ngx_http_blockcast_notify_made, c,
                                           z);
    ngx_free(head.data);

    if (c->making[z] == NULL) {
        return NGX_OK;
    }

    c->next_version[z] = hub->version;
    c->next_seq[z] = hub->snap.seq;
    c->epoch[z] = hub->epoch;
    c->hub = hub;

    if (z) {
        c->packed = packed;
    }

    return NGX_AGAIN;
}


ngx_uint_t
ngx_http_blockcast_notify_former(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_uint_t                          z;
    ngx_http_blockcast_notify_class_t  *c;

    z = conn->deflate;

    if (sub->class == 0 || (z && conn->bits != 15)) {
        return 0;
    }

    c = &ngx_http_blockcast_notify_classes[sub->class];

    return c->seq[z] > sub->seq && c->seq[z] < sub->hub->snap.seq
           && c->epoch[z] == sub->hub->epoch;
}


/*
 * Sets *shared to the frame of a subscription, without a reference for the
 * caller, shared with its class; NULL without entries or memory.  Returns
 * NGX_AGAIN while its bodies are being compressed.
 */

static ngx_int_t
ngx_http_blockcast_notify_shared(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub, ngx_http_blockcast_notify_sub_t *rsub,
    ngx_http_blockcast_frame_t **shared)
{
    ngx_uint_t                           z;
    ngx_http_blockcast_hub_t            *hub;
    ngx_http_blockcast_frame_t          *frame;
    ngx_http_blockcast_notify_class_t   *c;
    ngx_http_blockcast_notify_bodies_t  *b;

    hub = sub->hub;
    z = conn->deflate;
    c = NULL;

    if (sub->class != 0 && (!z || conn->bits == 15)) {
        c = &ngx_http_blockcast_notify_classes[sub->class];

        if (c->version[z] == hub->version && c->frame[z] != NULL) {
            *shared = c->frame[z];
            return NGX_OK;
        }
    }

    *shared = NULL;

    b = ngx_http_blockcast_notify_bodies(hub, rsub->rule);

    if (b == NULL || b->n == 0) {
        return NGX_OK;
    }

    if (z && ngx_http_blockcast_notify_deflate(b) == NGX_AGAIN) {
        return NGX_AGAIN;
    }

    if (c != NULL
        && ngx_http_blockcast_notify_make(conn, hub, rsub, c, b) == NGX_AGAIN)
    {
        return NGX_AGAIN;
    }

    frame = ngx_http_blockcast_notify_frame(conn, rsub, b);

    *shared = frame;

    if (c == NULL) {
        ngx_http_blockcast_notify_retire(frame);
        return NGX_OK;
    }

    ngx_http_blockcast_notify_retire(c->frame[z]);

    c->frame[z] = frame;
    c->version[z] = hub->version;
    c->seq[z] = 0;

    return NGX_OK;
}


static ngx_http_blockcast_notify_sub_t *
ngx_http_blockcast_notify_sub(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    ngx_http_blockcast_notify_session_t  *session;

    session = conn->session;

    return &session->subs[sub - conn->subs];
}


/*
 * The output for frames; dst is NULL in the first pass, which adds up the
 * size.
 */

typedef struct {
    ngx_http_blockcast_notify_sub_t  *rsub;
    u_char                       *dst;
    size_t                        size;
} ngx_http_blockcast_notify_out_t;


/* Adds a frame with a text, in which new replaces old if old.data is set. */

static void
ngx_http_blockcast_notify_add(ngx_http_blockcast_notify_out_t *out,
    bc_span_t text, bc_span_t old, const char *new)
{
    u_char                            *p;
    size_t                             len, before, after;
    ngx_http_blockcast_rpc_rule_t     *rule;
    ngx_http_blockcast_notify_sub_t   *rsub;

    rsub = out->rsub;
    rule = rsub->rule;

    before = (old.data != NULL) ? (size_t) (old.data - text.data) : text.len;
    after = (old.data != NULL) ? text.len - before - old.len : 0;

    len = ngx_http_blockcast_notify_head_len(rule, &rsub->id) + before
          + ngx_strlen(new) + after + rule->tail.len;

    if (out->dst == NULL) {
        out->size += BC_WS_HEADER_LEN + len;
        return;
    }

    p = out->dst;
    p += bc_ws_frame_header(p, BC_WS_TEXT, 1, 0, len);
    p = ngx_cpymem(p, rule->head.data, rule->head.len);
    p = ngx_cpymem(p, rsub->id.data, rsub->id.len);
    p = ngx_cpymem(p, rule->middle.data, rule->middle.len);
    p = ngx_cpymem(p, text.data, before);
    p = ngx_cpymem(p, new, ngx_strlen(new));

    if (after != 0) {
        p = ngx_cpymem(p, old.data + old.len, after);
    }

    out->dst = ngx_cpymem(p, rule->tail.data, rule->tail.len);
}


/*
 * Adds the logs of a block that has left the chain, marked as removed.  orphan
 * is the end of its hash, quoted, as in entry n; its logs come before that
 * entry.
 */

static void
ngx_http_blockcast_notify_orphan(ngx_http_blockcast_notify_out_t *out,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t n, bc_span_t orphan)
{
    ngx_uint_t                         i;
    bc_span_t                          text, hash, removed;
    ngx_http_blockcast_notify_sub_t   *rsub;

    rsub = out->rsub;

    /* skip the opening quote: both end with a quote */

    orphan.data++;
    orphan.len--;

    for (i = n; i > 0; i--) {

        if (!ngx_http_blockcast_notify_text(rsub->rule,
                                   ngx_http_blockcast_notify_entry(hub, i - 1),
                                   &text)
            || !bc_json_member(text, "blockHash", &hash)
            || !bc_json_member(text, "removed", &removed)
            || hash.len < orphan.len
            || ngx_memcmp(hash.data + hash.len - orphan.len, orphan.data,
                          orphan.len)
               != 0
            || removed.data[0] != 'f')
        {
            continue;
        }

        if (rsub->filter == NULL || bc_log_filter_matches(rsub->filter, text))
        {
            ngx_http_blockcast_notify_add(out, text, removed, "true");
        }
    }
}


/* Adds entries `from` to `to` - 1 that are wanted. */

static void
ngx_http_blockcast_notify_each(ngx_http_blockcast_notify_out_t *out,
    ngx_http_blockcast_hub_t *hub, ngx_uint_t from, ngx_uint_t to)
{
    bc_span_t                        entry, text, none;
    ngx_uint_t                       i;
    ngx_http_blockcast_notify_sub_t  *rsub;

    rsub = out->rsub;
    none.data = NULL;
    none.len = 0;

    for (i = from; i < to; i++) {
        entry = ngx_http_blockcast_notify_entry(hub, i);

        if (ngx_http_blockcast_notify_text(rsub->rule, entry, &text)) {

            if (rsub->filter == NULL
                || bc_log_filter_matches(rsub->filter, text))
            {
                ngx_http_blockcast_notify_add(out, text, none, "");
            }

        } else if (rsub->rule->logs
                   && bc_json_member(entry, "orphan", &text)
                   && text.data[0] == '"' && text.len > 2)
        {
            ngx_http_blockcast_notify_orphan(out, hub, i, text);
        }
    }
}


/*
 * Returns a frame with the notifications of entries `from` to `to` - 1 that
 * are wanted, or NULL when there are none or no memory.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_notify_entries(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_notify_sub_t *rsub, ngx_uint_t from, ngx_uint_t to)
{
    ngx_http_blockcast_frame_t       *frame;
    ngx_http_blockcast_notify_out_t   out;

    out.rsub = rsub;
    out.dst = NULL;
    out.size = 0;

    ngx_http_blockcast_notify_each(&out, hub, from, to);

    if (out.size == 0) {
        return NULL;
    }

    frame = ngx_http_blockcast_frame_alloc(out.size);
    if (frame == NULL) {
        return NULL;
    }

    out.dst = frame->data;

    ngx_http_blockcast_notify_each(&out, hub, from, to);

    frame->payload = 0;
    frame->len = out.dst - frame->data;
    frame->plain = frame->len;

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_notify_newest(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    uint64_t                          seq;
    ngx_uint_t                        from;
    ngx_http_blockcast_hub_t         *hub;
    ngx_http_blockcast_frame_t       *frame;
    ngx_http_blockcast_notify_sub_t  *rsub;
    ngx_http_blockcast_notify_class_t  *c;

    hub = sub->hub;

    if (!sub->slow) {

        /* with thousands of clients, nothing more may be read for each */

        c = &ngx_http_blockcast_notify_classes[sub->class];

        if (c->version[conn->deflate] == hub->version
            && (!conn->deflate || conn->bits == 15))
        {
            return c->frame[conn->deflate];
        }
    }

    seq = hub->snap.seq;
    rsub = ngx_http_blockcast_notify_sub(conn, sub);

    if (rsub->held) {

        /* they are sent after the answer */
        return NULL;
    }

    if (!rsub->rule->logs) {
        sub->slow = 1;

        if (ngx_http_blockcast_notify_shared(conn, sub, rsub, &frame)
            == NGX_AGAIN)
        {
            return NULL;
        }

        sub->slow = (sub->class == 0);

    } else {
        from = ngx_http_blockcast_notify_after(hub, seq - 1);
        frame = ngx_http_blockcast_notify_entries(hub, rsub, from, hub->count);

        ngx_http_blockcast_notify_retire(frame);
    }

    if (frame == NULL) {
        sub->seq = seq;
    }

    return frame;
}


#define ngx_http_blockcast_notify_caught_up(sub)                              \
    if ((sub)->filtered) {                                                    \
        ngx_http_blockcast_filtered_caught_up(sub);                           \
    }


ngx_http_blockcast_frame_t *
ngx_http_blockcast_notify_next(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_sub_t *sub)
{
    size_t                             size;
    uint64_t                           seq;
    ngx_uint_t                         from, to;
    ngx_http_blockcast_hub_t          *hub;
    ngx_http_blockcast_frame_t        *frame;
    ngx_http_blockcast_notify_sub_t   *rsub;
    ngx_http_blockcast_ring_record_t  *rec;
    ngx_http_blockcast_notify_class_t  *c;

    hub = sub->hub;
    rsub = ngx_http_blockcast_notify_sub(conn, sub);
    sub->last_status = hub->freshness;

    if (rsub->held) {
        return NULL;
    }

    if (hub->newest == NULL) {
        ngx_http_blockcast_notify_caught_up(sub);
        return NULL;
    }

    if (rsub->first && hub->stream->field.len == 0 && !rsub->rule->logs) {

        /* the newest snapshot is the first, and is shared with the others */

        rsub->first = 0;
    }

    if (rsub->first) {
        rsub->first = 0;
        sub->seq = hub->snap.seq;

        to = (hub->stream->field.len != 0) ? hub->count : 1;

        return (to != 0) ? ngx_http_blockcast_notify_entries(hub, rsub, to - 1,
                                                             to)
                         : NULL;
    }

    if (sub->seq >= hub->snap.seq) {
        ngx_http_blockcast_notify_caught_up(sub);
        return NULL;
    }

    if (hub->stream->field.len == 0
        || (!rsub->rule->logs && sub->seq + 1 == hub->snap.seq))
    {
        seq = hub->snap.seq;

        if (ngx_http_blockcast_notify_shared(conn, sub, rsub, &frame)
            == NGX_AGAIN)
        {
            if (!ngx_http_blockcast_notify_former(conn, sub)) {
                return NULL;
            }

            c = &ngx_http_blockcast_notify_classes[sub->class];
            frame = c->frame[conn->deflate];
            seq = c->seq[conn->deflate];
        }

        sub->seq = seq;

        if (frame != NULL) {
            frame->refs++;
        }

        return frame;
    }

    from = ngx_http_blockcast_notify_after(hub, sub->seq);

    while (from < hub->count) {
        size = 0;
        seq = hub->snap.seq;

        for (to = from; to < hub->count; to++) {
            rec = ngx_http_blockcast_hub_entry(hub, to);

            if (size > NGX_HTTP_BLOCKCAST_NOTIFY_PIECE
                && rec->seq != ngx_http_blockcast_hub_entry(hub, to - 1)->seq)
            {
                seq = ngx_http_blockcast_hub_entry(hub, to - 1)->seq;
                break;
            }

            size += rec->len;
        }

        sub->seq = seq;
        frame = ngx_http_blockcast_notify_entries(hub, rsub, from, to);

        if (frame != NULL) {
            return frame;
        }

        from = to;

        if (from < hub->count && ngx_http_blockcast_fanout_spent()) {

            /* nothing wanted so far: a filter, or no member of result= */

            if (sub->filtered) {
                ngx_http_blockcast_filtered_more(sub);

            } else {
                sub->more = 1;
            }

            return NULL;
        }
    }

    sub->seq = hub->snap.seq;
    ngx_http_blockcast_notify_caught_up(sub);

    return NULL;
}


void
ngx_http_blockcast_notify_done(void)
{
    ngx_uint_t                           i;
    ngx_queue_t                         *q;
    ngx_http_blockcast_notify_class_t   *c;
    ngx_http_blockcast_notify_bodies_t  *b;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_NOTIFY_KEPT; i++) {
        c = &ngx_http_blockcast_notify_classes[i];

        ngx_http_blockcast_deflation_cancel(c->making[0]);
        ngx_http_blockcast_deflation_cancel(c->making[1]);
        ngx_http_blockcast_frame_free(c->frame[0]);
        ngx_http_blockcast_frame_free(c->frame[1]);
        ngx_memzero(c, sizeof(ngx_http_blockcast_notify_class_t));
    }

    for (i = 0; i < NGX_HTTP_BLOCKCAST_NOTIFY_RETIRED; i++) {
        ngx_http_blockcast_notify_retire(NULL);
    }

    if (ngx_http_blockcast_notify_all.next == NULL) {
        return;
    }

    while (!ngx_queue_empty(&ngx_http_blockcast_notify_all)) {
        q = ngx_queue_head(&ngx_http_blockcast_notify_all);
        ngx_queue_remove(q);

        b = ngx_queue_data(q, ngx_http_blockcast_notify_bodies_t, queue);

        ngx_http_blockcast_notify_forget(b);

        if (b->bodies != NULL) {
            ngx_free(b->bodies);
        }

        ngx_free(b);
    }
}
