
/*
 * Copyright (C) the blockcast authors
 *
 * Classifies what a node sends over its own WebSocket: JSON-RPC replies and
 * notifications.
 */

#ifndef _BC_HEAD_MSG_H_INCLUDED_
#define _BC_HEAD_MSG_H_INCLUDED_


#include "bc_span.h"


typedef enum {
    BC_HEAD_MSG_OTHER = 0,      /* not JSON-RPC */
    BC_HEAD_MSG_REPLY,          /* no method, but an id or error: also
                                   CometBFT's events */
    BC_HEAD_MSG_CALL            /* a method: a notification or a request */
} bc_head_msg_kind_e;


/*
 * Pieces of the text that was read, byte for byte; data is NULL for missing
 * ones.
 */

typedef struct {
    bc_head_msg_kind_e  kind;
    bc_span_t           id;
    bc_span_t           subscription;   /* params.subscription */
    bc_span_t           result;         /* params.result; of a reply: result */
    bc_span_t           error;          /* of a reply; NULL if it was null */
} bc_head_msg_t;


/*
 * Parses a text message.  Returns 0, or -1 when it is not JSON (kind is
 * _OTHER).
 */

int bc_head_msg_read(const uint8_t *p, size_t len, bc_head_msg_t *msg);


/* Tells whether two pieces exist and have the same bytes. */

int bc_head_msg_same(bc_span_t a, bc_span_t b);


/*
 * Writes "CODE MESSAGE" of an error object to dst, printable and
 * NUL-terminated, truncated to size.
 */

void bc_head_msg_error(bc_span_t error, char *dst, size_t size);


#endif /* _BC_HEAD_MSG_H_INCLUDED_ */
