
/*
 * The directives of the JSON-RPC endpoint.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_RPC_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_RPC_H_INCLUDED_


#include "ngx_http_blockcast.h"


void *ngx_http_blockcast_conf_rpc_create(ngx_conf_t *cf);
void ngx_http_blockcast_conf_rpc_merge(ngx_http_blockcast_loc_conf_t *prev,
    ngx_http_blockcast_loc_conf_t *conf);

/*
 * Finds the streams and the node of each endpoint, once the whole
 * configuration is read.  Logs why it returns NGX_ERROR.
 */
ngx_int_t ngx_http_blockcast_conf_rpc_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);

/* directives */
char *ngx_http_blockcast_conf_rpc_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_rpc_head(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_rpc_subscription(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);
char *ngx_http_blockcast_conf_rpc_allow(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_rpc_cache(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_rpc_cost(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_rpc_limit(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_RPC_H_INCLUDED_ */
