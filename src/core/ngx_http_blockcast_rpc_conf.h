
/*
 * The JSON-RPC endpoint as configured: subscriptions, methods, limits.
 */


#ifndef _NGX_HTTP_BLOCKCAST_RPC_CONF_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_RPC_CONF_H_INCLUDED_


#include "ngx_http_blockcast.h"


/* the form of a subscription's id */

typedef enum {
    ngx_http_blockcast_rpc_id_hex = 0,      /* "0x1" */
    ngx_http_blockcast_rpc_id_number,       /* 1 */
    ngx_http_blockcast_rpc_id_string,       /* "1" */
    ngx_http_blockcast_rpc_id_request       /* the id of the request itself */
} ngx_http_blockcast_rpc_id_e;


/* a method that subscribes, and the stream it subscribes to */

typedef struct {
    ngx_str_t                     subscribe;    /* the method */
    ngx_str_t                     param;        /* its required first param, or
                                                   len 0 */
    ngx_str_t                     member;       /* in params, if these are an
                                                   object */
    ngx_str_t                     notify;
    ngx_str_t                     unsubscribe;
    ngx_str_t                     result;       /* member of an entry to be
                                                   sent; len 0: all of it */
    ngx_http_blockcast_rpc_id_e   id;
    unsigned                      first:1;      /* send the newest data at
                                                   once */
    unsigned                      logs:1;       /* filter by address, topics */
    unsigned                      keyed:1;      /* a param is the key: */
    ngx_uint_t                    key;          /* its index in an array, from
                                                   0 */
    ngx_str_t                     key_name;     /* its name in an object, or
                                                   len 0 */

    ngx_str_t                     stream_name;
    ngx_http_blockcast_stream_t  *stream;
    u_char                       *file;
    ngx_uint_t                    line;

    /*
     * the text of a notification: before the id, between id and result, and
     * after the result
     */
    ngx_str_t                     head;
    ngx_str_t                     middle;
    ngx_str_t                     tail;

    void                         *bodies;       /* used by a worker, see
                                                   _notify */
} ngx_http_blockcast_rpc_rule_t;


/* how long an answer may be reused */

typedef enum {
    ngx_http_blockcast_rpc_share = 0,       /* only by equal calls in flight */
    ngx_http_blockcast_rpc_off,             /* never */
    ngx_http_blockcast_rpc_head,            /* until the next head */
    ngx_http_blockcast_rpc_forever,
    ngx_http_blockcast_rpc_clear            /* never; and it ends those of
                                               _head */
} ngx_http_blockcast_rpc_policy_e;


typedef struct {
    ngx_str_t                     pattern;
    ngx_str_t                     unless;       /* no reuse if this string is
                                                   in params */
    ngx_http_blockcast_rpc_policy_e  policy;
    ngx_uint_t                    cost;
} ngx_http_blockcast_rpc_method_t;


/* the limits of one client; NGX_CONF_UNSET_* until merged */

typedef struct {
    ngx_uint_t                    rate;         /* cost per second, 0: any */
    ngx_uint_t                    burst;
    size_t                        bytes;        /* of results, per second; 0:
                                                   any */
    ngx_uint_t                    calls;        /* calls in flight */
    ngx_uint_t                    waiting;      /* calls waiting in addition */
    ngx_uint_t                    total;        /* calls in flight, of all
                                                   clients of a worker */
    ngx_uint_t                    node;         /* calls to the node per
                                                   second; 0: any */
    ngx_uint_t                    batch;
    size_t                        answer;       /* bytes of answers to a
                                                   batch */
    ngx_msec_t                    timeout;
} ngx_http_blockcast_rpc_limit_t;


typedef struct {
    ngx_array_t                  *rules;    /* of _rpc_rule_t * */
    ngx_array_t                  *allow;    /* ngx_str_t: patterns */
    ngx_array_t                  *cache;    /* of _rpc_method_t */
    ngx_array_t                  *costs;    /* of _rpc_method_t */
    ngx_http_blockcast_rpc_limit_t  limit;

    ngx_str_t                     node_name;
    ngx_http_blockcast_node_t    *node;
    ngx_str_t                     head_name;
    ngx_http_blockcast_stream_t  *head;
    u_char                       *head_file;
    ngx_uint_t                    head_line;
} ngx_http_blockcast_rpc_conf_t;


#endif /* _NGX_HTTP_BLOCKCAST_RPC_CONF_H_INCLUDED_ */
