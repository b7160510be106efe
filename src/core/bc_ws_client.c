
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_http.h"
#include "bc_ws_client.h"

#include <stdio.h>
#include <string.h>


/* the required headers found so far */

typedef struct {
    int  upgrade;
    int  connection;
    int  accept;
} bc_ws_client_seen_t;


static int  bc_ws_client_status(bc_span_t line,
    bc_ws_client_answer_t *answer);
static int  bc_ws_client_header(bc_span_t line, const char *accept,
    bc_ws_client_seen_t *seen, bc_ws_client_answer_t *answer);
static int  bc_ws_client_is(bc_span_t name, const char *what);
static size_t  bc_ws_client_end(const uint8_t *p, size_t len);
static int  bc_ws_client_fail(bc_ws_client_answer_t *answer,
    const char *reason);


int
bc_ws_client_answer(const uint8_t *p, size_t len, const char *accept,
    bc_ws_client_answer_t *answer)
{
    size_t                end, i;
    bc_span_t             line;
    bc_ws_client_seen_t   seen;

    static const char  version[] = "HTTP/1.1 ";

    answer->status = 0;
    answer->len = 0;
    answer->reason[0] = '\0';

    /* do not wait for more if it is another protocol */

    for (i = 0; i < len && i < sizeof(version) - 1; i++) {
        if (p[i] != (uint8_t) version[i]) {
            return bc_ws_client_fail(answer, "the answer is not HTTP/1.1");
        }
    }

    end = bc_ws_client_end(p, len < BC_WS_CLIENT_HEAD ? len
                                                      : BC_WS_CLIENT_HEAD);

    if (end == 0) {
        if (len >= BC_WS_CLIENT_HEAD) {
            return bc_ws_client_fail(answer,
                                     "the head of the answer does not end");
        }

        return BC_WS_CLIENT_AGAIN;
    }

    memset(&seen, 0, sizeof(seen));

    answer->len = end;
    line.data = p;

    for (i = 0; i < end; i++) {

        if (p[i] != '\n') {
            continue;
        }

        /* bc_ws_client_end() has checked that a CR precedes each LF */

        line.len = (size_t) (p + i - 1 - line.data);

        if (line.data == p) {
            if (bc_ws_client_status(line, answer) != 0) {
                return BC_WS_CLIENT_FAIL;
            }

        } else if (line.len != 0
                   && bc_ws_client_header(line, accept, &seen, answer) != 0)
        {
            return BC_WS_CLIENT_FAIL;
        }

        line.data = p + i + 1;
    }

    if (!seen.upgrade) {
        return bc_ws_client_fail(answer, "\"Upgrade: websocket\" is missing");
    }

    if (!seen.connection) {
        return bc_ws_client_fail(answer, "\"Connection: Upgrade\" is missing");
    }

    if (!seen.accept) {
        return bc_ws_client_fail(answer, "Sec-WebSocket-Accept is missing");
    }

    return BC_WS_CLIENT_OPEN;
}


/*
 * Returns the length of the head, including the empty line at its end, or 0
 * when it is incomplete.  Lines must end with CR LF; with a lone LF the head
 * is never complete.
 */

static size_t
bc_ws_client_end(const uint8_t *p, size_t len)
{
    size_t  i, line;

    line = 0;

    for (i = 1; i < len; i++) {

        if (p[i] != '\n' || p[i - 1] != '\r') {

            if (p[i] == '\n') {
                return 0;
            }

            continue;
        }

        if (i - line == 1) {
            return i + 1;
        }

        line = i + 1;
    }

    return 0;
}


