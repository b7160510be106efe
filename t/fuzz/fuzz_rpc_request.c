
/*
 * Copyright (C) the blockcast authors
 *
 * JSON-RPC of clients: any message gives requests whose parts are JSON inside
 * of it, and answers that are JSON.
 */

#include "bc_rpc_request.h"
#include "fuzz.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    size_t            n;
    uint8_t          *p, *answer, *last;
    bc_span_t         value, result;
    bc_rpc_message_t  m;
    bc_rpc_request_t  r;

    p = fuzz_copy(data, size);

    bc_rpc_message(&m, p, size);

    must((m.what == BC_RPC_NO_JSON)
         == (bc_json_check(p, size, BC_RPC_DEPTH, NULL) != 0));

    for (n = 0; bc_rpc_next(&m, &r); n++) {

        must(r.method_len <= BC_RPC_METHOD && r.id.len <= BC_RPC_ID);
        must(r.id.len == 0
             || bc_json_check(r.id.data, r.id.len, 0, NULL) == 0);
        must(r.wrong == NULL || r.id.len != 0);

        if (r.params.len != 0) {
            must(r.params.data >= p
                 && r.params.data + r.params.len <= p + size);
            must(bc_json_check(r.params.data, r.params.len, BC_RPC_DEPTH, NULL)
                 == 0);

            if (bc_rpc_param(r.params, NULL, &value)) {
                must(bc_json_check(value.data, value.len, BC_RPC_DEPTH, NULL)
                     == 0);
            }

            (void) bc_rpc_param(r.params, "query", &value);
        }

        (void) bc_rpc_private(r.method, r.method_len);
        (void) bc_rpc_changes(r.method, r.method_len);

        must(bc_rpc_match(r.method, r.method_len, r.method, r.method_len));
        must(bc_rpc_match((const uint8_t *) "*", 1, r.method, r.method_len));

        if (r.id.len != 0) {
            result = r.id;

            answer = malloc(r.id.len + result.len + BC_RPC_ANSWER);
            must(answer != NULL);

            last = bc_rpc_answer(answer, r.id, (int) (n & 1), result);

            must((size_t) (last - answer)
                 <= r.id.len + result.len + BC_RPC_ANSWER);
            must(bc_json_check(answer, (size_t) (last - answer), 1, NULL)
                 == 0);

            free(answer);
        }
    }

    must(n == m.n);

    free(p);

    return 0;
}
