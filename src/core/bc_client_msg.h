
/*
 * Copyright (C) the blockcast authors
 *
 * The messages of a client: those of the JSON protocol and the requests of
 * JSON-RPC 2.0.
 *
 * A message is checked by bc_json_check() and then read with cJSON, which
 * alone would accept more than JSON.  The tree has a bounded number of values,
 * so that a message of 64 KB costs no more than the check.  "id" is sent back
 * from the original text, as cJSON's numbers are doubles.
 */

#ifndef _BC_CLIENT_MSG_H_INCLUDED_
#define _BC_CLIENT_MSG_H_INCLUDED_


#include <cjson/cJSON.h>

#include "bc_json.h"


/* Messages nested deeper than this are refused. */

#define BC_CLIENT_MSG_DEPTH   16

/*
 * A message with more values than this, on all levels, is refused.  Commas and
 * opening brackets are counted, including those of empty arrays and objects.
 */

#define BC_CLIENT_MSG_VALUES  1024

/* How many bytes are kept of a name in a message. */

#define BC_CLIENT_MSG_NAME    128

/* The longest name that a range of a history can have. */

#define BC_CLIENT_MSG_RANGE   16

/* The longest JSON text of an "id" that is accepted and sent back. */

#define BC_CLIENT_MSG_ID      128


typedef enum {
    BC_CLIENT_MSG_INVALID = 0,     /* not JSON */
    BC_CLIENT_MSG_WRONG,           /* neither an object nor a request */
    BC_CLIENT_MSG_LONG_ID,         /* id is empty then */
    BC_CLIENT_MSG_LARGE,           /* more than BC_CLIENT_MSG_VALUES values */
    BC_CLIENT_MSG_BATCH,           /* an array of requests */
    BC_CLIENT_MSG_UNTYPED,         /* no "type" */
    BC_CLIENT_MSG_NO_MEMORY,
    BC_CLIENT_MSG_UNKNOWN,         /* name says which type or method */
    BC_CLIENT_MSG_PING,
    BC_CLIENT_MSG_SUBSCRIBE,
    BC_CLIENT_MSG_UNSUBSCRIBE,
    BC_CLIENT_MSG_STREAMS,
    BC_CLIENT_MSG_VERSION
} bc_client_msg_e;


typedef struct {
    bc_client_msg_e  what;

    bc_span_t        id;        /* the bytes of "id", len 0: there is none */

    /* of a subscribe */
    uint64_t         since;
    unsigned         has_since:1;
    unsigned         bad_since:1;
    unsigned         bad_epoch:1;
    unsigned         delta:1;
    unsigned         has_history:1;     /* range says which, len 0: any */
    unsigned         bad_history:1;
    uint8_t          range[BC_CLIENT_MSG_RANGE];
    size_t           range_len;

    /* the type or method, or the stream: see bc_client_msg_stream() */
    uint8_t          name[BC_CLIENT_MSG_NAME];
    size_t           name_len;

    /* private */
    cJSON           *tree;
    const cJSON     *params;    /* of a request, NULL: there are none */
    const cJSON     *stream;
    const cJSON     *streams;   /* the next one of them */
    const cJSON     *epoch;     /* that since is of, NULL: not said */
} bc_client_msg_t;


/*
 * Reads a message of the JSON protocol: any bytes, into which m->id points.
 * Call bc_client_msg_free() afterwards, whatever m->what is.
 */

void bc_client_msg_parse(bc_client_msg_t *m, const uint8_t *p, size_t len);

/*
 * Reads the streams that a message names, one after the other: "stream", then
 * those of "streams".  Returns 1 with one in m->name, -1 for one that is not a
 * string, 0 at the end.
 */

int bc_client_msg_stream(bc_client_msg_t *m);

/*
 * Reads a request of JSON-RPC 2.0: any bytes.  A method may have a namespace,
 * eth_ or blockcast_.  m->id is set for an invalid request, too, if it has
 * one. bc_client_msg_stream() reads the stream of a subscribe, ["NAME",{...}]
 * or {"stream":"NAME",...}.  Call bc_client_msg_free() afterwards.
 */

void bc_client_msg_request(bc_client_msg_t *m, const uint8_t *p, size_t len);

/*
 * Reads the subscription of an unsubscribe, ["0x1f"] or
 * {"subscription":"0x1f"}.  Returns 0 with the number, which is 0 if the text
 * is not one, or -1 when there is no string.
 */

int bc_client_msg_subscription(const bc_client_msg_t *m, uint64_t *id);

/*
 * Returns true unless a subscribe says that its since is of another epoch, as
 * a number, or as a string for clients whose numbers are doubles.
 */

int bc_client_msg_is_epoch(const bc_client_msg_t *m, uint64_t epoch);

/* Frees what the other functions read; does nothing when called again. */

void bc_client_msg_free(bc_client_msg_t *m);


#endif /* _BC_CLIENT_MSG_H_INCLUDED_ */
