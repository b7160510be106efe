
/*
 * Rate-limited logging: an error that stays is logged once, then from time to
 * time with the number of lines left out.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Seconds between two lines: AGAIN, when the error stays the same; SOON, when
 * it comes back after a success; NEW, when it is another one each time; LONG,
 * when nothing has worked for an hour, which the operator knows by then.
 */
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_AGAIN  60
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_SOON   10
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_NEW    15
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_LONG   3600
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_DAY    86400

/* the number of different errors that are remembered of one thing */
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS  4


/* what was logged of one thing that can fail, all 0 at first */

typedef struct {
    uint32_t     reasons[NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS];
    time_t       logged[NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS];
    ngx_uint_t   next;              /* reason to be replaced */
    time_t       last;              /* line of any reason */
    ngx_uint_t   count;             /* failures in a row */
    ngx_uint_t   suppressed;        /* failures since the last line */
    ngx_msec_t   since;             /* the first of the failures in a row */
    time_t       began;             /* the same, in seconds */
    unsigned     reported:1;        /* one of these was logged */
} ngx_http_blockcast_log_throttle_t;


/*
 * Counts a failure with this message.  Returns 1 when it is to be logged, then
 * *suppressed is the number of failures that were not since the last line.
 */
ngx_uint_t ngx_http_blockcast_log_throttle(
    ngx_http_blockcast_log_throttle_t *repeat, ngx_str_t *message,
    ngx_uint_t *suppressed);

/* Returns how many seconds after a line the same error is logged again. */
time_t ngx_http_blockcast_log_throttle_again(
    ngx_http_blockcast_log_throttle_t *repeat);

/*
 * Notes a success after *count failures in a row within *lasted msec.  Returns
 * 1 when that is to be logged: one of the failures was.
 */
ngx_uint_t ngx_http_blockcast_log_throttle_end(
    ngx_http_blockcast_log_throttle_t *repeat, ngx_uint_t *count,
    ngx_msec_t *lasted);


#endif /* _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_ */
