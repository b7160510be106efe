
/*
 * The hubs of keys: one for each key that has listeners in this worker.
 */


#ifndef _NGX_HTTP_BLOCKCAST_KEY_HUB_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_KEY_HUB_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_key_table.h"


struct ngx_http_blockcast_key_hub_s {
    ngx_http_blockcast_hub_t      hub;          /* its `key` is this */
    ngx_queue_t                   queue;        /* among the stream's hubs */
    ngx_queue_t                   walking;      /* among those in a fan-out */
    ngx_uint_t                    place;        /* our place in the table */
    uint64_t                      uses;         /* the place's `uses` when
                                                   taken */
    uint32_t                      id;           /* of a subscription */
    unsigned                      fresh:1;      /* made or found since the last
                                                   tick */
    unsigned                      late:1;       /* listeners know the stretched
                                                   interval */
    ngx_str_t                     text;
    u_char                        buf[NGX_HTTP_BLOCKCAST_KEY_LEN];
};


ngx_int_t ngx_http_blockcast_key_hub_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf);
void ngx_http_blockcast_key_hub_done(void);

/*
 * Returns the hub of a key in its canonical form, made if needed.  It lives as
 * long as it has listeners, and then until a tick finds it unused.  NULL:
 * there is no room for the key in the zone, no memory, or (*busy) the zone is
 * locked.
 */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_hub_get(
    ngx_http_blockcast_stream_t *st, ngx_str_t *key, ngx_uint_t *busy);

/* Returns the hub of a key if this worker has one, or NULL. */
ngx_http_blockcast_hub_t *ngx_http_blockcast_key_hub_find(
    ngx_http_blockcast_stream_t *st, ngx_str_t *key);

/* Implement the functions of _hub for keys: see there. */
ngx_uint_t ngx_http_blockcast_key_hub_sync(ngx_http_blockcast_hub_t *hub);
ngx_http_blockcast_freshness_e ngx_http_blockcast_key_hub_freshness(
    ngx_http_blockcast_hub_t *hub);
ngx_int_t ngx_http_blockcast_key_hub_age(ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_key_hub_join(ngx_http_blockcast_hub_t *hub);
ngx_uint_t ngx_http_blockcast_key_hub_demand(ngx_http_blockcast_hub_t *hub);
uint64_t ngx_http_blockcast_key_hub_error_version(
    ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_key_hub_read_error(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_error_t *error);

/*
 * Returns by how much the interval of the stream's keys is stretched (msec)
 * because of the node's rate=; 0: not noticeably.
 */
ngx_msec_t ngx_http_blockcast_key_hub_late(ngx_http_blockcast_stream_t *st);

/* Serves the listeners of the keys that have changed. */
void ngx_http_blockcast_key_hub_update_all(void);

/*
 * Sets the function that ends the subscription of a client whose signature for
 * the key has expired.  It may remove the client from hub->listeners.
 */
typedef void (*ngx_http_blockcast_key_hub_expired_pt)(
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_hub_t *hub);
void ngx_http_blockcast_key_hub_on_expiry(
    ngx_http_blockcast_key_hub_expired_pt handler);

/* Drops all data of a former epoch; for _hub_forget(). */
void ngx_http_blockcast_key_hub_forget(void);

/* Serves the keys on each tick: see ngx_http_blockcast_hub_tick(). */
void ngx_http_blockcast_key_hub_tick(ngx_uint_t attached);


#endif /* _NGX_HTTP_BLOCKCAST_KEY_HUB_H_INCLUDED_ */
