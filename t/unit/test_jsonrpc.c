
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a node's answer is lost, taken for another call's, or an
 * operator reads a wrong reason in the health page.
 */

#include "bc_json.h"
#include "bc_jsonrpc.h"
#include "bc_utf8.h"
#include "unit.h"


static bc_jsonrpc_reply_t  reply;
static int                 mode;


static int
parse(const char *text, uint64_t id)
{
    int             rc;
    size_t          len;
    static uint8_t  *p;

    /* kept until the next call: the result points into it */

    free(p);

    len = strlen(text);
    p = unit_copy(text, len);
    rc = bc_jsonrpc_parse(p, len, id, mode, &reply);

    if (text[0] == '\0') {
        free(p);
        p = NULL;
    }

    return rc;
}


static void
results(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        const char  *result;
    } cases[] = {
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":{\"a\": 1.0 , \"b\":[]}}",
          "{\"a\": 1.0 , \"b\":[]}" },
        { "{\"result\":\"telemetry disabled\",\"id\":9,\"jsonrpc\":\"2.0\"}",
          "\"telemetry disabled\"" },
        { " {\"id\":9 , \"jsonrpc\" : \"2.0\", \"result\" :  null }\r\n",
          "null" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":18446744073709551615}",
          "18446744073709551615" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1,\"error\":null}", "1" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":null,\"error\":null}",
          "null" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"re\\u0073ult\":1}", "1" },
        { "{\"x\":{\"result\":2,\"id\":3},\"jsonrpc\":\"2.0\",\"id\":9,"
          "\"result\":[true],\"usIn\":57,\"a very long member name\":1}",
          "[true]" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(parse(cases[i].text, 9), 0, "a result: %s", cases[i].text);
        ok(reply.ok && !reply.rpc_error, "is one");
        is_mem(reply.result.data, reply.result.len, cases[i].result,
               "byte for byte");
    }

    is(parse("{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,\"result\":1}",
             UINT64_MAX), 0, "the largest id");
}


static void
errors(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        long         code;
        const char  *message;
    } cases[] = {
        { "{\"error\":{\"code\":-32601,\"message\":\"method not found\"},"
          "\"id\":9,\"jsonrpc\":\"2.0\"}", -32601, "method not found" },
        { "{\"error\":{\"code\":-32001,\"message\":\"rate limited\"},"
          "\"id\":null,\"jsonrpc\":\"2.0\"}", -32001, "rate limited" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":null,\"error\":"
          "{\"message\":\"m\",\"code\":3,\"data\":[1,{\"code\":7}]}}", 3,
          "m" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"code\":0,\"message\":"
          "\"a\\nb\\u0000c\\u007fd\\u0085e\\ud800f\"}}", 0,
          "a b c d\xef\xbf\xbd" "e\xef\xbf\xbd" "f" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"code\":1}}", 1,
          "no message" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"code\":1,"
          "\"message\":{}}}", 1, "no message" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(parse(cases[i].text, 9), 0, "an error: %s", cases[i].text);
        ok(reply.rpc_error && !reply.ok, "is one");
        is(reply.code, cases[i].code, "its code");
        is_str(reply.message, cases[i].message, "its message");
    }
}


static void
long_message(void)
{
    char      text[2048];
    size_t    i, n;
    uint32_t  state;

    /* cut between two characters, wherever the limit falls */

    for (i = 0; i < 4; i++) {
        n = (size_t) sprintf(text, "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":"
                             "{\"code\":1,\"message\":\"%.*s", (int) i,
                             "xxxx");

        while (n < 1500) {
            n += (size_t) sprintf(text + n, "\xe2\x82\xac");
        }

        sprintf(text + n, "\"}}");

        is(parse(text, 9), 0, "a long message");

        n = strlen(reply.message);
        state = BC_UTF8_START;

        ok(n > 250 && n < sizeof(reply.message), "is cut to %zu", n);
        ok(bc_utf8_feed(&state, (uint8_t *) reply.message, n) == 0
           && bc_utf8_done(state), "between characters");
    }
}


