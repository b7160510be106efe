
/*
 * Copyright (C) the blockcast authors
 *
 * JSON-RPC 2.0 as a client speaks it: requests, batches, and the text of the
 * answers.  Nothing here allocates memory; what comes out points into the
 * message.
 */

#ifndef _BC_RPC_REQUEST_H_INCLUDED_
#define _BC_RPC_REQUEST_H_INCLUDED_


#include "bc_json.h"


/* messages nested deeper than this are refused */
#define BC_RPC_DEPTH    128

/* the longest name of a method and JSON text of an "id" (bytes) */
#define BC_RPC_METHOD   128
#define BC_RPC_ID       128


/* the codes of JSON-RPC (5.1), and those that nodes use */
#define BC_RPC_PARSE            -32700
#define BC_RPC_INVALID_REQUEST  -32600
#define BC_RPC_NO_METHOD        -32601
#define BC_RPC_BAD_PARAMS       -32602
#define BC_RPC_FAILED           -32000
#define BC_RPC_TOO_LARGE        -32003
#define BC_RPC_LIMITED          -32005


typedef enum {
    BC_RPC_NO_JSON = 0,
    BC_RPC_SINGLE,
    BC_RPC_BATCH,
    BC_RPC_EMPTY                /* a batch without requests */
} bc_rpc_message_e;


typedef struct {
    bc_rpc_message_e  what;
    size_t            n;        /* requests in it */

    /* private */
    bc_span_t         single;
    bc_json_iter_t    it;
} bc_rpc_message_t;


typedef struct {
    bc_span_t         id;       /* JSON text; len 0: a notification */
    bc_span_t         params;   /* JSON text, an array or object; len 0: none */
    const char       *wrong;    /* why it is no request, or NULL */
    uint8_t           method[BC_RPC_METHOD];
    size_t            method_len;
} bc_rpc_request_t;


/* Reads a message: any bytes. */

void bc_rpc_message(bc_rpc_message_t *m, const uint8_t *p, size_t len);

/*
 * Reads the next request; returns 0 at the end.  An invalid request has its id
 * if that can be read, or the text null.
 */

int bc_rpc_next(bc_rpc_message_t *m, bc_rpc_request_t *r);


/*
 * Finds the first param: the first element of an array; of an object the
 * member `name`, or its first one if name is NULL.  Returns 1, or 0 if there
 * is none.
 */

int bc_rpc_param(bc_span_t params, const char *name, bc_span_t *value);


/* Returns 1 when a name matches a pattern, in which * stands for any text. */

int bc_rpc_match(const uint8_t *pattern, size_t pattern_len,
    const uint8_t *name, size_t len);

/*
 * Returns 1 when a method is for the node's operator: of the namespaces
 * admin_, personal_, debug_, miner_, engine_ and the like.
 */

int bc_rpc_private(const uint8_t *name, size_t len);

/*
 * Returns 1 when a call must not be shared, as it may have an effect, or an
 * answer of its own for each caller: its name speaks of sending, signing,
 * filters and so on.
 */

int bc_rpc_changes(const uint8_t *name, size_t len);


/*
 * Writes {"jsonrpc":"2.0","id":ID,"result":VALUE}, or an error.  dst has room
 * for BC_RPC_ANSWER bytes more than id and value have.  Returns the end.
 */

#define BC_RPC_ANSWER  48

uint8_t *bc_rpc_answer(uint8_t *dst, bc_span_t id, int error, bc_span_t value);


#endif /* _BC_RPC_REQUEST_H_INCLUDED_ */
