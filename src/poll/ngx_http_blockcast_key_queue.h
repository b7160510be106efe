
/*
 * The keys of a stream that wait to be polled.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_QUEUE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_QUEUE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Keys that are due are in one of the first two lists, the others in one of
 * the rest: no key that waits for its time is before one whose time has come.
 */

typedef enum {
    ngx_http_blockcast_key_turn = 0,            /* due, in turn */
    ngx_http_blockcast_key_fresh,               /* somebody has just come */
    ngx_http_blockcast_key_later,               /* at `due` of the list ... */
    ngx_http_blockcast_key_latest,              /* ... and an interval on */
    ngx_http_blockcast_key_again,               /* its poll came to nothing */
    ngx_http_blockcast_key_lists
} ngx_http_blockcast_key_list_e;


/* of each place of the table */

typedef struct {
    ngx_msec_t                    due;
    uint32_t                      next;         /* in its list: place + 1 */
    uint32_t                      prev;
    uint32_t                      uses;         /* of the place, as the key
                                                   was put here */
    unsigned                      queued:1;
    unsigned                      busy:1;       /* in a lane */
} ngx_http_blockcast_key_entry_t;


typedef struct {
    ngx_msec_t                    due;          /* the first of them, when
                                                   they wait */
    uint32_t                      first;        /* place + 1 */
    uint32_t                      last;
} ngx_http_blockcast_key_list_t;


typedef struct {
    ngx_http_blockcast_key_entry_t  *entries;
    ngx_http_blockcast_key_list_t  lists[ngx_http_blockcast_key_lists];
} ngx_http_blockcast_key_queue_t;


/* Makes it empty; entries are zero, as many as the table has places. */
void ngx_http_blockcast_key_queue_init(ngx_http_blockcast_key_queue_t *queue,
    ngx_http_blockcast_key_entry_t *entries);

/* Appends a place that is in no list. */
void ngx_http_blockcast_key_queue_append(
    ngx_http_blockcast_key_queue_t *queue, ngx_http_blockcast_key_list_e list,
    ngx_uint_t place);

/*
 * Has a place that is in no list wait until its `due`, which is a point of the
 * grid of one interval, no more than two of them away.
 */
void ngx_http_blockcast_key_queue_wait(ngx_http_blockcast_key_queue_t *queue,
    ngx_uint_t place);

/* Takes a place out of the list that it is in. */
void ngx_http_blockcast_key_queue_remove(
    ngx_http_blockcast_key_queue_t *queue, ngx_uint_t place);

/* Gives a turn to those whose time has come; to all, which are due now. */
void ngx_http_blockcast_key_queue_ripen(ngx_http_blockcast_key_queue_t *queue);
void ngx_http_blockcast_key_queue_hurry(ngx_http_blockcast_key_queue_t *queue);

/* Returns in how many msec the next one is due; NGX_MAX_INT_T_VALUE: never. */
ngx_msec_int_t ngx_http_blockcast_key_queue_left(
    ngx_http_blockcast_key_queue_t *queue);

/* Returns the place that is first, of all lists; _KEY_NONE: there is none. */
ngx_uint_t ngx_http_blockcast_key_queue_first(
    ngx_http_blockcast_key_queue_t *queue);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_QUEUE_H_INCLUDED_ */
