
/*
 * An index that finds the entries of a log that match a filter, without
 * parsing each of them.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FILTER_INDEX_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FILTER_INDEX_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_filter.h"


/*
 * Indexes the entries that are new since the last call, and sets filter->known
 * and filter->columns.  Returns NGX_OK; NGX_AGAIN when one turn has no time
 * for all of them: call it again in a later turn; NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_filter_index_update(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filter_t *filter);

/*
 * Finds the newest entries that match.  Call it after
 * ngx_http_blockcast_filter_index_update() returned NGX_OK, in the same turn.
 * Skips `offset` matches, and writes the numbers of the next ones (0: the
 * oldest entry in the hub), at most *count, to found.  Sets *count to how many
 * it wrote, and returns how many entries match in total.
 */
ngx_uint_t ngx_http_blockcast_filter_index_find(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_filter_t *filter, ngx_uint_t offset, ngx_uint_t *found,
    ngx_uint_t *count);


#endif /* _NGX_HTTP_BLOCKCAST_FILTER_INDEX_H_INCLUDED_ */
