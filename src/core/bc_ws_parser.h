
/*
 * Copyright (C) the blockcast authors
 *
 * Reads RFC 6455 frames and messages: bytes in, events out.  Works on whatever
 * the socket delivered, in pieces of any size; knows nothing of sockets.
 */

#ifndef _BC_WS_PARSER_H_INCLUDED_
#define _BC_WS_PARSER_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "bc_ws_deflate.h"
#include "bc_ws_frame.h"
#include "bc_ws_inflate.h"


/* results of bc_ws_parser_feed() */

#define BC_WS_AGAIN   0
#define BC_WS_EVENT   1
#define BC_WS_FAIL    -1


/* One for many connections: it is pointed to, not copied. */

typedef struct {
    uint64_t  max_message;     /* bytes of a message, after decompression */
    uint64_t  max_frame;       /* bytes of a data frame as it comes over the
                                  wire; 0: max_message is the only limit */
    uint32_t  max_fragments;   /* frames of one message; 0: no limit */
} bc_ws_limits_t;


typedef struct bc_ws_parser_s   bc_ws_parser_t;
typedef struct bc_ws_message_s  bc_ws_message_t;


/*
 * The receiving half of a connection; the fields are private.  What a message
 * needs beyond this (buffer, control payload, decompressor) is allocated when
 * it arrives in pieces and freed with it.
 */

struct bc_ws_parser_s {
    const bc_ws_limits_t  *limits;
    bc_ws_message_t       *msg;        /* the open message */
    uint8_t               *control;    /* payload of a split control frame */
    bc_ws_inflate_t       *inflate;    /* only kept with context takeover */
    uint64_t               left;       /* length, then what is to come of it */
    uint8_t                mask[4];
    uint8_t                state;
    uint8_t                need;       /* header bytes to come */
    uint8_t                head;       /* the frame's first byte */
    uint8_t                used;       /* bytes in `control` */
    unsigned               client:1;
    unsigned               deflate:1;
    unsigned               takeover:1;
    unsigned               done:1;     /* msg was handed out: free it */
    unsigned               control_done:1;
    unsigned               wide:1;     /* a 64-bit length */
};


typedef struct {
    int             type;          /* BC_WS_TEXT, BINARY, CLOSE, PING, PONG */
    const uint8_t  *data;          /* never NULL for an event */
    size_t          len;
    unsigned        code;          /* CLOSE: the peer's, 1005 when it sent
                                      none; BC_WS_FAIL: to close with */
    const char     *reason;        /* BC_WS_FAIL: a constant sentence that fits
                                      into a Close frame */
    unsigned        compressed:1;  /* the message came compressed */
} bc_ws_event_t;


/*
 * Prepares a connection.  `limits` must live as long as it; `pmd` is what was
 * negotiated (NULL: nothing); client_role is 0 when we are the server: masks
 * are then required, else forbidden.  Allocates nothing.
 */

void bc_ws_parser_init(bc_ws_parser_t *in, const bc_ws_limits_t *limits,
    const bc_ws_deflate_params_t *pmd, int client_role);


/* Frees what a connection still holds; it may be called more than once. */

void bc_ws_parser_free(bc_ws_parser_t *in);


/*
 * Takes input from *pos (advanced) up to last; the input is unmasked in place.
 *
 * Returns BC_WS_EVENT with *ev filled, to be called again with the rest;
 * BC_WS_AGAIN when all input is consumed; BC_WS_FAIL with ev->code and
 * ev->reason to close the connection with, then nothing more may be fed (it
 * would be swallowed).  After a CLOSE event all further input is swallowed,
 * too (RFC 6455, 5.5.1).
 *
 * ev->data is valid until the next call: it points into the input (a message
 * of one frame, all there) or to memory which the next call frees.  So call
 * until BC_WS_AGAIN, also when no input is left.
 *
 * Codes of BC_WS_FAIL: 1002 protocol errors, 1007 bad UTF-8 or bad compressed
 * data, 1008 too many fragments, 1009 too big, 1011 no memory.
 */

int bc_ws_parser_feed(bc_ws_parser_t *in, uint8_t **pos, uint8_t *last,
    bc_ws_event_t *ev);


/*
 * Tells whether a message or a frame has begun and not ended (for
 * timeouts).
 */

int bc_ws_parser_pending(const bc_ws_parser_t *in);


/*
 * Frees everything, for bc_ws_message.c; fills *ev with the code and the
 * reason to close with, returns BC_WS_FAIL.
 */

int bc_ws_parser_fail(bc_ws_parser_t *in, bc_ws_event_t *ev, unsigned code,
    const char *reason);


#endif /* _BC_WS_PARSER_H_INCLUDED_ */