static int
bc_ws_client_status(bc_span_t line, bc_ws_client_answer_t *answer)
{
    const char     *more;
    const uint8_t  *p;

    p = line.data + sizeof("HTTP/1.1 ") - 1;

    if (line.len < sizeof("HTTP/1.1 101") - 1
        || p[0] < '1' || p[0] > '9' || p[1] < '0' || p[1] > '9'
        || p[2] < '0' || p[2] > '9'
        || (line.len > sizeof("HTTP/1.1 101") - 1 && p[3] != ' '))
    {
        return bc_ws_client_fail(answer, "the status line is malformed");
    }

    answer->status = (p[0] - '0') * 100 + (p[1] - '0') * 10 + (p[2] - '0');

    if (answer->status == 101) {
        return 0;
    }

    switch (answer->status) {

    case 301:
    case 302:
    case 303:
    case 307:
    case 308:
        more = ", redirects are not followed";
        break;

    case 401:
    case 403:
        more = ", the credentials are missing or wrong";
        break;

    default:
        more = "";
    }

    snprintf(answer->reason, sizeof(answer->reason),
             "HTTP %d instead of 101%s", answer->status, more);

    return -1;
}


static int
bc_ws_client_header(bc_span_t line, const char *accept,
    bc_ws_client_seen_t *seen, bc_ws_client_answer_t *answer)
{
    size_t          i;
    bc_span_t       name, value, item;
    const uint8_t  *p, *last;

    p = line.data;
    last = line.data + line.len;

    if (!bc_http_token(&p, last, &name) || p == last || *p != ':') {
        return bc_ws_client_fail(answer, "a header line is malformed");
    }

    for (p++; p < last && (*p == ' ' || *p == '\t'); p++) { /* void */ }

    while (last > p && (last[-1] == ' ' || last[-1] == '\t')) {
        last--;
    }

    value.data = p;
    value.len = (size_t) (last - p);

    for (i = 0; i < value.len; i++) {
        if ((value.data[i] < ' ' && value.data[i] != '\t')
            || value.data[i] == 0x7f)
        {
            return bc_ws_client_fail(answer,
                                     "a header has a control character");
        }
    }

    if (bc_ws_client_is(name, "upgrade")) {

        if (seen->upgrade || !bc_ws_client_is(value, "websocket")) {
            return bc_ws_client_fail(answer, "Upgrade is not \"websocket\"");
        }

        seen->upgrade = 1;

    } else if (bc_ws_client_is(name, "connection")) {

        if (bc_http_has_token(value.data, value.len, "upgrade")) {
            seen->connection = 1;
        }

    } else if (bc_ws_client_is(name, "sec-websocket-accept")) {

        if (seen->accept || value.len != BC_WS_CLIENT_ACCEPT
            || memcmp(value.data, accept, BC_WS_CLIENT_ACCEPT) != 0)
        {
            return bc_ws_client_fail(answer, "Sec-WebSocket-Accept is wrong");
        }

        seen->accept = 1;

    } else if (bc_ws_client_is(name, "sec-websocket-extensions")) {

        if (bc_http_list_next(&p, last, &item)) {
            return bc_ws_client_fail(answer, "an extension was not offered");
        }

    } else if (bc_ws_client_is(name, "sec-websocket-protocol")) {
        return bc_ws_client_fail(answer, "a subprotocol was not offered");
    }

    return 0;
}


/* Compares ignoring case; `what` is in lower case. */

static int
bc_ws_client_is(bc_span_t name, const char *what)
{
    size_t   i;
    uint8_t  c;

    if (name.len != strlen(what)) {
        return 0;
    }

    for (i = 0; i < name.len; i++) {
        c = name.data[i];

        if (c >= 'A' && c <= 'Z') {
            c |= 0x20;
        }

        if (c != (uint8_t) what[i]) {
            return 0;
        }
    }

    return 1;
}


static int
bc_ws_client_fail(bc_ws_client_answer_t *answer, const char *reason)
{
    snprintf(answer->reason, sizeof(answer->reason), "%s", reason);

    return BC_WS_CLIENT_FAIL;
}


size_t
bc_ws_client_frame(uint8_t *dst, int opcode, const uint8_t *payload,
    size_t len, const uint8_t mask[4])
{
    size_t   n;
    uint8_t  key[4];

    n = bc_ws_frame_header(dst, opcode, 1, 0, len);
    dst[1] |= BC_WS_MASK;

    memcpy(dst + n, mask, 4);
    n += 4;

    /* masking is the same as unmasking; the function rotates the key passed */

    memcpy(key, mask, 4);
    bc_ws_frame_unmask(dst + n, payload, len, key);

    return n + len;
}
