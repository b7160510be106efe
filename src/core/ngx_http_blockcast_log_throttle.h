
/*
 * What fails again and again is told of once, and then from time to time.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * An error that stays the same is logged that often (seconds), one that comes
 * back after all was well, and one of many that are different
 */
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_AGAIN  60
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_SOON   10
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_NEW    15

/* different errors of the same thing that are told apart */
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS    4


/* what was logged of something that fails again and again */

typedef struct {
    uint32_t                      reasons[NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS];
    time_t                        logged[NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS];
    ngx_uint_t                    next;
    time_t                        last;         /* line of any reason */
    ngx_uint_t                    count;        /* failures in a row */
    ngx_uint_t                    suppressed;   /* ... since the last line */
    ngx_msec_t                    since;
    unsigned                      reported:1;
} ngx_http_blockcast_log_throttle_t;


/*
 * Counts a failure with this message.  True: it is to be logged, and *unsaid
 * is how many of them were not since the last line.
 */
ngx_uint_t ngx_http_blockcast_log_throttle(
    ngx_http_blockcast_log_throttle_t *repeat, ngx_str_t *message,
    ngx_uint_t *suppressed);
/*
 * All is well again, after *count failures within *lasted msec.  True: that is
 * to be logged, too.
 */
ngx_uint_t ngx_http_blockcast_log_throttle_end(
    ngx_http_blockcast_log_throttle_t *repeat, ngx_uint_t *count,
    ngx_msec_t *lasted);


#endif /* _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_ */
