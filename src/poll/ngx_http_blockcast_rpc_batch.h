
/*
 * Batches: the calls of one turn of the event loop in one POST, for a node
 * that takes them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_BATCH_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_BATCH_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_rpc_call.h"


/* Has a call go with the next batch; NGX_DECLINED: it is to be sent alone. */
ngx_int_t ngx_http_blockcast_rpc_batch_add(ngx_http_blockcast_rpc_call_t *rpc);

/* Reads the reply to a batch, and gives each of its calls what is its own. */
void ngx_http_blockcast_rpc_batch_read(ngx_http_blockcast_rpc_call_t *batch,
    ngx_str_t *body);

/* A call is freed: takes it out of its batch, which goes with the last one. */
void ngx_http_blockcast_rpc_batch_leave(ngx_http_blockcast_rpc_call_t *rpc);


#endif /* _NGX_HTTP_BLOCKCAST_RPC_BATCH_H_INCLUDED_ */
