
/*
 * Rate-limited logging: a persistent error is logged once, and then now and
 * then with the number of suppressed lines.
 */


#include <ngx_event.h>

#include "ngx_http_blockcast_log_throttle.h"


ngx_uint_t
ngx_http_blockcast_log_throttle(ngx_http_blockcast_log_throttle_t *repeat,
    ngx_str_t *message, ngx_uint_t *suppressed)
{
    time_t      now, again, new;
    uint32_t    hash;
    ngx_uint_t  i;

    now = ngx_time();
    again = ngx_http_blockcast_log_throttle_again(repeat);
    new = NGX_HTTP_BLOCKCAST_LOG_THROTTLE_NEW;

    if (repeat->count++ == 0) {
        repeat->since = ngx_current_msec;
        repeat->began = now;
    }

    if (again == NGX_HTTP_BLOCKCAST_LOG_THROTTLE_DAY) {
        new = NGX_HTTP_BLOCKCAST_LOG_THROTTLE_LONG;
    }

    /* ignore digits: a port or a time may change while the reason does not */

    hash = 0;

    for (i = 0; i < message->len; i++) {
        if (message->data[i] < '0' || message->data[i] > '9') {
            hash = (uint32_t) ngx_hash(hash, message->data[i]);
        }
    }

    for (i = 0; i < NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS; i++) {
        if (repeat->reasons[i] == hash && repeat->logged[i] != 0) {
            break;
        }
    }

    if (i == NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS) {
        i = repeat->next % NGX_HTTP_BLOCKCAST_LOG_THROTTLE_REASONS;

        /* new reasons: a few at once, then one every `new` seconds */

        if (now - repeat->logged[i] < again && now - repeat->last < new)
        {
            repeat->suppressed++;
            return 0;
        }

        repeat->next++;
        repeat->reasons[i] = hash;

    } else if (now - repeat->logged[i] < again) {
        repeat->suppressed++;
        return 0;
    }

    repeat->logged[i] = now;
    repeat->last = now;
    repeat->reported = 1;

    *suppressed = repeat->suppressed;
    repeat->suppressed = 0;

    return 1;
}


time_t
ngx_http_blockcast_log_throttle_again(
    ngx_http_blockcast_log_throttle_t *repeat)
{
    if (repeat->count == 0) {
        return NGX_HTTP_BLOCKCAST_LOG_THROTTLE_SOON;
    }

    return (ngx_time() - repeat->began >= NGX_HTTP_BLOCKCAST_LOG_THROTTLE_LONG)
           ? NGX_HTTP_BLOCKCAST_LOG_THROTTLE_DAY
           : NGX_HTTP_BLOCKCAST_LOG_THROTTLE_AGAIN;
}


ngx_uint_t
ngx_http_blockcast_log_throttle_end(ngx_http_blockcast_log_throttle_t *repeat,
    ngx_uint_t *count, ngx_msec_t *lasted)
{
    ngx_uint_t  reported;

    reported = repeat->reported;

    *count = repeat->count;
    *lasted = ngx_current_msec - repeat->since;

    repeat->count = 0;
    repeat->suppressed = 0;
    repeat->reported = 0;

    return reported;
}
