
/*
 * Which entries of a log a REST request wants: those whose members have the
 * values of the query.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FILTER_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FILTER_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_log_filter.h"
#include "bc_span.h"


/* in one request: members, and values of all of them together */
#define NGX_HTTP_BLOCKCAST_FILTER_MEMBERS  BC_LOG_FILTER_MEMBERS
#define NGX_HTTP_BLOCKCAST_FILTER_VALUES   BC_LOG_FILTER_VALUES

/* a longer number of an entry is compared with nothing (bytes) */
#define NGX_HTTP_BLOCKCAST_FILTER_NUMBER   128


/* one value of the query */

typedef struct {
    ngx_uint_t   member;    /* in members */
    ngx_str_t    text;      /* of a string, decoded */
    ngx_str_t    key;       /* of a number, true, false, null; or len 0 */
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
                                                /* of filter_index.c */
} ngx_http_blockcast_filter_t;


/*
 * Makes the filter of a request's query, MEMBER=VALUE&MEMBER=VALUE, without
 * the arguments that are ours (limit, offset, wait, after, token, streams) or
 * have no value.  NGX_OK, NGX_DECLINED when there are too many, or NGX_ERROR
 * without memory.
 */
ngx_int_t ngx_http_blockcast_filter_parse(ngx_http_request_t *r,
    ngx_http_blockcast_filter_t *filter);


#endif /* _NGX_HTTP_BLOCKCAST_FILTER_H_INCLUDED_ */
