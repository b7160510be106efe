
/*
 * The filter of a REST request for a log: it selects entries whose members
 * have the values given in the query.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FILTER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FILTER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_log_filter.h"
#include "bc_span.h"


/* max. members in one request, and max. values of all of them together */
#define NGX_HTTP_BLOCKCAST_FILTER_MEMBERS  BC_LOG_FILTER_MEMBERS
#define NGX_HTTP_BLOCKCAST_FILTER_VALUES   BC_LOG_FILTER_VALUES

/* a number in an entry that is longer than this never matches (bytes) */
#define NGX_HTTP_BLOCKCAST_FILTER_NUMBER   128


/* one value of the query */

typedef struct {
    ngx_uint_t   member;    /* index in members */
    ngx_str_t    text;      /* as a string, decoded */
    ngx_str_t    key;       /* a number, true, false or null; else len 0 */
} ngx_http_blockcast_filter_value_t;


typedef struct {
    const char                         *members[
                                          NGX_HTTP_BLOCKCAST_FILTER_MEMBERS];
    ngx_uint_t                          nmembers;
    ngx_uint_t                          known;  /* bits: an entry has it */
    ngx_http_blockcast_filter_value_t   values[
                                          NGX_HTTP_BLOCKCAST_FILTER_VALUES];
    ngx_uint_t                          nvalues;
    const uint64_t                     *columns[
                                          NGX_HTTP_BLOCKCAST_FILTER_MEMBERS];
                                                /* set by filter_index.c */
} ngx_http_blockcast_filter_t;


/*
 * Makes the filter from a request's query, MEMBER=VALUE&MEMBER=VALUE.  Ignores
 * the module's own arguments (limit, offset, wait, after, token, streams) and
 * arguments without a value.  Returns NGX_OK, NGX_DECLINED when there are too
 * many members or values, or NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_filter_parse(ngx_http_request_t *r,
    ngx_http_blockcast_filter_t *filter);


#endif /* _NGX_HTTP_BLOCKCAST_FILTER_H_INCLUDED_ */
