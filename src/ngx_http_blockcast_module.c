
/*
 * The module: the table of its directives, their merging and checking, and the
 * start of a worker.
 */


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_stream.h"
#include "ngx_http_blockcast_worker_notify.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_journal.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_jq_queue.h"
#include "ngx_http_blockcast_poller.h"
#include "ngx_http_blockcast_rpc_call.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_cors.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_variables.h"
#include "ngx_http_blockcast_conf_directives.h"
#include "ngx_http_blockcast_conf_stream.h"
#include "bc_ws.h"


static void *ngx_http_blockcast_create_main_conf(ngx_conf_t *cf);
static char *ngx_http_blockcast_init_main_conf(ngx_conf_t *cf, void *conf);
static void *ngx_http_blockcast_create_loc_conf(ngx_conf_t *cf);
static char *ngx_http_blockcast_merge_loc_conf(ngx_conf_t *cf, void *parent,
    void *child);
static ngx_int_t ngx_http_blockcast_postconfiguration(ngx_conf_t *cf);

static ngx_int_t ngx_http_blockcast_init_module(ngx_cycle_t *cycle);
static ngx_int_t ngx_http_blockcast_init_process(ngx_cycle_t *cycle);
static void ngx_http_blockcast_exit_process(ngx_cycle_t *cycle);


#define NGX_HTTP_BLOCKCAST_ENDPOINT  NGX_HTTP_LOC_CONF|NGX_HTTP_LIF_CONF


/* what is spoken with a client that names no subprotocol */

static ngx_conf_enum_t  ngx_http_blockcast_protocol_enum[] = {
    { ngx_string("json"), ngx_http_blockcast_json },
    { ngx_string("cbor"), ngx_http_blockcast_cbor },
    { ngx_string("jsonrpc"), ngx_http_blockcast_jsonrpc },
    { ngx_null_string, 0 }
};


/* when the access log has its line of a WebSocket connection */

static ngx_conf_enum_t  ngx_http_blockcast_log_enum[] = {
    { ngx_string("end"), 0 },
    { ngx_string("start"), 1 },
    { ngx_null_string, 0 }
};


/* all answers to one message have room in the least; counts are of 32 bits */

