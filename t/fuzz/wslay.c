
/*
 * Copyright (C) the blockcast authors
 *
 * Feeds the same random frame sequences, valid and not, to our receiver and to
 * wslay's, an independent implementation, and compares what they say: every
 * message, ping, pong and Close in order, and the code with which the
 * connection fails. Usage: wslay [SEQUENCES [SEED]].
 */

#include "bc_ws_parser.h"
#include "fuzz.h"

#include <wslay/wslay.h>


#define MAX_MESSAGE  3000


typedef struct {
    uint8_t  p[1 << 20];
    size_t   len;
    size_t   ends[256];        /* of the frames */
    size_t   frames;
    int      cut;
} wire_t;


typedef struct {
    char    text[16384];
    size_t  len;
} said_t;


typedef struct {
    const wire_t  *wire;
    size_t         pos;
    size_t         frame;
    said_t        *said;
    int            closed;
} peer_t;


static uint32_t  seed;


static unsigned
rnd(unsigned n)
{
    return (fuzz_random(&seed) << 8 ^ fuzz_random(&seed)) % n;
}


static void
say(said_t *said, int type, unsigned code, const uint8_t *p, size_t len)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < len; i++) {
        h = (h ^ p[i]) * 16777619u;
    }

    if (said->len < sizeof(said->text) - 64) {
        said->len += (size_t) sprintf(said->text + said->len, "%d/%u/%zu/%08x ",
                                      type, code, len, h);
    }
}


static void
ours(const wire_t *wire, said_t *said)
{
    int             rc;
    size_t          i, n;
    uint8_t        *piece, *pos;
    bc_ws_parser_t      in;
    bc_ws_event_t   ev;

    static const bc_ws_limits_t  limits = { MAX_MESSAGE, 0, 0 };

    bc_ws_parser_init(&in, &limits, NULL, 0);

    for (i = 0; i < wire->len; i += n) {
        n = 1 + rnd(rnd(3) ? 2000 : 10);
        n = (n > wire->len - i) ? wire->len - i : n;

        piece = fuzz_copy(wire->p + i, n);
        pos = piece;

        while ((rc = bc_ws_parser_feed(&in, &pos, piece + n, &ev))
               != BC_WS_AGAIN)
        {
            if (rc == BC_WS_FAIL) {
                say(said, 100, ev.code, NULL, 0);

            } else {
                say(said, ev.type, ev.type == BC_WS_CLOSE ? ev.code : 0,
                    ev.data, ev.len);
            }
        }

        free(piece);
    }

    bc_ws_parser_free(&in);
}


static ssize_t
their_recv(wslay_event_context_ptr ctx, uint8_t *buf, size_t len, int flags,
    void *data)
{
    size_t   n;
    peer_t  *peer;

    (void) flags;

    peer = data;
    n = peer->wire->len - peer->pos;

    if (n == 0) {
        wslay_event_set_error(ctx, WSLAY_ERR_WOULDBLOCK);
        return -1;
    }

    /*
     * wslay takes the first two bytes of every piece of a Close frame for the
     * code (1.1.1, wslay_event_recv()): it gets frame by frame.
     */

    while (peer->wire->ends[peer->frame] <= peer->pos) {
        peer->frame++;
    }

    if (n > peer->wire->ends[peer->frame] - peer->pos) {
        n = peer->wire->ends[peer->frame] - peer->pos;
    }

    n = (n > len) ? len : n;
    memcpy(buf, peer->wire->p + peer->pos, n);
    peer->pos += n;

    return (ssize_t) n;
}


static ssize_t
their_send(wslay_event_context_ptr ctx, const uint8_t *p, size_t len,
    int flags, void *data)
{
    (void) ctx;
    (void) p;
    (void) flags;
    (void) data;

    return (ssize_t) len;
}


static void
their_message(wslay_event_context_ptr ctx,
    const struct wslay_event_on_msg_recv_arg *arg, void *data)
{
    peer_t  *peer;

    (void) ctx;

    peer = data;

    if (arg->opcode == WSLAY_CONNECTION_CLOSE) {
        peer->closed = 1;

        /* the code is in the message, too */

        if (arg->msg_length == 0) {
            say(peer->said, BC_WS_CLOSE, 1005, NULL, 0);

        } else {
            say(peer->said, BC_WS_CLOSE, arg->status_code, arg->msg + 2,
                arg->msg_length - 2);
        }

        return;
    }

    say(peer->said, arg->opcode, 0, arg->msg, arg->msg_length);
}


