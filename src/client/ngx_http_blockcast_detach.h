
/*
 * Frees the request of an open WebSocket, and restores it for the access log.
 */


#ifndef _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Frees the request of an upgraded connection, its pool and its header
 * buffers.  Returns one block of ngx_alloc() with what the access log will
 * need, about as large as the request's head; detach_restore() frees it.  From
 * then on the caller owns the connection, and must set c->data before anything
 * is logged; `handler` writes the end of its error log lines.
 *
 * Returns NULL and changes nothing if there is no memory, or if something must
 * happen when the request ends: limit_conn, realip and others have a cleanup,
 * and a mirror subrequest may still be running.
 */
ngx_http_blockcast_detached_t *ngx_http_blockcast_detach(ngx_http_request_t *r,
    ngx_log_handler_pt handler);

/*
 * Rebuilds the request, as far as variables and the access log can see, and
 * frees `detached`.  c->data is the request then; the caller ends it with
 * ngx_http_free_request().  Returns NULL without memory; `detached` is freed
 * then, too.
 */
ngx_http_request_t *ngx_http_blockcast_detach_restore(ngx_connection_t *c,
    ngx_http_blockcast_detached_t *detached);

/*
 * Sets *server and *line to what nginx shows in a line of the error log: the
 * server and the request line.  Both point into `detached`.
 */
void ngx_http_blockcast_detach_names(ngx_http_blockcast_detached_t *detached,
    ngx_str_t *server, ngx_str_t *line);

/* Writes the access log line now, and not again at the end. */
void ngx_http_blockcast_detach_log(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_ */
