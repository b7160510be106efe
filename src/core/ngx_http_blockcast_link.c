
/*
 * An outgoing connection: TCP, TLS, bytes in both directions, a timer.
 *
 * The bytes are interpreted by the protocol: WebSocket in
 * poll/ngx_http_blockcast_head_link.c, that of Redis in
 * cluster/ngx_http_blockcast_cluster_link.c.  nginx's own log messages about
 * such a connection are suppressed, because ours contain the reason.
 */


#include "ngx_http_blockcast_link.h"
#include "ngx_http_blockcast.h"

#if (NGX_SSL)
#include <openssl/x509v3.h>
#endif


/* bytes per read */
#define NGX_HTTP_BLOCKCAST_LINK_READ    65536

/* an empty output buffer larger than this is freed (bytes) */
#define NGX_HTTP_BLOCKCAST_LINK_KEEP    (1024 * 1024)

/* the trusted certificates unless ca= is given */
#define NGX_HTTP_BLOCKCAST_LINK_CA      "/etc/ssl/certs/ca-certificates.crt"

/* the most certificates between the peer's and that of a CA */
#define NGX_HTTP_BLOCKCAST_LINK_DEPTH   5


static void ngx_http_blockcast_link_connected(ngx_event_t *ev);
#if (NGX_SSL)
static ngx_int_t ngx_http_blockcast_link_handshake(
    ngx_http_blockcast_link_t *link);
static void ngx_http_blockcast_link_secured(ngx_connection_t *c);
#endif
static void ngx_http_blockcast_link_ready(ngx_http_blockcast_link_t *link);
static void ngx_http_blockcast_link_readable(ngx_event_t *ev);
static void ngx_http_blockcast_link_writable(ngx_event_t *ev);
static void ngx_http_blockcast_link_timer(ngx_event_t *ev);


#if (NGX_SSL)

static void
ngx_http_blockcast_link_cleanup(void *data)
{
    ngx_ssl_cleanup_ctx(data);
}

#endif


void *
ngx_http_blockcast_link_tls(ngx_conf_t *cf,
    const ngx_http_blockcast_link_tls_t *tls, ngx_str_t *ca)
{
#if (NGX_SSL)

    ngx_ssl_t           *ssl;
    ngx_pool_cleanup_t  *cln;

    if (ca->len == 0) {
        ngx_str_set(ca, NGX_HTTP_BLOCKCAST_LINK_CA);

        if (access(NGX_HTTP_BLOCKCAST_LINK_CA, R_OK) == -1) {
            ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                               "%s needs ca=FILE, the certificates to check "
                               "the %s against: there is no %V",
                               tls->directive, tls->peer, ca);
            return NULL;
        }
    }

    ssl = ngx_pcalloc(cf->pool, sizeof(ngx_ssl_t));
    cln = ngx_pool_cleanup_add(cf->pool, 0);

    if (ssl == NULL || cln == NULL) {
        return NULL;
    }

    ssl->log = cf->log;

    if (ngx_ssl_create(ssl, NGX_SSL_TLSv1_2
#ifdef NGX_SSL_TLSv1_3
                       |NGX_SSL_TLSv1_3
#endif
                       , NULL)
        != NGX_OK)
    {
        return NULL;
    }

    cln->handler = ngx_http_blockcast_link_cleanup;
    cln->data = ssl;

    if (ngx_ssl_trusted_certificate(cf, ssl, ca, NGX_HTTP_BLOCKCAST_LINK_DEPTH)
        != NGX_OK)
    {
        return NULL;
    }

    return ssl;

#else

    ngx_conf_log_error(NGX_LOG_EMERG, cf, 0,
                       "%s of %s needs an nginx that is built with TLS "
                       "(--with-http_ssl_module)", tls->option,
                       tls->directive);
    return NULL;

#endif
}


void
ngx_http_blockcast_link_init(ngx_http_blockcast_link_t *link)
{
    link->timer.handler = ngx_http_blockcast_link_timer;
    link->timer.data = link;
    link->timer.log = ngx_cycle->log;
    link->timer.cancelable = 1;
}


