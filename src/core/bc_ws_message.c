
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_utf8.h"
#include "bc_ws_message.h"

#include <stdlib.h>
#include <string.h>


/* the first allocation for a message that arrives in pieces (bytes) */

#define BC_WS_MIN_BUFFER  512


static int  bc_ws_message_whole(bc_ws_parser_t *in, uint8_t *p,
    bc_ws_event_t *ev);
static int  bc_ws_message_open(bc_ws_parser_t *in, bc_ws_event_t *ev);
static int  bc_ws_message_append(bc_ws_parser_t *in, const uint8_t *p,
    size_t len, bc_ws_event_t *ev);
static int  bc_ws_message_inflate(bc_ws_parser_t *in, const uint8_t *p,
    const uint8_t *last, int end, bc_ws_event_t *ev);
static int  bc_ws_message_end(bc_ws_parser_t *in, bc_ws_event_t *ev);
static int  bc_ws_message_grow(bc_ws_parser_t *in, size_t len, uint64_t cap,
    bc_ws_event_t *ev);


static const char  bc_ws_bad_utf8[] = "the text is not valid UTF-8";


int
bc_ws_message_data(bc_ws_parser_t *in, uint8_t **pos, uint8_t *last,
    bc_ws_event_t *ev)
{
    int       rc;
    size_t    n;
    uint8_t  *p;

    p = *pos;
    n = (size_t) (last - p);

    if (n >= in->left) {
        n = (size_t) in->left;
    }

    *pos += n;

    if (in->msg == NULL) {

        if (n == in->left
            && (in->head & (BC_WS_FIN | BC_WS_RSV1)) == BC_WS_FIN)
        {
            return bc_ws_message_whole(in, p, ev);
        }

        if (bc_ws_message_open(in, ev) != BC_WS_AGAIN) {
            return BC_WS_FAIL;
        }
    }

    if (n != 0) {

        if (in->msg->compressed) {
            bc_ws_frame_unmask(p, p, n, in->mask);
            rc = bc_ws_message_inflate(in, p, p + n, 0, ev);

        } else {
            rc = bc_ws_message_append(in, p, n, ev);
        }

        if (rc != BC_WS_AGAIN) {
            return rc;
        }

        in->msg->wire += n;
        in->left -= n;
    }

    if (in->left != 0) {
        return BC_WS_AGAIN;
    }

    in->state = bc_ws_st_head;

    if (!(in->head & BC_WS_FIN)) {
        return BC_WS_AGAIN;
    }

    return bc_ws_message_end(in, ev);
}


/* Returns a message of one frame that is completely in the input, in place. */

static int
bc_ws_message_whole(bc_ws_parser_t *in, uint8_t *p, bc_ws_event_t *ev)
{
    size_t    n;
    uint32_t  utf8;

    n = (size_t) in->left;

    if (n != 0) {
        bc_ws_frame_unmask(p, p, n, in->mask);
    }

    ev->type = in->head & BC_WS_OPCODE;
    ev->data = (n != 0) ? p : (const uint8_t *) "";
    ev->len = n;
    ev->code = 0;
    ev->reason = NULL;
    ev->compressed = 0;

    if (ev->type == BC_WS_TEXT) {
        utf8 = BC_UTF8_START;

        if (bc_utf8_feed(&utf8, ev->data, n) != 0 || !bc_utf8_done(utf8)) {
            return bc_ws_parser_fail(in, ev, BC_WS_BAD_DATA, bc_ws_bad_utf8);
        }
    }

    in->left = 0;
    in->state = bc_ws_st_head;

    return BC_WS_EVENT;
}


static int
bc_ws_message_open(bc_ws_parser_t *in, bc_ws_event_t *ev)
{
    bc_ws_message_t  *msg;

    msg = calloc(1, sizeof(bc_ws_message_t));

    if (msg == NULL) {
        return bc_ws_parser_fail(in, ev, BC_WS_INTERNAL, BC_WS_NO_MEMORY);
    }

    in->msg = msg;

    msg->opcode = in->head & BC_WS_OPCODE;
    msg->compressed = (in->head & BC_WS_RSV1) != 0;
    msg->utf8 = BC_UTF8_START;
    msg->frames = 1;

    if (msg->compressed) {
        msg->inflate = in->inflate;
        in->inflate = NULL;

        if (msg->inflate == NULL) {
            msg->inflate = bc_ws_inflate_get();

            if (msg->inflate == NULL) {
                return bc_ws_parser_fail(in, ev, BC_WS_INTERNAL,
                                         BC_WS_NO_MEMORY);
            }
        }
    }

    return BC_WS_AGAIN;
}


