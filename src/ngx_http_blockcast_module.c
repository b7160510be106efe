
/*
 * The module: the table of its directives, their merging and checking, and the
 * start and exit of a worker.
 */


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_worker.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_slot.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_cluster.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_rpc_call.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_cors.h"
#include "ngx_http_blockcast_sse.h"
#include "ngx_http_blockcast_ws_send.h"
#include "ngx_http_blockcast_longpoll.h"
#include "ngx_http_blockcast_variables.h"
#include "ngx_http_blockcast_conf_endpoint.h"
#include "ngx_http_blockcast_conf_head.h"
#include "ngx_http_blockcast_conf_rpc.h"
#include "ngx_http_blockcast_conf_set.h"
#include "ngx_http_blockcast_conf_stream.h"
#include "bc_ws_parser.h"


static void *ngx_http_blockcast_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_blockcast_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_blockcast_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_blockcast_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static void ngx_http_blockcast_merge_rate(ngx_http_blockcast_loc_conf_t *prev,
    ngx_http_blockcast_loc_conf_t *conf);
static ngx_int_t ngx_http_blockcast_merge_origins(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *prev, ngx_http_blockcast_loc_conf_t *conf);
static ngx_int_t ngx_http_blockcast_merge_limits(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *conf);
static ngx_int_t ngx_http_blockcast_merge_node(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *prev, ngx_http_blockcast_loc_conf_t *conf);
static ngx_int_t ngx_http_blockcast_check_zone(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf);
static ngx_int_t ngx_http_blockcast_postconfiguration(ngx_conf_t *cf);

static ngx_int_t ngx_http_blockcast_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_blockcast_init_process(ngx_cycle_t *cycle);
static void ngx_http_blockcast_exit_process(ngx_cycle_t *cycle);


#define NGX_HTTP_BLOCKCAST_ENDPOINT  NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF


/* the subprotocol used when a client names none */

static ngx_conf_enum_t  ngx_http_blockcast_protocol_enum[] = {
    { ngx_string("json"), ngx_http_blockcast_json },
    { ngx_string("cbor"), ngx_http_blockcast_cbor },
    { ngx_string("jsonrpc"), ngx_http_blockcast_jsonrpc },
    { ngx_null_string, 0 }
};


/* when a WebSocket connection is written to the access log */

static ngx_conf_enum_t  ngx_http_blockcast_log_enum[] = {
    { ngx_string("end"), 0 },
    { ngx_string("start"), 1 },
    { ngx_null_string, 0 }
};


/* the lower bound fits all answers to one message; sums have 32 bits */

static ngx_conf_post_t  ngx_http_blockcast_queue_bounds = {
    ngx_http_blockcast_conf_set_max_queue
};


static ngx_conf_post_t  ngx_http_blockcast_message_bounds = {
    ngx_http_blockcast_conf_set_max_message
};


static ngx_conf_post_t  ngx_http_blockcast_keys_bounds = {
    ngx_http_blockcast_conf_set_max_keys
};


static ngx_conf_post_t  ngx_http_blockcast_subscriptions_bounds = {
    ngx_http_blockcast_conf_set_max_subscriptions
};


/* only valid in blockcast_stream; here only for a message that says so */

#define ngx_http_blockcast_inside(name)                                       \
                                                                              \
    { ngx_string(name),                                                       \
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_ANY,    \
      ngx_http_blockcast_conf_set_misplaced, 0, 0, NULL }


