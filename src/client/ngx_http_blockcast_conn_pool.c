
/*
 * The memory of WebSocket connections.
 *
 * The fan-out goes through all of them between two sends, which leave nothing
 * in the caches: what counts is how many cache lines and pages it touches.
 * With malloc() a connection lies among its pool and its request's head, four
 * to a page; here twenty-one do, at the beginning of a line.
 */


#include "ngx_http_blockcast_conn_pool.h"
#include "ngx_http_blockcast_conn.h"


/* a power of two: the block of a connection is found by its address */
#define NGX_HTTP_BLOCKCAST_BLOCK    16384
#define NGX_HTTP_BLOCKCAST_LINE     64

#define NGX_HTTP_BLOCKCAST_STRIDE                                             \
    ngx_align(sizeof(ngx_http_blockcast_conn_t), NGX_HTTP_BLOCKCAST_LINE)

#define NGX_HTTP_BLOCKCAST_PER_BLOCK                                          \
    ((NGX_HTTP_BLOCKCAST_BLOCK - NGX_HTTP_BLOCKCAST_LINE)                     \
     / NGX_HTTP_BLOCKCAST_STRIDE)


#if defined(__SANITIZE_ADDRESS__)

/* which then sees what is used after it was freed */

ngx_http_blockcast_conn_t *
ngx_http_blockcast_conn_pool_alloc(ngx_log_t *log)
{
    return ngx_calloc(sizeof(ngx_http_blockcast_conn_t), log);
}


void
ngx_http_blockcast_conn_pool_free(ngx_http_blockcast_conn_t *conn)
{
    ngx_free(conn);
}

#else

typedef struct {
    ngx_queue_t                   queue;        /* of blocks with free places */
    void                         *free;         /* a list through the places */
    ngx_uint_t                    used;
} ngx_http_blockcast_conn_block_t;


static ngx_http_blockcast_conn_block_t *ngx_http_blockcast_conn_pool_block(
    ngx_log_t *log);


/* those that were given back first are full first, and the last ones empty */
static ngx_queue_t  ngx_http_blockcast_conn_blocks;


ngx_http_blockcast_conn_t *
ngx_http_blockcast_conn_pool_alloc(ngx_log_t *log)
{
    void                             *p;
    ngx_http_blockcast_conn_block_t  *block;

    if (ngx_http_blockcast_conn_blocks.next == NULL) {
        ngx_queue_init(&ngx_http_blockcast_conn_blocks);
    }

    if (ngx_queue_empty(&ngx_http_blockcast_conn_blocks)) {
        block = ngx_http_blockcast_conn_pool_block(log);

        if (block == NULL) {
            return NULL;
        }

    } else {
        block = ngx_queue_data(ngx_queue_head(&ngx_http_blockcast_conn_blocks),
                               ngx_http_blockcast_conn_block_t, queue);
    }

    p = block->free;
    block->free = *(void **) p;

    if (++block->used == NGX_HTTP_BLOCKCAST_PER_BLOCK) {
        ngx_queue_remove(&block->queue);
    }

    ngx_memzero(p, sizeof(ngx_http_blockcast_conn_t));

    return p;
}


static ngx_http_blockcast_conn_block_t *
ngx_http_blockcast_conn_pool_block(ngx_log_t *log)
{
    u_char                           *p;
    ngx_uint_t                        i;
    ngx_http_blockcast_conn_block_t  *block;

    block = ngx_memalign(NGX_HTTP_BLOCKCAST_BLOCK, NGX_HTTP_BLOCKCAST_BLOCK,
                         log);
    if (block == NULL) {
        return NULL;
    }

    block->used = 0;
    block->free = NULL;

    p = (u_char *) block + NGX_HTTP_BLOCKCAST_LINE
        + NGX_HTTP_BLOCKCAST_PER_BLOCK * NGX_HTTP_BLOCKCAST_STRIDE;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_PER_BLOCK; i++) {
        p -= NGX_HTTP_BLOCKCAST_STRIDE;

        *(void **) p = block->free;
        block->free = p;
    }

    ngx_queue_insert_head(&ngx_http_blockcast_conn_blocks, &block->queue);

    return block;
}


void
ngx_http_blockcast_conn_pool_free(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_conn_block_t  *block;

    block = (ngx_http_blockcast_conn_block_t *)
                ((uintptr_t) conn
                 & ~((uintptr_t) NGX_HTTP_BLOCKCAST_BLOCK - 1));

    if (block->used-- == NGX_HTTP_BLOCKCAST_PER_BLOCK) {
        ngx_queue_insert_tail(&ngx_http_blockcast_conn_blocks, &block->queue);
    }

    *(void **) conn = block->free;
    block->free = conn;

    /* the memory is the system's again, but for one block that is at hand */

    if (block->used == 0
        && ngx_queue_head(&ngx_http_blockcast_conn_blocks)
           != ngx_queue_last(&ngx_http_blockcast_conn_blocks))
    {
        ngx_queue_remove(&block->queue);
        ngx_free(block);
    }
}

#endif
