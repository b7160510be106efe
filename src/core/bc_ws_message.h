
/*
 * Copyright (C) the blockcast authors
 *
 * Assembles messages from the frames that bc_ws_parser.c reads.  This header
 * is only for these two files.
 */

#ifndef _BC_WS_MESSAGE_H_INCLUDED_
#define _BC_WS_MESSAGE_H_INCLUDED_


#include "bc_ws_parser.h"


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
    bc_ws_st_dead              /* failed or closed: input is ignored */
};


struct bc_ws_message_s {
    uint8_t          *buf;
    size_t            len;
    size_t            size;
    uint64_t          wire;        /* payload bytes of its frames so far */
    bc_ws_inflate_t  *inflate;
    uint32_t          utf8;
    uint32_t          frames;
    uint8_t           opcode;
    unsigned          compressed:1;
};


/*
 * Consumes payload of a data frame whose header is complete.  Returns as
 * bc_ws_parser_feed() does, and BC_WS_AGAIN also at the end of a frame.
 */

int bc_ws_message_data(bc_ws_parser_t *in, uint8_t **pos, uint8_t *last,
    bc_ws_event_t *ev);


#endif /* _BC_WS_MESSAGE_H_INCLUDED_ */
