
/*
 * Frames: bytes that go to many sockets, with a count of references.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FRAME_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FRAME_H_INCLUDED_


#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_zone.h"


/* bytes that go to many sockets; freed with the last reference */

typedef struct ngx_http_blockcast_frame_s  ngx_http_blockcast_frame_t;

struct ngx_http_blockcast_frame_s {
    ngx_uint_t                    refs;
    size_t                        len;
    size_t                        payload;      /* where it begins */
    size_t                        plain;        /* its length before deflate */
    uint32_t                      variant;      /* FORMS: of no stream's */
    uint32_t                      size;         /* of the memory it keeps */
    u_char                       *data;         /* of ngx_alloc(), or: */
    ngx_http_blockcast_frame_t   *parent;       /* whose memory it is in */
};


/*
 * The frames of a snapshot.  The first ones are those of the zone, see there;
 * those of the other subprotocols are made in each worker that needs them,
 * once.  The deflated form follows its plain one.
 */

#define NGX_HTTP_BLOCKCAST_FRAME_JSONRPC     NGX_HTTP_BLOCKCAST_VARIANTS
#define NGX_HTTP_BLOCKCAST_FRAME_CBOR    (NGX_HTTP_BLOCKCAST_FRAME_JSONRPC + 2)
#define NGX_HTTP_BLOCKCAST_FRAMES  (NGX_HTTP_BLOCKCAST_FRAME_CBOR + 2)

/* no frame, but the response to the handshake */
#define NGX_HTTP_BLOCKCAST_FRAME_HEAD    NGX_HTTP_BLOCKCAST_FRAMES


/*
 * A frame that is part of a snapshot's buffer: the first one (parent NULL)
 * owns it, the others hold a reference to that.  NULL without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_of(
    ngx_http_blockcast_frame_t *parent, u_char *buf,
    ngx_http_blockcast_variant_t *variant);

/* a text frame of size bytes of payload at data + payload; refs is 1 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_alloc(size_t size);

/* makes a text frame of a JSON tree, which is freed; NULL without memory */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_json(
    ngx_http_blockcast_json_out_t *out);

/* the payload has been written, len bytes: puts the header before it */
void ngx_http_blockcast_frame_finish(ngx_http_blockcast_frame_t *frame,
    ngx_uint_t opcode, size_t len);

/* the same compressed, a new frame; NULL: not worth it, or no memory */
ngx_http_blockcast_frame_t *ngx_http_blockcast_frame_deflate(
    ngx_http_blockcast_frame_t *frame);
void ngx_http_blockcast_frame_free(ngx_http_blockcast_frame_t *frame);


#endif /* _NGX_HTTP_BLOCKCAST_FRAME_H_INCLUDED_ */
