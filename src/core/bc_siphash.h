
/*
 * Copyright (C) the blockcast authors
 *
 * SipHash-1-3, by Jean-Philippe Aumasson and Daniel J. Bernstein: a hash with
 * a secret key, in the variant with one round per 8 bytes and three at the
 * end.  Without the key, inputs with the same hash cannot be constructed.
 */

#ifndef _BC_SIPHASH_H_INCLUDED_
#define _BC_SIPHASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* Returns the hash of len bytes with a secret key. */

uint64_t bc_siphash(const uint64_t key[2], const uint8_t *p, size_t len);


#endif /* _BC_SIPHASH_H_INCLUDED_ */
