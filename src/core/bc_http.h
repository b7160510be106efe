
/*
 * Copyright (C) the blockcast authors
 *
 * Reads values of HTTP headers: lists, tokens, the key of a WebSocket.
 */

#ifndef _BC_HTTP_H_INCLUDED_
#define _BC_HTTP_H_INCLUDED_


#include "bc_span.h"


/*
 * Tells whether p[0..len) is a Sec-WebSocket-Key: the base64 of 16 bytes, 24
 * characters ending in "==" (RFC 6455, 4.2.1).  Bits after the last byte are
 * ignored: an example in the RFC has some.  There must be no white space
 * around it.
 */

int bc_http_ws_key_valid(const uint8_t *p, size_t len);


/*
 * Iterates over a comma-separated list (RFC 9110, 5.6.1): sets *item to the
 * next element without surrounding white space and advances *pos past it.
 * Empty elements are skipped; a comma in a quoted string does not separate.
 * Returns 1, or 0 at the end.
 */

int bc_http_list_next(const uint8_t **pos, const uint8_t *last,
    bc_span_t *item);


/*
 * Tells whether `token` (NUL-terminated) is an element of the list in
 * value[0..len), compared as a whole, ignoring case.
 */

int bc_http_has_token(const uint8_t *value, size_t len, const char *token);


/*
 * Reads a token (RFC 9110, 5.6.2) at *pos and advances *pos past it.  Returns
 * 1, or 0 when there is none.
 */

int bc_http_token(const uint8_t **pos, const uint8_t *last, bc_span_t *token);


#endif /* _BC_HTTP_H_INCLUDED_ */
