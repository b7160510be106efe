#include "bc_span.h"
#include <stddef.h>
int bc_json_merge_diff(bc_span_t f, bc_span_t t, uint8_t *d, size_t s, size_t *l);
int bc_json_merge_diff(bc_span_t f, bc_span_t t, uint8_t *d, size_t s, size_t *l) { return 0; }
int bc_cbor_from_json(bc_span_t j, uint8_t *d, size_t s, size_t *l);
int bc_cbor_from_json(bc_span_t j, uint8_t *d, size_t s, size_t *l) { return -1; }
size_t bc_cbor_bound(size_t n);
size_t bc_cbor_bound(size_t n) { return n; }
int bc_cbor_to_json(const uint8_t *p, size_t len, uint8_t *dst, size_t size, size_t *out_len, const char **why);
int bc_cbor_to_json(const uint8_t *p, size_t len, uint8_t *dst, size_t size, size_t *out_len, const char **why) { *why = "no"; return -1; }
