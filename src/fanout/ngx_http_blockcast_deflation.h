
/*
 * Deflations: frames that take long to compress, to convert to CBOR or to copy
 * are processed in pieces, over several turns of the event loop.
 */


#ifndef _NGX_HTTP_BLOCKCAST_DEFLATION_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_DEFLATION_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "bc_span.h"


/* more than this is copied to another frame in pieces (bytes) */
#define NGX_HTTP_BLOCKCAST_COPY_AT_ONCE  (1024 * 1024)


typedef struct ngx_http_blockcast_deflation_s  ngx_http_blockcast_deflation_t;

/*
 * Takes the finished frame, and takes over its reference; NULL: compression
 * saves too little, or conversion failed.  The deflation is freed when it
 * returns.
 */
typedef void (*ngx_http_blockcast_deflation_pt)(void *data, ngx_uint_t n,
    ngx_http_blockcast_frame_t *z);


void ngx_http_blockcast_deflation_init(ngx_cycle_t *cycle);

/*
 * Begins to compress a frame, and holds a reference to it until the end.  The
 * handler is called from the event loop, with data and n.  Returns NULL
 * without memory.
 */
ngx_http_blockcast_deflation_t *ngx_http_blockcast_deflation_start(
    ngx_http_blockcast_frame_t *frame, ngx_http_blockcast_deflation_pt handler,
    void *data, ngx_uint_t n);

/*
 * Begins to convert a text frame to CBOR in the same way: the handler gets
 * NULL when CBOR cannot represent it, see bc_cbor_encode().
 */
ngx_http_blockcast_deflation_t *ngx_http_blockcast_deflation_cbor(
    ngx_http_blockcast_frame_t *frame, ngx_http_blockcast_deflation_pt handler,
    void *data, ngx_uint_t n);

/*
 * Begins to make a text frame of head, text and tail in the same way.  The
 * head is copied at once; text is a part of `frame`, and tail has to stay until
 * the end.
 */
ngx_http_blockcast_deflation_t *ngx_http_blockcast_deflation_wrap(
    ngx_http_blockcast_frame_t *frame, ngx_str_t *head, bc_span_t text,
    bc_span_t tail, ngx_http_blockcast_deflation_pt handler, void *data,
    ngx_uint_t n);

/*
 * Ends a deflation whose handler was not called yet, without calling it; NULL
 * is ignored.
 */
void ngx_http_blockcast_deflation_cancel(ngx_http_blockcast_deflation_t *d);


#endif /* _NGX_HTTP_BLOCKCAST_DEFLATION_H_INCLUDED_ */
