
/*
 * Copyright (C) the blockcast authors
 *
 * Filters for the entries of a log: a subscriber gets those whose members
 * equal one of several values.
 *
 * A filter is made from JSON, {"market":["compute","ads"]}, or from the filter
 * object of Ethereum's logs with address and topics.  Values are compared in
 * the form that bc_json_key() writes; those of Ethereum without regard to
 * case.
 */

#ifndef _BC_LOG_FILTER_H_INCLUDED_
#define _BC_LOG_FILTER_H_INCLUDED_


#include "bc_span.h"


/* limits of a filter: members, values in all; bytes of a name, of a value */
#define BC_LOG_FILTER_MEMBERS  8
#define BC_LOG_FILTER_VALUES   256
#define BC_LOG_FILTER_NAME     64
#define BC_LOG_FILTER_VALUE    128

/* the error for a filter with too many of them */
#define BC_LOG_FILTER_MANY  "a filter has up to 8 members and 256 values"


typedef struct bc_log_filter_s  bc_log_filter_t;


/*
 * Makes a filter from checked JSON text.  Returns NULL with a sentence in *why
 * on failure, with *why NULL when there is no memory.  The caller frees the
 * filter with bc_log_filter_free(), which ignores NULL.
 */

bc_log_filter_t *bc_log_filter_members(bc_span_t object, const char **why);
bc_log_filter_t *bc_log_filter_logs(bc_span_t object, const char **why);

/*
 * Does the same as bc_log_filter_members() for an object made from a query.
 * In it a number is contained twice, also as a string, and counts only once.
 * So twice as many values are allowed; the caller has counted them.
 */
bc_log_filter_t *bc_log_filter_query(bc_span_t object, const char **why);

void bc_log_filter_free(bc_log_filter_t *filter);

/* Tells whether an entry (checked JSON) matches a filter. */

int bc_log_filter_matches(const bc_log_filter_t *filter, bc_span_t entry);


/*
 * An index of many filters uses one member of each: the one with the fewest
 * values.  _place() returns it, or NULL for a filter that matches every entry.
 * _value() returns its value number n, from 0; len is 0 when there is none.
 *
 * _key() writes the value of an entry at a place to dst, of BC_LOG_FILTER_KEY
 * bytes, in the same form as _value(), and returns its length, or 0 when no
 * filter can match it.
 */

typedef struct {
    char      name[BC_LOG_FILTER_NAME + 1];
    int       nth;              /* index of an element of the member; -1: the
                                   member itself */
    int       fold;             /* ignore the case of letters */
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