void
ngx_http_blockcast_link_open(ngx_http_blockcast_link_t *link,
    ngx_addr_t *addr, ngx_str_t *name, ngx_str_t *host, ngx_msec_t msec)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    link->host = host;
    link->number++;

    link->log = *ngx_cycle->log;

    if (link->log.log_level <= NGX_LOG_INFO) {
        link->log.log_level = ngx_min(link->log.log_level, NGX_LOG_ALERT);
    }

    ngx_memzero(&link->peer, sizeof(ngx_peer_connection_t));

    link->peer.sockaddr = addr->sockaddr;
    link->peer.socklen = addr->socklen;
    link->peer.name = name;
    link->peer.get = ngx_event_get_peer;
    link->peer.log = &link->log;
    link->peer.log_error = NGX_ERROR_ERR;

    rc = ngx_event_connect_peer(&link->peer);

    c = link->peer.connection;

    if (rc == NGX_ERROR || rc == NGX_BUSY || rc == NGX_DECLINED) {

        if (c != NULL) {
            ngx_close_connection(c);
            link->peer.connection = NULL;
        }

        ngx_http_blockcast_link_break(link, "it cannot be reached");
        return;
    }

    c->pool = ngx_create_pool(1024, ngx_cycle->log);

    if (c->pool == NULL) {
        ngx_close_connection(c);
        link->peer.connection = NULL;
        ngx_http_blockcast_link_break(link, "no memory");
        return;
    }

    c->data = link;
    c->idle = (link->shutdown != NULL);
    c->log = &link->log;
    c->read->log = c->log;
    c->write->log = c->log;
    c->read->handler = ngx_http_blockcast_link_connected;
    c->write->handler = ngx_http_blockcast_link_connected;

    ngx_http_blockcast_link_wait(link, msec);

    if (rc == NGX_OK) {
        ngx_post_event(c->write, &ngx_posted_events);
    }
}


/* Handles the first event: the connection is established or has failed. */

static void
ngx_http_blockcast_link_connected(ngx_event_t *ev)
{
    int                         err;
    socklen_t                   len;
    ngx_connection_t           *c;
    ngx_http_blockcast_link_t  *link;

    c = ev->data;
    link = c->data;

    if (c->close) {
        link->shutdown(link);
        return;
    }

    err = 0;
    len = sizeof(int);

    if (getsockopt(c->fd, SOL_SOCKET, SO_ERROR, (void *) &err, &len) == -1) {
        err = ngx_socket_errno;
    }

    if (err != 0) {
        ngx_http_blockcast_link_fail(link, "it cannot be reached (%s)",
                                     strerror(err));
        return;
    }

    if (!ev->write && !c->write->ready) {

        /* nothing can be received before the connection is established */
        return;
    }

    c->read->handler = ngx_http_blockcast_link_readable;
    c->write->handler = ngx_http_blockcast_link_writable;

    (void) ngx_tcp_nodelay(c);

#if (NGX_SSL)

    if (link->ssl != NULL) {

        if (link->tls_msec != 0) {
            ngx_http_blockcast_link_wait(link, link->tls_msec);
        }

        if (ngx_http_blockcast_link_handshake(link) != NGX_OK) {
            ngx_http_blockcast_link_fail(link, "no memory for TLS");
        }

        return;
    }

#endif

    ngx_http_blockcast_link_ready(link);
}


#if (NGX_SSL)

/*
 * Starts the TLS handshake; its end calls ngx_http_blockcast_link_secured().
 */

static ngx_int_t
ngx_http_blockcast_link_handshake(ngx_http_blockcast_link_t *link)
{
    ngx_connection_t  *c;

    c = link->peer.connection;

    if (ngx_ssl_create_connection(link->ssl, c, NGX_SSL_BUFFER|NGX_SSL_CLIENT)
        != NGX_OK)
    {
        return NGX_ERROR;
    }

#ifdef SSL_CTRL_SET_TLSEXT_HOSTNAME

    /* SNI is for names, not addresses (RFC 6066, 3) */

    if (ngx_inet_addr(link->host->data, link->host->len) == INADDR_NONE
        && SSL_set_tlsext_host_name(c->ssl->connection,
                                    (char *) link->host->data)
           == 0)
    {
        return NGX_ERROR;
    }

#endif

    if (ngx_ssl_handshake(c) == NGX_AGAIN) {
        c->ssl->handler = ngx_http_blockcast_link_secured;
        return NGX_OK;
    }

    ngx_http_blockcast_link_secured(c);

    return NGX_OK;
}


/*
 * Tells whether the certificate is for this host (a name or an IPv4 address).
 */

static ngx_uint_t
ngx_http_blockcast_link_named(ngx_connection_t *c, ngx_str_t *host)
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


/* Handles the end of the TLS handshake; the certificate is always checked. */

static void
ngx_http_blockcast_link_secured(ngx_connection_t *c)
{
    long                        rc;
    ngx_http_blockcast_link_t  *link;

    link = c->data;

    if (!c->ssl->handshaked) {
        ngx_http_blockcast_link_fail(link, "the TLS handshake failed");
        return;
    }

    rc = SSL_get_verify_result(c->ssl->connection);

    if (rc != X509_V_OK) {
        ngx_http_blockcast_link_fail(link, "its certificate is not valid: %s",
                                     X509_verify_cert_error_string(rc));
        return;
    }

    if (!ngx_http_blockcast_link_named(c, link->host)) {
        ngx_http_blockcast_link_fail(link, "its certificate is not for \"%V\"",
                                     link->host);
        return;
    }

    c->read->handler = ngx_http_blockcast_link_readable;
    c->write->handler = ngx_http_blockcast_link_writable;

    ngx_http_blockcast_link_ready(link);
}

#endif


