
/*
 * Handlers of directives for which nginx has no setter.  Those of an endpoint
 * are in _conf_endpoint, those inside blockcast_stream in _conf_stream.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CONF_SET_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CONF_SET_H_INCLUDED_


#include "ngx_http_blockcast.h"


/*
 * Handlers for ngx_command_t.  They return NGX_CONF_OK; NGX_CONF_ERROR after
 * they have logged the error; or a text for nginx to log.
 */
char *ngx_http_blockcast_conf_set_zone(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_set_node(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_set_rate(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_conf_set_max_connections(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/* Sets the ngx_msec_t at cmd->offset; unlike nginx's setter it refuses 0. */
char *ngx_http_blockcast_conf_set_msec(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Handler for ngx_conf_post_t: checks the bounds of *data, a size_t. */
char *ngx_http_blockcast_conf_set_max_queue(ngx_conf_t *cf, void *post,
    void *data);

/* Sets an enumerated value; the error message lists the valid ones. */
char *ngx_http_blockcast_conf_set_enum(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);

/* Refuses a directive of blockcast_stream that is used elsewhere. */
char *ngx_http_blockcast_conf_set_misplaced(ngx_conf_t *cf,
    ngx_command_t *cmd, void *conf);

/* Handlers for ngx_conf_post_t: check the bounds of a value. */
char *ngx_http_blockcast_conf_set_max_message(ngx_conf_t *cf, void *post,
    void *data);
char *ngx_http_blockcast_conf_set_max_subscriptions(ngx_conf_t *cf,
    void *post, void *data);
char *ngx_http_blockcast_conf_set_max_keys(ngx_conf_t *cf, void *post,
    void *data);


#endif /* _NGX_HTTP_BLOCKCAST_CONF_SET_H_INCLUDED_ */
