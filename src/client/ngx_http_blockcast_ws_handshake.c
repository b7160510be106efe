
/*
 * The server's side of the opening handshake (RFC 6455, section 4.2).  Each
 * refusal explains itself in a sentence for humans.
 */


#include <ngx_sha1.h>

#include "ngx_http_blockcast_ws_handshake.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_header.h"
#include "ngx_http_blockcast_access.h"
#include "ngx_http_blockcast_respond.h"
#include "ngx_http_blockcast_subprotocol.h"
#include "bc_ws_deflate.h"
#include "bc_http.h"


#define NGX_HTTP_BLOCKCAST_GUID  "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


/* the request headers that matter to a handshake */

typedef struct {
    ngx_uint_t   keys;
    ngx_uint_t   versions;
    ngx_str_t    key;
    ngx_str_t    version;
    ngx_str_t    extensions;            /* all lines, joined */
    ngx_str_t    protocols;
    size_t       extensions_room;       /* bytes allocated by join */
    size_t       protocols_room;
    unsigned     upgrade:1;             /* has an Upgrade header */
    unsigned     websocket:1;           /* has Upgrade: websocket */
    unsigned     connection:1;          /* has Connection: upgrade */
} ngx_http_blockcast_ws_handshake_upgrade_t;


/*
 * Appends a line of a header that is a list: several lines mean the same as
 * one (RFC 9110, section 5.3).  Returns NGX_ERROR without memory.
 */

static ngx_int_t
ngx_http_blockcast_ws_handshake_join(ngx_http_request_t *r, ngx_str_t *list,
    size_t *room, ngx_str_t *value)
{
    u_char  *p;

    if (list->len == 0) {
        *list = *value;
        *room = 0;
        return NGX_OK;
    }

    /* double the room, so that the time grows linearly with the length */

    if (*room < list->len + 2 + value->len) {
        *room = 2 * (list->len + 2 + value->len);

        p = ngx_pnalloc(r->pool, *room);
        if (p == NULL) {
            return NGX_ERROR;
        }

        ngx_memcpy(p, list->data, list->len);
        list->data = p;
    }

    p = ngx_cpymem(list->data + list->len, ", ", 2);
    p = ngx_cpymem(p, value->data, value->len);

    list->len = p - list->data;

    return NGX_OK;
}


/* Collects the headers of the handshake.  Returns NGX_ERROR without memory. */

static ngx_int_t
ngx_http_blockcast_ws_handshake_headers(ngx_http_request_t *r,
    ngx_http_blockcast_ws_handshake_upgrade_t *u)
{
    ngx_str_t                         *value;
    ngx_table_elt_t                   *header;
    ngx_http_blockcast_header_walk_t   walk;

    ngx_memzero(u, sizeof(ngx_http_blockcast_ws_handshake_upgrade_t));

    ngx_http_blockcast_header_walk(&walk, &r->headers_in.headers);

    for ( ;; ) {
        header = ngx_http_blockcast_header_next(&walk, NULL);

        if (header == NULL) {
            return NGX_OK;
        }

        value = &header->value;

#define ngx_http_blockcast_ws_handshake_is(h, s)                              \
        ((h)->key.len == sizeof(s) - 1                                        \
         && ngx_memcmp((h)->lowcase_key, s, sizeof(s) - 1) == 0)

        if (ngx_http_blockcast_ws_handshake_is(header, "upgrade")) {
            u->upgrade = 1;

            if (bc_http_has_token(value->data, value->len, "websocket")) {
                u->websocket = 1;
            }

        } else if (ngx_http_blockcast_ws_handshake_is(header,
                                                      "connection")) {

            if (bc_http_has_token(value->data, value->len, "upgrade")) {
                u->connection = 1;
            }

        } else if (ngx_http_blockcast_ws_handshake_is(header,
                                                      "sec-websocket-key")) {
            u->key = *value;
            u->keys++;

        } else if (ngx_http_blockcast_ws_handshake_is(header,
                                                      "sec-websocket-version"))
        {
            u->version = *value;
            u->versions++;

        } else if (ngx_http_blockcast_ws_handshake_is(
                                        header,
                                        "sec-websocket-extensions"))
        {
            if (ngx_http_blockcast_ws_handshake_join(r, &u->extensions,
                                                     &u->extensions_room,
                                                     value)
                != NGX_OK)
            {
                return NGX_ERROR;
            }

        } else if (ngx_http_blockcast_ws_handshake_is(
                                        header, "sec-websocket-protocol"))
        {
            if (ngx_http_blockcast_ws_handshake_join(r, &u->protocols,
                                                     &u->protocols_room, value)
                != NGX_OK)
            {
                return NGX_ERROR;
            }
        }
    }
}


