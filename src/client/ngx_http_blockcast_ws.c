
/*
 * WebSocket connections: opening, timers and closing.
 *
 * After the handshake, this module handles the connection's events.  A send
 * never closes a connection: when it fails, it marks the connection as dead
 * and posts its read event, so that the fan-out's lists do not change while
 * they are walked.
 */


#include "ngx_http_blockcast_ws.h"
#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_zone.h"
#include "ngx_http_blockcast_conn.h"
#include "ngx_http_blockcast_fanout.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_client.h"
#include "ngx_http_blockcast_epoch_wait.h"
#include "ngx_http_blockcast_commands.h"
#include "ngx_http_blockcast_conn_pool.h"
#include "ngx_http_blockcast_key_access.h"
#include "ngx_http_blockcast_detach.h"
#include "ngx_http_blockcast_ws_handshake.h"
#include "ngx_http_blockcast_ws_recv.h"
#include "ngx_http_blockcast_ws_send.h"
#include "bc_ws_parser.h"


/* moments for pings in an interval; each time, some clients are pinged */
#define NGX_HTTP_BLOCKCAST_PULSES      128


static void ngx_http_blockcast_ws_cleanup(void *data);
static void ngx_http_blockcast_ws_start(ngx_http_request_t *r);
static void ngx_http_blockcast_ws_open_handler(ngx_event_t *rev);
static ngx_http_blockcast_frame_t *ngx_http_blockcast_ws_response_head(
    ngx_http_request_t *r);
