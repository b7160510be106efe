
/*
 * Histograms of times.
 */


#include "ngx_http_blockcast_histogram.h"
#include "ngx_http_blockcast.h"


const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_call =
{
    1000, 2000, 5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000,
    2500000
};

const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_poll =
{
    5000, 10000, 25000, 50000, 100000, 250000, 500000, 1000000, 2500000,
    5000000, 10000000
};

const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_publish =
{
    50, 100, 250, 500, 1000, 2500, 5000, 10000, 25000, 50000, 100000
};

const ngx_http_blockcast_histogram_limits_t
    ngx_http_blockcast_histogram_jq =
{
    100, 250, 500, 1000, 2500, 5000, 10000, 50000, 100000, 500000, 1000000
};


void
ngx_http_blockcast_histogram_add(ngx_atomic_t *counts,
    const ngx_uint_t *limits, uint64_t usec)
{
    ngx_uint_t  i;

    for (i = 0; i < NGX_HTTP_BLOCKCAST_BUCKETS - 1; i++) {
        if (usec <= limits[i]) {
            break;
        }
    }

    counts[i]++;
}
