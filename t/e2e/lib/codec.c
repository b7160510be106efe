
/*
 * The codecs for codec.py: each line of the input is a question, each line of
 * the output its answer; "!" and the reason is the answer when there is none.
 *
 *     J JSON          the CBOR in hex
 *     C HEX           the JSON
 *     D JSON TAB JSON the merge patch that makes the second of the first
 */

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bc_cbor_decode.h"
#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "bc_merge_patch.h"


static uint8_t *
memory(size_t size)
{
    uint8_t  *p;

    p = malloc(size + 1);

    if (p == NULL) {
        abort();
    }

    return p;
}


static void
from_json(bc_span_t json)
{
    int       rc;
    size_t    i, len, size;
    uint8_t  *cbor;

    size = bc_cbor_encode_bound(json.len);
    cbor = memory(size);
    rc = bc_cbor_encode(json, cbor, size, &len);

    if (rc != 0) {
        printf("! %d\n", rc);

    } else {
        for (i = 0; i < len; i++) {
            printf("%02x", cbor[i]);
        }

        printf("\n");
    }

    free(cbor);
}


static void
to_json(const char *hex)
{
    size_t       n, len;
    uint8_t     *cbor, *json;
    unsigned     byte;
    const char  *why;

    cbor = memory(strlen(hex) / 2);

    for (n = 0; sscanf(hex + 2 * n, "%2x", &byte) == 1; n++) {
        cbor[n] = (uint8_t) byte;
    }

    json = memory(BC_CBOR_JSON_BOUND(n));

    if (bc_cbor_decode(cbor, n, json, BC_CBOR_JSON_BOUND(n), &len, &why)
        != 0)
    {
        printf("! %s\n", why);

    } else {
        printf("%.*s\n", (int) len, (char *) json);
    }

    free(cbor);
    free(json);
}


static void
diff(bc_span_t from, bc_span_t to)
{
    size_t    len, size;
    uint8_t  *patch;

    size = 8 * (from.len + to.len);
    patch = memory(size);

    if (bc_merge_patch_diff(from, to, patch, size, &len) != 1) {
        printf("!\n");

    } else {
        printf("%.*s\n", (int) len, (char *) patch);
    }

    free(patch);
}


static bc_span_t
checked(const char *p, size_t len)
{
    bc_span_t  json;

    json.data = (const uint8_t *) p;
    json.len = len;

    if (bc_json_check(json.data, json.len, BC_JSON_MAX_DEPTH, NULL) != 0) {
        fprintf(stderr, "no JSON: %.*s\n", (int) len, p);
        exit(2);
    }

    return json;
}


int
main(void)
{
    char    *line, *tab;
    size_t   size;
    ssize_t  len;

    line = NULL;
    size = 0;

    while ((len = getline(&line, &size, stdin)) > 2) {

        if (line[len - 1] == '\n') {
            line[--len] = '\0';
        }

        switch (line[0]) {

        case 'J':
            from_json(checked(line + 2, (size_t) len - 2));
            break;

        case 'C':
            to_json(line + 2);
            break;

        case 'D':
            tab = strchr(line, '\t');

            if (tab == NULL) {
                return 2;
            }

            diff(checked(line + 2, (size_t) (tab - line) - 2),
                 checked(tab + 1, strlen(tab + 1)));
            break;
        }
    }

    free(line);

    return 0;
}
