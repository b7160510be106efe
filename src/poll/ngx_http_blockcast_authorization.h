
/*
 * Credentials of a node that are in a file, such as Bitcoin Core's cookie.
 */


#ifndef _NGX_HTTP_BLOCKCAST_AUTHORIZATION_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_AUTHORIZATION_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Makes the value of a call's Authorization header from node->authorization,
 * in memory of the pool: "user:password" becomes Basic, other text Bearer;
 * "Basic ..." and "Bearer ..." stay as they are.  The file is read again when
 * it has changed.  *value is empty when there are no credentials, which is
 * logged. NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_authorization_get(
    ngx_http_blockcast_node_t *node, ngx_pool_t *pool, ngx_str_t *value);

/* Makes the next call read the file again: the node refused what it had. */
void ngx_http_blockcast_authorization_refused(
    ngx_http_blockcast_node_t *node);


#endif /* _NGX_HTTP_BLOCKCAST_AUTHORIZATION_H_INCLUDED_ */
