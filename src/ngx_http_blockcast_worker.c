
/*
 * The life of a worker: its start, its tick, its wake-ups, its exit.
 */


#include "ngx_http_blockcast_worker.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_worker_record.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_cluster.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_history_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "ngx_http_blockcast_key_form_run.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_rpc_path.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_epoch_wait.h"
#include "ngx_http_blockcast_held_request.h"
#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast_rpc_lane.h"
#include "ngx_http_blockcast_sse.h"
#include "ngx_http_blockcast_ws.h"
#include "ngx_http_blockcast_ws_send.h"
#include "ngx_http_blockcast_longpoll.h"


/* what malloc() keeps of the memory that a worker frees: twice as much */
#define NGX_HTTP_BLOCKCAST_WORKER_KEPT  (512 * 1024)


static void ngx_http_blockcast_worker_keep_memory(ngx_cycle_t *cycle);
static void ngx_http_blockcast_worker_tick(ngx_event_t *ev);
static void ngx_http_blockcast_worker_wake_handler(ngx_event_t *ev);
static void ngx_http_blockcast_worker_epoch(void);
static void ngx_http_blockcast_worker_drain(ngx_connection_t *c);


static ngx_http_blockcast_main_conf_t  *ngx_http_blockcast_worker_conf;
static uint64_t                         ngx_http_blockcast_worker_known_epoch;
static ngx_event_t                      ngx_http_blockcast_worker_tick_event;
static ngx_connection_t                 ngx_http_blockcast_worker_dummy;


ngx_int_t
ngx_http_blockcast_worker_init(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_event_t  *tick;

    ngx_http_blockcast_worker_conf = bmcf;
    ngx_http_blockcast_worker_known_epoch = bmcf->zone->sh->epoch;

    ngx_http_blockcast_worker_record_enter(bmcf->zone);
    ngx_http_blockcast_commands_forget_welcome();

    ngx_http_blockcast_ws_send_init();
    ngx_http_blockcast_sse_init();
    ngx_http_blockcast_key_access_init();
    ngx_http_blockcast_longpoll_init();

    ngx_http_blockcast_rpc_path_bypass();

    /* first, because fork() must copy neither clients nor threads */

    if (ngx_http_blockcast_jq_queue_init(cycle, bmcf) != NGX_OK
        || ngx_http_blockcast_hub_init(cycle, bmcf) != NGX_OK
        || ngx_http_blockcast_poller_init(cycle, bmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_blockcast_hub_on_epoch(ngx_http_blockcast_worker_epoch);
    ngx_http_blockcast_worker_keep_memory(cycle);
    ngx_http_blockcast_cluster_on_read(ngx_http_blockcast_epoch_wait_check);

    /*
     * with debug logging, nginx reads the descriptor of an event's connection
     */

    ngx_http_blockcast_worker_dummy.fd = (ngx_socket_t) -1;

    tick = &ngx_http_blockcast_worker_tick_event;

    tick->handler = ngx_http_blockcast_worker_tick;
    tick->log = cycle->log;
    tick->data = &ngx_http_blockcast_worker_dummy;
    tick->cancelable = 1;

    ngx_add_timer(tick, 1);

    return ngx_http_blockcast_worker_notify_open(
                                    cycle, bmcf,
                                    ngx_http_blockcast_worker_wake_handler);
}


/*
 * Each poll allocates memory and frees it again.  When the polls of several
 * streams have freed more than 128 KiB, glibc gives that back to the kernel,
 * and the next polls get it page by page: a tenth of their time.  A large
 * allocation that is freed raises that limit, without the side effects of
 * mallopt().
 */

static void
ngx_http_blockcast_worker_keep_memory(ngx_cycle_t *cycle)
{
    void  *p;

    p = ngx_alloc(NGX_HTTP_BLOCKCAST_WORKER_KEPT, cycle->log);

    if (p != NULL) {
        ngx_free(p);
    }
}


void
ngx_http_blockcast_worker_exit(ngx_http_blockcast_main_conf_t *bmcf)
{
    ngx_http_blockcast_journal_leave(bmcf);
    ngx_http_blockcast_poller_stop(1);
    ngx_http_blockcast_journal_done(bmcf);
    ngx_http_blockcast_rpc_lane_done();
    ngx_http_blockcast_key_form_done();
    ngx_http_blockcast_jq_queue_done();
    ngx_http_blockcast_worker_record_leave(bmcf->zone);
    ngx_http_blockcast_commands_forget_welcome();
    ngx_http_blockcast_history_frame_done();
    ngx_http_blockcast_hub_done();
}


/*
 * Runs every TICK msec.  Handles what depends on time, like leases and stale
 * data, and makes up for lost wake-ups.
 */

static void
ngx_http_blockcast_worker_tick(ngx_event_t *ev)
{
    ngx_uint_t  attached;

    attached = ngx_http_blockcast_worker_record_beat(
                                        ngx_http_blockcast_worker_conf->zone);

    ngx_http_blockcast_worker_epoch();
    ngx_http_blockcast_hub_tick(attached);
    ngx_http_blockcast_history_frame_tick();
    ngx_http_blockcast_fanout_update_all();

    if (!ngx_terminate && !ngx_exiting) {
        ngx_http_blockcast_poller_tick();
    }

    /* repeat even while exiting: clients are served until they have left */

    ngx_add_timer(ev, NGX_HTTP_BLOCKCAST_TICK);
}


/* Handles a wake-up: another worker has published data, or wants a poll. */

static void
ngx_http_blockcast_worker_wake_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    if (c->close) {
        ngx_http_blockcast_worker_drain(c);
        return;
    }

    ngx_http_blockcast_worker_notify_read(ev);

    ngx_http_blockcast_worker_epoch();
    ngx_http_blockcast_fanout_update_all();
    ngx_http_blockcast_poller_kick();
}


/*
 * Disconnects all clients when the cluster's epoch is not the one that this
 * nginx knew: what they remember of earlier messages is no longer valid.  Those
 * that wait to be greeted with the cluster's epoch go on when it is there.
 */

static void
ngx_http_blockcast_worker_epoch(void)
{
    uint64_t  epoch;

    ngx_http_blockcast_epoch_wait_check(ngx_http_blockcast_worker_conf);

    epoch = ngx_http_blockcast_worker_conf->zone->sh->epoch;

    if (ngx_http_blockcast_worker_conf->cluster == NULL
        || epoch == ngx_http_blockcast_worker_known_epoch)
    {
        return;
    }

    ngx_http_blockcast_worker_known_epoch = epoch;

    ngx_http_blockcast_ws_close_all(1012, "the data is of another epoch");
    ngx_http_blockcast_hub_forget();
    ngx_http_blockcast_held_request_end_all();
    ngx_http_blockcast_commands_forget_welcome();
}


/*
 * Begins the worker's exit: another worker takes over polling, and the clients
 * are told to leave.
 */

static void
ngx_http_blockcast_worker_drain(ngx_connection_t *c)
{
    ngx_http_blockcast_journal_leave(c->data);
    ngx_http_blockcast_poller_stop(1);
    ngx_http_blockcast_held_request_drain(ngx_http_blockcast_drain());

    ngx_http_blockcast_worker_notify_close(c);
}
