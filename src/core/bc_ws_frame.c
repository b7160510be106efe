
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_ws_frame.h"
#include "bc_utf8.h"

#include <string.h>


size_t
bc_ws_frame_header_len(uint64_t len)
{
    return (len < 126) ? 2 : (len < 65536) ? 4 : BC_WS_HEADER_LEN;
}


size_t
bc_ws_frame_header(uint8_t *dst, int opcode, int fin, int rsv1, uint64_t len)
{
    int  i;

    dst[0] = (uint8_t) ((fin ? BC_WS_FIN : 0) | (rsv1 ? BC_WS_RSV1 : 0)
                        | (opcode & BC_WS_OPCODE));

    if (len < 126) {
        dst[1] = (uint8_t) len;
        return 2;
    }

    if (len < 65536) {
        dst[1] = 126;
        dst[2] = (uint8_t) (len >> 8);
        dst[3] = (uint8_t) len;
        return 4;
    }

    dst[1] = 127;

    for (i = 0; i < 8; i++) {
        dst[2 + i] = (uint8_t) (len >> (56 - 8 * i));
    }

    return BC_WS_HEADER_LEN;
}


size_t
bc_ws_frame_close(uint8_t *dst, unsigned code, const char *reason)
{
    size_t  n, len, left;

    dst[0] = BC_WS_FIN | BC_WS_CLOSE;
    dst[1] = 0;

    if (!bc_ws_frame_code_valid(code)) {
        return 2;
    }

    dst[2] = (uint8_t) (code >> 8);
    dst[3] = (uint8_t) code;

    len = 2;
    left = (reason != NULL) ? strlen(reason) : 0;

    while (left != 0) {
        n = bc_utf8_sequence((const uint8_t *) reason, left, NULL);

        if (n == 0 || len + n > BC_WS_MAX_CONTROL) {
            break;
        }

        memcpy(dst + 2 + len, reason, n);

        reason += n;
        left -= n;
        len += n;
    }

    dst[1] = (uint8_t) len;

    return 2 + len;
}


int
bc_ws_frame_code_valid(unsigned code)
{
    return (code >= 1000 && code <= 1003)
           || (code >= 1007 && code <= 1014)
           || (code >= 3000 && code <= 4999);
}


void
bc_ws_frame_unmask(uint8_t *dst, const uint8_t *src, size_t len,
    uint8_t mask[4])
{
    size_t    i;
    uint8_t   m[4];
    uint64_t  key, w[4];

    memcpy(&key, mask, 4);
    memcpy((uint8_t *) &key + 4, mask, 4);

    while (len >= sizeof(w)) {
        memcpy(w, src, sizeof(w));

        w[0] ^= key;
        w[1] ^= key;
        w[2] ^= key;
        w[3] ^= key;

        memcpy(dst, w, sizeof(w));

        src += sizeof(w);
        dst += sizeof(w);
        len -= sizeof(w);
    }

    for (i = 0; i < len; i++) {
        dst[i] = src[i] ^ mask[i % 4];
    }

    if (len % 4 != 0) {
        memcpy(m, mask, 4);

        for (i = 0; i < 4; i++) {
            mask[i] = m[(len + i) % 4];
        }
    }
}
