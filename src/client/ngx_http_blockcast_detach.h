
/*
 * Frees the request of an open WebSocket, and restores it for the access log.
 */


#ifndef _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Frees the request of an upgraded connection, its pool and its header
 * buffers.  Returns one block of ngx_alloc() with what the access log will
 * need, about as large as the request's head; detach_restore() frees it.  The
 * caller owns the connection from then on, and has to set c->data before
 * anything is logged; `handler` writes the end of its error log lines.
 *
 * Returns NULL, and changes nothing, without memory, or when something is to
 * be done at the request's end: limit_conn, realip and others have a cleanup
 * then, and a mirror subrequest may be in flight.
 */
ngx_http_blockcast_detached_t *ngx_http_blockcast_detach(ngx_http_request_t *r,
    ngx_log_handler_pt handler);

/*
 * Builds the request again, as far as variables and the access log can see, and
 * frees `detached`.  c->data is the request then; the caller ends it with
 * ngx_http_free_request().  Returns NULL without memory.
 */
ngx_http_request_t *ngx_http_blockcast_detach_restore(ngx_connection_t *c,
    ngx_http_blockcast_detached_t *detached);

/*
 * Returns what nginx names in a line of the error log: the server and the
 * request line.  Both point into `detached`.
 */
void ngx_http_blockcast_detach_names(ngx_http_blockcast_detached_t *detached,
    ngx_str_t *server, ngx_str_t *line);

/* Writes the line of the access log now, and not again at the end. */
void ngx_http_blockcast_detach_log(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_ */
