
/*
 * Copyright (C) the blockcast authors
 */

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bc_client_msg.h"
#include "bc_json_scan.h"


/* shorter messages are copied to the stack (bytes) */

#define BC_CLIENT_MSG_SHORT   1024

/* how much of a string is read (bytes, with escapes): enough for a name */

#define BC_CLIENT_MSG_STRING  (6 * BC_CLIENT_MSG_NAME + 12)

/* cJSON reads no number whose text is longer than this */

#define BC_CLIENT_MSG_NUMBER  63


/* Returns 1 when the name that was read last is this one. */

static int
bc_client_msg_is(const bc_client_msg_t *m, const char *name)
{
    return m->name_len == strlen(name)
           && memcmp(m->name, name, m->name_len) == 0;
}


/*
 * Copies a string, or its first BC_CLIENT_MSG_NAME bytes in whole characters,
 * to m->name.  Returns 0 when the value is not a string; m->name is empty
 * then.
 */

static int
bc_client_msg_name(bc_client_msg_t *m, const cJSON *value)
{
    size_t  len;

    m->name_len = 0;

    if (!cJSON_IsString(value)) {
        return 0;
    }

    len = strlen(value->valuestring);

    if (len > BC_CLIENT_MSG_NAME) {
        len = BC_CLIENT_MSG_NAME;

        while (len != 0 && ((uint8_t) value->valuestring[len] & 0xc0) == 0x80)
        {
            len--;
        }
    }

    memcpy(m->name, value->valuestring, len);
    m->name_len = len;

    return 1;
}


/* Reads "history" of a subscribe's options: true, or the name of a range. */

static void
bc_client_msg_history(bc_client_msg_t *m, const cJSON *history)
{
    size_t  len;

    if (history == NULL || cJSON_IsNull(history) || cJSON_IsFalse(history)) {
        return;
    }

    m->has_history = 1;

    if (cJSON_IsTrue(history)) {
        return;
    }

    len = cJSON_IsString(history) ? strlen(history->valuestring) : 0;

    if (len == 0 || len > BC_CLIENT_MSG_RANGE) {
        m->bad_history = 1;
        return;
    }

    memcpy(m->range, history->valuestring, len);
    m->range_len = len;
}


/* Reads "epoch", which may be a number or a string. */

static void
bc_client_msg_epoch(bc_client_msg_t *m, const cJSON *epoch)
{
    double  n;

    if (epoch == NULL || cJSON_IsNull(epoch)) {
        return;
    }

    if (!cJSON_IsString(epoch)) {
        n = cJSON_IsNumber(epoch) ? epoch->valuedouble : -1;

        /* the largest epoch, as a double, is 2^64 */

        if (!(n >= 0 && n <= 18446744073709551616.0)
            || (n < 9007199254740992.0 && n != (double) (uint64_t) n))
        {
            m->bad_epoch = 1;
            return;
        }
    }

    m->epoch = epoch;
}


int
bc_client_msg_is_epoch(const bc_client_msg_t *m, uint64_t epoch)
{
    char  text[24];

    if (m->epoch == NULL) {
        return 1;
    }

    if (cJSON_IsNumber(m->epoch)) {
        return m->epoch->valuedouble == (double) epoch;
    }

    snprintf(text, sizeof(text), "%" PRIu64, epoch);

    return strcmp(m->epoch->valuestring, text) == 0;
}


/* Reads "delta", "history", "since" and "epoch" of a subscribe's options. */

static void
bc_client_msg_options(bc_client_msg_t *m, const cJSON *options)
{
    double        n;
    const cJSON  *since;

    bc_client_msg_epoch(m, cJSON_GetObjectItemCaseSensitive(options,
                                                            "epoch"));

    m->delta = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(options,
                                                             "delta"));
    since = cJSON_GetObjectItemCaseSensitive(options, "since");

    bc_client_msg_history(m, cJSON_GetObjectItemCaseSensitive(options,
                                                              "history"));

    if (since == NULL || cJSON_IsNull(since)) {
        return;
    }

    n = cJSON_IsNumber(since) ? since->valuedouble : -1;

    /* a double holds every seq up to this one exactly */

    if (!(n >= 0 && n <= 9007199254740991.0) || n != (double) (uint64_t) n) {
        m->bad_since = 1;
        return;
    }

    m->has_since = 1;
    m->since = (uint64_t) n;
}


