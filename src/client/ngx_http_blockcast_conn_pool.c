
/*
 * Allocates WebSocket connections side by side.
 *
 * A send evicts our data from the CPU caches, so the fan-out costs as many
 * cache lines and pages as it touches.  malloc() puts four connections on a
 * page, each between its pool and its saved request; here twenty-one fit, each
 * at the beginning of a cache line.
 */


#include "ngx_http_blockcast_conn_pool.h"
#include "ngx_http_blockcast_conn.h"


/* must be a power of two: a connection's address gives its block */
#define NGX_HTTP_BLOCKCAST_BLOCK    16384
#define NGX_HTTP_BLOCKCAST_LINE     64

#define NGX_HTTP_BLOCKCAST_STRIDE                                             \
    ngx_align(sizeof(ngx_http_blockcast_conn_t), NGX_HTTP_BLOCKCAST_LINE)

#define NGX_HTTP_BLOCKCAST_PER_BLOCK                                          \
    ((NGX_HTTP_BLOCKCAST_BLOCK - NGX_HTTP_BLOCKCAST_LINE)                     \
     / NGX_HTTP_BLOCKCAST_STRIDE)


#if defined(__SANITIZE_ADDRESS__)

/* allocate each alone, so that AddressSanitizer sees a use after free */

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
    ngx_queue_t                   queue;        /* blocks with free places */
    void                         *free;         /* the list of free places */
    ngx_uint_t                    used;
} ngx_http_blockcast_conn_block_t;


static ngx_http_blockcast_conn_block_t *ngx_http_blockcast_conn_pool_block(
    ngx_log_t *log);


/*
 * Blocks with a free place.  The first one is filled first, and a block that
 * was full is added at the end, so that blocks there become empty and can be
 * freed.
 */
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

    /* free an empty block, but keep one for the next connection */

    if (block->used == 0
        && ngx_queue_head(&ngx_http_blockcast_conn_blocks)
           != ngx_queue_last(&ngx_http_blockcast_conn_blocks))
    {
        ngx_queue_remove(&block->queue);
        ngx_free(block);
    }
}

#endif
