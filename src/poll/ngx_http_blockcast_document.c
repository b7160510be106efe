
/*
 * Documents: the results of GETs, kept with the origin's ETag, so that it need
 * not send again what has not changed.
 */


#include "ngx_http_blockcast_document.h"
#include "ngx_http_blockcast.h"


/* how many documents of all nodes are kept, and of how many bytes */
#define NGX_HTTP_BLOCKCAST_DOCUMENTS       256
#define NGX_HTTP_BLOCKCAST_DOCUMENTS_SIZE  (16 * 1024 * 1024)


static ngx_http_blockcast_document_t *ngx_http_blockcast_document_find(
    ngx_http_blockcast_node_t *node, ngx_str_t *path);
static void ngx_http_blockcast_document_drop(
    ngx_http_blockcast_document_t *doc);


static ngx_queue_t  ngx_http_blockcast_documents;
static ngx_uint_t   ngx_http_blockcast_ndocuments;
static size_t       ngx_http_blockcast_documents_size;


ngx_http_blockcast_document_t *
ngx_http_blockcast_document_get(ngx_http_blockcast_node_t *node,
    ngx_str_t *path)
{
    ngx_http_blockcast_document_t  *doc;

    doc = ngx_http_blockcast_document_find(node, path);
    if (doc == NULL) {
        return NULL;
    }

    ngx_queue_remove(&doc->queue);
    ngx_queue_insert_head(&ngx_http_blockcast_documents, &doc->queue);

    doc->users++;

    return doc;
}


void
ngx_http_blockcast_document_leave(ngx_http_blockcast_document_t *doc)
{
    if (--doc->users == 0 && doc->spent) {
        ngx_free(doc);
    }
}


void
ngx_http_blockcast_document_keep(ngx_http_blockcast_node_t *node,
    ngx_str_t *path, ngx_str_t *etag, ngx_str_t *body)
{
    u_char                         *p;
    size_t                          size;
    ngx_queue_t                    *q;
    ngx_http_blockcast_document_t  *doc;

    doc = ngx_http_blockcast_document_find(node, path);

    if (doc != NULL) {
        ngx_http_blockcast_document_drop(doc);
    }

    size = path->len + etag->len + body->len;

    if (etag->len == 0 || size > NGX_HTTP_BLOCKCAST_DOCUMENTS_SIZE / 4) {
        return;
    }

    while (ngx_http_blockcast_ndocuments == NGX_HTTP_BLOCKCAST_DOCUMENTS
           || ngx_http_blockcast_documents_size + size
              > NGX_HTTP_BLOCKCAST_DOCUMENTS_SIZE)
    {
        q = ngx_queue_last(&ngx_http_blockcast_documents);
        ngx_http_blockcast_document_drop(
                    ngx_queue_data(q, ngx_http_blockcast_document_t, queue));
    }

    doc = ngx_alloc(sizeof(ngx_http_blockcast_document_t) + size,
                    ngx_cycle->log);
    if (doc == NULL) {
        return;
    }

    ngx_memzero(doc, sizeof(ngx_http_blockcast_document_t));

    p = (u_char *) doc + sizeof(ngx_http_blockcast_document_t);

    doc->node = node;
    doc->path.data = p;
    doc->path.len = path->len;
    p = ngx_cpymem(p, path->data, path->len);
    doc->etag.data = p;
    doc->etag.len = etag->len;
    p = ngx_cpymem(p, etag->data, etag->len);
    doc->body.data = p;
    doc->body.len = body->len;
    ngx_memcpy(p, body->data, body->len);

    ngx_queue_insert_head(&ngx_http_blockcast_documents, &doc->queue);
    ngx_http_blockcast_ndocuments++;
    ngx_http_blockcast_documents_size += size;
}


void
ngx_http_blockcast_document_free(void)
{
    ngx_queue_t  *q;

    while (ngx_http_blockcast_ndocuments != 0) {
        q = ngx_queue_head(&ngx_http_blockcast_documents);
        ngx_http_blockcast_document_drop(
                    ngx_queue_data(q, ngx_http_blockcast_document_t, queue));
    }
}


static ngx_http_blockcast_document_t *
ngx_http_blockcast_document_find(ngx_http_blockcast_node_t *node,
    ngx_str_t *path)
{
    ngx_queue_t                    *q;
    ngx_http_blockcast_document_t  *doc;

    if (ngx_http_blockcast_documents.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_documents);
    }

    for (q = ngx_queue_head(&ngx_http_blockcast_documents);
         q != ngx_queue_sentinel(&ngx_http_blockcast_documents);
         q = ngx_queue_next(q))
    {
        doc = ngx_queue_data(q, ngx_http_blockcast_document_t, queue);

        if (doc->node == node && doc->path.len == path->len
            && ngx_memcmp(doc->path.data, path->data, path->len) == 0)
        {
            return doc;
        }
    }

    return NULL;
}


static void
ngx_http_blockcast_document_drop(ngx_http_blockcast_document_t *doc)
{
    ngx_queue_remove(&doc->queue);
    ngx_http_blockcast_ndocuments--;
    ngx_http_blockcast_documents_size -= doc->path.len + doc->etag.len
                                         + doc->body.len;

    if (doc->users != 0) {
        doc->spent = 1;
        return;
    }

    ngx_free(doc);
}
