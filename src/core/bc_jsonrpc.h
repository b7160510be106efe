
/*
 * Copyright (C) the blockcast authors
 *
 * JSON-RPC: builds a request, reads a reply, alone or in a batch.
 *
 * Nodes speak 2.0, 1.0 and what lies between.  As a rule all of these are
 * read, as long as nothing is lost by it; strict: nothing but 2.0.
 */

#ifndef _BC_JSONRPC_H_INCLUDED_
#define _BC_JSONRPC_H_INCLUDED_


#include "bc_json.h"
#include "bc_span.h"


#define BC_JSONRPC_MAX_DEPTH  512


/* how a body is read: as any JSON-RPC, as 2.0, as a document of JSON */

#define BC_JSONRPC_ANY       0
#define BC_JSONRPC_STRICT    1
#define BC_JSONRPC_DOCUMENT  2


typedef struct {
    int        ok;             /* 1: `result` is set */
    bc_span_t  result;         /* the node's bytes, inside the parsed text */
    int64_t    code;           /* of the node's error object, or 0 */
    int        has_code;       /* 1: the error has one, and it is an integer */
    char       message[256];   /* NUL-terminated, printable, valid UTF-8 */
    int        rpc_error;      /* 1: `code` and `message` are the node's */
} bc_jsonrpc_reply_t;


typedef struct {
    bc_json_iter_t  it;
} bc_jsonrpc_batch_t;


/*
 * Reads a whole HTTP body as the reply to request `id`.
 *
 * Returns 0 with either reply->ok = 1 and the result, byte for byte, or
 * reply->rpc_error = 1 with the node's code and message.  Returns -1 when it
 * is no valid reply to that request, reply->message then says why in one
 * sentence without a full stop.
 *
 * An error reply may have "id":null (the node could not tell whom it answers,
 * HTTP 429 bodies have that), a result may not.  "error":null beside a result
 * and "result":null beside an error object are taken as absent.
 *
 * Unless it is strict, "jsonrpc" may be missing or of another version; the id
 * may be its digits in a string, or a number with the same value; of an error
 * it may be missing or empty; "error":false is as null; an error may be a
 * string, or have no code, or one that is not an integer: it then has none,
 * and the message begins with it.
 *
 * A document is itself the result.
 */

int bc_jsonrpc_parse(const uint8_t *p, size_t len, uint64_t id, int mode,
    bc_jsonrpc_reply_t *reply);

/*
 * Reads a document that came with an HTTP status of an error: as the text of
 * an error that is its member "error", or itself.  Returns 0 or -1 as above.
 */

int bc_jsonrpc_document_error(const uint8_t *p, size_t len,
    bc_jsonrpc_reply_t *reply);


/*
 * Begins with the reply to a batch.  Returns 0: _next() gives the replies, in
 * the node's order; 1: it is an error for all of the batch, in *reply; -1: it
 * is neither, reply->message says why.
 *
 * bc_jsonrpc_batch_next() returns 0 at the end; *id is that of the reply, 0
 * when it has none that is a number.  bc_jsonrpc_batch_read() reads the reply
 * *item as bc_jsonrpc_parse() does.
 */

int bc_jsonrpc_batch_begin(bc_jsonrpc_batch_t *batch, const uint8_t *p,
    size_t len, int mode, bc_jsonrpc_reply_t *reply);
int bc_jsonrpc_batch_next(bc_jsonrpc_batch_t *batch, bc_span_t *item,
    uint64_t *id);
int bc_jsonrpc_batch_read(bc_span_t item, uint64_t id, int mode,
    bc_jsonrpc_reply_t *reply);


/*
 * Tell what an error means, by its code and by what its message says, since
 * nodes agree on few codes: the node does not have the method; it asks for
 * fewer calls.
 */

int bc_jsonrpc_is_missing(int has_code, int64_t code, const uint8_t *message,
    size_t len);
int bc_jsonrpc_is_limit(int has_code, int64_t code, const uint8_t *message,
    size_t len);


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
