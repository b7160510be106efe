
/*
 * Proposals: what a poll is about to publish, until the log has it.
 *
 * A publication is proposed first, as records for the log, and committed to
 * the slots when the log has taken them: nothing is shown that a restart, or
 * another nginx, would not know.  The log is the state file, which answers at
 * once, or a cluster's, which answers later; none is configured in the simplest
 * case, and then there is nothing to wait for.
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


/* the publications of one poll; the caller's, until they are decided */

struct ngx_http_blockcast_proposal_s {
    ngx_http_blockcast_stream_t  *stream;
    ngx_http_blockcast_publication_t  *pubs;
    ngx_uint_t                    n;
    void                         *data;         /* of the callbacks */
    u_char                       *same;         /* large data of the same
                                                   length as the newest that
                                                   may be the same, or NULL;
                                                   the caller's, too */

    /* one of them is in the slot, and another one follows */
    ngx_http_blockcast_proposal_pt  committed;

    /* after NGX_AGAIN: what else propose() might have returned */
    void                        (*decided)(
                                     ngx_http_blockcast_proposal_t *proposal,
                                     ngx_int_t rc);

    unsigned                      waits:1;      /* the log has it */
    ngx_http_blockcast_staging_t  *staging;     /* it is large, or NULL */
};


/*
 * Proposes the publications, and commits each as the stream's next number, or
 * a memory of the program to the newest.  For the poller only.  NGX_OK: all
 * are in the slot; NGX_DECLINED: this worker has lost the lease, or another
 * nginx publishes, and those from there on were not written; NGX_ERROR: one
 * does not fit, or there is no memory; NGX_AGAIN: the log has not answered yet,
 * or it is large and is written in pieces, and decided() will be called, unless
 * the poller stops before.  To decided() NGX_DONE says that the data is that of
 * proposal->same.
 */
ngx_int_t ngx_http_blockcast_propose(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal, ngx_log_t *log);

/* Tells whether so much data is written, and first compared, in pieces. */
ngx_uint_t ngx_http_blockcast_proposal_in_pieces(
    ngx_http_blockcast_zone_t *zone, size_t len);

/* Forgets a proposal that waits, if it does: decided() is not called. */
void ngx_http_blockcast_proposal_withdraw(ngx_http_blockcast_zone_t *zone,
    ngx_http_blockcast_proposal_t *proposal);


#endif /* _NGX_HTTP_BLOCKCAST_PROPOSAL_H_INCLUDED_ */
