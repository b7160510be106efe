
/*
 * The directive blockcast_cluster: where the engine is, and how to log in.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_CONF_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_CONF_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* an address of the engine; a name may have several */

typedef struct {
    ngx_addr_t                    addr;
    ngx_str_t                     peer;         /* host:port, for the log */
    ngx_str_t                     host;         /* for the certificate;
                                                   NUL-terminated */
} ngx_http_blockcast_cluster_addr_t;


struct ngx_http_blockcast_cluster_s {
    ngx_array_t                   addrs;        /* _cluster_addr_t */
    ngx_str_t                     name;
    ngx_str_t                     log;          /* the names of the two
                                                   streams */
    ngx_str_t                     want;
    ngx_str_t                     user;
    ngx_str_t                     password;
    void                         *ssl;          /* ngx_ssl_t, or NULL */
    u_char                       *file;
    ngx_uint_t                    line;

    /* the next recorder, of the state file, or NULL */
    const ngx_http_blockcast_recorder_t  *recorder;

    void                         *node;         /* the worker's state */
    void                         *keys;         /* ... for keys, or NULL */
};


/*
 * Handles blockcast_cluster redis://HOST[:PORT]... [name=NAME] [user=NAME]
 * [password_file=FILE] [tls=on] [ca=FILE].
 */
char *ngx_http_blockcast_cluster_conf(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_CONF_H_INCLUDED_ */
