
/*
 * Copyright (C) the blockcast authors
 *
 * HMAC-SHA-256 (RFC 2104, FIPS 180-4).
 */


#ifndef _BC_HMAC_H_INCLUDED_
#define _BC_HMAC_H_INCLUDED_


#include <stddef.h>
#include <stdint.h>


#define BC_HMAC_LEN  32


/* Writes the HMAC of a text with a key to mac, BC_HMAC_LEN bytes. */

void bc_hmac_sha256(const uint8_t *key, size_t key_len, const uint8_t *text,
    size_t len, uint8_t *mac);

/*
 * Compares a MAC with one in hexadecimal, of either case, in constant time.
 * Returns 1 when they are equal, otherwise 0.
 */

int bc_hmac_is(const uint8_t *mac, const uint8_t *hex, size_t len);


#endif /* _BC_HMAC_H_INCLUDED_ */
