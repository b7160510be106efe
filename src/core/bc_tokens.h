
/*
 * Copyright (C) the blockcast authors
 *
 * Bearer tokens (RFC 6750) from the text of a file:
 *
 *     # one token per line, then its owner's name, then the streams allowed
 *     mF_9.B5f-4.1JqM.mF_9.B5f
 *     2YotnFZFEjr1zCsicMWpAA==  dashboard
 *     czZCaGRSa3F0MzpnWDFmQmF0  partner    blocks,validators
 *
 * Blank lines are skipped; a word that starts with # begins a comment, which
 * ends with the line.
 */

#ifndef _BC_TOKENS_H_INCLUDED_
#define _BC_TOKENS_H_INCLUDED_


#include "bc_span.h"


/* the length of a token (bytes) */

#define BC_TOKEN_MIN      16
#define BC_TOKEN_MAX      512


typedef struct bc_tokens_s  bc_tokens_t;


/*
 * Parses `len` bytes of text, which is not needed afterwards.  A token is
 * BC_TOKEN_MIN to BC_TOKEN_MAX characters of b64token (RFC 6750, 2.1: letters,
 * digits and -._~+/, then any number of =).
 *
 * Returns the tokens (possibly none), to be freed with bc_tokens_free(); or
 * NULL with the number of the invalid line, from 1, in *bad_line, and in *why
 * a constant phrase to precede " in line N".  When there is no memory
 * *bad_line is 0.
 */

bc_tokens_t *bc_tokens_parse(const char *text, size_t len, size_t *bad_line,
    const char **why);

/* Returns the number of tokens. */

size_t bc_tokens_count(const bc_tokens_t *t);


/*
 * Looks up a token that a client has sent.  The time it takes depends on the
 * length of the given token and on the file, but neither on which token of the
 * file matches nor on how many characters are right.
 *
 * Returns 1 with the second and third word of its line, which live as long as
 * t: *name is empty when there is none; streams->data is NULL when there is
 * none, which means all streams.  Otherwise returns 0 with both empty.
 */

int bc_tokens_check(const bc_tokens_t *t, const uint8_t *token, size_t len,
    bc_span_t *name, bc_span_t *streams);


/*
 * Tells whether `name` is one of the comma-separated names in `streams`, as
 * returned by bc_tokens_check(): 1 or 0; always 1 when streams.data is NULL.
 */

int bc_tokens_stream(bc_span_t streams, const uint8_t *name, size_t len);


/* Wipes the tokens and frees them.  t may be NULL. */

void bc_tokens_free(bc_tokens_t *t);


#endif /* _BC_TOKENS_H_INCLUDED_ */
