
/*
 * Keys as they were given, and their one form as the program of form= has made
 * it: what a worker remembers of that, and what it has to ask for.
 *
 * Programs run in processes of their own, so a message or a request is looked
 * through for its keys first.  When the form of one is not known, all that are
 * not are asked for, and the message is dealt with afterwards, as if it had
 * come just then.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_FORM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_FORM_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key.h"


/* the longest reason why a key has no form (bytes) */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_WHY  160

/* keys of one message that are asked for together */
#define NGX_HTTP_BLOCKCAST_KEY_FORM_KEYS  1024


/* Forgets all: in a worker that starts, and in one that ends. */
void ngx_http_blockcast_key_form_reset(void);

/*
 * Looks for the form of a key: NGX_OK with *form, NGX_DECLINED with *form, why
 * the program refuses it, NGX_AGAIN with *form, why there is none just now
 * (len 0: it was not asked for).  *form is valid until the next call of
 * _keep().
 */
ngx_int_t ngx_http_blockcast_key_form_find(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_str_t *form);

/* Remembers what _find() is to return, with the text of *form. */
void ngx_http_blockcast_key_form_keep(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text, ngx_int_t rc, ngx_str_t *form);


/*
 * Begins to look through a message.  tried: streams, as bits by index, whose
 * keys are not asked for any more, whether their forms are known or not.
 */
void ngx_http_blockcast_key_form_gather(uint64_t tried);

/* Notes a key of the message, if its form has to be asked for. */
void ngx_http_blockcast_key_form_want(ngx_http_blockcast_stream_t *st,
    ngx_str_t *text);

/* Returns how many were noted. */
ngx_uint_t ngx_http_blockcast_key_form_wanted(void);

/*
 * Takes what was noted: the keys of one stream, as a JSON array in memory of
 * ngx_alloc(), and forgets it.  NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_key_form_take(ngx_http_blockcast_stream_t **st,
    ngx_str_t *keys);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_FORM_H_INCLUDED_ */
