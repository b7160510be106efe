
/*
 * The opening handshake of WebSocket (RFC 6455, section 4.2).
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "bc_ws_deflate.h"


/* what was agreed on */

typedef struct {
    bc_ws_deflate_params_t          pmd;        /* server_bits 0: none */
    ngx_http_blockcast_subprotocol_e  protocol;
    uint64_t                        allowed;    /* streams, by index */
    unsigned                        agreed:1;
} ngx_http_blockcast_ws_handshake_result_t;


/*
 * Checks the request and sets the headers of a 101 response, which the caller
 * sends when hello->agreed is set.  If it is not, a refusal that says why has
 * been given to the filters, one of which may hold it back for a while, and
 * what is returned is for nginx, from the content handler.
 */
ngx_int_t ngx_http_blockcast_ws_handshake(ngx_http_request_t *r,
    ngx_http_blockcast_ws_handshake_result_t *hello);

/* sends a refusal of _access; returns what a content handler returns */
ngx_int_t ngx_http_blockcast_respond_refusal(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/*
 * Sends a whole response.  The text is not copied: it has to live as long as
 * the request.  type: "application/json" or the like.
 */
ngx_int_t ngx_http_blockcast_respond(ngx_http_request_t *r, ngx_uint_t status,
    const char *type, ngx_str_t *text);

/* adds a response header; the value is not copied */
ngx_int_t ngx_http_blockcast_respond_header(ngx_http_request_t *r,
    const char *name, const char *value, size_t len);


#endif /* _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_ */
