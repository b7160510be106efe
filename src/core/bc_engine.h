
/*
 * Copyright (C) the blockcast authors
 *
 * The protocol of Redis and Valkey (RESP2), as far as needed to use a stream
 * as a log: commands out, replies in.  hiredis formats and parses; the caller
 * owns the connection.
 */


#ifndef _BC_ENGINE_H_INCLUDED_
#define _BC_ENGINE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "bc_span.h"


/* no reply about our log can be larger than this (bytes, elements) */
#define BC_ENGINE_MAX          (512 * 1024 * 1024)
#define BC_ENGINE_ELEMENTS     65536

/* sizes with the NUL: of an id as text; of a server's identity (bytes) */
#define BC_ENGINE_ID_LEN       42
#define BC_ENGINE_IDENTITY     128


/* an entry's id: TERM-N */

typedef struct {
    uint64_t         term;
    uint64_t         n;
} bc_engine_id_t;


typedef struct {
    void            *reader;
    size_t           waiting;       /* bytes fed since the last reply */
} bc_engine_t;


typedef enum {
    bc_engine_status = 1,
    bc_engine_error,
    bc_engine_string,
    bc_engine_integer,
    bc_engine_nil,
    bc_engine_array
} bc_engine_type_e;


/* a reply; text points into its memory, which the caller frees */

typedef struct {
    bc_engine_type_e  type;
    bc_span_t         text;         /* status, error, string */
    int64_t           integer;
    void             *raw;
} bc_engine_reply_t;


/* an entry of a stream, from a reply to XREAD or XRANGE */

typedef struct {
    bc_span_t        key;           /* name of the stream; XRANGE: len 0 */
    bc_engine_id_t   id;
    const void      *fields;
} bc_engine_entry_t;


typedef struct {
    const void      *reply;
    size_t           stream;
    size_t           entry;
} bc_engine_iter_t;


/* the cause of an error reply */

typedef enum {
    bc_engine_other = 0,
    bc_engine_fenced,               /* XADD: the log has that id or a later
                                       one */
    bc_engine_moved,                /* the key is on another server */
    bc_engine_denied                /* AUTH or ACL: retrying does not help */
} bc_engine_error_e;


/*
 * Initializes a parser.  Returns 0, or -1 without memory; _free() may be
 * called in any case.
 */
int bc_engine_init(bc_engine_t *e);
void bc_engine_free(bc_engine_t *e);

/*
 * Appends len bytes of input.  Returns 0, or -1: no memory, or too much input
 * without a whole reply.
 */
int bc_engine_feed(bc_engine_t *e, const uint8_t *p, size_t len);

/*
 * Extracts the next whole reply.  Returns 1 with *reply, which the caller
 * frees; 0 when there is none yet; -1 on a protocol error, with the reason in
 * *why.
 */
int bc_engine_next(bc_engine_t *e, bc_engine_reply_t *reply,
    const char **why);
void bc_engine_reply_free(bc_engine_reply_t *reply);

/*
 * Formats a command of argc arguments, 1 to 16.  Returns it, with its length
 * in *len, or NULL on failure; the caller frees it with
 * bc_engine_command_free().
 */
char *bc_engine_command(size_t *len, int argc, const bc_span_t *argv);
void bc_engine_command_free(char *command);

/*
 * Iterate over the entries in a reply to XREAD: _first() starts, _entry()
 * returns 1 with the next one, 0 at the end, -1 when the reply is malformed.
 * _range_first() does the same for the first entry in a reply to XRANGE;
 * _range_count() returns how many there are.
 */
void bc_engine_first(bc_engine_iter_t *it, const bc_engine_reply_t *reply);
int bc_engine_entry(bc_engine_iter_t *it, bc_engine_entry_t *entry);
int bc_engine_range_first(const bc_engine_reply_t *reply,
    bc_engine_entry_t *entry);
size_t bc_engine_range_count(const bc_engine_reply_t *reply);

/*
 * Finds a field of an entry.  Returns 1, or 0 with an empty span if missing.
 */
int bc_engine_field(const bc_engine_entry_t *entry, const char *name,
    bc_span_t *value);

/* Read, write and compare ids; _get() returns 0, or -1 when it is invalid. */
int bc_engine_id_get(bc_span_t text, bc_engine_id_t *id);
size_t bc_engine_id_put(char *p, const bc_engine_id_t *id);
int bc_engine_id_cmp(const bc_engine_id_t *a, const bc_engine_id_t *b);

/* Finds "name:" in the reply to INFO; returns 1 with its value, or 0. */
int bc_engine_info(bc_span_t text, const char *name, bc_span_t *value);

/*
 * Writes the identity of a server and of the history of its data: run_id and
 * master_replid from INFO.  Returns 0, or -1 when they are missing or
 * unusable.
 */
int bc_engine_identity(bc_span_t info, char identity[BC_ENGINE_IDENTITY]);

/*
 * Returns the cause of an error reply; for _moved, *where is the HOST:PORT
 * that has the key.
 */
bc_engine_error_e bc_engine_error_kind(bc_span_t text, bc_span_t *where);


#endif /* _BC_ENGINE_H_INCLUDED_ */