static void
refusals(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        const char  *message;
    } cases[] = {
        { "", "not JSON: the body is empty" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":tru}",
          "not JSON: unexpected byte at offset 36" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":[1,2",
          "not JSON: unexpected end at offset 37" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":\"\xff\"}",
          "not JSON: invalid UTF-8 at offset 34" },
        { "<html>", "not JSON: unexpected byte at offset 0 (it looks like "
          "HTML)" },
        { "\x1f\x8b\x08", "not JSON: unexpected byte at offset 0 (it is "
          "compressed with gzip)" },
        { "[]", "an array (a batch), expected an object" },
        { "\"banned\"", "not an object" },
        { "{}", "the member \"jsonrpc\" is missing" },
        { "{\"id\":9,\"result\":1}", "the member \"jsonrpc\" is missing" },
        { "{\"jsonrpc\":\"1.0\",\"id\":9,\"result\":1}",
          "jsonrpc is not \"2.0\"" },
        { "{\"jsonrpc\":2.0,\"id\":9,\"result\":1}",
          "jsonrpc is not \"2.0\"" },
        { "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}",
          "the id is 7, expected 9" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"9\",\"result\":1}",
          "the id is \"9\", expected 9" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9.0,\"result\":1}",
          "the id is 9.0, expected 9" },
        { "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
          "the id is null, expected 9" },
        { "{\"jsonrpc\":\"2.0\",\"id\":8,\"error\":{\"code\":1,"
          "\"message\":\"\"}}", "the id is 8, expected 9" },
        { "{\"jsonrpc\":\"2.0\",\"result\":1}",
          "the member \"id\" is missing" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9}", "neither result nor error" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":null}",
          "neither result nor error" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1,\"error\":{\"code\":1,"
          "\"message\":\"\"}}", "both result and error" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1,\"result\":2}",
          "the member \"result\" occurs twice" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"id\":9,\"result\":1}",
          "the member \"id\" occurs twice" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":\"banned\"}",
          "the error is not an object" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"message\":\"\"}}",
          "the error has no code" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"code\":\"1\"}}",
          "the error's code is not an integer" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"code\":1.5}}",
          "the error's code is not an integer" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":{\"code\":1e99}}",
          "the error's code is not an integer" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"error\":"
          "{\"code\":99999999999999999999}}",
          "the error's code is not an integer" }
    };

    mode = BC_JSONRPC_STRICT;

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(parse(cases[i].text, 9), -1, "refused: %s", cases[i].text);
        is_str(reply.message, cases[i].message, "the reason");
        ok(!reply.ok && !reply.rpc_error, "and nothing else");
    }

    mode = BC_JSONRPC_ANY;
}


/* JSON-RPC 1.0 and what lies between: read as a rule, refused when strict */

