
/*
 * Clients whose keys have no form yet: a message or request waits for it, and
 * is dealt with then.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_WAIT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_WAIT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_key_form.h"
#include "ngx_http_blockcast_key_form_run.h"


/* a message of a WebSocket client, which reads on when it was dealt with */

typedef struct {
    ngx_rbtree_node_t                    node;      /* by the connection */
    ngx_http_blockcast_conn_t           *conn;
    ngx_http_blockcast_key_form_wait_t  *wait;      /* NULL: it is over */
    uint64_t                             tried;
    unsigned                             type;
    size_t                               len;
    u_char                               data[1];
} ngx_http_blockcast_key_message_t;


/*
 * Keeps a message until the keys have a form that it was found to have, and
 * then posts the connection's read event.  tried: as given to
 * ngx_http_blockcast_key_form_gather().  NGX_DECLINED: that cannot be, the
 * message has to be dealt with as it is.
 */
ngx_int_t ngx_http_blockcast_key_wait_message(ngx_http_blockcast_conn_t *conn,
    unsigned type, const u_char *data, size_t len, uint64_t tried);

/* Takes the message, which the caller frees; NULL: it waits still. */
ngx_http_blockcast_key_message_t *ngx_http_blockcast_key_wait_take(
    ngx_http_blockcast_conn_t *conn);

/* Frees the message of a connection that is closed, if it has one. */
void ngx_http_blockcast_key_wait_drop(ngx_http_blockcast_conn_t *conn);


/*
 * A content handler calls _begin(), notes the keys it was asked for with
 * ngx_http_blockcast_key_form_want(), and then _request(): with NGX_OK it goes
 * on, else it returns what that has returned, and is called again later.
 */
void ngx_http_blockcast_key_wait_begin(void);
ngx_int_t ngx_http_blockcast_key_wait_request(ngx_http_request_t *r);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_WAIT_H_INCLUDED_ */
