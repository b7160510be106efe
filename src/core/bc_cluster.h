
/*
 * Copyright (C) the blockcast authors
 *
 * The entries of a cluster's log, and their order.  An entry has two fields:
 * "k", its kind, and "v", its value.  Its id is TERM-N; N is 0 in a begin.
 * The kinds:
 *
 *     b   begin of a leader's term: a head, then a record "seq" for each
 *         stream: no number up to it is used again; its time is the newest
 *         that the leader had
 *     i   an image: a head, then records with the complete state
 *     r   records: what one poll has published
 *     p   polls and errors; sent every second, as a sign that the leader
 *         is alive
 *     e   end: the leader leaves
 *
 *     head     "1 EPOCH IDENTITY AUTHOR PREV\n"
 *
 * The records are those of the state file, see bc_journal.h.
 */


#ifndef _BC_CLUSTER_H_INCLUDED_
#define _BC_CLUSTER_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>

#include "bc_engine.h"
#include "bc_span.h"


#define BC_CLUSTER_AUTHOR    16
#define BC_CLUSTER_HEAD_MAX  (2 + 21 + BC_ENGINE_IDENTITY + 1                 \
                              + BC_CLUSTER_AUTHOR + 1 + BC_ENGINE_ID_LEN + 1)


typedef struct {
    uint64_t         epoch;
    char             identity[BC_ENGINE_IDENTITY];  /* of the engine */
    char             author[BC_CLUSTER_AUTHOR + 1];  /* hexadecimal */
    bc_engine_id_t   prev;          /* the entry before it, as seen by the
                                       author */
    bc_span_t        records;
} bc_cluster_head_t;


/*
 * an entry of the log; print, a hash of its value, tells it from another entry
 * with the same id
 */

typedef struct {
    bc_engine_id_t   id;
    uint64_t         print;
} bc_cluster_mark_t;


/* Writes a head, without the records.  Returns its length in bytes. */
size_t bc_cluster_head_put(char *p, const bc_cluster_head_t *head);

/* Parses the value of a begin or an image.  Returns 0, or -1 if malformed. */
int bc_cluster_head_get(bc_span_t value, bc_cluster_head_t *head);


/*
 * Tells whether entry id follows cur: as the next one of the same term, or as
 * the begin of a later term whose author has seen all entries up to cur.  prev
 * is that of a begin, NULL for all others.
 */
int bc_cluster_follows(const bc_engine_id_t *cur, const bc_engine_id_t *id,
    const bc_engine_id_t *prev);

/* Sets *mark to the mark of an entry with that id and value. */
void bc_cluster_mark(bc_cluster_mark_t *mark, const bc_engine_id_t *id,
    bc_span_t value);

/*
 * Tells whether the first entry in a reply to XRANGE is the marked one, with
 * the same id and value.
 */
int bc_cluster_marked(const bc_engine_reply_t *reply,
    const bc_cluster_mark_t *mark);


#endif /* _BC_CLUSTER_H_INCLUDED_ */