static int
bc_ws_message_append(bc_ws_parser_t *in, const uint8_t *p, size_t len,
    bc_ws_event_t *ev)
{
    uint64_t      cap;
    bc_ws_message_t  *msg;

    msg = in->msg;

    /* the last frame tells the size of the message */

    cap = (in->head & BC_WS_FIN) ? msg->len + in->left
                                 : in->limits->max_message;

    if (msg->size - msg->len < len
        && bc_ws_message_grow(in, len, cap, ev) != BC_WS_AGAIN)
    {
        return BC_WS_FAIL;
    }

    bc_ws_frame_unmask(msg->buf + msg->len, p, len, in->mask);

    if (msg->opcode == BC_WS_TEXT
        && bc_utf8_feed(&msg->utf8, msg->buf + msg->len, len) != 0)
    {
        return bc_ws_parser_fail(in, ev, BC_WS_BAD_DATA, bc_ws_bad_utf8);
    }

    msg->len += len;

    return BC_WS_AGAIN;
}


/*
 * Decompresses received bytes and appends them to the message; with `end` set,
 * finishes the message.
 */

static int
bc_ws_message_inflate(bc_ws_parser_t *in, const uint8_t *p,
    const uint8_t *last, int end, bc_ws_event_t *ev)
{
    int           rc;
    size_t        n;
    uint8_t       scratch, *dst, *dst_end, *start;
    bc_ws_message_t  *msg;

    msg = in->msg;

    do {

        if (msg->len < msg->size) {
            start = msg->buf + msg->len;
            dst_end = msg->buf + msg->size;

        } else {
            /*
             * the message may be complete: one more byte would show it is not
             */

            start = &scratch;
            dst_end = start + 1;
        }

        dst = start;

        rc = end ? bc_ws_inflate_end(msg->inflate, &dst, dst_end)
                 : bc_ws_inflate(msg->inflate, &p, last, &dst, dst_end);

        if (rc == BC_WS_INFLATE_BAD) {
            return bc_ws_parser_fail(in, ev, BC_WS_BAD_DATA,
                           "the message is not valid deflate data");
        }

        if (rc == BC_WS_INFLATE_NOMEM) {
            return bc_ws_parser_fail(in, ev, BC_WS_INTERNAL, BC_WS_NO_MEMORY);
        }

        n = (size_t) (dst - start);

        if (n == 0) {
            continue;
        }

        if (start == &scratch) {

            if (msg->len >= in->limits->max_message) {
                return bc_ws_parser_fail(in, ev, BC_WS_TOO_BIG,
                               BC_WS_MESSAGE_TOO_BIG);
            }

            /* text is usually compressed to a quarter */

            n = 4 * (size_t) (last - p) + 1;

            if (bc_ws_message_grow(in, n, in->limits->max_message, ev)
                != BC_WS_AGAIN)
            {
                return BC_WS_FAIL;
            }

            msg->buf[msg->len] = scratch;
            n = 1;
        }

        if (msg->opcode == BC_WS_TEXT
            && bc_utf8_feed(&msg->utf8, msg->buf + msg->len, n) != 0)
        {
            return bc_ws_parser_fail(in, ev, BC_WS_BAD_DATA, bc_ws_bad_utf8);
        }

        msg->len += n;

    } while (rc == BC_WS_INFLATE_FULL);

    return BC_WS_AGAIN;
}


static int
bc_ws_message_end(bc_ws_parser_t *in, bc_ws_event_t *ev)
{
    bc_ws_message_t  *msg;

    static const uint8_t  none;

    msg = in->msg;

    if (msg->compressed) {

        if (bc_ws_message_inflate(in, &none, &none, 1, ev) != BC_WS_AGAIN) {
            return BC_WS_FAIL;
        }

        if (in->takeover) {
            in->inflate = msg->inflate;

        } else {
            bc_ws_inflate_put(msg->inflate);
        }

        msg->inflate = NULL;
    }

    if (msg->opcode == BC_WS_TEXT && !bc_utf8_done(msg->utf8)) {
        return bc_ws_parser_fail(in, ev, BC_WS_BAD_DATA, bc_ws_bad_utf8);
    }

    ev->type = msg->opcode;
    ev->data = (msg->len != 0) ? msg->buf : (const uint8_t *) "";
    ev->len = msg->len;
    ev->code = 0;
    ev->reason = NULL;
    ev->compressed = msg->compressed;

    in->done = 1;

    return BC_WS_EVENT;
}


/* Makes room for `len` more bytes; the buffer grows to at most `cap` bytes. */

static int
bc_ws_message_grow(bc_ws_parser_t *in, size_t len, uint64_t cap,
    bc_ws_event_t *ev)
{
    size_t        size;
    uint8_t      *buf;
    bc_ws_message_t  *msg;

    msg = in->msg;

    size = msg->size * 2;

    if (size < msg->len + len) {
        size = msg->len + len;
    }

    if (size < BC_WS_MIN_BUFFER) {
        size = BC_WS_MIN_BUFFER;
    }

    if (size > cap) {
        size = (size_t) cap;
    }

    buf = realloc(msg->buf, size);

    if (buf == NULL) {
        return bc_ws_parser_fail(in, ev, BC_WS_INTERNAL, BC_WS_NO_MEMORY);
    }

    msg->buf = buf;
    msg->size = size;

    return BC_WS_AGAIN;
}
