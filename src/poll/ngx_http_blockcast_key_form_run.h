
/*
 * Runs the form= programs, which convert keys to their canonical form, and
 * keeps the queue of messages and requests that wait for a run.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_FORM_RUN_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_FORM_RUN_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key_form.h"


typedef struct ngx_http_blockcast_key_form_wait_s
                                          ngx_http_blockcast_key_form_wait_t;

typedef void (*ngx_http_blockcast_key_form_pt)(void *data);


/*
 * Starts or queues a run for the keys that were noted since
 * _key_form_gather().  When the handler is called, their forms, or the reasons
 * why they have none, are known.  The handler is called once, never from
 * within this function, and must not end a request or a connection.  *stream
 * is set to the stream of the keys.  Returns NULL when too many are waiting or
 * there is no memory; the keys then have no form.
 */
ngx_http_blockcast_key_form_wait_t *ngx_http_blockcast_key_form_run(
    ngx_http_blockcast_key_form_pt handler, void *data,
    ngx_http_blockcast_stream_t **stream);

/* Stops waiting: the handler will not be called. */
void ngx_http_blockcast_key_form_leave(
    ngx_http_blockcast_key_form_wait_t *wait);

/* Cancels everything, in a worker that exits, before the jq processes end. */
void ngx_http_blockcast_key_form_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_FORM_RUN_H_INCLUDED_ */