static void
ngx_http_blockcast_link_ready(ngx_http_blockcast_link_t *link)
{
    uint64_t           number;
    ngx_connection_t  *c;

    c = link->peer.connection;
    number = link->number;

    link->connected = 1;

    link->ready(link);

    if (link->number == number && link->peer.connection == c
        && c->read->ready)
    {
        /* data may have been read together with the end of the handshake */

        ngx_post_event(c->read, &ngx_posted_events);
    }
}


static void
ngx_http_blockcast_link_readable(ngx_event_t *ev)
{
    size_t                      total;
    ssize_t                     n;
    uint64_t                    number;
    ngx_connection_t           *c;
    ngx_http_blockcast_link_t  *link;

    static u_char  buf[NGX_HTTP_BLOCKCAST_LINK_READ];

    c = ev->data;
    link = c->data;
    number = link->number;

    if (c->close) {
        link->shutdown(link);
        return;
    }

    if (link->broken != NULL) {

        /* the timer is about to report it; until then input is ignored */
        return;
    }

    for (total = 0; ev->ready; total += n) {

        if (total >= link->share) {
            ngx_post_event(ev, &ngx_posted_next_events);
            return;
        }

        n = c->recv(c, buf, sizeof(buf));

        if (n == NGX_AGAIN) {
            break;
        }

        if (n == 0 || n == NGX_ERROR) {
            ngx_http_blockcast_link_fail(link, "%s", link->closed);
            return;
        }

        if (link->input(link, buf, n) != NGX_OK
            || link->number != number || link->peer.connection != c)
        {
            return;
        }
    }

    if (ngx_handle_read_event(ev, 0) != NGX_OK) {
        ngx_http_blockcast_link_fail(link, "no memory for its events");
    }
}


static void
ngx_http_blockcast_link_writable(ngx_event_t *ev)
{
    const char                 *why;
    ngx_connection_t           *c;
    ngx_http_blockcast_link_t  *link;

    c = ev->data;
    link = c->data;

    if (ngx_http_blockcast_link_flush(link, &why) != NGX_OK) {
        ngx_http_blockcast_link_fail(link, "%s", why);
    }
}


static void
ngx_http_blockcast_link_timer(ngx_event_t *ev)
{
    ngx_http_blockcast_link_t  *link;

    link = ev->data;

    if (link->broken != NULL) {
        ngx_http_blockcast_link_fail(link, "%s", link->broken);
        return;
    }

    link->timeout(link);
}


void
ngx_http_blockcast_link_wait(ngx_http_blockcast_link_t *link, ngx_msec_t msec)
{
    /* ngx_add_timer() would ignore a change of less than 300 ms */

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    ngx_add_timer(&link->timer, msec);
}


ngx_int_t
ngx_http_blockcast_link_room(ngx_http_blockcast_link_t *link, size_t len)
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


static void
ngx_http_blockcast_link_free(ngx_http_blockcast_link_t *link)
{
    if (link->out != NULL) {
        ngx_free(link->out);
        link->out = NULL;
    }

    link->size = 0;
    link->pos = 0;
    link->last = 0;
}


ngx_int_t
ngx_http_blockcast_link_flush(ngx_http_blockcast_link_t *link,
    const char **why)
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

        *why = "writing to it failed";
        return NGX_ERROR;
    }

    if (link->pos == link->last && link->size > NGX_HTTP_BLOCKCAST_LINK_KEEP) {
        ngx_http_blockcast_link_free(link);
    }

    if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
        *why = "no memory for its events";
        return NGX_ERROR;
    }

    return NGX_OK;
}


void
ngx_http_blockcast_link_break(ngx_http_blockcast_link_t *link, const char *why)
{
    if (link->broken == NULL) {
        link->broken = why;
        ngx_http_blockcast_link_wait(link, 1);
    }
}


void
ngx_http_blockcast_link_fail(ngx_http_blockcast_link_t *link,
    const char *fmt, ...)
{
    va_list    args;
    ngx_str_t  reason;
    u_char     text[512];

    va_start(args, fmt);
    reason.data = text;
    reason.len = ngx_vslprintf(text, text + sizeof(text), fmt, args) - text;
    va_end(args);

    ngx_http_blockcast_link_close(link);

    link->lost(link, &reason);
}


void
ngx_http_blockcast_link_close(ngx_http_blockcast_link_t *link)
{
    ngx_pool_t        *pool;
    ngx_connection_t  *c;

    if (link->timer.timer_set) {
        ngx_del_timer(&link->timer);
    }

    c = link->peer.connection;

    link->peer.connection = NULL;
    link->connected = 0;
    link->broken = NULL;

    if (c != NULL) {

#if (NGX_SSL)

        if (c->ssl != NULL) {

            /* do not wait for the peer's TLS close, nor send ours */

            c->ssl->no_wait_shutdown = 1;
            c->ssl->no_send_shutdown = 1;

            (void) ngx_ssl_shutdown(c);
        }

#endif

        pool = c->pool;

        ngx_close_connection(c);
        ngx_destroy_pool(pool);
    }

    ngx_http_blockcast_link_free(link);
}
