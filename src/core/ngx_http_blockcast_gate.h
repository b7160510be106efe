
/*
 * The gate: checks that data to be published, or read from the state file, is
 * valid JSON and not nested deeper than replies of nodes may be.
 */


#ifndef _NGX_HTTP_BLOCKCAST_GATE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_GATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Returns NGX_OK when the text is one JSON value in valid UTF-8, nested no
 * deeper than BC_JSONRPC_MAX_DEPTH.  Otherwise returns NGX_ERROR with a
 * sentence in *error, which begins with `what` ("the data") and is written to
 * buf, of size bytes; error may be NULL.
 *
 * Replies of nodes, or parts of them, are not checked again: they were checked
 * in the same way when they were read as JSON-RPC.
 */
ngx_int_t ngx_http_blockcast_gate_check(ngx_str_t *text, const char *what,
    u_char *buf, size_t size, ngx_str_t *error);

/*
 * Makes text from outside safe for the log and for messages: copies it to buf,
 * of size bytes, by bc_text_print(), and sets *text to the copy.
 */
void ngx_http_blockcast_gate_printable(ngx_str_t *text, u_char *buf,
    size_t size);


#endif /* _NGX_HTTP_BLOCKCAST_GATE_H_INCLUDED_ */
