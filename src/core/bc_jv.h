
/*
 * Copyright (C) the blockcast authors
 *
 * Converts JSON text to values of libjq and back.  libjq's own reader and
 * printer take a step for each character, and the printer an allocation for
 * many of them: for a text of 4 KiB they cost more than all the rest of a
 * poll.
 */

#ifndef _BC_JV_H_INCLUDED_
#define _BC_JV_H_INCLUDED_


#include <jv.h>
#include <stddef.h>
#include <stdint.h>


/* printed text; data is allocated by malloc(), and the caller frees it */

typedef struct {
    uint8_t  *data;
    size_t    len;
    size_t    size;
    int       depth;    /* the deepest level, as libjq 1.6 counts when it
                           reads: two for an object, one for an array */
    int       altered;  /* the text, read again, may be another value: NaN is
                           printed as null, and an integer beyond 2^53 may need
                           a mark */
} bc_jv_text_t;


/* the most levels that are printed, as in libjq 1.6 */
#define BC_JV_DEPTH  256


/*
 * Parses valid JSON of at most BC_JV_DEPTH levels.  Returns the value that
 * jv_parse_sized() would, except that the caller has to apply libjq's own
 * limit of levels.  Returns an invalid value for anything else, and for
 * numbers that libjq cannot read.
 */

jv bc_jv_parse(const uint8_t *p, size_t len);


/*
 * Appends a value as text, exactly as jv_dump_string(v, 0) prints it.
 * Consumes v.  Returns 0, or -1 when there is no memory or the value has too
 * many levels.
 */

int bc_jv_print(bc_jv_text_t *text, jv v);


#endif /* _BC_JV_H_INCLUDED_ */
