
/*
 * Tells, when a jq program is compiled, whether it always has the same output
 * for the same input.
 */


#ifndef _NGX_HTTP_BLOCKCAST_JQ_STEADY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_JQ_STEADY_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Returns true when neither the program nor its included files have a word
 * that makes it unsteady, see bc_jq_words.  beside and dir are those that were
 * passed to ngx_http_blockcast_jq_compile().
 */
ngx_uint_t ngx_http_blockcast_jq_steady(ngx_pool_t *pool, ngx_str_t *program,
    ngx_str_t *beside, ngx_str_t *dir);


#endif /* _NGX_HTTP_BLOCKCAST_JQ_STEADY_H_INCLUDED_ */
