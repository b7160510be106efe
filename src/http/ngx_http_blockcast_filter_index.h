
/*
 * Which entries of a log match a filter, without a look at each of them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FILTER_INDEX_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FILTER_INDEX_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_filter.h"


/*
 * Takes in the entries that have come since, and sets filter->known.  NGX_OK;
 * NGX_AGAIN: there are more of them than one turn has time for, it is to be
 * called again in another one; NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_filter_index_update(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filter_t *filter);

/*
 * Finds the newest entries that match, after NGX_OK and in the same turn:
 * leaves out `offset` of them, and puts the numbers of the next ones, *count
 * at most, to found.  Sets *count to how many these are, and returns how many
 * match all in all.
 */
ngx_uint_t ngx_http_blockcast_filter_index_find(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filter_t *filter, ngx_uint_t offset, ngx_uint_t *found,
    ngx_uint_t *count);


#endif /* _NGX_HTTP_BLOCKCAST_FILTER_INDEX_H_INCLUDED_ */
