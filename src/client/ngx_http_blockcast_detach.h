
/*
 * Parked requests: what is left of a request while its connection is ours.
 */


#ifndef _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Frees the request of an upgraded connection, its pool and its header
 * buffers, and returns what the access log will need of it: one block of
 * ngx_alloc() with the request's head, as many bytes as that has.  The
 * connection is the caller's then: c->data is to be set before anything can be
 * logged, `handler` writes the end of its error log lines.
 *
 * Returns NULL when the request has to be kept, for something is yet to be
 * done at its end (limit_conn, realip and others register a cleanup; a mirror
 * subrequest is in flight), or without memory; nothing was changed then.
 */
ngx_http_blockcast_detached_t *ngx_http_blockcast_detach(ngx_http_request_t *r,
    ngx_log_handler_pt handler);

/*
 * Makes a request of it again, as far as variables and the access log can
 * see, and frees `detached`.  c->data is the request then, to be given to
 * ngx_http_free_request().  NULL without memory.
 */
ngx_http_request_t *ngx_http_blockcast_detach_restore(ngx_connection_t *c,
    ngx_http_blockcast_detached_t *detached);

/* what nginx names in an error log line; both live as long as `detached` */
void ngx_http_blockcast_detach_names(ngx_http_blockcast_detached_t *detached,
    ngx_str_t *server, ngx_str_t *line);

/* writes the access log's line now; it will not be written at the end */
void ngx_http_blockcast_detach_log(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_DETACH_H_INCLUDED_ */
