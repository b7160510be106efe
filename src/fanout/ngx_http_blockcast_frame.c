
/* Frames: reference-counted bytes that are sent to many sockets. */


#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_zone.h"
#include "bc_ws_frame.h"
#include "bc_ws_deflate.h"


ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_of(ngx_http_blockcast_frame_t *parent, u_char *buf,
    ngx_http_blockcast_variant_t *variant)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_alloc(sizeof(ngx_http_blockcast_frame_t), ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    frame->refs = 1;
    frame->len = variant->len;
    frame->payload = variant->payload;
    frame->plain = variant->plain;
    frame->data = buf + variant->offset;
    frame->parent = parent;
    frame->line = NULL;
    frame->variant = NGX_HTTP_BLOCKCAST_TEXT;
    frame->size = 0;

    if (parent != NULL) {
        frame->size = parent->size;
        parent->refs++;
    }

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_alloc(size_t size)
{
    ngx_http_blockcast_frame_t  *frame;

    frame = ngx_alloc(sizeof(ngx_http_blockcast_frame_t), ngx_cycle->log);
    if (frame == NULL) {
        return NULL;
    }

    frame->data = ngx_alloc(BC_WS_HEADER_LEN + size, ngx_cycle->log);
    if (frame->data == NULL) {
        ngx_free(frame);
        return NULL;
    }

    frame->refs = 1;
    frame->len = 0;
    frame->payload = BC_WS_HEADER_LEN;
    frame->plain = 0;
    frame->variant = NGX_HTTP_BLOCKCAST_VARIANTS;
    frame->size = (uint32_t) ngx_min(BC_WS_HEADER_LEN + size, 0x7fffffff);
    frame->parent = NULL;
    frame->line = NULL;

    return frame;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_json(ngx_http_blockcast_json_out_t *out)
{
    size_t                       size;
    u_char                      *start;
    ngx_http_blockcast_frame_t  *frame;

    size = ngx_http_blockcast_json_out_bound(out);

    if (size == 0) {
        return NULL;
    }

    frame = ngx_http_blockcast_frame_alloc(size);

    if (frame == NULL) {
        ngx_http_blockcast_json_out_drop(out);
        return NULL;
    }

    start = frame->data + frame->payload;

    ngx_http_blockcast_frame_finish(frame, BC_WS_TEXT,
                     ngx_http_blockcast_json_out_print(out, start) - start);

    return frame;
}


void
ngx_http_blockcast_frame_finish(ngx_http_blockcast_frame_t *frame,
    ngx_uint_t opcode, size_t len)
{
    size_t  header;

    header = bc_ws_frame_header_len(len);

    if (header != frame->payload) {
        ngx_memmove(frame->data + header, frame->data + frame->payload, len);
        frame->payload = header;
    }

    (void) bc_ws_frame_header(frame->data, opcode, 1, 0, len);

    frame->len = header + len;
    frame->plain = len;
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_deflate(ngx_http_blockcast_frame_t *frame)
{
    size_t                       len, plain;
    ngx_http_blockcast_frame_t  *z;

    plain = frame->len - frame->payload;

    if (plain < NGX_HTTP_BLOCKCAST_DEFLATE_MIN) {
        return NULL;
    }

    z = ngx_http_blockcast_frame_alloc(plain);
    if (z == NULL) {
        return NULL;
    }

    if (bc_ws_deflate(frame->data + frame->payload, plain, 15,
                      bc_ws_deflate_level(plain), z->data + z->payload,
                      plain * 9 / 10, &len)
        != 0)
    {
        ngx_http_blockcast_frame_free(z);
        return NULL;
    }

    ngx_http_blockcast_frame_deflated(z, frame, len);

    return z;
}


void
ngx_http_blockcast_frame_deflated(ngx_http_blockcast_frame_t *z,
    ngx_http_blockcast_frame_t *frame, size_t len)
{
    u_char  *p;

    ngx_http_blockcast_frame_finish(z, frame->data[0] & 0x0f, len);

    z->data[0] |= BC_WS_RSV1;
    z->plain = frame->len - frame->payload;

    /* give back the room for data that does not compress */

    p = realloc(z->data, z->len);

    if (p != NULL) {
        z->data = p;
        z->size = (uint32_t) ngx_min(z->len, 0x7fffffff);
    }
}


ngx_http_blockcast_frame_t *
ngx_http_blockcast_frame_line(ngx_http_blockcast_frame_t *frame)
{
    u_char                      *p, *src, *last;
    size_t                       len;
    ngx_http_blockcast_frame_t  *line;

    if (frame->line != NULL) {
        return frame->line;
    }

    src = frame->data + frame->payload;
    len = frame->len - frame->payload;

    if (memchr(src, LF, len) == NULL && memchr(src, CR, len) == NULL) {
        frame->line = frame;
        return frame;
    }

    line = ngx_http_blockcast_frame_alloc(len);
    if (line == NULL) {
        return NULL;
    }

    p = line->data + line->payload;

    /* in valid JSON line ends are white space between tokens */

    for (last = src + len; src < last; src++) {
        *p++ = (*src == LF || *src == CR) ? ' ' : *src;
    }

    line->len = p - line->data;
    line->plain = len;
    line->line = line;

    frame->line = line;

    return line;
}


void
ngx_http_blockcast_frame_free(ngx_http_blockcast_frame_t *frame)
{
    if (frame == NULL || --frame->refs != 0) {
        return;
    }

    if (frame->line != frame) {
        ngx_http_blockcast_frame_free(frame->line);
    }

    if (frame->parent != NULL) {
        ngx_http_blockcast_frame_free(frame->parent);

    } else {
        ngx_free(frame->data);
    }

    ngx_free(frame);
}