static ngx_conf_post_t  ngx_http_blockcast_queue_bounds = {
    ngx_http_blockcast_conf_set_max_queue
};


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
      ngx_conf_set_enum_slot,
      NGX_HTTP_MAIN_CONF_OFFSET,
      offsetof(ngx_http_blockcast_main_conf_t, log_at_start),
      &ngx_http_blockcast_log_enum },

    { ngx_string("blockcast_state"),
      NGX_HTTP_MAIN_CONF|NGX_CONF_TAKE12,
      ngx_http_blockcast_journal_directive,
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
      NGX_HTTP_LOC_CONF|NGX_CONF_NOARGS|NGX_CONF_TAKE123,
      ngx_http_blockcast_conf_set_node,
      NGX_HTTP_MAIN_CONF_OFFSET,
      0,
      NULL },

    { ngx_string("blockcast_websocket"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_websocket },

    { ngx_string("blockcast_echo"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_NOARGS,
      ngx_http_blockcast_conf_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_echo },

    { ngx_string("blockcast_api"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_api },

    { ngx_string("blockcast_sse"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_ANY,
      ngx_http_blockcast_conf_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_sse },

    { ngx_string("blockcast_rest"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_TAKE1,
      ngx_http_blockcast_conf_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_rest },

    { ngx_string("blockcast_health"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_NOARGS,
      ngx_http_blockcast_conf_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_health },

    { ngx_string("blockcast_metrics"),
      NGX_HTTP_BLOCKCAST_ENDPOINT|NGX_CONF_NOARGS,
      ngx_http_blockcast_conf_set_endpoint,
      NGX_HTTP_LOC_CONF_OFFSET,
      0,
      &ngx_http_blockcast_kind_metrics },

    { ngx_string("blockcast_max_message"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_size_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, max_message),
      NULL },

    { ngx_string("blockcast_deflate"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_FLAG,
      ngx_conf_set_flag_slot,
      NGX_HTTP_LOC_CONF_OFFSET,
      offsetof(ngx_http_blockcast_loc_conf_t, deflate),
      NULL },

    { ngx_string("blockcast_protocol"),
      NGX_HTTP_MAIN_CONF|NGX_HTTP_SRV_CONF|NGX_HTTP_LOC_CONF|NGX_CONF_TAKE1,
      ngx_conf_set_enum_slot,
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
      NULL },

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
        || ngx_array_init(&bmcf->places, cf->pool, 8,
                          sizeof(ngx_http_blockcast_conf_place_t))
           != NGX_OK
        || ngx_array_init(&bmcf->passes, cf->pool, 2, sizeof(void **))
           != NGX_OK)
    {
        return NULL;
    }

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

    ngx_conf_init_msec_value(bmcf->drain, 5000);
    ngx_conf_init_uint_value(bmcf->log_at_start, 0);
    ngx_conf_init_msec_value(bmcf->jq_timeout, 5000);
    ngx_conf_init_size_value(bmcf->jq_memory, 256 * 1024 * 1024);

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
    blcf->protocol = NGX_CONF_UNSET_UINT;
    blcf->rate = NGX_CONF_UNSET_UINT;
    blcf->burst = NGX_CONF_UNSET_UINT;
#if (nginx_version >= 1021005)
    blcf->allow_streams = NGX_CONF_UNSET_PTR;
#endif

    return blcf;
}


static char *
ngx_http_blockcast_merge_loc_conf(ngx_conf_t *cf, void *parent, void *child)
{
    ngx_http_blockcast_loc_conf_t *prev = parent;
    ngx_http_blockcast_loc_conf_t *conf = child;

    void                          ***pass;
    ngx_str_t                       *origin;
    bc_ws_limits_t                  *limits;
    ngx_http_core_loc_conf_t        *clcf;
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (ngx_http_blockcast_conf_inherit(cf, prev, conf) != NGX_OK) {
        return NGX_CONF_ERROR;
    }

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

    if (conf->tokens == NULL) {
        conf->tokens = prev->tokens;
    }

    ngx_conf_merge_value(conf->guard, prev->guard, 0);

    /* what one kind of endpoint does by itself is not for another inside */

    if (conf->origins == NULL
        && (!prev->usual_origins || conf->kind == prev->kind))
    {
        conf->origins = prev->origins;
        conf->forwarded = prev->forwarded;
        conf->usual_origins = prev->usual_origins;
    }

#if (nginx_version >= 1021005)
    ngx_conf_merge_ptr_value(conf->allow_streams, prev->allow_streams, NULL);
#else
    if (conf->allow_streams == NULL) {
        conf->allow_streams = prev->allow_streams;
    }
#endif

    if (conf->rate == NGX_CONF_UNSET_UINT
        && (!prev->usual_rate || conf->kind == prev->kind))
    {
        conf->rate = prev->rate;
        conf->burst = prev->burst;
        conf->usual_rate = prev->usual_rate;
    }

    if (conf->endpoint) {

        /* an echo is there to be hammered by conformance tests */

        if (conf->rate == NGX_CONF_UNSET_UINT) {
            conf->rate = conf->echo ? 0 : 50;
            conf->burst = 200;
            conf->usual_rate = 1;
        }
    }

    if (conf->guard) {
        bmcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_blockcast_module);
        bmcf->guards = 1;
    }

    if (conf->origins == NULL
        && (conf->guard || (conf->endpoint && !conf->echo)))
    {
        conf->origins = ngx_array_create(cf->pool, 1, sizeof(ngx_str_t));
        if (conf->origins == NULL) {
            return NGX_CONF_ERROR;
        }

        origin = ngx_array_push(conf->origins);
        if (origin == NULL) {
            return NGX_CONF_ERROR;
        }

        ngx_str_set(origin, "same");
        conf->usual_origins = 1;
    }

    if (conf->websocket || conf->echo) {
        limits = ngx_pcalloc(cf->pool, sizeof(bc_ws_limits_t));
        if (limits == NULL) {
            return NGX_CONF_ERROR;
        }

        if (conf->max_message == 0) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "blockcast_max_message must be larger than 0");
            return NGX_CONF_ERROR;
        }

        if (conf->max_message > 1024 * 1024 * 1024) {
            ngx_log_error(
                      NGX_LOG_EMERG, cf->log, 0,
                      "blockcast_max_message must not be larger than 1024m");
            return NGX_CONF_ERROR;
        }

        limits->max_message = conf->max_message;
        limits->max_frame = conf->max_frame;
        limits->max_fragments = conf->max_fragments;
        conf->limits = limits;
    }

    /* an "if" in the location of a node is a location of its own */

    if (conf->node != NULL) {
        conf->max_reply = conf->node->max_reply;

    } else {
        conf->max_reply = prev->max_reply;
    }

    if (conf->max_reply != 0) {

        /*
         * the core module's values are merged before ours, and this is the
         * limit of a reply that is kept in memory; with room for a buffer
         * more, so that one which was too large is known by its size
         */

        clcf = ngx_http_conf_get_module_loc_conf(cf, ngx_http_core_module);
        clcf->subrequest_output_buffer_size = conf->max_reply
                                              + NGX_HTTP_BLOCKCAST_REPLY_MORE;

        bmcf = ngx_http_conf_get_module_main_conf(cf,
                                                  ngx_http_blockcast_module);

        pass = ngx_array_push(&bmcf->passes);
        if (pass == NULL) {
            return NGX_CONF_ERROR;
        }

        *pass = clcf->loc_conf;
    }

    return NGX_CONF_OK;
}


static ngx_int_t
ngx_http_blockcast_link_place(ngx_conf_t *cf,
                              ngx_http_blockcast_main_conf_t *bmcf,
                              ngx_http_blockcast_conf_place_t *place)
{
    ngx_str_t                      *name;
    ngx_uint_t                      i, n;
    ngx_http_blockcast_stream_t    *st, **all;
    ngx_http_blockcast_loc_conf_t  *blcf;

    blcf = place->blcf;

    if (bmcf->zone == NULL) {
        ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                      "\"%V\" in %s:%ui needs a blockcast_zone, "
                      "and none is declared",
                      &place->directive, place->file, place->line);
        return NGX_ERROR;
    }

    name = blcf->names->elts;
    n = blcf->names->nelts;

    if (n == 0) {
        all = bmcf->streams.elts;

        for (i = 0; i < bmcf->streams.nelts; i++) {
            blcf->offers[i] = all[i];
        }

        return NGX_OK;
    }

    for (i = 0; i < n; i++) {
        st = ngx_http_blockcast_stream_find(bmcf, &name[i]);

        if (st == NULL) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "\"%V\" in %s:%ui names stream \"%V\", "
                          "which is not declared",
                          &place->directive, place->file, place->line,
                          &name[i]);
            return NGX_ERROR;
        }

        blcf->offers[i] = st;
    }

    return NGX_OK;
}


