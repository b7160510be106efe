
/*
 * Copyright (C) the blockcast authors
 *
 * JSON-RPC: builds a request, reads a reply, alone or in a batch.
 *
 * Nodes speak 2.0, 1.0 and mixtures of them.  All of these are accepted as
 * long as the meaning is clear; in strict mode, only 2.0 is.
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
 * An error reply may have "id":null (5: the node could not read the id;
 * bodies of HTTP 429 have that), a result may not.  "error":null beside a
 * result and "result":null beside an error object count as absent.
 *
 * Except in strict mode, "jsonrpc" may be missing or of another version; the
 * id may be its digits in a string, or a number with the same value; in an
 * error it may be missing or empty; "error":false counts as null; an error may
 * be a string, or have no code, or a code that is not an integer: then
 * has_code is 0, and the message begins with the code.
 *
 * In document mode the whole body is the result.
 */

int bc_jsonrpc_parse(const uint8_t *p, size_t len, uint64_t id, int mode,
    bc_jsonrpc_reply_t *reply);

/*
 * Reads a document that came with an HTTP error status: the error is its
 * member "error", or the whole document.  Returns 0 or -1 as above.
 */

int bc_jsonrpc_document_error(const uint8_t *p, size_t len,
    bc_jsonrpc_reply_t *reply);


/*
 * Read the reply to a batch.  _begin() returns 0 if it is one; 1 if it is a
 * single error for the whole batch, in *reply; -1 if it is neither, with
 * reply->message saying why.  _begin_checked() takes a text that
 * was already found to be a document of BC_JSONRPC_DOCUMENT.
 *
 * _next() finds the next reply, in the node's order, and returns 0 at the end;
 * *id is its id, or 0 if that is not a number.  _read() reads the reply *item
 * as bc_jsonrpc_parse() does.
 */

int bc_jsonrpc_batch_begin(bc_jsonrpc_batch_t *batch, const uint8_t *p,
    size_t len, int mode, bc_jsonrpc_reply_t *reply);
int bc_jsonrpc_batch_begin_checked(bc_jsonrpc_batch_t *batch,
    const uint8_t *p, size_t len, int mode, bc_jsonrpc_reply_t *reply);
int bc_jsonrpc_batch_next(bc_jsonrpc_batch_t *batch, bc_span_t *item,
    uint64_t *id);
int bc_jsonrpc_batch_read(bc_span_t item, uint64_t id, int mode,
    bc_jsonrpc_reply_t *reply);


/*
 * Return 1 when an error means that the node does not have the method, or that
 * it asks for fewer calls.  They look at the message, too, as nodes agree on
 * few codes.
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
