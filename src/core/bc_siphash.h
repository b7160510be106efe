
/*
 * Copyright (C) the blockcast authors
 *
 * SipHash-1-3: a hash with a secret key, of Jean-Philippe Aumasson and Daniel
 * J. Bernstein, in the variant with one round per 8 bytes and three at the
 * end.  Without the key nobody can make inputs that have the same hash.
 */

#ifndef _BC_SIPHASH_H_INCLUDED_
#define _BC_SIPHASH_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


/* Returns the hash of len bytes. */

uint64_t bc_siphash(const uint64_t key[2], const uint8_t *p, size_t len);


#endif /* _BC_SIPHASH_H_INCLUDED_ */
