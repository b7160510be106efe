
/*
 * Copyright (C) the blockcast authors
 *
 * Makes the frames of a client and writes down what the receiver says, as
 * text: "TEXT:hello PING: CLOSE:1000:bye FAIL:1002".  Long payloads appear
 * as their length and a checksum.
 */

#ifndef _WS_TEST_H_INCLUDED_
#define _WS_TEST_H_INCLUDED_


#include "bc_ws_parser.h"
#include "unit.h"


typedef struct {
    uint8_t  *p;
    size_t    len;
    size_t    size;
} wire_t;


static bc_ws_limits_t  ws_limits = { 32 * 1024 * 1024, 0, 0 };


static void
wire_add(wire_t *w, const void *p, size_t len)
{
    if (w->size - w->len < len) {
        w->size = (w->len + len) * 2;
        w->p = realloc(w->p, w->size);

        if (w->p == NULL) {
            abort();
        }
    }

    if (len != 0) {
        memcpy(w->p + w->len, p, len);
    }

    w->len += len;
}


static void
wire_reset(wire_t *w)
{
    free(w->p);
    memset(w, 0, sizeof(wire_t));
}


/* `first` is the whole first byte, e.g. 0x81 for an unfragmented text */

static void
wire_head(wire_t *w, int first, uint64_t len, int masked)
{
    int      i;
    uint8_t  h[10];

    h[0] = (uint8_t) first;

    if (len < 126) {
        h[1] = (uint8_t) len;
        i = 2;

    } else if (len < 65536) {
        h[1] = 126;
        h[2] = (uint8_t) (len >> 8);
        h[3] = (uint8_t) len;
        i = 4;

    } else {
        h[1] = 127;

        for (i = 2; i < 10; i++) {
            h[i] = (uint8_t) (len >> (72 - 8 * i));
        }
    }

    if (masked) {
        h[1] |= 0x80;
    }

    wire_add(w, h, (size_t) i);
}


static void
wire_frame(wire_t *w, int first, const void *p, size_t len)
{
    size_t   i, at;
    uint8_t  mask[4];

    for (i = 0; i < 4; i++) {
        mask[i] = (uint8_t) unit_random();
    }

    wire_head(w, first, len, 1);
    wire_add(w, mask, 4);

    at = w->len;
    wire_add(w, p, len);

    for (i = 0; i < len; i++) {
        w->p[at + i] ^= mask[i % 4];
    }
}


#define wire_text(w, first, s)  wire_frame(w, first, s, strlen(s))


static uint32_t
wire_sum(const uint8_t *p, size_t len)
{
    size_t    i;
    uint32_t  h;

    h = 2166136261u;

    for (i = 0; i < len; i++) {
        h = (h ^ p[i]) * 16777619u;
    }

    return h;
}


static void
wire_say(char *out, size_t size, const bc_ws_event_t *ev, int rc)
{
    char    data[160];
    size_t  i, n;

    if (ev->len > 40) {
        snprintf(data, sizeof(data), "%zu/%08x", ev->len,
                 wire_sum(ev->data, ev->len));

    } else {
        for (i = 0, n = 0; i < ev->len; i++) {

            if (ev->data[i] > ' ' && ev->data[i] < 0x7f) {
                data[n++] = (char) ev->data[i];

            } else {
                n += (size_t) sprintf(data + n, "\\%02x", ev->data[i]);
            }
        }

        data[n] = '\0';
    }

    n = strlen(out);

    if (n != 0 && n + 2 < size) {
        out[n++] = ' ';
    }

    out += n;
    size -= n;

    if (rc == BC_WS_FAIL) {
        snprintf(out, size, "FAIL:%u", ev->code);
        return;
    }

    switch (ev->type) {

    case BC_WS_TEXT:
    case BC_WS_BINARY:
        snprintf(out, size, "%s%s:%s", ev->compressed ? "Z" : "",
                 ev->type == BC_WS_TEXT ? "TEXT" : "BIN", data);
        break;

    case BC_WS_PING:
    case BC_WS_PONG:
        snprintf(out, size, "%s:%s",
                 ev->type == BC_WS_PING ? "PING" : "PONG", data);
        break;

    case BC_WS_CLOSE:
        snprintf(out, size, "CLOSE:%u:%s", ev->code, data);
        break;

    default:
        snprintf(out, size, "?%d", ev->type);
    }
}


/*
 * Feeds the wire in pieces: the first of `first` bytes, the others of `chop`.
 * Each piece is in memory of its own that is freed when it is consumed.
 * Returns the transcript in static memory, *at is the number of bytes fed
 * when the receiver failed (or all).
 */

__attribute__((unused))
static const char *
wire_run(const wire_t *w, const bc_ws_deflate_params_t *pmd, int client,
    size_t first, size_t chop, size_t *at)
{
    int             rc;
    size_t          i, n;
    uint8_t        *piece, *pos, *last;
    bc_ws_parser_t      in;
    bc_ws_event_t   ev;
    static char     out[8192];

    out[0] = '\0';
    bc_ws_parser_init(&in, &ws_limits, pmd, client);

    if (at != NULL) {
        *at = w->len;
    }

    for (i = 0; i < w->len; i += n) {

        n = (i == 0 && first != 0) ? first : chop;

        if (n > w->len - i) {
            n = w->len - i;
        }

        piece = unit_copy(w->p + i, n);
        pos = piece;
        last = piece + n;

        for ( ;; ) {
            memset(&ev, 0xaa, sizeof(ev));

            rc = bc_ws_parser_feed(&in, &pos, last, &ev);

            if (rc == BC_WS_AGAIN) {
                break;
            }

            wire_say(out, sizeof(out), &ev, rc);

            if (rc == BC_WS_FAIL && at != NULL) {
                *at = i + n;
            }
        }

        free(piece);

        if (pos != last) {
            strcat(out, " NOT-CONSUMED");
        }
    }

    bc_ws_parser_free(&in);

    return out;
}


/*
 * Whatever the pieces, the same must come out: all at once, byte by byte,
 * some other sizes, and (short ones) cut in two at every place.
 */

__attribute__((unused))
static void
wire_check_pmd(wire_t *w, const bc_ws_deflate_params_t *pmd,
    const char *expected, const char *what)
{
    size_t       i;
    const char  *got;

    static const size_t  chops[] = { SIZE_MAX, 1, 2, 3, 7, 1300, 65536 };

    for (i = 0; i < sizeof(chops) / sizeof(chops[0]); i++) {

        if (chops[i] < 100 && w->len > 300000) {
            continue;
        }

        got = wire_run(w, pmd, 0, 0, chops[i], NULL);

        if (strcmp(got, expected) != 0) {
            ok(0, "%s", what);
            printf("#   in pieces of %zu\n#   got      %s\n#   expected %s\n",
                   chops[i], got, expected);
            goto done;
        }
    }

    if (w->len <= 700) {
        for (i = 1; i < w->len; i++) {
            got = wire_run(w, pmd, 0, i, SIZE_MAX, NULL);

            if (strcmp(got, expected) != 0) {
                ok(0, "%s", what);
                printf("#   cut at %zu\n#   got      %s\n#   expected %s\n",
                       i, got, expected);
                goto done;
            }
        }
    }

    ok(1, "%s", what);

done:

    wire_reset(w);
}


#define wire_check(w, expected, what)                                         \
    wire_check_pmd(w, NULL, expected, what)


#endif /* _WS_TEST_H_INCLUDED_ */
