
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, the gateway takes a server for a WebSocket that is none, or
 * no node takes the gateway's frames, or a notification is taken for the
 * answer to a subscription.
 */

#include "bc_head_msg.h"
#include "bc_ws_client.h"
#include "bc_ws_parser.h"
#include "unit.h"


#define ACCEPT  "s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
#define HEAD    "HTTP/1.1 101 Switching Protocols\r\n"
#define UP      "Upgrade: websocket\r\n"
#define CONN    "Connection: Upgrade\r\n"
#define ACC     "Sec-WebSocket-Accept: " ACCEPT "\r\n"
#define END     "\r\n"


static void
answers(void)
{
    int                     rc;
    size_t                  i, n, len;
    uint8_t                *p;
    bc_ws_client_answer_t   a;

    static const struct {
        const char  *text;
        int          rc;
        int          status;
        const char  *reason;
    } cases[] = {
        { HEAD UP CONN ACC END, 1, 101, "" },
        { HEAD ACC CONN UP END, 1, 101, "" },
        { "HTTP/1.1 101\r\n" UP CONN ACC END, 1, 101, "" },
        { "HTTP/1.1 101 \r\n" UP CONN ACC END, 1, 101, "" },
        { HEAD "UPGRADE:WebSocket\r\ncOnnection:\tkeep-alive , upgrade \r\n"
          "sec-websocket-accept:" ACCEPT "\t \r\n" END, 1, 101, "" },
        { HEAD "Server: x\r\nDate: y\r\nEmpty:\r\n" UP CONN ACC END, 1, 101,
          "" },
        { HEAD UP "Connection: close\r\n" CONN ACC END, 1, 101, "" },
        { HEAD UP CONN ACC "Sec-WebSocket-Extensions: \r\n" END, 1, 101, "" },
        { HEAD UP CONN END, -1, 101, "Sec-WebSocket-Accept is missing" },
        { HEAD UP ACC END, -1, 101, "\"Connection: Upgrade\" is missing" },
        { HEAD UP "Connection: upgraded\r\n" ACC END, -1, 101,
          "\"Connection: Upgrade\" is missing" },
        { HEAD CONN ACC END, -1, 101, "\"Upgrade: websocket\" is missing" },
        { HEAD "Upgrade: websocket, h2c\r\n" CONN ACC END, -1, 101,
          "Upgrade is not \"websocket\"" },
        { HEAD UP UP CONN ACC END, -1, 101, "Upgrade is not \"websocket\"" },
        { HEAD UP CONN ACC ACC END, -1, 101,
          "Sec-WebSocket-Accept is wrong" },
        { HEAD UP CONN "Sec-WebSocket-Accept: S3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n"
          END, -1, 101, "Sec-WebSocket-Accept is wrong" },
        { HEAD UP CONN "Sec-WebSocket-Accept: \r\n" END, -1, 101,
          "Sec-WebSocket-Accept is wrong" },
        { HEAD UP CONN ACC "Sec-WebSocket-Extensions: x\r\n" END, -1, 101,
          "an extension was not offered" },
        { HEAD UP CONN ACC "Sec-WebSocket-Protocol: \r\n" END, -1, 101,
          "a subprotocol was not offered" },
        { HEAD "no colon\r\n" UP CONN ACC END, -1, 101,
          "a header line is malformed" },
        { HEAD ": empty\r\n" END, -1, 101, "a header line is malformed" },
        { HEAD "a : b\r\n" END, -1, 101, "a header line is malformed" },
        { HEAD UP " fold\r\n" END, -1, 101, "a header line is malformed" },
        { HEAD "a: \x01\r\n" END, -1, 101,
          "a header has a control character" },
        { HEAD "a: b\rc\r\n" END, -1, 101,
          "a header has a control character" },
        { "HTTP/1.1 200 OK\r\n" END, -1, 200, "HTTP 200 instead of 101" },
        { "HTTP/1.1 302 Found\r\n" END, -1, 302,
          "HTTP 302 instead of 101, redirects are not followed" },
        { "HTTP/1.1 403 No\r\n" END, -1, 403,
          "HTTP 403 instead of 101, the credentials are missing or wrong" },
        { "HTTP/1.1 999 x\r\n" END, -1, 999, "HTTP 999 instead of 101" },
        { "HTTP/1.1 099 x\r\n" END, -1, 0, "the status line is malformed" },
        { "HTTP/1.1 1010\r\n" END, -1, 0, "the status line is malformed" },
        { "HTTP/1.1 10\r\n" END, -1, 0, "the status line is malformed" },
        { "HTTP/1.0 101 x\r\n" END, -1, 0, "the answer is not HTTP/1.1" },
        { "HTTQ", -1, 0, "the answer is not HTTP/1.1" },
        { "\x16\x03\x01", -1, 0, "the answer is not HTTP/1.1" },
        { "", 0, 0, "" },
        { "HTTP/1.1 1", 0, 0, "" },
        { HEAD UP CONN ACC, 0, 0, "" },
        { HEAD UP CONN ACC "\r", 0, 0, "" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = strlen(cases[i].text);
        p = unit_copy(cases[i].text, len);

        rc = bc_ws_client_answer(p, len, ACCEPT, &a);

        is(rc, cases[i].rc, "%s", cases[i].text);
        is(a.status, cases[i].status, "... status");
        is_str(a.reason, cases[i].reason, "... reason");

        if (rc == BC_WS_CLIENT_OPEN) {
            is(a.len, len, "... length");

            /* in pieces it is the same, and no frame is taken for a header */

            for (n = 0; n < len; n++) {
                if (bc_ws_client_answer(p, n, ACCEPT, &a)
                    != BC_WS_CLIENT_AGAIN)
                {
                    break;
                }
            }

            is(n, len, "... not before its end");
        }

        free(p);
    }

    p = (uint8_t *) HEAD UP CONN ACC END "\x81\x02hi\r\n\r\n";

    is(bc_ws_client_answer(p, strlen((char *) p), ACCEPT, &a), 1,
       "frames behind the head");
    is(a.len, strlen(HEAD UP CONN ACC END), "... are not of it");
}


static void
endless(void)
{
    size_t                  n;
    uint8_t                *p;
    bc_ws_client_answer_t   a;

    p = malloc(BC_WS_CLIENT_HEAD);
    memcpy(p, HEAD "X: ", strlen(HEAD "X: "));
    memset(p + strlen(HEAD "X: "), 'x',
           BC_WS_CLIENT_HEAD - strlen(HEAD "X: "));

    is(bc_ws_client_answer(p, BC_WS_CLIENT_HEAD - 1, ACCEPT, &a), 0,
       "a long head goes on");
    is(bc_ws_client_answer(p, BC_WS_CLIENT_HEAD, ACCEPT, &a), -1,
       "an endless one does not");
    is_str(a.reason, "the head of the answer does not end", "... reason");

    n = BC_WS_CLIENT_HEAD - strlen("\r\n" UP CONN ACC END);
    memcpy(p + n, "\r\n" UP CONN ACC END, strlen("\r\n" UP CONN ACC END));

    is(bc_ws_client_answer(p, BC_WS_CLIENT_HEAD, ACCEPT, &a), 1,
       "one that just fits");
    is(a.len, BC_WS_CLIENT_HEAD, "... length");

    free(p);
}


/* what a client sends is what our server's parser reads */

static void
frames(void)
{
    int              rc;
    size_t           i, n, len;
    uint8_t         *out, *payload, *pos, mask[4];
    bc_ws_event_t    ev;
    bc_ws_limits_t   limits;
    bc_ws_parser_t   in;

    static const size_t  sizes[] = { 0, 1, 3, 4, 5, 31, 32, 33, 125, 126, 127,
                                     65535, 65536, 70001 };

    memset(&limits, 0, sizeof(limits));
    limits.max_message = 100000;

    for (i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        len = sizes[i];
        payload = malloc(len + 1);

        for (n = 0; n < len; n++) {
            payload[n] = (uint8_t) ('a' + n % 26);
        }

        for (n = 0; n < 4; n++) {
            mask[n] = (uint8_t) unit_random();
        }

        out = malloc(len + BC_WS_CLIENT_FRAME);
        n = bc_ws_client_frame(out, BC_WS_TEXT, payload, len, mask);

        ok(n <= len + BC_WS_CLIENT_FRAME, "%zu bytes: fits", len);
        ok(out[1] & BC_WS_MASK, "%zu bytes: masked", len);

        bc_ws_parser_init(&in, &limits, NULL, 0);
        pos = out;
        rc = bc_ws_parser_feed(&in, &pos, out + n, &ev);

        is(rc, BC_WS_EVENT, "%zu bytes: a message", len);
        ok(ev.len == len && memcmp(ev.data, payload, len) == 0,
           "%zu bytes: the same", len);
        is(pos - out, n, "%zu bytes: all of it", len);
        is(bc_ws_parser_feed(&in, &pos, out + n, &ev), BC_WS_AGAIN,
           "%zu bytes: no more", len);

        bc_ws_parser_free(&in);
        free(out);
        free(payload);
    }
}


static const char *
span(bc_span_t s)
{
    static char  text[256];

    if (s.data == NULL) {
        return "-";
    }

    snprintf(text, sizeof(text), "%.*s", (int) s.len, (const char *) s.data);

    return text;
}


static void
messages(void)
{
    size_t         i;
    uint8_t       *p;
    bc_head_msg_t  m;

    static const struct {
        const char  *text;
        int          rc;
        int          kind;
        const char  *id;
        const char  *subscription;
        const char  *result;
        const char  *error;
    } cases[] = {
        /* Ethereum, Solana, Substrate, CometBFT */
        { "{\"jsonrpc\":\"2.0\",\"id\":1,\"result\":\"0x1a\"}",
          0, BC_HEAD_MSG_REPLY, "1", "-", "\"0x1a\"", "-" },
        { "{\"method\":\"eth_subscription\",\"params\":"
          "{\"subscription\":\"0x1a\",\"result\":{\"number\":\"0x1\"}}}",
          0, BC_HEAD_MSG_CALL, "-", "\"0x1a\"", "{\"number\":\"0x1\"}", "-" },
        { "{\"method\":\"slotNotification\",\"params\":"
          "{\"result\":{\"slot\":76},\"subscription\":0}}",
          0, BC_HEAD_MSG_CALL, "-", "0", "{\"slot\":76}", "-" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"sub\",\"result\":{}}",
          0, BC_HEAD_MSG_REPLY, "\"sub\"", "-", "{}", "-" },
        { "{\"id\":1,\"error\":{\"code\":-32601,\"message\":\"no\"}}",
          0, BC_HEAD_MSG_REPLY, "1", "-", "-",
          "{\"code\":-32601,\"message\":\"no\"}" },
        { "{\"id\":null,\"error\":{}}", 0, BC_HEAD_MSG_REPLY, "-", "-", "-",
          "{}" },
        { "{\"id\":1,\"result\":1,\"error\":null}", 0, BC_HEAD_MSG_REPLY, "1",
          "-", "1", "-" },
        { " {\"id\":1,\"method\":\"ping\"} ", 0, BC_HEAD_MSG_CALL, "1", "-",
          "-", "-" },
        { "{\"method\":\"x\",\"params\":[1]}", 0, BC_HEAD_MSG_CALL, "-", "-",
          "-", "-" },
        { "{\"type\":\"block\"}", 0, BC_HEAD_MSG_OTHER, "-", "-", "-", "-" },
        { "{}", 0, BC_HEAD_MSG_OTHER, "-", "-", "-", "-" },
        { "[]", 0, BC_HEAD_MSG_OTHER, "-", "-", "-", "-" },
        { "7", 0, BC_HEAD_MSG_OTHER, "-", "-", "-", "-" },
        { "hello", -1, BC_HEAD_MSG_OTHER, "-", "-", "-", "-" },
        { "", -1, BC_HEAD_MSG_OTHER, "-", "-", "-", "-" },
        { "{\"id\":1", -1, BC_HEAD_MSG_OTHER, "-", "-", "-", "-" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = unit_copy(cases[i].text, strlen(cases[i].text));

        is(bc_head_msg_read(p, strlen(cases[i].text), &m), cases[i].rc, "%s",
           cases[i].text);
        is((int) m.kind, cases[i].kind, "... kind");
        is_str(span(m.id), cases[i].id, "... id");
        is_str(span(m.subscription), cases[i].subscription,
               "... subscription");
        is_str(span(m.result), cases[i].result, "... result");
        is_str(span(m.error), cases[i].error, "... error");

        free(p);
    }
}


static void
errors(void)
{
    char       text[64];
    size_t     i;
    bc_span_t  error;

    static const struct {
        const char  *error;
        const char  *text;
    } cases[] = {
        { "{\"code\":-32601,\"message\":\"not found\"}", "-32601 not found" },
        { "{\"message\":\"a\\nb\\u0007\"}", "a b " },
        { "{\"code\":1}", "1 " },
        { "{\"code\":1,\"message\":[1]}", "1 " },
        { "{}", "{}" },
        { "\"why not\"", "\"why not\"" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        error.data = (const uint8_t *) cases[i].error;
        error.len = strlen(cases[i].error);

        bc_head_msg_error(error, text, sizeof(text));
        is_str(text, cases[i].text, "%s", cases[i].error);

        bc_head_msg_error(error, text, 4);
        ok(strlen(text) <= 3, "... cut");

        bc_head_msg_error(error, text, 1);
        is(strlen(text), 0, "... to nothing");
    }
}


int
main(void)
{
    answers();
    endless();
    frames();
    messages();
    errors();

    return unit_done();
}
