
/*
 * The directives that are more than a value in a slot; those of a stream's
 * block are in _stream_conf.
 */


#ifndef _NGX_HTTP_BLOCKCAST_DIRECTIVES_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_DIRECTIVES_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* what the endpoints of a configuration name, to be linked at its end */

typedef struct {
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_str_t                        directive;
    u_char                          *file;
    ngx_uint_t                       line;
} ngx_http_blockcast_place_t;


/* as the handlers of ngx_command_t: NGX_CONF_OK, or what is wrong */
char *ngx_http_blockcast_zone(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_blockcast_node(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_blockcast_endpoint(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_msec(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
char *ngx_http_blockcast_rate(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
/* as ngx_conf_set_enum_slot(), and the message names the choices */
char *ngx_http_blockcast_enum(ngx_conf_t *cf, ngx_command_t *cmd, void *conf);
/* of a directive that belongs inside blockcast_stream, wherever else it is */
char *ngx_http_blockcast_misplaced(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
/* of a ngx_conf_post_t: whether the value is within its bounds */
char *ngx_http_blockcast_max_message(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_blockcast_max_subscriptions(ngx_conf_t *cf, void *post,
    void *data);
char *ngx_http_blockcast_max_queue(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_blockcast_max_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


/* for cmd->post of each directive that makes a location one of ours */
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_websocket;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_echo;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_api;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_sse;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_rest;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_health;
extern ngx_http_blockcast_kind_t  ngx_http_blockcast_kind_metrics;

/*
 * The part of the merging that is about blocks: an "if" or a limit_except that
 * names no endpoint is what its location is.
 */
ngx_int_t ngx_http_blockcast_inherit(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *prev, ngx_http_blockcast_loc_conf_t *conf);


#endif /* _NGX_HTTP_BLOCKCAST_DIRECTIVES_H_INCLUDED_ */
