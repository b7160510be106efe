
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a chain library's request is taken for another one, a method
 * is let through that must not be, or the answer has another id.
 */

#include "bc_rpc_request.h"
#include "unit.h"


static int
match(const char *pattern, const char *name)
{
    return bc_rpc_match((const uint8_t *) pattern, strlen(pattern),
                        (const uint8_t *) name, strlen(name));
}


static int
same(bc_span_t span, const char *text)
{
    return span.len == strlen(text)
           && (span.len == 0 || memcmp(span.data, text, span.len) == 0);
}


static void
requests(void)
{
    size_t            i, len;
    uint8_t          *p;
    bc_rpc_message_t  m;
    bc_rpc_request_t  r;

    static const struct {
        const char  *text;
        const char  *id;
        const char  *method;
        const char  *params;
        int          wrong;
    } cases[] = {
        { "{\"id\":1,\"method\":\"a\"}", "1", "a", "", 0 },
        { " {\"method\" : \"\\u0061\", \"params\": [ 1 ] } ", "", "a", "[ 1 ]",
          0 },
        { "{\"id\":1e3,\"method\":\"a\",\"params\":{}}", "1e3", "a", "{}", 0 },
        { "{\"id\":null,\"method\":\"a\",\"params\":null}", "null", "a", "",
          0 },
        { "{\"id\":true,\"method\":\"a\"}", "null", "", "", 1 },
        { "{\"id\":{},\"method\":\"a\"}", "null", "", "", 1 },
        { "{\"id\":1}", "1", "", "", 1 },
        { "{\"id\":1,\"method\":5}", "1", "", "", 1 },
        { "{\"id\":1,\"method\":\"a\",\"jsonrpc\":2.0}", "1", "a", "", 1 },
        { "{\"method\":\"a\",\"params\":\"x\"}", "null", "a", "\"x\"", 1 },
        { "7", "null", "", "", 1 },
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        len = strlen(cases[i].text);
        p = unit_copy(cases[i].text, len);

        bc_rpc_message(&m, p, len);

        ok(m.what == BC_RPC_SINGLE && m.n == 1 && bc_rpc_next(&m, &r)
           && same(r.id, cases[i].id)
           && same(r.params, cases[i].params)
           && r.method_len == strlen(cases[i].method)
           && memcmp(r.method, cases[i].method, r.method_len) == 0
           && (r.wrong != NULL) == cases[i].wrong
           && !bc_rpc_next(&m, &r),
           "request %s", cases[i].text);

        free(p);
    }
}


static void
batches(void)
{
    char              id[160];
    bc_rpc_message_t  m;
    bc_rpc_request_t  r;

    bc_rpc_message(&m, (const uint8_t *) "[]", 2);
    ok(m.what == BC_RPC_EMPTY && !bc_rpc_next(&m, &r), "a batch of nothing");

    bc_rpc_message(&m, (const uint8_t *) "[1,{\"method\":\"b\"},[]]", 21);
    ok(m.what == BC_RPC_BATCH && m.n == 3, "a batch of three");
    ok(bc_rpc_next(&m, &r) && r.wrong != NULL, "the first is wrong");
    ok(bc_rpc_next(&m, &r) && r.wrong == NULL && r.id.len == 0
       && r.method[0] == 'b', "the second is a notification");
    ok(bc_rpc_next(&m, &r) && r.wrong != NULL && !bc_rpc_next(&m, &r),
       "the third is the last");

    bc_rpc_message(&m, (const uint8_t *) "[1,", 3);
    ok(m.what == BC_RPC_NO_JSON && !bc_rpc_next(&m, &r), "no JSON");

    memset(id, '1', sizeof(id));
    memcpy(id, "{\"id\":", 6);
    id[159] = '}';
    bc_rpc_message(&m, (const uint8_t *) id, sizeof(id));
    ok(bc_rpc_next(&m, &r) && r.wrong != NULL && same(r.id, "null"),
       "a long id");
}


static void
names(void)
{
    static const char *const  private[] = {
        "admin_peers", "personal_unlockAccount", "debug_traceCall",
        "miner_start", "engine_newPayloadV1", "anvil_reset", "evm_mine",
        "author_rotateKeys"
    };
    static const char *const  changes[] = {
        "eth_sendRawTransaction", "eth_newFilter", "eth_getFilterChanges",
        "author_submitExtrinsic", "sendTransaction", "eth_sign",
        "broadcast_tx_sync", "personal_lockAccount"
    };
    static const char *const  still[] = {
        "eth_blockNumber", "eth_call", "eth_getBlockByNumber", "getSlot",
        "chain_getHeader", "net_version", "eth_getLogs", "getAsset"
    };
    size_t  i;

    for (i = 0; i < sizeof(private) / sizeof(private[0]); i++) {
        ok(bc_rpc_private((const uint8_t *) private[i], strlen(private[i])),
           "%s is the operator's", private[i]);
    }

    for (i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        ok(bc_rpc_changes((const uint8_t *) changes[i], strlen(changes[i])),
           "%s is never shared", changes[i]);
    }

    for (i = 0; i < sizeof(still) / sizeof(still[0]); i++) {
        ok(!bc_rpc_changes((const uint8_t *) still[i], strlen(still[i]))
           && !bc_rpc_private((const uint8_t *) still[i], strlen(still[i])),
           "%s may be shared", still[i]);
    }

    ok(match("eth_*", "eth_call") && match("*", "") && match("a*b*c", "axbyc")
       && match("a*a", "aaa") && match("", "") && match("*Block*", "getBlock"),
       "patterns that match");
    ok(!match("eth_*", "xeth_call") && !match("a", "ab") && !match("a*b", "a")
       && !match("", "a") && !match("eth", "eth_"), "patterns that do not");
}


static void
params(void)
{
    bc_span_t  p, v;

    p.data = (const uint8_t *) "[\"a\",2]";
    p.len = 7;
    ok(bc_rpc_param(p, "query", &v) && same(v, "\"a\""), "of an array");

    p.data = (const uint8_t *) "{\"x\":1,\"query\":\"q\"}";
    p.len = 19;
    ok(bc_rpc_param(p, "query", &v) && same(v, "\"q\""), "by its name");
    ok(bc_rpc_param(p, NULL, &v) && same(v, "1"), "the first of an object");

    p.data = (const uint8_t *) "[]";
    p.len = 2;
    ok(!bc_rpc_param(p, NULL, &v), "of none");
    p.len = 0;
    ok(!bc_rpc_param(p, NULL, &v), "without params");
}


int
main(void)
{
    requests();
    batches();
    names();
    params();

    return unit_done();
}
