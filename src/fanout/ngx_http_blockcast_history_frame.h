
/*
 * The messages with the history of a stream: made once for all clients that
 * ask for the same, until the history changes.
 */


#ifndef _NGX_HTTP_BLOCKCAST_HISTORY_FRAME_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_HISTORY_FRAME_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_frame.h"
#include "ngx_http_blockcast_hub.h"


typedef enum {
    ngx_http_blockcast_history_as_json = 0,     /* the WebSocket message */
    ngx_http_blockcast_history_as_csv
} ngx_http_blockcast_history_form_e;


/*
 * Returns the index of the ring with that name in a stream's history, or of
 * the first one for an empty name.  Returns NGX_ERROR when there is none.
 */
ngx_int_t ngx_http_blockcast_history_ring(ngx_http_blockcast_stream_t *st,
    ngx_str_t *name);

/* who asks for a text */

typedef enum {
    ngx_http_blockcast_history_comes = 0,
    ngx_http_blockcast_history_waited,          /* was told NGX_AGAIN */
    ngx_http_blockcast_history_hurries          /* cannot wait */
} ngx_http_blockcast_history_who_e;


/*
 * Sets *frame to the text of a ring with at most `points` points (0: all),
 * without a reference for the caller, and *hash to the hash of its payload.
 * Returns NGX_OK; NGX_ERROR without memory; NGX_AGAIN while it is made over
 * several turns of the event loop.
 */
ngx_int_t ngx_http_blockcast_history_text(ngx_http_blockcast_hub_t *hub,
    ngx_uint_t ring, ngx_http_blockcast_history_form_e form,
    ngx_uint_t points, ngx_http_blockcast_history_who_e who,
    ngx_http_blockcast_frame_t **frame, uint64_t *hash);

/*
 * Sets *frame to the message of a ring for a client, with a reference for the
 * caller, or to NULL without memory.  Returns NGX_AGAIN while it is made,
 * compressed or converted over several turns of the event loop, after which
 * the fan-out starts again; `waited` is true for a client that was told so.
 */
ngx_int_t ngx_http_blockcast_history_frame(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t ring, ngx_uint_t waited,
    ngx_http_blockcast_frame_t **frame);

/*
 * Free the texts not used recently, on each tick of a worker; and all texts.
 */
void ngx_http_blockcast_history_frame_tick(void);
void ngx_http_blockcast_history_frame_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_HISTORY_FRAME_H_INCLUDED_ */