static void
theirs(const wire_t *wire, said_t *said)
{
    peer_t                        *peer;
    uint16_t                       code;
    wslay_event_context_ptr        ctx;
    struct wslay_event_callbacks   callbacks;

    memset(&callbacks, 0, sizeof(callbacks));
    callbacks.recv_callback = their_recv;
    callbacks.send_callback = their_send;
    callbacks.on_msg_recv_callback = their_message;

    peer = calloc(1, sizeof(peer_t));
    must(peer != NULL);
    peer->wire = wire;
    peer->said = said;

    must(wslay_event_context_server_init(&ctx, &callbacks, peer) == 0);
    wslay_event_config_set_max_recv_msg_length(ctx, MAX_MESSAGE);

    /* when it does not want to read any more, it has queued a Close */

    while (wslay_event_want_read(ctx) && peer->pos < wire->len) {
        if (wslay_event_recv(ctx) != 0) {
            break;
        }
    }

    while (wslay_event_want_write(ctx)) {
        if (wslay_event_send(ctx) != 0) {
            break;
        }
    }

    if (!peer->closed && wslay_event_get_close_sent(ctx)) {
        code = wslay_event_get_status_code_sent(ctx);

        /* for what its frame layer refuses wslay sends no code */
        say(said, 100, code == 1005 ? 1002 : code, NULL, 0);
    }

    wslay_event_context_free(ctx);
    free(peer);
}


static void
frame(wire_t *w, int first, const uint8_t *p, size_t len, int form,
    int masked)
{
    int      i, n;
    size_t   k;
    uint8_t  mask[4];

    n = (form == 0) ? (len < 126 ? 0 : len < 65536 ? 2 : 8) : form;

    w->p[w->len++] = (uint8_t) first;
    w->p[w->len++] = (uint8_t) ((masked ? 0x80 : 0)
                                | (n == 0 ? len : n == 2 ? 126 : 127));

    for (i = n - 1; i >= 0; i--) {
        w->p[w->len++] = (uint8_t) ((uint64_t) len >> (8 * i));
    }

    for (i = 0; i < 4; i++) {
        mask[i] = (uint8_t) rnd(256);

        if (masked) {
            w->p[w->len++] = mask[i];
        }
    }

    for (k = 0; k < len; k++) {
        w->p[w->len++] = masked ? p[k] ^ mask[k % 4] : p[k];
    }

    must(w->frames < sizeof(w->ends) / sizeof(w->ends[0]));
    w->ends[w->frames++] = w->len;
}


static size_t
text(uint8_t *p, size_t max)
{
    size_t  n, len;

    static const char  *parts[] = {
        "a", "0123456789", "\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x98\x80",
        "{\"height\":12345}", "\xed\x9f\xbf", "\xf4\x8f\xbf\xbf",
        "\xed\xa0\x80", "\xff", "\xe2\x82"
    };

    for (len = 0; len + 20 < max; len += n) {
        const char  *s = parts[rnd(300) ? rnd(8) : rnd(11)];

        n = strlen(s);
        memcpy(p + len, s, n);
    }

    return len;
}


/* one to twelve messages; where one is not valid, what follows is no matter */

