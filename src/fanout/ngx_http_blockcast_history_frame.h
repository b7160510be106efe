
/*
 * The history of a stream as it is sent: made once for all who ask for the
 * same, until there is something new.
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
 * Finds the ring of a name in a stream's history, an empty name is the first.
 * Returns its number, or NGX_ERROR.
 */
ngx_int_t ngx_http_blockcast_history_ring(ngx_http_blockcast_stream_t *st,
    ngx_str_t *name);

/*
 * Returns the text of a ring with at most `points` points, 0: all, as a frame
 * without a reference of the caller's; *hash is that of its payload.  NULL
 * without memory.
 */
ngx_http_blockcast_frame_t *ngx_http_blockcast_history_text(
    ngx_http_blockcast_hub_t *hub, ngx_uint_t ring,
    ngx_http_blockcast_history_form_e form, ngx_uint_t points,
    uint64_t *hash);

/*
 * Sets *frame to the message of a ring for a client, with a reference of the
 * caller's, or to NULL without memory.  NGX_AGAIN: it is being compressed or
 * converted, in several turns, and then the fan-out begins again.
 */
ngx_int_t ngx_http_blockcast_history_frame(ngx_http_blockcast_hub_t *hub,
    ngx_http_blockcast_conn_t *conn, ngx_uint_t ring,
    ngx_http_blockcast_frame_t **frame);

/* Free, on a worker's tick, what nobody has asked for recently; and all. */
void ngx_http_blockcast_history_frame_tick(void);
void ngx_http_blockcast_history_frame_done(void);


#endif /* _NGX_HTTP_BLOCKCAST_HISTORY_FRAME_H_INCLUDED_ */
