
/*
 * Copyright (C) the blockcast authors
 *
 * All readers on bytes that nobody has checked: nothing outside of them is
 * read, every iterator advances with each step and ends, no value is empty,
 * and what is shown of them is one line of valid UTF-8.
 */

#include "bc_cbor_decode.h"
#include "bc_cbor_encode.h"
#include "bc_json.h"
#include "bc_json_key.h"
#include "bc_merge_patch.h"
#include "bc_client_msg.h"
#include "bc_jsonrpc.h"
#include "bc_siphash.h"
#include "bc_journal.h"
#include "bc_text.h"
#include "bc_utf8.h"
#include "fuzz.h"
#include "../unit/merge_apply.h"


/* a key that is made of a key is the same one */

static void
key(bc_span_t value)
{
    size_t      n, m;
    uint8_t    *a, *b;
    bc_span_t   span;

    a = malloc(BC_JSON_KEY_BOUND(value.len));
    must(a != NULL);

    n = bc_json_key(value, a);
    must(n <= BC_JSON_KEY_BOUND(value.len));
    must(!bc_json_key_plain(value)
         || (n == value.len && memcmp(a, value.data, n) == 0));

    if (bc_json_check(value.data, value.len, 0, NULL) == 0
        && value.data[0] > ' ' && value.data[value.len - 1] > ' ')
    {
        must(bc_json_check(a, n, 0, NULL) == 0);

        span.data = a;
        span.len = n;

        b = malloc(BC_JSON_KEY_BOUND(n));
        must(b != NULL);
        m = bc_json_key(span, b);
        must(n == m && memcmp(a, b, n) == 0);
        free(b);
    }

    free(a);
}


/* in pieces the next value is the same */

static void
same_piece(bc_json_pieces_t *pieces, bc_span_t name, bc_span_t part,
    size_t size)
{
    int        rc;
    size_t     len, steps;
    bc_span_t  key, value;

    steps = 0;

    do {
        len = size;
        rc = bc_json_next_piece(pieces, &key, &value, &len);
        must(steps++ <= part.len);
    } while (rc == BC_JSON_AGAIN);

    must(rc == 1 && key.data == name.data && key.len == name.len
         && value.data == part.data && value.len == part.len);
}


/* each level of it is walked through once: steps are its bytes, at most */

static void
walk(bc_span_t value, unsigned depth)
{
    int                object;
    size_t             n, steps;
    uint8_t           *buf;
    bc_span_t          name, part, quoted;
    bc_json_iter_t     it;
    const uint8_t     *last;
    bc_json_pieces_t   pieces;

    last = value.data + value.len;

    key(value);

    buf = malloc(value.len + 1);
    must(buf != NULL);
    (void) bc_json_string(value, buf, value.len, &n);
    must(n <= value.len);
    (void) bc_json_string(value, buf, value.len / 3, &n);
    must(n <= value.len / 3);
    free(buf);

    (void) bc_json_member(value, "a", &part);

    for (object = 0; object <= 1; object++) {

        if ((object ? bc_json_object(&it, value) : bc_json_array(&it, value))
            != 0)
        {
            must(!bc_json_next(&it, &name, &part));
            continue;
        }

        must(bc_json_pieces_open(&pieces, value, object ? '{' : '[') == 0);

        for (steps = 0; bc_json_next(&it, &name, &part); steps++) {
            must(steps < value.len);
            same_piece(&pieces, name, part, 1 + (size_t) depth * 3);
            must(part.len != 0);
            must(part.data > value.data && part.data + part.len <= last);
            must((name.data != NULL) == object);

            if (object) {
                must(name.data > value.data && name.data[-1] == '"'
                     && name.data[name.len] == '"'
                     && name.data + name.len < part.data);

                quoted.data = name.data - 1;
                quoted.len = name.len + 2;
                key(quoted);
            }

            if (depth != 0) {
                walk(part, depth - 1);
            }
        }

        /* it stays at its end */

        must(!bc_json_next(&it, &name, &part));
    }
}