static void ngx_http_blockcast_ws_handle(ngx_event_t *ev,
    ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_ws_detached_handler(ngx_event_t *ev);
static void ngx_http_blockcast_ws_kept_handler(ngx_event_t *ev);
static void ngx_http_blockcast_ws_readable(ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_ws_writable(ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_ws_pulse(ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_ws_timer(ngx_http_blockcast_conn_t *conn,
    ngx_msec_t timer);
static void ngx_http_blockcast_ws_ping(ngx_http_blockcast_conn_t *conn);
static void ngx_http_blockcast_ws_finalize(ngx_http_blockcast_conn_t *conn);
static u_char *ngx_http_blockcast_ws_log(ngx_log_t *log, u_char *buf,
    size_t len);


ngx_int_t
ngx_http_blockcast_ws_handler(ngx_http_request_t *r)
{
    ngx_int_t                                 rc;
    ngx_http_cleanup_t                       *cln;
    ngx_http_blockcast_ws_handshake_result_t  hello;
    ngx_http_blockcast_conn_t                *conn;
    ngx_http_blockcast_loc_conf_t            *blcf;

    rc = ngx_http_blockcast_epoch_wait(r);

    if (rc != NGX_OK) {
        return rc;
    }

    ngx_http_blockcast_hub_notice_epoch();

    rc = ngx_http_blockcast_ws_handshake(r, &hello);

    if (!hello.agreed) {
        return rc;
    }

    blcf = ngx_http_get_module_loc_conf(r, ngx_http_blockcast_module);

    cln = ngx_http_cleanup_add(r, 0);

    if (cln == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    conn = ngx_http_blockcast_conn_pool_alloc(r->connection->log);

    if (conn == NULL) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    /* frees conn if the request ends before the connection is ours */

    cln->handler = ngx_http_blockcast_ws_cleanup;
    cln->data = conn;

    conn->connection = r->connection;
    conn->fd = r->connection->fd;
    conn->direct = !ngx_http_blockcast_tls(r->connection);
    conn->request = r;
    conn->subs = &conn->first;
    conn->nalloc = 1;
    conn->conf = blcf;
    conn->last = &conn->out;
    conn->echo = (blcf->echo == 1);

    if (ngx_http_blockcast_key_access_keep(r, conn) != NGX_OK) {
        return NGX_HTTP_INTERNAL_SERVER_ERROR;
    }

    conn->protocol = hello.protocol;
    conn->allowed = hello.allowed;
    conn->deflate = (hello.pmd.server_bits != 0);
    conn->bits = hello.pmd.server_bits;
    conn->counted = (uint32_t) ngx_current_msec;

    bc_ws_parser_init(&conn->in, blcf->limits,
                      conn->deflate ? &hello.pmd : NULL, 0);

    ngx_http_set_ctx(r, conn, ngx_http_blockcast_module);

    rc = ngx_http_send_header(r);

    if (rc == NGX_ERROR || rc > NGX_OK) {
        return rc;
    }

    /*
     * A response head that nginx still holds in r->out is left there, to be
     * sent in one packet with the first frames.
     */

    if (r->out == NULL || r->buffered || r->connection->buffered) {

        if (ngx_http_send_special(r, NGX_HTTP_FLUSH) == NGX_ERROR) {
            return NGX_ERROR;
        }
    }

    r->main->count++;

    if (r->buffered || r->connection->buffered) {

        /* the response head has not been sent yet */

        r->write_event_handler = ngx_http_blockcast_ws_start;

        if (ngx_handle_write_event(r->connection->write, 0) != NGX_OK) {
            r->main->count--;
            return NGX_ERROR;
        }

        /* with limit_rate the timer is set already */

        if (!r->connection->write->delayed) {
            ngx_add_timer(r->connection->write, blcf->send_timeout);
        }

        return NGX_DONE;
    }

    ngx_http_blockcast_ws_start(r);

    return NGX_DONE;
}


static void
ngx_http_blockcast_ws_cleanup(void *data)
{
    ngx_http_blockcast_conn_t  *conn = data;

    ngx_http_set_ctx(conn->request, NULL, ngx_http_blockcast_module);
    ngx_http_blockcast_key_access_drop(conn);
    ngx_http_blockcast_conn_pool_free(conn);
}


static void
ngx_http_blockcast_ws_start(ngx_http_request_t *r)
{
    ngx_int_t          rc;
    ngx_connection_t  *c;

    c = r->connection;

    if (c->write->timedout) {
        c->timedout = 1;
        ngx_http_finalize_request(r, NGX_HTTP_REQUEST_TIME_OUT);
        return;
    }

    if (r->buffered || c->buffered) {
        rc = ngx_http_output_filter(r, NULL);

        if (rc == NGX_ERROR) {
            ngx_http_finalize_request(r, NGX_ERROR);
            return;
        }

        if (r->buffered || c->buffered) {
            if (ngx_handle_write_event(c->write, 0) != NGX_OK) {
                ngx_http_finalize_request(r, NGX_ERROR);
            }

            return;
        }
    }

    if (!r->header_sent) {

        /* no frame may be sent before the handshake's response */

        ngx_log_error(NGX_LOG_ERR, c->log, 0,
                      "another module's filter holds the handshake back");

        ngx_http_finalize_request(r, NGX_ERROR);
        return;
    }

    c->write->delayed = 0;

    if (c->write->timer_set) {
        ngx_del_timer(c->write);
    }

    if (c->read->timer_set) {
        ngx_del_timer(c->read);
    }

    /* the rest runs from the event loop: the request is still being handled */

    c->read->handler = ngx_http_blockcast_ws_open_handler;
    c->write->handler = ngx_http_empty_handler;

    ngx_post_event(c->read, &ngx_posted_events);
}


static void
ngx_http_blockcast_ws_open_handler(ngx_event_t *rev)
{
    size_t                           early;
    u_char                          *input;
    ngx_connection_t                *c;
    ngx_http_cleanup_t              *cln;
    ngx_http_request_t              *r;
    ngx_http_blockcast_conn_t       *conn;
    ngx_http_blockcast_frame_t      *head;
    ngx_http_blockcast_detached_t   *detached;
    ngx_http_blockcast_loc_conf_t   *blcf;
    ngx_http_blockcast_main_conf_t  *bmcf;

    c = rev->data;
    r = c->data;
    conn = ngx_http_get_module_ctx(r, ngx_http_blockcast_module);
    blcf = conn->conf;

    /* save frames that arrived together with the handshake */

    early = r->header_in->last - r->header_in->pos;
    input = NULL;

    if (early != 0) {
        input = ngx_alloc(early, c->log);

        if (input == NULL) {
            ngx_http_finalize_request(r, NGX_ERROR);
            ngx_http_run_posted_requests(c);
            return;
        }

        ngx_memcpy(input, r->header_in->pos, early);
        r->header_in->pos = r->header_in->last;
    }

    head = NULL;

    if (r->out != NULL) {
        head = ngx_http_blockcast_ws_response_head(r);

        if (head == NULL) {
            if (input != NULL) {
                ngx_free(input);
            }

            ngx_http_finalize_request(r, NGX_ERROR);
            ngx_http_run_posted_requests(c);
            return;
        }
    }

    for (cln = r->cleanup; cln != NULL; cln = cln->next) {
        if (cln->handler == ngx_http_blockcast_ws_cleanup) {
            cln->handler = NULL;
        }
    }

    bmcf = ngx_http_get_module_main_conf(r, ngx_http_blockcast_module);

    if (bmcf->log_at_start && !r->logged) {
        ngx_http_blockcast_detach_log(r);
    }

    detached = ngx_http_blockcast_detach(r, ngx_http_blockcast_ws_log);

    if (detached != NULL) {
        conn->detached = detached;
        conn->is_detached = 1;
        c->data = conn;
        rev->handler = ngx_http_blockcast_ws_detached_handler;
        c->write->handler = ngx_http_blockcast_ws_detached_handler;

    } else {
        rev->handler = ngx_http_blockcast_ws_kept_handler;
        c->write->handler = ngx_http_blockcast_ws_kept_handler;
    }

    c->log->action = "serving WebSocket";
    c->idle = 1;

    /* bound the kernel's buffer, and send small frames at once */

    ngx_http_blockcast_client_bound(conn);

    if (c->tcp_nodelay == NGX_TCP_NODELAY_UNSET) {
        (void) ngx_tcp_nodelay(c);
    }

    ngx_http_blockcast_client_count(1);

    ngx_log_debug3(NGX_LOG_DEBUG_HTTP, c->log, 0,
                   "blockcast: handshake done, protocol %ui, deflate %d, "
                   "streams allowed 0x%xL", (ngx_uint_t) conn->protocol,
                   conn->deflate, conn->allowed);

    /* jitter the first ping, to spread clients that connected together */

    ngx_http_blockcast_ws_timer(conn, blcf->ping_interval / 2
                                      + (ngx_msec_t) ngx_random()
                                        % (blcf->ping_interval / 2 + 1));

    conn->busy = 1;

    if (head != NULL) {
        ngx_http_blockcast_ws_send_queue(conn, head);
    }

    if (!conn->echo) {
        ngx_http_blockcast_commands_welcome(conn);
    }

    if (input != NULL) {
        (void) ngx_http_blockcast_ws_recv_input(conn, input, input + early);
        ngx_free(input);
    }

    if (ngx_exiting) {

        /* it was accepted just before the worker began to exit */

        c->close = 1;
    }

    ngx_http_blockcast_ws_readable(conn);
}


/*
 * Moves the response that nginx's output filters left in r->out to a frame,
 * which is sent first.  Returns it with a reference for the caller, or NULL
 * without memory.
 */

static ngx_http_blockcast_frame_t *
ngx_http_blockcast_ws_response_head(ngx_http_request_t *r)
{
    u_char                      *p;
    size_t                       size;
    ngx_chain_t                 *cl;
    ngx_http_blockcast_frame_t  *frame;

    size = 0;

    for (cl = r->out; cl != NULL; cl = cl->next) {
        size += ngx_buf_size(cl->buf);
    }

    frame = ngx_http_blockcast_frame_alloc(size);
    if (frame == NULL) {
        return NULL;
    }

    p = frame->data;

    for (cl = r->out; cl != NULL; cl = cl->next) {
        p = ngx_cpymem(p, cl->buf->pos, ngx_buf_size(cl->buf));
    }

    frame->len = size;
    frame->payload = size;
    frame->variant = NGX_HTTP_BLOCKCAST_FRAME_HEAD;

    r->out = NULL;

    return frame;
}


static void
ngx_http_blockcast_ws_handle(ngx_event_t *ev, ngx_http_blockcast_conn_t *conn)
{
    if (ev->write) {
        ngx_http_blockcast_ws_writable(conn);

    } else {
        ngx_http_blockcast_ws_readable(conn);
    }
}


static void
ngx_http_blockcast_ws_detached_handler(ngx_event_t *ev)
{
    ngx_connection_t  *c;

    c = ev->data;
    ngx_http_blockcast_ws_handle(ev, c->data);
}


/* Handles an event of a connection that kept its request (in c->data). */

static void
ngx_http_blockcast_ws_kept_handler(ngx_event_t *ev)
{
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ev->data;
    r = c->data;

    ngx_http_blockcast_ws_handle(ev, ngx_http_get_module_ctx(r,
                                                  ngx_http_blockcast_module));
}


void
ngx_http_blockcast_ws_close_all(ngx_uint_t code, const char *reason)
{
    ngx_uint_t           i;
    ngx_connection_t    *c;
    ngx_http_request_t  *r;

    c = ngx_cycle->connections;

    for (i = 0; i < ngx_cycle->connection_n; i++) {

        if (c[i].fd == (ngx_socket_t) -1 || c[i].read == NULL) {
            continue;
        }

        if (c[i].read->handler == ngx_http_blockcast_ws_detached_handler) {
            ngx_http_blockcast_client_close(c[i].data, code, reason);

        } else if (c[i].read->handler == ngx_http_blockcast_ws_kept_handler) {
            r = c[i].data;

            ngx_http_blockcast_client_close(
                   ngx_http_get_module_ctx(r, ngx_http_blockcast_module),
                   code, reason);
        }
    }
}


static void
ngx_http_blockcast_ws_readable(ngx_http_blockcast_conn_t *conn)
{
    ngx_event_t       *rev;
    ngx_connection_t  *c;

    c = conn->connection;
    rev = c->read;

    if (c->close) {
        c->close = 0;

        if (c->error) {

            /* worker_shutdown_timeout has passed */

            ngx_http_blockcast_ws_finalize(conn);
            return;
        }

        /* the worker exits: close its clients one by one, at random times */

        if (!conn->closing && !conn->leaving) {
            conn->leaving = 1;

            ngx_add_timer(rev, 1 + (ngx_msec_t) ngx_random()
                               % (ngx_http_blockcast_drain() + 1));

            if (!rev->ready && conn->out == NULL && !conn->dead) {

                /* nginx calls this for all clients in one turn */

                return;
            }
        }
    }

    if (conn->dead || c->error) {
        ngx_http_blockcast_ws_finalize(conn);
        return;
    }

    if (rev->timedout) {
        rev->timedout = 0;

        if (conn->closing) {

            /* the peer has had its time to close */

            ngx_http_blockcast_ws_finalize(conn);
            return;
        }

        if (conn->leaving) {
            ngx_http_blockcast_client_close(conn, 1012, "service restart");

        } else if (conn->paused || conn->forming) {

            /* its pong may be among the bytes that are not read yet */

            ngx_add_timer(rev, conn->conf->pong_timeout);

        } else {
            ngx_http_blockcast_ws_pulse(conn);
        }

        if (conn->dead) {
            ngx_http_blockcast_ws_finalize(conn);
            return;
        }
    }

    if (ngx_http_blockcast_fanout_spent()) {

        /* very many clients send something, or leave, at once */

        ngx_http_blockcast_fanout_later(rev);

    } else {
        conn->busy = 1;

        ngx_http_blockcast_ws_recv(conn);
        ngx_http_blockcast_ws_send_flush(conn);

        conn->busy = 0;

        if (conn->dead) {
            ngx_http_blockcast_ws_finalize(conn);
            return;
        }
    }

    /* a background subrequest of the handshake (mirror) deletes the timer */

    if (!rev->timer_set) {
        ngx_add_timer(rev, conn->conf->ping_interval);
    }
}


/*
 * Handles the ping timer: sends a ping, or closes a client that sent no pong.
 * A pong does not touch the timer: with many idle clients, setting timers
 * would be most of the work.
 */

static void
ngx_http_blockcast_ws_pulse(ngx_http_blockcast_conn_t *conn)
{
    ngx_msec_t         interval, timeout, first, rest;
    ngx_connection_t  *c;

    c = conn->connection;

    interval = conn->conf->ping_interval;
    timeout = conn->conf->pong_timeout;
    first = ngx_min(interval, timeout);
    rest = 0;

    if (conn->pinged) {

        if (conn->pulse == NGX_HTTP_BLOCKCAST_PINGED) {

            /* the interval is over, but the time for the pong may not be */

            rest = timeout - first;
            conn->pulse = NGX_HTTP_BLOCKCAST_LATE;
        }

        if (rest == 0) {
            ngx_log_error(NGX_LOG_INFO, c->log, 0,
                          "WebSocket client sent no pong within %M ms",
                          timeout);

            ngx_http_blockcast_count(ngx_http_blockcast_n_no_pong, 1);
            ngx_http_blockcast_client_close(conn, 1001, "no pong");
            return;
        }

    } else if (conn->pulse == NGX_HTTP_BLOCKCAST_PINGED) {

        /* the client has answered: wait for the rest of the interval */

        rest = interval - first;
        conn->pulse = NGX_HTTP_BLOCKCAST_QUIET;
    }

    if (rest != 0) {
        ngx_http_blockcast_ws_timer(conn, rest);
        return;
    }

    conn->pinged = 1;
    conn->pulse = NGX_HTTP_BLOCKCAST_PINGED;

    ngx_http_blockcast_ws_ping(conn);
    ngx_http_blockcast_ws_timer(conn, first);
}


/*
 * Sets the ping timer (msec), rounded up so that the pings of many clients are
 * due at the same moments: most of a ping's cost is waking up the worker.
 */

static void
ngx_http_blockcast_ws_timer(ngx_http_blockcast_conn_t *conn, ngx_msec_t timer)
{
    ngx_msec_t  grain;

    grain = conn->conf->ping_interval / NGX_HTTP_BLOCKCAST_PULSES + 1;

    timer += grain - (ngx_current_msec + timer) % grain;

    ngx_add_timer(conn->connection->read, timer);
}


/* Sends a ping.  All clients share its frame, which is never freed. */

static void
ngx_http_blockcast_ws_ping(ngx_http_blockcast_conn_t *conn)
{
    static u_char                      data[] = { 0x80 | BC_WS_PING, 0 };
    static ngx_http_blockcast_frame_t  frame = {
        1, sizeof(data), sizeof(data), 0, NGX_HTTP_BLOCKCAST_VARIANTS, 0, data,
        NULL, NULL
    };

    frame.refs++;
    ngx_http_blockcast_ws_send_queue(conn, &frame);
}


static void
ngx_http_blockcast_ws_writable(ngx_http_blockcast_conn_t *conn)
{
    ngx_event_t       *wev;
    ngx_connection_t  *c;

    c = conn->connection;
    wev = c->write;

    if (wev->timedout) {
        wev->timedout = 0;
        c->timedout = 1;

        ngx_log_error(NGX_LOG_INFO, c->log, 0,
                      "WebSocket client took nothing for %M ms, "
                      "%uD bytes wait", conn->conf->send_timeout,
                      conn->queued);

        ngx_http_blockcast_count(ngx_http_blockcast_n_slow, 1);
        ngx_http_blockcast_ws_finalize(conn);
        return;
    }

    if (conn->dead) {
        ngx_http_blockcast_ws_finalize(conn);
        return;
    }

    ngx_http_blockcast_ws_send_flush(conn);

    if (conn->dead) {
        ngx_http_blockcast_ws_finalize(conn);
    }
}


static void
ngx_http_blockcast_ws_finalize(ngx_http_blockcast_conn_t *conn)
{
    ngx_uint_t                    code;
    ngx_connection_t             *c;
    ngx_http_request_t           *r;
    ngx_http_blockcast_ws_out_t  *out;

    c = conn->connection;
    c->sent += conn->sent;

    ngx_log_debug0(NGX_LOG_DEBUG_HTTP, c->log, 0, "blockcast: ws finalize");

    ngx_http_blockcast_client_leave_all(conn);

    while (conn->out != NULL) {
        out = conn->out;
        conn->out = out->next;

        ngx_http_blockcast_frame_free(out->frame);
        ngx_free(out);
    }

    ngx_http_blockcast_ws_recv_end(conn);

    ngx_http_blockcast_client_count(-1);

    code = conn->close_code ? conn->close_code : 1006;

    ngx_http_blockcast_count(ngx_http_blockcast_n_closes
                             + ((code >= 1000 && code <= 1013) ? code - 1000
                                                             : 14), 1);

    /* write the access log line, then free the request and the socket */

    if (conn->is_detached) {
        r = ngx_http_blockcast_detach_restore(c, conn->detached);

        if (r != NULL) {
            ngx_http_set_ctx(r, conn, ngx_http_blockcast_module);
        }

    } else {
        r = conn->request;
    }

    if (r != NULL) {
        ngx_http_free_request(r, 0);
    }

    ngx_http_blockcast_key_access_drop(conn);
    ngx_http_blockcast_conn_pool_free(conn);

    ngx_http_close_connection(c);
}


/*
 * Writes the end of a line in the error log, as nginx does for an open
 * request.  Returns the end of the text.
 */

static u_char *
ngx_http_blockcast_ws_log(ngx_log_t *log, u_char *buf, size_t len)
{
    u_char                     *p;
    ngx_str_t                   server, line;
    ngx_http_log_ctx_t         *ctx;
    ngx_http_blockcast_conn_t  *conn;

    if (log->action) {
        p = ngx_snprintf(buf, len, " while %s", log->action);
        len -= p - buf;
        buf = p;
    }

    ctx = log->data;
    conn = ctx->connection->data;

    ngx_http_blockcast_detach_names(conn->detached, &server, &line);

    return ngx_snprintf(buf, len, ", client: %V, server: %V, request: \"%V\"",
                        &ctx->connection->addr_text, &server, &line);
}
