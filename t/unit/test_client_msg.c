
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a client's message is taken for another one, or costs more
 * time and memory than it may.
 */

#include "bc_json.h"
#include "bc_client_msg.h"
#include "unit.h"


static bc_client_msg_t  m;


static uint8_t *
parse(const char *text, int request)
{
    size_t    len;
    uint8_t  *p;

    len = strlen(text);
    p = unit_copy(text, len);

    if (request) {
        bc_client_msg_request(&m, p, len);

    } else {
        bc_client_msg_parse(&m, p, len);
    }

    return p;
}


/* frees a message and what was read from it */

static void
done(uint8_t *p)
{
    bc_client_msg_free(&m);
    free(p);
}


static int
span_is(bc_span_t span, const char *text)
{
    return span.len == strlen(text)
           && memcmp(span.data, text, span.len) == 0;
}


static void
epochs(void)
{
    size_t    i;
    uint8_t  *p;
    char      text[128];

    static const struct {
        const char  *json;
        uint64_t     epoch;
        int          bad, same;
    } cases[] = {
        { "1860000000123456", 1860000000123456u, 0, 1 },
        { "1860000000123457", 1860000000123456u, 0, 0 },
        { "1.860000000123456e15", 1860000000123456u, 0, 1 },
        { "\"1860000000123456\"", 1860000000123456u, 0, 1 },
        { "\"18600000001234560\"", 1860000000123456u, 0, 0 },
        { "\"01860000000123456\"", 1860000000123456u, 0, 0 },
        { "18446744073709551615", UINT64_MAX, 0, 1 },
        { "\"18446744073709551615\"", UINT64_MAX, 0, 1 },
        { "\"18446744073709551614\"", UINT64_MAX, 0, 0 },
        { "\"\"", 1, 0, 0 },
        { "\"another gateway's\"", 1, 0, 0 },
        { "0", 1, 0, 0 },
        { "null", 1, 0, 1 },
        { "-1", 1, 1, 1 },
        { "1.5", 1, 1, 1 },
        { "1e30", 1, 1, 1 },
        { "1e999", 1, 1, 1 },
        { "true", 1, 1, 1 },
        { "[1]", 1, 1, 1 },
        { "{}", 1, 1, 1 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        snprintf(text, sizeof(text),
                 "{\"type\":\"subscribe\",\"since\":1,\"epoch\":%s}",
                 cases[i].json);

        p = parse(text, 0);
        ok(m.bad_epoch == (unsigned) cases[i].bad
           && bc_client_msg_is_epoch(&m, cases[i].epoch) == cases[i].same
           && m.has_since,
           "epoch %s", cases[i].json);
        done(p);
    }

    p = parse("{\"type\":\"subscribe\",\"since\":1}", 0);
    ok(bc_client_msg_is_epoch(&m, 7) && !m.bad_epoch, "no epoch: any is its");
    done(p);
}


static void
members(void)
{
    size_t       len;
    uint8_t     *p;
    bc_span_t    object, value[4];
    const char  *text;

    static const char *const  names[] = { "id", "type", "b", "id" };

    text = "{\"typ\":0,\"\\u0069d\":1,\"id\":2,\"types\":3,\"type\":[4],\"\":5}";

    len = strlen(text);
    p = unit_copy(text, len);
    object.data = p;
    object.len = len;

    bc_json_members(object, names, value, 3);

    ok(span_is(value[0], "1"), "the first of two, its name escaped");
    ok(span_is(value[1], "[4]"), "neither a prefix nor a longer name");
    ok(value[2].data == NULL && value[2].len == 0, "one that is not there");

    bc_json_members(object, names, value, 4);
    ok(span_is(value[3], "2"), "a name asked for twice has the second one");

    object.data = (const uint8_t *) "[1]";
    object.len = 3;
    bc_json_members(object, names, value, 3);
    ok(value[0].data == NULL && value[1].data == NULL, "no object");

    done(p);
}


/* an id of n bytes: a string */

static uint8_t *
with_id(const char *before, size_t n, const char *behind, int request)
{
    char      text[512];
    size_t    len;

    len = strlen(before);
    memcpy(text, before, len);
    text[len] = '"';
    memset(text + len + 1, 'x', n - 2);
    text[len + n - 1] = '"';
    strcpy(text + len + n, behind);

    return parse(text, request);
}


static void
ids(void)
{
    uint8_t  *p;

    p = with_id("{\"type\":\"ping\",\"id\":", BC_CLIENT_MSG_ID, "}", 0);
    is(m.what, BC_CLIENT_MSG_PING, "an id of the largest size");
    is(m.id.len, BC_CLIENT_MSG_ID, "is there");
    done(p);

    p = with_id("{\"type\":\"ping\",\"id\":", BC_CLIENT_MSG_ID + 1, "}", 0);
    is(m.what, BC_CLIENT_MSG_LONG_ID, "one byte more");
    is(m.id.len, 0, "is not");
    done(p);

    p = with_id("{\"id\":1,\"type\":\"ping\",\"id\":", BC_CLIENT_MSG_ID + 1, "}",
                0);
    is(m.what, BC_CLIENT_MSG_PING, "the first id counts");
    done(p);

    p = with_id("{\"jsonrpc\":\"2.0\",\"method\":\"eth_ping\",\"id\":",
                BC_CLIENT_MSG_ID, "}", 1);
    is(m.what, BC_CLIENT_MSG_PING, "JSON-RPC: the largest size");
    is(m.id.len, BC_CLIENT_MSG_ID, "JSON-RPC: is there");
    done(p);

    p = with_id("{\"jsonrpc\":\"2.0\",\"method\":\"eth_ping\",\"id\":",
                BC_CLIENT_MSG_ID + 1, "}", 1);
    is(m.what, BC_CLIENT_MSG_LONG_ID, "JSON-RPC: one byte more");
    ok(m.what <= BC_CLIENT_MSG_BATCH, "JSON-RPC: answered with a null id");
    is(m.id.len, 0, "JSON-RPC: is not");
    done(p);
}


static void
histories(void)
{
    size_t    i;
    char      text[128];
    uint8_t  *p;
    static const struct {
        const char  *history;
        int          has, bad;
        const char  *range;
    } t[] = {
        { "true", 1, 0, "" }, { "false", 0, 0, "" }, { "null", 0, 0, "" },
        { "\"24h\"", 1, 0, "24h" },
        { "\"1234567890123456\"", 1, 0, "1234567890123456" },
        { "\"12345678901234567\"", 1, 1, "" }, { "\"\"", 1, 1, "" },
        { "1", 1, 1, "" }, { "{}", 1, 1, "" }, { "[true]", 1, 1, "" },
    };

    for (i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
        snprintf(text, sizeof(text),
                 "{\"type\":\"subscribe\",\"stream\":\"a\",\"history\":%s}",
                 t[i].history);

        p = parse(text, 0);
        ok(m.has_history == (unsigned) t[i].has
           && m.bad_history == (unsigned) t[i].bad
           && m.range_len == strlen(t[i].range)
           && memcmp(m.range, t[i].range, m.range_len) == 0,
           "history: %s", t[i].history);
        done(p);
    }
}


static void
subscribes(void)
{
    uint8_t  *p;

    p = parse("{\"type\":\"subscribe\",\"stream\":\"a\",\"streams\":[\"b\",7],"
              "\"since\":12,\"delta\":true,\"id\":null}", 0);
    is(m.what, BC_CLIENT_MSG_SUBSCRIBE, "subscribe");
    ok(m.has_since && m.since == 12 && !m.bad_since, "since");
    ok(m.delta, "delta");
    ok(span_is(m.id, "null"), "an id of null is one");
    is(bc_client_msg_stream(&m), 1, "stream");
    ok(m.name_len == 1 && m.name[0] == 'a', "comes first");
    is(bc_client_msg_stream(&m), 1, "the streams");
    ok(m.name_len == 1 && m.name[0] == 'b', "come then");
    is(bc_client_msg_stream(&m), -1, "a number is no stream");
    is(bc_client_msg_stream(&m), 0, "the end");
    done(p);

    p = parse("{\"type\":\"subscribe\",\"stream\":7,\"since\":-1}", 0);
    ok(m.bad_since && !m.has_since && !m.delta, "a bad since");
    is(bc_client_msg_stream(&m), 0, "a stream that is no string is none");
    done(p);

    p = parse("{\"type\":7}", 0);
    is(m.what, BC_CLIENT_MSG_UNTYPED, "a type that is no string is none");
    done(p);

    p = parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\","
              "\"params\":[\"a\",{\"since\":3,\"stream\":\"b\"}]}", 1);
    is(m.what, BC_CLIENT_MSG_SUBSCRIBE, "JSON-RPC: subscribe");
    ok(m.has_since && m.since == 3, "JSON-RPC: since of a list");
    is(bc_client_msg_stream(&m), 1, "JSON-RPC: the stream of a list");
    ok(m.name_len == 1 && m.name[0] == 'a', "JSON-RPC: is its first");
    done(p);

    p = parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\","
              "\"params\":{\"stream\":\"b\",\"since\":4,\"delta\":true}}", 1);
    ok(m.has_since && m.since == 4 && m.delta, "JSON-RPC: of an object");
    is(bc_client_msg_stream(&m), 1, "JSON-RPC: the stream of an object");
    ok(m.name_len == 1 && m.name[0] == 'b', "JSON-RPC: is named");
    done(p);

    p = parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\","
              "\"params\":{\"since\":4}}", 1);
    is(bc_client_msg_stream(&m), 0, "JSON-RPC: no stream");
    done(p);

    p = parse("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"subscribe\"}", 1);
    is(m.what, BC_CLIENT_MSG_WRONG, "JSON-RPC: another version");
    ok(span_is(m.id, "1"), "JSON-RPC: with its id");
    done(p);
}


