
/*
 * Keys that clients ask for: checks whether a client may have a key, and finds
 * its hub.
 */


#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_json_out.h"
#include "ngx_http_blockcast_key.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"
#include "ngx_http_blockcast_key_hub.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_sse.h"
#include "ngx_http_blockcast_ws_send.h"


/*
 * The value of blockcast_allow_keys of a connection.  It is kept in a tree,
 * because few connections have one and ngx_http_blockcast_conn_t has no room
 * for it.
 */

typedef struct {
    ngx_rbtree_node_t          node;        /* its key: the connection */
    ngx_str_t                  list;
} ngx_http_blockcast_key_grant_t;


static ngx_rbtree_t       ngx_http_blockcast_key_grants;
static ngx_rbtree_node_t  ngx_http_blockcast_key_no_grant;

/* why the last key was refused; reject->text points here */
static u_char  ngx_http_blockcast_key_said[NGX_HTTP_BLOCKCAST_KEY_SAID + 1];


static void
ngx_http_blockcast_key_access_say(ngx_http_blockcast_reject_t *reject,
    const char *code, const char *fmt, ...)
{
    va_list  args;

    va_start(args, fmt);
    *ngx_vslprintf(ngx_http_blockcast_key_said,
                   ngx_http_blockcast_key_said + NGX_HTTP_BLOCKCAST_KEY_SAID,
                   fmt, args) = '\0';
    va_end(args);

    reject->code = code;
    reject->text = (char *) ngx_http_blockcast_key_said;
}


ngx_uint_t
ngx_http_blockcast_key_access_count(ngx_http_blockcast_conn_t *conn)
{
    ngx_uint_t  i, n;

    n = 0;

    for (i = 0; i < conn->nsubs; i++) {
        n += (conn->subs[i].hub->key != NULL);
    }

    return n;
}


ngx_http_blockcast_hub_t *
ngx_http_blockcast_key_access(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_key_claim_t *claim,
    ngx_str_t *list, ngx_http_blockcast_reject_t *reject)
{
    u_char                     buf[NGX_HTTP_BLOCKCAST_KEY_LEN];
    u_char                     said[NGX_HTTP_BLOCKCAST_KEY_SAID];
    ngx_int_t                  rc;
    ngx_str_t                  key, sentence;
    const char                *why;
    ngx_uint_t                 i, busy;
    ngx_http_blockcast_hub_t  *hub;

    key.data = buf;
    rc = ngx_http_blockcast_key_form(st, &claim->text, &key, &sentence, said);

    if (rc != NGX_OK) {
        ngx_http_blockcast_key_access_say(reject, (rc == NGX_AGAIN)
                                                  ? "busy" : "bad_key",
                                          "%V", &sentence);
        return NULL;
    }

    if (list != NULL && ngx_http_blockcast_key_listed(st, &key, list)) {
        /* void */

    } else if (st->keys->secret.len != 0) {

        if (ngx_http_blockcast_key_signed(st, &key, claim, &why) != NGX_OK) {
            ngx_http_blockcast_key_access_say(reject, "forbidden_key",
                                              "%s: %V of stream %V", why, &key,
                                              &st->name);
            return NULL;
        }

    } else if (list != NULL) {
        ngx_http_blockcast_key_access_say(reject, "forbidden_key",
                                          "this client may not have %V of "
                                          "stream %V", &key, &st->name);
        return NULL;
    }

    hub = ngx_http_blockcast_key_hub_find(st, &key);

    if (conn != NULL) {

        for (i = 0; hub != NULL && i < conn->nsubs; i++) {
            if (conn->subs[i].hub == hub) {
                return hub;
            }
        }

        if (ngx_http_blockcast_key_access_count(conn)
            >= conn->conf->max_keys)
        {
            ngx_http_blockcast_key_access_say(reject, "too_many_keys",
                                              "this client has %ui keys, as "
                                              "many as it may "
                                              "(blockcast_max_keys)",
                                              conn->conf->max_keys);
            return NULL;
        }
    }

    hub = ngx_http_blockcast_key_hub_get(st, &key, &busy);

    if (hub == NULL) {
        ngx_http_blockcast_key_access_say(reject, busy ? "no_memory"
                                                       : "stream_full",
                                          busy ? "stream %V takes no keys just "
                                                 "now, try again"
                                               : "stream %V has as many keys "
                                                 "as it takes, all are "
                                                 "listened to, try later",
                                          &st->name);
    }

    return hub;
}


