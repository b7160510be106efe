
/*
 * The programs of form=, which make the one form of keys: who waits for them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_FORM_RUN_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_FORM_RUN_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_form.h"


typedef struct ngx_http_blockcast_key_form_wait_s
                                          ngx_http_blockcast_key_form_wait_t;

typedef void (*ngx_http_blockcast_key_form_pt)(void *data);


/*
 * Has the forms made that were noted since _key_form_gather(): they are known
 * when the handler is called, or why they are not.  It is called once, never
 * from within this function, and may not end a request or a connection.  NULL:
 * too many wait already, or there is no memory; the keys then have no form.
 * *stream: whose keys they are.
 */
ngx_http_blockcast_key_form_wait_t *ngx_http_blockcast_key_form_run(
    ngx_http_blockcast_key_form_pt handler, void *data,
    ngx_http_blockcast_stream_t **stream);

/* Waits no longer: the handler is not called any more. */
void ngx_http_blockcast_key_form_leave(
    ngx_http_blockcast_key_form_wait_t *wait);

/* In a worker that exits, before the jq processes are ended. */
void ngx_http_blockcast_key_form_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_FORM_RUN_H_INCLUDED_ */
