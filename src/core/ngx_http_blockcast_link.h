
/* An outgoing connection: TCP, TLS, bytes in both directions, a timer. */


#ifndef _NGX_HTTP_BLOCKCAST_LINK_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LINK_H_INCLUDED_


#include "ngx_http_blockcast.h"


typedef struct ngx_http_blockcast_link_s  ngx_http_blockcast_link_t;


/* a connection that can be reopened; the protocol embeds it in its own data */

struct ngx_http_blockcast_link_s {

    /*
     * Set by the protocol before ngx_http_blockcast_link_init().  All handlers
     * are called from the event loop, and each may close the link.
     *
     * ready():    connected, with TLS if any; the timer still runs
     * input():    bytes were received; returns NGX_ERROR: the link was closed
     * timeout():  the timer has expired; before ready(), that of open()
     * shutdown(): nginx exits gracefully, and wants the link to be closed;
     *             NULL: the link stays open until its worker exits
     * lost():     the link has been closed, for that reason
     */
    void                        (*ready)(ngx_http_blockcast_link_t *link);
    ngx_int_t                   (*input)(ngx_http_blockcast_link_t *link,
                                    u_char *data, size_t len);
    void                        (*timeout)(ngx_http_blockcast_link_t *link);
    void                        (*shutdown)(ngx_http_blockcast_link_t *link);
    void                        (*lost)(ngx_http_blockcast_link_t *link,
                                    ngx_str_t *reason);

    void                         *data;         /* for the handlers */
    void                         *ssl;          /* ngx_ssl_t, or NULL */
    ngx_msec_t                    tls_msec;     /* for TLS alone; 0: it is
                                                   included in the time of
                                                   open() */
    size_t                        share;        /* bytes that are read before
                                                   other events are handled */

    const char                   *closed;       /* the reason for lost() when
                                                   the peer closes; may be
                                                   changed at any time */

    /* read by the protocol */

    uint64_t                      number;       /* of the connection; each
                                                   open() adds 1 */
    ngx_peer_connection_t         peer;         /* peer.connection is NULL when
                                                   there is none */

    u_char                       *out;          /* the bytes from pos to last
                                                   are still to be sent */
    size_t                        pos;
    size_t                        last;
    size_t                        size;

    /* private */

    ngx_str_t                    *host;
    ngx_log_t                     log;
    ngx_event_t                   timer;
    const char                   *broken;       /* a reason not yet reported,
                                                   or NULL */
    unsigned                      connected:1;  /* ready() was called */
};


/* for messages about a link's TLS */

typedef struct {
    const char                   *directive;
    const char                   *option;       /* the option that enables
                                                   TLS */
    const char                   *peer;         /* the owner of the
                                                   certificate */
} ngx_http_blockcast_link_tls_t;


/*
 * Prepares TLS 1.2 and 1.3 for links; certificates are always checked.
 * Returns an ngx_ssl_t that lives as long as the configuration and trusts the
 * certificates in the file "ca"; if this is empty, it is set to the system's
 * file.  Returns NULL when the reason was logged, or there is no memory.
 */
void *ngx_http_blockcast_link_tls(ngx_conf_t *cf,
    const ngx_http_blockcast_link_tls_t *tls, ngx_str_t *ca);


/* Initializes a link, once; does not open it. */
void ngx_http_blockcast_link_init(ngx_http_blockcast_link_t *link);

/*
 * Connects to an address, within msec including TLS, or with tls_msec for TLS
 * alone.  "name" is the address in nginx's log; "host", followed by a NUL, is
 * the name or IPv4 address that the certificate must be for, unused without
 * TLS.  Both must live as long as the link.  Failures are reported by lost(),
 * but never during this call.
 */
void ngx_http_blockcast_link_open(ngx_http_blockcast_link_t *link,
    ngx_addr_t *addr, ngx_str_t *name, ngx_str_t *host, ngx_msec_t msec);

/*
 * Closes the link, if it is open, and frees its buffer; lost() is not called.
 */
void ngx_http_blockcast_link_close(ngx_http_blockcast_link_t *link);

/* Closes the link, and calls lost() with the reason (at most 512 bytes). */
void ngx_http_blockcast_link_fail(ngx_http_blockcast_link_t *link,
    const char *fmt, ...);

/*
 * Lets the event loop call ngx_http_blockcast_link_fail(), for callers during
 * which lost() must not be called.  "why" must stay valid; the first reason
 * wins.
 */
void ngx_http_blockcast_link_break(ngx_http_blockcast_link_t *link,
    const char *why);

/* Sets the timer to msec from now; replaces an earlier setting. */
void ngx_http_blockcast_link_wait(ngx_http_blockcast_link_t *link,
    ngx_msec_t msec);

/*
 * Makes room for len bytes at out + last.  Returns NGX_ERROR without memory.
 */
ngx_int_t ngx_http_blockcast_link_room(ngx_http_blockcast_link_t *link,
    size_t len);

/*
 * Sends queued bytes as far as the socket accepts them; the rest is sent when
 * it is writable.  Returns NGX_ERROR with the reason in *why on failure; the
 * link is still open then.
 */
ngx_int_t ngx_http_blockcast_link_flush(ngx_http_blockcast_link_t *link,
    const char **why);


#endif /* _NGX_HTTP_BLOCKCAST_LINK_H_INCLUDED_ */
