
/*
 * Copyright (C) the blockcast authors
 *
 * Values of libjq from JSON text and back.  libjq's own reader and printer
 * take a step for each character, and the printer an allocation for many of
 * them: for a text of 4 KiB they cost more than all else of a poll.
 */

#ifndef _BC_JV_H_INCLUDED_
#define _BC_JV_H_INCLUDED_


#include <jv.h>
#include <stddef.h>
#include <stdint.h>


/* printed text; data is malloc()ed, grows and is the caller's */

typedef struct {
    uint8_t  *data;
    size_t    len;
    size_t    size;
    int       depth;    /* the most levels, as libjq 1.6 counts when it reads:
                           two for an object, one for an array */
    int       altered;  /* what is read of it may be another value: NaN is
                           null, and an integer beyond 2^53 a marked one */
} bc_jv_text_t;


/* levels that are printed, as libjq 1.6 does */
#define BC_JV_DEPTH  256


/*
 * Reads valid JSON, of at most BC_JV_DEPTH levels.  The value is the one that
 * jv_parse_sized() gives, whose limit of levels is the caller's business.  For
 * anything else, and numbers that cannot be read, it is invalid.
 */

jv bc_jv_parse(const uint8_t *p, size_t len);


/*
 * Appends the text of a value, the one that jv_dump_string(v, 0) makes.
 * Consumes v.  Returns -1 when it is not printed: for lack of memory, or as it
 * has too many levels.
 */

int bc_jv_print(bc_jv_text_t *text, jv v);


#endif /* _BC_JV_H_INCLUDED_ */
