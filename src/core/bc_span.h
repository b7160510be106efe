
/*
 * Copyright (C) the blockcast authors
 */

#ifndef _BC_SPAN_H_INCLUDED_
#define _BC_SPAN_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* a piece of memory owned by someone else, not NUL-terminated */

typedef struct {
    const uint8_t  *data;
    size_t          len;
} bc_span_t;


#endif /* _BC_SPAN_H_INCLUDED_ */
