
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


static int
span_is(bc_span_t span, const char *text)
{
    return span.len == strlen(text)
           && memcmp(span.data, text, span.len) == 0;
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

    free(p);
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
    free(p);

    p = with_id("{\"type\":\"ping\",\"id\":", BC_CLIENT_MSG_ID + 1, "}", 0);
    is(m.what, BC_CLIENT_MSG_LONG_ID, "one byte more");
    is(m.id.len, 0, "is not");
    free(p);

    p = with_id("{\"id\":1,\"type\":\"ping\",\"id\":", BC_CLIENT_MSG_ID + 1, "}",
                0);
    is(m.what, BC_CLIENT_MSG_PING, "the first id counts");
    free(p);

    p = with_id("{\"jsonrpc\":\"2.0\",\"method\":\"eth_ping\",\"id\":",
                BC_CLIENT_MSG_ID, "}", 1);
    is(m.what, BC_CLIENT_MSG_PING, "JSON-RPC: the largest size");
    is(m.id.len, BC_CLIENT_MSG_ID, "JSON-RPC: is there");
    free(p);

    p = with_id("{\"jsonrpc\":\"2.0\",\"method\":\"eth_ping\",\"id\":",
                BC_CLIENT_MSG_ID + 1, "}", 1);
    is(m.what, BC_CLIENT_MSG_LONG_ID, "JSON-RPC: one byte more");
    ok(m.what <= BC_CLIENT_MSG_BATCH, "JSON-RPC: answered with a null id");
    is(m.id.len, 0, "JSON-RPC: is not");
    free(p);
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
    free(p);

    p = parse("{\"type\":\"subscribe\",\"stream\":7,\"since\":-1}", 0);
    ok(m.bad_since && !m.has_since && !m.delta, "a bad since");
    is(bc_client_msg_stream(&m), 0, "a stream that is no string is none");
    free(p);

    p = parse("{\"type\":7}", 0);
    is(m.what, BC_CLIENT_MSG_UNTYPED, "a type that is no string is none");
    free(p);

    p = parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"eth_subscribe\","
              "\"params\":[\"a\",{\"since\":3,\"stream\":\"b\"}]}", 1);
    is(m.what, BC_CLIENT_MSG_SUBSCRIBE, "JSON-RPC: subscribe");
    ok(m.has_since && m.since == 3, "JSON-RPC: since of a list");
    is(bc_client_msg_stream(&m), 1, "JSON-RPC: the stream of a list");
    ok(m.name_len == 1 && m.name[0] == 'a', "JSON-RPC: is its first");
    free(p);

    p = parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\","
              "\"params\":{\"stream\":\"b\",\"since\":4,\"delta\":true}}", 1);
    ok(m.has_since && m.since == 4 && m.delta, "JSON-RPC: of an object");
    is(bc_client_msg_stream(&m), 1, "JSON-RPC: the stream of an object");
    ok(m.name_len == 1 && m.name[0] == 'b', "JSON-RPC: is named");
    free(p);

    p = parse("{\"jsonrpc\":\"2.0\",\"id\":1,\"method\":\"subscribe\","
              "\"params\":{\"since\":4}}", 1);
    is(bc_client_msg_stream(&m), 0, "JSON-RPC: no stream");
    free(p);

    p = parse("{\"jsonrpc\":\"1.0\",\"id\":1,\"method\":\"subscribe\"}", 1);
    is(m.what, BC_CLIENT_MSG_WRONG, "JSON-RPC: another version");
    ok(span_is(m.id, "1"), "JSON-RPC: with its id");
    free(p);
}


int
main(void)
{
    members();
    ids();
    subscribes();

    return unit_done();
}
