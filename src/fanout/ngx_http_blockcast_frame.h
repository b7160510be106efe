
/*
 * Frames: bytes that are sent to many sockets, with a count of references.
 */


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
    uint32_t                      size;         /* of the memory it keeps */
    u_char                       *data;         /* of ngx_alloc(), or: */
    ngx_http_blockcast_frame_t   *parent;       /* whose memory it is in */
    ngx_http_blockcast_frame_t   *line;         /* see frame_line() */
};


/*
 * The frames of a snapshot: first those in the zone, then those that a worker
 * makes for the other subprotocols, once, when a client needs them.  The
 * deflated form follows its plain one.
 */

#define NGX_HTTP_BLOCKCAST_FRAME_JSONRPC     NGX_HTTP_BLOCKCAST_VARIANTS
#define NGX_HTTP_BLOCKCAST_FRAME_CBOR    (NGX_HTTP_BLOCKCAST_FRAME_JSONRPC + 2)
#define NGX_HTTP_BLOCKCAST_FRAMES  (NGX_HTTP_BLOCKCAST_FRAME_CBOR + 2)

/* not a frame: the response to the handshake */
#define NGX_HTTP_BLOCKCAST_FRAME_HEAD    NGX_HTTP_BLOCKCAST_FRAMES


/*
 * Makes a frame of a part of a snapshot's buffer, with one reference.  The
 * first one (parent NULL) owns the buffer, of ngx_alloc(), and the others hold
 * a reference to the first.  NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_of(
    ngx_http_blockcast_frame_t *parent, u_char *buf,
    ngx_http_blockcast_variant_t *variant);

/*
 * Makes a frame with room for size bytes of payload at data + payload, with
 * one reference.  NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_alloc(size_t size);

/* Makes a text frame of a JSON tree, which is freed; NULL without memory. */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_json(
    ngx_http_blockcast_json_out_t *out);

/* Puts the header before a payload of len bytes, which has been written. */
void ngx_http_blockcast_frame_finish(ngx_http_blockcast_frame_t *frame,
    ngx_uint_t opcode, size_t len);

/*
 * Makes a compressed copy; NULL: it saves too little, or no memory.  Takes
 * milliseconds for more than DEFLATE_AT_ONCE bytes: see deflation.h.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_deflate(
    ngx_http_blockcast_frame_t *frame);

/*
 * Puts the header before the compressed payload of `frame`, len bytes that are
 * at z->data + BC_WS_HEADER_LEN, and gives back what memory they do not need.
 */
void ngx_http_blockcast_frame_deflated(ngx_http_blockcast_frame_t *z,
    ngx_http_blockcast_frame_t *frame, size_t len);

/*
 * Returns the frame when its text has no line ends, which those of server-sent
 * events must not have, else a copy with spaces in their place.  That is made
 * once, and lives as long as the frame.  NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_line(
    ngx_http_blockcast_frame_t *frame);

/*
 * Gives back a reference, the last of which frees the frame; NULL is ignored.
 */
void ngx_http_blockcast_frame_free(ngx_http_blockcast_frame_t *frame);


#endif /* _NGX_HTTP_BLOCKCAST_FRAME_H_INCLUDED_ */
