
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_ws_deflate.h"
#include "bc_http.h"
#include "bc_ws_inflate.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <zlib.h>


#define BC_WS_DEFLATE_NAME       "permessage-deflate"

#define BC_WS_DEFLATE_MIN_BITS   8
#define BC_WS_DEFLATE_MAX_BITS   15

/* length of 00 00 ff ff, the end of each message, which is not sent (bytes) */
#define BC_WS_DEFLATE_TAIL       4

/* zlib's default: 256K of memory for the one compressor of a process */

#define BC_WS_DEFLATE_MEM_LEVEL  8


typedef struct {
    unsigned  server_no_context_takeover:1;
    unsigned  client_no_context_takeover:1;
    unsigned  server_max_window_bits:1;
    unsigned  client_max_window_bits:1;
    unsigned  server_bits;         /* 0: no value was given */
    unsigned  client_bits;
} bc_ws_deflate_offer_t;


static int  bc_ws_deflate_offer(bc_span_t item, bc_ws_deflate_offer_t *offer);
static int  bc_ws_deflate_param(bc_ws_deflate_offer_t *offer, bc_span_t name,
    int has_value, const char *value);
static int  bc_ws_deflate_bits(const char *value, unsigned *bits);
static int  bc_ws_deflate_value(const uint8_t **pos, const uint8_t *last,
    char *value, size_t size);
static void  bc_ws_deflate_space(const uint8_t **pos, const uint8_t *last);
static int  bc_ws_deflate_is(bc_span_t name, const char *s);


struct bc_ws_deflate_s {
    z_stream  z;
    size_t    len;                 /* input not consumed yet (bytes) */
    size_t    size;                /* of dst */
};


/* one per process: messages are compressed one at a time */

static z_stream          bc_ws_deflater;
static unsigned          bc_ws_deflater_bits;      /* 0: not initialised */
static int               bc_ws_deflater_level;


int
bc_ws_deflate_negotiate(const uint8_t *header, size_t len,
    bc_ws_deflate_params_t *out, char *response, size_t size)
{
    int                     n;
    char                    server[40], client[40];
    bc_span_t               item;
    const uint8_t          *pos, *last;
    bc_ws_deflate_offer_t   offer;

    pos = header;
    last = header + len;

    while (bc_http_list_next(&pos, last, &item)) {

        if (!bc_ws_deflate_offer(item, &offer)) {
            continue;
        }

        server[0] = '\0';
        client[0] = '\0';

        if (offer.server_max_window_bits) {
            snprintf(server, sizeof(server), "; server_max_window_bits=%u",
                     offer.server_bits);

        } else {
            offer.server_bits = BC_WS_DEFLATE_MAX_BITS;
        }

        if (offer.client_bits != 0) {
            snprintf(client, sizeof(client), "; client_max_window_bits=%u",
                     offer.client_bits);

        } else {
            offer.client_bits = BC_WS_DEFLATE_MAX_BITS;
        }

        n = snprintf(response, size,
                     BC_WS_DEFLATE_NAME "; server_no_context_takeover"
                     "; client_no_context_takeover%s%s", server, client);

        if (n < 0 || (size_t) n >= size) {
            return 0;
        }

        out->server_no_context_takeover = 1;
        out->client_no_context_takeover = 1;
        out->server_bits = offer.server_bits & 0x1f;
        out->client_bits = offer.client_bits & 0x1f;

        return 1;
    }

    return 0;
}


/*
 * Parses one list element.  Returns 1 when it is an offer that can be
 * honoured.
 */

