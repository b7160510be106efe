
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_utf8.h"
#include "bc_ws_message.h"

#include <stdlib.h>
#include <string.h>


static int  bc_ws_parser_head(bc_ws_parser_t *in, uint8_t c,
    bc_ws_event_t *ev);
static int  bc_ws_parser_len(bc_ws_parser_t *in, uint8_t c, bc_ws_event_t *ev);
static int  bc_ws_parser_ext(bc_ws_parser_t *in, uint8_t c, bc_ws_event_t *ev);
static int  bc_ws_parser_check_len(bc_ws_parser_t *in, bc_ws_event_t *ev);
static int  bc_ws_parser_control(bc_ws_parser_t *in, uint8_t **pos,
    uint8_t *last, bc_ws_event_t *ev);
static int  bc_ws_parser_close(bc_ws_parser_t *in, bc_ws_event_t *ev);
static void  bc_ws_parser_drop(bc_ws_parser_t *in);
static void  bc_ws_parser_release(bc_ws_parser_t *in);


void
bc_ws_parser_init(bc_ws_parser_t *in, const bc_ws_limits_t *limits,
    const bc_ws_deflate_params_t *pmd, int client_role)
{
    memset(in, 0, sizeof(bc_ws_parser_t));

    in->limits = limits;
    in->client = (client_role != 0);

    if (pmd != NULL) {
        in->deflate = 1;
        in->takeover = client_role ? !pmd->server_no_context_takeover
                                   : !pmd->client_no_context_takeover;
    }
}


void
bc_ws_parser_free(bc_ws_parser_t *in)
{
    bc_ws_parser_release(in);

    bc_ws_inflate_put(in->inflate);
    in->inflate = NULL;

    in->state = bc_ws_st_dead;
}


int
bc_ws_parser_pending(const bc_ws_parser_t *in)
{
    return in->state != bc_ws_st_dead
           && (in->state != bc_ws_st_head || (in->msg != NULL && !in->done));
}


int
bc_ws_parser_feed(bc_ws_parser_t *in, uint8_t **pos, uint8_t *last,
    bc_ws_event_t *ev)
{
    int  rc;

    /* free what the previous event pointed to */

    if (in->done) {
        bc_ws_parser_drop(in);
        in->done = 0;
    }

    if (in->control_done) {
        free(in->control);
        in->control = NULL;
        in->control_done = 0;
    }

    for ( ;; ) {

        if (*pos == last
            && (in->state != bc_ws_st_payload || in->left != 0))
        {
            return BC_WS_AGAIN;
        }

        switch (in->state) {

        case bc_ws_st_head:
            rc = bc_ws_parser_head(in, *(*pos)++, ev);
            break;

        case bc_ws_st_len:
            rc = bc_ws_parser_len(in, *(*pos)++, ev);
            break;

        case bc_ws_st_ext:
            rc = bc_ws_parser_ext(in, *(*pos)++, ev);
            break;

        case bc_ws_st_mask:
            in->mask[4 - in->need] = *(*pos)++;

            if (--in->need == 0) {
                in->state = bc_ws_st_payload;
            }

            continue;

        case bc_ws_st_payload:
            if (in->head & BC_WS_CONTROL) {
                rc = bc_ws_parser_control(in, pos, last, ev);

            } else {
                rc = bc_ws_message_data(in, pos, last, ev);
            }

            break;

        default: /* bc_ws_st_dead */
            *pos = last;
            return BC_WS_AGAIN;
        }

        if (rc == BC_WS_AGAIN) {
            continue;
        }

        if (rc == BC_WS_FAIL) {
            *pos = last;
        }

        return rc;
    }
}


