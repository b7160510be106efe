
/*
 * Histograms of durations: the limits of their buckets, and how to count one.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HISTOGRAM_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HISTOGRAM_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* buckets of a histogram; the last one has no limit */
#define NGX_HTTP_BLOCKCAST_BUCKETS  12


/* upper limits in microseconds, of all buckets but the last */

typedef ngx_uint_t  ngx_http_blockcast_histogram_limits_t[
                                              NGX_HTTP_BLOCKCAST_BUCKETS - 1];

/* of a call; of a poll, all its calls; of a publish, and of a fan-out */
extern const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_call;
extern const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_poll;
extern const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_publish;
/* of a run of a jq program */
extern const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_jq;


/*
 * Counts a duration in one of BUCKETS counters.  Not atomic: a histogram has
 * one writer, the polling worker or the owner of the counters.
 */
void ngx_http_blockcast_histogram_add(ngx_atomic_t *counts,
    const ngx_uint_t *limits, uint64_t usec);


#endif /* _NGX_HTTP_BLOCKCAST_HISTOGRAM_H_INCLUDED_ */
