
/*
 * Copyright (C) the blockcast authors
 *
 * Parses RFC 6455 frames and messages: bytes in, events out.  Accepts input in
 * pieces of any size, and does not deal with sockets.
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


/* limits, which many connections can share: they are not copied */

typedef struct {
    uint64_t  max_message;     /* bytes of a message when decompressed */
    uint64_t  max_frame;       /* bytes of a data frame on the wire; 0: only
                                  max_message limits it */
    uint32_t  max_fragments;   /* frames of one message; 0: no limit */
} bc_ws_limits_t;


typedef struct bc_ws_parser_s   bc_ws_parser_t;
typedef struct bc_ws_message_s  bc_ws_message_t;


/*
 * The receiving half of a connection; the fields are private.  More memory for
 * a message (buffer, control payload, decompressor) is allocated only when it
 * arrives in pieces or compressed, and freed with it.
 */

struct bc_ws_parser_s {
    const bc_ws_limits_t  *limits;
    bc_ws_message_t       *msg;        /* open, or returned in the last
                                          event */
    uint8_t               *control;    /* payload of a split control frame */
    bc_ws_inflate_t       *inflate;    /* kept between messages only with
                                          context takeover */
    uint64_t               left;       /* payload bytes still to come */
    uint8_t                mask[4];
    uint8_t                state;
    uint8_t                need;       /* header bytes still to come */
    uint8_t                head;       /* the frame's first byte */
    uint8_t                used;       /* bytes in `control` */
    unsigned               client:1;
    unsigned               deflate:1;
    unsigned               takeover:1;
    unsigned               done:1;     /* msg was returned, to be freed */
    unsigned               control_done:1;
    unsigned               wide:1;     /* a 64-bit length */
};


typedef struct {
    int             type;          /* BC_WS_TEXT, BINARY, CLOSE, PING, PONG */
    const uint8_t  *data;          /* never NULL for an event */
    size_t          len;
    unsigned        code;          /* CLOSE: the peer's code, 1005 without one;
                                      BC_WS_FAIL: to close with */
    const char     *reason;        /* BC_WS_FAIL: a constant phrase that fits
                                      into a Close frame */
    unsigned        compressed:1;  /* the message was compressed */
} bc_ws_event_t;


/*
 * Initializes a connection.  `limits` must outlive it; `pmd` is what was
 * negotiated, or NULL.  client_role is 0 when we are the server: masks are
 * then required, otherwise forbidden.  Allocates nothing.
 */

void bc_ws_parser_init(bc_ws_parser_t *in, const bc_ws_limits_t *limits,
    const bc_ws_deflate_params_t *pmd, int client_role);


/* Frees what a connection still holds; may be called more than once. */

void bc_ws_parser_free(bc_ws_parser_t *in);


/*
 * Consumes input from *pos (advanced) up to last; the input is unmasked in
 * place.
 *
 * Returns BC_WS_EVENT with *ev filled, to be called again with the rest;
 * BC_WS_AGAIN when all input is consumed; BC_WS_FAIL with ev->code and
 * ev->reason to close the connection with.  Input after BC_WS_FAIL, or after a
 * CLOSE event (RFC 6455, 5.5.1), is ignored.
 *
 * ev->data is valid until the next call: it points into the input (if all of a
 * message of one frame is there) or to memory that the next call frees.  So
 * repeat the call until BC_WS_AGAIN, even when no input is left.
 *
 * Codes of BC_WS_FAIL: 1002 protocol errors, 1007 bad UTF-8 or bad compressed
 * data, 1008 too many fragments, 1009 too big, 1011 no memory.
 */

int bc_ws_parser_feed(bc_ws_parser_t *in, uint8_t **pos, uint8_t *last,
    bc_ws_event_t *ev);


/*
 * Tells whether a message or a frame has begun but not ended (for timeouts).
 */

int bc_ws_parser_pending(const bc_ws_parser_t *in);


/*
 * Frees everything, fills *ev with the code and reason to close with, and
 * returns BC_WS_FAIL; used by bc_ws_message.c, too.
 */

int bc_ws_parser_fail(bc_ws_parser_t *in, bc_ws_event_t *ev, unsigned code,
    const char *reason);


#endif /* _BC_WS_PARSER_H_INCLUDED_ */
