
/*
 * The workers' records: which ones run, whether they respond, and their
 * counters.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WORKER_RECORD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WORKER_RECORD_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* Points zone->own to a record in this process' memory, until _enter(). */
void ngx_http_blockcast_worker_record_detach(ngx_http_blockcast_zone_t *zone);

/*
 * _enter() takes a record for this worker, and logs a warning when none is
 * left; _leave() gives it back when the worker exits.
 */
void ngx_http_blockcast_worker_record_enter(ngx_http_blockcast_zone_t *zone);
void ngx_http_blockcast_worker_record_leave(ngx_http_blockcast_zone_t *zone);

/*
 * Renews the beat, on each tick.  Returns true when this worker has got a
 * record only now, in which its listeners are not counted yet.
 */
ngx_uint_t ngx_http_blockcast_worker_record_beat(
    ngx_http_blockcast_zone_t *zone);

/* Frees the records of workers that are gone; for the poller. */
void ngx_http_blockcast_worker_record_reap(ngx_http_blockcast_zone_t *zone,
    ngx_log_t *log);

/* Returns the connections of all workers that have a record. */
ngx_uint_t ngx_http_blockcast_worker_record_connections(
    ngx_http_blockcast_zone_t *zone);

/*
 * Marks this worker as exiting.  Returns true when no other worker is left
 * that could poll.
 */
ngx_uint_t ngx_http_blockcast_worker_record_last(
    ngx_http_blockcast_zone_t *zone);

/* Returns true when a process with that pid exists, or may exist. */
ngx_uint_t ngx_http_blockcast_worker_record_exists(ngx_pid_t pid);


#endif /* _NGX_HTTP_BLOCKCAST_WORKER_RECORD_H_INCLUDED_ */