static void
dialects(void)
{
    size_t  i;

    static const struct {
        const char  *text;
        const char  *result;        /* NULL: an error */
        int          has_code;
        long         code;
        const char  *message;
    } cases[] = {
        { "{\"result\":{\"a\":1},\"error\":null,\"id\":9}", "{\"a\":1}",
          0, 0, "" },
        { "{\"result\":null,\"error\":null,\"id\":9}", "null", 0, 0, "" },
        { "{\"id\":9,\"result\":1}", "1", 0, 0, "" },
        { "{\"jsonrpc\":\"1.0\",\"id\":9,\"result\":1}", "1", 0, 0, "" },
        { "{\"jsonrpc\":2.0,\"id\":9,\"result\":1}", "1", 0, 0, "" },
        { "{\"version\":\"1.1\",\"id\":9,\"result\":1}", "1", 0, 0, "" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"9\",\"result\":1}", "1", 0, 0, "" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9.0,\"result\":1}", "1", 0, 0, "" },
        { "{\"jsonrpc\":\"2.0\",\"id\":9,\"result\":1,\"error\":false}", "1",
          0, 0, "" },
        { "{\"result\":null,\"error\":{\"code\":-28,\"message\":"
          "\"Loading block index...\"},\"id\":9}", NULL, 1, -28,
          "Loading block index..." },
        { "{\"result\":null,\"error\":\"Method not found\",\"id\":9}", NULL,
          0, 0, "Method not found" },
        { "{\"error\":\"banned\"}", NULL, 0, 0, "banned" },
        { "{\"jsonrpc\":\"2.0\",\"id\":\"\",\"error\":{\"code\":-32700,"
          "\"message\":\"Parse error\"}}", NULL, 1, -32700, "Parse error" },
        { "{\"id\":\"9\",\"error\":{\"code\":\"-32601\",\"message\":\"m\"}}",
          NULL, 1, -32601, "m" },
        { "{\"id\":9,\"error\":{\"code\":-32601.0,\"message\":\"m\"}}", NULL,
          1, -32601, "m" },
        { "{\"id\":9,\"error\":{\"code\":\"E_BUSY\",\"message\":\"wait\"}}",
          NULL, 0, 0, "E_BUSY: wait" },
        { "{\"id\":9,\"error\":{\"code\":1.5,\"message\":\"m\"}}", NULL, 0, 0,
          "1.5: m" },
        { "{\"id\":9,\"error\":{\"code\":1e99}}", NULL, 0, 0,
          "1e99: no message" },
        { "{\"id\":9,\"error\":{\"code\":99999999999999999999}}", NULL, 0, 0,
          "99999999999999999999: no message" },
        { "{\"id\":9,\"error\":{\"code\":null,\"message\":\"m\"}}", NULL, 0,
          0, "m" },
        { "{\"id\":9,\"error\":{\"message\":\"m\"}}", NULL, 0, 0, "m" },
        { "{\"id\":9,\"error\":{\"code\":5,\"data\":\"why\"}}", NULL, 1, 5,
          "why" },
        { "{\"id\":9,\"error\":[\"x\",1]}", NULL, 0, 0, "[\"x\",1]" },
        { "{\"id\":9,\"error\":404}", NULL, 0, 0, "404" },
        { "{\"id\":9,\"error\":true}", NULL, 0, 0, "true" }
    };

    static const char *const  wrong[] = {
        "[]", "\"banned\"", "{}",
        "{\"jsonrpc\":\"2.0\",\"id\":7,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"7\",\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":9.5,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":90,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":null,\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":\"\",\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"result\":1}",
        "{\"jsonrpc\":\"2.0\",\"id\":8,\"error\":{\"code\":1}}",
        "{\"jsonrpc\":\"2.0\",\"id\":9}",
        "{\"id\":9,\"result\":1,\"error\":\"\"}",
        "{\"id\":9,\"result\":1,\"error\":{\"code\":1}}"
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(parse(cases[i].text, 9), 0, "read: %s", cases[i].text);
        is(reply.ok, cases[i].result != NULL, "a result");
        is(reply.rpc_error, cases[i].result == NULL, "an error");
        is(reply.has_code, cases[i].has_code, "has a code");
        is(reply.code, cases[i].code, "its code");
        is_str(reply.message, cases[i].message, "its message");

        if (cases[i].result != NULL) {
            is_mem(reply.result.data, reply.result.len, cases[i].result,
                   "byte for byte");
        }
    }

    for (i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        is(parse(wrong[i], 9), -1, "refused: %s", wrong[i]);
        ok(!reply.ok && !reply.rpc_error && reply.message[0] != '\0',
           "with a reason");
    }

    is(parse("{\"id\":\"18446744073709551615\",\"result\":1}", UINT64_MAX), 0,
       "the largest id in a string");
    is(parse("{\"id\":\"18446744073709551616\",\"result\":1}", 0), -1,
       "a larger one");
}


