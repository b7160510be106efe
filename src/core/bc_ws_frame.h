
/*
 * Copyright (C) the blockcast authors
 *
 * RFC 6455 frames: their bits, and functions to write them.
 */

#ifndef _BC_WS_FRAME_H_INCLUDED_
#define _BC_WS_FRAME_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* opcodes (RFC 6455, 5.2), also the types of events */

#define BC_WS_CONT    0
#define BC_WS_TEXT    1
#define BC_WS_BINARY  2
#define BC_WS_CLOSE   8
#define BC_WS_PING    9
#define BC_WS_PONG    10


/* bits of a frame's first byte; BC_WS_MASK: of its second */

#define BC_WS_FIN              0x80
#define BC_WS_RSV1             0x40
#define BC_WS_RSV              0x70
#define BC_WS_CONTROL          0x08
#define BC_WS_OPCODE           0x0f
#define BC_WS_MASK             0x80


/* the longest payload of a control frame (RFC 6455, 5.5) */

#define BC_WS_MAX_CONTROL      125


/*
 * The first returns the length of an unmasked frame's header: 2, 4 or 10.  The
 * second writes the header to dst, which has room for BC_WS_HEADER_LEN bytes,
 * and returns its length.
 */

#define BC_WS_HEADER_LEN  10

size_t bc_ws_frame_header_len(uint64_t len);
size_t bc_ws_frame_header(uint8_t *dst, int opcode, int fin, int rsv1,
    uint64_t len);


/*
 * Writes a complete unmasked Close frame to dst, which has room for
 * BC_WS_CLOSE_LEN bytes, and returns its length.  The frame is empty when the
 * code is 0 or must not be sent (as 1005).  `reason` (may be NULL) is cut
 * before the first character that does not fit into 123 bytes or is not valid
 * UTF-8.
 */

#define BC_WS_CLOSE_LEN  127

size_t bc_ws_frame_close(uint8_t *dst, unsigned code, const char *reason);


/*
 * Tells whether a code may appear in a Close frame: 1000-1003, 1007-1014 (the
 * registered ones), 3000-4999 (RFC 6455, 7.4).
 */

int bc_ws_frame_code_valid(unsigned code);


/*
 * XORs len bytes from src to dst (may be the same) with the 4 bytes of mask,
 * and rotates mask for the next piece of the same frame.
 */

void bc_ws_frame_unmask(uint8_t *dst, const uint8_t *src, size_t len,
    uint8_t mask[4]);


#endif /* _BC_WS_FRAME_H_INCLUDED_ */
