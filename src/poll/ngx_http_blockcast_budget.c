
/*
 * The budget of calls per second of a node: a bucket that fills with rate=.
 *
 * Fixed streams come first: they take from it even if it is empty, and calls
 * for keys wait until that debt is paid.  Keys have a second bucket, which
 * fills with a tenth of rate=, for the case that the first one is always
 * empty.
 */


#include "ngx_http_blockcast_budget.h"
#include "ngx_http_blockcast.h"


/* keys get at least rate= divided by this */
#define NGX_HTTP_BLOCKCAST_BUDGET_SHARE  10


static void
ngx_http_blockcast_budget_fill(ngx_http_blockcast_node_t *node)
{
    int64_t     most;
    ngx_msec_t  passed;

    /* the most to save for a burst: a tenth of a second, or one call */

    most = ngx_max((int64_t) node->rate * 100, 1000);

    passed = ngx_current_msec - node->credited;

    if (node->credited == 0 || (ngx_msec_int_t) passed < 0 || passed > 60000) {
        passed = 60000;
    }

    node->credited = ngx_current_msec;
    node->credit = ngx_min(node->credit + (int64_t) (node->rate * passed),
                           most);
    node->spare = ngx_min(node->spare
                          + (int64_t) (node->rate * passed)
                            / NGX_HTTP_BLOCKCAST_BUDGET_SHARE,
                          1000);
}


void
ngx_http_blockcast_budget_spend(ngx_http_blockcast_node_t *node,
    ngx_uint_t keys)
{
    if (node->rate == 0) {
        return;
    }

    ngx_http_blockcast_budget_fill(node);

    if (keys && node->credit < 1000) {

        /* a poll of many calls is paid off later, within ten seconds */

        node->spare = ngx_max(node->spare - 1000,
                              -10000 * (int64_t) node->rate
                              / NGX_HTTP_BLOCKCAST_BUDGET_SHARE);
    }

    node->credit -= 1000;

    /* bound the debt to one minute of calls */

    if (node->credit < -60000 * (int64_t) node->rate) {
        node->credit = -60000 * (int64_t) node->rate;
    }
}


ngx_msec_t
ngx_http_blockcast_budget_wait(ngx_http_blockcast_node_t *node)
{
    ngx_msec_t  wait, share;

    if (node->rate == 0) {
        return 0;
    }

    ngx_http_blockcast_budget_fill(node);

    if (node->credit >= 1000 || node->spare >= 1000) {
        return 0;
    }

    wait = (ngx_msec_t) ((1000 - node->credit) / (int64_t) node->rate) + 1;
    share = (ngx_msec_t) ((1000 - node->spare)
                          * NGX_HTTP_BLOCKCAST_BUDGET_SHARE
                          / (int64_t) node->rate) + 1;

    return ngx_min(wait, share);
}
