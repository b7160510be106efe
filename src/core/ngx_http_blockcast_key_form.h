
/*
 * Keys as sent, and their canonical forms as returned by the form= program:
 * what a worker remembers of these, and what it has to find out.
 *
 * Programs run in processes of their own, so a message or a request is first
 * searched for its keys.  If the form of any is unknown, a program is run for
 * all such keys, and the message is handled afterwards, as if it had just
 * arrived.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_FORM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_FORM_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key.h"


/* the longest reason for a key to have no form (bytes) */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_WHY  160

/* the most keys of one message in one run */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_KEYS  1024


/* Forgets everything, in a worker that exits. */
void ngx_http_blockcast_key_form_reset(void);

/*
 * Looks up the form of a key.  Returns NGX_OK with the form in *form;
 * NGX_DECLINED with the program's reason for refusing the key; or NGX_AGAIN
 * with the reason why there is no form for now (len 0: the program has not
 * been run for it).  *form is valid until the next call of _keep().
 */
ngx_int_t ngx_http_blockcast_key_form_find(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_str_t *form);

/* Remembers what _find() will return for a key, with a copy of *form. */
void ngx_http_blockcast_key_form_keep(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_int_t rc, ngx_str_t *form);


/*
 * Starts the search of a message.  tried is a bit mask by index: streams whose
 * keys are not to be noted any more, whether their forms are known or not.
 */
void ngx_http_blockcast_key_form_gather(uint64_t tried);

/* Notes a key of the message, if the program has to be run for it. */
void ngx_http_blockcast_key_form_want(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text);

/* Returns the number of keys noted. */
ngx_uint_t ngx_http_blockcast_key_form_wanted(void);

/*
 * Moves the noted keys, which are of one stream, to *keys: a JSON array that
 * the caller frees with ngx_free().  Returns NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_key_form_take(ngx_http_blockcast_stream_t **st,
    ngx_str_t *keys);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_FORM_H_INCLUDED_ */
