
/*
 * The opening handshake of WebSocket (RFC 6455, section 4.2).
 */


#ifndef _NGX_HTTP_BLOCKCAST_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HANDSHAKE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_ws_pmd.h"


/*
 * Checks the request and sets the headers of a 101 response, which the caller
 * sends.  NGX_OK; pmd->server_bits is 0 when no compression was negotiated.
 * Anything else, and anything with r->header_sent set, is the return code of
 * the content handler: a refusal that says why has been sent.
 */
ngx_int_t ngx_http_blockcast_handshake(ngx_http_request_t *r,
    bc_ws_deflate_params_t *pmd);

/*
 * Sends a whole response.  The text is not copied: it has to live as long as
 * the request.  type: "application/json" or the like.
 */
ngx_int_t ngx_http_blockcast_respond(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *text);

/* adds a response header; the value is not copied */
ngx_int_t ngx_http_blockcast_header(ngx_http_request_t *r, const char *name,
    const char *value, size_t len);


#endif /* _NGX_HTTP_BLOCKCAST_HANDSHAKE_H_INCLUDED_ */
