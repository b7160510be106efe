
/*
 * Copyright (C) the blockcast authors
 *
 * CBOR to JSON.  libcbor's decoder handles one item after the other, without
 * memory of its own; the nesting is kept track of here.
 */

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cbor.h>

#include "bc_cbor_decode.h"
#include "bc_json.h"
#include "bc_utf8.h"


/* the type of a length in a callback, which changed with libcbor 0.9 */

#if CBOR_MAJOR_VERSION > 0 || CBOR_MINOR_VERSION >= 9
typedef uint64_t  bc_cbor_len_t;
#else
typedef size_t    bc_cbor_len_t;
#endif


/* "-1.2345678901234567e-308" */

#define BC_CBOR_NUMBER_LEN  32


typedef struct {
    uint64_t     left;         /* elements or pairs still missing */
    unsigned     map:1;
    unsigned     indefinite:1;
    unsigned     some:1;       /* has an element already */
    unsigned     value:1;      /* of a map: the next item is a value */
} bc_cbor_level_t;


typedef struct {
    uint8_t          *pos;
    uint8_t          *last;
    const char       *why;
    unsigned          done:1;
    unsigned          text:1;  /* within a text string that comes in chunks */
    unsigned          depth;
    bc_cbor_level_t   level[BC_CBOR_MAX_DEPTH];
} bc_cbor_in_t;


static void
bc_cbor_decode_write(bc_cbor_in_t *in, const void *p, size_t len)
{
    if ((size_t) (in->last - in->pos) < len) {
        in->why = "is too long as JSON";
        return;
    }

    memcpy(in->pos, p, len);
    in->pos += len;
}


/* Begins an item.  Returns 0, or -1 when it is not allowed here. */

static int
bc_cbor_decode_begin(bc_cbor_in_t *in, int text)
{
    bc_cbor_level_t  *level;

    if (in->text) {
        in->why = "has something else within a text string";
        return -1;
    }

    if (in->depth == 0) {
        return 0;
    }

    level = &in->level[in->depth - 1];

    if (level->value) {
        bc_cbor_decode_write(in, ":", 1);

    } else {
        if (level->map && !text) {
            in->why = "has a key that is not text";
            return -1;
        }

        if (level->some) {
            bc_cbor_decode_write(in, ",", 1);
        }
    }

    level->some = 1;

    return in->why == NULL ? 0 : -1;
}


/* Ends an item, and all arrays and maps that end with it. */

static void
bc_cbor_decode_end(bc_cbor_in_t *in)
{
    bc_cbor_level_t  *level;

    while (in->depth != 0) {

        level = &in->level[in->depth - 1];

        if (level->map) {
            level->value = !level->value;

            if (level->value) {
                return;
            }
        }

        if (level->indefinite) {
            return;
        }

        level->left--;

        if (level->left != 0) {
            return;
        }

        bc_cbor_decode_write(in, level->map ? "}" : "]", 1);
        in->depth--;
    }

    in->done = 1;
}


static void
bc_cbor_decode_open(bc_cbor_in_t *in, int map, int indefinite, uint64_t items)
{
    bc_cbor_level_t  *level;

    if (bc_cbor_decode_begin(in, 0) != 0) {
        return;
    }

    if (in->depth == BC_CBOR_MAX_DEPTH) {
        in->why = "is nested too deeply";
        return;
    }

    bc_cbor_decode_write(in, map ? "{" : "[", 1);

    if (!indefinite && items == 0) {
        bc_cbor_decode_write(in, map ? "}" : "]", 1);
        bc_cbor_decode_end(in);
        return;
    }

    level = &in->level[in->depth++];

    memset(level, 0, sizeof(bc_cbor_level_t));
    level->left = items;
    level->map = (map != 0);
    level->indefinite = (indefinite != 0);
}


static void
bc_cbor_decode_scalar(bc_cbor_in_t *in, const char *text, size_t len)
{
    if (bc_cbor_decode_begin(in, 0) == 0) {
        bc_cbor_decode_write(in, text, len);
        bc_cbor_decode_end(in);
    }
}


static void
bc_cbor_decode_on_uint64(void *ctx, uint64_t v)
{
    int   n;
    char  text[BC_CBOR_NUMBER_LEN];

    n = snprintf(text, sizeof(text), "%" PRIu64, v);
    bc_cbor_decode_scalar(ctx, text, (size_t) n);
}


static void
bc_cbor_decode_on_uint8(void *ctx, uint8_t v)
{
    bc_cbor_decode_on_uint64(ctx, v);
}


static void
bc_cbor_decode_on_uint16(void *ctx, uint16_t v)
{
    bc_cbor_decode_on_uint64(ctx, v);
}


static void
bc_cbor_decode_on_uint32(void *ctx, uint32_t v)
{
    bc_cbor_decode_on_uint64(ctx, v);
}


/* Writes the number -1 - v, which is how CBOR encodes negative integers. */

