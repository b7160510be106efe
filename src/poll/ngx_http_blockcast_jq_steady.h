
/*
 * Whether a jq program puts out the same for the same input: looked up when it
 * is compiled.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JQ_STEADY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JQ_STEADY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Returns true when neither the program nor what it includes has a word that
 * makes it unsteady, see bc_jq_words.  beside and dir are those of
 * ngx_http_blockcast_jq_compile(), which has compiled it.
 */
ngx_uint_t ngx_http_blockcast_jq_steady(ngx_pool_t *pool, ngx_str_t *program,
    ngx_str_t *beside, ngx_str_t *dir);


#endif /* _NGX_HTTP_BLOCKCAST_JQ_STEADY_H_INCLUDED_ */
