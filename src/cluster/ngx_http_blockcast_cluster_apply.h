
/* Applies the entries of the cluster's log to the zone. */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_APPLY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_APPLY_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_span.h"


/*
 * Applies the next record at *p, and moves *p to its end.  live: it was
 * appended just now, so poll times can be taken from this machine's clock.
 * Returns 0 when there is no record left, or else 1.
 */
ngx_uint_t ngx_http_blockcast_cluster_apply_record(
    ngx_http_blockcast_main_conf_t *bmcf, const u_char **p,
    const u_char *last, ngx_uint_t live);

/* Applies an image and the jumps in it. */
void ngx_http_blockcast_cluster_apply_image(
    ngx_http_blockcast_main_conf_t *bmcf, bc_span_t records);

/* Applies the floors of a begin: no number up to them is given again. */
void ngx_http_blockcast_cluster_apply_floors(
    ngx_http_blockcast_main_conf_t *bmcf, bc_span_t records);

/*
 * Makes the floors of a begin, none of them lower than least.  The caller
 * frees *records with ngx_free().
 */
ngx_int_t ngx_http_blockcast_cluster_apply_make_floors(
    ngx_http_blockcast_main_conf_t *bmcf, uint64_t least, ngx_str_t *records);

/*
 * Makes records, for an image, of the jumps after which nothing was published
 * yet: the begin they come from does not stay in the log.  The caller frees
 * *records with ngx_free().
 */
ngx_int_t ngx_http_blockcast_cluster_apply_make_jumps(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *records);

/* Returns true when no stream has data or a number. */
ngx_uint_t ngx_http_blockcast_cluster_apply_is_blank(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Makes epoch the zone's, and drops all data if it was another one.  Returns
 * NGX_DECLINED when the zone is locked by a stopped process, or this worker
 * has lost the lease.
 */
ngx_int_t ngx_http_blockcast_cluster_apply_epoch(
    ngx_http_blockcast_main_conf_t *bmcf, uint64_t epoch);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_APPLY_H_INCLUDED_ */
