
/*
 * Copyright (C) the blockcast authors
 *
 * The JSON-RPC reply parser, for a reply to request 7: alone, as any, as 2.0
 * and as a document, and in a batch.
 */

#include "bc_json.h"
#include "bc_jsonrpc.h"
#include "bc_utf8.h"
#include "fuzz.h"


static void
check(const uint8_t *p, size_t size, int rc, const bc_jsonrpc_reply_t *reply)
{
    size_t    i, n;
    uint32_t  utf8;

    must(rc == 0 || rc == -1);
    must(memchr(reply->message, '\0', sizeof(reply->message)) != NULL);

    /* whatever the node sends, a log line or an error page can show it */

    n = strlen(reply->message);
    utf8 = BC_UTF8_START;
    must(bc_utf8_feed(&utf8, (const uint8_t *) reply->message, n) == 0
         && bc_utf8_done(utf8));

    for (i = 0; i < n; i++) {
        must((uint8_t) reply->message[i] >= ' ' && reply->message[i] != 0x7f);
    }

    (void) bc_jsonrpc_is_missing(reply->has_code, reply->code,
                                 (const uint8_t *) reply->message, n);
    (void) bc_jsonrpc_is_limit(reply->has_code, reply->code,
                               (const uint8_t *) reply->message, n);

    if (rc != 0) {
        must(!reply->ok && !reply->rpc_error && n != 0);

    } else {
        must(reply->ok + reply->rpc_error == 1);
        must(!(reply->ok && reply->has_code));
        must(bc_json_check(p, size, BC_JSONRPC_MAX_DEPTH, NULL) == 0);
    }

    if (reply->ok) {
        must(reply->result.data >= p
             && reply->result.data + reply->result.len <= p + size);
        must(bc_json_check(reply->result.data, reply->result.len,
                           BC_JSONRPC_MAX_DEPTH, NULL) == 0);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int                  rc, mode;
    char                *request;
    size_t               n;
    uint8_t             *p;
    uint64_t             id;
    bc_span_t            value;
    bc_jsonrpc_batch_t   batch;
    bc_jsonrpc_reply_t   reply, any;

    p = fuzz_copy(data, size);

    memset(&any, 0xaa, sizeof(any));
    check(p, size, bc_jsonrpc_parse(p, size, 7, BC_JSONRPC_ANY, &any), &any);

    memset(&reply, 0xaa, sizeof(reply));
    rc = bc_jsonrpc_parse(p, size, 7, BC_JSONRPC_STRICT, &reply);
    check(p, size, rc, &reply);

    /* what is strictly right is read the same way by both */

    if (rc == 0) {
        must(any.ok == reply.ok && any.code == reply.code
             && any.result.data == reply.result.data
             && any.result.len == reply.result.len);
        must(reply.ok || reply.has_code);
    }

    memset(&reply, 0xaa, sizeof(reply));
    rc = bc_jsonrpc_parse(p, size, 7, BC_JSONRPC_DOCUMENT, &reply);
    check(p, size, rc, &reply);
    must(rc != 0 || reply.ok);

    memset(&reply, 0xaa, sizeof(reply));
    rc = bc_jsonrpc_document_error(p, size, &reply);
    check(p, size, rc, &reply);

    for (mode = BC_JSONRPC_ANY; mode <= BC_JSONRPC_STRICT; mode++) {

        memset(&reply, 0xaa, sizeof(reply));
        rc = bc_jsonrpc_batch_begin(&batch, p, size, mode, &reply);

        if (rc != 0) {
            check(p, size, rc == 1 ? 0 : -1, &reply);
            continue;
        }

        for (n = 0; bc_jsonrpc_batch_next(&batch, &value, &id); n++) {
            must(n < size);
            check(value.data, value.len,
                  bc_jsonrpc_batch_read(value, id, mode, &reply), &reply);
        }
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
