
/*
 * Batches: the calls of one turn of the event loop in one POST, for nodes that
 * support them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_BATCH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_BATCH_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_call.h"


/* Adds a call to the next batch; NGX_DECLINED: it has to be sent alone. */
ngx_int_t ngx_http_blockcast_rpc_batch_add(ngx_http_blockcast_rpc_call_t *rpc);

/* Reads the reply to a batch and ends each call with its part of it. */
void ngx_http_blockcast_rpc_batch_read(ngx_http_blockcast_rpc_call_t *batch,
    ngx_str_t *body);

/*
 * Takes a call out of its batch before it is freed; the last one frees the
 * batch.
 */
void ngx_http_blockcast_rpc_batch_leave(ngx_http_blockcast_rpc_call_t *rpc);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_BATCH_H_INCLUDED_ */
