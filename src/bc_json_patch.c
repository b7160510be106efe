
/*
 * Copyright (C) the blockcast authors
 */

#include "bc_json_patch.h"


int
bc_json_merge_diff(bc_span_t from, bc_span_t to, uint8_t *dst, size_t size,
    size_t *len)
{
    (void) from;
    (void) to;
    (void) dst;
    (void) size;
    (void) len;

    return 0;
}
