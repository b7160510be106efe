
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_head_msg.h"
#include "bc_json.h"
#include "bc_jsonrpc.h"
#include "bc_text.h"

#include <string.h>


static int  bc_head_msg_is_null(bc_span_t value);


int
bc_head_msg_read(const uint8_t *p, size_t len, bc_head_msg_t *msg)
{
    bc_span_t       text, values[5], inner[2];
    bc_json_iter_t  it;

    static const char *const  names[] = { "id", "method", "params", "result",
                                          "error" };
    static const char *const  params[] = { "subscription", "result" };

    memset(msg, 0, sizeof(bc_head_msg_t));

    if (bc_json_check(p, len, BC_JSONRPC_MAX_DEPTH, NULL) != 0) {
        return -1;
    }

    text.data = p;
    text.len = len;

    if (bc_json_object(&it, text) != 0) {
        return 0;
    }

    bc_json_members(text, names, values, 5);

    if (!bc_head_msg_is_null(values[0])) {
        msg->id = values[0];
    }

    if (!bc_head_msg_is_null(values[1])) {
        msg->kind = BC_HEAD_MSG_CALL;

        if (values[2].data != NULL && bc_json_object(&it, values[2]) == 0) {
            bc_json_members(values[2], params, inner, 2);

            msg->subscription = inner[0];
            msg->result = inner[1];
        }

        return 0;
    }

    if (!bc_head_msg_is_null(values[4])) {
        msg->error = values[4];

    } else {
        msg->result = values[3];
    }

    if (msg->id.data != NULL
        || msg->error.data != NULL)
    {
        msg->kind = BC_HEAD_MSG_REPLY;
    }

    return 0;
}


static int
bc_head_msg_is_null(bc_span_t value)
{
    return value.data == NULL
           || (value.len == 4 && memcmp(value.data, "null", 4) == 0);
}


int
bc_head_msg_same(bc_span_t a, bc_span_t b)
{
    return a.data != NULL && b.data != NULL && a.len == b.len
           && memcmp(a.data, b.data, a.len) == 0;
}


void
bc_head_msg_error(bc_span_t error, char *dst, size_t size)
{
    size_t     n, len;
    uint8_t    text[128];
    bc_span_t  values[2];

    static const char *const  names[] = { "code", "message" };

    n = 0;
    memset(values, 0, sizeof(values));

    bc_json_members(error, names, values, 2);

    if (values[0].data != NULL) {
        n = bc_text_print((uint8_t *) dst, size - 1, values[0].data,
                          values[0].len);

        if (n < size - 1) {
            dst[n++] = ' ';
        }
    }

    if (values[1].data != NULL
        && bc_json_string(values[1], text, sizeof(text), &len) != -1)
    {
        n += bc_text_print((uint8_t *) dst + n, size - 1 - n, text, len);

    } else if (values[0].data == NULL) {
        n = bc_text_print((uint8_t *) dst, size - 1, error.data, error.len);
    }

    dst[n] = '\0';
}
