
/*
 * Takes what is in the cluster's log over into the zone.
 */


#ifndef _NGX_HTTP_BLOCKCAST_CLUSTER_APPLY_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_CLUSTER_APPLY_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "bc_span.h"


/*
 * Takes over the next record at *p, which is moved behind it.  live: it was
 * appended just now, so that its times are this clock's.  Returns 1, or 0 when
 * there is none.
 */
ngx_uint_t ngx_http_blockcast_cluster_apply_record(
    ngx_http_blockcast_main_conf_t *bmcf, const u_char **p,
    const u_char *last, ngx_uint_t live);

/* Takes over an image, and the jumps that are in it. */
void ngx_http_blockcast_cluster_apply_image(
    ngx_http_blockcast_main_conf_t *bmcf, bc_span_t records);

/* Takes over the floors of a begin: numbers that nobody gives any more. */
void ngx_http_blockcast_cluster_apply_floors(
    ngx_http_blockcast_main_conf_t *bmcf, bc_span_t records);

/* Makes the floors of a begin, of ngx_alloc(); least: none is below. */
ngx_int_t ngx_http_blockcast_cluster_apply_make_floors(
    ngx_http_blockcast_main_conf_t *bmcf, uint64_t least, ngx_str_t *records);

/*
 * Makes records of the jumps that nothing was published behind yet, for an
 * image, of ngx_alloc(): the begin that they are of does not stay in the log.
 */
ngx_int_t ngx_http_blockcast_cluster_apply_make_jumps(
    ngx_http_blockcast_main_conf_t *bmcf, ngx_str_t *records);

/* Returns true when nothing was published here, and no number is known. */
ngx_uint_t ngx_http_blockcast_cluster_apply_is_blank(
    ngx_http_blockcast_main_conf_t *bmcf);

/*
 * Makes epoch the zone's: data of another one is dropped.  NGX_DECLINED: the
 * zone is locked by a process that does not go on.
 */
ngx_int_t ngx_http_blockcast_cluster_apply_epoch(
    ngx_http_blockcast_main_conf_t *bmcf, uint64_t epoch);


#endif /* _NGX_HTTP_BLOCKCAST_CLUSTER_APPLY_H_INCLUDED_ */