static int
bc_ws_parser_head(bc_ws_parser_t *in, uint8_t c, bc_ws_event_t *ev)
{
    int  opcode;

    opcode = c & BC_WS_OPCODE;

    switch (opcode) {

    case BC_WS_CONT:
        if (in->msg == NULL) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a continuation frame, but no message is open");
        }

        break;

    case BC_WS_TEXT:
    case BC_WS_BINARY:
        if (in->msg != NULL) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a new message inside a fragmented one");
        }

        break;

    case BC_WS_CLOSE:
    case BC_WS_PING:
    case BC_WS_PONG:
        if (!(c & BC_WS_FIN)) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a fragmented control frame");
        }

        break;

    default:
        return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a reserved opcode");
    }

    if (c & BC_WS_RSV) {

        if ((c & BC_WS_RSV) != BC_WS_RSV1 || !in->deflate) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a reserved bit is set");
        }

        if (opcode != BC_WS_TEXT && opcode != BC_WS_BINARY) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "RSV1 is set, but not on the first frame of a "
                           "message");
        }
    }

    if (opcode == BC_WS_CONT) {

        if (in->limits->max_fragments != 0
            && in->msg->frames >= in->limits->max_fragments)
        {
            return bc_ws_parser_fail(in, ev, BC_WS_POLICY,
                           "the message has too many fragments");
        }

        in->msg->frames++;
    }

    in->head = c;
    in->state = bc_ws_st_len;

    return BC_WS_AGAIN;
}


static int
bc_ws_parser_len(bc_ws_parser_t *in, uint8_t c, bc_ws_event_t *ev)
{
    uint8_t  len;

    if (in->client) {
        if (c & BC_WS_MASK) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a frame from the server is masked");
        }

    } else if (!(c & BC_WS_MASK)) {
        return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a frame from the client is not masked");
    }

    len = c & 0x7f;

    if ((in->head & BC_WS_CONTROL) && len > BC_WS_MAX_CONTROL) {
        return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a control frame of more than 125 bytes");
    }

    if (len >= 126) {
        in->left = 0;
        in->need = (len == 126) ? 2 : 8;
        in->state = bc_ws_st_ext;

        return BC_WS_AGAIN;
    }

    in->left = len;

    return bc_ws_parser_check_len(in, ev);
}


static int
bc_ws_parser_ext(bc_ws_parser_t *in, uint8_t c, bc_ws_event_t *ev)
{
    if (in->need == 8) {

        if (c & 0x80) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "the length has its highest bit set");
        }

        in->wide = 1;
    }

    in->left = in->left << 8 | c;

    if (--in->need != 0) {
        return BC_WS_AGAIN;
    }

    if (in->left < (in->wide ? 65536 : 126)) {
        return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "the length is not in its shortest form");
    }

    in->wide = 0;

    return bc_ws_parser_check_len(in, ev);
}


/* Refuses a frame by its length, before memory is allocated for it. */

static int
bc_ws_parser_check_len(bc_ws_parser_t *in, bc_ws_event_t *ev)
{
    int       compressed;
    uint64_t  max, wire;

    if (in->head & BC_WS_CONTROL) {

        if ((in->head & BC_WS_OPCODE) == BC_WS_CLOSE && in->left == 1) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a Close frame with half a code");
        }

    } else {

        if (in->limits->max_frame != 0 && in->left > in->limits->max_frame) {
            return bc_ws_parser_fail(in, ev, BC_WS_TOO_BIG,
                           "the frame is too big");
        }

        max = in->limits->max_message;

        if (max > SIZE_MAX / 4) {
            max = SIZE_MAX / 4;
        }

        if (in->msg != NULL) {
            compressed = in->msg->compressed;
            wire = in->msg->wire;

        } else {
            compressed = (in->head & BC_WS_RSV1) != 0;
            wire = 0;
        }

        if (compressed) {

            /*
             * Compressed data is not stored, and the size of its result is
             * checked as it grows.  It may be somewhat larger than the
             * message; this limit only stops endless input.
             */

            max = max * 2 + 1024;
        }

        if (in->left > max - wire) {
            return bc_ws_parser_fail(in, ev, BC_WS_TOO_BIG,
                                     BC_WS_MESSAGE_TOO_BIG);
        }
    }

    if (in->client) {
        in->state = bc_ws_st_payload;

    } else {
        in->need = 4;
        in->state = bc_ws_st_mask;
    }

    return BC_WS_AGAIN;
}


