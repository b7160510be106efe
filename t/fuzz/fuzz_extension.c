
/*
 * Copyright (C) the blockcast authors
 *
 * Header values: the extension offers, lists, tokens, keys.
 */

#include "bc_http.h"
#include "bc_ws_deflate.h"
#include "fuzz.h"


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    char                     response[BC_WS_DEFLATE_RESPONSE_LEN];
    char                     again[BC_WS_DEFLATE_RESPONSE_LEN];
    size_t                   covered;
    uint8_t                 *p;
    bc_span_t                item;
    const uint8_t           *pos, *before;
    bc_ws_deflate_params_t   out, back;

    p = fuzz_copy(data, size);

    /* a list's elements come in order, are not empty and not padded */

    pos = p;
    before = p;
    covered = 0;

    while (bc_http_list_next(&pos, p + size, &item)) {
        must(item.len != 0);
        must(item.data >= before && item.data + item.len <= pos);
        must(item.data[0] != ' ' && item.data[0] != ',');
        must(item.data[item.len - 1] != ' '
             && item.data[item.len - 1] != '\t');

        before = pos;
        covered += item.len;
    }

    must(pos == p + size && covered <= size);

    bc_http_has_token(p, size, "upgrade");

    if (bc_http_ws_key_valid(p, size)) {
        must(size == 24);
    }

    if (bc_ws_deflate_negotiate(p, size, &out, response, sizeof(response))) {

        must(out.server_bits >= 8 && out.server_bits <= 15);
        must(out.client_bits >= 8 && out.client_bits <= 15);
        must(out.server_no_context_takeover
             && out.client_no_context_takeover);

        /* what we answer is an offer that we would answer in the same way */

        must(bc_ws_deflate_negotiate((uint8_t *) response, strlen(response), &back,
                                 again, sizeof(again)));
        must(strcmp(response, again) == 0);
        must(back.server_bits == out.server_bits
             && back.client_bits == out.client_bits);

        /* a shorter buffer is never overrun */

        must(!bc_ws_deflate_negotiate(p, size, &out, again, strlen(response)));
    }

    free(p);

    return 0;
}
