
/*
 * Keys that clients ask for: which are taken, and their hubs.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_ACCESS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_ACCESS_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_commands.h"


/*
 * Returns the hub of a key that a client may have: conn is NULL for a request
 * without subscriptions.  list: the value of blockcast_allow_keys, or NULL when
 * it is not set.  On NULL *reject says why, and reject->text is valid until
 * the next call.
 */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_key_claim_t *claim, ngx_str_t *list,
    ngx_http_blockcast_reject_t *reject);

/*
 * Returns the hub as above, for a client's message or a request's arguments,
 * in which it finds the list and the signature.
 * *until: as long as the key may be had, 0: for ever.
 */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access_conn(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_http_blockcast_key_claim_t *claim,
    ngx_http_blockcast_reject_t *reject);
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access_request(
    ngx_http_request_t *r, ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, time_t *until,
    ngx_http_blockcast_reject_t *reject);

/* Prepares the end of subscriptions whose signature expires, in a worker. */
void ngx_http_blockcast_key_access_init(void);

/* Returns the time until which a key may be had, as a listener has it. */
uint32_t ngx_http_blockcast_key_access_until(time_t until);

/* Counts the keys that a client has. */
ngx_uint_t ngx_http_blockcast_key_access_count(
    ngx_http_blockcast_conn_t *conn);

/*
 * Returns the hub that a client has subscribed to, or NULL: then reject->text
 * is NULL, unless that is not known just now.
 */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_access_find(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_str_t *key, ngx_http_blockcast_reject_t *reject);

/*
 * Keeps the value of blockcast_allow_keys for a connection, and frees it.
 * NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_key_access_keep(ngx_http_request_t *r,
    ngx_http_blockcast_conn_t *conn);
void ngx_http_blockcast_key_access_drop(ngx_http_blockcast_conn_t *conn);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_ACCESS_H_INCLUDED_ */