/* Returns the UTF-16 unit of the escape \uXXXX at p, or -1 without one. */

static int
bc_client_msg_unit(const uint8_t *p, const uint8_t *last)
{
    int  i, unit;

    if (last - p < 6 || p[0] != '\\' || p[1] != 'u') {
        return -1;
    }

    unit = 0;

    for (i = 2; i < 6; i++) {
        unit = unit * 16 + (bc_json_hex(p[i]) & 0x0f);
    }

    return unit;
}


/*
 * Copies the escape sequence at p, and that of the second half of a surrogate
 * pair, to dst.  \u0000, at which cJSON ends a string, becomes \u0001: no name
 * has either.  A lone surrogate, which cJSON refuses, becomes U+FFFD, as in
 * bc_json_string().  Returns the number of bytes, the same for both.
 */

static size_t
bc_client_msg_escape(char *dst, const uint8_t *p, const uint8_t *last)
{
    int     unit, next;
    size_t  len;

    unit = bc_client_msg_unit(p, last);

    if (unit == -1) {
        len = (last - p < 2) ? 1 : 2;
        memcpy(dst, p, len);
        return len;
    }

    if (unit == 0) {
        memcpy(dst, "\\u0001", 6);
        return 6;
    }

    if (unit >= 0xd800 && unit <= 0xdfff) {
        next = bc_client_msg_unit(p + 6, last);

        if (unit >= 0xdc00 || next < 0xdc00 || next > 0xdfff) {
            memcpy(dst, "\\ufffd", 6);
            return 6;
        }

        memcpy(dst, p, 12);
        return 12;
    }

    memcpy(dst, p, 6);
    return 6;
}


/*
 * Copies a checked text to dst, which has room for len bytes, in a form that
 * cJSON reads correctly: see bc_client_msg_escape().  A number that is too
 * long for cJSON becomes -1, which is not a seq.  Only the beginning of a long
 * string is copied.  ("id" may be anything: it is sent back from the original
 * text.)
 *
 * Returns the length, or 0 when there are more than BC_CLIENT_MSG_VALUES
 * values, each of which follows a bracket or a comma, or is the only one.
 */

static size_t
bc_client_msg_copy(char *dst, const uint8_t *p, size_t len)
{
    int             quoted;
    char           *start, *string;
    size_t          n, keep, values;
    const uint8_t  *last, *end;

    start = dst;
    string = dst;
    last = p + len;
    values = 1;
    quoted = 0;

    while (p < last) {

        if (*p == '\\') {
            n = bc_client_msg_escape(dst, p, last);
            p += n;

            if (dst - string < BC_CLIENT_MSG_STRING) {
                dst += n;
            }

            continue;
        }

        if (*p == '"') {
            quoted = !quoted;
            string = dst;

        } else if (quoted) {
            n = (size_t) (bc_json_skip_checked(p, last) - p);
            keep = n;

            if (dst - string + n > BC_CLIENT_MSG_STRING) {
                keep = (dst - string < BC_CLIENT_MSG_STRING)
                       ? (size_t) (string + BC_CLIENT_MSG_STRING - dst) : 0;

                while (keep != 0 && (p[keep] & 0xc0) == 0x80) {
                    keep--;
                }
            }

            memcpy(dst, p, keep);
            dst += keep;
            p += n;
            continue;

        } else if (*p == ',' || *p == '[' || *p == '{') {

            if (++values > BC_CLIENT_MSG_VALUES) {
                return 0;
            }

        } else if (*p == '-' || bc_json_is_digit(*p)) {

            for (end = p + 1; end < last; end++) {
                if (!bc_json_is_digit(*end) && *end != '.' && *end != '+'
                    && *end != '-' && (*end | 0x20) != 'e')
                {
                    break;
                }
            }

            n = (size_t) (end - p);

            if (n > BC_CLIENT_MSG_NUMBER) {
                memcpy(dst, "-1", 2);
                dst += 2;

            } else {
                memcpy(dst, p, n);
                dst += n;
            }

            p = end;
            continue;
        }

        *dst++ = (char) *p++;
    }

    return (size_t) (dst - start);
}


