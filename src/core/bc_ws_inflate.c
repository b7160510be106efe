
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_ws_inflate.h"

#include <limits.h>
#include <stdlib.h>

#include <zlib.h>


struct bc_ws_inflate_s {
    z_stream  z;
    size_t    tail;                /* bytes of the tail supplied so far */
    unsigned  fed:1;               /* the message has had data */
    unsigned  ended:1;             /* the last block had BFINAL */
};


/* the bytes that the sender has removed from the end of each message */

static const uint8_t  bc_ws_inflate_tail[4] = { 0x00, 0x00, 0xff, 0xff };


/* one spare per process; more exist while several messages are incomplete */

static bc_ws_inflate_t  *bc_ws_inflate_spare;


bc_ws_inflate_t *
bc_ws_inflate_get(void)
{
    bc_ws_inflate_t  *z;

    z = bc_ws_inflate_spare;

    if (z != NULL) {
        bc_ws_inflate_spare = NULL;
        inflateReset(&z->z);

    } else {
        z = calloc(1, sizeof(bc_ws_inflate_t));
        if (z == NULL) {
            return NULL;
        }

        if (inflateInit2(&z->z, -MAX_WBITS) != Z_OK) {
            free(z);
            return NULL;
        }
    }

    z->tail = 0;
    z->fed = 0;
    z->ended = 0;

    return z;
}


void
bc_ws_inflate_put(bc_ws_inflate_t *z)
{
    if (z == NULL) {
        return;
    }

    if (bc_ws_inflate_spare == NULL) {
        bc_ws_inflate_spare = z;
        return;
    }

    inflateEnd(&z->z);
    free(z);
}


int
bc_ws_inflate(bc_ws_inflate_t *z, const uint8_t **src, const uint8_t *last,
    uint8_t **dst, uint8_t *end)
{
    int     rc;
    size_t  in, out;

    if (*src < last) {
        z->fed = 1;
    }

    for ( ;; ) {

        if (z->ended) {

            if (*src == last) {
                return BC_WS_INFLATE_OK;
            }

            /* a new deflate stream, with the window kept */

            inflateResetKeep(&z->z);
            z->ended = 0;
        }

        in = (size_t) (last - *src);
        out = (size_t) (end - *dst);

        if (in > UINT_MAX / 2) {
            in = UINT_MAX / 2;
        }

        if (out > UINT_MAX / 2) {
            out = UINT_MAX / 2;
        }

        z->z.next_in = (Bytef *) *src;
        z->z.avail_in = (uInt) in;
        z->z.next_out = *dst;
        z->z.avail_out = (uInt) out;

        rc = inflate(&z->z, Z_SYNC_FLUSH);

        *src += in - z->z.avail_in;
        *dst += out - z->z.avail_out;

        switch (rc) {

        case Z_STREAM_END:
            z->ended = 1;
            continue;

        case Z_OK:
        case Z_BUF_ERROR:
            break;

        case Z_MEM_ERROR:
            return BC_WS_INFLATE_NOMEM;

        default:
            return BC_WS_INFLATE_BAD;
        }

        if (*dst == end) {
            return BC_WS_INFLATE_FULL;
        }

        if (*src == last) {
            return BC_WS_INFLATE_OK;
        }
    }
}


int
bc_ws_inflate_end(bc_ws_inflate_t *z, uint8_t **dst, uint8_t *end)
{
    int             rc;
    const uint8_t  *src;

    if (z->tail == 0) {

        /*
         * An empty message without any data is not a deflate stream, but some
         * clients send it.  And after a final block the sender should add a
         * byte that makes an empty block with the tail; without it, the
         * message simply ends.
         */

        if (!z->fed || z->ended) {
            rc = BC_WS_INFLATE_OK;
            goto done;
        }
    }

    src = bc_ws_inflate_tail + z->tail;

    rc = bc_ws_inflate(z, &src,
                       bc_ws_inflate_tail + sizeof(bc_ws_inflate_tail), dst,
                       end);

    z->tail = (size_t) (src - bc_ws_inflate_tail);

    if (rc == BC_WS_INFLATE_FULL) {
        return rc;
    }

    /*
     * The tail must have completed a block: that is what 128 in data_type
     * means.  Its low bits count input bits that are not used yet.
     */

    if (rc == BC_WS_INFLATE_OK
        && !z->ended && (z->z.data_type & (128 | 31)) != 128)
    {
        rc = BC_WS_INFLATE_BAD;
    }

done:

    /* with context takeover the next message continues from here */

    z->tail = 0;
    z->fed = 0;

    return rc;
}


void
bc_ws_inflate_cleanup(void)
{
    if (bc_ws_inflate_spare != NULL) {
        inflateEnd(&bc_ws_inflate_spare->z);
        free(bc_ws_inflate_spare);
        bc_ws_inflate_spare = NULL;
    }
}
