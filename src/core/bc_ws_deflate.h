
/*
 * Copyright (C) the blockcast authors
 *
 * permessage-deflate (RFC 7692): negotiates it, and compresses messages, one
 * at a time.
 *
 * All connections share one compressor per process: this file must not be used
 * by several threads.
 */

#ifndef _BC_WS_DEFLATE_H_INCLUDED_
#define _BC_WS_DEFLATE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


typedef struct {
    unsigned  server_no_context_takeover:1;
    unsigned  client_no_context_takeover:1;
    unsigned  server_bits:5;       /* 8..15: our window, for compression */
    unsigned  client_bits:5;       /* 8..15: the client's window */
} bc_ws_deflate_params_t;


/* the size of the longest response of bc_ws_deflate_negotiate(), and more */

#define BC_WS_DEFLATE_RESPONSE_LEN  160


/*
 * Parses the value of Sec-WebSocket-Extensions (several header lines joined by
 * ", ") and accepts the first offer of permessage-deflate that can be
 * honoured.  Offers of other extensions, malformed ones, and those with an
 * unknown, repeated or invalid parameter are declined: the handshake continues
 * without them.
 *
 * Context takeover is always refused for both sides, so that one compressed
 * frame serves every client and an idle client needs no memory for zlib: a
 * server may include either parameter without having been asked (RFC 7692,
 * 7.1.1).  server_max_window_bits of 8 is honoured too, see bc_ws_deflate().
 *
 * Returns 1 with *out and the NUL-terminated header value to answer in
 * `response`, or 0 when nothing was negotiated: then no header must be sent.
 */

int bc_ws_deflate_negotiate(const uint8_t *header, size_t len,
    bc_ws_deflate_params_t *out, char *response, size_t size);


/*
 * Compresses one message without context: `bits` is the receiver's window
 * (8..15), `level` is zlib's (1..9, -1: default).  The trailing 00 00 ff ff is
 * removed (RFC 7692, 7.2.1), BFINAL is never set.
 *
 * Returns 0 with the length in *out_len; -1 when the result does not fit in
 * `size` bytes (a small `size` asks for a result only if it is worth it) or
 * there is no memory.  zlib writes the removed tail to dst, too, and one byte
 * must remain free: the result is at most size - 5 bytes.
 */

int bc_ws_deflate(const uint8_t *src, size_t len, unsigned bits, int level,
    uint8_t *dst, size_t size, size_t *out_len);


/*
 * zlib's level for a message of `len` bytes: large ones are compressed less,
 * because level 6 takes three times as long and saves only a tenth more.
 */

#define BC_WS_DEFLATE_LARGE  (128 * 1024)

#define bc_ws_deflate_level(len)  ((len) > BC_WS_DEFLATE_LARGE ? 1 : 6)


/*
 * Compresses a message in steps, so that other work can be done in between;
 * several may be in progress.  The arguments are those of bc_ws_deflate(); src
 * and dst must stay valid until _end().
 *
 * _begin() returns NULL without memory.  _step() processes up to `piece` bytes
 * of the message and returns 1 when there is more of it; otherwise 0 or -1, as
 * bc_ws_deflate() does.  _end() frees it at any time; d may be NULL.
 */

typedef struct bc_ws_deflate_s  bc_ws_deflate_t;

bc_ws_deflate_t *bc_ws_deflate_begin(const uint8_t *src, size_t len,
    unsigned bits, int level, uint8_t *dst, size_t size);
int bc_ws_deflate_step(bc_ws_deflate_t *d, size_t piece, size_t *out_len);
void bc_ws_deflate_end(bc_ws_deflate_t *d);


/*
 * Tells whether a frame that bc_ws_deflate() made with `bits` from a message
 * of `len` bytes may be sent to a client with the window client_window (its
 * negotiated server_bits).  Without context, references never reach further
 * back than the message is long, so a short message suits every window.
 */

#define bc_ws_deflate_suits(bits, len, client_window)                         \
    ((bits) <= (client_window) || (len) <= ((size_t) 1 << (client_window)))


/*
 * Frees what the process keeps between messages, including the decompressor of
 * bc_ws_inflate; both are created again when needed.
 */

void bc_ws_deflate_cleanup(void);


#endif /* _BC_WS_DEFLATE_H_INCLUDED_ */
