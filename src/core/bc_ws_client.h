
/*
 * Copyright (C) the blockcast authors
 *
 * The client side of a WebSocket: reads the response to its handshake and
 * masks its frames.  The server's frames are read by bc_ws_parser.c.
 */

#ifndef _BC_WS_CLIENT_H_INCLUDED_
#define _BC_WS_CLIENT_H_INCLUDED_


#include "bc_ws_frame.h"


/* the longest response head that is accepted (bytes) */

#define BC_WS_CLIENT_HEAD    8192


/* the length of Sec-WebSocket-Accept, the base64 of a SHA-1 */

#define BC_WS_CLIENT_ACCEPT  28


/* results of bc_ws_client_answer() */

#define BC_WS_CLIENT_AGAIN   0
#define BC_WS_CLIENT_OPEN    1
#define BC_WS_CLIENT_FAIL    -1


typedef struct {
    int     status;             /* the HTTP status; 0: it was not read */
    size_t  len;                /* of the head; frames follow it */
    char    reason[128];        /* BC_WS_CLIENT_FAIL: a printable phrase */
} bc_ws_client_answer_t;


/*
 * Reads what the server has sent so far in response to a handshake that
 * offered neither extensions nor subprotocols (RFC 6455, 4.1).  `accept` is
 * the expected Sec-WebSocket-Accept, BC_WS_CLIENT_ACCEPT characters.
 *
 * Returns BC_WS_CLIENT_OPEN when the handshake succeeded: frames begin at p +
 * answer->len.  BC_WS_CLIENT_AGAIN: the head is incomplete; to be called again
 * with all of it.  BC_WS_CLIENT_FAIL: the handshake failed, and answer->reason
 * says why.  Redirects are not followed.
 */

int bc_ws_client_answer(const uint8_t *p, size_t len, const char *accept,
    bc_ws_client_answer_t *answer);


/*
 * Writes a complete masked frame to dst, which has room for len +
 * BC_WS_CLIENT_FRAME bytes, and returns its length.  The mask has to be new
 * and unpredictable for each frame (RFC 6455, 5.3).
 */

#define BC_WS_CLIENT_FRAME   (BC_WS_HEADER_LEN + 4)

size_t bc_ws_client_frame(uint8_t *dst, int opcode, const uint8_t *payload,
    size_t len, const uint8_t mask[4]);


#endif /* _BC_WS_CLIENT_H_INCLUDED_ */
