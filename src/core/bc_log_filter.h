
/*
 * Copyright (C) the blockcast authors
 *
 * Which entries of a log a subscriber wants: members that must equal one of
 * several values.
 *
 * A filter is made of JSON, {"market":["compute","ads"]}, or of the filter
 * object of Ethereum's logs with address and topics.  Values are compared
 * as bc_json_key() writes them; of Ethereum's, letters in either case.
 */

#ifndef _BC_LOG_FILTER_H_INCLUDED_
#define _BC_LOG_FILTER_H_INCLUDED_


#include "bc_span.h"


/* of one filter: members, values of all of them together, bytes of these */
#define BC_LOG_FILTER_MEMBERS  8
#define BC_LOG_FILTER_VALUES   256
#define BC_LOG_FILTER_NAME     64
#define BC_LOG_FILTER_VALUE    128

/* what a filter with too many is refused with */
#define BC_LOG_FILTER_MANY  "a filter has up to 8 members and 256 values"


typedef struct bc_log_filter_s  bc_log_filter_t;


/*
 * Makes a filter of checked JSON text.  Returns NULL with a sentence in *why,
 * which is NULL when there is no memory.  bc_log_filter_free() gives the memory
 * back, NULL is ignored.
 */

bc_log_filter_t *bc_log_filter_members(bc_span_t object, const char **why);
bc_log_filter_t *bc_log_filter_logs(bc_span_t object, const char **why);

/*
 * As bc_log_filter_members(), of an object that was made of a query: a value
 * that is a number stands in it twice, as a string, too, and counts once.
 * The caller has counted them.
 */
bc_log_filter_t *bc_log_filter_query(bc_span_t object, const char **why);

void bc_log_filter_free(bc_log_filter_t *filter);

/* Tells whether an entry, checked JSON, is wanted. */

int bc_log_filter_matches(const bc_log_filter_t *filter, bc_span_t entry);


/*
 * An index of many filters goes by one member of each: the one with the fewest
 * values.  _place() returns it, or NULL for a filter that takes every entry.
 * _value() returns its n-th value, from 0 on; len is 0 behind the last one.
 *
 * _key() writes the value that an entry has at a place to dst, of
 * BC_LOG_FILTER_KEY bytes, in the form that _value() has, and returns its
 * length: 0 when no filter can ask for it.
 */

typedef struct {
    char      name[BC_LOG_FILTER_NAME + 1];
    int       nth;              /* of the member's elements; -1: itself */
    int       fold;             /* letters in either case are the same */
} bc_log_filter_place_t;

#define BC_LOG_FILTER_KEY  (BC_LOG_FILTER_VALUE + 24)

const bc_log_filter_place_t *bc_log_filter_place(
    const bc_log_filter_t *filter);
bc_span_t bc_log_filter_value(const bc_log_filter_t *filter, unsigned n);
size_t bc_log_filter_key(const bc_log_filter_place_t *place, bc_span_t entry,
    uint8_t *dst);
int bc_log_filter_same_place(const bc_log_filter_place_t *a,
    const bc_log_filter_place_t *b);


#endif /* _BC_LOG_FILTER_H_INCLUDED_ */