static ngx_http_blockcast_key_grant_t *
ngx_http_blockcast_key_access_grant(ngx_http_blockcast_conn_t *conn)
{
    ngx_rbtree_key_t    key;
    ngx_rbtree_node_t  *node;

    node = ngx_http_blockcast_key_grants.root;

    if (node == NULL) {
        return NULL;
    }

    key = (ngx_rbtree_key_t) (uintptr_t) conn;

    while (node != ngx_http_blockcast_key_grants.sentinel) {

        if (key == node->key) {
            return (ngx_http_blockcast_key_grant_t *) node;
        }

        node = (key < node->key) ? node->left : node->right;
    }

    return NULL;
}


ngx_http_blockcast_hub_t *
ngx_http_blockcast_key_access_conn(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_http_blockcast_key_claim_t *claim,
    ngx_http_blockcast_reject_t *reject)
{
    static ngx_str_t                 none = ngx_null_string;
    ngx_http_blockcast_key_grant_t  *grant;

    if (conn->conf->allow_keys == NULL) {
        return ngx_http_blockcast_key_access(conn, st, claim, NULL, reject);
    }

    grant = ngx_http_blockcast_key_access_grant(conn);

    return ngx_http_blockcast_key_access(conn, st, claim,
                                         grant ? &grant->list : &none, reject);
}


ngx_http_blockcast_hub_t *
ngx_http_blockcast_key_access_request(ngx_http_request_t *r,
    ngx_http_blockcast_conn_t *conn, ngx_http_blockcast_stream_t *st,
    ngx_str_t *key, time_t *until, ngx_http_blockcast_reject_t *reject)
{
    ngx_str_t                        list;
    ngx_http_blockcast_hub_t        *hub;
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_http_blockcast_key_claim_t   claim;

    ngx_memzero(&claim, sizeof(ngx_http_blockcast_key_claim_t));
    claim.text = *key;
    *until = 0;

    reject->code = "no_memory";
    reject->text = "no memory, try later";

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    if (ngx_http_blockcast_access_arg(r, "expires", &claim.expires)
        == NGX_ERROR
        || ngx_http_blockcast_access_arg(r, "signature", &claim.signature)
           == NGX_ERROR
        || (blcf->allow_keys != NULL
            && ngx_http_complex_value(r, blcf->allow_keys, &list) != NGX_OK))
    {
        return NULL;
    }

    hub = ngx_http_blockcast_key_access(conn, st, &claim,
                                        (blcf->allow_keys != NULL) ? &list
                                                                   : NULL,
                                        reject);
    *until = claim.until;

    return hub;
}


uint32_t
ngx_http_blockcast_key_access_until(time_t until)
{
    /* a time after the year 2106 does not fit, and becomes 0 (never) */

    return (until > 0 && (uint64_t) until <= 0xffffffff) ? (uint32_t) until
                                                         : 0;
}


/* Ends a client's subscription to a key whose signature has expired. */

