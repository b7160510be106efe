
/*
 * Keys that clients ask for: checks whether a client may have a key, and finds
 * its hub.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_ACCESS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_ACCESS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_commands.h"


/*
 * Returns the hub of a key if the client may have it.  conn: NULL for a
 * request without subscriptions.  list: the value of blockcast_allow_keys, or
 * NULL when it is not set.  Returns NULL with the reason in *reject;
 * reject->text is valid until the next call.
 */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_key_claim_t *claim, ngx_str_t *list,
    ngx_http_blockcast_reject_t *reject);

/*
 * Return the hub as above.  _conn() takes the list that is kept for the
 * connection.  _request() takes the list and the signature from the request,
 * and sets *until to when the signature expires (Unix seconds; 0: never).
 */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access_conn(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_key_claim_t *claim,
    ngx_http_blockcast_reject_t *reject);
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access_request(
    ngx_http_request_t *r, ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, time_t *until,
    ngx_http_blockcast_reject_t *reject);

/*
 * Registers the function that ends subscriptions whose signature has expired;
 * called in each worker.
 */
void ngx_http_blockcast_key_access_init(void);

/* Returns `until` as ngx_http_blockcast_sub_t stores it (0: never). */
uint32_t ngx_http_blockcast_key_access_until(time_t until);

/* Returns the number of keys that a client has subscribed to. */
ngx_uint_t ngx_http_blockcast_key_access_count(
    ngx_http_blockcast_conn_t *conn);

/*
 * Returns the hub of a key that a client has subscribed to, or NULL.  With
 * NULL, reject->text is NULL if the client has no such subscription; it is set
 * if the key's form is not known yet.
 */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access_find(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_str_t *key, ngx_http_blockcast_reject_t *reject);

/*
 * Keep the value of blockcast_allow_keys for a connection (NGX_ERROR without
 * memory or if it cannot be evaluated), and free it.
 */
ngx_int_t ngx_http_blockcast_key_access_keep(ngx_http_request_t *r,
    ngx_http_blockcast_conn_t *conn);
void ngx_http_blockcast_key_access_drop(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_ACCESS_H_INCLUDED_ */
