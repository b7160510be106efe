
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
    rc = bc_jsonrpc_parse(p, len, id, &reply);

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

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(parse(cases[i].text, 9), -1, "refused: %s", cases[i].text);
        is_str(reply.message, cases[i].message, "the reason");
        ok(!reply.ok && !reply.rpc_error, "and nothing else");
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

    is(bc_jsonrpc_parse((uint8_t *) text, n, 12, &reply), 0, "a large reply");
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
    large();
    build();

    parse("", 0);

    return unit_done();
}
