
/*
 * Pages of logs: the messages with entries for clients that connect or
 * reconnect, made once for all that need the same.
 *
 * After a reload or an outage thousands of clients reconnect at the same time.
 * Putting a page together costs little; compressing it or converting it to
 * CBOR costs as much as sending it to a hundred clients.  So the most recently
 * used pages are kept, up to a number of bytes; encoding_cache_next() divides
 * the entries that clients have missed so that most pages are the same for all
 * of them.
 */


#include "ngx_http_blockcast_page_cache.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_deflation.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "bc_ws_deflate.h"


/* the maximum size of a worker's pages, and the overhead of each (bytes) */
#define NGX_HTTP_BLOCKCAST_PAGE_CACHE_SIZE     (2 * 1024 * 1024)
#define NGX_HTTP_BLOCKCAST_PAGE_CACHE_ENTRY    256

/* how long a page is kept after its last use (msec) */
#define NGX_HTTP_BLOCKCAST_PAGE_CACHE_TIME     5000

/* the number of buckets, a power of two */
#define NGX_HTTP_BLOCKCAST_PAGE_CACHE_BUCKETS  1024


typedef struct ngx_http_blockcast_page_s  ngx_http_blockcast_page_t;

struct ngx_http_blockcast_page_s {
    ngx_queue_t                   queue;        /* most recently used first */
    ngx_http_blockcast_page_t    *next;         /* in its bucket */
    ngx_http_blockcast_page_key_t  key;
    ngx_http_blockcast_frame_t   *frame;        /* not yet compressed if this
                                                   is set: */
    ngx_http_blockcast_deflation_t  *deflation;
    size_t                        size;
    ngx_msec_t                    used;
    unsigned                      awaited:1;    /* no client that waits for it
                                                   has it yet */
};


static ngx_http_blockcast_page_t **ngx_http_blockcast_page_cache_place(
    ngx_http_blockcast_page_key_t *key);
static void ngx_http_blockcast_page_cache_deflated(void *data, ngx_uint_t n,
    ngx_http_blockcast_frame_t *z);
static void ngx_http_blockcast_page_cache_count(
    ngx_http_blockcast_page_t *page);
static void ngx_http_blockcast_page_cache_shrink(void);
static void ngx_http_blockcast_page_cache_drop(
    ngx_http_blockcast_page_t *page);


static ngx_queue_t                 ngx_http_blockcast_pages;
static size_t                      ngx_http_blockcast_pages_size;
static ngx_http_blockcast_page_t  *ngx_http_blockcast_page_buckets[
                                        NGX_HTTP_BLOCKCAST_PAGE_CACHE_BUCKETS];


void
ngx_http_blockcast_page_cache_init(void)
{
    ngx_queue_init(&ngx_http_blockcast_pages);
    ngx_http_blockcast_pages_size = 0;
}


void
ngx_http_blockcast_page_cache_done(void)
{
    ngx_queue_t  *q;

    while (!ngx_queue_empty(&ngx_http_blockcast_pages)) {
        q = ngx_queue_head(&ngx_http_blockcast_pages);

        ngx_http_blockcast_page_cache_drop(
                      ngx_queue_data(q, ngx_http_blockcast_page_t, queue));
    }
}


/*
 * Returns the link to the page in its bucket's list; *place is NULL if the
 * page is not there.
 */

static ngx_http_blockcast_page_t **
ngx_http_blockcast_page_cache_place(ngx_http_blockcast_page_key_t *key)
{
    uint64_t                       hash;
    ngx_http_blockcast_page_t    **place;
    ngx_http_blockcast_page_key_t  *k;

    hash = key->from * 0x9e3779b97f4a7c15 + key->to + key->which;
    hash = hash * 0x9e3779b97f4a7c15 + key->since + key->protocol * 16
           + key->bits;
    hash = hash * 0x9e3779b97f4a7c15 + key->hub->stream->index;
    hash ^= hash >> 32;

    place = &ngx_http_blockcast_page_buckets[
                         hash % NGX_HTTP_BLOCKCAST_PAGE_CACHE_BUCKETS];

    for ( /* void */ ; *place != NULL; place = &(*place)->next) {
        k = &(*place)->key;

        if (k->hub == key->hub && k->from == key->from && k->to == key->to
            && k->seq == key->seq && k->since == key->since
            && k->which == key->which && k->kind == key->kind
            && k->protocol == key->protocol && k->bits == key->bits)
        {
            break;
        }
    }

    return place;
}


ngx_int_t
ngx_http_blockcast_page_cache_find(ngx_http_blockcast_page_key_t *key,
    ngx_http_blockcast_frame_t **frame)
{
    ngx_http_blockcast_page_t  *page;

    page = *ngx_http_blockcast_page_cache_place(key);

    if (page == NULL) {
        return NGX_DECLINED;
    }

    page->used = ngx_current_msec;

    if (page->deflation != NULL) {
        return NGX_AGAIN;
    }

    ngx_queue_remove(&page->queue);
    ngx_queue_insert_head(&ngx_http_blockcast_pages, &page->queue);

    page->awaited = 0;
    page->frame->refs++;
    *frame = page->frame;

    return NGX_OK;
}


