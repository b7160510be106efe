
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_rpc_request.h"

#include <string.h>


static const bc_span_t  bc_rpc_null = { (const uint8_t *) "null", 4 };


void
bc_rpc_message(bc_rpc_message_t *m, const uint8_t *p, size_t len)
{
    bc_span_t       text, key, value;
    bc_json_iter_t  it;

    memset(m, 0, sizeof(bc_rpc_message_t));

    if (bc_json_check(p, len, BC_RPC_DEPTH, NULL) != 0) {
        m->what = BC_RPC_NO_JSON;
        return;
    }

    text.data = p;
    text.len = len;

    if (bc_json_array(&it, text) != 0) {
        m->what = BC_RPC_SINGLE;
        m->n = 1;
        m->single = text;
        return;
    }

    m->it = it;

    while (bc_json_next(&it, &key, &value)) {
        m->n++;
    }

    m->what = (m->n != 0) ? BC_RPC_BATCH : BC_RPC_EMPTY;
}


static void
bc_rpc_read(bc_span_t text, bc_rpc_request_t *r)
{
    bc_span_t       v[4];
    bc_json_iter_t  it;

    static const char *const  names[] = { "jsonrpc", "id", "method", "params" };

    memset(r, 0, sizeof(bc_rpc_request_t));

    if (bc_json_object(&it, text) != 0) {
        r->id = bc_rpc_null;
        r->wrong = "a request is a JSON object";
        return;
    }

    bc_json_members(text, names, v, 4);

    if (v[1].data != NULL) {

        if (v[1].len > BC_RPC_ID || v[1].data[0] == '{' || v[1].data[0] == '['
            || v[1].data[0] == 't' || v[1].data[0] == 'f')
        {
            r->id = bc_rpc_null;
            r->wrong = (v[1].len > BC_RPC_ID)
                       ? "\"id\" is longer than 128 bytes of JSON"
                       : "\"id\" must be a number, a string or null";
            return;
        }

        r->id = v[1];
    }

    if (v[2].data == NULL
        || bc_json_string(v[2], r->method, BC_RPC_METHOD, &r->method_len)
           == -1)
    {
        r->wrong = "the request has no \"method\", which is a string";

    } else if (v[0].data != NULL
               && (v[0].len != 5 || memcmp(v[0].data, "\"2.0\"", 5) != 0))
    {
        r->wrong = "\"jsonrpc\" must be \"2.0\"";

    } else if (v[3].data != NULL && v[3].data[0] != 'n') {

        if (v[3].data[0] != '[' && v[3].data[0] != '{') {
            r->wrong = "\"params\" must be an array or an object";
        }

        r->params = v[3];
    }

    if (r->wrong != NULL && r->id.len == 0) {

        /* answer with the id null, as it may not be a notification (5.1) */

        r->id = bc_rpc_null;
    }
}


int
bc_rpc_next(bc_rpc_message_t *m, bc_rpc_request_t *r)
{
    bc_span_t  key, value;

    if (m->what == BC_RPC_SINGLE) {

        if (m->single.data == NULL) {
            return 0;
        }

        bc_rpc_read(m->single, r);
        m->single.data = NULL;

        return 1;
    }

    if (m->what != BC_RPC_BATCH || !bc_json_next(&m->it, &key, &value)) {
        return 0;
    }

    bc_rpc_read(value, r);

    return 1;
}


int
bc_rpc_param(bc_span_t params, const char *name, bc_span_t *value)
{
    bc_span_t       key;
    bc_json_iter_t  it;

    if (params.len == 0) {
        return 0;
    }

    if (bc_json_array(&it, params) == 0) {
        return bc_json_next(&it, &key, value);
    }

    if (name != NULL) {
        return bc_json_member(params, name, value);
    }

    return bc_json_object(&it, params) == 0 && bc_json_next(&it, &key, value);
}


int
bc_rpc_match(const uint8_t *pattern, size_t pattern_len, const uint8_t *name,
    size_t len)
{
    size_t  p, n, star, from;

    p = 0;
    n = 0;
    star = pattern_len;
    from = 0;

    while (n < len) {

        if (p < pattern_len && pattern[p] == '*') {
            star = p++;
            from = n;

        } else if (p < pattern_len && pattern[p] == name[n]) {
            p++;
            n++;

        } else if (star != pattern_len) {

            /* let the last star match one byte more */

            p = star + 1;
            n = ++from;

        } else {
            return 0;
        }
    }

    while (p < pattern_len && pattern[p] == '*') {
        p++;
    }

    return p == pattern_len;
}


int
bc_rpc_private(const uint8_t *name, size_t len)
{
    size_t  i, n;

    static const char *const  spaces[] = {
        "admin_", "personal_", "debug_", "miner_", "engine_", "clique_",
        "les_", "dev_", "anvil_", "hardhat_", "evm_", "ots_", "parity_set",
        "author_insertKey", "author_rotateKeys", "author_removeExtrinsic",
        "system_addReservedPeer", "system_removeReservedPeer",
        "system_addLogFilter", "system_resetLogFilter", "offchain_",
        "dial_", "unsafe_"
    };

    for (i = 0; i < sizeof(spaces) / sizeof(spaces[0]); i++) {
        n = strlen(spaces[i]);

        if (len >= n && memcmp(name, spaces[i], n) == 0) {
            return 1;
        }
    }

    return 0;
}


int
bc_rpc_changes(const uint8_t *name, size_t len)
{
    size_t  i, j, n;

    static const char *const  words[] = {
        "send", "Send", "sign", "Sign", "submit", "Submit", "Filter", "new",
        "set", "Set", "insert", "remove", "broadcast", "lock", "unlock"
    };

    for (i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
        n = strlen(words[i]);

        for (j = 0; j + n <= len; j++) {

            if (memcmp(name + j, words[i], n) != 0) {
                continue;
            }

            /* a lower case word must begin the name or follow _ or . */

            if (words[i][0] < 'a'
                || j == 0 || name[j - 1] == '_' || name[j - 1] == '.')
            {
                return 1;
            }
        }
    }

    return 0;
}


uint8_t *
bc_rpc_answer(uint8_t *dst, bc_span_t id, int error, bc_span_t value)
{
    size_t       i, n;
    bc_span_t    part[5];
    const char  *what;

    what = error ? ",\"error\":" : ",\"result\":";

    part[0].data = (const uint8_t *) "{\"jsonrpc\":\"2.0\",\"id\":";
    part[0].len = sizeof("{\"jsonrpc\":\"2.0\",\"id\":") - 1;
    part[1] = id;
    part[2].data = (const uint8_t *) what;
    part[2].len = strlen(what);
    part[3] = value;
    part[4].data = (const uint8_t *) "}";
    part[4].len = 1;

    for (i = 0; i < 5; i++) {
        n = part[i].len;

        if (n != 0) {
            memcpy(dst, part[i].data, n);
            dst += n;
        }
    }

    return dst;
}
