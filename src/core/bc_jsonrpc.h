
/*
 * Copyright (C) the blockcast authors
 *
 * JSON-RPC 2.0: builds a request, reads a reply.
 */

#ifndef _BC_JSONRPC_H_INCLUDED_
#define _BC_JSONRPC_H_INCLUDED_


#include "bc_span.h"


#define BC_JSONRPC_MAX_DEPTH  512


typedef struct {
    int        ok;             /* 1: `result` is set */
    bc_span_t  result;         /* the node's bytes, inside the parsed text */
    long       code;           /* of the node's error object */
    char       message[256];   /* NUL-terminated, printable, valid UTF-8 */
    int        rpc_error;      /* 1: `code` and `message` are the node's */
} bc_jsonrpc_reply_t;


/*
 * Reads a whole HTTP body as the reply to request `id`.
 *
 * Returns 0 with either reply->ok = 1 and the result, byte for byte, or
 * reply->rpc_error = 1 with the node's code and message.  Returns -1 when it
 * is no valid JSON-RPC 2.0 reply to that request, reply->message then says
 * why in one sentence without a full stop.
 *
 * An error reply may have "id":null (the node could not tell whom it answers,
 * HTTP 429 bodies have that), a result may not.  "error":null beside a result
 * and "result":null beside an error object are taken as absent.
 */

int bc_jsonrpc_parse(const uint8_t *p, size_t len, uint64_t id,
    bc_jsonrpc_reply_t *reply);


/*
 * Builds {"jsonrpc":"2.0","id":N,"method":"…","params":…} in memory from
 * malloc(), which the caller frees.  params_json is inserted as it is (NULL:
 * no member "params").  *out is also NUL-terminated, *len does not count it.
 *
 * Returns 0, or -1 when there is no memory.
 */

int bc_jsonrpc_build(char **out, size_t *len, uint64_t id, const char *method,
    const char *params_json);


#endif /* _BC_JSONRPC_H_INCLUDED_ */
