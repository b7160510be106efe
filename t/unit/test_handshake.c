
/*
 * Copyright (C) the blockcast authors
 *
 * If this fails, a browser's handshake is refused, or an invalid one is
 * accepted; with the wrong answer to an offered extension every client that
 * offers it closes the connection at once.
 */

#include "bc_http.h"
#include "bc_ws_deflate.h"
#include "unit.h"


static void
keys(void)
{
    size_t    i;
    uint8_t  *p;

    static const struct {
        const char  *key;
        int          valid;
    } cases[] = {
        { "dGhlIHNhbXBsZSBub25jZQ==", 1 },
        { "x3JJHMbDL1EzLkh9GBhXDw==", 1 },
        { "AAAAAAAAAAAAAAAAAAAAAA==", 1 },
        { "+/+/+/+/+/+/+/+/+/+/+w==", 1 },
        { "", 0 },
        { "dGhlIHNhbXBsZSBub25jZQ=", 0 },
        { "dGhlIHNhbXBsZSBub25jZQ", 0 },
        { "dGhlIHNhbXBsZSBub25jZQ===", 0 },
        { "dGhlIHNhbXBsZSBub25jZTEy", 0 },
        { "dGhlIHNhbXBsZSBub25jZTE=", 0 },
        { "dGhlIHNhbXBsZSBub25j-_==", 0 },
        { "dGhlIHNhbXBsZSBub25j Q==", 0 },
        { "dGhlIHNhbXBsZSBub25=ZQ==", 0 },
        { "dGhlIHNhbXBsZQ==", 0 },
        { "========================", 0 },
        { "dGhlIHNhbXBsZSBub25j\xff""Q==", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = unit_copy(cases[i].key, strlen(cases[i].key));

        is(bc_http_ws_key_valid(p, strlen(cases[i].key)), cases[i].valid,
           "key \"%s\"", cases[i].key);
        free(p);
    }

    is(bc_http_ws_key_valid((uint8_t *) "dGhlIHNhbXBsZSBub25\0ZQ==", 24), 0,
       "a NUL in the key");
}


static void
lists(void)
{
    char            out[128];
    size_t          i, n;
    uint8_t        *copy;
    bc_span_t       item;
    const uint8_t  *p;

    static const struct {
        const char  *value;
        const char  *items;
    } cases[] = {
        { "", "" },
        { " ", "" },
        { ",", "" },
        { ", ,\t,", "" },
        { "a", "<a>" },
        { "a,b", "<a><b>" },
        { " a , b\t, ,c d ", "<a><b><c d>" },
        { "a; x=\"1,2\", b", "<a; x=\"1,2\"><b>" },
        { "a; x=\"\\\",\", b", "<a; x=\"\\\",\"><b>" },
        { "a; x=\"1, b", "<a; x=\"1, b>" },
        { "a\\,b", "<a\\><b>" },
        { "\"", "<\">" },
        { "\"\\", "<\"\\>" }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        copy = unit_copy(cases[i].value, strlen(cases[i].value));
        p = copy;
        n = 0;
        out[0] = '\0';

        while (bc_http_list_next(&p, copy + strlen(cases[i].value), &item)) {
            n += (size_t) sprintf(out + n, "<%.*s>", (int) item.len,
                                  (const char *) item.data);
        }

        is_str(out, cases[i].items, "list \"%s\"", cases[i].value);
        free(copy);
    }
}


static void
tokens(void)
{
    size_t  i;

    static const struct {
        const char  *value;
        int          found;
    } cases[] = {
        { "Upgrade", 1 },
        { "upgrade", 1 },
        { "UPGRADE", 1 },
        { "keep-alive, Upgrade", 1 },
        { "keep-alive,upgrade ,x", 1 },
        { ",,\tupgrade", 1 },
        { "", 0 },
        { "close", 0 },
        { "upgraded", 0 },
        { "downgrd", 0 },
        { "upgrape, websock", 0 },
        { "no-upgrade", 0 },
        { "up grade", 0 },
        { "\"upgrade\"", 0 },
        { "\"x, upgrade, y\"", 0 },
        { "upgrade/1", 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        is(bc_http_has_token((const uint8_t *) cases[i].value,
                             strlen(cases[i].value), "upgrade"),
           cases[i].found, "upgrade in \"%s\"", cases[i].value);
    }
}


#define NO  "; server_no_context_takeover; client_no_context_takeover"


static void
extensions(void)
{
    char                     response[BC_WS_DEFLATE_RESPONSE_LEN];
    size_t                   i;
    uint8_t                 *p;
    bc_ws_deflate_params_t   params;

    static const struct {
        const char  *offer;
        const char  *response;     /* NULL: declined */
        unsigned     server;
        unsigned     client;
    } cases[] = {
        /* what browsers and libraries send */
        { "permessage-deflate", "permessage-deflate" NO, 15, 15 },
        { "permessage-deflate; client_max_window_bits",
          "permessage-deflate" NO, 15, 15 },
        { "permessage-deflate; server_no_context_takeover; "
          "client_no_context_takeover", "permessage-deflate" NO, 15, 15 },
        { "permessage-deflate;client_max_window_bits=12;"
          "server_max_window_bits=10",
          "permessage-deflate" NO "; server_max_window_bits=10"
          "; client_max_window_bits=12", 10, 12 },
        { "permessage-deflate; server_max_window_bits=15",
          "permessage-deflate" NO "; server_max_window_bits=15", 15, 15 },
        { "permessage-deflate; server_max_window_bits=8",
          "permessage-deflate" NO "; server_max_window_bits=8", 8, 15 },
        { "permessage-deflate; server_max_window_bits=9",
          "permessage-deflate" NO "; server_max_window_bits=9", 9, 15 },
        { "permessage-deflate; client_max_window_bits=8",
          "permessage-deflate" NO "; client_max_window_bits=8", 15, 8 },
        { "permessage-deflate; client_max_window_bits=\"10\"",
          "permessage-deflate" NO "; client_max_window_bits=10", 15, 10 },
        { "permessage-deflate ; server_max_window_bits = \"1\\1\" ",
          "permessage-deflate" NO "; server_max_window_bits=11", 11, 15 },

        /* the first that can be honoured */
        { "permessage-deflate; server_max_window_bits=7, "
          "permessage-deflate; client_max_window_bits",
          "permessage-deflate" NO, 15, 15 },
        { "x-webkit-deflate-frame, permessage-deflate",
          "permessage-deflate" NO, 15, 15 },
        { "permessage-deflate; server_max_window_bits=10, permessage-deflate",
          "permessage-deflate" NO "; server_max_window_bits=10", 10, 15 },
        { "foo; bar=\", permessage-deflate\", , permessage-deflate; "
          "server_max_window_bits=14", "permessage-deflate" NO
          "; server_max_window_bits=14", 14, 15 },
        { "permessage-deflate; mux, permessage-bzip2, permessage-deflate",
          "permessage-deflate" NO, 15, 15 },

        /* declined without failing the handshake */
        { "", NULL, 0, 0 },
        { ",", NULL, 0, 0 },
        { "permessage-bzip2", NULL, 0, 0 },
        { "permessage-deflate2", NULL, 0, 0 },
        { "Permessage-Deflate", NULL, 0, 0 },
        { "x-permessage-deflate", NULL, 0, 0 },
        { "permessage-deflate; unknown", NULL, 0, 0 },
        { "permessage-deflate; unknown=1", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=\"\"", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=7", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=16", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=0", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=08", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=+8", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=10x", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=1", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=100", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=\"10", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=\"100\"", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=\"1\\", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=\"10\"5", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=10 11", NULL, 0, 0 },
        { "permessage-deflate; client_max_window_bits=7", NULL, 0, 0 },
        { "permessage-deflate; client_max_window_bits=16", NULL, 0, 0 },
        { "permessage-deflate; client_max_window_bits=", NULL, 0, 0 },
        { "permessage-deflate; server_no_context_takeover=1", NULL, 0, 0 },
        { "permessage-deflate; client_no_context_takeover=true", NULL, 0, 0 },
        { "permessage-deflate; server_no_context_takeover; "
          "server_no_context_takeover", NULL, 0, 0 },
        { "permessage-deflate; client_no_context_takeover; "
          "client_no_context_takeover", NULL, 0, 0 },
        { "permessage-deflate; server_max_window_bits=10; "
          "server_max_window_bits=10", NULL, 0, 0 },
        { "permessage-deflate; client_max_window_bits; "
          "client_max_window_bits=10", NULL, 0, 0 },
        { "permessage-deflate; Server_No_Context_Takeover", NULL, 0, 0 },
        { "permessage-deflate;", NULL, 0, 0 },
        { "permessage-deflate; ;client_max_window_bits", NULL, 0, 0 },
        { "permessage-deflate client_max_window_bits", NULL, 0, 0 },
        { "permessage-deflate=1", NULL, 0, 0 },
        { "; permessage-deflate", NULL, 0, 0 },
        { "\"permessage-deflate\"", NULL, 0, 0 }
    };

    for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        p = unit_copy(cases[i].offer, strlen(cases[i].offer));
        memset(&params, 0, sizeof(params));

        is(bc_ws_deflate_negotiate(p, strlen(cases[i].offer), &params, response,
                               sizeof(response)),
           cases[i].response != NULL, "%s", cases[i].offer);

        free(p);

        if (cases[i].response == NULL) {
            continue;
        }

        is_str(response, cases[i].response, "the answer");
        is(params.server_bits, cases[i].server, "our window");
        is(params.client_bits, cases[i].client, "the client's window");
        ok(params.server_no_context_takeover
           && params.client_no_context_takeover, "no context");
    }

    is(bc_ws_deflate_negotiate((const uint8_t *) "permessage-deflate", 18,
                           &params, response, 20), 0,
       "an answer that does not fit is none");
}


int
main(void)
{
    keys();
    lists();
    tokens();
    extensions();

    return unit_done();
}
