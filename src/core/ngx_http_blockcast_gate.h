
/*
 * The gate: what is published, and what is read from the state file, is valid
 * JSON and no deeper than what nodes may send.
 */


#ifndef _NGX_HTTP_BLOCKCAST_GATE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_GATE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * NGX_OK when the text is one JSON value in valid UTF-8, nested no deeper than
 * BC_JSONRPC_MAX_DEPTH.  Else NGX_ERROR with a sentence in *error, of size bytes
 * at most (none when error is NULL): what it is begins it, "the data".
 *
 * A reply of a node has passed the same check, and so has what is cut out of
 * it: it is not looked through twice.
 */
ngx_int_t ngx_http_blockcast_gate_check(ngx_str_t *text, const char *what,
    u_char *buf, size_t size, ngx_str_t *error);

/*
 * A text of others for the log and for messages: copied to buf, of size bytes
 * at most, as bc_text_print() does; *text is what came out.
 */
void ngx_http_blockcast_gate_printable(ngx_str_t *text, u_char *buf,
    size_t size);


#endif /* _NGX_HTTP_BLOCKCAST_GATE_H_INCLUDED_ */
