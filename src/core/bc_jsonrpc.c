
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
static bc_span_t  bc_jsonrpc_trim(bc_span_t text);
static int  bc_jsonrpc_check(const uint8_t *p, size_t len,
    bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_envelope(bc_span_t text, bc_jsonrpc_envelope_t *env,
    bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_version(bc_span_t value, int mode,
    bc_jsonrpc_reply_t *reply);
static void  bc_jsonrpc_absent(bc_jsonrpc_envelope_t *env, int mode);
static int  bc_jsonrpc_read(bc_jsonrpc_envelope_t *env, uint64_t id,
    int mode, bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_id(bc_span_t value, uint64_t *id);
static int  bc_jsonrpc_check_id(bc_span_t value, uint64_t id, int mode,
    int is_error, bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_error(bc_span_t error, int mode,
    bc_jsonrpc_reply_t *reply);
static void  bc_jsonrpc_message(bc_span_t error, bc_span_t code, int mode,
    bc_jsonrpc_reply_t *reply);
static int  bc_jsonrpc_integer(bc_span_t value, int64_t *n);
static int  bc_jsonrpc_code(bc_span_t value, int64_t *n);
static int  bc_jsonrpc_is(bc_span_t value, const char *text);
static int  bc_jsonrpc_says(const uint8_t *p, size_t len,
    const char *const *words);
static void  bc_jsonrpc_print(char *dst, size_t size, const uint8_t *p,
    size_t len);


int
bc_jsonrpc_parse(const uint8_t *p, size_t len, uint64_t id, int mode,
    bc_jsonrpc_reply_t *reply)
{
    bc_span_t  text;

    if (bc_jsonrpc_check(p, len, reply) != 0) {
        return -1;
    }

    text.data = p;
    text.len = len;

    if (mode == BC_JSONRPC_DOCUMENT) {
        reply->ok = 1;
        reply->result = bc_jsonrpc_trim(text);
        return 0;
    }

    return bc_jsonrpc_batch_read(text, id, mode, reply);
}


int
bc_jsonrpc_document_error(const uint8_t *p, size_t len,
    bc_jsonrpc_reply_t *reply)
{
    bc_span_t  text, error;

    if (bc_jsonrpc_check(p, len, reply) != 0) {
        return -1;
    }

    text.data = p;
    text.len = len;
    text = bc_jsonrpc_trim(text);

    if (!bc_json_member(text, "error", &error)
        || (error.data[0] != '{' && error.data[0] != '"'))
    {
        error = text;
    }

    return bc_jsonrpc_error(error, BC_JSONRPC_ANY, reply);
}


int
bc_jsonrpc_batch_begin(bc_jsonrpc_batch_t *batch, const uint8_t *p,
    size_t len, int mode, bc_jsonrpc_reply_t *reply)
{
    if (bc_jsonrpc_check(p, len, reply) != 0) {
        return -1;
    }

    return bc_jsonrpc_batch_begin_checked(batch, p, len, mode, reply);
}


int
bc_jsonrpc_batch_begin_checked(bc_jsonrpc_batch_t *batch, const uint8_t *p,
    size_t len, int mode, bc_jsonrpc_reply_t *reply)
{
    bc_span_t              text;
    bc_jsonrpc_envelope_t  env;

    memset(reply, 0, sizeof(bc_jsonrpc_reply_t));

    text.data = p;
    text.len = len;

    if (bc_json_array(&batch->it, text) == 0) {
        return 0;
    }

    if (bc_jsonrpc_envelope(text, &env, reply) != 0
        || bc_jsonrpc_version(env.jsonrpc, mode, reply) != 0)
    {
        return -1;
    }

    bc_jsonrpc_absent(&env, mode);

    if (env.error.data == NULL) {
        return bc_jsonrpc_fail(reply, "one reply to a batch, and no error");
    }

    return (bc_jsonrpc_error(env.error, mode, reply) == 0) ? 1 : -1;
}


int
bc_jsonrpc_batch_next(bc_jsonrpc_batch_t *batch, bc_span_t *item,
    uint64_t *id)
{
    bc_span_t  key, value;

    if (!bc_json_next(&batch->it, &key, item)) {
        return 0;
    }

    if (!bc_json_member(*item, "id", &value)
        || bc_jsonrpc_id(value, id) != 0)
    {
        *id = 0;
    }

    return 1;
}


int
bc_jsonrpc_batch_read(bc_span_t item, uint64_t id, int mode,
    bc_jsonrpc_reply_t *reply)
{
    bc_jsonrpc_envelope_t  env;

    memset(reply, 0, sizeof(bc_jsonrpc_reply_t));

    if (bc_jsonrpc_envelope(item, &env, reply) != 0
        || bc_jsonrpc_version(env.jsonrpc, mode, reply) != 0)
    {
        return -1;
    }

    bc_jsonrpc_absent(&env, mode);

    return bc_jsonrpc_read(&env, id, mode, reply);
}


/* Returns a text without the white space around it. */

static bc_span_t
bc_jsonrpc_trim(bc_span_t text)
{
    while (text.len != 0 && text.data[0] <= ' ') {
        text.data++;
        text.len--;
    }

    while (text.len != 0 && text.data[text.len - 1] <= ' ') {
        text.len--;
    }

    return text;
}


static int
bc_jsonrpc_check(const uint8_t *p, size_t len, bc_jsonrpc_reply_t *reply)
{
    size_t       off;
    const char  *why;

    memset(reply, 0, sizeof(bc_jsonrpc_reply_t));

    if (bc_json_check_why(p, len, BC_JSONRPC_MAX_DEPTH, &off, &why) != 0) {
        return bc_jsonrpc_not_json(p, len, off, why, reply);
    }

    return 0;
}


static int
bc_jsonrpc_version(bc_span_t value, int mode, bc_jsonrpc_reply_t *reply)
{
    if (mode != BC_JSONRPC_STRICT) {
        return 0;
    }

    if (value.data == NULL) {
        return bc_jsonrpc_fail(reply, "the member \"jsonrpc\" is missing");
    }

    if (!bc_jsonrpc_is(value, "\"2.0\"")) {
        return bc_jsonrpc_fail(reply, "jsonrpc is not \"2.0\"");
    }

    return 0;
}


/* Drops the member that means nothing: JSON-RPC 1.0 replies have both. */

static void
bc_jsonrpc_absent(bc_jsonrpc_envelope_t *env, int mode)
{
    if (env->error.data != NULL
        && (bc_jsonrpc_is(env->error, "null")
            || (mode != BC_JSONRPC_STRICT
                && bc_jsonrpc_is(env->error, "false")))
        && env->result.data != NULL)
    {
        env->error.data = NULL;
    }

    if (env->result.data != NULL && bc_jsonrpc_is(env->result, "null")
        && env->error.data != NULL)
    {
        env->result.data = NULL;
    }
}


static int
bc_jsonrpc_read(bc_jsonrpc_envelope_t *env, uint64_t id, int mode,
    bc_jsonrpc_reply_t *reply)
{
    if (env->result.data != NULL && env->error.data != NULL) {
        return bc_jsonrpc_fail(reply, "both result and error");
    }

    if (env->result.data == NULL
        && (env->error.data == NULL || bc_jsonrpc_is(env->error, "null")))
    {
        return bc_jsonrpc_fail(reply, "neither result nor error");
    }

    if (bc_jsonrpc_check_id(env->id, id, mode, env->error.data != NULL,
                            reply)
        != 0)
    {
        return -1;
    }

    if (env->error.data != NULL) {
        return bc_jsonrpc_error(env->error, mode, reply);
    }

    reply->ok = 1;
    reply->result = env->result;

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
 * Names the usual reasons for a body that is not a reply, in words that help a
 * reader of the log.
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

        /* include the quotes around the key, which are in the text */

        key.data--;
        key.len += 2;

        if (bc_json_string(key, name, sizeof(name), &n) != 0) {
            /* longer than any name that is read */
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


/*
 * Reads an id as one of ours: an integer from 0, also in a string, or as
 * written by languages whose only numbers are doubles ("7.0").
 */

static int
bc_jsonrpc_id(bc_span_t value, uint64_t *id)
{
    size_t    i, len;
    uint64_t  n;

    if (value.len > 2 && value.data[0] == '"') {
        value.data++;
        value.len -= 2;
    }

    len = value.len;

    while (len > 1 && value.data[len - 1] == '0'
           && memchr(value.data, '.', value.len) != NULL)
    {
        len--;
    }

    if (len > 1 && value.data[len - 1] == '.') {
        len--;
    }

    if (len > 20 || (len > 1 && value.data[0] == '0')) {
        return -1;
    }

    n = 0;

    for (i = 0; i < len; i++) {

        if (value.data[i] < '0' || value.data[i] > '9'
            || n > UINT64_MAX / 10
            || n * 10 > UINT64_MAX - (uint64_t) (value.data[i] - '0'))
        {
            return -1;
        }

        n = n * 10 + (uint64_t) (value.data[i] - '0');
    }

    *id = n;

    return (len != 0) ? 0 : -1;
}


static int
bc_jsonrpc_check_id(bc_span_t value, uint64_t id, int mode, int is_error,
    bc_jsonrpc_reply_t *reply)
{
    char      expected[sizeof("18446744073709551615")], got[48];
    uint64_t  n;

    if (value.data == NULL) {
        if (is_error && mode != BC_JSONRPC_STRICT) {
            return 0;
        }

        return bc_jsonrpc_fail(reply, "the member \"id\" is missing");
    }

    if (is_error
        && (bc_jsonrpc_is(value, "null")
            || (mode != BC_JSONRPC_STRICT && bc_jsonrpc_is(value, "\"\""))))
    {
        return 0;
    }

    snprintf(expected, sizeof(expected), "%" PRIu64, id);

    if (bc_jsonrpc_is(value, expected)) {
        return 0;
    }

    if (mode != BC_JSONRPC_STRICT
        && bc_jsonrpc_id(value, &n) == 0 && n == id)
    {
        return 0;
    }

    bc_jsonrpc_print(got, sizeof(got), value.data, value.len);

    snprintf(reply->message, sizeof(reply->message),
             "the id is %s, expected %s", got, expected);

    return -1;
}


static int
bc_jsonrpc_error(bc_span_t error, int mode, bc_jsonrpc_reply_t *reply)
{
    bc_span_t  code;

    code.data = NULL;
    code.len = 0;

    if (mode == BC_JSONRPC_STRICT) {

        if (error.data[0] != '{') {
            return bc_jsonrpc_fail(reply, "the error is not an object");
        }

        if (!bc_json_member(error, "code", &code)) {
            return bc_jsonrpc_fail(reply, "the error has no code");
        }

        if (bc_jsonrpc_integer(code, &reply->code) != 0) {
            return bc_jsonrpc_fail(reply,
                                   "the error's code is not an integer");
        }

        code.data = NULL;
        reply->has_code = 1;

    } else if (error.data[0] != '{'
               || !bc_json_member(error, "code", &code))
    {
        code.data = NULL;

    } else if (bc_jsonrpc_code(code, &reply->code) == 0) {
        reply->has_code = 1;
        code.data = NULL;
    }

    reply->rpc_error = 1;

    bc_jsonrpc_message(error, code, mode, reply);

    return 0;
}


/*
 * Writes the text of an error: its message, a member like it, or the whole
 * error.  A code that is not a number (code.data is not NULL) comes first.
 */

static void
bc_jsonrpc_message(bc_span_t error, bc_span_t code, int mode,
    bc_jsonrpc_reply_t *reply)
{
    size_t     i, n, len, most;
    uint8_t    buf[sizeof(reply->message)];
    bc_span_t  value;

    static const char *const  names[] = { "message", "msg", "error",
                                          "description", "data" };

    n = 0;
    most = (mode == BC_JSONRPC_STRICT) ? 1 : sizeof(names) / sizeof(names[0]);

    if (code.data != NULL && bc_json_string(code, buf, 64, &n) == -1) {

        /* null, or anything else that is not a string */

        n = (code.len < 64) ? code.len : 0;
        n = bc_jsonrpc_is(code, "null") ? 0 : n;
        memcpy(buf, code.data, n);
    }

    if (n != 0) {
        buf[n++] = ':';
        buf[n++] = ' ';
    }

    if (error.data[0] == '"') {
        (void) bc_json_string(error, buf + n, sizeof(buf) - n, &len);

    } else if (error.data[0] == '{') {
        len = 0;

        for (i = 0; i < most; i++) {
            if (bc_json_member(error, names[i], &value)
                && bc_json_string(value, buf + n, sizeof(buf) - n, &len) != -1
                && (len != 0 || i == 0))
            {
                break;
            }
        }

        if (i == most) {

            /* it violates the specification (5.1), but the code says enough */

            len = (size_t) snprintf((char *) buf + n, sizeof(buf) - n,
                                    "no message");
        }

    } else {
        len = (error.len < sizeof(buf) - n) ? error.len : sizeof(buf) - n;
        memcpy(buf + n, error.data, len);
    }

    bc_jsonrpc_print(reply->message, sizeof(reply->message), buf, n + len);
}


/* Reads an integer of up to 18 digits, which fits into any int64_t. */

static int
bc_jsonrpc_integer(bc_span_t value, int64_t *n)
{
    int      minus;
    size_t   i;
    int64_t  v;

    i = 0;
    v = 0;
    minus = (value.data[0] == '-');

    if (minus) {
        i++;
    }

    if (i == value.len || value.len - i > 18) {
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


/* Reads an error's code, which may be in a string or written as a double. */

static int
bc_jsonrpc_code(bc_span_t value, int64_t *n)
{
    size_t  i;

    if (value.len > 2 && value.data[0] == '"') {
        value.data++;
        value.len -= 2;
    }

    for (i = value.len; i > 1 && value.data[i - 1] == '0'; i--) {
        /* void */
    }

    if (i > 1 && value.data[i - 1] == '.') {
        value.len = i - 1;
    }

    return bc_jsonrpc_integer(value, n);
}


int
bc_jsonrpc_is_missing(int has_code, int64_t code, const uint8_t *message,
    size_t len)
{
    static const char *const  method[] = { "method", NULL };
    static const char *const  missing[] = {
        "not found", "not supported", "unsupported", "not available",
        "does not exist", "doesn't exist", "not exist", "unknown",
        "not implemented", "unrecognized", "no such", NULL
    };

    if (has_code && code == -32601) {
        return 1;
    }

    /*
     * Other codes that nodes use for it: those of "parse error", "invalid
     * request", "not supported" and of any server error, or none.
     */

    return (!has_code || code == -32700 || code == -32600 || code == -32004
            || code == -32000)
           && bc_jsonrpc_says(message, len, method)
           && bc_jsonrpc_says(message, len, missing);
}


int
bc_jsonrpc_is_limit(int has_code, int64_t code, const uint8_t *message,
    size_t len)
{
    static const char *const  limit[] = {
        "rate limit", "rate-limit", "ratelimit", "rate exceeded",
        "limit exceeded", "limit reached", "exceeded the limit",
        "exceeds the limit", "request limit", "requests limit",
        "too many requests", "too many calls", "too many connections",
        "requests per second", "count exceeded", "capacity exceeded",
        "throttl", "quota", "banned", "slow down", NULL
    };

    if (has_code && code == 3) {

        /* the message of a contract */
        return 0;
    }

    return (has_code && code == 429) || bc_jsonrpc_says(message, len, limit);
}


/* Returns 1 when a text has one of the words, which are in lower case. */

static int
bc_jsonrpc_says(const uint8_t *p, size_t len, const char *const *words)
{
    size_t   i, j, n;
    uint8_t  c;

    for ( /* void */ ; *words != NULL; words++) {
        n = strlen(*words);

        for (i = 0; i + n <= len; i++) {

            for (j = 0; j < n; j++) {
                c = p[i + j];

                if (c >= 'A' && c <= 'Z') {
                    c |= 0x20;
                }

                if (c != (uint8_t) (*words)[j]) {
                    break;
                }
            }

            if (j == n) {
                return 1;
            }
        }
    }

    return 0;
}


static int
bc_jsonrpc_is(bc_span_t value, const char *text)
{
    return value.len == strlen(text)
           && memcmp(value.data, text, value.len) == 0;
}


/* Copies the printable part of a text, with a NUL after it. */

static void
bc_jsonrpc_print(char *dst, size_t size, const uint8_t *p, size_t len)
{
    dst[bc_text_print((uint8_t *) dst, size - 1, p, len)] = '\0';
}
