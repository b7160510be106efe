
/*
 * What a program reports in its outputs after the data and the state: notes,
 * gaps of a log, and that the stream makes no progress.
 */


#ifndef _NGX_HTTP_BLOCKCAST_PROGRAM_REPORT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_PROGRAM_REPORT_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* the most outputs of a program, and the most notes in them */
#define NGX_HTTP_BLOCKCAST_PROGRAM_OUTPUTS  10
#define NGX_HTTP_BLOCKCAST_PROGRAM_NOTES  8


typedef struct {
    ngx_str_t            notes[NGX_HTTP_BLOCKCAST_PROGRAM_NOTES];
    ngx_uint_t           nnotes;
    ngx_str_t            gap;           /* JSON object of the first, or len 0 */
    ngx_uint_t           ngaps;
    ngx_str_t            stale;         /* why, or len 0 */
} ngx_http_blockcast_program_report_t;


/*
 * Reads n outputs: each is a note, {"note":...,"gap":{"from":...,"to":...},
 * "stale":...}, or an array of these.  Anything else becomes a note that says
 * so, and a gap without a note gets one.  All texts are in memory of the pool.
 */
void ngx_http_blockcast_program_report_read(ngx_pool_t *pool, ngx_str_t *json,
    ngx_uint_t n, ngx_http_blockcast_program_report_t *report);

/*
 * Puts a gap into an entry as its last member; room: the most bytes of the
 * result.  NGX_DECLINED: the entry has a gap already, or gets too long.
 */
ngx_int_t ngx_http_blockcast_program_report_mark(ngx_pool_t *pool,
    ngx_str_t *gap, size_t room, ngx_str_t *entry);


#endif /* _NGX_HTTP_BLOCKCAST_PROGRAM_REPORT_H_INCLUDED_ */
