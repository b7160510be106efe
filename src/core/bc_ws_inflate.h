
/*
 * Copyright (C) the blockcast authors
 *
 * Decompresses messages of permessage-deflate (RFC 7692), for
 * bc_ws_parser_feed().
 *
 * One spare decompressor is kept per process: this file must not be used by
 * several threads.
 */

#ifndef _BC_WS_INFLATE_H_INCLUDED_
#define _BC_WS_INFLATE_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


typedef struct bc_ws_inflate_s  bc_ws_inflate_t;


/*
 * bc_ws_inflate_get() returns a fresh decompressor (the spare one if it is
 * free), or NULL without memory.  bc_ws_inflate_put() returns it to the
 * process.
 */

bc_ws_inflate_t *bc_ws_inflate_get(void);
void bc_ws_inflate_put(bc_ws_inflate_t *z);


#define BC_WS_INFLATE_OK      0    /* all input consumed */
#define BC_WS_INFLATE_FULL    1    /* output is full, there may be more */
#define BC_WS_INFLATE_BAD    -1    /* not deflate data */
#define BC_WS_INFLATE_NOMEM  -2


/*
 * Decompresses *src (advanced) into *dst (advanced) up to `end`.  A block with
 * BFINAL set does not end the message: decoding continues at the next byte
 * with the window kept (RFC 7692, 7.2.3.4 and 7.2.3.5).
 */

int bc_ws_inflate(bc_ws_inflate_t *z, const uint8_t **src,
    const uint8_t *last, uint8_t **dst, uint8_t *end);


/*
 * Ends a message: supplies the removed 00 00 ff ff.  To be repeated while it
 * returns BC_WS_INFLATE_FULL.  BC_WS_INFLATE_BAD means that the message stops
 * in the middle of a block.
 */

int bc_ws_inflate_end(bc_ws_inflate_t *z, uint8_t **dst, uint8_t *end);


/* Frees the spare decompressor; it is created again when needed. */

void bc_ws_inflate_cleanup(void);


#endif /* _BC_WS_INFLATE_H_INCLUDED_ */
