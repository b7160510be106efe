
/*
 * The opening handshake of WebSocket (RFC 6455, section 4.2).
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_


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


#endif /* _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_ */
