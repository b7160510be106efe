
/*
 * The fan-out: what is new in a feed goes to its subscribers in this worker,
 * in slices, so that nobody else has to wait for thousands of sends.
 */


#ifndef _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_hub.h"


/*
 * How a kind of client is sent what its streams have, by conn->kind.  None of
 * them closes a client, which would change the list that is walked.
 */

typedef struct {

    /*
     * Sends the hub's newest frame, number seq, now, or marks the
     * subscription as pending when the client is behind.
     */
    void (*push)(ngx_http_blockcast_conn_t *conn,
        ngx_http_blockcast_sub_t *sub, uint64_t seq);

    /* marks the subscription as pending: something else is to be sent */
    void (*mark_pending)(ngx_http_blockcast_conn_t *conn,
        ngx_http_blockcast_sub_t *sub);

    /* sends what is pending, as far as the socket takes it */
    void (*flush)(ngx_http_blockcast_conn_t *conn);

} ngx_http_blockcast_sender_t;


/* registers the sender of a kind, before there is a client of it */
void ngx_http_blockcast_fanout_register(ngx_uint_t kind,
    ngx_http_blockcast_sender_t *sender);

/* copies what is new of a stream and sends it to this worker's clients */
void ngx_http_blockcast_fanout_update(ngx_http_blockcast_hub_t *hub);

/* does so for all streams */
void ngx_http_blockcast_fanout_update_all(void);


#endif /* _NGX_HTTP_BLOCKCAST_FANOUT_H_INCLUDED_ */