static ngx_command_t  ngx_http_blockcast_commands[] = {

    { ngx_string("blockcast_zone"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE2,
      ngx_http_blockcast_conf_set_zone,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_drain"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_blockcast_main_conf_t, drain),
      NULL },

    { ngx_string("blockcast_access_log"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_set_enum,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_blockcast_main_conf_t, log_at_start),
      &ngx_http_blockcast_log_enum },

    { ngx_string("blockcast_state"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_blockcast_journal_directive,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_cluster"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_1MORE,
      ngx_http_blockcast_cluster_conf,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_stream"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_BLOCK|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_stream_block,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_node"),
      NGX_HTTP_LOC_CONF|NGX_CONF_ANY,
      ngx_http_blockcast_conf_set_node,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_head"),
      NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_blockcast_conf_head_location,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_websocket"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_websocket },

    { ngx_string("blockcast_echo"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_NOARGS,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_echo },

    { ngx_string("blockcast_api"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_api },

    { ngx_string("blockcast_sse"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_sse },

    { ngx_string("blockcast_rest"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_rest },

    { ngx_string("blockcast_health"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_NOARGS,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_health },

    { ngx_string("blockcast_metrics"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_NOARGS,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_metrics },

    { ngx_string("blockcast_poke"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_endpoint_set,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_poke },

    { ngx_string("blockcast_rpc"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_rpc_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_rpc },

    { ngx_string("blockcast_rpc_subscription"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_blockcast_conf_rpc_subscription,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_rpc_head"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_rpc_head,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_rpc_allow"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_blockcast_conf_rpc_allow,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_rpc_cache"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_blockcast_conf_rpc_cache,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_rpc_cost"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_2MORE,
      ngx_http_blockcast_conf_rpc_cost,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_rpc_limit"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_blockcast_conf_rpc_limit,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_rpc_cache_size"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_blockcast_main_conf_t, rpc_cache),
      NULL },

    { ngx_string("blockcast_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, max_message),
      &ngx_http_blockcast_message_bounds },

    { ngx_string("blockcast_deflate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, deflate),
      NULL },

    { ngx_string("blockcast_protocol"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_set_enum,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, protocol),
      &ngx_http_blockcast_protocol_enum },

    { ngx_string("blockcast_max_frame"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, max_frame),
      NULL },

    { ngx_string("blockcast_max_queue"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, max_queue),
      &ngx_http_blockcast_queue_bounds },

    { ngx_string("blockcast_max_fragments"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, max_fragments),
      NULL },

    { ngx_string("blockcast_max_subscriptions"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, max_subscriptions),
      &ngx_http_blockcast_subscriptions_bounds },

    { ngx_string("blockcast_message_rate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE12,
      ngx_http_blockcast_conf_set_rate,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_jq_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_msec_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_blockcast_main_conf_t, jq_timeout),
      NULL },

    { ngx_string("blockcast_jq_memory"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_blockcast_main_conf_t, jq_memory),
      NULL },

    { ngx_string("blockcast_max_connections"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_blockcast_conf_set_max_connections,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_origin"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_1MORE,
      ngx_http_blockcast_access_origin,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_guard"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, guard),
      NULL },

    { ngx_string("blockcast_tokens"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_blockcast_access_tokens,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_allow_streams"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, allow_streams),
      NULL },

    { ngx_string("blockcast_ping_interval"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_set_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, ping_interval),
      NULL },

    { ngx_string("blockcast_pong_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_set_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, pong_timeout),
      NULL },

    { ngx_string("blockcast_send_timeout"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_set_msec,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, send_timeout),
      NULL },

    { ngx_string("blockcast_allow_keys"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_http_set_complex_value_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, allow_keys),
      NULL },

    { ngx_string("blockcast_max_keys"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_num_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, max_keys),
      &ngx_http_blockcast_keys_bounds },

    ngx_http_blockcast_inside("blockcast_key"),
    ngx_http_blockcast_inside("blockcast_after"),
    ngx_http_blockcast_inside("blockcast_interval"),
    ngx_http_blockcast_inside("blockcast_call"),
    ngx_http_blockcast_inside("blockcast_get"),
    ngx_http_blockcast_inside("blockcast_jq"),
    ngx_http_blockcast_inside("blockcast_jq_file"),
    ngx_http_blockcast_inside("blockcast_log"),
    ngx_http_blockcast_inside("blockcast_history"),
    ngx_http_blockcast_inside("blockcast_stale"),
    ngx_http_blockcast_inside("blockcast_always"),
    ngx_http_blockcast_inside("blockcast_linger"),
    ngx_http_blockcast_inside("blockcast_max_size"),

      ngx_null_command
};


static ngx_http_module_t  ngx_http_blockcast_module_ctx = {
    ngx_http_blockcast_variables_add,      /* preconfiguration */
    ngx_http_blockcast_postconfiguration,  /* postconfiguration */

    ngx_http_blockcast_create_main_conf,   /* create main configuration */
    ngx_http_blockcast_init_main_conf,     /* init main configuration */

    NULL,                                  /* create server configuration */
    NULL,                                  /* merge server configuration */

    ngx_http_blockcast_create_loc_conf,    /* create location configuration */
    ngx_http_blockcast_merge_loc_conf      /* merge location configuration */
};


ngx_module_t  ngx_http_blockcast_module = {
    NGX_MODULE_V1,
    &ngx_http_blockcast_module_ctx,        /* module context */
    ngx_http_blockcast_commands,           /* module directives */
    NGX_HTTP_MODULE,                       /* module type */
    NULL,                                  /* init master */
    ngx_http_blockcast_init_module,        /* init module */
    ngx_http_blockcast_init_process,       /* init process */
    NULL,                                  /* init thread */
    NULL,                                  /* exit thread */
    ngx_http_blockcast_exit_process,       /* exit process */
    NULL,                                  /* exit master */
    NGX_MODULE_V1_PADDING
};


static void *
ngx_http_blockcast_create_main_conf(ngx_conf_t *cf)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_main_conf_t));
    if (bmcf == NULL) {
        return NULL;
    }

    if (ngx_array_init(&bmcf->streams, cf->pool, 8,
                       sizeof(ngx_http_blockcast_stream_t *))
        != NGX_OK
        || ngx_array_init(&bmcf->nodes, cf->pool, 2,
                          sizeof(ngx_http_blockcast_node_t *))
           != NGX_OK
        || ngx_array_init(&bmcf->heads, cf->pool, 2,
                          sizeof(ngx_http_blockcast_head_t *))
           != NGX_OK
        || ngx_array_init(&bmcf->places, cf->pool, 8,
                          sizeof(ngx_http_blockcast_conf_place_t))
           != NGX_OK
        || ngx_array_init(&bmcf->passes, cf->pool, 2, sizeof(void **))
           != NGX_OK)
    {
        return NULL;
    }

    bmcf->rpc_cache = NGX_CONF_UNSET_SIZE;
    bmcf->drain = NGX_CONF_UNSET_MSEC;
    bmcf->log_at_start = NGX_CONF_UNSET_UINT;
    bmcf->jq_timeout = NGX_CONF_UNSET_MSEC;
    bmcf->jq_memory = NGX_CONF_UNSET_SIZE;

    return bmcf;
}


static char *
ngx_http_blockcast_init_main_conf(ngx_conf_t *cf, void *conf)
{
    ngx_http_blockcast_main_conf_t *bmcf = conf;

    ngx_conf_init_uint_value(bmcf->log_at_start, 0);
    ngx_conf_init_msec_value(bmcf->jq_timeout, 5000);
    ngx_conf_init_size_value(bmcf->jq_memory, 268435456);

    return NGX_CONF_OK;
}


static void *
ngx_http_blockcast_create_loc_conf(ngx_conf_t *cf)
{
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = ngx_pcalloc(cf->pool, sizeof(ngx_http_blockcast_loc_conf_t));
    if (blcf == NULL) {
        return NULL;
    }

    blcf->rpc = ngx_http_blockcast_conf_rpc_create(cf);
    if (blcf->rpc == NULL) {
        return NULL;
    }

    blcf->max_message = NGX_CONF_UNSET_SIZE;
    blcf->ping_interval = NGX_CONF_UNSET_MSEC;
    blcf->pong_timeout = NGX_CONF_UNSET_MSEC;
    blcf->send_timeout = NGX_CONF_UNSET_MSEC;
    blcf->deflate = NGX_CONF_UNSET;
    blcf->guard = NGX_CONF_UNSET;
    blcf->max_frame = NGX_CONF_UNSET_SIZE;
    blcf->max_queue = NGX_CONF_UNSET_SIZE;
    blcf->max_fragments = NGX_CONF_UNSET_UINT;
    blcf->max_subscriptions = NGX_CONF_UNSET_UINT;
    blcf->max_keys = NGX_CONF_UNSET_UINT;
    blcf->protocol = NGX_CONF_UNSET_UINT;
    blcf->rate = NGX_CONF_UNSET_UINT;
    blcf->burst = NGX_CONF_UNSET_UINT;
#if (nginx_version >= 1021005)
    blcf->allow_streams = NGX_CONF_UNSET_PTR;
    blcf->allow_keys = NGX_CONF_UNSET_PTR;
#endif

    return blcf;
}


static char *
ngx_http_blockcast_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_blockcast_loc_conf_t *prev = parent;
    ngx_http_blockcast_loc_conf_t *conf = child;

    ngx_http_blockcast_main_conf_t  *bmcf;

    if (ngx_http_blockcast_conf_endpoint_inherit(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

    ngx_http_blockcast_conf_rpc_merge(prev, conf);

    ngx_conf_merge_size_value(conf->max_message, prev->max_message, 65536);
    ngx_conf_merge_msec_value(conf->ping_interval, prev->ping_interval, 45000);
    ngx_conf_merge_msec_value(conf->pong_timeout, prev->pong_timeout, 60000);
    ngx_conf_merge_msec_value(conf->send_timeout, prev->send_timeout, 90000);
    ngx_conf_merge_value(conf->deflate, prev->deflate, 1);
    ngx_conf_merge_uint_value(conf->protocol, prev->protocol,
                              ngx_http_blockcast_json);

    ngx_conf_merge_size_value(conf->max_frame, prev->max_frame, 0);
    ngx_conf_merge_size_value(conf->max_queue, prev->max_queue, 262144);
    ngx_conf_merge_uint_value(conf->max_fragments, prev->max_fragments,
                              131072);
    ngx_conf_merge_uint_value(conf->max_subscriptions,
                              prev->max_subscriptions,
                              NGX_HTTP_BLOCKCAST_STREAMS);

    ngx_conf_merge_uint_value(conf->max_keys, prev->max_keys, 100);

    if (conf->tokens == NULL) {
        conf->tokens = prev->tokens;
    }

    ngx_conf_merge_value(conf->guard, prev->guard, 0);

#if (nginx_version >= 1021005)
    ngx_conf_merge_ptr_value(conf->allow_streams, prev->allow_streams, NULL);
    ngx_conf_merge_ptr_value(conf->allow_keys, prev->allow_keys, NULL);
#else
    if (conf->allow_streams == NULL) {
        conf->allow_streams = prev->allow_streams;
    }

    if (conf->allow_keys == NULL) {
        conf->allow_keys = prev->allow_keys;
    }
#endif

    if (conf->guard) {
        bmcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_blockcast_module);
        bmcf->guards = 1;
    }

    ngx_http_blockcast_merge_rate(prev, conf);

    if (ngx_http_blockcast_merge_origins(cf, prev, conf) != NGX_OK
        || ngx_http_blockcast_merge_limits(cf, conf) != NGX_OK
        || ngx_http_blockcast_merge_node(cf, prev, conf) != NGX_OK)
    {
        return NGX_CONF_ERROR;
    }

    return NGX_CONF_OK;
}


/*
 * Merges blockcast_message_rate.  The default of one kind of endpoint is not
 * inherited by an endpoint of another kind inside it.
 */

static void
ngx_http_blockcast_merge_rate(ngx_http_blockcast_loc_conf_t *prev,
    ngx_http_blockcast_loc_conf_t *conf)
{
    if (conf->rate == NGX_CONF_UNSET_UINT
        && (!prev->usual_rate || conf->kind == prev->kind))
    {
        conf->rate = prev->rate;
        conf->burst = prev->burst;
        conf->usual_rate = prev->usual_rate;
    }

    if (conf->endpoint && conf->rate == NGX_CONF_UNSET_UINT) {

        /* conformance tests send to an echo endpoint as fast as they can */

        conf->rate = conf->echo ? 0 : 50;
        conf->burst = 200;

        if (conf->kind != NULL && conf->kind->rpc) {

            /*
             * blockcast_rpc_limit answers excess calls; this limit closes the
             * connection
             */

            conf->rate = 1000;
            conf->burst = 10000;
        }

        conf->usual_rate = 1;
    }
}


/*
 * Merges blockcast_origin.  As above, the default is not inherited by another
 * kind: it is "same" for an endpoint or with blockcast_guard, but none for an
 * echo.
 */

static ngx_int_t
ngx_http_blockcast_merge_origins(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *prev, ngx_http_blockcast_loc_conf_t *conf)
{
    ngx_str_t  *origin;

    if (conf->origins == NULL
        && (!prev->usual_origins || conf->kind == prev->kind))
    {
        conf->origins = prev->origins;
        conf->forwarded = prev->forwarded;
        conf->usual_origins = prev->usual_origins;
    }

    if (conf->origins != NULL
        || (!conf->guard && (!conf->endpoint || conf->echo)))
    {
        return NGX_OK;
    }

    conf->origins = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
    if (conf->origins == NULL) {
        return NGX_ERROR;
    }

    origin = ngx_array_push(conf->origins);
    if (origin == NULL) {
        return NGX_ERROR;
    }

    ngx_str_set(origin, "same");
    conf->usual_origins = 1;

    return NGX_OK;
}


/* Passes the merged limits to the WebSocket parser. */

static ngx_int_t
ngx_http_blockcast_merge_limits(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *conf)
{
    bc_ws_limits_t  *limits;

    if (!conf->websocket && !conf->echo) {
        return NGX_OK;
    }

    limits = ngx_pcalloc(cf->pool, sizeof(bc_ws_limits_t));
    if (limits == NULL) {
        return NGX_ERROR;
    }

    limits->max_message = conf->max_message;
    limits->max_frame = conf->max_frame;
    limits->max_fragments = conf->max_fragments;
    conf->limits = limits;

    return NGX_OK;
}


/*
 * Sets nginx's own subrequest_output_buffer_size, whatever the configuration
 * says, according to max_reply= of blockcast_node.  Applies to the location of
 * a node, and to an "if" in it, which is a location of its own.  The core
 * module has merged its values before ours.
 */

static ngx_int_t
ngx_http_blockcast_merge_node(ngx_conf_t *cf,
    ngx_http_blockcast_loc_conf_t *prev, ngx_http_blockcast_loc_conf_t *conf)
{
    void                          ***pass;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_blockcast_main_conf_t  *bmcf;

    conf->max_reply = (conf->node != NULL) ? conf->node->max_reply
                                           : prev->max_reply;

    if (conf->max_reply == 0) {
        return NGX_OK;
    }

    /* one buffer more, so that an oversized reply is noticed by its size */

    clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
    clcf->subrequest_output_buffer_size = conf->max_reply
                                          + NGX_HTTP_BLOCKCAST_REPLY_MORE;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_blockcast_module);

    pass = ngx_array_push(&bmcf->passes);
    if (pass == NULL) {
        return NGX_ERROR;
    }

    *pass = clcf->loc_conf;

    return NGX_OK;
}


/*
 * Warns about nodes without a proxy_pass.  This is not an error, because
 * "return" with an error_page may provide the answers.
 */

static void
ngx_http_blockcast_check_nodes(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    void                           **loc, ***pass;
    ngx_uint_t                       i, n;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_blockcast_node_t      **nodes;
    ngx_http_blockcast_loc_conf_t   *blcf;

    nodes = bmcf->nodes.elts;
    pass = bmcf->passes.elts;

    for (i = 0; i < bmcf->nodes.nelts; i++) {

        /* passes has the location of the node, and each "if" in it */

        for (n = 0; n < bmcf->passes.nelts; n++) {
            loc = pass[n];
            clcf = loc[ngx_http_core_module.ctx_index];
            blcf = loc[ngx_http_blockcast_module.ctx_index];

            while (blcf->outer != NULL && blcf->node == NULL) {
                blcf = blcf->outer;
            }

            if (blcf->node == nodes[i] && clcf->handler != NULL) {
                break;
            }
        }

        if (n == bmcf->passes.nelts) {
            ngx_log_error(NGX_LOG_WARN, cf->log, 0,
                          "the location of blockcast_node \"%V\" in %s:%ui "
                          "has no proxy_pass: its streams will ask nobody",
                          &nodes[i]->name, nodes[i]->file, nodes[i]->line);
        }
    }
}


/*
 * Checks that there is a zone if one is needed, and that it is large enough
 * for the streams.  Logs why it returns NGX_ERROR.
 */

static ngx_int_t
ngx_http_blockcast_check_zone(ngx_conf_t *cf,
    ngx_http_blockcast_main_conf_t *bmcf)
{
    size_t                         need;
    ngx_uint_t                     i;
    ngx_http_blockcast_stream_t  **streams;

    streams = bmcf->streams.elts;

    if (bmcf->streams.nelts != 0 && bmcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "stream \"%V\" in %s:%ui needs a blockcast_zone, "
                      "and none is declared",
                      &streams[0]->name, streams[0]->file, streams[0]->line);
        return NGX_ERROR;
    }

    if (bmcf->journal != NULL && bmcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "blockcast_state \"%V\" in %s:%ui needs a "
                      "blockcast_zone, and none is declared",
                      &bmcf->journal->path, bmcf->journal->file,
                      bmcf->journal->line);
        return NGX_ERROR;
    }

    if (bmcf->cluster != NULL && bmcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "blockcast_cluster in %s:%ui needs a blockcast_zone, "
                      "and none is declared", bmcf->cluster->file,
                      bmcf->cluster->line);
        return NGX_ERROR;
    }

    if (bmcf->zone == NULL) {
        return NGX_OK;
    }

    /* includes the overhead of the slab pool */

    need = ngx_align(sizeof(ngx_http_blockcast_zone_shctx_t), 4096)
           + bmcf->shm_zone->shm.size / 128 + 4 * 4096;

    for (i = 0; i < bmcf->streams.nelts; i++) {
        need += ngx_http_blockcast_slot_size(streams[i]);
    }

    if (need > bmcf->shm_zone->shm.size) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "blockcast_zone \"%V\" is %uz bytes, "
                      "the %ui streams declared need %uz in %s:%ui",
                      &bmcf->shm_zone->shm.name, bmcf->shm_zone->shm.size,
                      bmcf->streams.nelts, need, bmcf->zone_file,
                      bmcf->zone_line);
        return NGX_ERROR;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_postconfiguration(ngx_conf_t *cf)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_blockcast_module);

    if (ngx_http_blockcast_check_zone(cf, bmcf) != NGX_OK
        || ngx_http_blockcast_conf_stream_link(cf, bmcf) != NGX_OK
        || ngx_http_blockcast_conf_head_link(cf, bmcf) != NGX_OK
        || ngx_http_blockcast_conf_endpoint_link(cf, bmcf) != NGX_OK
        || ngx_http_blockcast_conf_rpc_link(cf, bmcf) != NGX_OK
        || ngx_http_blockcast_cors_init(cf, bmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    ngx_http_blockcast_check_nodes(cf, bmcf);
    ngx_http_blockcast_cluster_conf_link(bmcf);

    return ngx_http_blockcast_rpc_call_init(cf, bmcf);
}


ngx_msec_t
ngx_http_blockcast_drain(void)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(ngx_cycle,
                                               ngx_http_blockcast_module);
    return bmcf->drain;
}


/* Returns our configuration, or NULL when there is none or it has no zone. */

static ngx_http_blockcast_main_conf_t *
ngx_http_blockcast_configured(ngx_cycle_t *cycle)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (cycle->conf_ctx[ngx_http_module.index] == NULL) {

        /* there is no http {} block */
        return NULL;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_blockcast_module);

    return (bmcf != NULL && bmcf->zone != NULL) ? bmcf : NULL;
}


/*
 * Sets the default of blockcast_drain, and limits it to 3/4 of
 * worker_shutdown_timeout.  That closes connections without notice, so clients
 * must have been told before, with time to answer.  It may be set after http
 * {}, so the two cannot be compared earlier.
 */

static void
ngx_http_blockcast_init_drain(ngx_cycle_t *cycle)
{
    ngx_msec_t                       most;
    ngx_core_conf_t                 *ccf;
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_blockcast_module);
    if (bmcf == NULL) {
        return;
    }

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    most = ccf->shutdown_timeout - ccf->shutdown_timeout / 4;

    if (bmcf->drain == NGX_CONF_UNSET_MSEC) {
        bmcf->drain = (most != 0 && most < 5000) ? most : 5000;

    } else if (most != 0 && bmcf->drain > most) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "blockcast_drain of %M ms is taken as %M ms, for "
                      "worker_shutdown_timeout closes what is left after "
                      "%M ms", bmcf->drain, most, ccf->shutdown_timeout);

        bmcf->drain = most;
    }
}


/*
 * Warns about a listen without reuseport.  Called after the whole
 * configuration is read, because worker_processes may be set after http {}.
 */

static void
ngx_http_blockcast_check_queues(ngx_cycle_t *cycle,
    ngx_http_blockcast_main_conf_t *bmcf)
{
#if (NGX_HAVE_REUSEPORT)

    ngx_core_conf_t  *ccf;

    ccf = (ngx_core_conf_t *) ngx_get_conf(cycle->conf_ctx, ngx_core_module);

    if (bmcf->one_queue.len != 0 && ccf->worker_processes > 1) {
        ngx_log_error(NGX_LOG_WARN, cycle->log, 0,
                      "some of the %i workers may have several times as many "
                      "clients as others: \"listen %V reuseport\" spreads "
                      "them", ccf->worker_processes, &bmcf->one_queue);
    }

#endif
}


static ngx_int_t
ngx_http_blockcast_init_module(ngx_cycle_t *cycle)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (cycle->conf_ctx[ngx_http_module.index] != NULL) {
        ngx_http_blockcast_init_drain(cycle);
    }

    bmcf = ngx_http_blockcast_configured(cycle);

    if (bmcf != NULL) {
        ngx_http_blockcast_check_queues(cycle, bmcf);
    }

    if (ngx_test_config) {
        return NGX_OK;
    }

    if (bmcf == NULL) {
        ngx_http_blockcast_journal_init(cycle, NULL);
        return NGX_OK;
    }

    if (ngx_http_blockcast_worker_notify_create(cycle, bmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    ngx_http_blockcast_zone_settle(bmcf->zone);
    ngx_http_blockcast_journal_init(cycle, bmcf);

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_init_process(ngx_cycle_t *cycle)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return NGX_OK;
    }

    bmcf = ngx_http_blockcast_configured(cycle);

    if (bmcf == NULL) {
        return NGX_OK;
    }

    return ngx_http_blockcast_worker_init(cycle, bmcf);
}


static void
ngx_http_blockcast_exit_process(ngx_cycle_t *cycle)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (ngx_process != NGX_PROCESS_WORKER && ngx_process != NGX_PROCESS_SINGLE)
    {
        return;
    }

    bmcf = ngx_http_blockcast_configured(cycle);

    if (bmcf == NULL) {
        return;
    }

    ngx_http_blockcast_worker_exit(bmcf);
}