static int
bc_ws_parser_control(bc_ws_parser_t *in, uint8_t **pos, uint8_t *last,
    bc_ws_event_t *ev)
{
    size_t  n;

    n = (size_t) (last - *pos);

    if (in->used == 0 && n >= in->left) {

        /* the whole payload is in the input */

        n = (size_t) in->left;

        bc_ws_frame_unmask(*pos, *pos, n, in->mask);

        ev->data = *pos;
        ev->len = n;

    } else {

        if (in->control == NULL) {
            in->control = malloc((size_t) in->left);

            if (in->control == NULL) {
                return bc_ws_parser_fail(in, ev, BC_WS_INTERNAL,
                                         BC_WS_NO_MEMORY);
            }
        }

        if (n > in->left) {
            n = (size_t) in->left;
        }

        bc_ws_frame_unmask(in->control + in->used, *pos, n, in->mask);
        in->used = (uint8_t) (in->used + n);

        if (n < in->left) {
            in->left -= n;
            *pos += n;

            return BC_WS_AGAIN;
        }

        ev->data = in->control;
        ev->len = in->used;

        in->control_done = 1;
        in->used = 0;
    }

    *pos += n;

    in->left = 0;
    in->state = bc_ws_st_head;

    ev->type = in->head & BC_WS_OPCODE;
    ev->code = 0;
    ev->reason = NULL;
    ev->compressed = 0;

    if (ev->data == NULL) {
        ev->data = (const uint8_t *) "";
    }

    return (ev->type == BC_WS_CLOSE) ? bc_ws_parser_close(in,
                                                          ev) : BC_WS_EVENT;
}


static int
bc_ws_parser_close(bc_ws_parser_t *in, bc_ws_event_t *ev)
{
    uint32_t  utf8;

    ev->code = BC_WS_NO_STATUS;

    if (ev->len != 0) {
        ev->code = (unsigned) ev->data[0] << 8 | ev->data[1];
        ev->data += 2;
        ev->len -= 2;

        if (!bc_ws_frame_code_valid(ev->code)) {
            return bc_ws_parser_fail(in, ev, BC_WS_PROTOCOL_ERROR,
                           "a Close frame with an invalid code");
        }

        utf8 = BC_UTF8_START;

        if (bc_utf8_feed(&utf8, ev->data, ev->len) != 0
            || !bc_utf8_done(utf8))
        {
            return bc_ws_parser_fail(in, ev, BC_WS_BAD_DATA,
                           "the reason of the Close frame is not valid "
                           "UTF-8");
        }
    }

    /* an open message will never be completed; ev->data is not in it */

    bc_ws_parser_drop(in);

    in->state = bc_ws_st_dead;

    return BC_WS_EVENT;
}


int
bc_ws_parser_fail(bc_ws_parser_t *in, bc_ws_event_t *ev, unsigned code,
    const char *reason)
{
    bc_ws_parser_release(in);

    in->state = bc_ws_st_dead;

    ev->type = 0;
    ev->data = (const uint8_t *) "";
    ev->len = 0;
    ev->code = code;
    ev->reason = reason;
    ev->compressed = 0;

    return BC_WS_FAIL;
}


/* Frees the message, whether it is open or was returned in an event. */

static void
bc_ws_parser_drop(bc_ws_parser_t *in)
{
    if (in->msg == NULL) {
        return;
    }

    bc_ws_inflate_put(in->msg->inflate);
    free(in->msg->buf);
    free(in->msg);
    in->msg = NULL;
}


static void
bc_ws_parser_release(bc_ws_parser_t *in)
{
    bc_ws_parser_drop(in);

    free(in->control);
    in->control = NULL;

    in->done = 0;
    in->control_done = 0;
}
