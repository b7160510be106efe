
/*
 * Clients that ask for keys whose form is not known yet: their message or
 * request waits for the form, and is handled then.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_WAIT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_WAIT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_key_form.h"
#include "ngx_http_blockcast_key_form_run.h"


/* a WebSocket client's message; no input is parsed until it is handled */

typedef struct {
    ngx_rbtree_node_t                    node;      /* key: the connection */
    ngx_http_blockcast_conn_t           *conn;
    ngx_http_blockcast_key_form_wait_t  *wait;      /* NULL: done */
    uint64_t                             tried;
    unsigned                             type;
    size_t                               len;
    u_char                               data[1];
} ngx_http_blockcast_key_message_t;


/*
 * Keeps a copy of a message until its keys have a form, or are known to have
 * none, and then posts the connection's read event.  tried: as given to
 * ngx_http_blockcast_key_form_gather().  Returns NGX_OK, or NGX_DECLINED when
 * the message cannot wait: the caller has to handle it as it is.
 */
ngx_int_t ngx_http_blockcast_key_wait_message(ngx_http_blockcast_conn_t *conn,
    unsigned type, const u_char *data, size_t len, uint64_t tried);

/* Removes and returns the message, which the caller frees; NULL: it waits. */
ngx_http_blockcast_key_message_t *ngx_http_blockcast_key_wait_take(
    ngx_http_blockcast_conn_t *conn);

/* Frees the message of a connection that is closed, if it has one. */
void ngx_http_blockcast_key_wait_drop(ngx_http_blockcast_conn_t *conn);


/*
 * Let a content handler wait for the forms of its keys: it calls _begin(),
 * notes each key with ngx_http_blockcast_key_form_want(), and then calls
 * _request().  If that returns NGX_OK, the handler continues; otherwise it
 * returns the value to nginx, and is called again later.
 */
void ngx_http_blockcast_key_wait_begin(void);
ngx_int_t ngx_http_blockcast_key_wait_request(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_WAIT_H_INCLUDED_ */
