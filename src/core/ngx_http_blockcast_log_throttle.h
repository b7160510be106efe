
/*
 * Rate-limited logging: a persistent error is logged once, and then now and
 * then with the number of suppressed lines.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_


#include <ngx_config.h>
#include <ngx_core.h>


/*
 * Seconds between two lines: AGAIN for the same error; SOON when it returns
 * after a success; NEW for errors that are different each time.  When
 * everything has failed for LONG seconds, the operator knows, and DAY replaces
 * AGAIN, and LONG replaces NEW.
 */
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_AGAIN  60
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_SOON   10
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_NEW    15
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_LONG   3600
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_DAY    86400

/* the number of different errors that are remembered per item */
#define NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS  4


/* what was logged about one item that can fail; initially all 0 */

typedef struct {
    uint32_t     reasons[NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS];
    time_t       logged[NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS];
    ngx_uint_t   next;              /* index of the reason to replace next */
    time_t       last;              /* time of the last line, for any reason */
    ngx_uint_t   count;             /* failures in a row */
    ngx_uint_t   suppressed;        /* failures not logged since the last
                                       line */
    ngx_msec_t   since;             /* time of the first failure in a row */
    time_t       began;             /* the same, in seconds */
    unsigned     reported:1;        /* one of these failures was logged */
} ngx_http_blockcast_log_throttle_t;


/*
 * Counts a failure with this message.  Returns 1 when it should be logged;
 * *suppressed is then the number of failures not logged since the last line.
 */
ngx_uint_t ngx_http_blockcast_log_throttle(
    ngx_http_blockcast_log_throttle_t *repeat, ngx_str_t *message,
    ngx_uint_t *suppressed);

/* Returns the seconds after which the same error is logged again. */
time_t ngx_http_blockcast_log_throttle_again(
    ngx_http_blockcast_log_throttle_t *repeat);

/*
 * Records a success after *count failures in a row over *lasted msec.  Returns
 * 1 when it should be logged, because one of the failures was.
 */
ngx_uint_t ngx_http_blockcast_log_throttle_end(
    ngx_http_blockcast_log_throttle_t *repeat, ngx_uint_t *count,
    ngx_msec_t *lasted);


#endif /* _NGX_HTTP_BLOCKCAST_LOG_THROTTLE_H_INCLUDED_ */
