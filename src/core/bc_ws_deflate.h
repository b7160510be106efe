
/*
 * Copyright (C) the blockcast authors
 *
 * permessage-deflate (RFC 7692): negotiates it, and compresses messages, one
 * at a time.
 *
 * One compressor is kept per process and used by all connections in turn: this
 * file must not be used from several threads.
 */

#ifndef _BC_WS_DEFLATE_H_INCLUDED_
#define _BC_WS_DEFLATE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


typedef struct {
    unsigned  server_no_context_takeover:1;
    unsigned  client_no_context_takeover:1;
    unsigned  server_bits:5;       /* 8..15: the window we may compress with */
    unsigned  client_bits:5;       /* 8..15: the window the client uses */
} bc_ws_deflate_params_t;


/* Longer than any response bc_ws_deflate_negotiate() writes, with its NUL. */

#define BC_WS_DEFLATE_RESPONSE_LEN  160


/*
 * Takes the value of Sec-WebSocket-Extensions (several header lines joined
 * by ", ") and accepts the first offer of permessage-deflate that can be
 * honoured.  Offers with an unknown, repeated or invalid parameter, of another
 * extension, or malformed, are declined: the handshake goes on without them.
 *
 * Context takeover is always refused for both sides, so that one compressed
 * frame serves every client and an idle client costs no zlib state: a server
 * may answer either parameter without having been asked (RFC 7692, 7.1.1).
 * server_max_window_bits of 8 is honoured too, see bc_ws_deflate().
 *
 * Returns 1 with *out and the NUL-terminated header value to answer in
 * `response`, or 0 when nothing was negotiated: then no header must be sent.
 */

int bc_ws_deflate_negotiate(const uint8_t *header, size_t len,
    bc_ws_deflate_params_t *out, char *response, size_t size);


/*
 * Compresses one message without context: `bits` is the receiver's window
 * (8..15), `level` zlib's (1..9, -1: default).  The trailing 00 00 ff ff is
 * removed (RFC 7692, 7.2.1), BFINAL is never set.
 *
 * Returns 0 with the length in *out_len; -1 when the result does not fit in
 * `size` bytes, which is how to ask for "only when smaller" (also when there
 * is no memory).  zlib writes the removed tail to dst, too, and one byte must
 * be left over: the result is at most size - 5 bytes.
 */

int bc_ws_deflate(const uint8_t *src, size_t len, unsigned bits, int level,
    uint8_t *dst, size_t size, size_t *out_len);


/*
 * zlib's level for a message of `len` bytes: the largest are compressed least,
 * for level 6 takes three times as long and saves a tenth more.
 */

#define BC_WS_DEFLATE_LARGE  (128 * 1024)

#define bc_ws_deflate_level(len)  ((len) > BC_WS_DEFLATE_LARGE ? 1 : 6)


/*
 * Compresses a message piece by piece, so that other work has its turn in
 * between; several may be under way.  The arguments are those of
 * bc_ws_deflate(), and src and dst must last until the end.
 *
 * _begin() returns NULL without memory.  _step() takes up to `piece` bytes of
 * the message and returns 1 when there is more of it; else 0 or -1, as
 * bc_ws_deflate() does.  _end() frees it at any time; NULL is fine.
 */

typedef struct bc_ws_deflate_s  bc_ws_deflate_t;

bc_ws_deflate_t *bc_ws_deflate_begin(const uint8_t *src, size_t len,
    unsigned bits, int level, uint8_t *dst, size_t size);
int bc_ws_deflate_step(bc_ws_deflate_t *d, size_t piece, size_t *out_len);
void bc_ws_deflate_end(bc_ws_deflate_t *d);


/*
 * Tells whether a frame that bc_ws_deflate() made, with `bits`, of a message
 * of `len` bytes may be sent to a client whose window is client_window (its
 * negotiated server_bits): without context no reference reaches further back
 * than the message is long, so a short message suits every window.
 */

#define bc_ws_deflate_suits(bits, len, client_window)                         \
    ((bits) <= (client_window) || (len) <= ((size_t) 1 << (client_window)))


/*
 * Frees what the process keeps between messages, of bc_ws_inflate, too; it is
 * made again when it is needed.
 */

void bc_ws_deflate_cleanup(void);


#endif /* _BC_WS_DEFLATE_H_INCLUDED_ */
