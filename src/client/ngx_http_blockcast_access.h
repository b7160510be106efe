
/*
 * Access checks: connection limits, Origins, tokens and allowed streams.
 */


#ifndef _NGX_HTTP_BLOCKCAST_ACCESS_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_ACCESS_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* why a client is refused; status 0: it is not refused */

typedef struct {
    ngx_uint_t                    status;
    const char                   *sentence;     /* a constant, for humans */
    ngx_uint_t                    retry_after;  /* seconds; 0: no header */
} ngx_http_blockcast_refusal_t;


/*
 * Checks blockcast_max_connections and the worker's own limit.  Returns NGX_OK
 * when one more connection may be opened, or NGX_DECLINED with *refusal.
 */
ngx_int_t ngx_http_blockcast_access_limits(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/*
 * Checks the limits and then the Origin.  Returns NGX_OK, or NGX_DECLINED with
 * *refusal.
 */
ngx_int_t ngx_http_blockcast_access_connect(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/*
 * Checks the Origin alone, and logs one that is refused.  Returns NGX_OK, or
 * NGX_DECLINED with *refusal.
 */
ngx_int_t ngx_http_blockcast_access_page(ngx_http_request_t *r,
    ngx_http_blockcast_refusal_t *refusal);

/*
 * Compares the request's Origin with blockcast_origin of its location.
 * Returns NGX_OK when it is allowed, or when the request has none (*origin is
 * NULL then); NGX_DECLINED otherwise.  Sets *any when every Origin is allowed.
 */
ngx_int_t ngx_http_blockcast_access_origin_of(ngx_http_request_t *r,
    ngx_str_t **origin, ngx_uint_t *any);

/* Logs a refused Origin: at level warn once a minute, else at info. */
void ngx_http_blockcast_access_log_origin(ngx_http_request_t *r,
    ngx_str_t *origin);

/*
 * Checks the bearer token and finds the streams that the client may have.
 * Returns NGX_OK with a bit for each stream, by its index, in *allowed;
 * NGX_DECLINED with *refusal; NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_access_streams(ngx_http_request_t *r,
    uint64_t *allowed, ngx_http_blockcast_refusal_t *refusal);

/*
 * Finds the request's bearer token: in Authorization, as "bearer.TOKEN" among
 * the subprotocols, or in the argument "token".  Returns NGX_DECLINED when
 * there is none.  *token points into the request.
 */
ngx_int_t ngx_http_blockcast_access_token(ngx_http_request_t *r,
    ngx_str_t *token);

/*
 * Copies an argument of the request, percent-decoded, into the request's pool.
 * Returns NGX_DECLINED when there is none, NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_access_arg(ngx_http_request_t *r,
    const char *name, ngx_str_t *value);

/*
 * Reads a list from the arguments: a=1,2 or a=1&a=2 or a[]=1&a[]=2 or
 * a[0]=1&a[1]=2.  *list is "1,2" for each of them, in the request's pool.
 * Returns NGX_DECLINED when there is none, NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_access_list(ngx_http_request_t *r,
    const char *name, ngx_str_t *list);

/* Handle the directives blockcast_origin and blockcast_tokens. */
char *ngx_http_blockcast_access_origin(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);
char *ngx_http_blockcast_access_tokens(ngx_conf_t *cf, ngx_command_t *cmd,
    void *conf);


#endif /* _NGX_HTTP_BLOCKCAST_ACCESS_H_INCLUDED_ */