ngx_int_t
ngx_http_blockcast_page_cache_add(ngx_http_blockcast_page_key_t *key,
    ngx_http_blockcast_frame_t **frame)
{
    size_t                       plain;
    ngx_uint_t                   deflate;
    ngx_http_blockcast_page_t   *page, **place;
    ngx_http_blockcast_frame_t  *z;

    plain = (*frame)->len - (*frame)->payload;

    deflate = key->bits != 0 && plain >= NGX_HTTP_BLOCKCAST_DEFLATE_MIN
              && bc_ws_deflate_suits(15, plain, key->bits);

    if (!deflate && key->protocol != ngx_http_blockcast_cbor) {

        /*
         * Plain text is as fast to make as to find, and takes the most memory.
         */

        return NGX_OK;
    }

    page = ngx_alloc(sizeof(ngx_http_blockcast_page_t), ngx_cycle->log);

    if (page == NULL) {

        /* without memory: use it uncompressed, for this client alone */

        return NGX_OK;
    }

    page->key = *key;
    page->deflation = NULL;
    page->used = ngx_current_msec;
    page->awaited = 0;
    page->size = 0;
    page->next = NULL;

    if (deflate && plain <= NGX_HTTP_BLOCKCAST_DEFLATE_AT_ONCE) {
        z = ngx_http_blockcast_frame_deflate(*frame);

        if (z != NULL) {
            ngx_http_blockcast_frame_free(*frame);
            *frame = z;
        }

    } else if (deflate) {
        page->deflation = ngx_http_blockcast_deflation_start(*frame,
                                       ngx_http_blockcast_page_cache_deflated,
                                       page, 0);
        page->awaited = (page->deflation != NULL);
    }

    page->frame = *frame;

    place = ngx_http_blockcast_page_cache_place(key);
    *place = page;

    ngx_queue_insert_head(&ngx_http_blockcast_pages, &page->queue);
    ngx_http_blockcast_page_cache_count(page);

    if (page->deflation != NULL) {
        return NGX_AGAIN;
    }

    page->frame->refs++;

    ngx_http_blockcast_page_cache_shrink();

    return NGX_OK;
}


/*
 * Stores a compressed page, and restarts the fan-out for the clients that
 * wait.
 */

static void
ngx_http_blockcast_page_cache_deflated(void *data, ngx_uint_t n,
    ngx_http_blockcast_frame_t *z)
{
    ngx_http_blockcast_page_t *page = data;

    page->deflation = NULL;
    page->used = ngx_current_msec;

    if (z != NULL) {
        ngx_http_blockcast_frame_free(page->frame);
        page->frame = z;
        ngx_http_blockcast_page_cache_count(page);
    }

    ngx_http_blockcast_fanout_again(page->key.hub);
}


static void
ngx_http_blockcast_page_cache_count(ngx_http_blockcast_page_t *page)
{
    ngx_http_blockcast_pages_size -= page->size;

    page->size = NGX_HTTP_BLOCKCAST_PAGE_CACHE_ENTRY + page->frame->size;

    ngx_http_blockcast_pages_size += page->size;
}


/* Drops the least recently used pages until the others fit. */

static void
ngx_http_blockcast_page_cache_shrink(void)
{
    ngx_queue_t                *q, *prev;
    ngx_http_blockcast_page_t  *page;

    for (q = ngx_queue_last(&ngx_http_blockcast_pages);
         q != ngx_queue_sentinel(&ngx_http_blockcast_pages)
         && ngx_http_blockcast_pages_size > NGX_HTTP_BLOCKCAST_PAGE_CACHE_SIZE;
         q = prev)
    {
        prev = ngx_queue_prev(q);
        page = ngx_queue_data(q, ngx_http_blockcast_page_t, queue);

        if (!page->awaited) {
            ngx_http_blockcast_page_cache_drop(page);
        }
    }
}


void
ngx_http_blockcast_page_cache_tick(void)
{
    ngx_queue_t                *q, *prev;
    ngx_http_blockcast_page_t  *page;

    for (q = ngx_queue_last(&ngx_http_blockcast_pages);
         q != ngx_queue_sentinel(&ngx_http_blockcast_pages);
         q = prev)
    {
        prev = ngx_queue_prev(q);
        page = ngx_queue_data(q, ngx_http_blockcast_page_t, queue);

        if (ngx_current_msec - page->used > NGX_HTTP_BLOCKCAST_PAGE_CACHE_TIME
            && page->deflation == NULL)
        {
            ngx_http_blockcast_page_cache_drop(page);

        } else if (!page->awaited) {
            break;
        }
    }
}


static void
ngx_http_blockcast_page_cache_drop(ngx_http_blockcast_page_t *page)
{
    ngx_http_blockcast_page_t  **place;

    place = ngx_http_blockcast_page_cache_place(&page->key);
    *place = page->next;

    ngx_queue_remove(&page->queue);
    ngx_http_blockcast_pages_size -= page->size;

    ngx_http_blockcast_deflation_cancel(page->deflation);
    ngx_http_blockcast_frame_free(page->frame);
    ngx_free(page);
}
