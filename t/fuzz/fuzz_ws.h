
/*
 * Copyright (C) the blockcast authors
 *
 * Runs the receiver over a wire and sums up what it said.
 */

#ifndef _FUZZ_WS_H_INCLUDED_
#define _FUZZ_WS_H_INCLUDED_


#include "bc_utf8.h"
#include "bc_ws_parser.h"
#include "fuzz.h"


typedef struct {
    uint64_t  hash;            /* of all events */
    unsigned  events;
    unsigned  failed;          /* the code, 0: not */
} ws_said_t;


static void
ws_hash(ws_said_t *said, const void *p, size_t len)
{
    size_t          i;
    const uint8_t  *b;

    b = p;

    for (i = 0; i < len; i++) {
        said->hash = (said->hash ^ b[i]) * 1099511628211u;
    }
}


static void
ws_event(ws_said_t *said, int rc, const bc_ws_event_t *ev,
    const bc_ws_limits_t *limits)
{
    int       type;
    uint32_t  utf8;

    must(ev->data != NULL);

    utf8 = BC_UTF8_START;

    if (rc == BC_WS_FAIL) {
        must(ev->code == 1002 || ev->code == 1007 || ev->code == 1008
             || ev->code == 1009);
        must(ev->reason != NULL && strlen(ev->reason) <= 123);

        said->failed = ev->code;
        type = 100;

    } else {
        must(ev->reason == NULL);
        type = ev->type;
        said->events++;

        switch (type) {

        case BC_WS_TEXT:
            must(bc_utf8_feed(&utf8, ev->data, ev->len) == 0
                 && bc_utf8_done(utf8));
            /* fall through */

        case BC_WS_BINARY:
            must(ev->len <= limits->max_message);
            break;

        case BC_WS_CLOSE:
            must(ev->code == 1005 ? ev->len == 0
                                  : bc_ws_frame_code_valid(ev->code));
            must(bc_utf8_feed(&utf8, ev->data, ev->len) == 0
                 && bc_utf8_done(utf8));
            must(ev->len <= 123);
            break;

        default:
            must(type == BC_WS_PING || type == BC_WS_PONG);
            must(ev->len <= 125);
        }
    }

    ws_hash(said, &type, sizeof(type));
    ws_hash(said, &ev->code, sizeof(ev->code));
    ws_hash(said, ev->data, ev->len);
    ws_hash(said, &ev->len, sizeof(ev->len));
}


/* seed 0: all in one piece, else pieces of random sizes */

static ws_said_t
ws_run(const uint8_t *wire, size_t len, const bc_ws_limits_t *limits,
    const bc_ws_deflate_params_t *pmd, int client, uint32_t seed)
{
    int             rc;
    size_t          n;
    uint8_t        *piece, *pos, *last;
    ws_said_t       said;
    bc_ws_parser_t      in;
    bc_ws_event_t   ev;

    said.hash = 14695981039346656037u;
    said.events = 0;
    said.failed = 0;

    bc_ws_parser_init(&in, limits, pmd, client);

    while (len != 0) {
        n = len;

        if (seed != 0) {
            n = 1 + fuzz_random(&seed) % (fuzz_random(&seed) % 4 ? 8 : 700);
            n = (n > len) ? len : n;
        }

        piece = fuzz_copy(wire, n);
        pos = piece;
        last = piece + n;

        while ((rc = bc_ws_parser_feed(&in, &pos, last, &ev)) != BC_WS_AGAIN) {
            must(said.failed == 0);
            ws_event(&said, rc, &ev, limits);
        }

        must(pos == last);
        free(piece);

        wire += n;
        len -= n;
    }

    bc_ws_parser_free(&in);

    return said;
}


/* the same must come out, whatever the pieces */

static ws_said_t
ws_check(const uint8_t *wire, size_t len, const bc_ws_limits_t *limits,
    const bc_ws_deflate_params_t *pmd, int client, uint32_t seed)
{
    ws_said_t  whole, pieces;

    whole = ws_run(wire, len, limits, pmd, client, 0);
    pieces = ws_run(wire, len, limits, pmd, client, seed | 1);

    must(whole.hash == pieces.hash && whole.events == pieces.events
         && whole.failed == pieces.failed);

    return whole;
}


/* a frame around a payload, masked with a constant */

static size_t
ws_frame(uint8_t *dst, int first, const uint8_t *p, size_t len, int masked)
{
    size_t   i, n;
    uint8_t  mask[4] = { 0x5a, 0x00, 0xff, 0x31 };

    n = bc_ws_frame_header(dst, first & 0x0f, 0, 0, len);
    dst[0] = (uint8_t) first;

    if (!masked) {
        memcpy(dst + n, p, len);
        return n + len;
    }

    dst[1] |= 0x80;
    memcpy(dst + n, mask, 4);
    n += 4;

    for (i = 0; i < len; i++) {
        dst[n + i] = p[i] ^ mask[i % 4];
    }

    return n + len;
}


#endif /* _FUZZ_WS_H_INCLUDED_ */
