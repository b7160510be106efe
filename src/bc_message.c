
/*
 * Copyright (C) the blockcast authors
 */

#include <stdlib.h>
#include <string.h>

#include "bc_message.h"


static int
bc_message_is(const bc_message_t *m, const char *name)
{
    return m->name_len == strlen(name)
           && memcmp(m->name, name, m->name_len) == 0;
}


/* true when the value is a string; its text, or the beginning, is in m->name */

static int
bc_message_name(bc_message_t *m, bc_span_t value)
{
    m->name_len = 0;

    return bc_json_string(value, m->name, BC_MESSAGE_NAME, &m->name_len) != -1;
}


/* the members of `object` that say how a stream is to be sent */

static void
bc_message_wish(bc_message_t *m, bc_span_t object)
{
    char       text[64], *end;
    double     n;
    bc_span_t  value;

    if (bc_json_member(object, "delta", &value)) {
        m->delta = (value.len == 4 && memcmp(value.data, "true", 4) == 0);
    }

    if (!bc_json_member(object, "since", &value)
        || (value.len == 4 && memcmp(value.data, "null", 4) == 0))
    {
        return;
    }

    m->bad_since = 1;

    if (value.len >= sizeof(text)) {
        return;
    }

    memcpy(text, value.data, value.len);
    text[value.len] = '\0';

    /* JSON's true, "1" and [1] are no numbers, nor are C's inf and 0x1 */

    if (text[0] != '-' && (text[0] < '0' || text[0] > '9')) {
        return;
    }

    n = strtod(text, &end);

    if (*end != '\0'
        || !(n >= 0 && n <= 9007199254740991.0)
        || n != (double) (uint64_t) n)
    {
        return;
    }

    m->bad_since = 0;
    m->has_since = 1;
    m->since = (uint64_t) n;
}


/* 0: an object, to be gone through by *it; -1: m->what says what it is */

static int
bc_message_begin(bc_message_t *m, const uint8_t *p, size_t len,
    bc_span_t *message, bc_json_iter_t *it)
{
    memset(m, 0, sizeof(bc_message_t));

    if (bc_json_check(p, len, BC_MESSAGE_DEPTH, NULL) != 0) {
        m->what = BC_MESSAGE_INVALID;
        return -1;
    }

    message->data = p;
    message->len = len;

    if (bc_json_object(it, *message) == 0) {
        return 0;
    }

    m->what = (bc_json_array(it, *message) == 0) ? BC_MESSAGE_BATCH
                                                 : BC_MESSAGE_WRONG;
    return -1;
}


void
bc_message_parse(bc_message_t *m, const uint8_t *p, size_t len)
{
    bc_span_t       message, value;
    bc_json_iter_t  it;

    if (bc_message_begin(m, p, len, &message, &it) != 0) {

        if (m->what == BC_MESSAGE_BATCH) {
            m->what = BC_MESSAGE_WRONG;
        }

        return;
    }

    if (!bc_json_member(message, "id", &m->id)) {
        m->id.len = 0;
    }

    if (!bc_json_member(message, "type", &value)
        || !bc_message_name(m, value))
    {
        m->what = BC_MESSAGE_UNTYPED;
        return;
    }

    m->what = bc_message_is(m, "ping") ? BC_MESSAGE_PING
              : bc_message_is(m, "subscribe") ? BC_MESSAGE_SUBSCRIBE
              : bc_message_is(m, "unsubscribe") ? BC_MESSAGE_UNSUBSCRIBE
              : BC_MESSAGE_UNKNOWN;

    if (m->what == BC_MESSAGE_SUBSCRIBE) {
        bc_message_wish(m, message);
    }

    /* a "stream" that is no string is as good as none */

    if (bc_json_member(message, "stream", &value)
        && value.len != 0 && value.data[0] == '"')
    {
        m->stream = value;
    }

    if (bc_json_member(message, "streams", &value)) {
        (void) bc_json_array(&m->streams, value);
    }
}


int
bc_message_stream(bc_message_t *m)
{
    bc_span_t  key, value;

    if (m->stream.len != 0) {
        value = m->stream;
        m->stream.len = 0;

    } else if (m->streams.pos == NULL
               || !bc_json_next(&m->streams, &key, &value))
    {
        return 0;
    }

    return bc_message_name(m, value) ? 1 : -1;
}


void
bc_message_request(bc_message_t *m, const uint8_t *p, size_t len)
{
    size_t          space;
    bc_span_t       message, value, key;
    bc_json_iter_t  it;

    if (bc_message_begin(m, p, len, &message, &it) != 0) {
        return;
    }

    if (!bc_json_member(message, "id", &m->id)) {
        m->id.len = 0;
    }

    m->what = BC_MESSAGE_WRONG;

    if (!bc_json_member(message, "jsonrpc", &value)
        || !bc_message_name(m, value)
        || !bc_message_is(m, "2.0")
        || !bc_json_member(message, "method", &value)
        || !bc_message_name(m, value))
    {
        return;
    }

    if (!bc_json_member(message, "params", &m->params)) {
        m->params.len = 0;
    }

    if (bc_message_is(m, "web3_clientVersion")) {
        m->what = BC_MESSAGE_VERSION;
        return;
    }

    space = (m->name_len > 4 && memcmp(m->name, "eth_", 4) == 0) ? 4
            : (m->name_len > 10 && memcmp(m->name, "blockcast_", 10) == 0) ? 10
            : 0;

#define bc_message_method(s)                                                  \
    (m->name_len - space == sizeof(s) - 1                                     \
     && memcmp(m->name + space, s, sizeof(s) - 1) == 0)

    m->what = bc_message_method("subscribe") ? BC_MESSAGE_SUBSCRIBE
              : bc_message_method("unsubscribe") ? BC_MESSAGE_UNSUBSCRIBE
              : bc_message_method("ping") ? BC_MESSAGE_PING
              : bc_message_method("streams") ? BC_MESSAGE_STREAMS
              : BC_MESSAGE_UNKNOWN;

    if (m->what != BC_MESSAGE_SUBSCRIBE || m->params.len == 0) {
        return;
    }

    if (bc_json_array(&it, m->params) == 0) {

        if (bc_json_next(&it, &key, &m->stream)
            && bc_json_next(&it, &key, &value))
        {
            bc_message_wish(m, value);
        }

        return;
    }

    if (bc_json_member(m->params, "stream", &value)) {
        m->stream = value;
    }

    bc_message_wish(m, m->params);
}


int
bc_message_subscription(const bc_message_t *m, uint64_t *id)
{
    size_t          i, len;
    uint8_t         text[24];
    uint64_t        n;
    bc_span_t       key, value;
    bc_json_iter_t  it;

    *id = 0;

    if (m->params.len == 0) {
        return -1;
    }

    if (bc_json_array(&it, m->params) == 0) {
        if (!bc_json_next(&it, &key, &value)) {
            return -1;
        }

    } else if (!bc_json_member(m->params, "subscription", &value)) {
        return -1;
    }

    switch (bc_json_string(value, text, sizeof(text), &len)) {

    case 0:
        break;

    case -1:
        return -1;

    default:
        return 0;
    }

    if (len < 3 || len > 18 || text[0] != '0' || text[1] != 'x') {
        return 0;
    }

    n = 0;

    for (i = 2; i < len; i++) {

        if (text[i] >= '0' && text[i] <= '9') {
            n = n * 16 + (text[i] - '0');

        } else if (text[i] >= 'a' && text[i] <= 'f') {
            n = n * 16 + (text[i] - 'a' + 10);

        } else {
            return 0;
        }
    }

    *id = n;

    return 0;
}
