
/*
 * A connection to the cluster's engine: TCP, TLS, commands and their replies.
 *
 * A server that is stopped takes connections and bytes and says nothing, so
 * every command has a time within which its reply has to be there.  The lines
 * of nginx itself on such a connection are left out of the log, for the reason
 * is in one of ours.
 */


#include "ngx_http_blockcast_cluster_link.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_cluster_conf.h"
#include "bc_engine.h"

#if (NGX_SSL)
#include <openssl/x509v3.h>
#endif


/* bytes read in one go, and how often before other events have their turn */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_READ   65536
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_TURNS  16

/* until a connection is there, with TLS (msec) */
#define NGX_HTTP_BLOCKCAST_CLUSTER_LINK_OPEN   1000


static void ngx_http_blockcast_cluster_link_connected(ngx_event_t *ev);
#if (NGX_SSL)
static ngx_int_t ngx_http_blockcast_cluster_link_tls(
    ngx_http_blockcast_cluster_link_t *link);
static void ngx_http_blockcast_cluster_link_secured(ngx_connection_t *c);
#endif
static void ngx_http_blockcast_cluster_link_ready(
    ngx_http_blockcast_cluster_link_t *link);
static void ngx_http_blockcast_cluster_link_readable(ngx_event_t *ev);
static void ngx_http_blockcast_cluster_link_writable(ngx_event_t *ev);
static void ngx_http_blockcast_cluster_link_timer(ngx_event_t *ev);
static void ngx_http_blockcast_cluster_link_wait(
    ngx_http_blockcast_cluster_link_t *link, ngx_msec_t msec);
static ngx_int_t ngx_http_blockcast_cluster_link_replies(
    ngx_http_blockcast_cluster_link_t *link);
static void ngx_http_blockcast_cluster_link_flush(
    ngx_http_blockcast_cluster_link_t *link);
static void ngx_http_blockcast_cluster_link_break(
    ngx_http_blockcast_cluster_link_t *link, const char *why);
static void ngx_http_blockcast_cluster_link_fail(
    ngx_http_blockcast_cluster_link_t *link, const char *fmt, ...);


void
ngx_http_blockcast_cluster_link_init(ngx_http_blockcast_cluster_link_t *link)
{
    link->timer.handler = ngx_http_blockcast_cluster_link_timer;
    link->timer.data = link;
    link->timer.log = ngx_cycle->log;
    link->timer.cancelable = 1;
}


void
ngx_http_blockcast_cluster_link_open(ngx_http_blockcast_cluster_link_t *link,
    ngx_http_blockcast_cluster_addr_t *addr)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    link->addr = addr;
    link->connected = 0;
    link->broken = NULL;
    link->pos = 0;
    link->last = 0;
    link->first = 0;
    link->nwaiting = 0;
    link->number++;

    link->log = *ngx_cycle->log;

    if (link->log.log_level <= NGX_LOG_INFO) {
        link->log.log_level = ngx_min(link->log.log_level, NGX_LOG_ALERT);
    }

    ngx_memzero(&link->peer, sizeof(ngx_peer_connection_t));

    link->peer.sockaddr = addr->addr.sockaddr;
    link->peer.socklen = addr->addr.socklen;
    link->peer.name = &addr->peer;
    link->peer.get = ngx_event_get_peer;
    link->peer.log = &link->log;
    link->peer.log_error = NGX_ERROR_ERR;

    if (bc_engine_init(&link->in) != 0) {
        ngx_http_blockcast_cluster_link_break(link, "no memory");
        return;
    }

    rc = ngx_event_connect_peer(&link->peer);

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {

        if (link->peer.connection != NULL) {
            ngx_close_connection(link->peer.connection);
            link->peer.connection = NULL;
        }

        ngx_http_blockcast_cluster_link_break(link, "it cannot be reached");
        return;
    }

    c = link->peer.connection;

    c->data = link;
    c->pool = ngx_create_pool(1024, ngx_cycle->log);
    c->log = &link->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_blockcast_cluster_link_connected;
    c->write->handler = ngx_http_blockcast_cluster_link_connected;

    ngx_http_blockcast_cluster_link_wait(link,
                                         NGX_HTTP_BLOCKCAST_CLUSTER_LINK_OPEN);

    if (c->pool == NULL) {
        ngx_http_blockcast_cluster_link_break(link, "no memory");
        return;
    }

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* The connection is there, or has failed. */