static void
documents(void)
{
    mode = BC_JSONRPC_DOCUMENT;

    is(parse(" {\"data\": [1.10, 1e400] }\r\n", 9), 0, "a document");
    is_mem(reply.result.data, reply.result.len, "{\"data\": [1.10, 1e400] }",
           "byte for byte");
    is(parse("{\"error\":\"no\"}", 9), 0, "an object with an error");
    ok(reply.ok && !reply.rpc_error, "is a document");
    is(parse("<html>", 9), -1, "not JSON");

    mode = BC_JSONRPC_ANY;

#define document_error(text)                                                  \
    bc_jsonrpc_document_error((const uint8_t *) text, strlen(text), &reply)

    is(document_error("{\"code\":404,\"message\":\"Block not found\"}"), 0,
       "a document of an error");
    ok(reply.has_code && reply.code == 404, "its code");
    is_str(reply.message, "Block not found", "its message");

    is(document_error(" {\"jsonrpc\":\"2.0\",\"id\":-1,\"error\":{\"code\":"
                      "-32603,\"message\":\"Internal error\"}} "), 0,
       "with a member");
    is_str(reply.message, "Internal error", "its message");
    is(document_error("{\"error\":\"nope\",\"message\":\"m\"}"), 0, "a string");
    is_str(reply.message, "nope", "its message");
    is(document_error("\"gone\""), 0, "nothing but a string");
    is_str(reply.message, "gone", "its message");
    is(document_error("oops"), -1, "no JSON");
}


static void
batches(void)
{
    uint64_t            id;
    bc_span_t           item;
    const char         *text;
    bc_jsonrpc_batch_t  batch;

    text = " [{\"id\":7,\"result\":\"b\",\"jsonrpc\":\"2.0\"} ,"
           "{\"id\":\"6\",\"result\":[1]},{\"id\":8,\"error\":\"no\"},"
           "{\"id\":null,\"error\":{\"code\":-32600}},5]";

    is(bc_jsonrpc_batch_begin(&batch, (const uint8_t *) text, strlen(text), 0,
                              &reply), 0, "a batch");

    is(bc_jsonrpc_batch_next(&batch, &item, &id), 1, "its first reply");
    is(id, 7, "the id of its request");
    is(bc_jsonrpc_batch_read(item, id, 0, &reply), 0, "is one");
    is_mem(reply.result.data, reply.result.len, "\"b\"", "byte for byte");

    is(bc_jsonrpc_batch_next(&batch, &item, &id), 1, "its second reply");
    is(id, 6, "an id in a string");
    is(bc_jsonrpc_batch_read(item, id, 0, &reply), 0, "is one");
    is(bc_jsonrpc_batch_read(item, id, BC_JSONRPC_STRICT, &reply), -1,
       "and none when strict");

    is(bc_jsonrpc_batch_next(&batch, &item, &id), 1, "its third reply");
    is(id, 8, "its id");
    is(bc_jsonrpc_batch_read(item, id, 0, &reply), 0, "is one");
    is_str(reply.message, "no", "an error");

    is(bc_jsonrpc_batch_next(&batch, &item, &id), 1, "its fourth reply");
    is(id, 0, "belongs to none");
    is(bc_jsonrpc_batch_next(&batch, &item, &id), 1, "its fifth");
    is(id, 0, "as does this");
    is(bc_jsonrpc_batch_read(item, 9, 0, &reply), -1, "which is no reply");
    is(bc_jsonrpc_batch_next(&batch, &item, &id), 0, "the end");

    text = "{\"id\":null,\"jsonrpc\":\"2.0\",\"error\":{\"code\":-32700,"
           "\"message\":\"parse error\"}}";
    is(bc_jsonrpc_batch_begin(&batch, (const uint8_t *) text, strlen(text), 0,
                              &reply), 1, "an error for all");
    is(reply.code, -32700, "its code");

    text = "{\"id\":7,\"result\":1}";
    is(bc_jsonrpc_batch_begin(&batch, (const uint8_t *) text, strlen(text), 0,
                              &reply), -1, "one result for all");
    is_str(reply.message, "one reply to a batch, and no error", "is refused");

    text = "[{\"id\":7";
    is(bc_jsonrpc_batch_begin(&batch, (const uint8_t *) text, strlen(text), 0,
                              &reply), -1, "no JSON");
}


