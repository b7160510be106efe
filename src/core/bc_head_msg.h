
/*
 * Copyright (C) the blockcast authors
 *
 * What a node sends over its own WebSocket: JSON-RPC replies and
 * notifications, told apart.
 */

#ifndef _BC_HEAD_MSG_H_INCLUDED_
#define _BC_HEAD_MSG_H_INCLUDED_


#include "bc_span.h"


typedef enum {
    BC_HEAD_MSG_OTHER = 0,      /* no JSON-RPC */
    BC_HEAD_MSG_REPLY,          /* no method, an id: CometBFT's events, too */
    BC_HEAD_MSG_CALL            /* a method: a notification, or a request */
} bc_head_msg_kind_e;


/*
 * Pieces of the text that was read, byte for byte; data is NULL for what is
 * not there.
 */

typedef struct {
    bc_head_msg_kind_e  kind;
    bc_span_t           id;
    bc_span_t           subscription;   /* params.subscription */
    bc_span_t           result;         /* params.result, of a reply result */
    bc_span_t           error;          /* of a reply; null is none */
} bc_head_msg_t;


/* Reads a text message; 0, or -1 when it is not JSON (and _OTHER). */

int bc_head_msg_read(const uint8_t *p, size_t len, bc_head_msg_t *msg);


/* Tells whether two pieces are there and have the same bytes. */

int bc_head_msg_same(bc_span_t a, bc_span_t b);


/*
 * Writes "CODE MESSAGE" of an error object to dst, printable and with a NUL
 * behind it, cut to size.
 */

void bc_head_msg_error(bc_span_t error, char *dst, size_t size);


#endif /* _BC_HEAD_MSG_H_INCLUDED_ */