static void
ngx_http_blockcast_cluster_link_connected(ngx_event_t *ev)
{
    int                                 err;
    socklen_t                           len;
    ngx_connection_t                   *c;
    ngx_http_blockcast_cluster_link_t  *link;

    c = ev->data;
    link = c->data;

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err != 0) {
        ngx_http_blockcast_cluster_link_fail(link,
                                             "it cannot be reached (%s)",
                                             strerror(err));
        return;
    }

    if (!ev->write && !c->write->ready) {

        /* nothing can have come before we are connected */
        return;
    }

    c->read->handler = ngx_http_blockcast_cluster_link_readable;
    c->write->handler = ngx_http_blockcast_cluster_link_writable;

    (void) ngx_tcp_nodelay(c);

#if (NGX_SSL)

    if (link->conf->ssl != NULL) {
        if (ngx_http_blockcast_cluster_link_tls(link) != NGX_OK) {
            ngx_http_blockcast_cluster_link_fail(link, "no memory for TLS");
        }

        return;
    }

#endif

    ngx_http_blockcast_cluster_link_ready(link);
}


#if (NGX_SSL)

static ngx_int_t
ngx_http_blockcast_cluster_link_tls(ngx_http_blockcast_cluster_link_t *link)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = link->peer.connection;

    if (ngx_ssl_create_connection(link->conf->ssl, c,
                                  NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

#ifdef SSL_CTRL_SET_TLSEXT_HOSTNAME

    if (ngx_inet_addr(link->addr->host.data, link->addr->host.len)
        == INADDR_NONE
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) link->addr->host.data)
           == 0)
    {
        return NGX_ERROR;
    }

#endif

    rc = ngx_ssl_handshake(c);

    if (rc == NGX_AGAIN) {
        c->ssl->handler = ngx_http_blockcast_cluster_link_secured;
        return NGX_OK;
    }

    ngx_http_blockcast_cluster_link_secured(c);

    return NGX_OK;
}


/* Tells whether the certificate is for the name, or the address, we have. */

static ngx_uint_t
ngx_http_blockcast_cluster_link_named(ngx_connection_t *c, ngx_str_t *host)
{
    int    ok;
    X509  *cert;

    if (ngx_inet_addr(host->data, host->len) == INADDR_NONE) {
        return ngx_ssl_check_host(c, host) == NGX_OK;
    }

    cert = SSL_get_peer_certificate(c->ssl->connection);

    if (cert == NULL) {
        return 0;
    }

    ok = (X509_check_ip_asc(cert, (char *) host->data, 0) == 1);
    X509_free(cert);

    return ok;
}


/* TLS is there, or has failed: the certificate is checked in any case. */

static void
ngx_http_blockcast_cluster_link_secured(ngx_connection_t *c)
{
    long                                rc;
    ngx_http_blockcast_cluster_link_t  *link;

    link = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_blockcast_cluster_link_fail(link, "the TLS handshake failed");
        return;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_http_blockcast_cluster_link_fail(
                                    link, "its certificate is not valid: %s",
                                    X509_verify_cert_error_string(rc));
        return;
    }

    if (!ngx_http_blockcast_cluster_link_named(c, &link->addr->host)) {
        ngx_http_blockcast_cluster_link_fail(
                                    link, "its certificate is not for \"%V\"",
                                    &link->addr->host);
        return;
    }

    c->read->handler = ngx_http_blockcast_cluster_link_readable;
    c->write->handler = ngx_http_blockcast_cluster_link_writable;

    ngx_http_blockcast_cluster_link_ready(link);
}

#endif