/*
 * Adds Sec-WebSocket-Accept (RFC 6455, section 4.2.2, step 5.4).  Returns
 * NGX_ERROR without memory.
 */

static ngx_int_t
ngx_http_blockcast_ws_handshake_accept_key(ngx_http_request_t *r,
    ngx_str_t *key)
{
    u_char      digest[20];
    ngx_str_t   src, dst;
    ngx_sha1_t  sha1;

    ngx_sha1_init(&sha1);
    ngx_sha1_update(&sha1, key->data, key->len);
    ngx_sha1_update(&sha1, NGX_HTTP_BLOCKCAST_GUID,
                    sizeof(NGX_HTTP_BLOCKCAST_GUID) - 1);
    ngx_sha1_final(digest, &sha1);

    src.data = digest;
    src.len = sizeof(digest);

    dst.data = ngx_pnalloc(r->pool, ngx_base64_encoded_length(src.len));
    if (dst.data == NULL) {
        return NGX_ERROR;
    }

    ngx_encode_base64(&dst, &src);

    return ngx_http_blockcast_respond_header(r, "Sec-WebSocket-Accept",
                                             (char *) dst.data, dst.len);
}


/*
 * Returns true for Safari 15.0 to 15.3 and other browsers with the WebKit of
 * that time: they offer permessage-deflate, but lose the connection when it is
 * used.
 */

static ngx_uint_t
ngx_http_blockcast_ws_handshake_broken_deflate(ngx_http_request_t *r)
{
    u_char     *p, *last;
    ngx_str_t  *agent;

    agent = ngx_http_blockcast_header_value(r, "User-Agent");

    if (agent == NULL) {
        return 0;
    }

    last = agent->data + agent->len;

    p = ngx_strlcasestrn(agent->data, last, (u_char *) "Version/15.",
                         sizeof("Version/15.") - 2);

    if (p == NULL) {
        return 0;
    }

    p += sizeof("Version/15.") - 1;

    return last - p >= 1 && *p >= '0' && *p <= '3'
           && (last - p == 1 || p[1] < '0' || p[1] > '9')
           && ngx_strlcasestrn(p, last, (u_char *) "Safari/",
                               sizeof("Safari/") - 2)
              != NULL;
}


/*
 * Chooses the protocol: one that the client offers, or else that of the
 * location.  Sets hello->protocol and adds the header.  Returns NGX_ERROR
 * without memory.
 */

static ngx_int_t
ngx_http_blockcast_ws_handshake_choose_protocol(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf,
    ngx_http_blockcast_ws_handshake_upgrade_t *u,
    ngx_http_blockcast_ws_handshake_result_t *hello)
{
    ngx_uint_t   rpc;
    const char  *protocol;

    hello->protocol = blcf->protocol;
    rpc = (blcf->kind != NULL && blcf->kind->rpc);
    protocol = NULL;

    if (!blcf->echo && u->protocols.len != 0) {

        /*
         * Answer without a subprotocol if none of the client's is known: a
         * client that needs one closes by itself (RFC 6455, section 4.1).
         */

        protocol = ngx_http_blockcast_subprotocol_choose(u->protocols.data,
                                                         u->protocols.len,
                                                         &hello->protocol);

        if (rpc && hello->protocol != ngx_http_blockcast_jsonrpc) {
            protocol = NULL;
        }
    }

    if (rpc) {
        hello->protocol = ngx_http_blockcast_rpc;
    }

    return (protocol == NULL)
           ? NGX_OK
           : ngx_http_blockcast_respond_header(r, "Sec-WebSocket-Protocol",
                                               protocol, ngx_strlen(protocol));
}


/*
 * Agrees on permessage-deflate if the client offers parameters that we
 * support.  Sets hello->pmd and adds the header.  Returns NGX_ERROR without
 * memory.
 */

static ngx_int_t
ngx_http_blockcast_ws_handshake_choose_deflate(ngx_http_request_t *r,
    ngx_http_blockcast_loc_conf_t *blcf,
    ngx_http_blockcast_ws_handshake_upgrade_t *u,
    ngx_http_blockcast_ws_handshake_result_t *hello)
{
    char  *response;

    if (!blcf->deflate || u->extensions.len == 0
        || ngx_http_blockcast_ws_handshake_broken_deflate(r))
    {
        return NGX_OK;
    }

    response = ngx_pnalloc(r->pool, BC_WS_DEFLATE_RESPONSE_LEN);
    if (response == NULL) {
        return NGX_ERROR;
    }

    if (!bc_ws_deflate_negotiate(u->extensions.data, u->extensions.len,
                                 &hello->pmd, response,
                                 BC_WS_DEFLATE_RESPONSE_LEN))
    {
        hello->pmd.server_bits = 0;
        return NGX_OK;
    }

    return ngx_http_blockcast_respond_header(r, "Sec-WebSocket-Extensions",
                                             response, ngx_strlen(response));
}