static void
sequence(wire_t *w)
{
    int      i, n, opcode, code;
    size_t   len, at, piece;
    uint8_t  p[8192], c[125];

    static const int  sizes[] = { 0, 1, 5, 60, 125, 126, 127, 300, 2000, 3000,
                                  3001, 5000 };

    w->len = 0;
    w->frames = 0;
    w->cut = 0;

    for (n = 1 + (int) rnd(12); n != 0; n--) {

        len = (size_t) sizes[rnd(rnd(10) ? 10 : 12)];
        opcode = 1 + (int) rnd(2);

        if (opcode == 1) {
            len = text(p, len + 20);

        } else {
            for (at = 0; at < len; at++) {
                p[at] = (uint8_t) rnd(256);
            }
        }

        switch (rnd(40)) {

        case 0: /* a reserved bit, alone or with others */
            frame(w, 0x80 | (1 + (int) rnd(7)) << 4 | opcode, p, len, 0, 1);
            continue;

        case 1: /* any first byte */
            i = (int) rnd(256);
            frame(w, i, p, (i & 15) == 8 ? 0 : len % 126, 0, 1);
            continue;

        case 2: /* no mask */
            frame(w, 0x80 | opcode, p, len, 0, 0);
            continue;

        case 3: /* a length longer than needed */
            frame(w, 0x80 | opcode, p, len % 126, rnd(2) ? 2 : 8, 1);
            continue;

        case 4: /* a control frame that is too long */
            frame(w, 0x88 + (int) rnd(3), p, 126 + rnd(200), 0, 1);
            continue;

        case 5: /* a continuation of nothing */
            frame(w, rnd(2) ? 0x80 : 0x00, p, len, 0, 1);
            continue;

        case 6: /* a fragmented control frame */
            frame(w, 0x08 + (int) rnd(3), p, len % 126, 0, 1);
            continue;

        case 7: /* a message inside a message */
            frame(w, 0x01, p, 0, 0, 1);
            frame(w, 0x81, p, 0, 0, 1);
            continue;

        case 8: /* a Close, with any code and reason */
            code = rnd(2) ? 990 + (int) rnd(30) : (int) rnd(5100);

            /* wslay does not know the codes registered since */
            if (code >= 1012 && code <= 1014) {
                code = 1000;
            }

            c[0] = (uint8_t) (code >> 8);
            c[1] = (uint8_t) code;
            len = 2 + text(c + 2, 20 + rnd(100));

            /* what is wrong first, the code or the reason, is no matter */
            if (!bc_ws_frame_code_valid((unsigned) code)) {
                len = 2 + rnd(124);
                memset(c + 2, 'x', len - 2);
            }

            /* nor does it mind half a code */
            frame(w, 0x88, c, rnd(3) ? len : rnd(2) * 2, 0, 1);
            continue;

        case 9: /* the highest bit of the length */
            frame(w, 0x80 | opcode, p, 0, 8, 1);
            w->p[w->len - 12] = 0x80;
            continue;
        }

        /* a good one, in up to ten fragments, control frames in between */

        at = 0;

        for (i = (int) rnd(rnd(2) ? 1 : 10); i >= 0; i--) {
            piece = (i == 0) ? len - at : rnd((unsigned) (len - at) + 1);

            frame(w, (at == 0 && opcode ? opcode : 0) | (i == 0 ? 0x80 : 0),
                  p + at, piece, 0, 1);
            at += piece;
            opcode = 0;

            if (rnd(4) == 0) {
                frame(w, rnd(2) ? 0x89 : 0x8a, p, len % 126, 0, 1);
            }
        }
    }

    /* sometimes the connection ends anywhere */

    if (rnd(8) == 0) {
        w->len = rnd((unsigned) w->len + 1);
        w->cut = 1;
    }
}


int
main(int argc, char **argv)
{
    long     i, n, failed, codes[4];
    said_t  *a, *b;
    wire_t  *w;

    n = (argc > 1) ? strtol(argv[1], NULL, 10) : 20000;
    seed = (argc > 2) ? (uint32_t) strtoul(argv[2], NULL, 10) : 1;

    a = calloc(1, sizeof(said_t));
    b = calloc(1, sizeof(said_t));
    w = calloc(1, sizeof(wire_t));
    must(a != NULL && b != NULL && w != NULL);

    memset(codes, 0, sizeof(codes));
    failed = 0;

    for (i = 0; i < n; i++) {
        sequence(w);

        a->len = b->len = 0;
        a->text[0] = b->text[0] = '\0';

        ours(w, a);
        theirs(w, b);

        codes[0] += strstr(a->text, "100/1002/") != NULL;
        codes[1] += strstr(a->text, "100/1007/") != NULL;
        codes[2] += strstr(a->text, "100/1009/") != NULL;
        codes[3] += strstr(a->text, "100/") == NULL;

        /* where the wire was cut off, ours may have failed earlier already */

        if (w->cut && strncmp(a->text, b->text, b->len) == 0
            && strncmp(a->text + b->len, "100/", 4) == 0)
        {
            continue;
        }

        if (strcmp(a->text, b->text) != 0 && failed++ < 5) {
            printf("sequence %ld differs\n  ours   %s\n  theirs %s\n", i,
                   a->text, b->text);
        }
    }

    printf("%ld random sequences, %ld differ (%ld good, %ld end with 1002, "
           "%ld with 1007, %ld with 1009)\n", n, failed, codes[3], codes[0],
           codes[1], codes[2]);

    free(a);
    free(b);
    free(w);

    return failed != 0 || codes[0] == 0 || codes[1] == 0 || codes[2] == 0;
}
