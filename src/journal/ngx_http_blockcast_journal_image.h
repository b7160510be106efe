
/*
 * Images: the records of all there is in the zone, of which a state file is
 * made, and a cluster's log begun anew.
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


/* what a log had when the image was begun */

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
    uint64_t                      made;         /* Unix seconds: the begin */

    /* the records, behind room for a file's header */
    ngx_http_blockcast_journal_chunk_t  *chunks;
    ngx_http_blockcast_journal_chunk_t  *last;
    size_t                        size;         /* of all of them */

    ngx_http_blockcast_journal_image_log_t  *logs;  /* of each stream */

    /* where it is */
    ngx_uint_t                    stream;
    ngx_http_blockcast_journal_image_step_e  step;
    uint64_t                      tail;         /* of the ring, when its
                                                   entries were counted */
    uint64_t                      pos;
    ngx_uint_t                    n;            /* entries of it */
    uint64_t                      version;      /* of the snapshot */
    uint64_t                      seq;          /* ... its number */
    ngx_uint_t                    key;          /* place in the table */

    /* where it goes back to when what it read is overwritten, and how often it
       has; then it goes on to the end of that at once */
    ngx_http_blockcast_journal_chunk_t  *mark;
    size_t                        mark_len;
    size_t                        mark_size;
    ngx_uint_t                    tries;
    ngx_uint_t                    hurry;

    /* a large record: what of it is still to be copied, and summed */
    u_char                       *record;       /* or NULL */
    size_t                        record_len;
    size_t                        filled;
    size_t                        summed;
    uint32_t                      sum;
    ngx_str_t                     parts[2];
} ngx_http_blockcast_journal_image_t;


/*
 * Begins an image of the streams of the configuration; keys: and of keys with
 * state=on.  For the poller.  It has, of a log, what there was at the begin,
 * less what has made room since; of anything else, what there was then or
 * later: who appends what is recorded from the begin on has all of it once.
 * NULL without memory.
 */
ngx_http_blockcast_journal_image_t *ngx_http_blockcast_journal_image_begin(
    ngx_http_blockcast_zone_t *zone, ngx_uint_t keys);

/*
 * Goes on for a time (usec).  NGX_AGAIN: there is more; NGX_ERROR: there was no
 * memory.  The caller frees it.
 */
ngx_int_t ngx_http_blockcast_journal_image_go_on(
    ngx_http_blockcast_journal_image_t *image, uint64_t usec);
void ngx_http_blockcast_journal_image_free(
    ngx_http_blockcast_journal_image_t *image);

/* Makes one at once; NULL without memory. */
ngx_http_blockcast_journal_image_t *ngx_http_blockcast_journal_image_all(
    ngx_http_blockcast_zone_t *zone, ngx_uint_t keys);


#endif /* _NGX_HTTP_BLOCKCAST_JOURNAL_IMAGE_H_INCLUDED_ */
