
/*
 * A connection that this gateway opens: TCP, TLS, bytes both ways, a timer.
 */


#ifndef _NGX_HTTP_BLOCKCAST_LINK_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_LINK_H_INCLUDED_


#include "ngx_http_blockcast.h"


typedef struct ngx_http_blockcast_link_s  ngx_http_blockcast_link_t;


/* a connection that is opened again and again; the protocol embeds it */

struct ngx_http_blockcast_link_s {

    /*
     * Set by the protocol before ngx_http_blockcast_link_init().  All handlers
     * are called from the event loop, and each may close the link.
     *
     * ready():    connected, with TLS; the timer is stopped
     * input():    bytes have come; NGX_ERROR: the link was closed
     * timeout():  the timer has expired; before ready(), that of open()
     * shutdown(): nginx exits gracefully, and asks that the link be closed;
     *             NULL: the link stays open until its worker exits
     * lost():     the link is closed already, for that reason
     */
    void                        (*ready)(ngx_http_blockcast_link_t *link);
    ngx_int_t                   (*input)(ngx_http_blockcast_link_t *link,
                                    u_char *data, size_t len);
    void                        (*timeout)(ngx_http_blockcast_link_t *link);
    void                        (*shutdown)(ngx_http_blockcast_link_t *link);
    void                        (*lost)(ngx_http_blockcast_link_t *link,
                                    ngx_str_t *reason);

    void                         *data;         /* of the handlers */
    void                         *ssl;          /* ngx_ssl_t, or NULL */
    ngx_msec_t                    tls_msec;     /* for TLS alone; 0: it is a
                                                   part of open()'s */
    size_t                        share;        /* bytes that are read before
                                                   other events have their
                                                   turn */

    const char                   *closed;       /* what lost() says when the
                                                   other side closes; may be
                                                   changed at any time */

    /* read by the protocol */

    uint64_t                      number;       /* of the connection */
    ngx_peer_connection_t         peer;         /* peer.connection: NULL when
                                                   there is none */

    u_char                       *out;          /* to be sent: from pos to
                                                   last */
    size_t                        pos;
    size_t                        last;
    size_t                        size;

    /* private */

    ngx_str_t                    *host;
    ngx_log_t                     log;
    ngx_event_t                   timer;
    const char                   *broken;       /* why, not yet reported; or
                                                   NULL */
    unsigned                      connected:1;  /* ready() was called */
};


/* what the messages about a link's TLS name */

typedef struct {
    const char                   *directive;
    const char                   *option;       /* that asks for TLS */
    const char                   *peer;         /* who has the certificate */
} ngx_http_blockcast_link_tls_t;


/*
 * Prepares TLS 1.2 and 1.3 for links, whose certificates are always checked.
 * Returns an ngx_ssl_t that lives as long as the configuration and trusts the
 * certificates in the file "ca"; an empty one is set to the system's.  NULL:
 * the reason was logged, or there is no memory.
 */
void *ngx_http_blockcast_link_tls(ngx_conf_t *cf,
    const ngx_http_blockcast_link_tls_t *tls, ngx_str_t *ca);


/* Prepares a link, once; nothing is opened. */
void ngx_http_blockcast_link_init(ngx_http_blockcast_link_t *link);

/*
 * Connects to an address, within msec including TLS, or as tls_msec says.
 * "name" is the address in nginx's log; "host", with a NUL behind it, is the
 * name or the IPv4 address that the certificate must be for, unused without
 * TLS.  Both must live as long as the link.  lost() reports a failure, but
 * never from in here.
 */
void ngx_http_blockcast_link_open(ngx_http_blockcast_link_t *link,
    ngx_addr_t *addr, ngx_str_t *name, ngx_str_t *host, ngx_msec_t msec);

/* Closes, if it is open, and frees its buffer; lost() is not called. */
void ngx_http_blockcast_link_close(ngx_http_blockcast_link_t *link);

/* Closes, and calls lost() with the reason (512 bytes of it). */
void ngx_http_blockcast_link_fail(ngx_http_blockcast_link_t *link,
    const char *fmt, ...);

/*
 * Has the event loop call ngx_http_blockcast_link_fail(), for callers that
 * lost() must not surprise.  "why" is kept; the first reason wins.
 */
void ngx_http_blockcast_link_break(ngx_http_blockcast_link_t *link,
    const char *why);

/* Sets the timer to msec from now, whatever it was set to. */
void ngx_http_blockcast_link_wait(ngx_http_blockcast_link_t *link,
    ngx_msec_t msec);

/* Makes room for len bytes at out + last.  NGX_ERROR: no memory. */
ngx_int_t ngx_http_blockcast_link_room(ngx_http_blockcast_link_t *link,
    size_t len);

/*
 * Sends what is queued, as far as the socket takes it; the rest follows when
 * it is writable.  NGX_ERROR: it failed, and *why has the reason; the link is
 * still open.
 */
ngx_int_t ngx_http_blockcast_link_flush(ngx_http_blockcast_link_t *link,
    const char **why);


#endif /* _NGX_HTTP_BLOCKCAST_LINK_H_INCLUDED_ */
