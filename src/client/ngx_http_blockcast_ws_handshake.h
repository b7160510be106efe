
/*
 * The server's side of the opening handshake (RFC 6455, section 4.2).
 */


#ifndef _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_


#include "ngx_http_blockcast_subprotocol.h"
#include "bc_ws_deflate.h"


/* what client and server have agreed on */

typedef struct {
    bc_ws_deflate_params_t          pmd;        /* server_bits 0: no deflate */
    ngx_http_blockcast_subprotocol_e  protocol;
    uint64_t                        allowed;    /* a bit per stream */
    unsigned                        agreed:1;
} ngx_http_blockcast_ws_handshake_result_t;


/*
 * Checks the request.  If it is a valid handshake, sets hello->agreed and the
 * headers of a 101 response, which the caller sends.  Otherwise a refusal with
 * a reason has been sent, though a filter may still hold it back: test
 * hello->agreed, not r->header_sent.  The content handler then returns the
 * value to nginx.
 */
ngx_int_t ngx_http_blockcast_ws_handshake(ngx_http_request_t *r,
    ngx_http_blockcast_ws_handshake_result_t *hello);


#endif /* _NGX_HTTP_BLOCKCAST_WS_HANDSHAKE_H_INCLUDED_ */