static int
bc_ws_deflate_offer(bc_span_t item, bc_ws_deflate_offer_t *offer)
{
    int             has_value;
    char            value[sizeof("15")];
    bc_span_t       name;
    const uint8_t  *p, *last;

    value[0] = '\0';
    memset(offer, 0, sizeof(bc_ws_deflate_offer_t));

    p = item.data;
    last = item.data + item.len;

    if (!bc_http_token(&p, last, &name)
        || !bc_ws_deflate_is(name, BC_WS_DEFLATE_NAME))
    {
        return 0;
    }

    for ( ;; ) {
        bc_ws_deflate_space(&p, last);

        if (p == last) {
            return 1;
        }

        if (*p++ != ';') {
            return 0;
        }

        bc_ws_deflate_space(&p, last);

        if (!bc_http_token(&p, last, &name)) {
            return 0;
        }

        bc_ws_deflate_space(&p, last);

        has_value = (p < last && *p == '=');

        if (has_value) {
            p++;
            bc_ws_deflate_space(&p, last);

            if (!bc_ws_deflate_value(&p, last, value, sizeof(value))) {
                return 0;
            }
        }

        if (!bc_ws_deflate_param(offer, name, has_value, value)) {
            return 0;
        }
    }
}


/*
 * Parses a parameter.  Returns 0 if it is unknown, repeated or has a bad
 * value.
 */

static int
bc_ws_deflate_param(bc_ws_deflate_offer_t *offer, bc_span_t name,
    int has_value, const char *value)
{
    if (bc_ws_deflate_is(name, "server_no_context_takeover")) {

        if (has_value || offer->server_no_context_takeover) {
            return 0;
        }

        offer->server_no_context_takeover = 1;

        return 1;
    }

    if (bc_ws_deflate_is(name, "client_no_context_takeover")) {

        if (has_value || offer->client_no_context_takeover) {
            return 0;
        }

        offer->client_no_context_takeover = 1;

        return 1;
    }

    if (bc_ws_deflate_is(name, "server_max_window_bits")) {

        if (!has_value || offer->server_max_window_bits) {
            return 0;
        }

        offer->server_max_window_bits = 1;

        return bc_ws_deflate_bits(value, &offer->server_bits);
    }

    if (bc_ws_deflate_is(name, "client_max_window_bits")) {

        if (offer->client_max_window_bits) {
            return 0;
        }

        offer->client_max_window_bits = 1;

        return !has_value || bc_ws_deflate_bits(value, &offer->client_bits);
    }

    return 0;
}


/* Parses 8 to 15, decimal, without leading zeros (RFC 7692, 7.1.2). */

static int
bc_ws_deflate_bits(const char *value, unsigned *bits)
{
    if (value[0] >= '8' && value[0] <= '9' && value[1] == '\0') {
        *bits = (unsigned) (value[0] - '0');
        return 1;
    }

    if (value[0] == '1' && value[1] >= '0' && value[1] <= '5') {
        *bits = 10 + (unsigned) (value[1] - '0');
        return 1;
    }

    return 0;
}


/*
 * Reads a token or a quoted string with a token in it (RFC 6455, 9.1).  No
 * valid value is longer than two bytes: longer ones are refused.
 */

static int
bc_ws_deflate_value(const uint8_t **pos, const uint8_t *last, char *value,
    size_t size)
{
    size_t          n;
    bc_span_t       token;
    const uint8_t  *p;

    p = *pos;

    if (p == last || *p != '"') {

        if (!bc_http_token(pos, last, &token) || token.len >= size) {
            return 0;
        }

        memcpy(value, token.data, token.len);
        value[token.len] = '\0';

        return 1;
    }

    p++;
    n = 0;

    while (p < last && *p != '"') {

        if (*p == '\\' && ++p == last) {
            return 0;
        }

        if (*p == '\0' || n + 1 == size) {
            return 0;
        }

        value[n++] = (char) *p++;
    }

    if (p == last) {
        return 0;
    }

    value[n] = '\0';
    *pos = p + 1;

    return n != 0;
}


static void
bc_ws_deflate_space(const uint8_t **pos, const uint8_t *last)
{
    while (*pos < last && (**pos == ' ' || **pos == '\t')) {
        (*pos)++;
    }
}


static int
bc_ws_deflate_is(bc_span_t name, const char *s)
{
    return name.len == strlen(s) && memcmp(name.data, s, name.len) == 0;
}


