
/*
 * Copyright (C) the blockcast authors
 *
 * A client's CBOR message: the same judgement as a recursive decoder written
 * after the pseudocode in RFC 8949, appendix C; what is accepted becomes JSON,
 * which stays the same when it goes to CBOR and back.
 */

#include "bc_cbor_decode.h"
#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "bc_utf8.h"
#include "fuzz.h"


typedef struct {
    const uint8_t  *p;
    const uint8_t  *last;
} ref_t;


enum { REF_BAD, REF_ITEM, REF_TEXT, REF_BREAK };


static int
ref_text(ref_t *r, uint64_t len)
{
    uint32_t  utf8;

    if (len > (uint64_t) (r->last - r->p)) {
        return REF_BAD;
    }

    utf8 = BC_UTF8_START;

    if (bc_utf8_feed(&utf8, r->p, len) != 0 || !bc_utf8_done(utf8)) {
        return REF_BAD;
    }

    r->p += len;

    return REF_TEXT;
}


static int
ref_item(ref_t *r, unsigned depth)
{
    int       rc;
    unsigned  i, major, info, exp;
    uint64_t  n;

    if (r->p == r->last) {
        return REF_BAD;
    }

    major = *r->p >> 5;
    info = *r->p & 31;
    r->p++;
    n = info;

    if (info >= 24 && info <= 27) {

        if (r->last - r->p < 1 << (info - 24)) {
            return REF_BAD;
        }

        n = 0;

        for (i = 0; i < 1u << (info - 24); i++) {
            n = n << 8 | *r->p++;
        }

    } else if (info >= 28 && info <= 30) {
        return REF_BAD;

    } else if (info == 31 && (major < 3 || major == 6)) {
        return REF_BAD;
    }

    switch (major) {

    case 0:
    case 1:
        return REF_ITEM;

    case 3:
        if (info != 31) {
            return ref_text(r, n);
        }

        for ( ;; ) {
            if (r->p == r->last) {
                return REF_BAD;
            }

            if (*r->p == 0xff) {
                r->p++;
                return REF_TEXT;
            }

            if (*r->p >> 5 != 3 || *r->p == 0x7f
                || ref_item(r, depth) != REF_TEXT)
            {
                return REF_BAD;
            }
        }

    case 4:
    case 5:
        if (depth == 0) {
            return REF_BAD;
        }

        while (info == 31 || n-- != 0) {

            rc = ref_item(r, depth - 1);

            if (rc == REF_BREAK && info == 31) {
                return REF_ITEM;
            }

            if (rc == REF_BAD || rc == REF_BREAK) {
                return REF_BAD;
            }

            if (major == 5) {
                if (rc != REF_TEXT) {
                    return REF_BAD;
                }

                rc = ref_item(r, depth - 1);

                if (rc == REF_BAD || rc == REF_BREAK) {
                    return REF_BAD;
                }
            }
        }

        return REF_ITEM;

    case 7:
        switch (info) {

        case 20:
        case 21:
        case 22:
            return REF_ITEM;

        case 25:
            exp = (n >> 10) & 0x1f;
            return exp == 0x1f ? REF_BAD : REF_ITEM;

        case 26:
            exp = (n >> 23) & 0xff;
            return exp == 0xff ? REF_BAD : REF_ITEM;

        case 27:
            exp = (n >> 52) & 0x7ff;
            return exp == 0x7ff ? REF_BAD : REF_ITEM;

        case 31:
            return REF_BREAK;
        }
    }

    return REF_BAD;
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int          rc, expected;
    ref_t        r;
    size_t       n, m, len;
    uint8_t     *p, *json, *small, *again, *cbor;
    bc_span_t    text;
    const char  *why;

    p = fuzz_copy(data, size);
    json = malloc(BC_CBOR_JSON_BOUND(size) + 1);
    must(json != NULL);

    r.p = p;
    r.last = p + size;
    rc = ref_item(&r, BC_CBOR_MAX_DEPTH);
    expected = (rc == REF_ITEM || rc == REF_TEXT) && r.p == r.last;

    why = NULL;
    rc = bc_cbor_decode(p, size, json, BC_CBOR_JSON_BOUND(size), &n, &why);

    must((rc == 0) == expected);
    must((rc == 0) == (why == NULL));

    if (rc != 0) {
        must(rc == -1 && n == 0 && strcmp(why, "is too long as JSON") != 0);
        must(bc_cbor_decode(p, size, NULL, 0, &n, &why) == -1 && n == 0);

        free(json);
        free(p);
        return 0;
    }

    must(n != 0 && n <= BC_CBOR_JSON_BOUND(size));
    must(bc_json_check(json, n, BC_CBOR_MAX_DEPTH, NULL) == 0);

    /* as much memory as it takes, and a byte less */

    small = malloc(n);
    must(small != NULL);
    must(bc_cbor_decode(p, size, small, n, &m, NULL) == 0 && m == n);
    must(memcmp(small, json, n) == 0);
    must(bc_cbor_decode(p, size, small, n - 1, &m, &why) == -1 && m == 0);
    free(small);

    /* there and back */

    text.data = json;
    text.len = n;
    cbor = malloc(bc_cbor_encode_bound(n));
    must(cbor != NULL);
    must(bc_cbor_encode(text, cbor, bc_cbor_encode_bound(n), &len) == 0);

    again = malloc(n);
    must(again != NULL);
    must(bc_cbor_decode(cbor, len, again, n, &m, NULL) == 0);
    must(m == n && memcmp(again, json, n) == 0);

    free(again);
    free(cbor);
    free(json);
    free(p);

    return 0;
}