/*
 * Makes m->tree from a checked text.  Returns -1 with m->what set on failure.
 */

static int
bc_client_msg_tree(bc_client_msg_t *m, const uint8_t *p, size_t len)
{
    char    text[BC_CLIENT_MSG_SHORT], *copy;
    size_t  n;

    copy = (len > sizeof(text)) ? malloc(len) : text;

    if (copy == NULL) {
        m->what = BC_CLIENT_MSG_NO_MEMORY;
        return -1;
    }

    n = bc_client_msg_copy(copy, p, len);

    if (n != 0) {
        m->tree = cJSON_ParseWithLength(copy, n);
    }

    if (copy != text) {
        free(copy);
    }

    if (m->tree == NULL) {
        m->what = (n == 0) ? BC_CLIENT_MSG_LARGE : BC_CLIENT_MSG_NO_MEMORY;
        return -1;
    }

    return 0;
}


/*
 * Reads an object: m->id and m->tree.  Returns 0, or -1 when it is not one or
 * is refused: m->what says why.
 */

static int
bc_client_msg_begin(bc_client_msg_t *m, const uint8_t *p, size_t len)
{
    bc_span_t       message, id;
    bc_json_iter_t  it;

    memset(m, 0, sizeof(bc_client_msg_t));

    if (bc_json_check(p, len, BC_CLIENT_MSG_DEPTH, NULL) != 0) {
        m->what = BC_CLIENT_MSG_INVALID;
        return -1;
    }

    message.data = p;
    message.len = len;

    if (bc_json_object(&it, message) != 0) {
        m->what = (bc_json_array(&it, message) == 0) ? BC_CLIENT_MSG_BATCH
                                                     : BC_CLIENT_MSG_WRONG;
        return -1;
    }

    if (bc_json_member(message, "id", &id)) {

        if (id.len > BC_CLIENT_MSG_ID) {
            m->what = BC_CLIENT_MSG_LONG_ID;
            return -1;
        }

        m->id = id;
    }

    return bc_client_msg_tree(m, p, len);
}


void
bc_client_msg_parse(bc_client_msg_t *m, const uint8_t *p, size_t len)
{
    const cJSON  *stream, *streams;

    if (bc_client_msg_begin(m, p, len) != 0) {

        if (m->what == BC_CLIENT_MSG_BATCH) {
            m->what = BC_CLIENT_MSG_WRONG;
        }

        return;
    }

    if (!bc_client_msg_name(m, cJSON_GetObjectItemCaseSensitive(m->tree,
                                                                "type")))
    {
        m->what = BC_CLIENT_MSG_UNTYPED;
        return;
    }

    m->what = bc_client_msg_is(m, "ping") ? BC_CLIENT_MSG_PING
              : bc_client_msg_is(m, "subscribe") ? BC_CLIENT_MSG_SUBSCRIBE
              : bc_client_msg_is(m, "unsubscribe") ? BC_CLIENT_MSG_UNSUBSCRIBE
              : BC_CLIENT_MSG_UNKNOWN;

    if (m->what == BC_CLIENT_MSG_SUBSCRIBE) {
        bc_client_msg_options(m, m->tree);
    }

    /* ignore a "stream" that is not a string */

    stream = cJSON_GetObjectItemCaseSensitive(m->tree, "stream");
    m->stream = cJSON_IsString(stream) ? stream : NULL;

    streams = cJSON_GetObjectItemCaseSensitive(m->tree, "streams");
    m->streams = cJSON_IsArray(streams) ? streams->child : NULL;
}