static ngx_int_t
ngx_http_blockcast_postconfiguration(ngx_conf_t *cf)
{
    size_t                             need;
    ngx_uint_t                         i;
    ngx_http_blockcast_conf_place_t   *places;
    ngx_http_blockcast_stream_t      **streams;
    ngx_http_blockcast_main_conf_t    *bmcf;

    bmcf = ngx_http_conf_get_module_main_conf(cf, ngx_http_blockcast_module);

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
                      "blockcast_state \"%V\" needs a blockcast_zone, "
                      "and none is declared", &bmcf->journal->path);
        return NGX_ERROR;
    }

    if (bmcf->zone != NULL) {

        /* the slab pool's own pages come on top */

        need = ngx_align(sizeof(ngx_http_blockcast_zone_shctx_t), 4096)
               + bmcf->shm_zone->shm.size / 128 + 4 * 4096;

        for (i = 0; i < bmcf->streams.nelts; i++) {
            need += ngx_http_blockcast_zone_slot_size(streams[i]);
        }

        if (need > bmcf->shm_zone->shm.size) {
            ngx_log_error(NGX_LOG_EMERG, cf->log, 0,
                          "blockcast_zone \"%V\" is %uz bytes, "
                          "the %ui streams declared need %uz",
                          &bmcf->shm_zone->shm.name,
                          bmcf->shm_zone->shm.size,
                          bmcf->streams.nelts, need);
            return NGX_ERROR;
        }
    }

    if (ngx_http_blockcast_conf_stream_link(cf, bmcf) != NGX_OK) {
        return NGX_ERROR;
    }

    places = bmcf->places.elts;

    for (i = 0; i < bmcf->places.nelts; i++) {
        if (ngx_http_blockcast_link_place(cf, bmcf, &places[i]) != NGX_OK) {
            return NGX_ERROR;
        }
    }

    if (ngx_http_blockcast_cors_init(cf, bmcf) != NGX_OK) {
        return NGX_ERROR;
    }

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


static ngx_http_blockcast_main_conf_t *
ngx_http_blockcast_configured(ngx_cycle_t *cycle)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    if (cycle->conf_ctx[ngx_http_module.index] == NULL) {

        /* there is no http {} at all */
        return NULL;
    }

    bmcf = ngx_http_cycle_get_module_main_conf(cycle,
                                               ngx_http_blockcast_module);

    return (bmcf != NULL && bmcf->zone != NULL) ? bmcf : NULL;
}


static ngx_int_t
ngx_http_blockcast_init_module(ngx_cycle_t *cycle)
{
    ngx_http_blockcast_main_conf_t  *bmcf;

    bmcf = ngx_http_blockcast_configured(cycle);

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

    ngx_http_blockcast_zone_enter(bmcf->zone);
    ngx_http_blockcast_commands_forget_welcome();

    /* first of all: what is copied is to have neither clients nor threads */

    if (ngx_http_blockcast_jq_queue_init(cycle, bmcf) != NGX_OK
        || ngx_http_blockcast_hub_init(cycle, bmcf) != NGX_OK
        || ngx_http_blockcast_poller_init(cycle, bmcf) != NGX_OK
        || ngx_http_blockcast_worker_notify_open(cycle, bmcf) != NGX_OK)
    {
        return NGX_ERROR;
    }

    return NGX_OK;
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

    ngx_http_blockcast_journal_leave(bmcf);
    ngx_http_blockcast_poller_stop(1);
    ngx_http_blockcast_jq_queue_done();
    ngx_http_blockcast_zone_leave(bmcf->zone);
    ngx_http_blockcast_commands_forget_welcome();
    ngx_http_blockcast_hub_done();
}