static void
meanings(void)
{
    size_t  i;

    static const struct {
        long         code;          /* 0: none */
        const char  *message;
        int          missing;
        int          limit;
    } cases[] = {
        { -32601, "x", 1, 0 },
        { -32004, "Method eth_getBlockReceipts is not supported", 1, 0 },
        { -32700, "The method eth_getBlockReceipts does not exist/is not "
          "available", 1, 0 },
        { -32600, "Unsupported method: eth_foo", 1, 0 },
        { 0, "Method not found", 1, 0 },
        { -32700, "parse error", 0, 0 },
        { -32004, "Block not available for slot 5", 0, 0 },
        { 3, "execution reverted: method unknown, you are banned", 0, 0 },
        { -32001, "rate limited", 0, 1 },
        { -32002, "banned", 0, 1 },
        { -32005, "limit exceeded", 0, 1 },
        { -32005, "Node is behind by 42 slots", 0, 0 },
        { -32001, "Resource not found", 0, 0 },
        { -32007, "Slot 5 was skipped", 0, 0 },
        { -32000, "Too Many Requests", 0, 1 },
        { 429, "x", 0, 1 },
        { 0, "Your app has exceeded its compute units per second capacity: "
          "rate limit", 0, 1 },
        { -28, "Loading block index...", 0, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(bc_jsonrpc_is_missing(cases[i].code != 0, cases[i].code,
                                 (const uint8_t *) cases[i].message,
                                 strlen(cases[i].message)),
           cases[i].missing, "a method that is missing: %s",
           cases[i].message);
        is(bc_jsonrpc_is_limit(cases[i].code != 0, cases[i].code,
                               (const uint8_t *) cases[i].message,
                               strlen(cases[i].message)),
           cases[i].limit, "a limit: %s", cases[i].message);
    }
}


static void
large(void)
{
    char    *text;
    size_t   n;

    /* a megabyte of result is found where it is, not copied */

    text = malloc(1100000);
    n = (size_t) sprintf(text, "{\"jsonrpc\":\"2.0\",\"result\":[");

    while (n < 1048576) {
        n += (size_t) sprintf(text + n, "{\"n\":[%zu,\"\\\"]}\"]},", n);
    }

    n--;
    n += (size_t) sprintf(text + n, "],\"id\":12}");

    is(bc_jsonrpc_parse((uint8_t *) text, n, 12, 0,
                        &reply), 0, "a large reply");
    ok(reply.ok && reply.result.data == (uint8_t *) text + 26
       && reply.result.len == n - 26 - 9, "its result is all of it");

    free(text);
}


static void
build(void)
{
    char    *text;
    size_t   len;

    is(bc_jsonrpc_build(&text, &len, 7, "net.peers", NULL), 0, "no params");
    is_mem(text, len, "{\"jsonrpc\":\"2.0\",\"id\":7,\"method\":\"net.peers\"}",
           "the request");
    is(text[len], 0, "terminated");
    free(text);

    is(bc_jsonrpc_build(&text, &len, UINT64_MAX, "a\"b\n\xff",
                    "{\"limit\":100}"), 0, "params and an odd method");
    is_mem(text, len, "{\"jsonrpc\":\"2.0\",\"id\":18446744073709551615,"
           "\"method\":\"a\\\"b\\n\xef\xbf\xbd\",\"params\":{\"limit\":100}}",
           "the request");
    is(bc_json_check((uint8_t *) text, len, 2, NULL), 0, "is JSON");
    free(text);
}


int
main(void)
{
    results();
    errors();
    long_message();
    refusals();
    dialects();
    documents();
    batches();
    meanings();
    large();
    build();

    parse("", 0);

    return unit_done();
}
