
/*
 * Who may connect, to what, and how many.
 */


#ifndef _NGX_HTTP_BLOCKCAST_ACCESS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_ACCESS_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* a refusal: status 0 when there is none */

typedef struct {
    ngx_uint_t                    status;
    const char                   *sentence;     /* constant */
    ngx_uint_t                    retry_after;  /* seconds, 0: not said */
} ngx_http_blockcast_refusal_t;


/* whether there is a place for one more; NGX_OK, or NGX_DECLINED */
ngx_int_t ngx_http_blockcast_access_room(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/* that and the Origin; NGX_OK, or NGX_DECLINED with *refusal */
ngx_int_t ngx_http_blockcast_access_connect(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/* the Origin alone, and a line in the log for one that is refused */
ngx_int_t ngx_http_blockcast_access_page(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/*
 * Whether blockcast_origin of the location allows the request's Origin, or
 * NGX_DECLINED.  *origin is NULL when there is none, which is NGX_OK; *any:
 * every other one would be allowed, too.
 */
ngx_int_t ngx_http_blockcast_access_origin_of(ngx_http_request_t *r,
    ngx_str_t **origin, ngx_uint_t *any);

/* Logs a refused Origin: at level warn once a minute, else at info. */
void ngx_http_blockcast_access_told(ngx_http_request_t *r, ngx_str_t *origin);

/*
 * The token and the streams it opens: NGX_OK with the streams as bits by
 * index in *allowed, NGX_DECLINED with *refusal, or NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_access_streams(ngx_http_request_t *r,
    uint64_t *allowed, ngx_http_blockcast_refusal_t *refusal);

/* the request's bearer token: of Authorization, of the "bearer.TOKEN" among
   the subprotocols, or of the argument "token"; NGX_DECLINED: it has none */
ngx_int_t ngx_http_blockcast_access_token(ngx_http_request_t *r,
    ngx_str_t *token);

/* the value of the first header of that name, or NULL */
ngx_str_t *ngx_http_blockcast_access_header(ngx_http_request_t *r,
    const char *name);

/* an argument of the request, percent-decoded; NGX_DECLINED: there is none */
ngx_int_t ngx_http_blockcast_access_arg(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

/* directives */
char *ngx_http_blockcast_access_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_access_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BLOCKCAST_ACCESS_H_INCLUDED_ */
