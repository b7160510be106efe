
/*
 * Images: records with the complete state of the zone, used for a new state
 * file, and to restart a cluster's log.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


typedef struct ngx_http_blockcast_journal_chunk_s
    ngx_http_blockcast_journal_chunk_t;

struct ngx_http_blockcast_journal_chunk_s {
    ngx_http_blockcast_journal_chunk_t  *next;
    size_t                        len;
    size_t                        alloc;
    u_char                        data[];
};


/* the state of a log when the image was begun */

typedef struct {
    uint64_t                      seq;
    uint64_t                      head;
    uint64_t                      keys;
} ngx_http_blockcast_journal_image_log_t;


typedef enum {
    ngx_http_blockcast_journal_image_history = 0,
    ngx_http_blockcast_journal_image_count,
    ngx_http_blockcast_journal_image_past,
    ngx_http_blockcast_journal_image_ring,
    ngx_http_blockcast_journal_image_snapshot,
    ngx_http_blockcast_journal_image_status,
    ngx_http_blockcast_journal_image_keys,
    ngx_http_blockcast_journal_image_next
} ngx_http_blockcast_journal_image_step_e;


typedef struct {
    ngx_http_blockcast_zone_t    *zone;
    ngx_uint_t                    with_keys;
    uint64_t                      made;         /* begin, in Unix seconds */

    /* the records; the first chunk begins with room for a file's header */
    ngx_http_blockcast_journal_chunk_t  *chunks;
    ngx_http_blockcast_journal_chunk_t  *last;
    size_t                        size;         /* records and header */

    ngx_http_blockcast_journal_image_log_t  *logs;  /* by stream */

    /* the current position */
    ngx_uint_t                    stream;
    ngx_http_blockcast_journal_image_step_e  step;
    bc_history_place_t            history;      /* of the stream */
    uint64_t                      tail;         /* of the ring, when counting
                                                   began */
    uint64_t                      pos;
    ngx_uint_t                    n;            /* entries counted so far */
    uint64_t                      version;      /* of the snapshot */
    uint64_t                      seq;          /* of the snapshot */
    ngx_uint_t                    key;          /* index in the table */

    /*
     * where a part is restarted when its source was overwritten, and how often
     * it was; with hurry, the rest is done without a break
     */
    ngx_http_blockcast_journal_chunk_t  *mark;
    size_t                        mark_len;
    size_t                        mark_size;
    ngx_uint_t                    tries;
    ngx_uint_t                    hurry;

    /* a large record that is being copied, then summed */
    u_char                       *record;       /* NULL: none */
    size_t                        record_len;
    size_t                        filled;
    size_t                        summed;
    uint32_t                      sum;
    ngx_str_t                     parts[2];
} ngx_http_blockcast_journal_image_t;


/*
 * Begins an image of the configured streams and, with `keys`, of keys with
 * state=on.  To be called by the poller.  For a log it has the entries of this
 * moment, except those dropped from the ring since; for anything else the
 * state of this moment or later.  So an image followed by all changes recorded
 * from this moment on is complete, without duplicates.  Returns NULL without
 * memory; the caller frees the image.
 */
ngx_http_blockcast_journal_image_t *ngx_http_blockcast_journal_image_begin(
    ngx_http_blockcast_zone_t *zone, ngx_uint_t keys);

/*
 * Continues for a time (usec).  Returns NGX_OK when the image is complete,
 * NGX_AGAIN when there is more, NGX_ERROR on failure.  Never frees the image.
 */
ngx_int_t ngx_http_blockcast_journal_image_go_on(
    ngx_http_blockcast_journal_image_t *image, uint64_t usec);
void ngx_http_blockcast_journal_image_free(
    ngx_http_blockcast_journal_image_t *image);

/* Makes a complete image at once; returns NULL without memory. */
ngx_http_blockcast_journal_image_t *ngx_http_blockcast_journal_image_all(
    ngx_http_blockcast_zone_t *zone, ngx_uint_t keys);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_H_INCLUDED_ */
