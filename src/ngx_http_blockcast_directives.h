
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
/* of a ngx_conf_post_t: whether the size is within its bounds */
char *ngx_http_blockcast_max_queue(ngx_conf_t *cf, void *post, void *data);
char *ngx_http_blockcast_max_connections(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BLOCKCAST_DIRECTIVES_H_INCLUDED_ */
