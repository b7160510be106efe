
/*
 * Copyright (C) the blockcast authors
 *
 * A server that says anything: its answer to the handshake in pieces of any
 * size, then frames in the client's role, whose messages are read as a node's.
 *
 * Input: a byte that chooses the size of the pieces, then what the server
 * sends.  A handshake that begins with 'G' is replaced by a good one.
 */

#include "bc_head_msg.h"
#include "bc_ws_client.h"
#include "bc_ws_parser.h"
#include "fuzz.h"


#define ACCEPT  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="

static const char  good[] =
    "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
    "Connection: Upgrade\r\nSec-WebSocket-Accept: " ACCEPT "\r\n\r\n";


static void
check_message(const uint8_t *p, size_t len)
{
    int             rc;
    char            text[32];
    size_t          i;
    bc_span_t       spans[4];
    bc_head_msg_t   m;

    rc = bc_head_msg_read(p, len, &m);

    spans[0] = m.id;
    spans[1] = m.subscription;
    spans[2] = m.result;
    spans[3] = m.error;

    for (i = 0; i < 4; i++) {

        if (spans[i].data == NULL) {
            continue;
        }

        must(rc == 0);
        must(spans[i].len != 0);
        must(spans[i].data >= p && spans[i].data + spans[i].len <= p + len);
        must(bc_head_msg_same(spans[i], spans[i]));
    }

    must(rc == 0 || m.kind == BC_HEAD_MSG_OTHER);
    must(m.error.data == NULL || m.kind == BC_HEAD_MSG_REPLY);

    if (m.error.data != NULL) {
        bc_head_msg_error(m.error, text, sizeof(text));
        must(memchr(text, '\0', sizeof(text)) != NULL);
        must(strpbrk(text, "\r\n\x1b") == NULL);
    }
}


static void
check_frames(const uint8_t *p, size_t len, size_t piece)
{
    int              rc;
    size_t           n;
    uint8_t         *buf, *pos;
    bc_ws_event_t    ev;
    bc_ws_limits_t   limits;
    bc_ws_parser_t   in;

    memset(&limits, 0, sizeof(limits));
    limits.max_message = 2048;
    limits.max_fragments = 16;

    bc_ws_parser_init(&in, &limits, NULL, 1);

    while (len != 0) {
        n = (piece < len) ? piece : len;
        buf = fuzz_copy(p, n);
        pos = buf;

        do {
            rc = bc_ws_parser_feed(&in, &pos, buf + n, &ev);

            if (rc == BC_WS_EVENT) {
                must(ev.len <= limits.max_message);

                if (ev.type == BC_WS_TEXT) {
                    check_message(ev.data, ev.len);
                }
            }

            if (rc == BC_WS_FAIL) {
                must(bc_ws_frame_code_valid(ev.code));
                must(ev.reason != NULL);
            }

        } while (rc != BC_WS_AGAIN);

        must(pos == buf + n);

        free(buf);
        p += n;
        len -= n;
    }

    bc_ws_parser_free(&in);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                     rc, whole;
    size_t                  i, piece, len;
    fuzz_t                  f;
    uint8_t                *copy;
    bc_ws_client_answer_t   a, b;

    f.p = data;
    f.len = size;

    piece = fuzz_byte(&f) + 1;

    if (f.len != 0 && f.p[0] == 'G') {
        rc = bc_ws_client_answer((const uint8_t *) good, strlen(good), ACCEPT,
                                 &a);
        must(rc == BC_WS_CLIENT_OPEN && a.len == strlen(good));

        check_frames(f.p + 1, f.len - 1, piece);
        return 0;
    }

    copy = fuzz_copy(f.p, f.len);
    whole = bc_ws_client_answer(copy, f.len, ACCEPT, &a);
    free(copy);

    /* as it comes: it is decided once, and the same way */

    rc = BC_WS_CLIENT_AGAIN;

    for (i = 0; i < f.len && rc == BC_WS_CLIENT_AGAIN; /* void */ ) {
        i += piece;
        len = (i < f.len) ? i : f.len;

        copy = fuzz_copy(f.p, len);
        rc = bc_ws_client_answer(copy, len, ACCEPT, &b);
        free(copy);
    }

    must(rc == whole);

    if (whole == BC_WS_CLIENT_FAIL) {
        must(a.reason[0] != '\0' && strlen(a.reason) < sizeof(a.reason));
    }

    if (whole == BC_WS_CLIENT_OPEN) {
        must(a.status == 101 && a.len <= f.len && a.len <= BC_WS_CLIENT_HEAD);
        must(a.len == b.len);

        check_frames(f.p + a.len, f.len - a.len, piece);
    }

    return 0;
}
