
/*
 * Copyright (C) the blockcast authors
 *
 * The messages of a client, as it sent them: those of the JSON protocol and
 * the requests of JSON-RPC 2.0.  Everything is read where it is; nothing here
 * allocates memory.
 */

#ifndef _BC_CLIENT_MSG_H_INCLUDED_
#define _BC_CLIENT_MSG_H_INCLUDED_


#include "bc_json.h"


/* messages nested deeper than this are not ours */

#define BC_CLIENT_MSG_DEPTH  16

/* a name in a message: of a longer one only the beginning is known */

#define BC_CLIENT_MSG_NAME   128

/* an "id" comes back with every answer: its JSON text is not longer than this */

#define BC_CLIENT_MSG_ID     128


typedef enum {
    BC_CLIENT_MSG_INVALID = 0,     /* not JSON */
    BC_CLIENT_MSG_WRONG,           /* neither an object nor a request */
    BC_CLIENT_MSG_LONG_ID,         /* id is empty then */
    BC_CLIENT_MSG_BATCH,           /* an array of requests */
    BC_CLIENT_MSG_UNTYPED,         /* no "type" */
    BC_CLIENT_MSG_UNKNOWN,         /* name says which type or method */
    BC_CLIENT_MSG_PING,
    BC_CLIENT_MSG_SUBSCRIBE,
    BC_CLIENT_MSG_UNSUBSCRIBE,
    BC_CLIENT_MSG_STREAMS,
    BC_CLIENT_MSG_VERSION
} bc_client_msg_e;


typedef struct {
    bc_client_msg_e  what;

    bc_span_t       id;         /* the bytes of "id", len 0: there is none */
    bc_span_t       params;     /* of a request, len 0: there are none */

    /* of a subscribe */
    uint64_t        since;
    unsigned        has_since:1;
    unsigned        bad_since:1;
    unsigned        delta:1;

    /* the type or method, or the stream: see bc_client_msg_stream() */
    uint8_t         name[BC_CLIENT_MSG_NAME];
    size_t          name_len;

    /* private */
    bc_span_t       stream;
    bc_json_iter_t  streams;
} bc_client_msg_t;


/* A message of the JSON protocol: any bytes. */

void bc_client_msg_parse(bc_client_msg_t *m, const uint8_t *p, size_t len);

/*
 * The streams that a message names, one after the other: "stream", then those
 * of "streams".  Returns 1 with one in m->name, -1 for one that is no string,
 * 0 at the end.
 */

int bc_client_msg_stream(bc_client_msg_t *m);

/*
 * A request of JSON-RPC 2.0: any bytes.  A method may have a namespace, eth_
 * or blockcast_.  The id of a wrong request is known all the same, if it has
 * one.  A subscribe has its stream, ["NAME",{…}] or {"stream":"NAME",…}, for
 * bc_client_msg_stream().
 */

void bc_client_msg_request(bc_client_msg_t *m, const uint8_t *p, size_t len);

/*
 * The subscription that an unsubscribe is about, ["0x1f"] or
 * {"subscription":"0x1f"}: 0 with the number (0 when the text is none), or -1
 * when there is no string.
 */

int bc_client_msg_subscription(const bc_client_msg_t *m, uint64_t *id);


#endif /* _BC_CLIENT_MSG_H_INCLUDED_ */