int
bc_client_msg_stream(bc_client_msg_t *m)
{
    const cJSON  *value;

    if (m->stream != NULL) {
        value = m->stream;
        m->stream = NULL;

    } else if (m->streams != NULL) {
        value = m->streams;
        m->streams = value->next;

    } else {
        return 0;
    }

    return bc_client_msg_name(m, value) ? 1 : -1;
}


void
bc_client_msg_request(bc_client_msg_t *m, const uint8_t *p, size_t len)
{
    size_t        prefix;
    const cJSON  *params;

    if (bc_client_msg_begin(m, p, len) != 0) {
        return;
    }

    m->what = BC_CLIENT_MSG_WRONG;

    if (!bc_client_msg_name(m, cJSON_GetObjectItemCaseSensitive(m->tree,
                                                                "jsonrpc"))
        || !bc_client_msg_is(m, "2.0")
        || !bc_client_msg_name(m, cJSON_GetObjectItemCaseSensitive(m->tree,
                                                                   "method")))
    {
        return;
    }

    params = cJSON_GetObjectItemCaseSensitive(m->tree, "params");
    m->params = params;

    if (bc_client_msg_is(m, "web3_clientVersion")) {
        m->what = BC_CLIENT_MSG_VERSION;
        return;
    }

    prefix = (m->name_len > 4 && memcmp(m->name, "eth_", 4) == 0) ? 4
             : (m->name_len > 10 && memcmp(m->name, "blockcast_", 10) == 0)
               ? 10
             : 0;

#define bc_client_msg_method(s)                                               \
    (m->name_len - prefix == sizeof(s) - 1                                    \
     && memcmp(m->name + prefix, s, sizeof(s) - 1) == 0)

    m->what = bc_client_msg_method("subscribe") ? BC_CLIENT_MSG_SUBSCRIBE
              : bc_client_msg_method("unsubscribe") ? BC_CLIENT_MSG_UNSUBSCRIBE
              : bc_client_msg_method("ping") ? BC_CLIENT_MSG_PING
              : bc_client_msg_method("streams") ? BC_CLIENT_MSG_STREAMS
              : BC_CLIENT_MSG_UNKNOWN;

    if (m->what != BC_CLIENT_MSG_SUBSCRIBE) {
        return;
    }

    if (cJSON_IsArray(params)) {
        m->stream = params->child;

        if (m->stream != NULL && m->stream->next != NULL) {
            bc_client_msg_options(m, m->stream->next);
        }

        return;
    }

    m->stream = cJSON_GetObjectItemCaseSensitive(params, "stream");
    bc_client_msg_options(m, params);
}


int
bc_client_msg_subscription(const bc_client_msg_t *m, uint64_t *id)
{
    size_t        i, len;
    uint64_t      n;
    const char   *text;
    const cJSON  *value;

    *id = 0;

    value = cJSON_IsArray(m->params)
            ? m->params->child
            : cJSON_GetObjectItemCaseSensitive(m->params, "subscription");

    if (!cJSON_IsString(value)) {
        return -1;
    }

    text = value->valuestring;
    len = strlen(text);

    if (len < 3 || len > 18 || text[0] != '0' || text[1] != 'x') {
        return 0;
    }

    n = 0;

    for (i = 2; i < len; i++) {

        if (text[i] >= '0' && text[i] <= '9') {
            n = n * 16 + (uint64_t) (text[i] - '0');

        } else if (text[i] >= 'a' && text[i] <= 'f') {
            n = n * 16 + (uint64_t) (text[i] - 'a' + 10);

        } else {
            return 0;
        }
    }

    *id = n;

    return 0;
}


void
bc_client_msg_free(bc_client_msg_t *m)
{
    cJSON_Delete(m->tree);

    m->tree = NULL;
    m->params = NULL;
    m->stream = NULL;
    m->streams = NULL;
}
