
/*
 * Endpoints: the directives that turn a location into one.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_ENDPOINT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_ENDPOINT_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* an endpoint in the configuration, linked when all of it is read */

typedef struct {
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_str_t                        directive;
    u_char                          *file;
    ngx_uint_t                       line;
    ngx_http_core_srv_conf_t        *cscf;
} ngx_http_blockcast_conf_place_t;


/* cmd->post of the directives that make a location an endpoint */
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_websocket;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_echo;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_api;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_sse;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_rest;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_health;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_metrics;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_poke;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_rpc;


/*
 * Handles a directive that makes a location an endpoint of the kind cmd->post;
 * its arguments are names of streams.
 */
char *ngx_http_blockcast_conf_endpoint_set(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/*
 * Makes an "if" or limit_except without an endpoint directive of its own the
 * same endpoint as the location around it.  Called when the two are merged.
 */
ngx_int_t ngx_http_blockcast_conf_endpoint_inherit(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *prev, ngx_http_blockcast_loc_conf_t *conf);

/*
 * Finds the streams that each endpoint offers, once the whole configuration is
 * read.  NGX_ERROR has been logged: a stream or the zone is not declared.
 */
ngx_int_t ngx_http_blockcast_conf_endpoint_link(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_ENDPOINT_H_INCLUDED_ */
