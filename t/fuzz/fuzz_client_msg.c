
/*
 * Copyright (C) the blockcast authors
 *
 * The messages of a client: those of the JSON protocol and JSON-RPC requests.
 */

#include "bc_client_msg.h"
#include "bc_utf8.h"
#include "fuzz.h"


static void
check(bc_client_msg_t *m, const uint8_t *p, size_t size)
{
    int        rc;
    size_t     n;
    uint32_t   utf8;

    must(m->name_len <= BC_CLIENT_MSG_NAME);

    utf8 = BC_UTF8_START;
    must(bc_utf8_feed(&utf8, m->name, m->name_len) == 0
         && bc_utf8_done(utf8));

    /* what an answer repeats is one JSON value of the message itself */

    must(m->id.len <= BC_CLIENT_MSG_ID);

    if (m->id.len != 0) {
        must(m->id.data > p && m->id.data + m->id.len < p + size);
        must(bc_json_check(m->id.data, m->id.len, BC_CLIENT_MSG_DEPTH, NULL)
             == 0);
    }

    must(!(m->has_since && m->bad_since));
    must(m->since <= 9007199254740991);
    must(m->has_since || m->since == 0);

    if (m->what == BC_CLIENT_MSG_INVALID) {
        must(m->id.len == 0);
        must(bc_json_check(p, size, BC_CLIENT_MSG_DEPTH, NULL) != 0);
        must(bc_client_msg_stream(m) == 0);
        return;
    }

    /* checked text is always read, whatever cJSON makes of it by itself */

    must(m->what != BC_CLIENT_MSG_NO_MEMORY);
    must(m->what != BC_CLIENT_MSG_LARGE || m->tree == NULL);

    for (n = 0; (rc = bc_client_msg_stream(m)) != 0; n++) {
        must(rc == 1 || rc == -1);
        must(n <= size);
        must(m->name_len <= BC_CLIENT_MSG_NAME);
    }

    must(bc_client_msg_stream(m) == 0);
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int            rc;
    uint8_t       *p;
    uint64_t       id;
    bc_client_msg_t   m;

    p = fuzz_copy(data, size);

    memset(&m, 0xaa, sizeof(m));
    bc_client_msg_parse(&m, p, size);
    check(&m, p, size);
    bc_client_msg_free(&m);

    memset(&m, 0xaa, sizeof(m));
    bc_client_msg_request(&m, p, size);

    rc = bc_client_msg_subscription(&m, &id);
    must(rc == 0 || (rc == -1 && id == 0));

    check(&m, p, size);
    bc_client_msg_free(&m);

    free(p);

    return 0;
}