/*
 * What cJSON by itself takes for something else: a name that goes on behind
 * \\u0000, numbers, lone surrogates.
 */

static void
strict(void)
{
    char      text[256];
    size_t    i;
    uint8_t  *p;

    static const char *const  bad[] = {
        "{\"type\":\"ping\",\"n\":01}", "{\"type\":\"ping\",\"n\":1.}",
        "{\"type\":\"ping\",\"n\":+1}", "{\"type\":\"p\ting\"}",
        "{\"type\":\"ping\",\"n\":\"\xff\"}", "\xef\xbb\xbf{\"type\":\"ping\"}",
        "{\"type\":\"ping\"} x", "{\"type\":\"ping\",}"
    };

    for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        p = parse(bad[i], 0);
        is(m.what, BC_CLIENT_MSG_INVALID, bad[i]);
        done(p);
    }

    p = parse("{\"type\":\"subscribe\",\"stream\":\"a\\u0000b\"}", 0);
    is(bc_client_msg_stream(&m), 1, "a name with a NUL");
    ok(m.name_len == 3 && memcmp(m.name, "a\1b", 3) == 0, "does not end there");
    done(p);

    p = parse("{\"type\":\"ping\\u0000\",\"id\":\"\\u0000\"}", 0);
    is(m.what, BC_CLIENT_MSG_UNKNOWN, "a type with a NUL is another");
    ok(span_is(m.id, "\"\\u0000\""), "an id has its own bytes");
    done(p);

    p = parse("{\"type\\u0000\":\"ping\"}", 0);
    is(m.what, BC_CLIENT_MSG_UNTYPED, "a key with a NUL is another");
    done(p);

    p = parse("{\"type\":\"subscribe\",\"stream\":\"\\ud800\\udc00\\udc00"
              "\\ud800x\\\\u0000\"}", 0);
    is(bc_client_msg_stream(&m), 1, "surrogates");
    ok(m.name_len == 17
       && memcmp(m.name, "\xf0\x90\x80\x80\xef\xbf\xbd\xef\xbf\xbdx"
                         "\\u0000", 17) == 0,
       "a pair is joined, a lone one is U+FFFD, an escaped \\ is none");
    done(p);

    p = parse("{\"type\":\"ping\",\"id\":18446744073709551615}", 0);
    ok(span_is(m.id, "18446744073709551615"), "an id of 64 bits is exact");
    done(p);

    p = parse("{\"type\":\"subscribe\",\"since\":9007199254740991}", 0);
    ok(m.has_since && m.since == 9007199254740991u, "the largest since");
    done(p);

    p = parse("{\"type\":\"subscribe\",\"since\":9007199254740993}", 0);
    ok(m.bad_since, "a since that a double cannot hold is refused");
    done(p);

    p = parse("{\"type\":\"subscribe\",\"since\":1e999}", 0);
    ok(m.bad_since, "and so is one beyond all");
    done(p);

    p = parse("{\"type\":\"subscribe\",\"since\":\"1\"}", 0);
    ok(m.bad_since, "and a string");
    done(p);

    epochs();

    p = parse("{\"type\":\"subscribe\",\"since\":-0}", 0);
    ok(m.has_since && m.since == 0, "-0 is 0");
    done(p);

    /* of long strings the beginning, in whole characters */

    for (i = 0; i < 4; i++) {
        size_t  n;
        char    text2[8192], *q;

        static const char *const  unit[] = { "x", "\xc3\xa9", "\\u00e9", "\\n" };
        static const size_t       width[] = { 1, 2, 2, 1 };

        q = text2 + sprintf(text2, "{\"type\":\"subscribe\",\"stream\":\"");

        for (n = 0; n < 1000; n++) {
            q += sprintf(q, "%s", unit[i]);
        }

        strcpy(q, "\",\"streams\":[\"b\"]}");

        p = parse(text2, 0);
        is(m.what, BC_CLIENT_MSG_SUBSCRIBE, "a long name");
        is(bc_client_msg_stream(&m), 1, "is one");
        is(m.name_len, BC_CLIENT_MSG_NAME / width[i] * width[i],
           "of which the beginning is known");
        is(bc_client_msg_stream(&m), 1, "what comes behind it");
        ok(m.name_len == 1 && m.name[0] == 'b', "is read");
        done(p);
    }

    /* a number of 100 digits: more than cJSON reads */

    strcpy(text, "{\"type\":\"subscribe\",\"stream\":\"a\",\"id\":");
    memset(text + strlen(text) + 100, '\0', 1);
    memset(text + strlen(text), '9', 100);
    strcat(text, ",\"since\":0.");
    memset(text + strlen(text) + 70, '\0', 1);
    memset(text + strlen(text), '0', 70);
    strcat(text, "}");

    p = parse(text, 0);
    is(m.what, BC_CLIENT_MSG_SUBSCRIBE, "long numbers");
    is(m.id.len, 100, "come back as an id");
    ok(m.bad_since, "and are no since");
    is(bc_client_msg_stream(&m), 1, "what comes behind them");
    is(m.name_len, 1, "is there");
    done(p);
}


