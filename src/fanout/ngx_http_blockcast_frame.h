
/* Frames: reference-counted bytes that are sent to many sockets. */


#ifndef _NGX_HTTP_BLOCKCAST_FRAME_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FRAME_H_INCLUDED_


#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_zone.h"


typedef struct ngx_http_blockcast_frame_s  ngx_http_blockcast_frame_t;

struct ngx_http_blockcast_frame_s {
    ngx_uint_t                    refs;
    size_t                        len;
    size_t                        payload;      /* where it begins */
    size_t                        plain;        /* its length before deflate */
    uint32_t                      variant;      /* VARIANTS: of no stream */
    uint32_t                      size;         /* of the memory it keeps in
                                                   use */
    u_char                       *data;         /* own memory, or: */
    ngx_http_blockcast_frame_t   *parent;       /* in the memory of this */
    ngx_http_blockcast_frame_t   *line;         /* see frame_line() */
};


/*
 * The frames of a snapshot: first those in the zone, then those for the other
 * subprotocols, which a worker makes once, when a client needs them.  The
 * deflated form of a frame follows the plain one.
 */

#define NGX_HTTP_BLOCKCAST_FRAME_JSONRPC     NGX_HTTP_BLOCKCAST_VARIANTS
#define NGX_HTTP_BLOCKCAST_FRAME_CBOR    (NGX_HTTP_BLOCKCAST_FRAME_JSONRPC + 2)
#define NGX_HTTP_BLOCKCAST_FRAMES  (NGX_HTTP_BLOCKCAST_FRAME_CBOR + 2)

/* not a frame, but the response to the handshake */
#define NGX_HTTP_BLOCKCAST_FRAME_HEAD    NGX_HTTP_BLOCKCAST_FRAMES


/*
 * Makes a frame from a part of a snapshot's buffer, with one reference.  The
 * first one (parent NULL) owns the buffer, which comes from ngx_alloc(); the
 * others hold a reference to the first.  Returns NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_of(
    ngx_http_blockcast_frame_t *parent, u_char *buf,
    ngx_http_blockcast_variant_t *variant);

/*
 * Makes a frame with room for size bytes of payload at data + payload, with
 * one reference.  Returns NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_alloc(size_t size);

/*
 * Makes a text frame from a JSON tree, which is freed.  Returns NULL without
 * memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_json(
    ngx_http_blockcast_json_out_t *out);

/* Writes the header in front of a payload of len bytes. */
void ngx_http_blockcast_frame_finish(ngx_http_blockcast_frame_t *frame,
    ngx_uint_t opcode, size_t len);

/*
 * Makes a compressed copy.  Returns NULL when that saves too little, or
 * without memory.  Takes milliseconds for more than DEFLATE_AT_ONCE bytes: see
 * deflation.h.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_deflate(
    ngx_http_blockcast_frame_t *frame);

/*
 * Finishes z, the compressed form of `frame`: writes the header in front of
 * len bytes of payload at z->data + BC_WS_HEADER_LEN, and returns unused
 * memory.
 */
void ngx_http_blockcast_frame_deflated(ngx_http_blockcast_frame_t *z,
    ngx_http_blockcast_frame_t *frame, size_t len);

/*
 * Returns the frame if its text has no line ends, which would end the data
 * line of a server-sent event; otherwise a copy with spaces in their place,
 * which is made once and lives as long as the frame.  NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_line(
    ngx_http_blockcast_frame_t *frame);

/*
 * Drops a reference, the last of which frees the frame; NULL is ignored.
 */
void ngx_http_blockcast_frame_free(ngx_http_blockcast_frame_t *frame);


#endif /* _NGX_HTTP_BLOCKCAST_FRAME_H_INCLUDED_ */
