
/*
 * Documents: the results of GETs, kept with the origin's ETag, so that it need
 * not send again what has not changed.
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
 * Returns the document kept for a path, or NULL.  It is valid until _leave(),
 * even if another one replaces it.
 */
ngx_http_blockcast_document_t *ngx_http_blockcast_document_get(
    ngx_http_blockcast_node_t *node, ngx_str_t *path);
void ngx_http_blockcast_document_leave(ngx_http_blockcast_document_t *doc);

/*
 * Keeps a copy in place of the previous document, or none with etag->len == 0.
 * The documents used least recently make room.
 */
void ngx_http_blockcast_document_keep(ngx_http_blockcast_node_t *node,
    ngx_str_t *path, ngx_str_t *etag, ngx_str_t *body);

/* Frees all documents, when this worker stops polling. */
void ngx_http_blockcast_document_free(void);


#endif /* _NGX_HTTP_BLOCKCAST_DOCUMENT_H_INCLUDED_ */
