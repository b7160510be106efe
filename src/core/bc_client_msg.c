
/*
 * Copyright (C) the blockcast authors
 */

#include <stdlib.h>
#include <string.h>

#include "bc_client_msg.h"


static int
bc_client_msg_is(const bc_client_msg_t *m, const char *name)
{
    return m->name_len == strlen(name)
           && memcmp(m->name, name, m->name_len) == 0;
}


/* true when the value is a string; its text, or the beginning, is in m->name */

static int
bc_client_msg_name(bc_client_msg_t *m, bc_span_t value)
{
    m->name_len = 0;

    return bc_json_string(value, m->name, BC_CLIENT_MSG_NAME,
                          &m->name_len) != -1;
}


/* the members that say how a stream is to be sent; data NULL: there is none */

static void
bc_client_msg_option(bc_client_msg_t *m, bc_span_t delta, bc_span_t value)
{
    char    text[64], *end;
    double  n;

    if (delta.data != NULL) {
        m->delta = (delta.len == 4 && memcmp(delta.data, "true", 4) == 0);
    }

    if (value.data == NULL
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
bc_client_msg_begin(bc_client_msg_t *m, const uint8_t *p, size_t len,
    bc_span_t *message, bc_json_iter_t *it)
{
    memset(m, 0, sizeof(bc_client_msg_t));

    if (bc_json_check(p, len, BC_CLIENT_MSG_DEPTH, NULL) != 0) {
        m->what = BC_CLIENT_MSG_INVALID;
        return -1;
    }

    message->data = p;
    message->len = len;

    if (bc_json_object(it, *message) == 0) {
        return 0;
    }

    m->what = (bc_json_array(it, *message) == 0) ? BC_CLIENT_MSG_BATCH
                                                 : BC_CLIENT_MSG_WRONG;
    return -1;
}


/* -1: it is too long to be sent back */

static int
bc_client_msg_id(bc_client_msg_t *m, bc_span_t id)
{
    if (id.len > BC_CLIENT_MSG_ID) {
        m->what = BC_CLIENT_MSG_LONG_ID;
        return -1;
    }

    m->id = id;

    return 0;
}


void
bc_client_msg_parse(bc_client_msg_t *m, const uint8_t *p, size_t len)
{
    bc_span_t       message, value[6];
    bc_json_iter_t  it;

    static const char *const  names[] = {
        "id", "type", "delta", "since", "stream", "streams"
    };

    if (bc_client_msg_begin(m, p, len, &message, &it) != 0) {

        if (m->what == BC_CLIENT_MSG_BATCH) {
            m->what = BC_CLIENT_MSG_WRONG;
        }

        return;
    }

    bc_json_members(message, names, value, 6);

    if (bc_client_msg_id(m, value[0]) != 0) {
        return;
    }

    if (value[1].data == NULL || !bc_client_msg_name(m, value[1])) {
        m->what = BC_CLIENT_MSG_UNTYPED;
        return;
    }

    m->what = bc_client_msg_is(m, "ping") ? BC_CLIENT_MSG_PING
              : bc_client_msg_is(m, "subscribe") ? BC_CLIENT_MSG_SUBSCRIBE
              : bc_client_msg_is(m, "unsubscribe") ? BC_CLIENT_MSG_UNSUBSCRIBE
              : BC_CLIENT_MSG_UNKNOWN;

    if (m->what == BC_CLIENT_MSG_SUBSCRIBE) {
        bc_client_msg_option(m, value[2], value[3]);
    }

    /* a "stream" that is no string is as good as none */

    if (value[4].len != 0 && value[4].data[0] == '"') {
        m->stream = value[4];
    }

    if (value[5].data != NULL) {
        (void) bc_json_array(&m->streams, value[5]);
    }
}


int
bc_client_msg_stream(bc_client_msg_t *m)
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

    return bc_client_msg_name(m, value) ? 1 : -1;
}


void
bc_client_msg_request(bc_client_msg_t *m, const uint8_t *p, size_t len)
{
    size_t          space;
    bc_span_t       message, key, value[4], wish[3];
    bc_json_iter_t  it;

    static const char *const  names[] = { "id", "jsonrpc", "method", "params" };
    static const char *const  wishes[] = { "delta", "since", "stream" };

    if (bc_client_msg_begin(m, p, len, &message, &it) != 0) {
        return;
    }

    bc_json_members(message, names, value, 4);

    if (bc_client_msg_id(m, value[0]) != 0) {
        return;
    }

    m->what = BC_CLIENT_MSG_WRONG;

    if (value[1].data == NULL
        || !bc_client_msg_name(m, value[1])
        || !bc_client_msg_is(m, "2.0")
        || value[2].data == NULL
        || !bc_client_msg_name(m, value[2]))
    {
        return;
    }

    m->params = value[3];

    if (bc_client_msg_is(m, "web3_clientVersion")) {
        m->what = BC_CLIENT_MSG_VERSION;
        return;
    }

    space = (m->name_len > 4 && memcmp(m->name, "eth_", 4) == 0) ? 4
            : (m->name_len > 10 && memcmp(m->name, "blockcast_", 10) == 0) ? 10
            : 0;

#define bc_client_msg_method(s)                                               \
    (m->name_len - space == sizeof(s) - 1                                     \
     && memcmp(m->name + space, s, sizeof(s) - 1) == 0)

    m->what = bc_client_msg_method("subscribe") ? BC_CLIENT_MSG_SUBSCRIBE
              : bc_client_msg_method("unsubscribe") ? BC_CLIENT_MSG_UNSUBSCRIBE
              : bc_client_msg_method("ping") ? BC_CLIENT_MSG_PING
              : bc_client_msg_method("streams") ? BC_CLIENT_MSG_STREAMS
              : BC_CLIENT_MSG_UNKNOWN;

    if (m->what != BC_CLIENT_MSG_SUBSCRIBE || m->params.len == 0) {
        return;
    }

    if (bc_json_array(&it, m->params) == 0) {

        if (bc_json_next(&it, &key, &m->stream)
            && bc_json_next(&it, &key, &value[0]))
        {
            bc_json_members(value[0], wishes, wish, 2);
            bc_client_msg_option(m, wish[0], wish[1]);
        }

        return;
    }

    bc_json_members(m->params, wishes, wish, 3);
    bc_client_msg_option(m, wish[0], wish[1]);

    m->stream = wish[2];
}


int
bc_client_msg_subscription(const bc_client_msg_t *m, uint64_t *id)
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
