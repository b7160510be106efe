
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_json.h"
#include "bc_jsonrpc.h"
#include "bc_text.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>


typedef struct {
    bc_span_t  jsonrpc;
    bc_span_t  id;
    bc_span_t  result;
    bc_span_t  error;
} bc_jsonrpc_envelope_t;


static int  bc_jsonrpc_fail(bc_jsonrpc_reply_t *reply, const char *what);
static int  bc_jsonrpc_not_json(const uint8_t *p, size_t len, size_t off,
    const char *why, bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_envelope(bc_span_t text, bc_jsonrpc_envelope_t *env,
    bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_check_id(bc_span_t value, uint64_t id, int is_error,
    bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_error(bc_span_t error, bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_integer(bc_span_t value, long *n);
static int  bc_jsonrpc_is(bc_span_t value, const char *text);
static void  bc_jsonrpc_print(char *dst, size_t size, const uint8_t *p,
    size_t len);


int
bc_jsonrpc_parse(const uint8_t *p, size_t len, uint64_t id,
    bc_jsonrpc_reply_t *reply)
{
    size_t                  off;
    bc_span_t               text;
    const char             *why;
    bc_jsonrpc_envelope_t   env;

    memset(reply, 0, sizeof(bc_jsonrpc_reply_t));

    if (bc_json_check_why(p, len, BC_JSONRPC_MAX_DEPTH, &off, &why) != 0) {
        return bc_jsonrpc_not_json(p, len, off, why, reply);
    }

    text.data = p;
    text.len = len;

    if (bc_jsonrpc_envelope(text, &env, reply) != 0) {
        return -1;
    }

    if (env.jsonrpc.data == NULL) {
        return bc_jsonrpc_fail(reply, "the member \"jsonrpc\" is missing");
    }

    if (!bc_jsonrpc_is(env.jsonrpc, "\"2.0\"")) {
        return bc_jsonrpc_fail(reply, "jsonrpc is not \"2.0\"");
    }

    /* what servers that also speak JSON-RPC 1.0 add to both kinds of reply */

    if (env.error.data != NULL && bc_jsonrpc_is(env.error, "null")
        && env.result.data != NULL)
    {
        env.error.data = NULL;
    }

    if (env.result.data != NULL && bc_jsonrpc_is(env.result, "null")
        && env.error.data != NULL)
    {
        env.result.data = NULL;
    }

    if (env.result.data != NULL && env.error.data != NULL) {
        return bc_jsonrpc_fail(reply, "both result and error");
    }

    if (env.result.data == NULL
        && (env.error.data == NULL || bc_jsonrpc_is(env.error, "null")))
    {
        return bc_jsonrpc_fail(reply, "neither result nor error");
    }

    if (bc_jsonrpc_check_id(env.id, id, env.error.data != NULL, reply) != 0) {
        return -1;
    }

    if (env.error.data != NULL) {
        return bc_jsonrpc_error(env.error, reply);
    }

    reply->ok = 1;
    reply->result = env.result;

    return 0;
}


int
bc_jsonrpc_build(char **out, size_t *len, uint64_t id, const char *method,
    const char *params_json)
{
    char    *buf;
    int      n;
    size_t   method_len, size;

    method_len = strlen(method);

    size = sizeof("{\"jsonrpc\":\"2.0\",\"id\":,\"method\":\"\",\"params\":}")
           + sizeof("18446744073709551615")
           + bc_json_escape_len((const uint8_t *) method, method_len)
           + (params_json != NULL ? strlen(params_json) : 0);

    buf = malloc(size);
    if (buf == NULL) {
        return -1;
    }

    n = snprintf(buf, size, "{\"jsonrpc\":\"2.0\",\"id\":%" PRIu64
                 ",\"method\":\"", id);

    *len = (size_t) (bc_json_escape((uint8_t *) buf + n,
                                    (const uint8_t *) method, method_len)
                     - (uint8_t *) buf);

    if (params_json != NULL) {
        n = snprintf(buf + *len, size - *len, "\",\"params\":%s}",
                     params_json);

    } else {
        n = snprintf(buf + *len, size - *len, "\"}");
    }

    *len += (size_t) n;
    *out = buf;

    return 0;
}


static int
bc_jsonrpc_fail(bc_jsonrpc_reply_t *reply, const char *what)
{
    snprintf(reply->message, sizeof(reply->message), "%s", what);

    return -1;
}


/*
 * Names the usual reasons for a body that is no reply, in words that help who
 * reads the log.
 */

static int
bc_jsonrpc_not_json(const uint8_t *p, size_t len, size_t off, const char *why,
    bc_jsonrpc_reply_t *reply)
{
    const char  *hint;

    if (len == 0) {
        return bc_jsonrpc_fail(reply, "not JSON: the body is empty");
    }

    hint = "";

    if (len > 1 && p[0] == 0x1f && p[1] == 0x8b) {
        hint = " (it is compressed with gzip)";

    } else if (off < len && p[off] == '<') {
        hint = " (it looks like HTML)";
    }

    snprintf(reply->message, sizeof(reply->message),
             "not JSON: %s at offset %zu%s", why, off, hint);

    return -1;
}


static int
bc_jsonrpc_envelope(bc_span_t text, bc_jsonrpc_envelope_t *env,
    bc_jsonrpc_reply_t *reply)
{
    size_t           i, n;
    uint8_t          name[sizeof("jsonrpc")];
    bc_span_t        key, value, *slot;
    bc_json_iter_t   it;

    static const struct {
        const char  *name;
        size_t       offset;
    } members[] = {
        { "jsonrpc", offsetof(bc_jsonrpc_envelope_t, jsonrpc) },
        { "id", offsetof(bc_jsonrpc_envelope_t, id) },
        { "result", offsetof(bc_jsonrpc_envelope_t, result) },
        { "error", offsetof(bc_jsonrpc_envelope_t, error) }
    };

    memset(env, 0, sizeof(bc_jsonrpc_envelope_t));

    if (bc_json_array(&it, text) == 0) {
        return bc_jsonrpc_fail(reply,
                               "an array (a batch), expected an object");
    }

    if (bc_json_object(&it, text) != 0) {
        return bc_jsonrpc_fail(reply, "not an object");
    }

    while (bc_json_next(&it, &key, &value)) {

        /* the quotes around the key are there, in the text */

        key.data--;
        key.len += 2;

        if (bc_json_string(key, name, sizeof(name), &n) != 0) {
            /* longer than any name of ours */
            continue;
        }

        for (i = 0; i < sizeof(members) / sizeof(members[0]); i++) {

            if (strlen(members[i].name) != n
                || memcmp(members[i].name, name, n) != 0)
            {
                continue;
            }

            slot = (bc_span_t *) ((char *) env + members[i].offset);

            if (slot->data != NULL) {
                snprintf(reply->message, sizeof(reply->message),
                         "the member \"%s\" occurs twice", members[i].name);
                return -1;
            }

            *slot = value;
        }
    }

    return 0;
}


static int
bc_jsonrpc_check_id(bc_span_t value, uint64_t id, int is_error,
    bc_jsonrpc_reply_t *reply)
{
    char  expected[sizeof("18446744073709551615")], got[48];

    if (value.data == NULL) {
        return bc_jsonrpc_fail(reply, "the member \"id\" is missing");
    }

    if (is_error && bc_jsonrpc_is(value, "null")) {
        return 0;
    }

    snprintf(expected, sizeof(expected), "%" PRIu64, id);

    if (bc_jsonrpc_is(value, expected)) {
        return 0;
    }

    bc_jsonrpc_print(got, sizeof(got), value.data, value.len);

    snprintf(reply->message, sizeof(reply->message),
             "the id is %s, expected %s", got, expected);

    return -1;
}


static int
bc_jsonrpc_error(bc_span_t error, bc_jsonrpc_reply_t *reply)
{
    size_t     len;
    uint8_t    buf[sizeof(reply->message)];
    bc_span_t  value;

    if (error.data[0] != '{') {
        return bc_jsonrpc_fail(reply, "the error is not an object");
    }

    if (!bc_json_member(error, "code", &value)) {
        return bc_jsonrpc_fail(reply, "the error has no code");
    }

    if (bc_jsonrpc_integer(value, &reply->code) != 0) {
        return bc_jsonrpc_fail(reply, "the error's code is not an integer");
    }

    reply->rpc_error = 1;

    if (!bc_json_member(error, "message", &value)
        || bc_json_string(value, buf, sizeof(buf), &len) == -1)
    {
        /* against the specification, but the code alone says enough */

        snprintf(reply->message, sizeof(reply->message), "no message");
        return 0;
    }

    bc_jsonrpc_print(reply->message, sizeof(reply->message), buf, len);

    return 0;
}


static int
bc_jsonrpc_integer(bc_span_t value, long *n)
{
    int      minus;
    long     v;
    size_t   i;

    i = 0;
    v = 0;
    minus = (value.data[0] == '-');

    if (minus) {
        i++;
    }

    if (i == value.len || value.len - i > 9) {
        /* JSON-RPC's codes have five digits, nine fit into any long */
        return -1;
    }

    for ( /* void */ ; i < value.len; i++) {
        if (value.data[i] < '0' || value.data[i] > '9') {
            return -1;
        }

        v = v * 10 + (value.data[i] - '0');
    }

    *n = minus ? -v : v;

    return 0;
}


static int
bc_jsonrpc_is(bc_span_t value, const char *text)
{
    return value.len == strlen(text)
           && memcmp(value.data, text, value.len) == 0;
}


/* Copies what can be shown of a text, with a NUL after it. */

static void
bc_jsonrpc_print(char *dst, size_t size, const uint8_t *p, size_t len)
{
    dst[bc_text_print((uint8_t *) dst, size - 1, p, len)] = '\0';
}
