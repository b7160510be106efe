
/*
 * Copyright (C) the blockcast authors
 *
 * The JSON-RPC reply parser, for a reply to request 7.
 */

#include "bc_json.h"
#include "bc_jsonrpc.h"
#include "bc_utf8.h"
#include "fuzz.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int              rc;
    char            *request;
    size_t           i, n;
    uint8_t         *p;
    uint32_t         utf8;
    bc_span_t        value;
    bc_jsonrpc_reply_t   reply;

    p = fuzz_copy(data, size);
    memset(&reply, 0xaa, sizeof(reply));

    rc = bc_jsonrpc_parse(p, size, 7, &reply);

    must(rc == 0 || rc == -1);
    must(memchr(reply.message, '\0', sizeof(reply.message)) != NULL);

    /* whatever the node sends, a log line or an error page can show it */

    n = strlen(reply.message);
    utf8 = BC_UTF8_START;
    must(bc_utf8_feed(&utf8, (uint8_t *) reply.message, n) == 0
         && bc_utf8_done(utf8));

    for (i = 0; i < n; i++) {
        must((uint8_t) reply.message[i] >= ' ' && reply.message[i] != 0x7f);
    }

    if (rc != 0) {
        must(!reply.ok && !reply.rpc_error && n != 0);

    } else {
        must(reply.ok + reply.rpc_error == 1);
        must(bc_json_check(p, size, BC_JSONRPC_MAX_DEPTH, NULL) == 0);
    }

    if (reply.ok) {
        must(reply.result.data > p
             && reply.result.data + reply.result.len < p + size);
        must(bc_json_check(reply.result.data, reply.result.len,
                           BC_JSONRPC_MAX_DEPTH, NULL) == 0);
    }

    free(p);

    /* and whatever is asked for, the request is JSON */

    request = malloc(size + 1);
    must(request != NULL);
    memcpy(request, data, size);
    request[size] = '\0';

    must(bc_jsonrpc_build((char **) &p, &n, size, request, "[1]") == 0);
    must(bc_json_check(p, n, 2, NULL) == 0);

    value.data = p;
    value.len = n;
    must(bc_json_member(value, "params", &value) && value.len == 3);

    free(p);
    free(request);

    return 0;
}