static void
print(const uint8_t *p, size_t len, size_t size)
{
    size_t     i, n, m;
    uint8_t   *dst, *again;
    uint32_t   utf8;

    dst = malloc(size + 1);
    again = malloc(size + 1);
    must(dst != NULL && again != NULL);

    n = bc_text_print(dst, size, p, len);
    must(n <= size);

    utf8 = BC_UTF8_START;
    must(bc_utf8_feed(&utf8, dst, n) == 0 && bc_utf8_done(utf8));

    for (i = 0; i < n; i++) {
        must(dst[i] >= 0x20 && dst[i] != 0x7f);
        must(i == 0 || dst[i - 1] != 0xc2 || dst[i] >= 0xa0);
        must(i < 2 || dst[i - 2] != 0xe2 || dst[i - 1] != 0x80
             || (dst[i] & 0xfe) != 0xa8);
    }

    m = bc_text_print(again, size, dst, n);
    must(n == m && memcmp(dst, again, n) == 0);

    free(dst);
    free(again);
}


static void
diff(bc_span_t from, bc_span_t to)
{
    size_t    n, m, size;
    uint8_t  *patch, *result;

    size = from.len + to.len + 64;
    patch = malloc(size);
    result = malloc(size);
    must(patch != NULL && result != NULL);

    (void) bc_merge_patch_diff(from, to, patch, size, &n);
    must(n <= size);

    (void) bc_merge_patch_diff(from, to, patch, to.len / 2, &n);
    must(n <= to.len / 2);

    (void) merge_apply(from, to, result, size, &m);
    must(m <= size);

    free(patch);
    free(result);
}


static void
messages(const uint8_t *p, size_t len)
{
    size_t           n;
    uint64_t         id;
    bc_client_msg_t     m;
    bc_jsonrpc_reply_t   reply;

    bc_client_msg_parse(&m, p, len);

    for (n = 0; bc_client_msg_stream(&m) != 0; n++) {
        must(n < len);
    }

    bc_client_msg_free(&m);

    bc_client_msg_request(&m, p, len);
    (void) bc_client_msg_subscription(&m, &id);
    bc_client_msg_free(&m);

    (void) bc_jsonrpc_parse(p, len, 1, 0, &reply);
}


static void
state(const uint8_t *p, size_t len)
{
    size_t               n, m;
    bc_span_t            rest, name, data;
    const char          *why;
    const uint8_t       *pos, *from;
    bc_journal_record_t    r;
    bc_journal_header_t    h;

    (void) bc_journal_header_get(p, len, &h, &why);
    (void) bc_journal_whole(p, len);

    pos = p;
    from = p;

    for (n = 0; bc_journal_next(&pos, p + len, &r) == 1; n++) {
        must(pos >= from + BC_JOURNAL_RECORD && pos <= p + len);
        from = pos;
    }

    must(n <= len / BC_JOURNAL_RECORD);

    rest.data = p;
    rest.len = len;

    for (m = 0; bc_journal_entry(&rest, &name, &data); m++) {
        must(m < len);
        must(name.data >= p && name.data + name.len == data.data
             && data.data + data.len == rest.data
             && rest.data + rest.len == p + len);
    }
}


int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    int           rc;
    size_t        n, cut, bound;
    fuzz_t        f;
    uint8_t      *p, *q, *cbor, *json;
    uint64_t      seed[2];
    bc_span_t     text, other;
    const char   *why;

    f.p = data;
    f.len = size;
    cut = fuzz_byte(&f);
    cut = cut << 4 | (fuzz_byte(&f) & 0xf);

    if (cut > f.len) {
        cut = f.len;
    }

    p = fuzz_copy(f.p, f.len);
    q = fuzz_copy(f.p, cut);

    text.data = p;
    text.len = f.len;
    other.data = q;
    other.len = cut;

    walk(text, 6);
    print(p, f.len, f.len);
    print(p, f.len, 3 * f.len);
    print(p, f.len, cut);
    diff(other, text);
    diff(text, other);
    messages(p, f.len);
    state(p, f.len);

    bound = bc_cbor_encode_bound(f.len);
    cbor = malloc(bound);
    must(cbor != NULL);
    rc = bc_cbor_encode(text, cbor, bound, &n);
    must(n <= bound && (rc == 0) == (n != 0));
    (void) bc_cbor_encode(text, cbor, cut < bound ? cut : bound, &n);
    free(cbor);

    json = malloc(BC_CBOR_JSON_BOUND(f.len) + 1);
    must(json != NULL);
    rc = bc_cbor_decode(p, f.len, json, BC_CBOR_JSON_BOUND(f.len), &n, &why);
    must(rc != 0 || bc_json_check(json, n, BC_CBOR_MAX_DEPTH, NULL) == 0);
    free(json);

    seed[0] = cut;
    seed[1] = f.len;
    must(bc_siphash(seed, q, cut) == bc_siphash(seed, p, cut));

    free(p);
    free(q);

    return 0;
}