int
bc_ws_deflate(const uint8_t *src, size_t len, unsigned bits, int level,
    uint8_t *dst, size_t size, size_t *out_len)
{
    size_t     piece;
    z_stream  *z;

    z = &bc_ws_deflater;

    /*
     * zlib has no raw deflate with a window of 256 bytes.  With a window of
     * 512 bytes its references reach at most 512 - 262 = 250 bytes back (262
     * is the longest match plus the lookahead needed), which a receiver with
     * 256 bytes can follow.
     */

    if (bits < 9) {
        bits = 9;
    }

    if (bits > BC_WS_DEFLATE_MAX_BITS) {
        bits = BC_WS_DEFLATE_MAX_BITS;
    }

    if (bc_ws_deflater_bits == bits && bc_ws_deflater_level == level) {
        deflateReset(z);

    } else {
        if (bc_ws_deflater_bits != 0) {
            deflateEnd(z);
            bc_ws_deflater_bits = 0;
        }

        memset(z, 0, sizeof(z_stream));

        if (deflateInit2(z, level, Z_DEFLATED, -(int) bits,
                         BC_WS_DEFLATE_MEM_LEVEL, Z_DEFAULT_STRATEGY)
            != Z_OK)
        {
            return -1;
        }

        bc_ws_deflater_bits = bits;
        bc_ws_deflater_level = level;
    }

    if (size > UINT_MAX) {
        size = UINT_MAX;
    }

    z->next_in = (Bytef *) src;
    z->next_out = dst;
    z->avail_out = (uInt) size;

    do {
        piece = (len > UINT_MAX) ? UINT_MAX : len;
        len -= piece;

        z->avail_in = (uInt) piece;

        if (deflate(z, (len == 0) ? Z_SYNC_FLUSH : Z_NO_FLUSH) != Z_OK
            || z->avail_out == 0)
        {
            /* the flush is complete only if output space is left over */
            return -1;
        }

    } while (len != 0);

    *out_len = size - z->avail_out - BC_WS_DEFLATE_TAIL;

    return 0;
}


bc_ws_deflate_t *
bc_ws_deflate_begin(const uint8_t *src, size_t len, unsigned bits, int level,
    uint8_t *dst, size_t size)
{
    bc_ws_deflate_t  *d;

    d = calloc(1, sizeof(bc_ws_deflate_t));
    if (d == NULL) {
        return NULL;
    }

    bits = (bits < 9) ? 9 : bits;      /* as in bc_ws_deflate() */

    if (bits > BC_WS_DEFLATE_MAX_BITS) {
        bits = BC_WS_DEFLATE_MAX_BITS;
    }

    if (deflateInit2(&d->z, level, Z_DEFLATED, -(int) bits,
                     BC_WS_DEFLATE_MEM_LEVEL, Z_DEFAULT_STRATEGY)
        != Z_OK)
    {
        free(d);
        return NULL;
    }

    d->len = len;
    d->size = (size > UINT_MAX) ? UINT_MAX : size;

    d->z.next_in = (Bytef *) src;
    d->z.next_out = dst;
    d->z.avail_out = (uInt) d->size;

    return d;
}


int
bc_ws_deflate_step(bc_ws_deflate_t *d, size_t piece, size_t *out_len)
{
    if (piece > d->len) {
        piece = d->len;
    }

    if (piece > UINT_MAX) {
        piece = UINT_MAX;
    }

    d->len -= piece;
    d->z.avail_in = (uInt) piece;

    if (deflate(&d->z, (d->len == 0) ? Z_SYNC_FLUSH : Z_NO_FLUSH) != Z_OK
        || d->z.avail_out == 0)
    {
        return -1;
    }

    if (d->len != 0) {
        return 1;
    }

    *out_len = d->size - d->z.avail_out - BC_WS_DEFLATE_TAIL;

    return 0;
}


void
bc_ws_deflate_end(bc_ws_deflate_t *d)
{
    if (d != NULL) {
        deflateEnd(&d->z);
        free(d);
    }
}


void
bc_ws_deflate_cleanup(void)
{
    if (bc_ws_deflater_bits != 0) {
        deflateEnd(&bc_ws_deflater);
        bc_ws_deflater_bits = 0;
    }

    bc_ws_inflate_cleanup();
}