static void
ngx_http_blockcast_key_access_expired(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_hub_t *hub)
{
    cJSON                          *root;
    ngx_http_blockcast_frame_t     *frame;
    ngx_http_blockcast_stream_t    *st;
    ngx_http_blockcast_json_out_t   out;

    if (conn->kind == NGX_HTTP_BLOCKCAST_SSE) {
        ngx_http_blockcast_sse_expire(conn);
        return;
    }

    if (conn->kind != NGX_HTTP_BLOCKCAST_WEBSOCKET) {

        /* a long poll ends soon anyway */

        return;
    }

    st = hub->stream;
    root = ngx_http_blockcast_json_out_begin(&out);

    ngx_http_blockcast_json_out_string(&out, root, "type", "unsubscribed");
    ngx_http_blockcast_json_out_string(&out, root, "message",
                                       "the signature of the key has expired");
    ngx_http_blockcast_json_out_string(&out, root, "code", "expired");
    ngx_http_blockcast_json_out_text(&out, root, "stream", st->name.data,
                                     st->name.len);
    ngx_http_blockcast_json_out_text(&out, root, "key", hub->key->text.data,
                                     hub->key->text.len);
    ngx_http_blockcast_json_out_value(&out, root, "timestamp", "%T",
                                      ngx_time());

    frame = ngx_http_blockcast_frame_json(&out);

    if (frame != NULL) {
        frame = ngx_http_blockcast_subprotocol_convert(conn, hub, frame);
    }

    (void) ngx_http_blockcast_commands_unsubscribe(conn, hub);

    if (frame != NULL) {
        ngx_http_blockcast_ws_send_queue(conn, frame);

    } else {
        ngx_http_blockcast_client_close(conn, 1013, "no memory");
    }
}


void
ngx_http_blockcast_key_access_init(void)
{
    ngx_http_blockcast_key_hub_on_expiry(
                                       ngx_http_blockcast_key_access_expired);
}


ngx_http_blockcast_hub_t *
ngx_http_blockcast_key_access_find(ngx_http_blockcast_conn_t *conn,
    ngx_http_blockcast_stream_t *st, ngx_str_t *text,
    ngx_http_blockcast_reject_t *reject)
{
    u_char                     buf[NGX_HTTP_BLOCKCAST_KEY_LEN];
    u_char                     said[NGX_HTTP_BLOCKCAST_KEY_SAID];
    ngx_int_t                  rc;
    ngx_str_t                  key, sentence;
    ngx_uint_t                 i;
    ngx_http_blockcast_hub_t  *hub;

    key.data = buf;

    reject->text = NULL;
    rc = ngx_http_blockcast_key_form(st, text, &key, &sentence, said);

    if (rc == NGX_AGAIN) {
        ngx_http_blockcast_key_access_say(reject, "busy", "%V", &sentence);
    }

    if (rc != NGX_OK) {
        return NULL;
    }

    for (i = 0; i < conn->nsubs; i++) {
        hub = conn->subs[i].hub;

        if (hub->stream == st && hub->key != NULL
            && hub->key->text.len == key.len
            && ngx_memcmp(hub->key->buf, key.data, key.len) == 0)
        {
            return hub;
        }
    }

    return NULL;
}


ngx_int_t
ngx_http_blockcast_key_access_keep(ngx_http_request_t *r,
    ngx_http_blockcast_conn_t *conn)
{
    ngx_str_t                        list;
    ngx_http_blockcast_key_grant_t  *grant;

    if (conn->conf->allow_keys == NULL) {
        return NGX_OK;
    }

    if (ngx_http_complex_value(r, conn->conf->allow_keys, &list) != NGX_OK) {
        return NGX_ERROR;
    }

    grant = ngx_alloc(sizeof(ngx_http_blockcast_key_grant_t) + list.len,
                      r->connection->log);
    if (grant == NULL) {
        return NGX_ERROR;
    }

    if (ngx_http_blockcast_key_grants.root == NULL) {
        ngx_rbtree_init(&ngx_http_blockcast_key_grants,
                        &ngx_http_blockcast_key_no_grant,
                        ngx_rbtree_insert_value);
    }

    grant->list.len = list.len;
    grant->list.data = (u_char *) (grant + 1);
    ngx_memcpy(grant->list.data, list.data, list.len);

    grant->node.key = (ngx_rbtree_key_t) (uintptr_t) conn;
    ngx_rbtree_insert(&ngx_http_blockcast_key_grants, &grant->node);

    return NGX_OK;
}


void
ngx_http_blockcast_key_access_drop(ngx_http_blockcast_conn_t *conn)
{
    ngx_http_blockcast_key_grant_t  *grant;

    grant = ngx_http_blockcast_key_access_grant(conn);

    if (grant != NULL) {
        ngx_rbtree_delete(&ngx_http_blockcast_key_grants, &grant->node);
        ngx_free(grant);
    }
}