static void
bc_cbor_decode_on_negint64(void *ctx, uint64_t v)
{
    int   n;
    char  text[BC_CBOR_NUMBER_LEN];

    if (v == UINT64_MAX) {
        n = snprintf(text, sizeof(text), "-18446744073709551616");

    } else {
        n = snprintf(text, sizeof(text), "-%" PRIu64, v + 1);
    }

    bc_cbor_decode_scalar(ctx, text, (size_t) n);
}


static void
bc_cbor_decode_on_negint8(void *ctx, uint8_t v)
{
    bc_cbor_decode_on_negint64(ctx, v);
}


static void
bc_cbor_decode_on_negint16(void *ctx, uint16_t v)
{
    bc_cbor_decode_on_negint64(ctx, v);
}


static void
bc_cbor_decode_on_negint32(void *ctx, uint32_t v)
{
    bc_cbor_decode_on_negint64(ctx, v);
}


/*
 * Writes the fewest digits, from 15 on, that restore the double: 15 are enough
 * if it came from a decimal number of at most 15, and 17 always are.  The
 * locale's decimal point does no harm: strtod() and printf() agree on it, and
 * only the digits are copied.
 */

static size_t
bc_cbor_decode_dtoa(char *dst, double d)
{
    int    n, exp, precision;
    char   text[BC_CBOR_NUMBER_LEN], digits[20], *p, *start;

    start = dst;

    if (fabs(d) < 9007199254740992.0 && d == trunc(d)) {
        return (size_t) sprintf(dst, signbit(d) && d == 0 ? "-%" PRId64
                                                          : "%" PRId64,
                                (int64_t) d);
    }

    for (precision = 14; precision <= 16; precision++) {
        snprintf(text, sizeof(text), "%.*e", precision, d);

        if (strtod(text, NULL) == d) {
            break;
        }
    }

    n = 0;

    for (p = text; *p != 'e'; p++) {
        if (*p >= '0' && *p <= '9') {
            digits[n++] = *p;
        }
    }

    exp = atoi(p + 1);

    while (n > 1 && digits[n - 1] == '0') {
        n--;
    }

    if (d < 0) {
        *dst++ = '-';
    }

    if (exp >= 0 && exp < n - 1) {

        /* 12.5: integers were handled above, or are too large */

        memcpy(dst, digits, (size_t) exp + 1);
        dst += exp + 1;
        *dst++ = '.';
        memcpy(dst, digits + exp + 1, (size_t) (n - exp - 1));
        dst += n - exp - 1;

        return (size_t) (dst - start);
    }

    if (exp < 0 && exp >= -4) {

        /* 0.00125 */

        dst += sprintf(dst, "0.%.*s", -exp - 1, "000");
        memcpy(dst, digits, (size_t) n);
        dst += n;

        return (size_t) (dst - start);
    }

    *dst++ = digits[0];

    if (n > 1) {
        *dst++ = '.';
        memcpy(dst, digits + 1, (size_t) n - 1);
        dst += n - 1;
    }

    dst += sprintf(dst, "e%d", exp);

    return (size_t) (dst - start);
}


static void
bc_cbor_decode_on_float8(void *ctx, double v)
{
    char           text[BC_CBOR_NUMBER_LEN];
    bc_cbor_in_t  *in = ctx;

    if (!isfinite(v)) {
        in->why = "has a number that is not finite";
        return;
    }

    bc_cbor_decode_scalar(in, text, bc_cbor_decode_dtoa(text, v));
}


static void
bc_cbor_decode_on_float(void *ctx, float v)
{
    bc_cbor_decode_on_float8(ctx, (double) v);
}


static void
bc_cbor_decode_on_null(void *ctx)
{
    bc_cbor_decode_scalar(ctx, "null", 4);
}


static void
bc_cbor_decode_on_boolean(void *ctx, bool v)
{
    bc_cbor_decode_scalar(ctx, v ? "true" : "false", v ? 4 : 5);
}


/*
 * Handles a text string, or a chunk of one; each must be valid UTF-8 itself.
 */

static void
bc_cbor_decode_on_string(void *ctx, cbor_data p, bc_cbor_len_t len)
{
    size_t         n;
    uint32_t       utf8;
    bc_cbor_in_t  *in = ctx;

    if (!in->text) {
        if (bc_cbor_decode_begin(in, 1) != 0) {
            return;
        }

        bc_cbor_decode_write(in, "\"", 1);
    }

    utf8 = BC_UTF8_START;

    if (bc_utf8_feed(&utf8, p, (size_t) len) != 0 || !bc_utf8_done(utf8)) {
        in->why = "has text that is not valid UTF-8";
        return;
    }

    n = bc_json_escape_len(p, (size_t) len);

    if ((size_t) (in->last - in->pos) < n) {
        in->why = "is too long as JSON";
        return;
    }

    in->pos = bc_json_escape(in->pos, p, (size_t) len);

    if (!in->text) {
        bc_cbor_decode_write(in, "\"", 1);
        bc_cbor_decode_end(in);
    }
}


