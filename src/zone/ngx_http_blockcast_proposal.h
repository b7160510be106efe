
/*
 * Proposals: what a poll is about to publish, until the log has it.
 *
 * A publication is first proposed, as records for the log, and committed to
 * the slots once the log has them, so that clients see nothing that a restart
 * or another nginx would not know.  The log is the state file, which answers
 * at once, or a cluster's log, which answers later.  Without either, a
 * proposal is committed at once.
 */


#ifndef _NGX_HTTP_BLOCKCAST_PROPOSAL_H_INCLUDED_
#define _NGX_HTTP_BLOCKCAST_PROPOSAL_H_INCLUDED_


#include "ngx_http_blockcast.h"
#include "ngx_http_blockcast_snapshot.h"
#include "ngx_http_blockcast_zone.h"


typedef struct ngx_http_blockcast_proposal_s  ngx_http_blockcast_proposal_t;
typedef struct ngx_http_blockcast_staging_s  ngx_http_blockcast_staging_t;

typedef void (*ngx_http_blockcast_proposal_pt)(
    ngx_http_blockcast_proposal_t *proposal);


/*
 * the publications of one poll; the caller keeps them until they are decided
 */

struct ngx_http_blockcast_proposal_s {
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_publication_t  *pubs;
    ngx_uint_t                    n;
    void                         *data;         /* of the callbacks */
    u_char                       *same;         /* large data that is as long
                                                   as the newest and may equal
                                                   it, or NULL; the caller's */

    /* called when one of several is in the slot */
    ngx_http_blockcast_proposal_pt  committed;

    /*
     * Returns false as long as that one would be lost if the next one displaced
     * it; when it is published in pieces.  Or NULL.
     */
    ngx_uint_t                  (*settled)(
                                     ngx_http_blockcast_proposal_t *proposal);

    /* called after NGX_AGAIN, with what propose() would have returned */
    void                        (*decided)(
                                     ngx_http_blockcast_proposal_t *proposal,
                                     ngx_int_t rc);

    unsigned                      waits:1;      /* for the log's answer */
    ngx_http_blockcast_staging_t  *staging;     /* it is large, or NULL */
};


/*
 * Proposes the publications and commits each as the stream's next number; a
 * program's memory joins the newest number.  For the poller only.
 *
 * NGX_OK: all are in the slot.  NGX_DECLINED: this worker has lost the
 * lease, or another nginx publishes; the remaining ones were not written.
 * NGX_ERROR: one does not fit, or there is no memory.  NGX_AGAIN: the log has
 * not answered yet, or a large publication is written in pieces; decided()
 * will be called, unless the poller stops first.  decided() may also get
 * NGX_DONE: the data equals proposal->same.
 */
ngx_int_t ngx_http_blockcast_propose(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_log_t *log);

/* Gives a publication its number: the n-th after the newest, n from 0. */
void ngx_http_blockcast_proposal_number(ngx_http_blockcast_publication_t *pub,
    ngx_uint_t n);

/*
 * Proposes the n-th of the publications to a log that answers at once, and
 * commits it.
 */
ngx_int_t ngx_http_blockcast_proposal_one(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_uint_t n, ngx_log_t *log);

/* Returns true when data of that length is compared and written in pieces. */
ngx_uint_t ngx_http_blockcast_proposal_in_pieces(
    ngx_http_blockcast_zone_t *zone, size_t len);

/* Forgets a proposal that is waiting, if it is: decided() is not called. */
void ngx_http_blockcast_proposal_withdraw(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal);


#endif /* _NGX_HTTP_BLOCKCAST_PROPOSAL_H_INCLUDED_ */
