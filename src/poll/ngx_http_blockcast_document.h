
/*
 * Documents: what GETs of a node have brought, with the origin's ETag, so that
 * what has not changed is not sent again.
 */


#ifndef _NGX_HTTP_BLOCKCAST_DOCUMENT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_DOCUMENT_H_INCLUDED_


#include "ngx_http_blockcast.h"


typedef struct {
    ngx_queue_t                   queue;        /* the last used first */
    ngx_http_blockcast_node_t    *node;
    ngx_str_t                     path;
    ngx_str_t                     etag;
    ngx_str_t                     body;
    ngx_uint_t                    users;
    unsigned                      spent:1;      /* freed with the last user */
} ngx_http_blockcast_document_t;


/*
 * Returns the document that is kept of a path, or NULL.  It stays until
 * _leave(), whatever is kept meanwhile.
 */
ngx_http_blockcast_document_t *ngx_http_blockcast_document_get(
    ngx_http_blockcast_node_t *node, ngx_str_t *path);
void ngx_http_blockcast_document_leave(ngx_http_blockcast_document_t *doc);

/*
 * Keeps a copy in place of the former one; with etag->len == 0 none.  The
 * documents used least recently make room.
 */
void ngx_http_blockcast_document_keep(ngx_http_blockcast_node_t *node,
    ngx_str_t *path, ngx_str_t *etag, ngx_str_t *body);

/* Frees all: this worker does not poll any more. */
void ngx_http_blockcast_document_free(void);


#endif /* _NGX_HTTP_BLOCKCAST_DOCUMENT_H_INCLUDED_ */
