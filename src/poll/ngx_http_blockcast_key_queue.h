
/*
 * The keys of a stream that wait to be polled.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_QUEUE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_QUEUE_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Keys that are due are in one of the first two lists, the others in one of
 * the rest, so that no waiting key comes before one that is due.
 */

typedef enum {
    ngx_http_blockcast_key_turn = 0,            /* due, in turn */
    ngx_http_blockcast_key_fresh,               /* due, for a new listener */
    ngx_http_blockcast_key_later,               /* at `due` of the list ... */
    ngx_http_blockcast_key_latest,              /* ... and an interval on */
    ngx_http_blockcast_key_again,               /* its poll was lost */
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


/*
 * Makes an empty queue; entries are zeroed, one for each place of the table.
 */
void ngx_http_blockcast_key_queue_init(ngx_http_blockcast_key_queue_t *queue,
    ngx_http_blockcast_key_entry_t *entries);

/* Appends a place that is in no list. */
void ngx_http_blockcast_key_queue_append(
    ngx_http_blockcast_key_queue_t *queue, ngx_http_blockcast_key_list_e list,
    ngx_uint_t place);

/*
 * Makes a place that is in no list wait until its `due`, a point of the
 * interval's grid at most two intervals away.
 */
void ngx_http_blockcast_key_queue_wait(ngx_http_blockcast_key_queue_t *queue,
    ngx_uint_t place);

/* Removes a place from its list. */
void ngx_http_blockcast_key_queue_remove(
    ngx_http_blockcast_key_queue_t *queue, ngx_uint_t place);

/* _ripen() moves the places that have become due; _hurry() makes all due. */
void ngx_http_blockcast_key_queue_ripen(ngx_http_blockcast_key_queue_t *queue);
void ngx_http_blockcast_key_queue_hurry(ngx_http_blockcast_key_queue_t *queue);

/* Returns the msec until the next one is due; NGX_MAX_INT_T_VALUE: never. */
ngx_msec_int_t ngx_http_blockcast_key_queue_left(
    ngx_http_blockcast_key_queue_t *queue);

/* Returns the first place of all lists, or _KEY_NONE. */
ngx_uint_t ngx_http_blockcast_key_queue_first(
    ngx_http_blockcast_key_queue_t *queue);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_QUEUE_H_INCLUDED_ */
