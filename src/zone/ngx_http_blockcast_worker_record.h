
/*
 * Workers' records: who is there, whether it goes on, and what it counted.
 */


#ifndef _NGX_HTTP_BLOCKCAST_WORKER_RECORD_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_WORKER_RECORD_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"


/* Makes zone->own a record in this process' memory, until _enter(). */
void ngx_http_blockcast_worker_record_detach(ngx_http_blockcast_zone_t *zone);

/*
 * Take a record for this worker, with a warning in the log when there is none
 * left, and give it back when the worker exits.
 */
void ngx_http_blockcast_worker_record_enter(ngx_http_blockcast_zone_t *zone);
void ngx_http_blockcast_worker_record_leave(ngx_http_blockcast_zone_t *zone);

/*
 * Shows, on each tick, that this worker goes on.  Returns true when it got a
 * record only now: its listeners are not counted there yet.
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
 * Marks this worker as exiting.  Returns true when no other one is left that
 * could poll.
 */
ngx_uint_t ngx_http_blockcast_worker_record_last(
    ngx_http_blockcast_zone_t *zone);

/* Tells whether there is a process with that pid, or may be. */
ngx_uint_t ngx_http_blockcast_worker_record_exists(ngx_pid_t pid);


#endif /* _NGX_HTTP_BLOCKCAST_WORKER_RECORD_H_INCLUDED_ */