/* {"type":"ping","x":[0,...]} of n values */

static uint8_t *
with_values(size_t n, int request)
{
    char     *text, *q;
    uint8_t  *p;

    text = malloc(2 * n + 128);
    if (text == NULL) {
        abort();
    }

    q = text + sprintf(text, request ? "{\"jsonrpc\":\"2.0\",\"id\":7,"
                                       "\"method\":\"ping\",\"x\":[0"
                                     : "{\"type\":\"ping\",\"id\":7,"
                                       "\"x\":[0");

    for (n -= request ? 6 : 5; n != 0; n--) {
        *q++ = ',';
        *q++ = '0';
    }

    strcpy(q, "]}");

    p = parse(text, request);

    free(text);

    return p;
}


static void
values(void)
{
    uint8_t  *p;

    p = with_values(BC_CLIENT_MSG_VALUES, 0);
    is(m.what, BC_CLIENT_MSG_PING, "as many values as it may have");
    done(p);

    p = with_values(BC_CLIENT_MSG_VALUES + 1, 0);
    is(m.what, BC_CLIENT_MSG_LARGE, "one more");
    ok(span_is(m.id, "7"), "has its id");
    ok(m.tree == NULL, "and no tree");
    is(bc_client_msg_stream(&m), 0, "and no stream");
    done(p);

    p = with_values(32000, 1);
    is(m.what, BC_CLIENT_MSG_LARGE, "JSON-RPC: 64 KB of zeros");
    ok(span_is(m.id, "7"), "JSON-RPC: with their id");
    done(p);

    p = parse("{\"type\":\"ping\",\"x\":\",,[[{{,,\\\",,,\"}", 0);
    is(m.what, BC_CLIENT_MSG_PING, "what is in a string is no value");
    done(p);
}


int
main(void)
{
    members();
    ids();
    histories();
    subscribes();
    strict();
    values();

    return unit_done();
}