static void
bc_cbor_decode_on_string_start(void *ctx)
{
    bc_cbor_in_t  *in = ctx;

    if (bc_cbor_decode_begin(in, 1) == 0) {
        bc_cbor_decode_write(in, "\"", 1);
        in->text = 1;
    }
}


static void
bc_cbor_decode_on_array(void *ctx, bc_cbor_len_t items)
{
    bc_cbor_decode_open(ctx, 0, 0, items);
}


static void
bc_cbor_decode_on_indef_array(void *ctx)
{
    bc_cbor_decode_open(ctx, 0, 1, 0);
}


static void
bc_cbor_decode_on_map(void *ctx, bc_cbor_len_t items)
{
    bc_cbor_decode_open(ctx, 1, 0, items);
}


static void
bc_cbor_decode_on_indef_map(void *ctx)
{
    bc_cbor_decode_open(ctx, 1, 1, 0);
}


static void
bc_cbor_decode_on_break(void *ctx)
{
    bc_cbor_in_t     *in = ctx;
    bc_cbor_level_t  *level;

    if (in->text) {
        in->text = 0;
        bc_cbor_decode_write(in, "\"", 1);
        bc_cbor_decode_end(in);
        return;
    }

    level = (in->depth != 0) ? &in->level[in->depth - 1] : NULL;

    if (level == NULL || !level->indefinite) {
        in->why = "has a break where nothing is to be ended";
        return;
    }

    if (level->value) {
        in->why = "has a key without a value";
        return;
    }

    bc_cbor_decode_write(in, level->map ? "}" : "]", 1);
    in->depth--;
    bc_cbor_decode_end(in);
}


/* Refuse what JSON cannot express. */

static void
bc_cbor_decode_on_bytes(void *ctx, cbor_data p, bc_cbor_len_t len)
{
    (void) p;
    (void) len;

    ((bc_cbor_in_t *) ctx)->why = "has a byte string";
}


static void
bc_cbor_decode_on_bytes_start(void *ctx)
{
    ((bc_cbor_in_t *) ctx)->why = "has a byte string";
}


static void
bc_cbor_decode_on_tag(void *ctx, uint64_t tag)
{
    (void) tag;

    ((bc_cbor_in_t *) ctx)->why = "has a tag";
}


static void
bc_cbor_decode_on_undefined(void *ctx)
{
    ((bc_cbor_in_t *) ctx)->why = "has an undefined value";
}


static const struct cbor_callbacks  bc_cbor_callbacks = {
    .uint8 = bc_cbor_decode_on_uint8,
    .uint16 = bc_cbor_decode_on_uint16,
    .uint32 = bc_cbor_decode_on_uint32,
    .uint64 = bc_cbor_decode_on_uint64,
    .negint64 = bc_cbor_decode_on_negint64,
    .negint32 = bc_cbor_decode_on_negint32,
    .negint16 = bc_cbor_decode_on_negint16,
    .negint8 = bc_cbor_decode_on_negint8,
    .byte_string_start = bc_cbor_decode_on_bytes_start,
    .byte_string = bc_cbor_decode_on_bytes,
    .string = bc_cbor_decode_on_string,
    .string_start = bc_cbor_decode_on_string_start,
    .indef_array_start = bc_cbor_decode_on_indef_array,
    .array_start = bc_cbor_decode_on_array,
    .indef_map_start = bc_cbor_decode_on_indef_map,
    .map_start = bc_cbor_decode_on_map,
    .tag = bc_cbor_decode_on_tag,
    .float2 = bc_cbor_decode_on_float,
    .float4 = bc_cbor_decode_on_float,
    .float8 = bc_cbor_decode_on_float8,
    .undefined = bc_cbor_decode_on_undefined,
    .null = bc_cbor_decode_on_null,
    .boolean = bc_cbor_decode_on_boolean,
    .indef_break = bc_cbor_decode_on_break
};


int
bc_cbor_decode(const uint8_t *p, size_t len, uint8_t *dst, size_t size,
   size_t *out_len, const char **why)
{
    bc_cbor_in_t                in;
    const uint8_t              *last;
    struct cbor_decoder_result  item;

    *out_len = 0;

    in.pos = dst;
    in.last = (size != 0) ? dst + size : dst;
    in.why = NULL;
    in.done = 0;
    in.text = 0;
    in.depth = 0;

    last = (len != 0) ? p + len : p;

    if (len == 0) {
        in.why = "is empty";
    }

    while (in.why == NULL && !in.done) {

        item = cbor_stream_decode(p, (size_t) (last - p), &bc_cbor_callbacks,
                                  &in);

        if (item.status == CBOR_DECODER_NEDATA) {
            in.why = "ends too early";

        } else if (item.status != CBOR_DECODER_FINISHED) {
            in.why = "has an item that CBOR does not define";

        } else {
            p += item.read;
        }
    }

    if (in.why == NULL && p != last) {
        in.why = "has bytes after its end";
    }

    if (in.why != NULL) {
        if (why != NULL) {
            *why = in.why;
        }

        return -1;
    }

    *out_len = (size_t) (in.pos - dst);

    return 0;
}
