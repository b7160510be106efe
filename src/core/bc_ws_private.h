
/*
 * Copyright (C) the blockcast authors
 *
 * What the two halves of the receiver share: frames (bc_ws_parser.c) and messages
 * (bc_ws_message.c).
 */

#ifndef _BC_WS_PRIVATE_H_INCLUDED_
#define _BC_WS_PRIVATE_H_INCLUDED_


#include "bc_ws.h"


#define BC_WS_FIN              0x80
#define BC_WS_RSV1             0x40
#define BC_WS_RSV              0x70
#define BC_WS_CONTROL          0x08
#define BC_WS_OPCODE           0x0f
#define BC_WS_MASK             0x80

#define BC_WS_MAX_CONTROL      125


/* status codes (RFC 6455, 7.4.1) */

#define BC_WS_PROTOCOL_ERROR   1002
#define BC_WS_NO_STATUS        1005
#define BC_WS_BAD_DATA         1007
#define BC_WS_POLICY           1008
#define BC_WS_TOO_BIG          1009
#define BC_WS_INTERNAL         1011


#define BC_WS_NO_MEMORY        "no memory for the message"
#define BC_WS_MESSAGE_TOO_BIG  "the message is too big"


enum {
    bc_ws_st_head = 0,         /* FIN, RSV, opcode */
    bc_ws_st_len,              /* mask bit, length */
    bc_ws_st_ext,              /* 2 or 8 bytes of length */
    bc_ws_st_mask,
    bc_ws_st_payload,
    bc_ws_st_dead              /* failed or closed: input is swallowed */
};


struct bc_ws_msg_s {
    uint8_t          *buf;
    size_t            len;
    size_t            size;
    uint64_t          wire;        /* bytes of its frames so far */
    bc_ws_inflate_t  *inflate;
    uint32_t          utf8;
    uint32_t          frames;
    uint8_t           opcode;
    unsigned          compressed:1;
};


/*
 * Takes payload of a data frame; its header is complete.  Returns as
 * bc_ws_parser_feed(), BC_WS_AGAIN also when the frame is.
 */

int bc_ws_message_data(bc_ws_parser_t *in, uint8_t **pos, uint8_t *last,
    bc_ws_event_t *ev);


/* Frees everything, sets the event, returns BC_WS_FAIL. */

int bc_ws_parser_fail(bc_ws_parser_t *in, bc_ws_event_t *ev, unsigned code,
    const char *reason);


#endif /* _BC_WS_PRIVATE_H_INCLUDED_ */