ngx_int_t
ngx_http_blockcast_ws_handshake(ngx_http_request_t *r,
    ngx_http_blockcast_ws_handshake_result_t *hello)
{
    ngx_int_t                                  rc;
    ngx_http_blockcast_ws_handshake_upgrade_t  u;
    ngx_http_blockcast_refusal_t               refusal;
    ngx_http_blockcast_loc_conf_t             *blcf;

    ngx_memzero(hello, sizeof(ngx_http_blockcast_ws_handshake_result_t));

    if (r->method != NGX_HTTP_GET && r->method != NGX_HTTP_HEAD) {
        return ngx_http_blockcast_respond_refuse(r, NGX_HTTP_NOT_ALLOWED,
                              "This is a WebSocket address, it takes only "
                              "GET with \"Upgrade: websocket\".");
    }

    if (ngx_http_blockcast_ws_handshake_headers(r, &u) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* refuse a subrequest: it has no client that could upgrade */

    if (!u.websocket || r != r->main || r->post_action) {
        return ngx_http_blockcast_respond_refuse(r, 426,
                              "This is a WebSocket address: connect with a "
                              "WebSocket client.");
    }

    if (r->method != NGX_HTTP_GET) {
        return ngx_http_blockcast_respond_refuse(r, NGX_HTTP_BAD_REQUEST,
                              "A WebSocket handshake is a GET request.");
    }

    if (r->http_version != NGX_HTTP_VERSION_11) {
        return ngx_http_blockcast_respond_refuse(r, NGX_HTTP_BAD_REQUEST,
                              "A WebSocket handshake is an HTTP/1.1 request.");
    }

    if (!u.connection) {
        return ngx_http_blockcast_respond_refuse(r, NGX_HTTP_BAD_REQUEST,
                              "The header \"Connection: Upgrade\" is missing, "
                              "a proxy in between may have removed it.");
    }

    if (r->headers_in.content_length_n > 0 || r->headers_in.chunked) {
        return ngx_http_blockcast_respond_refuse(r, NGX_HTTP_BAD_REQUEST,
                              "A WebSocket handshake has no body.");
    }

    if (u.versions != 1
        || u.version.len != 2
        || ngx_strncmp(u.version.data, "13", 2) != 0)
    {
        return ngx_http_blockcast_respond_refuse(r, 426,
                              "Only version 13 of the WebSocket protocol is "
                              "spoken here (Sec-WebSocket-Version).");
    }

    if (u.keys != 1 || !bc_http_ws_key_valid(u.key.data, u.key.len)) {
        return ngx_http_blockcast_respond_refuse(r, NGX_HTTP_BAD_REQUEST,
                              u.keys == 0
                              ? "The header Sec-WebSocket-Key is missing."
                              : u.keys > 1
                              ? "There is more than one Sec-WebSocket-Key."
                              : "Sec-WebSocket-Key is not the base64 of 16 "
                                "bytes.");
    }

    if (r->err_status != 0
        && r->err_status != NGX_HTTP_SWITCHING_PROTOCOLS)
    {
        return ngx_http_blockcast_respond_refuse(
                                r, NGX_HTTP_INTERNAL_SERVER_ERROR,
                                "This WebSocket address is an error page that "
                                "keeps the status of the error (error_page "
                                "without \"=\").");
    }

    if (ngx_http_blockcast_access_connect(r, &refusal) != NGX_OK) {
        return ngx_http_blockcast_respond_refusal(r, &refusal);
    }

    rc = ngx_http_blockcast_access_streams(r, &hello->allowed, &refusal);

    if (rc == NGX_DECLINED) {
        return ngx_http_blockcast_respond_refusal(r, &refusal);
    }

    if (rc == NGX_ERROR) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    if (ngx_http_blockcast_ws_handshake_choose_protocol(r, blcf, &u, hello)
        != NGX_OK
        || ngx_http_blockcast_ws_handshake_choose_deflate(r, blcf, &u, hello)
           != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    if (ngx_http_blockcast_respond_header(r, "Upgrade", "websocket",
                                          sizeof("websocket") - 1)
        != NGX_OK
        || ngx_http_blockcast_ws_handshake_accept_key(r, &u.key) != NGX_OK)
    {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    r->keepalive = 0;
    r->headers_out.status = NGX_HTTP_SWITCHING_PROTOCOLS;
    ngx_str_set(&r->headers_out.status_line, "101 Switching Protocols");
    ngx_http_clear_content_length(r);
    r->headers_out.content_type.len = 0;

    hello->agreed = 1;

    return NGX_OK;
}