static void
ngx_http_blockcast_cluster_link_ready(ngx_http_blockcast_cluster_link_t *link)
{
    uint64_t           number;
    ngx_connection_t  *c;

    c = link->peer.connection;
    number = link->number;

    link->connected = 1;
    ngx_del_timer(&link->timer);

    link->open(link);

    if (link->number == number && link->peer.connection == c
        && c->read->ready)
    {
        /* TLS may have read more than its handshake */

        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_http_blockcast_cluster_link_readable(ngx_event_t *ev)
{
    ssize_t                             n;
    uint64_t                            number;
    ngx_uint_t                          turns;
    ngx_connection_t                   *c;
    ngx_http_blockcast_cluster_link_t  *link;

    static u_char  buf[NGX_HTTP_BLOCKCAST_CLUSTER_LINK_READ];

    c = ev->data;
    link = c->data;
    number = link->number;

    for (turns = 0; ev->ready; turns++) {

        if (turns == NGX_HTTP_BLOCKCAST_CLUSTER_LINK_TURNS) {

            /* the clients have their turn */

            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_http_blockcast_cluster_link_fail(
                                        link, "it closed the connection");
            return;
        }

        if (bc_engine_feed(&link->in, buf, n) != 0) {
            ngx_http_blockcast_cluster_link_fail(
                                        link, "no memory for its reply, or "
                                        "it is larger than a log can be");
            return;
        }

        if (ngx_http_blockcast_cluster_link_replies(link) != NGX_OK
            || link->number != number || link->peer.connection != c)
        {
            return;
        }
    }

    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_http_blockcast_cluster_link_fail(link, "no memory for its events");
    }
}


/* Gives whole replies to who waits for them; NGX_ERROR: the link is closed. */

static ngx_int_t
ngx_http_blockcast_cluster_link_replies(
    ngx_http_blockcast_cluster_link_t *link)
{
    int                 rc;
    uint64_t            number;
    ngx_uint_t          tag;
    ngx_msec_int_t      left;
    const char         *why;
    ngx_connection_t   *c;
    bc_engine_reply_t   reply;

    c = link->peer.connection;
    number = link->number;

    for ( ;; ) {
        rc = bc_engine_next(&link->in, &reply, &why);

        if (rc == 0) {
            return NGX_OK;
        }

        if (rc == -1) {
            ngx_http_blockcast_cluster_link_fail(
                              link, "it does not speak Redis' protocol (%s)",
                              why);
            return NGX_ERROR;
        }

        if (link->nwaiting == 0) {
            bc_engine_reply_free(&reply);
            ngx_http_blockcast_cluster_link_fail(
                              link, "it sent a reply that nobody has asked "
                              "for");
            return NGX_ERROR;
        }

        tag = link->waiting[link->first].tag;

        link->first = (link->first + 1)
                      % NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING;
        link->nwaiting--;

        if (link->nwaiting == 0) {
            ngx_del_timer(&link->timer);

        } else {
            left = (ngx_msec_int_t) (link->waiting[link->first].deadline
                                     - ngx_current_msec);
            ngx_http_blockcast_cluster_link_wait(link, ngx_max(left, 1));
        }

        link->reply(link, tag, &reply);
        bc_engine_reply_free(&reply);

        if (link->number != number || link->peer.connection != c) {
            return NGX_ERROR;
        }
    }
}


/* A reply is late, or the link was broken where that could not be told. */

static void
ngx_http_blockcast_cluster_link_timer(ngx_event_t *ev)
{
    ngx_http_blockcast_cluster_link_t  *link;

    link = ev->data;

    if (link->broken != NULL) {
        ngx_http_blockcast_cluster_link_fail(link, "%s", link->broken);
        return;
    }

    if (!link->connected) {
        ngx_http_blockcast_cluster_link_fail(
                              link, "it is not connected within %d ms",
                              NGX_HTTP_BLOCKCAST_CLUSTER_LINK_OPEN);
        return;
    }

    /* this process may have been stopped: what came meanwhile is read first */

    if (link->peer.connection->read->ready
        && link->waiting[link->first].deadline != 0)
    {
        link->waiting[link->first].deadline = 0;
        ngx_post_event(link->peer.connection->read, &ngx_posted_events);
        ngx_http_blockcast_cluster_link_wait(link, 100);
        return;
    }

    ngx_http_blockcast_cluster_link_fail(link, "it does not answer");
}


/* Sets the timer anew; nginx itself would leave it for less than 300 ms. */

static void
ngx_http_blockcast_cluster_link_wait(ngx_http_blockcast_cluster_link_t *link,
    ngx_msec_t msec)
{
    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    ngx_add_timer(&link->timer, msec);
}


static void
ngx_http_blockcast_cluster_link_writable(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;

    ngx_http_blockcast_cluster_link_flush(c->data);
}


/* Makes room behind what is queued; NGX_ERROR without memory. */

static ngx_int_t
ngx_http_blockcast_cluster_link_room(ngx_http_blockcast_cluster_link_t *link,
    size_t len)
{
    u_char  *out;
    size_t   queued, size;

    queued = link->last - link->pos;

    if (link->size - link->last >= len) {
        return NGX_OK;
    }

    if (link->size - queued < len) {

        size = ngx_max(2 * (queued + len), 4096);

        out = ngx_alloc(size, ngx_cycle->log);
        if (out == NULL) {
            return NGX_ERROR;
        }

        if (link->out != NULL) {
            ngx_memcpy(out, link->out + link->pos, queued);
            ngx_free(link->out);
        }

        link->out = out;
        link->size = size;

    } else {
        ngx_memmove(link->out, link->out + link->pos, queued);
    }

    link->pos = 0;
    link->last = queued;

    return NGX_OK;
}


void
ngx_http_blockcast_cluster_link_send(ngx_http_blockcast_cluster_link_t *link,
    ngx_uint_t tag, ngx_msec_t msec, ngx_uint_t argc, const bc_span_t *argv)
{
    char                                  *command;
    size_t                                 len;
    ngx_http_blockcast_cluster_command_t  *waiting;

    if (link->peer.connection == NULL || link->broken != NULL) {
        return;
    }

    if (link->nwaiting == NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING) {
        ngx_http_blockcast_cluster_link_break(link, "it does not answer");
        return;
    }

    len = 0;
    command = bc_engine_command(&len, (int) argc, argv);

    if (command == NULL
        || ngx_http_blockcast_cluster_link_room(link, len) != NGX_OK)
    {
        if (command != NULL) {
            bc_engine_command_free(command);
        }

        ngx_http_blockcast_cluster_link_break(link, "no memory");
        return;
    }

    ngx_memcpy(link->out + link->last, command, len);
    link->last += len;

    bc_engine_command_free(command);

    waiting = &link->waiting[(link->first + link->nwaiting)
                             % NGX_HTTP_BLOCKCAST_CLUSTER_LINK_WAITING];
    waiting->tag = tag;
    waiting->deadline = ngx_current_msec + msec;

    /* 0 is that of one whose time has passed */

    waiting->deadline += (waiting->deadline == 0);

    if (link->nwaiting++ == 0) {
        ngx_http_blockcast_cluster_link_wait(link, msec);
    }

    ngx_http_blockcast_cluster_link_flush(link);
}


static void
ngx_http_blockcast_cluster_link_flush(ngx_http_blockcast_cluster_link_t *link)
{
    ssize_t            n;
    ngx_connection_t  *c;

    c = link->peer.connection;

    while (link->pos != link->last) {
        n = c->send(c, link->out + link->pos, link->last - link->pos);

        if (n > 0) {
            link->pos += n;
            continue;
        }

        if (n == NGX_AGAIN || n == 0) {
            break;
        }

        ngx_http_blockcast_cluster_link_break(link, "writing to it failed");
        return;
    }

    if (link->pos == link->last && link->size > 1024 * 1024) {

        /* an image has left */

        ngx_free(link->out);
        link->out = NULL;
        link->size = 0;
        link->pos = 0;
        link->last = 0;
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        ngx_http_blockcast_cluster_link_break(link,
                                              "no memory for its events");
    }
}


/* Makes the timer tell of a failure, for the caller may be anybody. */

static void
ngx_http_blockcast_cluster_link_break(ngx_http_blockcast_cluster_link_t *link,
    const char *why)
{
    if (link->broken == NULL) {
        link->broken = why;
        ngx_http_blockcast_cluster_link_wait(link, 1);
    }
}


static void
ngx_http_blockcast_cluster_link_fail(ngx_http_blockcast_cluster_link_t *link,
    const char *fmt, ...)
{
    va_list    args;
    ngx_str_t  reason;
    u_char     text[256];

    va_start(args, fmt);
    reason.data = text;
    reason.len = ngx_vslprintf(text, text + sizeof(text), fmt, args) - text;
    va_end(args);

    ngx_http_blockcast_cluster_link_close(link);

    link->lost(link, &reason);
}


void
ngx_http_blockcast_cluster_link_close(ngx_http_blockcast_cluster_link_t *link)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    c = link->peer.connection;

    link->peer.connection = NULL;
    link->connected = 0;
    link->nwaiting = 0;
    link->broken = NULL;

    if (c != NULL) {

#if (NGX_SSL)

        if (c->ssl != NULL) {

            /* nothing is waited for */

            c->ssl->no_wait_shutdown = 1;
            c->ssl->no_send_shutdown = 1;

            (void) ngx_ssl_shutdown(c);
        }

#endif

        pool = c->pool;

        ngx_close_connection(c);

        if (pool != NULL) {
            ngx_destroy_pool(pool);
        }
    }

    bc_engine_free(&link->in);

    if (link->out != NULL) {
        ngx_free(link->out);
        link->out = NULL;
    }

    link->size = 0;
    link->pos = 0;
    link->last = 0;
}
